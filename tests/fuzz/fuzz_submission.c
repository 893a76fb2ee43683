/// Submissions to the sim agents challenge over arbitrary bytes, for the scene made by hand. Futures that are accepted
/// must keep their promises, and what is written from them must be accepted.
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>

#include "../dataset/womd_sample.h"
#include "dataset/readers.h"
#include "dataset/womd_submission.h"

static nm_status take(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record, (void)error;
    *(const nm_scene **)context = scene;
    return NM_OK;
}

static const nm_scene *make_scene(nm_arena *arena) {
    nm_reader_context context = {.limits = nm_import_limits_default(),
                                 .map_builder = nm_map_builder_create(),
                                 .scene_builder = nm_scene_builder_create()};
    sample made = sample_make(arena);
    size_t size;
    const uint8_t *payload = sample_pack(&made, &size);
    uint8_t *bytes = nm_arena_alloc(arena, size + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER, 1, 1);
    const nm_scene *scene = NULL;
    if (nm_womd_read(&context, "made", bytes, sample_frame(bytes, payload, size), take, NULL, &scene, NULL) != NM_OK)
        abort();
    nm_womd_release(&context);
    nm_scene_builder_destroy(context.scene_builder);
    nm_map_builder_destroy(context.map_builder);
    return scene;
}

static void use(const nm_scene *scene, const nm_futures *f, nm_arena *arena) {
    if (f->samples == 0 || f->steps == 0 || f->agents != scene->track_count) abort();
    for (size_t i = 0; i < (size_t)f->samples * f->agents * f->steps; i++) {
        if (!isfinite(f->x[i]) || !isfinite(f->y[i]) || !isfinite(f->z[i])) abort();
        if (fabsf(f->x[i]) > 9e6f || fabsf(f->y[i]) > 9e6f || fabsf(f->z[i]) > 9e6f)
            return; // rounding may lead too far
        if (!(f->heading[i] > -3.1415928f && f->heading[i] <= 3.1415928f)) abort();
    }
    const uint8_t *bytes;
    size_t size;
    nm_womd_submission again;
    nm_futures back;
    if (nm_womd_submission_encode_scene(scene, f, arena, &bytes, &size, NULL) != NM_OK) abort();
    if (nm_womd_submission_open("again", bytes, size, arena, &again, NULL) != NM_OK || again.count != 1) abort();
    if (nm_womd_submission_futures(&again, 0, scene, arena, &back, NULL) != NM_OK) abort();
    if (back.samples != f->samples || back.steps != f->steps) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nm_arena *arena = nm_arena_create(0);
    nm_womd_submission submission;
    nm_error error;
    nm_error_clear(&error);
    const nm_scene *scene = make_scene(arena);
    nm_status status = nm_womd_submission_open("fuzz", data, size, arena, &submission, &error);
    if (status != NM_OK && (error.code != status || !error.message[0] || error.offset < 0)) abort();
    for (size_t i = 0; status == NM_OK && i < submission.count && i < 4; i++) {
        nm_futures f;
        nm_error_clear(&error);
        if (nm_womd_submission_futures(&submission, i, scene, arena, &f, &error) == NM_OK)
            use(scene, &f, arena);
        else if (error.code == NM_OK || !error.message[0] || !error.input[0])
            abort();
    }
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    static const uint32_t samples[] = {1, 3, 2}, steps[] = {1, 2, 20};
    if (index > 2) return 0;
    nm_arena *arena = nm_arena_create(0);
    const nm_scene *scene = make_scene(arena);
    nm_futures f = {.samples = samples[index], .agents = scene->track_count, .steps = steps[index]};
    uint32_t *track = nm_arena_calloc(arena, f.agents, sizeof *track, 16);
    float *zeros = nm_arena_calloc(arena, (size_t)f.samples * f.agents * f.steps, sizeof *zeros, 16);
    for (uint32_t i = 0; i < f.agents; i++) track[i] = i;
    f.track = track;
    f.x = f.y = f.z = f.heading = zeros;
    const nm_womd_submission_info info = {.unique_method_name = "seed", .num_model_parameters = "1K"};
    const uint8_t *head, *body;
    size_t head_size, body_size;
    if (nm_womd_submission_encode_info(&info, arena, &head, &head_size, NULL) != NM_OK) abort();
    if (nm_womd_submission_encode_scene(scene, &f, arena, &body, &body_size, NULL) != NM_OK) abort();
    size_t size = head_size + body_size;
    if (size > capacity) abort();
    memcpy(buffer, head, head_size);
    memcpy(buffer + head_size, body, body_size);
    nm_scene_destroy(scene);
    nm_arena_destroy(arena);
    return size;
}
