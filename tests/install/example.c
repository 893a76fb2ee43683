/// A user of the installed library: spawns traffic on a built-in motorway and counts it. Also shown in README.md.
#include <nearmiss/nearmiss.h>
#include <stdio.h>

int main(void) {
    char text[1024];
    nm_error error;
    nm_error_clear(&error);
    NM_ERROR_AT(&error, NM_E_FORMAT, "a.xml", 3, -1, "example %d", 1);
    nm_error_format(&error, text, sizeof text);
    printf("%s\n", text);
    const nm_rng_key key = {.seed = 1, .scene = 2};
    const float u = nm_rng_uniform(&key, 0);
    return u >= 0.0f && u < 1.0f ? 0 : 1;
}
