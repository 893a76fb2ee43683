/// Augmented tokens are tokens of a scene that might have been: mirrored, seen from a turned frame, thinned, disturbed.
#include "nexus/augment.h"
#include "tokens_support.h"

/// Everything that augmentation may touch, copied.
typedef struct copy {
    size_t count, points;
    float *values, *condition, *pose, *map;
    uint8_t *valid, *known;
    uint32_t *owner;
} copy;

static void *twin(const void *from, size_t size) {
    void *memory = malloc(size + 1);
    assert_non_null(memory);
    if (size) memcpy(memory, from, size);
    return memory;
}

static copy copy_of(const nm_tokens *t) {
    const size_t count = (size_t)t->shape.agents * t->shape.steps, points = t->shape.points;
    return (copy){.count = count,
                  .points = points,
                  .values = twin(t->values, count * nm_token_channels(&t->config) * sizeof(float)),
                  .condition = twin(t->condition, count * nm_token_conditions(&t->config) * sizeof(float)),
                  .pose = twin(t->pose, count * 4 * sizeof(float)),
                  .map = twin(t->shape.map, points * nm_token_map_channels(&t->config) * sizeof(float)),
                  .valid = twin(t->valid, count),
                  .known = twin(t->known, count),
                  .owner = t->shape.map_agent ? twin(t->shape.map_agent, points * sizeof(uint32_t)) : NULL};
}

static void free_copy(copy *c) {
    void *parts[] = {c->values, c->condition, c->pose, c->map, c->valid, c->known, c->owner};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) free(parts[i]);
}

static int same(const copy *c, const nm_tokens *t) {
    return !memcmp(c->values, t->values, c->count * nm_token_channels(&t->config) * sizeof(float)) &&
           !memcmp(c->condition, t->condition, c->count * nm_token_conditions(&t->config) * sizeof(float)) &&
           !memcmp(c->pose, t->pose, c->count * 4 * sizeof(float)) &&
           !memcmp(c->map, t->shape.map, c->points * nm_token_map_channels(&t->config) * sizeof(float)) &&
           !memcmp(c->valid, t->valid, c->count) && !memcmp(c->known, t->known, c->count) &&
           (!c->owner || !memcmp(c->owner, t->shape.map_agent, c->points * sizeof(uint32_t)));
}

static nm_token_config small_config(nm_token_encoding encoding) {
    nm_token_config c = nm_token_config_default(encoding);
    c.past = 3;
    c.future = 4;
    c.agents = 12;
    c.map_polylines = encoding == NM_TOKENS_AGENT ? 20 : 60;
    return c;
}

static tokens_fixture tokens_of(const nm_scene *scene, nm_token_encoding encoding) {
    const nm_token_config config = small_config(encoding);
    const nm_token_request request = {.current_step = 40, .focus = NM_NONE};
    return tokens_begin(scene, &config, &request);
}

// ---------------------------------------------------------------------------------------------------------------------

static void fields_out_of_range_are_named(void **state) {
    (void)state;
    nm_error error;
    nm_error_clear(&error);
    const nm_augmentation none = {0}, most = {1.0f, 3.1415927f, 1.0f, 10.0f};
    assert_int_equal(nm_augmentation_check(&none, &error), NM_OK);
    assert_int_equal(nm_augmentation_check(&most, &error), NM_OK);
    static const char *const names[] = {"mirror", "rotate", "drop", "history_noise"};
    static const float wrong[] = {-1e-6f, 10.5f, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            nm_augmentation a = {0};
            float *fields[] = {&a.mirror, &a.rotate, &a.drop, &a.history_noise};
            *fields[i] = wrong[k];
            assert_int_equal(nm_augmentation_check(&a, &error), NM_E_ARGUMENT);
            assert_non_null(strstr(error.message, names[i]));
        }
    }
}

