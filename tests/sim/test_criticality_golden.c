/// Golden scenes, made with the scene builder: a cut-in, a rear-end collision and a crossing, whose summaries are
/// worked out by hand in the comments.
#include "base/arena.h"
#include "criticality_support.h"
#include "sim/scenes.h"

static nm_criticality_params params;
static nm_arena *arena;

/// One step of one agent: cars of 4 m x 2 m.
typedef struct pose {
    double x, y, heading, vx, vy;
} pose;

/// Builds a scene from a function that knows where agent i is at time t; returns 0 where it is not.
typedef int driver(uint32_t agent, double t, pose *out);
static const nm_scene *film(const nm_map *map, driver *where, uint32_t agents, uint32_t steps) {
    nm_error error;
    nm_error_clear(&error);
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, &error), NM_OK);
    for (uint32_t i = 0; i < agents; i++) {
        nm_track_def def = {.id = i, .type = NM_AGENT_CAR, .length = 4, .width = 2, .height = 1.5f};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = 0; t < steps; t++) {
            pose at;
            if (!where(i, 0.1 * t, &at)) continue;
            nm_state_def state = {.x = at.x, .y = at.y, .heading = at.heading, .vx = at.vx, .vy = at.vy};
            if (nm_scene_builder_add_state(builder, track, t, &state, &error) != NM_OK) fail_msg("%s", error.message);
        }
    }
    nm_scene_builder_set_current(builder, 0, 0);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static nm_scene_criticality evaluate(const nm_scene *scene) {
    nm_scene_criticality out;
    nm_error error;
    assert_int_equal(nm_scene_evaluate(scene, 0, scene->step_count - 1, 100, &params, arena, &out, &error), NM_OK);
    return out;
}

/// Ego at 20 m/s in lane y = 0. The other, at 15 m/s and 40 m ahead in lane y = 3.5, moves over at 1 m/s from 1.0 s to
/// 4.5 s; its heading stays. From 5.0 s on the ego drives 15 m/s too.
static int cut_in(uint32_t agent, double t, pose *out) {
    if (agent == 0) {
        double way = t < 5.0 ? 20.0 * t : 100.0 + 15.0 * (t - 5.0);
        *out = (pose){way, 0, 0, t < 4.999 ? 20 : 15, 0};
    } else {
        double over = t < 1.0 ? 0 : t < 4.5 ? t - 1.0 : 3.5;
        *out = (pose){40.0 + 15.0 * t, 3.5 - over, 0, 15, t > 0.999 && t < 4.499 ? -1 : 0};
    }
    return 1;
}

