/// Spawned traffic: nobody overlaps, everybody is where they may be, speeds ask for no hard braking, and the same seed
/// gives the same scene.
#include "support.h"

#include "sim/builtin.h"
#include "sim/metrics/criticality.h"

static const nm_map *build_map(nm_builtin_kind kind, int lanes) {
    nm_builtin_params params = nm_builtin_params_default(kind);
    const nm_map *map;
    nm_error error;
    if (lanes) params.lanes = lanes;
    if (nm_builtin_map(&params, &map, &error) != NM_OK) fail_msg("%s", error.message);
    return map;
}

static const nm_scene *spawn(const nm_map *map, const nm_spawn_params *params) {
    const nm_scene *scene;
    nm_error error;
    if (nm_spawn_traffic(map, params, NULL, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    return scene;
}

static nm_box box_of(const nm_scene *scene, uint32_t track) {
    size_t at = nm_scene_at(scene, track, 0);
    return (nm_box){.x = scene->x[at],
                    .y = scene->y[at],
                    .cos_h = cosf(scene->heading[at]),
                    .sin_h = sinf(scene->heading[at]),
                    .length = scene->tracks[track].length,
                    .width = scene->tracks[track].width,
                    .vx = scene->vx[at],
                    .vy = scene->vy[at]};
}

static float speed_of(const nm_box *box) {
    return sqrtf(box->vx * box->vx + box->vy * box->vy);
}

static void check_sizes(const nm_track *track, const nm_box *box) {
    float speed = speed_of(box), length = track->length, width = track->width;
    switch (track->type) {
    case NM_AGENT_CAR:
        assert_true(length >= 3.6f && length <= 5.1f && width >= 1.65f && width <= 2.0f);
        break;
    case NM_AGENT_TRUCK:
        assert_true(length >= 6.5f && length <= 16.5f && width <= 2.55f && speed <= 25.01f);
        break;
    case NM_AGENT_BUS:
        assert_true(length >= 10.5f && length <= 13.5f && width <= 2.55f);
        break;
    case NM_AGENT_MOTORCYCLE:
        assert_true(length <= 2.4f && width <= 0.9f);
        break;
    case NM_AGENT_CYCLIST:
        assert_true(speed <= 6.001f);
        break;
    case NM_AGENT_PEDESTRIAN:
        assert_true(speed >= 0.999f && speed <= 1.601f);
        break;
    default:
        fail_msg("track of type %s", nm_agent_type_name((nm_agent_type)track->type));
    }
    assert_true(track->height > 1.0f && track->height < 4.1f);
}

/// Where one is: vehicles on lanes for them, outside junctions and clear of ground shared there.
static void check_place(const nm_scene *scene, uint32_t track, const nm_box *box) {
    const nm_map *map = scene->map;
    uint8_t off;
    nm_map_boxes_off_road(map, &box->x, &box->y, &box->cos_h, &box->sin_h, &box->length, &box->width, 0.0f, 1, &off);
    if (scene->tracks[track].type == NM_AGENT_PEDESTRIAN) {
        assert_false(nm_map_drivable(map, box->x, box->y));
        return;
    }
    assert_false(off);
    float heading = scene->heading[nm_scene_at(scene, track, 0)];
    nm_frenet at = nm_map_match(map, box->x, box->y, heading, 2.0f, NM_LANE_MASK_VEHICLE | 1u << NM_LANE_BIKE);
    assert_true(at.lane != NM_NONE);
    const nm_lane *lane = &map->lanes[at.lane];
    assert_true(lane->type != NM_LANE_SHOULDER && !(lane->flags & NM_LANE_JUNCTION));
    for (uint32_t i = 0; i < lane->conflicts.count; i++) {
        const nm_conflict *conflict = &map->conflicts[lane->conflicts.first + i];
        if (conflict->kind == NM_CONFLICT_CROSS) assert_true(at.s < conflict->self_in || at.s > conflict->self_out);
    }
    if (lane->control > NM_CONTROL_PRIORITY) assert_true(at.s + 0.5f * box->length <= lane->stop_s);
    nm_rail_point rail = nm_map_rail(map, at.lane, at.s);
    float speed = speed_of(box);
    assert_true(speed * speed * fabsf(rail.curvature) <= 3.05f);
    assert_true(speed <= rail.speed_limit * 1.51f);
}

/// Whoever follows somebody on a straight needs little braking, and keeps the headway.
static void check_following(const nm_scene *scene, uint32_t a, const nm_box *boxes, double min_gap) {
    const nm_box *self = &boxes[a];
    for (uint32_t b = 0; b < scene->track_count; b++) {
        if (a == b || scene->tracks[b].type == NM_AGENT_PEDESTRIAN) continue;
        const nm_box *other = &boxes[b];
        float x = other->x - self->x, y = other->y - self->y;
        float along = x * self->cos_h + y * self->sin_h, across = y * self->cos_h - x * self->sin_h;
        float dot = self->cos_h * other->cos_h + self->sin_h * other->sin_h;
        float turn = self->cos_h * other->sin_h - self->sin_h * other->cos_h;
        float gap = along - 0.5f * (self->length + other->length);
        if (dot < 0.99f || fabsf(turn) > 0.002f || along <= 0.0f || gap > 120.0f ||
            fabsf(across) > 0.5f * (self->width + other->width))
            continue;
        float mine = speed_of(self), theirs = speed_of(other), closing = mine - theirs;
        assert_true(gap > 0.0f);
        if (scene->tracks[b].type != NM_AGENT_CYCLIST) assert_true(mine * (float)min_gap <= gap + 0.1f);
        if (closing > 0.0f && closing * closing / (2.0f * gap) > 3.0f)
            fail_msg("track %u at %g m/s is %g m behind track %u at %g m/s", a, (double)mine, (double)gap, b,
                     (double)theirs);
    }
}

static void check_scene(const nm_scene *scene, const nm_spawn_params *params) {
    nm_box *boxes = calloc((size_t)scene->track_count + 1, sizeof(*boxes));
    uint32_t people = 0, riders = 0, vehicles = 0;
    assert_non_null(boxes);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        assert_true(scene->valid[nm_scene_at(scene, i, 0)]);
        boxes[i] = box_of(scene, i);
        check_sizes(&scene->tracks[i], &boxes[i]);
        check_place(scene, i, &boxes[i]);
        people += scene->tracks[i].type == NM_AGENT_PEDESTRIAN;
        riders += scene->tracks[i].type == NM_AGENT_CYCLIST;
        vehicles += nm_agent_type_vehicle((nm_agent_type)scene->tracks[i].type) != 0;
    }
    for (uint32_t a = 0; a < scene->track_count; a++) {
        for (uint32_t b = a + 1; b < scene->track_count; b++)
            if (nm_box_overlap(&boxes[a], &boxes[b])) fail_msg("tracks %u and %u overlap", a, b);
        if (scene->tracks[a].type != NM_AGENT_PEDESTRIAN) check_following(scene, a, boxes, params->min_gap);
    }
    assert_true(people <= params->pedestrians && riders <= params->cyclists);
    assert_true(vehicles >= 1);
    assert_true(scene->ego == 0 && scene->tracks[0].flags & NM_TRACK_EGO && scene->tracks[0].type == NM_AGENT_CAR);
    for (uint32_t i = 1; i < scene->track_count; i++) assert_false(scene->tracks[i].flags & NM_TRACK_EGO);
    uint32_t counts[NM_ISSUE_COUNT];
    nm_scene_validate(scene, NULL, 0, counts);
    for (int kind = 0; kind < NM_ISSUE_COUNT; kind++)
        if (counts[kind] && kind != NM_ISSUE_DEAD_END) fail_msg("issue: %s", nm_issue_name((nm_issue_kind)kind));
    free(boxes);
}

static void test_every_map(void **state) {
    (void)state;
    static const double densities[] = {3.0, 20.0, 60.0, 150.0};
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        for (int lanes = 0; lanes <= 2; lanes += 2) {
            const nm_map *map = build_map((nm_builtin_kind)kind, lanes);
            for (size_t i = 0; i < 4; i++) {
                nm_spawn_params params = nm_spawn_params_default();
                params.density = densities[i];
                params.seed = 1000u * (unsigned)kind + i;
                if (kind >= NM_BUILTIN_JUNCTION_SIGNAL) params.pedestrians = 12, params.cyclists = 6;
                const nm_scene *scene = spawn(map, &params);
                check_scene(scene, &params);
                nm_scene_destroy(scene);
            }
            nm_map_release(map);
        }
    }
}

