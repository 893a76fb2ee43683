#include "render/typeface.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <fontconfig/fontconfig.h>
#include FT_TRUETYPE_TABLES_H

#include "base/text.h"

#define LARGEST 96.0f // px of a capital letter; larger text is drawn at this size

/// Path of a sans font, to be freed; NULL when there is none, or without memory.
static char *find_font(int *index, int *no_memory) {
    char *path = NULL;
    FcConfig *config = FcInitLoadConfigAndFonts(); // our own: the process's may not be there, or be somebody else's
    FcPattern *pattern = config ? FcNameParse((const FcChar8 *)"sans") : NULL;
    if (pattern) {
        FcResult result;
        FcChar8 *file;
        FcConfigSubstitute(config, pattern, FcMatchPattern);
        FcDefaultSubstitute(pattern);
        FcPattern *match = FcFontMatch(config, pattern, &result);
        *index = 0;
        if (match && FcPatternGetString(match, FC_FILE, 0, &file) == FcResultMatch) {
            const size_t size = strlen((const char *)file) + 1;
            path = malloc(size);
            if (path) memcpy(path, file, size);
            *no_memory = !path;
            if (FcPatternGetInteger(match, FC_INDEX, 0, index) != FcResultMatch) *index = 0;
        }
        if (match) FcPatternDestroy(match);
        FcPatternDestroy(pattern);
    }
    if (config) FcConfigDestroy(config);
    return path;
}

nm_status nm_typeface_open(nm_typeface *t, nm_error *error) {
    int index = 0, no_memory = 0;
    char *path = find_font(&index, &no_memory);
    nm_status status = NM_OK;
    *t = (nm_typeface){.capital = 0.72f};
    if (no_memory)
        status = NM_ERROR(error, NM_E_MEMORY, "out of memory");
    else if (!path)
        status = NM_ERROR(error, NM_E_NOT_FOUND, "fontconfig finds no font (Debian: fonts-dejavu-core)");
    else if (FT_Init_FreeType(&t->library) != 0)
        status = NM_ERROR(error, NM_E_MEMORY, "FreeType does not start");
    else if (FT_New_Face(t->library, path, index, &t->face) != 0 || !FT_IS_SCALABLE(t->face))
        status = NM_ERROR_AT(error, NM_E_NOT_FOUND, path, 0, -1, "not a scalable font that FreeType reads");
    free(path);
    if (status != NM_OK) return status;
    const TT_OS2 *metrics = FT_Get_Sfnt_Table(t->face, FT_SFNT_OS2);
    if (metrics && metrics->version != 0xFFFF && metrics->version >= 2 && metrics->sCapHeight > 0)
        t->capital = (float)metrics->sCapHeight / (float)t->face->units_per_EM;
    return NM_OK;
}

void nm_typeface_close(nm_typeface *t) {
    if (t->face) FT_Done_Face(t->face);
    if (t->library) FT_Done_FreeType(t->library);
    *t = (nm_typeface){.library = NULL};
}

uint32_t nm_typeface_size(float pixels) {
    return (uint32_t)lrintf(2.0f * fminf(fmaxf(pixels, 4.0f), LARGEST));
}

int nm_typeface_load(nm_typeface *t, uint32_t code, uint32_t size) {
    if (t->size != size) {
        const float em = 0.5f * (float)size / t->capital;
        if (FT_Set_Char_Size(t->face, 0, (FT_F26Dot6)lrintf(64.0f * em), 72, 72) != 0) return -1;
        t->size = size;
    }
    return FT_Load_Char(t->face, code, FT_LOAD_RENDER | FT_LOAD_TARGET_LIGHT) == 0 &&
           (t->face->glyph->bitmap.pixel_mode == FT_PIXEL_MODE_GRAY || t->face->glyph->bitmap.rows == 0);
}

uint32_t nm_typeface_next(const char **text) {
    const unsigned char *c = (const unsigned char *)*text;
    if (!*c) return 0;
    const size_t bytes = nm_utf8_next(*text, strnlen(*text, 4));
    *text += bytes ? bytes : 1;
    switch (bytes) {
    case 1:
        return c[0];
    case 2:
        return (c[0] & 0x1Fu) << 6 | (c[1] & 0x3Fu);
    case 3:
        return (c[0] & 0x0Fu) << 12 | (c[1] & 0x3Fu) << 6 | (c[2] & 0x3Fu);
    case 4:
        return (c[0] & 0x07u) << 18 | (c[1] & 0x3Fu) << 12 | (c[2] & 0x3Fu) << 6 | (c[3] & 0x3Fu);
    default:
        return 0xFFFD;
    }
}
