/// Guidance as the sampler uses it: on encoded tokens, maps and whole runs.
#include "sim/scenes.h"

#include "nexus/guidance.h"
#include "nexus/sampler.h"

enum { TIMES = 11, HISTORY = 3, MOST = 6 * TIMES };

/// Agents with a history and a future; the denoiser always predicts `states`, whatever it is shown.
typedef struct play {
    uint32_t agents;
    double states[MOST][NM_FIELD_COUNT]; ///< map frame
    nm_motion pose;                      ///< of all tokens
    nm_state_encoding encoding;
    nm_guided_agent guided[6];
    nm_guided_scene scene;
    uint32_t scene_of[MOST], agent[MOST], time[MOST];
    uint64_t key;
    uint8_t clean[MOST];
    float given[MOST * 8], result[MOST * 8];
    double after[MOST][NM_FIELD_COUNT]; ///< the result, map frame
} play;

static void encode(const play *p, const double *state, float *row) {
    const double c = p->pose.cos_h, s = p->pose.sin_h;
    for (int f = 0; f < NM_FIELD_COUNT; f++) {
        double value = state[f];
        if (f < 6) {
            const double a = state[f & ~1] - (f < 2 ? p->pose.x : 0.0), b = state[f | 1] - (f < 2 ? p->pose.y : 0.0);
            value = f & 1 ? c * b - s * a : c * a + s * b;
        }
        row[p->encoding.channel[f]] = (float)((value - (double)p->encoding.mean[f]) / (double)p->encoding.scale[f]);
    }
}

static void decode(const play *p, const float *row, double *state) {
    double local[NM_FIELD_COUNT];
    for (int f = 0; f < NM_FIELD_COUNT; f++) {
        local[f] = (double)p->encoding.mean[f] + (double)p->encoding.scale[f] * (double)row[p->encoding.channel[f]];
        state[f] = local[f];
    }
    const double c = p->pose.cos_h, s = p->pose.sin_h;
    for (int f = 0; f < 6; f += 2) {
        state[f] = c * local[f] - s * local[f + 1] + (f ? 0.0 : p->pose.x);
        state[f + 1] = s * local[f] + c * local[f + 1] + (f ? 0.0 : p->pose.y);
    }
}

/// Agent driving straight from (x, y) at time HISTORY - 1 (now).
static void add_agent(play *p, double x, double y, double heading, double speed) {
    for (uint32_t t = 0; t < TIMES; t++) {
        const uint32_t n = p->agents * TIMES + t;
        const double way = 0.5 * speed * ((double)t - (HISTORY - 1));
        const double state[NM_FIELD_COUNT] = {
            x + way * cos(heading), y + way * sin(heading), cos(heading), sin(heading),
            speed * cos(heading),   speed * sin(heading),   4.5,          2.0};
        memcpy(p->states[n], state, sizeof state);
        p->agent[n] = 10 + p->agents;
        p->time[n] = t;
        p->clean[n] = t < HISTORY;
    }
    p->guided[p->agents] = (nm_guided_agent){.agent = 10 + p->agents, .lane_mask = NM_LANE_MASK_VEHICLE};
    p->agents++;
}

static void start(play *p, const nm_map *map) {
    memset(p, 0, sizeof *p);
    p->pose = (nm_motion){20.0, -5.0, 0.6, 0.8}; // far from the map's
    p->encoding = nm_state_encoding_published();
    // another order of channels than that of the fields
    for (int f = 0; f < NM_FIELD_COUNT; f++) p->encoding.channel[f] = (f + 3) % NM_FIELD_COUNT;
    p->scene.map = map;
    p->key = 5;
}

static nm_status stubborn(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)error;
    const play *p = context;
    for (uint32_t n = 0; n < in->count; n++) {
        float row[8];
        encode(p, p->states[n], row);
        const nm_noise_level level = nm_noise_level_at(NM_SNR_COSINE, (double)in->level[n]);
        for (int c = 0; c < 8; c++) {
            const double z = (double)in->noised[n * 8 + (uint32_t)c];
            v[n * 8 + (uint32_t)c] =
                level.sigma > 0.0 ? (float)((level.alpha * z - (double)row[c]) / level.sigma) : 0.0f;
        }
    }
    return NM_OK;
}

