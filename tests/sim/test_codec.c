/// Maps and scenes as bytes: the same comes back, and nothing else is accepted.
#include "sim/scenes.h"

typedef struct blob {
    unsigned char *bytes;
    size_t size;
} blob;

static blob encode_map(const nm_map *map) {
    blob b = {.size = nm_map_encode(map, NULL, 0)};
    b.bytes = malloc(b.size + 1);
    b.bytes[b.size] = 0xa5;
    assert_int_equal(nm_map_encode(map, b.bytes, b.size - 1), b.size); // too small: left alone
    assert_int_equal(nm_map_encode(map, b.bytes, b.size), b.size);
    assert_int_equal(b.bytes[b.size], 0xa5);
    return b;
}

static blob encode_scene(const nm_scene *scene) {
    blob b = {.size = nm_scene_encode(scene, NULL, 0)};
    b.bytes = malloc(b.size + 1);
    b.bytes[b.size] = 0xa5;
    assert_int_equal(nm_scene_encode(scene, b.bytes, b.size), b.size);
    assert_int_equal(b.bytes[b.size], 0xa5);
    return b;
}

/// A map with one of everything.
static const nm_map *rich_map(void) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_error error;
    nm_map_builder_set_origin(builder, (nm_point3){4e5, 5.5e6, 100.0});
    nm_map_builder_set_default_speed(builder, NM_LANE_STREET, 8.25);
    nm_point3 stop[2] = {{4e5 + 30.0, 5.5e6 + 2.0, 100.0}, {4e5 + 30.0, 5.5e6 - 2.0, 100.0}};
    for (int i = 0; i < 4; i++) {
        nm_lane_def def = nm_lane_def_default();
        nm_neighbour_def beside = {.lane = (i + 2) % 4, .opposite = i % 2, .self_start = 3.0, .self_end = 20.0};
        const int64_t next = (i + 1) % 4;
        def.id = i;
        def.type = i == 3 ? NM_LANE_BIKE : NM_LANE_STREET;
        def.left_marking = (nm_marking)(i + 2);
        def.right_colour = NM_COLOUR_YELLOW;
        def.junction = i == 1 ? 12345 : -1;
        def.control = NM_CONTROL_YIELD;
        def.speed_limit = i * 3.3;
        def.left_neighbours = &beside;
        def.left_neighbour_count = 1;
        def.successors = &next;
        def.successor_count = 1;
        def.stop_line = i == 2 ? stop : NULL;
        nm_test_lane(builder, &def,
                     (double[]){4e5, 5.5e6 + 4.0 * i, 4e5 + 20.0, 5.5e6 + 4.0 * i + 0.3, 4e5 + 41.7, 5.5e6 + 4.0 * i},
                     3, 3.3);
    }
    nm_point3 shape[4] = {{4e5, 5.5e6, 101.0}, {4e5 + 5.0, 5.5e6, 101.0}, {4e5 + 5.0, 5.5e6 + 9.0, 101.0}, stop[0]};
    assert_int_equal(
        nm_map_builder_add_line(builder, 7, NM_LINE_EDGE_MEDIAN, NM_MARKING_CURB, NM_COLOUR_WHITE, shape, 3, &error),
        NM_OK);
    assert_int_equal(
        nm_map_builder_add_line(builder, 8, NM_LINE_ROAD_LINE, NM_MARKING_NONE, NM_COLOUR_UNKNOWN, shape, 0, &error),
        NM_OK);
    assert_int_equal(nm_map_builder_add_area(builder, 9, NM_AREA_DRIVEWAY, shape, 4, &error), NM_OK);
    nm_phase phases[2] = {{.steps = 200, .state = NM_SIGNAL_GO}, {.steps = 300, .state = NM_SIGNAL_STOP}};
    const int64_t lanes[2] = {0, 2};
    nm_signal_def signal = {.id = 10,
                            .position = &stop[0],
                            .turn = NM_TURN_LEFT,
                            .phases = phases,
                            .phase_count = 2,
                            .phase_offset = 17,
                            .cycle_dt = 0.1,
                            .lanes = lanes,
                            .lane_count = 2};
    assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK);
    nm_signal_def plain = {.id = 11, .lanes = lanes, .lane_count = 1};
    assert_int_equal(nm_map_builder_add_signal(builder, &plain, &error), NM_OK);
    nm_sign_def sign = {.id = 12, .code = "a code that is too long", .value = 13.9, .lanes = lanes, .lane_count = 2};
    assert_int_equal(nm_map_builder_add_sign(builder, &sign, &error), NM_OK);
    return nm_test_build(builder);
}

