// The audit of a store: scenes in order of their ids, a batch at a time. Threads read and check, each through a store
// object of its own; what they found is added up in order.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "scenarios/audit_internal.h"
#include "scenarios/network.h"

#define BATCH 128u

typedef struct slot {
    int64_t scene;
    int generated; ///< 0: a recorded scene, passed over
    nm_status status;
    nm_error error;
    nm_audit_report report;
} slot;

typedef struct worker {
    nm_store *store;
    nm_arena *arena;
} worker;

typedef struct seen {
    int64_t scene;
    int broken;
} seen;

typedef struct audit {
    const nm_audit_config *config;
    nm_thread_pool *pool;
    nm_audit_totals *totals;
    worker *workers;
    int worker_count;
    int64_t *ids;
    size_t id_count, id_capacity;
    seen *seen; ///< [seen_count] of [id_count] the generated ones
    size_t seen_count;
    const int64_t *batch;
    slot slots[BATCH];
} audit;

nm_audit_config nm_audit_config_default(void) {
    return (nm_audit_config){.seed = 0};
}

// --- which scenes ----------------------------------------------------------------------------------------------------

static nm_status add_id(audit *s, int64_t id, nm_error *error) {
    if (s->id_count == s->id_capacity) {
        const size_t capacity = s->id_capacity ? 2 * s->id_capacity : 1024;
        int64_t *grown = realloc(s->ids, capacity * sizeof *grown);
        if (!grown) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the ids of scenes");
        s->ids = grown;
        s->id_capacity = capacity;
    }
    s->ids[s->id_count++] = id;
    return NM_OK;
}

static nm_status take_hit(void *context, const nm_hit *hit, nm_error *error) {
    return add_id(context, hit->scene, error);
}

static int by_id(const void *a, const void *b) {
    const int64_t one = *(const int64_t *)a, two = *(const int64_t *)b;
    return (one > two) - (one < two);
}

static nm_status find_ids(audit *s, nm_error *error) {
    nm_store *store = s->workers[0].store;
    nm_arena *arena = s->workers[0].arena;
    nm_status status = NM_OK;
    if (s->config->where) {
        nm_query query = nm_query_default();
        query.where = s->config->where;
        query.limit = 0;
        query.seconds = 0;
        status = nm_store_find(store, &query, take_hit, s, error);
    } else {
        int64_t *all;
        size_t count;
        status = nm_store_scene_ids(store, -1, arena, &all, &count, error);
        for (size_t i = 0; status == NM_OK && i < count; i++) status = add_id(s, all[i], error);
        nm_arena_reset(arena);
    }
    if (status != NM_OK) return status;
    if (s->id_count) qsort(s->ids, s->id_count, sizeof *s->ids, by_id);
    size_t count = 0;
    for (size_t i = 0; i < s->id_count; i++)
        if (!count || s->ids[count - 1] != s->ids[i]) s->ids[count++] = s->ids[i];
    s->id_count = count;
    s->seen = calloc(count + 1, sizeof *s->seen);
    return s->seen ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for the ids of scenes");
}

// --- one scene -------------------------------------------------------------------------------------------------------

static nm_status check_scene(worker *w, slot *a) {
    nm_generated row;
    const nm_scene *scene = NULL;
    nm_audit_case about;
    nm_arena_reset(w->arena);
    nm_status status = nm_store_get_generated(w->store, a->scene, w->arena, &row, &a->error);
    a->generated = status != NM_E_NOT_FOUND;
    if (!a->generated) return NM_OK;
    if (status == NM_OK) status = nm_store_get_scene(w->store, a->scene, &scene, &a->error);
    if (status == NM_OK) status = nm_audit_read_case(scene, &about, &a->error);
    if (status == NM_OK) status = nm_audit_scene(scene, &about, w->arena, &a->report, &a->error);
    if (status == NM_OK) nm_audit_row(scene, &about, &row, &a->report);
    nm_scene_destroy(scene);
    return status;
}

static nm_status run_slot(void *context, size_t index, int thread, nm_error *error) {
    audit *s = context;
    slot *a = &s->slots[index];
    memset(a, 0, sizeof *a);
    nm_error_clear(&a->error);
    a->scene = s->batch[index];
    a->status = check_scene(&s->workers[thread], a);
    if (a->status != NM_E_MEMORY && a->status != NM_E_CANCELLED) return NM_OK; // the others go on
    *error = a->error;
    return a->status;
}

// --- adding up -------------------------------------------------------------------------------------------------------

static double badness(double value, double limit) {
    return value / fmax(limit, 1e-6);
}

static void insert_worst(nm_audit_total *total, int64_t scene, const nm_audit_finding *f) {
    uint32_t at = total->worst_count;
    while (at > 0 && badness(total->worst[at - 1].value, total->worst[at - 1].limit) < badness(f->value, f->limit))
        at--;
    if (at == NM_AUDIT_WORST) return;
    if (total->worst_count < NM_AUDIT_WORST) total->worst_count++;
    for (uint32_t i = total->worst_count - 1; i > at; i--) total->worst[i] = total->worst[i - 1];
    total->worst[at] = (nm_audit_worst){.scene = scene, .value = f->value, .limit = f->limit};
}

