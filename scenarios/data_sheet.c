// The data sheet of a generated set: what its users must know, in the order of questions of "Datasheets for Datasets"
// (Gebru et al. 2021), as far as the store knows the answers.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/whole_file.h"
#include "scenarios/avoidability.h"
#include "scenarios/set_stats.h"

#define LONGEST 400 // B of a text in a cell

/// A text amid Markdown: control characters escaped, no cell ended, no markup begun.
static void plain(FILE *file, const char *text) {
    static const char special[] = "|`*<>[]\\";
    char safe[LONGEST];
    nm_text_escape(safe, sizeof safe, text);
    for (const char *c = safe; *c; c++) {
        // a backslash before another letter stands for itself; strchr finds the end of the text, too
        if (*c == '\\' ? strchr(special, c[1]) != NULL : strchr(special, *c) != NULL) fputc('\\', file);
        fputc(*c, file);
    }
}

static void cell(FILE *file, const char *text) {
    fputs("| ", file);
    plain(file, text);
    fputc(' ', file);
}

static void number_cell(FILE *file, double value, int digits) {
    if (isfinite(value))
        fprintf(file, "| %.*f ", digits, value);
    else
        fputs("| - ", file);
}

static void count_cell(FILE *file, uint64_t count) {
    fprintf(file, "| %" PRIu64 " ", count);
}

static void end_row(FILE *file) {
    fputs("|\n", file);
}

/// "a", "b" ... as the head of a table; those that begin with '>' are numbers.
static void head(FILE *file, const char *const *names, size_t count) {
    fputc('\n', file);
    for (size_t i = 0; i < count; i++) fprintf(file, "| %s ", names[i][0] == '>' ? names[i] + 1 : names[i]);
    end_row(file);
    for (size_t i = 0; i < count; i++) fputs(names[i][0] == '>' ? "|---:" : "|---", file);
    end_row(file);
}
#define HEAD(file, ...)                                                                                                \
    head(file, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/// A line of code, long as it may be.
static void code(FILE *file, const char *text) {
    size_t size = 4 * strlen(text) + 1;
    char *safe = malloc(size);
    if (safe) nm_text_escape(safe, size, text);
    fprintf(file, "\n    %s\n", safe ? safe : "(out of memory)");
    free(safe);
}

static double share(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : NAN;
}

static void picture(FILE *file, const char *pictures, const char *name, const char *what) {
    if (pictures) fprintf(file, "\n![%s](<%s%s%s>)\n", what, pictures, pictures[0] ? "/" : "", name);
}

// --- sections --------------------------------------------------------------------------------------------------------

static uint64_t unavoidable(const nm_set_stats *stats, const char *severity) {
    uint64_t scenes = 0;
    for (size_t i = 0; i < stats->group_count; i++) {
        const nm_set_group *group = &stats->groups[i];
        if (strcmp(group->label, nm_avoid_label_name(NM_AVOID_UNAVOIDABLE)) == 0 &&
            strcmp(group->severity, severity) == 0)
            scenes += group->scenes;
    }
    return scenes;
}

/// An ego that does not have to perceive first avoids what the reference driver cannot: near misses may be unavoidable.
static void write_unavoidable(FILE *file, const nm_set_stats *stats) {
    static const char *const severities[][2] = {
        {"near_miss", "near misses asked for"}, {"collision", "collisions asked for"}, {"", "of any severity"}};
    for (size_t i = 0; i < sizeof severities / sizeof *severities; i++) {
        const uint64_t scenes = unavoidable(stats, severities[i][0]);
        if (scenes || severities[i][0][0])
            fprintf(file, "| unavoidable for a reference driver, %s | %" PRIu64 " |\n", severities[i][1], scenes);
    }
}

static void write_summary(FILE *file, const nm_set_stats *stats, const char *name) {
    uint64_t attempts = 0, kept = 0;
    for (size_t i = 0; i < stats->yield_count; i++) {
        attempts += stats->yields[i].attempts;
        kept += stats->yields[i].kept;
    }
    fputs("# Data sheet: ", file);
    plain(file, name);
    fputs("\n\nTraffic scenes with safety-critical moments. The danger in them was made by a program, not recorded: "
          "nobody was endangered.\n",
          file);
    HEAD(file, "What", ">How much");
    fprintf(file, "| scenes | %" PRIu64 " |\n| hours | %.3f |\n", stats->scenes, stats->hours);
    if (stats->scenes)
        fprintf(file, "| length of a scene | %.1f to %.1f s |\n", stats->duration_low, stats->duration_high);
    fprintf(file, "| with a collision | %" PRIu64 " |\n", stats->collisions);
    write_unavoidable(file, stats);
    fprintf(file, "| attempts | %" PRIu64 " |\n| kept of them | %" PRIu64, attempts, kept);
    if (attempts) fprintf(file, " (%.1f %%)", share(kept, attempts));
    fprintf(file, " |\n| size of the store | %.1f MB |\n", (double)stats->bytes / 1e6);
    const nm_reference_driver driver = nm_reference_driver_default();
    fprintf(
        file,
        "\nThe reference driver (UNECE R157) acts %.2f s after the danger shows. The ego that was recorded may need "
        "no time to react, so it can have avoided what is unavoidable for him.\n",
        (double)driver.perception + (double)driver.delay);
}

static void write_making(FILE *file, const nm_set_stats *stats) {
    size_t commands = 0;
    fputs("\n## How it was made\n", file);
    if (!stats->run_count) fputs("\nThe store holds no run of generation.\n", file);
    for (size_t i = 0; i < stats->run_count; i++) {
        const nm_set_run *run = &stats->runs[i];
        fprintf(file, "\nRun %" PRId64 ": ", run->id);
        plain(file, run->program);
        fprintf(file, ", seed %" PRIu64 ", begun ", run->seed);
        plain(file, run->started);
        fputs(run->finished[0] ? ", finished " : ", not finished", file);
        plain(file, run->finished);
        fprintf(file, "; %" PRIu64 " attempts, %" PRIu64 " kept, %" PRIu64 " scenes here. ", run->attempts, run->kept,
                run->scenes);
        if (run->command[0]) {
            fputs("The command, `--store` to be added:\n", file);
            commands++;
            code(file, run->command);
        } else {
            fputs("The command was not written down.\n", file);
        }
        fputs("\nIts parameters:\n", file);
        code(file, run->parameters);
    }
    fprintf(
        file,
        "\nThe same %s with the same version and source scenes, into any store, makes the same set, for any number of "
        "threads. Every scene's row holds its own seed and parameters.\n",
        commands == stats->run_count ? "command" : "parameters and seed");
}

/// What is known of the terms under which scenes of a source may be used.
static const char *terms_of(const char *source) {
    static const char *const known[][2] = {
        {"builtin", "made by this program from maps of its own: no terms of others"},
        {"simulate", "made by this program; the terms of the map or recording that it began with"},
        {"manoeuvre", "made by this program; the terms of the scene that it began with"},
        {"resample", "made by this program; the terms of the scene that it began with"},
        {"diffusion", "made by a model; the terms of the scene that it began with, and of what the model learnt from"},
        {"nexus", "made by a model; the terms of the scene that it began with, and of what the model learnt from"},
        {"commonroad", "those of the CommonRoad scenario and of the recording that it was cut from"},
        {"womd", "those of the Waymo Open Dataset, which reach to what is made from it: not for commercial use"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i][0], source) == 0) return known[i][1];
    return "not known here: ask whoever provided it";
}

