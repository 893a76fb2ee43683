/// Danger of an ego's drive, worked out by hand: behind somebody, across somebody's way, into somebody.
#include "base/arena.h"
#include "sim/metrics/ego.h"
#include "support.h"

#define STEPS 60u

/// A scene without a map: track 0 is the ego, all are 4 m by 2 m.
typedef struct stage {
    nm_scene scene;
    nm_track tracks[3];
    uint8_t valid[3 * STEPS];
    float x[3 * STEPS], y[3 * STEPS], heading[3 * STEPS], vx[3 * STEPS], vy[3 * STEPS];
} stage;

static void set_up(stage *s, uint32_t steps) {
    *s = (stage){.scene = {.dt = 0.1f, .step_count = steps, .track_count = 3, .ego = NM_NONE}};
    for (int i = 0; i < 3; ++i) s->tracks[i] = (nm_track){.length = 4, .width = 2, .type = NM_AGENT_CAR};
    s->scene.tracks = s->tracks, s->scene.valid = s->valid;
    s->scene.x = s->x, s->scene.y = s->y, s->scene.heading = s->heading;
    s->scene.vx = s->vx, s->scene.vy = s->vy;
}

static void drive(stage *s, uint32_t track, double x, double y, double heading, double speed) {
    for (uint32_t t = 0; t < s->scene.step_count; ++t) {
        const size_t at = nm_scene_at(&s->scene, track, t);
        s->valid[at] = 1;
        s->x[at] = (float)(x + 0.1 * t * speed * cos(heading)), s->y[at] = (float)(y + 0.1 * t * speed * sin(heading));
        s->heading[at] = (float)heading;
        s->vx[at] = (float)(speed * cos(heading)), s->vy[at] = (float)(speed * sin(heading));
    }
}

static nm_ego_criticality danger_within(const stage *s, uint32_t first, uint32_t last) {
    const nm_criticality_params params = nm_criticality_params_default();
    nm_arena *arena = nm_arena_create(0);
    nm_ego_criticality out;
    assert_int_equal(nm_ego_criticality_of(&s->scene, 0, first, last, &params, arena, &out, NULL), NM_OK);
    assert_int_equal(nm_arena_used(arena), 0); // given back
    nm_arena_destroy(arena);
    return out;
}

static nm_ego_criticality danger_of(const stage *s) {
    return danger_within(s, 0, UINT32_MAX);
}

static void nobody_near(void **state) {
    (void)state;
    stage s;
    set_up(&s, 11);
    drive(&s, 0, 0, 0, 0, 20);
    const nm_ego_criticality d = danger_of(&s);
    assert_true(isinf(d.value[NM_EGO_TTC]) && isinf(d.value[NM_EGO_THW]) && isinf(d.value[NM_EGO_PET]));
    assert_true(d.value[NM_EGO_CLOSING] == 0.0f && d.value[NM_EGO_DRAC] == 0.0f && d.value[NM_EGO_REQUIRED] == 0.0f);
    assert_true(d.worst_step == NM_NONE && d.worst_track == NM_NONE);
    set_up(&s, 0);
    assert_int_equal(danger_of(&s).worst_step, NM_NONE);
}

