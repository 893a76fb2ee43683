#include "tools/cmd_generate_mix.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli_config.h"

#define MOST_SCENES 256u // of a store, unless said otherwise: what they need of memory is bounded

static const char *const samplings[] = {"uniform", "grid", "all", "critical", NULL};
static const char *const generator_names[] = {"manoeuvre", "resample", "diffusion"};
_Static_assert(NM_CASE_GENERATOR_COUNT == 3 && NM_SAMPLING_COUNT == 4, "names of generators and samplings");

#define FIELD(name, kind, type, member, least, most)                                                                   \
    { name, kind, offsetof(type, member), least, most, NULL }
#define COUNT(table) (sizeof(table) / sizeof *(table))

static const nm_config_field mix_fields[] = {
    FIELD("count", NM_CONFIG_U64, nm_mix, count, 1, 1e6),
    FIELD("hours", NM_CONFIG_F64, nm_mix, hours, 1e-3, 1e5),
    FIELD("seed", NM_CONFIG_U64, nm_mix, seed, 0, 9e15),
    FIELD("seconds", NM_CONFIG_F64, nm_mix, seconds, 6, 40),
    FIELD("traffic", NM_CONFIG_U32, nm_mix, traffic, 0, NM_CASE_MAX_TRAFFIC),
    FIELD("adversaries", NM_CONFIG_U32, nm_mix, adversaries, 1, NM_CASE_MAX_ADVERSARIES),
    FIELD("collisions", NM_CONFIG_F64, nm_mix, collisions, 0, 1),
    {"sampling", NM_CONFIG_CHOICE, offsetof(nm_mix, sampling), 0, 0, samplings},
};

static const nm_config_field kind_fields[] = {
    FIELD("weight", NM_CONFIG_F64, nm_corner_kind, weight, 1e-6, 1e6),
    FIELD("collisions", NM_CONFIG_F64, nm_corner_kind, collisions, 0, 1),
    {"sampling", NM_CONFIG_CHOICE, offsetof(nm_corner_kind, sampling), 0, 0, samplings},
};

static const nm_config_field source_fields[] = {
    FIELD("from", NM_CONFIG_TEXT, nm_mix_source, from, 0, 0),
    FIELD("map", NM_CONFIG_TEXT, nm_mix_source, map, 0, 0),
    FIELD("scenes", NM_CONFIG_U32, nm_mix_source, scenes, 1, 100000),
    FIELD("weight", NM_CONFIG_F64, nm_mix_source, weight, 1e-6, 1e6),
};

static const nm_config_field generator_fields[] = {
    {"manoeuvre", NM_CONFIG_F64, NM_CASE_MANOEUVRE * sizeof(double), 0.0, 1e6, NULL},
    {"resample", NM_CONFIG_F64, NM_CASE_RESAMPLE * sizeof(double), 0.0, 1e6, NULL},
    {"diffusion", NM_CONFIG_F64, NM_CASE_DIFFUSION * sizeof(double), 0.0, 1e6, NULL},
};

// ---------------------------------------------------------------------------------------------------------------------
// Kinds and parameters

static nm_corner_kind *find(nm_mix *mix, nm_kind kind) {
    for (uint32_t k = 0; k < mix->kind_count; ++k)
        if (mix->kinds[k].kind == kind) return &mix->kinds[k];
    return NULL;
}

/// The severity that alone is asked for and that the kind cannot have; NULL = none.
static const char *lacking(nm_kind kind, double collisions) {
    const unsigned severities = nm_kind_spec_of(kind)->severities;
    if (collisions >= 1.0 && !(severities >> NM_SEVERITY_COLLISION & 1u)) return "collision";
    if (collisions <= 0.0 && !(severities >> NM_SEVERITY_NEAR_MISS & 1u)) return "near_miss";
    return NULL;
}

