/// Products in bf16 with AMX: tiles of 16 rows by 16 columns, 32 inputs deep.
#define _DEFAULT_SOURCE // syscall
#include "nexus/ops/cpu/products_bf16.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__AMX_BF16__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "nexus/ops/cpu/wide_math.h"

#include "nexus/ops/cpu/kernels_cells.inc"

/// What LDTILECFG reads: all eight tiles full.
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
} tile_config;

#define TILES(n)                                                                                                       \
    { n, n, n, n, n, n, n, n }
static const tile_config full_tiles = {.palette = 1, .bytes_per_row = TILES(64), .rows = TILES(16)};

/// 32 rows by two panels: four sums share two tiles of rows and two of columns, so that loads keep up.
W_INLINE void start_tiles(const float *y, size_t y_stride, int add) {
    if (add) {
        _tile_loadd(0, y, 4 * y_stride);
        _tile_loadd(1, y + 16, 4 * y_stride);
        _tile_loadd(2, y + 16 * y_stride, 4 * y_stride);
        _tile_loadd(3, y + 16 * y_stride + 16, 4 * y_stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
}
W_INLINE void step_tiles(const uint16_t *x, size_t x_stride, const uint16_t *first, const uint16_t *second) {
    _tile_loadd(4, x, 2 * x_stride);
    _tile_loadd(6, first, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, second, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, x + 16 * x_stride, 2 * x_stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}
W_INLINE void store_tiles(float *y, size_t y_stride) {
    _tile_stored(0, y, 4 * y_stride);
    _tile_stored(1, y + 16, 4 * y_stride);
    _tile_stored(2, y + 16 * y_stride, 4 * y_stride);
    _tile_stored(3, y + 16 * y_stride + 16, 4 * y_stride);
}
static void four_tiles(const uint16_t *x, size_t x_stride, const uint16_t *first, const uint16_t *second,
                       uint32_t depth, float *y, size_t y_stride, int add) {
    start_tiles(y, y_stride, add);
    for (size_t i = 0; i < depth; i += NM_BF16_DEPTH) {
        step_tiles(x + i, x_stride, first + i * NM_BF16_PANEL, second + i * NM_BF16_PANEL);
    }
    store_tiles(y, y_stride);
}

/// 16 rows by one panel: what is left over.
static void one_tile(const uint16_t *x, size_t x_stride, const uint16_t *panel, uint32_t depth, float *y,
                     size_t y_stride, int add) {
    if (add)
        _tile_loadd(0, y, 4 * y_stride);
    else
        _tile_zero(0);
    for (size_t i = 0; i < depth; i += NM_BF16_DEPTH) {
        _tile_loadd(4, x + i, 2 * x_stride);
        _tile_loadd(6, panel + i * NM_BF16_PANEL, 64);
        _tile_dpbf16ps(0, 4, 6);
    }
    _tile_stored(0, y, 4 * y_stride);
}

/// Inputs that are summed up at a time: 32 rows of x then take 16 KiB and stay in the first-level cache while the
/// weight passes. What is between two such sums goes through y, exactly.
#define CHUNK 256

static void product(const uint16_t *x, size_t x_stride, uint32_t rows, const uint16_t *packed, uint32_t panels,
                    uint32_t depth, float *y, size_t y_stride, int add) {
    const size_t panel = (size_t)depth * NM_BF16_PANEL;
    for (uint32_t p = 0; p < panels;) {
        const uint16_t *w = packed + p * panel;
        const uint32_t pair = panels - p >= 2 ? 2 : 1;
        for (uint32_t r = 0; r < rows;) {
            const uint16_t *from = x + r * x_stride;
            float *to = y + r * y_stride + (size_t)p * NM_BF16_PANEL;
            if (pair == 2 && rows - r >= 32) {
                four_tiles(from, x_stride, w, w + panel, depth, to, y_stride, add);
                r += 32;
                continue;
            }
            one_tile(from, x_stride, w, depth, to, y_stride, add);
            if (pair == 2) one_tile(from, x_stride, w + panel, depth, to + 16, y_stride, add);
            r += 16;
        }
        p += pair;
    }
}

// Products with what follows them
// ---------------------------------------------------------------------------------------------------------------------

#define ROWS 32
#define COLS 32

/// A tile of sums [ROWS][COLS] (over `depth` inputs) into `sums`, while vector instructions finish the tile `before`:
/// the two kinds keep different parts of a core busy.
W_INLINE void tile_and_epilogue(const uint16_t *x, size_t x_stride, const uint16_t *w, size_t panel, uint32_t depth,
                                float *sums, int add, epilogue_pair *before, epilogue_case is) {
    const uint32_t steps = depth / NM_BF16_DEPTH, each = (ROWS + steps - 1) / steps;
    start_tiles(sums, COLS, add);
    for (uint32_t i = 0; i < depth; i += NM_BF16_DEPTH) {
        step_tiles(x + i, x_stride, w + (size_t)i * NM_BF16_PANEL, w + panel + (size_t)i * NM_BF16_PANEL);
        epilogue_pair_rows(before, is, each);
    }
    store_tiles(sums, COLS);
}

/// 32 rows. Sums of chunks that more are added to lie side by side in `sums`, others take turns in two places.
W_INLINE void row_of_tiles(const nm_linear *op, epilogue_case is, uint32_t row, const uint16_t *x, size_t x_stride,
                           const uint16_t *packed, uint32_t depth, float *sums) {
    const uint32_t tiles = op->y.cols / COLS, apart = depth > CHUNK ? UINT32_MAX : 1;
    const size_t panel = (size_t)depth * NM_BF16_PANEL;
    epilogue_pair before = {.left = 0};
    for (uint32_t i = 0; i < depth; i += CHUNK) {
        const uint32_t now = depth - i < CHUNK ? depth - i : CHUNK;
        const int last = i + now == depth;
        for (uint32_t t = 0; t < tiles; t++) {
            const uint16_t *w = packed + 2 * t * panel + (size_t)i * NM_BF16_PANEL;
            float *to = sums + (size_t)(t & apart) * ROWS * COLS;
            tile_and_epilogue(x + i, x_stride, w, panel, now, to, i > 0, &before, is);
            if (last) before = epilogue_pair_at(op, is, row, ROWS, t * COLS, to, COLS);
        }
    }
    epilogue_pair_rows(&before, is, ROWS);
}

static size_t linear_scratch(uint32_t cols, uint32_t depth) {
    return (depth > CHUNK ? cols : 2 * COLS) * (size_t)ROWS;
}
static int same_case(epilogue_case a, epilogue_case b) {
    const int added = a.kind < NM_EPILOGUE_RESIDUAL || a.residual == b.residual;
    return a.kind == b.kind && a.y == b.y && added && (a.kind != NM_EPILOGUE_GATED || a.gate == b.gate) &&
           a.keeps == b.keeps && (!a.keeps || a.pre == b.pre);
}
/// The loops for what passes are made of; everything else is not refused, but declined.
static int linear(const nm_linear *op, uint32_t row, const uint16_t *x, size_t x_stride, const uint16_t *packed,
                  uint32_t depth, float *sums) {
    const epilogue_case is = epilogue_case_of(op);
    if (op->y.cols % COLS != 0) return 0;
    if (same_case(is, epilogue_plain)) {
        row_of_tiles(op, epilogue_plain, row, x, x_stride, packed, depth, sums);
    } else if (same_case(is, epilogue_gelu)) {
        row_of_tiles(op, epilogue_gelu, row, x, x_stride, packed, depth, sums);
    } else if (same_case(is, epilogue_residual)) {
        row_of_tiles(op, epilogue_residual, row, x, x_stride, packed, depth, sums);
    } else if (same_case(is, epilogue_gated)) {
        row_of_tiles(op, epilogue_gated, row, x, x_stride, packed, depth, sums);
    } else if (same_case(is, epilogue_gelu_kept)) {
        row_of_tiles(op, epilogue_gelu_kept, row, x, x_stride, packed, depth, sums);
    } else if (same_case(is, epilogue_gated_kept)) {
        row_of_tiles(op, epilogue_gated_kept, row, x, x_stride, packed, depth, sums);
    } else {
        return 0;
    }
    return 1;
}

static void begin(void) {
    _tile_loadconfig(&full_tiles);
}
/// Tiles in use make every switch of threads dearer.
static void end(void) {
    _tile_release();
}
static const nm_bf16_products products = {.name = "own loops, AMX",
                                          .block = ROWS,
                                          .begin = begin,
                                          .end = end,
                                          .product = product,
                                          .linear_scratch = linear_scratch,
                                          .linear = linear,
                                          .pack_weight = nm_bf16_pack_weight,
                                          .pack_left = nm_bf16_pack_left,
                                          .pack_right = nm_bf16_pack_right,
                                          .sum_left = nm_bf16_sum_left};

/// The kernel gives the tiles' state to processes that ask (Linux 5.16).
const nm_bf16_products *nm_bf16_find_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return NULL;
    const unsigned needed = 1u << 22 | 1u << 24; // AMX-BF16, AMX-TILE
    if ((d & needed) != needed) return NULL;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? &products : NULL;
}

#else

const nm_bf16_products *nm_bf16_find_amx(void) {
    return NULL;
}

#endif
