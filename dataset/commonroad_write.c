/// The CommonRoad encoder: the half of a document that the scene says, and the whole.
#include "dataset/commonroad_write.h"

#include <ctype.h>
#include <math.h>

#include "sim/math.h"

/// Under this a velocity is taken to point along the heading: what float headings, speeds and sines lose together.
#define NO_SLIP 5e-7 // rad

typedef struct writer {
    nm_cr_map_text map_text;
    nm_cr_numbers numbers; // of obstacles and problems
    nm_pile ids;           // int64_t: tracks, problems
    const nm_scene *scene;
    uint32_t base; // the step of the scene that is step 0 of the document
    uint32_t ego;  // the track that is left to a planner, or NM_NONE
    int strict;
    uint32_t left_out; // stretches that a strict document does not hold
} writer;

static void *writer_create(void) {
    return calloc(1, sizeof(writer));
}

static void writer_destroy(void *work) {
    writer *w = work;
    if (!w) return;
    nm_cr_map_text_free(&w->map_text);
    nm_id_table_free(&w->numbers.taken);
    nm_pile_free(&w->ids);
    free(w);
}

// --- ids -------------------------------------------------------------------------------------------------------------

static int64_t keep(writer *w, int64_t id) {
    const nm_cr_map_text *map = &w->map_text;
    if (nm_id_table_find(&map->numbers.taken, id) != NM_NONE) return 0;
    if (id > map->before_new && id <= map->numbers.highest) return 0;
    return nm_cr_numbers_keep(&w->numbers, id);
}

static int give_ids(writer *w) {
    const nm_scene *scene = w->scene;
    nm_id_table_reset(&w->numbers.taken);
    w->numbers.highest = w->map_text.numbers.highest;
    w->numbers.failed = 0;
    w->ids.count = 0;
    size_t count = (size_t)scene->track_count + scene->problem_count;
    int64_t *ids = NM_PUSH(&w->ids, int64_t, count);
    if (!ids) return 0;
    for (uint32_t i = 0; i < scene->track_count; ++i) ids[i] = keep(w, scene->tracks[i].source_id);
    for (uint32_t i = 0; i < scene->problem_count; ++i)
        ids[scene->track_count + i] = keep(w, scene->problems[i].source_id);
    for (size_t i = 0; i < count; ++i) {
        if (!ids[i]) ids[i] = nm_cr_numbers_next(&w->numbers);
    }
    return !w->numbers.failed;
}

// --- states ----------------------------------------------------------------------------------------------------------

static void put_exact(nm_byte_buffer *out, const char *element, float value) {
    NM_XML(out, "<");
    nm_byte_buffer_text(out, element);
    NM_XML(out, "><exact>");
    nm_xml_put_local(out, 0.0, value);
    NM_XML(out, "</exact></");
    nm_byte_buffer_text(out, element);
    NM_XML(out, ">");
}

static void put_time(nm_byte_buffer *out, uint32_t step) {
    NM_XML(out, "<time><exact>");
    nm_xml_put_integer(out, step);
    NM_XML(out, "</exact></time>");
}

/// A velocity as CommonRoad has it: a speed along the heading, negative backwards, or one along heading + slip angle.
typedef struct motion {
    float speed, slip;
} motion;

static motion motion_of(const nm_state *state) {
    double speed = sqrt((double)state->vx * state->vx + (double)state->vy * state->vy);
    if (!(speed > 0.0)) return (motion){0.0f, 0.0f};
    double slip = nm_wrap_angle_d(atan2((double)state->vy, (double)state->vx) - (double)state->heading);
    if (fabs(slip) <= NO_SLIP) return (motion){(float)speed, 0.0f};
    if (NM_PI - fabs(slip) <= NO_SLIP) return (motion){(float)-speed, 0.0f};
    return (motion){(float)speed, (float)slip};
}

