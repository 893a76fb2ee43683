/// The realism metrics against numbers worked out by two other implementations on the public records: the challenge's
/// test submission, the recording replayed, and constant velocities. Those numbers come from arithmetic in single
/// precision thousands of metres from the origin, so values near the border of two bins may fall to either side.
#include "realism_support.h"

#define FEATURES NM_REALISM_FEATURE_COUNT

typedef struct expected {
    double meta, likelihood[FEATURES], kinematic, interactive, map_based;
} expected;

static void check(const nm_realism *found, const expected *e, double tolerance) {
    for (int f = 0; f < FEATURES; f++) {
        if (!(fabs(found->likelihood[f] - e->likelihood[f]) <= tolerance))
            print_error("%s: ", nm_realism_feature_name((nm_realism_feature)f));
        assert_float_equal(found->likelihood[f], e->likelihood[f], tolerance);
    }
    assert_float_equal(found->meta, e->meta, tolerance);
    if (e->kinematic > 0.0) {
        assert_float_equal(found->kinematic, e->kinematic, tolerance);
        assert_float_equal(found->interactive, e->interactive, tolerance);
        assert_float_equal(found->map_based, e->map_based, tolerance);
    }
}

/// The challenge's test configuration, and the one with a distribution for every step.
static nm_realism_config test_config(int dependent) {
    static const double ranges[FEATURES][2] = {{0, 30}, {0, 5}, {0, 1}, {0, 0.3}, {-5, 100}, {0}, {0, 5}, {-5, 15}};
    nm_realism_config config = nm_realism_config_of(NM_REALISM_2025);
    for (int f = 0; f < FEATURES; f++) {
        nm_realism_setting *s = &config.feature[f];
        s->weight = !dependent ? 1.0 : f == NM_REALISM_COLLISION ? 0.12 : f == NM_REALISM_RED_LIGHT ? 0.0 : 0.11;
        if (s->kind != NM_REALISM_HISTOGRAM) continue;
        s->min = ranges[f][0], s->max = ranges[f][1], s->bins = 10;
        s->smoothing = dependent ? 0.00001 : 0.1;
        s->independent = !dependent;
    }
    return config;
}

typedef struct submitted {
    recorded r;
    uint8_t *bytes;
    nm_futures futures;
    nm_realism_values values;
} submitted;

static int open_submission(submitted *s) {
    char path[512];
    nm_womd_submission submission;
    nm_error error = {0};
    size_t size;
    if (!realism_open(&s->r, "motion_data_one_scenario.tfrecord")) return 0;
    if (!nm_test_have(path, sizeof path, "data/womd/test_submission.binproto")) {
        realism_close(&s->r);
        return 0;
    }
    s->bytes = realism_load(path, &size);
    if (nm_womd_submission_open(path, s->bytes, size, s->r.arena, &submission, &error) != NM_OK)
        fail_msg("%s", error.message);
    assert_int_equal(submission.count, 1);
    size_t index = nm_womd_submission_find(&submission, "637f20cafde22ff8");
    if (nm_womd_submission_futures(&submission, index, s->r.scene, s->r.arena, &s->futures, &error) != NM_OK)
        fail_msg("%s", error.message);
    s->values = realism_measure(&s->r, &s->futures, NULL);
    return 1;
}

static void close_submission(submitted *s) {
    realism_close(&s->r);
    free(s->bytes);
}

