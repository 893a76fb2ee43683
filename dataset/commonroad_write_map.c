/// The half of a CommonRoad document that the map says.
#include "dataset/commonroad_write.h"

#include "dataset/commonroad.h"
#include "sim/geometry.h"

// --- numbers ---------------------------------------------------------------------------------------------------------

int64_t nm_cr_numbers_keep(nm_cr_numbers *numbers, int64_t id) {
    if (id <= 0 || id > NM_CR_LARGEST_ID) return 0;
    uint32_t order = (uint32_t)numbers->taken.count, stored = nm_id_table_add(&numbers->taken, id, order);
    if (stored == NM_NONE) numbers->failed = 1;
    if (stored != order) return 0;
    if (id > numbers->highest) numbers->highest = id;
    return id;
}

int64_t nm_cr_numbers_next(nm_cr_numbers *numbers) {
    return ++numbers->highest;
}

#define NEW_NUMBERS 1000000

/// Keeps what can be kept first, so that a new number never takes the place of a kept one.
static int give_ids(nm_cr_map_text *text, const nm_map *map) {
    size_t count = (size_t)map->lane_count + map->sign_count + map->signal_count;
    text->ids.count = 0;
    nm_id_table_reset(&text->numbers.taken);
    text->numbers.highest = 0;
    text->numbers.failed = 0;
    int64_t *ids = NM_PUSH(&text->ids, int64_t, count), *at = ids;
    if (!ids) return 0;
    for (uint32_t i = 0; i < map->lane_count; ++i) *at++ = nm_cr_numbers_keep(&text->numbers, map->lanes[i].source_id);
    for (uint32_t i = 0; i < map->sign_count; ++i) *at++ = nm_cr_numbers_keep(&text->numbers, map->signs[i].source_id);
    for (uint32_t i = 0; i < map->signal_count; ++i)
        *at++ = nm_cr_numbers_keep(&text->numbers, map->signals[i].source_id);
    for (uint32_t i = 0; i < map->area_count; ++i) {
        // an obstacle of the environment may have several areas, all of its id
        const nm_area *area = &map->areas[i];
        if (area->kind == NM_AREA_OBSTACLE && (i == 0 || area->source_id != area[-1].source_id) &&
            area->source_id > text->numbers.highest && area->source_id <= NM_CR_LARGEST_ID)
            text->numbers.highest = area->source_id;
    }
    // new ones lie far behind: obstacles, which come later, mostly keep theirs, too
    text->numbers.highest = text->before_new = (text->numbers.highest / NEW_NUMBERS + 1) * NEW_NUMBERS;
    for (size_t i = 0; i < count; ++i) {
        if (!ids[i]) ids[i] = nm_cr_numbers_next(&text->numbers);
    }
    return !text->numbers.failed;
}

// --- words -----------------------------------------------------------------------------------------------------------

static const char *const lane_words[NM_LANE_TYPE_COUNT] = {
    [NM_LANE_UNKNOWN] = "unknown",    [NM_LANE_FREEWAY] = "interstate", [NM_LANE_STREET] = "urban",
    [NM_LANE_RAMP] = "accessRamp",    [NM_LANE_SHOULDER] = "shoulder",  [NM_LANE_DRIVEWAY] = "driveWay",
    [NM_LANE_BUS] = "busLane",        [NM_LANE_BIKE] = "bicycleLane",   [NM_LANE_SIDEWALK] = "sidewalk",
    [NM_LANE_CROSSWALK] = "crosswalk"};

static const char *const marking_words[] = {[NM_MARKING_UNKNOWN] = NULL,
                                            [NM_MARKING_NONE] = "no_marking",
                                            [NM_MARKING_DASHED] = "dashed",
                                            [NM_MARKING_SOLID] = "solid",
                                            [NM_MARKING_DOUBLE_SOLID] = "solid_solid",
                                            [NM_MARKING_DOUBLE_DASHED] = "dashed_dashed",
                                            [NM_MARKING_SOLID_DASHED] = "solid_dashed",
                                            [NM_MARKING_DASHED_SOLID] = "dashed_solid",
                                            [NM_MARKING_BROAD_DASHED] = "broad_dashed",
                                            [NM_MARKING_BROAD_SOLID] = "broad_solid",
                                            [NM_MARKING_CURB] = "curb"};