static nm_status add_kind(nm_mix *mix, const nm_corner_kind *like, nm_kind kind, nm_error *error) {
    if (find(mix, kind)) return NM_ERROR(error, NM_E_ARGUMENT, "%s is asked for twice", nm_kind_name(kind));
    nm_corner_kind *k = &mix->kinds[mix->kind_count];
    const nm_status status = nm_corner_kind_default(kind, k, error);
    if (status != NM_OK) return status;
    const char *lacks = lacking(kind, like->collisions);
    if (lacks) return NM_ERROR(error, NM_E_ARGUMENT, "%s has no severity %s", nm_kind_name(kind), lacks);
    k->weight = like->weight;
    k->collisions = like->collisions;
    k->sampling = like->sampling;
    memcpy(k->generators, like->generators, sizeof k->generators);
    mix->kind_count++;
    return NM_OK;
}

/// Those that can be made, but for those that cannot have the severity: they are named.
static nm_status add_all_kinds(nm_mix *mix, const nm_corner_kind *like, int quiet, nm_error *error) {
    nm_status status = NM_OK;
    for (int k = 0; status == NM_OK && k < NM_KIND_COUNT; ++k) {
        const nm_kind kind = (nm_kind)k;
        if (!nm_kind_spec_of(kind)->generable || find(mix, kind)) continue;
        const char *lacks = lacking(kind, like->collisions);
        if (!lacks) {
            status = add_kind(mix, like, kind, error);
            mix->every |= 1u << k;
        } else if (!quiet) {
            fprintf(stderr, "nearmiss generate: without %s: it has no severity %s\n", nm_kind_name(kind), lacks);
        }
    }
    return status;
}

/// One kind by its name, or "all".
static nm_status add_named(nm_mix *mix, const nm_corner_kind *like, const char *name, int quiet, nm_error *error) {
    nm_kind kind;
    const char *names[NM_KIND_COUNT + 1];
    if (strcmp(name, "all") == 0) return add_all_kinds(mix, like, quiet, error);
    if (nm_kind_from_name(name, &kind)) return add_kind(mix, like, kind, error);
    for (int k = 0; k < NM_KIND_COUNT; ++k) names[k] = nm_kind_name((nm_kind)k);
    names[NM_KIND_COUNT] = "all";
    const char *near = nm_cli_nearest(name, names, NM_KIND_COUNT + 1);
    return NM_ERROR(error, NM_E_ARGUMENT, "there is no kind '%.60s'%s%s%s; see --list-kinds", name,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static size_t param_of(const nm_kind_spec *spec, const char *name, size_t length) {
    size_t p = 0;
    while (p < spec->param_count &&
           (strlen(spec->params[p].name) != length || strncmp(spec->params[p].name, name, length) != 0))
        ++p;
    return p;
}

/// "NAME=LO:HI" for one kind and those severities of it that are asked for; *taken = 1 when it has such a parameter.
/// Collisions have no least time to collision.
static nm_status set_kind_param(nm_corner_kind *kind, const char *setting, int *taken, nm_error *error) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind->kind);
    const size_t p = param_of(spec, setting, strcspn(setting, "="));
    nm_status status = NM_OK;
    for (int s = 0; status == NM_OK && p < spec->param_count && s < NM_SEVERITY_COUNT; ++s) {
        if (!(spec->severities >> s & 1u) || kind->collisions == (s == NM_SEVERITY_COLLISION ? 0.0 : 1.0)) continue;
        if (s == NM_SEVERITY_COLLISION && spec->params[p].id == NM_PARAM_MIN_TTC) continue;
        status = nm_kind_ranges_set(&kind->ranges[s], setting, error);
        *taken = 1;
    }
    return status;
}

