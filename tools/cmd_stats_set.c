#include "tools/cmd_stats_set.h"

#include <math.h>
#include <string.h>

static const char *or_any(const char *text, const char *word) {
    return text[0] ? text : word;
}

static double share(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_and_end(nm_table *table) {
    printf("\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

// --- tables ----------------------------------------------------------------------------------------------------------

static void print_groups(const nm_set_stats *stats) {
    static const char *const heads[] = {"asked for", "generator", "severity", "reference driver",
                                        ">scenes",   ">hours",    ">found %"};
    if (!stats->group_count) return;
    nm_table *table = nm_table_create(heads, sizeof heads / sizeof *heads);
    for (size_t i = 0; i < stats->group_count; i++) {
        const nm_set_group *group = &stats->groups[i];
        nm_table_cell(table, "%s", nm_kind_name(group->kind));
        nm_table_cell(table, "%s", group->generator);
        nm_table_cell(table, "%s", or_any(group->severity, "any"));
        nm_table_cell(table, "%s", or_any(group->label, "not judged"));
        nm_table_cell(table, "%llu", (unsigned long long)group->scenes);
        nm_table_cell(table, "%.3f", group->hours);
        nm_table_cell(table, "%.1f", share(group->confirmed, group->scenes));
    }
    print_and_end(table);
}

/// "off_road 12, too_mild 3": up to three.
static void reasons_cell(nm_table *table, const nm_set_stats *stats, const nm_set_yield *yield) {
    char text[160] = "";
    size_t used = 0;
    int count = 0;
    for (size_t i = 0; i < stats->reason_count && count < 3 && used < sizeof text; i++) {
        const nm_set_reason *r = &stats->reasons[i];
        if (r->kind != yield->kind || strcmp(r->generator, yield->generator) != 0) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %llu", count++ ? ", " : "", r->reason,
                                 (unsigned long long)r->count);
    }
    nm_table_cell(table, "%s", text);
}

static void print_yields(const nm_set_stats *stats) {
    static const char *const heads[] = {"asked for", "generator", ">attempts", ">kept", ">yield %", "rejected for"};
    static const char *const reasons[] = {"generator", "rejected for", ">attempts"};
    if (!stats->yield_count) return;
    nm_table *table = nm_table_create(heads, sizeof heads / sizeof *heads);
    for (size_t i = 0; i < stats->yield_count; i++) {
        const nm_set_yield *yield = &stats->yields[i];
        nm_table_cell(table, "%s", nm_kind_name(yield->kind));
        nm_table_cell(table, "%s", yield->generator);
        nm_table_cell(table, "%llu", (unsigned long long)yield->attempts);
        nm_table_cell(table, "%llu", (unsigned long long)yield->kept);
        nm_table_cell(table, "%.1f", share(yield->kept, yield->attempts));
        reasons_cell(table, stats, yield);
    }
    print_and_end(table);
    if (!stats->reject_count) return;
    table = nm_table_create(reasons, sizeof reasons / sizeof *reasons);
    for (size_t i = 0; i < stats->reject_count; i++) {
        nm_table_cell(table, "%s", stats->rejects[i].generator);
        nm_table_cell(table, "%s", stats->rejects[i].reason);
        nm_table_cell(table, "%llu", (unsigned long long)stats->rejects[i].count);
    }
    print_and_end(table);
}

static void number_cell(nm_table *table, double value) {
    if (isfinite(value))
        nm_table_cell(table, "%.3g", value);
    else
        nm_table_cell(table, "-");
}

/// "head_on 3, nothing 1": what counts[] has beside the kind asked for, most frequent first, up to three.
static void kinds_cell(nm_table *table, const uint64_t *counts, int count, int asked) {
    char text[160] = "";
    size_t used = 0;
    uint64_t last = UINT64_MAX;
    int last_kind = -1;
    for (int n = 0; n < 3 && used < sizeof text; n++) {
        int best = -1;
        for (int k = 0; k < count; k++) {
            if (k == asked || !counts[k] || counts[k] > last || (counts[k] == last && k <= last_kind)) continue;
            if (best < 0 || counts[k] > counts[best]) best = k;
        }
        if (best < 0) break;
        last = counts[best];
        last_kind = best;
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s %llu", n ? ", " : "",
                             best < NM_KIND_COUNT ? nm_kind_name((nm_kind)best) : "nothing", (unsigned long long)last);
    }
    nm_table_cell(table, "%s", text);
}

static void print_confusion(const nm_set_stats *stats) {
    static const char *const heads[] = {"asked for",     ">scenes",       ">found so %",
                                        "found instead", "found besides", ">rejected: not found"};
    nm_table *table = NULL;
    for (int asked = 0; asked < NM_KIND_COUNT; asked++) {
        uint64_t scenes;
        const double right = nm_set_right(stats, (nm_kind)asked, &scenes);
        if (!scenes) continue;
        if (!table) table = nm_table_create(heads, sizeof heads / sizeof *heads);
        nm_table_cell(table, "%s", nm_kind_name((nm_kind)asked));
        nm_table_cell(table, "%llu", (unsigned long long)scenes);
        nm_table_cell(table, "%.1f", right);
        kinds_cell(table, stats->confusion[asked], NM_KIND_COUNT + 1, asked);
        kinds_cell(table, stats->also[asked], NM_KIND_COUNT, asked);
        nm_table_cell(table, "%llu", (unsigned long long)nm_set_not_found(stats, (nm_kind)asked));
    }
    if (table) print_and_end(table);
}

static void print_qualities(const nm_set_stats *stats) {
    static const char *const heads[] = {"generator",      ">scenes",       ">near misses",  ">collisions",
                                        ">unavoidable %", ">median TTC s", ">realism nats", ">diversity"};
    nm_table *table = NULL;
    for (size_t i = 0; i < stats->quality_count; i++) {
        const nm_set_quality *q = &stats->qualities[i];
        if (q->kind != NM_KIND_COUNT) continue;
        if (!table) table = nm_table_create(heads, sizeof heads / sizeof *heads);
        nm_table_cell(table, "%s", q->generator);
        nm_table_cell(table, "%llu", (unsigned long long)q->scenes);
        nm_table_cell(table, "%llu", (unsigned long long)q->near_misses);
        nm_table_cell(table, "%llu", (unsigned long long)q->collisions);
        nm_table_cell(table, "%.1f", share(q->unavoidable, q->scenes)); // the others may be judged by nobody
        number_cell(table, q->min_ttc);
        number_cell(table, q->realism);
        number_cell(table, q->diversity);
    }
    if (table) print_and_end(table);
}

static void print_parameters(const nm_set_stats *stats) {
    static const char *const heads[] = {"asked for", "parameter", ">scenes",  ">from",      ">to", ">achieved",
                                        ">median",   ">to",       ">outside", ">covered %", ">KS"};
    if (!stats->parameter_count) return;
    nm_table *table = nm_table_create(heads, sizeof heads / sizeof *heads);
    for (size_t i = 0; i < stats->parameter_count; i++) {
        const nm_set_parameter *p = &stats->parameters[i];
        const double numbers[] = {p->low, p->high, p->achieved_low, p->achieved_median, p->achieved_high};
        nm_table_cell(table, "%s", nm_kind_name(p->kind));
        nm_table_cell(table, "%s", p->name);
        nm_table_cell(table, "%llu", (unsigned long long)p->achieved);
        for (int k = 0; k < 5; k++) number_cell(table, numbers[k]);
        nm_table_cell(table, "%llu", (unsigned long long)p->outside);
        number_cell(table, nm_set_covered(p));
        number_cell(table, p->ks);
    }
    print_and_end(table);
}

static void print_ttc(const nm_set_stats *stats) {
    static const char *const heads[] = {"least TTC s", ">scenes"};
    if (!stats->mined) return;
    nm_table *table = nm_table_create(heads, 2);
    for (int i = 0; i < NM_SET_TTC_BINS; i++) {
        if (!stats->ttc[i]) continue;
        nm_table_cell(table, "%.2f to %.2f", i * NM_SET_TTC_WIDTH, (i + 1) * NM_SET_TTC_WIDTH);
        nm_table_cell(table, "%llu", (unsigned long long)stats->ttc[i]);
    }
    nm_table_cell(table, "%.2f and more", NM_SET_TTC_BINS * NM_SET_TTC_WIDTH);
    nm_table_cell(table, "%llu", (unsigned long long)stats->ttc_above);
    nm_table_cell(table, "none");
    nm_table_cell(table, "%llu", (unsigned long long)stats->ttc_none);
    print_and_end(table);
}

void nm_set_print(const nm_set_stats *stats) {
    printf("\ngenerated: %llu scenes, %.3f hours, %llu with a collision, by %zu runs\n",
           (unsigned long long)stats->scenes, stats->hours, (unsigned long long)stats->collisions, stats->run_count);
    print_groups(stats);
    print_yields(stats);
    print_confusion(stats);
    print_qualities(stats);
    print_parameters(stats);
    print_ttc(stats);
}

// --- JSON ------------------------------------------------------------------------------------------------------------

static cJSON *add_object(cJSON *array) {
    cJSON *object = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(array, object)) cJSON_Delete(object);
    return object;
}