static void put_place(const writer *w, nm_byte_buffer *out, const nm_state *state) {
    NM_XML(out, "<position>");
    // without z, which the schema allows and commonroad-io 2026.1 fails on
    nm_cr_put_place(out, w->scene->map->origin, 0, state->x, state->y, 0.0f);
    NM_XML(out, "</position><orientation><exact>");
    nm_xml_put_angle(out, state->heading);
    NM_XML(out, "</exact></orientation>");
}

/// What a state says of its velocity. Readers want all states of a trajectory to have the same parts.
typedef enum parts { STANDS, ALONG, SLIPS } parts;

static void put_state(const writer *w, nm_byte_buffer *out, const char *element, const nm_state *state, uint32_t step,
                      parts said) {
    NM_XML(out, "<");
    nm_byte_buffer_text(out, element);
    NM_XML(out, ">");
    put_place(w, out, state);
    put_time(out, step);
    if (said != STANDS) {
        motion m = motion_of(state);
        put_exact(out, "velocity", m.speed);
        if (said == SLIPS) put_exact(out, "slipAngle", m.slip);
    }
    NM_XML(out, "</");
    nm_byte_buffer_text(out, element);
    NM_XML(out, ">\n");
}

// --- obstacles -------------------------------------------------------------------------------------------------------

static void open_obstacle(const writer *w, nm_byte_buffer *out, const char *element, uint32_t track, int64_t id,
                          const char *type) {
    const nm_track *t = &w->scene->tracks[track];
    NM_XML(out, "<");
    nm_byte_buffer_text(out, element);
    NM_XML(out, " id=\"");
    nm_xml_put_integer(out, id);
    NM_XML(out, "\"><type>");
    nm_byte_buffer_text(out, type);
    NM_XML(out, "</type><shape><rectangle><length>");
    nm_xml_put_local(out, 0.0, t->length);
    NM_XML(out, "</length><width>");
    nm_xml_put_local(out, 0.0, t->width);
    NM_XML(out, "</width></rectangle></shape>\n");
}

/// The first step from `base` on at which the track is there; step_count when there is none.
static uint32_t first_step(const writer *w, uint32_t track) {
    uint32_t step = w->base;
    while (step < w->scene->step_count && !w->scene->valid[nm_scene_at(w->scene, track, step)]) ++step;
    return step;
}

static void put_static(const writer *w, nm_byte_buffer *out, uint32_t track) {
    uint32_t step = first_step(w, track);
    nm_state state;
    if (step == w->scene->step_count || !nm_scene_get_state(w->scene, track, step, &state)) return;
    unsigned type = w->scene->tracks[track].type;
    open_obstacle(w, out, "staticObstacle", track, NM_AT(w->ids, int64_t, track),
                  type == NM_AGENT_OBSTACLE                                 ? "constructionZone"
                  : type == NM_AGENT_UNKNOWN || type == NM_AGENT_PEDESTRIAN ? "unknown"
                                                                            : "parkedVehicle");
    put_state(w, out, "initialState", &state, 0, STANDS);
    NM_XML(out, "</staticObstacle>\n");
}

/// Does any state of the stretch have a velocity that is not along its heading?
static parts parts_of(const writer *w, uint32_t track, uint32_t first, uint32_t end) {
    nm_state state;
    for (uint32_t step = first; step < end; ++step) {
        if (nm_scene_get_state(w->scene, track, step, &state) && motion_of(&state).slip != 0.0f) return SLIPS;
    }
    return ALONG;
}

/// The states from `first` to before `end`, without a gap.
static void put_stretch(const writer *w, nm_byte_buffer *out, uint32_t track, uint32_t first, uint32_t end) {
    const parts said = parts_of(w, track, first, end);
    nm_state state;
    for (uint32_t step = first; step < end; ++step) {
        if (!nm_scene_get_state(w->scene, track, step, &state)) break; // not: they are there
        if (step == first + 1) NM_XML(out, "<trajectory>\n");
        put_state(w, out, step == first ? "initialState" : "state", &state, step - w->base, said);
    }
    if (end > first + 1) NM_XML(out, "</trajectory>\n");
}

