/// How `nearmiss evaluate` drives: every planner in every world, then what it came to.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/text.h"
#include "tools/cmd_evaluate.h"

/// Several threads may ask at once.
static nm_status open_number(const nm_evaluate_run *run, size_t number, nm_planner **planner, nm_error *error) {
    const nm_evaluate_options *o = run->options;
    const int alone = run->place->episode.agents == NM_EPISODE_NEXUS; // else each thread has a model of its own
    const uint32_t samples = nm_evaluate_nexus_samples(run->planners[number]);
    if (samples)
        return nm_evaluate_model_planner(o->model, o->precision, run->common, alone ? (int)run->common->threads : 1,
                                         samples, planner, error);
    return nm_planner_open(run->planners[number], &run->planner_options, planner, error);
}

static nm_status open_planner(void *context, nm_planner **planner, nm_error *error) {
    const nm_evaluate_run *run = context;
    return open_number(run, run->current, planner, error);
}

static void show_progress(void *context, size_t episodes) {
    nm_progress_add(((nm_evaluate_run *)context)->progress, episodes);
}

static int silent(const nm_evaluate_run *run) {
    return run->common->quiet || run->common->json;
}

// ---------------------------------------------------------------------------------------------------------------------
// The worlds

static nm_status open_store(nm_evaluate_run *run, nm_evaluate_store *s, int id_count, char **ids, nm_error *error) {
    const nm_evaluate_options *o = run->options;
    nm_status status =
        id_count ? nm_scene_ids_parse(ids, id_count, &s->scenes, error)
                 : nm_scene_ids_choose(s->path, o->only, run->kind, o->where, (size_t)o->limit, &s->scenes, error);
    if (status == NM_OK && o->clean)
        status = nm_evaluate_keep_clean(s->path, &run->episode, nm_cli_stop, &s->scenes, &s->tally, error);
    return status;
}

/// Hashes the content of a shared library, so that one that was built anew is another planner; "" for other planners.
/// One that can not be read is told of where it is opened.
static void name_library(const char *planner, char text[20]) {
    uint8_t bytes[4096];
    uint64_t hash = 0;
    size_t count;
    const size_t length = strlen(planner);
    const int is_program = strncmp(planner, "exec:", 5) == 0 || strncmp(planner, "unix:", 5) == 0;
    const int is_library = strchr(planner, '/') || (length > 3 && strcmp(planner + length - 3, ".so") == 0);
    FILE *file = !is_program && is_library ? fopen(planner, "rb") : NULL;
    if (!file) return;
    while ((count = fread(bytes, 1, sizeof bytes, file)) > 0) hash = nm_hash_bytes(bytes, count, hash);
    fclose(file);
    snprintf(text, 20, "%016" PRIx64, hash);
}

/// Which of its scenes are independent.
static nm_status group_scenes(nm_evaluate_run *run, nm_evaluate_store *s, nm_error *error) {
    nm_store *store = NULL;
    s->group = calloc(s->scenes.count + 1, sizeof *s->group);
    if (!s->group) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    nm_status status = nm_store_open(s->path, NM_STORE_READ, &store, error);
    if (status == NM_OK)
        status = nm_evaluation_groups(store, s->scenes.ids, s->scenes.count, run->grouping, nm_cli_stop, NULL, s->group,
                                      &s->groups, error);
    nm_store_close(store);
    return status;
}

