// The recipe of a corner case in its provenance, both ways.
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "scenarios/case.h"
#include "sim/world.h"

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

static void print_request(nm_text *text, const nm_scene *source, const nm_case_request *request, uint64_t index) {
    const nm_kind_ranges *ranges = &request->ranges;
    const nm_kind_spec *spec = nm_kind_spec_of(ranges->kind);
    // resampling draws a moment unless it is given one
    const int drawn = request->generator == NM_CASE_RESAMPLE;
    const uint32_t start = request->start_step == NM_NONE && !drawn ? source->current_step : request->start_step;
    char custom[128], idm[128];
    nm_text_escape_json(custom, sizeof custom, request->custom && request->custom->name ? request->custom->name : "");
    nm_text_escape_json(idm, sizeof idm, request->idm && request->idm->name ? request->idm->name : "");
    print(text,
          "{\"generator\":\"%s\",\"kind\":\"%s\",\"severity\":\"%s\",\"sampling\":\"%s\",\"seed\":\"%" PRIu64
          "\",\"index\":\"%" PRIu64
          "\",\"start_step\":%u,\"steps\":%u,\"traffic\":%u,\"adversaries\":%u,\"model_candidates\":%u,\"ego\":\"%"
          "s\",\"custom\":\"%s\",\"idm\":\"%s\","
          "\"given\":%u,\"ranges\":{",
          nm_case_generator_name(request->generator), spec->name, nm_severity_name(ranges->severity),
          nm_sampling_name(request->sampling), request->seed, index, start, request->steps, request->traffic,
          request->adversaries, request->model_candidates, nm_policy_name(request->ego), custom, idm, ranges->given);
    for (size_t i = 0; i < spec->param_count; i++)
        print(text, "%s\"%s\":[%.9g,%.9g]", i ? "," : "", spec->params[i].name, (double)ranges->range[i].low,
              (double)ranges->range[i].high);
    print(text, "}");
}

static void print_roles(nm_text *text, const nm_case *made) {
    print(text, ",\"roles\":{\"ego\":%u,\"adversary\":%u", made->ego, made->adversary);
    if (made->other != NM_NONE) print(text, ",\"other\":%u", made->other);
    for (uint32_t i = 0; i < made->more_count; i++)
        print(text, "%s%u%s", i ? "," : ",\"more\":[", made->more[i], i + 1 == made->more_count ? "]" : "");
    print(text, "}");
}

nm_status nm_case_write_recipe(const nm_scene *source, const nm_case_request *request, uint64_t index,
                               const nm_case *made, const char *members, char recipe[NM_CASE_RECIPE], nm_error *error) {
    const nm_kind_spec *spec = nm_kind_spec_of(request->ranges.kind);
    const nm_provenance *parent = &source->provenance;
    // a parent that was generated is no file one could go back to: its own recipe travels along
    const int generated = parent->file[0] == '\0' && parent->parameters[0] == '{';
    char name[128];
    nm_text text = {recipe, NM_CASE_RECIPE};
    nm_text_escape_json(name, sizeof name, parent->source);
    print_request(&text, source, request, index);
    print_values(&text, spec, "drawn", made->drawn);
    print_values(&text, spec, "requested", made->requested);
    print_values(&text, spec, "achieved", made->achieved);
    print(&text, ",\"min_ttc\":");
    print_number(&text, made->min_ttc);
    print(&text, ",\"min_distance\":");
    print_number(&text, made->min_distance);
    print_roles(&text, made);
    if (members[0]) print(&text, ",%s", members);
    print(&text, ",\"conflict_step\":%u,\"parent_source\":\"%s\",\"parent_parameters\":%s}", made->conflict_step, name,
          generated ? parent->parameters : "{}");
    if (text.left == 0) return NM_ERROR(error, NM_E_LIMIT, "the recipe of the scene's parent is too long");
    return NM_OK;
}

// --- building --------------------------------------------------------------------------------------------------------

static nm_status add_tracks(const nm_scene *take, uint32_t steps, nm_scene_builder *builder, nm_error *error) {
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
        for (uint32_t t = info->first_step; status == NM_OK && t <= info->last_step && t < steps; t++) {
            nm_state state;
            if (!nm_scene_get_state(take, track, t, &state)) continue;
            status = nm_scene_builder_add_local_state(builder, index, t, &state, error);
        }
    }
    return status;
}

