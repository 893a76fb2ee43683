/// Energies: rows say what they should of scenes laid out by hand, gradients are derivatives, files come back, and what
/// is trained tells recorded futures from others.
#include "nexus/energy_trainer.h"

#include "base/rng.h"
#include "safetensors_support.h"
#include "tokens_support.h"

// ---------------------------------------------------------------------------------------------------------------------
// Rows. Tokens of five states in the frames of their agents, no map: one straight ahead of the other.

enum { PAST = 1, FUTURE = 3, TIMES = PAST + 1 + FUTURE, STATES = 5, CHANNELS = 5 * STATES };

typedef struct road {
    nm_guided_agent agents[2];
    nm_guided_scene scene;
    uint32_t agent[2 * TIMES], time[2 * TIMES];
    float values[2 * TIMES * CHANNELS];
    float rows[2 * TIMES * NM_ENERGY_ROW];
    nm_energy_tokens tokens;
    nm_energy_reader *reader;
} road;

/// Where agent `a` is at t s, in its own frame, and its heading there.
typedef void course(uint32_t a, double t, double *x, double *y, double *heading);

static void lay(road *r, course *where, double ahead, double turned) {
    const double c = cos(turned), s = sin(turned);
    const nm_state_encoding e = nm_state_encoding_own(10.0f, 0.5f, 5.0f);
    const nm_energy_reader_config config = {
        .max_tokens = 2 * TIMES, .past = PAST, .future = FUTURE, .encoding = e, .dt = 0.5f};
    nm_error error;
    memset(r, 0, sizeof *r);
    assert_int_equal(nm_energy_reader_create(&config, &r->reader, &error), NM_OK);
    for (uint32_t a = 0; a < 2; ++a) {
        r->agents[a] = (nm_guided_agent){.agent = 3 * a, // places need not be in succession
                                         .length = 4.0f,
                                         .width = 2.0f,
                                         .pose = {a * ahead * c + 5.0, a * ahead * s - 3.0, c, s}};
        for (uint32_t t = 0; t < TIMES; ++t) {
            const uint32_t n = a * TIMES + t;
            r->agent[n] = 3 * a;
            r->time[n] = t;
            for (uint32_t i = 0; i < STATES; ++i) {
                double x, y, heading;
                const double at = 0.5 * ((double)t - PAST) - 0.1 * (STATES - 1 - i);
                where(a, at, &x, &y, &heading);
                float *state = r->values + (size_t)n * CHANNELS + (size_t)i * e.stride;
                state[e.channel[NM_FIELD_X]] = (float)x / 10.0f;
                state[e.channel[NM_FIELD_Y]] = (float)y / 10.0f;
                state[e.channel[NM_FIELD_COS]] = (float)cos(heading) / 0.5f;
                state[e.channel[NM_FIELD_SIN]] = (float)sin(heading) / 0.5f;
            }
        }
    }
    r->scene = (nm_guided_scene){.agent_count = 2, .agents = r->agents};
    r->tokens = (nm_energy_tokens){
        .count = 2 * TIMES, .agent = r->agent, .time = r->time, .channels = CHANNELS, .values = r->values};
    if (nm_energy_rows(r->reader, &r->scene, &r->tokens, r->rows, &error) != NM_OK) fail_msg("%s", error.message);
}

static const float *row(const road *r, uint32_t a, uint32_t t) {
    return r->rows + (size_t)(a * TIMES + t) * NM_ENERGY_ROW;
}

/// Agent 0 at 10 m/s, agent 1 at 6 m/s.
static void straight(uint32_t a, double t, double *x, double *y, double *heading) {
    *x = (a ? 6.0 : 10.0) * t;
    *y = *heading = 0.0;
}

