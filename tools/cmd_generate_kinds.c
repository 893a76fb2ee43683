/// `nearmiss generate --kind`: corner cases on demand.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/corner_set.h"
#include "sim/builtin.h"
#include "tools/cmd_event.h"
#include "tools/cmd_generate.h"

#define BUILTIN_VARIANTS 2u
#define DENSITY "density=15" // vehicles a km of lane: room for manoeuvres

typedef struct kinds_run {
    const nm_command *command;
    const nm_common *common;
    const nm_generate_options *options;
    nm_corner_kind kinds[NM_KIND_COUNT];
    uint32_t kind_count;
    const nm_scene **sources;
    size_t source_count, source_capacity;
    int all; ///< of all kinds those that there is room for
    nm_corner_yield yields[NM_KIND_COUNT];
    nm_corner_report report;
    nm_progress *progress;
    uint64_t shown; ///< of the progress
} kinds_run;

// ---------------------------------------------------------------------------------------------------------------------
// The list

static void list_params(const nm_kind_spec *spec, cJSON *object) {
    cJSON *list = cJSON_AddArrayToObject(object, "parameters");
    for (size_t i = 0; i < spec->param_count; ++i) {
        const nm_kind_param *p = &spec->params[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "name", p->name);
        cJSON_AddStringToObject(one, "unit", p->unit);
        nm_json_number(one, "lowest", (double)p->bounds.low);
        nm_json_number(one, "highest", (double)p->bounds.high);
        for (int s = 0; s < NM_SEVERITY_COUNT; ++s) {
            if (!(spec->severities >> s & 1u)) continue;
            cJSON *range = cJSON_AddArrayToObject(one, nm_severity_name((nm_severity)s));
            cJSON_AddItemToArray(range, cJSON_CreateNumber((double)p->fallback[s].low));
            cJSON_AddItemToArray(range, cJSON_CreateNumber((double)p->fallback[s].high));
        }
        cJSON_AddStringToObject(one, "meaning", p->source);
        cJSON_AddItemToArray(list, one);
    }
}

static int list_json(const nm_command *command) {
    cJSON *document = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(document, "kinds");
    for (int k = 0; k < NM_KIND_COUNT; ++k) {
        const nm_kind_spec *spec = nm_kind_spec_of((nm_kind)k);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "kind", spec->name);
        cJSON_AddStringToObject(object, "definition", spec->definition);
        cJSON_AddBoolToObject(object, "generable", spec->generable);
        cJSON_AddStringToObject(object, "ego", spec->ego ? spec->ego : "");
        cJSON_AddStringToObject(object, "adversary", spec->adversary ? spec->adversary : "");
        cJSON_AddStringToObject(object, "typology", spec->typology ? spec->typology : "");
        cJSON_AddStringToObject(object, "tests", spec->tests ? spec->tests : "");
        cJSON *needs = cJSON_AddArrayToObject(object, "needs");
        for (unsigned b = 0; b < NM_NEED_COUNT; ++b)
            if (spec->needs >> b & 1u) cJSON_AddItemToArray(needs, cJSON_CreateString(nm_need_text(1u << b)));
        list_params(spec, object);
        cJSON_AddItemToArray(list, object);
    }
    return nm_cli_print_json(command, document);
}

int nm_generate_list_kinds(const nm_command *command, int json) {
    if (json) return list_json(command);
    for (int k = 0; k < NM_KIND_COUNT; ++k) {
        const nm_kind_spec *spec = nm_kind_spec_of((nm_kind)k);
        printf("%s%s\n  %s\n", k ? "\n" : "", spec->name, spec->definition);
        if (!spec->generable) continue;
        if (spec->typology && spec->typology[0]) printf("  NHTSA: %s\n", spec->typology);
        if (spec->tests && spec->tests[0]) printf("  tests: %s\n", spec->tests);
        for (size_t i = 0; i < spec->param_count; ++i) {
            const nm_kind_param *p = &spec->params[i];
            const nm_kind_range r = p->fallback[spec->severities & 1u ? NM_SEVERITY_NEAR_MISS : NM_SEVERITY_COLLISION];
            printf("  %-16s %-6s %g..%g (possible %g..%g)  %s\n", p->name, p->unit, (double)r.low, (double)r.high,
                   (double)p->bounds.low, (double)p->bounds.high, p->source);
        }
    }
    return nm_cli_finish(command);
}