static void test_submission(void **state) {
    (void)state;
    submitted s;
    if (!open_submission(&s)) skip();
    assert_int_equal(s.futures.samples, 32);
    assert_int_equal(s.futures.agents, 50);
    assert_int_equal(s.futures.steps, 80);
    static const expected numbers[5] = {
        {0.258240,
         {0.647147, 0.129309, 0.061596, 0.309280, 0.237239, 0.052868, 0.754345, 0.402153, 0.073568, 0.999969},
         0.286833,
         0.249723,
         0.252852},
        {0.228349,
         {0.647147, 0.129309, 0.061596, 0.309280, 0.237239, 0.052868, 0.754345, 0.402153, 0.073568, 0.999969},
         0.286833,
         0.249723,
         0.167449},
        {0.240351,
         {0.824286, 0.168751, 0.014124, 0.016797, 0.237239, 0.052868, 0.754345, 0.402153, 0.073568, 0.999969},
         0.255990,
         0.274330,
         0.183096},
        {4.004130,
         {0.789269, 0.306519, 0.297704, 0.054838, 0.449239, 0.052868, 0.754345, 0.225812, 0.073568, 0.999969},
         0.362082,
         0.418817,
         0.433116},
        {0.211871,
         {0.789076, 0.140188, 0.170141, 0.006551, 0.257859, 0.052868, 0.395312, 0.035731, 0.073568, 0.999969},
         0.276489,
         0.229979,
         0.054649}};
    static const double tolerances[5] = {3e-5, 3e-5, 2e-4, 3e-5, 3e-5};
    for (int i = 0; i < 5; i++) {
        nm_realism_config config = i < 3 ? nm_realism_config_of((nm_realism_preset)i) : test_config(i == 4);
        nm_realism found = realism_rate(&s.values, &config);
        check(&found, &numbers[i], tolerances[i]);
        assert_float_equal(found.ade, 2.505281, 1e-5);
        assert_float_equal(found.min_ade, 2.084689, 1e-5);
        assert_int_equal(found.best, 7);
        assert_float_equal(found.collision_rate, 0.6875, 1e-9);
        assert_float_equal(found.off_road_rate, 0.265625, 1e-9);
        assert_float_equal(found.red_light_rate, 0.0, 1e-9);
    }
    nm_realism whole;
    nm_error error = {0};
    assert_int_equal(nm_realism_score(s.r.scene, &s.futures, NULL, s.r.arena, &whole, &error), NM_OK);
    check(&whole, &numbers[0], 3e-5);
    assert_int_equal(whole.agents, 4);
    close_submission(&s);
}

static const int64_t submitted_ids[4] = {1675, 1676, 2320, 2406};

static uint32_t of_id(const submitted *s, int64_t id) {
    uint32_t i = 0;
    while (i < 4 && submitted_ids[i] != id) i++;
    assert_true(i < 4 && s->r.scene->tracks[s->values.track[i]].source_id == id);
    return i;
}

static void test_objects(void **state) {
    (void)state;
    static const uint32_t steps[4] = {80, 69, 80, 80}, colliding[4] = {0, 24, 32, 32}, off[4] = {32, 0, 0, 2};
    static const double ade[4] = {5.870626, 2.230836, 0.980207, 0.939456};
    static const double first[4] = {5.462563, 2.629140, 0.702942, 0.625762};
    submitted s;
    if (!open_submission(&s)) skip();
    const nm_realism_values *v = &s.values;
    assert_int_equal(v->agents, 4);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t agent = of_id(&s, submitted_ids[i]), valid = 0, hits = 0, outs = 0;
        double sum = 0.0;
        assert_int_equal(agent, i);
        for (uint32_t k = 0; k < FUTURE; k++) valid += v->valid[i * FUTURE + k];
        for (uint32_t r = 0; r < 32; r++) {
            hits += v->flag[NM_REALISM_COLLISION][(r + 1) * 4 + i];
            outs += v->flag[NM_REALISM_OFF_ROAD][(r + 1) * 4 + i];
            sum += v->displacement[r * 4 + i];
        }
        assert_int_equal(valid, steps[i]);
        assert_int_equal(hits, colliding[i]);
        assert_int_equal(outs, off[i]);
        assert_int_equal(v->flag[NM_REALISM_COLLISION][i], i == 2);
        assert_int_equal(v->flag[NM_REALISM_OFF_ROAD][i], 0);
        assert_int_equal(v->vehicle[i], i != 2);
        assert_float_equal(sum / 32.0, ade[i], 5e-5); // 2.4e-4 m in every coordinate of the recording, averaged
        assert_float_equal(v->displacement[i], first[i], 5e-5);
    }
    close_submission(&s);
}

