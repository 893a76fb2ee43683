/// `nearmiss generate --kind`, `--mix`: corner cases on demand.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/safetensors.h"
#include "tools/cmd_event.h"
#include "tools/cmd_generate_sources.h"

#define GENERATORS ((uint32_t)NM_CASE_GENERATOR_COUNT)
#define WORD_EVERY 30.0 // s between two lines about how it goes, where there is no bar

typedef struct kinds_run {
    const nm_command *command;
    const nm_common *common;
    const nm_generate_options *options;
    nm_mix mix;
    nm_case_sources sources;
    char model_path[NM_MODEL_PATH];
    uint64_t model_hash;
    nm_backend *backend;
    nm_model *model;
    nm_recipe recipe;
    nm_corner_yield yields[NM_KIND_COUNT * NM_CASE_GENERATOR_COUNT];
    nm_corner_report report;
    nm_progress *progress;
    uint64_t shown; ///< of the progress
    double last_word;
} kinds_run;

// ---------------------------------------------------------------------------------------------------------------------
// What it is: as JSON, and as a command

static void describe_shares(cJSON *object, const double *shares) {
    cJSON *list = cJSON_AddObjectToObject(object, "generators");
    for (uint32_t g = 0; g < GENERATORS; ++g)
        if (shares[g] > 0.0) nm_json_number(list, nm_case_generator_name((nm_case_generator)g), shares[g]);
}

static void describe_kind(cJSON *kinds, const nm_corner_kind *kind) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind->kind);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "kind", spec->name);
    nm_json_number(object, "weight", kind->weight);
    nm_json_number(object, "collisions", kind->collisions);
    cJSON_AddStringToObject(object, "sampling", nm_sampling_name(kind->sampling));
    if (nm_corner_own_shares(kind)) describe_shares(object, kind->generators);
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

static void describe_hash(cJSON *object, const char *name, uint64_t hash) {
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    cJSON_AddStringToObject(object, name, text);
}

/// The request as JSON: what makes a run the same run. Everything that changes the set stands in it, and nothing else.
static char *describe(const kinds_run *run) {
    const nm_mix *mix = &run->mix;
    cJSON *document = cJSON_CreateObject(), *kinds = cJSON_AddArrayToObject(document, "kinds");
    for (uint32_t k = 0; k < mix->kind_count; ++k) describe_kind(kinds, &mix->kinds[k]);
    describe_shares(document, mix->generators);
    nm_json_integer(document, "sources", run->sources.count);
    describe_hash(document, "sources_hash", run->sources.hash);
    if (mix->hours > 0.0)
        nm_json_number(document, "hours", mix->hours);
    else
        nm_json_integer(document, "count", mix->count);
    nm_json_number(document, "seconds", mix->seconds);
    nm_json_integer(document, "traffic", mix->traffic);
    nm_json_integer(document, "adversaries", mix->adversaries);
    cJSON_AddStringToObject(document, "ego", nm_policy_name(mix->ego));
    if (run->model) {
        cJSON_AddStringToObject(document, "model", run->recipe.name);
        describe_hash(document, "model_hash", run->model_hash);
        cJSON_AddStringToObject(document, "device", run->common->device);
        cJSON_AddStringToObject(document, "precision", run->options->precision);
    }
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

/// What the model is, unless it came with the program, and what its numbers depend on.
static void put_model(FILE *file, const kinds_run *run) {
    const char *model = run->options->model ? run->options->model : getenv("NEARMISS_MODEL");
    if (model && model[0]) put_option(file, "model", model);
    if (strcmp(run->options->precision, "bf16") != 0) put_option(file, "precision", run->options->precision);
    if (strcmp(run->common->device, "cpu") != 0) put_option(file, "device", run->common->device);
}

/// A command line that makes the set again, for people; NULL without memory. It names neither the store, which may be
/// moved, nor what changes nothing but the time that it takes.
static char *command_line(const kinds_run *run) {
    const nm_generate_options *o = run->options;
    const nm_mix *mix = &run->mix;
    char *line = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&line, &size);
    if (!file) return NULL;
    fputs("nearmiss generate", file);
    if (o->mix) put_option(file, "mix", o->mix);
    put_list(file, "kind", &o->kinds);
    put_list(file, "param", &o->params);
    if (o->severity) put_option(file, "severity", o->severity);
    if (o->sampling) put_option(file, "sampling", o->sampling);
    put_list(file, "generator", &o->generators);
    put_list(file, "from", &o->from);
    put_list(file, "scene", &o->scenes);
    if (o->map || !(o->mix || o->from.count || o->scenes.count)) put_option(file, "map", o->map ? o->map : "all");
    if (o->sources) fprintf(file, " --sources %" PRId64, o->sources);
    if (mix->hours > 0.0)
        put_real(file, "hours", mix->hours);
    else
        fprintf(file, " --count %" PRIu64, mix->count);
    fprintf(file, " --seed %" PRIu64 " --traffic %u", mix->seed, mix->traffic);
    if (mix->adversaries > 1) fprintf(file, " --adversaries %u", mix->adversaries);
    put_real(file, "seconds", mix->seconds);
    put_option(file, "ego", nm_policy_name(mix->ego));
    if (run->model) put_model(file, run);
    const int failed = ferror(file);
    if (fclose(file) == 0 && !failed) return line;
    free(line);
    return NULL;
}