/// In tight bends the curve decides, not the limit.
static void test_bends(void **state) {
    (void)state;
    nm_builtin_params road = nm_builtin_params_default(NM_BUILTIN_HIGHWAY_CURVED);
    road.radius = 60.0;
    const nm_map *map;
    nm_error error;
    assert_int_equal(nm_builtin_map(&road, &map, &error), NM_OK);
    nm_spawn_params params = nm_spawn_params_default();
    params.density = 12.0;
    const nm_scene *scene = spawn(map, &params);
    check_scene(scene, &params);
    float fastest = 0.0f;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        nm_box box = box_of(scene, i);
        fastest = fmaxf(fastest, speed_of(&box));
    }
    assert_true(fastest > 9.0f && fastest < 22.0f); // sqrt(2 * 60) = 11 m/s, more only between the bends
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void test_seeds(void **state) {
    (void)state;
    const nm_map *map = build_map(NM_BUILTIN_JUNCTION_PRIORITY, 2);
    uint64_t hashes[20];
    nm_spawn_params params = nm_spawn_params_default();
    params.pedestrians = 10, params.cyclists = 4, params.density = 35.0;
    for (uint32_t seed = 0; seed < 20; seed++) {
        params.seed = seed;
        const nm_scene *scene = spawn(map, &params), *again = spawn(map, &params);
        check_scene(scene, &params);
        hashes[seed] = scene->hash;
        assert_true(scene->hash == again->hash);
        for (uint32_t k = 0; k < seed; k++) assert_true(hashes[k] != hashes[seed]);
        nm_scene_destroy(scene);
        nm_scene_destroy(again);
    }
    nm_map_release(map);
}

