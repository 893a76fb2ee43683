// How plausible motion is, and draws by weight.
#include "scenarios/resample_prior.h"

#include <math.h>

#include "scenarios/ordinary_motion.h"
#include "scenarios/validity_internal.h"
#include "sim/math.h"

#define DT 0.1f          // s
#define WALK_SPEED 1.34f // m/s
#define WALK_SPREAD 0.26f
#define RIDE_SPEED 4.2f
#define RIDE_SPREAD 1.0f
#define PERSON_ACCELERATION 0.5f // m/s^2
#define ALONG_HALF 2u            // steps to each side of an acceleration
#define JERK_HALF 3u             // of a jerk
#define EVERY 2u                 // steps between those that are counted

static float person(nm_agent_type type, const float *speed, uint32_t count) {
    const float mean = type == NM_AGENT_CYCLIST ? RIDE_SPEED : WALK_SPEED;
    const float spread = type == NM_AGENT_CYCLIST ? RIDE_SPREAD : WALK_SPREAD;
    float sum = 0, total = 0;
    for (uint32_t t = 0; t < count; t++) total += speed[t];
    const float off = (total / (float)count - mean) / spread;
    for (uint32_t t = ALONG_HALF; t + ALONG_HALF < count; t++) {
        const float faster = (speed[t + ALONG_HALF] - speed[t - ALONG_HALF]) / (2 * ALONG_HALF * DT);
        sum += 0.5f * (faster / PERSON_ACCELERATION) * (faster / PERSON_ACCELERATION);
    }
    return -0.5f * off * off - sum * DT / NM_DECISION_SECONDS;
}

float nm_motion_plausibility(nm_agent_type type, const float *speed, const float *across, uint32_t count) {
    NM_ASSERT(speed && across);
    if (count == 0) return 0;
    if (!nm_agent_type_vehicle(type)) return person(type, speed, count);
    const uint32_t margin = ALONG_HALF + JERK_HALF;
    uint32_t centinats = 0;
    for (uint32_t t = margin; t + margin < count; t += EVERY) {
        const float scale = 1 / (2 * ALONG_HALF * DT);
        const float along = (speed[t + ALONG_HALF] - speed[t - ALONG_HALF]) * scale;
        const float then = (speed[t + margin] - speed[t + JERK_HALF - ALONG_HALF]) * scale;
        const float before = (speed[t - JERK_HALF + ALONG_HALF] - speed[t - margin]) * scale;
        const float value[NM_ORDINARY_FEATURES] = {along, across[t], (then - before) / (2 * JERK_HALF * DT)};
        const uint32_t at = nm_ordinary_speed(speed[t]);
        for (int k = 0; k < NM_ORDINARY_FEATURES; k++)
            centinats += nm_ordinary_centinats[k][at][nm_ordinary_bin(k, value[k])];
    }
    return -0.01f * (float)centinats * (float)EVERY * DT / NM_DECISION_SECONDS;
}

uint32_t nm_resample_pick(const float *log_weight, uint32_t count, const nm_rng_key *key, uint32_t draw) {
    NM_ASSERT(log_weight && key);
    float most = -INFINITY;
    for (uint32_t i = 0; i < count; i++) most = nm_maxf(most, log_weight[i]);
    if (!(most > -INFINITY)) return NM_NONE;
    double sum = 0, so_far = 0;
    uint32_t last = NM_NONE;
    for (uint32_t i = 0; i < count; i++) sum += exp((double)(log_weight[i] - most));
    const double at = (double)nm_rng_uniform(key, draw) * sum;
    for (uint32_t i = 0; i < count; i++) {
        if (!(log_weight[i] > -INFINITY)) continue;
        so_far += exp((double)(log_weight[i] - most));
        last = i;
        if (at < so_far) return i;
    }
    return last; // what rounding left over
}