/// Sizes that vary, gaps, signals, timestamps, goals, tags, all of it; random motion so that every predictor is bad.
static const nm_scene *rich_scene(const nm_map *map, uint64_t seed) {
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error;
    uint32_t draw = 0;
    const uint32_t steps = 40;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    double times[40];
    for (uint32_t t = 0; t < steps; t++) times[t] = 1.5e9 + 0.1 * t + nm_test_uniform(seed, &draw, 0.0, 0.01);
    assert_int_equal(nm_scene_builder_set_timestamps(builder, times, steps, &error), NM_OK);
    for (int i = 0; i < 6; i++) {
        nm_track_def def = {.id = 50 - i,
                            .type = (nm_agent_type)(i + 1),
                            .flags = NM_TRACK_TO_PREDICT,
                            .difficulty = 2,
                            .length = 4.0f,
                            .width = 2.0f,
                            .height = (float)i};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        if (i == 4) continue; // never seen
        for (uint32_t t = (uint32_t)i; t < steps; t++) {
            if (nm_test_uniform(seed, &draw, 0.0, 1.0) < 0.2) continue;
            double wild = i == 5 ? 1e3 : 1.0;
            nm_state_def s = {.x = map->origin.x + 10.0 * 0.1 * t + wild * nm_test_uniform(seed, &draw, -1.0, 1.0),
                              .y = map->origin.y + wild * nm_test_uniform(seed, &draw, -1.0, 1.0),
                              .z = map->origin.z + 0.01 * t,
                              .heading = nm_test_uniform(seed, &draw, -7.0, 7.0),
                              .vx = nm_test_uniform(seed, &draw, -10.0, 10.0),
                              .vy = i == 3 ? -0.0 : nm_test_uniform(seed, &draw, -10.0, 10.0),
                              .length = i == 1 ? 4.0f + 0.01f * (float)t : 0.0f};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &s, &error), NM_OK);
        }
    }
    for (uint32_t s = 0; s < map->signal_count; s++) {
        assert_int_equal(nm_scene_builder_set_signal(builder, s, 7 + s, NM_SIGNAL_ARROW_GO, &error), NM_OK);
    }
    nm_state_def start = {.x = map->origin.x, .y = map->origin.y, .z = map->origin.z, .vx = 3.0};
    assert_int_equal(nm_scene_builder_add_problem(builder, 900, &start, 0, &error), NM_OK);
    nm_goal goal = {.first_step = 10, .last_step = 30, .heading_min = -1.0f, .heading_max = 1.0f, .speed_min = 1.0f};
    assert_int_equal(nm_scene_builder_add_goal(builder, &goal, &error), NM_OK);
    assert_int_equal(
        nm_scene_builder_add_goal_area(builder, map->origin.x + 5.0, map->origin.y, 4.0, 2.0, 0.3, -1, &error), NM_OK);
    if (map->lane_count) {
        assert_int_equal(nm_scene_builder_add_goal_area(builder, 0, 0, 0, 0, 0, map->lanes[0].source_id, &error),
                         NM_OK);
    }
    assert_int_equal(nm_scene_builder_add_tag(builder, "urban", &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_tag(builder, "", &error), NM_OK);
    nm_provenance p = {.source = "test",
                       .file = "f.xml",
                       .scene_id = "\xc3\xa4",
                       .record = 3,
                       .program = "nearmiss",
                       .seed = UINT64_MAX,
                       .parent = 5,
                       .parameters = "{\"a\": 1}"};
    assert_int_equal(nm_scene_builder_set_provenance(builder, &p, &error), NM_OK);
    nm_scene_builder_set_current(builder, 10, 2);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    return scene;
}

