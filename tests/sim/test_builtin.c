/// The built-in maps: every kind builds over its whole range of parameters, hangs together, has no cracks, and says
/// what it refuses.
#include "support.h"

#include "base/rng.h"
#include "sim/builtin.h"

#define SEED 20240607u

static const nm_map *build(const nm_builtin_params *params) {
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_map(params, &map, &error) != NM_OK) {
        char text[900];
        nm_error_format(&error, text, sizeof(text));
        fail_msg("%s: %s", nm_builtin_name(params->kind), text);
    }
    return map;
}

typedef void map_check(const nm_map *map, const nm_builtin_params *params);

/// Calls the checks on maps of one kind: all numbers of lanes, odd widths, the extremes of length and radius.
static void for_all_sizes(nm_builtin_kind kind, map_check *const *checks, size_t check_count) {
    static const double widths[] = {3.5, 2.5, 5.0, 3.37};
    const nm_builtin_params base = nm_builtin_params_default(kind);
    int ramp = kind == NM_BUILTIN_ON_RAMP || kind == NM_BUILTIN_OFF_RAMP, built = 0;
    for (int lanes = 1; lanes <= 5; lanes++) {
        for (int variant = 0; variant < 6; variant++) {
            nm_builtin_params params = base;
            params.lanes = lanes;
            params.lane_width = widths[(lanes + variant) % 4];
            params.carriageways = 1 + variant % 2;
            if (variant % 3 == 1) {
                params.length = ramp ? 400.0 : 50.0;
                params.radius = kind != NM_BUILTIN_ROUNDABOUT ? 50.0 : lanes == 1 ? 10.0 : 15.0;
            }
            if (variant % 3 == 2) {
                params.length = 1777.7;
                params.radius = kind == NM_BUILTIN_ROUNDABOUT ? 100.0 : 10000.0;
            }
            const nm_map *map;
            nm_error error;
            if (nm_builtin_map(&params, &map, &error) != NM_OK) {
                if (!strstr(error.message, "lanes")) fail_msg("%s", error.message); // nothing else is out of range here
                continue;
            }
            built++;
            for (size_t i = 0; i < check_count; i++) checks[i](map, &params);
            nm_map_release(map);
        }
    }
    assert_true(built >= 12);
}

// ---------------------------------------------------------------------------------------------------------------------

static void test_names(void **state) {
    (void)state;
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        nm_builtin_kind found = NM_BUILTIN_COUNT;
        assert_int_equal(nm_builtin_from_name(nm_builtin_name((nm_builtin_kind)kind), &found, NULL), NM_OK);
        assert_int_equal(found, kind);
    }
    nm_builtin_kind kind;
    nm_error error;
    assert_int_equal(nm_builtin_from_name("motorway", &kind, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "motorway"));
    assert_non_null(strstr(error.message, "t_junction"));
    assert_non_null(strstr(error.message, "crosswalk"));
}

static void expect_refused(nm_builtin_params params, const char *name) {
    const nm_map *map = (const nm_map *)&params;
    nm_error error;
    assert_int_equal(nm_builtin_map(&params, &map, &error), NM_E_ARGUMENT);
    assert_null(map);
    if (strncmp(error.message, name, strlen(name)) != 0) fail_msg("wanted %s in: %s", name, error.message);
}

