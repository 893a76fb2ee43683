/// Public WOMD records as scenes, and futures of them, for the realism metrics. For test_realism*.c.
#ifndef NM_TESTS_REALISM_SUPPORT_H
#define NM_TESTS_REALISM_SUPPORT_H

#include "support.h"

#include "base/arena.h"
#include "dataset/import.h"
#include "dataset/protos/scenario.pb-c.h"
#include "dataset/tfrecord.h"
#include "dataset/womd_submission.h"
#include "sim/math.h"
#include "sim/metrics/realism.h"

#define ROLLOUTS 32u
#define FUTURE 80u

typedef struct recorded {
    nm_arena *arena;
    uint8_t *bytes;
    const nm_scene *scene;
    Womd__Scenario *raw; // of the same record
} recorded;

static inline uint8_t *realism_load(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static inline nm_status realism_keep(void *context, const nm_scene *scene, const char *input, uint64_t record,
                                     nm_error *error) {
    (void)input, (void)record, (void)error;
    *(const nm_scene **)context = scene;
    return NM_OK;
}

/// 0, and the test is to be skipped, when the record is not there.
static inline int realism_open(recorded *r, const char *file) {
    char path[512], relative[128];
    nm_error error = {0};
    size_t size;
    *r = (recorded){0};
    snprintf(relative, sizeof relative, "data/womd/%s", file);
    if (!nm_test_have(path, sizeof path, relative)) return 0;
    r->bytes = realism_load(path, &size);
    r->arena = nm_arena_create(0);
    nm_importer *importer = nm_importer_create(NULL);
    if (nm_import_memory(importer, file, r->bytes, size, realism_keep, NULL, (void *)&r->scene, &error) != NM_OK)
        fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    r->raw =
        womd__scenario__unpack(NULL, size - NM_TFRECORD_HEADER - NM_TFRECORD_FOOTER, r->bytes + NM_TFRECORD_HEADER);
    assert_non_null(r->raw);
    return 1;
}

static inline void realism_close(recorded *r) {
    if (r->raw) womd__scenario__free_unpacked(r->raw, NULL);
    nm_scene_destroy(r->scene);
    nm_arena_destroy(r->arena);
    free(r->bytes);
}

/// Futures of all tracks valid now; states are left to the caller, through the planes in the order x, y, z, heading.
static inline nm_futures realism_futures(const recorded *r, uint32_t samples, float *planes[4]) {
    const nm_scene *scene = r->scene;
    nm_futures f = {.samples = samples, .steps = FUTURE};
    uint32_t *track = NM_ARENA_ARRAY(r->arena, uint32_t, scene->track_count);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        if (scene->valid[nm_scene_at(scene, i, scene->current_step)]) track[f.agents++] = i;
    }
    for (int p = 0; p < 4; p++) planes[p] = NM_ARENA_ARRAY(r->arena, float, (size_t)samples *f.agents *FUTURE);
    f.track = track;
    f.x = planes[0], f.y = planes[1], f.z = planes[2], f.heading = planes[3];
    return f;
}

/// A position of the record as the challenge has it: in single precision, in the source's frame.
static inline float realism_local(double source, double origin) {
    volatile float single = (float)source; // gcc 12 leaves out pairs of roundings to float that go on as double
    return (float)((double)single - origin);
}

/// The recording as every sample, its states as they are in the record, valid or not.
static inline nm_futures realism_replay(const recorded *r, uint32_t samples) {
    float *planes[4];
    nm_futures f = realism_futures(r, samples, planes);
    const nm_point3 *origin = &r->scene->map->origin;
    for (size_t at = 0; at < (size_t)samples * f.agents * FUTURE; at++) {
        uint32_t agent = (uint32_t)(at / FUTURE % f.agents), step = (uint32_t)(at % FUTURE);
        const Womd__ObjectState *s = r->raw->tracks[f.track[agent]]->states[r->scene->current_step + 1 + step];
        planes[0][at] = realism_local(s->center_x, origin->x);
        planes[1][at] = realism_local(s->center_y, origin->y);
        planes[2][at] = realism_local(s->center_z, origin->z);
        planes[3][at] = nm_wrap_angle(s->heading);
    }
    return f;
}

/// Headings of the record, whole turns included, and of its replay.
static inline nm_realism_headings realism_turns(const recorded *r, const nm_futures *replay) {
    const nm_scene *scene = r->scene;
    float *recorded_heading = NM_ARENA_ARRAY(r->arena, float, (size_t)scene->track_count * scene->step_count);
    float *simulated = NM_ARENA_ARRAY(r->arena, float, (size_t)replay->samples * replay->agents * FUTURE);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        for (uint32_t t = 0; t < scene->step_count; t++)
            recorded_heading[nm_scene_at(scene, i, t)] = r->raw->tracks[i]->states[t]->heading;
    }
    for (size_t at = 0; at < (size_t)replay->samples * replay->agents * FUTURE; at++) {
        uint32_t track = replay->track[at / FUTURE % replay->agents];
        simulated[at] = recorded_heading[nm_scene_at(scene, track, scene->current_step + 1 + (uint32_t)(at % FUTURE))];
    }
    return (nm_realism_headings){recorded_heading, simulated};
}

static inline nm_realism_values realism_measure(const recorded *r, const nm_futures *f,
                                                const nm_realism_headings *headings) {
    nm_realism_values values;
    nm_error error = {0};
    if (nm_realism_measure(r->scene, f, headings, r->arena, &values, &error) != NM_OK) fail_msg("%s", error.message);
    return values;
}

static inline nm_realism realism_rate(const nm_realism_values *values, const nm_realism_config *config) {
    nm_realism out;
    nm_error error = {0};
    if (nm_realism_rate(values, config, &out, &error) != NM_OK) fail_msg("%s", error.message);
    return out;
}

#endif
