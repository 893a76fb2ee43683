/// The OpenDRIVE reader: document, then lanes, then map, then a scene that holds the map and nobody.
#include "dataset/opendrive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define MAX_TAG 512u

typedef struct reader {
    nm_od_document document;
    nm_od_build build;
} reader;

#define EACH_ARRAY(X)                                                                                                  \
    X(stretches)                                                                                                       \
    X(points)                                                                                                          \
    X(row_s)                                                                                                           \
    X(pieces)                                                                                                          \
    X(edges)                                                                                                           \
    X(incoming)                                                                                                        \
    X(chains)                                                                                                          \
    X(targets)                                                                                                         \
    X(road_stretches)                                                                                                  \
    X(rulings)                                                                                                         \
    X(cuts)                                                                                                            \
    X(breaks)                                                                                                          \
    X(scratch)                                                                                                         \
    X(axes)                                                                                                            \
    X(road_names)                                                                                                      \
    X(junction_names)                                                                                                  \
    X(signal_names)

void nm_od_build_reset(nm_od_build *build) {
#define X(array) build->array.count = 0;
    EACH_ARRAY(X)
#undef X
    build->assumed_programs = build->dangling = build->ignored_junctions = 0;
}

void nm_od_build_release(nm_od_build *build) {
#define X(array) free(build->array.at);
    EACH_ARRAY(X)
#undef X
    *build = (nm_od_build){0};
}

void nm_opendrive_release(nm_reader_context *context) {
    reader *r = context->opendrive;
    if (!r) return;
    nm_od_document_release(&r->document);
    nm_od_build_release(&r->build);
    free(r);
    context->opendrive = NULL;
}

// --- the scene -------------------------------------------------------------------------------------------------------

/// "NAME:TEXT", cut where it is too long; white space at the ends of the text left out.
static nm_status add_text_tag(nm_scene_builder *builder, const nm_od_document *d, const char *name, nm_od_text text,
                              nm_error *error) {
    char tag[MAX_TAG];
    const char *at = d->texts.at ? d->texts.at + text.first : "";
    uint32_t length = text.length;
    while (length && strchr(" \t\r\n", *at)) ++at, --length;
    while (length && strchr(" \t\r\n", at[length - 1])) --length;
    if (!length) return NM_OK;
    snprintf(tag, sizeof tag, "%s:%.*s", name, (int)length, at);
    return nm_scene_builder_add_tag(builder, tag, error);
}

static nm_status add_count_tag(nm_scene_builder *builder, const char *name, uint32_t count, nm_error *error) {
    char tag[64];
    if (!count) return NM_OK;
    snprintf(tag, sizeof tag, "%s:%u", name, count);
    return nm_scene_builder_add_tag(builder, tag, error);
}

static nm_status build_scene(const nm_od_build *build, nm_scene_builder *builder, const nm_map *map,
                             const nm_scene **scene) {
    const nm_od_document *d = build->document;
    char name[256];
    nm_error *error = build->error;
    snprintf(name, sizeof name, "%.*s", (int)(d->name.length < 250 ? d->name.length : 250),
             d->texts.at ? d->texts.at + d->name.first : "");
    nm_provenance provenance = {.source = "opendrive",
                                .file = nm_base_name(build->name),
                                .scene_id = name,
                                .program = "nearmiss " NM_VERSION,
                                .parameters = "{}"};
    nm_scene_builder_reset(builder);
    nm_status status = nm_scene_builder_begin(builder, map, 0.1, 1, error);
    if (status == NM_OK) status = add_text_tag(builder, d, "geoReference", d->geo_reference, error);
    if (status == NM_OK && d->has_offset) status = nm_scene_builder_add_tag(builder, NM_OD_OFFSET_TAG, error);
    if (status == NM_OK) status = add_count_tag(builder, "dangling_references", build->dangling, error);
    if (status == NM_OK) status = add_count_tag(builder, "virtual_junctions", build->ignored_junctions, error);
    if (status == NM_OK) status = add_count_tag(builder, "assumed_light_programs", build->assumed_programs, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, 0, NM_NONE);
    status = nm_scene_builder_set_provenance(builder, &provenance, error);
    return status == NM_OK ? nm_scene_builder_build(builder, scene, error) : status;
}

static nm_status build_all(nm_reader_context *context, nm_od_build *build, const nm_scene **scene) {
    const nm_map *map = NULL;
    nm_status status = nm_od_resolve(build);
    if (status == NM_OK) status = nm_od_make_pieces(build);
    if (status == NM_OK) status = nm_od_make_edges(build);
    if (status == NM_OK) status = nm_od_apply_rules(build);
    if (status == NM_OK) status = nm_od_make_chains(build);
    if (status == NM_OK && build->chains.count == 0)
        status = NM_ERROR_AT(build->error, NM_E_FORMAT, build->name, 0, -1,
                             "the document has no lane to drive, ride or walk on");
    if (status == NM_OK) status = nm_od_check_overlap(build);
    if (status == NM_OK) nm_od_place_stop_lines(build);
    if (status == NM_OK) status = nm_od_find_axes(build);
    if (status == NM_OK) status = nm_od_build_map(build, context->map_builder, &map);
    if (status == NM_OK) status = build_scene(build, context->scene_builder, map, scene);
    nm_map_release(map); // the scene holds its own reference
    nm_scene_builder_reset(context->scene_builder);
    return status;
}

nm_status nm_opendrive_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                            const nm_scene **scene, nm_error *error) {
    *scene = NULL;
    nm_error local; // always there: the builders' errors get the name of the input below
    nm_error_clear(&local);
    if (!context->opendrive) context->opendrive = calloc(1, sizeof(reader));
    reader *r = context->opendrive;
    if (!r) return NM_ERROR(error, NM_E_MEMORY, "no memory for the OpenDRIVE reader");
    nm_status status = nm_od_parse(name, bytes, size, &r->document, &local);
    if (status == NM_OK) {
        nm_od_build_reset(&r->build);
        r->build.document = &r->document;
        r->build.limits = &context->limits;
        r->build.name = name;
        r->build.error = &local;
        status = build_all(context, &r->build, scene);
    }
    if (status == NM_OK || !error) return status;
    *error = local;
    if (!error->input[0]) snprintf(error->input, sizeof error->input, "%s", name);
    return status;
}
