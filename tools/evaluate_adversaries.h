/// Adversaries of an evaluation: the kinds that --adversary names, and what came of them.
#ifndef NM_TOOLS_EVALUATE_ADVERSARIES_H
#define NM_TOOLS_EVALUATE_ADVERSARIES_H

#include <stdio.h>

#include "tools/cli.h"
#include "tools/evaluate_report.h"

/// As nm_episode_config.adversary: a kind, or -1 for a drive without.
typedef struct nm_evaluate_adversaries {
    int kinds[NM_KIND_COUNT];
    uint32_t count;
} nm_evaluate_adversaries;

/// Lists of names with commas between them, "all", or nothing at all: then one, -1. NM_E_ARGUMENT for what is no kind,
/// NM_E_UNSUPPORTED for one that nobody can be steered by.
nm_status nm_evaluate_adversaries_parse(const nm_text_list *texts, nm_evaluate_adversaries *out, nm_error *error);
const char *nm_evaluate_adversary_name(int kind); ///< "" for -1

/// Unfit for having no place for the adversary. Most kinds have none in most scenes: that is in the tables, and no
/// news.
int nm_evaluate_is_no_place(const nm_results_row *row);

/// What came of each kind as a table for people.
void nm_evaluate_print_adversaries(const nm_evaluate_report *report, FILE *file);
/// By kind, of a planner. NULL without memory.
cJSON *nm_evaluate_adversaries_json(const nm_evaluate_report *report, size_t planner);

#endif
