/// The table of encoders, and the buffer they fill.
#include "dataset/encoders.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive_write.h"

static const struct {
    const char *name;
    const nm_encoder *encoder;
} formats[NM_EXPORT_FORMAT_COUNT] = {
    [NM_EXPORT_WOMD] = {"womd", &nm_encoder_womd},
    [NM_EXPORT_WOMD_EXAMPLE] = {"womd-example", &nm_encoder_womd_example},
    [NM_EXPORT_OSI] = {"osi", &nm_encoder_osi},
    [NM_EXPORT_OPENSCENARIO] = {"openscenario", &nm_encoder_openscenario},
    [NM_EXPORT_OPENDRIVE] = {"opendrive", &nm_encoder_opendrive},
    [NM_EXPORT_COMMONROAD] = {"commonroad", &nm_encoder_commonroad},
    [NM_EXPORT_NEARMISS] = {"nearmiss", &nm_encoder_nearmiss},
    [NM_EXPORT_CSV] = {"csv", &nm_encoder_csv},
    [NM_EXPORT_OSI_COMPLETE] = {"osi-complete", &nm_encoder_osi_complete},
};

const char *nm_export_format_name(nm_export_format format) {
    return (unsigned)format < NM_EXPORT_FORMAT_COUNT ? formats[format].name : "unknown";
}

int nm_export_format_from_name(const char *name, nm_export_format *format) {
    for (int i = 0; i < NM_EXPORT_FORMAT_COUNT; ++i) {
        if (strcmp(name, formats[i].name) != 0) continue;
        *format = (nm_export_format)i;
        return 1;
    }
    return 0;
}

const nm_encoder *nm_encoder_of(nm_export_format format) {
    return (unsigned)format < NM_EXPORT_FORMAT_COUNT ? formats[format].encoder : NULL;
}

// --- bytes -----------------------------------------------------------------------------------------------------------

void nm_byte_buffer_free(nm_byte_buffer *buffer) {
    free(buffer->bytes);
    *buffer = (nm_byte_buffer){0};
}

uint8_t *nm_byte_buffer_grow(nm_byte_buffer *buffer, size_t size) {
    if (buffer->failed) return NULL;
    if (size > buffer->capacity - buffer->size) {
        size_t wanted = buffer->capacity + buffer->capacity / 2 + 256;
        if (size > SIZE_MAX / 4 || buffer->size > SIZE_MAX / 4) {
            buffer->failed = 1;
            return NULL;
        }
        if (wanted < buffer->size + size) wanted = buffer->size + size;
        uint8_t *grown = realloc(buffer->bytes, wanted);
        if (!grown) {
            buffer->failed = 1;
            return NULL;
        }
        buffer->bytes = grown;
        buffer->capacity = wanted;
    }
    uint8_t *at = buffer->bytes + buffer->size;
    buffer->size += size;
    return at;
}

void nm_byte_buffer_put(nm_byte_buffer *buffer, const void *bytes, size_t size) {
    uint8_t *at = size ? nm_byte_buffer_grow(buffer, size) : NULL;
    if (at) memcpy(at, bytes, size);
}

void nm_byte_buffer_text(nm_byte_buffer *buffer, const char *text) {
    nm_byte_buffer_put(buffer, text, strlen(text));
}

void nm_byte_buffer_format(nm_byte_buffer *buffer, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text) {
        buffer->failed = 1; // a caller's texts from outside go through nm_byte_buffer_text
        return;
    }
    nm_byte_buffer_put(buffer, text, (size_t)length);
}
