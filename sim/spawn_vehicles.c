/// Where vehicles start. Lanes are strung into chains along their straightest successors; each chain is filled from its
/// start with random gaps whose mean gives the asked density, so that the spacing runs on over lane ends. Lanes inside
/// junctions and ground that lanes share there stay free.
#include "sim/math.h"
#include "sim/spawn_field.h"

#include <stdlib.h>

#define STANDSTILL 2.5f        // m, least gap between bumpers
#define SHORTEST_LANE 8.0f     // m
#define CLEAR_OF_JUNCTION 1.0f // m kept from ground shared with crossing or merging lanes, and from stop lines
#define MOST_ON_CHAIN 1000000u

enum { DRAW_TYPE = 0, DRAW_GAP, DRAW_LENGTH, DRAW_WIDTH, DRAW_SPEED, DRAW_RANK, DRAW_BUILD };

int nm_spawn_lane_usable(const nm_map *map, uint32_t lane) {
    const nm_lane *on = &map->lanes[lane];
    switch (on->type) {
    case NM_LANE_UNKNOWN:
    case NM_LANE_FREEWAY:
    case NM_LANE_STREET:
    case NM_LANE_RAMP:
    case NM_LANE_BUS:
        return !(on->flags & NM_LANE_JUNCTION) && on->length >= SHORTEST_LANE;
    default:
        return 0;
    }
}

double nm_spawn_lane_km(const nm_map *map) {
    double length = 0.0;
    for (uint32_t i = 0; i < map->lane_count; i++)
        if (nm_spawn_lane_usable(map, i)) length += map->lanes[i].length;
    return length / 1000.0;
}

float nm_spawn_free_span(const nm_map *map, uint32_t lane, float s, float length) {
    const nm_lane *on = &map->lanes[lane];
    float end = on->control == NM_CONTROL_NONE || on->control == NM_CONTROL_PRIORITY
                    ? on->length
                    : nm_minf(on->stop_s - CLEAR_OF_JUNCTION, on->length);
    s = nm_maxf(s, 0.0f);
    // conflicts are ordered by self_in, but longer ones may reach over later ones: repeat until nothing moves
    for (int moved = 1; moved;) {
        moved = 0;
        for (uint32_t i = 0; i < on->conflicts.count; i++) {
            const nm_conflict *conflict = &map->conflicts[on->conflicts.first + i];
            if (conflict->kind == NM_CONFLICT_DIVERGE) continue;
            float in = conflict->self_in - CLEAR_OF_JUNCTION, out = conflict->self_out + CLEAR_OF_JUNCTION;
            if (s + length <= in || s >= out) continue;
            s = out;
            moved = 1;
        }
        if (s + length > end) return -1.0f;
    }
    return s + length <= end ? s : -1.0f;
}

static nm_vec2 end_tangent(const nm_map *map, uint32_t lane) {
    const nm_lane *on = &map->lanes[lane];
    nm_rail_point rail = map->rail[on->rail.first + on->rail.count - 1];
    return (nm_vec2){rail.cos_h, rail.sin_h};
}

uint32_t nm_spawn_ahead(const nm_map *map, uint32_t lane) {
    const nm_lane *on = &map->lanes[lane];
    nm_vec2 heading = end_tangent(map, lane);
    uint32_t best = NM_NONE;
    float best_dot = -2.0f;
    for (uint32_t i = 0; i < on->successors.count; i++) {
        uint32_t next = map->lane_refs[on->successors.first + i];
        nm_vec2 there = end_tangent(map, next);
        float dot = heading.x * there.x + heading.y * there.y;
        if (map->lanes[next].turn == NM_TURN_STRAIGHT) dot += 2.0f;
        if (dot <= best_dot) continue;
        best_dot = dot;
        best = next;
    }
    return best;
}

// ---------------------------------------------------------------------------------------------------------------------
// Sizes

