/// Submissions to the Waymo Open Sim Agents Challenge.
#include "dataset/womd_submission.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "dataset/protos/submission.pb-c.h"
#include "dataset/womd_private.h"
#include "sim/math.h"

#define MAX_SCENE_MEMORY ((size_t)256 << 20) // 32 rollouts of 128 objects take 8 MB
#define MAX_ID 256u                          // bytes

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for a submission");
}

// ---------------------------------------------------------------------------------------------------------------------
// Reading

/// The id within the bytes of a scene: plain text, for messages and comparisons; NULL when it is not, or memory is out.
static const char *read_id(const uint8_t *bytes, size_t size, nm_arena *arena, int *plain) {
    const char *id = "";
    size_t length = 0, at = 0, step;
    nm_womd_field field;
    *plain = 1;
    while (at < size && nm_womd_read_field(bytes, size, &at, &field)) {
        if (field.number != 1 || field.wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) continue;
        id = (const char *)bytes + field.content;
        length = field.size;
    }
    *plain = length <= MAX_ID;
    for (size_t i = 0; *plain && i < length; i += step) {
        step = nm_utf8_next(id + i, length - i);
        *plain = step > 0 && (unsigned char)id[i] >= 0x20 && id[i] != 0x7f;
        if (step == 0) break;
    }
    return *plain ? nm_arena_strndup(arena, id, length) : NULL;
}

static nm_status list_scenes(const char *name, const uint8_t *bytes, size_t size, nm_arena *arena,
                             nm_womd_rollouts *scenes, size_t *count, nm_error *error) {
    *count = 0;
    for (size_t at = 0; at < size;) {
        nm_womd_field field;
        if (!nm_womd_read_field(bytes, size, &at, &field))
            return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)field.start,
                               "no SimAgentsChallengeSubmission message: no field can be read here");
        if (field.number != 1) continue;
        if (field.wire != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)field.start,
                               "no SimAgentsChallengeSubmission message: field 1 is no ScenarioRollouts message");
        if (scenes) {
            int plain;
            nm_womd_rollouts *scene = &scenes[*count];
            *scene = (nm_womd_rollouts){NULL, bytes + field.content, field.size, field.content};
            scene->scenario_id = read_id(scene->bytes, scene->size, arena, &plain);
            if (!scene->scenario_id && plain) return no_memory(error);
            if (!scene->scenario_id)
                return NM_ERROR_AT(error, NM_E_FORMAT, name, 0, (int64_t)field.start, "scenario_id is no plain text");
        }
        ++*count;
    }
    return NM_OK;
}

nm_status nm_womd_submission_open(const char *name, const void *bytes, size_t size, nm_arena *arena,
                                  nm_womd_submission *submission, nm_error *error) {
    size_t count;
    *submission = (nm_womd_submission){.name = name};
    nm_status status = list_scenes(name, bytes, size, arena, NULL, &count, error);
    if (status != NM_OK) return status;
    nm_womd_rollouts *scenes = NM_ARENA_ARRAY(arena, nm_womd_rollouts, count);
    if (!scenes) return no_memory(error);
    status = list_scenes(name, bytes, size, arena, scenes, &count, error);
    if (status != NM_OK) return status;
    submission->count = count;
    submission->scenes = scenes;
    return NM_OK;
}

size_t nm_womd_submission_find(const nm_womd_submission *submission, const char *scenario_id) {
    size_t i = 0;
    while (i < submission->count && strcmp(submission->scenes[i].scenario_id, scenario_id) != 0) i++;
    return i;
}

typedef struct reading {
    const nm_womd_submission *submission;
    const nm_womd_rollouts *from;
    const nm_scene *scene;
    const Womd__ScenarioRollouts *message;
    uint32_t *agent; // [track_count] index in the futures, or NM_NONE
    uint32_t *seen;  // [track_count] last rollout that had it, from 1
} reading;

static nm_status refuse(const reading *r, nm_error *error, nm_status code, const char *what) {
    return NM_ERROR_AT(error, code, r->submission->name, 0, (int64_t)r->from->offset, "scenario %s: %s",
                       r->from->scenario_id, what);
}

static nm_status refuse_object(const reading *r, nm_error *error, size_t rollout, int32_t id, const char *what) {
    return NM_ERROR_AT(error, NM_E_FORMAT, r->submission->name, 0, (int64_t)r->from->offset,
                       "scenario %s, rollout %zu, object %" PRId32 ": %s", r->from->scenario_id, rollout, id, what);
}

