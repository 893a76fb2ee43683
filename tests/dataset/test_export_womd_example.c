/// Scenes as tf.Example records and back, and hostile records of that kind.
#include "export_support.h"

#include "base/rng.h"
#include "dataset/protobuf_out.h"
#include "dataset/readers.h"
#include "sim/builtin.h"
#include "womd_fixture.h"

/// Lanes, by id, that lead out of a lane.
static uint32_t exits(const nm_map *map, uint32_t lane, int64_t ids[64]) {
    const nm_lane *l = &map->lanes[lane];
    assert_true(l->successors.count <= 64);
    for (uint32_t i = 0; i < l->successors.count; i++)
        ids[i] = map->lanes[map->lane_refs[l->successors.first + i]].source_id;
    return l->successors.count;
}

/// How many of the links of `a` are links of `b`.
static uint32_t common_links(const nm_map *a, const nm_map *b, uint32_t *all) {
    uint32_t found = 0;
    int64_t ours[64], theirs[64];
    *all = 0;
    for (uint32_t i = 0; i < a->lane_count; i++) {
        const uint32_t other = lane_index(b, a->lanes[i].source_id);
        const uint32_t n = exits(a, i, ours), m = other == NM_NONE ? 0 : exits(b, other, theirs);
        *all += n;
        for (uint32_t k = 0; k < n; k++) {
            for (uint32_t j = 0; j < m; j++) found += ours[k] == theirs[j];
        }
    }
    return found;
}

static uint32_t track_of(const nm_scene *scene, int64_t id) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (scene->tracks[i].source_id == id) return i;
    }
    return NM_NONE;
}

/// Every agent of `b` is one of `a`, with its states: to a float's precision of source coordinates.
static void same_agents(const nm_scene *a, const nm_scene *b, double slack) {
    assert_int_equal(a->step_count, b->step_count);
    assert_int_equal(a->current_step, b->current_step);
    for (uint32_t k = 0; k < b->track_count; k++) {
        const uint32_t i = track_of(a, b->tracks[k].source_id);
        assert_int_not_equal(i, NM_NONE);
        assert_int_equal(a->tracks[i].type, b->tracks[k].type);
        assert_int_equal(a->tracks[i].flags & NM_TRACK_EGO, b->tracks[k].flags & NM_TRACK_EGO);
        for (uint32_t t = 0; t < a->step_count; t++) {
            const size_t x = nm_scene_at(a, i, t), y = nm_scene_at(b, k, t);
            assert_int_equal(a->valid[x] != 0, b->valid[y] != 0);
            if (a->valid[x]) nm_test_same_state(a, x, b, y, &a->tracks[i], &b->tracks[k], slack);
        }
    }
    for (uint32_t t = 0; t < a->step_count; t++) assert_float_equal(a->timestamps[t], b->timestamps[t], 2e-6);
}

static void same_signals(const nm_scene *a, const nm_scene *b) {
    assert_int_equal(a->map->signal_count < 16 ? a->map->signal_count : 16, b->map->signal_count);
    for (uint32_t k = 0; k < b->map->signal_count; k++) {
        uint32_t i = 0;
        while (a->map->signals[i].source_id != b->map->signals[k].source_id) assert_true(++i < a->map->signal_count);
        for (uint32_t t = 0; t < a->step_count; t++)
            assert_int_equal(nm_scene_signal(a, i, t), nm_scene_signal(b, k, t));
    }
}

static void check_record(const char *relative, uint32_t lanes) {
    char path[512];
    if (!nm_test_have(path, sizeof path, relative)) skip();
    const nm_scene *scene = nm_test_import_file(path);
    const nm_export_item item = {.scene = scene, .id = 1};
    const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD_EXAMPLE, &item);
    assert_int_equal(back->track_count, scene->track_count < 128 ? scene->track_count : 128);
    same_agents(scene, back, 6e-4);
    same_signals(scene, back);
    assert_int_equal(scene->map->lane_count, lanes);
    assert_int_equal(back->map->lane_count, lanes);
    assert_int_equal(back->map->area_count, scene->map->area_count);
    assert_int_equal(back->map->sign_count, scene->map->sign_count);
    uint32_t links, made;
    const uint32_t kept = common_links(scene->map, back->map, &links);
    const uint32_t right = common_links(back->map, scene->map, &made);
    assert_int_equal(kept, right);
    // links by geometry: nearly all that the record names, and next to none that it does not
    assert_true(links > 100 && 100 * kept >= 98 * links && 100 * right >= 98 * made);
    for (uint32_t i = 0; i < lanes; i++)
        assert_float_equal(lane_by_id(back->map, scene->map->lanes[i].source_id)->length, scene->map->lanes[i].length,
                           0.05 + 0.01 * (double)scene->map->lanes[i].length);
    nm_scene_destroy(back);
    nm_scene_destroy(scene);
}