static void test_cut_in(void **state) {
    (void)state;
    const nm_scene *scene = film(nm_test_road(400), cut_in, 2, 81);
    nm_scene_criticality c = evaluate(scene);
    assert_int_equal(c.pair_count, 1);
    assert_int_equal(c.collision_count, 0);
    const nm_pair_summary *pair = &c.pairs[0];
    // Gap: 40 - 4 - 5 t, from 5.0 s on constantly 11 m. The ego's 20 m/s last up to 4.9 s: gap 11.5, TTC 11.5 / 5.
    assert_near(pair->min_ttc, 2.3, 1e-4);
    assert_int_equal(pair->min_ttc_step, 49);
    // ... and DRAC 25 / 23, ITTC 5 / 11.5
    assert_near(pair->max_drac, 25.0 / 23.0, 1e-4);
    assert_int_equal(pair->max_drac_step, 49);
    assert_near(pair->max_ittc, 5.0 / 11.5, 1e-5);
    // THW: 11.5 / 20 = 0.575 at 4.9 s; after it 11 / 15 = 0.733
    assert_near(pair->min_thw, 0.575, 1e-5);
    assert_near(pair->min_distance, 11.0, 1e-4);
    assert_true(pair->min_distance_step >= 50); // all the same: rounding picks one
    assert_near(pair->tet, 0, 0);               // never under 2 s
    assert_near(pair->tit, 0, 0);
    // TTC projected: the other's speed while it moves over is sqrt(226) = 15.0333; after it 15. From 4.5 s on: gap
    // 13.5 .. 11.5 at 5 m/s closing: 2.3 s at 4.9 s, a multiple of 0.1 up to rounding. Before, the sides are apart.
    assert_true(fabs(pair->min_ttc_projected - 2.3f) < 1e-4f || fabs(pair->min_ttc_projected - 2.4f) < 1e-4f);
    // The last moment to brake at 4.9 s: off 5 m/s takes 25 / 16 = 1.5625 m of the 11.5: 9.9375 / 5
    assert_near(pair->min_ttb, 1.9875, 1e-4);
    // to steer by 2 m, sqrt(4 / 6) before 2.3 s; the other may steer as well, and no later
    assert_near(pair->min_tts, 2.3 - 0.816497, 1e-4);
    assert_near(pair->min_ttr, 1.9875, 1e-4);
    // On a collision course from 1.0 s on, when it begins to move over
    assert_near(pair->min_ttce_dce, 0, 0);
    // RSS at 4.9 s and similarly all along behind it: 20 and 15 m/s ask for 15 + 0.84375 + 22.25^2 / 8 - 225 / 16 =
    // 63.66 m, more than there is; so it counts when the side gap is below the safe one.
    // Standing apart: 1.5 m > 0.3 + 2 * 0.0703 = 0.4406. Moving over at 1 m/s: safe 0.3 + 0.0703125 + 1.6328125
    // = 2.003, at once from 1.0 s on, for 35 steps; then both in one lane: to the end at 8.0 s, in all 71 steps
    // (after 5.0 s: 11.25 + 0.84375 + 17.25^2 / 8 ... - 225 / 16 = 35.2 m > 11 m)
    assert_near(pair->rss_exposed, 7.1, 1e-4);
    // PET: the other's right side comes to y = 1, the side of the ego's strip, at 2.5 s, with its rear at x = 75.5. The
    // ego's front (2 + 20 t) arrives there at 3.675 s: 1.175 s later; and by the end of that step, 3.7 s, at x = 76,
    // which the other left at 2.5333 s: 1.1667 s later, the least of the step
    assert_near(pair->pet, 3.7 - 38.0 / 15.0, 1e-3);
    assert_near(c.min_ttc, 2.3, 1e-4);
    assert_int_equal(c.critical_step, 49);
    assert_int_equal(c.critical_first, 0);
    assert_int_equal(c.critical_second, 1);
    assert_near(c.min_ttr, 1.9875, 1e-4);
    nm_scene_destroy(scene);
}

/// The leader drives 10 m/s, 24 m ahead, and from 2.0 s on brakes at 5 m/s^2 to a halt at 4.0 s, 10 m on. The follower
/// keeps 10 m/s throughout.
static int rear_end(uint32_t agent, double t, pose *out) {
    if (agent == 0) {
        *out = (pose){10.0 * t, 0, 0, 10, 0};
        return t < 5.05;
    }
    double b = t < 2.0 ? 0 : t < 4.0 ? t - 2.0 : 2.0;
    double x = 24.0 + (t < 2.0 ? 10.0 * t : t < 4.0 ? 20.0 + 10.0 * b - 2.5 * b * b : 30.0);
    *out = (pose){x, 0, 0, 10.0 - 5.0 * b, 0};
    return t < 5.05;
}

