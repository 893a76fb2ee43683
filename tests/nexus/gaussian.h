/// A world whose perfect denoiser is known in closed form: every scene is a draw of one Gaussian over all its tokens,
/// correlated over time within an agent and between agents, the same for every channel.
#ifndef NM_TESTS_NEXUS_GAUSSIAN_H
#define NM_TESTS_NEXUS_GAUSSIAN_H

#include "nexus/sampler.h"
#include "support.h"

#define GAUSSIAN_MOST 16

typedef struct gaussian {
    uint32_t agents, times; ///< tokens of a scene: agent * times + time
    nm_snr_schedule snr;
    double mean[GAUSSIAN_MOST];
    double covariance[GAUSSIAN_MOST][GAUSSIAN_MOST];
    int calls;
} gaussian;

static inline uint32_t gaussian_size(const gaussian *g) {
    return g->agents * g->times;
}

static inline void gaussian_init(gaussian *g, uint32_t agents, uint32_t times) {
    *g = (gaussian){.agents = agents, .times = times, .snr = NM_SNR_COSINE};
    for (uint32_t i = 0; i < agents * times; i++) {
        g->mean[i] = 0.3 * (i / times) - 0.2 * (i % times);
        for (uint32_t j = 0; j < agents * times; j++) {
            const double lag = fabs((double)(i % times) - (double)(j % times));
            g->covariance[i][j] = 0.36 * exp(-lag / 3.0) * (i / times == j / times ? 1.0 : 0.6);
        }
    }
}

/// Lower Cholesky factor of the leading `n` rows, in place.
static inline void cholesky(double a[GAUSSIAN_MOST][GAUSSIAN_MOST], uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (uint32_t k = 0; k < j; k++) sum -= a[i][k] * a[j][k];
            if (i == j) assert_true(sum > 0.0);
            a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
        }
    }
}

/// Solves (L L^T) x = b in place.
static inline void cholesky_solve(double l[GAUSSIAN_MOST][GAUSSIAN_MOST], uint32_t n, double *b) {
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < i; k++) b[i] -= l[i][k] * b[k];
        b[i] /= l[i][i];
    }
    for (uint32_t i = n; i-- > 0;) {
        for (uint32_t k = i + 1; k < n; k++) b[i] -= l[k][i] * b[k];
        b[i] /= l[i][i];
    }
}

/// gain such that E[x | z] = mean + gain (z - alpha mean), with one level for each token.
static inline void gaussian_gain(const gaussian *g, const nm_noise_level *level,
                                 double gain[GAUSSIAN_MOST][GAUSSIAN_MOST]) {
    const uint32_t size = gaussian_size(g);
    double m[GAUSSIAN_MOST][GAUSSIAN_MOST];
    for (uint32_t i = 0; i < size; i++) {
        for (uint32_t j = 0; j < size; j++) {
            m[i][j] = level[i].alpha * g->covariance[i][j] * level[j].alpha;
            if (i == j) m[i][j] += level[i].sigma * level[i].sigma;
        }
    }
    cholesky(m, size);
    for (uint32_t i = 0; i < size; i++) { // row i of covariance alpha m^-1, m being symmetric
        for (uint32_t j = 0; j < size; j++) gain[i][j] = g->covariance[i][j] * level[j].alpha;
        cholesky_solve(m, size, gain[i]);
    }
}