static void rows_say_who_comes_near(void **state) {
    (void)state;
    road r;
    lay(&r, straight, 12.0, 0.7);
    for (uint32_t t = 0; t <= PAST; ++t)
        for (int f = 0; f < NM_ENERGY_ROW; ++f) assert_true(row(&r, 0, t)[f] == 0.0f);
    for (uint32_t t = PAST + 1; t < TIMES; ++t) {
        const double gap = 12.0 - 4.0 - 4.0 * 0.5 * (t - PAST); // bumper to bumper
        const float *at = row(&r, 0, t), *other = row(&r, 1, t);
        assert_float_equal(at[NM_ENERGY_WHEN], (t - PAST - 1) / 2.0, 1e-6);
        assert_float_equal(at[NM_ENERGY_SPEED], 0.5, 1e-5);
        assert_float_equal(other[NM_ENERGY_SPEED], 0.3, 1e-5);
        assert_float_equal(at[NM_ENERGY_ACCELERATION], 0.0, 1e-4);
        assert_float_equal(at[NM_ENERGY_ALONG], 0.0, 1e-4);
        assert_float_equal(at[NM_ENERGY_TURN], 0.0, 1e-4);
        assert_float_equal(at[NM_ENERGY_NEAR], exp(-gap), 1e-5);
        assert_float_equal(at[NM_ENERGY_NEARBY], exp(-gap / 6.0), 1e-5);
        assert_float_equal(at[NM_ENERGY_CLOSING], 0.8, 1e-4);
        assert_float_equal(other[NM_ENERGY_CLOSING], 0.8, 1e-4);
        assert_float_equal(at[NM_ENERGY_URGENT], 4.0 / (gap + 1.0), 1e-4);
        assert_true(at[NM_ENERGY_OVERLAP] == 0.0f && at[NM_ENERGY_DRIVES] == 0.0f && at[NM_ENERGY_STANDS] == 0.0f);
    }
    nm_energy_reader_destroy(r.reader);
    lay(&r, straight, 7.5, 0.0);                                             // they meet
    assert_float_equal(row(&r, 0, TIMES - 1)[NM_ENERGY_OVERLAP], 2.0, 1e-5); // 2.5 m along, but 2 m across
    assert_float_equal(row(&r, 0, TIMES - 1)[NM_ENERGY_NEAR], 1.0, 1e-6);
    nm_energy_reader_destroy(r.reader);
    lay(&r, straight, 200.0, 0.0); // nobody is near
    assert_true(row(&r, 0, TIMES - 1)[NM_ENERGY_NEARBY] == 0.0f && row(&r, 0, TIMES - 1)[NM_ENERGY_CLOSING] == 0.0f);
    nm_energy_reader_destroy(r.reader);
}

/// Agent 0 brakes at 2 m/s2 from 10 m/s on, agent 1 drives a circle of 10 m at 5 m/s.
static void bent(uint32_t a, double t, double *x, double *y, double *heading) {
    *heading = a ? 0.5 * t : 0.0;
    *x = a ? 10.0 * sin(0.5 * t) : 10.0 * t - t * t;
    *y = a ? 10.0 * (1.0 - cos(0.5 * t)) : 0.0;
}

static void rows_say_how_somebody_drives(void **state) {
    (void)state;
    road r;
    lay(&r, bent, 500.0, -2.0);
    for (uint32_t t = PAST + 1; t < TIMES; ++t) {
        const double s = 0.5 * (t - PAST), reach = 0.5 + 0.5 * s * s;
        assert_float_equal(row(&r, 0, t)[NM_ENERGY_ACCELERATION], -2.0 / 3.0, 1e-3);
        assert_float_equal(row(&r, 0, t)[NM_ENERGY_EFFORT], 2.0 / 3.0, 1e-3);
        assert_float_equal(row(&r, 1, t)[NM_ENERGY_TURN], 0.5 / 0.3, 1e-3);
        assert_float_equal(row(&r, 1, t)[NM_ENERGY_LATERAL], 2.5 / 3.0, 2e-3);
        // the speed at the current token is the mean of its last half second: 10.5 m/s, a quarter of a second ago
        assert_float_equal(row(&r, 0, t)[NM_ENERGY_ALONG], (10.0 * s - s * s - 10.5 * s) / reach, 0.1 * s / reach);
        assert_true(row(&r, 1, t)[NM_ENERGY_ACROSS] > 0.5f * row(&r, 1, t)[NM_ENERGY_TURN] * (float)(s * s / reach));
    }
    nm_energy_reader_destroy(r.reader);
}

