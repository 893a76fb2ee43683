/// From the document to a map: what signs, lights and intersections say is gathered per lanelet first, because a lane
/// is given to the builder once and complete.
#include <string.h>

#include "dataset/commonroad.h"

static nm_status no_memory(const nm_cr_build *build) {
    return NM_ERROR(build->error, NM_E_MEMORY, "no memory for the map of a document");
}

// --- which lanelets a sign or light rules ----------------------------------------------------------------------------

/// The list of a sign's or light's lanelets, or NULL for another kind of reference.
static nm_range *list_of(nm_cr_build *build, const nm_cr_ref *ref) {
    if (ref->kind != NM_CR_SIGN && ref->kind != NM_CR_LIGHT) return NULL;
    nm_cr_kind kind = ref->kind == NM_CR_SIGN ? NM_CR_KIND_SIGN : NM_CR_KIND_LIGHT;
    const nm_cr_id *id = nm_cr_find(build, kind, ref->id);
    NM_ASSERT(id != NULL); // nm_cr_resolve has seen to it
    return &build->lists.at[id->index + (kind == NM_CR_KIND_LIGHT ? build->document->signs.count : 0)];
}

/// Two passes of counting: sizes, then members. A lanelet that names a sign twice (itself and its stop line) is in
/// once.
static nm_status gather_members(nm_cr_build *build) {
    const nm_cr_document *d = build->document;
    uint32_t list_count = d->signs.count + d->lights.count, total = 0;
    build->lists.count = build->members.count = 0;
    for (uint32_t i = 0; i < list_count; ++i) {
        if (!NM_CR_APPEND(build->lists)) return no_memory(build);
    }
    for (uint32_t i = 0; i < d->refs.count; ++i) {
        nm_range *list = list_of(build, &d->refs.at[i]);
        if (!list) continue;
        ++list->count;
        if (!NM_CR_APPEND(build->members)) return no_memory(build);
    }
    for (uint32_t i = 0; i < list_count; ++i) {
        build->lists.at[i].first = total;
        total += build->lists.at[i].count;
        build->lists.at[i].count = 0;
    }
    for (uint32_t l = 0; l < d->lanelets.count; ++l) {
        const nm_cr_lanelet *lanelet = &d->lanelets.at[l];
        for (uint32_t i = 0; i < lanelet->refs.count; ++i) {
            nm_range *list = list_of(build, &d->refs.at[lanelet->refs.first + i]);
            if (!list) continue;
            build->members.at[list->first + list->count++] = lanelet->id;
        }
    }
    return NM_OK;
}

// --- what rules a lanelet --------------------------------------------------------------------------------------------

/// Codes as CommonRoad's own sign tables have them: German numbers (which most of its countries use, ZAM too), MUTCD
/// for USA and PRI, the "r" series for Spain.
nm_cr_sign_meaning nm_cr_sign_meaning_of(const char *code) {
    static const struct {
        const char *code;
        nm_cr_sign_meaning meaning;
    } codes[] = {{"274", NM_CR_SIGN_SPEED},  {"274.1", NM_CR_SIGN_SPEED},  {"R2-1", NM_CR_SIGN_SPEED},
                 {"r301", NM_CR_SIGN_SPEED}, {"205", NM_CR_SIGN_YIELD},    {"R1-2", NM_CR_SIGN_YIELD},
                 {"r1", NM_CR_SIGN_YIELD},   {"206", NM_CR_SIGN_STOP},     {"R1-1", NM_CR_SIGN_STOP},
                 {"r2", NM_CR_SIGN_STOP},    {"301", NM_CR_SIGN_PRIORITY}, {"306", NM_CR_SIGN_PRIORITY}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; ++i) {
        if (strcmp(codes[i].code, code) == 0) return codes[i].meaning;
    }
    return NM_CR_SIGN_OTHER;
}

int nm_cr_is_limit(double speed) {
    return speed > 0.0 && speed < 50.0;
}

