#include "tools/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static atomic_int interrupted; // process-wide because signals are

static void note_signal(int signal_number) {
    (void)signal_number;
    atomic_store(&interrupted, 1);
}

int nm_cli_interrupted(void) {
    return atomic_load(&interrupted);
}

int nm_cli_stop(void *context) {
    (void)context;
    return nm_cli_interrupted();
}

void nm_cli_start(void) {
    for (int descriptor = 0; descriptor <= 2; descriptor++) {
        if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
        // Opened the wrong way round on purpose: reading standard input or writing the others goes on failing.
        const int flags = descriptor == 0 ? O_WRONLY : O_RDONLY;
        if (open("/dev/null", flags) != descriptor) _exit(NM_EXIT_FAILED);
    }
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction before;
        // A parent that ignores a signal (nohup, a shell's background job) means it.
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        sigaction(signals[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL); // a closed pipe is an error to report and clean up after, not a sudden death
    sigaction(SIGXFSZ, &action, NULL); // so is a file that may not grow (ulimit -f)
}

/// "nearmiss COMMAND: TEXT" on standard error. `text` is escaped already.
static void complain(const nm_command *command, const char *text) {
    fprintf(stderr, "nearmiss%s%s: %s\n", command->name ? " " : "", command->name ? command->name : "", text);
}

int nm_cli_fail(const nm_command *command, const nm_error *error) {
    char text[4 * (sizeof error->input + sizeof error->message)];
    if (error->code == NM_E_CANCELLED && !error->message[0]) {
        snprintf(text, sizeof text, "interrupted");
    } else {
        nm_error_format(error, text, sizeof text);
    }
    complain(command, text);
    return NM_EXIT_FAILED;
}

int nm_cli_usage(const nm_command *command, const char *format, ...) {
    char message[1024], text[4 * sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    nm_text_escape(text, sizeof text, message);
    complain(command, text);
    fprintf(stderr, "usage: nearmiss %s\n", command->usage);
    if (command->name) fprintf(stderr, "more:  nearmiss %s --help\n", command->name);
    return NM_EXIT_USAGE;
}

int nm_cli_finish(const nm_command *command) {
    errno = 0;
    const int lost = ferror(stdout);
    if (fflush(stdout) == 0 && !lost) return NM_EXIT_OK;
    if (errno == EPIPE) return NM_EXIT_FAILED;
    char text[256];
    snprintf(text, sizeof text, "can not write to standard output: %s", errno ? strerror(errno) : "output was lost");
    complain(command, text);
    return NM_EXIT_FAILED;
}

const char *nm_cli_nearest(const char *word, const char *const *names, size_t count) {
    const char *best = NULL;
    const size_t length = strlen(word);
    size_t best_distance = length < 6 ? 2 : 1 + length / 3; // more than that is another word
    for (size_t i = 0; i < count; i++) {
        const size_t distance = nm_text_distance(word, names[i]);
        const int begins = length >= 3 && strncmp(word, names[i], length) == 0;
        if (!begins && (distance > best_distance || distance >= strlen(names[i]))) continue;
        if (!best || distance < best_distance) best = names[i];
        if (distance < best_distance) best_distance = distance;
    }
    return best;
}