// ---------------------------------------------------------------------------------------------------------------------
// What is asked for

static int asked_for(const kinds_run *run, nm_kind kind) {
    for (uint32_t k = 0; k < run->kind_count; ++k)
        if (run->kinds[k].kind == kind) return 1;
    return 0;
}

static int lacks_severity(const kinds_run *run, nm_kind kind) {
    nm_severity one;
    return nm_severity_from_name(run->options->severity, &one) && !(nm_kind_spec_of(kind)->severities >> one & 1u);
}

static nm_status add_kind(kinds_run *run, nm_kind kind, nm_error *error) {
    if (asked_for(run, kind)) return NM_ERROR(error, NM_E_ARGUMENT, "%s is asked for twice", nm_kind_name(kind));
    nm_corner_kind *k = &run->kinds[run->kind_count];
    const nm_status status = nm_corner_kind_default(kind, k, error);
    if (status != NM_OK) return status;
    const char *severity = run->options->severity;
    nm_severity one;
    if (strcmp(severity, "both") != 0) {
        if (!nm_severity_from_name(severity, &one))
            return NM_ERROR(error, NM_E_ARGUMENT, "--severity wants near_miss, collision or both, not '%.40s'",
                            severity);
        if (lacks_severity(run, kind))
            return NM_ERROR(error, NM_E_ARGUMENT, "%s has no severity %s", nm_kind_name(kind), severity);
        k->collisions = one == NM_SEVERITY_COLLISION ? 1.0 : 0.0;
    }
    if (!nm_sampling_from_name(run->options->sampling, &k->sampling))
        return NM_ERROR(error, NM_E_ARGUMENT, "--sampling wants uniform, grid, all or critical, not '%.40s'",
                        run->options->sampling);
    run->kind_count++;
    return NM_OK;
}

/// Those that can be made, but for those that cannot have the severity: they are named.
static nm_status add_all_kinds(kinds_run *run, nm_error *error) {
    nm_status status = NM_OK;
    run->all = 1;
    for (int k = 0; status == NM_OK && k < NM_KIND_COUNT; ++k) {
        const nm_kind kind = (nm_kind)k;
        if (!nm_kind_spec_of(kind)->generable || asked_for(run, kind)) continue;
        if (!lacks_severity(run, kind))
            status = add_kind(run, kind, error);
        else if (!run->common->quiet)
            fprintf(stderr, "nearmiss generate: without %s: it has no severity %s\n", nm_kind_name(kind),
                    run->options->severity);
    }
    return status;
}

static nm_status read_kinds(kinds_run *run, nm_error *error) {
    const nm_text_list *list = &run->options->kinds;
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < list->count; ++i) {
        nm_kind kind;
        if (strcmp(list->items[i], "all") == 0) {
            status = add_all_kinds(run, error);
        } else if (!nm_kind_from_name(list->items[i], &kind)) {
            return NM_ERROR(error, NM_E_ARGUMENT, "there is no kind '%.60s'; see --list-kinds", list->items[i]);
        } else {
            status = add_kind(run, kind, error);
        }
    }
    return status;
}

/// One --param, for every kind that has it and every severity that is asked for. Kinds without such a parameter are
/// passed over unless none has it; what a kind refuses is an error. collisions have no least time to collision.
static nm_status set_param(kinds_run *run, const char *text, nm_error *error) {
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    const int named = dot && equals && dot < equals;
    const char *setting = named ? dot + 1 : text;
    const size_t length = strcspn(setting, "=");
    int taken = 0, matched = 0;
    for (uint32_t k = 0; k < run->kind_count; ++k) {
        nm_corner_kind *kind = &run->kinds[k];
        const nm_kind_spec *spec = nm_kind_spec_of(kind->kind);
        if (named && (strlen(spec->name) != (size_t)(dot - text) || strncmp(spec->name, text, strlen(spec->name)) != 0))
            continue;
        matched = 1;
        size_t p = 0;
        while (p < spec->param_count &&
               (strlen(spec->params[p].name) != length || strncmp(spec->params[p].name, setting, length) != 0))
            ++p;
        for (int s = 0; p < spec->param_count && s < NM_SEVERITY_COUNT; ++s) {
            if (!(spec->severities >> s & 1u) || kind->collisions == (s == NM_SEVERITY_COLLISION ? 0.0 : 1.0)) continue;
            if (s == NM_SEVERITY_COLLISION && spec->params[p].id == NM_PARAM_MIN_TTC) continue;
            nm_error why;
            nm_error_clear(&why);
            if (nm_kind_ranges_set(&kind->ranges[s], setting, &why) != NM_OK)
                return NM_ERROR(error, NM_E_ARGUMENT, "--param %.60s: %s", text, why.message);
            taken = 1;
        }
    }
    if (taken) return NM_OK;
    if (!matched) return NM_ERROR(error, NM_E_ARGUMENT, "--param %.60s: no kind of that name is asked for", text);
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "--param %.60s: no kind that is asked for has that parameter; see --list-kinds", text);
}

