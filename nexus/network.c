#include "nexus/network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nexus/finite.h"
#include "nexus/network_private.h"

static nm_pass_sizes sizes_at(const nm_batch_capacity *capacity) {
    return (nm_pass_sizes){.tokens = capacity->tokens,
                           .scenes = capacity->scenes,
                           .points = capacity->points,
                           .token_groups = capacity->tokens,
                           .time_groups = capacity->tokens,
                           .longest_scene = capacity->tokens};
}

/// The parts of a pass that a cut needs: arrays of acts. 0 when memory is out.
static int prepare(nm_pass *p, const nm_model *model, int training) {
    const nm_model_config *c = &model->config;
    *p = (nm_pass){.model = (nm_model *)model, .backend = model->backend, .training = training};
    p->layers = calloc(nm_model_layers(c), sizeof *p->layers);
    p->encoder = calloc((size_t)c->encoder_rounds * c->encoder_layers + 1, sizeof *p->encoder);
    p->joint.kept = calloc(c->blocks, sizeof *p->joint.kept);
    return p->layers && p->encoder && p->joint.kept;
}

static void release_arrays(nm_pass *p) {
    free(p->layers);
    free(p->encoder);
    free(p->joint.kept);
}

size_t nm_pass_bytes(const nm_model *model, const nm_batch_capacity *capacity, int training) {
    nm_pass unused;
    const nm_pass_sizes sizes = sizes_at(capacity);
    size_t bytes = 0;
    if (prepare(&unused, model, training)) bytes = nm_pass_cut(&unused, &sizes, NULL);
    release_arrays(&unused);
    return bytes + (training ? model->flat_size * nm_dtype_size(model->backend->parameter) : 0);
}

/// Row numbers of the latents, the same for every batch.
static nm_status make_latent_lists(nm_pass *p, const nm_batch_capacity *capacity, nm_error *error) {
    const size_t latents = p->model->config.latents, rows = capacity->scenes * latents;
    p->latent_offsets_host = malloc(((size_t)capacity->scenes + 1) * sizeof *p->latent_offsets_host);
    p->latent_rows_host = malloc((rows + 1) * sizeof *p->latent_rows_host);
    if (!p->latent_offsets_host || !p->latent_rows_host)
        return NM_ERROR(error, NM_E_MEMORY, "out of memory for the latents of %u scenes", capacity->scenes);
    for (size_t i = 0; i <= capacity->scenes; ++i) p->latent_offsets_host[i] = (uint32_t)(i * latents);
    for (size_t i = 0; i < rows; ++i) p->latent_rows_host[i] = (uint32_t)i;
    return NM_OK;
}

static nm_status fill_pass(nm_pass *p, const nm_batch_capacity *capacity, nm_error *error) {
    nm_backend *backend = p->backend;
    const nm_model_config *c = &p->model->config;
    const int perceiver = c->map_encoder == NM_MAP_PERCEIVER;
    if (perceiver && (uint64_t)capacity->scenes * c->latents >= NM_BATCH_MAX_ROWS)
        return NM_ERROR(error, NM_E_LIMIT, "%u scenes of %u latents are too many", capacity->scenes, c->latents);
    nm_status status = nm_batch_create(capacity, c->map_channels, &p->batch, error);
    if (status == NM_OK) status = nm_levels_create(capacity->tokens, &p->level.distinct, error);
    if (status == NM_OK) status = nm_levels_create(capacity->tokens, &p->time.distinct, error);
    if (status == NM_OK && perceiver) status = make_latent_lists(p, capacity, error);
    if (status == NM_OK) status = nm_pass_create_joint(p, capacity, error);
    if (status != NM_OK) return status;
    const nm_pass_sizes sizes = sizes_at(capacity);
    p->bytes = nm_pass_cut(p, &sizes, NULL);
    p->block = backend->ops->allocate(backend, p->bytes);
    if (!p->block) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a pass of %zu bytes", p->bytes);
    if (p->training) {
        p->gradients = nm_tensor_create(backend, 1, (uint32_t)p->model->flat_size, backend->parameter);
        if (!p->gradients.data) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the gradients of a model");
    }
    return nm_pass_set_scenes(p, NULL, 0, error);
}

