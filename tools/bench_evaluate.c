/// `nearmiss bench evaluate`: how fast planners are driven through dense scenes in closed loop, one thread each, and
/// where the time goes.
///
/// Scenes: built-in roads filled so that 64 vehicles are there on average, recorded over 15 s by the simulator itself.
/// An episode is what `nearmiss evaluate` makes of one: route, observations, answers, nuPlan's controller, IDM agents,
/// score. Before anything is timed every episode must be done, and give the same bits twice. The median of the repeats
/// counts.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/progress.h"
#include "base/rng.h"
#include "scenarios/adversary.h"
#include "scenarios/episode.h"
#include "scenarios/planner_open.h"
#include "sim/builtin.h"
#include "sim/metrics/nuplan_scene.h"
#include "sim/observation.h"
#include "sim/tracker.h"
#include "tools/cmd_evaluate_model.h"

#define SCENES 4u
#define STEPS 151u // recorded: 15 s
#define REPEATS 5
#define PIPE_SECONDS 3.0f

typedef struct evaluate_bench {
    nm_bench *bench;
    const nm_scene *scenes[SCENES];
    nm_episode_work *work;
    nm_episode_config config;
} evaluate_bench;

/// What a pass over all scenes came to.
typedef struct pass_result {
    double wall, busy, driven, plan_mean, score; ///< s, s of processor, s simulated, s, mean
    uint64_t hash;                               ///< of the scores
} pass_result;

static double processor_seconds(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return NAN;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static nm_status make_scenes(evaluate_bench *b, nm_error *error) {
    // long enough, or round enough, that most of them are there to the end
    static const char *const roads[SCENES] = {"highway:lanes=4,length=1500,density=30,vehicles=70",
                                              "junction_signal:lanes=2,length=300,density=45,vehicles=76",
                                              "highway:lanes=3,length=2000,density=30,vehicles=70",
                                              "junction_signal:lanes=3,length=300,density=40,vehicles=76"};
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < SCENES; ++i) {
        const nm_scene *road = NULL;
        status = nm_builtin_scene(roads[i], i + 1, &road, error);
        nm_world_config config = nm_world_config_default();
        nm_rollout_result driven = {0};
        config.seed = i + 1;
        if (status == NM_OK) status = nm_rollout(road, &config, STEPS - 1, 1, &driven, error);
        b->scenes[i] = driven.scene;
        nm_scene_destroy(road);
    }
    return status;
}

static nm_status drive_all(const evaluate_bench *b, nm_planner *planner, uint32_t count, pass_result *result,
                           nm_error *error) {
    *result = (pass_result){0};
    nm_status status = NM_OK;
    const double start = nm_clock(), busy = processor_seconds();
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        nm_episode e;
        if (nm_cli_interrupted()) return NM_ERROR(error, NM_E_CANCELLED, "interrupted");
        status = nm_episode_run(b->work, b->scenes[i], planner, &b->config, &e, error);
        if (status == NM_OK && e.outcome != NM_EPISODE_DONE)
            status = NM_ERROR(error, NM_E_NUMERIC, "scene %u is %s: %.400s", i + 1, nm_episode_outcome_name(e.outcome),
                              e.reason);
        result->driven += (double)e.seconds;
        result->plan_mean += e.plan_mean / (double)count;
        result->score += e.score.score / (double)count;
        const double bits[3] = {e.score.score, e.score.ego_progress, (double)e.min_distance};
        result->hash = nm_hash_bytes(bits, sizeof bits, result->hash);
    }
    result->wall = nm_clock() - start;
    result->busy = processor_seconds() - busy;
    return status;
}

/// Simulated over real seconds, and over seconds of the processor: on a machine with other work the latter says more.
static nm_status time_planner(evaluate_bench *b, const char *name, pass_result *last, nm_error *error) {
    char row[64];
    double wall[REPEATS], busy[REPEATS];
    nm_planner *planner = NULL;
    uint64_t hash = 0;
    nm_status status = nm_planner_named(name, "", &planner, error);
    for (int r = -1; status == NM_OK && r < REPEATS; ++r) { // the first one warms up
        status = drive_all(b, planner, SCENES, last, error);
        if (status == NM_OK && r >= 0 && last->hash != hash)
            status = NM_ERROR(error, NM_E_NUMERIC, "two runs of the same episodes differ");
        hash = last->hash;
        if (r < 0) continue;
        wall[r] = last->driven / last->wall;
        busy[r] = last->driven / last->busy;
    }
    nm_planner_destroy(planner);
    if (status != NM_OK) return status;
    qsort(wall, REPEATS, sizeof *wall, by_value);
    qsort(busy, REPEATS, sizeof *busy, by_value);
    snprintf(row, sizeof row, "realtime_factor.%s", name);
    nm_bench_row(b->bench, row, wall[REPEATS / 2], "x");
    snprintf(row, sizeof row, "realtime_factor_processor.%s", name);
    nm_bench_row(b->bench, row, busy[REPEATS / 2], "x");
    return NM_OK;
}