/// nm_predict: every scene has all its tokens; the gain is made anew when the levels change from scene to scene.
static inline nm_status gaussian_predict(void *context, const nm_denoise_input *in, float *v, nm_error *error) {
    (void)error;
    gaussian *g = context;
    const uint32_t size = gaussian_size(g);
    nm_noise_level level[GAUSSIAN_MOST];
    double gain[GAUSSIAN_MOST][GAUSSIAN_MOST];
    assert_int_equal(in->count, size * in->scene_count);
    g->calls++;
    for (uint32_t first = 0; first < in->count; first += size) {
        if (first == 0 || memcmp(in->level + first, in->level + first - size, size * sizeof(float)) != 0) {
            for (uint32_t i = 0; i < size; i++) level[i] = nm_noise_level_at(g->snr, (double)in->level[first + i]);
            gaussian_gain(g, level, gain);
        }
        for (uint32_t c = 0; c < in->channels; c++) {
            double off[GAUSSIAN_MOST];
            const float *z = in->noised + (size_t)first * in->channels + c;
            for (uint32_t i = 0; i < size; i++)
                off[i] = (double)z[(size_t)i * in->channels] - level[i].alpha * g->mean[i];
            for (uint32_t i = 0; i < size; i++) {
                double x0 = g->mean[i];
                for (uint32_t j = 0; j < size; j++) x0 += gain[i][j] * off[j];
                const double zi = (double)z[(size_t)i * in->channels];
                float *out = v + (size_t)(first + i) * in->channels + c;
                *out = level[i].sigma > 0.0 ? (float)((level[i].alpha * zi - x0) / level[i].sigma) : NAN; // is ignored
            }
        }
    }
    return NM_OK;
}

/// Mean and covariance of the tokens that `clean` leaves open, given the others' values [size]; rows and columns of
/// given tokens are the value and 0.
static inline void gaussian_condition(const gaussian *g, const uint8_t *clean, const float *values, double *mean,
                                      double covariance[GAUSSIAN_MOST][GAUSSIAN_MOST]) {
    const uint32_t size = gaussian_size(g);
    uint32_t given[GAUSSIAN_MOST], count = 0;
    double m[GAUSSIAN_MOST][GAUSSIAN_MOST], weight[GAUSSIAN_MOST];
    for (uint32_t i = 0; i < size; i++) {
        if (clean[i]) given[count++] = i;
    }
    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < count; b++) m[a][b] = g->covariance[given[a]][given[b]];
    }
    cholesky(m, count);
    for (uint32_t i = 0; i < size; i++) {
        mean[i] = clean[i] ? (double)values[i] : g->mean[i];
        for (uint32_t j = 0; j < size; j++) covariance[i][j] = clean[i] || clean[j] ? 0.0 : g->covariance[i][j];
        if (clean[i]) continue;
        for (uint32_t a = 0; a < count; a++) weight[a] = g->covariance[i][given[a]];
        cholesky_solve(m, count, weight);
        for (uint32_t a = 0; a < count; a++) mean[i] += weight[a] * ((double)values[given[a]] - g->mean[given[a]]);
        for (uint32_t j = 0; j < size; j++) {
            for (uint32_t a = 0; a < count && !clean[j]; a++)
                covariance[i][j] -= weight[a] * g->covariance[given[a]][j];
        }
    }
}

/// Layout of `scenes` scenes of the Gaussian; scene keys from `first_key` on. Release with gaussian_layout_free.
static inline nm_token_layout gaussian_layout(const gaussian *g, uint32_t scenes, uint64_t first_key) {
    const uint32_t size = gaussian_size(g), count = scenes * size;
    uint32_t *scene = malloc(count * sizeof *scene), *agent = malloc(count * sizeof *agent);
    uint32_t *time = malloc(count * sizeof *time);
    uint64_t *key = malloc(scenes * sizeof *key);
    for (uint32_t n = 0; n < count; n++) {
        scene[n] = n / size;
        agent[n] = n % size / g->times;
        time[n] = n % g->times;
    }
    for (uint32_t i = 0; i < scenes; i++) key[i] = first_key + i;
    return (nm_token_layout){
        .count = count, .scene_count = scenes, .scene = scene, .agent = agent, .time = time, .scene_key = key};
}
static inline void gaussian_layout_free(nm_token_layout *layout) {
    free((void *)layout->scene);
    free((void *)layout->agent);
    free((void *)layout->time);
    free((void *)layout->scene_key);
}

#endif
