/// Planners in programs of their own: protobuf messages over a link, deadlines, and what is said of those that fail.
///
///     closed --start, hello--> idle --begin--> driving --end--> idle
///       ^                        |                |
///       +------------ failure ---+----------------+      (the program is killed; begin starts it again)
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/text.h"
#include "scenarios/planner_link.h"
#include "scenarios/planner_private.h"
#include "scenarios/planner_wire.h"

#define GRACE 1.0        // s to end of itself at the end of its input
#define END_DEADLINE 1.0 // s to take the message that a scenario is over
#define SHOWN_STDERR 120 // bytes of standard error in a message; nm_planner_stderr has all of it

typedef struct process {
    char *specification;
    char *config;
    nm_planner_options options;
    nm_link *link;
    nm_wire *wire;
    uint8_t *bytes; // of the answer
    size_t capacity;
    nm_planner_needs needs;
    uint32_t map_version; // that the program has
    int begun;            // it is asked for its first plan next
} process;

static int in_text(uint8_t byte) {
    return (byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\r' || byte == '\t';
}

/// Do the bytes look like something printed?
static int looks_printed(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!in_text(bytes[i])) return 0;
    return count > 0;
}

#define HINT ": did it print to standard output? (that is for messages, print to standard error)"

/// Kills the program and adds how it ended and its last line to the reason.
static nm_status fail(process *p, nm_status status, const char *reason, int killed, nm_error *error) {
    char end[128], words[SHOWN_STDERR + 1], safe[2 * SHOWN_STDERR + 1];
    nm_link_epitaph(p->link, killed, end, sizeof end);
    size_t length = nm_link_stderr(p->link, words, sizeof words);
    while (length && (words[length - 1] == '\n' || words[length - 1] == '\r')) words[--length] = '\0';
    const char *line = strrchr(words, '\n'); // the last one mostly says what it was
    nm_text_escape(safe, sizeof safe, line ? line + 1 : words);
    return NM_ERROR(error, status, "%s%sit %s%s%s", reason, reason[0] ? "; " : "", end,
                    length ? "; its standard error ends: " : "", length ? safe : "");
}

static nm_status fail_late(process *p, double seconds, const uint8_t *header, size_t header_count, size_t got,
                           uint32_t wanted, nm_error *error) {
    char reason[256];
    if (header_count == 0)
        snprintf(reason, sizeof reason, "no answer within %.3f s", seconds);
    else
        snprintf(reason, sizeof reason, "an answer cut short: %zu of %u bytes within %.3f s%s", got, wanted, seconds,
                 looks_printed(header, header_count < 2 ? header_count : 2) ? HINT : "");
    return fail(p, NM_E_LIMIT, reason, 1, error);
}

static nm_status fail_length(process *p, const uint8_t header[NM_WIRE_HEADER], nm_error *error) {
    char reason[512], shown[64 + 1], safe[4 * 64 + 1];
    if (looks_printed(header, NM_WIRE_HEADER)) {
        size_t more;
        memcpy(shown, header, NM_WIRE_HEADER);
        nm_link_receive(p->link, (uint8_t *)shown + NM_WIRE_HEADER, 60, nm_clock() + 0.05, &more);
        shown[NM_WIRE_HEADER + more] = '\0';
        shown[strcspn(shown, "\n")] = '\0';
        nm_text_escape(safe, sizeof safe, shown);
        safe[80] = '\0';
        snprintf(reason, sizeof reason, "sent '%s' where a message belongs" HINT, safe);
    } else {
        snprintf(reason, sizeof reason, "claims a message of %u bytes, at most %u are taken", nm_wire_length(header),
                 NM_WIRE_MAX);
    }
    return fail(p, NM_E_FORMAT, reason, 1, error);
}

static nm_status make_room(process *p, size_t size, nm_error *error) {
    if (size <= p->capacity) return NM_OK;
    uint8_t *grown = realloc(p->bytes, size);
    if (!grown) return NM_ERROR(error, NM_E_MEMORY, "no memory for an answer of %zu bytes", size);
    p->bytes = grown;
    p->capacity = size;
    return NM_OK;
}

static nm_status receive(process *p, double deadline, double seconds, const Nearmiss__Answer **answer,
                         nm_error *error) {
    uint8_t header[NM_WIRE_HEADER];
    size_t got = 0, body = 0;
    nm_status status = nm_link_receive(p->link, header, sizeof header, deadline, &got);
    const uint32_t size = got == sizeof header ? nm_wire_length(header) : 0;
    if (got == sizeof header && size > NM_WIRE_MAX) return fail_length(p, header, error);
    if (status == NM_OK) {
        const nm_status room = make_room(p, size + 1, error);
        if (room != NM_OK) {
            nm_link_close(p->link, 0.0);
            return room;
        }
        status = nm_link_receive(p->link, p->bytes, size, deadline, &body);
    }
    if (status == NM_E_LIMIT) return fail_late(p, seconds, header, got, got + body, size + NM_WIRE_HEADER, error);
    if (status != NM_OK) {
        const char *reason = got == 0                                   ? ""
                             : looks_printed(header, got < 2 ? got : 2) ? "sent text" HINT
                                                                        : "sent half a message";
        return fail(p, NM_E_IO, reason, 0, error);
    }
    *answer = nm_wire_read(p->wire, p->bytes, size);
    if (*answer) return NM_OK;
    return fail(p, NM_E_FORMAT,
                looks_printed(header, 2) || looks_printed(p->bytes, size < 16 ? size : 16)
                    ? "sent what is no message" HINT
                    : "sent what is no message of dataset/protos/planner.proto",
                1, error);
}