// ---------------------------------------------------------------------------------------------------------------------
// Sources

static nm_status add_source(kinds_run *run, const nm_scene *scene, nm_error *error) {
    if (run->source_count == run->source_capacity) {
        const size_t capacity = run->source_capacity ? 2 * run->source_capacity : 64;
        const nm_scene **grown = realloc(run->sources, capacity * sizeof *grown);
        if (!grown) {
            nm_scene_destroy(scene);
            return NM_ERROR(error, NM_E_MEMORY, "out of memory for the sources of corner cases");
        }
        run->sources = grown;
        run->source_capacity = capacity;
    }
    run->sources[run->source_count++] = scene;
    return NM_OK;
}

static nm_status add_builtin(kinds_run *run, const char *specification, uint64_t seed, nm_error *error) {
    const nm_scene *scene;
    const nm_status status = nm_builtin_scene(specification, seed, &scene, error);
    return status == NM_OK ? add_source(run, scene, error) : status;
}

static nm_status add_all_maps(kinds_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (int k = 0; status == NM_OK && k < NM_BUILTIN_COUNT; ++k) {
        for (uint64_t i = 0; status == NM_OK && i < BUILTIN_VARIANTS; ++i) {
            char text[80];
            snprintf(text, sizeof text, "%s:" DENSITY, nm_builtin_name((nm_builtin_kind)k));
            status = add_builtin(run, text, (uint64_t)run->options->seed + i, error);
        }
    }
    return status;
}

static nm_status add_stored(kinds_run *run, nm_store *store, int64_t id, int named, nm_error *error) {
    const nm_scene *scene, *ready;
    nm_status status = nm_store_get_scene(store, id, &scene, error);
    if (status != NM_OK) return status;
    const char *source = scene->provenance.source;
    if (strcmp(source, "nexus") == 0 || strcmp(source, "manoeuvre") == 0) { // made of the others
        nm_scene_destroy(scene);
        if (!named) return NM_OK;
        return NM_ERROR(error, NM_E_ARGUMENT, "scene %" PRId64 " was generated: name a recorded one", id);
    }
    if (fabsf(scene->dt - NM_STEP_SECONDS) <= 1e-4f) return add_source(run, scene, error);
    status = nm_scene_resample(scene, (double)NM_STEP_SECONDS, &ready, error);
    nm_scene_destroy(scene);
    return status == NM_OK ? add_source(run, ready, error) : status;
}

