/// nuPlan logs and maps: from the file to its scenes.
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "dataset/nuplan.h"

#define REAR_TO_CENTRE 1.461 // m, of the Pacifica that all logs were driven with: its box's centre is that far ahead
#define EGO_LENGTH 5.176f
#define EGO_WIDTH 2.297f
#define EGO_HEIGHT 1.777f
#define GOAL_SECONDS 60.0 // scenes of a log last 20 s at most, and their goal is where the ego was at their end
#define TRUCK_LENGTH 7.0f // as the other readers have it: nuPlan calls every motor vehicle a vehicle
#define TILE 100.0        // m: parts of a city are cut along these, so that scenes close by share one map
#define STORE_APPLICATION_ID_AT 68

typedef struct reader {
    char city_path[NM_NP_PATH]; // "" = none is held
    struct stat city_about;
    nm_np_city city;
    const nm_map *map; // the part made last, for `lit` of one log
    nm_np_box map_box;
    nm_id_table signals; // connector's id -> signal of `map`
    nm_pile windows;     // nm_np_window
    nm_pile local;       // local_track
} reader;

/// What a scene knows of a track of the log.
typedef struct local_track {
    uint64_t scene; // number of the scene it was last met in, from 1
    uint32_t track;
    int64_t time;
    double x, y;
} local_track;

nm_import_nuplan nm_import_nuplan_default(void) {
    return (nm_import_nuplan){.spacing = 15.0, .offset = -3.0, .past = 2.0, .future = 15.0, .radius = 300.0};
}

nm_format nm_nuplan_detect(const void *head, size_t size) {
    const uint8_t *bytes = head;
    if (size < 100 || memcmp(bytes, "SQLite format 3", 16) != 0) return NM_FORMAT_UNKNOWN;
    const uint8_t *id = bytes + STORE_APPLICATION_ID_AT;
    if (memcmp(id, "GPKG", 4) == 0 || memcmp(id, "GP1", 3) == 0) return NM_FORMAT_NUPLAN_MAP;
    return id[0] || id[1] || id[2] || id[3] ? NM_FORMAT_UNKNOWN : NM_FORMAT_NUPLAN;
}

static void drop_map(reader *r) {
    nm_map_release(r->map);
    r->map = NULL;
}

static void drop_city(reader *r) {
    drop_map(r);
    nm_np_city_release(&r->city);
    r->city_path[0] = '\0';
}

static reader *get_reader(nm_reader_context *context) {
    if (!context->nuplan) context->nuplan = calloc(1, sizeof(reader));
    return context->nuplan;
}

void nm_nuplan_release(nm_reader_context *context) {
    reader *r = context->nuplan;
    if (!r) return;
    drop_city(r);
    nm_id_table_free(&r->signals);
    nm_pile_free(&r->windows);
    nm_pile_free(&r->local);
    free(r);
    context->nuplan = NULL;
}

// --- maps alone ------------------------------------------------------------------------------------------------------

static nm_status add_count_tag(nm_scene_builder *builder, const char *name, uint32_t count, nm_error *error) {
    char tag[64];
    if (!count) return NM_OK;
    snprintf(tag, sizeof tag, "%s:%u", name, count);
    return nm_scene_builder_add_tag(builder, tag, error);
}

static nm_status add_text_tag(nm_scene_builder *builder, const char *name, const char *text, nm_error *error) {
    char tag[256];
    if (!text[0]) return NM_OK;
    snprintf(tag, sizeof tag, "%s:%s", name, text);
    return nm_scene_builder_add_tag(builder, tag, error);
}

static nm_status add_city_tags(nm_scene_builder *builder, const nm_np_city *city, nm_error *error) {
    nm_status status = add_count_tag(builder, "dangling_references", city->dangling, error);
    if (status == NM_OK) status = add_count_tag(builder, "boundaries_not_beside", city->unfit, error);
    if (status != NM_OK || !city->shift) return status;
    char tag[64];
    snprintf(tag, sizeof tag, "connector_ids_plus:%lld", (long long)city->shift);
    return nm_scene_builder_add_tag(builder, tag, error);
}

