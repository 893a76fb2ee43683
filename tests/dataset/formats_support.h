/// Random scenes with something of everything, and the way of one scene through an encoder and back.
#ifndef NM_TESTS_FORMATS_SUPPORT_H
#define NM_TESTS_FORMATS_SUPPORT_H

#include "support.h"

#include "base/rng.h"
#include "dataset/encoders.h"
#include "dataset/import.h"
#include "dataset/tfrecord.h"
#include "sim/builtin.h"

#define FORMAT_SCENES 24u ///< seeds that the property tests try

typedef struct dice {
    uint64_t seed, at;
} dice;
static inline uint32_t throw_dice(dice *d, uint32_t sides) {
    return (uint32_t)(nm_hash64(d->seed * 0x9e3779b97f4a7c15u + ++d->at) % sides);
}
/// In [low, high), with all bits of a float in play.
static inline double draw(dice *d, double low, double high) {
    return low + (high - low) * (double)(nm_hash64(d->seed * 77 + ++d->at) >> 11) / 9007199254740992.0;
}

/// A map of the built-in kinds, moved to coordinates as they are in the world for odd seeds.
static inline const nm_map *random_map(dice *d) {
    nm_builtin_params params = nm_builtin_params_default((nm_builtin_kind)throw_dice(d, NM_BUILTIN_COUNT));
    const nm_map *map = NULL, *moved = NULL;
    assert_int_equal(nm_builtin_map(&params, &map, NULL), NM_OK);
    if (d->seed % 2 == 0) return map;
    nm_map fields = *map;
    const nm_map_source source = nm_map_get_source(map);
    fields.origin = (nm_point3){691000.0 + (double)throw_dice(d, 1000) / 8.0, 5335000.25, 515.0};
    nm_lane *lanes = malloc(map->lane_count * sizeof *lanes); // one of them ruled before its end
    assert_non_null(lanes);
    memcpy(lanes, map->lanes, map->lane_count * sizeof *lanes);
    lanes[0].stop_s = 0.75f * lanes[0].length;
    fields.lanes = lanes;
    assert_int_equal(nm_map_assemble(&fields, &source, &moved, NULL), NM_OK);
    free(lanes);
    nm_map_release(map);
    return moved;
}

static inline void random_track(dice *d, nm_scene_builder *builder, int64_t id, uint32_t steps, int sizes, int flat) {
    nm_error error;
    nm_track_def def = {.id = id * 7 - 20, // negative ones, too
                        .type = (nm_agent_type)throw_dice(d, NM_AGENT_TYPE_COUNT),
                        .flags = throw_dice(d, 64) & ~NM_TRACK_EGO,
                        .difficulty = throw_dice(d, 3),
                        .length = (float)draw(d, 0.5, 12.0),
                        .width = (float)draw(d, 0.3, 3.0),
                        .height = throw_dice(d, 3) ? (float)draw(d, 0.5, 4.0) : 0.0f};
    uint32_t track, still = throw_dice(d, 4) == 0;
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
    nm_state s = {.x = (float)draw(d, -200, 200),
                  .y = (float)draw(d, -200, 200),
                  .z = flat ? 0.0f : (float)draw(d, 0, 5),
                  .heading = (float)draw(d, -3.14, 3.14)};
    for (uint32_t t = 0; t < steps; t++) {
        if (!still) {
            s.x += s.vx * 0.1f;
            s.y += s.vy * 0.1f;
            s.vx = (float)draw(d, -15, 15);
            s.vy = (float)draw(d, -15, 15);
            s.heading = throw_dice(d, 9) ? (float)draw(d, -3.1415, 3.1415) : 3.14159274f;
        }
        if (sizes) s.length = def.length + (float)draw(d, 0, 0.1), s.width = def.width, s.height = def.height;
        if (!still && throw_dice(d, 5) == 0) continue; // a gap
        assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &s, &error), NM_OK);
    }
}

