/// What moves, at one time.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "render/drawing_private.h"
#include "render/frame_labels.h"
#include "render/scene_drawing_private.h"
#include "sim/math.h"

#define MOST_TRAIL 512     ///< points of a trail: longer ones skip steps
#define LABEL_SIZE 11.0f   ///< px
#define SMALL_LABEL 9.0f   ///< px
#define FULL_LABELS 640.0f ///< px of width from which labels have their full size
#define LEAST_LABELS 0.8f  ///< of their size, in smaller pictures
#define FEW_LABELS 360.0f  ///< px of width below which only the ego and the adversary are named
#define CROWDED_SCALE 2.0f ///< px a metre below which only what matters has a label
#define BURST_POINTS 12    ///< of the star where boxes overlap
#define LETTER_RADIUS 5.0f ///< px, of a lamp that is large enough for its letter

enum { DANGER_NONE = 0, DANGER_MOMENT, DANGER_TTC, DANGER_COLLISION };

/// In a heap of agents all are marked; more marks on the same spot would only cost time.
#define MOST_MARKS 6

/// Kinds of moments that one agent is labelled with.
#define MOST_NAMES 4

typedef struct seen {
    nm_pose pose;
    uint32_t track;
    uint8_t role, danger, labelled;
    uint8_t marks; ///< drawn for it by find_dangers, up to MOST_MARKS
    uint8_t name_count;
    const char *names[MOST_NAMES]; ///< kinds of moments that were named at it
} seen;

typedef struct frame {
    nm_drawing *drawing;
    const nm_scene *scene;
    const nm_frame_options *options;
    const nm_theme *theme;
    float step;
    uint32_t count;
    seen *agents;           ///< in the order of tracks
    nm_reach *reaches;      ///< item = index into agents
    nm_point *left, *right; ///< MOST_TRAIL each
    nm_label_field labels;
    float label_size; ///< of the full one
    int few_labels;
} frame;

nm_frame_options nm_frame_options_default(void) {
    return (nm_frame_options){.trail_s = 2.0f, .warn_ttc_s = 2.0f, .labels = 1};
}

/// One block of working memory for all; nothing in a frame draws polygons that take it away.
static int take_memory(frame *f, uint32_t most) {
    const size_t agents = sizeof(seen) * most, reaches = sizeof(nm_reach) * most;
    const size_t points = sizeof(nm_point) * MOST_TRAIL, places = sizeof(nm_label_place) * NM_MOST_LABELS;
    char *block = nm_drawing_scratch(f->drawing, agents + reaches + 2 * points + 2 * places);
    if (!block) return 0;
    f->agents = (seen *)(void *)block;
    f->reaches = (nm_reach *)(void *)(block + agents);
    f->left = (nm_point *)(void *)(block + agents + reaches);
    f->right = f->left + MOST_TRAIL;
    f->labels.places = (nm_label_place *)(void *)(f->right + MOST_TRAIL);
    f->labels.bodies = f->labels.places + NM_MOST_LABELS;
    return 1;
}

static uint32_t count_near(const nm_scene *scene, float step) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < scene->track_count; i++)
        count += (float)scene->tracks[i].first_step <= step + 1.0f && (float)scene->tracks[i].last_step >= step - 1.0f;
    return count;
}

static void find_agents(frame *f) {
    for (uint32_t i = 0; i < f->scene->track_count; i++) {
        const nm_track *t = &f->scene->tracks[i];
        if ((float)t->first_step > f->step + 1.0f || (float)t->last_step < f->step - 1.0f) continue;
        seen *s = &f->agents[f->count];
        if (!nm_pose_at(f->scene, i, f->step, &s->pose)) continue;
        s->track = i;
        s->role = (uint8_t)nm_role_of(f->scene, i);
        s->danger = DANGER_NONE;
        s->labelled = s->marks = 0;
        s->name_count = 0;
        f->count++;
    }
}

static seen *find_track(const frame *f, uint32_t track) {
    uint32_t low = 0, high = f->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (f->agents[middle].track < track)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->count && f->agents[low].track == track ? &f->agents[low] : NULL;
}