/// Lengths and widths, m. Cars: passenger cars sold in Europe are 3.6 to 5.1 m long with a mean of 4.4 m, and 1.65 to
/// 2.0 m wide (ICCT, European Vehicle Market Statistics, 2021). Lorries and buses: the legal maxima are 12 m for a
/// rigid lorry, 16.5 m for an articulated one, 13.5 m for a bus with two axles, and 2.55 m of width (Directive
/// 96/53/EC).
static void size_vehicle(const nm_field *field, uint32_t stream, uint32_t slot, int town, nm_spawned *agent) {
    float length = nm_field_normal(field, stream, slot, DRAW_LENGTH),
          share = nm_field_uniform(field, stream, slot, DRAW_WIDTH);
    float build = nm_field_uniform(field, stream, slot, DRAW_BUILD);
    switch (agent->type) {
    case NM_AGENT_TRUCK:
        if (build < 0.4f && !town) {
            agent->length = nm_clampf(15.8f + 0.5f * length, 14.0f, 16.5f);
            agent->height = 3.9f;
        } else {
            agent->length = nm_clampf(8.5f + 1.2f * length, 6.5f, 12.0f);
            agent->height = 3.2f;
        }
        agent->width = 2.4f + 0.15f * share;
        break;
    case NM_AGENT_BUS:
        agent->length = nm_clampf(12.0f + 0.5f * length, 10.5f, 13.5f);
        agent->width = 2.55f;
        agent->height = 3.1f;
        break;
    case NM_AGENT_MOTORCYCLE:
        agent->length = nm_clampf(2.15f + 0.1f * length, 1.9f, 2.4f);
        agent->width = 0.75f + 0.15f * share;
        agent->height = 1.5f;
        break;
    default:
        agent->type = NM_AGENT_CAR;
        agent->length = nm_clampf(4.45f + 0.3f * length, 3.6f, 5.1f);
        // longer cars are wider
        agent->width = nm_clampf(1.8f + 0.08f * (agent->length - 4.45f) + 0.12f * (share - 0.5f), 1.65f, 2.0f);
        agent->height = 1.42f + 0.3f * build * build;
        break;
    }
}

/// Mean length under the shares asked for, to turn density into gaps.
static float mean_length(const nm_spawn_params *params) {
    double heavy = params->truck_share + params->bus_share + params->motorcycle_share;
    return (float)(4.45 * (1.0 - heavy) + 10.0 * params->truck_share + 12.0 * params->bus_share +
                   2.15 * params->motorcycle_share);
}

static nm_agent_type draw_type(const nm_field *field, uint32_t stream, uint32_t slot, nm_lane_type lane) {
    const nm_spawn_params *params = field->params;
    double draw = nm_field_uniform(field, stream, slot, DRAW_TYPE);
    if (lane == NM_LANE_BUS) return NM_AGENT_BUS;
    if (draw < params->truck_share) return NM_AGENT_TRUCK;
    if (draw < params->truck_share + params->bus_share) return NM_AGENT_BUS;
    if (draw < params->truck_share + params->bus_share + params->motorcycle_share) return NM_AGENT_MOTORCYCLE;
    return NM_AGENT_CAR;
}

/// The speed that a driver wants here: the limit, spread; heavy vehicles within their own limits (90 km/h lorries, 100
/// km/h buses).
static float draw_desired(const nm_field *field, uint32_t stream, uint32_t slot, const nm_spawned *agent) {
    float limit = nm_map_rail(field->map, agent->lane, agent->s).speed_limit;
    float spread = nm_clampf(nm_field_normal(field, stream, slot, DRAW_SPEED), -2.5f, 2.5f);
    float desired = limit * nm_maxf(1.0f + (float)field->params->speed_spread * spread, 0.3f);
    if (agent->type == NM_AGENT_TRUCK) desired = nm_minf(desired, 25.0f);
    if (agent->type == NM_AGENT_BUS) desired = nm_minf(desired, 27.8f);
    return desired;
}

