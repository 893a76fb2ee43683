/// Somebody else's planner: by name, from a shared library, or in a program of its own.
///
///     idm                        built in, see sim/planner_host.h
///     ./libmine.so               a shared library that exports nm_planner_entry (sim/planner.h); what holds a '/' or
///                                ends with .so
///     exec:python3 mine.py -v    a program, started by /bin/sh -c: messages over its standard input and output
///     unix:/run/mine.sock        a program that listens on a Unix socket: the same messages, one connection
///
/// Programs speak protobuf, see dataset/protos/planner.proto; worked examples: examples/planner_c, examples/
/// planner_python. One handle is one program (or connection), for one thread at a time; start one for each thread, and
/// let the thread that opened a handle live as long as the handle: the system ends its program with it.
///
/// Whatever a program does costs the scenario at hand only. When it answers too late, breaks the protocol, hangs up,
/// exits or crashes, it is killed with all its process group, the message tells why and ends with what it last wrote to
/// standard error; the next scenario starts it again. (A descendant that left the group by setsid survives.) What it
/// does after the end of a scenario, such as to end or to print, costs nothing: the next one starts it again, too.
///
/// A shared library runs inside this process: it can not be interrupted, and takes everything with it when it crashes.
#ifndef NM_SCENARIOS_PLANNER_OPEN_H
#define NM_SCENARIOS_PLANNER_OPEN_H

#include "sim/planner_host.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Fill with nm_planner_options_default().
typedef struct nm_planner_options {
    const char *config;    ///< handed to the planner; default "" = none. Built-in planners take none
    double start_deadline; ///< s of real time from the start of a program to its hello; default 30
    double begin_deadline; ///< s that it may take to begin a scenario; default 30
    double plan_deadline;  ///< s to an answer where the observation sets no deadline; default 10
} nm_planner_options;
NM_API nm_planner_options nm_planner_options_default(void);

/// Opens a planner; a program is started (or connected to) and said hello to.
///
/// options  nullable = defaults
/// returns  NM_OK; NM_E_NOT_FOUND for a name that is none, or a library that is not there; NM_E_VERSION for another
///          version of the interface; NM_E_FORMAT for a library without nm_planner_entry, or a program that does not
///          speak the protocol; NM_E_IO when it can not be started or ends; NM_E_LIMIT when it says no hello in time;
///          NM_E_ARGUMENT for options or a specification that make no sense; NM_E_MEMORY. *planner is NULL then
NM_API nm_status nm_planner_open(const char *specification, const nm_planner_options *options, nm_planner **planner,
                                 nm_error *error);

/// The end of what a planner's program wrote to standard error since it was last started, at most 64 KiB, terminated;
/// "" for others. Raw bytes: see nm_text_escape. Returns the length.
NM_API size_t nm_planner_stderr(const nm_planner *planner, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
