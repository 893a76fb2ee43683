/// What a file says of a scene beyond the scene, on its way into the store: corner cases, and what it was generated
/// for.
#ifndef NM_TOOLS_CMD_IMPORT_EXTRAS_H
#define NM_TOOLS_CMD_IMPORT_EXTRAS_H

#include "dataset/export.h"
#include "scenarios/store.h"

typedef struct nm_import_extras {
    nm_event *events; ///< [event_count]
    size_t event_count;
    int is_generated;
    nm_generated generated; ///< but for its run
    char *texts[6];         ///< of `generated`
    size_t bytes;           ///< held
} nm_import_extras;

/// A copy of what the item says. Kinds that this program does not know are left out. NM_E_FORMAT for numbers of the
/// generation that are no JSON object; NM_E_MEMORY. *extras is NULL then.
nm_status nm_import_extras_copy(const nm_export_item *item, nm_import_extras **extras, nm_error *error);
void nm_import_extras_destroy(nm_import_extras *extras); ///< NULL is fine
/// Stores it for a scene that went in in the same transaction. generation: the run that stands for the import.
nm_status nm_import_extras_put(nm_store *store, int64_t scene, const nm_import_extras *extras, int64_t generation,
                               nm_error *error);

#endif