/// An obstacle for each stretch without a gap: commonroad-io takes the n-th state of a trajectory for that of its n-th
/// step. The first one has the track's id.
static void put_dynamic(writer *w, nm_byte_buffer *out, uint32_t track) {
    static const char *const words[NM_AGENT_TYPE_COUNT] = {
        [NM_AGENT_UNKNOWN] = "unknown",       [NM_AGENT_CAR] = "car",
        [NM_AGENT_TRUCK] = "truck",           [NM_AGENT_BUS] = "bus",
        [NM_AGENT_CYCLIST] = "bicycle",       [NM_AGENT_MOTORCYCLE] = "motorcycle",
        [NM_AGENT_PEDESTRIAN] = "pedestrian", [NM_AGENT_TRAIN] = "train",
        [NM_AGENT_OBSTACLE] = "unknown"};
    const nm_scene *scene = w->scene;
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    int64_t id = NM_AT(w->ids, int64_t, track);
    for (uint32_t first = first_step(w, track), end; first < scene->step_count; first = end) {
        for (end = first; end < scene->step_count && valid[end]; ++end) continue;
        if (w->strict && (first > w->base || end == first + 1)) {
            ++w->left_out;
        } else {
            open_obstacle(w, out, "dynamicObstacle", track, id, words[scene->tracks[track].type]);
            put_stretch(w, out, track, first, end);
            NM_XML(out, "</dynamicObstacle>\n");
            id = 0;
        }
        while (end < scene->step_count && !valid[end]) ++end;
        if (!id && end < scene->step_count) id = nm_cr_numbers_next(&w->numbers);
    }
}

// --- lights ----------------------------------------------------------------------------------------------------------

static const char *colour_of(unsigned state) {
    switch ((nm_signal_state)state) {
    case NM_SIGNAL_STOP:
    case NM_SIGNAL_ARROW_STOP:
    case NM_SIGNAL_FLASHING_STOP:
        return "red";
    case NM_SIGNAL_CAUTION:
    case NM_SIGNAL_ARROW_CAUTION:
    case NM_SIGNAL_FLASHING_CAUTION:
        return "yellow";
    case NM_SIGNAL_GO:
    case NM_SIGNAL_ARROW_GO:
        return "green";
    default:
        return "inactive";
    }
}

static void put_phase(nm_byte_buffer *out, uint64_t steps, const char *colour) {
    NM_XML(out, "<cycleElement><duration>");
    nm_xml_put_integer(out, (int64_t)steps);
    NM_XML(out, "</duration><color>");
    nm_byte_buffer_text(out, colour);
    NM_XML(out, "</color></cycleElement>");
}

/// What was recorded, step by step from `base` on, as one cycle.
static void put_recorded(const writer *w, nm_byte_buffer *out, uint32_t signal) {
    const nm_scene *scene = w->scene;
    const char *colour = NULL;
    uint64_t steps = 0;
    for (uint32_t step = w->base; step < scene->step_count; ++step, ++steps) {
        const char *now = colour_of(nm_scene_signal(scene, signal, step));
        if (colour && now != colour) {
            put_phase(out, steps, colour);
            steps = 0;
        }
        colour = now;
    }
    put_phase(out, steps, colour);
}

/// The phases in steps of the scene, and how many steps into the cycle it begins.
static void put_cycle(const writer *w, nm_byte_buffer *out, const nm_signal *signal) {
    const nm_scene *scene = w->scene;
    double ratio = (double)signal->cycle_dt / (double)scene->dt;
    uint64_t cycle = 0, source = 0;
    for (uint32_t i = signal->phases.first; i < signal->phases.first + signal->phases.count; ++i) {
        const nm_phase *phase = &scene->map->phases[i];
        if (!phase->steps) continue;
        // ends are rounded, not durations: a long cycle keeps its length
        source += phase->steps;
        uint64_t end = (uint64_t)llround((double)source * ratio), steps = end > cycle ? end - cycle : 1;
        put_phase(out, steps, colour_of(phase->state));
        cycle += steps;
    }
    uint64_t offset = (uint64_t)llround((double)signal->phase_offset * ratio) % cycle;
    offset = (offset + cycle - w->base % cycle) % cycle;
    if (!offset) return;
    NM_XML(out, "<timeOffset>");
    nm_xml_put_integer(out, (int64_t)offset);
    NM_XML(out, "</timeOffset>");
}