static nm_guidance_config config_of(const play *p) {
    nm_guidance_config config = nm_guidance_config_default();
    config.max_tokens = MOST;
    config.encoding = p->encoding;
    return config;
}

/// Samples with guidance; fills p->result and p->after.
static nm_status run(play *p, const nm_guidance_config *config, const nm_adversary *adversaries, uint32_t count,
                     nm_error *error) {
    nm_sampler_config of_sampler = nm_sampler_config_default();
    of_sampler.max_tokens = MOST;
    of_sampler.max_scenes = 1;
    of_sampler.levels = 8;
    nm_sampler *sampler;
    nm_guidance *guidance;
    assert_int_equal(nm_sampler_create(&of_sampler, &sampler, error), NM_OK);
    if (nm_guidance_create(config, &guidance, error)) fail_msg("%s", error->message);
    const nm_token_layout layout = {.count = p->agents * TIMES,
                                    .scene_count = 1,
                                    .scene = p->scene_of,
                                    .agent = p->agent,
                                    .time = p->time,
                                    .scene_key = &p->key};
    for (uint32_t n = 0; n < layout.count; n++) {
        p->guided[n / TIMES].pose = p->pose;
        encode(p, p->states[n], p->given + n * 8);
    }
    p->scene.agents = p->guided;
    p->scene.agent_count = p->agents;
    nm_guidance_set_scenes(guidance, &p->scene, 1);
    assert_int_equal(nm_guidance_set_adversaries(guidance, adversaries, count, error), NM_OK);
    assert_int_equal(nm_sampler_begin(sampler, &layout, p->clean, p->given, NULL, error), NM_OK);
    const nm_denoiser denoiser = {p, stubborn};
    const nm_status status = nm_sampler_run(sampler, &denoiser, nm_guidance_apply, guidance, error);
    memcpy(p->result, nm_sampler_get(sampler).in.noised, layout.count * 8 * sizeof(float));
    for (uint32_t n = 0; n < layout.count; n++) {
        decode(p, p->result + n * 8, p->after[n]);
        if (!status && p->clean[n]) assert_memory_equal(p->result + n * 8, p->given + n * 8, 8 * sizeof(float));
    }
    nm_guidance_destroy(guidance);
    nm_sampler_destroy(sampler);
    return status;
}

static void run_well(play *p, const nm_guidance_config *config) {
    nm_error error;
    if (run(p, config, NULL, 0, &error)) fail_msg("%s", error.message);
}

// ---------------------------------------------------------------------------------------------------------------------

static void overlapping_agents_end_up_apart(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(400.0);
    static play p;
    start(&p, map);
    add_agent(&p, 50.0, 0.0, 0.0, 10.0);
    add_agent(&p, 53.0, 0.3, 0.0, 10.0);  // 1.5 m into the first
    add_agent(&p, 200.0, 3.5, 0.0, 10.0); // two side by side in lanes of their own
    add_agent(&p, 200.0, 7.0, 0.0, 10.0);
    nm_guidance_config config = config_of(&p);
    config.overlap = 1.0f;
    run_well(&p, &config);
    for (uint32_t t = HISTORY; t < TIMES; t++) {
        const double *a = p.after[t], *b = p.after[TIMES + t];
        assert_true(b[0] - a[0] > 4.6);                            // 4.5 m long, and most of the margin
        assert_true(fabs(a[1]) < 0.03 && fabs(b[1] - 0.3) < 0.03); // along the lane, not out of it
        assert_true(fabs(p.after[2 * TIMES + t][0] - p.states[2 * TIMES + t][0]) < 1e-3);
        assert_true(fabs(p.after[3 * TIMES + t][1] - 7.0) < 1e-3);
    }
    nm_map_release(map);
}