// --- geometry --------------------------------------------------------------------------------------------------------

/// 1 when lanelets have heights: some point of a lane is not at height 0.
static int has_heights(const nm_map *map) {
    if (map->origin.z != 0.0) return 1;
    for (uint32_t i = 0; i < map->point_count; ++i) {
        if (map->z[i] != 0.0f) return 1;
    }
    return 0;
}

void nm_cr_put_place(nm_byte_buffer *out, nm_point3 origin, int heights, float x, float y, float z) {
    char text[4 * NM_XML_NUMBER], *to = text;
    memcpy(to, "<point><x>", 10);
    to += 10;
    to += nm_xml_local(to, origin.x, x);
    memcpy(to, "</x><y>", 7);
    to += 7;
    to += nm_xml_local(to, origin.y, y);
    memcpy(to, "</y>", 4);
    to += 4;
    if (heights) {
        memcpy(to, "<z>", 3);
        to += 3;
        to += nm_xml_local(to, origin.z, z);
        memcpy(to, "</z>", 4);
        to += 4;
    }
    memcpy(to, "</point>", 8);
    nm_byte_buffer_put(out, text, (size_t)(to + 8 - text));
}

static void put_bound(nm_byte_buffer *out, const nm_map *map, int heights, const nm_vec2 *points, const float *z,
                      uint32_t count, unsigned marking) {
    for (uint32_t i = 0; i < count; ++i) {
        nm_cr_put_place(out, map->origin, heights, points[i].x, points[i].y, z ? z[i] : 0.0f);
        NM_XML(out, "\n");
    }
    if (!marking_words[marking]) return;
    NM_XML(out, "<lineMarking>");
    nm_byte_buffer_text(out, marking_words[marking]);
    NM_XML(out, "</lineMarking>\n");
}

// --- lanelets --------------------------------------------------------------------------------------------------------

static void put_ref(nm_byte_buffer *out, const char *element, int64_t id) {
    NM_XML(out, "<");
    nm_byte_buffer_text(out, element);
    NM_XML(out, " ref=\"");
    nm_xml_put_integer(out, id);
    NM_XML(out, "\"/>");
}

static void put_lane_refs(nm_byte_buffer *out, const nm_cr_map_text *text, const nm_map *map, const char *element,
                          nm_range refs) {
    for (uint32_t i = refs.first; i < refs.first + refs.count; ++i)
        put_ref(out, element, nm_cr_lane_id(text, map->lane_refs[i]));
    if (refs.count) NM_XML(out, "\n");
}

/// One neighbour a side is all there is: the one beside which the lane runs longest.
static void put_adjacent(nm_byte_buffer *out, const nm_cr_map_text *text, const nm_map *map, const char *element,
                         nm_range range) {
    const nm_neighbour *longest = NULL;
    for (uint32_t i = range.first; i < range.first + range.count; ++i) {
        const nm_neighbour *n = &map->neighbours[i];
        if (!longest || n->self_end - n->self_start > longest->self_end - longest->self_start) longest = n;
    }
    if (!longest) return;
    NM_XML(out, "<");
    nm_byte_buffer_text(out, element);
    NM_XML(out, " ref=\"");
    nm_xml_put_integer(out, nm_cr_lane_id(text, longest->lane));
    nm_byte_buffer_text(out, longest->opposite ? "\" drivingDir=\"opposite\"/>\n" : "\" drivingDir=\"same\"/>\n");
}

static void put_users(nm_byte_buffer *out, unsigned type, unsigned flags) {
    if (type == NM_LANE_SIDEWALK || type == NM_LANE_CROSSWALK)
        NM_XML(out, "<userBidirectional>pedestrian</userBidirectional>\n");
    else if (type == NM_LANE_BIKE)
        NM_XML(out, "<userOneWay>bicycle</userOneWay>\n");
    else if (type == NM_LANE_BUS)
        NM_XML(out, "<userOneWay>bus</userOneWay>\n");
    else if (type != NM_LANE_UNKNOWN && !(flags & NM_LANE_BIDIRECTIONAL))
        NM_XML(out, "<userOneWay>vehicle</userOneWay>\n");
    if (flags & NM_LANE_BIDIRECTIONAL) NM_XML(out, "<userBidirectional>vehicle</userBidirectional>\n");
}

