/// The recording of a denoising that `nearmiss generate --recording F` writes.
#include <stdlib.h>

#include "tools/cmd_generate.h"

#ifdef NM_NO_PICTURES

nm_status nm_generate_recording_create(nm_generate_recording **recording, nm_error *error) {
    *recording = NULL;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "--recording: this program was built without pictures");
}

void nm_generate_recording_destroy(nm_generate_recording *recording) {
    (void)recording;
}

void nm_generate_recording_observe(void *context, const nm_sampler *sampler) {
    (void)context;
    (void)sampler;
}

nm_status nm_generate_recording_begin(nm_generate_recording *recording, const nm_tokens *tokens, const nm_scene *scene,
                                      const char *title, nm_error *error) {
    (void)recording;
    (void)tokens;
    (void)scene;
    (void)title;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "this program was built without pictures");
}

nm_status nm_generate_recording_write(nm_generate_recording *recording, const char *path, nm_error *error) {
    (void)recording;
    (void)path;
    return NM_ERROR(error, NM_E_UNSUPPORTED, "this program was built without pictures");
}

#else

#include "tools/record_denoising.h"

/// The generator wants its observer before there is anything to observe: this one hands on while there is a recorder.
struct nm_generate_recording {
    nm_denoising_recorder *recorder;
    int begun; ///< by the first batch
};

nm_status nm_generate_recording_create(nm_generate_recording **recording, nm_error *error) {
    *recording = calloc(1, sizeof **recording);
    return *recording ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a recording");
}

void nm_generate_recording_destroy(nm_generate_recording *recording) {
    if (!recording) return;
    nm_denoising_recorder_destroy(recording->recorder);
    free(recording);
}

void nm_generate_recording_observe(void *context, const nm_sampler *sampler) {
    nm_generate_recording *recording = context;
    if (recording->recorder) nm_denoising_recorder_observe(recording->recorder, sampler);
}

nm_status nm_generate_recording_begin(nm_generate_recording *recording, const nm_tokens *tokens, const nm_scene *scene,
                                      const char *title, nm_error *error) {
    if (recording->begun) return NM_OK;
    recording->begun = 1;
    return nm_denoising_recorder_create(tokens, scene, 0, title, &recording->recorder, error);
}

nm_status nm_generate_recording_write(nm_generate_recording *recording, const char *path, nm_error *error) {
    nm_denoising *denoising = NULL;
    if (!recording->recorder) return NM_OK;
    nm_status status = nm_denoising_recorder_finish(recording->recorder, &denoising, error);
    if (status == NM_OK) status = nm_denoising_write(denoising, path, error);
    nm_denoising_destroy(denoising);
    nm_denoising_recorder_destroy(recording->recorder);
    recording->recorder = NULL;
    return status;
}

#endif