static void slow_agents_are_left_alone(void **state) {
    (void)state;
    static play p, without;
    start(&p, NULL);
    add_agent(&p, 50.0, 0.0, 0.0, 0.5); // parked: the other gives way
    add_agent(&p, 52.0, 0.5, 0.0, 5.0);
    nm_guidance_config config = config_of(&p);
    without = p;
    run_well(&without, &config);
    config.overlap = config.smooth = config.consistent = 0.5f;
    run_well(&p, &config);
    assert_memory_equal(p.result, without.result, TIMES * 8 * sizeof(float));
    assert_memory_not_equal(p.result + TIMES * 8, without.result + TIMES * 8, TIMES * 8 * sizeof(float));
}

static void who_is_off_the_road_comes_back(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(400.0);
    static play p;
    start(&p, map);
    add_agent(&p, 50.0, -3.5, 0.0, 10.0); // 1.75 m beyond the border
    add_agent(&p, 90.0, 9.75, 0.0, 10.0); // 1 m beyond the other one
    add_agent(&p, 150.0, -5.0, 0.0, 1.5); // somebody who walks beside it
    add_agent(&p, 150.0, 1.7, 0.0, 10.0); // off the middle of the lane, but in it
    p.guided[2].lane_mask = 0;
    nm_guidance_config config = config_of(&p);
    config.road = 1.0f;
    run_well(&p, &config);
    for (uint32_t t = HISTORY; t < TIMES; t++) {
        const double expected[4] = {-1.75, 8.75, -5.0, 1.7};
        for (uint32_t k = 0; k < 4; k++) {
            assert_true(fabs(p.after[k * TIMES + t][1] - expected[k]) < (k < 2 ? 0.1 : 1e-3));
            assert_true(fabs(p.after[k * TIMES + t][0] - p.states[k * TIMES + t][0]) < 1e-3);
        }
    }
    nm_map_release(map);
}

static double roughness(double states[MOST][NM_FIELD_COUNT]) {
    double sum = 0.0;
    for (uint32_t t = HISTORY; t + 1 < TIMES; t++) {
        for (int f = 0; f < 2; f++) sum += pow(states[t + 1][f] - 2.0 * states[t][f] + states[t - 1][f], 2.0);
    }
    return sum;
}
static double mismatch(double states[MOST][NM_FIELD_COUNT]) {
    double sum = 0.0;
    for (uint32_t t = HISTORY; t < TIMES; t++) {
        for (int f = 0; f < 2; f++)
            sum += pow(states[t][f] - states[t - 1][f] - 0.25 * (states[t][4 + f] + states[t - 1][4 + f]), 2.0);
        sum += pow(states[t][2] * states[t][5] - states[t][3] * states[t][4], 2.0);
    }
    return sum;
}

static void paths_get_smoother_and_more_consistent(void **state) {
    (void)state;
    static play p;
    for (int which = 0; which < 2; which++) {
        start(&p, NULL);
        add_agent(&p, 50.0, 0.0, 0.3, 10.0);
        for (uint32_t t = HISTORY; t < TIMES; t++) {
            const nm_rng_key key = {.seed = 8, .step = t};
            for (uint32_t f = 0; f < 6; f++)
                p.states[t][f] += (f < 2 ? 0.5 : f < 4 ? 0.1 : 1.0) * (double)nm_rng_normal(&key, f);
        }
        nm_guidance_config config = config_of(&p);
        config.smooth = which == 0 ? 1.0f : 0.0f;
        config.consistent = which == 1 ? 1.0f : 0.0f;
        config.iterations = 20;
        run_well(&p, &config);
        const double before = which ? mismatch(p.states) : roughness(p.states);
        const double after = which ? mismatch(p.after) : roughness(p.after);
        if (!(after < 0.2 * before)) fail_msg("case %d: from %g to %g", which, before, after);
    }
}