static nm_status add_from_store(kinds_run *run, const char *path, const nm_text_list *only, nm_error *error) {
    nm_store *store;
    nm_arena *arena = nm_arena_create(0);
    int64_t named[NM_LIST_MAX], *ids = named;
    size_t count = only->count;
    nm_status status = arena ? nm_store_open(path, NM_STORE_READ, &store, error)
                             : NM_ERROR(error, NM_E_MEMORY, "out of memory for the sources of corner cases");
    if (status != NM_OK) {
        nm_arena_destroy(arena);
        return status;
    }
    nm_store_set_interrupt(store, nm_cli_stop, NULL);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        char *end;
        named[i] = strtoll(only->items[i], &end, 10);
        if (*end || end == only->items[i] || named[i] <= 0)
            status = NM_ERROR(error, NM_E_ARGUMENT, "'%.100s' is not the id of a scene", only->items[i]);
    }
    if (status == NM_OK && !count) status = nm_store_scene_ids(store, -1, arena, &ids, &count, error);
    for (size_t i = 0; status == NM_OK && i < count; ++i) {
        status = add_stored(run, store, ids[i], only->count > 0, error);
        if (status == NM_OK && nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    nm_store_close(store);
    nm_arena_destroy(arena);
    if (status == NM_OK && !run->source_count)
        return NM_ERROR(error, NM_E_NOT_FOUND, "%s holds no recorded scene to begin from", path);
    return status;
}

static nm_status open_sources(kinds_run *run, nm_error *error) {
    const nm_generate_options *o = run->options;
    static const nm_text_list all;
    if (o->from) return add_from_store(run, o->from, &all, error);
    if (o->scenes.count) return add_from_store(run, o->store, &o->scenes, error);
    if (o->map && strcmp(o->map, "all") != 0) return add_builtin(run, o->map, (uint64_t)o->seed, error);
    return add_all_maps(run, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// The run

/// The request as JSON: what makes a run the same run.
static char *describe(const kinds_run *run) {
    const nm_generate_options *o = run->options;
    cJSON *document = cJSON_CreateObject(), *kinds = cJSON_AddArrayToObject(document, "kinds");
    for (uint32_t k = 0; k < run->kind_count; ++k) {
        const nm_corner_kind *kind = &run->kinds[k];
        const nm_kind_spec *spec = nm_kind_spec_of(kind->kind);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "kind", spec->name);
        nm_json_number(object, "collisions", kind->collisions);
        for (int s = 0; s < NM_SEVERITY_COUNT; ++s) {
            if (!(spec->severities >> s & 1u)) continue;
            cJSON *ranges = cJSON_AddObjectToObject(object, nm_severity_name((nm_severity)s));
            nm_json_integer(ranges, "given", kind->ranges[s].given); // which of them were asked for
            for (size_t i = 0; i < spec->param_count; ++i) {
                cJSON *range = cJSON_AddArrayToObject(ranges, spec->params[i].name);
                cJSON_AddItemToArray(range, cJSON_CreateNumber((double)kind->ranges[s].range[i].low));
                cJSON_AddItemToArray(range, cJSON_CreateNumber((double)kind->ranges[s].range[i].high));
            }
        }
        cJSON_AddItemToArray(kinds, object);
    }
    uint64_t hash = 0;
    for (size_t i = 0; i < run->source_count; ++i)
        hash = nm_hash_bytes(&run->sources[i]->hash, sizeof run->sources[i]->hash, hash);
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    nm_json_integer(document, "sources", run->source_count);
    cJSON_AddStringToObject(document, "sources_hash", text);
    cJSON_AddStringToObject(document, "sampling", o->sampling);
    if (o->hours > 0.0)
        nm_json_number(document, "hours", o->hours);
    else
        nm_json_integer(document, "count", (uint64_t)o->count);
    nm_json_number(document, "seconds", o->seconds);
    nm_json_integer(document, "traffic", (uint64_t)o->traffic);
    cJSON_AddStringToObject(document, "ego", o->ego);
    char *printed = cJSON_PrintUnformatted(document);
    cJSON_Delete(document);
    return printed;
}

/// An option and its value, which a shell reads as they are.
static void put_option(FILE *file, const char *name, const char *value) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.,:/=@%";
    const int quoted = value[0] == '\0' || value[strspn(value, safe)] != '\0';
    fprintf(file, " --%s %s", name, quoted ? "'" : "");
    for (const char *c = value; *c; ++c) {
        if (*c == '\'')
            fputs("'\\''", file);
        else
            fputc(*c, file);
    }
    if (quoted) fputc('\'', file);
}

static void put_list(FILE *file, const char *name, const nm_text_list *list) {
    for (size_t i = 0; i < list->count; ++i) put_option(file, name, list->items[i]);
}

/// In as few digits as give the same number again.
static void put_real(FILE *file, const char *name, double value) {
    char text[40];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) snprintf(text, sizeof text, "%.17g", value);
    put_option(file, name, text);
}