static void rows_know_the_lane(void **state) {
    (void)state;
    static const struct {
        double y, heading, offset, beyond, angle, against;
    } poses[] = {{0.0, 0.0, 0.0, 0.0, 0.0, 0.0},
                 {-0.7, 0.0, 0.4, 0.0, 0.0, 0.0},
                 {-3.75, 0.0, 3.75 / 1.75, 1.0, 0.0, 0.0},
                 {0.0, NM_PI, 0.0, 0.0, 0.0, 1.0}};
    const nm_map *map = nm_test_road(200.0);
    nm_error error;
    road r;
    lay(&r, straight, 500.0, 0.0);
    for (size_t i = 0; i < sizeof poses / sizeof *poses; ++i) {
        r.agents[0].pose = (nm_motion){100.0, poses[i].y, cos(poses[i].heading), sin(poses[i].heading)};
        r.agents[0].lane_mask = NM_LANE_MASK_VEHICLE;
        r.scene.map = map;
        assert_int_equal(nm_energy_rows(r.reader, &r.scene, &r.tokens, r.rows, &error), NM_OK);
        const float *at = row(&r, 0, PAST + 1);
        assert_true(at[NM_ENERGY_DRIVES] == 1.0f && at[NM_ENERGY_ON_LANE] == 1.0f);
        assert_float_equal(at[NM_ENERGY_OFFSET], poses[i].offset, 1e-4);
        assert_float_equal(at[NM_ENERGY_BEYOND], poses[i].beyond, 1e-4);
        assert_float_equal(at[NM_ENERGY_ANGLE], poses[i].angle, 1e-4);
        assert_float_equal(at[NM_ENERGY_AGAINST], poses[i].against, 0.0);
        assert_float_equal(at[NM_ENERGY_OVER_LIMIT], -4.0, 1e-3); // 20 m/s below, held
        assert_float_equal(row(&r, 1, PAST + 1)[NM_ENERGY_DRIVES], 0.0, 0.0);
    }
    r.agents[0].pose = (nm_motion){100.0, 60.0, 1.0, 0.0}; // nowhere
    assert_int_equal(nm_energy_rows(r.reader, &r.scene, &r.tokens, r.rows, &error), NM_OK);
    assert_true(row(&r, 0, PAST + 1)[NM_ENERGY_DRIVES] == 1.0f && row(&r, 0, PAST + 1)[NM_ENERGY_ON_LANE] == 0.0f);
    nm_energy_reader_destroy(r.reader);
    nm_map_release(map);
}

/// Where the scene lies makes no difference, nor do tokens that somebody else has.
static void rows_move_with_the_scene(void **state) {
    (void)state;
    road a, b;
    nm_error error;
    lay(&a, bent, 9.0, 0.0);
    lay(&b, bent, 9.0, 2.3);
    for (size_t i = 0; i < sizeof a.rows / sizeof *a.rows; ++i) assert_float_equal(a.rows[i], b.rows[i], 2e-3);
    a.agents[1].agent = 2;
    assert_int_equal(nm_energy_rows(a.reader, &a.scene, &a.tokens, a.rows, &error), NM_E_NOT_FOUND);
    b.time[TIMES - 1] = TIMES;
    assert_int_equal(nm_energy_rows(b.reader, &b.scene, &b.tokens, b.rows, &error), NM_E_LIMIT);
    b.tokens.count++;
    assert_int_equal(nm_energy_rows(b.reader, &b.scene, &b.tokens, b.rows, &error), NM_E_LIMIT);
    nm_energy_reader_destroy(a.reader);
    nm_energy_reader_destroy(b.reader);
}

// ---------------------------------------------------------------------------------------------------------------------
// The head

static nm_energy *make(uint32_t hidden, uint64_t seed) {
    nm_energy *e;
    nm_error error;
    if (nm_energy_create(hidden, seed, &e, &error) != NM_OK) fail_msg("%s", error.message);
    return e;
}

static float random_value(uint32_t what, size_t index) {
    const nm_rng_key key = {.seed = 5, .agent = what, .step = (uint32_t)index, .purpose = NM_PURPOSE_TEST};
    return 2.0f * nm_rng_uniform(&key, 0) - 1.0f;
}