static inline void random_problem(dice *d, nm_scene_builder *builder, const nm_map *map) {
    const nm_point3 *o = &map->origin;
    const nm_state_def start = {.x = o->x + draw(d, -50, 50), .y = o->y + draw(d, -50, 50), .z = o->z, .vx = 3.25};
    nm_error error;
    assert_int_equal(nm_scene_builder_add_problem(builder, 100 + throw_dice(d, 100), &start, 1, &error), NM_OK);
    for (uint32_t i = throw_dice(d, 3); i > 0; i--) {
        const nm_goal goal = {.first_step = 1, .last_step = 9, .heading_min = 1.0f, .speed_max = (float)draw(d, 1, 9)};
        assert_int_equal(nm_scene_builder_add_goal(builder, &goal, &error), NM_OK);
        nm_scene_builder_add_goal_area(builder, o->x + 5.1, o->y, 4.5, 2.5, 0.25, -1, &error);
        nm_scene_builder_add_goal_area(builder, 0, 0, 0, 0, 0, map->lanes[0].source_id, &error);
    }
}

/// The same for the same seed.
static inline const nm_scene *random_scene(uint64_t seed) {
    dice d = {.seed = seed + 1};
    const nm_map *map = random_map(&d);
    nm_scene_builder *builder = nm_scene_builder_create();
    const uint32_t steps = 1 + throw_dice(&d, 40), tracks = throw_dice(&d, 12);
    const int sizes = throw_dice(&d, 2) == 0, flat = throw_dice(&d, 2) == 0;
    static const double dts[] = {0.1, 0.04, 1.0 / 30.0, 0.5};
    nm_error error;
    assert_non_null(builder);
    assert_int_equal(nm_scene_builder_begin(builder, map, dts[throw_dice(&d, 4)], steps, &error), NM_OK);
    for (uint32_t i = 0; i < tracks; i++) random_track(&d, builder, i, steps, sizes, flat);
    for (uint32_t i = 0; i < map->signal_count && throw_dice(&d, 2); i++) {
        for (uint32_t t = 0; t < steps; t++)
            nm_scene_builder_set_signal(builder, i, t, (nm_signal_state)throw_dice(&d, NM_SIGNAL_STATE_COUNT), &error);
    }
    double times[64], clock = draw(&d, 0, 1.7e9);
    for (uint32_t t = 0; t < steps; t++) times[t] = clock = clock + draw(&d, 0.09, 0.11);
    if (throw_dice(&d, 2)) nm_scene_builder_set_timestamps(builder, times, steps, &error);
    for (uint32_t i = throw_dice(&d, 3); i > 0; i--) random_problem(&d, builder, map);
    nm_scene_builder_add_tag(builder, "urban", &error);
    nm_scene_builder_add_tag(builder,
                             "Stra\xc3\x9f"
                             "e:1",
                             &error);
    nm_scene_builder_set_current(builder, throw_dice(&d, steps), tracks ? throw_dice(&d, tracks) : NM_NONE);
    const nm_provenance provenance = {.source = "test",
                                      .file = "some\xff file", // file names are bytes
                                      .scene_id = "S-1",
                                      .record = 12,
                                      .program = "p 1",
                                      .seed = nm_hash64(seed),
                                      .parent = seed,
                                      .parameters = "{\"a\": 1}"};
    nm_scene_builder_set_provenance(builder, &provenance, &error);
    const nm_scene *scene;
    if (nm_scene_builder_build(builder, &scene, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    return scene;
}

/// What an import gave.
typedef struct caught {
    const nm_scene *scenes[8];
    size_t count, refusals;
    nm_error refusal; // the last one
    // copied from the extras of the last scene
    size_t extras, label_count;
    nm_scene_label labels[8];
    char kind[8][32], generator[32], achieved[64];
    int64_t id;
} caught;

static inline nm_status catch_scene(void *context, const nm_scene *scene, const char *input, uint64_t record,
                                    nm_error *error) {
    caught *c = context;
    (void)input, (void)record, (void)error;
    assert_true(c->count < 8);
    c->scenes[c->count++] = scene;
    return NM_OK;
}
static inline void catch_refusal(void *context, const nm_error *error) {
    caught *c = context;
    c->refusals++;
    c->refusal = *error;
}
static inline void catch_extras(void *context, const nm_export_item *item) {
    caught *c = context;
    c->extras++;
    c->id = item->id;
    c->label_count = item->label_count;
    assert_true(item->label_count <= 8);
    for (size_t i = 0; i < item->label_count; i++) {
        c->labels[i] = item->labels[i];
        snprintf(c->kind[i], sizeof c->kind[i], "%s", item->labels[i].kind);
    }
    snprintf(c->generator, sizeof c->generator, "%s", item->generated ? item->generated->generator : "-");
    snprintf(c->achieved, sizeof c->achieved, "%s", item->generated ? item->generated->achieved : "-");
}
static inline void forget_caught(caught *c) {
    for (size_t i = 0; i < c->count; i++) nm_scene_destroy(c->scenes[i]);
    *c = (caught){0};
}

static inline nm_status encode_item(const nm_encoder *encoder, const nm_export_item *item, nm_encoded *out,
                                    nm_error *error) {
    void *work = encoder->create ? encoder->create() : NULL;
    nm_status status = encoder->encode(work, item, out, error);
    if (encoder->destroy) encoder->destroy(work);
    return status;
}

/// The bytes of a whole file with this one scene; the caller frees.
static inline uint8_t *make_file(const nm_encoder *encoder, const nm_export_item *item, size_t *size) {
    nm_encoded out = {0};
    nm_error error;
    if (encode_item(encoder, item, &out, &error) != NM_OK) fail_msg("%s", error.message);
    const size_t header = encoder->header ? strlen(encoder->header) : 0;
    uint8_t *bytes = malloc(out.main.size + header + NM_TFRECORD_HEADER + NM_TFRECORD_FOOTER);
    assert_non_null(bytes);
    uint8_t *at = bytes;
    if (header) memcpy(at, encoder->header, header), at += header;
    if (encoder->layout == NM_ENCODER_RECORDS) nm_tfrecord_header(out.main.size, at), at += NM_TFRECORD_HEADER;
    if (out.main.size) memcpy(at, out.main.bytes, out.main.size), at += out.main.size;
    if (encoder->layout == NM_ENCODER_RECORDS)
        nm_tfrecord_footer(out.main.bytes, out.main.size, at), at += NM_TFRECORD_FOOTER;
    *size = (size_t)(at - bytes);
    nm_byte_buffer_free(&out.main);
    nm_byte_buffer_free(&out.shared);
    return bytes;
}

static inline void import_bytes(caught *c, const void *bytes, size_t size) {
    nm_importer *importer = nm_importer_create(NULL);
    nm_error error;
    forget_caught(c);
    assert_non_null(importer);
    nm_importer_set_extras(importer, catch_extras, c);
    assert_int_equal(nm_import_memory(importer, "dir/file", bytes, size, catch_scene, catch_refusal, c, &error), NM_OK);
    nm_importer_destroy(importer);
}

/// There and back.
static inline const nm_scene *round_trip(const nm_encoder *encoder, const nm_export_item *item, caught *c) {
    size_t size;
    uint8_t *bytes = make_file(encoder, item, &size);
    import_bytes(c, bytes, size);
    free(bytes);
    if (c->refusals) fail_msg("refused: %s", c->refusal.message);
    assert_int_equal(c->count, 1);
    return c->scenes[0];
}

/// Every valid state of `from` is in `to`, and no other; tracks without states may be missing.
static inline void compare_states(const nm_scene *from, const nm_scene *to, int with_z) {
    uint32_t next = 0;
    for (uint32_t i = 0; i < from->track_count; i++) {
        const nm_track *a = &from->tracks[i];
        if (a->first_step > a->last_step) continue;
        uint32_t k = 0;
        while (k < to->track_count && to->tracks[k].source_id != a->source_id) k++;
        assert_true(k < to->track_count);
        next++;
        for (uint32_t t = 0; t < from->step_count; t++) {
            nm_state p, q;
            int there = nm_scene_get_state(from, i, t, &p);
            assert_int_equal(there, t < to->step_count && nm_scene_get_state(to, k, t, &q));
            if (!there) continue;
            if (!from->state_length) p.length = a->length, p.width = a->width, p.height = a->height;
            if (!to->state_length)
                q.length = to->tracks[k].length, q.width = to->tracks[k].width, q.height = to->tracks[k].height;
            if (!with_z) p.z = q.z = 0.0f;
            assert_memory_equal(&p, &q, sizeof p);
        }
        assert_int_equal(a->type, to->tracks[k].type);
        assert_int_equal(a->flags, to->tracks[k].flags);
    }
    assert_int_equal(next, to->track_count);
}

#endif
