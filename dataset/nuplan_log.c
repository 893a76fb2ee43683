/// What a log holds: one pass over each table. Of the boxes, of which there are millions, only the rows are kept.
///
/// The tables need not have indexes, so nothing is joined: tokens are found in hash tables of frames and poses.
#include <math.h>
#include <stdio.h>

#include "dataset/nuplan.h"

#define MAX_FRAMES 4000000u  // two days
#define MAX_BOXES 200000000u // 3 GB of row numbers while they are sorted
#define MAX_LIGHTS 50000000u

typedef struct box_row {
    int64_t row;
    uint32_t frame;
} box_row;

/// What is needed while a log is read.
typedef struct reading {
    nm_np_database *database;
    nm_np_log *log;
    nm_id_table frames, poses; // token -> frame; token of a pose -> first frame with it
    nm_id_table goals;         // token of a pose -> first goal with it
    nm_id_table lidars;        // tokens of the lidars whose frames count
    nm_id_table categories;    // token -> nm_agent_type, + STATIC
    nm_pile rows;              // box_row
} reading;

#define STATIC 64u

static nm_status no_memory(const reading *r) {
    return NM_ERROR_AT(r->database->error, NM_E_MEMORY, r->database->name, 0, -1, "no memory for the log");
}
static nm_status out_of_memory(const reading *r, nm_np_query *query) {
    if (query->status == NM_OK) query->status = no_memory(r);
    return query->status;
}
static nm_status too_many(const reading *r, nm_np_query *query) {
    query->status = NM_ERROR_AT(r->database->error, NM_E_LIMIT, r->database->name, 0, -1,
                                "table %s has too many rows to hold", query->table);
    return query->status;
}

static nm_np_frame *frame_at(const nm_np_log *log, size_t index) {
    return &NM_AT(log->frames, nm_np_frame, index);
}

// --- small tables ----------------------------------------------------------------------------------------------------

static nm_status read_log_row(reading *r) {
    nm_np_log *log = r->log;
    nm_np_query query = nm_np_select(r->database, "log", "logfile, location, map_version, vehicle_name", "");
    if (nm_np_next(&query)) {
        nm_np_text(&query, 0, log->log_name, sizeof log->log_name);
        nm_np_text(&query, 1, log->location, sizeof log->location);
        nm_np_text(&query, 2, log->map, sizeof log->map);
        nm_np_text(&query, 3, log->vehicle, sizeof log->vehicle);
        const size_t length = strlen(log->map);
        if (length > 5 && strcmp(log->map + length - 5, ".gpkg") == 0) log->map[length - 5] = '\0';
        if (nm_np_next(&query)) nm_np_wrong(&query, "a second log in one file");
    } else if (query.status == NM_OK) {
        nm_np_wrong(&query, "it has no row: not a nuPlan log");
    }
    return nm_np_finish(&query);
}

static nm_status read_lidars(reading *r) {
    nm_np_query query = nm_np_select(r->database, "lidar", "token, channel", "");
    while (nm_np_next(&query)) {
        char channel[64];
        const uint64_t token = nm_np_token(&query, 0);
        nm_np_text(&query, 1, channel, sizeof channel);
        if (query.status != NM_OK || strcmp(channel, "MergedPointCloud") != 0) continue;
        if (nm_id_table_add(&r->lidars, (int64_t)token, 0) == NM_NONE) out_of_memory(r, &query);
    }
    nm_status status = nm_np_finish(&query);
    if (status != NM_OK || r->lidars.count) return status;
    return NM_ERROR_AT(r->database->error, NM_E_FORMAT, r->database->name, 0, -1,
                       "table lidar has no channel MergedPointCloud, whose frames make scenes");
}

