#include "nexus/ops/reference/reference.h"

#include <math.h>

/// The distribution function of the standard normal distribution, and its density.
static double normal_cdf(double x) {
    return 0.5 * erfc(-x * 0.7071067811865476);
}
static double normal_density(double x) {
    return 0.3989422804014327 * exp(-0.5 * x * x);
}

double nm_reference_sigmoid(double x) {
    if (x >= 0) return 1 / (1 + exp(-x));
    const double e = exp(x);
    return e / (1 + e);
}

double nm_reference_silu_slope(double x) {
    const double s = nm_reference_sigmoid(x);
    return s * (1 + x * (1 - s));
}

static double apply_epilogue(const nm_linear *op, uint32_t n, uint32_t o, double p) {
    switch (op->epilogue) {
    case NM_EPILOGUE_NONE:
        return p;
    case NM_EPILOGUE_GELU:
        return p * normal_cdf(p);
    case NM_EPILOGUE_SILU:
        return p * nm_reference_sigmoid(p);
    case NM_EPILOGUE_RESIDUAL:
        return nm_reference_row(op->residual, n)[o] + p;
    case NM_EPILOGUE_GATED:
        return nm_reference_row(op->residual, n)[o] + nm_reference_row(op->gate, n)[o] * p;
    }
    NM_ASSERT(!"an epilogue");
    return p;
}

void nm_reference_linear(nm_backend *backend, const nm_linear *op) {
    (void)backend;
    const uint32_t rows = op->x.rows, inputs = op->weight.value.cols, outputs = op->weight.value.rows;
    const int gated = op->epilogue == NM_EPILOGUE_GATED;
    NM_REFERENCE_EXPECT(op->x, rows, inputs);
    NM_REFERENCE_EXPECT(op->weight.value, outputs, inputs);
    if (op->weight.bias.data) NM_REFERENCE_EXPECT(op->weight.bias, 1, outputs);
    if (gated || op->epilogue == NM_EPILOGUE_RESIDUAL) NM_REFERENCE_EXPECT(op->residual, rows, outputs);
    if (gated) NM_REFERENCE_EXPECT(op->gate, rows, outputs);
    NM_REFERENCE_EXPECT(op->y, rows, outputs);
    if (op->pre.data) NM_REFERENCE_EXPECT(op->pre, rows, outputs);

    for (uint32_t n = 0; n < rows; n++) {
        for (uint32_t o = 0; o < outputs; o++) {
            const double *x = nm_reference_row(op->x, n), *w = nm_reference_row(op->weight.value, o);
            double p = 0;
            for (uint32_t i = 0; i < inputs; i++) p += x[i] * w[i];
            if (op->weight.bias.data) p += nm_reference_row(op->weight.bias, 0)[o];
            if (op->pre.data) nm_reference_row(op->pre, n)[o] = p;
            nm_reference_row(op->y, n)[o] = apply_epilogue(op, n, o, p);
        }
    }
}

void nm_reference_linear_backward(nm_backend *backend, const nm_linear_grad *op) {
    (void)backend;
    const uint32_t rows = op->x.rows, inputs = op->weight.value.cols, outputs = op->weight.value.rows;
    NM_REFERENCE_EXPECT(op->x, rows, inputs);
    NM_REFERENCE_EXPECT(op->weight.value, outputs, inputs);
    NM_REFERENCE_EXPECT(op->dp, rows, outputs);
    if (op->dx.data) NM_REFERENCE_EXPECT(op->dx, rows, inputs);
    if (op->dweight.data) NM_REFERENCE_EXPECT(op->dweight, outputs, inputs);
    if (op->dbias.data) NM_REFERENCE_EXPECT(op->dbias, 1, outputs);

    for (uint32_t n = 0; n < rows && op->dx.data; n++) { // dx = dp W
        for (uint32_t i = 0; i < inputs; i++) {
            double sum = 0;
            for (uint32_t o = 0; o < outputs; o++)
                sum += nm_reference_row(op->dp, n)[o] * nm_reference_row(op->weight.value, o)[i];
            double *dx = &nm_reference_row(op->dx, n)[i];
            *dx = op->add_dx ? *dx + sum : sum;
        }
    }
    for (uint32_t o = 0; o < outputs && op->dweight.data; o++) { // dW += dp^T x
        for (uint32_t i = 0; i < inputs; i++) {
            double sum = 0;
            for (uint32_t n = 0; n < rows; n++) sum += nm_reference_row(op->dp, n)[o] * nm_reference_row(op->x, n)[i];
            nm_reference_row(op->dweight, o)[i] += sum;
        }
    }
    for (uint32_t o = 0; o < outputs && op->dbias.data; o++) { // db += sum of dp
        double sum = 0;
        for (uint32_t n = 0; n < rows; n++) sum += nm_reference_row(op->dp, n)[o];
        nm_reference_row(op->dbias, 0)[o] += sum;
    }
}

void nm_reference_epilogue_backward(nm_backend *backend, const nm_epilogue_grad *op) {
    (void)backend;
    const uint32_t rows = op->dy.rows, cols = op->dy.cols;
    const int gated = op->epilogue == NM_EPILOGUE_GATED;
    NM_ASSERT(gated || op->epilogue == NM_EPILOGUE_GELU || op->epilogue == NM_EPILOGUE_SILU);
    NM_REFERENCE_EXPECT(op->dy, rows, cols);
    NM_REFERENCE_EXPECT(op->pre, rows, cols);
    NM_REFERENCE_EXPECT(op->dp, rows, cols);
    if (gated) NM_REFERENCE_EXPECT(op->gate, rows, cols);
    if (gated) NM_REFERENCE_EXPECT(op->dgate, rows, cols);

    for (uint32_t n = 0; n < rows; n++) {
        for (uint32_t o = 0; o < cols; o++) {
            const double dy = nm_reference_row(op->dy, n)[o], pre = nm_reference_row(op->pre, n)[o];
            double *dp = &nm_reference_row(op->dp, n)[o]; // may be dy's place: dy has been read
            if (op->epilogue == NM_EPILOGUE_GELU) {
                *dp = dy * (normal_cdf(pre) + pre * normal_density(pre));
            } else if (op->epilogue == NM_EPILOGUE_SILU) {
                *dp = dy * nm_reference_silu_slope(pre);
            } else {
                *dp = dy * nm_reference_row(op->gate, n)[o];
                nm_reference_row(op->dgate, n)[o] = dy * pre;
            }
        }
    }
}
