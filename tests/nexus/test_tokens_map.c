/// The map as tokens see it: rows whose every number is known, rows against the map's own queries, nearest first and
/// none nearer left out, signals, and the published layout with its padding.
#include "tokens_support.h"

#define NEAR(a, b) assert_true(fabs((double)(a) - (double)(b)) < 2e-5)

static nm_token_config lanes_only(nm_token_encoding encoding) {
    nm_token_config config = nm_token_config_default(encoding);
    config.map_features = NM_MAP_LANES;
    return config;
}

static const float *row_of(const nm_tokens *tokens, uint32_t row) {
    return tokens->shape.map + (size_t)row * nm_token_map_channels(&tokens->config);
}

/// Three lanes of 110 m in four pieces of 27.5 m each; the agent stands on the middle lane at x = 40, facing west.
static void test_rows_by_hand(void **state) {
    (void)state;
    const nm_test_agent one = {.x = 40.0, .y = 3.0, .heading = NM_PI, .speed = 0.0};
    const nm_scene *scene = nm_test_scene(nm_test_road(110.0), &one, 1, 1);
    const nm_token_config config = lanes_only(NM_TOKENS_AGENT);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
    assert_int_equal(nm_token_map_pieces(f.map), 12);
    assert_int_equal(f.tokens.shape.points, 12);
    assert_int_equal(f.tokens.map_polylines, 12);
    assert_null(f.tokens.shape.map_valid);
    // nearest: the second piece (27.5 to 55) of the middle lane (y = 3.5), 0.5 m away; then lane 0 (3 m), lane 2 (4 m)
    static const uint32_t pieces[3] = {5, 1, 9};
    static const float distances[3] = {0.5f, 3.0f, 4.0f};
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(f.tokens.map_piece[i], pieces[i]);
        assert_int_equal(f.tokens.shape.map_agent[i], 0);
        NEAR(row_of(&f.tokens, i)[NM_ROW_DISTANCE], distances[i] / 50.0f);
    }
    float wanted[NM_ROW_POINTS] = {0};
    wanted[NM_ROW_KIND + NM_POLYLINE_LANE] = 1.0f;
    wanted[NM_ROW_LANE_TYPE + NM_LANE_FREEWAY] = 1.0f;
    wanted[NM_ROW_TURN] = 1.0f; // straight on
    wanted[NM_ROW_LIMIT_KNOWN] = 1.0f;
    wanted[NM_ROW_LIMIT] = 1.5f;
    wanted[NM_ROW_LEFT] = wanted[NM_ROW_RIGHT] = 1.75f / 4.0f;
    wanted[NM_ROW_TO_END] = 55.0f / 50.0f;
    wanted[NM_ROW_LENGTH] = 27.5f / 50.0f;
    wanted[NM_ROW_DISTANCE] = 0.5f / 50.0f;
    wanted[NM_ROW_CHANGE_LEFT] = wanted[NM_ROW_CHANGE_RIGHT] = 1.0f;
    for (uint32_t i = 0; i < 12; i++)
        NEAR(row_of(&f.tokens, i)[NM_ROW_TO_END], 27.5 * (3 - f.tokens.map_piece[i] % 4) / 50.0);
    const float *row = row_of(&f.tokens, 0), *left = row_of(&f.tokens, 2), *right = row_of(&f.tokens, 1);
    for (uint32_t k = 0; k < NM_ROW_POINTS; k++) NEAR(row[k], wanted[k]);
    for (uint32_t j = 0; j < config.map_points; j++) { // seen from behind: x runs backwards
        NEAR(row[NM_ROW_POINTS + 2 * j], (40.0 - 27.5 - 27.5 * j / 9.0) / 20.0);
        NEAR(row[NM_ROW_POINTS + 2 * j + 1], -0.5 / 20.0);
    }
    NEAR(left[NM_ROW_CHANGE_LEFT], 0.0);
    NEAR(left[NM_ROW_CHANGE_RIGHT], 1.0);
    NEAR(right[NM_ROW_CHANGE_LEFT], 1.0);
    NEAR(right[NM_ROW_CHANGE_RIGHT], 0.0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// The same road: of each lane the first two pieces lie within 13.5 m, the third one within 15.6 m, the last beyond 40.
static void test_range(void **state) {
    (void)state;
    const nm_test_agent one = {.x = 40.0, .y = 3.0, .heading = NM_PI, .speed = 0.0};
    const nm_scene *scene = nm_test_scene(nm_test_road(110.0), &one, 1, 1);
    static const struct {
        double range;
        uint32_t pieces;
    } cases[] = {{0.4, 0}, {0.6, 1}, {3.5, 2}, {11.0, 3}, {13.5, 6}, {15.6, 9}, {42.0, 9}, {43.0, 12}};
    for (int e = 0; e < 2; e++) {
        nm_token_config config = lanes_only(e ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        config.map_piece = 30.0;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            config.map_range = cases[i].range;
            tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
            assert_int_equal(f.tokens.map_polylines, cases[i].pieces);
            tokens_end(&f);
        }
    }
    nm_scene_destroy(scene);
}

/// A lane with every attribute, a line, an edge, a crosswalk and a bump.
static const nm_map *furnished_map(void) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    def.type = NM_LANE_BUS;
    def.turn = NM_TURN_U;
    def.control = NM_CONTROL_SIGNAL;
    def.flags = NM_LANE_BIDIRECTIONAL;
    def.junction = 3;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 10.0, 0.0}, 2, 3.0);
    def = nm_lane_def_default();
    def.id = 2;
    def.type = NM_LANE_SIDEWALK;
    nm_test_lane(builder, &def, (double[]){0.0, 20.0, 10.0, 20.0}, 2, 2.0);
    nm_error error;
    const nm_point3 line[2] = {{0.0, 5.0, 0.0}, {10.0, 5.0, 0.0}}, edge[2] = {{0.0, 6.0, 0.0}, {10.0, 6.0, 0.0}};
    const nm_point3 square[4] = {{0.0, 30.0, 0.0}, {5.0, 30.0, 0.0}, {5.0, 35.0, 0.0}, {0.0, 35.0, 0.0}};
    const nm_point3 speck[3] = {{0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}};
    nm_map_builder_add_line(builder, 4, NM_LINE_ROAD_LINE, NM_MARKING_SOLID, NM_COLOUR_WHITE, line, 2, &error);
    nm_map_builder_add_line(builder, 5, NM_LINE_EDGE_MEDIAN, NM_MARKING_UNKNOWN, NM_COLOUR_UNKNOWN, edge, 2, &error);
    nm_map_builder_add_area(builder, 6, NM_AREA_CROSSWALK, square, 4, &error);
    nm_map_builder_add_area(builder, 7, NM_AREA_SPEED_BUMP, speck, 3, &error); // without length: left out
    const nm_phase phases[3] = {{20, NM_SIGNAL_GO, {0}}, {10, NM_SIGNAL_CAUTION, {0}}, {30, NM_SIGNAL_ARROW_STOP, {0}}};
    const int64_t lane = 1;
    const nm_signal_def signal = {
        .id = 9, .phases = phases, .phase_count = 3, .cycle_dt = 0.1, .lanes = &lane, .lane_count = 1};
    assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK);
    return nm_test_build(builder);
}

