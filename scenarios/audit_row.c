// What a row says: the request and the roles in the provenance, what was achieved, how it was judged. Read with a JSON
// parser, not with the reader of the generators.
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/audit_internal.h"
#include "sim/builtin.h"

#define ROUNDED 1.1e-4   // what is stored for people is rounded to a ten-thousandth
#define TTC_COARSE 0.005 // s: boxes are moved in steps of 0.0005 s; what is stored is exact

static const char *text_of(const cJSON *object, const char *name) {
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

static double number_of(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

// --- the case --------------------------------------------------------------------------------------------------------

static int read_track(const nm_scene *scene, const cJSON *item, uint32_t *track) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < scene->track_count)) return 0;
    *track = (uint32_t)item->valuedouble;
    return 1;
}

static int read_roles(const nm_scene *scene, const cJSON *recipe, nm_audit_case *c) {
    const cJSON *roles = cJSON_GetObjectItemCaseSensitive(recipe, "roles"), *one;
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(roles, "other");
    if (!read_track(scene, cJSON_GetObjectItemCaseSensitive(roles, "ego"), &c->ego) ||
        !read_track(scene, cJSON_GetObjectItemCaseSensitive(roles, "adversary"), &c->adversary))
        return 0;
    c->danger = c->staged[c->staged_count++] = c->adversary;
    if (other) {
        if (!read_track(scene, other, &c->staged[c->staged_count])) return 0;
        if (c->kind == NM_KIND_CUT_OUT) c->danger = c->staged[c->staged_count];
        c->staged_count++;
    }
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(roles, "more")) {
        if (c->staged_count == sizeof c->staged / sizeof *c->staged ||
            !read_track(scene, one, &c->staged[c->staged_count]))
            return 0;
        c->staged_count++;
    }
    for (uint32_t i = 0; i < c->staged_count; i++)
        if (c->staged[i] == c->ego) return 0;
    return 1;
}

static int read_ranges(const cJSON *recipe, nm_audit_case *c) {
    const nm_kind_spec *spec = nm_kind_spec_of(c->kind);
    const cJSON *ranges = cJSON_GetObjectItemCaseSensitive(recipe, "ranges");
    for (size_t i = 0; i < spec->param_count; i++) {
        const cJSON *pair = cJSON_GetObjectItemCaseSensitive(ranges, spec->params[i].name);
        const cJSON *low = cJSON_GetArrayItem(pair, 0), *high = cJSON_GetArrayItem(pair, 1);
        if (!cJSON_IsNumber(low) || !cJSON_IsNumber(high) || !(low->valuedouble <= high->valuedouble)) return 0;
        c->range[i] = (nm_kind_range){(float)low->valuedouble, (float)high->valuedouble};
    }
    const double given = number_of(recipe, "given");
    if (!(given >= 0 && given < (double)(1u << spec->param_count))) return 0;
    c->given = (uint32_t)given;
    return 1;
}

nm_status nm_audit_read_case(const nm_scene *scene, nm_audit_case *out, nm_error *error) {
    NM_ASSERT(scene && out);
    nm_audit_case c = {.kind = NM_KIND_CUT_IN};
    cJSON *recipe = cJSON_Parse(scene->provenance.parameters);
    const int read = nm_kind_from_name(text_of(recipe, "kind"), &c.kind) &&
                     nm_severity_from_name(text_of(recipe, "severity"), &c.severity) && read_ranges(recipe, &c);
    const int cast = read && read_roles(scene, recipe, &c);
    c.begin = strcmp(text_of(recipe, "generator"), "diffusion") == 0 ? scene->current_step : 0;
    cJSON_Delete(recipe);
    if (!read) return NM_ERROR(error, NM_E_FORMAT, "its provenance has no request of a corner case");
    if (!cast) return NM_ERROR(error, NM_E_FORMAT, "the roles in its provenance are not those of the scene");
    *out = c;
    return NM_OK;
}

