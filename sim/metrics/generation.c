/// Scores of generated scenes: one scene's futures, sample by sample, into sums; sums into results.
#include "sim/metrics/generation.h"

#include <stdlib.h>
#include <string.h>

#include "sim/geometry.h"
#include "sim/metrics/criticality.h"
#include "sim/metrics/futures_check.h"

#define FRAME_SECONDS 0.5
#define DEGREES (180.0 / NM_PI)

/// An agent's box at a whole second, for the sweep along x.
typedef struct placed {
    nm_box box;
    uint32_t agent;
} placed;

/// One scene at work. Frames are [agents][NM_GENERATION_FRAMES].
typedef struct scoring {
    const nm_scene *scene;
    const nm_generation_config *config;
    const nm_futures *futures; ///< NULL: the recording is its own future
    const uint32_t *track;
    uint32_t agents, samples;
    uint8_t *valid;           ///< frames: recorded there, and predicted
    float *x, *y, *heading;   ///< frames, of the sample at work
    float *length, *width;    ///< [agents]
    uint8_t *starts_in_lane;  ///< [agents] a vehicle that was in a lane when it was observed
    uint32_t *start_lane;     ///< [agents] which: where to look first
    uint32_t *lanes;          ///< [map->lane_count]
    placed *boxes;            ///< [agents]
    double *distance;         ///< [samples][agents][NM_GENERATION_SECONDS] m, 0 where not valid
    nm_generation_sums *sums; ///< of this scene
} scoring;

nm_generation_config nm_generation_config_default(void) {
    return (nm_generation_config){.frames = NM_GENERATION_FRAMES, .lane_distance = 2.75f, .pair_distance = 10.0f};
}

const char *nm_stability_name(nm_stability which) {
    static const char *const names[NM_STABILITY_COUNT] = {"yaw_step", "speed_step", "accel",
                                                          "jerk",     "yaw_accel",  "yaw_jerk"};
    NM_ASSERT(which >= 0 && which < NM_STABILITY_COUNT);
    return names[which];
}

static size_t frame_at(uint32_t agent, uint32_t frame) {
    return (size_t)agent * NM_GENERATION_FRAMES + frame;
}
static uint32_t frame_of_second(uint32_t second) {
    return 2 * second + 1; // second 0 is at 1 s
}

// --- what is scored --------------------------------------------------------------------------------------------------

static nm_status check(const nm_generation_config *config, nm_error *error) {
    if (config->frames < 4 || config->frames > NM_GENERATION_FRAMES)
        return NM_ERROR(error, NM_E_ARGUMENT, "cannot score over %u frames: 4 to %u are possible", config->frames,
                        NM_GENERATION_FRAMES);
    if (!(config->lane_distance > 0.0f && config->lane_distance <= 1000.0f && config->pair_distance > 0.0f))
        return NM_ERROR(error, NM_E_ARGUMENT, "distances of %g m to a lane and %g m between a pair make no sense",
                        (double)config->lane_distance, (double)config->pair_distance);
    return NM_OK;
}

static void release(scoring *s) {
    void *blocks[] = {s->valid, s->x,     s->y,          s->heading,  s->length,        s->width,
                      s->lanes, s->boxes, s->start_lane, s->distance, s->starts_in_lane};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) free(blocks[i]);
}