/// 1 when a state of the signal was recorded from `base` on.
static int was_recorded(const writer *w, uint32_t signal) {
    const nm_scene *scene = w->scene;
    if (!scene->signal_states) return 0;
    const uint8_t *states = scene->signal_states + (size_t)signal * scene->step_count;
    for (uint32_t step = w->base; step < scene->step_count; ++step) {
        if (states[step] != NM_SIGNAL_UNKNOWN) return 1;
    }
    return 0;
}

static void put_lights(const writer *w, nm_byte_buffer *out) {
    const nm_map *map = w->scene->map;
    for (uint32_t i = 0; i < map->signal_count; ++i) {
        const nm_signal *signal = &map->signals[i];
        if (!signal->placed && !signal->lanes.count) continue; // neither somewhere nor of something
        NM_XML(out, "<trafficLight id=\"");
        nm_xml_put_integer(out, nm_cr_light_id(&w->map_text, map, i));
        NM_XML(out, "\"><cycle>");
        if (was_recorded(w, i))
            put_recorded(w, out, i);
        else if (signal->phases.count)
            put_cycle(w, out, signal);
        else
            put_phase(out, 1, "inactive");
        NM_XML(out, "</cycle>");
        if (signal->placed) {
            NM_XML(out, "<position>");
            nm_cr_put_place(out, map->origin, 0, signal->position.x, signal->position.y, 0.0f);
            NM_XML(out, "</position>");
        }
        NM_XML(out, "<direction>");
        nm_byte_buffer_text(out, signal->turn == NM_TURN_LEFT       ? "left"
                                 : signal->turn == NM_TURN_RIGHT    ? "right"
                                 : signal->turn == NM_TURN_STRAIGHT ? "straight"
                                                                    : "all");
        NM_XML(out, "</direction></trafficLight>\n");
    }
}

// --- planning problems -----------------------------------------------------------------------------------------------

static void put_interval(nm_byte_buffer *out, const char *element, float low, float high) {
    if (low > high) return; // any
    NM_XML(out, "<");
    nm_byte_buffer_text(out, element);
    NM_XML(out, "><intervalStart>");
    nm_xml_put_local(out, 0.0, low);
    NM_XML(out, "</intervalStart><intervalEnd>");
    nm_xml_put_local(out, 0.0, high);
    NM_XML(out, "</intervalEnd></");
    nm_byte_buffer_text(out, element);
    NM_XML(out, ">");
}

static void put_goal_time(const writer *w, nm_byte_buffer *out, uint32_t first, uint32_t last) {
    NM_XML(out, "<goalState><time><intervalStart>");
    nm_xml_put_integer(out, first > w->base ? first - w->base : 0);
    NM_XML(out, "</intervalStart><intervalEnd>");
    nm_xml_put_integer(out, last > w->base ? last - w->base : 0);
    NM_XML(out, "</intervalEnd></time>");
}

static void put_area(const writer *w, nm_byte_buffer *out, const nm_goal_area *area) {
    const nm_point3 origin = w->scene->map->origin;
    if (area->lane != NM_NONE) {
        NM_XML(out, "<lanelet ref=\"");
        nm_xml_put_integer(out, nm_cr_lane_id(&w->map_text, area->lane));
        NM_XML(out, "\"/>");
        return;
    }
    if (area->width == 0.0f) {
        NM_XML(out, "<circle><radius>");
        nm_xml_put_local(out, 0.0, 0.5f * area->length);
        NM_XML(out, "</radius>");
    } else {
        NM_XML(out, "<rectangle><length>");
        nm_xml_put_local(out, 0.0, area->length);
        NM_XML(out, "</length><width>");
        nm_xml_put_local(out, 0.0, area->width);
        NM_XML(out, "</width><orientation>");
        nm_xml_put_angle(out, area->heading);
        NM_XML(out, "</orientation>");
    }
    NM_XML(out, "<center><x>");
    nm_xml_put_local(out, origin.x, area->centre.x);
    NM_XML(out, "</x><y>");
    nm_xml_put_local(out, origin.y, area->centre.y);
    nm_byte_buffer_text(out, area->width == 0.0f ? "</y></center></circle>" : "</y></center></rectangle>");
}

