#include "tools/evaluate_adversaries.h"

#include <math.h>
#include <string.h>

#include "scenarios/adversary.h"

const char *nm_evaluate_adversary_name(int kind) {
    return kind < 0 ? "" : nm_kind_name((nm_kind)kind);
}

int nm_evaluate_is_no_place(const nm_results_row *row) {
    return row->episode.outcome == NM_EPISODE_UNFIT && strncmp(row->episode.reason, "no place for ", 13) == 0;
}

static void add(nm_evaluate_adversaries *out, int kind) {
    for (uint32_t i = 0; i < out->count; ++i)
        if (out->kinds[i] == kind) return;
    out->kinds[out->count++] = kind;
}

static nm_status add_named(const char *text, size_t length, nm_evaluate_adversaries *out, nm_error *error) {
    char name[64];
    nm_kind kind;
    if (length >= sizeof name) length = sizeof name - 1;
    memcpy(name, text, length);
    name[length] = '\0';
    if (strcmp(name, "all") == 0) {
        for (int k = 0; k < NM_KIND_COUNT; ++k)
            if (nm_adversary_steers((nm_kind)k)) add(out, k);
        return NM_OK;
    }
    if (!nm_kind_from_name(name, &kind)) return NM_ERROR(error, NM_E_ARGUMENT, "there is no kind '%s'", name);
    const nm_status status = nm_adversary_check(kind, error);
    if (status == NM_OK) add(out, (int)kind);
    return status;
}

nm_status nm_evaluate_adversaries_parse(const nm_text_list *texts, nm_evaluate_adversaries *out, nm_error *error) {
    *out = (nm_evaluate_adversaries){.count = 0};
    for (size_t i = 0; i < texts->count; ++i)
        for (const char *at = texts->items[i];; ++at) {
            const size_t length = strcspn(at, ",");
            const nm_status status = add_named(at, length, out, error);
            if (status != NM_OK) return status;
            at += length;
            if (!*at) break;
        }
    if (!texts->count) add(out, -1);
    return NM_OK;
}

void nm_evaluate_print_adversaries(const nm_evaluate_report *report, FILE *file) {
    static const char *const headings[] = {"adversary", "planner",    ">scenes",   ">score",  ">staged",
                                           ">collided", ">avoidable", ">at fault", ">failed", ">no place"};
    const nm_evaluation_summary *summary = report->summary;
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    char text[NM_EVALUATE_NUMBER];
    for (size_t k = 0; k < summary->adversary_count; ++k)
        for (size_t i = 0; i < summary->planner_count; ++i) {
            const nm_evaluation_part *part = &summary->planners[i].adversaries[k];
            nm_table_cell(table, "%s", i ? "" : summary->adversaries[k]);
            nm_table_cell(table, "%s", report->entrants[i].planner);
            nm_table_cell(table, "%zu", part->scenes);
            nm_table_cell(table, "%s", nm_evaluate_number(text, part->score, 4));
            nm_table_cell(table, "%zu", part->staged);
            nm_table_cell(table, "%zu", part->met);
            nm_table_cell(table, "%zu", part->avoidable);
            nm_table_cell(table, "%zu", part->collided);
            nm_table_cell(table, "%zu", part->failed);
            nm_table_cell(table, "%zu", part->unfit);
        }
    nm_table_print(table, file);
    nm_table_destroy(table);
}

cJSON *nm_evaluate_adversaries_json(const nm_evaluate_report *report, size_t planner) {
    const nm_evaluation_summary *summary = report->summary;
    cJSON *list = cJSON_CreateArray();
    for (size_t k = 0; k < summary->adversary_count; ++k) {
        const nm_evaluation_part *part = &summary->planners[planner].adversaries[k];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "adversary", summary->adversaries[k]);
        nm_json_integer(object, "scenes", part->scenes);
        nm_json_integer(object, "failed", part->failed);
        nm_json_integer(object, "unfit", part->unfit);
        nm_json_number(object, "score", part->score);
        nm_json_integer(object, "staged", part->staged);
        nm_json_integer(object, "collided_with_adversary", part->met);
        nm_json_integer(object, "of_these_avoidable", part->avoidable);
        nm_json_number(object, "collided_at_fault", part->scenes ? (double)part->collided / (double)part->scenes : NAN);
        cJSON_AddItemToArray(list, object);
    }
    return list;
}