typedef struct dice {
    nm_rng_key key;
    uint32_t draw;
} dice;
static double roll(dice *d, double low, double high) {
    return low + (high - low) * (double)nm_rng_uniform(&d->key, d->draw++);
}

/// Tracks with gaps on one of the built-in roads; ids that a float holds.
static const nm_scene *random_scene(uint64_t seed, uint32_t steps, uint32_t current, uint32_t tracks) {
    dice d = {.key = {.seed = seed, .purpose = NM_PURPOSE_TEST}};
    const nm_builtin_params params = nm_builtin_params_default((nm_builtin_kind)(seed % NM_BUILTIN_COUNT));
    const nm_map *map = NULL;
    const nm_scene *scene = NULL;
    assert_int_equal(nm_builtin_map(&params, &map, NULL), NM_OK);
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, NULL), NM_OK);
    for (uint32_t i = 0; i < tracks; i++) {
        static const nm_agent_type types[] = {NM_AGENT_CAR, NM_AGENT_PEDESTRIAN, NM_AGENT_CYCLIST, NM_AGENT_UNKNOWN};
        nm_track_def def = {.id = 3 + 5 * (int64_t)i,
                            .type = types[nm_rng_below(&d.key, d.draw++, 4)],
                            .length = (float)roll(&d, 0.5, 6.5),
                            .width = (float)roll(&d, 0.5, 3.0),
                            .height = (float)roll(&d, 0.5, 4.0)};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, NULL), NM_OK);
        for (uint32_t t = 0; t < steps; t++) {
            if (nm_rng_below(&d.key, d.draw++, 6) == 0 && t != current) continue;
            const nm_state at = {.x = (float)roll(&d, -300.0, 300.0),
                                 .y = (float)roll(&d, -300.0, 300.0),
                                 .z = (float)roll(&d, -5.0, 5.0),
                                 .heading = (float)roll(&d, -3.14, 3.14),
                                 .vx = (float)roll(&d, -30.0, 30.0),
                                 .vy = (float)roll(&d, -30.0, 30.0)};
            assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &at, NULL), NM_OK);
        }
    }
    for (uint32_t i = 0; i < map->signal_count; i++) {
        for (uint32_t t = 0; t < steps; t++) // what is not seen or off is UNKNOWN
            nm_scene_builder_set_signal(builder, i, t, (nm_signal_state)nm_rng_below(&d.key, d.draw++, 9), NULL);
    }
    nm_scene_builder_set_current(builder, current, 0);
    assert_int_equal(nm_scene_builder_build(builder, &scene, NULL), NM_OK);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

/// The states of `b` are those of `a` from `first` on, for each track that is in `b`.
static void same_random(const nm_scene *a, const nm_scene *b, uint32_t first) {
    assert_int_equal(b->step_count, 91);
    assert_int_equal(b->current_step, 10);
    assert_int_equal(a->track_count < 128 ? a->track_count : 128, b->track_count);
    for (uint32_t k = 0; k < b->track_count; k++) {
        const uint32_t i = track_of(a, b->tracks[k].source_id);
        assert_int_not_equal(i, NM_NONE);
        assert_int_equal(a->tracks[i].type, b->tracks[k].type);
        assert_int_equal(i == a->ego, k == b->ego);
        for (uint32_t t = 0; t < 91; t++) {
            const size_t y = nm_scene_at(b, k, t);
            const int there = first + t < a->step_count && a->valid[nm_scene_at(a, i, first + t)];
            assert_int_equal(there, b->valid[y] != 0);
            if (there) nm_test_same_state(a, nm_scene_at(a, i, first + t), b, y, &a->tracks[i], &b->tracks[k], 1e-4);
        }
    }
}