/// One --param, for every kind that has it. Kinds without such a parameter are passed over unless none has it; what a
/// kind refuses is an error.
static nm_status set_param(nm_mix *mix, const char *text, nm_error *error) {
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    const int named = dot && equals && dot < equals;
    const char *setting = named ? dot + 1 : text;
    int taken = 0, matched = 0;
    for (uint32_t k = 0; k < mix->kind_count; ++k) {
        const char *name = nm_kind_name(mix->kinds[k].kind);
        nm_error why;
        nm_error_clear(&why);
        if (named && (strlen(name) != (size_t)(dot - text) || strncmp(name, text, strlen(name)) != 0)) continue;
        matched = 1;
        if (set_kind_param(&mix->kinds[k], setting, &taken, &why) != NM_OK)
            return NM_ERROR(error, NM_E_ARGUMENT, "--param %.60s: %s", text, why.message);
    }
    if (taken) return NM_OK;
    if (!matched) return NM_ERROR(error, NM_E_ARGUMENT, "--param %.60s: no kind of that name is asked for", text);
    return NM_ERROR(error, NM_E_ARGUMENT,
                    "--param %.60s: no kind that is asked for has that parameter; see --list-kinds", text);
}

// ---------------------------------------------------------------------------------------------------------------------
// A file

typedef struct mix_file {
    const char *path;
    nm_mix *mix;
    int quiet;
    nm_error *error;
} mix_file;

/// Says where in the file it is.
static nm_status place(const mix_file *f, const cJSON *item, nm_status status) {
    nm_error *e = f->error;
    if (status == NM_OK) return NM_OK;
    if (!e->input[0]) snprintf(e->input, sizeof e->input, "%.*s", (int)sizeof e->input - 1, f->path);
    if (e->line <= 0 && item) e->line = nm_config_line(item);
    return status == NM_E_ARGUMENT ? e->code = NM_E_FORMAT : status;
}

static nm_status refuse(const mix_file *f, const cJSON *item, const char *what) {
    return place(f, item, NM_ERROR(f->error, NM_E_FORMAT, "%s", what));
}

static nm_status read_shares(const mix_file *f, const cJSON *object, const char *where,
                             double shares[NM_CASE_GENERATOR_COUNT]) {
    double sum = 0.0;
    if (!object) return NM_OK;
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) shares[g] = 0.0;
    const nm_status status =
        nm_config_read(object, where, generator_fields, COUNT(generator_fields), NULL, shares, f->error);
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) sum += shares[g];
    if (status == NM_OK && !(sum > 0.0))
        return refuse(f, object, "generators have no share: give one of manoeuvre, resample and diffusion more than 0");
    return place(f, object, status);
}

/// A number, or [low, high], as "NAME=LOW:HIGH".
static nm_status range_text(const mix_file *f, const cJSON *item, char *text, size_t size) {
    const cJSON *low = item, *high = item;
    if (cJSON_IsArray(item) && cJSON_GetArraySize(item) == 2) {
        low = cJSON_GetArrayItem(item, 0);
        high = cJSON_GetArrayItem(item, 1);
    }
    if (!cJSON_IsNumber(low) || !cJSON_IsNumber(high))
        return refuse(f, item, "a parameter must be a number, or [lowest, highest]");
    if (strlen(item->string) > 60) return refuse(f, item, "there is no parameter of so long a name");
    snprintf(text, size, "%s=%.17g:%.17g", item->string, low->valuedouble, high->valuedouble);
    return NM_OK;
}

/// kind NULL: for all kinds that have them.
static nm_status read_params(const mix_file *f, const cJSON *object, nm_corner_kind *kind) {
    const cJSON *item;
    nm_status status = NM_OK;
    if (object && !cJSON_IsObject(object)) return refuse(f, object, "params must be an object {\"NAME\": [LOW, HIGH]}");
    cJSON_ArrayForEach(item, object) {
        char text[160];
        int taken = 0;
        status = range_text(f, item, text, sizeof text);
        if (status != NM_OK) return status;
        for (uint32_t k = 0; status == NM_OK && k < f->mix->kind_count; ++k)
            if (!kind || kind == &f->mix->kinds[k]) status = set_kind_param(&f->mix->kinds[k], text, &taken, f->error);
        if (status == NM_OK && !taken && kind) { // let it say what there is
            const int severity = nm_kind_spec_of(kind->kind)->severities & 1u ? 0 : NM_SEVERITY_COLLISION;
            status = nm_kind_ranges_set(&kind->ranges[severity], text, f->error);
        }
        if (status == NM_OK && !taken)
            return refuse(f, item,
                          "no kind of the mix has that parameter in a severity that is asked for; see "
                          "nearmiss generate --list-kinds");
        if (status != NM_OK) return place(f, item, status);
    }
    return NM_OK;
}