static nm_status read_categories(reading *r) {
    static const struct {
        const char *name;
        uint32_t type;
    } known[] = {{"vehicle", NM_AGENT_CAR},
                 {"bicycle", NM_AGENT_CYCLIST},
                 {"pedestrian", NM_AGENT_PEDESTRIAN},
                 {"traffic_cone", NM_AGENT_OBSTACLE | STATIC},
                 {"barrier", NM_AGENT_OBSTACLE | STATIC},
                 {"czone_sign", NM_AGENT_OBSTACLE | STATIC},
                 {"generic_object", NM_AGENT_OBSTACLE | STATIC}};
    nm_np_query query = nm_np_select(r->database, "category", "token, name", "");
    while (nm_np_next(&query)) {
        char name[64];
        uint32_t type = NM_AGENT_UNKNOWN;
        const uint64_t token = nm_np_token(&query, 0);
        nm_np_text(&query, 1, name, sizeof name);
        for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
            if (strcmp(name, known[i].name) == 0) type = known[i].type;
        if (query.status == NM_OK && nm_id_table_add(&r->categories, (int64_t)token, type) == NM_NONE)
            out_of_memory(r, &query);
    }
    return nm_np_finish(&query);
}

static nm_status read_tracks(reading *r) {
    nm_np_query query = nm_np_select(r->database, "track", "rowid, token, category_token", "");
    while (nm_np_next(&query)) {
        const int64_t row = nm_np_integer(&query, 0);
        const uint64_t token = nm_np_token(&query, 1), category = nm_np_token(&query, 2);
        if (query.status != NM_OK) break;
        const uint32_t type = nm_id_table_find(&r->categories, (int64_t)category);
        if (type == NM_NONE) nm_np_wrong(&query, "no category %016llx", (unsigned long long)category);
        if (query.status == NM_OK && r->log->tracks.count >= NM_SCENE_MAX_TRACKS) too_many(r, &query);
        if (query.status != NM_OK) break;
        const uint32_t index = (uint32_t)r->log->tracks.count;
        nm_np_track *track = NM_PUSH(&r->log->tracks, nm_np_track, 1);
        const uint32_t stored = track ? nm_id_table_add(&r->log->track_ids, (int64_t)token, index) : NM_NONE;
        if (stored == NM_NONE) {
            out_of_memory(r, &query);
            break;
        }
        *track = (nm_np_track){row, (uint8_t)(type & ~STATIC), (type & STATIC) != 0};
        if (stored != index) nm_np_wrong(&query, "token %016llx is used twice", (unsigned long long)token);
    }
    return nm_np_finish(&query);
}

// --- goals -----------------------------------------------------------------------------------------------------------

static int by_pose(const void *a, const void *b) {
    const nm_np_goal *x = a, *y = b;
    if (x->pose_token != y->pose_token) return x->pose_token < y->pose_token ? -1 : 1;
    return x->scene < y->scene ? -1 : x->scene > y->scene;
}

/// Of all scenes that have one. Logs cut down by others lack the table at times: they have no goals.
static nm_status read_goals(reading *r) {
    nm_np_log *log = r->log;
    if (!nm_np_has_table(r->database, "scene") || !nm_np_has_column(r->database, "scene", "token") ||
        !nm_np_has_column(r->database, "scene", "goal_ego_pose_token"))
        return NM_OK;
    nm_np_query query = nm_np_select(r->database, "scene", "token, goal_ego_pose_token", "");
    while (nm_np_next(&query)) {
        if (nm_np_is_null(&query, 1)) continue;
        const nm_np_goal goal = {.scene = nm_np_token(&query, 0), .pose_token = nm_np_token(&query, 1)};
        if (query.status == NM_OK && log->goals.count >= MAX_FRAMES) too_many(r, &query);
        if (query.status != NM_OK) break;
        nm_np_goal *to = NM_PUSH(&log->goals, nm_np_goal, 1);
        if (!to) out_of_memory(r, &query);
        if (to) *to = goal;
    }
    nm_status status = nm_np_finish(&query);
    if (log->goals.count) qsort(log->goals.data, log->goals.count, sizeof(nm_np_goal), by_pose);
    for (uint32_t i = 0; status == NM_OK && i < log->goals.count; ++i) {
        const nm_np_goal *goal = &NM_AT(log->goals, nm_np_goal, i);
        if (nm_id_table_add(&r->goals, (int64_t)goal->pose_token, i) == NM_NONE ||
            nm_id_table_add(&log->scenes, (int64_t)goal->scene, i) == NM_NONE)
            status = no_memory(r);
    }
    return status;
}

