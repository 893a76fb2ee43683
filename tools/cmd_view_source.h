/// Where the scenes that `nearmiss view` shows come from.
#ifndef NM_TOOLS_CMD_VIEW_SOURCE_H
#define NM_TOOLS_CMD_VIEW_SOURCE_H

#include "render/viewer/viewer_state.h"
#include "scenarios/store.h"

typedef struct nm_view_store nm_view_store;
/// Over a store (borrowed) and a query that every filter narrows, never widens (its texts are borrowed; `like` does not
/// apply). What a filter's words mean: the name of a kind, scenes with such an event; "where EXPRESSION", events for
/// which that holds; anything else, words to be found among tags, source, file and name. All have to be there: of
/// several kinds, the query's first, a scene needs one event each, and those of the first are listed. The list is
/// filled at once: NM_E_ARGUMENT when the query is not understood.
nm_status nm_view_store_create(nm_store *store, const nm_query *query, nm_view_store **view, nm_error *error);
void nm_view_store_destroy(nm_view_store *view); ///< NULL is fine
nm_viewer_source nm_view_store_source(nm_view_store *view);

/// One scene (borrowed) with id 1.
typedef struct nm_view_single {
    const nm_scene *scene;
    const char *name;
} nm_view_single;
nm_viewer_source nm_view_single_source(nm_view_single *view);

#endif