static void test_refused(void **state) {
    (void)state;
    const double bad[] = {-1.0, 0.0, 1e9, NAN, INFINITY, -INFINITY};
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        nm_builtin_params base = nm_builtin_params_default((nm_builtin_kind)kind), params;
        int curved = kind == NM_BUILTIN_HIGHWAY_CURVED || kind == NM_BUILTIN_ROUNDABOUT;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            params = base, params.lane_width = bad[i], expect_refused(params, "lane_width");
            params = base, params.length = bad[i], expect_refused(params, "length");
            params = base, params.speed_limit = bad[i], expect_refused(params, "speed_limit");
            params = base, params.radius = bad[i];
            if (curved) expect_refused(params, "radius");
            params = base, params.green = bad[i];
            if (kind == NM_BUILTIN_JUNCTION_SIGNAL) expect_refused(params, "green");
            params = base, params.yellow = bad[i];
            if (kind == NM_BUILTIN_JUNCTION_SIGNAL) expect_refused(params, "yellow");
            params = base, params.all_red = bad[i] == 0.0 ? 11.0 : bad[i];
            if (kind == NM_BUILTIN_JUNCTION_SIGNAL) expect_refused(params, "all_red");
        }
        params = base, params.lanes = 0, expect_refused(params, "lanes");
        params = base, params.lanes = 6, expect_refused(params, "lanes");
        params = base, params.lanes = INT32_MIN, expect_refused(params, "lanes");
        params = base, params.minor_control = NM_CONTROL_SIGNAL;
        if (kind == NM_BUILTIN_T_JUNCTION || kind == NM_BUILTIN_JUNCTION_PRIORITY)
            expect_refused(params, "minor_control");
        params = base, params.carriageways = 3;
        if (kind == NM_BUILTIN_HIGHWAY) expect_refused(params, "carriageways");
    }
    nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_ROUNDABOUT);
    params.lanes = 2, params.radius = 14.0, expect_refused(params, "radius");
    params.kind = (nm_builtin_kind)99;
    expect_refused(params, "kind");
}

/// A golden number per default map, so that a change is never an accident. A meant change: print and copy.
static void test_golden(void **state) {
    (void)state;
    static const struct {
        uint64_t hash;
        uint32_t lanes, lines, areas, signals;
    } golden[NM_BUILTIN_COUNT] = {
        {0xaa81f0b11a3d2df5, 15, 18, 0, 0}, // highway
        {0x3e547f5f30eb07d3, 15, 18, 0, 0}, // highway_curved
        {0xdfe851ef73a11774, 29, 33, 0, 0}, // on_ramp
        {0xcd141df09c57eeed, 29, 33, 0, 0}, // off_ramp
        {0xe61496afca4005c1, 72, 28, 4, 8}, // junction_signal
        {0x7fb38e9fa294e6aa, 72, 28, 4, 0}, // junction_priority
        {0xb31b2824b355d10d, 72, 28, 4, 0}, // junction_all_way
        {0x0f185f91046da84c, 51, 21, 4, 0}, // t_junction
        {0x06b132b5e67f0c95, 76, 40, 4, 0}, // roundabout
        {0x9c6b34dfa6c62eb6, 24, 14, 1, 0}, // crosswalk
    };
    int changed = 0;
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        nm_builtin_params params = nm_builtin_params_default((nm_builtin_kind)kind);
        const nm_map *map = build(&params), *again = build(&params);
        assert_true(map->hash == again->hash);
        if (map->hash != golden[kind].hash || map->lane_count != golden[kind].lanes ||
            map->line_count != golden[kind].lines || map->area_count != golden[kind].areas ||
            map->signal_count != golden[kind].signals) {
            printf("{0x%016llx, %u, %u, %u, %u}, // %s\n", (unsigned long long)map->hash, map->lane_count,
                   map->line_count, map->area_count, map->signal_count, nm_builtin_name(params.kind));
            changed = 1;
        }
        nm_map_release(map);
        nm_map_release(again);
    }
    assert_false(changed);
}

// ---------------------------------------------------------------------------------------------------------------------
// How lanes meet

static int same(nm_vec2 a, nm_vec2 b) {
    return a.x == b.x && a.y == b.y;
}
static float apart(nm_vec2 a, nm_vec2 b) {
    return hypotf(a.x - b.x, a.y - b.y);
}

static int drivable(const nm_map *map, uint32_t lane) {
    return nm_lane_type_drivable((nm_lane_type)map->lanes[lane].type);
}

static int refers_to(const nm_map *map, nm_range refs, uint32_t lane) {
    for (uint32_t i = 0; i < refs.count; i++)
        if (map->lane_refs[refs.first + i] == lane) return 1;
    return 0;
}