static void random_traffic_comes_back(void **state) {
    (void)state;
    const uint32_t lengths[] = {91, 30, 200, 120}, currents[] = {10, 0, 40, 10}, firsts[] = {0, 0, 30, 0};
    for (uint64_t seed = 0; seed < 2 * NM_BUILTIN_COUNT; seed++) {
        const uint32_t k = (uint32_t)seed % 4;
        const nm_scene *scene = random_scene(seed, lengths[k], currents[k], seed % 7 == 0 ? 140 : 1 + (uint32_t)seed);
        const nm_export_item item = {.scene = scene, .id = 1};
        const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD_EXAMPLE, &item);
        same_random(scene, back, firsts[k]);
        uint32_t lanes = 0;
        for (uint32_t i = 0; i < scene->map->lane_count; i++) {
            const nm_lane *lane = &scene->map->lanes[i];
            if (lane->type == NM_LANE_SIDEWALK || lane->type == NM_LANE_CROSSWALK) continue;
            const nm_lane *got = lane_by_id(back->map, lane->source_id);
            assert_float_equal(got->length, lane->length, 0.05 + 0.01 * (double)lane->length);
            lanes++;
        }
        assert_int_equal(lanes, back->map->lane_count);
        nm_scene_destroy(back);
        nm_scene_destroy(scene);
    }
}

static void the_first_record_comes_back(void **state) {
    (void)state;
    check_record("data/womd/motion_data_one_scenario.tfrecord", 198);
}
static void the_second_record_comes_back(void **state) {
    (void)state;
    check_record("data/womd/womd_scenario_input.tfrecord", 114);
}

/// The public tf.Example: what it holds, and that writing it again changes nothing of it.
static void the_public_example_is_read(void **state) {
    (void)state;
    char path[512];
    if (!nm_test_have(path, sizeof path, "data/womd/motion_data_one_example.tfrecord")) skip();
    const nm_scene *scene = nm_test_import_file(path);
    assert_string_equal(scene->provenance.scene_id, "a3bb37c25ce56418");
    assert_int_equal(scene->track_count, 128);
    assert_int_equal(scene->ego, 8);
    assert_int_equal(scene->step_count, 91);
    assert_int_equal(scene->current_step, 10);
    uint32_t now = 0, predicted = 0;
    for (uint32_t i = 0; i < 128; i++) {
        now += scene->valid[nm_scene_at(scene, i, 10)];
        predicted += (scene->tracks[i].flags & NM_TRACK_TO_PREDICT) != 0;
    }
    assert_int_equal(now, 73);
    assert_int_equal(predicted, 8);
    assert_true(scene->tracks[0].source_id == 7 && scene->tracks[3].source_id == 41);
    const size_t at = nm_scene_at(scene, 0, 10);
    assert_float_equal(scene->map->origin.x + (double)scene->x[at], -348.28179931640625, 3e-5);
    assert_float_equal(scene->heading[at], -1.9507771730422974, 1e-6);
    assert_float_equal(scene->timestamps[10], 0.99921, 1e-9);
    const nm_export_item item = {.scene = scene, .id = 1};
    const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD_EXAMPLE, &item);
    assert_int_equal(back->track_count, 128);
    // the converter's order of agents is found again from the scene alone
    for (uint32_t i = 0; i < 128; i++) assert_true(scene->tracks[i].source_id == back->tracks[i].source_id);
    same_agents(scene, back, 1e-4);
    nm_scene_destroy(back);
    nm_scene_destroy(scene);
}