// --- trails and futures ----------------------------------------------------------------------------------------------

/// Positions of a track every so many steps from `from` on, at most MOST_TRAIL, into f->left; stops where it is not
/// there. direction: +1 into the future, -1 into the past.
static uint32_t positions(const frame *f, uint32_t track, float seconds, int direction) {
    const float steps = nm_minf(seconds / f->scene->dt, (float)f->scene->step_count);
    const float stride = nm_maxf(1.0f, ceilf(steps / (MOST_TRAIL - 2)));
    uint32_t count = 0;
    for (float done = 0; count < MOST_TRAIL; done += stride) {
        const float at = f->step + (float)direction * nm_minf(done, steps);
        nm_pose pose;
        if (at < 0 || at > (float)f->scene->step_count - 1.0f || !nm_pose_at(f->scene, track, at, &pose)) break;
        f->left[count++] = (nm_point){pose.x, pose.y, 0};
        if (done >= steps) break;
    }
    return count;
}

/// Too short to be worth drawing: who stands has no trail.
static int has_length(const nm_point *points, uint32_t count) {
    for (uint32_t i = 1; i < count; i++)
        if (nm_hypotf(points[i].x - points[0].x, points[i].y - points[0].y) > 0.5f) return 1;
    return 0;
}

/// A ribbon that thins out and fades into the past.
static void draw_trail(frame *f, const seen *s) {
    const uint32_t count = positions(f, s->track, f->options->trail_s, -1);
    if (!has_length(f->left, count)) return;
    const float widest = nm_maxf(nm_minf(0.5f * s->pose.width, 0.9f), 2.0f / f->labels.scale);
    nm_vec2 normal = {-sinf(s->pose.heading), cosf(s->pose.heading)};
    for (uint32_t i = 0; i < count; i++) {
        const nm_point p = f->left[i];
        if (i + 1 < count) {
            const float dx = p.x - f->left[i + 1].x, dy = p.y - f->left[i + 1].y, n = nm_hypotf(dx, dy);
            if (n > 0.02f) normal = (nm_vec2){-dy / n, dx / n};
        }
        const float half = 0.5f * widest * (1.0f - 0.7f * (float)i / (float)(count - 1));
        f->right[i] = (nm_point){p.x - half * normal.x, p.y - half * normal.y, 0};
        f->left[i] = (nm_point){p.x + half * normal.x, p.y + half * normal.y, 0};
    }
    const int special = s->role == NM_ROLE_EGO || s->role == NM_ROLE_ADVERSARY;
    nm_rgba from = f->theme->trail;
    if (special) from = nm_with_alpha(f->theme->role[s->role], 190);
    nm_draw_fading_band(f->drawing, NM_LAYER_TRAILS, f->left, f->right, count, from, nm_with_alpha(from, 0));
}

static void draw_future(frame *f, const seen *s) {
    const uint32_t count = positions(f, s->track, f->options->future_s, 1);
    if (!has_length(f->left, count)) return;
    const int special = s->role == NM_ROLE_EGO || s->role == NM_ROLE_ADVERSARY;
    const nm_stroke dots = {.width = 0.3f,
                            .dash = 0.3f,
                            .gap = 0.9f,
                            .colour = special ? f->theme->role[s->role] : f->theme->future,
                            .layer = NM_LAYER_FUTURES};
    nm_draw_stroke(f->drawing, f->left, count, dots);
}

static void draw_plan(frame *f) {
    const uint32_t count = f->options->plan_count;
    if (!f->options->plan || count < 2) return;
    const nm_rgba colour = f->theme->plan;
    nm_stroke style = {.width = 1.1f, .colour = nm_with_alpha(colour, 70), .layer = NM_LAYER_PLAN};
    nm_draw_stroke(f->drawing, f->options->plan, count, style);
    style.width = 0.25f, style.colour = colour;
    nm_draw_stroke(f->drawing, f->options->plan, count, style);
    nm_draw_disc(f->drawing, NM_LAYER_PLAN, f->options->plan[count - 1], 0.45f, colour);
}

