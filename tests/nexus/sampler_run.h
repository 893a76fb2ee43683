/// A sampler over a small Gaussian world, for the tests of the sampler.
#ifndef NM_TESTS_SAMPLER_RUN_H
#define NM_TESTS_SAMPLER_RUN_H

#include "gaussian.h"

/// A batch of Gaussian scenes with the tokens at time 0 given, and a sampler at its beginning.
typedef struct run {
    gaussian world;
    nm_token_layout layout;
    nm_denoiser denoiser;
    uint8_t *clean;
    float *values;
    int32_t *delay;
    uint32_t channels;
    nm_sampler *sampler;
} run;

static inline nm_sampler_config small(uint32_t channels) {
    nm_sampler_config config = nm_sampler_config_default();
    config.max_tokens = 64;
    config.max_scenes = 8;
    config.channels = channels;
    config.levels = 12;
    config.seed = 11;
    return config;
}

static inline void start(run *r, uint32_t scenes, uint64_t first_key, const char *schedule,
                         const nm_sampler_config *config) {
    nm_error error;
    *r = (run){.channels = config->channels};
    gaussian_init(&r->world, 2, 4);
    r->world.snr = config->snr;
    r->layout = gaussian_layout(&r->world, scenes, first_key);
    r->denoiser = (nm_denoiser){&r->world, gaussian_predict};
    r->clean = calloc(r->layout.count, 1);
    r->values = calloc(r->layout.count * r->channels, sizeof(float));
    r->delay = calloc(r->layout.count, sizeof(int32_t));
    for (uint32_t n = 0; n < r->layout.count; n++) {
        r->clean[n] = r->layout.time[n] == 0;
        for (uint32_t c = 0; c < r->channels; c++) {
            r->values[n * r->channels + c] = r->clean[n] ? (c % 2 ? -0.0f : 0.25f) : NAN; // NAN must not be read
        }
    }
    nm_schedule parsed;
    assert_int_equal(nm_schedule_parse(schedule, &parsed, &error), NM_OK);
    nm_schedule_delays(&parsed, config->levels, r->layout.count, r->layout.time, 1, r->world.times, NULL, r->delay);
    if (nm_sampler_create(config, &r->sampler, &error)) fail_msg("%s", error.message);
    if (nm_sampler_begin(r->sampler, &r->layout, r->clean, r->values, r->delay, &error)) fail_msg("%s", error.message);
}

static inline void finish(run *r) {
    nm_sampler_destroy(r->sampler);
    gaussian_layout_free(&r->layout);
    free(r->clean);
    free(r->values);
    free(r->delay);
}

static inline void step(run *r) {
    nm_error error;
    if (nm_sampler_step(r->sampler, &r->denoiser, NULL, NULL, &error)) fail_msg("%s", error.message);
}

#endif