static void add_finding(nm_audit_total *total, int64_t scene, const nm_audit_finding *f) {
    if (f->result == NM_AUDIT_UNJUDGED) return;
    const int allowed = f->result == NM_AUDIT_ALLOWED, only_allowed = total->scenes == total->allowed;
    const int worse = badness(f->value, f->limit) > badness(total->value, total->limit);
    if (!total->worst_scene || (!allowed && only_allowed) || (allowed == only_allowed && worse)) {
        total->value = f->value;
        total->limit = f->limit;
        total->worst_scene = scene;
    }
    total->scenes++;
    total->allowed += (uint64_t)allowed;
    if (f->result != NM_AUDIT_BROKEN) return;
    total->broken++;
    insert_worst(total, scene, f);
}

static void add_difference(nm_audit_total *total, int64_t scene, const nm_audit_finding *f, const nm_audit_stored *s) {
    // an unjudged one counts as furthest away
    const int both = f->result != NM_AUDIT_UNJUDGED && s->result != NM_AUDIT_UNJUDGED;
    const double found = f->result == NM_AUDIT_UNJUDGED ? NAN : f->value;
    const double stored = s->result == NM_AUDIT_UNJUDGED ? NAN : s->value;
    const double apart = both ? fabs(found - stored) : INFINITY, known = fabs(total->found - total->stored);
    total->differs++;
    if (total->differing && !(apart > (isnan(known) ? INFINITY : known))) return;
    total->differing = scene;
    total->found = found;
    total->stored = stored;
}

static void add_remark(audit *s, int64_t scene, const char *text) {
    if (text[0] && !s->totals->remark[0])
        snprintf(s->totals->remark, sizeof s->totals->remark, "scene %" PRId64 ": %s", scene, text);
}

static int is_broken(const nm_audit_report *report) {
    for (int i = 0; i < NM_AUDIT_COUNT; i++)
        if (report->found[i].result == NM_AUDIT_BROKEN) return 1;
    return 0;
}

static void add_slot(audit *s, const slot *a) {
    nm_audit_totals *t = s->totals;
    if (!a->generated) return;
    seen *known = &s->seen[s->seen_count++];
    known->scene = a->scene;
    known->broken = a->status != NM_OK || is_broken(&a->report);
    t->scenes++;
    t->broken += (uint64_t)known->broken;
    if (a->status != NM_OK) {
        t->unreadable++;
        add_remark(s, a->scene, a->error.message);
        return;
    }
    add_remark(s, a->scene, a->report.remark);
    for (int i = 0; i < NM_AUDIT_COUNT; i++) add_finding(&t->check[i], a->scene, &a->report.found[i]);
    for (int i = 0; i < NM_AUDIT_VERDICTS; i++)
        if (a->report.differs >> i & 1u)
            add_difference(&t->check[i], a->scene, &a->report.found[i], &a->report.stored[i]);
}