/// The right shoulder beside a ramp runs beside other ground at its ends; everything else meets point on point.
static void check_links(const nm_map *map, const nm_builtin_params *params) {
    for (uint32_t a = 0; a < map->lane_count; a++) {
        const nm_lane *from = &map->lanes[a];
        uint32_t end = from->points.first + from->points.count - 1;
        for (uint32_t i = 0; i < from->successors.count; i++) {
            uint32_t b = map->lane_refs[from->successors.first + i], start = map->lanes[b].points.first;
            assert_true(refers_to(map, map->lanes[b].predecessors, a));
            assert_int_equal(drivable(map, a), drivable(map, b));
            if (drivable(map, a)) {
                if (!same(map->left[end], map->left[start]) || !same(map->right[end], map->right[start]))
                    fail_msg("%s lanes %d width %g: lane %u does not meet lane %u", nm_builtin_name(params->kind),
                             params->lanes, params->lane_width, a, b);
            } else {
                if (apart(map->centre[end], map->centre[start]) > 0.01f)
                    fail_msg("%s: walkway %u ends %g m from %u", nm_builtin_name(params->kind), a,
                             (double)apart(map->centre[end], map->centre[start]), b);
            }
        }
    }
}

static void check_neighbours(const nm_map *map, const nm_builtin_params *params) {
    (void)params;
    for (uint32_t a = 0; a < map->lane_count; a++) {
        const nm_lane *lane = &map->lanes[a];
        nm_range sides[2] = {lane->left, lane->right};
        for (int side = 0; side < 2; side++) {
            const nm_vec2 *mine = side == 0 ? map->left : map->right;
            for (uint32_t i = 0; i < sides[side].count; i++) {
                const nm_neighbour *beside = &map->neighbours[sides[side].first + i];
                const nm_lane *other = &map->lanes[beside->lane];
                const nm_vec2 *theirs = (side == 0) != (beside->opposite != 0) ? map->right : map->left;
                assert_int_equal(lane->points.count, other->points.count);
                for (uint32_t k = 0; k < lane->points.count; k++) {
                    uint32_t there = beside->opposite ? lane->points.count - 1 - k : k;
                    assert_true(same(mine[lane->points.first + k], theirs[other->points.first + there]));
                }
            }
        }
    }
}

/// Every way in leads to every way out that its direction allows: on roads without turning round, all of them.
static void check_routes(const nm_map *map, const nm_builtin_params *params) {
    static uint32_t route[4096];
    nm_error error;
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    for (uint32_t a = 0; a < map->lane_count; a++) {
        const nm_lane *from = &map->lanes[a];
        if (!drivable(map, a) || from->type == NM_LANE_SHOULDER || from->predecessors.count) continue;
        uint32_t reached = 0, ends = 0;
        for (uint32_t b = 0; b < map->lane_count; b++) {
            const nm_lane *to = &map->lanes[b];
            if (!drivable(map, b) || to->type == NM_LANE_SHOULDER || to->successors.count) continue;
            uint32_t count = nm_map_route(map, a, b, 10.0f, route, 4096, NULL);
            ends++;
            reached += count > 0 && count != NM_NONE;
        }
        uint32_t wanted;
        switch (params->kind) {
        case NM_BUILTIN_HIGHWAY:
        case NM_BUILTIN_HIGHWAY_CURVED:
            wanted = ends / (uint32_t)params->carriageways;
            break;
        case NM_BUILTIN_CROSSWALK:
            wanted = (uint32_t)params->lanes;
            break;
        case NM_BUILTIN_ROUNDABOUT:
            wanted = ends;
            break; // also back where one came from
        case NM_BUILTIN_ON_RAMP:
        case NM_BUILTIN_OFF_RAMP:
            wanted = ends;
            break;
        default:
            wanted = ends - (uint32_t)params->lanes;
            break; // all arms but one's own
        }
        if (reached != wanted)
            fail_msg("%s lanes %d length %g: lane %u reaches %u of %u ends, not %u", nm_builtin_name(params->kind),
                     params->lanes, params->length, a, reached, ends, wanted);
    }
}

static void check_valid(const nm_map *map, const nm_builtin_params *params) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene;
    nm_issue issues[8];
    nm_error error;
    assert_non_null(builder);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 1, &error), NM_OK);
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    size_t count = nm_scene_validate(scene, issues, 8, NULL);
    // the acceleration lane ends, as acceleration lanes do: the one issue there may be
    for (size_t i = 0; i < count && i < 8; i++) {
        if (params->kind == NM_BUILTIN_ON_RAMP && issues[i].kind == NM_ISSUE_DEAD_END && count == 1 &&
            map->lanes[issues[i].lane].type == NM_LANE_RAMP)
            continue;
        fail_msg("%s lanes %d width %g length %g radius %g: %s: %s", nm_builtin_name(params->kind), params->lanes,
                 params->lane_width, params->length, params->radius, nm_issue_name(issues[i].kind), issues[i].detail);
    }
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
}