// --- agents ----------------------------------------------------------------------------------------------------------

static nm_body body_of(nm_agent_type type) {
    switch (type) {
    case NM_AGENT_TRUCK:
    case NM_AGENT_BUS:
    case NM_AGENT_TRAIN:
        return NM_BODY_LONG;
    case NM_AGENT_MOTORCYCLE:
    case NM_AGENT_CYCLIST:
        return NM_BODY_CYCLE;
    case NM_AGENT_PEDESTRIAN:
        return NM_BODY_PERSON;
    case NM_AGENT_OBSTACLE:
        return NM_BODY_BOX;
    default:
        return NM_BODY_CAR;
    }
}

static void draw_agent(frame *f, const seen *s) {
    const nm_body body = body_of((nm_agent_type)f->scene->tracks[s->track].type);
    nm_box_body box = {.x = s->pose.x,
                       .y = s->pose.y,
                       .heading = s->pose.heading,
                       .length = s->pose.length,
                       .width = s->pose.width,
                       .height = s->pose.height,
                       .colour = f->theme->role[s->role],
                       .outline = f->theme->outline[s->role],
                       .outline_px = s->role == NM_ROLE_EGO || s->role == NM_ROLE_ADVERSARY ? 1.8f : 1.2f,
                       .body = (uint8_t)body,
                       .layer = NM_LAYER_AGENTS};
    if (body == NM_BODY_CAR || body == NM_BODY_LONG)
        box.steering = nm_steering_at(f->scene, s->track, f->step, s->pose.length);
    if (body == NM_BODY_CYCLE || body == NM_BODY_PERSON)
        box.outline_px = 0.8f; // so small that it would hide the colour
    if (s->danger == DANGER_TTC) box.outline = f->theme->warning, box.outline_px = 3.0f;
    if (s->danger == DANGER_COLLISION) box.outline = f->theme->collision, box.outline_px = 3.0f;
    nm_draw_box(f->drawing, &box);
}

// --- signals ---------------------------------------------------------------------------------------------------------

typedef struct lamp {
    nm_rgba colour;
    const char *letter;
    int corners; ///< of its shape; 0 = round
} lamp;

static lamp lamp_of(const nm_theme *theme, nm_signal_state state) {
    switch (state) {
    case NM_SIGNAL_STOP:
    case NM_SIGNAL_ARROW_STOP:
    case NM_SIGNAL_FLASHING_STOP:
        return (lamp){theme->signal_stop, "R", 8};
    case NM_SIGNAL_CAUTION:
    case NM_SIGNAL_ARROW_CAUTION:
    case NM_SIGNAL_FLASHING_CAUTION:
        return (lamp){theme->signal_caution, "Y", 4};
    case NM_SIGNAL_GO:
    case NM_SIGNAL_ARROW_GO:
        return (lamp){theme->signal_go, "G", 0};
    case NM_SIGNAL_OFF:
        return (lamp){theme->signal_off, "-", 3};
    default:
        return (lamp){theme->signal_off, "?", 3};
    }
}

static void draw_shape(frame *f, nm_vec2 at, float radius, int corners, nm_rgba colour) {
    nm_point points[8];
    if (corners == 0) {
        nm_draw_disc(f->drawing, NM_LAYER_SIGNALS, (nm_point){at.x, at.y, 0}, radius, colour);
        return;
    }
    const float first = f->labels.camera->yaw + (corners == 8 ? NM_PI_F / 8 : 0.0f); // upright in the picture
    for (int i = 0; i < corners; i++) {
        const float angle = first + 2 * NM_PI_F * (float)i / (float)corners;
        points[i] = (nm_point){at.x + radius * cosf(angle), at.y + radius * sinf(angle), 0};
    }
    nm_draw_polygon(f->drawing, NM_LAYER_SIGNALS, points, (uint32_t)corners, colour);
}