static const nm_test_agent at_origin = {.x = 2.0, .y = 0.0, .heading = 0.0, .speed = 0.1};

static void test_kinds(void **state) {
    (void)state;
    const nm_scene *scene = nm_test_scene(furnished_map(), &at_origin, 1, 40);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    config.map_features = NM_MAP_LANES | NM_MAP_LINES | NM_MAP_AREAS;
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 25, .focus = NM_NONE});
    assert_int_equal(f.tokens.shape.points, 5); // lane, line, edge, sidewalk, crosswalk: by distance
    static const nm_polyline_kind kinds[5] = {NM_POLYLINE_LANE, NM_POLYLINE_LINE, NM_POLYLINE_EDGE, NM_POLYLINE_LANE,
                                              NM_POLYLINE_CROSSWALK};
    for (uint32_t i = 0; i < 5; i++)
        for (uint32_t k = 0; k < NM_POLYLINE_KINDS; k++) NEAR(row_of(&f.tokens, i)[NM_ROW_KIND + k], k == kinds[i]);
    const float *lane = row_of(&f.tokens, 0), *walk = row_of(&f.tokens, 4);
    NEAR(lane[NM_ROW_LANE_TYPE + NM_LANE_BUS], 1.0);
    NEAR(lane[NM_ROW_TURN + 3], 1.0);
    NEAR(lane[NM_ROW_CONTROL + 4], 1.0);
    NEAR(lane[NM_ROW_JUNCTION], 1.0);
    NEAR(lane[NM_ROW_TWO_WAY], 1.0);
    NEAR(lane[NM_ROW_LIMIT_KNOWN], 0.0);
    NEAR(lane[NM_ROW_LIMIT], 0.0);
    for (uint32_t k = 0; k < NM_LIGHT_COUNT; k++) NEAR(lane[NM_ROW_SIGNAL + k], k == NM_LIGHT_CAUTION); // step 25
    for (uint32_t k = NM_ROW_LANE_TYPE; k < NM_ROW_LENGTH; k++) NEAR(walk[k], 0.0);                     // no lane
    NEAR(walk[NM_ROW_LENGTH], 20.0 / 50.0);
    // the outline is closed: 20 m round, the first point is the last, and the fifth of ten steps of 20/9 m is at 80/9
    NEAR(walk[NM_ROW_POINTS], walk[NM_ROW_POINTS + 18]);
    NEAR(walk[NM_ROW_POINTS + 1], walk[NM_ROW_POINTS + 19]);
    NEAR(walk[NM_ROW_POINTS + 8], (5.0 - (2.0 + 0.25)) / 20.0);
    NEAR(walk[NM_ROW_POINTS + 9], (30.0 + 80.0 / 9.0 - 5.0) / 20.0);
    // history tokens know the light of their time, later ones that of now: steps 5, 10, 15, 20, 25, 25, ...
    for (uint32_t t = 0; t < 21; t++) {
        const float *c = f.tokens.condition + (size_t)t * NM_CONDITION_COUNT;
        NEAR(c[NM_CONDITION_SIGNAL + NM_LIGHT_GO], t < 3);
        NEAR(c[NM_CONDITION_SIGNAL + NM_LIGHT_CAUTION], t >= 3);
        NEAR(c[NM_CONDITION_SIGNAL + NM_LIGHT_STOP], 0.0);
        NEAR(c[NM_CONDITION_STOP], (10.0 - 2.25) / 50.0);
    }
    tokens_end(&f);
    static const unsigned wanted[3] = {NM_MAP_LANES, NM_MAP_LINES, NM_MAP_AREAS};
    for (int i = 0; i < 3; i++) { // two lanes, two lines, one area
        config.map_features = wanted[i];
        f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
        assert_int_equal(f.tokens.shape.points, i == 2 ? 1 : 2);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

static void test_signal_ahead(void **state) {
    (void)state;
    // two lanes in succession; the signal rules the end of the second, 40 m on; against the lane there is none
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_lane_def def = nm_lane_def_default();
    const int64_t next = 2;
    def.id = 1;
    def.type = NM_LANE_STREET;
    def.successors = &next;
    def.successor_count = 1;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 30.0, 0.0}, 2, 3.5);
    def.id = 2;
    def.successor_count = 0;
    def.control = NM_CONTROL_SIGNAL;
    nm_test_lane(builder, &def, (double[]){30.0, 0.0, 60.0, 0.0}, 2, 3.5);
    const nm_phase red = {10, NM_SIGNAL_STOP, {0}};
    const nm_signal_def signal = {
        .id = 9, .phases = &red, .phase_count = 1, .cycle_dt = 0.1, .lanes = &next, .lane_count = 1};
    nm_error error;
    assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK);
    const nm_test_agent agents[2] = {{.x = 20.0, .y = 0.0, .heading = 0.0}, {.x = 20.0, .y = 0.1, .heading = NM_PI}};
    const nm_scene *scene = nm_test_scene(nm_test_build(builder), agents, 2, 1);
    const nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
    const float *c = f.tokens.condition, *against = c + 21 * NM_CONDITION_COUNT;
    NEAR(c[NM_CONDITION_SIGNAL + NM_LIGHT_STOP], 1.0);
    NEAR(c[NM_CONDITION_STOP], 40.0 / 50.0);
    NEAR(against[NM_CONDITION_LANE_COS], -1.0);
    for (int i = 0; i < 5; i++) NEAR(against[NM_CONDITION_SIGNAL + i], 0.0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// A street of 30 m and what comes after it: `ways` on, each of 30 m, the first with two signals, at caution and at
/// stop.
static const nm_map *street_on(uint32_t ways, double length) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_lane_def def = nm_lane_def_default();
    static const int64_t next[2] = {2, 3};
    def.id = 1;
    def.type = NM_LANE_STREET;
    def.successors = next;
    def.successor_count = ways;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, length, 0.0}, 2, 3.5);
    def.successor_count = 0;
    for (uint32_t i = 0; i < ways; i++) {
        def.id = next[i];
        nm_test_lane(builder, &def, (double[]){length, 0.0, length + 30.0, 5.0 * i}, 2, 3.5);
    }
    const nm_phase phases[2] = {{10, NM_SIGNAL_FLASHING_CAUTION, {0}}, {10, NM_SIGNAL_ARROW_STOP, {0}}};
    for (int i = 0; i < 2; i++) {
        const nm_signal_def signal = {
            .id = 9 + i, .phases = &phases[i], .phase_count = 1, .cycle_dt = 0.1, .lanes = next, .lane_count = 1};
        nm_error error;
        assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK);
    }
    return nm_test_build(builder);
}