/// Long maps have long chains of lanes and places far from the origin.
static void test_longest(void **state) {
    (void)state;
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        nm_builtin_params params = nm_builtin_params_default((nm_builtin_kind)kind);
        params.length = 20000.0;
        const nm_map *map = build(&params);
        check_links(map, &params);
        check_neighbours(map, &params);
        nm_map_release(map);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The ground

/// A box on a lane at a random place, shift and heading. Returns 0 when it pokes over the lane's borders.
static int draw_box(const nm_map *map, uint32_t lane, uint32_t draw, float box[6]) {
    nm_rng_key key = {.seed = SEED, .scene = 1, .agent = lane, .step = draw, .purpose = NM_PURPOSE_TEST};
    const nm_lane *on = &map->lanes[lane];
    float length = 0.5f + 8.0f * nm_rng_uniform(&key, 0), width = 0.4f + 2.0f * nm_rng_uniform(&key, 1);
    float s = nm_rng_uniform(&key, 2) * on->length;
    nm_rail_point rail = nm_map_rail(map, lane, s);
    float spare = rail.left + rail.right - width;
    float d = -rail.right + 0.5f * width + spare * nm_rng_uniform(&key, 3);
    float turn = 0.1f * (nm_rng_uniform(&key, 4) - 0.5f);
    box[0] = rail.x - d * rail.sin_h;
    box[1] = rail.y + d * rail.cos_h;
    box[2] = rail.cos_h * cosf(turn) - rail.sin_h * sinf(turn);
    box[3] = rail.sin_h * cosf(turn) + rail.cos_h * sinf(turn);
    box[4] = length;
    box[5] = width;
    for (int corner = 0; corner < 4; corner++) {
        float along = corner & 1 ? 0.5f * length : -0.5f * length, across = corner & 2 ? 0.5f * width : -0.5f * width;
        float x = box[0] + along * box[2] - across * box[3], y = box[1] + along * box[3] + across * box[2];
        nm_frenet at = nm_map_project(map, lane, x, y);
        if (at.d > at.left || at.d < -at.right || at.beyond != 0.0f) return 0;
    }
    return 1;
}

/// No box within its lane has a corner off the drivable area, and no point on a shared border is a crack.
static void check_watertight(const nm_map *map, const nm_builtin_params *params) {
    uint32_t inside = 0, lanes = 0;
    nm_error error;
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    for (uint32_t lane = 0; lane < map->lane_count; lane++) {
        if (!drivable(map, lane)) continue;
        lanes++;
        for (uint32_t draw = 0; draw < 6; draw++) {
            float box[6];
            uint8_t off = 1;
            if (!draw_box(map, lane, draw, box)) continue;
            nm_map_boxes_off_road(map, &box[0], &box[1], &box[2], &box[3], &box[4], &box[5], 0.0f, 1, &off);
            if (off)
                fail_msg("seed %u, %s lanes %d width %g radius %g: box %u on lane %u at (%g, %g) is off the road", SEED,
                         nm_builtin_name(params->kind), params->lanes, params->lane_width, params->radius, draw, lane,
                         (double)box[0], (double)box[1]);
            inside++;
        }
        // across the ends, where one lane follows another
        const nm_lane *on = &map->lanes[lane];
        for (uint32_t k = 0; on->successors.count && k < 4; k++) {
            nm_rng_key key = {.seed = SEED, .scene = 2, .agent = lane, .step = k, .purpose = NM_PURPOSE_TEST};
            uint32_t end = on->points.first + on->points.count - 1;
            float share = 0.02f + 0.96f * nm_rng_uniform(&key, 0);
            float x = map->left[end].x + share * (map->right[end].x - map->left[end].x);
            float y = map->left[end].y + share * (map->right[end].y - map->left[end].y);
            assert_true(nm_map_drivable(map, x, y));
        }
    }
    assert_true(inside > lanes); // the test tests something
}

/// Within the edges of a junction there is no hole: from the middle, every ray stays on the road until it leaves it
/// through an arm's or a corner's edge for good.
static void test_no_holes(void **state) {
    (void)state;
    static const nm_builtin_kind kinds[] = {NM_BUILTIN_JUNCTION_SIGNAL, NM_BUILTIN_T_JUNCTION};
    for (size_t i = 0; i < 2; i++) {
        for (int lanes = 1; lanes <= 3; lanes++) {
            for (int w = 0; w < 3; w++) {
                nm_builtin_params params = nm_builtin_params_default(kinds[i]);
                params.lanes = lanes;
                params.lane_width = 2.5 + 1.25 * w;
                const nm_map *map = build(&params);
                for (int ray = 0; ray < 360; ray++) {
                    int was_on = 1;
                    double angle = ray * 3.14159265358979 / 180.0;
                    for (double r = 0.0; r < 45.0; r += 0.1) {
                        int on = nm_map_drivable(map, (float)(r * cos(angle)), (float)(r * sin(angle)));
                        if (on && !was_on)
                            fail_msg("%s lanes %d width %g: hole at %d degrees before %g m", nm_builtin_name(kinds[i]),
                                     lanes, params.lane_width, ray, r);
                        was_on = on;
                    }
                }
                nm_map_release(map);
            }
        }
    }
}

/// Both borders of every lane, walkways included, run forwards: nothing folds over at the inside of a curve.
static void check_unfolded(const nm_map *map, const nm_builtin_params *params) {
    for (uint32_t a = 0; a < map->lane_count; a++) {
        nm_range points = map->lanes[a].points;
        for (uint32_t i = points.first; i + 1 < points.first + points.count; i++) {
            float x = map->centre[i + 1].x - map->centre[i].x, y = map->centre[i + 1].y - map->centre[i].y;
            float left = x * (map->left[i + 1].x - map->left[i].x) + y * (map->left[i + 1].y - map->left[i].y);
            float right = x * (map->right[i + 1].x - map->right[i].x) + y * (map->right[i + 1].y - map->right[i].y);
            if (!(left > 0.0f && right > 0.0f))
                fail_msg("%s lanes %d width %g radius %g: lane %u folds over at (%g, %g)",
                         nm_builtin_name(params->kind), params->lanes, params->lane_width, params->radius, a,
                         (double)map->centre[i].x, (double)map->centre[i].y);
        }
    }
}

/// Directions run on over lane ends, and no lane is sharper than a vehicle can turn.
static void check_smooth(const nm_map *map, const nm_builtin_params *params) {
    nm_error error;
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    for (uint32_t a = 0; a < map->lane_count; a++) {
        const nm_lane *from = &map->lanes[a];
        if (!drivable(map, a)) continue;
        for (uint32_t i = 0; i < from->rail.count; i++) {
            float curvature = map->rail[from->rail.first + i].curvature;
            if (fabsf(curvature) > 0.22f)
                fail_msg("%s lanes %d width %g radius %g: lane %u has a radius of %g m", nm_builtin_name(params->kind),
                         params->lanes, params->lane_width, params->radius, a, (double)(1.0f / fabsf(curvature)));
        }
        nm_rail_point end = map->rail[from->rail.first + from->rail.count - 1];
        for (uint32_t i = 0; i < from->successors.count; i++) {
            const nm_lane *to = &map->lanes[map->lane_refs[from->successors.first + i]];
            nm_rail_point start = map->rail[to->rail.first];
            assert_true(end.cos_h * start.cos_h + end.sin_h * start.sin_h > 0.995f);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is special about each kind

static int in_area(const nm_map *map, const nm_area *area, nm_vec2 p) {
    int inside = 0;
    const nm_vec2 *q = &map->area_points[area->points.first];
    for (uint32_t i = 0, k = area->points.count - 1; i < area->points.count; k = i++)
        if ((q[i].y > p.y) != (q[k].y > p.y) && p.x < (q[k].x - q[i].x) * (p.y - q[i].y) / (q[k].y - q[i].y) + q[i].x)
            inside = !inside;
    return inside;
}

/// Crosswalk lanes lead from sidewalk to sidewalk over an area on the road; walkers wait off the road, vehicles before
/// the area.
static void check_walkways(const nm_map *map, const nm_builtin_params *params) {
    uint32_t crossings = 0, areas = 0;
    nm_error error;
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    for (uint32_t i = 0; i < map->area_count; i++) areas += map->areas[i].kind == NM_AREA_CROSSWALK;
    for (uint32_t a = 0; a < map->lane_count; a++) {
        const nm_lane *lane = &map->lanes[a];
        if (lane->type == NM_LANE_SIDEWALK) assert_true(lane->successors.count + lane->predecessors.count > 0);
        if (lane->type != NM_LANE_CROSSWALK) continue;
        crossings++;
        assert_int_equal(lane->predecessors.count, 1);
        assert_int_equal(lane->successors.count, 1);
        uint32_t before = map->lane_refs[lane->predecessors.first], behind = map->lane_refs[lane->successors.first];
        assert_int_equal(map->lanes[before].type, NM_LANE_SIDEWALK);
        assert_int_equal(map->lanes[behind].type, NM_LANE_SIDEWALK);
        assert_true(map->lanes[before].predecessors.count > 0 && map->lanes[behind].successors.count > 0);
        for (float along = 0.5f; along < lane->length - 0.45f; along += 0.5f) { // 0.4 m before the kerb it begins
            float x, y, heading;
            nm_map_position(map, a, along, 0.0f, &x, &y, &heading);
            int covered = 0;
            for (uint32_t i = 0; i < map->area_count; i++)
                covered |= map->areas[i].kind == NM_AREA_CROSSWALK && in_area(map, &map->areas[i], (nm_vec2){x, y});
            assert_true(covered);
            assert_true(nm_map_drivable(map, x, y));
        }
        float x, y, heading;
        nm_map_position(map, before, map->lanes[before].length, 0.0f, &x, &y, &heading);
        assert_false(nm_map_drivable(map, x, y)); // who waits is off the road, and in nobody's way
        assert_int_equal(map->lanes[before].conflicts.count, 0);
        uint32_t vehicles = 0; // every lane of the arm knows about the crossing
        for (uint32_t i = 0; i < lane->conflicts.count; i++)
            vehicles += drivable(map, map->conflicts[lane->conflicts.first + i].lane);
        assert_true(vehicles >= 2u * (uint32_t)params->lanes);
    }
    assert_int_equal(crossings, 2 * areas);
    for (uint32_t i = 0; i < map->stop_line_count; i++) {
        nm_vec2 middle = {0.5f * (map->stop_lines[i].a.x + map->stop_lines[i].b.x),
                          0.5f * (map->stop_lines[i].a.y + map->stop_lines[i].b.y)};
        for (uint32_t k = 0; k < map->area_count; k++)
            if (map->areas[k].kind == NM_AREA_CROSSWALK) assert_false(in_area(map, &map->areas[k], middle));
    }
    int town = params->kind >= NM_BUILTIN_JUNCTION_SIGNAL;
    assert_int_equal(areas > 0, town);
}

static void test_every_size(void **state) {
    static map_check *const checks[] = {check_links,      check_neighbours, check_routes,   check_valid,
                                        check_watertight, check_smooth,     check_unfolded, check_walkways};
    for_all_sizes(*(const nm_builtin_kind *)*state, checks, sizeof(checks) / sizeof(checks[0]));
}

/// Never green for two roads at once, always all-red between, and walkers only while their vehicles stand.
static void test_signals(void **state) {
    (void)state;
    nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_JUNCTION_SIGNAL);
    params.green = 12.3, params.yellow = 3.1, params.all_red = 1.7;
    const nm_map *map = build(&params);
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene;
    nm_error error;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 1, &error), NM_OK);
    assert_int_equal(nm_scene_builder_build(builder, &scene, &error), NM_OK);
    uint32_t greens[2] = {0, 0}, walks = 0, both_red = 0;
    assert_int_equal(map->signal_count, 8);
    const uint32_t cycle = 2 * (123 + 31 + 17);
    for (uint32_t step = 0; step < cycle; step++) {
        int moving[2] = {0, 0}, walking[2] = {0, 0};
        for (uint32_t i = 0; i < 8; i++) {
            int road = (i / 2) % 2; // signals come by arm: vehicles, walkers
            int go = nm_scene_signal(scene, i, step) != NM_SIGNAL_STOP;
            *(i % 2 ? &walking[road] : &moving[road]) |= go;
        }
        assert_false(moving[0] && moving[1]);
        assert_false(walking[0] && moving[0]);
        assert_false(walking[1] && moving[1]);
        greens[0] += nm_scene_signal(scene, 0, step) == NM_SIGNAL_GO;
        greens[1] += nm_scene_signal(scene, 2, step) == NM_SIGNAL_GO;
        walks += walking[0];
        both_red += !moving[0] && !moving[1];
    }
    assert_int_equal(greens[0], 123);
    assert_int_equal(greens[1], 123);
    assert_int_equal(both_red, 34);
    assert_true(walks > 40);
    for (uint32_t i = 0; i < map->lane_count; i++)
        if (map->lanes[i].control == NM_CONTROL_SIGNAL) assert_int_equal(map->lanes[i].signals.count, 1);
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
}

static uint32_t count_control(const nm_map *map, nm_control_kind control, int stop_line) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->lane_count; i++)
        count += drivable(map, i) && map->lanes[i].control == control &&
                 (map->lanes[i].stop_line != NM_NONE) == (stop_line != 0);
    return count;
}