static void test_rear_end_collision(void **state) {
    (void)state;
    const nm_scene *scene = film(nm_test_road(400), rear_end, 2, 60);
    nm_scene_criticality c = evaluate(scene);
    assert_int_equal(c.pair_count, 1);
    assert_int_equal(c.collision_count, 1);
    // Gap 20 until 2.0 s, 20 - 2.5 b^2 to 10 at 4.0 s, then 10 m/s less: 0 at 5.0 s, step 50, the last with states.
    // (At step 50 they touch exactly; rounding of 54 - 50 is none.)
    const nm_collision *crash = &c.collisions[0];
    assert_int_equal(crash->first, 0);
    assert_int_equal(crash->second, 1);
    assert_int_equal(crash->step, 50);
    assert_int_equal(crash->first_impact, NM_IMPACT_FRONT);
    assert_int_equal(crash->second_impact, NM_IMPACT_REAR);
    assert_int_equal(crash->fault, NM_FAULT_FIRST);
    assert_near(crash->impact_speed, 10, 1e-5);
    assert_near(crash->first_delta_v, 5, 1e-5);
    assert_near(crash->second_delta_v, 5, 1e-5);
    assert_near(crash->x, 52, 1e-3); // the leader's rear: 54 - 2
    assert_near(crash->y, 0, 1e-4);
    assert_near(c.max_delta_v, 5, 1e-5);
    const nm_pair_summary *pair = &c.pairs[0];
    assert_near(pair->min_ttc, 0, 0);
    assert_int_equal(pair->min_ttc_step, 50);
    assert_near(pair->min_distance, 0, 0);
    assert_int_equal(pair->min_distance_step, 50);
    // DRAC: 100 / (2 gap) at 4.9 s, gap 1 m; touching boxes follow no more
    assert_near(pair->max_drac, 50, 1e-3);
    assert_int_equal(pair->max_drac_step, 49);
    assert_near(pair->min_thw, 0.1, 1e-5);
    // TTC = gap / (5 b). b = 1.6: 13.6 / 8 = 1.7; b = 1.5: 14.375 / 7.5 = 1.917; b = 1.4: 15.1 / 7 = 2.157. So from
    // step 35 (b = 1.5) to 50: 16 steps. TTC from 4.0 s on is 5.0 - t.
    assert_near(pair->tet, 1.6, 1e-5);
    // TIT: 0.1 * sum of 2 - TTC: b = 1.5: 0.08333, 1.6: 0.3, 1.7: 2 - 12.775 / 8.5 = 0.49706, 1.8: 2 - 11.9 / 9 =
    // 0.67778, 1.9: 2 - 10.975 / 9.5 = 0.84474, steps 40 .. 50: 1.0 + 1.1 + ... + 2.0 = 16.5; in all 18.90291
    assert_near(pair->tit, 1.890291, 1e-4);
    assert_near(pair->min_ttr, 0, 0);
    assert_near(pair->pet, INFINITY, 0); // together on the ground: a collision
    nm_scene_destroy(scene);
}

/// A junction. One goes east at 10 m/s, the other north at 8 m/s, which comes to the common ground 1.2 s after the
/// first has left it.
static int crossing(uint32_t agent, double t, pose *out) {
    if (agent == 0)
        *out = (pose){-40.5 + 10.0 * t, 0, 0, 10, 0};
    else
        *out = (pose){0, -3.0 - 8.0 * 5.55 + 8.0 * t, 1.5707963267948966, 0, 8};
    return t < (agent == 0 ? 8.05 : 7.05);
}

static void test_crossing(void **state) {
    (void)state;
    const nm_scene *scene = film(nm_test_crossing(NM_CONTROL_NONE, NM_CONTROL_NONE), crossing, 2, 81);
    nm_scene_criticality c = evaluate(scene);
    assert_int_equal(c.pair_count, 1);
    assert_int_equal(c.collision_count, 0);
    const nm_pair_summary *pair = &c.pairs[0];
    // Common ground: [-1, 1] x [-1, 1]. The first's rear leaves x = 1 at (40.5 + 1 + 2) / 10 = 4.35 s, the second's
    // front comes to y = -1 at 5.55 s
    assert_near(pair->pet, 1.2, 1e-4);
    assert_int_equal(pair->pet_step, 56);
    assert_near(c.min_pet, 1.2, 1e-4);
    // They never are on collision course
    assert_near(pair->min_ttc, INFINITY, 0);
    assert_int_equal(pair->min_ttc_step, NM_NONE);
    assert_near(pair->min_ttr, INFINITY, 0);
    assert_near(pair->min_thw, INFINITY, 0);
    assert_near(pair->max_drac, 0, 0);
    assert_near(pair->rss_exposed, 0, 0);
    // Nearest are the first's rear and the second's front. With s = t - 4.35 the gap is 10 s along x (to x = 1) and
    // 44.4 - 8 t = 9.6 - 8 s along y: 100 s^2 + (9.6 - 8 s)^2 is least at s = 76.8 / 164, where its root is
    // 96 / sqrt(164) = 7.496341: the DCE seen from every step before it
    assert_near(pair->min_ttce_dce, 7.496341, 1e-4);
    // At steps: s = 0.45, 4.8 s: 4.5^2 + 6^2 = 56.25
    assert_near(pair->min_distance, 7.5, 1e-4);
    assert_int_equal(pair->min_distance_step, 48);
    nm_scene_destroy(scene);
}

static int make_arena(void **state) {
    (void)state;
    arena = nm_arena_create(0);
    return arena == NULL;
}
static int drop_arena(void **state) {
    (void)state;
    nm_arena_destroy(arena);
    return 0;
}

int main(void) {
    params = nm_criticality_params_default();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_in),
        cmocka_unit_test(test_rear_end_collision),
        cmocka_unit_test(test_crossing),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