/// Elements `stride` apart of which the first `used` bytes count.
static void assert_same_elements(const void *a, const void *b, uint32_t a_count, uint32_t b_count, size_t stride,
                                 size_t used) {
    assert_int_equal(a_count, b_count);
    for (size_t i = 0; i < a_count; i++) {
        assert_memory_equal((const char *)a + i * stride, (const char *)b + i * stride, used);
    }
}

static void assert_same_map(const nm_map *a, const nm_map *b) {
    assert_true(a->hash == b->hash);
    assert_memory_equal(&a->origin, &b->origin, sizeof a->origin);
    assert_memory_equal(&a->bounds_min, &b->bounds_min, 2 * sizeof a->bounds_min);
    assert_memory_equal(a->repairs, b->repairs, sizeof a->repairs);
    assert_int_equal(a->junction_count, b->junction_count);
#define SAME(type, name, count)                                                                                        \
    assert_int_equal(a->count, b->count);                                                                              \
    if (a->count) assert_memory_equal(a->name, b->name, a->count * sizeof(type));
    SAME(nm_lane, lanes, lane_count)
    SAME(nm_vec2, centre, point_count)
    SAME(nm_vec2, left, point_count)
    SAME(nm_vec2, right, point_count)
    SAME(float, z, point_count)
    SAME(float, point_s, point_count)
    SAME(nm_rail_point, rail, rail_count)
    SAME(uint32_t, lane_refs, lane_ref_count)
    SAME(nm_neighbour, neighbours, neighbour_count)
    SAME(nm_conflict, conflicts, conflict_count)
    SAME(nm_vec2, line_points, line_point_count)
    SAME(float, line_z, line_z_count)
    SAME(nm_vec2, area_points, area_point_count)
    SAME(nm_stop_line, stop_lines, stop_line_count)
    SAME(nm_sign, signs, sign_count)
    SAME(uint32_t, signal_refs, signal_ref_count)
    SAME(nm_phase, phases, phase_count)
#undef SAME
    // These end in padding, which holds anything.
    assert_same_elements(a->lines, b->lines, a->line_count, b->line_count, sizeof(nm_line),
                         offsetof(nm_line, points) + sizeof(nm_range));
    assert_same_elements(a->areas, b->areas, a->area_count, b->area_count, sizeof(nm_area),
                         offsetof(nm_area, points) + sizeof(nm_range));
    assert_same_elements(a->signals, b->signals, a->signal_count, b->signal_count, sizeof(nm_signal),
                         offsetof(nm_signal, lanes) + sizeof(nm_range));
}

static void test_map_comes_back(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        const nm_map *map = i == 0 ? rich_map() : i == 1 ? nm_test_road(300.0) : nm_test_tangle((uint64_t)i, 20, 50.0);
        blob b = encode_map(map);
        const nm_map *back = NULL;
        nm_error error;
        if (nm_map_decode(b.bytes, b.size, &back, &error) != NM_OK) fail_msg("%s", error.message);
        blob again = encode_map(back); // not prepared yet: the derived part is not in the bytes
        assert_int_equal(b.size, again.size);
        assert_memory_equal(b.bytes, again.bytes, b.size);
        assert_int_equal(nm_map_prepare(back, &error), NM_OK);
        assert_same_map(map, back);
        nm_map_release(back);
        nm_map_release(map);
        free(again.bytes);
        free(b.bytes);
    }
}