static void test_controls(void **state) {
    (void)state;
    static const struct {
        nm_builtin_kind kind;
        nm_control_kind control, minor;
        uint32_t per_lane;
    } wanted[] = {
        {NM_BUILTIN_JUNCTION_SIGNAL, NM_CONTROL_SIGNAL, NM_CONTROL_YIELD, 4},
        {NM_BUILTIN_JUNCTION_ALL_WAY, NM_CONTROL_ALL_WAY_STOP, NM_CONTROL_YIELD, 4},
        {NM_BUILTIN_JUNCTION_PRIORITY, NM_CONTROL_STOP, NM_CONTROL_STOP, 2},
        {NM_BUILTIN_JUNCTION_PRIORITY, NM_CONTROL_YIELD, NM_CONTROL_YIELD, 2},
        {NM_BUILTIN_T_JUNCTION, NM_CONTROL_YIELD, NM_CONTROL_YIELD, 1},
        {NM_BUILTIN_T_JUNCTION, NM_CONTROL_STOP, NM_CONTROL_STOP, 1},
        {NM_BUILTIN_CROSSWALK, NM_CONTROL_YIELD, NM_CONTROL_YIELD, 2},
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        nm_builtin_params params = nm_builtin_params_default(wanted[i].kind);
        params.lanes = 2;
        params.minor_control = wanted[i].minor;
        const nm_map *map = build(&params);
        assert_int_equal(count_control(map, wanted[i].control, 1), wanted[i].per_lane * 2);
        nm_map_release(map);
    }
}