/// Maps are all called map.gpkg: LOCATION/VERSION/map.gpkg tells them apart.
static void name_map(const char *path, char *name, size_t size) {
    const char *from = path + strlen(path);
    for (int parts = 0; from > path; --from)
        if (from[-1] == '/' && ++parts == (strcmp(nm_base_name(path), "map.gpkg") == 0 ? 3 : 1)) break;
    snprintf(name, size, "%s", from);
}

static nm_status build_map_scene(nm_scene_builder *builder, const char *name, const nm_np_city *city, const nm_map *map,
                                 const nm_scene **scene, nm_error *error) {
    char id[256];
    name_map(name, id, sizeof id);
    const nm_provenance provenance = {.source = "nuplan",
                                      .file = nm_base_name(name),
                                      .scene_id = id,
                                      .program = "nearmiss " NM_VERSION,
                                      .parameters = "{}"};
    nm_scene_builder_reset(builder);
    nm_status status = nm_scene_builder_begin(builder, map, 0.1, 1, error);
    if (status == NM_OK) status = add_city_tags(builder, city, error);
    if (status == NM_OK) {
        nm_scene_builder_set_current(builder, 0, NM_NONE);
        status = nm_scene_builder_set_provenance(builder, &provenance, error);
    }
    if (status == NM_OK) status = nm_scene_builder_build(builder, scene, error);
    nm_scene_builder_reset(builder);
    return status;
}

/// The builders do not know what file they build of.
static nm_status name_error(nm_status status, const nm_error *local, const char *name, nm_error *error) {
    if (status == NM_OK || !error) return status;
    *error = *local;
    if (!error->input[0]) snprintf(error->input, sizeof error->input, "%s", name);
    return status;
}

nm_status nm_nuplan_read_map(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                             const nm_scene **scene, nm_error *error) {
    nm_np_city city;
    const nm_map *map = NULL;
    nm_error local;
    nm_error_clear(&local);
    *scene = NULL;
    nm_status status = nm_np_city_read(&context->limits, name, bytes, size, &city, &local);
    if (status != NM_OK) return name_error(status, &local, name, error);
    name_map(name, city.name, sizeof city.name);
    status = nm_np_build_map(&city, NULL, NULL, context->map_builder, &map, &local);
    if (status == NM_OK) status = build_map_scene(context->scene_builder, name, &city, map, scene, &local);
    nm_map_release(map);
    nm_np_city_release(&city);
    return name_error(status, &local, name, error);
}

// --- the map of a scene ----------------------------------------------------------------------------------------------

/// Makes r->city the map of the log, which may be the one it is already.
static nm_status load_city(nm_reader_context *context, const char *name, const nm_np_log *log, nm_error *error) {
    reader *r = context->nuplan;
    char path[NM_NP_PATH];
    struct stat about;
    const char *maps = context->nuplan_options.maps;
    nm_status status = nm_np_find_map(name, maps, log->map[0] ? log->map : log->location, path, error);
    if (status != NM_OK) return status;
    if (stat(path, &about) != 0) return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "cannot read the map");
    drop_map(r); // its lights are another log's
    if (strcmp(path, r->city_path) == 0 && about.st_mtime == r->city_about.st_mtime &&
        about.st_size == r->city_about.st_size && about.st_ino == r->city_about.st_ino)
        return NM_OK;
    drop_city(r);
    status = nm_np_city_read(&context->limits, path, NULL, (size_t)about.st_size, &r->city, error);
    if (status != NM_OK) return status;
    snprintf(r->city_path, sizeof r->city_path, "%s", path);
    r->city_about = about;
    name_map(path, r->city.name, sizeof r->city.name);
    return NM_OK;
}