/// What the signs that refer to a lane say of it already.
typedef struct told {
    float limit;
    nm_control_kind control;
} told;

static told told_by_signs(const nm_map *map, const uint32_t *signs, uint32_t count) {
    told t = {0.0f, NM_CONTROL_NONE};
    for (uint32_t i = 0; i < count; ++i) {
        const nm_sign *sign = &map->signs[signs[i]];
        nm_control_kind control = NM_CONTROL_NONE;
        nm_cr_sign_meaning meaning = nm_cr_sign_meaning_of(sign->code);
        if (strcmp(sign->code, "STOP") == 0) meaning = NM_CR_SIGN_STOP; // WOMD's, written as 206
        if (meaning == NM_CR_SIGN_SPEED && nm_cr_is_limit((double)sign->value) &&
            (t.limit == 0.0f || sign->value < t.limit))
            t.limit = sign->value;
        if (meaning == NM_CR_SIGN_YIELD) control = NM_CONTROL_YIELD;
        if (meaning == NM_CR_SIGN_STOP) control = NM_CONTROL_STOP;
        if (meaning == NM_CR_SIGN_PRIORITY) control = NM_CONTROL_PRIORITY;
        if (control > t.control) t.control = control;
    }
    return t;
}

/// A sign that nobody put up, for what the map says of a lane and no sign of it does.
static int64_t put_virtual_sign(nm_cr_map_text *text, const char *code, float value) {
    int64_t id = nm_cr_numbers_next(&text->numbers);
    nm_byte_buffer *out = &text->signs;
    NM_XML(out, "<trafficSign id=\"");
    nm_xml_put_integer(out, id);
    NM_XML(out, "\"><trafficSignElement><trafficSignID>");
    nm_byte_buffer_text(out, code);
    NM_XML(out, "</trafficSignID>");
    if (value > 0.0f) {
        NM_XML(out, "<additionalValue>");
        nm_xml_put_local(out, 0.0, value);
        NM_XML(out, "</additionalValue>");
    }
    NM_XML(out, "</trafficSignElement><virtual>true</virtual></trafficSign>\n");
    return id;
}

/// Speed limits for which a virtual sign was made: one for all lanes of a limit. Few maps have more than these; more
/// only repeat a sign.
#define KNOWN_LIMITS 64
typedef struct limits {
    float value[KNOWN_LIMITS];
    int64_t sign[KNOWN_LIMITS];
    uint32_t count;
} limits;

static int64_t sign_of_limit(nm_cr_map_text *text, limits *known, float value) {
    for (uint32_t i = 0; i < known->count; ++i) {
        if (known->value[i] == value) return known->sign[i];
    }
    int64_t id = put_virtual_sign(text, "274", value);
    if (known->count < KNOWN_LIMITS) {
        known->value[known->count] = value;
        known->sign[known->count++] = id;
    }
    return id;
}

static const char *control_code(unsigned control) {
    if (control == NM_CONTROL_PRIORITY) return "306";
    if (control == NM_CONTROL_YIELD) return "205";
    return control == NM_CONTROL_STOP || control == NM_CONTROL_ALL_WAY_STOP ? "206" : NULL;
}

static void put_sign_refs(nm_byte_buffer *out, nm_cr_map_text *text, const nm_map *map, uint32_t index, limits *known) {
    const nm_lane *lane = &map->lanes[index];
    const uint32_t *starts = text->lane_starts.data, *signs = text->lane_refs.data;
    uint32_t count = starts[index + 1] - starts[index];
    signs += starts[index];
    for (uint32_t i = 0; i < count; ++i)
        put_ref(out, "trafficSignRef", NM_AT(text->ids, int64_t, map->lane_count + signs[i]));
    told t = told_by_signs(map, signs, count);
    if (nm_cr_is_limit((double)lane->speed_limit) && (t.limit == 0.0f || lane->speed_limit < t.limit))
        put_ref(out, "trafficSignRef", sign_of_limit(text, known, lane->speed_limit));
    unsigned wanted = lane->control == NM_CONTROL_ALL_WAY_STOP ? NM_CONTROL_STOP : lane->control;
    if (control_code(wanted) && t.control < wanted)
        put_ref(out, "trafficSignRef", put_virtual_sign(text, control_code(wanted), 0.0f));
    for (uint32_t i = lane->signals.first; i < lane->signals.first + lane->signals.count; ++i)
        put_ref(out, "trafficLightRef", nm_cr_light_id(text, map, map->signal_refs[i]));
}