/// Of several signals the strictest counts; at a fork, or beyond 100 m, there is none.
static void test_which_signal(void **state) {
    (void)state;
    static const struct {
        uint32_t ways;
        double length, stop; ///< stop < 0: none
    } cases[] = {{1, 30.0, 40.0}, {2, 30.0, -1.0}, {1, 89.0, 99.0}, {1, 91.0, -1.0}};
    const nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const nm_test_agent one = {.x = 20.0};
        const nm_scene *scene = nm_test_scene(street_on(cases[i].ways, cases[i].length), &one, 1, 1);
        tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
        const float *c = f.tokens.condition;
        for (uint32_t k = 0; k < NM_LIGHT_COUNT; k++)
            NEAR(c[NM_CONDITION_SIGNAL + k], k == NM_LIGHT_STOP && cases[i].stop >= 0.0);
        assert_true(fabs((double)c[NM_CONDITION_STOP] - fmax(cases[i].stop, 0.0) / 50.0) < 1e-3);
        tokens_end(&f);
        nm_scene_destroy(scene);
    }
}

/// A dashed line may be crossed to overtake: the oncoming lane behind it is none to change to.
static void test_oncoming_neighbour(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    for (int i = 0; i < 2; i++) {
        nm_lane_def def = nm_lane_def_default();
        const nm_neighbour_def other = {.lane = 2 - i, .opposite = 1};
        def.id = 1 + i;
        def.type = NM_LANE_STREET;
        def.left_marking = NM_MARKING_DASHED;
        def.left_neighbours = &other;
        def.left_neighbour_count = 1;
        nm_test_lane(builder, &def, i ? (double[]){50.0, 3.5, 0.0, 3.5} : (double[]){0.0, 0.0, 50.0, 0.0}, 2, 3.5);
    }
    const nm_test_agent one = {.x = 20.0};
    const nm_scene *scene = nm_test_scene(nm_test_build(builder), &one, 1, 1);
    const nm_neighbour *left = &scene->map->neighbours[scene->map->lanes[0].left.first];
    assert_true(left->opposite && left->may_change);
    const nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
    for (uint32_t i = 0; i < f.tokens.shape.points; i++) NEAR(row_of(&f.tokens, i)[NM_ROW_CHANGE_LEFT], 0.0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// A cyclist is on a bike lane, a car beside it is on none.
static void test_bike_lane(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    def.type = NM_LANE_BIKE;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 50.0, 0.0}, 2, 2.0);
    const nm_test_agent agents[2] = {{.x = 20.0, .type = NM_AGENT_CYCLIST}, {.x = 30.0}};
    const nm_scene *scene = nm_test_scene(nm_test_build(builder), agents, 2, 1);
    const nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
    NEAR(f.tokens.condition[NM_CONDITION_LANE], 1.0);
    NEAR(f.tokens.condition[21 * NM_CONDITION_COUNT + NM_CONDITION_LANE], 0.0);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// However long pieces may be, a short feature is one, and a hair over a whole number is no piece more.
static void test_short_features(void **state) {
    (void)state;
    static const struct {
        double length, piece;
        uint32_t count;
    } cases[] = {{0.9, 1e4, 1},   {0.002, 40.0, 1},  {0.0005, 1.0, 0},
                 {80.0, 40.0, 2}, {80.001, 40.0, 2}, {81.0, 40.0, 3}};
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nm_map_builder *builder = nm_map_builder_create();
        nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
        const nm_point3 line[2] = {{0.0, 0.0, 0.0}, {cases[i].length, 0.0, 0.0}};
        nm_error error;
        nm_token_map *pieces;
        assert_int_equal(
            nm_map_builder_add_line(builder, 1, NM_LINE_ROAD_LINE, NM_MARKING_SOLID, NM_COLOUR_WHITE, line, 2, &error),
            NM_OK);
        const nm_map *map = nm_test_build(builder);
        config.map_piece = cases[i].piece;
        assert_int_equal(nm_token_map_create(map, &config, &pieces, &error), NM_OK);
        assert_int_equal(nm_token_map_pieces(pieces), cases[i].count);
        nm_token_map_destroy(pieces);
        nm_map_release(map);
    }
}

