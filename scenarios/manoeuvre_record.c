// What is kept: the scene, and the recipe in its provenance, both ways.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "scenarios/manoeuvre_internal.h"

#define RECIPE 8192

// --- writing ---------------------------------------------------------------------------------------------------------

typedef struct nm_text {
    char *at;
    size_t left;
} nm_text;

NM_PRINTF(2, 3) static void print(nm_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int wrote = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    const size_t used = wrote < 0 || (size_t)wrote > text->left ? text->left : (size_t)wrote;
    text->at += used;
    text->left -= used;
}

static void print_number(nm_text *text, float value) {
    if (isfinite(value))
        print(text, "%.9g", (double)value);
    else
        print(text, "null");
}

static void print_values(nm_text *text, const nm_kind_spec *spec, const char *name, const float *value) {
    print(text, ",\"%s\":{", name);
    for (size_t i = 0; i < spec->param_count; i++) {
        print(text, "%s\"%s\":", i ? "," : "", spec->params[i].name);
        print_number(text, value[i]);
    }
    print(text, "}");
}

static void print_request(nm_text *text, const nm_attempt *a) {
    const nm_manoeuvre_request *request = a->request;
    const nm_kind_ranges *ranges = &request->ranges;
    char custom[128];
    nm_text_escape_json(custom, sizeof custom, request->custom && request->custom->name ? request->custom->name : "");
    print(text,
          "{\"kind\":\"%s\",\"severity\":\"%s\",\"sampling\":\"%s\",\"seed\":\"%" PRIu64 "\",\"index\":\"%" PRIu64
          "\",\"start_step\":%u,\"steps\":%u,\"traffic\":%u,\"ego\":\"%s\",\"custom\":\"%s\",\"idm\":\"%s\","
          "\"given\":%u,\"ranges\":{",
          a->spec->name, nm_severity_name(ranges->severity), nm_sampling_name(request->sampling), request->seed,
          a->index, a->start_step, request->steps, request->traffic, nm_policy_name(request->ego), custom,
          request->idm ? request->idm->name : "", ranges->given);
    for (size_t i = 0; i < a->spec->param_count; i++)
        print(text, "%s\"%s\":[%.9g,%.9g]", i ? "," : "", a->spec->params[i].name, (double)ranges->range[i].low,
              (double)ranges->range[i].high);
    print(text, "}");
}

static nm_status write_recipe(const nm_attempt *a, char recipe[RECIPE], nm_error *error) {
    const nm_manoeuvre *out = a->out;
    const nm_provenance *parent = &a->base->provenance;
    // a parent that was generated is no file one could go back to: its own recipe travels along
    const int generated = parent->file[0] == '\0' && parent->parameters[0] == '{';
    char source[128];
    nm_text text = {recipe, RECIPE};
    nm_text_escape_json(source, sizeof source, parent->source);
    print_request(&text, a);
    print_values(&text, a->spec, "drawn", out->drawn);
    print_values(&text, a->spec, "requested", out->requested);
    print_values(&text, a->spec, "achieved", out->achieved);
    print(&text, ",\"min_ttc\":");
    print_number(&text, out->min_ttc);
    print(&text, ",\"min_distance\":");
    print_number(&text, out->min_distance);
    print(&text, ",\"roles\":{\"ego\":%d,\"adversary\":%d", NM_ROLE_EGO, NM_ROLE_ADVERSARY);
    if (a->has_other) print(&text, ",\"other\":%d", NM_ROLE_OTHER);
    print(&text, "},\"conflict_step\":%u,\"parent_source\":\"%s\",\"parent_parameters\":%s}", out->conflict_step,
          source, generated ? parent->parameters : "{}");
    if (text.left == 0) return NM_ERROR(error, NM_E_LIMIT, "the recipe of the scene's parent is too long");
    return NM_OK;
}

// --- the scene -------------------------------------------------------------------------------------------------------

static nm_status add_tracks(nm_attempt *a, nm_scene_builder *builder, nm_error *error) {
    const nm_scene *take = &a->work->take.scene;
    nm_status status = NM_OK;
    for (uint32_t track = 0; status == NM_OK && track < take->track_count; track++) {
        const nm_track *info = &take->tracks[track];
        const nm_track_def def = {.id = info->source_id,
                                  .type = (nm_agent_type)info->type,
                                  .flags = info->flags,
                                  .length = info->length,
                                  .width = info->width,
                                  .height = info->height};
        uint32_t index;
        status = nm_scene_builder_add_track(builder, &def, &index, error);
        for (uint32_t t = info->first_step; status == NM_OK && t <= info->last_step; t++) {
            nm_state state;
            if (!nm_scene_get_state(take, track, t, &state)) continue;
            status = nm_scene_builder_add_local_state(builder, index, t, &state, error);
        }
    }
    for (uint32_t i = 0; status == NM_OK && take->signal_states && i < take->map->signal_count; i++)
        for (uint32_t t = 0; status == NM_OK && t < take->step_count; t++)
            status = nm_scene_builder_set_signal(
                builder, i, t, (nm_signal_state)take->signal_states[(size_t)i * take->step_count + t], error);
    return status;
}