/// Heights of lines came with version 2; a map without them is written, and hashed, as before.
static void test_heights_of_lines(void **state) {
    (void)state;
    const nm_map *maps[2] = {nm_test_road(300.0), rich_map()};
    for (int i = 0; i < 2; i++) {
        blob b = encode_map(maps[i]);
        assert_int_equal(b.bytes[8], 1 + i);
        assert_int_equal(maps[i]->line_z_count, i ? maps[i]->line_point_count : 0);
        for (uint32_t k = 0; k < maps[i]->line_z_count; k++) assert_true(maps[i]->line_z[k] == 1.0f);
        free(b.bytes);
        nm_map_release(maps[i]);
    }
}

static void assert_same_scene(const nm_scene *a, const nm_scene *b) {
    size_t cells = (size_t)a->track_count * a->step_count;
    assert_true(a->hash == b->hash && a->dt == b->dt && a->step_count == b->step_count && a->ego == b->ego);
    assert_int_equal(a->current_step, b->current_step);
    assert_int_equal(a->track_count, b->track_count);
    assert_memory_equal(a->tracks, b->tracks, a->track_count * sizeof *a->tracks);
    assert_memory_equal(a->valid, b->valid, cells);
    const float *const mine[] = {a->x,           a->y,           a->z, a->heading, a->vx, a->vy, a->state_length,
                                 a->state_width, a->state_height};
    const float *const theirs[] = {b->x,           b->y,           b->z, b->heading, b->vx, b->vy, b->state_length,
                                   b->state_width, b->state_height};
    for (size_t i = 0; i < sizeof mine / sizeof mine[0]; ++i) {
        assert_int_equal(!mine[i], !theirs[i]);
        if (mine[i]) assert_memory_equal(mine[i], theirs[i], cells * sizeof(float));
    }
    assert_int_equal(!a->signal_states, !b->signal_states);
    if (a->signal_states) {
        assert_memory_equal(a->signal_states, b->signal_states, (size_t)a->map->signal_count * a->step_count);
    }
    assert_int_equal(!a->timestamps, !b->timestamps);
    if (a->timestamps) assert_memory_equal(a->timestamps, b->timestamps, a->step_count * sizeof(double));
    assert_int_equal(a->problem_count, b->problem_count);
    if (a->problem_count) assert_memory_equal(a->problems, b->problems, a->problem_count * sizeof *a->problems);
    assert_int_equal(a->goal_count, b->goal_count);
    if (a->goal_count) assert_memory_equal(a->goals, b->goals, a->goal_count * sizeof *a->goals);
    assert_int_equal(a->goal_area_count, b->goal_area_count);
    if (a->goal_area_count) {
        assert_memory_equal(a->goal_areas, b->goal_areas, a->goal_area_count * sizeof *a->goal_areas);
    }
    assert_int_equal(a->tag_count, b->tag_count);
    for (uint32_t i = 0; i < a->tag_count; i++) assert_string_equal(a->tags[i], b->tags[i]);
    assert_string_equal(a->provenance.source, b->provenance.source);
    assert_string_equal(a->provenance.scene_id, b->provenance.scene_id);
    assert_string_equal(a->provenance.parameters, b->provenance.parameters);
    assert_true(a->provenance.seed == b->provenance.seed && a->provenance.parent == b->provenance.parent);
}

static void test_scene_comes_back(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        const nm_map *map = i ? rich_map() : nm_test_road(100.0);
        const nm_scene *scene = rich_scene(map, (uint64_t)i);
        assert_non_null(scene->state_length);
        assert_int_equal(!scene->signal_states, i == 0);
        blob b = encode_scene(scene);
        uint64_t hash = 0;
        nm_error error;
        assert_int_equal(nm_scene_peek_map(b.bytes, b.size, &hash, &error), NM_OK);
        assert_true(hash == map->hash);
        const nm_scene *back = NULL;
        if (nm_scene_decode(b.bytes, b.size, map, &back, &error) != NM_OK) fail_msg("%s", error.message);
        assert_same_scene(scene, back);
        nm_scene_destroy(back);
        const nm_map *other = nm_test_road(101.0);
        assert_int_equal(nm_scene_decode(b.bytes, b.size, other, &back, &error), NM_E_FORMAT);
        assert_null(back);
        nm_map_release(other);
        nm_scene_destroy(scene);
        nm_map_release(map);
        free(b.bytes);
    }
}