/// Density is met where the road has room, and more seeds average out.
static void test_density(void **state) {
    (void)state;
    nm_builtin_params road = nm_builtin_params_default(NM_BUILTIN_HIGHWAY);
    road.length = 5000.0;
    const nm_map *map;
    nm_error error;
    assert_int_equal(nm_builtin_map(&road, &map, &error), NM_OK);
    for (double density = 5.0; density < 80.0; density *= 2.0) {
        double count = 0.0, speed = 0.0;
        for (uint32_t seed = 0; seed < 4; seed++) {
            nm_spawn_params params = nm_spawn_params_default();
            params.density = density;
            params.seed = seed;
            const nm_scene *scene = spawn(map, &params);
            for (uint32_t i = 0; i < scene->track_count; i++) {
                nm_box box = box_of(scene, i);
                speed += (double)speed_of(&box);
            }
            count += scene->track_count;
            nm_scene_destroy(scene);
        }
        double wanted = 4.0 * density * 15.0;
        if (fabs(count - wanted) > 0.08 * wanted) fail_msg("%g vehicles at %g per km, not %g", count, density, wanted);
        speed /= count; // the fundamental diagram: free at 5 per km, slow at 80
        assert_true(density > 10.0 || speed > 28.0);
        assert_true(density < 39.0 || (speed < 24.0 && speed > 1.0));
    }
    nm_map_release(map);
}

