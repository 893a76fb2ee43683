#include "nexus/denoiser.h"

nm_status nm_denoise(const nm_denoiser *denoiser, const nm_denoise_input *in, float *v, nm_error *error) {
    const nm_status status = denoiser->predict(denoiser->context, in, v, error);
    if (status) return status;
    uint32_t bad = 0, first = 0;
    for (uint32_t n = 0; n < in->count; n++) {
        const float *row = v + (size_t)n * in->channels;
        float sum = in->mask[(size_t)n * in->channels];
        if (sum > 0.0f) continue;
        for (uint32_t c = 0; c < in->channels; c++) sum += row[c] * 0.0f; // 0, or NaN for NaN and infinities
        if (sum == 0.0f) continue;
        if (!bad++) first = n;
    }
    if (!bad) return NM_OK;
    return NM_ERROR(error, NM_E_NUMERIC,
                    "the prediction is not finite for %u of %u tokens, the first of them of scene %u, agent %u, time "
                    "%u, at level %g",
                    (unsigned)bad, (unsigned)in->count, (unsigned)in->scene[first], (unsigned)in->agent[first],
                    (unsigned)in->time[first], (double)in->level[first]);
}
