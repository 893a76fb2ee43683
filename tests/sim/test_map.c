/// Building maps: what is derived, mended and refused.
#include "sim/scenes.h"

static const nm_conflict *conflict_with(const nm_map *map, uint32_t lane, uint32_t other) {
    nm_range range = map->lanes[lane].conflicts;
    for (uint32_t k = range.first; k < range.first + range.count; k++) {
        if (map->conflicts[k].lane == other) return &map->conflicts[k];
    }
    return NULL;
}

static void test_road(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(200.0);
    assert_int_equal(map->lane_count, 3);
    assert_int_equal(map->neighbour_count, 4);
    assert_int_equal(map->conflict_count, 0); // side by side is no conflict
    for (uint32_t i = 0; i < 3; i++) {
        const nm_lane *lane = &map->lanes[i];
        assert_true(fabsf(lane->length - 200.0f) < 1e-3f);
        assert_int_equal(lane->rail.count, 26); // straight and without conflicts: a point every 8 m
        assert_int_equal(lane->turn, NM_TURN_STRAIGHT);
        assert_int_equal(lane->junction, NM_NONE);
        assert_true(lane->stop_s == lane->length);
        for (uint32_t k = 0; k < lane->rail.count; k++) {
            const nm_rail_point *p = &map->rail[lane->rail.first + k];
            assert_true(fabsf(p->x - 8.0f * (float)k) < 1e-3f && fabsf(p->y - 3.5f * (float)i) < 1e-4f);
            assert_true(p->cos_h == 1.0f && p->sin_h == 0.0f && p->curvature == 0.0f);
            assert_true(fabsf(p->left - 1.75f) < 1e-4f && fabsf(p->right - 1.75f) < 1e-4f);
            assert_true(p->speed_limit == 30.0f);
        }
    }
    const nm_neighbour *n = &map->neighbours[map->lanes[1].left.first];
    assert_int_equal(map->lanes[1].left.count, 1);
    assert_int_equal(n->lane, 2);
    assert_true(n->may_change && !n->opposite && n->self_start == 0.0f && fabsf(n->self_end - 200.0f) < 1e-3f);
    nm_map_release(map);
}

static void test_crossing(void **state) {
    (void)state;
    const nm_map *map = nm_test_crossing(NM_CONTROL_PRIORITY, NM_CONTROL_YIELD);
    assert_int_equal(map->conflict_count, 2);
    const nm_conflict *c = conflict_with(map, 1, 4);
    assert_non_null(c);
    assert_int_equal(c->kind, NM_CONFLICT_CROSS);
    assert_int_equal(c->precedence, NM_PRECEDENCE_MINE);
    assert_true(c->self_in > 7.0f && c->self_in < 9.5f && c->self_out > 10.5f && c->self_out < 13.0f);
    assert_int_equal(conflict_with(map, 4, 1)->precedence, NM_PRECEDENCE_THEIRS);
    assert_true(map->lanes[1].flags & NM_LANE_JUNCTION);
    assert_false(map->lanes[0].flags & NM_LANE_JUNCTION);
    assert_int_equal(map->lanes[1].junction, map->lanes[4].junction);
    assert_int_equal(map->junction_count, 1);
    // predecessors were not given: completed
    assert_int_equal(map->repairs[NM_REPAIR_ONE_WAY_REFERENCE], 4);
    assert_int_equal(map->lane_refs[map->lanes[2].predecessors.first], 1);
    nm_map_release(map);
    map = nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE); // the road from the south comes from the right
    assert_int_equal(conflict_with(map, 1, 4)->precedence, NM_PRECEDENCE_THEIRS);
    nm_map_release(map);
    map = nm_test_crossing(NM_CONTROL_ALL_WAY_STOP, NM_CONTROL_ALL_WAY_STOP);
    assert_int_equal(conflict_with(map, 1, 4)->precedence, NM_PRECEDENCE_EQUAL);
    nm_map_release(map);
}