static nm_status index_signals(reader *r, nm_error *error) {
    nm_id_table_reset(&r->signals);
    for (uint32_t i = 0; i < r->map->signal_count; ++i)
        if (nm_id_table_add(&r->signals, r->map->signals[i].source_id, i) == NM_NONE)
            return NM_ERROR(error, NM_E_MEMORY, "no memory for the signals of a map");
    return NM_OK;
}

typedef struct scene_job {
    nm_reader_context *context;
    reader *r;
    nm_np_database *database;
    const nm_np_log *log;
    const nm_np_window *window;
    nm_np_query boxes;
    uint64_t number; // of the scene, from 1
    uint32_t strange_types, late_steps;
    nm_error *error;
} scene_job;

static const nm_np_frame *sample_at(const scene_job *job, uint32_t k) {
    return &NM_AT(job->log->frames, nm_np_frame, job->window->first + k * job->window->stride);
}

static nm_status build_no_map(scene_job *job) {
    nm_map_builder_reset(job->context->map_builder);
    const nm_np_frame *now = sample_at(job, job->window->current);
    nm_map_builder_set_origin(job->context->map_builder, (nm_point3){rint(now->x), rint(now->y), 0.0});
    drop_map(job->r);
    return nm_map_builder_build(job->context->map_builder, &job->r->map, job->error);
}

/// The box around what the ego drives, its radius wider, out to whole tiles.
static nm_np_box region_of(const scene_job *job) {
    const nm_np_frame *first = sample_at(job, 0);
    nm_np_box box = {first->x, first->y, first->x, first->y};
    const double radius = job->context->nuplan_options.radius;
    for (uint32_t k = 1; k < job->window->count; ++k) {
        const nm_np_frame *frame = sample_at(job, k);
        box.lo_x = fmin(box.lo_x, frame->x);
        box.lo_y = fmin(box.lo_y, frame->y);
        box.hi_x = fmax(box.hi_x, frame->x);
        box.hi_y = fmax(box.hi_y, frame->y);
    }
    return (nm_np_box){floor((box.lo_x - radius) / TILE) * TILE, floor((box.lo_y - radius) / TILE) * TILE,
                       ceil((box.hi_x + radius) / TILE) * TILE, ceil((box.hi_y + radius) / TILE) * TILE};
}

static nm_status make_map(scene_job *job) {
    reader *r = job->r;
    if (job->context->nuplan_options.without_map) return build_no_map(job);
    const nm_np_box box = region_of(job);
    if (r->map && memcmp(&box, &r->map_box, sizeof box) == 0) return NM_OK;
    drop_map(r);
    nm_status status = nm_np_build_map(&r->city, &box, &job->log->lit, job->context->map_builder, &r->map, job->error);
    r->map_box = box;
    return status == NM_OK ? index_signals(r, job->error) : status;
}

// --- states ----------------------------------------------------------------------------------------------------------

/// The state of the ego's middle.
static nm_state_def ego_state(const nm_np_frame *frame, double ground) {
    const double c = cos(frame->yaw), s = sin(frame->yaw);
    // a rigid body: the centre moves like the rear axle, and sideways as the ego turns
    const double along = frame->vx, across = frame->vy + REAR_TO_CENTRE * frame->rate;
    return (nm_state_def){.x = frame->x + REAR_TO_CENTRE * c,
                          .y = frame->y + REAR_TO_CENTRE * s,
                          .z = frame->z - ground + 0.5 * (double)EGO_HEIGHT,
                          .heading = frame->yaw,
                          .vx = along * c - across * s,
                          .vy = along * s + across * c};
}

static nm_status add_ego(scene_job *job, uint32_t *ego) {
    nm_scene_builder *builder = job->context->scene_builder;
    const nm_track_def def = {.id = 0,
                              .type = NM_AGENT_CAR,
                              .flags = NM_TRACK_EGO,
                              .length = EGO_LENGTH,
                              .width = EGO_WIDTH,
                              .height = EGO_HEIGHT};
    const double ground = sample_at(job, job->window->current)->z;
    nm_status status = nm_scene_builder_add_track(builder, &def, ego, job->error);
    for (uint32_t k = 0; status == NM_OK && k < job->window->count; ++k) {
        const nm_state_def state = ego_state(sample_at(job, k), ground);
        status = nm_scene_builder_add_state(builder, *ego, k, &state, job->error);
    }
    return status;
}