/// A tip beside the lamp of an arrow, the way it points.
static void draw_tip(frame *f, nm_vec2 at, float radius, float heading, nm_turn turn, nm_rgba colour) {
    const float way = heading + (turn == NM_TURN_LEFT || turn == NM_TURN_U ? NM_HALF_PI_F
                                 : turn == NM_TURN_RIGHT                   ? -NM_HALF_PI_F
                                                                           : 0.0f);
    const float c = cosf(way), s = sinf(way), near = 1.35f * radius, far = 2.1f * radius, half = 0.7f * radius;
    nm_draw_triangle(f->drawing, NM_LAYER_SIGNALS,
                     (nm_point){at.x + near * c - half * s, at.y + near * s + half * c, 0},
                     (nm_point){at.x + near * c + half * s, at.y + near * s - half * c, 0},
                     (nm_point){at.x + far * c, at.y + far * s, 0}, colour);
}

static void draw_lamp(frame *f, const nm_signal *signal, nm_signal_state state, nm_vec2 at, float heading, float size) {
    static const nm_rgba plate = {24, 27, 32, 255}, bright = {255, 255, 255, 255};
    const float scale = f->labels.scale, radius = size * nm_maxf(0.75f, 3.0f / scale);
    const lamp l = lamp_of(f->theme, state);
    const int flashing = state == NM_SIGNAL_FLASHING_STOP || state == NM_SIGNAL_FLASHING_CAUTION;
    const int arrow = state == NM_SIGNAL_ARROW_STOP || state == NM_SIGNAL_ARROW_CAUTION || state == NM_SIGNAL_ARROW_GO;
    draw_shape(f, at, 1.3f * radius, l.corners == 4 || l.corners == 3 ? l.corners : 0, plate);
    draw_shape(f, at, radius, l.corners, l.colour);
    if (flashing) draw_shape(f, at, 0.6f * radius, l.corners, plate);
    if (arrow) draw_tip(f, at, radius, heading, (nm_turn)signal->turn, l.colour);
    nm_label_field_block(&f->labels, (nm_point){at.x, at.y, 0}, 1.3f * radius);
    if (radius * scale < LETTER_RADIUS) return;
    const int light = 299 * l.colour.r + 587 * l.colour.g + 114 * l.colour.b > 140 * 1000;
    const nm_label style = {.x = at.x,
                            .y = at.y,
                            .size = nm_minf(0.95f * radius * scale, LABEL_SIZE),
                            .colour = light && !flashing ? plate : bright,
                            .anchor = NM_ANCHOR_CENTRE,
                            .layer = NM_LAYER_SIGNALS};
    nm_draw_label(f->drawing, style, "%s", l.letter);
}

/// Lamps stand side by side where a lane ends, a little beyond its stop line: the cars wait before it.
static void draw_signals(frame *f) {
    const nm_map *map = f->scene->map;
    const uint32_t step = (uint32_t)nm_clampf(f->step, 0.0f, 4e9f);
    for (uint32_t i = 0; i < map->signal_count; i++) {
        const nm_signal *signal = &map->signals[i];
        const nm_signal_state state = nm_scene_signal(f->scene, i, step);
        for (uint32_t k = 0; k < signal->lanes.count; k++) {
            const nm_lane *lane = &map->lanes[map->lane_refs[signal->lanes.first + k]];
            uint32_t place = 0;
            while (place + 1 < lane->signals.count && map->signal_refs[lane->signals.first + place] != i) place++;
            float x, y, heading;
            const float aside = 2.2f * ((float)place - 0.5f * ((float)lane->signals.count - 1.0f));
            nm_map_position(map, map->lane_refs[signal->lanes.first + k], lane->stop_s + 1.2f,
                            lane->signals.count ? -aside : 0.0f, &x, &y, &heading);
            const int walk = lane->type == NM_LANE_CROSSWALK || lane->type == NM_LANE_SIDEWALK;
            if (isfinite(x + y)) draw_lamp(f, signal, state, (nm_vec2){x, y}, heading, walk ? 0.6f : 1.0f);
        }
        if (signal->lanes.count == 0 && signal->placed)
            draw_lamp(f, signal, state, signal->position, NM_HALF_PI_F, 1.0f);
    }
}