nm_status nm_case_build(const nm_case_footage *footage, const nm_scene *source, const nm_case_request *request,
                        const char *recipe, nm_scene_builder *builder, const nm_scene **out, nm_error *error) {
    const nm_provenance *parent = &source->provenance;
    const nm_scene *signals = footage->signals;
    const uint32_t steps = request->steps + 1;
    const nm_provenance provenance = {.source = nm_case_generator_name(request->generator),
                                      .file = parent->file,
                                      .scene_id = parent->scene_id,
                                      .record = parent->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = request->seed,
                                      .parent = source->hash,
                                      .parameters = recipe};
    nm_scene_builder_reset(builder);
    nm_status status = nm_scene_builder_begin(builder, source->map, (double)NM_STEP_SECONDS, steps, error);
    if (status == NM_OK) status = add_tracks(footage->take, steps, builder, error);
    for (uint32_t i = 0; signals->signal_states && i < source->map->signal_count; i++)
        for (uint32_t t = 0; status == NM_OK && t < steps; t++)
            status = nm_scene_builder_set_signal(
                builder, i, t, (nm_signal_state)signals->signal_states[(size_t)i * signals->step_count + t], error);
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, nm_kind_spec_of(request->ranges.kind)->name, error);
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, nm_severity_name(request->ranges.severity), error);
    if (status == NM_OK) status = nm_scene_builder_set_provenance(builder, &provenance, error);
    if (status != NM_OK) return status;
    nm_scene_builder_set_current(builder, footage->current, footage->ego);
    return nm_scene_builder_build(builder, out, error);
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

nm_status nm_case_parse(const char *parameters, nm_case_request *request, uint64_t *index, nm_error *error) {
    NM_ASSERT(parameters && request && index);
    nm_case_request read = nm_case_request_default();
    char kind[64], severity[64], sampling[64], ego[64], idm[64];
    char generator[64];
    nm_kind which;
    nm_severity outcome;
    uint32_t given;
    // recipes of manoeuvres did not always name their generator
    if (word(parameters, "generator", generator) && !nm_case_generator_from_name(generator, &read.generator))
        return NM_ERROR(error, NM_E_FORMAT, "these are not the parameters of a corner case: no known generator");
    if (!word(parameters, "kind", kind) || !nm_kind_from_name(kind, &which) ||
        !word(parameters, "severity", severity) || !nm_severity_from_name(severity, &outcome))
        return NM_ERROR(error, NM_E_FORMAT, "these are not the parameters of a corner case: no known kind or severity");
    nm_status status = nm_kind_ranges_default(which, outcome, &read.ranges, error);
    if (status != NM_OK) return NM_ERROR(error, NM_E_FORMAT, "%s cannot be made as %s", kind, severity);
    if (!word(parameters, "sampling", sampling) || !nm_sampling_from_name(sampling, &read.sampling) ||
        !whole(parameters, "seed", &read.seed) || !whole(parameters, "index", index) ||
        !small(parameters, "start_step", &read.start_step) || !small(parameters, "steps", &read.steps) ||
        !small(parameters, "traffic", &read.traffic) || !word(parameters, "ego", ego) ||
        !nm_policy_from_name(ego, &read.ego) || !word(parameters, "idm", idm) || !small(parameters, "given", &given) ||
        given >> nm_kind_spec_of(which)->param_count || !read_ranges(parameters, &read.ranges))
        return NM_ERROR(error, NM_E_FORMAT, "the parameters of the corner case are incomplete or out of range");
    small(parameters, "adversaries", &read.adversaries);
    small(parameters, "model_candidates", &read.model_candidates);
    read.ranges.given = given;
    read.idm = idm[0] ? nm_idm_named(idm) : NULL;
    if (idm[0] && !read.idm)
        return NM_ERROR(error, NM_E_FORMAT, "the corner case was made with IDM parameters that are not known here");
    *request = read;
    return NM_OK;
}

nm_status nm_case_check_weights(const char *parameters, const nm_model *model, nm_error *error) {
    NM_ASSERT(parameters && model);
    char text[64], *end = text;
    // its own: those of a generated parent follow
    const char *own = after(parameters, "weights"), *parent = after(parameters, "parent_parameters");
    const int there = own && !(parent && parent < own) && word(parameters, "weights", text) && strlen(text) == 16;
    const uint64_t made = there ? strtoull(text, &end, 16) : 0;
    if (end != text + 16)
        return NM_ERROR(error, NM_E_FORMAT, "these are not the parameters of a scene that a model took part in");
    uint64_t weights;
    const nm_status status = nm_model_hash(model, &weights, error);
    if (status != NM_OK || weights == made) return status;
    return NM_ERROR(error, NM_E_FORMAT,
                    "the scene was made with the weights %016" PRIx64 "; those at hand are %016" PRIx64, made, weights);
}