static void write_sources(FILE *file, const nm_set_stats *stats) {
    fputs("\n## Sources and terms\n", file);
    HEAD(file, "Made by", "From scenes of", ">Scenes", "Terms");
    for (size_t i = 0; i < stats->source_count; i++) {
        const nm_set_source *source = &stats->sources[i];
        cell(file, source->source);
        cell(file, source->parent[0] ? source->parent : "-");
        count_cell(file, source->scenes);
        cell(file, terms_of(source->parent[0] ? source->parent : source->source));
        end_row(file);
    }
    fputs("\n\"-\": made from no other scene, or from one that neither is in this store nor is named.\n", file);
}

/// "a (12), b (3)": all of counts[] but that of `asked`.
static void counts_cell(FILE *file, const uint64_t *counts, int count, int asked) {
    int any = 0;
    fputs("| ", file);
    for (int k = 0; k < count; k++) {
        if (k == asked || !counts[k]) continue;
        fprintf(file, "%s%s (%" PRIu64 ")", any++ ? ", " : "", k < NM_KIND_COUNT ? nm_kind_name((nm_kind)k) : "nothing",
                counts[k]);
    }
    fputs(any ? " " : "- ", file);
}

static void write_confusion(FILE *file, const nm_set_stats *stats, const char *pictures) {
    fputs(
        "\nWhat mining found between ego and adversary. Found so: the kind asked for, with both in the roles that were "
        "meant. Instead: else the most severe other kind. Besides: other kinds, whatever else was found.\n",
        file);
    HEAD(file, "Asked for", ">Scenes", ">Found so [%]", "Instead", "Besides", ">Rejected since not found");
    int any = 0;
    for (int asked = 0; asked < NM_KIND_COUNT; asked++) {
        uint64_t scenes;
        const double right = nm_set_right(stats, (nm_kind)asked, &scenes);
        if (!scenes) continue;
        any = 1;
        cell(file, nm_kind_name((nm_kind)asked));
        count_cell(file, scenes);
        number_cell(file, right, 1);
        counts_cell(file, stats->confusion[asked], NM_KIND_COUNT + 1, asked);
        counts_cell(file, stats->also[asked], NM_KIND_COUNT, asked);
        count_cell(file, nm_set_not_found(stats, (nm_kind)asked));
        end_row(file);
    }
    if (any) picture(file, pictures, "confusion.png", "What was found where a kind was asked for");
}