/// Against adversaries of every kind that has a place, both drives, placing and judging included: seconds of the drive
/// that is scored over seconds of real time, of the repeats the quickest.
static nm_status time_adversaries(const evaluate_bench *b, nm_error *error) {
    evaluate_bench against = *b;
    nm_planner *planner = NULL;
    double best = 0.0, best_busy = 0.0;
    uint32_t episodes = 0;
    nm_status status = nm_planner_named("idm", "", &planner, error);
    for (int r = 0; status == NM_OK && r < REPEATS; ++r) {
        double driven = 0.0, wall = 0.0, busy = 0.0;
        episodes = 0;
        for (int kind = 0; status == NM_OK && kind < NM_KIND_COUNT; ++kind) {
            if (!nm_adversary_steers((nm_kind)kind)) continue;
            against.config.adversary = kind;
            for (uint32_t i = 0; status == NM_OK && i < SCENES; ++i) {
                nm_episode e;
                const double begin = processor_seconds();
                if (nm_cli_interrupted()) status = NM_ERROR(error, NM_E_CANCELLED, "interrupted");
                if (status == NM_OK)
                    status = nm_episode_run(b->work, b->scenes[i], planner, &against.config, &e, error);
                if (status != NM_OK || e.outcome != NM_EPISODE_DONE) continue;
                driven += (double)e.seconds;
                wall += e.wall_seconds;
                busy += processor_seconds() - begin;
                ++episodes;
            }
        }
        best = fmax(best, driven / wall);
        best_busy = fmax(best_busy, driven / busy);
    }
    nm_planner_destroy(planner);
    if (status != NM_OK) return status;
    nm_bench_row(b->bench, "realtime_factor.adversary", best, "x");
    nm_bench_row(b->bench, "realtime_factor_processor.adversary", best_busy, "x");
    nm_bench_row(b->bench, "adversary_episodes", (double)episodes, "episodes");
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Where the time goes

/// The parts of an episode, each timed by itself.
typedef struct parts {
    nm_world *world;
    nm_observation *observation;
    nm_planner *planner;
    const nm_nuplan_map *map;
    double open, step, look, plan, track, score; ///< s
    uint64_t agents, steps;
} parts;

static nm_status open_parts(parts *p, const nm_scene *scene, nm_error *error) {
    const double start = nm_clock();
    nm_world_config config = nm_world_config_default();
    config.ego = NM_POLICY_EXTERNAL;
    config.idm = nm_idm_named("nuplan");
    config.checks = NM_CHECK_COLLISION | NM_CHECK_TTC;
    nm_status status = nm_world_create(scene, &config, &p->world, error);
    nm_observation_config seen = nm_observation_config_default(scene);
    const nm_planner_needs needs = nm_planner_get_needs(p->planner);
    seen.history = needs.history;
    seen.map_radius = needs.map_radius;
    if (status == NM_OK) status = nm_observation_create(scene, &seen, &p->observation, error);
    if (status == NM_OK) status = nm_planner_begin(p->planner, nm_observation_scenario(p->observation), error);
    p->open += nm_clock() - start;
    return status;
}

/// The planner's answer through nuPlan's controller.
static nm_status track(const nm_planner_output *answer, nm_bicycle_state *ego, nm_tracker_scratch *scratch,
                       nm_error *error) {
    nm_plan_state plan[NM_PLANNER_MAX_POINTS];
    const nm_tracker_params tracker = nm_tracker_params_default();
    const nm_bicycle_params bicycle = nm_bicycle_params_default();
    nm_bicycle_command command;
    for (uint32_t i = 0; i < answer->point_count; ++i) {
        const nm_planner_trajectory_point *p = &answer->points[i];
        plan[i] = (nm_plan_state){.time_us = ego->time_us + llround(1e6 * (double)p->time),
                                  .x = (double)p->rear_axle.x_scene,
                                  .y = (double)p->rear_axle.y_scene,
                                  .heading = (double)p->rear_axle.heading_scene,
                                  .speed = (double)p->speed_ahead};
    }
    const nm_status status = nm_tracker_command(plan, answer->point_count, ego, &tracker, scratch, &command, error);
    if (status == NM_OK) *ego = nm_bicycle_step(&bicycle, ego, command, NM_TRACKER_STEP_US);
    return status;
}

static nm_status drive_parts(parts *p, const nm_scene *scene, nm_tracker_scratch *scratch, nm_error *error) {
    nm_bicycle_state ego = {0};
    nm_status status = NM_OK;
    for (uint32_t k = 0; status == NM_OK && k + 1 < STEPS; ++k) {
        const nm_planner_observation *seen;
        const nm_planner_output *answer;
        const double begin = nm_clock();
        status = nm_observation_update(p->observation, p->world, &seen, error);
        if (status != NM_OK) break;
        const double looked = nm_clock();
        if (k == 0)
            ego = (nm_bicycle_state){.x = (double)seen->ego.rear_axle.x_scene,
                                     .y = (double)seen->ego.rear_axle.y_scene,
                                     .heading = (double)seen->ego.rear_axle.heading_scene,
                                     .speed = (double)seen->ego.rear_axle_speed_ahead};
        status = nm_planner_plan(p->planner, seen, &answer, error);
        if (status != NM_OK) break;
        const double planned = nm_clock();
        status = track(answer, &ego, scratch, error);
        const double tracked = nm_clock(), ahead = (double)seen->ego.vehicle.rear_axle_to_box_centre;
        nm_world_set_state(p->world, scene->ego, (float)(ego.x + ahead * cos(ego.heading)),
                           (float)(ego.y + ahead * sin(ego.heading)), (float)ego.heading, (float)ego.speed);
        (void)nm_world_step(p->world, NULL, 0, NULL);
        p->step += nm_clock() - tracked;
        p->look += looked - begin;
        p->plan += planned - looked;
        p->track += tracked - planned;
        p->agents += nm_world_get_view(p->world).count;
        p->steps++;
    }
    return status;
}

static nm_status score_part(parts *p, const nm_scene *scene, nm_error *error) {
    nm_nuplan_record *record = NULL;
    nm_nuplan_result result;
    const double start = nm_clock();
    nm_status status = nm_nuplan_map_of(scene->map, &p->map, error);
    p->open += nm_clock() - start;
    if (status == NM_OK) status = nm_nuplan_record_scene(p->map, scene, scene, 0, STEPS, &record, error);
    const double begin = nm_clock();
    if (status == NM_OK) status = nm_nuplan_score(&record->drive, &result, NULL, 0, NULL, error);
    p->score += nm_clock() - begin;
    nm_nuplan_record_destroy(record);
    nm_nuplan_map_destroy(p->map);
    p->map = NULL;
    return status;
}

/// Episodes with the IDM planner, put together here once more with a clock between their parts.
static nm_status drive_in_parts(const evaluate_bench *b, nm_tracker_scratch *scratch, parts *p, nm_error *error) {
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < SCENES; ++i) {
        const nm_scene *scene = b->scenes[i];
        status = open_parts(p, scene, error);
        if (status == NM_OK) status = drive_parts(p, scene, scratch, error);
        if (status == NM_OK) status = score_part(p, scene, error);
        nm_planner_end(p->planner);
        nm_observation_destroy(p->observation);
        nm_world_destroy(p->world);
        p->observation = NULL;
        p->world = NULL;
    }
    return status;
}

