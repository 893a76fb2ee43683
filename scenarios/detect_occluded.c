// occluded_pedestrian: who walks into a vehicle's way from behind something that hid him.
#include "scenarios/detect_internal.h"

#define NEAREST 10.0f  // m that the two come to
#define LOOK_BACK 4.0f // s before getting in the way within which he must have been hidden
#define AFTER 1.0f     // s after it that belong to the event
#define SMALLEST 1.0f  // m of the longer side: a cone hides nobody

// Whether the segment from (x0, y0) to (x1, y1) meets the box: slabs in the box's frame (Kay and Kajiya 1986).
static int meets_box(const nm_box *box, float x0, float y0, float x1, float y1) {
    const float from[2] = {(x0 - box->x) * box->cos_h + (y0 - box->y) * box->sin_h,
                           (y0 - box->y) * box->cos_h - (x0 - box->x) * box->sin_h};
    const float to[2] = {(x1 - box->x) * box->cos_h + (y1 - box->y) * box->sin_h,
                         (y1 - box->y) * box->cos_h - (x1 - box->x) * box->sin_h};
    const float half[2] = {0.5f * box->length, 0.5f * box->width};
    float enter = 0, leave = 1;
    for (int i = 0; i < 2; i++) {
        float way = to[i] - from[i];
        if (fabsf(way) < 1e-6f) {
            if (fabsf(from[i]) > half[i]) return 0;
            continue;
        }
        float a = (-half[i] - from[i]) / way, b = (half[i] - from[i]) / way;
        enter = fmaxf(enter, fminf(a, b));
        leave = fminf(leave, fmaxf(a, b));
    }
    return enter <= leave;
}

static int may_hide(const nm_detect_context *ctx, uint32_t track, uint32_t step, nm_box *box) {
    const nm_track *info = &ctx->scene->tracks[track];
    if (info->type == NM_AGENT_PEDESTRIAN || info->type == NM_AGENT_CYCLIST || info->type == NM_AGENT_MOTORCYCLE)
        return 0;
    if (step < info->first_step || step > info->last_step) return 0;
    if (info->height > 0 && info->height < nm_detect_param(ctx, NM_KIND_OCCLUDED_PEDESTRIAN, OCCLUDED_MIN_HEIGHT))
        return 0;
    return nm_scene_box(ctx->scene, track, step, box) && fmaxf(box->length, box->width) >= SMALLEST;
}

// 1 when no line from the middle of the vehicle's front to the pedestrian's middle or to either of his sides is free.
// Several may hide him together.
static int hidden(const nm_detect_context *ctx, uint32_t pedestrian, uint32_t vehicle, uint32_t step) {
    nm_box self, him;
    if (!nm_scene_box(ctx->scene, vehicle, step, &self) || !nm_scene_box(ctx->scene, pedestrian, step, &him)) return 0;
    float eye_x = self.x + 0.5f * self.length * self.cos_h, eye_y = self.y + 0.5f * self.length * self.sin_h;
    float dx = him.x - eye_x, dy = him.y - eye_y, apart = hypotf(dx, dy);
    if (apart < 1e-3f) return 0;
    float half = 0.5f * fmaxf(him.length, him.width), side_x = -dy / apart * half, side_y = dx / apart * half;
    unsigned open = 7; // bit per line
    for (uint32_t c = 0; c < ctx->scene->track_count && open; c++) {
        nm_box box;
        if (c == pedestrian || c == vehicle || !may_hide(ctx, c, step, &box)) continue;
        float bx = box.x - eye_x, by = box.y - eye_y, far = apart + box.length + box.width;
        if (bx * bx + by * by > far * far) continue;
        for (int i = 0; i < 3; i++) {
            float shift = (float)(i - 1);
            if ((open >> i & 1) && meets_box(&box, eye_x, eye_y, him.x + shift * side_x, him.y + shift * side_y))
                open &= ~(1u << i);
        }
    }
    return open == 0;
}