static void put_lanelet(nm_cr_map_text *text, const nm_map *map, uint32_t index, int heights, int in_intersection,
                        limits *known) {
    nm_byte_buffer *out = &text->lanelets;
    const nm_lane *lane = &map->lanes[index];
    const unsigned flags = nm_map_get_source(map).lane_flags[index];
    NM_XML(out, "<lanelet id=\"");
    nm_xml_put_integer(out, nm_cr_lane_id(text, index));
    NM_XML(out, "\">\n<leftBound>\n");
    const uint32_t first = lane->points.first, count = lane->points.count;
    put_bound(out, map, heights, map->left + first, map->z + first, count, lane->left_marking);
    NM_XML(out, "</leftBound>\n<rightBound>\n");
    put_bound(out, map, heights, map->right + first, map->z + first, count, lane->right_marking);
    NM_XML(out, "</rightBound>\n");
    put_lane_refs(out, text, map, "predecessor", lane->predecessors);
    put_lane_refs(out, text, map, "successor", lane->successors);
    put_adjacent(out, text, map, "adjacentLeft", lane->left);
    put_adjacent(out, text, map, "adjacentRight", lane->right);
    if (lane->stop_line != NM_NONE) {
        const nm_stop_line *line = &map->stop_lines[lane->stop_line];
        const float z = map->z[first + count - 1];
        NM_XML(out, "<stopLine>");
        nm_cr_put_place(out, map->origin, heights, line->a.x, line->a.y, z);
        nm_cr_put_place(out, map->origin, heights, line->b.x, line->b.y, z);
        NM_XML(out, "<lineMarking>solid</lineMarking></stopLine>\n");
    }
    NM_XML(out, "<laneletType>");
    nm_byte_buffer_text(out, lane_words[lane->type]);
    NM_XML(out, "</laneletType>");
    if ((flags & NM_LANE_JUNCTION) && !in_intersection) NM_XML(out, "<laneletType>intersection</laneletType>");
    NM_XML(out, "\n");
    put_users(out, lane->type, flags);
    put_sign_refs(out, text, map, index, known);
    NM_XML(out, "</lanelet>\n");
}

/// Turns map->signs[].lanes around: the signs of each lane, ascending.
static int gather_signs(nm_cr_map_text *text, const nm_map *map) {
    text->lane_starts.count = text->lane_refs.count = 0;
    uint32_t *starts = NM_PUSH(&text->lane_starts, uint32_t, (size_t)map->lane_count + 2), total = 0;
    if (!starts) return 0;
    memset(starts, 0, ((size_t)map->lane_count + 2) * sizeof *starts);
    for (uint32_t i = 0; i < map->sign_count; ++i) {
        const nm_range lanes = map->signs[i].lanes;
        for (uint32_t k = lanes.first; k < lanes.first + lanes.count; ++k) ++starts[map->lane_refs[k] + 2];
        total += lanes.count;
    }
    for (uint32_t i = 2; i < map->lane_count + 2; ++i) starts[i] += starts[i - 1];
    uint32_t *refs = NM_PUSH(&text->lane_refs, uint32_t, total);
    if (!refs) return 0;
    for (uint32_t i = 0; i < map->sign_count; ++i) {
        const nm_range lanes = map->signs[i].lanes;
        for (uint32_t k = lanes.first; k < lanes.first + lanes.count; ++k) refs[starts[map->lane_refs[k] + 1]++] = i;
    }
    return 1; // each start has moved on to where its own lane's signs begin
}

// --- signs -----------------------------------------------------------------------------------------------------------