nm_status nm_pass_create(nm_model *model, const nm_batch_capacity *capacity, int training, nm_pass **pass,
                         nm_error *error) {
    *pass = NULL;
    nm_pass *p = malloc(sizeof *p);
    if (!p) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a pass");
    nm_status status = prepare(p, model, training) ? NM_OK : NM_ERROR(error, NM_E_MEMORY, "out of memory for a pass");
    if (status == NM_OK) status = fill_pass(p, capacity, error);
    if (status != NM_OK) {
        nm_pass_destroy(p);
        return status;
    }
    *pass = p;
    return NM_OK;
}

void nm_pass_destroy(nm_pass *pass) {
    if (!pass) return;
    const nm_ops *ops = pass->backend->ops;
    if (pass->recording) ops->release_recording(pass->backend, pass->recording);
    if (pass->block) ops->release(pass->backend, pass->block);
    if (pass->gradients.data) ops->release(pass->backend, pass->gradients.data);
    nm_pass_release_links(pass);
    nm_pass_release_joint(pass);
    nm_batch_destroy(&pass->batch);
    nm_levels_destroy(&pass->level.distinct);
    nm_levels_destroy(&pass->time.distinct);
    free(pass->latent_offsets_host);
    free(pass->latent_rows_host);
    release_arrays(pass);
    free(pass);
}

const nm_batch *nm_pass_batch(const nm_pass *pass) {
    return &pass->batch;
}

const nm_model *nm_pass_model(const nm_pass *pass) {
    return pass->model;
}

// ---------------------------------------------------------------------------------------------------------------------
// What a batch brings along

static void upload_indices(nm_pass *p, const uint32_t *host, size_t count, const uint32_t *to) {
    p->backend->ops->upload_u32(p->backend, host, count, (uint32_t *)to);
}

static void upload_queries(nm_pass *p, const nm_row_lists *lists, nm_groups *groups) {
    groups->count = lists->count;
    groups->max_queries = lists->longest;
    upload_indices(p, lists->offsets, (size_t)lists->count + 1, groups->query_offsets);
    upload_indices(p, lists->rows, lists->offsets[lists->count], groups->query_rows);
}
static void upload_keys(nm_pass *p, const nm_row_lists *lists, nm_groups *groups) {
    groups->max_keys = lists->longest;
    upload_indices(p, lists->offsets, (size_t)lists->count + 1, groups->key_offsets);
    upload_indices(p, lists->rows, lists->offsets[lists->count], groups->key_rows);
}

static void upload_latents(nm_pass *p) {
    const uint32_t scenes = p->batch.scenes, latents = p->model->config.latents;
    upload_indices(p, p->latent_offsets_host, (size_t)scenes + 1, p->among_latents.query_offsets);
    upload_indices(p, p->latent_rows_host, (size_t)scenes * latents, p->among_latents.query_rows);
    p->among_latents.count = p->to_points.count = scenes;
    p->among_latents.max_queries = p->among_latents.max_keys = latents;
    p->to_points.max_queries = p->to_map.max_keys = latents;
    upload_keys(p, &p->batch.map_by_scene, &p->to_points);
    upload_queries(p, &p->batch.by_scene, &p->to_map);
}

static void upload_groups(nm_pass *p) {
    upload_queries(p, &p->batch.by_agent, &p->by_agent);
    upload_queries(p, &p->batch.by_time, &p->by_time);
    p->by_agent.max_keys = p->by_agent.max_queries; // among themselves: keys are the queries
    p->by_time.max_keys = p->by_time.max_queries;
    if (p->model->config.map_encoder == NM_MAP_PERCEIVER) {
        upload_latents(p);
        return;
    }
    p->to_map.count = p->by_agent.count;
    p->to_map.max_queries = p->by_agent.max_queries;
    upload_keys(p, &p->batch.map_by_agent, &p->to_map);
}

