/// A byte stream to a planner in another program: its standard input and output, or a Unix socket. Private to
/// scenarios/planner_*.c.
///
/// A program runs in a process group of its own: when the link is closed all of it is killed. When the thread that
/// started it ends, or nearmiss is killed, the system kills the program (on Linux); what it forked, and the commands of
/// a line for the shell, only find the end of their input then. What it writes to standard error is read all along and
/// its end is kept.
#ifndef NM_SCENARIOS_PLANNER_LINK_H
#define NM_SCENARIOS_PLANNER_LINK_H

#include "base/status.h"

typedef struct nm_link nm_link;

#define NM_LINK_STDERR (64u << 10) ///< bytes kept

nm_link *nm_link_create(void); ///< not connected; NULL: no memory
void nm_link_destroy(nm_link *link);

/// Starts `/bin/sh -c command`, or `exec command` where it is one simple command. NM_E_IO; NM_E_ARGUMENT for one too
/// long. The link must not be open.
nm_status nm_link_start(nm_link *link, const char *command, nm_error *error);
/// Connects to a socket that somebody listens on. NM_E_IO; NM_E_LIMIT when there is no room for one more connection
/// until `deadline` (nm_clock); NM_E_ARGUMENT for a path too long.
nm_status nm_link_connect(nm_link *link, const char *path, double deadline, nm_error *error);
int nm_link_open(const nm_link *link);
/// 1 when the program lives, or the other side has not hung up, and there is nothing to read.
int nm_link_quiet(nm_link *link);

/// Lets the program read the end of its input and waits up to `grace` s for it to end, then kills what is left.
void nm_link_close(nm_link *link, double grace);

/// All or nothing, until `deadline` (nm_clock). Never raises SIGPIPE.
/// returns  NM_OK; NM_E_LIMIT at the deadline; NM_E_IO when the other side is gone. No message: see nm_link_epitaph
nm_status nm_link_send(nm_link *link, const uint8_t *bytes, size_t size, double deadline);
/// *received [out]: bytes that came, also on failure
nm_status nm_link_receive(nm_link *link, uint8_t *bytes, size_t size, double deadline, size_t *received);

/// Kills the program and says how it ended ("exited with status 3", "was killed by signal 11", "closed the
/// connection"); with `killed`, that it did not end of itself ("was killed").
void nm_link_epitaph(nm_link *link, int killed, char *text, size_t size);
/// The end of what it wrote to standard error, since it was started, oldest first; terminated. Returns the length.
size_t nm_link_stderr(const nm_link *link, char *text, size_t size);

#endif