/// Rows of one agent: [first, end).
static uint32_t rows_end(const nm_tokens *tokens, uint32_t agent, uint32_t first) {
    uint32_t end = first;
    while (end < tokens->shape.points && tokens->shape.map_agent[end] == agent) end++;
    return end;
}

/// Every point of a lane's row, back in the scene, is on some centreline; the first row is as near as any lane is;
/// distances never fall and are what the points say.
static void check_rows(const nm_scene *scene, const nm_tokens *tokens, uint32_t agent, uint32_t first, uint32_t end) {
    const nm_token_frame *frame = &tokens->frame[agent];
    const uint32_t points = tokens->config.map_points;
    const double scale = tokens->config.position_scale, range = tokens->config.map_range;
    double nearest = INFINITY, last = 0.0;
    for (uint32_t i = 0; i < scene->map->lane_count; i++) {
        nm_frenet on = nm_map_project(scene->map, i, (float)frame->x, (float)frame->y);
        nearest = fmin(nearest, hypot((double)on.d, (double)on.beyond));
    }
    assert_true(first == end ? nearest > range - 0.1
                             : fabs(row_of(tokens, first)[NM_ROW_DISTANCE] * 50.0 - nearest) < 0.4);
    for (uint32_t r = first; r < end; r++) {
        const float *row = row_of(tokens, r);
        const double distance = (double)row[NM_ROW_DISTANCE] * 50.0;
        double least = INFINITY, length = 0.0, px = 0.0, py = 0.0;
        for (uint32_t j = 0; j < points; j++) {
            const double x = (double)row[NM_ROW_POINTS + 2 * j] * scale,
                         y = (double)row[NM_ROW_POINTS + 2 * j + 1] * scale;
            const double c = cos((double)frame->heading), s = sin((double)frame->heading);
            const float sx = (float)(frame->x + c * x - s * y), sy = (float)(frame->y + s * x + c * y);
            double off = INFINITY;
            for (uint32_t i = 0; i < scene->map->lane_count && off > 0.3; i++) {
                nm_frenet on = nm_map_project(scene->map, i, sx, sy);
                off = fmin(off, hypot((double)on.d, (double)on.beyond));
            }
            assert_true(off <= 0.3); // a chord across a bend lies inside it
            if (j) length += hypot(x - px, y - py);
            least = fmin(least, hypot(x, y));
            px = x;
            py = y;
        }
        assert_true(length <= tokens->config.map_piece + 0.01);
        assert_true(distance >= last - 1e-6 && distance <= range + 0.01);
        assert_true(distance <= least + 0.01 &&
                    distance >= least - 0.5 * tokens->config.map_piece / (points - 1) - 0.01);
        last = distance;
    }
}

