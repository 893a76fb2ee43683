/// Records a sampling run for the viewer: the sampler's observer on one side, render/denoising.h on the other.
#ifndef NM_TOOLS_RECORD_DENOISING_H
#define NM_TOOLS_RECORD_DENOISING_H

#include "nexus/sampler.h"
#include "nexus/tokens.h"
#include "render/denoising.h"

typedef struct nm_denoising_recorder nm_denoising_recorder;

/// For one scene of a batch. The agents of its tokens in the sampler's layout are the rows of `tokens` (agent ids as
/// nm_tokens has them, times as token times).
///
/// tokens       borrowed until the recorder is destroyed
/// scene        that the tokens were made from; copied when the first pass comes
/// batch_scene  index of the scene in the sampler's layout
/// title        copied; "" = none
nm_status nm_denoising_recorder_create(const nm_tokens *tokens, const nm_scene *scene, uint32_t batch_scene,
                                       const char *title, nm_denoising_recorder **recorder, nm_error *error);
void nm_denoising_recorder_destroy(nm_denoising_recorder *recorder); ///< NULL is fine

/// An nm_sampler_observer; its context is the recorder. The layout must stay the one of the first call. What goes wrong
/// is kept until nm_denoising_recorder_finish.
void nm_denoising_recorder_observe(void *context, const nm_sampler *sampler);

/// Hands the recording over; the recorder is empty afterwards and only good for nm_denoising_recorder_destroy.
nm_status nm_denoising_recorder_finish(nm_denoising_recorder *recorder, nm_denoising **denoising, nm_error *error);

#endif