typedef struct box_values {
    double x, y, z, width, length, height, vx, vy, yaw;
    int moves; // vx and vy were given
} box_values;

static uint32_t read_box(scene_job *job, int64_t row, box_values *box) {
    nm_np_query *q = &job->boxes;
    if (!nm_np_find_row(q, row)) {
        nm_np_wrong(q, "it was there and is no more");
        return NM_NONE;
    }
    const uint64_t token = nm_np_token(q, 0);
    *box = (box_values){.x = nm_np_real(q, 1),
                        .y = nm_np_real(q, 2),
                        .z = nm_np_real(q, 3),
                        .width = nm_np_real(q, 4),
                        .length = nm_np_real(q, 5),
                        .height = nm_np_real(q, 6),
                        .yaw = nm_np_real(q, 9),
                        .moves = !nm_np_is_null(q, 7) && !nm_np_is_null(q, 8)};
    if (box->moves) {
        box->vx = nm_np_real(q, 7);
        box->vy = nm_np_real(q, 8);
    }
    if (q->status != NM_OK) return NM_NONE;
    if (!(box->width > 0.0 && box->length > 0.0 && box->height >= 0.0))
        nm_np_wrong(q, "a box of %g x %g x %g m", box->length, box->width, box->height);
    const uint32_t track = nm_id_table_find(&job->log->track_ids, (int64_t)token);
    if (track == NM_NONE) nm_np_wrong(q, "no track %016llx", (unsigned long long)token);
    return q->status == NM_OK ? track : NM_NONE;
}

static nm_status new_track(scene_job *job, const nm_np_track *track, const box_values *box, local_track *local) {
    const float length = (float)box->length;
    const nm_agent_type type =
        track->type == NM_AGENT_CAR && length > TRUCK_LENGTH ? NM_AGENT_TRUCK : (nm_agent_type)track->type;
    const nm_track_def def = {.id = track->row,
                              .type = type,
                              .flags = track->is_static ? NM_TRACK_STATIC : 0,
                              .length = length,
                              .width = (float)box->width,
                              .height = (float)box->height};
    job->strange_types += type == NM_AGENT_UNKNOWN;
    local->scene = job->number;
    local->time = -1;
    return nm_scene_builder_add_track(job->context->scene_builder, &def, &local->track, job->error);
}

static nm_status add_box(scene_job *job, uint32_t k, int64_t row, double ground) {
    box_values box;
    const uint32_t index = read_box(job, row, &box);
    if (index == NM_NONE) return job->boxes.status;
    const nm_np_track *track = &NM_AT(job->log->tracks, nm_np_track, index);
    local_track *local = &NM_AT(job->r->local, local_track, index);
    const int64_t time = sample_at(job, k)->time;
    nm_status status = local->scene == job->number ? NM_OK : new_track(job, track, &box, local);
    if (status != NM_OK) return status;
    if (!box.moves && local->time >= 0 && time > local->time) {
        box.vx = (box.x - local->x) / (1e-6 * (double)(time - local->time));
        box.vy = (box.y - local->y) / (1e-6 * (double)(time - local->time));
    }
    local->time = time;
    local->x = box.x;
    local->y = box.y;
    const nm_state_def state = {.x = box.x,
                                .y = box.y,
                                .z = box.z - ground,
                                .heading = box.yaw,
                                .vx = track->is_static ? 0.0 : box.vx,
                                .vy = track->is_static ? 0.0 : box.vy,
                                .length = (float)box.length,
                                .width = (float)box.width,
                                .height = (float)box.height};
    return nm_scene_builder_add_state(job->context->scene_builder, local->track, k, &state, job->error);
}

