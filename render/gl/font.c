/// Text: a sans font found by fontconfig, glyphs rasterised by FreeType into an atlas at the size they are shown in.
///
/// Plain coverage instead of a distance field: text of pictures has few sizes and stands on whole pixels, so hinted
/// coverage is sharper, and its shader costs one texel. The second channel holds the halo, the glyph grown by two
/// pixels.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/gl/gl_internal.h"
#include "render/typeface.h"

#define ATLAS 1024  // px
#define HALO 2      // px around a glyph
#define GLYPHS 4096 // in the atlas at most; a power of 2

typedef struct known {
    uint32_t code, size; ///< size: half pixels of a capital letter; 0 = free
    nm_gl_glyph glyph;
} known;

struct nm_gl_font {
    nm_typeface typeface;
    GLuint atlas;
    int x, y, row; ///< where the next glyph goes; height of the row
    uint32_t count;
    known glyphs[GLYPHS]; ///< hash table
    nm_gl_scratch pixels;
    int no_memory; ///< letters were left out
};

static void create_atlas(nm_gl_font *font) {
    glGenTextures(1, &font->atlas);
    glBindTexture(GL_TEXTURE_2D, font->atlas);
    glPixelStorei(GL_UNPACK_ALIGNMENT, 1);
    glTexImage2D(GL_TEXTURE_2D, 0, GL_RG8, ATLAS, ATLAS, 0, GL_RG, GL_UNSIGNED_BYTE, NULL);
    glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
    glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
    glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAX_LEVEL, 0);
}

nm_status nm_gl_font_create(nm_gl_font **result, nm_error *error) {
    *result = NULL;
    nm_gl_font *font = calloc(1, sizeof *font);
    if (!font) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    const nm_status status = nm_typeface_open(&font->typeface, error);
    if (status != NM_OK) {
        nm_gl_font_destroy(font);
        return status;
    }
    create_atlas(font);
    *result = font;
    return NM_OK;
}

void nm_gl_font_destroy(nm_gl_font *font) {
    if (!font) return;
    if (font->atlas) glDeleteTextures(1, &font->atlas);
    nm_typeface_close(&font->typeface);
    free(font->pixels.data);
    free(font);
}

int nm_gl_font_lacked_memory(nm_gl_font *font) {
    const int lacked = font->no_memory;
    font->no_memory = 0;
    return lacked;
}

GLuint nm_gl_font_atlas(const nm_gl_font *font) {
    return font->atlas;
}

/// Grown coverage: the largest value near, fading over the last pixel.
static uint8_t grown(const FT_Bitmap *bitmap, int x, int y) {
    static const uint8_t fade[3][3] = {{255, 255, 190}, {255, 230, 110}, {190, 110, 0}}; // by |dx|, |dy|
    int most = 0;
    for (int dy = -HALO; dy <= HALO; dy++)
        for (int dx = -HALO; dx <= HALO; dx++) {
            const int u = x + dx, v = y + dy;
            if (u < 0 || v < 0 || u >= (int)bitmap->width || v >= (int)bitmap->rows) continue;
            const int value = bitmap->buffer[v * bitmap->pitch + u] * fade[abs(dx)][abs(dy)] / 255;
            if (value > most) most = value;
        }
    return (uint8_t)most;
}

/// Puts the loaded glyph into the atlas. 0 when there is no room or no memory.
static int place_glyph(nm_gl_font *font, nm_gl_glyph *glyph) {
    const FT_GlyphSlot slot = font->typeface.face->glyph;
    const int width = (int)slot->bitmap.width + 2 * HALO, height = (int)slot->bitmap.rows + 2 * HALO;
    if (font->x + width > ATLAS) {
        font->x = 0;
        font->y += font->row;
        font->row = 0;
    }
    if (width > ATLAS || font->y + height > ATLAS) return 0;
    uint8_t *pixels = nm_gl_scratch_reserve(&font->pixels, 2 * (size_t)width * (size_t)height);
    if (!pixels) {
        font->no_memory = 1;
        return 0;
    }
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int u = x - HALO, v = y - HALO;
            const int in = u >= 0 && v >= 0 && u < (int)slot->bitmap.width && v < (int)slot->bitmap.rows;
            pixels[2 * (y * width + x)] = in ? slot->bitmap.buffer[v * slot->bitmap.pitch + u] : 0;
            pixels[2 * (y * width + x) + 1] = grown(&slot->bitmap, u, v);
        }
    glBindTexture(GL_TEXTURE_2D, font->atlas);
    glPixelStorei(GL_UNPACK_ALIGNMENT, 1);
    glTexSubImage2D(GL_TEXTURE_2D, 0, font->x, font->y, width, height, GL_RG, GL_UNSIGNED_BYTE, pixels);
    *glyph = (nm_gl_glyph){.x = (int16_t)font->x,
                           .y = (int16_t)font->y,
                           .width = (int16_t)width,
                           .height = (int16_t)height,
                           .left = (int16_t)(slot->bitmap_left - HALO),
                           .top = (int16_t)(slot->bitmap_top + HALO),
                           .advance = (int16_t)((slot->advance.x + 32) >> 6)};
    font->x += width;
    if (height > font->row) font->row = height;
    return 1;
}