static void put_goals(const writer *w, nm_byte_buffer *out, const nm_problem *problem) {
    const nm_scene *scene = w->scene;
    for (uint32_t g = problem->goals.first; g < problem->goals.first + problem->goals.count; ++g) {
        const nm_goal *goal = &scene->goals[g];
        put_goal_time(w, out, goal->first_step, goal->last_step);
        if (goal->areas.count) NM_XML(out, "<position>");
        for (uint32_t a = goal->areas.first; a < goal->areas.first + goal->areas.count; ++a)
            put_area(w, out, &scene->goal_areas[a]);
        if (goal->areas.count) NM_XML(out, "</position>");
        put_interval(out, "orientation", goal->heading_min, goal->heading_max);
        put_interval(out, "velocity", goal->speed_min, goal->speed_max);
        NM_XML(out, "</goalState>\n");
    }
}

/// Where the ego was when it was seen last: within a box of twice its length and one lane, during the second up to
/// then, heading there within 0.35 rad (20 degrees); no sooner than the problem begins.
static void put_reached_goal(const writer *w, nm_byte_buffer *out, uint32_t start) {
    const nm_scene *scene = w->scene;
    const nm_track *ego = &scene->tracks[scene->ego];
    uint32_t last = ego->last_step, second = (uint32_t)lround(1.0 / (double)scene->dt);
    nm_state state;
    if (!nm_scene_get_state(scene, scene->ego, last, &state)) return;
    uint32_t first = last > start + second ? last - second : start;
    put_goal_time(w, out, first, last);
    const nm_goal_area area = {.centre = {state.x, state.y},
                               .length = 2.0f * nm_maxf(ego->length, 1.0f),
                               .width = nm_maxf(ego->width, 3.5f),
                               .heading = state.heading,
                               .lane = NM_NONE};
    NM_XML(out, "<position>");
    put_area(w, out, &area);
    NM_XML(out, "</position>");
    put_interval(out, "orientation", state.heading - 0.35f, state.heading + 0.35f);
    NM_XML(out, "</goalState>\n");
}

/// Yaw rate and acceleration of the ego at the step: since the step before, or else to the next one.
static void put_rates(const writer *w, nm_byte_buffer *out, uint32_t step) {
    const nm_scene *scene = w->scene;
    nm_state a, b;
    float yaw_rate = 0.0f, acceleration = 0.0f;
    int known = step > 0 && nm_scene_get_state(scene, scene->ego, step - 1, &a) &&
                nm_scene_get_state(scene, scene->ego, step, &b);
    if (!known)
        known = step + 1 < scene->step_count && nm_scene_get_state(scene, scene->ego, step, &a) &&
                nm_scene_get_state(scene, scene->ego, step + 1, &b);
    if (known) {
        yaw_rate = nm_wrap_angle(b.heading - a.heading) / scene->dt;
        acceleration = (nm_hypotf(b.vx, b.vy) - nm_hypotf(a.vx, a.vy)) / scene->dt;
    }
    put_exact(out, "acceleration", acceleration);
    put_exact(out, "yawRate", yaw_rate);
}

