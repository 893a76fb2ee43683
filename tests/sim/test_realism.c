/// Features of the realism metrics on scenes made by hand.
#include "sim/metrics/realism_private.h"

#include "criticality_support.h"
#include "scenes.h"

/// The recording itself as `samples` futures of all tracks that move; lives in `arena`.
static nm_futures replay(const nm_scene *scene, uint32_t samples, nm_arena *arena) {
    nm_futures f = {.samples = samples, .steps = scene->step_count - 1 - scene->current_step};
    uint32_t *track = NM_ARENA_ARRAY(arena, uint32_t, scene->track_count);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        int there = scene->valid[nm_scene_at(scene, i, scene->current_step)];
        if (there && !(scene->tracks[i].flags & NM_TRACK_STATIC)) track[f.agents++] = i;
    }
    float *planes[4];
    const float *from[4] = {scene->x, scene->y, scene->z, scene->heading};
    for (int p = 0; p < 4; p++) {
        planes[p] = NM_ARENA_ARRAY(arena, float, (size_t)samples *f.agents *f.steps + 1);
        for (size_t at = 0; at < (size_t)samples * f.agents * f.steps; at++) {
            uint32_t step = scene->current_step + 1 + (uint32_t)(at % f.steps);
            planes[p][at] = from[p][nm_scene_at(scene, track[at / f.steps % f.agents], step)];
        }
    }
    f.track = track;
    f.x = planes[0], f.y = planes[1], f.z = planes[2], f.heading = planes[3];
    return f;
}

static nm_realism_values measure(const nm_scene *scene, const nm_futures *f, nm_arena *arena) {
    nm_realism_values v;
    nm_error error = {0};
    if (nm_realism_measure(scene, f, NULL, arena, &v, &error) != NM_OK) fail_msg("%s", error.message);
    return v;
}

/// Values of slot, agent, step.
static double value_at(const nm_realism_values *v, nm_realism_feature feature, uint32_t slot, uint32_t agent,
                       uint32_t k) {
    return v->series[feature][((size_t)slot * v->agents + agent) * v->steps + k];
}

/// Agents that are at the places given at the first future step.
static const nm_scene *scene_then(const nm_test_agent *agents, size_t count) {
    nm_test_agent *moved = calloc(count, sizeof *moved);
    memcpy(moved, agents, count * sizeof *moved);
    for (size_t i = 0; i < count; i++) {
        moved[i].x -= 0.1 * agents[i].speed * cos(agents[i].heading);
        moved[i].y -= 0.1 * agents[i].speed * sin(agents[i].heading);
    }
    const nm_scene *scene = nm_test_scene(nm_test_road(300.0), moved, count, 3);
    free(moved);
    return scene;
}

#define DEGREE (3.14159265358979323846 / 180.0)

static void test_ttc(void **state) {
    (void)state;
    const double beta = 75.0 * DEGREE - 0.01, gamma = 10.0 * DEGREE - 0.01;
    const struct {
        size_t count;
        nm_test_agent agents[4];
        double expected[4];
    } cases[] = {
        {3, {{-3, 0, 0, 10, 1, 1, 0}, {0, 0, 0, 6, 1, 1, 0}, {3, 0, 0, 1, 1, 1, 0}}, {0.5, 0.4, 5}},
        {4,
         {{0, 0, 0, 6, 4, 2, 0}, {5, 0, 0, 10, 4, 2, 0}, {10, 0, 0, 3, 4, 2, 0}, {15, 0, 0, 1, 4, 2, 0}},
         {5, 1.0 / 7, 0.5, 5}},
        {4,
         {{0, 0, 0, 10, 4, 2, 0},
          {5, 0, 75.0 * DEGREE + 0.01, 6, 4, 2, 0},
          {10, 0, 0, 3, 4, 2, 0},
          {15, 0, beta, 1, 4, 2, 0}},
         {6.0 / 7, 5, (3 - 2 * cos(beta) - sin(beta)) / 2, 5}},
        {4,
         {{0, 0, 0, 10, 4, 2, 0}, {5, 2.1, 0, 6, 4, 2, 0}, {10, 1.1, 0, 3, 4, 2, 0}, {15, 0, 0, 1, 4, 2, 0}},
         {6.0 / 7, 1.0 / 3, 0.5, 5}},
        {3,
         {{0, 0, 0, 6, 4, 2, 0},
          {5, 2.0, 10.0 * DEGREE + 0.01, 3, 4, 2, 0},
          {10, -2.0, -10.0 * DEGREE + 0.01, 1, 4, 2, 0}},
         {(8 - 2 * cos(gamma) - sin(gamma)) / 5, 5, 5}},
    };
    nm_arena *arena = nm_arena_create(0);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const nm_scene *scene = scene_then(cases[c].agents, cases[c].count);
        nm_futures f = replay(scene, 1, arena);
        nm_realism_values v = measure(scene, &f, arena);
        assert_int_equal(v.agents, cases[c].count);
        for (uint32_t i = 0; i < v.agents; i++) {
            for (uint32_t slot = 0; slot < 2; slot++)
                assert_float_equal(value_at(&v, NM_REALISM_TIME_TO_COLLISION, slot, i, 0), cases[c].expected[i], 2e-5);
            assert_float_equal(value_at(&v, NM_REALISM_TIME_TO_COLLISION, 0, i, 1), 5.0, 0.0); // no speed there
        }
        nm_scene_destroy(scene);
    }
    nm_arena_destroy(arena);
}