/// An agent's rows, and what `futures` others of it are like: with `shift` in the mean of one feature.
static void fill(float *rows, uint32_t count, uint32_t what, float shift) {
    for (size_t i = 0; i < (size_t)count * NM_ENERGY_ROW; ++i) rows[i] = random_value(what, i);
    for (uint32_t i = 0; i < count; ++i) rows[(size_t)i * NM_ENERGY_ROW + NM_ENERGY_EFFORT] += shift;
}

static void check_derivative(double got, double high, double low, double step, size_t which) {
    const double expected = (high - low) / (2.0 * step);
    if (fabs(got - expected) > 1e-6 * (1.0 + fabs(expected)))
        fail_msg("parameter %zu: %.12g, and differences say %.12g", which, got, expected);
}

static void gradients_are_derivatives(void **state) {
    (void)state;
    enum { HIDDEN = 5, ROWS = 4 };
    nm_energy *e = make(HIDDEN, 3);
    const size_t count = nm_energy_parameter_count(e);
    double *p = nm_energy_parameters(e), scratch[3 * HIDDEN];
    double *gradient = calloc(count, sizeof *gradient);
    float rows[ROWS * NM_ENERGY_ROW];
    fill(rows, ROWS, 1, 0.0f);
    const double energy = nm_energy_agent(e, rows, ROWS, scratch);
    assert_true(energy == nm_energy_agent(e, rows, ROWS, NULL) && energy != 0.0);
    assert_true(nm_energy_agent(e, rows, 0, NULL) == 0.0);
    nm_energy_agent_backward(e, rows, ROWS, scratch, 2.5, gradient);
    for (size_t i = 0; i < count; ++i) {
        const double value = p[i], step = 1e-5;
        p[i] = value + step;
        const double high = nm_energy_agent(e, rows, ROWS, NULL);
        p[i] = value - step;
        const double low = nm_energy_agent(e, rows, ROWS, NULL);
        p[i] = value;
        check_derivative(gradient[i], 2.5 * high, 2.5 * low, step, i);
    }
    free(gradient);
    nm_energy_destroy(e);
}

static nm_energy_set *make_set(uint32_t futures, uint32_t moments, float shift) {
    nm_energy_set *set;
    nm_error error;
    assert_int_equal(nm_energy_set_create(futures, &set, &error), NM_OK);
    for (uint32_t m = 0, what = 10; m < moments; ++m) {
        assert_int_equal(nm_energy_set_begin(set, m % 3 == 2, &error), NM_OK);
        for (uint32_t a = 0; a < 1 + m % 4; ++a) {
            const uint32_t count = 1 + (m + a) % 3;
            float *rows;
            assert_int_equal(nm_energy_set_add(set, count, &rows, &error), NM_OK);
            for (uint32_t i = 0; i <= futures; ++i)
                fill(rows + (size_t)i * count * NM_ENERGY_ROW, count, what++, i ? shift : 0.0f);
        }
    }
    return set;
}

static void gradients_of_rankings_are_derivatives(void **state) {
    (void)state;
    nm_energy *e = make(4, 7);
    nm_energy_set *set = make_set(3, 4, 0.5f);
    const size_t count = nm_energy_parameter_count(e);
    double *p = nm_energy_parameters(e), *gradient = calloc(count, sizeof *gradient);
    nm_energy_set_loss(set, e, 2, gradient);
    for (size_t i = 0; i < count; ++i) {
        const double value = p[i], step = 1e-5;
        p[i] = value + step;
        const double high = nm_energy_set_loss(set, e, 2, NULL);
        p[i] = value - step;
        const double low = nm_energy_set_loss(set, e, 2, NULL);
        p[i] = value;
        check_derivative(gradient[i], high, low, step, i);
    }
    memset(p, 0, count * sizeof *p); // knows nothing
    assert_float_equal(nm_energy_set_loss(set, e, 1, NULL), log(4.0), 1e-12);
    free(gradient);
    nm_energy_set_destroy(set);
    nm_energy_destroy(e);
}