static void no_strength_changes_nothing(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(400.0);
    static play p;
    start(&p, map);
    add_agent(&p, 50.0, 0.0, 0.0, 10.0);
    add_agent(&p, 51.0, -4.0, 0.4, 10.0);
    const nm_guidance_config config = config_of(&p);
    float x0[MOST * 8], kept[MOST * 8];
    nm_guidance *guidance;
    nm_error error;
    assert_int_equal(nm_guidance_create(&config, &guidance, &error), NM_OK);
    for (int i = 0; i < MOST * 8; i++) x0[i] = kept[i] = (float)sin(i);
    float level[MOST] = {0};
    const nm_denoise_input in = {.count = 2 * TIMES,
                                 .channels = 8,
                                 .scene_count = 1,
                                 .scene = p.scene_of,
                                 .agent = p.agent,
                                 .time = p.time,
                                 .level = level};
    assert_int_equal(nm_guidance_apply(guidance, &in, x0, &error), NM_OK);
    assert_memory_equal(x0, kept, sizeof x0);
    nm_guidance_destroy(guidance);

    // and with all of them, clean tokens keep their bits also when apply is called on its own
    nm_guidance_config all = config;
    all.overlap = all.road = all.smooth = all.consistent = all.adversarial = 1.0f;
    assert_int_equal(nm_guidance_create(&all, &guidance, &error), NM_OK);
    p.guided[0].pose = p.guided[1].pose = p.pose;
    p.scene.agents = p.guided;
    p.scene.agent_count = 2;
    nm_guidance_set_scenes(guidance, &p.scene, 1);
    nm_adversary adversary = nm_adversary_default();
    adversary.ego = 10;
    adversary.adversary = 11;
    adversary.time = TIMES - 2;
    assert_int_equal(nm_guidance_set_adversaries(guidance, &adversary, 1, &error), NM_OK);
    for (uint32_t n = 0; n < 2 * TIMES; n++) {
        encode(&p, p.states[n], x0 + n * 8);
        level[n] = n % 3 ? 0.5f : 0.0f;
    }
    memcpy(kept, x0, sizeof x0);
    assert_int_equal(nm_guidance_apply(guidance, &in, x0, &error), NM_OK);
    for (uint32_t n = 0; n < 2 * TIMES; n++) {
        const int same = memcmp(x0 + n * 8, kept + n * 8, 8 * sizeof(float)) == 0;
        if (n % 3 == 0) assert_true(same);
        if (n % 3 && n >= TIMES) assert_false(same); // the ego is where it should be
    }
    nm_guidance_destroy(guidance);
    nm_map_release(map);
}

// ---------------------------------------------------------------------------------------------------------------------

/// How far the adversary (agent 1) is from where its aim wants it, at `time`.
static double miss(const play *p, double states[MOST][NM_FIELD_COUNT], const nm_adversary *a) {
    (void)p;
    const double *e = states[a->time], *n = states[TIMES + a->time];
    const double ahead = e[2] * (n[0] - e[0]) + e[3] * (n[1] - e[1]);
    const double left = fabs(e[2] * (n[1] - e[1]) - e[3] * (n[0] - e[0]));
    const double wanted[NM_AIM_COUNT][2] = {{4.5, 0.0}, {4.5, 0.5}, {0.0, 3.25}, {4.5, 0.0}};
    return hypot(ahead - wanted[a->aim][0], left - wanted[a->aim][1]);
}

static void check_drivable(const play *p, uint32_t agent, const nm_adversary *limits) {
    for (uint32_t n = agent * TIMES + HISTORY - 1; n + 1 < (agent + 1) * TIMES; n++) {
        const double ax = p->after[n][0] - p->after[n - 1][0], ay = p->after[n][1] - p->after[n - 1][1];
        const double bx = p->after[n + 1][0] - p->after[n][0], by = p->after[n + 1][1] - p->after[n][1];
        const double before = hypot(ax, ay), after = hypot(bx, by), gain = (after - before) / 0.25;
        const double turn = fabs(atan2(ax * by - ay * bx, ax * bx + ay * by));
        const double slack = 2e-3; // tokens are floats
        assert_true(gain < (double)limits->max_acceleration + slack && gain > -(double)limits->max_braking - slack);
        if (fmin(before, after) < 0.1) continue;
        assert_true(turn / (0.5 * (before + after)) < (double)limits->max_curvature + slack);
        assert_true(turn * after / 0.25 < (double)limits->max_lateral + slack);
    }
}