static nm_status add_sample(scene_job *job, uint32_t k, double ground) {
    const nm_np_frame *frame = sample_at(job, k);
    nm_status status = NM_OK;
    for (uint32_t i = 0; status == NM_OK && i < frame->boxes.count; ++i)
        status = add_box(job, k, NM_AT(job->log->box_rows, int64_t, frame->boxes.first + i), ground);
    if (job->context->nuplan_options.without_map) return status;
    for (uint32_t i = 0; status == NM_OK && i < frame->lights.count; ++i) {
        const nm_np_light *light = &NM_AT(job->log->lights, nm_np_light, frame->lights.first + i);
        if (light->connector < 0 || light->connector > INT64_MAX / 2) continue;
        const uint32_t signal = nm_id_table_find(&job->r->signals, light->connector + job->r->city.shift);
        if (signal == NM_NONE) continue; // further away than the map
        status = nm_scene_builder_set_signal(job->context->scene_builder, signal, k, (nm_signal_state)light->state,
                                             job->error);
    }
    return status;
}

// --- scenes ----------------------------------------------------------------------------------------------------------

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/// Time stamps in seconds from the first sample on, and the time step: 0.1 s where the median is within 20 % of that.
static nm_status find_times(scene_job *job, double **times, double *dt) {
    const uint32_t count = job->window->count;
    double *steps = malloc(2 * (size_t)count * sizeof *steps);
    *times = steps;
    *dt = 0.1;
    if (!steps) return NM_ERROR(job->error, NM_E_MEMORY, "no memory for a scene");
    double *gaps = steps + count;
    for (uint32_t k = 0; k < count; ++k) {
        steps[k] = 1e-6 * (double)(sample_at(job, k)->time - sample_at(job, 0)->time);
        if (k) gaps[k - 1] = steps[k] - steps[k - 1];
    }
    if (count < 2) return NM_OK;
    qsort(gaps, count - 1, sizeof *gaps, by_size);
    const double median = gaps[(count - 1) / 2];
    if (fabs(median - 0.1) > 0.02) *dt = median;
    for (uint32_t k = 0; k + 1 < count; ++k) job->late_steps += fabs(gaps[k] - *dt) > 0.2 * *dt;
    return NM_OK;
}

static nm_status add_tags(scene_job *job) {
    nm_scene_builder *builder = job->context->scene_builder;
    const nm_np_log *log = job->log;
    const nm_np_frame *frame = &NM_AT(log->frames, nm_np_frame, job->window->tagged);
    const int by_tags = !(job->context->nuplan_options.windows > 0.0);
    nm_status status = NM_OK;
    for (uint32_t i = 0; by_tags && status == NM_OK && i < frame->tags.count; ++i) {
        const uint32_t type = NM_AT(log->tags, nm_np_tag, frame->tags.first + i).type;
        if (i && type == NM_AT(log->tags, nm_np_tag, frame->tags.first + i - 1).type) continue;
        status = nm_scene_builder_add_tag(builder, NM_AT(log->types, nm_np_type, type).name, job->error);
    }
    char start[64];
    snprintf(start, sizeof start, "start_us:%lld", (long long)sample_at(job, 0)->time);
    if (status == NM_OK) status = nm_scene_builder_add_tag(builder, start, job->error);
    if (status == NM_OK) status = add_text_tag(builder, "location", log->location, job->error);
    if (status == NM_OK) status = add_text_tag(builder, "map", log->map, job->error);
    if (status == NM_OK) status = add_text_tag(builder, "vehicle", log->vehicle, job->error);
    if (status == NM_OK) status = add_count_tag(builder, "irregular_time_steps", job->late_steps, job->error);
    if (status == NM_OK) status = add_count_tag(builder, "unknown_categories", job->strange_types, job->error);
    if (status != NM_OK) return status;
    if (job->context->nuplan_options.without_map) return nm_scene_builder_add_tag(builder, "map_not_read", job->error);
    return add_city_tags(builder, &job->r->city, job->error);
}

