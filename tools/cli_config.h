/// Configuration files: JSON objects read into structs by tables of fields. Whatever is not in a table is refused by
/// name, with the nearest name that there is.
#ifndef NM_TOOLS_CLI_CONFIG_H
#define NM_TOOLS_CLI_CONFIG_H

#include <cjson/cJSON.h>

#include "base/status.h"

typedef enum nm_config_kind {
    NM_CONFIG_SWITCH = 0, ///< int: true, false
    NM_CONFIG_U32,
    NM_CONFIG_U64, ///< whole numbers up to 2^53
    NM_CONFIG_F32,
    NM_CONFIG_F64,
    NM_CONFIG_TEXT,  ///< char [256]
    NM_CONFIG_CHOICE ///< an int-sized enumeration; `choices` in order, NULL at the end
} nm_config_kind;

typedef struct nm_config_field {
    const char *name;
    nm_config_kind kind;
    size_t offset;
    double least, most; ///< of numbers, inclusive
    const char *const *choices;
} nm_config_field;

/// Reads `object` into the struct at `base`. `where` names the object in messages: "model", "data[1]"; "" = the whole
/// file. Keys in `others` (NULL at the end, nullable) are the caller's. NM_E_FORMAT naming the key, with the line where
/// the document was parsed by the functions below.
nm_status nm_config_read(const cJSON *object, const char *where, const nm_config_field *fields, size_t count,
                         const char *const *others, void *base, nm_error *error);

/// A text as JSON, released with cJSON_Delete; `path` stands for it in messages. NM_E_FORMAT and NM_E_LIMIT as
/// nm_config_load.
nm_status nm_config_parse(const char *text, const char *path, cJSON **document, nm_error *error);
/// The file as JSON, released with cJSON_Delete. NM_E_IO, NM_E_NOT_FOUND, NM_E_LIMIT over 1 MiB, NM_E_FORMAT
/// with the line where it is no JSON, or has a key twice in one object, or more than 1000 keys in one.
nm_status nm_config_load(const char *path, cJSON **document, nm_error *error);

/// Line, from 1 on, of an item of a document that the two above have parsed (of a member, that of its key), for
/// messages about it: NM_ERROR_AT.
int nm_config_line(const cJSON *item);

#endif