static void test_distance(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    const nm_test_agent agents[3] = {
        {6, 0, 3.14159265, 0, 2, 1, 0}, {-6, 0, 0, 0, 2, 1, 0}, {8.5, 1.5, 0, 0, 2, 2, NM_AGENT_PEDESTRIAN}};
    const nm_scene *scene = scene_then(agents, 2);
    nm_futures f = replay(scene, 1, arena);
    nm_realism_values v = measure(scene, &f, arena);
    for (uint32_t i = 0; i < 2; i++) assert_float_equal(value_at(&v, NM_REALISM_NEAREST_DISTANCE, 0, i, 0), 10.0, 1e-5);
    nm_scene_destroy(scene);
    // cores of half extents 0.65 x 0.15 and 0.3 x 0.3, corners rounded by 0.35 and 0.7: 1.55 and 1.05 apart
    scene = scene_then(agents, 3);
    f = replay(scene, 1, arena);
    v = measure(scene, &f, arena);
    assert_float_equal(value_at(&v, NM_REALISM_NEAREST_DISTANCE, 0, 2, 0), hypot(1.55, 1.05) - 1.05, 1e-5);
    assert_float_equal(value_at(&v, NM_REALISM_NEAREST_DISTANCE, 0, 0, 0), hypot(1.55, 1.05) - 1.05, 1e-5);
    nm_scene_destroy(scene);
    scene = scene_then(agents, 1);
    f = replay(scene, 1, arena);
    v = measure(scene, &f, arena);
    assert_true(value_at(&v, NM_REALISM_NEAREST_DISTANCE, 1, 0, 0) == (double)NM_REALISM_NOBODY);
    assert_int_equal(v.flag[NM_REALISM_COLLISION][0], 0);
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
}

/// Two boxes in a world of one step: the core rectangles are boxes of criticality.h.
typedef struct pair {
    float x[6], y[6], cos_h[6], sin_h[6];
    nm_realism_box box[2];
    nm_box core[2];
} pair;

static void random_pair(draws *from, pair *p) {
    for (int i = 0; i < 2; i++) {
        nm_box box = random_box(from, 4.0f);
        double radius = 0.35 * fmin((double)box.length, (double)box.width);
        p->box[i] = (nm_realism_box){.radius = radius,
                                     .core_length = 0.5 * (double)box.length - radius,
                                     .core_width = 0.5 * (double)box.width - radius};
        p->core[i] = box;
        p->core[i].length = (float)(2.0 * p->box[i].core_length);
        p->core[i].width = (float)(2.0 * p->box[i].core_width);
        p->x[3 * i + 2] = box.x, p->y[3 * i + 2] = box.y;
        p->cos_h[3 * i + 2] = box.cos_h, p->sin_h[3 * i + 2] = box.sin_h;
    }
}

static int overlap_when_moved(const pair *p, double angle, double distance) {
    nm_box moved = p->core[1];
    moved.x += (float)(distance * cos(angle));
    moved.y += (float)(distance * sin(angle));
    return nm_box_overlap(&p->core[0], &moved);
}

