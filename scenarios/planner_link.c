#define _GNU_SOURCE // pipe2; SOCK_CLOEXEC: other threads start programs, too, which must not inherit our ends
#include "scenarios/planner_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include "base/progress.h"

#define SLICE 0.05     // s between looks whether the program still lives
#define LAST_WORDS 0.2 // s that a program that hung up gets to end and to say why

struct nm_link {
    int socket, errors; // -1 = none
    pid_t pid;          // 0 = none
    int status;         // of the program, where it is known
    char *kept;         // [NM_LINK_STDERR] ring
    uint64_t written;
};

nm_link *nm_link_create(void) {
    nm_link *link = calloc(1, sizeof *link);
    char *kept = malloc(NM_LINK_STDERR);
    if (!link || !kept) {
        free(link);
        free(kept);
        return NULL;
    }
    link->socket = link->errors = -1;
    link->kept = kept;
    return link;
}

void nm_link_destroy(nm_link *link) {
    if (!link) return;
    nm_link_close(link, 0.0);
    free(link->kept);
    free(link);
}

int nm_link_open(const nm_link *link) {
    return link->socket >= 0;
}

// ---------------------------------------------------------------------------------------------------------------------

/// In the child: only what is safe after a fork of a program with threads.
static _Noreturn void become(const char *command, int socket, int errors, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); // it ended before that took effect
#else
    (void)parent;
#endif
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (dup2(socket, 0) >= 0 && dup2(socket, 1) >= 0 && dup2(errors, 2) >= 0)
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/// A command of one program: the shell can become it, so that its end is seen directly and the death signal reaches it.
static int is_simple(const char *command) {
    const char *first = command + strspn(command, " \t");
    const size_t word = strcspn(first, " \t");
    const int already = word == 4 && memcmp(first, "exec", 4) == 0;
    return !strpbrk(command, ";&|\n(){}`") && !memchr(first, '=', word) && word > 0 && !already;
}

/// The same file under a number that is none of the standard streams': where we were started without those, the next
/// files get theirs, and what is printed would go to the planner. -1 where there is none left, or none was given.
static int off_streams(int file) {
    if (file < 0 || file > 2) return file;
    const int moved = fcntl(file, F_DUPFD_CLOEXEC, 3);
    close(file);
    return moved;
}

static void close_both(const int files[2]) {
    for (int i = 0; i < 2; i++)
        if (files[i] >= 0) close(files[i]);
}

/// Both ends of the messages and of standard error. One socket for both directions rather than two pipes: writing to
/// one can be told not to raise SIGPIPE.
static nm_status make_ends(int ends[2], int errors[2], nm_error *error) {
    int why = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 ? errno : 0;
    for (int i = 0; i < 2 && !why; i++)
        if ((ends[i] = off_streams(ends[i])) < 0) why = errno;
    if (!why && pipe2(errors, O_CLOEXEC) != 0) why = errno;
    for (int i = 0; i < 2 && !why; i++)
        if ((errors[i] = off_streams(errors[i])) < 0) why = errno;
    if (!why) return NM_OK;
    close_both(ends);
    close_both(errors);
    return NM_ERROR(error, NM_E_IO, "no socket and pipe for a planner: %s", strerror(why));
}

nm_status nm_link_start(nm_link *link, const char *plain, nm_error *error) {
    char command[8192];
    const char *become_it = is_simple(plain) ? "exec " : "";
    NM_ASSERT(!nm_link_open(link));
    if ((size_t)snprintf(command, sizeof command, "%s%s", become_it, plain) >= sizeof command)
        return NM_ERROR(error, NM_E_ARGUMENT, "the command line of a planner has at most %zu bytes",
                        sizeof command - sizeof "exec ");
    int ends[2] = {-1, -1}, errors[2] = {-1, -1};
    link->written = 0;
    const nm_status made = make_ends(ends, errors, error);
    if (made != NM_OK) return made;
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(command, ends[1], errors[1], parent);
    const int why = errno;
    close(ends[1]);
    close(errors[1]);
    if (pid < 0) {
        close(ends[0]);
        close(errors[0]);
        return NM_ERROR(error, NM_E_IO, "no process for a planner: %s", strerror(why));
    }
    setpgid(pid, pid); // both do it: whoever comes first
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    link->socket = ends[0];
    link->errors = errors[0];
    link->pid = pid;
    return NM_OK;
}