/// The command line that makes the set again; NULL without memory. It is a part of what makes a run the same run, so it
/// names neither the store, which may be moved, nor what changes nothing but the time that it takes.
static char *command_line(const kinds_run *run) {
    const nm_generate_options *o = run->options;
    char *line = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&line, &size);
    if (!file) return NULL;
    fputs("nearmiss generate", file);
    put_list(file, "kind", &o->kinds);
    put_list(file, "param", &o->params);
    put_option(file, "severity", o->severity);
    put_option(file, "sampling", o->sampling);
    if (o->from)
        put_option(file, "from", o->from);
    else if (o->scenes.count)
        put_list(file, "scene", &o->scenes);
    else
        put_option(file, "map", o->map ? o->map : "all");
    if (o->hours > 0.0)
        put_real(file, "hours", o->hours);
    else
        fprintf(file, " --count %" PRId64, o->count);
    fprintf(file, " --seed %" PRId64 " --traffic %" PRId64, o->seed, o->traffic);
    put_real(file, "seconds", o->seconds);
    put_option(file, "ego", o->ego);
    const int failed = ferror(file);
    if (fclose(file) == 0 && !failed) return line;
    free(line);
    return NULL;
}

static void show_progress(void *context, uint64_t kept, double hours) {
    kinds_run *run = context;
    const uint64_t now = run->options->hours > 0.0 ? (uint64_t)(hours * 3600.0) : kept;
    if (now > run->shown) nm_progress_add(run->progress, now - run->shown);
    run->shown = now;
}

/// Of all kinds those that some source can hold; the others are named.
static void leave_out(kinds_run *run, nm_corner_config *config) {
    uint32_t kept = 0;
    for (uint32_t k = 0; k < run->kind_count; ++k) {
        nm_corner_config one = *config;
        nm_error why;
        nm_error_clear(&why);
        one.kinds = &run->kinds[k];
        one.kind_count = 1;
        if (nm_corner_check(&one, &why) != NM_E_UNSUPPORTED)
            run->kinds[kept++] = run->kinds[k];
        else if (!run->common->quiet)
            fprintf(stderr, "nearmiss generate: without %s: no road here can hold it\n",
                    nm_kind_name(run->kinds[k].kind));
    }
    config->kind_count = run->kind_count = kept;
}

static nm_status configure(kinds_run *run, nm_corner_config *config, nm_error *error) {
    const nm_generate_options *o = run->options;
    *config = nm_corner_config_default();
    config->kinds = run->kinds;
    config->kind_count = run->kind_count;
    config->sources = run->sources;
    config->source_count = (uint32_t)run->source_count;
    config->hours = o->hours;
    config->count = o->hours > 0.0 ? 0 : (uint64_t)o->count;
    config->seed = (uint64_t)o->seed;
    config->steps = (uint32_t)lround(o->seconds / (double)NM_STEP_SECONDS);
    config->traffic = (uint32_t)o->traffic;
    config->stop = nm_cli_stop;
    config->progress = show_progress;
    config->progress_context = run;
    if (!nm_policy_from_name(o->ego, &config->ego))
        return NM_ERROR(error, NM_E_ARGUMENT, "--ego wants idm or constant_velocity, not '%.40s'", o->ego);
    if (run->all) leave_out(run, config);
    return nm_corner_check(config, error);
}

static nm_status make_set(kinds_run *run, nm_corner_config *config, nm_error *error) {
    const nm_generate_options *o = run->options;
    const nm_detect_params detect = nm_detect_params_default();
    nm_store *store = NULL;
    nm_thread_pool *pool = NULL;
    cJSON *mining = nm_detect_params_json(&detect);
    char *description = describe(run), *line = command_line(run);
    char *parameters = mining ? cJSON_PrintUnformatted(mining) : NULL;
    cJSON_Delete(mining);
    nm_status status = description && line && parameters ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &pool, error);
    if (status == NM_OK) status = nm_store_open(o->store, NM_STORE_CREATE, &store, error);
    if (status == NM_OK) {
        nm_store_set_interrupt(store, nm_cli_stop, NULL);
        config->mining = parameters;
        config->run =
            (nm_generation_run){.parameters = description, .command = line, .program = "nearmiss " NM_VERSION};
        const uint64_t wanted =
            o->hours > 0.0 ? (uint64_t)(o->hours * 3600.0) : (uint64_t)o->count * (uint64_t)run->kind_count;
        run->progress = nm_progress_start("generate", o->hours > 0.0 ? "s of scenes" : "scenes", wanted,
                                          run->common->quiet || run->common->json);
        status = nm_corner_set_run(config, store, pool, &run->report, error);
        nm_progress_finish(run->progress);
    }
    nm_store_close(store);
    nm_thread_pool_destroy(pool);
    free(description);
    free(line);
    free(parameters);
    return status;
}