// --- goals -----------------------------------------------------------------------------------------------------------

static void draw_goal(frame *f, const nm_goal_area *area) {
    const nm_rgba fill = nm_with_alpha(f->theme->goal, 45);
    const nm_point centre = {area->centre.x, area->centre.y, 0};
    nm_stroke edge = {.width = 2.0f, .pixels = 1, .closed = 1, .colour = f->theme->goal, .layer = NM_LAYER_HIGHLIGHTS};
    if (area->lane != NM_NONE && area->lane < f->scene->map->lane_count) {
        const nm_range range = f->scene->map->lanes[area->lane].points;
        for (uint32_t from = 0; from + 1 < range.count; from += MOST_TRAIL - 1) {
            const uint32_t count = range.count - from < MOST_TRAIL ? range.count - from : MOST_TRAIL;
            for (uint32_t i = 0; i < count; i++) {
                const nm_vec2 l = f->scene->map->left[range.first + from + i];
                const nm_vec2 r = f->scene->map->right[range.first + from + i];
                f->left[i] = (nm_point){l.x, l.y, 0}, f->right[i] = (nm_point){r.x, r.y, 0};
            }
            nm_draw_band(f->drawing, NM_LAYER_HIGHLIGHTS, f->left, f->right, count, fill);
        }
        return;
    }
    if (!(area->width > 0)) {
        nm_draw_disc(f->drawing, NM_LAYER_HIGHLIGHTS, centre, 0.5f * area->length, fill);
        nm_draw_disc(f->drawing, NM_LAYER_HIGHLIGHTS, centre, 0.4f, f->theme->goal);
        return;
    }
    const float c = cosf(area->heading), s = sinf(area->heading), l = 0.5f * area->length, w = 0.5f * area->width;
    const nm_point corners[4] = {{centre.x + c * l - s * w, centre.y + s * l + c * w, 0},
                                 {centre.x - c * l - s * w, centre.y - s * l + c * w, 0},
                                 {centre.x - c * l + s * w, centre.y - s * l - c * w, 0},
                                 {centre.x + c * l + s * w, centre.y + s * l - c * w, 0}};
    nm_draw_polygon(f->drawing, NM_LAYER_HIGHLIGHTS, corners, 4, fill);
    nm_draw_stroke(f->drawing, corners, 4, edge);
}

// --- dangers ---------------------------------------------------------------------------------------------------------

static nm_label label_style(const frame *f, nm_rgba colour, float size) {
    return (nm_label){
        .size = size * f->label_size, .colour = colour, .halo = f->theme->text_halo, .layer = NM_LAYER_LABELS};
}

/// Half way through the box, seen from its middle towards (dx, dy) of length 1.
static float through(const nm_pose *p, float dx, float dy) {
    const float c = cosf(p->heading), s = sinf(p->heading);
    const float along = fabsf(c * dx + s * dy), across = fabsf(c * dy - s * dx);
    return nm_minf(along > 1e-4f ? 0.5f * p->length / along : INFINITY,
                   across > 1e-4f ? 0.5f * p->width / across : INFINITY);
}

/// From box to box, with the time between them.
static void draw_warning(frame *f, const seen *a, const seen *b, float ttc) {
    const float dx = b->pose.x - a->pose.x, dy = b->pose.y - a->pose.y, n = nm_hypotf(dx, dy);
    if (!(n > 0)) return;
    const float ux = dx / n, uy = dy / n, from = nm_minf(through(&a->pose, ux, uy), 0.5f * n);
    const float to = nm_minf(through(&b->pose, ux, uy), 0.5f * n);
    const nm_point ends[2] = {{a->pose.x + from * ux, a->pose.y + from * uy, 0},
                              {b->pose.x - to * ux, b->pose.y - to * uy, 0}};
    nm_draw_stroke(f->drawing, ends, 2,
                   (nm_stroke){.width = 3.0f, .pixels = 1, .colour = f->theme->warning, .layer = NM_LAYER_HIGHLIGHTS});
    if (f->options->labels <= 0 || f->few_labels) return;
    char text[32];
    snprintf(text, sizeof text, "%.1f s", (double)ttc);
    const nm_point middle = {0.5f * (ends[0].x + ends[1].x), 0.5f * (ends[0].y + ends[1].y), 0.4f};
    nm_label_field_add(&f->labels, (nm_label_anchor){middle, 0.3f, 0.3f}, label_style(f, f->theme->warning, LABEL_SIZE),
                       text, 1);
}