// --- the row ---------------------------------------------------------------------------------------------------------

typedef struct statements {
    nm_audit_report *report;
    uint32_t wrong;
} statements;

NM_PRINTF(3, 4) static void hold(statements *s, int holds, const char *format, ...) {
    va_list arguments;
    if (holds) return;
    if (s->wrong++ || s->report->remark[0]) return; // the first one is told
    va_start(arguments, format);
    vsnprintf(s->report->remark, sizeof s->report->remark, format, arguments);
    va_end(arguments);
}

static int has_tag(const nm_scene *scene, const char *tag) {
    for (uint32_t i = 0; i < scene->tag_count; i++)
        if (strcmp(scene->tags[i], tag) == 0) return 1;
    return 0;
}

static void check_names(statements *s, const nm_scene *scene, const nm_audit_case *c, const cJSON *recipe,
                        const nm_generated *row) {
    const char *kind = nm_kind_name(c->kind), *severity = nm_severity_name(c->severity);
    const char *generator = text_of(recipe, "generator");
    hold(s, row->kind == c->kind, "the row says %s, the provenance %s", nm_kind_name(row->kind), kind);
    hold(s, strcmp(row->severity, severity) == 0, "the row says %.20s, the provenance %s", row->severity, severity);
    hold(s, strcmp(row->generator, generator) == 0, "the row says %.20s, the provenance %.20s", row->generator,
         generator);
    hold(s, strcmp(scene->provenance.source, generator) == 0, "the source is %.20s, not %.20s",
         scene->provenance.source, generator);
    hold(s, has_tag(scene, kind) && has_tag(scene, severity), "it is not tagged %s and %s", kind, severity);
}

static void check_origin(statements *s, const nm_scene *scene, const cJSON *recipe) {
    const nm_provenance *p = &scene->provenance;
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, p->seed);
    hold(s, strcmp(text_of(recipe, "seed"), seed) == 0, "the seed is %s, the request's %.20s", seed,
         text_of(recipe, "seed"));
    hold(s, p->parent != 0, "it names no parent");
    hold(s, text_of(recipe, "index")[0] != '\0', "it names no attempt");
    hold(s, number_of(recipe, "steps") + 1 == (double)scene->step_count, "%u steps, asked for %g",
         scene->step_count - 1, number_of(recipe, "steps"));
    hold(s, scene->current_step + 1 < scene->step_count, "it ends at its current step");
}

static void check_roles(statements *s, const nm_scene *scene, const nm_audit_case *c) {
    hold(s, scene->ego == c->ego && (scene->tracks[c->ego].flags & NM_TRACK_EGO), "the ego of the scene is another");
    hold(s, (scene->tracks[c->adversary].flags & NM_TRACK_ADVERSARY) != 0, "the adversary is not marked as one");
    hold(s, scene->valid[nm_scene_at(scene, c->ego, scene->current_step)], "the ego is not there when it begins");
}

// How closely what was asked for is met, as case.h says.
static double tolerance_of(const nm_kind_param *param) {
    if (strcmp(param->unit, "m") == 0) return (double)NM_TOLERANCE_GAP;
    if (strcmp(param->unit, "s") == 0) return (double)NM_TOLERANCE_TIME;
    return (double)NM_TOLERANCE_SPEED;
}

