/// Messages to and from planners in other programs (dataset/protos/planner.proto). Private to scenarios/planner_*.c.
#ifndef NM_SCENARIOS_PLANNER_WIRE_H
#define NM_SCENARIOS_PLANNER_WIRE_H

#include "dataset/protos/planner.pb-c.h"
#include "sim/planner_host.h"

#define NM_WIRE_HEADER 4u              ///< bytes of length before a message
#define NM_WIRE_MAX (16u << 20)        ///< bytes of a message
#define NM_WIRE_MAX_MEMORY (64u << 20) ///< bytes that a message read may take up

/// Memory of one connection: grows with the largest message, then stays.
typedef struct nm_wire nm_wire;
nm_wire *nm_wire_create(void); ///< NULL: no memory
void nm_wire_destroy(nm_wire *wire);

/// A message with its length in front; valid until the next one is written. NM_E_MEMORY, or NM_E_LIMIT over
/// NM_WIRE_MAX.
typedef struct nm_wire_bytes {
    const uint8_t *data;
    size_t size;
} nm_wire_bytes;
nm_status nm_wire_hello(nm_wire *wire, const char *config, nm_wire_bytes *bytes, nm_error *error);
nm_status nm_wire_begin(nm_wire *wire, const nm_planner_scenario *scenario, nm_wire_bytes *bytes, nm_error *error);
nm_status nm_wire_plan(nm_wire *wire, const nm_planner_observation *observation, int with_map, nm_wire_bytes *bytes,
                       nm_error *error);
nm_status nm_wire_end(nm_wire *wire, nm_wire_bytes *bytes, nm_error *error);

uint32_t nm_wire_length(const uint8_t header[NM_WIRE_HEADER]);
/// NULL when the bytes are no Answer, or take too much memory. Valid until the next message is read.
const Nearmiss__Answer *nm_wire_read(nm_wire *wire, const uint8_t *bytes, size_t size);
/// The answer to a plan, into `output`. NM_E_FORMAT when it is none, or of lists of different lengths, or too many.
nm_status nm_wire_output(const Nearmiss__Answer *answer, uint32_t step, nm_planner_output *output, nm_error *error);

#endif