/// Slot 0 is the recording, 1 the first rollout. `derived`: how much single precision may move accelerations: 2.4e-4 m
/// in a position is 0.012 m/s^2 there.
static void test_values(void **state) {
    (void)state;
    static const struct {
        uint32_t slot;
        int64_t id;
        uint32_t k;
        double value[7];
    } points[] = {
        {0, 1675, 0, {5.25351, -0.181417, -0.385189, 0.0643373, 36.268, 5, -1.32141}},
        {0, 1675, 40, {4.13581, -3.86029, 0.312791, 0.114787, 18.6391, 5, -1.72219}},
        {0, 1676, 1, {14.6485, -6.64889, -0.0461209, 0.216722, 4.12015, 5, -4.35033}},
        {0, 1676, 78, {5.2e-5, NAN, 0, NAN, 1e10, 5, -1e10}},
        {0, 2320, 1, {1.60789, -0.80528, -0.073874, 0.12182, -0.143318, 2.36509, -3.07923}},
        {0, 2406, 79, {NAN, NAN, NAN, NAN, 1.26106, 5, -3.71245}},
        {1, 1675, 0, {5.55987, -12.1335, 0, 0.949395, 36.0189, 5, -0.954626}},
        {1, 1675, 78, {5.22735, NAN, 0, NAN, 6.18958, 2.19562, 12.9426}},
        {1, 1676, 40, {16.0572, 2.54414, 0, 0, 9.91459, 0.85337, -4.79326}},
        {1, 2320, 0, {1.71843, 2.22374, 0, 0.213885, -0.294822, 1.40383, -3.06929}},
        {1, 2406, 40, {0.229512, -7.38389, 0, 0, -0.993406, 5, -3.98253}},
    };
    static const nm_realism_feature features[7] = {NM_REALISM_LINEAR_SPEED,      NM_REALISM_LINEAR_ACCELERATION,
                                                   NM_REALISM_ANGULAR_SPEED,     NM_REALISM_ANGULAR_ACCELERATION,
                                                   NM_REALISM_NEAREST_DISTANCE,  NM_REALISM_TIME_TO_COLLISION,
                                                   NM_REALISM_ROAD_EDGE_DISTANCE};
    static const double tolerances[7] = {0.0025, 0.015, 1e-5, 1e-4, 1e-3, 0.005, 1e-3};
    submitted s;
    if (!open_submission(&s)) skip();
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        size_t at = ((size_t)points[i].slot * 4 + of_id(&s, points[i].id)) * FUTURE + points[i].k;
        for (int f = 0; f < 7; f++) {
            float found = s.values.series[features[f]][at];
            double want = points[i].value[f];
            double off = fabs((double)found - want);
            if (isnan(want) ? !isnan(found) : !(off <= tolerances[f] || found == (float)want))
                fail_msg("point %zu, %s: %.9g instead of %.9g", i, nm_realism_feature_name(features[f]), (double)found,
                         want);
        }
    }
    close_submission(&s);
}