/// Narrowest place of the lane under the vehicle leaves at least 0.2 m on either side.
static int wide_enough(const nm_map *map, const nm_spawned *agent) {
    for (int i = -1; i <= 1; i++) {
        nm_rail_point rail = nm_map_rail(map, agent->lane, agent->s + 0.5f * (float)i * agent->length);
        if (nm_minf(rail.left, rail.right) < 0.5f * agent->width + 0.2f) return 0;
    }
    return 1;
}

/// Puts a vehicle with its rear bumper at `s`; where its kind does not fit, a car. 1 when somebody was placed.
static int place_vehicle(nm_field *field, uint32_t stream, uint32_t slot, nm_spawned *agent, uint32_t lane, float s) {
    int town = field->map->lanes[lane].type == NM_LANE_STREET;
    for (int attempt = 0; attempt < 2; attempt++) {
        nm_field_pose(field->map, agent, lane, s + 0.5f * agent->length, 0.0f, 0);
        agent->desired = draw_desired(field, stream, slot, agent);
        if (wide_enough(field->map, agent) && nm_field_add(field, agent, 0.5f * STANDSTILL, 0.1f)) return 1;
        if (attempt == 0 && (agent->type == NM_AGENT_CAR || agent->type == NM_AGENT_MOTORCYCLE)) return 0;
        agent->type = NM_AGENT_CAR;
        float before = agent->length;
        size_vehicle(field, stream, slot, town, agent);
        if (agent->length > before) return 0;
    }
    return 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// Chains

typedef struct chain {
    uint32_t stream; ///< its first lane: the key of its random numbers
    uint32_t slot;
    float gap; ///< m still to leave free
} chain;

/// m of free road before the next vehicle: at least the greater part of the mean, as drivers keep a time gap, with a
/// tail to longer ones; 3 u^2 has mean 1.
static float draw_gap(const nm_field *field, const chain *on, float free) {
    const float kept = 0.6f;
    float u = nm_field_uniform(field, on->stream, on->slot, DRAW_GAP);
    return STANDSTILL + free * (kept + (1.0f - kept) * 3.0f * u * u);
}

/// A vehicle of the chain's next slot, without a place.
static nm_spawned next_vehicle(const nm_field *field, const chain *on, const nm_lane *place) {
    nm_spawned agent = {.type = draw_type(field, on->stream, on->slot, (nm_lane_type)place->type)};
    size_vehicle(field, on->stream, on->slot, place->type == NM_LANE_STREET, &agent);
    agent.rank = nm_field_word(field, on->stream, on->slot, DRAW_RANK);
    return agent;
}

/// Fills one lane of a chain and leaves in chain->gap what remains of the last gap. Vehicles whose place is not free
/// (inside a junction, over a stop line) are left out, so that the others keep their spacing.
static void fill_lane(nm_field *field, chain *on, uint32_t lane, uint32_t next, float free) {
    const nm_lane *place = &field->map->lanes[lane];
    int usable = nm_spawn_lane_usable(field->map, lane);
    int goes_on = usable && next != NM_NONE && nm_spawn_lane_usable(field->map, next);
    float s = on->gap;
    while (s < place->length && on->slot < MOST_ON_CHAIN && !field->failed) {
        nm_spawned agent = next_vehicle(field, on, place);
        if (goes_on && s + agent.length > place->length) break; // it waits for the next lane
        if (usable && nm_spawn_free_span(field->map, lane, s, agent.length) == s)
            place_vehicle(field, on->stream, on->slot, &agent, lane, s);
        on->slot++;
        s += agent.length + draw_gap(field, on, free);
    }
    on->gap = nm_maxf(s - place->length, 0.0f);
}

static void fill_chain(nm_field *field, uint32_t first, uint8_t *seen, float spacing) {
    float free = nm_maxf(spacing - mean_length(field->params) - STANDSTILL, 0.0f);
    chain on = {.stream = first};
    on.gap = spacing * nm_field_uniform(field, first, MOST_ON_CHAIN, DRAW_GAP);
    for (uint32_t lane = first, next; lane != NM_NONE && !seen[lane]; lane = next) {
        next = nm_spawn_ahead(field->map, lane);
        seen[lane] = 1;
        fill_lane(field, &on, lane, next, free);
    }
}

/// The lane begins a chain: nobody's straightest way leads into it.
static int begins_chain(const nm_map *map, uint32_t lane) {
    const nm_lane *on = &map->lanes[lane];
    for (uint32_t i = 0; i < on->predecessors.count; i++)
        if (nm_spawn_ahead(map, map->lane_refs[on->predecessors.first + i]) == lane) return 0;
    return 1;
}

static int compare_rank(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/// Keeps the `most` vehicles of lowest rank, in their order.
static void thin(nm_field *field, uint32_t most) {
    if (most == 0 || field->count <= most || field->failed) return;
    uint64_t *ranks = malloc(field->count * sizeof(*ranks));
    if (!ranks) {
        field->failed = NM_E_MEMORY;
        return;
    }
    for (size_t i = 0; i < field->count; i++) ranks[i] = (uint64_t)field->agents[i].rank << 32 | i;
    qsort(ranks, field->count, sizeof(*ranks), compare_rank);
    uint64_t limit = ranks[most - 1];
    free(ranks);
    size_t kept = 0;
    for (size_t i = 0; i < field->count; i++)
        if (((uint64_t)field->agents[i].rank << 32 | i) <= limit) field->agents[kept++] = field->agents[i];
    nm_field_keep(field, kept);
}

/// One car where there would be none: a scene needs an ego.
static void place_one(nm_field *field) {
    for (int attempt = 0; attempt < 3 && !field->failed; attempt++) {
        uint32_t longest = NM_NONE; // first the longest lane, then whatever comes first
        for (uint32_t i = 0; i < field->map->lane_count; i++) {
            if (!nm_spawn_lane_usable(field->map, i) || field->map->lanes[i].type == NM_LANE_BUS) continue;
            if (attempt == 0) {
                if (longest == NM_NONE || field->map->lanes[i].length > field->map->lanes[longest].length) longest = i;
                continue;
            }
            nm_spawned car = {.type = NM_AGENT_CAR};
            size_vehicle(field, i, 0, 1, &car);
            float s = attempt == 1 ? 0.4f * field->map->lanes[i].length : 0.0f;
            s = nm_spawn_free_span(field->map, i, s, car.length);
            if (s >= 0.0f && place_vehicle(field, i, 0, &car, i, s)) return;
        }
        if (longest == NM_NONE) continue;
        nm_spawned car = {.type = NM_AGENT_CAR};
        size_vehicle(field, longest, 0, 1, &car);
        float s = nm_spawn_free_span(field->map, longest, 0.4f * field->map->lanes[longest].length, car.length);
        if (s >= 0.0f && place_vehicle(field, longest, 0, &car, longest, s)) return;
    }
}

void nm_spawn_vehicles(nm_field *field) {
    const nm_map *map = field->map;
    if (field->failed) return;
    if (field->params->density > 0.0) {
        uint8_t *seen = calloc((size_t)map->lane_count + 1, 1);
        if (!seen) {
            field->failed = NM_E_MEMORY;
            return;
        }
        float spacing = (float)(1000.0 / field->params->density);
        for (uint32_t i = 0; i < map->lane_count; i++)
            if (!seen[i] && begins_chain(map, i)) fill_chain(field, i, seen, spacing);
        for (uint32_t i = 0; i < map->lane_count; i++) // rings
            if (!seen[i]) fill_chain(field, i, seen, spacing);
        free(seen);
        thin(field, field->params->max_vehicles);
    }
    if (field->count == 0) place_one(field);
}
