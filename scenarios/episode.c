#include "scenarios/episode_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/text.h"

static const char *const agents_names[NM_EPISODE_AGENTS_COUNT] = {"log", "idm", "nexus"};

const char *nm_episode_agents_name(nm_episode_agents agents) {
    NM_ASSERT((unsigned)agents < NM_EPISODE_AGENTS_COUNT);
    return agents_names[agents];
}

int nm_episode_agents_from_name(const char *name, nm_episode_agents *agents) {
    for (int i = 0; i < NM_EPISODE_AGENTS_COUNT; ++i)
        if (strcmp(agents_names[i], name) == 0) {
            *agents = (nm_episode_agents)i;
            return 1;
        }
    return 0;
}

const char *nm_episode_outcome_name(nm_episode_outcome outcome) {
    static const char *const names[] = {"done", "failed", "unfit"};
    NM_ASSERT((unsigned)outcome < 3);
    return names[outcome];
}

nm_episode_config nm_episode_config_default(void) {
    return (nm_episode_config){.agents = NM_EPISODE_IDM,
                               .idm = nm_idm_named("nuplan"),
                               .start_step = NM_NONE,
                               .ego_track = NM_NONE,
                               .seconds = 15.0f,
                               .deadline = 1.0f,
                               .adversary = -1};
}

nm_episode_work *nm_episode_work_create(void) {
    nm_episode_work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->arena = nm_arena_create(0);
    work->builder = nm_scene_builder_create();
    if (work->arena && work->builder) return work;
    nm_episode_work_destroy(work);
    return NULL;
}

void nm_episode_work_destroy(nm_episode_work *work) {
    if (!work) return;
    nm_arena_destroy(work->arena);
    nm_scene_builder_destroy(work->builder);
    nm_nuplan_map_destroy(work->view);
    nm_adversary_destroy(work->adversary);
    free(work);
}