static void test_counts(void **state) {
    (void)state;
    static const struct {
        nm_realism_feature feature;
        int64_t id;
        uint32_t bins, counts[11];
    } pools[] = {
        {NM_REALISM_LINEAR_SPEED, 1675, 10, {0, 1111, 1371, 46, 0, 0, 0, 0, 0, 32}},
        {NM_REALISM_LINEAR_SPEED, 1676, 10, {0, 0, 0, 0, 107, 1405, 975, 41, 0, 32}},
        {NM_REALISM_LINEAR_ACCELERATION, 1675, 11, {194, 139, 210, 237, 305, 335, 296, 241, 190, 166, 247}},
        {NM_REALISM_ANGULAR_SPEED, 1675, 11, {0, 0, 0, 0, 0, 2528, 0, 0, 0, 0, 32}},
        {NM_REALISM_ANGULAR_SPEED, 1676, 11, {0, 0, 0, 0, 0, 2528, 0, 0, 0, 0, 32}},
        {NM_REALISM_ANGULAR_SPEED, 2320, 11, {0, 0, 0, 0, 0, 2528, 0, 0, 0, 0, 32}},
        {NM_REALISM_ANGULAR_SPEED, 2406, 11, {0, 0, 0, 0, 0, 2528, 0, 0, 0, 0, 32}},
        {NM_REALISM_ANGULAR_ACCELERATION, 1675, 11, {0, 0, 0, 0, 0, 2464, 0, 32, 0, 0, 64}},
        {NM_REALISM_NEAREST_DISTANCE, 2406, 10, {885, 1667, 8, 0, 0, 0, 0, 0, 0, 0}},
        {NM_REALISM_TIME_TO_COLLISION, 1676, 10, {118, 119, 134, 140, 104, 28, 6, 0, 3, 1908}},
        {NM_REALISM_ROAD_EDGE_DISTANCE, 1676, 10, {108, 349, 2033, 70, 0, 0, 0, 0, 0, 0}},
    };
    submitted s;
    if (!open_submission(&s)) skip();
    nm_realism_config config = nm_realism_config_of(NM_REALISM_2025);
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        const nm_realism_setting *setting = &config.feature[pools[i].feature];
        uint32_t found[11] = {0};
        assert_int_equal(setting->bins, pools[i].bins);
        for (uint32_t r = 1; r <= 32; r++) {
            for (uint32_t k = 0; k < FUTURE; k++) {
                double v = s.values.series[pools[i].feature][(r * 4 + of_id(&s, pools[i].id)) * FUTURE + k];
                double bin = floor((v - setting->min) / (setting->max - setting->min) * setting->bins);
                double last = setting->bins - 1.0;
                found[isnan(bin) ? (uint32_t)last : (uint32_t)fmin(fmax(bin, 0.0), last)]++;
            }
        }
        for (uint32_t b = 0; b < pools[i].bins; b++) { // one on an edge may fall to either side
            if (abs((int)found[b] - (int)pools[i].counts[b]) > 1)
                fail_msg("%s of %d, bin %u: %u instead of %u", nm_realism_feature_name(pools[i].feature),
                         (int)pools[i].id, b, found[b], pools[i].counts[b]);
        }
    }
    close_submission(&s);
}

static const expected replay_first[3] = {
    {0.826631,
     {0.826529, 0.530525, 0.487326, 0.656286, 0.400351, 0.999969, 0.836213, 0.559178, 0.999969, 0.999969},
     0,
     0,
     0},
    {0.804592,
     {0.826529, 0.530525, 0.487326, 0.656286, 0.400351, 0.999969, 0.836213, 0.559178, 0.999969, 0.999969},
     0,
     0,
     0},
    {7.542861,
     {0.895149, 0.506150, 0.714478, 0.307025, 0.558900, 0.999969, 0.836213, 0.725039, 0.999969, 0.999969},
     0,
     0,
     0}};
static const expected replay_second[2] = {
    {0.835234,
     {0.614114, 0.585396, 0.280636, 0.536243, 0.491299, 0.999969, 0.999649, 0.706736, 0.999969, 0.999969},
     0,
     0,
     0},
    {0.820572,
     {0.614114, 0.585396, 0.280636, 0.536243, 0.491299, 0.999969, 0.999649, 0.706736, 0.999969, 0.999969},
     0,
     0,
     0}};

