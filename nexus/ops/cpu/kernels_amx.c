/// Products in bf16 with AMX: tiles of 16 rows by 16 columns, 32 inputs deep.
#define _DEFAULT_SOURCE // syscall
#include "nexus/ops/cpu/kernels_bf16.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__AMX_BF16__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

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
static void four_tiles(const uint16_t *x, size_t x_bytes, const uint16_t *first, const uint16_t *second, uint32_t depth,
                       float *y, size_t y_bytes, int add) {
    float *below = (float *)(void *)((char *)y + 16 * y_bytes);
    if (add) {
        _tile_loadd(0, y, y_bytes);
        _tile_loadd(1, y + 16, y_bytes);
        _tile_loadd(2, below, y_bytes);
        _tile_loadd(3, below + 16, y_bytes);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    const uint16_t *lower = x + 16 * (x_bytes / 2);
    for (uint32_t i = 0; i < depth; i += 32) {
        _tile_loadd(4, x + i, x_bytes);
        _tile_loadd(6, first + (size_t)i * 16, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, second + (size_t)i * 16, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, lower + i, x_bytes);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, y, y_bytes);
    _tile_stored(1, y + 16, y_bytes);
    _tile_stored(2, below, y_bytes);
    _tile_stored(3, below + 16, y_bytes);
}

/// 16 rows by one panel: what is left over.
static void one_tile(const uint16_t *x, size_t x_bytes, const uint16_t *panel, uint32_t depth, float *y, size_t y_bytes,
                     int add) {
    if (add)
        _tile_loadd(0, y, y_bytes);
    else
        _tile_zero(0);
    for (uint32_t i = 0; i < depth; i += 32) {
        _tile_loadd(4, x + i, x_bytes);
        _tile_loadd(6, panel + (size_t)i * 16, 64);
        _tile_dpbf16ps(0, 4, 6);
    }
    _tile_stored(0, y, y_bytes);
}

static void product(const uint16_t *x, size_t x_stride, uint32_t rows, const uint16_t *packed, uint32_t panels,
                    uint32_t depth, float *y, size_t y_stride, int add) {
    const size_t panel = (size_t)depth * NM_BF16_PANEL, x_bytes = 2 * x_stride, y_bytes = 4 * y_stride;
    _tile_loadconfig(&full_tiles);
    for (uint32_t p = 0; p < panels;) {
        const uint16_t *w = packed + p * panel;
        const uint32_t wide = panels - p >= 2 ? 2 : 1;
        for (uint32_t r = 0; r < rows;) {
            const uint16_t *from = x + r * x_stride;
            float *to = y + r * y_stride + (size_t)p * NM_BF16_PANEL;
            if (wide == 2 && rows - r >= 32) {
                four_tiles(from, x_bytes, w, w + panel, depth, to, y_bytes, add);
                r += 32;
                continue;
            }
            one_tile(from, x_bytes, w, depth, to, y_bytes, add);
            if (wide == 2) one_tile(from, x_bytes, w + panel, depth, to + 16, y_bytes, add);
            r += 16;
        }
        p += wide;
    }
    _tile_release(); // tiles in use make every switch of threads dearer
}

/// The kernel gives the tiles' state to processes that ask (Linux 5.16).
nm_bf16_product *nm_bf16_find_amx(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return NULL;
    const unsigned needed = 1u << 22 | 1u << 24; // AMX-BF16, AMX-TILE
    if ((d & needed) != needed) return NULL;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? product : NULL;
}

#else

nm_bf16_product *nm_bf16_find_amx(void) {
    return NULL;
}

#endif