static void apply_sign(const nm_cr_build *build, const nm_cr_sign *sign, nm_cr_lane_facts *facts) {
    for (uint32_t i = 0; i < sign->elements.count; ++i) {
        const nm_cr_sign_element *element = &build->document->sign_elements.at[sign->elements.first + i];
        nm_control_kind control = NM_CONTROL_NONE;
        switch (nm_cr_sign_meaning_of(element->code)) {
        case NM_CR_SIGN_SPEED:
            // of several, the lowest holds
            if (nm_cr_is_limit(element->value) && (facts->speed_limit == 0.0 || element->value < facts->speed_limit))
                facts->speed_limit = element->value;
            break;
        case NM_CR_SIGN_STOP:
            control = NM_CONTROL_STOP;
            break;
        case NM_CR_SIGN_YIELD:
            control = NM_CONTROL_YIELD;
            break;
        case NM_CR_SIGN_PRIORITY:
            control = NM_CONTROL_PRIORITY;
            break;
        case NM_CR_SIGN_OTHER:
            break;
        }
        if (control > facts->control)
            facts->control = (uint8_t)control; // the enumerators are in the order of strictness
    }
}

static void apply_refs(const nm_cr_build *build, const nm_cr_lanelet *lanelet, nm_cr_lane_facts *facts) {
    const nm_cr_document *d = build->document;
    for (uint32_t i = 0; i < lanelet->refs.count; ++i) {
        const nm_cr_ref *ref = &d->refs.at[lanelet->refs.first + i];
        if (ref->kind == NM_CR_SIGN) {
            apply_sign(build, &d->signs.at[nm_cr_find(build, NM_CR_KIND_SIGN, ref->id)->index], facts);
        } else if (ref->kind == NM_CR_LIGHT) {
            const nm_cr_light *light = &d->lights.at[nm_cr_find(build, NM_CR_KIND_LIGHT, ref->id)->index];
            if (!light->dark) facts->control = NM_CONTROL_SIGNAL; // a dark light leaves the signs in force
        }
    }
}

static nm_cr_lane_facts *facts_of(nm_cr_build *build, int64_t lanelet) {
    const nm_cr_id *id = nm_cr_find(build, NM_CR_KIND_LANELET, lanelet);
    NM_ASSERT(id != NULL);
    return &build->facts.at[id->index];
}

/// The lanelets that an incoming leads to lie inside the intersection. One named by two incomings keeps the first turn.
static void apply_incoming(nm_cr_build *build, const nm_cr_intersection *intersection, const nm_cr_incoming *incoming) {
    for (uint32_t i = 0; i < incoming->refs.count; ++i) {
        const nm_cr_ref *ref = &build->document->refs.at[incoming->refs.first + i];
        nm_turn turn = NM_TURN_UNKNOWN;
        if (ref->kind == NM_CR_TURN_RIGHT) turn = NM_TURN_RIGHT;
        if (ref->kind == NM_CR_TURN_STRAIGHT) turn = NM_TURN_STRAIGHT;
        if (ref->kind == NM_CR_TURN_LEFT) turn = NM_TURN_LEFT;
        if (ref->kind == NM_CR_CROSSING) facts_of(build, ref->id)->crossing = 1;
        if (turn == NM_TURN_UNKNOWN) continue;
        nm_cr_lane_facts *facts = facts_of(build, ref->id);
        if (facts->junction >= 0) continue;
        facts->junction = intersection->id;
        facts->turn = (uint8_t)turn;
    }
}

/// Calls for every lanelet that leads into an intersection: counts those under a stop sign, or marks them all-way.
static void visit_entries(nm_cr_build *build, const nm_cr_intersection *intersection, int mark, uint32_t *lanes,
                          uint32_t *stops) {
    const nm_cr_document *d = build->document;
    for (uint32_t i = 0; i < intersection->incomings.count; ++i) {
        const nm_cr_incoming *incoming = &d->incomings.at[intersection->incomings.first + i];
        for (uint32_t k = 0; k < incoming->refs.count; ++k) {
            const nm_cr_ref *ref = &d->refs.at[incoming->refs.first + k];
            if (ref->kind != NM_CR_INCOMING) continue;
            nm_cr_lane_facts *facts = facts_of(build, ref->id);
            ++*lanes;
            *stops += facts->control == NM_CONTROL_STOP;
            if (mark) facts->control = NM_CONTROL_ALL_WAY_STOP;
        }
    }
}