static void runs_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *runs = cJSON_AddArrayToObject(set, "runs");
    for (size_t i = 0; i < stats->run_count; i++) {
        const nm_set_run *run = &stats->runs[i];
        cJSON *one = add_object(runs);
        nm_json_integer(one, "run", (uint64_t)run->id);
        cJSON_AddStringToObject(one, "command", run->command);
        cJSON_AddStringToObject(one, "program", run->program);
        nm_json_integer(one, "seed", run->seed);
        cJSON_AddStringToObject(one, "started_utc", run->started);
        if (run->finished[0])
            cJSON_AddStringToObject(one, "finished_utc", run->finished);
        else
            cJSON_AddNullToObject(one, "finished_utc");
        cJSON *parameters = cJSON_Parse(run->parameters);
        if (parameters && !cJSON_AddItemToObject(one, "parameters", parameters)) cJSON_Delete(parameters);
        nm_json_integer(one, "attempts", run->attempts);
        nm_json_integer(one, "kept", run->kept);
        nm_json_integer(one, "scenes", run->scenes);
    }
}

static void groups_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *groups = cJSON_AddArrayToObject(set, "groups");
    for (size_t i = 0; i < stats->group_count; i++) {
        const nm_set_group *group = &stats->groups[i];
        cJSON *one = add_object(groups);
        cJSON_AddStringToObject(one, "kind", nm_kind_name(group->kind));
        cJSON_AddStringToObject(one, "generator", group->generator);
        cJSON_AddStringToObject(one, "severity", group->severity);
        cJSON_AddStringToObject(one, "label", group->label);
        nm_json_integer(one, "scenes", group->scenes);
        nm_json_integer(one, "confirmed", group->confirmed);
        nm_json_number(one, "hours", group->hours);
    }
    cJSON *detected = cJSON_AddObjectToObject(set, "detected");
    for (int asked = 0; asked < NM_KIND_COUNT; asked++) {
        cJSON *row = NULL;
        for (int found = 0; found < NM_KIND_COUNT; found++) {
            if (!stats->detected[asked][found]) continue;
            if (!row) row = cJSON_AddObjectToObject(detected, nm_kind_name((nm_kind)asked));
            nm_json_integer(row, nm_kind_name((nm_kind)found), stats->detected[asked][found]);
        }
    }
}