static void test_rows_on_lanes(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("roundabout:vehicles=10,pedestrians=4", 4, 40);
    nm_token_config config = lanes_only(NM_TOKENS_AGENT);
    config.map_points = 20;
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 39, .focus = NM_NONE});
    uint32_t first = 0;
    for (uint32_t a = 0; a < f.tokens.shape.agents; a++) {
        const uint32_t end = rows_end(&f.tokens, a, first);
        check_rows(scene, &f.tokens, a, first, end);
        first = end;
    }
    assert_int_equal(first, f.tokens.shape.points);
    assert_true(first > 100);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

/// A few rows are the first ones of all rows there are: none that is nearer is left out. On tangled maps, any agents.
static void test_few_of_all(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        nm_test_agent agents[24];
        uint32_t draw = 100000;
        for (int i = 0; i < 24; i++)
            agents[i] = (nm_test_agent){.x = nm_test_uniform(seed, &draw, -150.0, 150.0),
                                        .y = nm_test_uniform(seed, &draw, -150.0, 150.0),
                                        .heading = nm_test_uniform(seed, &draw, -3.0, 3.0)};
        const nm_scene *scene = nm_test_scene(nm_test_tangle(seed, 60, 120.0), agents, 24, 1);
        nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
        config.map_piece = 12.0;
        config.range = 1000.0;
        config.map_polylines = 4096;
        tokens_fixture all = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
        config.map_polylines = 9 + (uint32_t)seed;
        tokens_fixture few = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
        assert_int_equal(all.tokens.shape.agents, 24);
        uint32_t from = 0, to = 0;
        for (uint32_t a = 0; a < 24; a++) {
            const uint32_t end = rows_end(&all.tokens, a, from), few_end = rows_end(&few.tokens, a, to);
            const uint32_t count = end - from < config.map_polylines ? end - from : config.map_polylines;
            assert_int_equal(few_end - to, count);
            assert_memory_equal(row_of(&all.tokens, from), row_of(&few.tokens, to),
                                count * nm_token_map_channels(&config) * sizeof(float));
            from = end;
            to = few_end;
        }
        assert_true(from > to);
        tokens_end(&all);
        tokens_end(&few);
        nm_scene_destroy(scene);
    }
}