static void nothing_asked_for_changes_nothing(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:density=25,pedestrians=4", 3, 80);
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        tokens_fixture f = tokens_of(scene, (nm_token_encoding)encoding);
        copy before = copy_of(&f.tokens);
        for (uint64_t example = 0; example < 20; example++) nm_augment(&(nm_augmentation){0}, 5, example, &f.tokens);
        assert_true(same(&before, &f.tokens));
        free_copy(&before);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

static void mirrored_twice_is_as_before(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("roundabout:density=25", 4, 80);
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        tokens_fixture f = tokens_of(scene, (nm_token_encoding)encoding);
        copy before = copy_of(&f.tokens);
        nm_tokens_mirror(&f.tokens);
        assert_false(same(&before, &f.tokens));
        nm_tokens_mirror(&f.tokens);
        assert_true(same(&before, &f.tokens));
        free_copy(&before);
        tokens_end(&f);
    }
    nm_scene_destroy(scene);
}

/// Equal to the bit but for channel `rough` (-1 = none), which may be `tolerance` off.
static void assert_rows(const char *where, const char *what, const float *a, const float *b, size_t rows,
                        uint32_t channels, int rough, float tolerance) {
    assert_true(rows > 0);
    for (size_t i = 0; i < rows * channels; i++) {
        const float most = (int)(i % channels) == rough ? tolerance : 0.0f;
        if (!(fabsf(a[i] - b[i]) <= most))
            fail_msg("%s, %s, row %zu, channel %zu: %.9g, %.9g", where, what, i / channels, i % channels, (double)a[i],
                     (double)b[i]);
    }
}

/// Tokens of the mirrored scene against the mirrored tokens of the scene.
static void compare_with_mirrored_scene(const char *specification, nm_token_encoding encoding) {
    const nm_scene *scene = tokens_rollout(specification, 3, 80);
    const rigid mirror = {.mirror = 1};
    const nm_map *map = rigid_map(scene->map, &mirror);
    const nm_scene *other = rigid_scene(scene, map, &mirror, NULL);
    tokens_fixture a = tokens_of(scene, encoding), b = tokens_of(other, encoding);
    nm_tokens_mirror(&a.tokens);
    const nm_tokens *x = &a.tokens, *y = &b.tokens;
    const uint32_t agents = x->shape.agents, conditions = nm_token_conditions(&x->config);
    const size_t count = (size_t)agents * x->shape.steps;
    if (agents != y->shape.agents || agents < 4 || x->shape.points != y->shape.points || x->shape.points < 50)
        fail_msg("%s: %u and %u agents, %u and %u map rows", specification, agents, y->shape.agents, x->shape.points,
                 y->shape.points);
    assert_memory_equal(x->track, y->track, agents * sizeof *x->track);
    assert_memory_equal(x->valid, y->valid, count);
    assert_memory_equal(x->shape.map_valid, y->shape.map_valid, x->shape.map_valid ? x->shape.points : 0);
    // Negation is exact, and all that is made of states and maps is odd or even in y to the last bit, but for the angle
    // between an agent and its lane: it is wrapped into (-pi, pi], and adding 2 pi rounds otherwise than subtracting
    // it.
    assert_rows(specification, "values", x->values, y->values, count, nm_token_channels(&x->config), -1, 0.0f);
    assert_rows(specification, "pose", x->pose, y->pose, count, 4, -1, 0.0f);
    if (conditions)
        assert_rows(specification, "condition", x->condition, y->condition, count, conditions, NM_CONDITION_LANE_SIN,
                    2.4e-7f);
    assert_rows(specification, "map", x->shape.map, y->shape.map, x->shape.points, nm_token_map_channels(&x->config),
                -1, 0.0f);
    if (x->shape.map_agent)
        assert_memory_equal(x->shape.map_agent, y->shape.map_agent, x->shape.points * sizeof *x->shape.map_agent);
    tokens_end(&a);
    tokens_end(&b);
    nm_scene_destroy(scene);
    nm_scene_destroy(other);
    nm_map_release(map);
}

