/// The sans font that fontconfig finds, and its glyphs as FreeType rasterises them. Private to render.
#ifndef NM_RENDER_TYPEFACE_H
#define NM_RENDER_TYPEFACE_H

#include <ft2build.h>
#include FT_FREETYPE_H

#include "base/status.h"

/// All zero = closed. One thread at a time.
typedef struct nm_typeface {
    FT_Library library;
    FT_Face face;
    float capital; ///< height of a capital letter over the em
    uint32_t size; ///< set in `face`, half pixels
} nm_typeface;

/// NM_E_NOT_FOUND when there is no font (fonts-dejavu-core). On failure there is still nm_typeface_close to call.
nm_status nm_typeface_open(nm_typeface *typeface, nm_error *error);
void nm_typeface_close(nm_typeface *typeface);

/// Half pixels for a height of a capital letter in px, kept between 4 and 96 px.
uint32_t nm_typeface_size(float pixels);
/// Rasterises the glyph of a character into typeface->face->glyph: coverage of 8 bits, or no rows for a blank. 0 when
/// the font can not give it, -1 when it can not be set to this size.
int nm_typeface_load(nm_typeface *typeface, uint32_t code, uint32_t size);
/// Next character of a text; U+FFFD for what is not UTF-8. 0 at the end.
uint32_t nm_typeface_next(const char **text);

#endif