/// Stop signs on every lanelet that leads into an intersection (at least two) make it an all-way stop.
static void find_all_way_stop(nm_cr_build *build, const nm_cr_intersection *intersection) {
    uint32_t lanes = 0, stops = 0;
    visit_entries(build, intersection, 0, &lanes, &stops);
    if (lanes >= 2 && stops == lanes) visit_entries(build, intersection, 1, &lanes, &stops);
}

static nm_status gather_facts(nm_cr_build *build) {
    const nm_cr_document *d = build->document;
    build->facts.count = 0;
    for (uint32_t i = 0; i < d->lanelets.count; ++i) {
        const nm_cr_lanelet *lanelet = &d->lanelets.at[i];
        if (!NM_CR_APPEND(build->facts)) return no_memory(build);
        nm_cr_lane_facts *facts = NM_CR_LAST(build->facts);
        facts->speed_limit = lanelet->speed_limit;
        facts->junction = -1;
        apply_refs(build, lanelet, facts);
    }
    for (uint32_t i = 0; i < d->intersections.count; ++i) {
        const nm_cr_intersection *intersection = &d->intersections.at[i];
        for (uint32_t k = 0; k < intersection->incomings.count; ++k)
            apply_incoming(build, intersection, &d->incomings.at[intersection->incomings.first + k]);
        find_all_way_stop(build, intersection);
    }
    return NM_OK;
}

// --- lanes -----------------------------------------------------------------------------------------------------------

static int has_tag(const nm_cr_document *document, const char *tag) {
    for (uint32_t i = 0; i < document->tags.count; ++i) {
        if (strcmp(document->tags.at[i].text, tag) == 0) return 1;
    }
    return 0;
}

/// The converters of recorded freeways (NGSIM US-101 among them) call every lanelet "urban" and give no limits, while
/// the tags say highway; the tags are right.
static int is_freeway(const nm_cr_document *document) {
    return (has_tag(document, "highway") || has_tag(document, "interstate")) && !has_tag(document, "urban") &&
           !has_tag(document, "intersection");
}

static nm_lane_type lane_type(const nm_cr_lanelet *lanelet, const nm_cr_lane_facts *facts, int freeway) {
    unsigned users = lanelet->one_way | lanelet->both_ways;
    nm_lane_type type = (nm_lane_type)lanelet->type;
    if (facts->crossing) return NM_LANE_CROSSWALK;
    if (type == NM_LANE_UNKNOWN || type == NM_LANE_STREET) {
        if (users == NM_CR_USER_PEDESTRIAN) return NM_LANE_SIDEWALK;
        if (users == NM_CR_USER_BICYCLE || users == (NM_CR_USER_BICYCLE | NM_CR_USER_PEDESTRIAN)) return NM_LANE_BIKE;
        if (users == NM_CR_USER_BUS) return NM_LANE_BUS;
        if (freeway) return NM_LANE_FREEWAY;
    }
    return type;
}

/// References to ids of one kind, copied to the end of members.
static int copy_ids(nm_cr_build *build, const nm_cr_lanelet *lanelet, nm_cr_ref_kind kind, nm_range *range) {
    range->first = build->members.count;
    for (uint32_t i = 0; i < lanelet->refs.count; ++i) {
        const nm_cr_ref *ref = &build->document->refs.at[lanelet->refs.first + i];
        if (ref->kind != kind) continue;
        if (!NM_CR_APPEND(build->members)) return 0;
        *NM_CR_LAST(build->members) = ref->id;
    }
    range->count = build->members.count - range->first;
    return 1;
}

static int copy_neighbours(nm_cr_build *build, const nm_cr_lanelet *lanelet, nm_cr_ref_kind same,
                           nm_cr_ref_kind opposite, nm_range *range) {
    range->first = build->neighbours.count;
    for (uint32_t i = 0; i < lanelet->refs.count; ++i) {
        const nm_cr_ref *ref = &build->document->refs.at[lanelet->refs.first + i];
        if (ref->kind != same && ref->kind != opposite) continue;
        if (!NM_CR_APPEND(build->neighbours)) return 0;
        *NM_CR_LAST(build->neighbours) = (nm_neighbour_def){.lane = ref->id, .opposite = ref->kind == opposite};
    }
    range->count = build->neighbours.count - range->first;
    return 1;
}