/// The same for paths and their conditions, angles within their rounding. Ways that turn as much as others are left out
/// (T junctions): of those the first is taken, on whichever side it is.
static void mirrored_paths_are_paths_of_the_mirrored_scene(void **state) {
    (void)state;
    static const char *const specifications[] = {"junction_signal:density=25", "highway_curved:density=25",
                                                 "roundabout:density=25"};
    for (size_t i = 0; i < sizeof specifications / sizeof *specifications; i++) {
        const nm_scene *scene = tokens_rollout(specifications[i], 3, 80);
        const rigid mirror = {.mirror = 1};
        const nm_map *map = rigid_map(scene->map, &mirror);
        const nm_scene *other = rigid_scene(scene, map, &mirror, NULL);
        nm_token_config config = small_config(NM_TOKENS_AGENT);
        config.paths = 1;
        const nm_token_request request = {.current_step = 40, .focus = NM_NONE, .routes = 0.5f, .seed = 3};
        tokens_fixture a = tokens_begin(scene, &config, &request), b = tokens_begin(other, &config, &request);
        nm_tokens_mirror(&a.tokens);
        const nm_tokens *x = &a.tokens, *y = &b.tokens;
        const size_t count = (size_t)x->shape.agents * x->shape.steps * nm_token_conditions(&config);
        uint32_t led = 0, given = 0;
        for (size_t k = 0; k < count; k++) assert_float_equal(x->condition[k], y->condition[k], 2e-4f);
        for (uint32_t k = 0; k < x->shape.agents; k++) {
            led += x->path[k].step > 0.0f;
            given += x->route_given[k];
            assert_int_equal(x->route_given[k], y->route_given[k]);
            for (uint32_t p = 0; p < NM_PATH_POINTS; p++) {
                assert_float_equal(x->path[k].x[p], y->path[k].x[p], 1e-3f);
                assert_float_equal(x->path[k].y[p], y->path[k].y[p], 1e-3f);
                assert_float_equal(x->path[k].heading[p], y->path[k].heading[p], 1e-4f);
            }
        }
        assert_true(led > x->shape.agents / 2 && given > 0 && given < led);
        tokens_end(&a);
        tokens_end(&b);
        nm_scene_destroy(scene);
        nm_scene_destroy(other);
        nm_map_release(map);
    }
}

static void mirrored_tokens_are_tokens_of_the_mirrored_scene(void **state) {
    (void)state;
    static const char *const specifications[] = {"junction_signal:density=25", "highway_curved:density=25",
                                                 "roundabout:density=25", "t_junction:density=30"};
    for (size_t i = 0; i < sizeof specifications / sizeof *specifications; i++)
        for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++)
            compare_with_mirrored_scene(specifications[i], (nm_token_encoding)encoding);
}

// ---------------------------------------------------------------------------------------------------------------------

static double distance(const float *a, const float *b) {
    return hypot((double)a[0] - (double)b[0], (double)a[1] - (double)b[1]);
}

static void turning_keeps_distances_speeds_and_sizes(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:density=25", 3, 80);
    const nm_augmentation a = {.rotate = 3.0f};
    double least = 10.0, most = -10.0;
    for (uint64_t example = 0; example < 30; example++) {
        tokens_fixture f = tokens_of(scene, NM_TOKENS_EGO);
        copy before = copy_of(&f.tokens);
        nm_augment(&a, 5, example, &f.tokens);
        const nm_tokens *t = &f.tokens;
        const uint32_t at = t->config.past; // the ego's heading, 0 in its own frame before
        const double angle = atan2((double)t->values[at * NM_EGO_CHANNELS + NM_EGO_SIN],
                                   (double)t->values[at * NM_EGO_CHANNELS + NM_EGO_COS]);
        least = fmin(least, angle);
        most = fmax(most, angle);
        for (size_t n = 0; n < before.count; n++) {
            const float *x = t->values + n * NM_EGO_CHANNELS, *y = before.values + n * NM_EGO_CHANNELS;
            for (size_t m = 0; m < before.points; m += 97) {
                const float *p = t->shape.map + m * NM_POINT_CHANNELS, *q = before.map + m * NM_POINT_CHANNELS;
                assert_float_equal(distance(x, p), distance(y, q), 1e-6);
                assert_memory_equal(p + 2, q + 2, (NM_POINT_CHANNELS - 2) * sizeof *p);
            }
            assert_float_equal(hypot((double)x[NM_EGO_VX], (double)x[NM_EGO_VY]),
                               hypot((double)y[NM_EGO_VX], (double)y[NM_EGO_VY]), 1e-6);
            // the velocity turns with the heading
            assert_float_equal(x[NM_EGO_VX] * x[NM_EGO_COS] + x[NM_EGO_VY] * x[NM_EGO_SIN],
                               y[NM_EGO_VX] * y[NM_EGO_COS] + y[NM_EGO_VY] * y[NM_EGO_SIN], 1e-6);
            assert_float_equal(x[NM_EGO_X] * cosf((float)angle) + x[NM_EGO_Y] * sinf((float)angle), y[NM_EGO_X], 1e-6);
            assert_memory_equal(x + NM_EGO_LENGTH, y + NM_EGO_LENGTH, 2 * sizeof *x);
        }
        free_copy(&before);
        tokens_end(&f);
    }
    if (!(least < -2.0 && least >= -3.0001 && most > 2.0 && most <= 3.0001)) fail_msg("%g to %g", least, most);
    // own frames stay
    tokens_fixture f = tokens_of(scene, NM_TOKENS_AGENT);
    copy before = copy_of(&f.tokens);
    nm_augment(&a, 5, 1, &f.tokens);
    assert_true(same(&before, &f.tokens));
    free_copy(&before);
    tokens_end(&f);
    nm_scene_destroy(scene);
}