static uint32_t track_of(const nm_scene *scene, int64_t id, uint32_t likely) {
    for (uint32_t i = 0; i < scene->track_count; i++) {
        uint32_t track = (likely + i) % scene->track_count; // files tend to be in the order of the tracks
        if (scene->tracks[track].source_id == id) return track;
    }
    return NM_NONE;
}

/// Writes one trajectory into the futures at `row`.
static nm_status read_trajectory(const reading *r, const Womd__SimulatedTrajectory *t, size_t rollout, size_t steps,
                                 size_t row, float *const out[4], nm_error *error) {
    const nm_point3 *origin = &r->scene->map->origin;
    if (t->n_center_x != steps || t->n_center_y != steps || t->n_center_z != steps || t->n_heading != steps)
        return refuse_object(r, error, rollout, t->object_id, "has another number of steps");
    for (size_t k = 0; k < steps; k++) {
        double x = t->center_x[k] - origin->x, y = t->center_y[k] - origin->y, z = t->center_z[k] - origin->z;
        if (!(fabs(x) <= NM_SCENE_MAX_DISTANCE && fabs(y) <= NM_SCENE_MAX_DISTANCE &&
              fabs(z) <= NM_SCENE_MAX_DISTANCE && isfinite(t->heading[k])))
            return refuse_object(r, error, rollout, t->object_id, "has a state that is not finite, or far away");
        out[0][row + k] = (float)x;
        out[1][row + k] = (float)y;
        out[2][row + k] = (float)z;
        out[3][row + k] = nm_wrap_angle((float)nm_wrap_angle_d((double)t->heading[k]));
    }
    return NM_OK;
}