static nm_status reserve(scoring *s, nm_error *error) {
    const size_t agents = (size_t)s->agents + 1, frames = agents * NM_GENERATION_FRAMES; // never of no size
    s->valid = calloc(frames, 1);
    s->x = calloc(frames, sizeof *s->x);
    s->y = calloc(frames, sizeof *s->y);
    s->heading = calloc(frames, sizeof *s->heading);
    s->length = calloc(agents, sizeof *s->length);
    s->width = calloc(agents, sizeof *s->width);
    s->starts_in_lane = calloc(agents, 1);
    s->start_lane = calloc(agents, sizeof *s->start_lane);
    s->lanes = calloc((size_t)s->scene->map->lane_count + 1, sizeof *s->lanes);
    s->boxes = calloc(agents, sizeof *s->boxes);
    if (agents <= SIZE_MAX / NM_GENERATION_SECONDS / sizeof *s->distance / s->samples)
        s->distance = calloc(s->samples * agents * NM_GENERATION_SECONDS, sizeof *s->distance);
    if (s->valid && s->x && s->y && s->heading && s->length && s->width && s->starts_in_lane && s->start_lane &&
        s->lanes && s->boxes && s->distance)
        return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "no memory to score %u agents in %u samples", s->agents, s->samples);
}

/// Step of the recording shown by a future frame.
static uint32_t step_of(const scoring *s, uint32_t frame) {
    return s->scene->current_step + NM_GENERATION_FRAME_STEPS * (frame + 1);
}

static void find_valid(scoring *s) {
    uint32_t frames = s->config->frames;
    if (s->futures && s->futures->steps / NM_GENERATION_FRAME_STEPS < frames)
        frames = s->futures->steps / NM_GENERATION_FRAME_STEPS;
    for (uint32_t a = 0; a < s->agents; ++a) {
        for (uint32_t j = 0; j < frames && step_of(s, j) < s->scene->step_count; ++j)
            s->valid[frame_at(a, j)] = s->scene->valid[nm_scene_at(s->scene, s->track[a], step_of(s, j))];
    }
}

static void find_sizes(scoring *s) {
    const nm_scene *scene = s->scene;
    for (uint32_t a = 0; a < s->agents; ++a) {
        const size_t now = nm_scene_at(scene, s->track[a], scene->current_step);
        const nm_track *track = &scene->tracks[s->track[a]];
        const float length = scene->state_length ? scene->state_length[now] : 0.0f;
        const float width = scene->state_width ? scene->state_width[now] : 0.0f;
        s->length[a] = length > 0.0f ? length : track->length;
        s->width[a] = width > 0.0f ? width : track->width;
    }
}

/// Takes the frames out of a sample. Numbers are checked where they count.
static nm_status load(scoring *s, uint32_t sample, nm_error *error) {
    for (uint32_t a = 0; a < s->agents; ++a) {
        for (uint32_t j = 0; j < NM_GENERATION_FRAMES; ++j) {
            const size_t to = frame_at(a, j);
            if (!s->valid[to]) continue;
            const nm_futures *f = s->futures;
            const size_t from =
                f ? ((size_t)sample * s->agents + a) * f->steps + NM_GENERATION_FRAME_STEPS * (j + 1) - 1
                  : nm_scene_at(s->scene, s->track[a], step_of(s, j));
            s->x[to] = f ? f->x[from] : s->scene->x[from];
            s->y[to] = f ? f->y[from] : s->scene->y[from];
            s->heading[to] = f ? f->heading[from] : s->scene->heading[from];
            const float most = (float)NM_SCENE_MAX_DISTANCE;
            if (!(fabsf(s->x[to]) <= most && fabsf(s->y[to]) <= most && fabsf(s->heading[to]) <= 4.0f))
                return NM_ERROR(error, NM_E_NUMERIC, "sample %u puts track %u at (%g, %g), heading %g, after %g s",
                                sample, s->track[a], (double)s->x[to], (double)s->y[to], (double)s->heading[to],
                                FRAME_SECONDS * (j + 1));
        }
    }
    return NM_OK;
}

// --- displacement ----------------------------------------------------------------------------------------------------