static void confusion_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *confusion = cJSON_AddObjectToObject(set, "confusion");
    for (int asked = 0; asked < NM_KIND_COUNT; asked++) {
        uint64_t scenes;
        const double right = nm_set_right(stats, (nm_kind)asked, &scenes);
        if (!scenes) continue;
        cJSON *row = cJSON_AddObjectToObject(confusion, nm_kind_name((nm_kind)asked));
        nm_json_integer(row, "scenes", scenes);
        nm_json_number(row, "right_percent", right);
        nm_json_integer(row, "rejected_not_found", nm_set_not_found(stats, (nm_kind)asked));
        cJSON *found = cJSON_AddObjectToObject(row, "found"), *also = cJSON_AddObjectToObject(row, "besides");
        for (int k = 0; k <= NM_KIND_COUNT; k++)
            if (stats->confusion[asked][k])
                nm_json_integer(found, k < NM_KIND_COUNT ? nm_kind_name((nm_kind)k) : "nothing",
                                stats->confusion[asked][k]);
        for (int k = 0; k < NM_KIND_COUNT; k++)
            if (stats->also[asked][k]) nm_json_integer(also, nm_kind_name((nm_kind)k), stats->also[asked][k]);
    }
}

static void qualities_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *qualities = cJSON_AddArrayToObject(set, "qualities");
    for (size_t i = 0; i < stats->quality_count; i++) {
        const nm_set_quality *q = &stats->qualities[i];
        cJSON *one = add_object(qualities);
        cJSON_AddStringToObject(one, "kind", q->kind < NM_KIND_COUNT ? nm_kind_name(q->kind) : "all");
        cJSON_AddStringToObject(one, "generator", q->generator);
        nm_json_integer(one, "scenes", q->scenes);
        nm_json_integer(one, "near_misses", q->near_misses);
        nm_json_integer(one, "collisions", q->collisions);
        nm_json_integer(one, "unavoidable", q->unavoidable);
        nm_json_number(one, "min_ttc_median", q->min_ttc);
        nm_json_number(one, "realism_nats", q->realism);
        nm_json_integer(one, "realism_scenes", q->realism_scenes);
        nm_json_number(one, "diversity", q->diversity);
    }
}