/// The stop line's ends, the left one first. The source's order is not said anywhere.
static void order_stop_line(const nm_cr_document *d, const nm_cr_lanelet *lanelet, nm_point3 ends[2]) {
    const nm_point3 *line = &d->points.at[lanelet->stop_line.first];
    const nm_point3 *left = &d->points.at[lanelet->left.first + lanelet->left.count - 1];
    const nm_point3 *right = &d->points.at[lanelet->right.first + lanelet->right.count - 1];
    double along = (line[1].x - line[0].x) * (right->x - left->x) + (line[1].y - line[0].y) * (right->y - left->y);
    ends[0] = line[along >= 0.0 ? 0 : 1];
    ends[1] = line[along >= 0.0 ? 1 : 0];
}

static nm_status add_lane(nm_cr_build *build, nm_map_builder *builder, uint32_t index, int freeway) {
    const nm_cr_document *d = build->document;
    const nm_cr_lanelet *lanelet = &d->lanelets.at[index];
    const nm_cr_lane_facts *facts = &build->facts.at[index];
    uint32_t kept_members = build->members.count;
    nm_range predecessors, successors, left, right;
    build->neighbours.count = 0;
    if (!copy_ids(build, lanelet, NM_CR_PREDECESSOR, &predecessors) ||
        !copy_ids(build, lanelet, NM_CR_SUCCESSOR, &successors) ||
        !copy_neighbours(build, lanelet, NM_CR_LEFT_SAME, NM_CR_LEFT_OPPOSITE, &left) ||
        !copy_neighbours(build, lanelet, NM_CR_RIGHT_SAME, NM_CR_RIGHT_OPPOSITE, &right))
        return no_memory(build);

    nm_point3 stop_line[2];
    nm_lane_def def = nm_lane_def_default();
    def.id = lanelet->id;
    def.line = lanelet->line;
    def.left = &d->points.at[lanelet->left.first];
    def.right = &d->points.at[lanelet->right.first];
    def.point_count = lanelet->left.count;
    def.speed_limit = facts->speed_limit;
    def.type = lane_type(lanelet, facts, freeway);
    def.turn = (nm_turn)facts->turn;
    def.control = (nm_control_kind)facts->control;
    if (facts->junction >= 0 || lanelet->junction) def.flags |= NM_LANE_JUNCTION;
    if (lanelet->both_ways & (NM_CR_USER_VEHICLE | NM_CR_USER_BUS)) def.flags |= NM_LANE_BIDIRECTIONAL;
    def.left_marking = (nm_marking)lanelet->left_marking;
    def.right_marking = (nm_marking)lanelet->right_marking;
    def.junction = facts->junction;
    def.predecessors = build->members.at ? &build->members.at[predecessors.first] : NULL;
    def.predecessor_count = predecessors.count;
    def.successors = build->members.at ? &build->members.at[successors.first] : NULL;
    def.successor_count = successors.count;
    def.left_neighbours = build->neighbours.at ? &build->neighbours.at[left.first] : NULL;
    def.left_neighbour_count = left.count;
    def.right_neighbours = build->neighbours.at ? &build->neighbours.at[right.first] : NULL;
    def.right_neighbour_count = right.count;
    def.has_stop_line = lanelet->has_stop_line;
    if (lanelet->stop_line.count == 2) {
        order_stop_line(d, lanelet, stop_line);
        def.stop_line = stop_line;
    }
    nm_status status = nm_map_builder_add_lane(builder, &def, build->error);
    build->members.count = kept_members;
    return status;
}

// --- signs, lights, obstacles of the environment ---------------------------------------------------------------------

static const nm_point3 *place_of(const nm_cr_document *document, nm_range position) {
    return position.count ? &document->points.at[position.first] : NULL;
}