/// Who yields: minor roads to the main one, left turns to the opposite way straight on, entries to the ring, everybody
/// to walkers on a crosswalk.
static void check_precedence(nm_builtin_kind kind, nm_control_kind mine, nm_turn turn, nm_control_kind theirs,
                             nm_turn their_turn, nm_precedence wanted) {
    nm_builtin_params params = nm_builtin_params_default(kind);
    const nm_map *map = build(&params);
    nm_error error;
    assert_int_equal(nm_map_prepare(map, &error), NM_OK);
    uint32_t found = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (!drivable(map, i) || !lane->predecessors.count || lane->turn != turn) continue;
        if (map->lanes[map->lane_refs[lane->predecessors.first]].control != mine) continue;
        for (uint32_t k = 0; k < lane->conflicts.count; k++) {
            const nm_conflict *conflict = &map->conflicts[lane->conflicts.first + k];
            const nm_lane *other = &map->lanes[conflict->lane];
            if (conflict->kind == NM_CONFLICT_DIVERGE || !other->predecessors.count || other->turn != their_turn)
                continue;
            if (map->lanes[map->lane_refs[other->predecessors.first]].control != theirs) continue;
            nm_rail_point a = nm_map_rail(map, i, 0.0f), b = nm_map_rail(map, conflict->lane, 0.0f);
            if (mine == theirs && a.cos_h * b.cos_h + a.sin_h * b.sin_h > -0.9f) continue; // opposite ways only
            if (conflict->precedence != wanted)
                fail_msg("%s: lane %u against %u is %d, not %d", nm_builtin_name(kind), i, conflict->lane,
                         conflict->precedence, wanted);
            found++;
        }
    }
    assert_true(found >= 2);
    nm_map_release(map);
}