static nm_status read_kind(const mix_file *f, const cJSON *object, int index) {
    static const char *const others[] = {"kind", "params", "generators", NULL};
    nm_mix *mix = f->mix;
    nm_corner_kind like = {.weight = 1.0, .collisions = mix->collisions, .sampling = mix->sampling};
    char where[32];
    snprintf(where, sizeof where, "kinds[%d]", index);
    nm_status status = nm_config_read(object, where, kind_fields, COUNT(kind_fields), others, &like, f->error);
    if (status != NM_OK) return place(f, object, status);
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(object, "kind");
    if (!cJSON_IsString(name)) return refuse(f, name ? name : object, "a kind must have a name: \"kind\": \"cut_in\"");
    status = read_shares(f, cJSON_GetObjectItemCaseSensitive(object, "generators"), "generators", like.generators);
    if (status != NM_OK) return status;
    return place(f, name, add_named(mix, &like, name->valuestring, f->quiet, f->error));
}

/// Those of one kind, after those of all.
static nm_status read_kind_params(const mix_file *f, const cJSON *object) {
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(object, "params");
    nm_kind kind;
    if (!params) return NM_OK;
    if (!nm_kind_from_name(cJSON_GetObjectItemCaseSensitive(object, "kind")->valuestring, &kind))
        return refuse(f, params, "parameters of all kinds stand outside of \"kinds\"");
    return read_params(f, params, find(f->mix, kind));
}

static nm_status read_kinds(const mix_file *f, const cJSON *document) {
    const cJSON *kinds = cJSON_GetObjectItemCaseSensitive(document, "kinds"), *item;
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(document, "params");
    const nm_corner_kind like = {.weight = 1.0, .collisions = f->mix->collisions, .sampling = f->mix->sampling};
    nm_status status = NM_OK;
    int index = 0;
    if (kinds && !cJSON_IsArray(kinds)) return refuse(f, kinds, "kinds must be a list [{\"kind\": ...}, ...]");
    if (!kinds) status = place(f, document, add_all_kinds(f->mix, &like, f->quiet, f->error));
    cJSON_ArrayForEach(item, kinds) {
        if (status == NM_OK) status = read_kind(f, item, index++);
    }
    if (status == NM_OK && !f->mix->kind_count) return refuse(f, kinds ? kinds : document, "the mix has no kind");
    if (status == NM_OK) status = read_params(f, params, NULL);
    cJSON_ArrayForEach(item, kinds) {
        if (status == NM_OK) status = read_kind_params(f, item);
    }
    return status;
}

static nm_status read_sources(const mix_file *f, const cJSON *sources) {
    const cJSON *item;
    if (sources && !cJSON_IsArray(sources))
        return refuse(f, sources, "sources must be a list [{\"map\": \"all\"}, {\"from\": \"S.db\"}, ...]");
    cJSON_ArrayForEach(item, sources) {
        nm_mix_source *s = &f->mix->sources[f->mix->source_count];
        char where[32];
        if (f->mix->source_count == NM_MIX_SOURCES) return refuse(f, item, "more than 32 sources");
        *s = (nm_mix_source){.scenes = MOST_SCENES, .weight = 1.0};
        snprintf(where, sizeof where, "sources[%u]", f->mix->source_count);
        const nm_status status = nm_config_read(item, where, source_fields, COUNT(source_fields), NULL, s, f->error);
        if (status != NM_OK) return place(f, item, status);
        if (!s->from[0] == !s->map[0]) return refuse(f, item, "a source is either \"from\" a store or a \"map\"");
        f->mix->source_count++;
    }
    return NM_OK;
}