static void put_problem_start(const writer *w, nm_byte_buffer *out, int64_t id, const nm_state *state, uint32_t step,
                              int of_ego) {
    NM_XML(out, "<planningProblem id=\"");
    nm_xml_put_integer(out, id);
    NM_XML(out, "\"><initialState>");
    put_place(w, out, state);
    put_time(out, step);
    motion m = motion_of(state);
    put_exact(out, "velocity", m.speed);
    if (of_ego)
        put_rates(w, out, step + w->base);
    else
        NM_XML(out, "<yawRate><exact>0</exact></yawRate>");
    put_exact(out, "slipAngle", m.slip);
    NM_XML(out, "</initialState>\n");
}

/// The ego's problem: the first recorded one, begun where the ego is now, or to get where it was at the end. Others as
/// recorded.
static void put_problems(const writer *w, nm_byte_buffer *out) {
    const nm_scene *scene = w->scene;
    uint32_t current = w->strict ? w->base : scene->current_step, rest = 0;
    nm_state state;
    if (scene->ego != NM_NONE && nm_scene_get_state(scene, scene->ego, current, &state)) {
        // left out of the obstacles, its id is free for the problem; else the problem needs one of its own
        int64_t id = w->ego != NM_NONE      ? NM_AT(w->ids, int64_t, scene->ego)
                     : scene->problem_count ? NM_AT(w->ids, int64_t, scene->track_count)
                                            : w->numbers.highest + 1;
        put_problem_start(w, out, id, &state, current - w->base, 1);
        if (scene->problem_count && scene->problems[0].goals.count)
            put_goals(w, out, &scene->problems[0]);
        else
            put_reached_goal(w, out, current);
        NM_XML(out, "</planningProblem>\n");
        rest = 1;
    }
    for (uint32_t i = rest; i < scene->problem_count; ++i) {
        const nm_problem *problem = &scene->problems[i];
        uint32_t step = problem->start_step > w->base ? problem->start_step - w->base : 0;
        put_problem_start(w, out, NM_AT(w->ids, int64_t, scene->track_count + i), &problem->start, step, 0);
        put_goals(w, out, problem);
        NM_XML(out, "</planningProblem>\n");
    }
}

// --- what stands above it --------------------------------------------------------------------------------------------

/// The tags that the schema knows, besides which there are none.
static const char *const tag_words[] = {"interstate",
                                        "highway",
                                        "urban",
                                        "comfort",
                                        "critical",
                                        "evasive",
                                        "cut_in",
                                        "illegal_cutin",
                                        "intersection",
                                        "lane_change",
                                        "lane_following",
                                        "merging_lanes",
                                        "multi_lane",
                                        "parallel_lanes",
                                        "no_oncoming_traffic",
                                        "oncoming_traffic",
                                        "race_track",
                                        "roundabout",
                                        "rural",
                                        "simulated",
                                        "single_lane",
                                        "slip_road",
                                        "speed_limit",
                                        "traffic_jam",
                                        "turn_left",
                                        "turn_right",
                                        "two_lane",
                                        "emergency_braking"};
#define TAG_COUNT (sizeof tag_words / sizeof *tag_words)

static void put_tag(nm_byte_buffer *out, uint32_t *written, const char *tag) {
    for (size_t i = 0; i < TAG_COUNT; ++i) {
        if (strcmp(tag_words[i], tag) != 0 || (*written >> i & 1u)) continue;
        *written |= UINT32_C(1) << i;
        NM_XML(out, "<");
        nm_byte_buffer_text(out, tag);
        NM_XML(out, "/>");
    }
}

static int has_label(const nm_export_item *item, const char *kind) {
    for (size_t i = 0; i < item->label_count; ++i) {
        if (strcmp(item->labels[i].kind, kind) == 0) return 1;
    }
    return 0;
}