static void measure(scoring *s, uint32_t sample) {
    const nm_scene *scene = s->scene;
    for (uint32_t a = 0; a < s->agents; ++a) {
        double *distance = s->distance + ((size_t)sample * s->agents + a) * NM_GENERATION_SECONDS;
        for (uint32_t second = 0; second < NM_GENERATION_SECONDS; ++second) {
            const uint32_t frame = frame_of_second(second);
            const size_t at = frame_at(a, frame);
            if (!s->valid[at]) continue;
            const size_t log = nm_scene_at(scene, s->track[a], step_of(s, frame));
            const double dx = (double)s->x[at] - (double)scene->x[log], dy = (double)s->y[at] - (double)scene->y[log];
            distance[second] = sqrt(dx * dx + dy * dy);
        }
    }
}

/// Of one agent over its valid seconds. Which seconds are valid does not depend on the sample, so that the least sum is
/// the least mean.
static double displaced(const scoring *s, uint32_t sample, uint32_t agent) {
    const double *distance = s->distance + ((size_t)sample * s->agents + agent) * NM_GENERATION_SECONDS;
    double sum = 0.0;
    for (uint32_t second = 0; second < NM_GENERATION_SECONDS; ++second) sum += distance[second];
    return sum;
}

static int counts(const scoring *s, nm_generation_who who, uint32_t agent) {
    return who == NM_WHO_EVERYBODY || s->track[agent] != s->scene->ego;
}

static uint32_t best_for_scene(const scoring *s, nm_generation_who who) {
    uint32_t best = 0;
    double least = INFINITY;
    for (uint32_t r = 0; r < s->samples; ++r) {
        double sum = 0.0;
        for (uint32_t a = 0; a < s->agents; ++a)
            if (counts(s, who, a)) sum += displaced(s, r, a);
        if (sum < least) least = sum, best = r;
    }
    return best;
}

static uint32_t best_for_agent(const scoring *s, uint32_t agent) {
    uint32_t best = 0;
    for (uint32_t r = 1; r < s->samples; ++r)
        if (displaced(s, r, agent) < displaced(s, best, agent)) best = r;
    return best;
}

static void add_displacement_of(scoring *s, nm_generation_who who, uint32_t agent, uint32_t best_scene) {
    const size_t stride = (size_t)s->agents * NM_GENERATION_SECONDS;
    const double *distance = s->distance + (size_t)agent * NM_GENERATION_SECONDS;
    const uint32_t best_agent = best_for_agent(s, agent);
    for (uint32_t second = 0; second < NM_GENERATION_SECONDS; ++second) {
        if (!s->valid[frame_at(agent, frame_of_second(second))]) continue;
        double sum = 0.0;
        for (uint32_t r = 0; r < s->samples; ++r) sum += distance[r * stride + second];
        s->sums->displacement[who][NM_OVER_MEAN][second] += sum / s->samples;
        s->sums->displacement[who][NM_OVER_BEST_AGENT][second] += distance[best_agent * stride + second];
        s->sums->displacement[who][NM_OVER_BEST_SCENE][second] += distance[best_scene * stride + second];
        s->sums->displacement_count[who][second] += 1.0;
    }
}

static void add_displacement(scoring *s) {
    for (int who = 0; who < NM_WHO_COUNT; ++who) {
        const uint32_t best = best_for_scene(s, (nm_generation_who)who);
        for (uint32_t a = 0; a < s->agents; ++a)
            if (counts(s, (nm_generation_who)who, a)) add_displacement_of(s, (nm_generation_who)who, a, best);
    }
}

// --- collisions ------------------------------------------------------------------------------------------------------

static int compare_places(const void *a, const void *b) {
    const placed *p = a, *q = b;
    if (p->box.x != q->box.x) return p->box.x < q->box.x ? -1 : 1;
    return (p->agent > q->agent) - (p->agent < q->agent);
}

static uint32_t place_boxes(scoring *s, uint32_t frame) {
    uint32_t count = 0;
    for (uint32_t a = 0; a < s->agents; ++a) {
        const size_t at = frame_at(a, frame);
        if (!s->valid[at]) continue;
        placed *p = &s->boxes[count++];
        *p = (placed){.agent = a, .box = {.x = s->x[at], .y = s->y[at], .length = s->length[a], .width = s->width[a]}};
        nm_sincosf(s->heading[at], &p->box.sin_h, &p->box.cos_h);
    }
    return count;
}