static nm_status make_places(nm_evaluate_run *run, nm_error *error) {
    const uint32_t count = run->store_count * run->agents_count;
    for (uint32_t w = 0; w < count; ++w) {
        nm_evaluate_place *place = &run->places[w];
        const nm_episode_agents agents = run->agents[w % run->agents_count];
        const char *name = nm_episode_agents_name(agents);
        place->store = &run->stores[w / run->agents_count];
        place->episode = run->episode;
        place->episode.agents = agents;
        place->episode.loop = agents == NM_EPISODE_NEXUS ? run->model.loop : NULL;
        if (count > 1 && run->store_count > 1 && run->agents_count > 1)
            snprintf(place->name, sizeof place->name, "%.120s, %s agents", nm_base_name(place->store->path), name);
        else if (count > 1 && run->store_count > 1)
            snprintf(place->name, sizeof place->name, "%.120s", nm_base_name(place->store->path));
        else if (count > 1)
            snprintf(place->name, sizeof place->name, "%s agents", name);
        if (w) snprintf(place->anchor, sizeof place->anchor, "-%u", w + 1);
        place->options = nm_evaluate_same_options(run->options, agents);
        run->place_count = w + 1;
        if (!place->options) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
        const nm_status status = nm_episode_check(&place->episode, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

static nm_status drive(nm_evaluate_run *run, nm_evaluate_place *place, uint32_t planner, uint32_t adversary,
                       nm_error *error) {
    const char *name = run->planners[planner], *library = run->libraries[planner];
    const char *model = place->episode.loop || nm_evaluate_nexus_samples(name) ? run->model.name : "";
    char weights[sizeof run->model.name + sizeof *run->libraries + 1];
    snprintf(weights, sizeof weights, "%s%s%s", model, *model && *library ? " " : "", library);
    run->place = place;
    run->current = planner;
    nm_evaluation_config config = {
        .episode = place->episode,
        .planner = open_planner,
        .planner_context = run,
        .run = {.planner = name,
                .store = place->store->name,
                .weights = weights,
                .config = run->options->config,
                .program = "nearmiss " NM_VERSION},
        .fresh = run->options->fresh,
        .problems = run->options->problems,
        .needs_recording = strcmp(name, "expert") == 0,
        .store = place->store->path,
        .scenes = place->store->scenes.ids,
        .scene_count = place->store->scenes.count,
        .stop = nm_cli_stop,
        .progress = show_progress,
        .progress_context = run,
    };
    config.episode.adversary = run->adversaries.kinds[adversary];
    char label[320];
    snprintf(label, sizeof label, "%.80s%s%s%s%s", name, config.episode.adversary < 0 ? "" : " against ",
             nm_evaluate_adversary_name(config.episode.adversary), *place->name ? ", " : "", place->name);
    run->progress = nm_progress_start(label, "scenes", config.scene_count, silent(run));
    const nm_status status =
        nm_evaluation_run(&config, run->results, run->pool, &place->reports[planner][adversary], error);
    nm_progress_finish(run->progress);
    return status;
}

static nm_status drive_all(nm_evaluate_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t w = 0; w < run->place_count; ++w)
        for (uint32_t i = 0; status == NM_OK && i < run->planner_count; ++i)
            for (uint32_t k = 0; status == NM_OK && k < run->adversaries.count; ++k)
                status = drive(run, &run->places[w], i, k, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// How real the agents are

static nm_status rate(nm_evaluate_run *run, const nm_evaluate_store *store, nm_episode_agents agents, nm_error *error) {
    nm_evaluate_realism *r = &run->realism[run->study.realism_count++];
    *r = (nm_evaluate_realism){.store = store->path, .agents = agents};
    nm_evaluation_realism_config config = {.store = store->path,
                                           .scenes = store->scenes.ids,
                                           .group = store->group,
                                           .scene_count = store->scenes.count,
                                           .episode = run->episode,
                                           // replayed agents are the same every time, but likelihoods are of so many
                                           .rollouts = (uint32_t)run->options->realism,
                                           .stop = nm_cli_stop,
                                           .progress = show_progress,
                                           .progress_context = run};
    config.episode.agents = agents;
    config.episode.loop = agents == NM_EPISODE_NEXUS ? run->model.loop : NULL;
    char label[64];
    snprintf(label, sizeof label, "realism of %s agents", nm_episode_agents_name(agents));
    run->progress = nm_progress_start(label, "scenes", config.scene_count, silent(run));
    const nm_status status = nm_evaluation_realism_run(&config, run->pool, &r->of, error);
    nm_progress_finish(run->progress);
    return status;
}

/// Those that are replayed first, asked for or not: they are the bound.
static nm_status rate_all(nm_evaluate_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t s = 0; status == NM_OK && s < run->store_count; ++s) {
        status = rate(run, &run->stores[s], NM_EPISODE_LOG, error);
        for (uint32_t a = 0; status == NM_OK && a < run->agents_count; ++a)
            if (run->agents[a] != NM_EPISODE_LOG) status = rate(run, &run->stores[s], run->agents[a], error);
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// What it came to

/// The rows of the scenes that were asked for, of all adversaries, with their groups: a file of results may hold more
/// of the same run. Rows and scenes are ascending.
static nm_status read_rows(nm_evaluate_run *run, nm_evaluate_place *place, uint32_t planner, nm_error *error) {
    nm_evaluation_entrant *e = &place->entrants[planner];
    const nm_scene_ids *scenes = &place->store->scenes;
    const size_t most = scenes->count * run->adversaries.count;
    nm_results_row *all = NM_ARENA_ARRAY(run->arena, nm_results_row, most);
    uint32_t *group = NM_ARENA_ARRAY(run->arena, uint32_t, most);
    if (!all || !group) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the summary of an evaluation");
    *e = (nm_evaluation_entrant){run->planners[planner], all, 0, group};
    for (uint32_t k = 0; k < run->adversaries.count; ++k) {
        nm_results_row *rows;
        size_t count;
        const nm_status status =
            nm_results_rows(run->results, place->reports[planner][k].run, run->arena, &rows, &count, error);
        if (status != NM_OK) return status;
        count = nm_results_select(rows, count, scenes->ids, scenes->count);
        if (count) memcpy(all + e->count, rows, count * sizeof *rows);
        e->count += count;
    }
    qsort(all, e->count, sizeof *all, nm_evaluation_row_order);
    for (size_t i = 0, k = 0; i < e->count; ++i) {
        while (scenes->ids[k] < all[i].scene) ++k; // it is there: the rows were selected by it
        group[i] = place->store->group[k];
    }
    return NM_OK;
}

static nm_status sum_up(nm_evaluate_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t w = 0; status == NM_OK && w < run->place_count; ++w) {
        nm_evaluate_place *place = &run->places[w];
        for (uint32_t i = 0; status == NM_OK && i < run->planner_count; ++i) status = read_rows(run, place, i, error);
        if (status == NM_OK)
            status =
                nm_evaluation_summarize(place->entrants, run->planner_count, NULL, run->arena, &place->summary, error);
        run->worlds[w] = (nm_evaluate_report){.store = place->store->path,
                                              .name = place->name,
                                              .anchor = place->anchor,
                                              .options = place->options,
                                              .episode = &place->episode,
                                              .entrants = place->entrants,
                                              .summary = &place->summary,
                                              .scenes = place->store->scenes.count,
                                              .groups = place->store->groups};
        run->compared[w] = (nm_evaluation_world){.store = place->store->path,
                                                 .agents = place->episode.agents,
                                                 .entrants = place->entrants,
                                                 .summary = &place->summary};
    }
    if (status == NM_OK && run->place_count > 1)
        status = nm_evaluation_compare(run->compared, run->place_count, NULL, run->arena, &run->comparison, error);
    nm_evaluate_study *study = &run->study;
    study->results = run->options->results ? run->options->results : run->folder.results;
    study->command_line = run->command_line;
    study->made = run->folder.made;
    study->grouping = nm_evaluation_grouping_name(run->grouping);
    study->pass_score = run->options->pass_score;
    study->worlds = run->worlds;
    study->compared = run->compared;
    study->comparison = run->place_count > 1 ? &run->comparison : NULL;
    study->world_count = run->place_count;
    study->realism = run->realism;
    return status;
}

static nm_status open_again(void *context, size_t planner, nm_planner **out, nm_error *error) {
    return open_number(context, planner, out, error);
}

static nm_status make_gallery(nm_evaluate_run *run, nm_evaluate_place *place, nm_error *error) {
    const nm_evaluate_gallery_config config = {.store = place->store->path,
                                               .driven = run->folder.driven,
                                               .episode = &place->episode,
                                               .problems = run->options->problems,
                                               .open = open_again,
                                               .context = run,
                                               .most = (size_t)run->options->gallery,
                                               .bytes = NM_EVALUATE_PICTURE_BYTES /
                                                        ((size_t)run->place_count * run->planner_count),
                                               .progress = show_progress,
                                               .stop = nm_cli_stop};
    const size_t shots = nm_evaluate_gallery_size(place->entrants, run->planner_count, config.most);
    char label[200];
    run->place = place;
    snprintf(label, sizeof label, "gallery%s%s", *place->name ? ", " : "", place->name);
    run->progress = nm_progress_start(label, "scenes", shots, silent(run));
    const nm_status status =
        nm_evaluate_gallery_make(&config, place->entrants, run->planner_count, run->pool, &place->gallery, error);
    nm_progress_finish(run->progress);
    return status;
}

/// The galleries, and the files of the report.
static nm_status leave_report(nm_evaluate_run *run, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t w = 0; status == NM_OK && run->options->gallery && w < run->place_count; ++w) {
        status = make_gallery(run, &run->places[w], error);
        run->worlds[w].gallery = run->places[w].gallery;
    }
    return status == NM_OK ? nm_evaluate_folder_write(&run->folder, &run->study, error) : status;
}

static nm_status open_results(nm_evaluate_run *run, nm_error *error) {
    const nm_evaluate_options *o = run->options;
    nm_status status = o->report ? nm_evaluate_folder_open(&run->folder, o->report, error) : NM_OK;
    if (status != NM_OK) return status;
    const char *path = o->results ? o->results : o->report ? run->folder.results : ":memory:";
    return nm_results_open(path, 1, &run->results, error);
}

nm_status nm_evaluate_execute(nm_evaluate_run *run, int id_count, char **ids, nm_error *error) {
    const nm_evaluate_options *o = run->options;
    run->arena = nm_arena_create(0);
    nm_status status =
        run->arena && run->command_line ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for an evaluation");
    if (status == NM_OK && run->uses_model)
        status = nm_evaluate_model_open(&run->model, o->model, o->precision, run->common, error);
    for (uint32_t i = 0; i < run->planner_count; ++i) name_library(run->planners[i], run->libraries[i]);
    if (status == NM_OK) status = make_places(run, error);
    for (uint32_t s = 0; status == NM_OK && s < run->store_count; ++s)
        status = open_store(run, &run->stores[s], id_count, ids, error);
    // last, so that what goes wrong before leaves no file
    if (status == NM_OK) status = open_results(run, error);
    if (status == NM_OK) status = nm_thread_pool_create((int)run->common->threads, &run->pool, error);
    if (status == NM_OK) status = drive_all(run, error);
    for (uint32_t s = 0; status == NM_OK && s < run->store_count; ++s)
        status = group_scenes(run, &run->stores[s], error);
    if (status == NM_OK && o->realism) status = rate_all(run, error);
    if (status == NM_OK) status = sum_up(run, error);
    return status == NM_OK && o->report ? leave_report(run, error) : status;
}

void nm_evaluate_release(nm_evaluate_run *run) {
    for (uint32_t w = 0; w < run->place_count; ++w) {
        nm_evaluate_gallery_destroy(run->places[w].gallery);
        free(run->places[w].options);
    }
    for (uint32_t s = 0; s < run->store_count; ++s) {
        nm_scene_ids_release(&run->stores[s].scenes);
        free(run->stores[s].group);
    }
    nm_results_close(run->results);
    nm_evaluate_model_close(&run->model);
    nm_thread_pool_destroy(run->pool);
    nm_arena_destroy(run->arena);
}