/// Positions are rounded to single precision in the replay, as in the submission it stands for, and not in the scene:
/// hence an ADE that is not quite 0.
static void test_replay(void **state) {
    (void)state;
    recorded r;
    for (int second = 0; second < 2; second++) {
        if (!realism_open(&r, second ? "womd_scenario_input.tfrecord" : "motion_data_one_scenario.tfrecord")) skip();
        nm_futures f = realism_replay(&r, ROLLOUTS);
        nm_realism_headings headings = realism_turns(&r, &f);
        nm_realism_values v = realism_measure(&r, &f, &headings);
        for (int i = 0; i < 3 - second; i++) {
            nm_realism_config config = i < 2 ? nm_realism_config_of((nm_realism_preset)i) : test_config(0);
            nm_realism found = realism_rate(&v, &config);
            check(&found, second ? &replay_second[i] : &replay_first[i], 3e-5);
            assert_float_equal(found.ade, 0.0, 1e-4);
            assert_float_equal(found.collision_rate, second ? 0.0 : 0.25, 1e-9);
            assert_float_equal(found.off_road_rate, second ? 0.2 : 0.0, 1e-9);
        }
        realism_close(&r);
    }
}

/// Without the turns of the headings: everything else is the same, and the time to collision of the second record is
/// that of agents that do follow one another.
static void test_wrapped_headings(void **state) {
    (void)state;
    recorded r;
    if (!realism_open(&r, "womd_scenario_input.tfrecord")) skip();
    nm_futures f = realism_replay(&r, ROLLOUTS);
    nm_realism found;
    nm_error error = {0};
    assert_int_equal(nm_realism_score(r.scene, &f, NULL, r.arena, &found, &error), NM_OK);
    expected wrapped = replay_second[0];
    wrapped.likelihood[NM_REALISM_TIME_TO_COLLISION] = 0.937980;
    wrapped.meta = 0.829067;
    check(&found, &wrapped, 3e-5);
    realism_close(&r);
}

static void test_constant_velocity(void **state) {
    (void)state;
    static const expected numbers[2] = {
        {0.263831,
         {0.462071, 0.345005, 0.000519, 0.100834, 0.282981, 0.015773, 0.875623, 0.692274, 0.055974, 0.999969},
         0,
         0,
         0},
        {0.248446,
         {0.462071, 0.345005, 0.000519, 0.100834, 0.282981, 0.015773, 0.875623, 0.692274, 0.055974, 0.999969},
         0,
         0,
         0}};
    static const int64_t ids[5] = {625, 635, 2677, 2694, 2893};
    static const uint32_t steps[5] = {80, 57, 51, 80, 80}, colliding[5] = {32, 32, 0, 0, 0},
                          off[5] = {26, 29, 32, 0, 32};
    recorded r;
    float *planes[4];
    if (!realism_open(&r, "womd_scenario_input.tfrecord")) skip();
    nm_futures f = realism_futures(&r, ROLLOUTS, planes);
    nm_realism_headings headings = realism_turns(&r, &f);
    float *turned = NM_ARENA_ARRAY(r.arena, float, (size_t)f.samples *f.agents *FUTURE);
    const nm_point3 *origin = &r.scene->map->origin;
    for (size_t at = 0; at < (size_t)f.samples * f.agents * FUTURE; at++) {
        const Womd__Track *track = r.raw->tracks[f.track[at / FUTURE % f.agents]];
        const Womd__ObjectState *now = track->states[10], *before = track->states[9];
        double m = (double)(at % FUTURE) + 1.0, share = 1.0 + 0.02 * ((double)(at / FUTURE / f.agents) - 16.0);
        double vx = before->valid ? now->center_x - before->center_x : 0.0;
        double vy = before->valid ? now->center_y - before->center_y : 0.0;
        planes[0][at] = realism_local(now->center_x + share * vx * m, origin->x);
        planes[1][at] = realism_local(now->center_y + share * vy * m, origin->y);
        planes[2][at] = realism_local(now->center_z, origin->z);
        planes[3][at] = nm_wrap_angle(now->heading);
        turned[at] = now->heading;
    }
    headings.simulated = turned;
    nm_realism_values v = realism_measure(&r, &f, &headings);
    for (int i = 0; i < 2; i++) {
        nm_realism_config config = nm_realism_config_of((nm_realism_preset)i);
        nm_realism found = realism_rate(&v, &config);
        check(&found, &numbers[i], 3e-5);
        assert_float_equal(found.ade, 3.007326, 1e-5);
        assert_float_equal(found.min_ade, 2.590920, 1e-5);
        assert_float_equal(found.collision_rate, 0.4, 1e-9);
        assert_float_equal(found.off_road_rate, 0.74375, 1e-9);
    }
    assert_int_equal(v.agents, 5);
    for (uint32_t i = 0; i < 5; i++) {
        uint32_t valid = 0, hits = 0, outs = 0;
        for (uint32_t k = 0; k < FUTURE; k++) valid += v.valid[i * FUTURE + k];
        for (uint32_t sample = 1; sample <= 32; sample++) {
            hits += v.flag[NM_REALISM_COLLISION][sample * 5 + i];
            outs += v.flag[NM_REALISM_OFF_ROAD][sample * 5 + i];
        }
        assert_int_equal(r.scene->tracks[v.track[i]].source_id, ids[i]);
        assert_int_equal(valid, steps[i]);
        assert_int_equal(hits, colliding[i]);
        assert_int_equal(outs, off[i]);
        assert_int_equal(v.flag[NM_REALISM_COLLISION][i], 0);
        assert_int_equal(v.flag[NM_REALISM_OFF_ROAD][i], ids[i] == 2677);
    }
    realism_close(&r);
}