static uint32_t count_overlaps(const placed *boxes, uint32_t count, double reach) {
    uint32_t overlaps = 0;
    for (uint32_t i = 0; i < count; ++i) {
        for (uint32_t k = i + 1; k < count; ++k) {
            const double dx = (double)boxes[k].box.x - boxes[i].box.x, dy = (double)boxes[k].box.y - boxes[i].box.y;
            if (dx > reach) break; // they are sorted by x
            if (dx * dx + dy * dy > reach * reach) continue;
            overlaps += (uint32_t)nm_box_overlap(&boxes[i].box, &boxes[k].box);
        }
    }
    return overlaps;
}

/// Counts are the same in every sample: they are taken from the first.
static void add_collisions(scoring *s, uint32_t sample) {
    for (uint32_t second = 0; second < NM_GENERATION_SECONDS; ++second) {
        const uint32_t count = place_boxes(s, frame_of_second(second));
        if (count > 1) qsort(s->boxes, count, sizeof *s->boxes, compare_places);
        const uint32_t overlaps = count_overlaps(s->boxes, count, (double)s->config->pair_distance);
        s->sums->collisions[second] += (double)overlaps / s->samples;
        if (sample == 0) s->sums->collision_count[second] += (double)count;
    }
}

// --- off the road ----------------------------------------------------------------------------------------------------

static int near_lane(const nm_map *map, uint32_t lane, nm_vec2 at, float distance) {
    const nm_lane *l = &map->lanes[lane];
    if (!((NM_LANE_MASK_VEHICLE >> l->type) & 1u)) return 0;
    const nm_vec2 *centre = map->centre + l->points.first;
    for (uint32_t k = 0; k + 1 < l->points.count; ++k)
        if (nm_near_segment(centre[k], centre[k + 1], at, distance * distance)) return 1;
    return 0;
}

/// Is any lane near? *lane is where to look first, and becomes the one found.
static int in_lane(const scoring *s, float x, float y, uint32_t *lane) {
    const nm_map *map = s->scene->map;
    const float distance = s->config->lane_distance;
    const nm_vec2 at = {x, y}, low = {x - distance, y - distance}, high = {x + distance, y + distance};
    if (*lane < map->lane_count && near_lane(map, *lane, at, distance)) return 1;
    const size_t found = nm_map_lanes_in(map, low, high, s->lanes, map->lane_count);
    for (size_t i = 0; i < found; ++i) {
        if (!near_lane(map, s->lanes[i], at, distance)) continue;
        *lane = s->lanes[i];
        return 1;
    }
    return 0;
}

/// Who was in a lane in any observed frame.
static void observe_lanes(scoring *s) {
    const nm_scene *scene = s->scene;
    for (uint32_t a = 0; a < s->agents; ++a) {
        s->start_lane[a] = NM_NONE;
        if (!nm_agent_type_vehicle((nm_agent_type)scene->tracks[s->track[a]].type)) continue;
        s->sums->vehicles += 1.0;
        for (uint32_t back = 0; back <= NM_GENERATION_HISTORY && !s->starts_in_lane[a]; ++back) {
            if (NM_GENERATION_FRAME_STEPS * back > scene->current_step) break;
            const uint32_t step = scene->current_step - NM_GENERATION_FRAME_STEPS * back;
            const size_t at = nm_scene_at(scene, s->track[a], step);
            if (scene->valid[at])
                s->starts_in_lane[a] = (uint8_t)in_lane(s, scene->x[at], scene->y[at], &s->start_lane[a]);
        }
        s->sums->in_lane += s->starts_in_lane[a];
    }
}