/// One that rules no lane is left out: commonroad-io takes a document with such a sign for broken.
static void put_sign(nm_cr_map_text *text, const nm_map *map, uint32_t index) {
    const nm_sign *sign = &map->signs[index];
    if (!sign->lanes.count) return;
    nm_byte_buffer *out = &text->signs;
    NM_XML(out, "<trafficSign id=\"");
    nm_xml_put_integer(out, NM_AT(text->ids, int64_t, map->lane_count + index));
    NM_XML(out, "\"><trafficSignElement><trafficSignID>");
    nm_xml_put_text(out, strcmp(sign->code, "STOP") == 0 ? "206" : sign->code);
    NM_XML(out, "</trafficSignID>");
    if (sign->value != 0.0f) {
        NM_XML(out, "<additionalValue>");
        nm_xml_put_local(out, 0.0, sign->value);
        NM_XML(out, "</additionalValue>");
    }
    NM_XML(out, "</trafficSignElement>");
    if (sign->placed) {
        NM_XML(out, "<position>");
        nm_cr_put_place(out, map->origin, 0, sign->position.x, sign->position.y, 0.0f);
        NM_XML(out, "</position>");
    }
    nm_byte_buffer_text(out, sign->virtual_sign ? "<virtual>true</virtual></trafficSign>\n"
                                                : "<virtual>false</virtual></trafficSign>\n");
}

// --- areas -----------------------------------------------------------------------------------------------------------

/// A crosswalk of four corners is a lanelet: people walk along its longer edges. Others are left out.
static void put_crosswalk(nm_cr_map_text *text, const nm_map *map, const nm_area *area, int heights) {
    if (area->points.count != 4) return;
    const nm_vec2 *p = map->area_points + area->points.first;
    nm_vec2 corner[4] = {p[0], p[1], p[2], p[3]};
    nm_vec2 one = nm_sub(p[1], p[0]), other = nm_sub(p[2], p[1]);
    int turned = nm_dot(other, other) > nm_dot(one, one);
    for (int i = 0; i < 4; ++i) corner[i] = p[(i + turned) & 3];
    nm_vec2 along = nm_sub(corner[1], corner[0]), across = nm_sub(corner[3], corner[0]);
    float side = nm_cross(along, across);
    if (side == 0.0f) return; // no area
    nm_vec2 lines[2][2] = {{corner[0], corner[1]}, {corner[3], corner[2]}};
    int left = side > 0.0f; // the second line lies left of the first
    nm_byte_buffer *out = &text->lanelets;
    NM_XML(out, "<lanelet id=\"");
    nm_xml_put_integer(out, nm_cr_numbers_next(&text->numbers));
    NM_XML(out, "\">\n<leftBound>\n");
    put_bound(out, map, heights, lines[left], NULL, 2, NM_MARKING_UNKNOWN);
    NM_XML(out, "</leftBound>\n<rightBound>\n");
    put_bound(out, map, heights, lines[!left], NULL, 2, NM_MARKING_UNKNOWN);
    NM_XML(out, "</rightBound>\n<laneletType>crosswalk</laneletType>\n"
                "<userBidirectional>pedestrian</userBidirectional>\n</lanelet>\n");
}

static void put_environment(nm_cr_map_text *text, const nm_map *map) {
    nm_byte_buffer *out = &text->environment;
    const nm_area *last = NULL;
    for (uint32_t i = 0; i < map->area_count; ++i) {
        const nm_area *area = &map->areas[i];
        if (area->kind != NM_AREA_OBSTACLE || area->points.count < 3) continue;
        if (!last || last->source_id != area->source_id) {
            if (last) NM_XML(out, "</shape></environmentObstacle>\n");
            int64_t id = nm_cr_numbers_keep(&text->numbers, area->source_id);
            NM_XML(out, "<environmentObstacle id=\"");
            nm_xml_put_integer(out, id ? id : nm_cr_numbers_next(&text->numbers));
            NM_XML(out, "\"><type>unknown</type><shape>");
            last = area;
        }
        NM_XML(out, "<polygon>");
        for (uint32_t k = 0; k < area->points.count; ++k) {
            const nm_vec2 p = map->area_points[area->points.first + k];
            nm_cr_put_place(out, map->origin, 0, p.x, p.y, 0.0f);
        }
        NM_XML(out, "</polygon>");
    }
    if (last) NM_XML(out, "</shape></environmentObstacle>\n");
}

// --- intersections ---------------------------------------------------------------------------------------------------

/// Working memory over the lanes, all NM_NONE at first.
typedef struct crossing {
    nm_cr_map_text *text;
    const nm_map *map;
    uint32_t group;
    uint32_t *entry;  // [lanes] group into which the lane leads, while it has no road
    uint32_t *listed; // [lanes] road that names the lane as a successor, last
    uint32_t *owned;  // [lanes] road that named the lane first
    uint32_t roads;   // so far, over all groups
} crossing;