static void check_numbers(statements *s, const nm_audit_case *c, const cJSON *recipe, const nm_generated *row) {
    const nm_kind_spec *spec = nm_kind_spec_of(c->kind);
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(recipe, "achieved");
    const cJSON *aimed = cJSON_GetObjectItemCaseSensitive(recipe, "requested");
    cJSON *achieved = cJSON_Parse(row->achieved), *requested = cJSON_Parse(row->requested);
    for (size_t i = 0; i < spec->param_count; i++) {
        const nm_kind_param *p = &spec->params[i];
        const double a = number_of(achieved, p->name), b = number_of(told, p->name);
        const double q = number_of(requested, p->name), r = number_of(aimed, p->name);
        hold(s, isnan(a) ? isnan(b) : fabs(a - b) <= ROUNDED, "achieved %s is %g in the row, %g in the provenance",
             p->name, a, b);
        if (p->id == NM_PARAM_MIN_TTC) continue; // a result
        hold(s, isnan(q) ? isnan(r) : fabs(q - r) <= ROUNDED, "requested %s is %g in the row, %g in the provenance",
             p->name, q, r);
        const double low = (double)c->range[i].low - tolerance_of(p), high = (double)c->range[i].high + tolerance_of(p);
        hold(s, isnan(b) || (b >= low && b <= high), "achieved %s is %g, asked for %g to %g", p->name, b,
             (double)c->range[i].low, (double)c->range[i].high);
    }
    cJSON_Delete(achieved);
    cJSON_Delete(requested);
}

static void check_ttc(statements *s, const nm_audit_report *report, const cJSON *recipe) {
    const double stated = number_of(recipe, "min_ttc"), most = report->min_ttc, least = report->min_ttc_grazing;
    const int none = isnan(stated); // null: none
    hold(s, none ? isinf(most) : stated >= least - TTC_COARSE && stated <= most + TTC_COARSE, "min_ttc is %g, found %g",
         stated, most);
}

// --- verdicts --------------------------------------------------------------------------------------------------------

static nm_audit_result result_of(const char *name) {
    if (strcmp(name, "pass") == 0) return NM_AUDIT_PASS;
    if (strcmp(name, "allowed") == 0) return NM_AUDIT_ALLOWED;
    return strcmp(name, "fail") == 0 ? NM_AUDIT_BROKEN : NM_AUDIT_UNJUDGED;
}

static void compare(nm_audit_report *report, const cJSON *verdicts, nm_audit_check check, double *contradictions) {
    const cJSON *verdict = cJSON_GetObjectItemCaseSensitive(verdicts, nm_audit_name(check));
    const nm_audit_finding *found = &report->found[check];
    nm_audit_stored *stored = &report->stored[check];
    *stored = (nm_audit_stored){.result = result_of(text_of(verdict, "result")),
                                .value = number_of(verdict, "value"),
                                .limit = number_of(verdict, "limit")};
    if (found->result == NM_AUDIT_UNJUDGED && stored->result == NM_AUDIT_UNJUDGED) return;
    const int judged = found->result != NM_AUDIT_UNJUDGED && stored->result != NM_AUDIT_UNJUDGED;
    // of several agents with values of 0 any may be named, each with a limit of its own
    const int limits = nm_audit_other_value(check, found->value, 0) &&
                       fabs(found->limit - stored->limit) > 2e-3 * fmax(1, found->limit);
    const int other = !judged || limits || nm_audit_other_value(check, found->value, stored->value);
    if (other) report->differs |= 1u << check;
    // at the limit itself rounding may decide
    if (found->result != stored->result && other) ++*contradictions;
}

static void check_verdicts(statements *s, nm_auditing *a, const nm_generated *row) {
    cJSON *document = cJSON_Parse(row->verdicts);
    const cJSON *verdicts = cJSON_GetObjectItemCaseSensitive(document, "verdicts");
    const cJSON *avoid = cJSON_GetObjectItemCaseSensitive(document, "avoidability");
    double contradictions = 0;
    hold(s, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(document, "valid")), "it was not judged valid");
    hold(s, strcmp(text_of(avoid, "label"), row->label) == 0, "the label is %.20s, the verdict's %.20s", row->label,
         text_of(avoid, "label"));
    for (int i = 0; i < NM_AUDIT_VERDICTS; i++) compare(a->report, verdicts, (nm_audit_check)i, &contradictions);
    nm_audit_take(a, NM_AUDIT_JUDGEMENT, NM_NONE, NM_NONE, contradictions, 0, 0);
    cJSON_Delete(document);
}