static void add_off_road(scoring *s) {
    uint32_t off = 0;
    for (uint32_t a = 0; a < s->agents; ++a) {
        if (!s->starts_in_lane[a]) continue;
        uint32_t lane = s->start_lane[a];
        for (uint32_t j = 0; j < NM_GENERATION_FRAMES; ++j) {
            const size_t at = frame_at(a, j);
            if (!s->valid[at] || in_lane(s, s->x[at], s->y[at], &lane)) continue;
            off++;
            break;
        }
    }
    s->sums->off_road += (double)off / s->samples;
    if (s->sums->vehicles > 0.0) s->sums->off_road_share += (double)off / s->samples / s->sums->vehicles;
}

// --- stability -------------------------------------------------------------------------------------------------------

/// Mean of |differences| of the given order, over `count` values.
static double mean_difference(const double *value, uint32_t count, int order) {
    double sum = 0.0;
    for (uint32_t i = 0; i + (uint32_t)order < count; ++i)
        sum += order == 1 ? fabs(value[i + 1] - value[i]) : fabs(value[i + 2] - 2.0 * value[i + 1] + value[i]);
    return sum / (double)(count - (uint32_t)order);
}

static void add_stability_of(scoring *s, uint32_t agent) {
    const uint32_t steps = s->config->frames - 1;
    double speed[NM_GENERATION_FRAMES], turn[NM_GENERATION_FRAMES], turned = 0.0;
    for (uint32_t j = 0; j < steps; ++j) {
        const size_t at = frame_at(agent, j);
        const double dx = (double)s->x[at + 1] - (double)s->x[at], dy = (double)s->y[at + 1] - (double)s->y[at];
        const double angle = fabs(nm_wrap_angle_d((double)s->heading[at + 1] - (double)s->heading[at]));
        speed[j] = sqrt(dx * dx + dy * dy) / FRAME_SECONDS;
        turn[j] = angle / FRAME_SECONDS;
        turned += angle;
    }
    const double rate = 1.0 / FRAME_SECONDS;
    const double values[NM_STABILITY_COUNT] = {
        [NM_STABILITY_YAW_STEP] = turned / steps * DEGREES,
        [NM_STABILITY_SPEED_STEP] = mean_difference(speed, steps, 1),
        [NM_STABILITY_ACCEL] = mean_difference(speed, steps, 1) * rate,
        [NM_STABILITY_JERK] = mean_difference(speed, steps, 2) * rate * rate,
        [NM_STABILITY_YAW_ACCEL] = mean_difference(turn, steps, 1) * rate * DEGREES,
        [NM_STABILITY_YAW_JERK] = mean_difference(turn, steps, 2) * rate * rate * DEGREES,
    };
    for (int k = 0; k < NM_STABILITY_COUNT; ++k) s->sums->stability[k] += values[k] / s->samples;
}

static void add_stability(scoring *s, uint32_t sample) {
    for (uint32_t a = 0; a < s->agents; ++a) {
        uint32_t present = 0;
        for (uint32_t j = 0; j < s->config->frames; ++j) present += s->valid[frame_at(a, j)];
        if (present < s->config->frames) continue;
        add_stability_of(s, a);
        if (sample == 0) s->sums->stability_count += 1.0;
    }
}

// --- a scene ---------------------------------------------------------------------------------------------------------

static nm_status score(scoring *s, nm_error *error) {
    nm_status status = nm_map_prepare(s->scene->map, error);
    if (status == NM_OK) status = reserve(s, error);
    if (status != NM_OK) return status;
    find_valid(s);
    find_sizes(s);
    observe_lanes(s);
    for (uint32_t r = 0; r < s->samples; ++r) {
        status = load(s, r, error);
        if (status != NM_OK) return status;
        measure(s, r);
        add_collisions(s, r);
        add_off_road(s);
        add_stability(s, r);
    }
    add_displacement(s);
    s->sums->scenes = 1.0;
    s->sums->off_road_scenes = s->sums->vehicles > 0.0;
    return NM_OK;
}