// 1 when he is on the ground that the vehicle is about to drive over. *ahead as nm_detect_ahead has it.
static int in_the_way(const nm_detect_context *ctx, uint32_t pedestrian, uint32_t vehicle, uint32_t step,
                      nm_ahead *ahead) {
    float margin = nm_detect_param(ctx, NM_KIND_OCCLUDED_PEDESTRIAN, OCCLUDED_MARGIN);
    return nm_detect_ahead(ctx, vehicle, pedestrian, step, ahead) && ahead->overlap >= -margin;
}

// He gets in the way at `step`: since when he was hidden before, until when; 0 when he was not, or long before.
static int was_hidden(const nm_detect_context *ctx, uint32_t pedestrian, uint32_t vehicle, uint32_t step,
                      uint32_t *since) {
    const float *value = ctx->params->values[NM_KIND_OCCLUDED_PEDESTRIAN];
    uint32_t visible = nm_detect_steps(ctx, value[OCCLUDED_MAX_VISIBLE], 0), until = step, steps = 0;
    uint32_t most = nm_detect_steps(ctx, LOOK_BACK, 1), wanted = nm_detect_steps(ctx, value[OCCLUDED_MIN_HIDDEN], 1);
    while (step - until <= visible && !hidden(ctx, pedestrian, vehicle, until)) {
        if (until == 0) return 0;
        until--;
    }
    if (step - until > visible) return 0;
    for (uint32_t t = until; steps < most && hidden(ctx, pedestrian, vehicle, t); t--) {
        *since = t;
        steps++;
        if (t == 0) break;
    }
    return steps >= wanted;
}

static void judge_occluded(nm_detect_context *ctx, uint32_t pedestrian, uint32_t vehicle) {
    const float *value = ctx->params->values[NM_KIND_OCCLUDED_PEDESTRIAN];
    uint32_t from, to, since = 0;
    if (!nm_detect_common(ctx->scene, pedestrian, vehicle, &from, &to)) return;
    int before = 1; // in the way from the start: he walked in unseen by the recording
    for (uint32_t t = from; t <= to; t++) {
        const nm_sample *sample = nm_detect_scored(ctx, vehicle, t), *him = nm_detect_sample(ctx, pedestrian, t);
        if (!sample || !him) {
            before = 1;
            continue;
        }
        if (sample->speed < value[OCCLUDED_MIN_SPEED]) continue;
        nm_ahead ahead;
        int now = in_the_way(ctx, pedestrian, vehicle, t, &ahead), enters = now && !before;
        before = now;
        if (!enters || ahead.gap < 0 || ahead.gap > value[OCCLUDED_MAX_TIME] * sample->speed) continue;
        if (hypotf(him->vx, him->vy) < value[OCCLUDED_MIN_WALK]) continue;
        if (!was_hidden(ctx, pedestrian, vehicle, t, &since)) continue;
        uint32_t last = t + nm_detect_steps(ctx, AFTER, 1);
        nm_event event =
            nm_detect_event(NM_KIND_OCCLUDED_PEDESTRIAN, pedestrian, vehicle, since, t, last < to ? last : to);
        nm_detect_emit(ctx, &event);
    }
}

void nm_detect_occluded(nm_detect_context *ctx) {
    if (!nm_detect_enabled(ctx, NM_KIND_OCCLUDED_PEDESTRIAN)) return;
    const nm_track *tracks = ctx->scene->tracks;
    for (uint32_t i = 0; i < ctx->criticality.pair_count; i++) {
        const nm_pair_summary *pair = &ctx->criticality.pairs[i];
        uint32_t pedestrian = pair->first, vehicle = pair->second;
        if (tracks[pedestrian].type != NM_AGENT_PEDESTRIAN) {
            pedestrian = pair->second;
            vehicle = pair->first;
        }
        if (tracks[pedestrian].type != NM_AGENT_PEDESTRIAN || !nm_detect_vehicle(ctx, vehicle)) continue;
        if (pair->min_distance <= NEAREST && !nm_detect_static(ctx, vehicle)) judge_occluded(ctx, pedestrian, vehicle);
    }
}