nm_status nm_episode_check(const nm_episode_config *c, nm_error *error) {
    if ((unsigned)c->agents >= NM_EPISODE_AGENTS_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "there are no agents of kind %d", (int)c->agents);
    if (!(c->seconds >= 1.0f && c->seconds <= 60.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "an episode takes 1 to 60 s, not %g", (double)c->seconds);
    if (!(c->deadline >= 0.0f && c->deadline <= 3600.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "a deadline of %g s is none", (double)c->deadline);
    if (c->agents == NM_EPISODE_NEXUS && !c->loop)
        return NM_ERROR(error, NM_E_ARGUMENT, "agents driven by a model need one");
    if (c->adversary >= NM_KIND_COUNT)
        return NM_ERROR(error, NM_E_ARGUMENT, "there is no kind number %d", c->adversary);
    const nm_status status = c->adversary >= 0 ? nm_adversary_check((nm_kind)c->adversary, error) : NM_OK;
    return status != NM_OK ? status : nm_idm_check(c->idm, error);
}

void nm_episode_unfit(nm_episode *out, const char *reason) {
    out->outcome = NM_EPISODE_UNFIT;
    snprintf(out->reason, sizeof out->reason, "%s", reason);
}

static void failed(nm_episode *out, const nm_error *why) {
    out->outcome = NM_EPISODE_FAILED;
    snprintf(out->reason, sizeof out->reason, "%s", why->message);
}

// ---------------------------------------------------------------------------------------------------------------------
// One drive

static nm_status publish(nm_episode_state *e, nm_error *error) {
    const nm_scene *scene = e->scene;
    const nm_provenance *parent = &scene->provenance;
    char name[128], kind[64] = "", parameters[512];
    nm_text_escape_json(name, sizeof name, nm_planner_name(e->planner));
    if (e->adversary) snprintf(kind, sizeof kind, "\"adversary\":\"%s\",", nm_kind_name((nm_kind)e->config->adversary));
    snprintf(
        parameters, sizeof parameters,
        "{\"planner\":\"%s\",%s\"agents\":\"%s\",\"idm\":\"%s\",\"execution\":\"%s\",\"start_step\":%u,\"steps\":%u}",
        name, kind, nm_episode_agents_name(e->config->agents), e->config->idm->name,
        e->config->perfect ? "perfect" : "tracked", e->start, e->out->samples);
    const nm_provenance provenance = {.source = "evaluate",
                                      .file = parent->file,
                                      .scene_id = parent->scene_id,
                                      .record = parent->record,
                                      .program = "nearmiss " NM_VERSION,
                                      .seed = e->config->seed,
                                      .parent = scene->hash,
                                      .parameters = parameters};
    nm_status status = nm_scene_builder_set_provenance(e->work->builder, &provenance, error);
    for (uint32_t i = 0; status == NM_OK && i < scene->tag_count; ++i)
        status = nm_scene_builder_add_tag(e->work->builder, scene->tags[i], error);
    return status == NM_OK ? nm_scene_builder_build(e->work->builder, &e->out->scene, error) : status;
}

/// The scene, or what the model makes of it; the same the next time, too.
static int is_the_scenes(nm_status status) {
    return status == NM_E_NUMERIC || status == NM_E_ARGUMENT || status == NM_E_LIMIT || status == NM_E_FORMAT ||
           status == NM_E_NOT_FOUND;
}

static nm_status run(nm_episode_state *e, nm_error *error) {
    nm_status status = nm_episode_prepare(e, &e->why);
    if (status == NM_E_MEMORY) {
        if (error) *error = e->why;
        return status;
    }
    const int nowhere_to_go = status == NM_OK && nm_world_at_end(e->world, e->scene->ego);
    if (status != NM_OK || nowhere_to_go) {
        nm_episode_unfit(e->out, nowhere_to_go ? "the road leaves the map at the start" : e->why.message);
        return NM_OK;
    }
    nm_error broken;
    nm_error_clear(&broken);
    status = nm_episode_play(e, &broken);
    if (e->config->agents == NM_EPISODE_NEXUS && is_the_scenes(status)) {
        nm_episode_unfit(e->out, broken.message);
        return NM_OK;
    }
    if (status != NM_OK) {
        if (error) *error = broken;
        return status;
    }
    e->out->seconds = (float)e->out->samples * NM_STEP_SECONDS;
    if (e->theirs == NM_OK && !e->rehearses) {
        e->theirs = nm_episode_rate(e, &e->why); // what a planner drove may be beyond all scoring
        if (e->theirs == NM_E_MEMORY) {
            if (error) *error = e->why;
            return e->theirs;
        }
    }
    if (e->theirs != NM_OK) failed(e->out, &e->why);
    return (e->config->keep_scene || e->adversary) && e->out->samples ? publish(e, error) : NM_OK;
}

static nm_episode nothing_driven(const nm_episode_config *config) {
    return (nm_episode){.min_ttc = INFINITY,
                        .min_distance = INFINITY,
                        .danger = nm_episode_no_danger(),
                        .worst_sample = NM_NONE,
                        .worst = "",
                        .has_goal = config->asked != NULL,
                        .goal_sample = NM_NONE,
                        .adversary = NM_NONE};
}

static nm_status drive_once(nm_episode_state *e, nm_error *error) {
    nm_status status = NM_OK;
    *e->out = nothing_driven(e->config);
    nm_error_clear(&e->why);
    if (nm_episode_find_span(e)) {
        e->out->start_step = e->start;
        status = run(e, error);
    }
    nm_observation_destroy(e->observation);
    nm_world_destroy(e->world);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Against an adversary

/// What was driven, as box centres. The arrays live in the work's arena.
static nm_status rehearsed_of(const nm_episode_state *e, nm_rehearsed *seen, nm_error *error) {
    const uint32_t samples = e->out->samples;
    nm_arena *arena = e->work->arena;
    float *x = NM_ARENA_ARRAY(arena, float, samples), *y = NM_ARENA_ARRAY(arena, float, samples);
    float *heading = NM_ARENA_ARRAY(arena, float, samples), *speed = NM_ARENA_ARRAY(arena, float, samples);
    if (!x || !y || !heading || !speed) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an episode");
    const double ahead = (double)e->vehicle.rear_axle_to_box_centre;
    for (uint32_t k = 0; k < samples; ++k) {
        const nm_nuplan_ego *ego = &e->ego[k];
        x[k] = (float)(ego->x + ahead * cos(ego->heading));
        y[k] = (float)(ego->y + ahead * sin(ego->heading));
        heading[k] = (float)ego->heading;
        speed[k] = (float)fabs(ego->vx);
    }
    *seen = (nm_rehearsed){.scene = e->scene,
                           .start = e->start,
                           .samples = samples,
                           .reactive = e->config->agents != NM_EPISODE_LOG,
                           .x = x,
                           .y = y,
                           .heading = heading,
                           .speed = speed,
                           .present = e->present,
                           .boxes = e->boxes};
    return NM_OK;
}

static nm_status judge(const nm_episode_state *e, nm_error *error) {
    nm_episode *out = e->out;
    nm_adversary_outcome came;
    const nm_status status = nm_adversary_judge(e->adversary, out->scene, &came, error);
    if (status != NM_OK) return status;
    out->staged = came.staged;
    out->avoid = came.label;
    out->met = came.met;
    return NM_OK;
}

static nm_status drive_against(nm_episode_state *e, uint32_t track, nm_error *error) {
    nm_status status = drive_once(e, error);
    nm_episode *out = e->out;
    if (status != NM_OK || out->outcome == NM_EPISODE_UNFIT) return status;
    out->adversary = track;
    if (out->scene) status = judge(e, error);
    if (status == NM_OK && e->config->keep_scene) return status;
    nm_scene_destroy(out->scene);
    out->scene = NULL;
    return status;
}

/// The planner's failure in the rehearsal is its failure.
static void fail_in_rehearsal(nm_episode *out) {
    char reason[sizeof out->reason];
    snprintf(reason, sizeof reason, "%s", out->reason);
    snprintf(out->reason, sizeof out->reason, "without the adversary: %.480s", reason);
}

static nm_status rehearse_and_drive(const nm_episode_state *as, nm_error *error) {
    const nm_kind kind = (nm_kind)as->config->adversary;
    nm_episode_work *work = as->work;
    nm_episode_state first = *as;
    nm_episode_config config = *as->config; // of the rehearsal
    const nm_scene *scene = NULL;
    uint32_t track = NM_NONE;
    nm_rehearsed seen;
    if (!work->adversary) work->adversary = nm_adversary_create();
    if (!work->adversary) return NM_ERROR(error, NM_E_MEMORY, "out of memory for an adversary");
    config.keep_scene = 0;
    first.config = &config;
    first.rehearses = 1;
    nm_status status = drive_once(&first, error);
    if (status != NM_OK) return status;
    if (as->out->outcome == NM_EPISODE_FAILED) fail_in_rehearsal(as->out);
    if (as->out->outcome != NM_EPISODE_DONE) return NM_OK;
    status = rehearsed_of(&first, &seen, error);
    if (status == NM_OK)
        status = nm_adversary_lay(work->adversary, &seen, kind, as->config->seed, &scene, &track, error);
    if (status != NM_OK) return status;
    if (!scene) {
        as->out->outcome = NM_EPISODE_UNFIT;
        snprintf(as->out->reason, sizeof as->out->reason, "no place for %s", nm_kind_name(kind));
        return NM_OK;
    }
    nm_episode_state second = *as;
    second.scene = scene;
    second.recorded = first.scene; // nobody was recorded against an adversary
    second.adversary = work->adversary;
    config = *as->config;
    config.ego_track = scene->ego;
    config.start_step = first.start;
    second.config = &config;
    return drive_against(&second, track, error);
}

nm_status nm_episode_run(nm_episode_work *work, const nm_scene *scene, nm_planner *planner,
                         const nm_episode_config *config, nm_episode *out, nm_error *error) {
    NM_ASSERT(work && scene && planner && config && out);
    const double begin = nm_clock();
    *out = nothing_driven(config);
    nm_arena_reset(work->arena);
    nm_status status = nm_episode_check(config, error);
    if (status != NM_OK) return status;
    nm_episode_state e = {.work = work, .scene = scene, .planner = planner, .config = config, .out = out};
    status = config->adversary >= 0 ? rehearse_and_drive(&e, error) : drive_once(&e, error);
    out->wall_seconds = nm_clock() - begin;
    return status;
}