/// Apart: the distance that criticality.h knows. Overlapping: no shorter move parts the cores, and one so long does.
static void test_signed_distance(void **state) {
    (void)state;
    draws from = draws_of(3);
    int apart = 0, overlapping = 0;
    for (int i = 0; i < 2000; i++) {
        pair p;
        random_pair(&from, &p);
        nm_realism_world w = {.x = p.x, .y = p.y, .cos_h = p.cos_h, .sin_h = p.sin_h, .agents = 2, .width = 3};
        double radii = p.box[0].radius + p.box[1].radius;
        double gap = nm_realism_distance(&w, 2, 5, &p.box[0], &p.box[1]) + radii;
        assert_float_equal(nm_realism_distance(&w, 5, 2, &p.box[1], &p.box[0]) + radii, gap, 1e-6);
        if (gap > 1e-4) {
            apart++;
            assert_float_equal(gap, nm_box_distance(&p.core[0], &p.core[1]), 1e-5);
        } else if (gap < -1e-3) {
            overlapping++;
            int parted = 0;
            for (int k = 0; k < 90; k++) assert_true(overlap_when_moved(&p, 4.0 * k * DEGREE, -0.99 * gap));
            for (int k = 0; k < 8; k++) {
                const nm_box *of = &p.core[k / 4];
                double angle = atan2((double)of->sin_h, (double)of->cos_h) + 90.0 * DEGREE * (k % 4);
                parted |= !overlap_when_moved(&p, angle, -1.01 * gap);
            }
            assert_true(parted);
        }
    }
    printf("%d apart, %d overlapping\n", apart, overlapping);
    assert_true(apart > 200 && overlapping > 200);
}

