#include "nexus/ops/reference/reference.h"

#include <math.h>

void nm_reference_noise_loss(nm_backend *backend, const nm_noise_loss *op) {
    (void)backend;
    const uint32_t rows = op->v.rows, channels = op->v.cols;
    NM_REFERENCE_EXPECT(op->v, rows, channels);
    NM_REFERENCE_EXPECT(op->z, rows, channels);
    NM_REFERENCE_EXPECT(op->e, rows, channels);
    NM_REFERENCE_EXPECT(op->alpha, rows, 1);
    NM_REFERENCE_EXPECT(op->sigma, rows, 1);
    NM_REFERENCE_EXPECT(op->row_weight, rows, 1);
    NM_REFERENCE_EXPECT(op->loss, 1, 1);
    if (op->dv.data) NM_REFERENCE_EXPECT(op->dv, rows, channels);

    double loss = 0;
    for (uint32_t n = 0; n < rows; n++) {
        const double alpha = nm_reference_row(op->alpha, n)[0], sigma = nm_reference_row(op->sigma, n)[0];
        const double weight = nm_reference_row(op->row_weight, n)[0];
        double squares = 0;
        for (uint32_t c = 0; c < channels; c++) {
            const double predicted = sigma * nm_reference_row(op->z, n)[c] + alpha * nm_reference_row(op->v, n)[c];
            const double error = predicted - nm_reference_row(op->e, n)[c];
            squares += error * error;
            if (op->dv.data) nm_reference_row(op->dv, n)[c] = weight * 2 * alpha * error / channels;
        }
        loss += weight * squares / channels;
    }
    nm_reference_row(op->loss, 0)[0] = loss;
}

void nm_reference_adamw(nm_backend *backend, const nm_adamw *op) {
    (void)backend;
    const uint32_t count = op->parameter.cols;
    NM_ASSERT(op->step >= 1);
    NM_REFERENCE_EXPECT(op->parameter, 1, count);
    NM_REFERENCE_EXPECT(op->gradient, 1, count);
    NM_REFERENCE_EXPECT(op->first, 1, count);
    NM_REFERENCE_EXPECT(op->second, 1, count);
    if (op->ema.data) NM_REFERENCE_EXPECT(op->ema, 1, count);
    if (op->decay_mask.data) NM_REFERENCE_EXPECT(op->decay_mask, 1, count);

    const double beta1 = (double)op->beta1, beta2 = (double)op->beta2;
    const double unbias1 = 1 - pow(beta1, (double)op->step), unbias2 = 1 - pow(beta2, (double)op->step);
    double *parameter = nm_reference_row(op->parameter, 0);
    double *first = nm_reference_row(op->first, 0), *second = nm_reference_row(op->second, 0);
    for (uint32_t i = 0; i < count; i++) {
        const double gradient = nm_reference_row(op->gradient, 0)[i] * (double)op->gradient_scale;
        const double decayed = op->decay_mask.data ? nm_reference_row(op->decay_mask, 0)[i] : 1;
        first[i] = beta1 * first[i] + (1 - beta1) * gradient;
        second[i] = beta2 * second[i] + (1 - beta2) * gradient * gradient;
        const double step = first[i] / unbias1 / (sqrt(second[i] / unbias2) + (double)op->epsilon);
        parameter[i] -= (double)op->rate * (step + (double)op->decay * decayed * parameter[i]);
        if (op->ema.data) {
            double *ema = &nm_reference_row(op->ema, 0)[i];
            *ema += (1 - (double)op->ema_decay) * (parameter[i] - *ema);
        }
    }
}

void nm_reference_square_sum(nm_backend *backend, nm_tensor x, nm_tensor out) {
    (void)backend;
    NM_REFERENCE_EXPECT(x, x.rows, x.cols);
    NM_REFERENCE_EXPECT(out, 1, 1);
    double sum = 0;
    for (uint32_t n = 0; n < x.rows; n++)
        for (uint32_t c = 0; c < x.cols; c++) sum += nm_reference_row(x, n)[c] * nm_reference_row(x, n)[c];
    nm_reference_row(out, 0)[0] = sum;
}
