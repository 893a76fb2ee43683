#include "nexus/ops/reference/reference.h"

#include <math.h>

void nm_reference_assemble(nm_backend *backend, const nm_assemble *op) {
    (void)backend;
    const uint32_t rows = op->known.rows, channels = op->known.cols;
    const uint32_t conditions = op->condition.data ? op->condition.cols : 0;
    NM_REFERENCE_EXPECT(op->known, rows, channels);
    NM_REFERENCE_EXPECT(op->mask, rows, channels);
    NM_REFERENCE_EXPECT(op->noised, rows, channels);
    if (op->condition.data) NM_REFERENCE_EXPECT(op->condition, rows, conditions);
    NM_REFERENCE_EXPECT(op->out, rows, op->out.cols);
    NM_ASSERT(op->out.cols >= 3 * channels + conditions);

    for (uint32_t n = 0; n < rows; n++) {
        double *out = nm_reference_row(op->out, n);
        for (uint32_t c = 0; c < channels; c++) {
            const double mask = nm_reference_row(op->mask, n)[c];
            out[c] = nm_reference_row(op->known, n)[c] * mask;
            out[channels + c] = mask;
            out[2 * channels + c] = nm_reference_row(op->noised, n)[c];
        }
        for (uint32_t c = 0; c < conditions; c++) out[3 * channels + c] = nm_reference_row(op->condition, n)[c];
        for (uint32_t c = 3 * channels + conditions; c < op->out.cols; c++) out[c] = 0;
    }
}

void nm_reference_sinusoid(nm_backend *backend, nm_tensor value, nm_tensor out) {
    (void)backend;
    NM_REFERENCE_EXPECT(value, out.rows, 1);
    NM_REFERENCE_EXPECT(out, out.rows, out.cols);
    NM_ASSERT(out.cols % 2 == 0);
    const uint32_t frequencies = out.cols / 2;
    for (uint32_t n = 0; n < out.rows; n++) {
        for (uint32_t i = 0; i < frequencies; i++) {
            const double angle = nm_reference_row(value, n)[0] * pow(10000, -(double)i / frequencies);
            nm_reference_row(out, n)[i] = cos(angle);
            nm_reference_row(out, n)[i + frequencies] = sin(angle);
        }
    }
}

void nm_reference_lookup(nm_backend *backend, const nm_lookup *a, const nm_lookup *b, nm_tensor x) {
    (void)backend;
    NM_REFERENCE_EXPECT(x, x.rows, x.cols);
    NM_REFERENCE_EXPECT(a->table, a->table.rows, x.cols);
    NM_REFERENCE_EXPECT(b->table, b->table.rows, x.cols);
    for (uint32_t n = 0; n < x.rows; n++) {
        NM_ASSERT(a->index[n] < a->table.rows && b->index[n] < b->table.rows);
        for (uint32_t c = 0; c < x.cols; c++)
            nm_reference_row(x, n)[c] +=
                nm_reference_row(a->table, a->index[n])[c] + nm_reference_row(b->table, b->index[n])[c];
    }
}

void nm_reference_lookup_backward(nm_backend *backend, const nm_lookup *lookup, nm_tensor dx, nm_tensor dtable) {
    (void)backend;
    NM_REFERENCE_EXPECT(dx, dx.rows, dx.cols);
    NM_REFERENCE_EXPECT(dtable, lookup->table.rows, dx.cols);
    NM_ASSERT(lookup->offsets[dtable.rows] == dx.rows);
    for (uint32_t entry = 0; entry < dtable.rows; entry++) {
        for (uint32_t c = 0; c < dx.cols; c++) {
            double sum = 0;
            for (uint32_t i = lookup->offsets[entry]; i < lookup->offsets[entry + 1]; i++)
                sum += nm_reference_row(dx, lookup->rows[i])[c];
            nm_reference_row(dtable, entry)[c] = sum;
        }
    }
}

void nm_reference_repeat(nm_backend *backend, nm_tensor table, uint32_t times, nm_tensor x) {
    (void)backend;
    NM_REFERENCE_EXPECT(table, table.rows, x.cols);
    NM_REFERENCE_EXPECT(x, times * table.rows, x.cols);
    for (uint32_t n = 0; n < x.rows; n++)
        for (uint32_t c = 0; c < x.cols; c++) nm_reference_row(x, n)[c] = nm_reference_row(table, n % table.rows)[c];
}

void nm_reference_repeat_backward(nm_backend *backend, nm_tensor dx, uint32_t times, nm_tensor dtable) {
    (void)backend;
    NM_REFERENCE_EXPECT(dx, times * dtable.rows, dtable.cols);
    NM_REFERENCE_EXPECT(dtable, dtable.rows, dtable.cols);
    for (uint32_t entry = 0; entry < dtable.rows; entry++) {
        for (uint32_t c = 0; c < dx.cols; c++) {
            double sum = 0;
            for (uint32_t t = 0; t < times; t++) sum += nm_reference_row(dx, t * dtable.rows + entry)[c];
            nm_reference_row(dtable, entry)[c] += sum;
        }
    }
}
