/// The CommonRoad reader: document, then map, then scene.
#include "dataset/commonroad.h"

#include <stdlib.h>
#include <string.h>

typedef struct reader {
    nm_cr_parser *parser;
    nm_cr_document document;
    nm_cr_build build;
} reader;

static reader *get_reader(nm_reader_context *context) {
    if (context->commonroad) return context->commonroad;
    reader *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->parser = nm_cr_parser_create();
    if (!made->parser) {
        free(made);
        return NULL;
    }
    context->commonroad = made;
    return made;
}

void nm_commonroad_release(nm_reader_context *context) {
    reader *r = context->commonroad;
    if (!r) return;
    nm_cr_parser_destroy(r->parser);
    nm_cr_document_release(&r->document);
    nm_cr_build_release(&r->build);
    free(r);
    context->commonroad = NULL;
}

static nm_status build_all(nm_reader_context *context, reader *r, const nm_scene **scene) {
    const nm_cr_document *d = &r->document;
    if (d->lanelets.count == 0)
        return NM_ERROR_AT(r->build.error, NM_E_FORMAT, r->build.name, 0, -1, "the document has no lanelet");
    nm_status status = nm_cr_resolve(&r->build);
    const nm_map *map = NULL;
    if (status == NM_OK) status = nm_cr_build_map(&r->build, context->map_builder, &map);
    if (status == NM_OK) status = nm_cr_build_scene(&r->build, &context->limits, map, context->scene_builder, scene);
    nm_map_release(map); // the scene holds its own reference
    nm_scene_builder_reset(context->scene_builder);
    return status;
}

nm_status nm_commonroad_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                             const nm_scene **scene, nm_error *error) {
    *scene = NULL;
    nm_error local; // always there: the builders' errors get the name of the input below
    nm_error_clear(&local);
    reader *r = get_reader(context);
    if (!r) return NM_ERROR(error, NM_E_MEMORY, "no memory for the CommonRoad reader");
    nm_status status = nm_cr_parse(r->parser, &context->limits, name, bytes, size, &r->document, &local);
    if (status == NM_OK) {
        r->build.document = &r->document;
        r->build.name = name;
        r->build.error = &local;
        status = build_all(context, r, scene);
    }
    if (status != NM_OK && error) {
        *error = local;
        if (!error->input[0]) {
            // snprintf is not needed: the name is cut the way nm_error_fill_at cuts it
            size_t length = strlen(name);
            if (length >= sizeof error->input) length = sizeof error->input - 1;
            memcpy(error->input, name, length);
            error->input[length] = 0;
        }
    }
    return status;
}
