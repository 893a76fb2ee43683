#include "nexus/ops/reference/reference.h"

#include <math.h>

/// Mean and 1 / sqrt(variance + epsilon) of a row, in two passes.
static void row_statistics(const double *x, uint32_t cols, double epsilon, double *mean, double *inverse) {
    double sum = 0, squares = 0;
    for (uint32_t c = 0; c < cols; c++) sum += x[c];
    *mean = sum / cols;
    for (uint32_t c = 0; c < cols; c++) squares += (x[c] - *mean) * (x[c] - *mean);
    *inverse = 1 / sqrt(squares / cols + epsilon);
}

void nm_reference_layer_norm(nm_backend *backend, const nm_layer_norm *op) {
    (void)backend;
    const uint32_t rows = op->x.rows, cols = op->x.cols;
    const int affine = op->weight.data != NULL;
    NM_REFERENCE_EXPECT(op->x, rows, cols);
    NM_ASSERT(cols > 0);
    if (affine) {
        NM_REFERENCE_EXPECT(op->weight, 1, cols);
        NM_REFERENCE_EXPECT(op->bias, 1, cols);
        NM_ASSERT(!op->scale.data && !op->shift.data);
    } else {
        NM_REFERENCE_EXPECT(op->scale, rows, cols);
        NM_REFERENCE_EXPECT(op->shift, rows, cols);
        NM_ASSERT(!op->bias.data);
    }
    NM_REFERENCE_EXPECT(op->y, rows, cols);
    if (op->statistics.data) NM_REFERENCE_EXPECT(op->statistics, rows, 2);

    for (uint32_t n = 0; n < rows; n++) {
        const double *x = nm_reference_row(op->x, n);
        double mean, inverse;
        row_statistics(x, cols, (double)op->epsilon, &mean, &inverse);
        if (op->statistics.data) {
            nm_reference_row(op->statistics, n)[0] = mean;
            nm_reference_row(op->statistics, n)[1] = inverse;
        }
        for (uint32_t c = 0; c < cols; c++) {
            const double a = affine ? nm_reference_row(op->weight, 0)[c] : 1 + nm_reference_row(op->scale, n)[c];
            const double b = nm_reference_row(affine ? op->bias : op->shift, affine ? 0 : n)[c];
            nm_reference_row(op->y, n)[c] = (x[c] - mean) * inverse * a + b;
        }
    }
}

/// One row. With n = (x - mean) / s and dn = dy a:  dx = (dn - mean(dn) - n mean(dn n)) / s, because the mean and the
/// variance depend on x, too (Ba et al. 2016, differentiated).
static void layer_norm_row_backward(const nm_layer_norm_grad *op, uint32_t row) {
    const uint32_t cols = op->x.cols;
    const int affine = op->weight.data != NULL;
    const double *x = nm_reference_row(op->x, row), *dy = nm_reference_row(op->dy, row);
    const double *a = affine ? nm_reference_row(op->weight, 0) : nm_reference_row(op->scale, row);
    const double mean = nm_reference_row(op->statistics, row)[0], inverse = nm_reference_row(op->statistics, row)[1];
    double mean_dn = 0, mean_dn_n = 0;
    for (uint32_t c = 0; c < cols; c++) {
        const double n = (x[c] - mean) * inverse, dn = dy[c] * (affine ? a[c] : 1 + a[c]);
        mean_dn += dn / cols;
        mean_dn_n += dn * n / cols;
        if (affine) {
            nm_reference_row(op->dweight, 0)[c] += dy[c] * n;
            nm_reference_row(op->dbias, 0)[c] += dy[c];
        } else {
            nm_reference_row(op->dscale, row)[c] = dy[c] * n;
            nm_reference_row(op->dshift, row)[c] = dy[c];
        }
    }
    for (uint32_t c = 0; c < cols && op->dx.data; c++) {
        const double n = (x[c] - mean) * inverse, dn = dy[c] * (affine ? a[c] : 1 + a[c]);
        nm_reference_row(op->dx, row)[c] += (dn - mean_dn - n * mean_dn_n) * inverse;
    }
}

void nm_reference_layer_norm_backward(nm_backend *backend, const nm_layer_norm_grad *op) {
    (void)backend;
    const uint32_t rows = op->x.rows, cols = op->x.cols;
    NM_REFERENCE_EXPECT(op->x, rows, cols);
    NM_REFERENCE_EXPECT(op->dy, rows, cols);
    NM_REFERENCE_EXPECT(op->statistics, rows, 2);
    NM_ASSERT(cols > 0 && (op->weight.data == NULL) != (op->scale.data == NULL));
    if (op->dx.data) NM_REFERENCE_EXPECT(op->dx, rows, cols);
    if (op->weight.data) {
        NM_REFERENCE_EXPECT(op->weight, 1, cols);
        NM_REFERENCE_EXPECT(op->dweight, 1, cols);
        NM_REFERENCE_EXPECT(op->dbias, 1, cols);
    } else {
        NM_REFERENCE_EXPECT(op->scale, rows, cols);
        NM_REFERENCE_EXPECT(op->dscale, rows, cols);
        NM_REFERENCE_EXPECT(op->dshift, rows, cols);
    }
    for (uint32_t n = 0; n < rows; n++) layer_norm_row_backward(op, n);
}

void nm_reference_silu(nm_backend *backend, nm_tensor x, nm_tensor y) {
    (void)backend;
    NM_REFERENCE_EXPECT(x, x.rows, x.cols);
    NM_REFERENCE_EXPECT(y, x.rows, x.cols);
    for (uint32_t n = 0; n < x.rows; n++) {
        for (uint32_t c = 0; c < x.cols; c++) {
            const double value = nm_reference_row(x, n)[c];
            nm_reference_row(y, n)[c] = value * nm_reference_sigmoid(value);
        }
    }
}

void nm_reference_silu_backward(nm_backend *backend, nm_tensor x, nm_tensor dy, nm_tensor dx) {
    (void)backend;
    NM_REFERENCE_EXPECT(x, x.rows, x.cols);
    NM_REFERENCE_EXPECT(dy, x.rows, x.cols);
    NM_REFERENCE_EXPECT(dx, x.rows, x.cols);
    for (uint32_t n = 0; n < x.rows; n++)
        for (uint32_t c = 0; c < x.cols; c++)
            nm_reference_row(dx, n)[c] +=
                nm_reference_row(dy, n)[c] * nm_reference_silu_slope(nm_reference_row(x, n)[c]);
}