nm_status nm_link_connect(nm_link *link, const char *path, double deadline, nm_error *error) {
    NM_ASSERT(!nm_link_open(link));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    link->written = 0;
    if (strlen(path) >= sizeof address.sun_path)
        return NM_ERROR(error, NM_E_ARGUMENT, "the path of a socket has at most %zu bytes: '%s'",
                        sizeof address.sun_path - 1, path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    const int end = off_streams(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (end < 0) return NM_ERROR(error, NM_E_IO, "no socket for a planner: %s", strerror(errno));
    // one that listens but accepts nobody has no room for us at some time: a blocking call would never return
    while (connect(end, (const struct sockaddr *)&address, sizeof address) != 0) {
        const int why = errno;
        if (why == EINTR) continue;
        if (why == EAGAIN && nm_clock() < deadline) {
            poll(NULL, 0, 5);
            continue;
        }
        close(end);
        if (why == EAGAIN) return NM_ERROR(error, NM_E_LIMIT, "the planner on '%s' accepts no connection", path);
        return NM_ERROR(error, NM_E_IO, "no planner listens on '%s': %s", path, strerror(why));
    }
    link->socket = end;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------

static void keep(nm_link *link, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) link->kept[(link->written + i) % NM_LINK_STDERR] = bytes[i];
    link->written += count;
}

/// Reads what is there of standard error; at its end, closes it. Returns 1 while it is open. Bounded, so that a planner
/// that never stops talking does not keep us from its answer.
static int drain(nm_link *link) {
    char buffer[4096];
    for (int i = 0; link->errors >= 0 && i < 64; i++) {
        const ssize_t count = read(link->errors, buffer, sizeof buffer);
        if (count > 0) {
            keep(link, buffer, (size_t)count);
        } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
            close(link->errors);
            link->errors = -1;
        } else {
            return 1;
        }
    }
    return link->errors >= 0;
}

/// Has the program ended? It stays a zombie, so that its group can still be killed by its number.
static int is_over(const nm_link *link) {
    siginfo_t info = {0};
    if (!link->pid) return 0;
    return waitid(P_PID, (id_t)link->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == link->pid;
}

static int again(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/// Waits until the socket can be read or written. NM_E_IO when the program is over and left nothing to read.
static nm_status wait_for(nm_link *link, short events, double deadline) {
    for (;;) {
        const double left = deadline - nm_clock();
        struct pollfd watched[2] = {{.fd = link->socket, .events = events}, {.fd = link->errors, .events = POLLIN}};
        const double slice = left < SLICE ? left : SLICE;
        const int over = is_over(link); // asked before the poll: what it wrote before it ended is seen by that
        const int count = poll(watched, 2, slice > 0.0 && !over ? (int)(slice * 1e3) + 1 : 0);
        if (count < 0 && errno != EINTR) return NM_E_IO;
        if (count > 0 && watched[1].revents) drain(link);
        if (count > 0 && watched[0].revents) return NM_OK; // an error or the end shows at the next call
        if (over) return NM_E_IO;
        if (left <= 0.0) return NM_E_LIMIT;
    }
}

nm_status nm_link_send(nm_link *link, const uint8_t *bytes, size_t size, double deadline) {
    for (size_t sent = 0; sent < size;) {
        const ssize_t count = send(link->socket, bytes + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            sent += (size_t)count;
            if (sent < size && nm_clock() >= deadline) return NM_E_LIMIT; // one that takes it in drops is late, too
            continue;
        }
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && !again()) return NM_E_IO;
        const nm_status status = wait_for(link, POLLOUT, deadline);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

nm_status nm_link_receive(nm_link *link, uint8_t *bytes, size_t size, double deadline, size_t *received) {
    *received = 0;
    while (*received < size) {
        const ssize_t count = recv(link->socket, bytes + *received, size - *received, MSG_DONTWAIT);
        if (count > 0) {
            *received += (size_t)count;
            if (*received < size && nm_clock() >= deadline) return NM_E_LIMIT; // one that never pauses is late, too
            continue;
        }
        if (count == 0) return NM_E_IO;
        if (errno == EINTR) continue;
        if (!again()) return NM_E_IO;
        const nm_status status = wait_for(link, POLLIN, deadline);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

int nm_link_quiet(nm_link *link) {
    char byte;
    drain(link);
    return recv(link->socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && again() && !is_over(link);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Waits for the program's end, reading what it says, until `deadline`.
static int wait_for_end(nm_link *link, double deadline) {
    while (link->pid && !is_over(link)) {
        if (nm_clock() >= deadline) return 0;
        struct pollfd watched = {.fd = link->errors, .events = POLLIN};
        poll(&watched, 1, link->errors >= 0 ? 5 : 1);
        drain(link);
    }
    return 1;
}

static void release(nm_link *link) {
    if (link->pid) {
        kill(-link->pid, SIGKILL); // whatever it forked, too; the zombie keeps the number from being used again
        kill(link->pid, SIGKILL);
        while (waitpid(link->pid, &link->status, 0) < 0 && errno == EINTR) continue;
        link->pid = 0;
    }
    drain(link);
    if (link->errors >= 0) close(link->errors);
    if (link->socket >= 0) close(link->socket);
    link->errors = link->socket = -1;
}

void nm_link_close(nm_link *link, double grace) {
    if (!nm_link_open(link)) return;
    if (grace > 0.0) {
        shutdown(link->socket, SHUT_WR);
        wait_for_end(link, nm_clock() + grace);
    }
    release(link);
}

void nm_link_epitaph(nm_link *link, int killed, char *text, size_t size) {
    const int program = link->pid != 0;
    const int ended = program && wait_for_end(link, nm_clock() + (killed ? 0.0 : LAST_WORDS));
    release(link);
    if (!program)
        snprintf(text, size, killed ? "was hung up on" : "closed the connection");
    else if (!ended)
        snprintf(text, size, killed ? "was killed" : "closed its standard output and was killed");
    else if (WIFSIGNALED(link->status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(link->status), strsignal(WTERMSIG(link->status)));
    else if (WEXITSTATUS(link->status) > 128 && WEXITSTATUS(link->status) <= 128 + 64) // as shells pass it on
        snprintf(text, size, "exited with status %d (128 + signal %d, %s)", WEXITSTATUS(link->status),
                 WEXITSTATUS(link->status) - 128, strsignal(WEXITSTATUS(link->status) - 128));
    else
        snprintf(text, size, "exited with status %d", WEXITSTATUS(link->status));
}

size_t nm_link_stderr(const nm_link *link, char *text, size_t size) {
    const uint64_t there = link->written < NM_LINK_STDERR ? link->written : NM_LINK_STDERR;
    const uint64_t count = there < size - 1 ? there : size - 1;
    for (uint64_t i = 0; i < count; i++) text[i] = link->kept[(link->written - count + i) % NM_LINK_STDERR];
    text[count] = '\0';
    return (size_t)count;
}