nm_status nm_stage_publish(nm_attempt *a, nm_error *error) {
    nm_scene_builder *builder = a->work->builder;
    const nm_provenance *parent = &a->base->provenance;
    char recipe[RECIPE];
    nm_scene_builder_reset(builder);
    nm_status status = write_recipe(a, recipe, error);
    if (status == NM_OK)
        status = nm_scene_builder_begin(builder, a->base->map, (double)NM_STEP_SECONDS, a->request->steps + 1, error);
    if (status == NM_OK) status = add_tracks(a, builder, error);
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, a->spec->name, error);
    if (status == NM_OK)
        status = nm_scene_builder_add_tag(builder, nm_severity_name(a->request->ranges.severity), error);
    const nm_provenance provenance = {.source = "manoeuvre",
                                      .file = parent->file,
                                      .scene_id = parent->scene_id,
                                      .record = parent->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = a->request->seed,
                                      .parent = a->base->hash,
                                      .parameters = recipe};
    if (status == NM_OK) status = nm_scene_builder_set_provenance(builder, &provenance, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, a->shown, NM_ROLE_EGO); // what nobody could act on is history
    return nm_scene_builder_build(builder, &a->out->scene, error);
}

// --- reading ---------------------------------------------------------------------------------------------------------

// What follows the first `"name":`; NULL when there is none.
static const char *after(const char *text, const char *name) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(text, key);
    return at ? at + strlen(key) : NULL;
}

static int word(const char *text, const char *name, char out[64]) {
    const char *at = after(text, name);
    if (!at || *at != '"') return 0;
    const size_t length = strcspn(at + 1, "\"\\");
    if (length >= 64 || at[1 + length] != '"') return 0;
    memcpy(out, at + 1, length);
    out[length] = '\0';
    return 1;
}

static int whole(const char *text, const char *name, uint64_t *value) {
    const char *at = after(text, name);
    if (!at) return 0;
    if (*at == '"') at++;
    if (*at < '0' || *at > '9') return 0;
    char *end;
    *value = strtoull(at, &end, 10);
    return *end == '"' || *end == ',' || *end == '}';
}

static int small(const char *text, const char *name, uint32_t *value) {
    uint64_t wide;
    if (!whole(text, name, &wide) || wide > UINT32_MAX) return 0;
    *value = (uint32_t)wide;
    return 1;
}

static int read_ranges(const char *text, nm_kind_ranges *ranges) {
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    const char *at = after(text, "ranges");
    if (!at) return 0;
    for (size_t i = 0; i < spec->param_count; i++) {
        const nm_kind_param *param = &spec->params[i];
        const char *pair = after(at, param->name);
        if (!pair || *pair != '[') return 0;
        char *end;
        const float low = strtof(pair + 1, &end);
        if (*end != ',') return 0;
        const float high = strtof(end + 1, &end);
        const nm_kind_range fallback = param->fallback[ranges->severity];
        const int own = low == fallback.low && high == fallback.high;
        if (*end != ']' || !(low <= high) || !(own || (low >= param->bounds.low && high <= param->bounds.high)))
            return 0;
        ranges->range[i] = (nm_kind_range){low, high};
    }
    return 1;
}

nm_status nm_manoeuvre_parse(const char *parameters, nm_manoeuvre_request *request, uint64_t *index, nm_error *error) {
    NM_ASSERT(parameters && request && index);
    nm_manoeuvre_request read = nm_manoeuvre_request_default();
    char kind[64], severity[64], sampling[64], ego[64], idm[64];
    nm_kind which;
    nm_severity outcome;
    uint32_t given;
    if (!word(parameters, "kind", kind) || !nm_kind_from_name(kind, &which) ||
        !word(parameters, "severity", severity) || !nm_severity_from_name(severity, &outcome))
        return NM_ERROR(error, NM_E_FORMAT, "these are not the parameters of a manoeuvre: no known kind or severity");
    nm_status status = nm_kind_ranges_default(which, outcome, &read.ranges, error);
    if (status != NM_OK) return NM_ERROR(error, NM_E_FORMAT, "%s cannot be made as %s", kind, severity);
    if (!word(parameters, "sampling", sampling) || !nm_sampling_from_name(sampling, &read.sampling) ||
        !whole(parameters, "seed", &read.seed) || !whole(parameters, "index", index) ||
        !small(parameters, "start_step", &read.start_step) || !small(parameters, "steps", &read.steps) ||
        !small(parameters, "traffic", &read.traffic) || !word(parameters, "ego", ego) ||
        !nm_policy_from_name(ego, &read.ego) || !word(parameters, "idm", idm) || !small(parameters, "given", &given) ||
        given >> nm_kind_spec_of(which)->param_count || !read_ranges(parameters, &read.ranges))
        return NM_ERROR(error, NM_E_FORMAT, "the parameters of the manoeuvre are incomplete or out of range");
    read.ranges.given = given;
    read.idm = idm[0] ? nm_idm_named(idm) : NULL;
    if (idm[0] && !read.idm)
        return NM_ERROR(error, NM_E_FORMAT, "the manoeuvre was made with IDM parameters that are not known here");
    *request = read;
    return NM_OK;
}
