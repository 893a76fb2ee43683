/// One scene on the screen: opening it, its camera, whom it follows, its live run.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "render/viewer/viewer_internal.h"
#include "sim/math.h"

#define PICK_PX 6.0f ///< a click may miss a body by this

int nm_viewer_state_at(const nm_scene *scene, uint32_t track, float step, nm_state *state) {
    const uint32_t last = scene->step_count ? scene->step_count - 1 : 0;
    const float whole = floorf(fminf(fmaxf(step, 0.0f), (float)last));
    const uint32_t before = (uint32_t)whole, after = before < last ? before + 1 : last;
    const size_t a = nm_scene_at(scene, track, before), b = nm_scene_at(scene, track, after);
    const float t = fminf(fmaxf(step - whole, 0.0f), 1.0f);
    const nm_track *info = &scene->tracks[track];
    if (scene->step_count == 0 || !scene->valid[a]) return 0;
    *state = (nm_state){.x = scene->x[a],
                        .y = scene->y[a],
                        .z = scene->z[a],
                        .heading = scene->heading[a],
                        .vx = scene->vx[a],
                        .vy = scene->vy[a],
                        .length = info->length,
                        .width = info->width,
                        .height = info->height};
    if (t <= 0.0f || !scene->valid[b]) return t <= 0.0f || after == before;
    state->x += t * (scene->x[b] - state->x);
    state->y += t * (scene->y[b] - state->y);
    state->z += t * (scene->z[b] - state->z);
    state->heading = nm_wrap_angle(state->heading + t * nm_wrap_angle(scene->heading[b] - state->heading));
    return 1;
}

// --- opening ---------------------------------------------------------------------------------------------------------

void nm_viewer_pane_close(nm_viewer *viewer, uint32_t index) {
    nm_viewer_pane *pane = &viewer->panes[index];
    if (!pane->open) return;
    nm_viewer_live_destroy(pane->live);
    if (pane->has_series) nm_series_destroy(&pane->series);
    viewer->source.release(viewer->source.context, &pane->content);
    nm_drawing_clear(&pane->map); // the drawings keep their memory for the next scene
    nm_drawing_clear(&pane->frame);
    const nm_drawing map = pane->map, frame = pane->frame;
    *pane = (nm_viewer_pane){.map = map, .frame = frame};
}

static void name_pane(nm_viewer_pane *pane) {
    const nm_scene *scene = pane->content.scene;
    char raw[96];
    snprintf(raw, sizeof raw, "%s",
             scene->provenance.scene_id[0] ? scene->provenance.scene_id : scene->provenance.source);
    nm_text_escape(pane->name, sizeof pane->name, raw);
}

nm_status nm_viewer_pane_open(nm_viewer *viewer, uint32_t index, int64_t id, nm_error *error) {
    nm_viewer_scene content = {0};
    if (!viewer->has_source) return NM_ERROR(error, NM_E_NOT_FOUND, "there is no list to open scenes from");
    nm_status status = viewer->source.load(viewer->source.context, id, &content, error);
    if (status != NM_OK) return status;
    NM_ASSERT(content.scene);
    nm_series series = {0};
    status = nm_series_create(content.scene, &series, error);
    const int has_series = status == NM_OK;
    if (status == NM_OK) { // beside what is shown, which stays until all went well
        nm_viewer_draw_map(viewer, &viewer->spare, content.scene->map);
        status = nm_drawing_check(&viewer->spare, error);
    }
    if (status != NM_OK) {
        if (has_series) nm_series_destroy(&series);
        viewer->source.release(viewer->source.context, &content);
        return status;
    }
    nm_viewer_pane_close(viewer, index);
    nm_viewer_pane *pane = &viewer->panes[index];
    const nm_drawing before = pane->map;
    pane->map = viewer->spare;
    viewer->spare = before;
    pane->open = 1;
    pane->id = id;
    pane->content = content;
    pane->shown = content.scene;
    pane->series = series;
    pane->has_series = 1;
    pane->follow = NM_NONE;
    name_pane(pane);
    return NM_OK;
}

/// What was just opened is looked at; at the same place as what is beside it, unless they are of different places.
static void look_at(nm_viewer *viewer, uint32_t index) {
    nm_viewer_pane *pane = &viewer->panes[index];
    const nm_viewer_pane *other = &viewer->panes[1 - index];
    viewer->mode = NM_VIEWER_SCENE;
    viewer->focus = index;
    viewer->filtering = 0;
    nm_viewer_set_time(viewer, viewer->time);
    nm_viewer_pane_fit(viewer, index);
    if (!other->open || other->shown->map->hash != pane->shown->map->hash) return;
    pane->camera = other->camera;
    if (pane->camera.kind == NM_CAMERA_CHASE) pane->camera.kind = NM_CAMERA_FREE; // nobody is followed yet
}

