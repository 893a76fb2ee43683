#include "scenarios/corner_set.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/places.h"
#include "sim/world.h"

static const char generator[] = "manoeuvre";

/// One attempt of a round.
typedef struct slot {
    uint32_t kind;  ///< index into config->kinds
    uint64_t index; ///< of the kind's attempts
    nm_severity severity;
    const char *reason; ///< static
    nm_packed_scene *packed;
    nm_event *events; ///< malloc
    size_t event_count;
    nm_scene_criticality criticality;
    float feature[NM_FEATURE_COUNT];
    const char *label;                     ///< static
    char *requested, *achieved, *verdicts; ///< JSON, malloc
    double seconds;
} slot;

/// What one thread works with.
typedef struct worker {
    nm_case_work *work;
    nm_packer *packer;
    nm_arena *arena;
} worker;

typedef struct set {
    const nm_corner_config *config;
    nm_store *store;
    nm_thread_pool *pool;
    nm_corner_report *report;
    uint32_t **fit;    ///< [kind_count][sources] indices of the sources that can hold it
    uint32_t *planned; ///< [kind_count] attempts in the round
    slot slots[NM_CORNER_ROUND];
    uint32_t slot_count;
    worker *workers;
    int worker_count;
    int finished; ///< by an earlier run
} set;

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
                              .mining = "{}",
                              .patience = 50.0};
}

// ---------------------------------------------------------------------------------------------------------------------
// What is asked for

static int has_severity(nm_kind kind, nm_severity severity) {
    return (int)(nm_kind_spec_of(kind)->severities >> severity & 1u);
}

static nm_case_request request_of(const nm_corner_config *c, const nm_corner_kind *kind, nm_severity severity) {
    nm_case_request r = nm_case_request_default();
    r.ranges = kind->ranges[severity];
    r.sampling = kind->sampling;
    r.seed = c->seed;
    r.ego = c->ego;
    r.custom = c->custom;
    if (c->idm) r.idm = c->idm;
    r.steps = c->steps;
    r.traffic = c->traffic;
    return r;
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
    nm_error first;
    nm_error_clear(&first);
    for (uint32_t i = 0; i < c->source_count; ++i) {
        nm_error why;
        nm_error_clear(&why);
        nm_status status = NM_OK;
        for (int s = 0; status == NM_OK && s < NM_SEVERITY_COUNT; ++s) {
            if (!has_severity(kind->kind, (nm_severity)s)) continue;
            const nm_case_request request = request_of(c, kind, (nm_severity)s);
            status = nm_case_check(c->sources[i], &request, &why);
        }
        if (status == NM_OK) return NM_OK; // one source will do
        if (i == 0 || (first.code != NM_E_ARGUMENT && status == NM_E_ARGUMENT)) first = why;
        if (status != NM_E_UNSUPPORTED) break;
    }
    *error = first;
    return first.code;
}