static void write_kinds(FILE *file, const nm_set_stats *stats, const char *pictures) {
    fputs("\n## What it holds\n", file);
    HEAD(file, "Kind asked for", "Generator", "Severity", "For the reference driver", ">Scenes", ">Hours",
         ">Found by mining [%]");
    for (size_t i = 0; i < stats->group_count; i++) {
        const nm_set_group *group = &stats->groups[i];
        cell(file, nm_kind_name(group->kind));
        cell(file, group->generator);
        cell(file, group->severity[0] ? group->severity : "any");
        cell(file, group->label[0] ? group->label : "not judged");
        count_cell(file, group->scenes);
        number_cell(file, group->hours, 3);
        number_cell(file, share(group->confirmed, group->scenes), 1);
        end_row(file);
    }
    fputs("\n\"no_conflict\": nobody would have collided had the ego not reacted, so there was nothing to avoid.\n",
          file);
    picture(file, pictures, "kinds.png", "Scenes by kind");
    write_confusion(file, stats, pictures);
    fputs("\nThe kinds:\n\n", file);
    for (int kind = 0, last = -1; kind < NM_KIND_COUNT; kind++)
        for (size_t i = 0; i < stats->group_count; i++)
            if ((int)stats->groups[i].kind == kind && last != kind) {
                fprintf(file, "- `%s`: %s\n", nm_kind_name((nm_kind)kind), nm_detector((nm_kind)kind)->definition);
                last = kind;
            }
}

static void write_parameters(FILE *file, const nm_set_stats *stats, const char *pictures) {
    int plotted = 0;
    if (!stats->parameter_count) return;
    fputs("\n## Parameters\n\nWhat was asked for, and what was measured in the finished scenes. Covered: tenths of the "
          "range asked for that hold a scene. Outside: scenes beyond it. KS: largest difference between the "
          "distribution of what was achieved and that asked for, 0 to 1 (Kolmogorov-Smirnov statistic).\n",
          file);
    HEAD(file, "Kind", "Parameter", ">Scenes", ">Asked from", ">to", ">Achieved from", ">median", ">to", ">Outside",
         ">Covered [%]", ">KS");
    for (size_t i = 0; i < stats->parameter_count; i++) {
        const nm_set_parameter *p = &stats->parameters[i];
        cell(file, nm_kind_name(p->kind));
        cell(file, p->name);
        count_cell(file, p->achieved);
        const double numbers[] = {p->low, p->high, p->achieved_low, p->achieved_median, p->achieved_high};
        for (int k = 0; k < 5; k++) number_cell(file, numbers[k], 2);
        count_cell(file, p->outside);
        number_cell(file, nm_set_covered(p), 0);
        plotted |= isfinite(nm_set_covered(p)) != 0; // the plot leaves out single values
        number_cell(file, p->ks, 3);
        end_row(file);
    }
    if (plotted) picture(file, pictures, "parameters.png", "Parameters covered");
    if (plotted) picture(file, pictures, "distributions.png", "Distances of distributions");
}

static void write_qualities(FILE *file, const nm_set_stats *stats, const char *pictures) {
    int realism = 0, diversity = 0; // what there is nothing to plot of has no picture
    if (!stats->quality_count) return;
    fputs("\n## By generator\n\nRealism: how unlike the motion of recorded drivers that of the worst vehicle is, on "
          "average "
          "[nats]; 0 is always doing what is most common. Diversity: mean distance between the features of two scenes "
          "of a kind.\n",
          file);
    HEAD(file, "Kind", "Generator", ">Scenes", ">Near misses", ">Collisions", ">Unavoidable", ">Median TTC [s]",
         ">Realism [nats]", ">Diversity");
    for (size_t i = 0; i < stats->quality_count; i++) {
        const nm_set_quality *q = &stats->qualities[i];
        cell(file, q->kind < NM_KIND_COUNT ? nm_kind_name(q->kind) : "all");
        cell(file, q->generator);
        count_cell(file, q->scenes);
        count_cell(file, q->near_misses);
        count_cell(file, q->collisions);
        count_cell(file, q->unavoidable);
        number_cell(file, q->min_ttc, 2);
        number_cell(file, q->realism, 2);
        number_cell(file, q->diversity, 2);
        realism |= isfinite(q->realism) != 0;
        diversity |= isfinite(q->diversity) != 0;
        end_row(file);
    }
    picture(file, pictures, "severities.png", "Severities by generator");
    if (realism) picture(file, pictures, "realism.png", "Realism by generator and kind");
    if (diversity) picture(file, pictures, "diversity.png", "Diversity by generator and kind");
}