static void the_sample_made_by_hand(void **state) {
    fixture *f = *state;
    const nm_scene *scene = accepted(f);
    const nm_export_item item = {.scene = scene, .id = 1};
    const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD_EXAMPLE, &item);
    assert_int_equal(back->track_count, 3);
    assert_int_equal(back->map->lane_count, 4);
    assert_int_equal(back->map->line_count, 3);
    assert_int_equal(back->map->area_count, 3);
    assert_int_equal(back->map->sign_count, 1);
    int64_t ids[64];
    // lane 3 goes off at a right angle once its second point is left out: no link
    assert_int_equal(exits(back->map, lane_index(back->map, 1), ids), 1);
    assert_true(ids[0] == 2);
    assert_int_equal(lane_by_id(back->map, 1)->control, NM_CONTROL_SIGNAL); // found through the links
    same_signals(scene, back);
    nm_scene_destroy(back);
}

// --- bad records -----------------------------------------------------------------------------------------------------

/// A record of one's own: its features are added one by one.
typedef struct made_example {
    nm_byte_buffer bytes;
    size_t whole;
} made_example;

static void begin(made_example *e) {
    *e = (made_example){0};
    e->whole = nm_pb_begin(&e->bytes, 1);
}

/// `list` 2: floats; 3: integers; each `count` times.
static void add_value(made_example *e, const char *key, int list, size_t count, double value) {
    size_t places[4];
    places[0] = nm_pb_begin(&e->bytes, 1);
    nm_pb_bytes(&e->bytes, 1, key, strlen(key));
    places[1] = nm_pb_begin(&e->bytes, 2);
    places[2] = nm_pb_begin(&e->bytes, (uint32_t)list);
    places[3] = nm_pb_begin(&e->bytes, 1);
    for (size_t i = 0; i < count; i++) {
        if (list == 2)
            nm_pb_store_float(nm_byte_buffer_grow(&e->bytes, 4), (float)value);
        else
            nm_pb_raw_varint(&e->bytes, (uint64_t)(int64_t)value);
    }
    for (int i = 3; i >= 0; i--) nm_pb_end(&e->bytes, places[i]);
}

/// The least that is a scene: two agents, one step; what `except` names is left out.
static void add_least(made_example *e, const char *except) {
    static const char *const states[] = {"x",      "y",        "z",          "length",    "width",
                                         "height", "bbox_yaw", "velocity_x", "velocity_y"};
    char key[64];
    const struct {
        const char *key;
        int list;
        double value;
    } agents[] = {{"state/type", 2, 1.0}, {"state/current/valid", 3, 1.0}};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        snprintf(key, sizeof key, "state/current/%s", states[i]);
        if (strcmp(key, except) != 0) add_value(e, key, 2, 2, 1.0);
    }
    for (size_t i = 0; i < sizeof agents / sizeof *agents; i++) {
        if (strcmp(agents[i].key, except) != 0) add_value(e, agents[i].key, agents[i].list, 2, agents[i].value);
    }
}

/// Two agents of different ids, the first of them the AV.
static void add_identities(made_example *e) {
    const float ids[] = {5.0f, 6.0f};
    uint8_t packed[8];
    nm_pb_store_float(nm_pb_store_float(packed, ids[0]), ids[1]);
    const uint8_t sdc[] = {1, 0};
    const struct {
        const char *key;
        uint32_t list;
        const void *bytes;
        size_t size;
    } parts[] = {{"state/id", 2, packed, sizeof packed}, {"state/is_sdc", 3, sdc, sizeof sdc}};
    for (int i = 0; i < 2; i++) {
        const size_t entry = nm_pb_begin(&e->bytes, 1);
        nm_pb_bytes(&e->bytes, 1, parts[i].key, strlen(parts[i].key));
        const size_t feature = nm_pb_begin(&e->bytes, 2), list = nm_pb_begin(&e->bytes, parts[i].list);
        nm_pb_bytes(&e->bytes, 1, parts[i].bytes, parts[i].size);
        nm_pb_end(&e->bytes, list);
        nm_pb_end(&e->bytes, feature);
        nm_pb_end(&e->bytes, entry);
    }
}

static void read_example(fixture *f, made_example *e) {
    nm_pb_end(&e->bytes, e->whole);
    assert_false(e->bytes.failed);
    read_payload(f, e->bytes.bytes, e->bytes.size);
    nm_byte_buffer_free(&e->bytes);
}