static void test_curve(void **state) {
    (void)state;
    const nm_map *map = nm_test_curve(30.0, 1.5);
    const nm_lane *lane = &map->lanes[0];
    assert_true(fabsf(lane->length - 45.0f) < 0.05f);
    assert_int_equal(lane->turn, NM_TURN_LEFT);
    for (uint32_t i = 0; i < lane->rail.count; i++) {
        const nm_rail_point *p = &map->rail[lane->rail.first + i];
        float angle = (float)i * lane->rail_step / 30.0f;
        assert_true(fabsf(p->curvature - 1.0f / 30.0f) < 5e-4f);
        assert_true(fabsf(p->cos_h - cosf(angle)) < 2e-3f && fabsf(p->sin_h - sinf(angle)) < 2e-3f);
        assert_true(fabsf(p->left - 2.0f) < 0.02f && fabsf(p->right - 2.0f) < 0.02f);
        assert_true(fabsf(p->speed_limit - 50.0f / 3.6f) < 1e-4f);
    }
    nm_map_release(map);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is refused, and what is mended

static const nm_point3 straight_left[3] = {{0, 2, 0}, {10, 2, 0}, {20, 2, 0}};
static const nm_point3 straight_right[3] = {{0, -2, 0}, {10, -2, 0}, {20, -2, 0}};

static nm_lane_def bordered(int64_t id) {
    nm_lane_def def = nm_lane_def_default();
    def.id = id;
    def.line = 77;
    def.left = straight_left;
    def.right = straight_right;
    def.point_count = 3;
    return def;
}

/// Adds the lane to an empty map and builds; the status of the first call that fails.
static nm_status try_lane(const nm_lane_def *def, const nm_map **map, nm_error *error) {
    nm_map_builder *builder = nm_map_builder_create();
    *map = NULL;
    nm_error_clear(error);
    nm_status status = nm_map_builder_add_lane(builder, def, error);
    if (status == NM_OK) status = nm_map_builder_build(builder, map, error);
    nm_map_builder_destroy(builder);
    return status;
}

static void expect_refusal(const nm_lane_def *def, const char *words) {
    const nm_map *map;
    nm_error error;
    assert_int_equal(try_lane(def, &map, &error), NM_E_FORMAT);
    assert_null(map);
    assert_int_equal(error.line, 77);
    if (!strstr(error.message, words)) fail_msg("'%s' does not say '%s'", error.message, words);
}

static void test_refusals(void **state) {
    (void)state;
    nm_lane_def def = bordered(5);
    const int64_t nowhere = 6;
    def.successors = &nowhere;
    def.successor_count = 1;
    expect_refusal(&def, "lane 5 names successor 6");
    def = bordered(5);
    def.predecessors = &nowhere;
    def.predecessor_count = 1;
    expect_refusal(&def, "lane 5 names predecessor 6");
    def = bordered(5);
    nm_neighbour_def beside = {.lane = 6};
    def.right_neighbours = &beside;
    def.right_neighbour_count = 1;
    expect_refusal(&def, "lane 5 names neighbour 6");
    def = bordered(5);
    def.point_count = 1;
    expect_refusal(&def, "1 points");
    def = bordered(-1);
    expect_refusal(&def, "negative");
    def = bordered(5);
    def.speed_limit = NAN;
    expect_refusal(&def, "speed limit");
    const double bad[4] = {NAN, INFINITY, -INFINITY, 1e9};
    for (int i = 0; i < 4; i++) {
        nm_point3 left[3];
        memcpy(left, straight_left, sizeof left);
        left[1].y = bad[i];
        def = bordered(5);
        def.left = left;
        expect_refusal(&def, "coordinate 1");
    }
    nm_point3 same[3] = {{1, 2, 0}, {1, 2, 0}, {1, 2, 0}};
    def = bordered(5);
    def.left = def.right = same;
    expect_refusal(&def, "two different points");
    nm_point3 wide[2] = {{0, 2, 0}, {0, 3, 0}}, low[2] = {{0, -2, 0}, {0, -3, 0}}; // centre stands still
    def = bordered(5);
    def.left = wide;
    def.right = low;
    def.point_count = 2;
    expect_refusal(&def, "no length");
    nm_point3 far_left[2] = {{0, 2, 0}, {5e6, 2, 0}}, far_right[2] = {{0, -2, 0}, {5e6, -2, 0}};
    def = bordered(5);
    def.left = far_left;
    def.right = far_right;
    def.point_count = 2;
    const nm_map *map;
    nm_error error;
    assert_int_equal(try_lane(&def, &map, &error), NM_E_FORMAT);
}

static void test_duplicate_ids(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_error error;
    nm_error_clear(&error);
    nm_lane_def def = bordered(5);
    assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_OK);
    assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_E_FORMAT);
    assert_non_null(strstr(error.message, "lane id 5 is used twice"));
    nm_map_builder_reset(builder); // good again
    assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_OK);
    nm_signal_def signal = {.id = 5};
    assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK); // ids are by kind
    assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_E_FORMAT);
    nm_map_builder_destroy(builder);
}

