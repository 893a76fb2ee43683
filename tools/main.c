/// The `nearmiss` program.
int main(void) {
    return 2;
}