// ---------------------------------------------------------------------------------------------------------------------
// The run

static double yield_of(uint64_t kept, uint64_t attempts) {
    return attempts ? 100.0 * (double)kept / (double)attempts : NAN;
}

/// "manoeuvre 81 % of 5123, resample 77 % of 4100; least cut_out by resample, 31 %"
static void say_yields(const kinds_run *run, char *text, size_t size) {
    const uint32_t cells = run->mix.kind_count * GENERATORS;
    const nm_corner_yield *least = NULL;
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t g = 0; g < GENERATORS; ++g) {
        uint64_t attempts = 0, kept = 0;
        for (uint32_t at = g; at < cells; at += GENERATORS) {
            const nm_corner_yield *y = &run->yields[at];
            attempts += y->attempts;
            kept += y->kept;
            if (y->attempts >= 20 &&
                (!least || yield_of(y->kept, y->attempts) < yield_of(least->kept, least->attempts)))
                least = y;
        }
        if (attempts && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s %.0f %% of %" PRIu64, used ? ", " : "",
                                     nm_case_generator_name((nm_case_generator)g), yield_of(kept, attempts), attempts);
    }
    if (least && used < size)
        snprintf(text + used, size - used, "; least %s by %s, %.0f %%", nm_kind_name(least->kind),
                 nm_case_generator_name(least->generator), yield_of(least->kept, least->attempts));
}

static void show_progress(void *context, uint64_t kept, double hours) {
    kinds_run *run = context;
    char text[256];
    const uint64_t now = run->mix.hours > 0.0 ? (uint64_t)(hours * 3600.0) : kept;
    if (now > run->shown) nm_progress_add(run->progress, now - run->shown);
    run->shown = now;
    say_yields(run, text, sizeof text);
    nm_progress_note(run->progress, text);
    const double clock = nm_clock();
    if (run->progress || run->common->quiet || clock - run->last_word < WORD_EVERY) return;
    run->last_word = clock;
    fprintf(stderr, "nearmiss generate: %" PRIu64 " scenes now, %.2f hours in all; %s\n", kept, hours, text);
}

/// Of all kinds those that can be made here; the others are named.
static void leave_out(kinds_run *run, nm_corner_config *config) {
    uint32_t kept = 0;
    for (uint32_t k = 0; k < run->mix.kind_count; ++k) {
        const nm_kind kind = run->mix.kinds[k].kind;
        nm_corner_config one = *config;
        nm_error why;
        nm_error_clear(&why);
        one.kinds = &run->mix.kinds[k];
        one.kind_count = 1;
        if (!(run->mix.every >> kind & 1u) || nm_corner_check(&one, &why) != NM_E_UNSUPPORTED)
            run->mix.kinds[kept++] = run->mix.kinds[k];
        else if (!run->common->quiet)
            fprintf(stderr, "nearmiss generate: without %s: no road here can hold it, or no generator make it\n",
                    nm_kind_name(kind));
    }
    config->kind_count = run->mix.kind_count = kept;
}