/// "ego" stands apart: not everything that an agent can be is one.
static nm_status read_ego(const mix_file *f, const cJSON *item) {
    const char *name = cJSON_GetStringValue(item);
    if (!item) return NM_OK;
    if (name && nm_policy_from_name(name, &f->mix->ego) &&
        (f->mix->ego == NM_POLICY_IDM || f->mix->ego == NM_POLICY_CONSTANT_VELOCITY))
        return NM_OK;
    return refuse(f, item, "ego must be one of idm, constant_velocity");
}

static nm_status read_document(const cJSON *document, const char *path, int quiet, nm_mix *mix, nm_error *error) {
    static const char *const others[] = {"kinds", "params", "generators", "sources", "ego", NULL};
    const mix_file f = {path, mix, quiet, error};
    nm_status status =
        place(&f, document, nm_config_read(document, "", mix_fields, COUNT(mix_fields), others, mix, error));
    if (status == NM_OK && mix->count && mix->hours > 0.0)
        status = refuse(&f, cJSON_GetObjectItemCaseSensitive(document, "count"), "either count or hours, not both");
    if (status == NM_OK) status = read_ego(&f, cJSON_GetObjectItemCaseSensitive(document, "ego"));
    if (status == NM_OK)
        status =
            read_shares(&f, cJSON_GetObjectItemCaseSensitive(document, "generators"), "generators", mix->generators);
    if (status == NM_OK) status = read_kinds(&f, document);
    return status == NM_OK ? read_sources(&f, cJSON_GetObjectItemCaseSensitive(document, "sources")) : status;
}

static nm_status load(const char *path, int quiet, nm_mix *mix, nm_error *error) {
    cJSON *document;
    nm_status status = nm_config_load(path, &document, error);
    if (status == NM_OK) status = read_document(document, path, quiet, mix, error);
    cJSON_Delete(document);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Options

static nm_status kinds_of_options(const nm_generate_options *o, int quiet, nm_mix *mix, nm_error *error) {
    nm_corner_kind like = {.weight = 1.0, .collisions = mix->collisions, .sampling = mix->sampling};
    nm_severity one;
    nm_status status = NM_OK;
    if (o->severity && strcmp(o->severity, "both") != 0) {
        if (!nm_severity_from_name(o->severity, &one))
            return NM_ERROR(error, NM_E_ARGUMENT, "--severity wants near_miss, collision or both, not '%.40s'",
                            o->severity);
        like.collisions = one == NM_SEVERITY_COLLISION ? 1.0 : 0.0;
    }
    if (o->sampling && !nm_sampling_from_name(o->sampling, &like.sampling))
        return NM_ERROR(error, NM_E_ARGUMENT, "--sampling wants uniform, grid, all or critical, not '%.40s'",
                        o->sampling);
    for (size_t i = 0; status == NM_OK && i < o->kinds.count; ++i)
        status = add_named(mix, &like, o->kinds.items[i], quiet, error);
    for (size_t i = 0; status == NM_OK && i < o->params.count; ++i) status = set_param(mix, o->params.items[i], error);
    return status;
}

/// "NAME", "NAME=SHARE" or "all", several of them separated by commas.
static nm_status add_share(nm_mix *mix, const char *text, size_t length, nm_error *error) {
    const char *equals = memchr(text, '=', length);
    const size_t name = equals ? (size_t)(equals - text) : length;
    char word[32], number[40] = "1", *end;
    snprintf(word, sizeof word, "%.*s", (int)(name < sizeof word ? name : sizeof word - 1), text);
    if (equals)
        snprintf(number, sizeof number, "%.*s", (int)(length - name - 1 < 39 ? length - name - 1 : 39), equals + 1);
    const double share = strtod(number, &end);
    nm_case_generator generator;
    if (*end || end == number || !(share >= 0.0 && share <= 1e6))
        return NM_ERROR(error, NM_E_ARGUMENT, "--generator %.*s: a share is a number from 0 on",
                        (int)(length < 60 ? length : 60), text);
    if (strcmp(word, "all") == 0) {
        for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) mix->generators[g] += share;
        return NM_OK;
    }
    if (!nm_case_generator_from_name(word, &generator)) {
        const char *near = nm_cli_nearest(word, generator_names, NM_CASE_GENERATOR_COUNT);
        return NM_ERROR(error, NM_E_ARGUMENT,
                        "--generator wants manoeuvre, resample, diffusion or all, each with =SHARE if need be, not "
                        "'%s'%s%s%s",
                        word, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    mix->generators[generator] += share;
    return NM_OK;
}

static nm_status shares_of_options(const nm_text_list *list, nm_mix *mix, nm_error *error) {
    nm_status status = NM_OK;
    double sum = 0.0;
    if (!list->count) return NM_OK;
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) mix->generators[g] = 0.0;
    for (uint32_t k = 0; k < mix->kind_count; ++k) // what the command says counts more than the kinds of a file
        memset(mix->kinds[k].generators, 0, sizeof mix->kinds[k].generators);
    for (size_t i = 0; i < list->count; ++i) {
        for (const char *at = list->items[i]; status == NM_OK && at;) {
            const size_t length = strcspn(at, ",");
            status = add_share(mix, at, length, error);
            at = at[length] ? at + length + 1 : NULL;
        }
    }
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) sum += mix->generators[g];
    if (status != NM_OK || sum > 0.0) return status;
    return NM_ERROR(error, NM_E_ARGUMENT, "--generator: no generator has a share");
}