static void empty_atlas(nm_gl_font *font) {
    memset(font->glyphs, 0, sizeof font->glyphs);
    font->count = 0;
    font->x = font->y = font->row = 0;
}

/// The glyph of a character, made when it is not there. NULL when the atlas is full.
static const nm_gl_glyph *glyph_of(nm_gl_font *font, uint32_t code, uint32_t size) {
    uint32_t place = (code * 0x9E3779B1u ^ size * 0x85EBCA77u) >> 7 & (GLYPHS - 1);
    for (; font->glyphs[place].size; place = (place + 1) & (GLYPHS - 1))
        if (font->glyphs[place].code == code && font->glyphs[place].size == size) return &font->glyphs[place].glyph;
    if (font->count >= GLYPHS / 2) return NULL;
    known entry = {.code = code, .size = size};
    const int loaded = nm_typeface_load(&font->typeface, code, size);
    if (loaded < 0) return NULL;
    if (loaded) {
        if (!place_glyph(font, &entry.glyph)) return NULL;
    }
    font->glyphs[place] = entry;
    font->count++;
    return &font->glyphs[place].glyph;
}

static float width_of(nm_gl_font *font, const char *text, uint32_t size) {
    int width = 0;
    for (uint32_t code; (code = nm_typeface_next(&text)) != 0;) {
        const nm_gl_glyph *glyph = glyph_of(font, code, size);
        if (glyph) width += glyph->advance;
    }
    return (float)width;
}

float nm_gl_font_width(nm_gl_font *font, const char *text, float size) {
    return width_of(font, text, nm_typeface_size(size));
}

static size_t add_pass(nm_gl_font *font, const char *text, uint32_t size, float x, float base, nm_rgba colour, int halo,
                       nm_gl_glyph_vertex *out) {
    size_t count = 0;
    for (uint32_t code; (code = nm_typeface_next(&text)) != 0;) {
        const nm_gl_glyph *glyph = glyph_of(font, code, size);
        if (!glyph) continue;
        if (glyph->width > 2 * HALO) {
            for (int corner = 0; corner < 4; corner++) {
                const int dx = corner & 2 ? glyph->width : 0, dy = corner & 1 ? glyph->height : 0;
                out[count++] = (nm_gl_glyph_vertex){.x = x + (float)(glyph->left + dx),
                                                    .y = base + (float)(dy - glyph->top),
                                                    .u = (uint16_t)(glyph->x + dx),
                                                    .v = (uint16_t)(glyph->y + dy),
                                                    .colour = colour,
                                                    .halo = (uint8_t)halo};
            }
        }
        x += (float)glyph->advance;
    }
    return count;
}

size_t nm_gl_font_add(nm_gl_font *font, const nm_label *label, const char *text, float x, float y,
                      nm_gl_scratch *vertices, size_t count) {
    const uint32_t size = nm_typeface_size(label->size);
    // Before the first quad of a batch: those made already would point at other glyphs.
    if (count == 0 && (font->count > GLYPHS / 4 || font->y > ATLAS - ATLAS / 4)) empty_atlas(font);
    const float width = width_of(font, text, size);
    const float left = x - (label->anchor == NM_ANCHOR_LEFT    ? 0.0f
                            : label->anchor == NM_ANCHOR_RIGHT ? width
                                                               : 0.5f * width);
    const float pen = roundf(left), base = roundf(y + 0.25f * (float)size);
    const size_t most = 8 * strlen(text); // four corners of halo and letter
    if (!nm_gl_scratch_reserve(vertices, (count + most) * sizeof(nm_gl_glyph_vertex))) {
        font->no_memory = 1;
        return count;
    }
    nm_gl_glyph_vertex *out = vertices->data;
    if (label->halo.a) count += add_pass(font, text, size, pen, base, label->halo, 1, out + count);
    return count + add_pass(font, text, size, pen, base, label->colour, 0, out + count);
}