static int is_named(const seen *s, const char *kind) {
    for (uint8_t i = 0; i < s->name_count; i++)
        if (strcmp(s->names[i], kind) == 0) return 1;
    return 0;
}

/// A star where both boxes are: half way between the points of each nearest to the other's middle.
static void draw_burst(frame *f, const seen *a, const seen *b) {
    const float dx = b->pose.x - a->pose.x, dy = b->pose.y - a->pose.y, n = nm_hypotf(dx, dy);
    const float ux = n > 0 ? dx / n : 1.0f, uy = n > 0 ? dy / n : 0.0f;
    const float from = through(&a->pose, ux, uy), to = n - through(&b->pose, ux, uy), at = 0.5f * (from + to);
    const nm_point centre = {a->pose.x + at * ux, a->pose.y + at * uy, 0};
    const float radius = nm_maxf(1.6f, 9.0f / f->labels.scale);
    nm_point before = centre;
    for (int i = 0; i <= 2 * BURST_POINTS; i++) {
        const float r = i % 2 ? 0.5f * radius : radius, angle = NM_PI_F * (float)i / BURST_POINTS;
        const nm_point point = {centre.x + r * cosf(angle), centre.y + r * sinf(angle), 0};
        if (i) nm_draw_triangle(f->drawing, NM_LAYER_HIGHLIGHTS, centre, before, point, f->theme->collision);
        before = point;
    }
    nm_draw_disc(f->drawing, NM_LAYER_HIGHLIGHTS, centre, 0.3f * radius, f->theme->text_halo);
    if (f->options->labels > 0 && !f->few_labels && !is_named(a, "collision") && !is_named(b, "collision"))
        nm_label_field_add(&f->labels, (nm_label_anchor){{centre.x, centre.y, 2.0f}, radius, radius},
                           label_style(f, f->theme->collision, LABEL_SIZE), "collision", 1);
}

static void mark(seen *s, uint8_t danger) {
    if (s && s->danger < danger) s->danger = danger;
}

/// Finds the dangerous pairs; with `draw`, draws their marks. Called twice: outlines of agents lie under the marks.
static void find_dangers(frame *f, int axis, int draw) {
    const float warn = f->options->warn_ttc_s;
    for (nm_reach_pair p = {0, 0}; nm_reach_next(f->reaches, f->count, axis, &p);) {
        seen *a = &f->agents[f->reaches[p.i].item], *b = &f->agents[f->reaches[p.j].item];
        const int told = draw ? a->marks == MOST_MARKS && b->marks == MOST_MARKS
                              : a->danger == DANGER_COLLISION && b->danger == DANGER_COLLISION;
        if (told) continue;
        const float ttc = nm_ttc(&f->reaches[p.i].box, &f->reaches[p.j].box, nm_maxf(warn, 0.0f));
        if (ttc != 0 && !(ttc < warn)) continue;
        mark(a, ttc == 0 ? DANGER_COLLISION : DANGER_TTC);
        mark(b, ttc == 0 ? DANGER_COLLISION : DANGER_TTC);
        if (!draw) continue;
        a->marks += a->marks < MOST_MARKS;
        b->marks += b->marks < MOST_MARKS;
        if (ttc == 0)
            draw_burst(f, a, b);
        else
            draw_warning(f, a, b, ttc);
    }
}