static nm_status add_source(nm_mix *mix, const char *from, const char *map, const nm_text_list *ids, nm_error *error) {
    if (mix->source_count == NM_MIX_SOURCES)
        return NM_ERROR(error, NM_E_ARGUMENT, "more than %d sources", NM_MIX_SOURCES);
    nm_mix_source *s = &mix->sources[mix->source_count++];
    *s = (nm_mix_source){.scenes = MOST_SCENES, .weight = 1.0, .ids = ids};
    if (strlen(from) >= sizeof s->from || strlen(map) >= sizeof s->map)
        return NM_ERROR(error, NM_E_ARGUMENT, "a name of a source of more than %d bytes", NM_MIX_TEXT - 1);
    strcpy(s->from, from);
    strcpy(s->map, map);
    return NM_OK;
}

static nm_status sources_of_options(const nm_generate_options *o, nm_mix *mix, nm_error *error) {
    nm_status status = NM_OK;
    if (o->from.count || o->scenes.count || o->map) mix->source_count = 0;
    for (size_t i = 0; status == NM_OK && i < o->from.count; ++i)
        status = add_source(mix, o->from.items[i], "", NULL, error);
    if (status == NM_OK && o->scenes.count) status = add_source(mix, o->store, "", &o->scenes, error);
    if (status == NM_OK && o->map) status = add_source(mix, "", o->map, NULL, error);
    if (status == NM_OK && !mix->source_count) status = add_source(mix, "", "all", NULL, error);
    for (uint32_t i = 0; i < mix->source_count && o->sources; ++i) mix->sources[i].scenes = (uint32_t)o->sources;
    return status;
}