static void is_refused(fixture *f, made_example *e, nm_status code, const char *message) {
    read_example(f, e);
    assert_int_equal(f->scene_count, 0);
    assert_int_equal(f->refusal_count, 1);
    assert_int_equal(f->refusals[0].code, code);
    if (!strstr(f->refusals[0].message, message)) fail_msg("%s", f->refusals[0].message);
    forget(f);
}

static void the_least_is_a_scene(void **state) {
    fixture *f = *state;
    made_example e;
    begin(&e);
    add_identities(&e);
    add_least(&e, "");
    read_example(f, &e);
    if (f->refusal_count) print_error("%s\n", f->refusals[0].message);
    assert_int_equal(f->scene_count, 1);
    assert_int_equal(f->scenes[0]->track_count, 2);
    assert_int_equal(f->scenes[0]->step_count, 1);
    assert_int_equal(f->scenes[0]->ego, 0);
}

static void what_is_missing_is_named(void **state) {
    fixture *f = *state;
    static const char *const keys[] = {"state/type", "state/current/x", "state/current/valid",
                                       "state/current/bbox_yaw"};
    made_example e;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char message[128];
        begin(&e);
        add_identities(&e);
        add_least(&e, keys[i]);
        snprintf(message, sizeof message, "feature '%s' is missing", keys[i]);
        is_refused(f, &e, NM_E_FORMAT, message);
    }
}