static int inside(const crossing *c, uint32_t lane) {
    return nm_map_get_source(c->map).lane_junctions[lane] == c->group;
}

static int push(nm_pile *pile, uint32_t lane) {
    uint32_t *to = NM_PUSH(pile, uint32_t, 1);
    if (to) *to = lane;
    return to != NULL;
}

/// Puts the lanes that lead in beside `pile`'s from `first` on, and those beside these, into the pile.
static int gather_road(crossing *c, nm_pile *pile, size_t first) {
    for (size_t i = first; i < pile->count; ++i) {
        const nm_lane *lane = &c->map->lanes[NM_AT(*pile, uint32_t, i)];
        const nm_range sides[2] = {lane->left, lane->right};
        for (int s = 0; s < 2; ++s) {
            for (uint32_t k = sides[s].first; k < sides[s].first + sides[s].count; ++k) {
                const nm_neighbour *n = &c->map->neighbours[k];
                if (n->opposite || c->entry[n->lane] != c->group) continue;
                c->entry[n->lane] = NM_NONE;
                if (!push(pile, n->lane)) return 0;
            }
        }
    }
    return 1;
}

/// Puts the lanes inside to which the pile's lanes from `first` on lead behind them: those that follow them directly,
/// and what follows those and can be entered from nowhere else.
static int gather_ways(crossing *c, nm_pile *pile, size_t first) {
    size_t ways = pile->count;
    for (size_t i = first; i < pile->count; ++i) {
        const nm_range next = c->map->lanes[NM_AT(*pile, uint32_t, i)].successors;
        for (uint32_t k = next.first; k < next.first + next.count; ++k) {
            uint32_t lane = c->map->lane_refs[k];
            if (!inside(c, lane) || c->listed[lane] == c->roads) continue;
            if (i >= ways && c->owned[lane] != NM_NONE) continue;
            c->listed[lane] = c->roads;
            if (c->owned[lane] == NM_NONE) c->owned[lane] = c->roads;
            if (!push(pile, lane)) return 0;
        }
    }
    return 1;
}

static void put_incoming(crossing *c, const uint32_t *lanes, size_t entries, size_t count) {
    nm_byte_buffer *out = &c->text->intersections;
    NM_XML(out, "<incoming id=\"");
    nm_xml_put_integer(out, nm_cr_numbers_next(&c->text->numbers));
    NM_XML(out, "\">");
    for (size_t i = 0; i < entries; ++i) put_ref(out, "incomingLanelet", nm_cr_lane_id(c->text, lanes[i]));
    static const char *const words[3] = {"successorsRight", "successorsStraight", "successorsLeft"};
    for (int turn = 0; turn < 3; ++turn) {
        for (size_t i = entries; i < count; ++i) {
            unsigned own = c->map->lanes[lanes[i]].turn;
            int to = own == NM_TURN_RIGHT ? 0 : own == NM_TURN_LEFT || own == NM_TURN_U ? 2 : 1;
            if (to == turn) put_ref(out, words[turn], nm_cr_lane_id(c->text, lanes[i]));
        }
    }
    NM_XML(out, "</incoming>\n");
}

/// members: the lanes inside.
static int put_intersection(crossing *c, const uint32_t *members, size_t count) {
    nm_pile *pile = &c->text->members;
    size_t begin = pile->count;
    for (size_t i = 0; i < count; ++i) {
        const nm_range before = c->map->lanes[members[i]].predecessors;
        for (uint32_t k = before.first; k < before.first + before.count; ++k) {
            uint32_t lane = c->map->lane_refs[k];
            if (!inside(c, lane)) c->entry[lane] = c->group;
        }
    }
    nm_byte_buffer *out = &c->text->intersections;
    int opened = 0;
    for (size_t i = 0; i < count; ++i) {
        const nm_range before = c->map->lanes[members[i]].predecessors;
        for (uint32_t k = before.first; k < before.first + before.count; ++k) {
            uint32_t lane = c->map->lane_refs[k];
            if (c->entry[lane] != c->group) continue;
            c->entry[lane] = NM_NONE;
            pile->count = begin;
            if (!push(pile, lane) || !gather_road(c, pile, begin)) return 0;
            size_t entries = pile->count - begin;
            if (!gather_ways(c, pile, begin)) return 0;
            if (!opened) {
                NM_XML(out, "<intersection id=\"");
                nm_xml_put_integer(out, nm_cr_numbers_next(&c->text->numbers));
                NM_XML(out, "\">\n");
                opened = 1;
            }
            put_incoming(c, &NM_AT(*pile, uint32_t, begin), entries, pile->count - begin);
            ++c->roads;
        }
    }
    if (opened) NM_XML(out, "</intersection>\n");
    pile->count = begin;
    return 1;
}