static void test_precedence(void **state) {
    (void)state;
    check_precedence(NM_BUILTIN_JUNCTION_PRIORITY, NM_CONTROL_STOP, NM_TURN_STRAIGHT, NM_CONTROL_PRIORITY,
                     NM_TURN_STRAIGHT, NM_PRECEDENCE_THEIRS);
    check_precedence(NM_BUILTIN_T_JUNCTION, NM_CONTROL_YIELD, NM_TURN_LEFT, NM_CONTROL_PRIORITY, NM_TURN_STRAIGHT,
                     NM_PRECEDENCE_THEIRS);
    check_precedence(NM_BUILTIN_JUNCTION_SIGNAL, NM_CONTROL_SIGNAL, NM_TURN_LEFT, NM_CONTROL_SIGNAL, NM_TURN_STRAIGHT,
                     NM_PRECEDENCE_THEIRS);
    check_precedence(NM_BUILTIN_ROUNDABOUT, NM_CONTROL_YIELD, NM_TURN_RIGHT, NM_CONTROL_PRIORITY, NM_TURN_STRAIGHT,
                     NM_PRECEDENCE_THEIRS);
    check_precedence(NM_BUILTIN_CROSSWALK, NM_CONTROL_YIELD, NM_TURN_STRAIGHT, NM_CONTROL_PRIORITY, NM_TURN_STRAIGHT,
                     NM_PRECEDENCE_THEIRS);
}