static nm_status open_model(kinds_run *run, nm_error *error) {
    if (!nm_mix_uses_model(&run->mix)) {
        if (!run->options->model) return NM_OK;
        return NM_ERROR(error, NM_E_ARGUMENT, "--model is of diffusion, which has no share: add --generator diffusion");
    }
    nm_backend_config config = nm_backend_config_default();
    config.threads = (int)run->common->threads;
    config.compute = strcmp(run->options->precision, "f32") == 0 ? NM_F32 : NM_BF16;
    nm_safetensors *file = NULL;
    nm_status status = nm_shipped_model(run->options->model, run->model_path, error);
    if (status == NM_OK) status = nm_safetensors_open(run->model_path, &file, error);
    if (status == NM_OK) status = nm_safetensors_hash(file, &run->model_hash, error);
    nm_safetensors_close(file);
    if (status == NM_OK)
        status = strcmp(run->common->device, "cuda") == 0 ? nm_backend_create_cuda(&config, &run->backend, error)
                                                          : nm_backend_create_cpu(&config, &run->backend, error);
    return status == NM_OK ? nm_recipe_load(run->model_path, run->backend, &run->model, &run->recipe, error) : status;
}

static nm_status configure(kinds_run *run, nm_corner_config *config, nm_error *error) {
    const nm_mix *mix = &run->mix;
    *config = nm_corner_config_default();
    config->kinds = mix->kinds;
    config->kind_count = mix->kind_count;
    config->sources = run->sources.scenes;
    config->source_weights = run->sources.weights;
    config->source_count = (uint32_t)run->sources.count;
    memcpy(config->generators, mix->generators, sizeof config->generators);
    config->adversaries = mix->adversaries;
    config->model = run->model;
    config->recipe = run->model ? &run->recipe : NULL;
    config->hours = mix->hours;
    config->count = mix->count;
    config->seed = mix->seed;
    config->steps = (uint32_t)lround(mix->seconds / (double)NM_STEP_SECONDS);
    config->traffic = mix->traffic;
    config->ego = mix->ego;
    config->stop = nm_cli_stop;
    config->progress = show_progress;
    config->progress_context = run;
    if (mix->every) leave_out(run, config);
    return nm_corner_check(config, error);
}

static nm_status make_set(kinds_run *run, nm_corner_config *config, nm_error *error) {
    const nm_mix *mix = &run->mix;
    nm_store *store = NULL;
    nm_thread_pool *pool = NULL;
    char *description = describe(run), *line = command_line(run);
    nm_status status = description && line ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &pool, error);
    if (status == NM_OK) status = nm_store_open(run->options->store, NM_STORE_CREATE, &store, error);
    if (status == NM_OK) {
        nm_store_set_interrupt(store, nm_cli_stop, NULL);
        config->run =
            (nm_generation_run){.parameters = description, .command = line, .program = "nearmiss " NM_VERSION};
        const uint64_t wanted = mix->hours > 0.0 ? (uint64_t)(mix->hours * 3600.0) : mix->count * mix->kind_count;
        run->progress = nm_progress_start("generate", mix->hours > 0.0 ? "s of scenes" : "scenes", wanted,
                                          run->common->quiet || run->common->json);
        run->last_word = nm_clock();
        status = nm_corner_set_run(config, store, pool, &run->report, error);
        nm_progress_finish(run->progress);
    }
    nm_store_close(store);
    nm_thread_pool_destroy(pool);
    free(description);
    free(line);
    return status;
}

/// Names what was given up. 1 = a kind that was asked for by name was, by all of its generators; or all were, so that
/// the hours are not there, or nothing is.
static int fell_short(const kinds_run *run) {
    int named = 0, any = 0;
    for (uint32_t k = 0; k < run->mix.kind_count; ++k) {
        const nm_corner_yield *yields = &run->yields[k * GENERATORS];
        int left = 0;
        for (uint32_t g = 0; g < GENERATORS; ++g) left += yields[g].share > 0.0 && !yields[g].given_up;
        for (uint32_t g = 0; g < GENERATORS; ++g) {
            if (!(yields[g].share > 0.0 && yields[g].given_up)) continue;
            fprintf(stderr,
                    "nearmiss generate: %s was given up with %" PRIu64 " of %" PRIu64
                    " attempts by %s kept: see the rejects of nearmiss stats\n",
                    nm_kind_name(yields[g].kind), yields[g].kept, yields[g].attempts,
                    nm_case_generator_name(yields[g].generator));
        }
        named |= !left && !(run->mix.every >> yields[0].kind & 1u);
        for (uint32_t g = 0; g < GENERATORS; ++g) any |= yields[g].kept > 0;
    }
    return named || !any || run->report.hours < run->mix.hours - 1e-6;
}