static void test_hash_is_of_the_content(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(100.0);
    nm_test_agent a[2] = {{.x = 10.0, .speed = 5.0}, {.x = 40.0, .y = 3.5, .speed = 5.0}};
    const nm_scene *first = nm_test_scene(nm_map_retain(map), a, 2, 10);
    const nm_scene *same = nm_test_scene(nm_map_retain(map), a, 2, 10);
    a[1].x = nextafterf(40.0f, 50.0f);
    const nm_scene *moved = nm_test_scene(nm_map_retain(map), a, 2, 10);
    const nm_scene *elsewhere = nm_test_scene(nm_test_road(100.5), a, 2, 10);
    assert_true(first->hash == same->hash);
    assert_true(first->hash != moved->hash);
    assert_true(moved->hash != elsewhere->hash);
    nm_scene_destroy(first);
    nm_scene_destroy(same);
    nm_scene_destroy(moved);
    nm_scene_destroy(elsewhere);
    nm_map_release(map);
}

/// The block hash of the formats, written down a second time: for forged bytes whose hashes are right.
static uint64_t word_at(const unsigned char *p) {
    uint64_t w = 0;
    for (int i = 7; i >= 0; i--) w = w << 8 | p[i];
    return w;
}
static uint64_t block_hash(const unsigned char *bytes, size_t size) {
    uint64_t lane[4] = {0, ~(uint64_t)0, 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu};
    size_t padded = size / 32 * 32 + 32;
    unsigned char *copy = calloc(1, padded);
    memcpy(copy, bytes, size);
    for (size_t at = 0; at < padded; at += 8) {
        uint64_t *l = &lane[at / 8 % 4];
        *l ^= word_at(copy + at) * 0x9e3779b97f4a7c15u;
        *l = *l << 29 | *l >> 35;
        *l = *l * 0xd6e8feb86659fd93u + 0x2545f4914f6cdd1du;
    }
    free(copy);
    uint64_t hash = nm_hash64(lane[0] ^ (uint64_t)size);
    for (int i = 1; i < 4; i++) hash = nm_hash64(hash ^ lane[i]);
    return hash;
}
static void put64(unsigned char *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (unsigned char)(v >> (8 * i));
}

static void assert_in(nm_range range, uint32_t count) {
    assert_true(range.first <= count && range.count <= count - range.first);
}

/// Nothing in an accepted map may lead out of it.
static void assert_usable(const nm_map *map) {
    for (uint32_t i = 0; i < map->lane_ref_count; i++) assert_true(map->lane_refs[i] < map->lane_count);
    for (uint32_t i = 0; i < map->signal_ref_count; i++) assert_true(map->signal_refs[i] < map->signal_count);
    for (uint32_t i = 0; i < map->neighbour_count; i++) assert_true(map->neighbours[i].lane < map->lane_count);
    for (uint32_t i = 0; i < map->stop_line_count; i++) assert_true(map->stop_lines[i].lane < map->lane_count);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        assert_in(lane->points, map->point_count);
        assert_in(lane->predecessors, map->lane_ref_count);
        assert_in(lane->successors, map->lane_ref_count);
        assert_in(lane->left, map->neighbour_count);
        assert_in(lane->right, map->neighbour_count);
        assert_in(lane->signals, map->signal_ref_count);
        assert_true(lane->points.count >= 2 && lane->length > 0.0f && lane->type < NM_LANE_TYPE_COUNT);
        assert_true(lane->stop_line == NM_NONE || lane->stop_line < map->stop_line_count);
        assert_true(lane->stop_s >= 0.0f && lane->stop_s <= lane->length);
        assert_true(lane->junction == NM_NONE || lane->junction < map->junction_count);
    }
    for (uint32_t i = 0; i < map->point_count; i++) {
        assert_true(isfinite(map->centre[i].x) && isfinite(map->left[i].y) && isfinite(map->right[i].x));
        assert_true(isfinite(map->z[i]) && isfinite(map->point_s[i]));
    }
    for (uint32_t i = 0; i < map->line_count; i++) assert_in(map->lines[i].points, map->line_point_count);
    for (uint32_t i = 0; i < map->area_count; i++) assert_in(map->areas[i].points, map->area_point_count);
    for (uint32_t i = 0; i < map->sign_count; i++) assert_in(map->signs[i].lanes, map->lane_ref_count);
    for (uint32_t i = 0; i < map->signal_count; i++) {
        assert_in(map->signals[i].lanes, map->lane_ref_count);
        assert_in(map->signals[i].phases, map->phase_count);
    }
    for (uint32_t i = 0; i < map->phase_count; i++) assert_true(map->phases[i].state < NM_SIGNAL_STATE_COUNT);
}