static void test_repairs(void **state) {
    (void)state;
    nm_lane_def def = bordered(5);
    nm_point3 left[5] = {{0, 2, 0}, {10, 2, 0}, {10, 2, 0}, {10, 2, 0}, {20, 2, 0}};
    nm_point3 right[5] = {{0, -2, 0}, {10, -2, 0}, {10, -2, 0}, {11, -2, 0}, {20, -2, 0}};
    def.left = right; // swapped, too
    def.right = left;
    def.point_count = 5;
    const int64_t self[2] = {5, 5};
    def.successors = self;
    def.successor_count = 2;
    nm_neighbour_def beside = {.lane = 5};
    def.left_neighbours = &beside;
    def.left_neighbour_count = 1;
    const nm_map *map;
    nm_error error;
    assert_int_equal(try_lane(&def, &map, &error), NM_OK);
    assert_int_equal(map->repairs[NM_REPAIR_REPEATED_POINT], 1); // only where both sides repeat
    assert_int_equal(map->point_count, 4);
    assert_int_equal(map->repairs[NM_REPAIR_SWAPPED_BORDERS], 1);
    assert_true(map->left[0].y > map->right[0].y);
    assert_int_equal(map->repairs[NM_REPAIR_SELF_REFERENCE], 3);
    assert_int_equal(map->lanes[0].successors.count, 0);
    assert_int_equal(map->lanes[0].left.count, 0);
    assert_int_equal(map->repairs[NM_REPAIR_ASSUMED_WIDTH], 0);
    nm_map_release(map);
}

static void test_builds_twice_the_same(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    const nm_map *maps[3];
    nm_error error;
    for (int i = 0; i < 3; i++) {
        if (i == 2) nm_map_builder_reset(builder);
        nm_lane_def def = bordered(5), next = bordered(6);
        const int64_t to[2] = {6, 6};
        def.successors = to;
        def.successor_count = 2;
        if (i != 1) {
            assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_OK);
            assert_int_equal(nm_map_builder_add_lane(builder, &next, &error), NM_OK);
        }
        assert_int_equal(nm_map_builder_build(builder, &maps[i], &error), NM_OK);
        assert_int_equal(maps[i]->repairs[NM_REPAIR_ONE_WAY_REFERENCE], 1);
        assert_int_equal(maps[i]->lanes[0].successors.count, 1); // named twice, kept once
        assert_true(maps[i]->hash == maps[0]->hash);
        assert_true(maps[i]->origin.x == 10.0 && maps[i]->origin.y == 0.0);
    }
    for (int i = 0; i < 3; i++) nm_map_release(maps[i]);
    nm_map_builder_destroy(builder);
}