/// Names the kinds that were given up. 1 = one of them was asked for by name.
static int fell_short(const kinds_run *run) {
    int named = 0;
    for (uint32_t k = 0; k < run->kind_count; ++k) {
        const nm_corner_yield *y = &run->yields[k];
        if (!y->given_up) continue;
        fprintf(stderr,
                "nearmiss generate: %s was given up with %" PRIu64 " of %" PRIu64
                " attempts kept: see the rejects of nearmiss stats\n",
                nm_kind_name(y->kind), y->kept, y->attempts);
        named |= !run->all;
    }
    return named;
}

static double yield_of(const nm_corner_yield *y) {
    return y->attempts ? 100.0 * (double)y->kept / (double)y->attempts : NAN;
}

static int print_report(const kinds_run *run) {
    const nm_corner_report *r = &run->report;
    if (run->common->json) {
        cJSON *document = cJSON_CreateObject(), *kinds = cJSON_AddArrayToObject(document, "kinds");
        nm_json_integer(document, "generation", (uint64_t)r->generation);
        nm_json_integer(document, "kept", r->kept);
        nm_json_integer(document, "attempts", r->attempts);
        nm_json_number(document, "hours", r->hours);
        for (uint32_t k = 0; k < run->kind_count; ++k) {
            const nm_corner_yield *y = &run->yields[k];
            cJSON *one = cJSON_CreateObject();
            cJSON_AddStringToObject(one, "kind", nm_kind_name(y->kind));
            nm_json_integer(one, "sources", y->sources);
            nm_json_integer(one, "attempts", y->attempts);
            nm_json_integer(one, "kept", y->kept);
            nm_json_number(one, "yield_percent", yield_of(y));
            cJSON_AddBoolToObject(one, "given_up", y->given_up);
            cJSON_AddItemToArray(kinds, one);
        }
        return nm_cli_print_json(run->command, document);
    }
    static const char *const heads[] = {"kind", ">sources", ">attempts", ">kept", ">yield %"};
    nm_table *table = nm_table_create(heads, 5);
    for (uint32_t k = 0; table && k < run->kind_count; ++k) {
        const nm_corner_yield *y = &run->yields[k];
        nm_table_cell(table, "%s", nm_kind_name(y->kind));
        nm_table_cell(table, "%" PRIu64, (uint64_t)y->sources);
        nm_table_cell(table, "%" PRIu64, (uint64_t)y->attempts);
        nm_table_cell(table, "%" PRIu64, (uint64_t)y->kept);
        nm_table_number(table, 1, yield_of(y));
    }
    if (table) nm_table_print(table, stdout);
    nm_table_destroy(table);
    printf("\n%" PRIu64 " scenes of %" PRIu64 " attempts in this run; %.2f hours in all\n", r->kept, r->attempts,
           r->hours);
    return nm_cli_finish(run->command);
}

int nm_generate_kinds(const nm_command *command, const nm_common *common, const nm_generate_options *options) {
    nm_error error;
    nm_error_clear(&error);
    kinds_run *run = calloc(1, sizeof *run);
    if (!run) {
        NM_ERROR(&error, NM_E_MEMORY, "out of memory");
        return nm_cli_fail(command, &error);
    }
    *run = (kinds_run){.command = command, .common = common, .options = options};
    run->report.yields = run->yields;
    nm_corner_config config;
    nm_status status = read_kinds(run, &error);
    for (size_t i = 0; status == NM_OK && i < options->params.count; ++i)
        status = set_param(run, options->params.items[i], &error);
    if (status == NM_OK) status = open_sources(run, &error);
    if (status == NM_OK) status = configure(run, &config, &error);
    if (status == NM_OK) status = make_set(run, &config, &error);
    int exit_status;
    if (status == NM_OK) {
        exit_status = print_report(run);
        if (exit_status == NM_EXIT_OK && fell_short(run)) exit_status = NM_EXIT_FAILED;
    } else {
        nm_cli_fail(command, &error);
        exit_status = status == NM_E_ARGUMENT || status == NM_E_UNSUPPORTED ? NM_EXIT_USAGE : NM_EXIT_FAILED;
    }
    for (size_t i = 0; i < run->source_count; ++i) nm_scene_destroy(run->sources[i]);
    free(run->sources);
    free(run);
    return exit_status;
}