static void test_damaged_map(void **state) {
    (void)state;
    const nm_map *map = rich_map();
    blob b = encode_map(map);
    const nm_map *back;
    nm_error error;
    assert_true(block_hash(b.bytes + 32, b.size - 32) == map->hash);
    for (size_t size = 0; size < b.size; size++) { // a copy of the exact size, so that a sanitizer sees any overrun
        unsigned char *cut = malloc(size + !size);
        memcpy(cut, b.bytes, size);
        assert_int_not_equal(nm_map_decode(cut, size, &back, &error), NM_OK);
        assert_null(back);
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * b.size; bit += bit < 1600 ? 1 : 13) {
        b.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(nm_map_decode(b.bytes, b.size, &back, &error), NM_OK);
        // now with a hash that is right again: accepted or refused, but usable if accepted
        uint64_t hash = word_at(b.bytes + 24);
        put64(b.bytes + 24, block_hash(b.bytes + 32, b.size - 32));
        if (nm_map_decode(b.bytes, b.size, &back, &error) == NM_OK) {
            assert_true(bit / 8 >= 24);
            assert_usable(back);
            if (bit % 8 == 3) { // the rest of the work, for some
                (void)nm_map_prepare(back, NULL);
                (void)nm_map_drivable(back, 1.0f, 2.0f);
            }
            nm_map_release(back);
        }
        put64(b.bytes + 24, hash);
        b.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    unsigned char *longer = calloc(1, b.size + 4); // something behind it, the header agreeing
    memcpy(longer, b.bytes, b.size);
    put64(longer + 16, b.size - 32 + 4);
    put64(longer + 24, block_hash(longer + 32, b.size - 32 + 4));
    assert_int_equal(nm_map_decode(longer, b.size + 4, &back, &error), NM_E_FORMAT);
    free(longer);
    b.bytes[8] = 3; // version
    assert_int_equal(nm_map_decode(b.bytes, b.size, &back, &error), NM_E_VERSION);
    free(b.bytes);
    nm_map_release(map);
}

static void test_damaged_scene(void **state) {
    (void)state;
    const nm_map *map = rich_map();
    const nm_scene *scene = rich_scene(map, 1);
    blob b = encode_scene(scene);
    const nm_scene *back;
    nm_error error;
    for (size_t size = 0; size < b.size; size += size < 400 ? 1 : 7) {
        unsigned char *cut = malloc(size + !size);
        memcpy(cut, b.bytes, size);
        assert_int_not_equal(nm_scene_decode(cut, size, map, &back, &error), NM_OK);
        assert_null(back);
        if (size >= 48) { // the same with a header that agrees
            put64(cut + 16, size - 48);
            put64(cut + 24, block_hash(cut + 48, size - 48));
            assert_int_not_equal(nm_scene_decode(cut, size, map, &back, &error), NM_OK);
        }
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * b.size; bit += bit < 1600 ? 1 : 13) {
        b.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_not_equal(nm_scene_decode(b.bytes, b.size, map, &back, &error), NM_OK);
        // the body's hash made right again: the content's hash has the last word, but for the provenance
        uint64_t hash = word_at(b.bytes + 24);
        put64(b.bytes + 24, block_hash(b.bytes + 48, b.size - 48));
        if (nm_scene_decode(b.bytes, b.size, map, &back, &error) == NM_OK) {
            assert_true(back->hash == scene->hash);
            nm_scene_destroy(back);
        }
        put64(b.bytes + 24, hash);
        b.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_int_equal(nm_scene_decode(b.bytes, b.size, map, &back, &error), NM_OK); // restored
    nm_scene_destroy(back);
    b.bytes[8] = 9;
    assert_int_equal(nm_scene_decode(b.bytes, b.size, map, &back, &error), NM_E_VERSION);
    free(b.bytes);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

/// A few bytes that ask for gigabytes are refused before anything is allocated.
static void test_forged_counts(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(100.0);
    const nm_scene *scene = nm_test_scene(nm_map_retain(map), NULL, 0, 10);
    const nm_scene *back;
    const nm_map *map_back;
    nm_error error;
    blob b = encode_scene(scene);
    for (size_t field = 4; field < 44; field += 4) {
        unsigned char saved[4];
        memcpy(saved, b.bytes + 48 + field, 4);
        for (int k = 0; k < 3; k++) {
            memset(b.bytes + 48 + field, k == 0 ? 0xff : k == 1 ? 0x7f : 0x01, 4);
            if (k == 2) b.bytes[48 + field + 3] = 0;
            put64(b.bytes + 24, block_hash(b.bytes + 48, b.size - 48));
            assert_int_not_equal(nm_scene_decode(b.bytes, b.size, map, &back, &error),
                                 field == 12 && k == 0 ? -1 : NM_OK);
            if (field == 12 && k == 0) nm_scene_destroy(back); // ego: "none" is what it was
        }
        memcpy(b.bytes + 48 + field, saved, 4);
    }
    free(b.bytes);
    b = encode_map(map);
    for (size_t field = 24; field < 80; field += 4) {
        unsigned char saved[4];
        memcpy(saved, b.bytes + 32 + field, 4);
        memset(b.bytes + 32 + field, 0x7f, 4);
        put64(b.bytes + 24, block_hash(b.bytes + 32, b.size - 32));
        assert_int_equal(nm_map_decode(b.bytes, b.size, &map_back, &error), NM_E_FORMAT);
        memcpy(b.bytes + 32 + field, saved, 4);
    }
    free(b.bytes);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

/// Smooth motion must take far fewer bits than its floats: leading byte planes are almost all zero.
static void test_smooth_motion_is_small(void **state) {
    (void)state;
    nm_test_agent agents[8];
    for (int i = 0; i < 8; i++) {
        agents[i] = (nm_test_agent){.x = 20.0 * i, .y = 3.5 * (i % 3), .heading = 0.01 * i, .speed = 5.0 + 0.37 * i};
    }
    const nm_scene *scene = nm_test_scene(nm_test_road(500.0), agents, 8, 80);
    blob b = encode_scene(scene);
    size_t states = 8 * 80, planes = 6 * 4, zero = 0;
    const unsigned char *at = b.bytes + b.size - states * planes;
    for (size_t i = 0; i < states * planes; i++) zero += at[i] == 0;
    assert_true(zero > states * planes * 85 / 100);
    free(b.bytes);
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_comes_back),   cmocka_unit_test(test_heights_of_lines),
        cmocka_unit_test(test_scene_comes_back), cmocka_unit_test(test_hash_is_of_the_content),
        cmocka_unit_test(test_damaged_map),      cmocka_unit_test(test_damaged_scene),
        cmocka_unit_test(test_forged_counts),    cmocka_unit_test(test_smooth_motion_is_small),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