static void test_empty_map(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    const nm_map *map;
    nm_error error;
    assert_int_equal(nm_map_builder_build(builder, &map, &error), NM_OK);
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    assert_false(nm_map_drivable(map, 0.0f, 0.0f));
    nm_frenet at;
    assert_int_equal(nm_map_lanes_at(map, 0.0f, 0.0f, &at, 1), 0);
    assert_int_equal(nm_map_match(map, 0.0f, 0.0f, 0.0f, 10.0f, ~0u).lane, NM_NONE);
    assert_true(nm_map_border_distance(map, 0.0f, 0.0f, 3.0f) == 3.0f);
    nm_map_release(map);
    nm_map_builder_destroy(builder);
}

// ---------------------------------------------------------------------------------------------------------------------
// Markings, stop lines, signals

static int change_allowed(nm_marking left_of_5, nm_marking right_of_6, int opposite) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_lane_def def = nm_lane_def_default();
    nm_neighbour_def beside = {.lane = 6, .opposite = opposite};
    def.id = 5;
    def.left_marking = left_of_5;
    def.left_neighbours = &beside;
    def.left_neighbour_count = 1;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 50.0, 0.0}, 2, 3.5);
    def = nm_lane_def_default();
    def.id = 6;
    def.right_marking = right_of_6;
    nm_test_lane(builder, &def, (double[]){0.0, 3.5, 50.0, 3.5}, 2, 3.5);
    const nm_map *map = nm_test_build(builder);
    int allowed = map->neighbours[0].may_change;
    if (opposite) assert_true(map->neighbours[0].other_start > map->neighbours[0].other_end);
    nm_map_release(map);
    return allowed;
}

static void test_markings(void **state) {
    (void)state;
    assert_true(change_allowed(NM_MARKING_UNKNOWN, NM_MARKING_UNKNOWN, 0));
    assert_false(change_allowed(NM_MARKING_UNKNOWN, NM_MARKING_UNKNOWN, 1));
    assert_true(change_allowed(NM_MARKING_DASHED, NM_MARKING_UNKNOWN, 1));
    assert_true(change_allowed(NM_MARKING_DASHED, NM_MARKING_SOLID, 0));
    assert_false(change_allowed(NM_MARKING_UNKNOWN, NM_MARKING_SOLID, 0));
    assert_false(change_allowed(NM_MARKING_SOLID, NM_MARKING_UNKNOWN, 0));
    assert_true(change_allowed(NM_MARKING_SOLID_DASHED, NM_MARKING_UNKNOWN, 0));  // dashed on the near side
    assert_false(change_allowed(NM_MARKING_DASHED_SOLID, NM_MARKING_UNKNOWN, 0)); // solid on the near side
}