nm_status nm_viewer_open(nm_viewer *viewer, int64_t id, int beside, nm_error *error) {
    NM_ASSERT(viewer);
    const uint32_t index = beside && viewer->panes[0].open ? 1 : 0;
    nm_status status = nm_viewer_pane_open(viewer, index, id, error);
    if (status != NM_OK) return status;
    if (index == 0) { // beside keeps the time: the two are compared
        nm_viewer_pane_close(viewer, 1);
        viewer->playing = 0;
        viewer->time = 0.0;
    }
    look_at(viewer, index);
    return NM_OK;
}

nm_status nm_viewer_open_parent(nm_viewer *viewer, nm_error *error) {
    NM_ASSERT(viewer);
    const nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (!pane || viewer->mode != NM_VIEWER_SCENE) return NM_ERROR(error, NM_E_NOT_FOUND, "no scene is open");
    const uint64_t parent = pane->content.scene->provenance.parent;
    const long long made = (long long)pane->id;
    int64_t id;
    if (!parent) return NM_ERROR(error, NM_E_NOT_FOUND, "scene %lld was not made from another one", made);
    nm_status status = viewer->config.find ? viewer->config.find(viewer->config.find_context, parent, &id, error)
                                           : NM_ERROR(error, NM_E_NOT_FOUND, "scenes are looked up in stores only");
    if (status == NM_E_NOT_FOUND)
        return NM_ERROR(error, NM_E_NOT_FOUND, "what scene %lld was made from is not here", made);
    const uint32_t index = 1 - viewer->focus;
    if (status == NM_OK) status = nm_viewer_pane_open(viewer, index, id, error);
    if (status != NM_OK) return status;
    viewer->grip = GRIP_NONE; // panes have moved
    look_at(viewer, index);
    nm_viewer_say(viewer, "scene %lld was made from scene %lld", made, (long long)id);
    return NM_OK;
}

void nm_viewer_show_parent(nm_viewer *viewer) {
    nm_error error;
    nm_error_clear(&error);
    if (nm_viewer_open_parent(viewer, &error) != NM_OK) nm_viewer_fail(viewer, &error);
}

nm_status nm_viewer_start_live(nm_viewer *viewer, nm_error *error) {
    NM_ASSERT(viewer);
    nm_viewer_pane *pane = nm_viewer_focused(viewer);
    if (!pane || viewer->mode != NM_VIEWER_SCENE) return NM_ERROR(error, NM_E_NOT_FOUND, "no scene is open");
    // by time: a live run has steps of its own, and may have gone on after the recording's end
    const nm_scene *recorded = pane->content.scene;
    const double last = recorded->step_count ? recorded->step_count - 1.0 : 0.0;
    const uint32_t step = (uint32_t)lround(fmin(viewer->time / (double)recorded->dt, last));
    nm_viewer_live *live;
    nm_status status =
        nm_viewer_live_create(recorded, step, (uint32_t)lroundf(viewer->config.live_seconds / NM_STEP_SECONDS),
                              viewer->config.seed, &live, error);
    if (status != NM_OK) return status;
    nm_viewer_live_destroy(pane->live);
    pane->live = live;
    pane->shown = nm_viewer_live_scene(live);
    viewer->playing = 1;
    nm_viewer_set_time(viewer, (double)nm_viewer_live_now(live) * (double)pane->shown->dt);
    nm_viewer_say(viewer, "live from step %u: every agent reacts", step);
    return NM_OK;
}

// --- camera ----------------------------------------------------------------------------------------------------------

/// Grows a box by where a track is between two steps.
static void cover(const nm_scene *scene, uint32_t track, uint32_t from, uint32_t to, nm_point *least, nm_point *most) {
    if (track >= scene->track_count) return;
    for (uint32_t step = from; step <= to && step < scene->step_count; step++) {
        const size_t at = nm_scene_at(scene, track, step);
        if (!scene->valid[at]) continue;
        least->x = fminf(least->x, scene->x[at]);
        least->y = fminf(least->y, scene->y[at]);
        most->x = fmaxf(most->x, scene->x[at]);
        most->y = fmaxf(most->y, scene->y[at]);
    }
}

/// The worst moment with whom it concerns; else the ego's way; else all who are there.
static void what_matters(const nm_viewer_pane *pane, uint32_t step, nm_point *least, nm_point *most) {
    const nm_scene *scene = pane->shown;
    const nm_moment *worst = NULL;
    for (uint32_t i = 0; i < pane->content.moment_count; i++)
        if (!worst || pane->content.moments[i].severity > worst->severity) worst = &pane->content.moments[i];
    if (worst && !pane->live) {
        cover(scene, worst->first, worst->first_step, worst->last_step, least, most);
        cover(scene, worst->second, worst->first_step, worst->last_step, least, most);
    } else if (scene->ego != NM_NONE) {
        cover(scene, scene->ego, step, step + 30, least, most);
    }
    if (least->x <= most->x) return;
    for (uint32_t track = 0; track < scene->track_count; track++)
        if (!(scene->tracks[track].flags & NM_TRACK_STATIC)) cover(scene, track, step, step, least, most);
}

