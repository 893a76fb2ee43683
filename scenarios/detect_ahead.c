// What lies on the way that a road user drives, along lanes or straight ahead; and who stands when.
#include "scenarios/detect_internal.h"

#define WALK 8          // lanes that are followed
#define FARTHEST 120.0f // m
#define WIDEST 8.0f     // m to the side
#define PAST_END 0.5f   // m: a projection that misses a lane's ends by less is on it
#define STANDSTILL 0.5f // m/s
#define SHORTEST 0.5f   // s of a stand

typedef struct nm_frame {
    float ahead;        // m between the centres along the way
    float cos_h, sin_h; // of the way at the target
    nm_frenet place;    // of the target
    int on_map;
} nm_frame;

// Along the lanes. 0 when the target is on none of them.
static int along_lanes(const nm_detect_context *ctx, const nm_sample *sample, float x, float y, nm_frame *frame) {
    float start = -sample->s;
    uint32_t lane = sample->lane, known = sample->next;
    for (int hop = 0; hop < WALK && lane != NM_NONE && start < FARTHEST; hop++) {
        nm_frenet place = nm_map_project(ctx->map, lane, x, y);
        if (fabsf(place.beyond) < PAST_END && fabsf(place.d - sample->d) <= WIDEST) {
            *frame = (nm_frame){.ahead = start + place.s,
                                .cos_h = cosf(place.heading),
                                .sin_h = sinf(place.heading),
                                .place = place,
                                .on_map = 1};
            return 1;
        }
        start += ctx->map->lanes[lane].length;
        lane = nm_detect_next_lane(ctx->map, lane, known);
        known = NM_NONE;
    }
    return 0;
}

int nm_detect_ahead(const nm_detect_context *ctx, uint32_t self, uint32_t target, uint32_t step, nm_ahead *ahead) {
    const nm_sample *sample = nm_detect_sample(ctx, self, step), *other = nm_detect_sample(ctx, target, step);
    if (!sample || !other) return 0;
    const nm_scene *scene = ctx->scene;
    size_t i = nm_scene_at(scene, self, step), j = nm_scene_at(scene, target, step);
    float dx = scene->x[j] - scene->x[i], dy = scene->y[j] - scene->y[i];
    if (dx * dx + dy * dy > FARTHEST * FARTHEST) return 0;
    nm_frame frame = {.on_map = 0};
    float own = sample->speed;
    if (sample->lane != NM_NONE && !(sample->flags & NM_SAMPLE_REVERSED)) {
        if (!along_lanes(ctx, sample, scene->x[j], scene->y[j], &frame)) return 0;
        ahead->offset = frame.place.d - sample->d;
        own = sample->vx * sample->lane_cos + sample->vy * sample->lane_sin;
    } else {
        frame.cos_h = cosf(scene->heading[i]);
        frame.sin_h = sinf(scene->heading[i]);
        frame.ahead = dx * frame.cos_h + dy * frame.sin_h;
        ahead->offset = dy * frame.cos_h - dx * frame.sin_h;
    }
    if (frame.ahead <= 0 || fabsf(ahead->offset) > WIDEST) return 0;
    float turn = scene->heading[j] - atan2f(frame.sin_h, frame.cos_h), c = fabsf(cosf(turn)), s = fabsf(sinf(turn));
    float length = nm_detect_length(ctx, target, step), width = nm_detect_width(ctx, target, step);
    float along = 0.5f * (length * c + width * s), across = 0.5f * (length * s + width * c);
    ahead->lane = frame.on_map ? frame.place.lane : NM_NONE;
    ahead->d = frame.on_map ? frame.place.d : ahead->offset;
    ahead->gap = frame.ahead - along - 0.5f * nm_detect_length(ctx, self, step);
    ahead->overlap = across + 0.5f * nm_detect_width(ctx, self, step) - fabsf(ahead->offset);
    ahead->closing = own - (other->vx * frame.cos_h + other->vy * frame.sin_h);
    ahead->room = ahead->inside = INFINITY;
    if (frame.on_map) {
        float d = frame.place.d, left = frame.place.left, right = frame.place.right;
        ahead->room = fmaxf(fmaxf(left - d, right + d) - across, 0);
        ahead->inside = fminf(left - (d - across), d + across + right);
    }
    return 1;
}

// --- who stands when -------------------------------------------------------------------------------------------------

static size_t collect_stands(const nm_detect_context *ctx, nm_stand *stands) {
    size_t count = 0;
    uint32_t shortest = nm_detect_steps(ctx, SHORTEST, 1);
    for (uint32_t a = 0; a < ctx->scene->track_count; a++) {
        const nm_track *info = &ctx->scene->tracks[a];
        if (info->first_step > info->last_step || (!nm_detect_vehicle(ctx, a) && info->type != NM_AGENT_OBSTACLE))
            continue;
        uint32_t first = NM_NONE;
        for (uint32_t t = info->first_step; t <= info->last_step + 1; t++) {
            const nm_sample *sample = nm_detect_sample(ctx, a, t);
            int stands_still = sample && sample->vx * sample->vx + sample->vy * sample->vy < STANDSTILL * STANDSTILL;
            if (stands_still && first == NM_NONE) first = t;
            if (stands_still || first == NM_NONE) continue;
            if (t - first >= shortest) {
                if (stands) stands[count] = (nm_stand){.track = a, .first = first, .last = t - 1};
                count++;
            }
            first = NM_NONE;
        }
    }
    return count;
}

nm_status nm_detect_stands(nm_detect_context *ctx) {
    ctx->stand_count = collect_stands(ctx, NULL);
    ctx->stands = NM_ARENA_ARRAY(ctx->arena, nm_stand, ctx->stand_count);
    if (!ctx->stands) return NM_E_MEMORY;
    collect_stands(ctx, ctx->stands);
    return NM_OK;
}