/// Sends a request and takes the answer. An error that the planner answers is passed on; the program lives on.
static nm_status ask(process *p, nm_wire_bytes bytes, double seconds, const Nearmiss__Answer **answer,
                     nm_error *error) {
    const double deadline = nm_clock() + seconds;
    const nm_status status = nm_link_send(p->link, bytes.data, bytes.size, deadline);
    if (status == NM_E_LIMIT) {
        char reason[128];
        snprintf(reason, sizeof reason, "did not take what it was sent within %.3f s", seconds);
        return fail(p, NM_E_LIMIT, reason, 1, error);
    }
    // one that hung up may have said why before: what there is to read says more than that it can not be written to
    const nm_status received = receive(p, deadline, seconds, answer, error);
    if (received != NM_OK) return received;
    if (status != NM_OK) return fail(p, NM_E_IO, "hung up", 0, error);
    if ((*answer)->kind_case != NEARMISS__ANSWER__KIND_ERROR) return NM_OK;
    char safe[320];
    nm_text_escape(safe, sizeof safe, (*answer)->error[0] ? (*answer)->error : "an error without words");
    return NM_ERROR(error, NM_E_UNSUPPORTED, "%s", safe);
}

static nm_status greet(process *p, nm_error *error) {
    nm_wire_bytes bytes;
    const Nearmiss__Answer *answer;
    nm_status status = nm_wire_hello(p->wire, p->config, &bytes, error);
    if (status == NM_OK) status = ask(p, bytes, p->options.start_deadline, &answer, error);
    if (status != NM_OK) return status;
    if (answer->kind_case != NEARMISS__ANSWER__KIND_HELLO)
        return fail(p, NM_E_FORMAT, "did not answer hello with hello", 1, error);
    if (answer->hello->abi != NM_PLANNER_ABI) {
        char reason[128];
        snprintf(reason, sizeof reason, "speaks version %u of the planner interface, this program speaks version %u",
                 answer->hello->abi, NM_PLANNER_ABI);
        return fail(p, NM_E_VERSION, reason, 1, error);
    }
    const nm_planner_needs usual = {NM_PLANNER_HISTORY, 100.0f};
    const float radius = answer->hello->map_radius;
    p->needs.history = answer->hello->history ? answer->hello->history : usual.history;
    p->needs.map_radius = radius < 0.0f ? 0.0f : radius > 0.0f ? radius : usual.map_radius;
    return NM_OK;
}

static nm_status start(process *p, nm_error *error) {
    const char *target = p->specification + 5;
    const int program = p->specification[0] == 'e';
    const double deadline = nm_clock() + p->options.start_deadline;
    const nm_status status =
        program ? nm_link_start(p->link, target, error) : nm_link_connect(p->link, target, deadline, error);
    if (status != NM_OK) return status;
    p->map_version = 0;
    const nm_status greeted = greet(p, error);
    if (greeted != NM_OK) nm_link_close(p->link, 0.0);
    return greeted;
}

/// What the table's functions return: the code, and the message as the planner's words.
static int report(nm_status status, const nm_error *error, char *text, size_t size) {
    if (status != NM_OK) snprintf(text, size, "%s", error->message);
    return (int)status;
}

static void destroy(void *planner) {
    process *p = planner;
    if (p->link) nm_link_close(p->link, GRACE);
    nm_link_destroy(p->link);
    nm_wire_destroy(p->wire);
    free(p->bytes);
    free(p->specification);
    free(p->config);
    free(p);
}

static void *create(const char *config, char *error, size_t error_size) {
    (void)config;
    snprintf(error, error_size, "opened by nm_planner_open only");
    return NULL;
}

static void needs(void *planner, nm_planner_needs *wanted) {
    const process *p = planner;
    *wanted = p->needs;
}

static nm_status try_to_begin(process *p, const nm_planner_scenario *scenario, nm_error *error) {
    nm_wire_bytes bytes;
    const Nearmiss__Answer *answer;
    nm_status status = nm_link_open(p->link) ? NM_OK : start(p, error);
    if (status == NM_OK) status = nm_wire_begin(p->wire, scenario, &bytes, error);
    if (status == NM_OK) status = ask(p, bytes, p->options.begin_deadline, &answer, error);
    if (status != NM_OK) return status;
    if (answer->kind_case != NEARMISS__ANSWER__KIND_READY)
        return fail(p, NM_E_FORMAT, "did not answer begin with ready", 1, error);
    p->map_version = scenario->map->version;
    p->begun = 1;
    return NM_OK;
}