static int sort_reaches(frame *f) {
    for (uint32_t i = 0; i < f->count; i++) {
        f->reaches[i] =
            (nm_reach){.box = nm_pose_box(&f->agents[i].pose), .item = i, .fixed = f->agents[i].role == NM_ROLE_STATIC};
        nm_reach_set(&f->reaches[i], nm_maxf(f->options->warn_ttc_s, 0.0f), 0);
    }
    return nm_reach_sort(f->reaches, f->count);
}

static float half_diagonal(const nm_pose *p) {
    return 0.5f * nm_hypotf(p->length, p->width);
}

/// For a label: the box as it lies in the picture, and `more` m around it.
static nm_label_anchor around(const frame *f, const seen *s, float more) {
    const float turned = s->pose.heading - f->labels.camera->yaw;
    const float along = fabsf(cosf(turned)), across = fabsf(sinf(turned));
    return (nm_label_anchor){{s->pose.x, s->pose.y, s->pose.height + 0.6f},
                             0.5f * (across * s->pose.length + along * s->pose.width) + more,
                             0.5f * (along * s->pose.length + across * s->pose.width) + more};
}

/// A ring of four arcs around the agent, the heavier the more severe.
static void draw_ring(frame *f, const seen *s, float severity) {
    const float radius = half_diagonal(&s->pose) + 0.8f;
    nm_point points[7];
    for (int quarter = 0; quarter < 4; quarter++) {
        for (int i = 0; i < 7; i++) {
            const float angle = NM_HALF_PI_F * ((float)quarter + 0.18f + 0.64f * (float)i / 6.0f);
            points[i] = (nm_point){s->pose.x + radius * cosf(angle), s->pose.y + radius * sinf(angle), 0};
        }
        nm_draw_stroke(f->drawing, points, 7,
                       (nm_stroke){.width = 1.5f + 2.0f * nm_clampf(severity, 0.0f, 1.0f),
                                   .pixels = 1,
                                   .colour = f->theme->warning,
                                   .layer = NM_LAYER_HIGHLIGHTS});
    }
}

static int going_on(const nm_moment *moment, float step) {
    return (float)moment->first_step <= step && step <= (float)moment->last_step;
}

/// "cut_in" reads "cut in".
static void readable(const char *kind, char *text, size_t size) {
    snprintf(text, size, "%s", kind ? kind : "");
    for (char *c = text; *c; c++)
        if (*c == '_') *c = ' ';
}

/// At the first agent of a moment; where that one is out of the picture, at the second. Once for all moments of a kind
/// that an agent is in.
static void name_moment(frame *f, const char *kind, seen *const parts[2]) {
    char text[64];
    if (f->options->labels <= 0 || f->few_labels || !kind) return;
    for (int k = 0; k < 2; k++)
        if (parts[k] && (parts[k]->name_count == MOST_NAMES || is_named(parts[k], kind))) return;
    readable(kind, text, sizeof text);
    for (int k = 0, named = 0; k < 2 && !named; k++)
        if (parts[k])
            named = nm_label_field_add(&f->labels, around(f, parts[k], 0.8f),
                                       label_style(f, f->theme->warning, LABEL_SIZE), text, 1);
    for (int k = 0; k < 2; k++)
        if (parts[k]) parts[k]->names[parts[k]->name_count++] = kind;
}

static void draw_moments(frame *f) {
    for (uint32_t i = 0; i < f->options->moment_count; i++) {
        const nm_moment *m = &f->options->moments[i];
        if (!going_on(m, f->step)) continue;
        seen *parts[2] = {find_track(f, m->first), m->second != m->first ? find_track(f, m->second) : NULL};
        for (int k = 0; k < 2; k++) {
            if (!parts[k]) continue;
            mark(parts[k], DANGER_MOMENT);
            draw_ring(f, parts[k], m->severity);
        }
        name_moment(f, m->kind, parts);
    }
}

// --- labels ----------------------------------------------------------------------------------------------------------