static void adversaries_meet_the_ego_and_stay_drivable(void **state) {
    (void)state;
    const nm_map *road = nm_test_road(400.0);
    for (int aim = 0; aim < NM_AIM_COUNT; aim++) {
        static play p;
        start(&p, aim == NM_AIM_REAR_END || aim == NM_AIM_CUT_IN ? road : NULL);
        add_agent(&p, 100.0, 3.5, 0.0, 12.0); // the ego
        if (aim == NM_AIM_REAR_END) add_agent(&p, 125.0, 3.5, 0.0, 12.0);
        if (aim == NM_AIM_CUT_IN) add_agent(&p, 112.0, 0.0, 0.0, 11.0);
        if (aim == NM_AIM_CROSSING) add_agent(&p, 140.0, -36.0, 0.5 * NM_PI, 10.0); // passes behind, by itself
        if (aim == NM_AIM_HEAD_ON) add_agent(&p, 180.0, 7.0, NM_PI, 10.0);
        nm_adversary a = nm_adversary_default();
        a.ego = 10;
        a.adversary = 11;
        a.aim = (nm_conflict_aim)aim;
        a.time = TIMES - 2;
        nm_guidance_config config = config_of(&p);
        config.adversarial = 1.0f;
        config.road = config.consistent = config.smooth = 0.3f;
        config.overlap = 1.0f; // does not keep the two apart
        config.iterations = 60;
        config.max_move = 40.0f;
        nm_error error;
        if (run(&p, &config, &a, 1, &error)) fail_msg("%s", error.message);
        const double before = miss(&p, p.states, &a), after = miss(&p, p.after, &a);
        if (!(after < 0.25 * before && after < 2.5))
            fail_msg("%s: missed by %g, before by %g", nm_conflict_aim_name(a.aim), after, before);
        check_drivable(&p, 1, &a);
        for (uint32_t t = 0; t < TIMES; t++) { // the ego is not what is steered
            assert_true(fabs(p.after[t][0] - p.states[t][0]) < 0.02 && fabs(p.after[t][1] - 3.5) < 0.02);
        }
        if (p.scene.map) { // on the road: three lanes of 3.5 m, agents 2 m wide
            for (uint32_t t = 0; t < TIMES; t++) {
                const double y = p.after[TIMES + t][1];
                assert_true(y > -1.75 && y < 8.75);
            }
        }
    }
    nm_map_release(road);
}

enum { CARS = 4, LONG = 6, STATES = 5, POINTS = CARS * LONG * STATES }; ///< the first two tokens of each are clean

/// One token a state in the map's frame, and tokens of five in the agents': the same scene.
static void check_same(const float *single, const float *several, const float *kept, const nm_state_encoding *one,
                       const nm_state_encoding *own, const nm_guided_agent *agents) {
    double moved = 0.0;
    for (uint32_t p = 0; p < POINTS; p++) {
        const nm_motion pose = agents[p / (LONG * STATES)].pose;
        double x[8], l[5];
        for (int f = 0; f < 8; f++) x[f] = (double)(one->mean[f] + one->scale[f] * single[p * 8 + (uint32_t)f]);
        for (int f = 0; f < 5; f++) l[f] = (double)(own->scale[f] * several[p * 5 + (uint32_t)f]);
        assert_true(fabs(pose.x + pose.cos_h * l[0] - pose.sin_h * l[1] - x[0]) < 2e-4);
        assert_true(fabs(pose.y + pose.sin_h * l[0] + pose.cos_h * l[1] - x[1]) < 2e-4);
        assert_true(fabs(pose.cos_h * l[2] - pose.sin_h * l[3] - x[2]) < 2e-4);
        assert_true(fabs(pose.sin_h * l[2] + pose.cos_h * l[3] - x[3]) < 2e-4);
        assert_true(fabs(l[4] - (x[2] * x[4] + x[3] * x[5]) / hypot(x[2], x[3])) < 1e-3);
        if (p % (LONG * STATES) < 2 * STATES) assert_memory_equal(several + p * 5, kept + p * 5, 5 * sizeof(float));
        moved = fmax(moved, fabs(l[0] - 20.0 * (double)kept[p * 5]));
    }
    assert_true(moved > 0.3);
}