/// Each part's least time of the repeats: what is longer is the machine's other work.
static nm_status time_parts(const evaluate_bench *b, nm_error *error) {
    parts p = {0};
    double least[6];
    static const char *const names[6] = {"share.open", "share.world",   "share.observation",
                                         "share.plan", "share.tracker", "share.score"};
    nm_tracker_scratch *scratch = malloc(sizeof *scratch);
    nm_status status = scratch ? nm_planner_named("idm", "", &p.planner, error)
                               : NM_ERROR(error, NM_E_MEMORY, "no memory for a tracker");
    for (int r = 0; status == NM_OK && r < REPEATS; ++r) {
        p = (parts){.planner = p.planner};
        status = drive_in_parts(b, scratch, &p, error);
        const double now[6] = {p.open, p.step, p.look, p.plan, p.track, p.score};
        for (int i = 0; i < 6; ++i) least[i] = r == 0 || now[i] < least[i] ? now[i] : least[i];
    }
    nm_planner_destroy(p.planner);
    free(scratch);
    if (status != NM_OK) return status;
    double all = 0.0;
    for (int i = 0; i < 6; ++i) all += least[i];
    for (int i = 0; i < 6; ++i) nm_bench_row(b->bench, names[i], 100.0 * least[i] / all, "%");
    nm_bench_row(b->bench, "agents", (double)p.agents / (double)p.steps, "agents");
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// A program behind a pipe

/// The example in Python, its own thinking included.
static nm_status time_pipe(evaluate_bench *b, nm_error *error) {
    static const char *const pythons[] = {"python3", "/usr/bin/python3"};
    nm_planner *planner = NULL;
    nm_error why;
    for (int i = 0; i < 2 && !planner; ++i) {
        char command[4096];
        snprintf(command, sizeof command, "exec:%s '" NM_EXAMPLE_PLANNER "'", pythons[i]);
        nm_error_clear(&why);
        (void)nm_planner_open(command, NULL, &planner, &why);
    }
    if (!planner) {
        char note[700];
        snprintf(note, sizeof note, "without planner_pipe_ms: %s", why.message);
        nm_bench_note(b->bench, note);
        return NM_OK;
    }
    evaluate_bench brief = *b;
    brief.config.seconds = PIPE_SECONDS;
    pass_result result;
    double least = INFINITY;
    nm_status status = NM_OK;
    for (int r = 0; status == NM_OK && r < 3; ++r) {
        status = drive_all(&brief, planner, SCENES, &result, error);
        least = result.plan_mean < least ? result.plan_mean : least;
    }
    nm_planner_destroy(planner);
    if (status == NM_OK) nm_bench_row(b->bench, "planner_pipe_ms", 1e3 * least, "ms");
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Agents of the model

/// 32 agents, two threads.
static nm_status time_model(const evaluate_bench *b, const nm_common *common, nm_error *error) {
    evaluate_bench m = *b;
    const nm_scene *road = NULL;
    nm_rollout_result driven = {0};
    nm_planner *planner = NULL;
    nm_evaluate_model model = {0};
    nm_error why;
    nm_error_clear(&why);
    const nm_common two = {.threads = 2, .device = common->device};
    if (nm_evaluate_model_open(&model, NULL, "bf16", &two, &why) != NM_OK) {
        char note[700];
        snprintf(note, sizeof note, "without realtime_factor.nexus: %s", why.message);
        nm_bench_note(b->bench, note);
        nm_evaluate_model_close(&model);
        return NM_OK;
    }
    const nm_world_config config = nm_world_config_default();
    nm_status status = nm_builtin_scene("highway:lanes=3,length=1500,density=20,vehicles=40", 1, &road, error);
    if (status == NM_OK) status = nm_rollout(road, &config, STEPS - 1, 1, &driven, error);
    if (status == NM_OK) status = nm_planner_named("idm", "", &planner, error);
    m.scenes[0] = driven.scene;
    m.config.agents = NM_EPISODE_NEXUS;
    m.config.loop = model.loop;
    pass_result result;
    double factor[3];
    for (int r = -1; status == NM_OK && r < 3; ++r) { // the first one warms up
        status = drive_all(&m, planner, 1, &result, error);
        if (r >= 0) factor[r] = result.driven / result.wall;
    }
    if (status == NM_OK) {
        qsort(factor, 3, sizeof *factor, by_value);
        nm_bench_row(b->bench, "realtime_factor.nexus", factor[1], "x");
    }
    nm_planner_destroy(planner);
    nm_evaluate_model_close(&model);
    nm_scene_destroy(driven.scene);
    nm_scene_destroy(road);
    return status;
}

static nm_status run(nm_bench *bench, const nm_common *common, int argc, char **argv, nm_error *error) {
    (void)argv;
    if (argc) return NM_ERROR(error, NM_E_ARGUMENT, "bench evaluate takes no arguments");
    evaluate_bench b = {.bench = bench, .config = nm_episode_config_default()};
    b.config.deadline = 0.0f;
    b.work = nm_episode_work_create();
    pass_result idm, pdm;
    nm_status status = b.work ? make_scenes(&b, error) : NM_ERROR(error, NM_E_MEMORY, "no memory for episodes");
    if (status == NM_OK) status = time_planner(&b, "idm", &idm, error);
    if (status == NM_OK) status = time_planner(&b, "pdm", &pdm, error);
    if (status == NM_OK) status = time_adversaries(&b, error);
    if (status == NM_OK) status = time_parts(&b, error);
    if (status == NM_OK) status = time_pipe(&b, error);
    if (status == NM_OK) status = time_model(&b, common, error);
    if (status == NM_OK) {
        char note[320];
        snprintf(
            note, sizeof note,
            "one thread (nexus: two); %u built-in scenes of 70 and 76 vehicles, 15 s, IDM agents (nexus: a highway "
            "of 40, 32 of them the model's), plans tracked; scores %.3f and %.3f",
            SCENES, idm.score, pdm.score);
        nm_bench_note(bench, note);
    }
    for (uint32_t i = 0; i < SCENES; ++i) nm_scene_destroy(b.scenes[i]);
    nm_episode_work_destroy(b.work);
    return status;
}

const nm_bench_entry nm_bench_evaluate = {
    .name = "evaluate",
    .cuda = 1,
    .summary = "planners driven through dense scenes in closed loop: simulated seconds per second",
    .run = run,
};