nm_status nm_corner_check(const nm_corner_config *c, nm_error *error) {
    nm_error local;
    error = error ? error : &local;
    if (!c->kind_count) return NM_ERROR(error, NM_E_ARGUMENT, "no kind is asked for");
    if (!c->source_count) return NM_ERROR(error, NM_E_ARGUMENT, "there is no scene or map to begin from");
    if (!c->count && !(c->hours > 0.0)) return NM_ERROR(error, NM_E_ARGUMENT, "neither a number of scenes nor hours");
    if (!(c->hours >= 0.0 && c->hours <= 1e6)) return NM_ERROR(error, NM_E_ARGUMENT, "%g hours are none", c->hours);
    if (!(c->patience >= 1.0)) return NM_ERROR(error, NM_E_ARGUMENT, "patience is %g, less than 1", c->patience);
    nm_status status = NM_OK;
    for (uint32_t k = 0; status == NM_OK && k < c->kind_count; ++k) status = check_kind(c, k, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// An attempt

/// Drawn from the identity of an attempt.
static nm_rng_key key_of(const set *s, const slot *a) {
    return (nm_rng_key){.seed = s->config->seed,
                        .scene = a->index,
                        .agent = (uint32_t)s->config->kinds[a->kind].kind,
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
    const uint32_t others[2] = {made->adversary, made->other};
    const nm_conflict_case conflict = {.scene = made->scene,
                                       .ego = made->ego,
                                       .adversaries = others,
                                       .adversary_count =
                                           made->other != NM_NONE ? 2 : 1, // the third role is staged, too
                                       .begin = made->scene->current_step,
                                       .event = &made->event};
    nm_validity_params params = s->config->validity;
    params.violations |= nm_kind_spec_of(s->config->kinds[a->kind].kind)->violations;
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
    a->seconds = (double)made->scene->dt * (double)(made->scene->step_count - 1);
    nm_scene_feature(made->scene, &a->criticality, a->events, a->event_count, a->feature);
    return nm_pack_scene(w->packer, made->scene, &a->packed, error);
}

static nm_status attempt(void *context, size_t index, int thread, nm_error *error) {
    const set *s = context;
    slot *a = (slot *)&s->slots[index];
    worker *w = &s->workers[thread];
    const nm_corner_kind *kind = &s->config->kinds[a->kind];
    const nm_rng_key key = key_of(s, a);
    const uint32_t fits = s->report->yields[a->kind].sources;
    const nm_scene *source = s->config->sources[s->fit[a->kind][nm_rng_below(&key, 200, fits)]];
    const int both = has_severity(kind->kind, NM_SEVERITY_NEAR_MISS) && has_severity(kind->kind, NM_SEVERITY_COLLISION);
    const int collides =
        both ? (double)nm_rng_uniform(&key, 201) < kind->collisions : has_severity(kind->kind, NM_SEVERITY_COLLISION);
    a->severity = collides ? NM_SEVERITY_COLLISION : NM_SEVERITY_NEAR_MISS;
    const nm_case_request request = request_of(s->config, kind, a->severity);
    nm_case made;
    nm_arena_reset(w->arena);
    nm_status status = nm_case_attempt(w->work, source, &request, a->index, &made, error);
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

static int done(const set *s, uint32_t kind) {
    const nm_corner_yield *y = &s->report->yields[kind];
    return y->given_up || (s->config->count && y->kept >= s->config->count);
}

/// The kind that is most behind its share, as if all that is planned were kept; NM_NONE when nothing is left to do.
static uint32_t most_behind(const set *s) {
    uint32_t best = NM_NONE;
    double least = INFINITY;
    for (uint32_t k = 0; k < s->config->kind_count; ++k) {
        const nm_corner_yield *y = &s->report->yields[k];
        if (done(s, k) || (s->config->count && y->kept + s->planned[k] >= s->config->count + 8)) continue;
        const double has = (double)(y->kept + s->planned[k]) / s->config->kinds[k].weight;
        if (has >= least) continue;
        least = has;
        best = k;
    }
    return best;
}

static void plan(set *s) {
    memset(s->planned, 0, s->config->kind_count * sizeof *s->planned);
    s->slot_count = 0;
    if (s->config->hours > 0.0 && s->report->hours >= s->config->hours) return;
    while (s->slot_count < NM_CORNER_ROUND) {
        const uint32_t kind = most_behind(s);
        if (kind == NM_NONE) return;
        s->slots[s->slot_count++] =
            (slot){.kind = kind, .index = s->report->yields[kind].attempts + s->planned[kind]++};
    }
}

/// Puts what was kept into the store.
static nm_status put(const set *s, const slot *a, nm_error *error) {
    int64_t scene;
    nm_status status = nm_store_put_packed(s->store, a->packed, &scene, error);
    if (status == NM_E_EXISTS) return status;
    if (status == NM_OK)
        status = nm_store_put_events(s->store, scene, a->events, a->event_count, &a->criticality, a->feature,
                                     s->config->mining, error);
    const nm_generated row = {.generation = s->report->generation,
                              .kind = s->config->kinds[a->kind].kind,
                              .generator = generator,
                              .severity = nm_severity_name(a->severity),
                              .label = a->label,
                              .requested = a->requested,
                              .achieved = a->achieved,
                              .verdicts = a->verdicts};
    return status == NM_OK ? nm_store_put_generated(s->store, scene, &row, error) : status;
}

/// In the order of the plan, whatever was finished first. Of a kind that has enough nothing more is taken or counted.
static nm_status commit_slots(set *s, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < s->slot_count; ++i) {
        slot *a = &s->slots[i];
        nm_corner_yield *y = &s->report->yields[a->kind];
        if (done(s, a->kind) || (s->config->hours > 0.0 && s->report->hours >= s->config->hours)) continue;
        if (a->packed) {
            status = put(s, a, error);
            if (status == NM_E_EXISTS) { // made before, bit for bit, by another attempt
                a->reason = "repeated";
                status = NM_OK;
            } else if (status == NM_OK) {
                y->kept++;
                s->report->kept++;
                s->report->hours += a->seconds / 3600.0;
            }
        }
        if (status == NM_OK)
            status = nm_store_count_attempts(s->store, s->report->generation, s->config->kinds[a->kind].kind, generator,
                                             a->reason, 1, error);
        y->attempts++;
        s->report->attempts++;
        y->given_up = (double)y->attempts >= s->config->patience * (double)(y->kept + 1) + 200.0;
    }
    return status;
}

/// Two processes that make the same set would each count for the other.
static nm_status alone(const set *s, nm_error *error) {
    for (uint32_t k = 0; k < s->config->kind_count; ++k) {
        const nm_corner_yield *y = &s->report->yields[k];
        uint64_t attempts, kept;
        const nm_status status =
            nm_store_counted_attempts(s->store, s->report->generation, y->kind, generator, &attempts, &kept, error);
        if (status != NM_OK) return status;
        if (attempts != y->attempts || kept != y->kept)
            return NM_ERROR(error, NM_E_BUSY, "another process is making this set");
    }
    return NM_OK;
}

static nm_status run_round(set *s, nm_error *error) {
    nm_status status = nm_thread_pool_for(s->pool, s->slot_count, 1, attempt, s, error);
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

static nm_status find_fits(set *s, nm_error *error) {
    const nm_corner_config *c = s->config;
    s->fit = calloc(c->kind_count, sizeof *s->fit);
    s->planned = calloc(c->kind_count, sizeof *s->planned);
    if (!s->fit || !s->planned) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a set of corner cases");
    for (uint32_t k = 0; k < c->kind_count; ++k) {
        s->report->yields[k] = (nm_corner_yield){.kind = c->kinds[k].kind};
        s->fit[k] = calloc(c->source_count, sizeof **s->fit);
        if (!s->fit[k]) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a set of corner cases");
    }
    for (uint32_t i = 0; i < c->source_count; ++i) {
        uint32_t kinds;
        const nm_status status = nm_kinds_on_map(c->sources[i]->map, &kinds, error);
        if (status != NM_OK) return status;
        for (uint32_t k = 0; k < c->kind_count; ++k)
            if (kinds >> c->kinds[k].kind & 1u) s->fit[k][s->report->yields[k].sources++] = i;
    }
    return NM_OK;
}

static nm_status make_workers(set *s, nm_error *error) {
    s->worker_count = nm_thread_pool_threads(s->pool);
    s->workers = calloc((size_t)s->worker_count, sizeof *s->workers);
    int complete = s->workers != NULL;
    for (int i = 0; complete && i < s->worker_count; ++i) {
        worker *w = &s->workers[i];
        *w = (worker){nm_case_work_create(NULL, NULL), nm_packer_create(), nm_arena_create(0)};
        complete = w->work && w->packer && w->arena;
    }
    return complete ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a set of corner cases");
}

/// What an earlier run of the same set came to.
static nm_status go_on(set *s, nm_error *error) {
    const nm_corner_config *c = s->config;
    nm_generation_run run = c->run;
    run.seed = c->seed;
    nm_status status = nm_store_finished_generation(s->store, &run, &s->report->generation, error);
    s->finished = s->report->generation != 0;
    if (status == NM_OK && !s->finished)
        status = nm_store_begin_generation(s->store, &run, &s->report->generation, NULL, error);
    for (uint32_t k = 0; status == NM_OK && k < c->kind_count; ++k) {
        nm_corner_yield *y = &s->report->yields[k];
        status = nm_store_counted_attempts(s->store, s->report->generation, y->kind, generator, &y->attempts, &y->kept,
                                           error);
        s->report->hours += (double)y->kept * (double)c->steps * (double)NM_STEP_SECONDS / 3600.0;
        y->given_up = (double)y->attempts >= c->patience * (double)(y->kept + 1) + 200.0;
    }
    return status;
}

static void close_set(set *s) {
    for (uint32_t k = 0; s->fit && k < s->config->kind_count; ++k) free(s->fit[k]);
    for (int i = 0; s->workers && i < s->worker_count; ++i) {
        nm_case_work_destroy(s->workers[i].work);
        nm_packer_destroy(s->workers[i].packer);
        nm_arena_destroy(s->workers[i].arena);
    }
    free(s->fit);
    free(s->planned);
    free(s->workers);
    free(s);
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
    if (!s) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a set of corner cases");
    s->config = config;
    s->store = store;
    s->pool = pool;
    s->report = report;
    status = find_fits(s, error);
    if (status == NM_OK) status = make_workers(s, error);
    if (status == NM_OK) status = go_on(s, error);
    if (status == NM_OK && !s->finished) status = run_rounds(s, error);
    close_set(s);
    return status;
}