/// The AV pushed aside by m metres at the m-th of the last 71 steps runs a red light, at step 24 alone.
static void test_red_light(void **state) {
    (void)state;
    recorded r;
    if (!realism_open(&r, "motion_data_one_scenario.tfrecord")) skip();
    nm_futures f = realism_replay(&r, 1);
    float *y = NM_ARENA_ARRAY(r.arena, float, (size_t)f.agents *FUTURE);
    memcpy(y, f.y, (size_t)f.agents * FUTURE * sizeof *y);
    for (uint32_t i = 0; i < f.agents; i++) {
        for (uint32_t k = 9; f.track[i] == r.scene->ego && k < FUTURE; k++) y[i * FUTURE + k] -= (float)(k - 9);
    }
    f.y = y;
    for (uint32_t steps = 13; steps <= 14; steps++) { // up to step 23, 24
        nm_futures shorter = f;
        shorter.steps = steps;
        float *planes[4];
        const float *whole[4] = {f.x, f.y, f.z, f.heading};
        for (int p = 0; p < 4; p++) {
            planes[p] = NM_ARENA_ARRAY(r.arena, float, (size_t)f.agents *steps);
            for (uint32_t i = 0; i < f.agents; i++)
                memcpy(planes[p] + (size_t)i * steps, whole[p] + (size_t)i * FUTURE, steps * sizeof(float));
        }
        shorter.x = planes[0], shorter.y = planes[1], shorter.z = planes[2], shorter.heading = planes[3];
        nm_realism_values v = realism_measure(&r, &shorter, NULL);
        for (uint32_t i = 0; i < v.agents; i++) {
            assert_int_equal(v.flag[NM_REALISM_RED_LIGHT][v.agents + i], steps == 14 && v.track[i] == r.scene->ego);
            assert_int_equal(v.flag[NM_REALISM_RED_LIGHT][i], 0);
        }
    }
    nm_realism_values v = realism_measure(&r, &f, NULL);
    for (uint32_t i = 0; i < v.agents; i++)
        assert_int_equal(v.flag[NM_REALISM_RED_LIGHT][v.agents + i], v.track[i] == r.scene->ego);
    nm_realism_config config = nm_realism_config_of(NM_REALISM_2025);
    nm_realism found = realism_rate(&v, &config);
    assert_float_equal(found.red_light_rate, 0.25, 1e-9);
    double right = log(1.001 / 1.002), wrong = log(0.001 / 1.002);
    assert_float_equal(found.likelihood[NM_REALISM_RED_LIGHT], exp((3.0 * right + wrong) / 4.0), 1e-9);
    realism_close(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_submission),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_wrapped_headings),
        cmocka_unit_test(test_constant_velocity),
        cmocka_unit_test(test_red_light),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