static void test_stop_lines_and_signals(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_error error;
    nm_map_builder_set_origin(builder, (nm_point3){0});
    nm_lane_def def = nm_lane_def_default();
    nm_point3 line[2] = {{15.0, -2.0, 0.0}, {15.0, 2.0, 0.0}}; // given from right to left
    def.id = 1;
    def.stop_line = line;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 20.0, 0.0}, 2, 4.0);
    def = nm_lane_def_default();
    def.id = 2;
    def.has_stop_line = 1;
    nm_test_lane(builder, &def, (double[]){0.0, 10.0, 20.0, 10.0}, 2, 4.0);
    def = nm_lane_def_default();
    def.id = 3;
    nm_test_lane(builder, &def, (double[]){0.0, 20.0, 20.0, 20.0}, 2, 4.0);
    nm_phase phases[2] = {{.steps = 5, .state = NM_SIGNAL_GO}, {.steps = 3, .state = NM_SIGNAL_STOP}};
    const int64_t lanes[2] = {3, 1};
    nm_point3 at = {12.0, 20.5, 0.0};
    nm_signal_def signal = {.id = 9,
                            .phases = phases,
                            .phase_count = 2,
                            .phase_offset = 10,
                            .cycle_dt = 0.1,
                            .lanes = lanes,
                            .lane_count = 2,
                            .position = &at};
    assert_int_equal(nm_map_builder_add_signal(builder, &signal, &error), NM_OK);
    nm_phase nothing = {.steps = 0, .state = NM_SIGNAL_GO};
    nm_signal_def broken = {.id = 10, .phases = &nothing, .phase_count = 1, .cycle_dt = 0.1};
    assert_int_equal(nm_map_builder_add_signal(builder, &broken, &error), NM_E_FORMAT);
    const nm_map *map = nm_test_build(builder);
    assert_true(fabsf(map->lanes[0].stop_s - 15.0f) < 1e-4f);
    const nm_stop_line *stop = &map->stop_lines[map->lanes[0].stop_line];
    assert_true(stop->lane == 0 && stop->a.y == 2.0f && stop->b.y == -2.0f);
    stop = &map->stop_lines[map->lanes[1].stop_line];
    assert_true(stop->s == map->lanes[1].length && stop->a.y == 12.0f);
    assert_int_equal(map->lanes[2].stop_line, NM_NONE);
    assert_true(fabsf(map->lanes[2].stop_s - 12.0f) < 1e-4f); // beside the signal
    assert_int_equal(map->lanes[2].control, NM_CONTROL_SIGNAL);
    assert_int_equal(map->lanes[0].signals.count, 1);
    assert_int_equal(map->signal_refs[map->lanes[0].signals.first], 0);
    assert_int_equal(map->lane_refs[map->signals[0].lanes.first], 2);
    nm_map_release(map);
}

// ---------------------------------------------------------------------------------------------------------------------
// Conflicts

/// A four-way junction without turns to the right: straight and left from each side, to two exits each.
static const nm_map *four_way(nm_control_kind main_control, nm_control_kind side_control) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0});
    for (int arm = 0; arm < 4; arm++) { // traffic that comes from arm 0 drives north, 1 west, 2 south, 3 east
        double c = cos(0.5 * NM_PI * arm), s = sin(0.5 * NM_PI * arm);
        for (int part = 0; part < 4; part++) { // 0 entry, 1 exit, 2 straight on, 3 left
            double path[2 * 12];
            size_t count = 2;
            const double lanes[3][4] = {
                {1.75, -40.0, 1.75, -10.0}, {1.75, 10.0, 1.75, 40.0}, {1.75, -10.0, 1.75, 10.0}};
            if (part < 3) {
                memcpy(path, lanes[part], sizeof lanes[part]);
            } else {
                count = 12;
                for (size_t i = 0; i < count; i++) { // from (1.75, -10) round (-10, -10) to (-10, 1.75)
                    double a = 0.5 * NM_PI * (double)i / (double)(count - 1);
                    path[2 * i] = -10.0 + 11.75 * cos(a);
                    path[2 * i + 1] = -10.0 + 11.75 * sin(a);
                }
            }
            for (size_t i = 0; i < count; i++) {
                double x = path[2 * i], y = path[2 * i + 1];
                path[2 * i] = c * x - s * y;
                path[2 * i + 1] = s * x + c * y;
            }
            nm_lane_def def = nm_lane_def_default();
            def.id = 10 * arm + part;
            def.control = part == 0 ? (arm % 2 ? side_control : main_control) : NM_CONTROL_NONE;
            // straight on from arm 0 leaves by the exit that lies opposite: the one drawn with arm 0, too
            const int64_t entry_next[2] = {10 * arm + 2, 10 * arm + 3}, straight_next = 10 * arm + 1;
            const int64_t left_next = 10 * ((arm + 1) % 4) + 1;
            def.successors = part == 0 ? entry_next : part == 2 ? &straight_next : &left_next;
            def.successor_count = part == 0 ? 2 : part == 1 ? 0 : 1;
            nm_test_lane(builder, &def, path, count, 3.5);
        }
    }
    return nm_test_build(builder);
}