static int agent_is_there(const nm_tokens *t, uint32_t agent) {
    int there = 0;
    for (uint32_t k = 0; k < t->shape.steps; k++) there |= t->valid[agent * t->shape.steps + k];
    return there;
}

static void leaving_out_spares_the_ego(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:density=40", 3, 80);
    uint64_t kept = 0, all = 0;
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        for (uint64_t example = 0; example < 100; example++) {
            tokens_fixture f = tokens_of(scene, (nm_token_encoding)encoding);
            const nm_tokens *t = &f.tokens;
            copy before = copy_of(t);
            nm_augment(&(nm_augmentation){.drop = 1.0f}, 5, example, &f.tokens);
            assert_memory_equal(t->valid, before.valid, t->shape.steps);
            for (uint32_t a = 1; a < t->shape.agents; a++, all++) {
                const size_t first = (size_t)a * t->shape.steps;
                const int there = agent_is_there(t, a);
                kept += (uint64_t)there;
                for (uint32_t k = 0; k < t->shape.steps; k++) { // whole, or not at all
                    assert_int_equal(t->valid[first + k], there ? before.valid[first + k] : 0);
                    assert_int_equal(t->known[first + k], there ? before.known[first + k] : 0);
                }
            }
            for (uint32_t p = 0; before.owner && p < t->shape.points; p++) {
                const uint32_t owner = before.owner[p];
                assert_int_equal(t->shape.map_agent[p],
                                 owner == NM_NO_AGENT || agent_is_there(t, owner) ? owner : NM_NO_AGENT);
            }
            assert_memory_equal(t->values, before.values, before.count * nm_token_channels(&t->config) * sizeof(float));
            free_copy(&before);
            tokens_end(&f);
        }
    }
    // the share is uniform in 0..1: half of all go, give or take 0.29 / sqrt(100), twice the same draws
    const double share = (double)kept / (double)all;
    if (!(share > 0.4 && share < 0.6)) fail_msg("%g of the agents are kept", share);
    nm_scene_destroy(scene);
}

/// Adds squares of what `history_noise` did to channels `first` and `second` of each state before the current token.
static void noise_of(const copy *before, const nm_tokens *t, uint32_t stride, uint32_t channel, double *sum,
                     double *squares, uint32_t *count) {
    const uint32_t channels = nm_token_channels(&t->config);
    for (size_t n = 0; n < before->count; n++) {
        const int history = n % t->shape.steps < t->config.past && t->logged[n];
        for (uint32_t k = 0; k < channels; k++) {
            const double d = (double)t->values[n * channels + k] - (double)before->values[n * channels + k];
            if (!history || k % stride != channel) {
                if (!history) assert_true(d == 0.0);
                continue;
            }
            *sum += d;
            *squares += d * d;
            ++*count;
        }
    }
}