/// A scene of CommonRoad keeps its tags; of another, what the map and the labels say is added. "highway" turns streets
/// into freeways when it is read, so it is said only where there are none.
static void put_tags(const writer *w, nm_byte_buffer *out, const nm_export_item *item) {
    const nm_scene *scene = w->scene;
    uint32_t written = 0;
    NM_XML(out, "<scenarioTags>");
    for (uint32_t i = 0; i < scene->tag_count; ++i) put_tag(out, &written, scene->tags[i]);
    if (strcmp(scene->provenance.source, "commonroad") != 0) {
        const nm_cr_map_text *map = &w->map_text;
        if (map->streets) put_tag(out, &written, "urban");
        if (map->freeways && !map->streets && !map->junctions) put_tag(out, &written, "highway");
        if (map->junctions) put_tag(out, &written, "intersection");
    }
    if (item->generated) put_tag(out, &written, "simulated");
    if (item->label_count) put_tag(out, &written, "critical");
    if (has_label(item, "cut_in")) put_tag(out, &written, "cut_in");
    if (has_label(item, "hard_brake")) put_tag(out, &written, "emergency_braking");
    NM_XML(out, "</scenarioTags>\n");
}

/// The country of a scene that was made from one of CommonRoad's: its signs are that country's. Else Zamunda,
/// CommonRoad's country for everywhere.
static void put_country(nm_byte_buffer *out, const char *name) {
    if (name[0] == 'C' && name[1] == '-') name += 2;
    int known = 1;
    for (int i = 0; i < 3 && known; ++i) known = name[i] >= 'A' && name[i] <= 'Z';
    nm_byte_buffer_put(out, known && name[3] == '_' ? name : "ZAM_", 4);
}

/// COUNTRY_MAP-n_CONFIG[_T-n]: a scene of CommonRoad keeps the name it came with. The map of another is called after
/// where that comes from, and numbered like the scene.
static void put_name(const writer *w, nm_byte_buffer *out, const nm_export_item *item, int obstacles) {
    const nm_provenance *from = &w->scene->provenance;
    if (strcmp(from->source, "commonroad") == 0 && from->scene_id[0]) {
        nm_xml_put_text(out, from->scene_id);
        return;
    }
    put_country(out, from->scene_id);
    char name[32];
    size_t length = 0;
    for (const char *c = from->source; *c && length < sizeof name - 1; ++c) {
        int first = length == 0 || !isalnum((unsigned char)c[-1]);
        if (!isalnum((unsigned char)*c) || (unsigned char)*c >= 0x80) continue;
        if (length == 0 && isdigit((unsigned char)*c)) continue;
        name[length++] = (char)(first ? toupper((unsigned char)*c) : *c);
    }
    name[length] = 0;
    nm_byte_buffer_text(out, length ? name : "Nearmiss");
    NM_XML(out, "-");
    nm_xml_put_integer(out, item->id > 0 ? item->id : 1);
    nm_byte_buffer_text(out, obstacles ? "_1_T-1" : "_1");
}

/// The date is a function of nothing: the same scene gives the same bytes on every day.
static void put_head(const writer *w, nm_byte_buffer *out, const nm_export_item *item) {
    const nm_scene *scene = w->scene;
    int obstacles = scene->track_count > (w->ego != NM_NONE);
    NM_XML(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<commonRoad commonRoadVersion=\"2020a\" benchmarkID=\"");
    put_name(w, out, item, obstacles);
    NM_XML(out, "\" date=\"1970-01-01\" author=\"nearmiss\" affiliation=\"\" source=\"");
    nm_xml_put_text(out, scene->provenance.source);
    if (scene->provenance.file[0]) {
        NM_XML(out, " ");
        nm_xml_put_text(out, scene->provenance.file);
    }
    NM_XML(out, "\" timeStepSize=\"");
    nm_xml_put_local(out, 0.0, scene->dt);
    NM_XML(out, "\">\n<location><geoNameId>-999</geoNameId><gpsLatitude>999</gpsLatitude>"
                "<gpsLongitude>999</gpsLongitude></location>\n");
    put_tags(w, out, item);
}

static void put_buffer(nm_byte_buffer *out, const nm_byte_buffer *text) {
    nm_byte_buffer_put(out, text->bytes, text->size);
}