static int similar(const float *a, const float *b, uint32_t channels) {
    for (uint32_t i = 0; i < channels; i++)
        if (!(fabsf(a[i] - b[i]) < 1e-3f)) return 0;
    return 1;
}

/// The scene moved and turned: the same rows. Ties may come in another order, so a row is looked for.
static void test_rigid_motion(void **state) {
    (void)state;
    const rigid motion = {.angle = -2.4, .x = 700.0, .y = 300.0};
    const nm_scene *scene = tokens_rollout("junction_signal:vehicles=20,pedestrians=6", 5, 60);
    const nm_map *map = rigid_map(scene->map, &motion);
    const nm_scene *moved = rigid_scene(scene, map, &motion, NULL);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    config.map_features = NM_MAP_LANES | NM_MAP_LINES | NM_MAP_AREAS;
    config.map_polylines = 4096; // all in range, so that a tie at the end decides nothing
    const nm_token_request request = {.current_step = 30, .focus = NM_NONE};
    tokens_fixture a = tokens_begin(scene, &config, &request), b = tokens_begin(moved, &config, &request);
    assert_int_equal(a.tokens.shape.points, b.tokens.shape.points);
    assert_true(a.tokens.shape.points > 1000);
    uint32_t same_place = 0;
    for (uint32_t i = 0; i < a.tokens.shape.points; i++) {
        int found = 0;
        for (uint32_t k = 0; k < b.tokens.shape.points && !found; k++) {
            if (b.tokens.shape.map_agent[k] != a.tokens.shape.map_agent[i]) continue;
            found = similar(row_of(&a.tokens, i), row_of(&b.tokens, k), nm_token_map_channels(&config));
        }
        assert_true(found);
        same_place += similar(row_of(&a.tokens, i), row_of(&b.tokens, i), nm_token_map_channels(&config));
    }
    assert_true(same_place > a.tokens.shape.points * 9 / 10);
    tokens_end(&a);
    tokens_end(&b);
    nm_scene_destroy(moved);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void test_published_rows(void **state) {
    (void)state;
    const nm_scene *scene = nm_test_scene(furnished_map(), &at_origin, 1, 40);
    nm_token_config config = nm_token_config_default(NM_TOKENS_EGO);
    tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 0, .focus = NM_NONE});
    const nm_token_scene *s = &f.tokens.shape;
    assert_int_equal(s->points, 128 * 21);
    assert_int_equal(f.tokens.map_polylines, 5);
    assert_null(s->map_agent);
    static const nm_point_channel types[5] = {NM_POINT_OTHER, NM_POINT_LINE, NM_POINT_LINE, NM_POINT_OTHER,
                                              NM_POINT_OTHER};
    for (uint32_t i = 0; i < 128 * 21; i++) {
        const float *row = row_of(&f.tokens, i);
        assert_int_equal(s->map_valid[i], i < 5 * 21);
        if (i >= 5 * 21) {
            for (int k = 0; k < NM_POINT_CHANNELS; k++) assert_true(row[k] == 0.0f);
            assert_int_equal(f.tokens.map_piece[i / 21], NM_NONE);
            continue;
        }
        // the first one is a bus lane inside a junction: buses are vehicles
        const nm_point_channel type = i < 21 ? NM_POINT_CONNECTOR : types[i / 21];
        for (int k = NM_POINT_LANE; k < NM_POINT_LIMIT; k++) NEAR(row[k], k == (int)type);
        NEAR(row[NM_POINT_LIMIT], 0.0);
    }
    for (uint32_t j = 0; j < 21; j++) { // the line at y = 5, from x = 0 on; the ego stands at 2
        const float *row = row_of(&f.tokens, 21 + j);
        NEAR(row[NM_POINT_X], (0.5 * j - 2.0) / 104.0);
        NEAR(row[NM_POINT_Y], 5.0 / 104.0);
    }
    tokens_end(&f);
    nm_scene_destroy(scene);
    const nm_test_agent one = {.x = 40.0, .y = 3.0};
    scene = nm_test_scene(nm_test_road(110.0), &one, 1, 1);
    config.map_polylines = 2; // fewer than there are
    f = tokens_begin(scene, &config, &(nm_token_request){.focus = NM_NONE});
    assert_int_equal(f.tokens.shape.points, 42);
    assert_int_equal(f.tokens.map_polylines, 2);
    for (uint32_t i = 0; i < 42; i++) {
        assert_int_equal(f.tokens.shape.map_valid[i], 1);
        NEAR(row_of(&f.tokens, i)[NM_POINT_LANE], 1.0);
        NEAR(row_of(&f.tokens, i)[NM_POINT_LIMIT], 1.5);
    }
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static void test_no_map(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    const nm_scene *scene = nm_test_scene(nm_test_build(builder), &at_origin, 1, 40);
    for (int e = 0; e < 2; e++) {
        nm_token_config config = nm_token_config_default(e ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        tokens_fixture f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 30, .focus = NM_NONE});
        assert_int_equal(f.tokens.shape.agents, 1);
        assert_int_equal(f.tokens.shape.points, e ? 0 : 128 * 21);
        assert_int_equal(f.tokens.map_polylines, 0);
        tokens_end(&f);
        config.map_polylines = 0;
        f = tokens_begin(scene, &config, &(nm_token_request){.current_step = 30, .focus = NM_NONE});
        assert_int_equal(f.tokens.shape.points, 0);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

/// A road so long that its pieces are too many is refused before memory is asked for.
static void test_too_many_pieces(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    nm_point3 zigzag[64];
    for (int i = 0; i < 64; i++) zigzag[i] = (nm_point3){i % 2 ? 9e5 : -9e5, i, 0.0};
    nm_error error;
    for (int i = 0; i < 16; i++)
        assert_int_equal(nm_map_builder_add_line(builder, i, NM_LINE_ROAD_LINE, NM_MARKING_SOLID, NM_COLOUR_WHITE,
                                                 zigzag, 64, &error),
                         NM_OK);
    const nm_map *map = nm_test_build(builder);
    nm_token_config config = nm_token_config_default(NM_TOKENS_AGENT);
    nm_token_map *pieces;
    config.map_piece = 1.0;
    config.map_features = NM_MAP_LINES;
    assert_int_equal(nm_token_map_create(map, &config, &pieces, &error), NM_E_LIMIT);
    assert_non_null(strstr(error.message, "pieces"));
    assert_null(pieces);
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_by_hand),  cmocka_unit_test(test_range),
        cmocka_unit_test(test_kinds),         cmocka_unit_test(test_signal_ahead),
        cmocka_unit_test(test_which_signal),  cmocka_unit_test(test_oncoming_neighbour),
        cmocka_unit_test(test_bike_lane),     cmocka_unit_test(test_short_features),
        cmocka_unit_test(test_rows_on_lanes), cmocka_unit_test(test_few_of_all),
        cmocka_unit_test(test_rigid_motion),  cmocka_unit_test(test_published_rows),
        cmocka_unit_test(test_no_map),        cmocka_unit_test(test_too_many_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
