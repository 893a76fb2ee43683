#include "scenarios/corner_set.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/places.h"
#include "sim/world.h"

#define GENERATORS ((uint32_t)NM_CASE_GENERATOR_COUNT)
#define SURPLUS 8u // attempts beside those that are missing, since not all are kept; of those with the model none

/// One attempt of a round.
typedef struct slot {
    uint32_t cell;  ///< kind and generator: see `set`
    uint64_t index; ///< of the cell's attempts
    nm_severity severity;
    const char *reason; ///< static
    nm_packed_scene *packed;
    nm_event *events; ///< malloc
    size_t event_count;
    nm_scene_criticality criticality;
    float feature[NM_FEATURE_COUNT];
    const char *label;                     ///< static
    char *requested, *achieved, *verdicts; ///< JSON, malloc
    uint32_t steps;
} slot;

/// What one thread works with.
typedef struct worker {
    nm_case_work *work;
    nm_packer *packer;
    nm_arena *arena;
} worker;

/// What one generator does for one kind: cell kind * GENERATORS + generator, as the report's yields.
typedef struct cell {
    uint32_t *fit;        ///< [yield.sources] indices of the sources that can hold it
    double *reach;        ///< likewise: sum of their weights up to it
    uint64_t quota;       ///< scenes that it is to have, as far as is known in this round
    uint32_t planned;     ///< attempts in the round
    uint32_t rank, ranks; ///< among the generators that are asked for the kind
    int uses_model;
} cell;

typedef struct set {
    const nm_corner_config *config;
    nm_store *store;
    nm_thread_pool *pool;
    nm_corner_report *report;
    cell *cells;
    uint32_t cell_count;
    uint64_t wanted[NM_KIND_COUNT]; ///< scenes of each kind, as far as is known in this round
    uint64_t steps;                 ///< of 0.1 s, of all scenes of the set
    slot slots[NM_CORNER_ROUND];
    uint32_t slot_count;
    uint32_t parallel[NM_CORNER_ROUND], parallel_count; ///< slots that need no model
    worker *workers;                                    ///< [worker_count], and one with the model
    int worker_count;
    int finished; ///< by an earlier run
    char *mining; ///< JSON, stored with the events
} set;

static const nm_corner_kind *kind_of(const set *s, uint32_t at) {
    return &s->config->kinds[at / GENERATORS];
}

nm_status nm_corner_kind_default(nm_kind kind, nm_corner_kind *out, nm_error *error) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind);
    *out = (nm_corner_kind){.kind = kind, .weight = 1.0, .collisions = 0.25};
    if (!spec->generable)
        return NM_ERROR(error, NM_E_ARGUMENT, "%s is no manoeuvre but an outcome of others: ask for a severity",
                        spec->name);
    nm_status status = NM_OK;
    for (int s = 0; status == NM_OK && s < NM_SEVERITY_COUNT; ++s)
        if (spec->severities >> s & 1u) status = nm_kind_ranges_default(kind, (nm_severity)s, &out->ranges[s], error);
    return status;
}

nm_corner_config nm_corner_config_default(void) {
    return (nm_corner_config){.ego = NM_POLICY_IDM,
                              .steps = 100,
                              .traffic = 6,
                              .validity = nm_validity_params_default(),
                              .generators = {[NM_CASE_MANOEUVRE] = 1.0},
                              .adversaries = 1,
                              .patience = 50.0,
                              .attempt = nm_case_attempt};
}

// ---------------------------------------------------------------------------------------------------------------------
// What is asked for

static int has_severity(nm_kind kind, nm_severity severity) {
    return (int)(nm_kind_spec_of(kind)->severities >> severity & 1u);
}

static nm_case_request request_of(const nm_corner_config *c, const nm_corner_kind *kind, nm_case_generator generator,
                                  nm_severity severity) {
    nm_case_request r = nm_case_request_default();
    r.generator = generator;
    r.ranges = kind->ranges[severity];
    r.sampling = kind->sampling;
    r.seed = c->seed;
    r.ego = c->ego;
    r.custom = c->custom;
    if (c->idm) r.idm = c->idm;
    r.steps = c->steps;
    r.traffic = c->traffic;
    if (generator == NM_CASE_RESAMPLE) r.adversaries = c->adversaries;
    return r;
}

int nm_corner_own_shares(const nm_corner_kind *kind) {
    for (uint32_t g = 0; g < GENERATORS; ++g)
        if (kind->generators[g] != 0.0) return 1;
    return 0;
}