static nm_status add(scoring *s, nm_generation_sums *sums, nm_error *error) {
    nm_generation_sums scene_sums = {0};
    nm_status status = check(s->config, error);
    if (status == NM_OK) status = nm_futures_check(s->scene, s->track, s->agents, error);
    if (status != NM_OK) return status;
    s->sums = &scene_sums;
    status = score(s, error);
    release(s);
    if (status == NM_OK) nm_generation_merge(sums, &scene_sums);
    return status;
}

nm_status nm_generation_add(const nm_scene *scene, const nm_futures *futures, const nm_generation_config *config,
                            nm_generation_sums *sums, nm_error *error) {
    NM_ASSERT(scene && futures && config && sums && futures->samples > 0);
    NM_ASSERT(futures->agents == 0 || (futures->track && futures->x && futures->y && futures->heading));
    scoring s = {.scene = scene,
                 .config = config,
                 .futures = futures,
                 .track = futures->track,
                 .agents = futures->agents,
                 .samples = futures->samples};
    return add(&s, sums, error);
}

nm_status nm_generation_log(const nm_scene *scene, const uint32_t *track, uint32_t agents,
                            const nm_generation_config *config, nm_generation_sums *sums, nm_error *error) {
    NM_ASSERT(scene && config && sums && (agents == 0 || track));
    scoring s = {.scene = scene, .config = config, .track = track, .agents = agents, .samples = 1};
    return add(&s, sums, error);
}

// --- sums ------------------------------------------------------------------------------------------------------------

void nm_generation_merge(nm_generation_sums *into, const nm_generation_sums *from) {
    NM_ASSERT(into && from);
    // nothing but doubles, so that all of them are added alike
    _Static_assert(sizeof *into % sizeof(double) == 0, "a field that is no double");
    double *to = (double *)into;
    const double *add_from = (const double *)from;
    for (size_t i = 0; i < sizeof *into / sizeof(double); ++i) to[i] += add_from[i];
}

static double ratio(double sum, double count) {
    return count > 0.0 ? sum / count : (double)NAN;
}

/// Mean of the first `count` values that there are.
static double mean_over(const double *value, uint32_t count) {
    double sum = 0.0;
    uint32_t present = 0;
    for (uint32_t i = 0; i < count; ++i)
        if (!isnan(value[i])) sum += value[i], present++;
    return ratio(sum, present);
}

nm_generation_result nm_generation_result_of(const nm_generation_sums *sums) {
    NM_ASSERT(sums);
    nm_generation_result result = {0};
    for (int who = 0; who < NM_WHO_COUNT; ++who) {
        for (int over = 0; over < NM_OVER_COUNT; ++over) {
            double *displacement = result.displacement[who][over];
            for (uint32_t i = 0; i < NM_GENERATION_SECONDS; ++i)
                displacement[i] = ratio(sums->displacement[who][over][i], sums->displacement_count[who][i]);
            result.displacement_8s[who][over] = mean_over(displacement, NM_GENERATION_SECONDS);
            result.displacement_7s[who][over] = mean_over(displacement, NM_GENERATION_SECONDS - 1);
        }
    }
    for (uint32_t i = 0; i < NM_GENERATION_SECONDS; ++i)
        result.collision[i] = ratio(sums->collisions[i], sums->collision_count[i]);
    result.collision_rate = mean_over(result.collision, NM_GENERATION_SECONDS);
    result.off_road_rate = ratio(sums->off_road_share, sums->off_road_scenes);
    result.off_road_pooled = ratio(sums->off_road, sums->vehicles);
    result.off_road_in_lane = ratio(sums->off_road, sums->in_lane);
    for (int k = 0; k < NM_STABILITY_COUNT; ++k) result.stability[k] = ratio(sums->stability[k], sums->stability_count);
    return result;
}