static uint32_t by_id(const nm_map *map, int64_t id) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        if (map->lanes[i].source_id == id) return i;
    }
    return NM_NONE;
}

static void test_junction(void **state) {
    (void)state;
    const nm_map *map = four_way(NM_CONTROL_PRIORITY, NM_CONTROL_YIELD);
    uint32_t north = by_id(map, 2), north_left = by_id(map, 3), west = by_id(map, 12), south = by_id(map, 22);
    uint32_t south_left = by_id(map, 23), east = by_id(map, 32);
    assert_int_equal(map->lanes[north_left].turn, NM_TURN_LEFT);
    assert_int_equal(map->lanes[north].turn, NM_TURN_STRAIGHT);
    assert_int_equal(conflict_with(map, north, north_left)->kind, NM_CONFLICT_DIVERGE);
    assert_int_equal(conflict_with(map, north, west)->kind, NM_CONFLICT_CROSS);
    assert_int_equal(conflict_with(map, north, west)->precedence, NM_PRECEDENCE_MINE);
    assert_int_equal(conflict_with(map, east, south)->precedence, NM_PRECEDENCE_THEIRS);
    assert_null(conflict_with(map, north, south)); // side by side in opposite directions
    // a left turn yields to oncoming traffic of the same rank
    assert_int_equal(conflict_with(map, north_left, south)->kind, NM_CONFLICT_CROSS);
    assert_int_equal(conflict_with(map, north_left, south)->precedence, NM_PRECEDENCE_THEIRS);
    assert_int_equal(conflict_with(map, south, north_left)->precedence, NM_PRECEDENCE_MINE);
    // it merges with the straight lane that leaves by the same exit (traffic from arm 1, on the side road)
    assert_int_equal(conflict_with(map, north_left, west)->kind, NM_CONFLICT_MERGE);
    assert_int_equal(conflict_with(map, north_left, west)->precedence, NM_PRECEDENCE_MINE);
    assert_non_null(conflict_with(map, south_left, east));
    // no source junction: found from the crossings, one group, and only the lanes inside
    assert_int_equal(map->junction_count, 1);
    for (uint32_t i = 0; i < map->lane_count; i++) {
        int inside = map->lanes[i].source_id % 10 >= 2;
        assert_int_equal((map->lanes[i].flags & NM_LANE_JUNCTION) != 0, inside);
        assert_int_equal(map->lanes[i].junction, inside ? 0 : NM_NONE);
        if (!inside) assert_int_equal(map->lanes[i].conflicts.count, 0);
    }
    // both sides of a conflict say the same
    for (uint32_t i = 0; i < map->lane_count; i++) {
        for (uint32_t k = 0; k < map->lanes[i].conflicts.count; k++) {
            const nm_conflict *c = &map->conflicts[map->lanes[i].conflicts.first + k];
            const nm_conflict *d = conflict_with(map, c->lane, i);
            assert_non_null(d);
            assert_int_equal(c->kind, d->kind);
            assert_true(c->self_in == d->other_in && c->self_out == d->other_out && c->other_in == d->self_in);
            assert_int_equal(c->precedence == NM_PRECEDENCE_MINE, d->precedence == NM_PRECEDENCE_THEIRS);
            assert_true(c->self_in < c->self_out && c->self_out <= map->lanes[i].length);
        }
    }
    nm_map_release(map);
    map = four_way(NM_CONTROL_NONE, NM_CONTROL_NONE); // right before left: from the east comes from the right of north
    assert_int_equal(conflict_with(map, by_id(map, 2), by_id(map, 12))->precedence, NM_PRECEDENCE_THEIRS);
    assert_int_equal(conflict_with(map, by_id(map, 2), by_id(map, 32))->precedence, NM_PRECEDENCE_MINE);
    nm_map_release(map);
}

