/// What tests of pixels share: a context or a reason to skip, and comparing pictures by structure.
#ifndef NM_TESTS_RENDER_SUPPORT_GL_H
#define NM_TESTS_RENDER_SUPPORT_GL_H

#include "support.h"

#include "render/headless.h"
#include "render/media.h"

#define CHECK_OK(call, error)                                                                                          \
    do {                                                                                                               \
        if ((call) != NM_OK) fail_msg("%s: %s %s", #call, (error).input, (error).message);                             \
    } while (0)

/// A software context; NULL (the test is skipped, saying why) where there is none. $NM_NEED_GL=1 makes that a failure,
/// so that machines which have to run these tests do not skip them unnoticed.
static inline nm_headless *nm_test_headless(int width, int height) {
    nm_headless *headless = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_headless_create(width, height, "software", &headless, &error) == NM_OK) return headless;
    if (error.code != NM_E_UNSUPPORTED || getenv("NM_NEED_GL")) fail_msg("%s", error.message);
    printf("skipped: %s\n", error.message);
    return NULL;
}

/// The middles of blocks of `factor` x `factor` px, one channel, as floats in [0, 255].
static inline float *nm_test_shrink(const uint8_t *rgba, int width, int height, int factor, int channel, int *w,
                                    int *h) {
    *w = width / factor;
    *h = height / factor;
    float *out = calloc((size_t)*w * (size_t)*h, sizeof *out);
    for (int y = 0; y < *h * factor; y++)
        for (int x = 0; x < *w * factor; x++)
            out[(y / factor) * *w + x / factor] +=
                (float)rgba[4 * ((size_t)y * (size_t)width + (size_t)x) + (size_t)channel] / (float)(factor * factor);
    return out;
}

/// Structural similarity over one 8 x 8 window (Wang et al. 2004, eq. 13).
static inline double nm_test_window(const float *a, const float *b, int w, int x0, int y0) {
    double sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
    for (int y = y0; y < y0 + 8; y++)
        for (int x = x0; x < x0 + 8; x++) {
            const double p = (double)a[y * w + x], q = (double)b[y * w + x];
            sa += p, sb += q, saa += p * p, sbb += q * q, sab += p * q;
        }
    const double n = 64, ma = sa / n, mb = sb / n, va = saa / n - ma * ma, vb = sbb / n - mb * mb,
                 cov = sab / n - ma * mb;
    const double c1 = 6.5025, c2 = 58.5225;
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
}

typedef struct nm_test_likeness {
    double difference; ///< mean of absolute differences, over halved pictures and all channels, in 1/255
    double unlike;     ///< share of windows of 8 x 8, every 4 px, whose SSIM is below 0.6; of the worst channel
} nm_test_likeness;

/// Halved first: an edge that another driver rounds to the next pixel is not a different picture.
static inline nm_test_likeness nm_test_compare(const uint8_t *a, const uint8_t *b, int width, int height) {
    nm_test_likeness result = {0, 0};
    for (int channel = 0; channel < 3; channel++) {
        int w, h, windows = 0, unlike = 0;
        float *p = nm_test_shrink(a, width, height, 2, channel, &w, &h);
        float *q = nm_test_shrink(b, width, height, 2, channel, &w, &h);
        double difference = 0;
        for (int i = 0; i < w * h; i++) difference += fabs((double)p[i] - (double)q[i]);
        for (int y = 0; y + 8 <= h; y += 4)
            for (int x = 0; x + 8 <= w; x += 4, windows++) unlike += nm_test_window(p, q, w, x, y) < 0.6;
        result.difference += difference / (3.0 * w * h);
        if (windows && (double)unlike / windows > result.unlike) result.unlike = (double)unlike / windows;
        free(p);
        free(q);
    }
    return result;
}

#endif