void nm_viewer_pane_fit(nm_viewer *viewer, uint32_t index) {
    nm_viewer_pane *pane = &viewer->panes[index];
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, index);
    const uint32_t step = (uint32_t)nm_viewer_pane_step(viewer, index);
    nm_point least = {INFINITY, INFINITY, 0.0f}, most = {-INFINITY, -INFINITY, 0.0f};
    what_matters(pane, step, &least, &most);
    pane->follow = NM_NONE;
    if (!(least.x <= most.x)) { // nobody is there: the map
        pane->camera = nm_camera_default();
        if (nm_drawing_bounds(&pane->map, &least, &most))
            pane->camera = nm_camera_fit(least, most, r.width, r.height, 0.05f);
        return;
    }
    const float around = 30.0f; // m: what happens about them matters, too
    least = (nm_point){least.x - around, least.y - around, 0.0f};
    most = (nm_point){most.x + around, most.y + around, 0.0f};
    pane->camera = nm_camera_fit(least, most, r.width, r.height, 0.05f);
}

void nm_viewer_pane_aim(nm_viewer *viewer, uint32_t index) {
    nm_viewer_pane *pane = &viewer->panes[index];
    nm_state state;
    if (!pane->open || pane->follow == NM_NONE) return;
    if (!nm_viewer_state_at(pane->shown, pane->follow, nm_viewer_pane_step(viewer, index), &state)) return; // waits
    if (pane->camera.kind == NM_CAMERA_CHASE) {
        const nm_point at = {state.x, state.y, 0.0f};
        const nm_camera behind = nm_camera_behind(at, state.heading, state.length);
        pane->camera.target = behind.target;
        pane->camera.yaw = behind.yaw;
        return;
    }
    pane->camera.target = (nm_point){state.x + pane->offset_x, state.y + pane->offset_y, 0.0f};
}

void nm_viewer_pane_follow(nm_viewer *viewer, uint32_t index, uint32_t track) {
    nm_viewer_pane *pane = &viewer->panes[index];
    if (!pane->open) return;
    NM_ASSERT(track == NM_NONE || track < pane->shown->track_count);
    pane->follow = track;
    pane->offset_x = pane->offset_y = 0.0f;
    if (track == NM_NONE && pane->camera.kind == NM_CAMERA_CHASE) pane->camera.kind = NM_CAMERA_FREE;
    nm_viewer_pane_aim(viewer, index);
    if (track != NM_NONE)
        nm_viewer_say(viewer, "following agent %u, a %s", track,
                      nm_agent_type_name((nm_agent_type)pane->shown->tracks[track].type));
}

void nm_viewer_pane_next_camera(nm_viewer *viewer, uint32_t index) {
    nm_viewer_pane *pane = &viewer->panes[index];
    nm_state state;
    const float step = nm_viewer_pane_step(viewer, index);
    if (pane->camera.kind == NM_CAMERA_BIRD) {
        if (pane->follow == NM_NONE && pane->shown->ego != NM_NONE) pane->follow = pane->shown->ego;
        if (pane->follow != NM_NONE && nm_viewer_state_at(pane->shown, pane->follow, step, &state)) {
            pane->camera = nm_camera_behind((nm_point){state.x, state.y, 0.0f}, state.heading, state.length);
            return;
        }
    }
    if (pane->camera.kind != NM_CAMERA_FREE) {
        const nm_camera plain = nm_camera_default();
        pane->camera.kind = NM_CAMERA_FREE;
        pane->camera.pitch = 0.7f;
        pane->camera.fov = plain.fov;
        if (!(pane->camera.distance >= 40.0f)) pane->camera.distance = 60.0f;
        return;
    }
    const uint32_t follow = pane->follow;
    nm_viewer_pane_fit(viewer, index);
    pane->follow = follow;
    nm_viewer_pane_aim(viewer, index);
}

uint32_t nm_viewer_pane_pick(const nm_viewer *viewer, uint32_t index, float x, float y) {
    const nm_viewer_pane *pane = &viewer->panes[index];
    const nm_viewer_rect r = nm_viewer_pane_rect(viewer, index);
    const float step = nm_viewer_pane_step(viewer, index);
    const float slack = PICK_PX / fmaxf(nm_camera_scale(&pane->camera, r.width, r.height), 1e-3f);
    uint32_t nearest = NM_NONE;
    float best = INFINITY;
    nm_point ground; // pictures are flat
    if (!pane->open) return NM_NONE;
    if (!nm_camera_unproject(&pane->camera, r.width, r.height, x - r.x, y - r.y, 0.0f, &ground)) return NM_NONE;
    for (uint32_t track = 0; track < pane->shown->track_count; track++) {
        nm_state state;
        float s, c;
        if (!nm_viewer_state_at(pane->shown, track, step, &state)) continue;
        nm_sincosf(state.heading, &s, &c);
        const float dx = ground.x - state.x, dy = ground.y - state.y;
        const float along = fabsf(dx * c + dy * s), across = fabsf(dy * c - dx * s);
        if (along > state.length / 2.0f + slack || across > state.width / 2.0f + slack) continue;
        if (dx * dx + dy * dy < best) {
            best = dx * dx + dy * dy;
            nearest = track;
        }
    }
    return nearest;
}