static nm_status read_rollout(const reading *r, size_t rollout, const nm_futures *f, float *const out[4],
                              nm_error *error) {
    const Womd__JointScene *joint = r->message->joint_scenes[rollout];
    uint32_t likely = 0;
    if (joint->n_simulated_trajectories != f->agents)
        return refuse(r, error, NM_E_FORMAT, "a rollout does not hold every object that is there now");
    for (size_t i = 0; i < joint->n_simulated_trajectories; i++) {
        const Womd__SimulatedTrajectory *t = joint->simulated_trajectories[i];
        uint32_t track = track_of(r->scene, t->object_id, likely);
        if (track == NM_NONE || r->agent[track] == NM_NONE)
            return refuse_object(r, error, rollout, t->object_id, "is not there at the current step");
        if (r->seen[track] == rollout + 1) return refuse_object(r, error, rollout, t->object_id, "is there twice");
        r->seen[track] = (uint32_t)rollout + 1;
        likely = track + 1;
        size_t row = (rollout * f->agents + r->agent[track]) * f->steps;
        nm_status status = read_trajectory(r, t, rollout, f->steps, row, out, error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

/// The agents that have to be there, and memory for their states. What the message holds bounds what is allocated.
static nm_status allocate_futures(reading *r, nm_arena *arena, nm_arena *work, nm_futures *f, float *out[4],
                                  nm_error *error) {
    const nm_scene *scene = r->scene;
    const Womd__ScenarioRollouts *message = r->message;
    uint32_t *track = NM_ARENA_ARRAY(arena, uint32_t, scene->track_count);
    r->agent = NM_ARENA_ARRAY(work, uint32_t, scene->track_count);
    r->seen = nm_arena_calloc(work, scene->track_count, sizeof *r->seen, _Alignof(uint32_t));
    if (!track || !r->agent || !r->seen) return no_memory(error);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        int there = scene->valid[nm_scene_at(scene, i, scene->current_step)];
        r->agent[i] = there ? f->agents : NM_NONE;
        if (there) track[f->agents++] = i;
    }
    f->track = track;
    if (message->n_joint_scenes == 0 || message->n_joint_scenes > UINT32_MAX ||
        message->joint_scenes[0]->n_simulated_trajectories == 0)
        return refuse(r, error, NM_E_FORMAT, "has no rollouts, or an empty one");
    size_t steps = message->joint_scenes[0]->simulated_trajectories[0]->n_center_x;
    if (steps == 0 || steps > NM_SCENE_MAX_STEPS) return refuse(r, error, NM_E_FORMAT, "has no steps, or too many");
    for (size_t i = 0; i < message->n_joint_scenes; i++) {
        if (message->joint_scenes[i]->n_simulated_trajectories != f->agents)
            return refuse(r, error, NM_E_FORMAT, "a rollout does not hold every object that is there now");
    }
    f->samples = (uint32_t)message->n_joint_scenes;
    f->steps = (uint32_t)steps;
    size_t rows = (size_t)f->samples * f->agents; // as many as there are messages, so it does not overflow
    for (int p = 0; p < 4; p++) {
        out[p] = nm_arena_alloc(arena, rows, steps * sizeof(float), 64);
        if (!out[p]) return no_memory(error);
    }
    f->x = out[0], f->y = out[1], f->z = out[2], f->heading = out[3];
    return NM_OK;
}

typedef struct allocation {
    nm_arena *arena;
    int refused;
} allocation;
static void *take(void *data, size_t size) {
    allocation *from = data;
    void *memory = nm_arena_alloc(from->arena, size, 1, 16);
    if (!memory) from->refused = 1;
    return memory;
}
static void give(void *data, void *memory) {
    (void)data, (void)memory;
}

static nm_status read_scene(reading *r, nm_arena *arena, nm_arena *work, nm_futures *futures, nm_error *error) {
    allocation from = {.arena = work};
    ProtobufCAllocator allocator = {.alloc = take, .free = give, .allocator_data = &from};
    r->message = womd__scenario_rollouts__unpack(&allocator, r->from->size, r->from->bytes);
    if (!r->message && from.refused)
        return refuse(r, error, NM_E_LIMIT, "needs more memory than there is, or than one scene may take");
    if (!r->message) return refuse(r, error, NM_E_FORMAT, "no ScenarioRollouts message");
    if (strcmp(r->from->scenario_id, r->scene->provenance.scene_id) != 0)
        return refuse(r, error, NM_E_FORMAT, "these are rollouts of another scene");
    float *out[4];
    nm_status status = allocate_futures(r, arena, work, futures, out, error);
    for (size_t i = 0; status == NM_OK && i < r->message->n_joint_scenes; i++) {
        status = read_rollout(r, i, futures, out, error);
    }
    return status;
}

nm_status nm_womd_submission_futures(const nm_womd_submission *submission, size_t index, const nm_scene *scene,
                                     nm_arena *arena, nm_futures *futures, nm_error *error) {
    NM_ASSERT(index < submission->count);
    *futures = (nm_futures){0};
    nm_arena *work = nm_arena_create(MAX_SCENE_MEMORY);
    if (!work) return no_memory(error);
    reading r = {.submission = submission, .from = &submission->scenes[index], .scene = scene};
    nm_arena_mark mark = nm_arena_get_mark(arena);
    nm_status status = read_scene(&r, arena, work, futures, error);
    if (status != NM_OK) {
        nm_arena_release(arena, mark);
        *futures = (nm_futures){0};
    }
    nm_arena_destroy(work);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing

static nm_status pack(const Womd__SimAgentsChallengeSubmission *message, nm_arena *arena, const uint8_t **bytes,
                      size_t *size, nm_error *error) {
    size_t need = womd__sim_agents_challenge_submission__get_packed_size(message);
    uint8_t *out = nm_arena_alloc(arena, need, 1, 1);
    if (!out) return no_memory(error);
    womd__sim_agents_challenge_submission__pack(message, out);
    *bytes = out;
    *size = need;
    return NM_OK;
}

/// The generated messages have no const.
static char *mutable(const char *text) {
    return (char *)(uintptr_t)text;
}

nm_status nm_womd_submission_encode_info(const nm_womd_submission_info *info, nm_arena *arena, const uint8_t **bytes,
                                         size_t *size, nm_error *error) {
    Womd__SimAgentsChallengeSubmission message = WOMD__SIM_AGENTS_CHALLENGE_SUBMISSION__INIT;
    message.has_submission_type = 1;
    message.submission_type = WOMD__SIM_AGENTS_CHALLENGE_SUBMISSION__SUBMISSION_TYPE__SIM_AGENTS_SUBMISSION;
    message.account_name = mutable(info->account_name);
    message.unique_method_name = mutable(info->unique_method_name);
    message.n_authors = info->author_count;
    message.authors = (char **)(uintptr_t)info->authors;
    message.affiliation = mutable(info->affiliation);
    message.description = mutable(info->description);
    message.method_link = mutable(info->method_link);
    message.has_uses_lidar_data = message.has_uses_camera_data = message.has_uses_public_model_pretraining = 1;
    message.uses_lidar_data = info->uses_lidar_data != 0;
    message.uses_camera_data = info->uses_camera_data != 0;
    message.uses_public_model_pretraining = info->uses_public_model_pretraining != 0;
    message.num_model_parameters = mutable(info->num_model_parameters);
    message.n_public_model_names = info->public_model_count;
    message.public_model_names = (char **)(uintptr_t)info->public_model_names;
    message.has_acknowledge_complies_with_closed_loop_requirement = 1;
    message.acknowledge_complies_with_closed_loop_requirement = info->closed_loop != 0;
    return pack(&message, arena, bytes, size, error);
}

/// One trajectory; its four rows of values in the source's frame. 0 when memory is out.
static int make_trajectory(const nm_scene *scene, const nm_futures *f, size_t row, nm_arena *arena,
                           Womd__SimulatedTrajectory *out) {
    const nm_point3 *origin = &scene->map->origin;
    float *values = NM_ARENA_ARRAY(arena, float, (size_t)f->steps * 4);
    if (!values) return 0;
    out->n_center_x = out->n_center_y = out->n_center_z = out->n_heading = f->steps;
    out->center_x = values;
    out->center_y = values + f->steps;
    out->center_z = values + 2 * (size_t)f->steps;
    out->heading = values + 3 * (size_t)f->steps;
    for (size_t k = 0; k < f->steps; k++) {
        out->center_x[k] = (float)(f->x[row + k] + origin->x);
        out->center_y[k] = (float)(f->y[row + k] + origin->y);
        out->center_z[k] = (float)(f->z[row + k] + origin->z);
        out->heading[k] = f->heading[row + k];
    }
    return 1;
}

/// 0 when memory is out.
static int make_joint_scene(const nm_scene *scene, const nm_futures *f, uint32_t sample, nm_arena *arena,
                            Womd__JointScene *out) {
    Womd__SimulatedTrajectory *trajectories = NM_ARENA_ARRAY(arena, Womd__SimulatedTrajectory, f->agents);
    out->n_simulated_trajectories = f->agents;
    out->simulated_trajectories = NM_ARENA_ARRAY(arena, Womd__SimulatedTrajectory *, f->agents);
    if (!trajectories || !out->simulated_trajectories) return 0;
    for (uint32_t i = 0; i < f->agents; i++) {
        out->simulated_trajectories[i] = &trajectories[i];
        womd__simulated_trajectory__init(&trajectories[i]);
        trajectories[i].has_object_id = 1;
        trajectories[i].object_id = (int32_t)scene->tracks[f->track[i]].source_id;
        size_t row = ((size_t)sample * f->agents + i) * f->steps;
        if (!make_trajectory(scene, f, row, arena, &trajectories[i])) return 0;
    }
    return 1;
}

nm_status nm_womd_submission_encode_scene(const nm_scene *scene, const nm_futures *futures, nm_arena *arena,
                                          const uint8_t **bytes, size_t *size, nm_error *error) {
    if (!scene->provenance.scene_id[0])
        return NM_ERROR(error, NM_E_ARGUMENT, "a scene without a scenario id can not be submitted");
    for (uint32_t i = 0; i < futures->agents; i++) {
        int64_t id = scene->tracks[futures->track[i]].source_id;
        if (id < INT32_MIN || id > INT32_MAX)
            return NM_ERROR(error, NM_E_ARGUMENT, "track id %" PRId64 " is not one of WOMD: it has over 32 bits", id);
    }
    nm_arena *work = nm_arena_create(0);
    if (!work) return no_memory(error);
    Womd__SimAgentsChallengeSubmission message = WOMD__SIM_AGENTS_CHALLENGE_SUBMISSION__INIT;
    Womd__ScenarioRollouts rollouts = WOMD__SCENARIO_ROLLOUTS__INIT, *only = &rollouts;
    Womd__JointScene *joint = NM_ARENA_ARRAY(work, Womd__JointScene, futures->samples);
    rollouts.scenario_id = mutable(scene->provenance.scene_id);
    rollouts.n_joint_scenes = futures->samples;
    rollouts.joint_scenes = NM_ARENA_ARRAY(work, Womd__JointScene *, futures->samples);
    message.n_scenario_rollouts = 1;
    message.scenario_rollouts = &only;
    int good = joint && rollouts.joint_scenes;
    for (uint32_t r = 0; good && r < futures->samples; r++) {
        rollouts.joint_scenes[r] = &joint[r];
        womd__joint_scene__init(&joint[r]);
        good = make_joint_scene(scene, futures, r, work, &joint[r]);
    }
    nm_status status = good ? pack(&message, arena, bytes, size, error) : no_memory(error);
    nm_arena_destroy(work);
    return status;
}