/// Tokens of five states in each agent's own frame, with speeds, against one token for each state in one frame, with
/// velocities: the same scene, guided by everything, must come out the same.
static void tokens_of_several_states_are_guided_as_single_ones(void **state) {
    (void)state;
    const nm_map *map = nm_test_road(400.0);
    static float single[POINTS * 8], several[POINTS * 5], kept[POINTS * 5], level[2][POINTS];
    static uint32_t zero[POINTS], agent[2][POINTS], time[2][POINTS];
    static const double begin[CARS][4] = {{100, 3.5, 0, 12}, {111, 0.5, 0.05, 11}, {103, 3, 0, 10}, {90, -3, 0.1, 9}};
    nm_guided_agent guided[2][CARS];
    nm_state_encoding one = nm_state_encoding_published(), own = nm_state_encoding_own(20.0f, 1.0f, 10.0f);
    for (uint32_t i = 0; i < 6; i++) one.mean[i] = 0.01f * (float)i; // not 0
    for (uint32_t p = 0; p < POINTS; p++) {
        const uint32_t a = p / (LONG * STATES), step = p % (LONG * STATES);
        const double *b = begin[a], way = 0.1 * step * b[3], c = cos(b[2]), s = sin(b[2]);
        const double at[8] = {b[0] + way * c, b[1] + way * s + 0.05 * sin(step), c, s, b[3] * c, b[3] * s, 4.5, 2.0};
        for (int f = 0; f < 8; f++) single[p * 8 + (uint32_t)f] = ((float)at[f] - one.mean[f]) / one.scale[f];
        // seen from where the agent began, heading as the agent does
        const double dx = at[0] - b[0], dy = at[1] - b[1];
        const double local[5] = {c * dx + s * dy, c * dy - s * dx, 1.0, 0.0, b[3]};
        for (int f = 0; f < 5; f++) several[p * 5 + (uint32_t)f] = (float)local[f] / own.scale[f];
        agent[0][p] = a;
        time[0][p] = step;
        agent[1][p / STATES] = a;
        time[1][p / STATES] = step / STATES;
        level[0][p] = level[1][p / STATES] = step < 2 * STATES ? 0.0f : 0.5f;
        guided[0][a] = (nm_guided_agent){a, NM_LANE_MASK_VEHICLE, 4.5f, 2.0f, {0.0, 0.0, 1.0, 0.0}};
        guided[1][a] = (nm_guided_agent){a, NM_LANE_MASK_VEHICLE, 4.5f, 2.0f, {b[0], b[1], c, s}};
    }
    memcpy(kept, several, sizeof kept);
    nm_adversary a = nm_adversary_default();
    a.adversary = 1;
    a.aim = NM_AIM_CUT_IN;
    for (uint32_t i = 0; i < 2; i++) {
        nm_guidance_config config = nm_guidance_config_default();
        config.max_tokens = i ? POINTS / STATES : POINTS;
        config.encoding = i ? own : one;
        config.dt = i ? 0.5f : 0.1f;
        config.overlap = config.road = config.smooth = config.consistent = config.adversarial = 0.8f;
        a.time = i ? LONG - 1 : LONG * STATES - 1;
        const nm_guided_scene scene = {map, CARS, guided[i]};
        const nm_denoise_input in = {.count = i ? POINTS / STATES : POINTS,
                                     .channels = i ? 25 : 8,
                                     .scene_count = 1,
                                     .scene = zero,
                                     .agent = agent[i],
                                     .time = time[i],
                                     .level = level[i]};
        nm_guidance *guidance;
        nm_error error;
        assert_int_equal(nm_guidance_create(&config, &guidance, &error), NM_OK);
        nm_guidance_set_scenes(guidance, &scene, 1);
        assert_int_equal(nm_guidance_set_adversaries(guidance, &a, 1, &error), NM_OK);
        if (nm_guidance_apply(guidance, &in, i ? several : single, &error)) fail_msg("%s", error.message);
        nm_guidance_destroy(guidance);
    }
    check_same(single, several, kept, &one, &own, guided[1]);
    nm_map_release(map);
}