/// A scene of one track that takes these places, one a step; dt 1.
static const nm_scene *scene_of(const double *x, const double *heading, const uint8_t *valid, uint32_t steps,
                                uint32_t current) {
    const nm_map *map = nm_test_road(300.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error = {0};
    nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.0f, .width = 2.0f};
    uint32_t track;
    assert_int_equal(nm_scene_builder_begin(builder, map, 1.0, steps, &error), NM_OK);
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    for (uint32_t t = 0; t < steps; t++) {
        nm_state_def place = {.x = x[t], .heading = heading[t]};
        if (valid && !valid[t]) continue;
        assert_int_equal(nm_scene_builder_add_state(builder, track, t, &place, &error), NM_OK);
    }
    nm_scene_builder_set_current(builder, current, NM_NONE);
    const nm_scene *scene = NULL;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

static void test_motion(void **state) {
    (void)state;
    static const double x[5] = {5, 6, 8, 9, 9}, heading[5] = {0, 1, 3, 2, 0};
    nm_arena *arena = nm_arena_create(0);
    const nm_scene *scene = scene_of(x, heading, NULL, 5, 1);
    nm_futures f = replay(scene, 1, arena);
    nm_realism_values v = measure(scene, &f, arena);
    static const double expected[4][3] = {{1.5, 0.5, NAN}, {-0.5, NAN, NAN}, {0.5, -1.5, NAN}, {-1.5, NAN, NAN}};
    for (int feature = 0; feature < 4; feature++) {
        for (uint32_t slot = 0; slot < 2; slot++) {
            for (uint32_t k = 0; k < 3; k++) {
                double found = value_at(&v, (nm_realism_feature)feature, slot, 0, k), want = expected[feature][k];
                if (isnan(want))
                    assert_true(isnan(found));
                else
                    assert_float_equal(found, want, 1e-6);
            }
        }
    }
    nm_scene_destroy(scene);
    // without a step before the current one the first acceleration has no value; the speed has
    scene = scene_of(x + 1, heading + 1, NULL, 4, 0);
    f = replay(scene, 1, arena);
    v = measure(scene, &f, arena);
    assert_float_equal(value_at(&v, NM_REALISM_LINEAR_SPEED, 1, 0, 0), 1.5, 1e-6);
    assert_true(isnan(value_at(&v, NM_REALISM_LINEAR_ACCELERATION, 1, 0, 0)));
    assert_true(isnan(value_at(&v, NM_REALISM_ANGULAR_ACCELERATION, 1, 0, 0)));
    nm_scene_destroy(scene);
    // turning through the seam of the angles
    static const double seam[4] = {3.0, 3.1, -3.08318530717958647, -2.98318530717958647};
    scene = scene_of(x, seam, NULL, 4, 0);
    f = replay(scene, 1, arena);
    v = measure(scene, &f, arena);
    assert_float_equal(value_at(&v, NM_REALISM_ANGULAR_SPEED, 1, 0, 0), 0.1, 1e-6);
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
}

static void test_displacement(void **state) {
    (void)state;
    static const double x[6] = {0, 1, 2, 3, 4, 5}, heading[6] = {0};
    static const uint8_t valid[6] = {0, 1, 1, 1, 0, 1};
    nm_arena *arena = nm_arena_create(0);
    const nm_scene *scene = scene_of(x, heading, valid, 6, 2);
    nm_futures f = replay(scene, 2, arena);
    float *y = NM_ARENA_ARRAY(arena, float, 6), *z = NM_ARENA_ARRAY(arena, float, 6),
          *along = NM_ARENA_ARRAY(arena, float, 6);
    for (int k = 0; k < 6; k++)
        y[k] = k < 3 ? 3.0f : 0.6f, z[k] = k < 3 ? 4.0f : 0.8f, along[k] = 3.0f + (float)(k % 3);
    f.x = along, f.y = y, f.z = z;
    nm_realism_values v = measure(scene, &f, arena);
    // valid at 1 and 2 before and now, 3 and 5 after: two of four steps are off
    assert_float_equal(v.displacement[0], 5.0 * 2 / 4, 1e-6);
    assert_float_equal(v.displacement[1], 1.0 * 2 / 4, 1e-6);
    assert_int_equal(v.valid[1], 0);
    nm_realism out;
    nm_error error;
    nm_realism_config config = nm_realism_config_of(NM_REALISM_2025);
    assert_int_equal(nm_realism_rate(&v, &config, &out, &error), NM_OK);
    assert_float_equal(out.ade, 1.5, 1e-6);
    assert_float_equal(out.min_ade, 0.5, 1e-6);
    assert_int_equal(out.best, 1);
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
}

/// Who is not there one step before now counts as standing at the source's origin then.
static void test_unseen_before(void **state) {
    (void)state;
    static const double x[5] = {0, 106, 108, 110, 112}, heading[5] = {0};
    static const uint8_t valid[5] = {0, 1, 1, 1, 1};
    nm_arena *arena = nm_arena_create(0);
    const nm_scene *scene = scene_of(x, heading, valid, 5, 1);
    nm_futures f = replay(scene, 1, arena);
    nm_realism_values v = measure(scene, &f, arena);
    assert_float_equal(value_at(&v, NM_REALISM_LINEAR_ACCELERATION, 1, 0, 0), (2.0 - 108.0 / 2.0) / 2.0, 1e-5);
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
}

// ---------------------------------------------------------------------------------------------------------------------
// Who takes part

typedef struct cast {
    const nm_scene *scene;
    nm_arena *arena;
    nm_futures futures;
} cast;

/// Three cars in a queue with ids 30, 20, 10, the last one parked; `flags` of the first two.
static cast make_cast(unsigned first, unsigned second, int second_late) {
    const nm_map *map = nm_test_road(300.0);
    nm_scene_builder *builder = nm_scene_builder_create();
    nm_error error = {0};
    cast c = {.arena = nm_arena_create(0)};
    const unsigned flags[3] = {first, second, NM_TRACK_STATIC};
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, 6, &error), NM_OK);
    for (uint32_t i = 0; i < 3; i++) {
        nm_track_def def = {.id = 30 - 10 * (int)i, .type = NM_AGENT_CAR, .flags = flags[i], .length = 4, .width = 2};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        for (uint32_t t = i == 1 && second_late ? 3 : 0; t < 6; t++) {
            nm_state_def place = {.x = 20.0 + 10.0 * i + (i < 2 ? 0.5 * t : 0.0), .y = 3.5};
            assert_int_equal(nm_scene_builder_add_state(builder, track, t, &place, &error), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, 2, first & NM_TRACK_EGO ? 0 : NM_NONE);
    if (nm_scene_builder_build(builder, &c.scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    c.futures = replay(c.scene, 2, c.arena);
    return c;
}

static void strike(cast *c) {
    nm_scene_destroy(c->scene);
    nm_arena_destroy(c->arena);
}

static void test_who(void **state) {
    (void)state;
    const struct {
        unsigned first, second;
        uint32_t count, tracks[2];
    } cases[] = {{0, 0, 2, {1, 0}}, // nobody is flagged: all that move, by id
                 {NM_TRACK_EGO, 0, 2, {1, 0}},
                 {NM_TRACK_EGO, NM_TRACK_TO_PREDICT, 2, {1, 0}},
                 {0, NM_TRACK_TO_PREDICT, 1, {1}},
                 {NM_TRACK_EGO | NM_TRACK_TO_PREDICT, 0, 1, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cast c = make_cast(cases[i].first, cases[i].second, 0);
        nm_realism_values v = measure(c.scene, &c.futures, c.arena);
        assert_int_equal(v.agents, cases[i].count);
        for (uint32_t k = 0; k < v.agents; k++) assert_int_equal(v.track[k], cases[i].tracks[k]);
        strike(&c);
    }
}

/// The parked car is in no future, and is run into all the same.
static void test_static_stays(void **state) {
    (void)state;
    cast c = make_cast(0, 0, 0);
    assert_int_equal(c.futures.agents, 2);
    float *x = NM_ARENA_ARRAY(c.arena, float, 12);
    memcpy(x, c.futures.x, 12 * sizeof *x);
    for (int k = 0; k < 3; k++) x[9 + k] = 38.0f; // sample 1, second car
    c.futures.x = x;
    nm_realism_values v = measure(c.scene, &c.futures, c.arena);
    assert_float_equal(value_at(&v, NM_REALISM_NEAREST_DISTANCE, 0, 0, 0), 40.0 - 31.5 - 4.0, 1e-4);
    assert_float_equal(value_at(&v, NM_REALISM_NEAREST_DISTANCE, 2, 0, 0), -2.0, 1e-4);
    assert_int_equal(v.flag[NM_REALISM_COLLISION][0], 0);
    assert_int_equal(v.flag[NM_REALISM_COLLISION][2], 0);
    assert_int_equal(v.flag[NM_REALISM_COLLISION][4], 1);
    strike(&c);
}

static void refused(const cast *c, const nm_futures *f, const char *why) {
    nm_realism_values v;
    nm_error error = {0};
    size_t used = nm_arena_used(c->arena);
    assert_int_equal(nm_realism_measure(c->scene, f, NULL, c->arena, &v, &error), NM_E_ARGUMENT);
    if (!strstr(error.message, why)) fail_msg("\"%s\" does not say \"%s\"", error.message, why);
    assert_int_equal(nm_arena_used(c->arena), used);
    assert_int_equal(v.agents, 0);
}

static void test_refusals(void **state) {
    (void)state;
    cast c = make_cast(0, 0, 0);
    static const uint32_t twice[2] = {1, 1}, unordered[2] = {1, 0}, beyond[2] = {0, 3};
    nm_futures f = c.futures;
    f.samples = 0;
    refused(&c, &f, "no samples");
    f = c.futures, f.steps = 0;
    refused(&c, &f, "no steps");
    f = c.futures, f.steps = 4;
    refused(&c, &f, "only 3 were recorded");
    f = c.futures, f.track = twice;
    refused(&c, &f, "ascending");
    f = c.futures, f.track = unordered;
    refused(&c, &f, "ascending");
    f = c.futures, f.track = beyond;
    refused(&c, &f, "of the scene");
    f = c.futures, f.agents = 1;
    refused(&c, &f, "(id 20) is missing");
    float *bad = NM_ARENA_ARRAY(c.arena, float, 12);
    static const float values[] = {NAN, INFINITY, 2e7f};
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 3; k++) {
            const float **planes[4] = {&f.x, &f.y, &f.z, &f.heading};
            f = c.futures;
            memcpy(bad, *planes[i], 12 * sizeof *bad);
            bad[7] = values[k];
            *planes[i] = bad;
            refused(&c, &f, "sample 1, track 0, step 1");
        }
    }
    strike(&c);
    c = make_cast(NM_TRACK_EGO, NM_TRACK_TO_PREDICT, 1);
    refused(&c, &c.futures, "(id 20) is to be scored");
    static const uint32_t late[2] = {0, 1};
    f = c.futures, f.agents = 2, f.samples = 1, f.track = late;
    refused(&c, &f, "track 1 is not there");
    strike(&c);
    c = make_cast(NM_TRACK_STATIC, NM_TRACK_STATIC, 0);
    refused(&c, &c.futures, "no agent to score");
    strike(&c);
}

/// Nothing depends on where things lie in memory, or on what was computed before.
static void test_same_bits(void **state) {
    (void)state;
    cast c = make_cast(0, 0, 0);
    nm_realism_values first = measure(c.scene, &c.futures, c.arena), second = measure(c.scene, &c.futures, c.arena);
    for (int f = 0; f < NM_REALISM_FEATURE_COUNT; f++) {
        size_t cells = 3 * 2;
        if (first.series[f]) assert_memory_equal(first.series[f], second.series[f], cells * 3 * sizeof(float));
        if (first.flag[f]) assert_memory_equal(first.flag[f], second.flag[f], cells);
    }
    // every sample is the recording here, and its values are the recording's
    assert_memory_equal(first.series[NM_REALISM_LINEAR_SPEED], first.series[NM_REALISM_LINEAR_SPEED] + 6, 6 * 4);
    strike(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ttc),       cmocka_unit_test(test_distance),     cmocka_unit_test(test_signed_distance),
        cmocka_unit_test(test_motion),    cmocka_unit_test(test_displacement), cmocka_unit_test(test_unseen_before),
        cmocka_unit_test(test_who),       cmocka_unit_test(test_static_stays), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