void nm_audit_row(const nm_scene *scene, const nm_audit_case *about, const nm_generated *row, nm_audit_report *report) {
    NM_ASSERT(scene && about && row && report);
    statements s = {.report = report};
    nm_auditing a = {.scene = scene, .about = about, .report = report};
    cJSON *recipe = cJSON_Parse(scene->provenance.parameters);
    check_names(&s, scene, about, recipe, row);
    check_origin(&s, scene, recipe);
    check_roles(&s, scene, about);
    check_numbers(&s, about, recipe, row);
    check_ttc(&s, report, recipe);
    check_verdicts(&s, &a, row);
    nm_audit_take(&a, NM_AUDIT_ROW, NM_NONE, NM_NONE, s.wrong, 0, 0);
    cJSON_Delete(recipe);
}

// --- made again ------------------------------------------------------------------------------------------------------

nm_status nm_audit_build_parent(const nm_scene *scene, const nm_scene **parent, nm_error *error) {
    NM_ASSERT(scene && parent);
    cJSON *recipe = cJSON_Parse(scene->provenance.parameters);
    const cJSON *how = cJSON_GetObjectItemCaseSensitive(recipe, "parent_parameters");
    const cJSON *seed = cJSON_GetObjectItemCaseSensitive(how, "seed");
    const char *specification = text_of(how, "spec");
    nm_status status = NM_OK;
    *parent = NULL;
    // seeds that a JSON number does not hold are texts
    uint64_t value = 0;
    if (cJSON_IsString(seed)) value = strtoull(seed->valuestring, NULL, 10);
    if (cJSON_IsNumber(seed) && seed->valuedouble >= 0 && seed->valuedouble < 0x1p64)
        value = (uint64_t)seed->valuedouble;
    if (specification[0] && strcmp(text_of(recipe, "parent_source"), "builtin") == 0)
        status = nm_builtin_scene(specification, value, parent, error);
    cJSON_Delete(recipe);
    return status;
}

static void remark(nm_audit_report *report, const char *text) {
    if (!report->remark[0])
        snprintf(report->remark, sizeof report->remark, "%.*s", (int)sizeof report->remark - 1, text);
}

/// 0, with a remark, when the model that the scene was made with is not at hand.
static int has_its_model(const nm_case_work *work, const nm_scene *scene, nm_audit_report *report) {
    const nm_model *model = nm_case_work_model(work);
    nm_error error;
    nm_error_clear(&error);
    if (!model)
        remark(report, "it was made with a model, which is not here: it cannot be made again");
    else if (nm_case_check_weights(scene->provenance.parameters, model, &error) != NM_OK)
        remark(report, error.message);
    else
        return 1;
    return 0;
}

void nm_audit_again(nm_case_work *work, const nm_scene *scene, const nm_scene *parent, nm_audit_report *report) {
    NM_ASSERT(work && scene && report);
    nm_auditing a = {.scene = scene, .report = report};
    nm_error error;
    nm_error_clear(&error);
    if (!parent) {
        remark(report, "its parent is not to be had: it cannot be made again");
        return;
    }
    nm_case made = {.scene = NULL};
    nm_case_request request;
    uint64_t index;
    nm_status status = nm_case_parse(scene->provenance.parameters, &request, &index, &error);
    if (status == NM_OK && nm_case_uses_model(&request) && !has_its_model(work, scene, report)) return;
    if (status == NM_OK) status = nm_case_again(work, parent, scene->provenance.parameters, &made, &error);
    const int same = status == NM_OK && made.scene && made.scene->hash == scene->hash;
    if (status != NM_OK)
        remark(report, error.message);
    else if (!made.scene)
        remark(report, "made again it is rejected");
    else if (!same)
        remark(report, "made again it is another scene");
    if (status == NM_OK) nm_scene_destroy(made.scene);
    nm_audit_take(&a, NM_AUDIT_AGAIN, NM_NONE, NM_NONE, same ? 0 : 1, 0, 0);
}