static const double *shares_of(const nm_corner_config *c, const nm_corner_kind *kind) {
    return nm_corner_own_shares(kind) ? kind->generators : c->generators;
}

/// Can the generator make the kind from the source, in every severity that the kind has?
static nm_status check_source(const nm_corner_config *c, const nm_corner_kind *kind, nm_case_generator generator,
                              const nm_scene *source, nm_error *error) {
    nm_status status = NM_OK;
    for (int severity = 0; status == NM_OK && severity < NM_SEVERITY_COUNT; ++severity) {
        if (!has_severity(kind->kind, (nm_severity)severity)) continue;
        const nm_case_request request = request_of(c, kind, generator, (nm_severity)severity);
        status = nm_case_check(source, &request, error);
    }
    return status;
}

/// One source will do. What is said of the first one is said, unless another shows that the request makes no sense.
static nm_status check_generator(const nm_corner_config *c, const nm_corner_kind *kind, nm_case_generator generator,
                                 nm_error *error) {
    nm_status first = NM_OK;
    for (uint32_t i = 0; i < c->source_count; ++i) {
        nm_error why;
        size_t places = 1;
        nm_error_clear(&why);
        // to say what else the map could hold takes longer than to see that this it cannot
        nm_status status = i ? nm_kind_places(c->sources[i]->map, kind->kind, NULL, 0, &places, &why) : NM_OK;
        if (status == NM_OK && !places) continue;
        if (status == NM_OK) status = check_source(c, kind, generator, c->sources[i], &why);
        if (status == NM_OK) return NM_OK;
        if (i == 0 || status != NM_E_UNSUPPORTED) *error = why;
        if (status != NM_E_UNSUPPORTED) return status;
        if (i == 0) first = status;
    }
    return first;
}

static nm_status check_shares(const double *shares, const char *of, nm_error *error) {
    double sum = 0.0;
    for (uint32_t g = 0; g < GENERATORS; ++g) {
        if (!(shares[g] >= 0.0 && shares[g] < 1e9))
            return NM_ERROR(error, NM_E_ARGUMENT, "%g of %s by %s is no share", shares[g], of,
                            nm_case_generator_name((nm_case_generator)g));
        sum += shares[g];
    }
    return sum > 0.0 ? NM_OK : NM_ERROR(error, NM_E_ARGUMENT, "no generator has a share of %s", of);
}

static nm_status check_generators(const nm_corner_config *c, const nm_corner_kind *kind, nm_error *error) {
    const double *shares = shares_of(c, kind);
    nm_status status = check_shares(shares, nm_kind_name(kind->kind), error), first = NM_OK;
    int able = 0;
    for (uint32_t g = 0; status == NM_OK && g < GENERATORS; ++g) {
        const nm_case_generator generator = (nm_case_generator)g;
        const nm_case_request request = request_of(c, kind, generator, kind->ranges[0].severity);
        nm_error why;
        nm_error_clear(&why);
        if (shares[g] <= 0.0) continue;
        if (nm_case_uses_model(&request) && !(c->model && c->recipe))
            return NM_ERROR(error, NM_E_ARGUMENT, "%s takes a model, and there is none",
                            nm_case_generator_name(generator));
        const nm_status is = check_generator(c, kind, generator, &why);
        able |= is == NM_OK;
        if (is == NM_OK) continue;
        if (is != NM_E_UNSUPPORTED || nm_corner_own_shares(kind)) status = is;
        if (first == NM_OK || status != NM_OK) *error = why;
        first = is;
    }
    return status != NM_OK || able ? status : first;
}

static nm_status check_kind(const nm_corner_config *c, uint32_t index, nm_error *error) {
    const nm_corner_kind *kind = &c->kinds[index];
    const char *name = nm_kind_name(kind->kind);
    if (!(kind->weight > 0.0 && kind->weight < 1e9))
        return NM_ERROR(error, NM_E_ARGUMENT, "a weight of %g for %s is no share of a set", kind->weight, name);
    if (!(kind->collisions >= 0.0 && kind->collisions <= 1.0))
        return NM_ERROR(error, NM_E_ARGUMENT, "a share of %g of collisions for %s is not in 0..1", kind->collisions,
                        name);
    for (uint32_t i = 0; i < index; ++i)
        if (c->kinds[i].kind == kind->kind) return NM_ERROR(error, NM_E_ARGUMENT, "%s is asked for twice", name);
    return check_generators(c, kind, error);
}