static void yields_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *yields = cJSON_AddArrayToObject(set, "yields"), *rejects = cJSON_AddArrayToObject(set, "rejects");
    for (size_t i = 0; i < stats->yield_count; i++) {
        cJSON *one = add_object(yields);
        cJSON_AddStringToObject(one, "kind", nm_kind_name(stats->yields[i].kind));
        cJSON_AddStringToObject(one, "generator", stats->yields[i].generator);
        nm_json_integer(one, "attempts", stats->yields[i].attempts);
        nm_json_integer(one, "kept", stats->yields[i].kept);
    }
    for (size_t i = 0; i < stats->reject_count; i++) {
        cJSON *one = add_object(rejects);
        cJSON_AddStringToObject(one, "generator", stats->rejects[i].generator);
        cJSON_AddStringToObject(one, "reason", stats->rejects[i].reason);
        nm_json_integer(one, "attempts", stats->rejects[i].count);
    }
}

static void reasons_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *reasons = cJSON_AddArrayToObject(set, "rejects_by_kind");
    for (size_t i = 0; i < stats->reason_count; i++) {
        const nm_set_reason *r = &stats->reasons[i];
        cJSON *one = add_object(reasons);
        cJSON_AddStringToObject(one, "kind", nm_kind_name(r->kind));
        cJSON_AddStringToObject(one, "generator", r->generator);
        cJSON_AddStringToObject(one, "reason", r->reason);
        nm_json_integer(one, "attempts", r->count);
    }
}

static void add_counts(cJSON *object, const char *name, const uint64_t *counts, int count) {
    cJSON *array = cJSON_AddArrayToObject(object, name);
    for (int i = 0; i < count; i++) {
        cJSON *number = cJSON_CreateNumber((double)counts[i]);
        if (!cJSON_AddItemToArray(array, number)) cJSON_Delete(number);
    }
}

static void parameters_to_json(const nm_set_stats *stats, cJSON *set) {
    cJSON *parameters = cJSON_AddArrayToObject(set, "parameters");
    for (size_t i = 0; i < stats->parameter_count; i++) {
        const nm_set_parameter *p = &stats->parameters[i];
        cJSON *one = add_object(parameters);
        cJSON_AddStringToObject(one, "kind", nm_kind_name(p->kind));
        cJSON_AddStringToObject(one, "name", p->name);
        nm_json_integer(one, "requested", p->requested);
        nm_json_integer(one, "achieved", p->achieved);
        nm_json_number(one, "low", p->low);
        nm_json_number(one, "high", p->high);
        nm_json_number(one, "achieved_low", p->achieved_low);
        nm_json_number(one, "achieved_median", p->achieved_median);
        nm_json_number(one, "achieved_high", p->achieved_high);
        nm_json_number(one, "ks", p->ks);
        add_counts(one, "bins", p->bins, NM_SET_PARAMETER_BINS);
        nm_json_integer(one, "outside", p->outside);
    }
}

void nm_set_to_json(const nm_set_stats *stats, cJSON *document) {
    cJSON *set = cJSON_AddObjectToObject(document, "generated");
    nm_json_integer(set, "scenes", stats->scenes);
    nm_json_integer(set, "mined", stats->mined);
    nm_json_number(set, "hours", stats->hours);
    nm_json_integer(set, "collisions", stats->collisions);
    runs_to_json(stats, set);
    groups_to_json(stats, set);
    yields_to_json(stats, set);
    reasons_to_json(stats, set);
    confusion_to_json(stats, set);
    qualities_to_json(stats, set);
    parameters_to_json(stats, set);
    cJSON *ttc = cJSON_AddObjectToObject(set, "min_ttc");
    nm_json_number(ttc, "bin_s", NM_SET_TTC_WIDTH);
    add_counts(ttc, "bins", stats->ttc, NM_SET_TTC_BINS);
    nm_json_integer(ttc, "above", stats->ttc_above);
    nm_json_integer(ttc, "none", stats->ttc_none);
}