static nm_status check_all(audit *s, nm_error *error) {
    nm_status status = NM_OK;
    for (size_t at = 0; status == NM_OK && at < s->id_count; at += BATCH) {
        const size_t count = s->id_count - at < BATCH ? s->id_count - at : BATCH;
        s->batch = s->ids + at;
        status = nm_thread_pool_for(s->pool, count, 1, run_slot, s, error);
        for (size_t i = 0; status == NM_OK && i < count; i++) add_slot(s, &s->slots[i]);
        if (s->config->progress) s->config->progress(s->config->progress_context, at + count, s->id_count);
        if (status == NM_OK && s->config->stop && s->config->stop(s->config->stop_context))
            status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    return status;
}

// --- made again ------------------------------------------------------------------------------------------------------

static nm_status parent_of(const nm_scene *scene, nm_store *from, const nm_scene **parent, nm_error *error) {
    int64_t id;
    nm_status status = nm_audit_build_parent(scene, parent, error);
    if (status != NM_OK || *parent) return status;
    if (!from) return NM_OK;
    const nm_scene *network = NULL;
    uint64_t hash = scene->provenance.parent, seed = 0;
    int spawned = nm_network_of_case(scene->provenance.parameters, &hash, &seed);
    status = nm_store_find_hash(from, hash, &id, error);
    if (status == NM_E_NOT_FOUND) return NM_OK;
    if (status == NM_OK) status = nm_store_get_scene(from, id, spawned ? &network : parent, error);
    if (status == NM_OK && spawned) status = nm_network_traffic(network, seed, parent, error);
    nm_scene_destroy(network);
    return status;
}

static nm_status again(audit *s, nm_case_work *work, nm_store *from, seen *which, nm_error *error) {
    const nm_scene *scene = NULL, *parent = NULL;
    nm_audit_report report;
    nm_error why;
    memset(&report, 0, sizeof report);
    nm_error_clear(&why);
    nm_status status = nm_store_get_scene(s->workers[0].store, which->scene, &scene, &why);
    if (status == NM_OK) status = parent_of(scene, from, &parent, &why);
    if (status == NM_OK) {
        nm_audit_again(work, scene, parent, &report);
    } else if (status == NM_E_MEMORY || status == NM_E_CANCELLED) {
        *error = why;
    } else { // one that cannot be read, or whose parent cannot be built, says nothing of the others
        nm_audit_finding *found = &report.found[NM_AUDIT_AGAIN];
        *found = (nm_audit_finding){.result = NM_AUDIT_BROKEN, .value = 1, .track = NM_NONE, .step = NM_NONE};
        snprintf(report.remark, sizeof report.remark, "%.*s", (int)sizeof report.remark - 1, why.message);
        status = NM_OK;
    }
    if (status == NM_OK) {
        add_finding(&s->totals->check[NM_AUDIT_AGAIN], which->scene, &report.found[NM_AUDIT_AGAIN]);
        add_remark(s, which->scene, report.remark);
        if (report.found[NM_AUDIT_AGAIN].result == NM_AUDIT_BROKEN && !which->broken) s->totals->broken++;
    }
    nm_scene_destroy(parent);
    nm_scene_destroy(scene);
    return status;
}

typedef struct lot {
    uint64_t key;
    size_t at;
} lot;

static int by_key(const void *a, const void *b) {
    const lot *one = a, *two = b;
    return (one->key > two->key) - (one->key < two->key);
}

// Those with the lowest lots, a function of seed and id.
static nm_status draw(const audit *s, lot **lots, nm_error *error) {
    *lots = malloc((s->seen_count + 1) * sizeof **lots);
    if (!*lots) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a draw");
    for (size_t i = 0; i < s->seen_count; i++)
        (*lots)[i] = (lot){nm_hash64(nm_hash64((uint64_t)s->seen[i].scene) + s->config->seed), i};
    if (s->seen_count) qsort(*lots, s->seen_count, sizeof **lots, by_key);
    return NM_OK;
}

static nm_status make_again(audit *s, nm_error *error) {
    const nm_audit_config *c = s->config;
    nm_store *from = NULL;
    lot *lots = NULL;
    if (!c->regenerate) return NM_OK;
    nm_case_work *work = nm_case_work_create(c->model, c->recipe);
    nm_status status = work ? draw(s, &lots, error) : NM_ERROR(error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK && c->from) status = nm_store_open(c->from, NM_STORE_READ, &from, error);
    const size_t count = c->regenerate < s->seen_count ? (size_t)c->regenerate : s->seen_count;
    for (size_t i = 0; status == NM_OK && i < count; i++) {
        status = again(s, work, from, &s->seen[lots[i].at], error);
        if (status == NM_OK && c->stop && c->stop(c->stop_context))
            status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
    }
    nm_store_close(from);
    nm_case_work_destroy(work);
    free(lots);
    return status;
}

// --- all -------------------------------------------------------------------------------------------------------------

static nm_status open_workers(audit *s, nm_error *error) {
    const int count = nm_thread_pool_threads(s->pool);
    s->workers = calloc((size_t)count, sizeof *s->workers);
    if (!s->workers) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an audit");
    s->worker_count = count;
    for (int i = 0; i < count; i++) {
        const nm_status status = nm_store_open(s->config->store, NM_STORE_READ, &s->workers[i].store, error);
        if (status != NM_OK) return status;
        s->workers[i].arena = nm_arena_create(0);
        if (!s->workers[i].arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an audit");
        nm_store_set_interrupt(s->workers[i].store, s->config->stop, s->config->stop_context);
    }
    return NM_OK;
}

static void close_workers(audit *s) {
    for (int i = 0; i < s->worker_count; i++) {
        nm_store_close(s->workers[i].store);
        nm_arena_destroy(s->workers[i].arena);
    }
    free(s->workers);
}

nm_status nm_audit_run(const nm_audit_config *config, nm_thread_pool *pool, nm_audit_totals *totals, nm_error *error) {
    NM_ASSERT(config && config->store && pool && totals);
    nm_error local;
    error = error ? error : &local;
    memset(totals, 0, sizeof *totals);
    audit *s = calloc(1, sizeof *s);
    if (!s) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an audit");
    s->config = config;
    s->pool = pool;
    s->totals = totals;
    nm_status status = open_workers(s, error);
    if (status == NM_OK) status = find_ids(s, error);
    if (status == NM_OK) status = check_all(s, error);
    if (status == NM_OK && !totals->scenes)
        status = NM_ERROR_AT(error, NM_E_NOT_FOUND, config->store, 0, -1, "holds no generated scene%s",
                             config->where ? " that fits --where" : "");
    if (status == NM_OK) status = make_again(s, error);
    close_workers(s);
    free(s->ids);
    free(s->seen);
    free(s);
    return status;
}