/// The goal of the log's own scene that the current frame is of: a planning problem, from the ego's state now to a box
/// of its size around the pose, at any time up to GOAL_SECONDS.
static nm_status add_goal(scene_job *job, double dt) {
    nm_scene_builder *builder = job->context->scene_builder;
    const uint32_t current = job->window->current;
    const nm_np_frame *now = sample_at(job, current);
    const uint32_t index = now->scene ? nm_id_table_find(&job->log->scenes, (int64_t)now->scene) : NM_NONE;
    const nm_np_goal *from = index == NM_NONE ? NULL : &NM_AT(job->log->goals, nm_np_goal, index);
    if (!from || !from->posed) return NM_OK;
    const nm_state_def start = ego_state(now, now->z);
    const nm_goal goal = {.first_step = current,
                          .last_step = current + (uint32_t)(GOAL_SECONDS / dt),
                          .heading_min = 1.0f, // min > max: any
                          .speed_min = 1.0f};
    nm_status status = nm_scene_builder_add_problem(builder, 0, &start, current, job->error);
    if (status == NM_OK) status = nm_scene_builder_add_goal(builder, &goal, job->error);
    if (status != NM_OK) return status;
    return nm_scene_builder_add_goal_area(builder, from->x + REAR_TO_CENTRE * cos(from->yaw),
                                          from->y + REAR_TO_CENTRE * sin(from->yaw), (double)EGO_LENGTH,
                                          (double)EGO_WIDTH, from->yaw, -1, job->error);
}

static nm_status fill_scene(scene_job *job, uint64_t record) {
    nm_scene_builder *builder = job->context->scene_builder;
    const nm_np_window *window = job->window;
    const double ground = sample_at(job, window->current)->z;
    double *times = NULL, dt = 0.1;
    uint32_t ego = NM_NONE;
    nm_status status = find_times(job, &times, &dt);
    if (status == NM_OK) status = nm_scene_builder_begin(builder, job->r->map, dt, window->count, job->error);
    if (status == NM_OK) status = nm_scene_builder_set_timestamps(builder, times, window->count, job->error);
    free(times);
    if (status == NM_OK) status = add_ego(job, &ego);
    for (uint32_t k = 0; status == NM_OK && k < window->count; ++k) status = add_sample(job, k, ground);
    if (status == NM_OK) status = add_goal(job, dt);
    if (status == NM_OK) status = add_tags(job);
    if (status != NM_OK) return status;
    char id[32];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)NM_AT(job->log->frames, nm_np_frame, window->tagged).token);
    nm_scene_builder_set_current(builder, window->current, ego);
    const nm_provenance provenance = {.source = "nuplan",
                                      .file = nm_base_name(job->database->name),
                                      .scene_id = id,
                                      .record = record,
                                      .program = "nearmiss " NM_VERSION,
                                      .parameters = "{}"};
    return nm_scene_builder_set_provenance(builder, &provenance, job->error);
}

/// What the boxes of a window can become at most: each a track of its own.
static nm_status check_size(const scene_job *job) {
    const nm_import_limits *limits = &job->context->limits;
    uint64_t most = 0, all = 1;
    for (uint32_t k = 0; k < job->window->count; ++k) {
        const uint64_t boxes = sample_at(job, k)->boxes.count;
        most = boxes > most ? boxes : most;
        all += boxes;
    }
    if (job->window->count > limits->max_steps || most > limits->max_tracks)
        return NM_ERROR(job->error, NM_E_LIMIT, "a scene of %u steps and %llu tracks is larger than the limit",
                        job->window->count, (unsigned long long)most);
    const uint64_t tracks = all < job->log->tracks.count + 1 ? all : job->log->tracks.count + 1;
    if (tracks * job->window->count / 16 > limits->max_cells) // tracks come and go: 16 times what is there on average
        return NM_ERROR(job->error, NM_E_LIMIT, "a scene of %u steps and up to %llu tracks is larger than the limit",
                        job->window->count, (unsigned long long)tracks);
    return NM_OK;
}