/// A scene is the sum of its agents; given tokens do not count; a batch is its scenes.
static nm_status ask(const road *r, const nm_energy *e, uint32_t scenes, double *energy) {
    nm_error error;
    uint32_t scene[4 * TIMES], agent[4 * TIMES], time[4 * TIMES];
    float values[4 * TIMES * CHANNELS], rows[2 * TIMES * NM_ENERGY_ROW];
    const nm_guided_scene both[2] = {r->scene, r->scene};
    for (uint32_t i = 0; i < 2; ++i) {
        for (uint32_t n = 0; n < 2 * TIMES; ++n) scene[i * 2 * TIMES + n] = 2 * i; // scene 1 has no tokens
        memcpy(agent + i * 2 * TIMES, r->agent, sizeof r->agent);
        memcpy(time + i * 2 * TIMES, r->time, sizeof r->time);
        memcpy(values + i * 2 * TIMES * CHANNELS, r->values, sizeof r->values);
    }
    const nm_guided_scene guided[3] = {both[0], both[0], both[1]};
    nm_energy_batch batch = {.energy = e, .reader = r->reader, .scenes = guided, .scene_count = scenes, .rows = rows};
    const nm_denoise_input in = {
        .count = 4 * TIMES, .channels = CHANNELS, .scene_count = 3, .scene = scene, .agent = agent, .time = time};
    return nm_energy_of_batch(&batch, &in, values, energy, &error);
}

static void scenes_are_sums(void **state) {
    (void)state;
    road r;
    lay(&r, bent, 9.0, 0.0);
    nm_energy *e = make(6, 1);
    double sum = 0.0, energy[3];
    for (uint32_t a = 0; a < 2; ++a) sum += nm_energy_agent(e, row(&r, a, PAST + 1), FUTURE, NULL);
    assert_float_equal(nm_energy_scene(e, &r.tokens, PAST, r.rows), sum, 1e-12);
    nm_energy_set_scale(e, 0.25);
    assert_float_equal(nm_energy_scene(e, &r.tokens, PAST, r.rows), 0.25 * sum, 1e-12);
    assert_int_equal(ask(&r, e, 3, energy), NM_OK);
    assert_float_equal(energy[0], 0.25 * sum, 1e-12);
    assert_float_equal(energy[1], 0.0, 0.0);
    assert_float_equal(energy[2], 0.25 * sum, 1e-12);
    assert_int_equal(ask(&r, e, 2, energy), NM_E_NOT_FOUND);
    nm_energy_destroy(e);
    nm_energy_reader_destroy(r.reader);
}

// ---------------------------------------------------------------------------------------------------------------------
// Files