static void test_no_false_conflicts(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0});
    const struct {
        int64_t id;
        double a[4];
        double width;
    } lanes[] = {
        {8, {12, 0.1, 48, 0.1}, 3.5},                                // a part drawn again
        {0, {0, 0, 60, 0}, 3.5},      {1, {0, 0, 60, 0.2}, 3.5},     // drawn twice
        {2, {60, 0, 120, 0}, 3.5},                                   // ahead of both, not linked
        {3, {0, 10, 60, 10}, 2.0},    {4, {0, 12, 60, 12}, 2.0},     // narrow, side by side
        {5, {60, 14, 0, 14}, 2.0},                                   // oncoming beside them
        {6, {200, 0, 260, 0}, 3.5},   {7, {230, -30, 230, 30}, 3.5}, // a bridge, see below
    };
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) {
        nm_lane_def def = nm_lane_def_default();
        double height = lanes[i].id == 7 ? 6.0 : 0.0;
        nm_point3 centre[2] = {{lanes[i].a[0], lanes[i].a[1], height}, {lanes[i].a[2], lanes[i].a[3], height}};
        def.id = lanes[i].id;
        def.centre = centre;
        def.point_count = 2;
        def.width = lanes[i].width;
        nm_error error;
        assert_int_equal(nm_map_builder_add_lane(builder, &def, &error), NM_OK);
    }
    const nm_map *map = nm_test_build(builder);
    assert_int_equal(map->conflict_count, 0);
    nm_map_release(map);
}

static void test_unlinked_merge(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0});
    nm_lane_def def = nm_lane_def_default();
    def.id = 1;
    nm_test_lane(builder, &def, (double[]){0.0, 0.0, 200.0, 0.0}, 2, 3.5);
    def.id = 2;
    def.type = NM_LANE_RAMP; // joins in the middle of lane 1, the source does not say so
    nm_test_lane(builder, &def, (double[]){50.0, -10.0, 100.0, 0.0, 110.0, 0.0}, 3, 3.5);
    const nm_map *map = nm_test_build(builder);
    assert_int_equal(map->conflict_count, 2);
    assert_int_equal(conflict_with(map, 0, 1)->kind, NM_CONFLICT_MERGE);
    assert_int_equal(conflict_with(map, 0, 1)->precedence, NM_PRECEDENCE_MINE);
    nm_map_release(map);
}

static void test_crosswalk(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    nm_map_builder_set_origin(builder, (nm_point3){0});
    nm_lane_def def = nm_lane_def_default();
    def.type = NM_LANE_STREET;
    nm_test_lane(builder, &def, (double[]){-50.0, 0.0, 50.0, 0.0}, 2, 3.5);
    def.id = 1;
    def.type = NM_LANE_CROSSWALK;
    nm_test_lane(builder, &def, (double[]){0.0, 5.0, 0.0, -5.0}, 2, 3.0);
    def.id = 2;
    def.type = NM_LANE_SIDEWALK; // on foot among themselves
    nm_test_lane(builder, &def, (double[]){-5.0, 4.0, 5.0, 4.0}, 2, 2.0);
    const nm_map *map = nm_test_build(builder);
    assert_int_equal(map->conflict_count, 2);
    assert_int_equal(conflict_with(map, 0, 1)->precedence, NM_PRECEDENCE_THEIRS);
    assert_int_equal(conflict_with(map, 1, 0)->precedence, NM_PRECEDENCE_MINE);
    assert_false(map->lanes[0].flags & NM_LANE_JUNCTION); // a crosswalk makes no junction
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_road),
        cmocka_unit_test(test_crossing),
        cmocka_unit_test(test_curve),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_duplicate_ids),
        cmocka_unit_test(test_repairs),
        cmocka_unit_test(test_builds_twice_the_same),
        cmocka_unit_test(test_empty_map),
        cmocka_unit_test(test_markings),
        cmocka_unit_test(test_stop_lines_and_signals),
        cmocka_unit_test(test_junction),
        cmocka_unit_test(test_crosswalk),
        cmocka_unit_test(test_no_false_conflicts),
        cmocka_unit_test(test_unlinked_merge),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