static void test_limits(void **state) {
    (void)state;
    const nm_map *map = build_map(NM_BUILTIN_HIGHWAY, 5);
    nm_spawn_params params = nm_spawn_params_default();
    params.density = 0.0; // the ego alone
    const nm_scene *scene = spawn(map, &params);
    check_scene(scene, &params);
    assert_int_equal(scene->track_count, 1);
    nm_scene_destroy(scene);
    params.density = 40.0;
    params.max_vehicles = 17;
    scene = spawn(map, &params);
    check_scene(scene, &params);
    assert_int_equal(scene->track_count, 17);
    float low = 1e9f, high = -1e9f; // drawn from all of the road
    for (uint32_t i = 0; i < 17; i++) low = fminf(low, scene->x[i]), high = fmaxf(high, scene->x[i]);
    assert_true(high - low > 500.0f);
    nm_scene_destroy(scene);
    params.step_count = 81;
    scene = spawn(map, &params);
    assert_int_equal(scene->step_count, 81);
    for (uint32_t i = 0; i < scene->track_count; i++) assert_true(scene->tracks[i].last_step == 0);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void expect_refused(const nm_map *map, nm_spawn_params params, const char *word) {
    const nm_scene *scene = (const nm_scene *)&params;
    nm_error error;
    assert_int_equal(nm_spawn_traffic(map, &params, NULL, &scene, &error), NM_E_ARGUMENT);
    assert_null(scene);
    if (!strstr(error.message, word)) fail_msg("wanted %s in: %s", word, error.message);
}

static void test_refused(void **state) {
    (void)state;
    const nm_map *map = build_map(NM_BUILTIN_HIGHWAY, 0);
    const nm_spawn_params base = nm_spawn_params_default();
    nm_spawn_params params;
    const double bad[] = {-1.0, NAN, INFINITY, 1e300};
    for (size_t i = 0; i < 4; i++) {
        params = base, params.density = bad[i], expect_refused(map, params, "density");
        params = base, params.speed_spread = bad[i], expect_refused(map, params, "speed_spread");
        params = base, params.min_gap = bad[i], expect_refused(map, params, "min_gap");
        params = base, params.truck_share = bad[i], expect_refused(map, params, "truck_share");
        params = base, params.bus_share = bad[i], expect_refused(map, params, "bus_share");
        params = base, params.motorcycle_share = bad[i], expect_refused(map, params, "motorcycle_share");
    }
    params = base, params.truck_share = 0.6, params.bus_share = 0.6, expect_refused(map, params, "bus_share");
    params = base, params.step_count = 0, expect_refused(map, params, "steps");
    params = base, params.step_count = UINT32_MAX, expect_refused(map, params, "steps");
    params = base, params.pedestrians = UINT32_MAX, expect_refused(map, params, "pedestrians");
    params = base, params.pedestrians = 3, expect_refused(map, params, "sidewalks"); // a highway has none
    params = base, params.cyclists = 3, expect_refused(map, params, "cyclists");
    nm_map_release(map);
}

static void test_shares(void **state) {
    (void)state;
    const nm_map *map = build_map(NM_BUILTIN_HIGHWAY, 5);
    nm_spawn_params params = nm_spawn_params_default();
    params.density = 15.0;
    params.truck_share = 0.5;
    params.bus_share = params.motorcycle_share = 0.0;
    const nm_scene *scene = spawn(map, &params);
    check_scene(scene, &params);
    uint32_t trucks = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) trucks += scene->tracks[i].type == NM_AGENT_TRUCK;
    assert_true(trucks * 10 > scene->track_count * 3 && trucks * 10 < scene->track_count * 7);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

// ---------------------------------------------------------------------------------------------------------------------
// Maps that are not ours: short lanes, lanes over each other, no borders, far from the origin

static void add_lane(nm_map_builder *builder, int64_t id, double x0, double y0, double x1, double y1, int64_t next) {
    nm_point3 centre[2] = {{x0, y0, 0.0}, {x1, y1, 0.0}};
    nm_lane_def def = nm_lane_def_default();
    def.id = id;
    def.centre = centre;
    def.point_count = 2;
    def.speed_limit = 13.9;
    def.successors = &next;
    def.successor_count = next >= 0;
    assert_int_equal(nm_map_builder_add_lane(builder, &def, NULL), NM_OK);
}

static const nm_map *finish(nm_map_builder *builder) {
    const nm_map *map;
    nm_error error;
    if (nm_map_builder_build(builder, &map, &error) != NM_OK) fail_msg("%s", error.message);
    nm_map_builder_destroy(builder);
    return map;
}

/// Every pair, by brute force.
static void check_no_overlaps(const nm_scene *scene) {
    for (uint32_t a = 0; a < scene->track_count; a++) {
        nm_box box = box_of(scene, a);
        for (uint32_t b = a + 1; b < scene->track_count; b++) {
            nm_box other = box_of(scene, b);
            assert_false(nm_box_overlap(&box, &other));
        }
        assert_true(nm_map_drivable(scene->map, box.x, box.y));
    }
}

static void test_odd_maps(void **state) {
    (void)state;
    const double ox = 690000.5, oy = 5330000.25; // UTM
    nm_map_builder *builder = nm_map_builder_create();
    for (int i = 0; i < 40; i++) add_lane(builder, i, ox + 12.0 * i, oy, ox + 12.0 * (i + 1), oy, i < 39 ? i + 1 : -1);
    for (int i = 0; i < 5; i++)
        add_lane(builder, 100 + i, ox, oy + 0.3 * i, ox + 480.0, oy + 0.3 * i, -1); // overlapping
    add_lane(builder, 200, ox + 100.0, oy - 50.0, ox + 100.0, oy + 50.0, -1);       // crosses them
    for (int i = 0; i < 4; i++) {                                                   // a ring
        static const double corner[5][2] = {{0, 100}, {60, 100}, {60, 160}, {0, 160}, {0, 100}};
        add_lane(builder, 300 + i, ox + corner[i][0], oy + corner[i][1], ox + corner[i + 1][0], oy + corner[i + 1][1],
                 300 + (i + 1) % 4);
    }
    add_lane(builder, 400, ox + 200.0, oy + 300.0, ox + 201.0, oy + 300.0, -1); // 1 m
    const nm_map *map = finish(builder);
    for (uint32_t seed = 0; seed < 5; seed++) {
        nm_spawn_params params = nm_spawn_params_default();
        params.density = 50.0;
        params.seed = seed;
        params.cyclists = 5;
        const nm_scene *scene = spawn(map, &params);
        assert_true(scene->track_count > 10);
        check_no_overlaps(scene);
        for (uint32_t i = 0; i < scene->track_count; i++) { // nobody stands where the road at x = 100 crosses
            float x = scene->x[i] + (float)(map->origin.x - ox) - 100.0f, y = scene->y[i] + (float)(map->origin.y - oy);
            assert_false(fabsf(x) < 1.0f && y > -1.5f && y < 2.5f);
        }
        nm_scene_destroy(scene);
    }
    nm_map_release(map);
}

/// A map where no vehicle fits: no ego, an empty scene, no error.
static void test_no_room(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    add_lane(builder, 1, 0.0, 0.0, 2.0, 0.0, -1);
    const nm_map *map = finish(builder);
    nm_spawn_params params = nm_spawn_params_default();
    const nm_scene *scene = spawn(map, &params);
    assert_int_equal(scene->track_count, 0);
    assert_true(scene->ego == NM_NONE);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

/// Crosswalk areas alone, as in WOMD maps, are enough for pedestrians.
static void test_crosswalk_area(void **state) {
    (void)state;
    nm_map_builder *builder = nm_map_builder_create();
    add_lane(builder, 1, -50.0, 0.0, 50.0, 0.0, -1);
    const nm_point3 area[4] = {{-1.0, -0.2, 0.0}, {1.0, -0.2, 0.0}, {1.0, 2.5, 0.0}, {-1.0, 2.5, 0.0}};
    assert_int_equal(nm_map_builder_add_area(builder, 2, NM_AREA_CROSSWALK, area, 4, NULL), NM_OK);
    const nm_map *map = finish(builder);
    nm_spawn_params params = nm_spawn_params_default();
    params.pedestrians = 6;
    const nm_scene *scene = spawn(map, &params);
    uint32_t people = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (scene->tracks[i].type != NM_AGENT_PEDESTRIAN) continue;
        people++;
        assert_true(fabsf(scene->x[i]) < 2.0f && fabsf(scene->y[i]) < 6.0f);
        assert_false(nm_map_drivable(map, scene->x[i], scene->y[i])); // one end of the area is on the road
        assert_true(scene->vy[i] * scene->y[i] < 0.0f);               // towards the road
    }
    assert_true(people >= 2);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

/// Ten thousand agents: the cost is that of the grid, not of all pairs; overlaps checked by sweeping along x.
static void test_many(void **state) {
    (void)state;
    nm_builtin_params road = nm_builtin_params_default(NM_BUILTIN_HIGHWAY_CURVED);
    road.length = 20000.0, road.lanes = 5, road.carriageways = 2;
    const nm_map *map;
    nm_error error;
    assert_int_equal(nm_builtin_map(&road, &map, &error), NM_OK);
    nm_spawn_params params = nm_spawn_params_default();
    params.density = 60.0;
    const nm_scene *scene = spawn(map, &params);
    assert_true(scene->track_count > 10000);
    uint32_t counts[NM_ISSUE_COUNT];
    nm_scene_validate(scene, NULL, 0, counts);
    assert_int_equal(counts[NM_ISSUE_OVERLAP_AT_START], 0);
    assert_int_equal(counts[NM_ISSUE_OFF_ROAD_AT_START], 0);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_map),      cmocka_unit_test(test_bends),    cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_density),        cmocka_unit_test(test_limits),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_shares),         cmocka_unit_test(test_odd_maps), cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_crosswalk_area), cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