/// A post may carry several signs, a map's sign has one code: the one that rules traffic, else the first.
static nm_status add_sign(nm_cr_build *build, nm_map_builder *builder, uint32_t index) {
    const nm_cr_document *d = build->document;
    const nm_cr_sign *sign = &d->signs.at[index];
    const nm_cr_sign_element *chosen = NULL;
    for (uint32_t i = 0; i < sign->elements.count; ++i) {
        const nm_cr_sign_element *element = &d->sign_elements.at[sign->elements.first + i];
        if (!chosen || (nm_cr_sign_meaning_of(chosen->code) == NM_CR_SIGN_OTHER &&
                        nm_cr_sign_meaning_of(element->code) != NM_CR_SIGN_OTHER))
            chosen = element;
    }
    nm_range list = build->lists.at[index];
    nm_sign_def def = {.id = sign->id,
                       .line = sign->line,
                       .code = chosen ? chosen->code : "",
                       .value = chosen ? chosen->value : 0.0,
                       .virtual_sign = sign->virtual_sign,
                       .position = place_of(d, sign->position),
                       .lanes = build->members.at ? &build->members.at[list.first] : NULL,
                       .lane_count = list.count};
    return nm_map_builder_add_sign(builder, &def, build->error);
}

static nm_status add_light(nm_cr_build *build, nm_map_builder *builder, uint32_t index) {
    const nm_cr_document *d = build->document;
    const nm_cr_light *light = &d->lights.at[index];
    static const nm_phase dark = {.steps = 1, .state = NM_SIGNAL_OFF};
    nm_range list = build->lists.at[d->signs.count + index];
    int64_t cycle = 0;
    for (uint32_t i = 0; i < light->phases.count; ++i) cycle += d->phases.at[light->phases.first + i].steps;
    nm_signal_def def = {.id = light->id,
                         .line = light->line,
                         .position = place_of(d, light->position),
                         .turn = (nm_turn)light->turn,
                         .phases = light->phases.count ? &d->phases.at[light->phases.first] : NULL,
                         .phase_count = light->phases.count,
                         // offsets may exceed the cycle, and a negative one is the same shift the other way
                         .phase_offset = cycle ? (uint32_t)((light->offset % cycle + cycle) % cycle) : 0,
                         .cycle_dt = d->dt,
                         .lanes = build->members.at ? &build->members.at[list.first] : NULL,
                         .lane_count = list.count};
    if (light->dark) {
        def.phases = &dark;
        def.phase_count = 1;
        def.phase_offset = 0;
        def.lane_count = 0; // it rules nothing: the signs do
    }
    return nm_map_builder_add_signal(builder, &def, build->error);
}

static nm_status add_environment(nm_cr_build *build, nm_map_builder *builder, const nm_cr_obstacle *obstacle) {
    const nm_cr_document *d = build->document;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < obstacle->shapes.count; ++i) {
        const nm_cr_shape *shape = &d->shapes.at[obstacle->shapes.first + i];
        nm_point3 corners[NM_CR_OUTLINE];
        int polygon = shape->kind == NM_CR_POLYGON;
        const nm_point3 *points = polygon ? &d->points.at[shape->points.first] : corners;
        size_t count = polygon ? shape->points.count : nm_cr_outline(shape, corners);
        status = nm_map_builder_add_area(builder, obstacle->id, NM_AREA_OBSTACLE, points, count, build->error);
    }
    return status;
}

nm_status nm_cr_build_map(nm_cr_build *build, nm_map_builder *builder, const nm_map **map) {
    const nm_cr_document *d = build->document;
    int freeway = is_freeway(d);
    nm_map_builder_reset(builder);
    nm_status status = gather_members(build);
    if (status == NM_OK) status = gather_facts(build);
    for (uint32_t i = 0; status == NM_OK && i < d->lanelets.count; ++i) status = add_lane(build, builder, i, freeway);
    for (uint32_t i = 0; status == NM_OK && i < d->signs.count; ++i) status = add_sign(build, builder, i);
    for (uint32_t i = 0; status == NM_OK && i < d->lights.count; ++i) status = add_light(build, builder, i);
    for (uint32_t i = 0; status == NM_OK && i < d->obstacles.count; ++i) {
        if (d->obstacles.at[i].role == NM_CR_ENVIRONMENT) status = add_environment(build, builder, &d->obstacles.at[i]);
    }
    return status == NM_OK ? nm_map_builder_build(builder, map, build->error) : status;
}