/// A program that ended after the scenario before, or said something that it was not asked for, does not cost this one.
/// That may show only when it has been told to begin: then it is started again, once.
static nm_status begin_scenario(process *p, const nm_planner_scenario *scenario, nm_error *error) {
    if (nm_link_open(p->link) && !nm_link_quiet(p->link)) nm_link_close(p->link, 0.0);
    if (!nm_link_open(p->link)) return try_to_begin(p, scenario, error);
    nm_error why;
    nm_error_clear(&why);
    const nm_status status = try_to_begin(p, scenario, &why);
    if (status == NM_E_IO || status == NM_E_FORMAT) return try_to_begin(p, scenario, error);
    if (status != NM_OK && error) *error = why;
    return status;
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *text, size_t size) {
    nm_error error;
    nm_error_clear(&error);
    return report(begin_scenario(planner, scenario, &error), &error, text, size);
}

static nm_status plan_step(process *p, const nm_planner_observation *observation, nm_planner_output *output,
                           nm_error *error) {
    nm_wire_bytes bytes;
    const Nearmiss__Answer *answer;
    const int with_map = observation->map->version != p->map_version;
    const double seconds = observation->deadline > 0.0f ? (double)observation->deadline : p->options.plan_deadline;
    if (!nm_link_open(p->link)) return NM_ERROR(error, NM_E_IO, "it has failed before in this scenario");
    const double deadline = nm_clock() + seconds;
    nm_status status = nm_wire_plan(p->wire, observation, with_map, &bytes, error);
    if (status == NM_OK) status = ask(p, bytes, seconds, &answer, error);
    // one that answers the end of a scenario, too, may do so when the next has begun: then that was its ready, and the
    // one for this scenario comes now
    if (status == NM_OK && p->begun && answer->kind_case == NEARMISS__ANSWER__KIND_READY)
        status = receive(p, deadline, seconds, &answer, error);
    if (status != NM_OK) return status;
    p->begun = 0;
    p->map_version = observation->map->version;
    nm_error why;
    nm_error_clear(&why);
    status = nm_wire_output(answer, observation->step, output, &why);
    return status == NM_OK ? NM_OK : fail(p, status, why.message, 1, error);
}

static int plan(void *planner, const nm_planner_observation *observation, nm_planner_output *output, char *text,
                size_t size) {
    nm_error error;
    nm_error_clear(&error);
    return report(plan_step(planner, observation, output, &error), &error, text, size);
}

static void end(void *planner) {
    process *p = planner;
    nm_wire_bytes bytes;
    if (!nm_link_open(p->link)) return;
    if (nm_wire_end(p->wire, &bytes, NULL) != NM_OK ||
        nm_link_send(p->link, bytes.data, bytes.size, nm_clock() + END_DEADLINE) != NM_OK)
        nm_link_close(p->link, 0.0); // the next scenario starts it again
}

static const nm_planner_vtable table = {
    .abi = NM_PLANNER_ABI,
    .size = sizeof(nm_planner_vtable),
    .name = "process",
    .create = create,
    .destroy = destroy,
    .needs = needs,
    .begin = begin,
    .plan = plan,
    .end = end,
};

static char *copied(const char *text) {
    const size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

nm_status nm_planner_open_process(const char *specification, const nm_planner_options *options, nm_planner **planner,
                                  nm_error *error) {
    process *p = calloc(1, sizeof *p);
    if (!p) return NM_ERROR(error, NM_E_MEMORY, "no memory for a planner");
    p->options = *options;
    p->specification = copied(specification);
    p->config = copied(options->config);
    p->link = nm_link_create();
    p->wire = nm_wire_create();
    p->options.config = p->config;
    if (!p->specification || !p->config || !p->link || !p->wire) {
        destroy(p);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a planner");
    }
    nm_error why;
    nm_error_clear(&why);
    const nm_status status = start(p, &why);
    if (status != NM_OK) {
        char safe[101], words[sizeof why.message];
        destroy(p);
        nm_text_escape(safe, sizeof safe, specification);
        nm_text_escape(words, sizeof words, why.message); // may name a path
        return NM_ERROR(error, status, "planner '%s' can not be started: %s", safe, words);
    }
    return nm_planner_adopt(&table, specification, p, planner, error);
}

size_t nm_planner_stderr(const nm_planner *planner, char *text, size_t size) {
    NM_ASSERT(planner && text && size > 0);
    const process *p = nm_planner_object_of(planner, &table);
    text[0] = '\0';
    return p ? nm_link_stderr(p->link, text, size) : 0;
}
