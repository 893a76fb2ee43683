/// PNG files through libpng.
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "base/whole_file.h"
#include "render/media.h"

#define SIZE_MAX_PX 8192

/// libpng's messages go here instead of to standard error.
typedef struct trouble {
    char text[160];
    int no_memory;
} trouble;

/// libpng tells a lack of memory in words only.
static png_voidp allocate(png_structp png, png_alloc_size_t size) {
    trouble *t = png_get_mem_ptr(png);
    void *memory = malloc(size);
    if (!memory) t->no_memory = 1;
    return memory;
}
static void give_back(png_structp png, png_voidp memory) {
    (void)png;
    free(memory);
}

static void on_error(png_structp png, png_const_charp text) {
    trouble *t = png_get_error_ptr(png);
    snprintf(t->text, sizeof t->text, "%s", text);
    png_longjmp(png, 1);
}
static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

/// 0 when libpng gave up. Nothing that changes after setjmp is read after longjmp.
static int encode(png_structp png, png_infop info, FILE *file, const uint8_t *rgba, int width, int height) {
    if (setjmp(png_jmpbuf(png))) return 0;
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 6);
    png_write_info(png, info);
    png_set_filler(png, 0, PNG_FILLER_AFTER);
    for (int y = 0; y < height; y++) png_write_row(png, rgba + 4 * (size_t)y * (size_t)width);
    png_write_end(png, NULL);
    return 1;
}

static nm_status write_png(FILE *file, const uint8_t *rgba, int width, int height, const char *path, nm_error *error) {
    trouble t = {{0}, 0};
    png_structp png =
        png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &t, on_error, on_warning, &t, allocate, give_back);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    nm_status status = NM_OK;
    errno = 0;
    if (!info)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory");
    else if (!encode(png, info, file, rgba, width, height))
        status = t.no_memory ? NM_ERROR(error, NM_E_MEMORY, "out of memory for a picture of %d x %d px", width, height)
                             : NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be written: %s",
                                           errno ? strerror(errno) : t.text);
    png_destroy_write_struct(&png, &info);
    return status;
}

nm_status nm_png_write(const char *path, const uint8_t *rgba, int width, int height, nm_error *error) {
    nm_whole_file file;
    NM_ASSERT(width > 0 && height > 0);
    nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    status = write_png(file.stream, rgba, width, height, path, error);
    if (status == NM_OK) return nm_whole_file_keep(&file, error);
    nm_whole_file_drop(&file);
    return status;
}

nm_status nm_png_encode(const uint8_t *rgba, int width, int height, uint8_t **bytes, size_t *count, nm_error *error) {
    char *memory = NULL;
    NM_ASSERT(width > 0 && height > 0);
    *bytes = NULL;
    *count = 0;
    FILE *file = open_memstream(&memory, count);
    if (!file) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a picture of %d x %d px", width, height);
    nm_status status = write_png(file, rgba, width, height, "", error);
    if (fclose(file) != 0 && status == NM_OK) status = NM_E_MEMORY;
    if (status == NM_OK) {
        *bytes = (uint8_t *)memory;
        return NM_OK;
    }
    free(memory);
    *count = 0;
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for a picture of %d x %d px", width, height);
}

/// Reads into *rgba, allocated here. 0 when libpng gave up.
static int decode(png_structp png, png_infop info, FILE *file, uint8_t *volatile *rgba, int *width, int *height) {
    if (setjmp(png_jmpbuf(png))) return 0;
    png_init_io(png, file);
    png_set_user_limits(png, SIZE_MAX_PX, SIZE_MAX_PX);
    png_read_info(png, info);
    const png_byte type = png_get_color_type(png, info);
    if (png_get_bit_depth(png, info) != 8 || (type != PNG_COLOR_TYPE_RGB && type != PNG_COLOR_TYPE_RGB_ALPHA))
        png_error(png, "neither 8-bit RGB nor RGBA");
    png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    *width = (int)png_get_image_width(png, info);
    *height = (int)png_get_image_height(png, info);
    const size_t row = 4 * (size_t)*width;
    if (png_get_rowbytes(png, info) != row) png_error(png, "rows of an unexpected size");
    *rgba = malloc(row * (size_t)*height);
    if (!*rgba) {
        ((trouble *)png_get_error_ptr(png))->no_memory = 1;
        png_error(png, "out of memory");
    }
    for (int pass = 0; pass < passes; pass++)
        for (int y = 0; y < *height; y++) png_read_row(png, *rgba + (size_t)y * row, NULL);
    png_read_end(png, NULL);
    return 1;
}

nm_status nm_png_read(const char *path, uint8_t **rgba, int *width, int *height, nm_error *error) {
    trouble t = {{0}, 0};
    uint8_t *volatile pixels = NULL;
    *rgba = NULL;
    FILE *file = fopen(path, "rb");
    if (!file) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be read: %s", strerror(errno));
    png_structp png =
        png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &t, on_error, on_warning, &t, allocate, give_back);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    nm_status status = NM_OK;
    if (!info)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory");
    else if (!decode(png, info, file, &pixels, width, height))
        status = t.no_memory
                     ? NM_ERROR_AT(error, NM_E_MEMORY, path, 0, -1, "out of memory for the picture")
                     : NM_ERROR_AT(error, NM_E_FORMAT, path, 0, -1, "not a PNG file that can be read: %s", t.text);
    png_destroy_read_struct(&png, &info, NULL);
    fclose(file);
    if (status == NM_OK)
        *rgba = pixels;
    else
        free(pixels);
    return status;
}