static void label_agent(frame *f, seen *s, int with_speed) {
    char name[32], text[64];
    if (s->labelled) return;
    s->labelled = 1;
    if (s->role == NM_ROLE_EGO || s->role == NM_ROLE_ADVERSARY)
        snprintf(name, sizeof name, "%s", nm_role_name((nm_role)s->role));
    else
        snprintf(name, sizeof name, "%lld", (long long)f->scene->tracks[s->track].source_id);
    if (with_speed && !f->few_labels && s->role != NM_ROLE_STATIC)
        snprintf(text, sizeof text, "%s  %.0f m/s", name, (double)nm_hypotf(s->pose.vx, s->pose.vy));
    else
        snprintf(text, sizeof text, "%s", name);
    const int special = s->role == NM_ROLE_EGO || s->role == NM_ROLE_ADVERSARY;
    nm_label_field_add(&f->labels, around(f, s, 0.0f),
                       label_style(f, f->theme->text, special ? LABEL_SIZE : SMALL_LABEL), text, special);
}

/// First of all labels: they stay next to their cars then.
static void name_main_agents(frame *f) {
    for (uint32_t i = 0; i < f->count && f->options->labels > 0; i++)
        if (f->agents[i].role == NM_ROLE_EGO || f->agents[i].role == NM_ROLE_ADVERSARY)
            label_agent(f, &f->agents[i], 1);
}

static void draw_labels(frame *f) {
    if (f->options->labels <= 0 || f->few_labels) return;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->agents[i].danger != DANGER_NONE) label_agent(f, &f->agents[i], 1);
    if (f->options->labels < 2 || f->labels.scale < CROWDED_SCALE) return;
    for (uint32_t i = 0; i < f->count && f->labels.count < NM_MOST_LABELS; i++) label_agent(f, &f->agents[i], 0);
}

static void begin_labels(frame *f, nm_camera *from_above) {
    const nm_frame_options *options = f->options;
    nm_label_field *labels = &f->labels;
    labels->drawing = f->drawing;
    labels->camera = options->camera;
    labels->width = options->view_width, labels->height = options->view_height;
    if (!options->camera) {
        if (f->count) from_above->target = (nm_point){f->agents[0].pose.x, f->agents[0].pose.y, 0};
        labels->camera = from_above;
        labels->width = labels->height = 10.0f * from_above->span;
        labels->everywhere = 1;
    }
    labels->scale = nm_camera_scale(labels->camera, labels->width, labels->height);
    f->label_size = nm_clampf(labels->width / FULL_LABELS, LEAST_LABELS, 1.0f);
    f->few_labels = labels->width < FEW_LABELS;
    for (uint32_t i = 0; i < f->count && options->labels > 0; i++)
        nm_label_field_body(labels, around(f, &f->agents[i], 0.0f));
}

void nm_draw_frame(nm_drawing *drawing, const nm_scene *scene, float step, const nm_frame_options *options,
                   const nm_theme *theme) {
    NM_ASSERT(drawing && scene && options && theme && drawing->space == NM_SPACE_WORLD);
    if (!isfinite(step)) return;
    frame f = {.drawing = drawing, .scene = scene, .options = options, .theme = theme, .step = step};
    if (!take_memory(&f, count_near(scene, step) + 1)) return;
    find_agents(&f);
    nm_camera from_above = nm_camera_default();
    begin_labels(&f, &from_above);
    for (uint32_t i = 0; i < f.count; i++) {
        if (f.agents[i].role == NM_ROLE_STATIC) continue;
        if (options->trail_s > 0) draw_trail(&f, &f.agents[i]);
        if (options->future_s > 0) draw_future(&f, &f.agents[i]);
    }
    draw_plan(&f);
    for (uint32_t i = 0; i < scene->goal_area_count; i++) draw_goal(&f, &scene->goal_areas[i]);
    const int axis = sort_reaches(&f);
    find_dangers(&f, axis, 0);
    for (uint32_t i = 0; i < f.count; i++) draw_agent(&f, &f.agents[i]);
    draw_signals(&f);
    name_main_agents(&f);
    draw_moments(&f);
    find_dangers(&f, axis, 1);
    draw_labels(&f);
}