static void files_come_back(void **state) {
    (void)state;
    char path[] = "/tmp/nm_energy_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    nm_energy *e = make(7, 3), *back;
    nm_error error;
    nm_energy_set_scale(e, 0.375);
    *nm_energy_get_origin(e) = (nm_energy_origin){.model_hash = 0xfedcba9876543210u,
                                                  .model = "a \"model\"",
                                                  .steps = 12,
                                                  .examples = 34,
                                                  .agent_share = 0.5,
                                                  .scene_share = (double)NAN};
    assert_int_equal(nm_energy_save(e, path, &error), NM_OK);
    if (nm_energy_load(path, &back, &error) != NM_OK) fail_msg("%s", error.message);
    assert_int_equal(nm_energy_hidden(back), 7);
    for (size_t i = 0; i < nm_energy_parameter_count(e); ++i)
        assert_true(nm_energy_parameters(back)[i] == (double)(float)nm_energy_parameters(e)[i]);
    assert_true(nm_energy_scale(back) == 0.375);
    const nm_energy_origin *origin = nm_energy_get_origin(back);
    assert_string_equal(origin->model, "a \"model\"");
    assert_true(origin->model_hash == 0xfedcba9876543210u && origin->steps == 12 && origin->examples == 34);
    assert_true(origin->agent_share == 0.5 && isnan(origin->scene_share));
    assert_int_equal(nm_energy_check_model(back, 0xfedcba9876543210u, &error), NM_OK);
    assert_int_equal(nm_energy_check_model(back, 1, &error), NM_E_ARGUMENT);
    assert_non_null(strstr(error.message, "fedcba9876543210"));
    nm_energy_destroy(back);
    nm_energy_parameters(e)[4] = (double)NAN;
    assert_int_equal(nm_energy_save(e, path, &error), NM_OK);
    assert_int_equal(nm_energy_load(path, &back, &error), NM_E_NUMERIC);
    assert_null(back);
    nm_energy_destroy(e);
    unlink(path);
    assert_int_equal(nm_energy_load(path, &back, &error), NM_E_NOT_FOUND);
    assert_int_equal(nm_energy_create(0, 0, &e, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_energy_create(NM_ENERGY_MOST_HIDDEN + 1, 0, &e, &error), NM_E_ARGUMENT);
}

/// Files that hold something else, or not all of it.
static void other_files_are_refused(void **state) {
    (void)state;
    char path[] = "/tmp/nm_energy_XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    const float values[2 * NM_ENERGY_ROW] = {0};
    const nm_safetensors_item items[] = {
        {.name = "rows.weight", .type = NM_STORED_F32, .rank = 2, .shape = {2, NM_ENERGY_ROW}, .data = values},
        {.name = "rows.bias", .type = NM_STORED_F32, .rank = 1, .shape = {2}, .data = values},
        {.name = "agents.weight", .type = NM_STORED_F32, .rank = 2, .shape = {2, 4}, .data = values},
        {.name = "agents.bias", .type = NM_STORED_F32, .rank = 1, .shape = {2}, .data = values},
        {.name = "output.weight", .type = NM_STORED_F32, .rank = 1, .shape = {2}, .data = values},
        {.name = "scale", .type = NM_STORED_F32, .rank = 1, .shape = {1}, .data = values}};
    const nm_safetensors_text good[] = {{"nearmiss_energy", "2"},
                                        {"model_hash", "0123456789abcdef"},
                                        {"model", "m"},
                                        {"steps", "1"},
                                        {"examples", "2"}};
    nm_error error;
    for (int wrong = -1; wrong < 9; ++wrong) {
        nm_safetensors_text texts[5];
        memcpy(texts, good, sizeof good);
        nm_safetensors_config config = {.metadata = texts, .metadata_count = 5};
        size_t count = 6;
        if (wrong >= 0 && wrong < 5) texts[wrong].key = "nothing";
        if (wrong == 5) texts[0].value = "1"; // other rows
        if (wrong == 6) texts[1].value = "0123456789abcdeg";
        if (wrong == 7) count = 5;
        if (wrong == 8) texts[3].value = "-1";
        assert_int_equal(nm_safetensors_write(path, items, count, &config, &error), NM_OK);
        nm_energy *e = (nm_energy *)&error;
        assert_int_equal(nm_energy_load(path, &e, &error), wrong < 0 ? NM_OK : NM_E_FORMAT);
        assert_true((e == NULL) == (wrong >= 0));
        nm_energy_destroy(e);
    }
    unlink(path);
}

// ---------------------------------------------------------------------------------------------------------------------
// Training

static nm_energy *train(const nm_energy_set *set, uint64_t seed, double *first, double *last) {
    nm_energy *e = make(8, seed);
    nm_energy_trainer_config config = nm_energy_trainer_config_default();
    nm_energy_trainer *trainer;
    nm_error error;
    config.steps = 300;
    config.batch = 32;
    config.rate = 0.02;
    config.seed = seed;
    assert_int_equal(nm_energy_trainer_create(e, set, &config, &trainer, &error), NM_OK);
    for (uint64_t i = 0; i < config.steps; ++i) {
        assert_int_equal(nm_energy_trainer_step(trainer, last, &error), NM_OK);
        if (i == 0) *first = *last;
    }
    nm_energy_trainer_destroy(trainer);
    return e;
}

static void training_tells_futures_apart(void **state) {
    (void)state;
    nm_energy_set *set = make_set(2, 60, 2.0f), *alike = make_set(2, 60, 0.0f);
    double first, last;
    nm_error error;
    nm_energy *e = train(set, 1, &first, &last), *again = train(set, 1, &first, &last);
    assert_memory_equal(nm_energy_parameters(e), nm_energy_parameters(again),
                        nm_energy_parameter_count(e) * sizeof(double));
    assert_true(fabs(first - log(3.0)) < 0.4 && last < 0.2);
    const nm_energy_quality q = nm_energy_set_quality(set, e, 1);
    assert_true(q.agent_loss < 0.2 && q.agent_share > 0.9 && q.scene_share > 0.9);
    // nothing tells these apart: shares of chance, and a scale that claims little
    const nm_energy_quality none = nm_energy_set_quality(alike, e, 1);
    assert_true(none.agent_share > 0.1 && none.agent_share < 0.6);
    assert_int_equal(nm_energy_fit_scale(alike, e, &error), NM_OK);
    assert_true(nm_energy_scale(e) < 0.2);
    assert_true(nm_energy_set_quality(alike, e, 1).scene_loss <= log(3.0) + 1e-9);
    nm_energy_destroy(e);
    nm_energy_destroy(again);
    nm_energy_set_destroy(set);
    nm_energy_set_destroy(alike);
}

static void the_scale_is_the_best(void **state) {
    (void)state;
    nm_energy_set *set = make_set(3, 40, 0.3f);
    double first, last;
    nm_error error;
    nm_energy *e = train(set, 2, &first, &last);
    assert_int_equal(nm_energy_fit_scale(set, e, &error), NM_OK);
    const double scale = nm_energy_scale(e), best = nm_energy_set_quality(set, e, 1).scene_loss;
    assert_true(scale > 1e-3 && scale < 9.9);
    static const double others[] = {0.8, 0.95, 1.05, 1.25};
    for (int i = 0; i < 4; ++i) {
        nm_energy_set_scale(e, others[i] * scale);
        assert_true(nm_energy_set_quality(set, e, 1).scene_loss > best);
    }
    nm_energy_destroy(e);
    nm_energy_set_destroy(set);
}

static void sets_count_what_is_in_them(void **state) {
    (void)state;
    nm_energy_set *set = make_set(1, 6, 1.0f);
    nm_error error;
    assert_int_equal(nm_energy_set_examples(set, 0), 4);
    assert_int_equal(nm_energy_set_examples(set, 1), 2);
    assert_int_equal(nm_energy_set_agents(set, 0), 1 + 2 + 4 + 1);
    assert_int_equal(nm_energy_set_agents(set, 1), 3 + 2);
    nm_energy_set_destroy(set);
    assert_int_equal(nm_energy_set_create(0, &set, &error), NM_E_ARGUMENT);
    assert_int_equal(nm_energy_set_create(2, &set, &error), NM_OK);
    assert_int_equal(nm_energy_set_begin(set, 0, &error), NM_OK); // nobody is in it
    nm_energy *e = make(3, 1);
    nm_energy_trainer_config config = nm_energy_trainer_config_default();
    nm_energy_trainer *trainer;
    assert_int_equal(nm_energy_trainer_create(e, set, &config, &trainer, &error), NM_E_NOT_FOUND);
    config.rate = 0.0;
    assert_int_equal(nm_energy_trainer_create(e, set, &config, &trainer, &error), NM_E_ARGUMENT);
    assert_true(isnan(nm_energy_set_quality(set, e, 0).agent_loss));
    nm_energy_destroy(e);
    nm_energy_set_destroy(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_say_who_comes_near),   cmocka_unit_test(rows_say_how_somebody_drives),
        cmocka_unit_test(rows_know_the_lane),        cmocka_unit_test(rows_move_with_the_scene),
        cmocka_unit_test(gradients_are_derivatives), cmocka_unit_test(gradients_of_rankings_are_derivatives),
        cmocka_unit_test(scenes_are_sums),           cmocka_unit_test(files_come_back),
        cmocka_unit_test(other_files_are_refused),   cmocka_unit_test(training_tells_futures_apart),
        cmocka_unit_test(the_scale_is_the_best),     cmocka_unit_test(sets_count_what_is_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