void nm_pass_upload_values(nm_pass *p, nm_embedding_acts *a, const float *values) {
    const uint32_t tokens = p->batch.tokens;
    nm_levels_find(&a->distinct, values, tokens);
    p->backend->ops->upload(p->backend, a->distinct.values, nm_tensor_rows(a->values, 0, a->distinct.count));
    upload_indices(p, a->distinct.index, tokens, a->index);
    upload_indices(p, a->distinct.offsets, (size_t)a->distinct.count + 1, a->offsets);
    upload_indices(p, a->distinct.rows, tokens, a->rows);
}

void nm_pass_forget_recording(nm_pass *p) {
    if (p->recording) p->backend->ops->release_recording(p->backend, p->recording);
    p->recording = NULL;
    p->recorded_levels = p->warm_levels = 0;
}

/// Embeds times and encodes maps: what depends on the scenes and the weights alone.
static void encode_scenes(nm_pass *p) {
    nm_pass_embed(p, &p->time, &p->model->time);
    nm_pass_encode_map(p);
    p->encoded = p->model->renewals;
}

/// The same where the weights were renewed since.
static void keep_up(nm_pass *p) {
    if (p->encoded != p->model->renewals) encode_scenes(p);
}

/// The first polylines without owners are refused: nobody would attend to them. `maps`: those of the batch, else those
/// of the scenes.
static nm_status check_owned(const nm_pass *p, const nm_token_scene *scenes, uint32_t count, int maps,
                             nm_error *error) {
    if (p->model->config.map_encoder != NM_MAP_POLYLINES) return NM_OK;
    const uint32_t *offsets = p->batch.map_by_scene.offsets;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t points = maps ? offsets[i + 1] - offsets[i] : scenes[i].points;
        if (scenes[i].map_agent || points == 0) continue;
        return NM_ERROR(error, NM_E_ARGUMENT, "scene %u does not say which agents its %u polylines belong to", i,
                        points);
    }
    return NM_OK;
}

/// Leaves an empty batch on failure.
static nm_status pack_scenes(nm_pass *p, const nm_token_scene *scenes, uint32_t count, nm_error *error) {
    nm_status status = check_owned(p, scenes, count, 0, error);
    if (status == NM_OK)
        status = nm_batch_set(&p->batch, scenes, count, p->model->config.map_mask == NM_MAP_MASK_PADDING, error);
    if (status == NM_OK) status = nm_pass_check_joint(p, error);
    if (status != NM_OK) nm_batch_set(&p->batch, NULL, 0, 0, NULL);
    return status;
}

/// Leaves a batch without tokens on failure.
static nm_status pack_tokens(nm_pass *p, const nm_token_scene *scenes, uint32_t count, nm_error *error) {
    nm_status status = NM_OK;
    if (count == p->batch.map_by_scene.count) status = check_owned(p, scenes, count, 1, error);
    if (status == NM_OK)
        status = nm_batch_set_tokens(&p->batch, scenes, count, p->model->config.map_mask == NM_MAP_MASK_PADDING, error);
    if (status == NM_OK) status = nm_pass_check_joint(p, error);
    if (status != NM_OK) nm_batch_clear_tokens(&p->batch);
    return status;
}

/// Cuts the block for the batch at hand and uploads what passes read of it.
static void place_batch(nm_pass *p) {
    const nm_pass_sizes sizes = {.tokens = p->batch.tokens,
                                 .scenes = p->batch.scenes,
                                 .points = p->batch.points,
                                 .token_groups = p->batch.by_agent.count,
                                 .time_groups = p->batch.by_time.count,
                                 .longest_scene = p->batch.by_scene.longest};
    nm_pass_forget_recording(p);
    p->links.set = 0;
    p->batches++;
    const size_t used = nm_pass_cut(p, &sizes, p->block);
    NM_ASSERT(used <= p->bytes);
    upload_groups(p);
    nm_pass_begin_joint(p);
    if (p->model->config.rotary) p->backend->ops->upload(p->backend, p->batch.position, p->position);
    nm_pass_upload_values(p, &p->time, p->batch.time);
}