nm_status nm_corner_check(const nm_corner_config *c, nm_error *error) {
    nm_error local;
    error = error ? error : &local;
    if (!c->kind_count) return NM_ERROR(error, NM_E_ARGUMENT, "no kind is asked for");
    if (!c->source_count) return NM_ERROR(error, NM_E_ARGUMENT, "there is no scene or map to begin from");
    if (!c->count && !(c->hours > 0.0)) return NM_ERROR(error, NM_E_ARGUMENT, "neither a number of scenes nor hours");
    if (!(c->hours >= 0.0 && c->hours <= 1e6)) return NM_ERROR(error, NM_E_ARGUMENT, "%g hours are none", c->hours);
    if (!(c->patience >= 1.0)) return NM_ERROR(error, NM_E_ARGUMENT, "patience is %g, less than 1", c->patience);
    for (uint32_t i = 0; c->source_weights && i < c->source_count; ++i)
        if (!(c->source_weights[i] > 0.0 && c->source_weights[i] < 1e9))
            return NM_ERROR(error, NM_E_ARGUMENT, "a weight of %g is none of a source", c->source_weights[i]);
    nm_status status = check_shares(c->generators, "the set", error);
    for (uint32_t k = 0; status == NM_OK && k < c->kind_count; ++k) status = check_kind(c, k, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// An attempt

/// Drawn from the identity of an attempt.
static nm_rng_key key_of(const set *s, const slot *a) {
    return (nm_rng_key){.seed = s->config->seed,
                        .scene = a->index,
                        .agent = (uint32_t)kind_of(s, a->cell)->kind | (a->cell % GENERATORS) << 8,
                        .step = 1,
                        .purpose = NM_PURPOSE_KIND};
}

/// leave: bits of parameters that are left out.
static char *numbers_json(const nm_kind_spec *spec, const float *values, uint32_t leave) {
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < spec->param_count; ++i)
        if (isfinite(values[i]) && !(leave >> i & 1u)) // as it is read by people, to a ten-thousandth
            cJSON_AddNumberToObject(object, spec->params[i].name, round((double)values[i] * 1e4) / 1e4);
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    return text;
}

/// The first verdict that failed, by name.
static const char *failed_verdict(const nm_validity *validity) {
    for (int k = 0; k < NM_VERDICT_COUNT; ++k)
        if (validity->verdicts[k].result == NM_VERDICT_FAIL) return nm_verdict_about((nm_verdict_kind)k)->name;
    return "invalid";
}

static nm_status judge(const set *s, const slot *a, const nm_case *made, nm_arena *arena, nm_validity *out,
                       nm_error *error) {
    uint32_t others[2 + NM_CASE_MAX_ADVERSARIES], count = 0;
    others[count++] = made->adversary;
    if (made->other != NM_NONE) others[count++] = made->other; // the third role is staged, too
    for (uint32_t i = 0; i < made->more_count && i < NM_CASE_MAX_ADVERSARIES; ++i) others[count++] = made->more[i];
    const nm_conflict_case conflict = {.scene = made->scene,
                                       .ego = made->ego,
                                       .adversaries = others,
                                       .adversary_count = count,
                                       .begin = made->scene->current_step,
                                       .event = &made->event};
    nm_validity_params params = s->config->validity;
    params.violations |= nm_kind_spec_of(kind_of(s, a->cell)->kind)->violations;
    // what these show as history was generated, too
    if (a->cell % GENERATORS != NM_CASE_DIFFUSION) params.from = 0;
    return nm_validity_of(&conflict, &params, arena, out, error);
}

/// What is kept of an attempt that is good.
static nm_status keep(slot *a, const nm_kind_spec *spec, const nm_case *made, const nm_validity *validity, worker *w,
                      nm_error *error) {
    a->events = malloc((made->event_count + 1) * sizeof *a->events);
    // the least time to collision is a result: it is asked for as a range, and aimed at by all other parameters
    const int min_ttc = nm_kind_param_index(spec->kind, NM_PARAM_MIN_TTC);
    a->requested = numbers_json(spec, made->requested, min_ttc >= 0 ? 1u << min_ttc : 0);
    a->achieved = numbers_json(spec, made->achieved, 0);
    cJSON *verdicts = nm_validity_json(validity);
    a->verdicts = verdicts ? cJSON_PrintUnformatted(verdicts) : NULL;
    cJSON_Delete(verdicts);
    if (!a->events || !a->requested || !a->achieved || !a->verdicts)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for a corner case");
    a->event_count = made->event_count;
    memcpy(a->events, made->events, made->event_count * sizeof *a->events);
    a->criticality = *made->criticality;
    a->label = nm_avoid_label_name(validity->avoidability.label);
    a->steps = made->scene->step_count - 1;
    nm_scene_feature(made->scene, &a->criticality, a->events, a->event_count, a->feature);
    return nm_pack_scene(w->packer, made->scene, &a->packed, error);
}

static const nm_scene *draw_source(const set *s, const slot *a, const nm_rng_key *key) {
    const cell *c = &s->cells[a->cell];
    const uint32_t count = s->report->yields[a->cell].sources;
    const double at = (double)nm_rng_uniform(key, 200) * c->reach[count - 1];
    uint32_t low = 0, high = count - 1; // the first whose reach lies beyond
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (c->reach[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return s->config->sources[c->fit[low]];
}

static nm_severity draw_severity(const nm_corner_kind *kind, const nm_rng_key *key) {
    const int both = has_severity(kind->kind, NM_SEVERITY_NEAR_MISS) && has_severity(kind->kind, NM_SEVERITY_COLLISION);
    const int collides =
        both ? (double)nm_rng_uniform(key, 201) < kind->collisions : has_severity(kind->kind, NM_SEVERITY_COLLISION);
    return collides ? NM_SEVERITY_COLLISION : NM_SEVERITY_NEAR_MISS;
}

static nm_status make(const set *s, slot *a, worker *w, nm_error *error) {
    const nm_corner_kind *kind = kind_of(s, a->cell);
    const cell *c = &s->cells[a->cell];
    const nm_rng_key key = key_of(s, a);
    const nm_scene *source = draw_source(s, a, &key);
    a->severity = draw_severity(kind, &key);
    const nm_case_request request = request_of(s->config, kind, (nm_case_generator)(a->cell % GENERATORS), a->severity);
    nm_case made;
    nm_arena_reset(w->arena);
    // no two generators try the same values, and together they try all
    nm_status status = s->config->attempt(w->work, source, &request, a->index * c->ranks + c->rank, &made, error);
    if (status == NM_E_UNSUPPORTED || status == NM_E_NUMERIC) { // one attempt that fails is no end of all others
        nm_error_clear(error);
        a->reason = status == NM_E_NUMERIC ? "numeric" : "unsupported";
        return NM_OK;
    }
    if (status != NM_OK) return status;
    a->reason = nm_reject_name(made.reject);
    if (made.reject != NM_REJECT_NONE) return NM_OK;
    nm_validity validity;
    status = judge(s, a, &made, w->arena, &validity, error);
    if (status == NM_OK && !validity.valid)
        a->reason = failed_verdict(&validity);
    else if (status == NM_OK) {
        a->reason = NM_ATTEMPT_KEPT;
        status = keep(a, nm_kind_spec_of(kind->kind), &made, &validity, w, error);
    }
    nm_scene_destroy(made.scene);
    return status;
}

static nm_status make_parallel(void *context, size_t index, int thread, nm_error *error) {
    set *s = context;
    return make(s, &s->slots[s->parallel[index]], &s->workers[thread], error);
}

/// Those with the model, one after the other: they take so long that one may want to stop in between.
static nm_status make_with_model(set *s, nm_error *error) {
    const nm_corner_config *c = s->config;
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < s->slot_count; ++i) {
        if (!s->cells[s->slots[i].cell].uses_model) continue;
        if (c->stop && c->stop(c->stop_context)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        status = make(s, &s->slots[i], &s->workers[s->worker_count], error);
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Rounds

static void release(slot *a) {
    nm_packed_scene_destroy(a->packed);
    free(a->events);
    free(a->requested);
    free(a->achieved);
    free(a->verdicts);
    memset(a, 0, sizeof *a);
}

static uint64_t kept_of(const set *s, uint32_t kind) {
    uint64_t kept = 0;
    for (uint32_t g = 0; g < GENERATORS; ++g) kept += s->report->yields[kind * GENERATORS + g].kept;
    return kept;
}

static int enough_hours(const set *s) {
    return s->config->hours > 0.0 && s->report->hours >= s->config->hours;
}

/// Nothing more is wanted of the cell: of one that is done nothing is taken or counted either, so that what was made of
/// it in vain is made again, the same, should the others not reach the number.
static int done(const set *s, uint32_t at) {
    const nm_corner_yield *y = &s->report->yields[at];
    return y->given_up || !(y->share > 0.0) || y->kept >= s->cells[at].quota ||
           kept_of(s, at / GENERATORS) >= s->wanted[at / GENERATORS];
}

static int given_up(const set *s, uint32_t kind) {
    for (uint32_t at = kind * GENERATORS; at < (kind + 1) * GENERATORS; ++at)
        if (s->report->yields[at].share > 0.0 && !s->report->yields[at].given_up) return 0;
    return 1;
}

/// How many scenes there are to be of each kind. By hours: of all that are missing its share, by weight, among the
/// kinds that nobody gave up.
static void set_wanted(set *s) {
    const nm_corner_config *c = s->config;
    double weights = 0.0, before = 0.0, left;
    if (!(c->hours > 0.0)) {
        for (uint32_t k = 0; k < c->kind_count; ++k) s->wanted[k] = c->count;
        return;
    }
    left = ceil((c->hours - s->report->hours) * 3600.0 / ((double)c->steps * (double)NM_STEP_SECONDS) - 1e-6);
    for (uint32_t k = 0; k < c->kind_count; ++k) {
        if (given_up(s, k)) continue;
        weights += c->kinds[k].weight;
        left += (double)kept_of(s, k);
    }
    for (uint32_t k = 0; k < c->kind_count; ++k) {
        const double with = before + (given_up(s, k) ? 0.0 : c->kinds[k].weight);
        // whole numbers that add up
        s->wanted[k] =
            with > before ? (uint64_t)(floor(left * with / weights + 0.5) - floor(left * before / weights + 0.5)) : 0;
        if (c->count && s->wanted[k] > c->count) s->wanted[k] = c->count;
        before = with;
    }
}

/// How many scenes of a kind each generator is to have: its share of those that nobody who gave up has made. Whole
/// numbers that add up; which of them are rounded up differs from kind to kind, so that all together are about right.
static void set_quotas(set *s, uint32_t kind) {
    const nm_corner_yield *yields = &s->report->yields[kind * GENERATORS];
    cell *cells = &s->cells[kind * GENERATORS];
    double whole = 0.0, before = 0.0;
    uint64_t wanted = s->wanted[kind];
    for (uint32_t g = 0; g < GENERATORS; ++g) {
        if (!yields[g].given_up)
            whole += yields[g].share;
        else
            wanted -= yields[g].kept < wanted ? yields[g].kept : wanted;
    }
    const double offset = fmod(0.5 + 0.61803398875 * (double)s->config->kinds[kind].kind, 1.0); // the golden ratio's
    for (uint32_t g = 0; g < GENERATORS; ++g) {
        cells[g].quota = 0;
        if (yields[g].given_up || !(yields[g].share > 0.0)) continue;
        const double share = yields[g].share / whole, with = before + share > 1.0 - 1e-9 ? 1.0 : before + share;
        cells[g].quota = (uint64_t)(floor((double)wanted * with + offset) - floor((double)wanted * before + offset));
        before = with;
    }
}

/// The cell of a kind whose generator is most behind its share, as if all that is planned were kept; NM_NONE when
/// nothing is left to do. *has: how much of its weight the kind has.
static uint32_t most_behind_of(const set *s, uint32_t kind, double *has) {
    uint32_t best = NM_NONE;
    uint64_t sum = 0;
    double least = INFINITY;
    for (uint32_t at = kind * GENERATORS; at < (kind + 1) * GENERATORS; ++at) {
        const nm_corner_yield *y = &s->report->yields[at];
        const cell *c = &s->cells[at];
        const uint64_t with = y->kept + c->planned, surplus = c->uses_model ? 0 : SURPLUS;
        sum += with;
        if (done(s, at) || with >= c->quota + surplus) continue;
        if ((double)with / y->share >= least) continue;
        least = (double)with / y->share;
        best = at;
    }
    *has = (double)sum / s->config->kinds[kind].weight;
    return best;
}

static uint32_t most_behind(const set *s) {
    uint32_t best = NM_NONE;
    double least = INFINITY;
    for (uint32_t k = 0; k < s->config->kind_count; ++k) {
        double has;
        const uint32_t at = most_behind_of(s, k, &has);
        if (at == NM_NONE || has >= least) continue;
        least = has;
        best = at;
    }
    return best;
}

static void plan(set *s) {
    uint32_t with_model = 0;
    for (uint32_t i = 0; i < s->cell_count; ++i) s->cells[i].planned = 0;
    set_wanted(s);
    for (uint32_t k = 0; k < s->config->kind_count; ++k) set_quotas(s, k);
    s->slot_count = s->parallel_count = 0;
    while (s->slot_count < NM_CORNER_ROUND && !enough_hours(s) && with_model < NM_CORNER_MODEL_ROUND) {
        const uint32_t at = most_behind(s);
        if (at == NM_NONE) return;
        cell *c = &s->cells[at];
        if (c->uses_model)
            with_model++;
        else
            s->parallel[s->parallel_count++] = s->slot_count;
        s->slots[s->slot_count++] = (slot){.cell = at, .index = s->report->yields[at].attempts + c->planned++};
    }
}

/// Puts what was kept into the store.
static nm_status put(const set *s, const slot *a, nm_error *error) {
    int64_t scene;
    nm_status status = nm_store_put_packed(s->store, a->packed, &scene, error);
    if (status == NM_E_EXISTS) return status;
    if (status == NM_OK)
        status = nm_store_put_events(s->store, scene, a->events, a->event_count, &a->criticality, a->feature, s->mining,
                                     error);
    const nm_generated row = {.generation = s->report->generation,
                              .kind = kind_of(s, a->cell)->kind,
                              .generator = nm_case_generator_name((nm_case_generator)(a->cell % GENERATORS)),
                              .severity = nm_severity_name(a->severity),
                              .label = a->label,
                              .requested = a->requested,
                              .achieved = a->achieved,
                              .verdicts = a->verdicts};
    return status == NM_OK ? nm_store_put_generated(s->store, scene, &row, error) : status;
}

static void add_steps(set *s, uint64_t steps) {
    s->steps += steps;
    s->report->hours = (double)s->steps * (double)NM_STEP_SECONDS / 3600.0;
}

static int out_of_patience(const set *s, uint32_t at) {
    const nm_corner_yield *y = &s->report->yields[at];
    const double first = s->cells[at].uses_model ? 50.0 : 200.0; // until there is anything to judge by
    return (double)y->attempts >= s->config->patience * (double)(y->kept + 1) + first;
}

static nm_status commit_slot(set *s, slot *a, nm_error *error) {
    nm_corner_yield *y = &s->report->yields[a->cell];
    nm_status status = a->packed ? put(s, a, error) : NM_OK;
    if (status == NM_E_EXISTS) { // made before, bit for bit, by another attempt
        a->reason = "repeated";
        status = NM_OK;
    } else if (status == NM_OK && a->packed) {
        y->kept++;
        s->report->kept++;
        add_steps(s, a->steps);
    }
    if (status == NM_OK)
        status = nm_store_count_attempts(s->store, s->report->generation, y->kind, nm_case_generator_name(y->generator),
                                         a->reason, 1, error);
    y->attempts++;
    s->report->attempts++;
    return status;
}

/// In the order of the plan, whatever was finished first.
static nm_status commit_slots(set *s, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < s->slot_count; ++i)
        if (!done(s, s->slots[i].cell) && !enough_hours(s)) status = commit_slot(s, &s->slots[i], error);
    for (uint32_t at = 0; at < s->cell_count; ++at) s->report->yields[at].given_up = out_of_patience(s, at);
    return status;
}

/// Two processes that make the same set would each count for the other.
static nm_status alone(const set *s, nm_error *error) {
    for (uint32_t at = 0; at < s->cell_count; ++at) {
        const nm_corner_yield *y = &s->report->yields[at];
        uint64_t attempts, kept;
        if (!(y->share > 0.0)) continue;
        const nm_status status = nm_store_counted_attempts(
            s->store, s->report->generation, y->kind, nm_case_generator_name(y->generator), &attempts, &kept, error);
        if (status != NM_OK) return status;
        if (attempts != y->attempts || kept != y->kept)
            return NM_ERROR(error, NM_E_BUSY, "another process is making this set");
    }
    return NM_OK;
}

static nm_status run_round(set *s, nm_error *error) {
    nm_status status = NM_OK;
    if (s->parallel_count) status = nm_thread_pool_for(s->pool, s->parallel_count, 1, make_parallel, s, error);
    if (status == NM_OK) status = make_with_model(s, error);
    if (status == NM_OK) status = nm_store_begin(s->store, error);
    if (status == NM_OK) {
        status = alone(s, error);
        if (status == NM_OK) status = commit_slots(s, error);
        if (status == NM_OK)
            status = nm_store_commit(s->store, error);
        else
            nm_store_rollback(s->store);
    }
    for (uint32_t i = 0; i < s->slot_count; ++i) release(&s->slots[i]);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Opening

static nm_status out_of_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for a set of corner cases");
}

/// Which cells a source can hold, one byte each.
typedef struct fitting {
    set *s;
    uint8_t *fits; ///< [source_count][cell_count]
} fitting;

static nm_status find_fit(void *context, size_t index, int thread, nm_error *error) {
    (void)thread;
    const fitting *f = context;
    const nm_corner_config *c = f->s->config;
    const nm_scene *source = c->sources[index];
    uint32_t kinds;
    nm_status status = nm_kinds_on_map(source->map, &kinds, error);
    for (uint32_t at = 0; status == NM_OK && at < f->s->cell_count; ++at) {
        const nm_corner_yield *y = &f->s->report->yields[at];
        if (!(kinds >> y->kind & 1u) || !(y->share > 0.0)) continue;
        status = check_source(c, kind_of(f->s, at), y->generator, source, error);
        if (status == NM_OK) f->fits[index * f->s->cell_count + at] = 1;
        if (status == NM_E_UNSUPPORTED) status = NM_OK;
    }
    return status;
}

static void gather_fits(set *s, const uint8_t *fits) {
    const nm_corner_config *c = s->config;
    for (uint32_t at = 0; at < s->cell_count; ++at) {
        nm_corner_yield *y = &s->report->yields[at];
        double reach = 0.0;
        for (uint32_t i = 0; i < c->source_count; ++i) {
            if (!fits[(size_t)i * s->cell_count + at]) continue;
            reach += c->source_weights ? c->source_weights[i] : 1.0;
            s->cells[at].fit[y->sources] = i;
            s->cells[at].reach[y->sources++] = reach;
        }
    }
}

/// A generator that can make a kind of no source has no share of it.
static void share_out(set *s, uint32_t kind) {
    nm_corner_yield *yields = &s->report->yields[kind * GENERATORS];
    double whole = 0.0;
    for (uint32_t g = 0; g < GENERATORS; ++g) {
        if (!yields[g].sources) yields[g].share = 0.0;
        whole += yields[g].share;
    }
    for (uint32_t g = 0; g < GENERATORS && whole > 0.0; ++g) yields[g].share /= whole;
}

static nm_status find_fits(set *s, nm_error *error) {
    const nm_corner_config *c = s->config;
    fitting f = {s, calloc(c->source_count, s->cell_count)};
    nm_status status = f.fits ? NM_OK : out_of_memory(error);
    for (uint32_t at = 0; status == NM_OK && at < s->cell_count; ++at) {
        s->cells[at].fit = calloc(c->source_count, sizeof *s->cells[at].fit);
        s->cells[at].reach = calloc(c->source_count, sizeof *s->cells[at].reach);
        if (!s->cells[at].fit || !s->cells[at].reach) status = out_of_memory(error);
    }
    if (status == NM_OK) status = nm_thread_pool_for(s->pool, c->source_count, 1, find_fit, &f, error);
    if (status == NM_OK) gather_fits(s, f.fits);
    free(f.fits);
    for (uint32_t k = 0; status == NM_OK && k < c->kind_count; ++k) share_out(s, k);
    return status;
}

static nm_status make_cells(set *s, nm_error *error) {
    const nm_corner_config *c = s->config;
    s->cell_count = c->kind_count * GENERATORS;
    s->cells = calloc(s->cell_count, sizeof *s->cells);
    if (!s->cells) return out_of_memory(error);
    for (uint32_t at = 0; at < s->cell_count; ++at) {
        const nm_corner_kind *kind = kind_of(s, at);
        const nm_case_generator generator = (nm_case_generator)(at % GENERATORS);
        const double *shares = shares_of(c, kind);
        const nm_case_request request = request_of(c, kind, generator, kind->ranges[0].severity);
        s->report->yields[at] =
            (nm_corner_yield){.kind = kind->kind, .generator = generator, .share = shares[generator]};
        s->cells[at].uses_model = nm_case_uses_model(&request);
        for (uint32_t g = 0; g < GENERATORS; ++g) {
            s->cells[at].rank += shares[g] > 0.0 && g < at % GENERATORS;
            s->cells[at].ranks += shares[g] > 0.0;
        }
    }
    return find_fits(s, error);
}

static nm_status make_workers(set *s, nm_error *error) {
    s->worker_count = nm_thread_pool_threads(s->pool);
    s->workers = calloc((size_t)s->worker_count + 1, sizeof *s->workers);
    int complete = s->workers != NULL;
    for (int i = 0; complete && i <= s->worker_count; ++i) {
        worker *w = &s->workers[i];
        const int last = i == s->worker_count;
        *w = (worker){nm_case_work_create(last ? s->config->model : NULL, last ? s->config->recipe : NULL),
                      nm_packer_create(), nm_arena_create(0)};
        complete = w->work && w->packer && w->arena;
    }
    return complete ? NM_OK : out_of_memory(error);
}

/// What an earlier run of the same set came to.
static nm_status go_on(set *s, nm_error *error) {
    nm_generation_run run = s->config->run;
    uint64_t steps = 0;
    run.seed = s->config->seed;
    nm_status status = nm_store_finished_generation(s->store, &run, &s->report->generation, error);
    s->finished = s->report->generation != 0;
    if (status == NM_OK && !s->finished)
        status = nm_store_begin_generation(s->store, &run, &s->report->generation, NULL, error);
    for (uint32_t at = 0; status == NM_OK && at < s->cell_count; ++at) {
        nm_corner_yield *y = &s->report->yields[at];
        status = nm_store_counted_attempts(s->store, s->report->generation, y->kind,
                                           nm_case_generator_name(y->generator), &y->attempts, &y->kept, error);
        y->given_up = out_of_patience(s, at);
    }
    if (status == NM_OK) status = nm_store_generated_steps(s->store, s->report->generation, &steps, error);
    add_steps(s, steps);
    return status;
}

static void close_set(set *s) {
    for (uint32_t at = 0; s->cells && at < s->cell_count; ++at) {
        free(s->cells[at].fit);
        free(s->cells[at].reach);
    }
    for (int i = 0; s->workers && i <= s->worker_count; ++i) {
        nm_case_work_destroy(s->workers[i].work);
        nm_packer_destroy(s->workers[i].packer);
        nm_arena_destroy(s->workers[i].arena);
    }
    free(s->cells);
    free(s->workers);
    cJSON_free(s->mining);
    free(s);
}

static nm_status describe_mining(set *s, nm_error *error) {
    if (s->config->mining) {
        s->mining = strdup(s->config->mining);
    } else {
        const nm_detect_params params = nm_detect_params_default(); // nm_case_attempt's
        cJSON *json = nm_detect_params_json(&params);
        s->mining = json ? cJSON_PrintUnformatted(json) : NULL;
        cJSON_Delete(json);
    }
    return s->mining ? NM_OK : out_of_memory(error);
}

static nm_status run_rounds(set *s, nm_error *error) {
    const nm_corner_config *c = s->config;
    for (;;) {
        if (c->stop && c->stop(c->stop_context)) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        plan(s);
        if (!s->slot_count) break;
        const nm_status status = run_round(s, error);
        if (status != NM_OK) return status;
        if (c->progress) c->progress(c->progress_context, s->report->kept, s->report->hours);
    }
    return nm_store_end_generation(s->store, s->report->generation, error);
}

nm_status nm_corner_set_run(const nm_corner_config *config, nm_store *store, nm_thread_pool *pool,
                            nm_corner_report *report, nm_error *error) {
    NM_ASSERT(store && pool && report && report->yields);
    nm_error local;
    error = error ? error : &local;
    nm_corner_yield *yields = report->yields;
    *report = (nm_corner_report){.yields = yields};
    nm_status status = nm_corner_check(config, error);
    if (status != NM_OK) return status;
    set *s = calloc(1, sizeof *s);
    if (!s) return out_of_memory(error);
    s->config = config;
    s->store = store;
    s->pool = pool;
    s->report = report;
    status = describe_mining(s, error);
    if (status == NM_OK) status = make_cells(s, error);
    if (status == NM_OK) status = make_workers(s, error);
    if (status == NM_OK) status = go_on(s, error);
    if (status == NM_OK && !s->finished) status = run_rounds(s, error);
    close_set(s);
    return status;
}