static void bad_adversaries_are_refused(void **state) {
    (void)state;
    static play p;
    start(&p, NULL);
    nm_guidance_config config = config_of(&p);
    nm_adversary a = nm_adversary_default();
    a.ego = 10;
    a.adversary = 11;
    nm_guidance *guidance;
    nm_error error;
    assert_int_equal(nm_guidance_create(&config, &guidance, &error), NM_OK);
    a.max_braking = 0.0f;
    assert_int_equal(nm_guidance_set_adversaries(guidance, &a, 1, &error), NM_E_ARGUMENT);
    a.max_braking = 8.0f;
    a.ego = a.adversary;
    assert_int_equal(nm_guidance_set_adversaries(guidance, &a, 1, &error), NM_E_ARGUMENT);
    nm_guidance_destroy(guidance);
}

static void bad_input_is_refused(void **state) {
    (void)state;
    static play p;
    nm_error error;
    nm_guidance *guidance;
    static const char *const says[] = {
        "overlap", "road",       "smooth",     "dt",      "step",    "window",    "max_move",
        "margin",  "iterations", "max_tokens", "field 2", "field 3", "17 states", "over 2^28 states"};
    for (int i = 0; i < 14; i++) {
        start(&p, NULL);
        nm_guidance_config c = config_of(&p);
        if (i == 0) c.overlap = 1.5f;
        if (i == 1) c.road = -0.1f;
        if (i == 2) c.smooth = NAN;
        if (i == 3) c.dt = 0.0f;
        if (i == 4) c.step = 0.0f;
        if (i == 5) c.window = 9;
        if (i == 6) c.max_move = 0.0f;
        if (i == 7) c.margin = INFINITY;
        if (i == 8) c.iterations = 0;
        if (i == 9) c.max_tokens = 0;
        if (i == 10) c.encoding.scale[2] = 0.0f;
        if (i == 11) c.encoding.channel[3] = -1;
        if (i == 12) c.encoding.states = 17;
        if (i == 13) { // each within its range, but 2^29 states
            c.max_tokens = (1u << 28) / 8;
            c.encoding.states = 16;
        }
        assert_int_equal(nm_guidance_create(&c, &guidance, &error), NM_E_ARGUMENT);
        assert_null(guidance);
        if (!strstr(error.message, says[i])) fail_msg("case %d: %s", i, error.message);
    }
    start(&p, NULL);
    add_agent(&p, 0.0, 0.0, 0.0, 10.0);
    add_agent(&p, 9.0, 0.0, 0.0, 10.0);
    nm_guidance_config config = config_of(&p);
    config.adversarial = 1.0f;
    nm_adversary a = nm_adversary_default();
    a.ego = 10;
    a.adversary = 11;
    a.time = TIMES; // past the end
    assert_int_equal(run(&p, &config, &a, 1, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no token at time 11"));
    a.time = 5;
    a.adversary = 12;
    assert_int_equal(run(&p, &config, &a, 1, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "agent 12 of scene 0"));
    a.adversary = 11;
    p.guided[1].agent = 99;
    assert_int_equal(run(&p, &config, &a, 1, &error), NM_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "no agent 11 of scene 0"));
    p.guided[1].agent = 11;
    p.time[2 * TIMES - 1] = 4096;
    assert_int_equal(run(&p, &config, &a, 1, &error), NM_E_LIMIT);
    p.time[2 * TIMES - 1] = TIMES - 1;
    config.max_tokens = 5;
    assert_int_equal(run(&p, &config, &a, 1, &error), NM_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlapping_agents_end_up_apart),
        cmocka_unit_test(slow_agents_are_left_alone),
        cmocka_unit_test(who_is_off_the_road_comes_back),
        cmocka_unit_test(paths_get_smoother_and_more_consistent),
        cmocka_unit_test(no_strength_changes_nothing),
        cmocka_unit_test(adversaries_meet_the_ego_and_stay_drivable),
        cmocka_unit_test(tokens_of_several_states_are_guided_as_single_ones),
        cmocka_unit_test(bad_adversaries_are_refused),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