/// One may change from the acceleration lane to the highway along all of it, and it has no other way on.
static void test_merge(void **state) {
    (void)state;
    nm_builtin_params params = nm_builtin_params_default(NM_BUILTIN_ON_RAMP);
    const nm_map *map = build(&params);
    uint32_t ending = 0;
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        if (lane->type != NM_LANE_RAMP || lane->successors.count) continue;
        ending++;
        assert_true(lane->length > 240.0f);
        assert_int_equal(lane->left.count, 1);
        const nm_neighbour *beside = &map->neighbours[lane->left.first];
        assert_int_equal(map->lanes[beside->lane].type, NM_LANE_FREEWAY);
        assert_true(beside->may_change && !beside->opposite);
        assert_true(beside->self_start <= 0.01f && beside->self_end >= lane->length - 0.01f);
    }
    assert_int_equal(ending, 1);
    nm_map_release(map);
}

static nm_builtin_kind every_kind[NM_BUILTIN_COUNT] = {
    NM_BUILTIN_HIGHWAY,         NM_BUILTIN_HIGHWAY_CURVED,    NM_BUILTIN_ON_RAMP,          NM_BUILTIN_OFF_RAMP,
    NM_BUILTIN_JUNCTION_SIGNAL, NM_BUILTIN_JUNCTION_PRIORITY, NM_BUILTIN_JUNCTION_ALL_WAY, NM_BUILTIN_T_JUNCTION,
    NM_BUILTIN_ROUNDABOUT,      NM_BUILTIN_CROSSWALK,
};

int main(void) {
    printf("seed %u\n", SEED);
    struct CMUnitTest tests[NM_BUILTIN_COUNT + 9] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_refused),  cmocka_unit_test(test_golden),
        cmocka_unit_test(test_longest),  cmocka_unit_test(test_no_holes), cmocka_unit_test(test_signals),
        cmocka_unit_test(test_controls), cmocka_unit_test(test_merge),    cmocka_unit_test(test_precedence),
    };
    for (int i = 0; i < NM_BUILTIN_COUNT; i++)
        tests[9 + i] = (struct CMUnitTest){nm_builtin_name(every_kind[i]), test_every_size, NULL, NULL, &every_kind[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