static void noise_of_the_history_has_its_size(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:density=40", 3, 80);
    static const struct {
        uint32_t channel;
        double scale;
    } of_ego[] = {{NM_EGO_X, 104.0}, {NM_EGO_Y, 104.0}, {NM_EGO_COS, 0.0},   {NM_EGO_SIN, 0.0},
                  {NM_EGO_VX, 4.0},  {NM_EGO_VY, 4.0},  {NM_EGO_LENGTH, 0.0}},
      of_agent[] = {{NM_OWN_X, 20.0}, {NM_OWN_Y, 20.0}, {NM_OWN_COS, 0.0}, {NM_OWN_SIN, 0.0}, {NM_OWN_SPEED, 10.0}};
    for (int own = 0; own < 2; own++) {
        for (size_t c = 0; c < (own ? 5 : 7); c++) {
            double sum = 0.0, squares = 0.0;
            uint32_t count = 0;
            const double scale = own ? of_agent[c].scale : of_ego[c].scale;
            for (uint64_t example = 0; example < 60; example++) {
                tokens_fixture f = tokens_of(scene, own ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
                copy before = copy_of(&f.tokens);
                nm_augment(&(nm_augmentation){.history_noise = 0.5f}, 5, example, &f.tokens);
                noise_of(&before, &f.tokens, own ? NM_OWN_CHANNELS : NM_EGO_CHANNELS,
                         own ? of_agent[c].channel : of_ego[c].channel, &sum, &squares, &count);
                free_copy(&before);
                tokens_end(&f);
            }
            assert_true(count > 1000);
            const double deviation = sqrt(squares / count) * scale, mean = sum / count * scale;
            if (scale == 0.0) {
                assert_true(squares == 0.0);
            } else if (!(fabs(deviation - 0.5) < 0.05 && fabs(mean) < 0.06)) {
                fail_msg("own %d, channel %zu: %g off, mean %g", own, c, deviation, mean);
            }
        }
    }
    nm_scene_destroy(scene);
}

static void examples_are_varied_each_in_its_own_way_and_always_the_same(void **state) {
    (void)state;
    const nm_scene *scene = tokens_rollout("junction_signal:density=25", 3, 80);
    const nm_augmentation a = {.mirror = 0.3f, .rotate = 1.0f, .drop = 0.5f, .history_noise = 0.1f};
    for (int encoding = NM_TOKENS_EGO; encoding <= NM_TOKENS_AGENT; encoding++) {
        copy first = {0};
        for (int i = 0; i < 4; i++) { // example 8, the same again, example 9, another seed
            tokens_fixture f = tokens_of(scene, (nm_token_encoding)encoding);
            nm_augment(&a, i == 3 ? 6 : 5, i == 2 ? 9 : 8, &f.tokens);
            if (i == 0) first = copy_of(&f.tokens);
            assert_int_equal(same(&first, &f.tokens), i < 2);
            tokens_end(&f);
        }
        free_copy(&first);
    }
    uint32_t mirrored = 0;
    for (uint64_t example = 0; example < 1000; example++) {
        // a token of its own is enough to see it by
        float values[NM_EGO_CHANNELS] = {0.0f}, pose[4] = {0.0f}, map[1];
        uint8_t one[1] = {1};
        values[NM_EGO_Y] = 1.0f;
        nm_tokens t = {.config = nm_token_config_default(NM_TOKENS_EGO),
                       .shape = {.agents = 1, .steps = 1, .valid = one, .map = map},
                       .logged = one,
                       .valid = one,
                       .known = one,
                       .values = values,
                       .pose = pose};
        nm_augment(&(nm_augmentation){.mirror = 0.3f}, 5, example, &t);
        mirrored += values[NM_EGO_Y] < 0.0f;
    }
    assert_in_range(mirrored, 240, 360); // 300, four deviations of 14.5
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_out_of_range_are_named),
        cmocka_unit_test(nothing_asked_for_changes_nothing),
        cmocka_unit_test(mirrored_twice_is_as_before),
        cmocka_unit_test(mirrored_tokens_are_tokens_of_the_mirrored_scene),
        cmocka_unit_test(mirrored_paths_are_paths_of_the_mirrored_scene),
        cmocka_unit_test(turning_keeps_distances_speeds_and_sizes),
        cmocka_unit_test(leaving_out_spares_the_ego),
        cmocka_unit_test(noise_of_the_history_has_its_size),
        cmocka_unit_test(examples_are_varied_each_in_its_own_way_and_always_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