static nm_status numbers_of_options(const nm_generate_options *o, nm_mix *mix, nm_error *error) {
    if (o->hours > 0.0 && o->count) return NM_ERROR(error, NM_E_ARGUMENT, "either --count or --hours, not both");
    if (o->hours > 0.0 || o->count) {
        mix->hours = o->hours;
        mix->count = (uint64_t)o->count;
    }
    if (!mix->count && !(mix->hours > 0.0)) mix->count = 1;
    if (o->seed >= 0) mix->seed = (uint64_t)o->seed;
    if (o->seconds > 0.0) mix->seconds = o->seconds;
    if (o->traffic >= 0) mix->traffic = (uint32_t)o->traffic;
    if (o->adversaries) mix->adversaries = (uint32_t)o->adversaries;
    if (o->ego && !nm_policy_from_name(o->ego, &mix->ego))
        return NM_ERROR(error, NM_E_ARGUMENT, "--ego wants idm or constant_velocity, not '%.40s'", o->ego);
    return NM_OK;
}

static int by_kind(const void *a, const void *b) {
    const nm_kind left = ((const nm_corner_kind *)a)->kind, right = ((const nm_corner_kind *)b)->kind;
    return left < right ? -1 : left > right;
}

/// One request has one form, however it was spelled: what it is stored as is compared.
static void settle(nm_mix *mix) {
    double weights = 0.0, shares = 0.0;
    qsort(mix->kinds, mix->kind_count, sizeof *mix->kinds, by_kind);
    for (uint32_t k = 0; k < mix->kind_count; ++k) weights += mix->kinds[k].weight;
    for (uint32_t k = 0; k < mix->kind_count; ++k) {
        double own = 0.0;
        mix->kinds[k].weight /= weights;
        for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) own += mix->kinds[k].generators[g];
        for (int g = 0; own > 0.0 && g < NM_CASE_GENERATOR_COUNT; ++g) mix->kinds[k].generators[g] /= own;
    }
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) shares += mix->generators[g];
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) mix->generators[g] /= shares;
}

/// 1 = some kind is to be made by the generator.
static int has_share(const nm_mix *mix, nm_case_generator generator) {
    for (uint32_t k = 0; k < mix->kind_count; ++k) {
        const double *own = mix->kinds[k].generators;
        double sum = 0.0;
        for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) sum += own[g];
        if ((sum > 0.0 ? own : mix->generators)[generator] > 0.0) return 1;
    }
    return 0;
}

int nm_mix_uses_model(const nm_mix *mix) {
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; ++g) {
        nm_case_request request = nm_case_request_default();
        request.generator = (nm_case_generator)g;
        if (nm_case_uses_model(&request) && has_share(mix, request.generator)) return 1;
    }
    return 0;
}

static nm_mix mix_default(void) {
    return (nm_mix){.generators = {[NM_CASE_MANOEUVRE] = 1.0},
                    .seconds = 10.0,
                    .collisions = 0.25,
                    .traffic = 6,
                    .adversaries = 1,
                    .ego = NM_POLICY_IDM};
}

nm_status nm_mix_parse(const char *text, const char *path, nm_mix *mix, nm_error *error) {
    cJSON *document;
    *mix = mix_default();
    nm_status status = nm_config_parse(text, path, &document, error);
    if (status == NM_OK) status = read_document(document, path, 1, mix, error);
    cJSON_Delete(document);
    if (status == NM_OK) settle(mix);
    return status;
}

nm_status nm_mix_read(const nm_generate_options *o, int quiet, nm_mix *mix, nm_error *error) {
    *mix = mix_default();
    nm_status status = o->mix ? load(o->mix, quiet, mix, error) : kinds_of_options(o, quiet, mix, error);
    if (status == NM_OK) status = numbers_of_options(o, mix, error);
    if (status == NM_OK) status = shares_of_options(&o->generators, mix, error);
    if (status == NM_OK) status = sources_of_options(o, mix, error);
    if (status == NM_OK && mix->adversaries > 1 && !has_share(mix, NM_CASE_RESAMPLE))
        status = NM_ERROR(error, NM_E_ARGUMENT,
                          "several adversaries are of resample, which has no share: add "
                          "--generator resample");
    if (status == NM_OK) settle(mix);
    return status;
}