static void contradictions_are_named(void **state) {
    fixture *f = *state;
    const struct {
        const char *key;
        int list;
        size_t count;
        double value;
        const char *message;
    } cases[] = {{"state/current/x", 2, 3, 1.0, "'state/current/x' has 3 values for 2 agents"},
                 {"state/current/y", 2, 1, 1.0, "'state/current/y' has 1 values, not 2"},
                 {"state/current/y", 3, 2, 1.0, "'state/current/y' holds no floats"},
                 {"state/current/valid", 2, 2, 1.0, "'state/current/valid' holds no integers"},
                 {"state/id", 2, 2, -3.0, "marks 0 agents"},
                 {"state/id", 2, 2, 4.0, "4"}, // both the same
                 {"state/id", 2, 2, 1e20, "has the id 1e+20"},
                 {"state/is_sdc", 3, 2, 1.0, "marks 2 agents"},
                 {"state/is_sdc", 3, 2, 0.0, "marks 0 agents"},
                 {"state/current/x", 2, 2, NAN, "position is not a number"},
                 {"state/past/x", 2, 5, 1.0, "'state/past/x' has 5 values for 2 agents"},
                 {"roadgraph_samples/xyz", 2, 6, 1.0, "'roadgraph_samples/type' is missing"},
                 {"traffic_light_state/current/state", 3, 3, 1.0, "'traffic_light_state/current/x' is missing"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        made_example e;
        begin(&e);
        add_identities(&e);
        add_least(&e, "");
        add_value(&e, cases[i].key, cases[i].list, cases[i].count, cases[i].value); // the last one counts
        if (strcmp(cases[i].message, "marks 0 agents") == 0 && cases[i].value < 0.0) {
            read_example(f, &e); // nobody is there: a scene without tracks
            assert_int_equal(f->scene_count, 1);
            assert_int_equal(f->scenes[0]->track_count, 0);
            forget(f);
            continue;
        }
        is_refused(f, &e, NM_E_FORMAT, cases[i].message);
    }
}

static void add_points(made_example *e, size_t count, const float *xyz, int64_t type, int64_t id) {
    const size_t entry = nm_pb_begin(&e->bytes, 1);
    nm_pb_bytes(&e->bytes, 1, "roadgraph_samples/xyz", 21);
    const size_t feature = nm_pb_begin(&e->bytes, 2), list = nm_pb_begin(&e->bytes, 2);
    const size_t values = nm_pb_begin(&e->bytes, 1);
    for (size_t i = 0; i < 3 * count; i++) nm_pb_store_float(nm_byte_buffer_grow(&e->bytes, 4), xyz[i]);
    nm_pb_end(&e->bytes, values);
    nm_pb_end(&e->bytes, list);
    nm_pb_end(&e->bytes, feature);
    nm_pb_end(&e->bytes, entry);
    add_value(e, "roadgraph_samples/type", 3, count, (double)type);
    add_value(e, "roadgraph_samples/id", 3, count, (double)id);
    add_value(e, "roadgraph_samples/valid", 3, count, 1.0);
}

/// A lane that was cut: both pieces are there, the first under its id.
static void pieces_of_a_line_get_ids(void **state) {
    fixture *f = *state;
    const float xyz[] = {0, 0, 0, 1, 0, 0, 2, 0, 0, 9, 0, 0, 10, 0, 0};
    made_example e;
    begin(&e);
    add_identities(&e);
    add_least(&e, "");
    add_points(&e, 5, xyz, 2, 77);
    read_example(f, &e);
    assert_int_equal(f->scene_count, 1);
    const nm_map *map = f->scenes[0]->map;
    assert_int_equal(map->lane_count, 2);
    assert_float_equal(lane_by_id(map, 77)->length, 2.0, 1e-5);
    assert_float_equal(lane_by_id(map, 78)->length, 1.0, 1e-5);
    assert_int_equal(lane_by_id(map, 77)->type, NM_LANE_STREET);
    forget(f);
    // of a kind that nobody knows: counted
    begin(&e);
    add_identities(&e);
    add_least(&e, "");
    add_points(&e, 5, xyz, 99, 77);
    read_example(f, &e);
    assert_int_equal(f->scene_count, 1);
    assert_int_equal(f->scenes[0]->map->lane_count, 0);
    assert_string_equal(f->scenes[0]->tags[0], "unknown_features:2");
}

/// Where lanes begin and end is known to centimetres where coordinates are large.
static void lanes_follow_one_another_where_they_meet(void **state) {
    fixture *f = *state;
    // a straight lane, and a second one that begins `gap` m beside its end; samples of the two have one id each
    const struct {
        float gap, dx, dy;
        uint32_t links;
    } cases[] = {{0.0f, 1.0f, 0.0f, 1}, {0.05f, 1.0f, 0.0f, 1}, {0.3f, 1.0f, 0.0f, 0},
                 {0.0f, 0.6f, 0.8f, 1}, {0.0f, 0.4f, 0.9f, 0},  {0.0f, -1.0f, 0.0f, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float x = 2.0f, y = cases[i].gap;
        const float xyz[] = {0, 0, 0, 1, 0, 0, 2, 0, 0, x, y, 0, x + cases[i].dx, y + cases[i].dy, 0};
        const float dir[] = {1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
        made_example e;
        begin(&e);
        add_identities(&e);
        add_least(&e, "");
        add_points(&e, 5, xyz, 2, 77);
        const size_t entry = nm_pb_begin(&e.bytes, 1);
        nm_pb_bytes(&e.bytes, 1, "roadgraph_samples/dir", 21);
        const size_t feature = nm_pb_begin(&e.bytes, 2), list = nm_pb_begin(&e.bytes, 2);
        const size_t values = nm_pb_begin(&e.bytes, 1);
        for (size_t k = 0; k < 15; k++) nm_pb_store_float(nm_byte_buffer_grow(&e.bytes, 4), dir[k]);
        nm_pb_end(&e.bytes, values);
        nm_pb_end(&e.bytes, list);
        nm_pb_end(&e.bytes, feature);
        nm_pb_end(&e.bytes, entry);
        read_example(f, &e);
        assert_int_equal(f->scene_count, 1);
        const nm_map *map = f->scenes[0]->map;
        assert_int_equal(map->lane_count, 2);
        const nm_lane *first = lane_by_id(map, 77);
        assert_float_equal(first->length, 2.0, 1e-5);
        assert_int_equal(first->successors.count, cases[i].links);
        forget(f);
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_traffic_comes_back),
        cmocka_unit_test(the_first_record_comes_back),
        cmocka_unit_test(the_second_record_comes_back),
        cmocka_unit_test(the_public_example_is_read),
        TEST(the_sample_made_by_hand),
        TEST(the_least_is_a_scene),
        TEST(what_is_missing_is_named),
        TEST(contradictions_are_named),
        TEST(pieces_of_a_line_get_ids),
        TEST(lanes_follow_one_another_where_they_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