static nm_status read_scene(scene_job *job, uint64_t record, const nm_scene **scene) {
    nm_scene_builder *builder = job->context->scene_builder;
    *scene = NULL;
    job->strange_types = job->late_steps = 0;
    job->boxes = nm_np_select(job->database, "lidar_box", "track_token, x, y, z, width, length, height, vx, vy, yaw",
                              "WHERE rowid = ?1");
    nm_scene_builder_reset(builder);
    nm_status status = check_size(job);
    if (status == NM_OK) status = make_map(job);
    if (status == NM_OK) status = fill_scene(job, record);
    nm_status finished = nm_np_finish(&job->boxes);
    if (status == NM_OK) status = finished;
    if (status == NM_OK) status = nm_scene_builder_build(builder, scene, job->error);
    nm_scene_builder_reset(builder);
    return status;
}

/// All windows; what is bad goes to `refused`.
static nm_status read_scenes(scene_job *job, nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context,
                             nm_error *error) {
    const reader *r = job->r;
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < r->windows.count; ++i) {
        const nm_scene *scene;
        nm_error_clear(job->error);
        job->window = &NM_AT(r->windows, nm_np_window, i);
        job->number++;
        nm_status bad = read_scene(job, i, &scene);
        if (bad == NM_OK) {
            status = sink(sink_context, scene, job->database->name, i, error);
            continue;
        }
        char text[sizeof job->error->message];
        snprintf(text, sizeof text, "%s", job->error->message);
        NM_ERROR_AT(job->error, bad, job->database->name, 0, -1, "scene %zu, from frame %016llx on: %s", i,
                    (unsigned long long)sample_at(job, 0)->token, text);
        if (refused)
            refused(sink_context, job->error);
        else
            status = bad;
    }
    return status;
}

static nm_status prepare(nm_reader_context *context, const nm_np_database *database, const nm_np_log *log,
                         nm_error *error) {
    reader *r = context->nuplan;
    nm_status status = nm_np_plan(log, &context->nuplan_options, &r->windows, error);
    if (status != NM_OK || r->windows.count == 0) return status;
    r->local.count = 0;
    local_track *local = NM_PUSH(&r->local, local_track, log->tracks.count);
    if (!local) return NM_ERROR(error, NM_E_MEMORY, "no memory for the tracks of a log");
    memset(local, 0, log->tracks.count * sizeof *local);
    drop_map(r);
    return context->nuplan_options.without_map ? NM_OK : load_city(context, database->name, log, error);
}

nm_status nm_nuplan_read_log(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                             nm_scene_sink *sink, nm_refusal_sink *refused, void *sink_context, nm_error *error) {
    nm_error local;
    nm_np_database database = {0};
    nm_np_log log = {0};
    nm_error_clear(&local);
    if (!get_reader(context)) return NM_ERROR(error, NM_E_MEMORY, "no memory for the nuPlan reader");
    nm_status status = nm_np_open(&database, name, "a nuPlan log", bytes, size, &local);
    if (status == NM_OK) status = nm_np_log_read(&database, &log);
    if (status == NM_OK) status = prepare(context, &database, &log, &local);
    if (status != NM_OK) {
        name_error(status, &local, name, &local);
        if (refused) {
            refused(sink_context, &local);
            status = NM_OK;
        } else if (error) {
            *error = local;
        }
    } else {
        scene_job job = {.context = context, .r = context->nuplan, .database = &database, .log = &log, .error = &local};
        status = read_scenes(&job, sink, refused, sink_context, error);
        if (status != NM_OK && !refused && error && error->code == NM_OK) *error = local;
    }
    nm_np_log_release(&log);
    nm_np_close(&database);
    return status;
}