static nm_status check(const nm_scene *scene, uint32_t ego, nm_error *error) {
    if (scene->map->lane_count == 0) return NM_ERROR(error, NM_E_UNSUPPORTED, "CommonRoad has no scene without a lane");
    if (ego != NM_NONE && !scene->valid[nm_scene_at(scene, ego, scene->current_step)])
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "the ego has no state at the current step, where its planner would start");
    return NM_OK;
}

/// What the schema wants of problems: one at least, from step 0 on, each with goals that end later.
static nm_status check_strict(const writer *w, nm_error *error) {
    const nm_scene *scene = w->scene;
    nm_state state;
    const int of_ego = scene->ego != NM_NONE;
    if (of_ego && !nm_scene_get_state(scene, scene->ego, w->base, &state))
        return NM_ERROR(error, NM_E_UNSUPPORTED, "the ego has no state at step 0, where its problem has to begin");
    if (!of_ego && scene->problem_count == 0)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "there is neither an ego nor a problem: the schema wants a problem");
    if (of_ego && !(scene->problem_count && scene->problems[0].goals.count) &&
        scene->tracks[scene->ego].last_step <= w->base)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "the ego's goal is at step 0, the schema wants it later");
    for (uint32_t i = 0; i < scene->problem_count; ++i) {
        const nm_problem *problem = &scene->problems[i];
        const int replaced = of_ego && i == 0; // by the ego: only its goals are taken, where it has some
        if (!replaced && problem->start_step > w->base)
            return NM_ERROR(error, NM_E_UNSUPPORTED, "problem %lld begins at step %u, not at step 0",
                            (long long)problem->source_id, problem->start_step - w->base);
        if (!replaced && problem->goals.count == 0)
            return NM_ERROR(error, NM_E_UNSUPPORTED, "problem %lld has no goal", (long long)problem->source_id);
        for (uint32_t g = problem->goals.first; g < problem->goals.first + problem->goals.count; ++g) {
            if (scene->goals[g].last_step <= w->base)
                return NM_ERROR(error, NM_E_UNSUPPORTED, "a goal of problem %lld is at step 0, not later",
                                (long long)problem->source_id);
        }
    }
    return NM_OK;
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *encoded, nm_error *error) {
    writer *w = work;
    const nm_scene *scene = item->scene;
    int planned = item->ego != NM_EXPORT_EGO_RECORDED && scene->ego != NM_NONE;
    w->scene = scene;
    w->ego = planned ? scene->ego : NM_NONE;
    w->base = planned ? scene->current_step : 0;
    w->strict = item->strict;
    w->left_out = 0;
    nm_status status = check(scene, w->ego, error);
    if (status == NM_OK && w->strict) status = check_strict(w, error);
    if (status == NM_OK) status = nm_cr_map_text_of(&w->map_text, scene->map, error);
    if (status != NM_OK) return status;
    if (!give_ids(w)) return NM_ERROR(error, NM_E_MEMORY, "no memory for a scene as CommonRoad");
    nm_byte_buffer *out = &encoded->main;
    put_head(w, out, item);
    put_buffer(out, &w->map_text.lanelets);
    put_buffer(out, &w->map_text.signs);
    put_lights(w, out);
    put_buffer(out, &w->map_text.intersections);
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        if (i != w->ego && (scene->tracks[i].flags & NM_TRACK_STATIC)) put_static(w, out, i);
    }
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        if (i != w->ego && !(scene->tracks[i].flags & NM_TRACK_STATIC)) put_dynamic(w, out, i);
    }
    put_buffer(out, &w->map_text.environment);
    put_problems(w, out);
    NM_XML(out, "</commonRoad>\n");
    encoded->left_out = w->left_out;
    return out->failed || w->numbers.failed ? NM_ERROR(error, NM_E_MEMORY, "no memory for a scene as CommonRoad")
                                            : NM_OK;
}

const nm_encoder nm_encoder_commonroad = {.format = NM_EXPORT_COMMONROAD,
                                          .layout = NM_ENCODER_FILES,
                                          .extension = ".xml",
                                          .create = writer_create,
                                          .destroy = writer_destroy,
                                          .encode = encode};