static int print_json(const kinds_run *run) {
    const nm_corner_report *r = &run->report;
    cJSON *document = cJSON_CreateObject(), *kinds = cJSON_AddArrayToObject(document, "kinds");
    nm_json_integer(document, "generation", (uint64_t)r->generation);
    nm_json_integer(document, "kept", r->kept);
    nm_json_integer(document, "attempts", r->attempts);
    nm_json_number(document, "hours", r->hours);
    nm_json_integer(document, "sources", run->sources.count);
    nm_json_integer(document, "unreadable", run->sources.unreadable);
    for (uint32_t at = 0; at < run->mix.kind_count * GENERATORS; ++at) {
        const nm_corner_yield *y = &run->yields[at];
        if (!(y->share > 0.0)) continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "kind", nm_kind_name(y->kind));
        cJSON_AddStringToObject(one, "generator", nm_case_generator_name(y->generator));
        nm_json_number(one, "share", y->share);
        nm_json_integer(one, "sources", y->sources);
        nm_json_integer(one, "attempts", y->attempts);
        nm_json_integer(one, "kept", y->kept);
        nm_json_number(one, "yield_percent", yield_of(y->kept, y->attempts));
        cJSON_AddBoolToObject(one, "given_up", y->given_up);
        cJSON_AddItemToArray(kinds, one);
    }
    return nm_cli_print_json(run->command, document);
}

static void add_row(nm_table *table, const char *kind, const char *generator, uint64_t sources, uint64_t attempts,
                    uint64_t kept) {
    nm_table_cell(table, "%s", kind);
    nm_table_cell(table, "%s", generator);
    nm_table_cell(table, "%" PRIu64, sources);
    nm_table_cell(table, "%" PRIu64, attempts);
    nm_table_cell(table, "%" PRIu64, kept);
    nm_table_number(table, 1, yield_of(kept, attempts));
}

static int print_report(const kinds_run *run) {
    static const char *const heads[] = {"kind", "generator", ">sources", ">attempts", ">kept", ">yield %"};
    const nm_corner_report *r = &run->report;
    const uint32_t cells = run->mix.kind_count * GENERATORS;
    if (run->common->json) return print_json(run);
    nm_table *table = nm_table_create(heads, 6);
    for (uint32_t at = 0; table && at < cells; ++at) {
        const nm_corner_yield *y = &run->yields[at];
        if (y->share > 0.0)
            add_row(table, nm_kind_name(y->kind), nm_case_generator_name(y->generator), y->sources, y->attempts,
                    y->kept);
    }
    for (uint32_t g = 0; table && run->mix.kind_count > 1 && g < GENERATORS; ++g) {
        uint64_t attempts = 0, kept = 0;
        for (uint32_t at = g; at < cells; at += GENERATORS) {
            attempts += run->yields[at].attempts;
            kept += run->yields[at].kept;
        }
        if (attempts)
            add_row(table, "(all)", nm_case_generator_name((nm_case_generator)g), run->sources.count, attempts, kept);
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
    nm_status status = nm_mix_read(options, common->quiet, &run->mix, &error);
    int usage = status == NM_E_FORMAT; // of the mix
    if (status == NM_OK) status = nm_case_sources_open(&run->mix, common->quiet, &run->sources, &error);
    if (status == NM_OK) status = open_model(run, &error);
    if (status == NM_OK) status = configure(run, &config, &error);
    if (status == NM_OK) status = make_set(run, &config, &error);
    int exit_status;
    if (status == NM_OK) {
        exit_status = print_report(run);
        if (exit_status == NM_EXIT_OK && fell_short(run)) exit_status = NM_EXIT_FAILED;
    } else {
        nm_cli_fail(command, &error);
        usage |= status == NM_E_ARGUMENT || status == NM_E_UNSUPPORTED;
        exit_status = usage ? NM_EXIT_USAGE : NM_EXIT_FAILED;
    }
    nm_case_sources_close(&run->sources);
    nm_model_destroy(run->model);
    if (run->backend) nm_backend_destroy(run->backend);
    free(run);
    return exit_status;
}