/// The pose of the goals from index `first` on that have it.
static void take_goal(const double value[10], uint64_t token, nm_np_log *log, uint32_t first, double yaw) {
    for (uint32_t i = first; i < log->goals.count; ++i) {
        nm_np_goal *goal = &NM_AT(log->goals, nm_np_goal, i);
        if (goal->pose_token != token) break;
        goal->x = value[0];
        goal->y = value[1];
        goal->yaw = yaw;
        goal->posed = 1;
    }
}

// --- frames ----------------------------------------------------------------------------------------------------------

static int by_time(const void *a, const void *b) {
    const nm_np_frame *x = a, *y = b;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

static nm_status index_frames(reading *r) {
    const size_t count = r->log->frames.count;
    if (count) qsort(r->log->frames.data, count, sizeof(nm_np_frame), by_time);
    for (uint32_t i = 0; i < count; ++i) {
        const nm_np_frame *frame = frame_at(r->log, i);
        const uint32_t stored = nm_id_table_add(&r->frames, (int64_t)frame->token, i);
        if (stored == NM_NONE || nm_id_table_add(&r->poses, (int64_t)frame->pose_token, i) == NM_NONE)
            return no_memory(r);
        if (stored != i || (i && frame[-1].time == frame->time))
            return NM_ERROR_AT(r->database->error, NM_E_FORMAT, r->database->name, 0, -1,
                               "table lidar_pc has %s %lld twice", stored != i ? "the token of time" : "the time",
                               (long long)frame->time);
    }
    return NM_OK;
}

static nm_status read_frames(reading *r) {
    const int scenes = nm_np_has_column(r->database, "lidar_pc", "scene_token");
    nm_np_query query = nm_np_select(r->database, "lidar_pc",
                                     scenes ? "token, ego_pose_token, lidar_token, timestamp, scene_token"
                                            : "token, ego_pose_token, lidar_token, timestamp",
                                     "");
    while (nm_np_next(&query)) {
        nm_np_frame frame = {.token = nm_np_token(&query, 0), .pose_token = nm_np_token(&query, 1)};
        const uint64_t lidar = nm_np_token(&query, 2);
        frame.time = nm_np_integer(&query, 3);
        if (scenes && !nm_np_is_null(&query, 4)) frame.scene = nm_np_token(&query, 4);
        if (query.status != NM_OK) break;
        if (nm_id_table_find(&r->lidars, (int64_t)lidar) == NM_NONE) continue;
        if (frame.time < 0 || frame.time > INT64_C(1) << 56)
            nm_np_wrong(&query, "timestamp %lld is no time in microseconds", (long long)frame.time);
        if (query.status == NM_OK && r->log->frames.count >= MAX_FRAMES) too_many(r, &query);
        if (query.status != NM_OK) break;
        nm_np_frame *to = NM_PUSH(&r->log->frames, nm_np_frame, 1);
        if (!to) out_of_memory(r, &query);
        if (to) *to = frame;
    }
    nm_status status = nm_np_finish(&query);
    return status == NM_OK ? index_frames(r) : status;
}

/// The direction of the ego's x axis, seen from above; lengths of quaternions cancel out.
static double yaw_of(const double value[10]) {
    const double qw = value[3], qx = value[4], qy = value[5], qz = value[6];
    return atan2(2.0 * (qw * qz + qx * qy), qw * qw + qx * qx - qy * qy - qz * qz);
}

static void take_pose(const double value[10], nm_np_frame *frame) {
    frame->x = value[0];
    frame->y = value[1];
    frame->z = value[2];
    frame->yaw = yaw_of(value);
    frame->vx = value[7];
    frame->vy = value[8];
    frame->rate = value[9];
    frame->posed = 1;
}

static nm_status read_poses(reading *r) {
    nm_np_query query =
        nm_np_select(r->database, "ego_pose", "token, x, y, z, qw, qx, qy, qz, vx, vy, angular_rate_z", "");
    while (nm_np_next(&query)) {
        double value[10];
        const uint64_t token = nm_np_token(&query, 0);
        uint32_t frame = nm_id_table_find(&r->poses, (int64_t)token);
        const uint32_t goal = nm_id_table_find(&r->goals, (int64_t)token);
        if (query.status != NM_OK || (frame == NM_NONE && goal == NM_NONE)) continue;
        for (int i = 0; i < 10; ++i) value[i] = nm_np_real(&query, i + 1);
        const double norm = value[3] * value[3] + value[4] * value[4] + value[5] * value[5] + value[6] * value[6];
        if (query.status == NM_OK && !(norm > 0.5 && norm < 2.0))
            nm_np_wrong(&query, "qw, qx, qy, qz are no unit quaternion (length %g)", sqrt(norm));
        if (query.status != NM_OK) break;
        if (goal != NM_NONE) take_goal(value, token, r->log, goal, yaw_of(value));
        if (frame == NM_NONE) continue;
        take_pose(value, frame_at(r->log, frame));
        for (++frame; frame < r->log->frames.count && frame_at(r->log, frame)->pose_token == token; ++frame)
            take_pose(value, frame_at(r->log, frame));
    }
    nm_status status = nm_np_finish(&query);
    for (size_t i = 0; status == NM_OK && i < r->log->frames.count; ++i) {
        const nm_np_frame *frame = frame_at(r->log, i);
        if (!frame->posed)
            status = NM_ERROR_AT(r->database->error, NM_E_FORMAT, r->database->name, 0, -1,
                                 "table lidar_pc: frame %016llx names the pose %016llx, which does not exist",
                                 (unsigned long long)frame->token, (unsigned long long)frame->pose_token);
    }
    return status;
}

// --- what frames have ------------------------------------------------------------------------------------------------

/// The rows of boxes, put in the order of frames by counting.
static nm_status sort_rows(reading *r) {
    nm_np_log *log = r->log;
    uint32_t first = 0;
    for (size_t i = 0; i < log->frames.count; ++i) {
        nm_range *boxes = &frame_at(log, i)->boxes;
        boxes->first = first;
        first += boxes->count;
        boxes->count = 0;
    }
    int64_t *rows = NM_PUSH(&log->box_rows, int64_t, r->rows.count);
    if (!rows) return no_memory(r);
    for (size_t i = 0; i < r->rows.count; ++i) {
        const box_row *row = &NM_AT(r->rows, box_row, i);
        nm_range *boxes = &frame_at(log, row->frame)->boxes;
        rows[boxes->first + boxes->count++] = row->row;
    }
    return NM_OK;
}

static nm_status read_box_rows(reading *r) {
    nm_np_query query = nm_np_select(r->database, "lidar_box", "rowid, lidar_pc_token", "");
    while (nm_np_next(&query)) {
        const uint64_t token = nm_np_token(&query, 1);
        const uint32_t frame = nm_id_table_find(&r->frames, (int64_t)token);
        if (query.status != NM_OK || frame == NM_NONE) continue; // boxes of frames of other channels
        if (r->rows.count >= MAX_BOXES) too_many(r, &query);
        box_row *row = query.status == NM_OK ? NM_PUSH(&r->rows, box_row, 1) : NULL;
        if (!row) {
            out_of_memory(r, &query);
            break;
        }
        *row = (box_row){nm_np_integer(&query, 0), frame};
        frame_at(r->log, frame)->boxes.count++;
    }
    nm_status status = nm_np_finish(&query);
    return status == NM_OK ? sort_rows(r) : status;
}

static int by_frame(const void *a, const void *b) {
    const nm_np_light *x = a, *y = b;
    if (x->frame != y->frame) return x->frame < y->frame ? -1 : 1;
    return x->connector < y->connector ? -1 : x->connector > y->connector;
}

static nm_status read_lights(reading *r) {
    nm_np_log *log = r->log;
    nm_np_query query =
        nm_np_select(r->database, "traffic_light_status", "lidar_pc_token, lane_connector_id, status", "");
    while (nm_np_next(&query)) {
        char text[16];
        const uint64_t token = nm_np_token(&query, 0);
        nm_np_light light = {.frame = nm_id_table_find(&r->frames, (int64_t)token)};
        light.connector = nm_np_integer(&query, 1);
        nm_np_text(&query, 2, text, sizeof text);
        if (query.status != NM_OK || light.frame == NM_NONE) continue;
        if (log->lights.count >= MAX_LIGHTS) {
            too_many(r, &query);
            break;
        }
        light.state = strcmp(text, "green") == 0    ? NM_SIGNAL_GO
                      : strcmp(text, "yellow") == 0 ? NM_SIGNAL_CAUTION
                      : strcmp(text, "red") == 0    ? NM_SIGNAL_STOP
                                                    : NM_SIGNAL_UNKNOWN;
        nm_np_light *to = NM_PUSH(&log->lights, nm_np_light, 1);
        if (!to || nm_id_table_add(&log->lit, light.connector, 0) == NM_NONE) {
            out_of_memory(r, &query);
            break;
        }
        *to = light;
    }
    if (log->lights.count) qsort(log->lights.data, log->lights.count, sizeof(nm_np_light), by_frame);
    for (uint32_t i = 0; i < log->lights.count; ++i) {
        nm_range *lights = &frame_at(log, NM_AT(log->lights, nm_np_light, i).frame)->lights;
        if (lights->count++ == 0) lights->first = i;
    }
    return nm_np_finish(&query);
}

/// The index of a type, or NM_NONE when there are too many.
static uint32_t type_index(nm_np_log *log, const char *name, uint32_t likely) {
    nm_np_type *types = log->types.data;
    if (likely < log->types.count && strcmp(types[likely].name, name) == 0) return likely;
    for (uint32_t i = 0; i < log->types.count; ++i)
        if (strcmp(types[i].name, name) == 0) return i;
    if (log->types.count >= NM_NP_MAX_TYPES) return NM_NONE;
    nm_np_type *to = NM_PUSH(&log->types, nm_np_type, 1);
    if (!to) return NM_NONE;
    snprintf(to->name, sizeof to->name, "%s", name);
    return (uint32_t)log->types.count - 1;
}

/// Types become ranks by name, so that tags sort without their names.
static nm_status rank_types(reading *r) {
    nm_np_log *log = r->log;
    const uint32_t count = (uint32_t)log->types.count;
    nm_np_type sorted[NM_NP_MAX_TYPES];
    uint32_t rank[NM_NP_MAX_TYPES];
    for (uint32_t i = 0; i < count; ++i) {
        rank[i] = 0;
        for (uint32_t k = 0; k < count; ++k)
            rank[i] += strcmp(NM_AT(log->types, nm_np_type, k).name, NM_AT(log->types, nm_np_type, i).name) < 0;
        sorted[rank[i]] = NM_AT(log->types, nm_np_type, i);
    }
    if (count) memcpy(log->types.data, sorted, count * sizeof *sorted);
    for (size_t i = 0; i < log->tags.count; ++i) {
        nm_np_tag *tag = &NM_AT(log->tags, nm_np_tag, i);
        tag->type = rank[tag->type];
    }
    return NM_OK;
}

static int by_frame_and_type(const void *a, const void *b) {
    const nm_np_tag *x = a, *y = b;
    if (x->frame != y->frame) return x->frame < y->frame ? -1 : 1;
    return x->type > y->type ? -1 : x->type < y->type; // the last name first: it is the one nuPlan's devkit takes
}

static nm_status read_tags(reading *r) {
    nm_np_log *log = r->log;
    uint32_t type = 0;
    nm_np_query query = nm_np_select(r->database, "scenario_tag", "lidar_pc_token, type", "");
    while (nm_np_next(&query)) {
        char name[64];
        const uint64_t token = nm_np_token(&query, 0);
        const uint32_t frame = nm_id_table_find(&r->frames, (int64_t)token);
        nm_np_text(&query, 1, name, sizeof name);
        if (query.status != NM_OK || frame == NM_NONE) continue;
        type = type_index(log, name, type);
        nm_np_tag *to = type == NM_NONE ? NULL : NM_PUSH(&log->tags, nm_np_tag, 1);
        if (!to) {
            query.status = NM_ERROR_AT(r->database->error, NM_E_LIMIT, r->database->name, 0, -1,
                                       "table scenario_tag has over %u types, or memory is out", NM_NP_MAX_TYPES);
            break;
        }
        *to = (nm_np_tag){frame, type};
    }
    nm_status status = nm_np_finish(&query);
    if (status == NM_OK) status = rank_types(r);
    if (log->tags.count) qsort(log->tags.data, log->tags.count, sizeof(nm_np_tag), by_frame_and_type);
    for (uint32_t i = 0; i < log->tags.count; ++i) {
        nm_range *tags = &frame_at(log, NM_AT(log->tags, nm_np_tag, i).frame)->tags;
        if (tags->count++ == 0) tags->first = i;
    }
    return status;
}

// --- the log ---------------------------------------------------------------------------------------------------------

static nm_status read_all(reading *r) {
    static const char *const tables[] = {"log",      "lidar",        "lidar_pc",
                                         "ego_pose", "lidar_box",    "track",
                                         "category", "scenario_tag", "traffic_light_status",
                                         NULL};
    nm_status status = nm_np_need_tables(r->database, "table", tables);
    if (status == NM_OK) status = read_log_row(r);
    if (status == NM_OK) status = read_lidars(r);
    if (status == NM_OK) status = read_categories(r);
    if (status == NM_OK) status = read_tracks(r);
    if (status == NM_OK) status = read_frames(r);
    if (status == NM_OK) status = read_goals(r);
    if (status == NM_OK) status = read_poses(r);
    if (status == NM_OK) status = read_box_rows(r);
    if (status == NM_OK) status = read_lights(r);
    if (status == NM_OK) status = read_tags(r);
    return status;
}

nm_status nm_np_log_read(nm_np_database *database, nm_np_log *log) {
    reading r = {.database = database, .log = log};
    *log = (nm_np_log){0};
    nm_status status = read_all(&r);
    nm_id_table_free(&r.frames);
    nm_id_table_free(&r.poses);
    nm_id_table_free(&r.goals);
    nm_id_table_free(&r.lidars);
    nm_id_table_free(&r.categories);
    nm_pile_free(&r.rows);
    if (status != NM_OK) nm_np_log_release(log);
    return status;
}

void nm_np_log_release(nm_np_log *log) {
    nm_pile_free(&log->frames);
    nm_pile_free(&log->goals);
    nm_id_table_free(&log->scenes);
    nm_pile_free(&log->box_rows);
    nm_pile_free(&log->lights);
    nm_pile_free(&log->tags);
    nm_pile_free(&log->types);
    nm_pile_free(&log->tracks);
    nm_id_table_free(&log->track_ids);
    nm_id_table_free(&log->lit);
    *log = (nm_np_log){0};
}