/// 20 m/s behind 10 m/s, 30 m between them at first and 20 m after a second: TTC 20 / 10, headway 20 / 20, DRAC
/// 10^2 / (2 * 20).
static void behind_somebody(void **state) {
    (void)state;
    stage s;
    set_up(&s, 11);
    drive(&s, 0, 0, 0, 0, 20);
    drive(&s, 2, 34, 0, 0, 10);
    nm_ego_criticality d = danger_of(&s);
    assert_float_equal(d.value[NM_EGO_TTC], 2.0, 1e-5);
    assert_float_equal(d.value[NM_EGO_THW], 1.0, 1e-5);
    assert_float_equal(d.value[NM_EGO_CLOSING], 10.0, 1e-5);
    assert_float_equal(d.value[NM_EGO_DRAC], 2.5, 1e-5);
    assert_float_equal(d.value[NM_EGO_REQUIRED], 2.5, 1e-5);
    assert_true(isinf(d.value[NM_EGO_PET]));
    assert_true(d.worst_step == 10 && d.worst_track == 2);
    d = danger_within(&s, 0, 5); // 25 m
    assert_float_equal(d.value[NM_EGO_TTC], 2.5, 1e-5);
    assert_float_equal(d.value[NM_EGO_DRAC], 2.0, 1e-5);
    assert_int_equal(d.worst_step, 5);
    for (uint32_t t = 6; t < 11; ++t) s.valid[nm_scene_at(&s.scene, 2, t)] = 0; // he is gone
    assert_float_equal(danger_of(&s).value[NM_EGO_TTC], 2.5, 1e-5);
    // who is followed is in no danger of running into him, but of being run into
    set_up(&s, 11);
    drive(&s, 0, 34, 0, 0, 10);
    drive(&s, 1, 0, 0, 0, 20);
    d = danger_of(&s);
    assert_float_equal(d.value[NM_EGO_TTC], 2.0, 1e-5);
    assert_float_equal(d.value[NM_EGO_REQUIRED], 2.5, 1e-5);
    assert_true(d.value[NM_EGO_DRAC] == 0.0f && isinf(d.value[NM_EGO_THW]));
}

/// Both at 10 m/s towards a crossing of their ways, each strip 2 m wide. The other's rear leaves it, 3 m past the
/// middle, at 2.3 s; the ego's front comes to it, 3 m before the middle, at 4.7 s.
static void across_somebodys_way(void **state) {
    (void)state;
    stage s;
    set_up(&s, 60);
    drive(&s, 0, -50, 0, 0, 10);
    drive(&s, 1, 0, -20, 1.57079632679, 10);
    nm_ego_criticality d = danger_of(&s);
    assert_float_equal(d.value[NM_EGO_PET], 2.4, 1e-3);
    assert_true(isinf(d.value[NM_EGO_TTC]) && d.value[NM_EGO_REQUIRED] == 0.0f);
    // at the same time: both are there from 4.7 s on. After a second 3.7 s are left, at sqrt(200) m/s
    set_up(&s, 11);
    drive(&s, 0, -50, 0, 0, 10);
    drive(&s, 1, 0, -50, 1.57079632679, 10);
    d = danger_of(&s);
    assert_float_equal(d.value[NM_EGO_TTC], 3.7, 1e-4);
    assert_float_equal(d.value[NM_EGO_CLOSING], 14.142136, 1e-4);
    assert_float_equal(d.value[NM_EGO_REQUIRED], 14.142136 / 7.4, 1e-4);
    assert_true(d.value[NM_EGO_DRAC] == 0.0f); // nobody follows
}

/// 10 m/s into somebody who stands 6.5 m ahead: half a metre is left after 0.6 s.
static void into_somebody(void **state) {
    (void)state;
    stage s;
    set_up(&s, 20);
    drive(&s, 0, 0, 0, 0, 10);
    drive(&s, 1, 10.5, 0, 0, 0);
    drive(&s, 2, 10.5, 0.5, 0, 0); // the same with another: the first one is named
    const nm_ego_criticality d = danger_of(&s);
    assert_true(d.value[NM_EGO_TTC] == 0.0f);
    assert_true(d.worst_step == 7 && d.worst_track == 1);
    assert_float_equal(d.value[NM_EGO_CLOSING], 10.0, 1e-5);
    assert_float_equal(d.value[NM_EGO_THW], 0.05, 1e-5);
    assert_float_equal(d.value[NM_EGO_DRAC], 100.0, 1e-2);
    assert_float_equal(d.value[NM_EGO_REQUIRED], 100.0, 1e-2);
}

static void measures_are_described(void **state) {
    (void)state;
    for (int m = 0; m < NM_EGO_MEASURE_COUNT; ++m) {
        const nm_ego_description *about = nm_ego_describe((nm_ego_measure)m);
        assert_true(about->name[0] && about->title[0] && about->unit[0] && about->meaning[0] && about->drawn_to > 0);
        assert_int_equal(about->more_is_worse, !isinf(nm_ego_criticality_none().value[m]));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_near),
        cmocka_unit_test(behind_somebody),
        cmocka_unit_test(across_somebodys_way),
        cmocka_unit_test(into_somebody),
        cmocka_unit_test(measures_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