/// Lanes by junction, then every junction. Leaves at the beginning of text->marks, [lanes], which road named each lane
/// first.
static int put_intersections(nm_cr_map_text *text, const nm_map *map) {
    const size_t lanes = map->lane_count;
    size_t groups = 0; // their numbers lie close together
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        uint32_t group = nm_map_get_source(map).lane_junctions[i];
        if (group != NM_NONE && group >= groups) groups = (size_t)group + 1;
    }
    text->marks.count = text->members.count = 0;
    uint32_t *marks = NM_PUSH(&text->marks, uint32_t, 4 * lanes + groups + 3);
    if (!marks) return 0;
    uint32_t *members = marks + 3 * lanes, *starts = members + lanes;
    memset(marks, 0xff, 3 * lanes * sizeof *marks);
    memset(starts, 0, (groups + 3) * sizeof *starts);
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        uint32_t group = nm_map_get_source(map).lane_junctions[i];
        if (group != NM_NONE) ++starts[group + 2];
    }
    for (size_t g = 2; g < groups + 2; ++g) starts[g] += starts[g - 1];
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        uint32_t group = nm_map_get_source(map).lane_junctions[i];
        if (group != NM_NONE) members[starts[group + 1]++] = i;
    }
    crossing c = {.text = text, .map = map, .owned = marks, .entry = marks + lanes, .listed = marks + 2 * lanes};
    for (c.group = 0; c.group < groups; ++c.group) {
        uint32_t first = starts[c.group], count = starts[c.group + 1] - first;
        text->junctions += (int)count;
        if (!put_intersection(&c, members + first, count)) return 0;
    }
    return 1;
}

// --- all of it -------------------------------------------------------------------------------------------------------

void nm_cr_map_text_free(nm_cr_map_text *text) {
    nm_byte_buffer_free(&text->lanelets);
    nm_byte_buffer_free(&text->signs);
    nm_byte_buffer_free(&text->intersections);
    nm_byte_buffer_free(&text->environment);
    nm_id_table_free(&text->numbers.taken);
    nm_pile_free(&text->ids);
    nm_pile_free(&text->lane_refs);
    nm_pile_free(&text->lane_starts);
    nm_pile_free(&text->marks);
    nm_pile_free(&text->members);
    text->made = 0;
}

static void empty(nm_byte_buffer *buffer) {
    buffer->size = 0;
    buffer->failed = 0;
}

nm_status nm_cr_map_text_of(nm_cr_map_text *text, const nm_map *map, nm_error *error) {
    if (text->made && text->hash == map->hash) return NM_OK;
    text->made = text->freeways = text->streets = text->junctions = 0;
    empty(&text->lanelets);
    empty(&text->signs);
    empty(&text->intersections);
    empty(&text->environment);
    int heights = has_heights(map), ok = give_ids(text, map) && gather_signs(text, map);
    if (ok) put_environment(text, map);
    ok = ok && put_intersections(text, map);
    limits known = {.count = 0};
    for (uint32_t i = 0; ok && i < map->sign_count; ++i) put_sign(text, map, i);
    for (uint32_t i = 0; ok && i < map->lane_count; ++i) {
        unsigned type = map->lanes[i].type;
        text->freeways += type == NM_LANE_FREEWAY;
        text->streets += type == NM_LANE_STREET || type == NM_LANE_UNKNOWN;
        put_lanelet(text, map, i, heights, NM_AT(text->marks, uint32_t, i) != NM_NONE, &known);
    }
    for (uint32_t i = 0; ok && i < map->area_count; ++i) {
        if (map->areas[i].kind == NM_AREA_CROSSWALK) put_crosswalk(text, map, &map->areas[i], heights);
    }
    if (!ok || text->numbers.failed || text->lanelets.failed || text->signs.failed || text->intersections.failed ||
        text->environment.failed)
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a map as CommonRoad");
    text->hash = map->hash;
    text->made = 1;
    return NM_OK;
}