nm_status nm_pass_set_scenes(nm_pass *p, const nm_token_scene *scenes, uint32_t count, nm_error *error) {
    const nm_status status = pack_scenes(p, scenes, count, error);
    place_batch(p);
    p->backend->ops->upload(p->backend, p->batch.map, p->map);
    if (status != NM_OK) return status;
    encode_scenes(p);
    return p->backend->ops->synchronize(p->backend, error);
}

nm_status nm_pass_set_tokens(nm_pass *p, const nm_token_scene *scenes, uint32_t count, nm_error *error) {
    const nm_status status = pack_tokens(p, scenes, count, error);
    place_batch(p); // the map side stays where it is: see nm_pass_cut
    if (status != NM_OK) return status;
    nm_pass_embed(p, &p->time, &p->model->time);
    return p->backend->ops->synchronize(p->backend, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Prediction

/// The first value of [N][cols] that is not finite is refused by name of its token.
static nm_status check_finite(const nm_pass *p, const char *what, const float *values, uint32_t cols, nm_error *error) {
    const size_t count = (size_t)p->batch.tokens * cols;
    if (nm_all_finite(values, count)) return NM_OK;
    for (size_t i = 0; i < count; ++i) {
        if (isfinite(values[i])) continue;
        const nm_token_ref ref = p->batch.refs[i / cols];
        return NM_ERROR(error, NM_E_NUMERIC, "%s of scene %u, agent %u, step %u, channel %zu: not a finite number",
                        what, ref.scene, ref.agent, ref.time, i % cols);
    }
    return NM_OK;
}

static nm_status check_levels(const nm_pass *p, const float *levels, nm_error *error) {
    for (uint32_t i = 0; i < p->batch.tokens; ++i) {
        if (levels[i] >= 0.0f && levels[i] <= 1.0f) continue;
        const nm_token_ref ref = p->batch.refs[i];
        return NM_ERROR(error, NM_E_NUMERIC, "level of scene %u, agent %u, step %u: %g, not in 0..1", ref.scene,
                        ref.agent, ref.time, (double)levels[i]);
    }
    return NM_OK;
}

static nm_status check_input(const nm_pass *p, const nm_pass_input *in, nm_error *error) {
    const nm_model_config *c = &p->model->config;
    NM_ASSERT(p->batch.tokens == 0 || (in->known && in->mask && in->noised && in->level));
    NM_ASSERT(!c->conditions || in->condition || p->batch.tokens == 0);
    NM_ASSERT(!nm_model_wants_poses(c) || in->pose || p->batch.tokens == 0);
    nm_status status = check_finite(p, "known value", in->known, c->channels, error);
    if (status == NM_OK) status = check_finite(p, "mask", in->mask, c->channels, error);
    if (status == NM_OK) status = check_finite(p, "noised value", in->noised, c->channels, error);
    if (status == NM_OK && c->conditions) status = check_finite(p, "condition", in->condition, c->conditions, error);
    if (status == NM_OK && nm_model_wants_poses(c)) status = check_finite(p, "pose", in->pose, 4, error);
    if (status == NM_OK) status = check_levels(p, in->level, error);
    return status;
}

static nm_status upload_input(nm_pass *p, const nm_pass_input *in, nm_error *error) {
    const nm_model_config *c = &p->model->config;
    const nm_ops *ops = p->backend->ops;
    const nm_status status = check_input(p, in, error);
    if (status != NM_OK) return status;
    ops->upload(p->backend, in->known, p->known);
    ops->upload(p->backend, in->mask, p->mask);
    ops->upload(p->backend, in->noised, p->noised);
    if (c->conditions) ops->upload(p->backend, in->condition, p->condition);
    if (nm_model_wants_poses(c)) ops->upload(p->backend, in->pose, p->pose);
    nm_pass_place(p, in->pose);
    nm_pass_upload_values(p, &p->level, in->level);
    return NM_OK;
}

/// Records the forward pass over the batch that is set; 0 when the backend could not.
static int record(nm_pass *p, uint32_t levels) {
    const nm_ops *ops = p->backend->ops;
    nm_error ignored; // an unrecorded pass does as well
    nm_pass_forget_recording(p);
    p->warm_levels = levels;
    if (ops->capture_begin(p->backend, &ignored) != NM_OK) return 0;
    nm_pass_forward(p);
    if (ops->capture_end(p->backend, &p->recording, &ignored) != NM_OK) return 0;
    p->recorded_levels = levels;
    return 1;
}

/// The forward pass, replayed where the same shapes have run before and the backend can record.
static void forward(nm_pass *p) {
    const nm_ops *ops = p->backend->ops;
    const uint32_t levels = p->level.distinct.count;
    const int may_record = ops->capture_begin && !p->training && p->warm_levels == levels;
    if (may_record && (p->recorded_levels == levels || record(p, levels))) {
        ops->replay(p->backend, p->recording);
        return;
    }
    nm_pass_forward(p);
    p->warm_levels = levels;
}

nm_status nm_pass_upload(nm_pass *pass, const nm_pass_input *input, nm_error *error) {
    const nm_status status = upload_input(pass, input, error);
    if (status == NM_OK) keep_up(pass);
    return status;
}

nm_status nm_pass_check_prediction(const nm_pass *pass, const float *v, nm_error *error) {
    return check_finite(pass, "prediction", v, pass->model->config.channels, error);
}

nm_status nm_pass_predict(nm_pass *pass, const nm_pass_input *input, float *v, nm_error *error) {
    if (pass->batch.tokens == 0) return NM_OK;
    nm_status status = nm_pass_upload(pass, input, error);
    if (status != NM_OK) return status;
    forward(pass);
    pass->backend->ops->download(pass->backend, pass->v, v);
    status = pass->backend->ops->synchronize(pass->backend, error);
    if (status == NM_OK) status = nm_pass_check_prediction(pass, v, error);
    return status;
}

nm_status nm_pass_latents(nm_pass *pass, float *latents, nm_error *error) {
    NM_ASSERT(pass->model->config.map_encoder == NM_MAP_PERCEIVER);
    keep_up(pass);
    pass->backend->ops->download(pass->backend, pass->keys, latents);
    return pass->backend->ops->synchronize(pass->backend, error);
}

// ---------------------------------------------------------------------------------------------------------------------
// Training

void nm_pass_zero_gradients(nm_pass *pass) {
    NM_ASSERT(pass->training);
    pass->backend->ops->zero(pass->backend, pass->gradients);
}

nm_tensor nm_pass_gradients(const nm_pass *pass) {
    return pass->gradients;
}

static nm_status upload_target(nm_pass *p, const nm_pass_target *target, nm_error *error) {
    const nm_ops *ops = p->backend->ops;
    nm_status status = check_finite(p, "noise", target->noise, p->model->config.channels, error);
    if (status == NM_OK) status = check_finite(p, "alpha", target->alpha, 1, error);
    if (status == NM_OK) status = check_finite(p, "sigma", target->sigma, 1, error);
    if (status == NM_OK) status = check_finite(p, "weight", target->weight, 1, error);
    if (status != NM_OK) return status;
    ops->upload(p->backend, target->noise, p->noise);
    ops->upload(p->backend, target->alpha, p->alpha);
    ops->upload(p->backend, target->sigma, p->sigma);
    ops->upload(p->backend, target->weight, p->weight);
    return NM_OK;
}

/// The loss of a forward pass and, with `gradients`, the backward pass.
static nm_status measure(nm_pass *p, const nm_pass_input *input, const nm_pass_target *target, int gradients,
                         double *loss, nm_error *error) {
    NM_ASSERT(p->training);
    *loss = 0.0;
    if (p->batch.tokens == 0) return NM_OK;
    nm_status status = upload_input(p, input, error);
    if (status == NM_OK) status = upload_target(p, target, error);
    if (status != NM_OK) return status;
    keep_up(p);
    nm_pass_forward(p);
    const nm_noise_loss op = {.v = p->v,
                              .z = p->noised,
                              .e = p->noise,
                              .alpha = p->alpha,
                              .sigma = p->sigma,
                              .row_weight = p->weight,
                              .loss = p->loss,
                              .dv = gradients ? p->d.output : nm_tensor_none()};
    p->backend->ops->noise_loss(p->backend, &op);
    if (gradients) nm_pass_backward(p);
    float value = 0.0f;
    p->backend->ops->download(p->backend, p->loss, &value);
    status = p->backend->ops->synchronize(p->backend, error);
    *loss = (double)value;
    if (status == NM_OK && !isfinite(value)) status = NM_ERROR(error, NM_E_NUMERIC, "the loss is not a finite number");
    return status;
}

nm_status nm_pass_train(nm_pass *pass, const nm_pass_input *input, const nm_pass_target *target, double *loss,
                        nm_error *error) {
    return measure(pass, input, target, 1, loss, error);
}

nm_status nm_pass_loss(nm_pass *pass, const nm_pass_input *input, const nm_pass_target *target, double *loss,
                       nm_error *error) {
    return measure(pass, input, target, 0, loss, error);
}

// ---------------------------------------------------------------------------------------------------------------------

/// Queries times keys over all groups.
static double pairs(const nm_row_lists *queries, const nm_row_lists *keys) {
    double sum = 0.0;
    for (uint32_t g = 0; g < queries->count; ++g)
        sum += (double)(queries->offsets[g + 1] - queries->offsets[g]) * (keys->offsets[g + 1] - keys->offsets[g]);
    return sum;
}

double nm_pass_flops(const nm_pass *p) {
    const nm_model *m = p->model;
    const nm_batch *b = &p->batch;
    const double n = b->tokens;
    double sum = nm_model_is_joint(&m->config) ? nm_weight_flops(&m->heading, n) : 0.0;
    sum += nm_weight_flops(&m->input, n) + nm_weight_flops(&m->modulation, n) + nm_weight_flops(&m->output, n);
    sum += nm_weight_flops(&m->level.first, p->level.distinct.count) +
           nm_weight_flops(&m->level.second, p->level.distinct.count);
    sum += nm_weight_flops(&m->cross.query, n) + nm_weight_flops(&m->cross.projection, n) +
           nm_weight_flops(&m->cross.mlp.up, n) + nm_weight_flops(&m->cross.mlp.down, n);
    double pair_sum =
        m->config.map_encoder == NM_MAP_PERCEIVER ? n * m->config.latents : pairs(&b->by_agent, &b->map_by_agent);
    for (uint32_t i = 0; i < nm_model_layers(&m->config); ++i) {
        const nm_layer_weights *w = &m->layers[i];
        sum += nm_weight_flops(&w->modulation, n) + nm_weight_flops(&w->qkv, n) + nm_weight_flops(&w->projection, n) +
               nm_weight_flops(&w->mlp.up, n) + nm_weight_flops(&w->mlp.down, n);
        if (nm_pass_is_joint(p, i))
            pair_sum += nm_pass_joint_pairs(p, i);
        else if (i % 2)
            pair_sum += pairs(&b->by_time, &b->by_time);
        else
            pair_sum += p->links.set ? p->links.pairs : pairs(&b->by_agent, &b->by_agent);
    }
    return sum + 4.0 * m->config.hidden * pair_sum; // scores and weighted values
}