static void write_ttc(FILE *file, const nm_set_stats *stats, const char *pictures) {
    fputs("\n## Least time to collision\n", file);
    HEAD(file, "Least time to collision [s]", ">Scenes");
    for (int i = 0; i < NM_SET_TTC_BINS; i++)
        fprintf(file, "| %.2f to %.2f | %" PRIu64 " |\n", i * NM_SET_TTC_WIDTH, (i + 1) * NM_SET_TTC_WIDTH,
                stats->ttc[i]);
    fprintf(file, "| %.2f and more | %" PRIu64 " |\n| none | %" PRIu64 " |\n", NM_SET_TTC_BINS * NM_SET_TTC_WIDTH,
            stats->ttc_above, stats->ttc_none);
    picture(file, pictures, "min_ttc.png", "Least time to collision");
}

static void write_yields(FILE *file, const nm_set_stats *stats, const char *pictures) {
    fputs("\n## Yields, and what was rejected\n", file);
    HEAD(file, "Kind", "Generator", ">Attempts", ">Kept", ">Yield [%]");
    for (size_t i = 0; i < stats->yield_count; i++) {
        const nm_set_yield *yield = &stats->yields[i];
        cell(file, nm_kind_name(yield->kind));
        cell(file, yield->generator);
        count_cell(file, yield->attempts);
        count_cell(file, yield->kept);
        number_cell(file, share(yield->kept, yield->attempts), 1);
        end_row(file);
    }
    picture(file, pictures, "yields.png", "Yield by kind");
    HEAD(file, "Generator", "Reason", ">Attempts");
    for (size_t i = 0; i < stats->reject_count; i++) {
        cell(file, stats->rejects[i].generator);
        cell(file, stats->rejects[i].reason);
        count_cell(file, stats->rejects[i].count);
        end_row(file);
    }
    picture(file, pictures, "rejects.png", "Rejected by reason");
    fputs("\nThe same by kind:\n", file);
    HEAD(file, "Kind", "Generator", "Reason", ">Attempts");
    for (size_t i = 0; i < stats->reason_count; i++) {
        cell(file, nm_kind_name(stats->reasons[i].kind));
        cell(file, stats->reasons[i].generator);
        cell(file, stats->reasons[i].reason);
        count_cell(file, stats->reasons[i].count);
        end_row(file);
    }
}

static void write_limits(FILE *file, const nm_set_stats *stats) {
    fputs("\n## Limits\n\n", file);
    if (stats->mined < stats->scenes)
        fprintf(file, "- %" PRIu64 " scenes were not mined: the numbers of what was found leave them out.\n",
                stats->scenes - stats->mined);
    fputs("- How often a kind occurs here says nothing of how often it occurs on roads: it was asked for.\n"
          "- Road users other than those of the conflict behave as the policies and models that made them do, which is "
          "plainer than people are.\n"
          "- Maps, sizes and habits are those of the sources above; what they lack is missing here too.\n"
          "- A planner that does well here has been shown to do well here, and is not thereby safe.\n"
          "- Labels are those of the detectors of this program and of its reference driver, not of people.\n",
          file);
}

nm_status nm_data_sheet_write(const nm_set_stats *stats, const char *name, const char *pictures, const char *path,
                              nm_error *error) {
    NM_ASSERT(stats && name && path);
    nm_whole_file file;
    nm_status status = nm_whole_file_open(&file, path, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    write_summary(file.stream, stats, name);
    write_making(file.stream, stats);
    write_sources(file.stream, stats);
    write_kinds(file.stream, stats, pictures);
    write_qualities(file.stream, stats, pictures);
    write_parameters(file.stream, stats, pictures);
    write_ttc(file.stream, stats, pictures);
    write_yields(file.stream, stats, pictures);
    write_limits(file.stream, stats);
    return nm_whole_file_keep(&file, error);
}
