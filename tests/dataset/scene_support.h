/// Scenes to write and read back: random traffic on built-in maps, with whatever a scene may hold; encoding one scene.
#ifndef NM_TESTS_SCENE_SUPPORT_H
#define NM_TESTS_SCENE_SUPPORT_H

#include "commonroad_support.h"

#include "base/rng.h"
#include "dataset/encoders.h"
#include "sim/builtin.h"
#include "sim/math.h"

static const char *const builtin_specs[] = {"highway:density=10,length=300,carriageways=2",
                                            "highway_curved:density=10,length=300",
                                            "on_ramp:density=8",
                                            "off_ramp:density=8",
                                            "junction_signal:density=10,pedestrians=4,length=60",
                                            "junction_priority:density=10,cyclists=2,length=60",
                                            "junction_priority:density=5,minor_control=stop,length=60",
                                            "junction_all_way:density=10,length=60",
                                            "t_junction:density=10,length=60",
                                            "roundabout:density=10",
                                            "crosswalk:density=10,pedestrians=4,length=120"};
#define SPEC_COUNT (sizeof builtin_specs / sizeof *builtin_specs)

typedef struct dice {
    uint64_t seed, count;
} dice;
static inline double roll(dice *d, double low, double high) {
    uint64_t bits = nm_hash64(d->seed * UINT64_C(0x9E3779B97F4A7C15) + ++d->count);
    return low + (high - low) * ((double)(bits >> 11) / 9007199254740992.0);
}
static inline int odds(dice *d, double share) {
    return roll(d, 0, 1) < share;
}

static inline void must(nm_status status, const nm_error *error) {
    if (status != NM_OK) fail_msg("%s", error->message);
}

/// Moves one track over the steps: bends, stops, slides, comes late, leaves early, is lost for a while.
static inline void roll_track(dice *d, nm_scene_builder *builder, uint32_t track, const nm_state *start, uint32_t steps,
                              int always) {
    nm_error error;
    nm_state s = *start;
    double speed = hypot((double)s.vx, (double)s.vy), slip = odds(d, 0.2) ? roll(d, -3.1, 3.1) : 0;
    double turn = roll(d, -0.05, 0.05), brake = odds(d, 0.3) ? roll(d, 0, 0.5) : 0;
    uint32_t from = !always && odds(d, 0.3) ? (uint32_t)roll(d, 0, steps - 1.0) : 0;
    uint32_t to = !always && odds(d, 0.3) ? from + (uint32_t)roll(d, 0, steps - from - 0.01) : steps - 1;
    uint32_t gap = !always && odds(d, 0.15) ? from + 1 + (uint32_t)roll(d, 0, steps) : steps;
    for (uint32_t step = 0; step < steps; ++step) {
        float sine, cosine;
        nm_sincosf(nm_wrap_angle(s.heading + (float)slip), &sine, &cosine);
        s.vx = (float)speed * cosine;
        s.vy = (float)speed * sine;
        if (step >= from && step <= to && step != gap && step != gap + 1)
            must(nm_scene_builder_add_local_state(builder, track, step, &s, &error), &error);
        s.x += s.vx * 0.1f;
        s.y += s.vy * 0.1f;
        s.heading = nm_wrap_angle(s.heading + (float)turn);
        speed = fmax(0.0, speed - brake);
    }
}

#define RANDOM_STEPS 25u
/// flags: what to put in beside traffic
#define WITH_EGO 1u
#define WITH_PROBLEM 2u
/// The caller's. current step 0 without an ego, else 4.
static inline const nm_scene *random_scene(const char *spec, uint64_t seed, unsigned flags) {
    dice d = {seed, 0};
    nm_error error;
    const nm_scene *start, *scene;
    must(nm_builtin_scene(spec, seed, &start, &error), &error);
    nm_scene_builder *builder = nm_scene_builder_create();
    assert_non_null(builder);
    must(nm_scene_builder_begin(builder, start->map, 0.1, RANDOM_STEPS, &error), &error);
    for (uint32_t i = 0; i < start->track_count; ++i) {
        const nm_track *t = &start->tracks[i];
        int parked = i > 0 && odds(&d, 0.1);
        nm_track_def def = {.id = 100000 + 7 * (int64_t)i,
                            .type = (nm_agent_type)t->type,
                            .length = t->length,
                            .width = t->width,
                            .flags = parked ? NM_TRACK_STATIC : 0};
        if (parked) def.type = odds(&d, 0.5) ? NM_AGENT_CAR : NM_AGENT_OBSTACLE;
        if (def.type == NM_AGENT_CAR && def.length > 7) def.length = 7;
        if (i == 0 && (flags & WITH_EGO)) def.flags |= NM_TRACK_EGO;
        uint32_t track;
        nm_state state;
        must(nm_scene_builder_add_track(builder, &def, &track, &error), &error);
        assert_true(nm_scene_get_state(start, i, 0, &state));
        state.length = state.width = state.height = 0;
        if (!parked) roll_track(&d, builder, track, &state, RANDOM_STEPS, i < 2);
        state.vx = state.vy = 0;
        for (uint32_t step = 0; parked && step < RANDOM_STEPS; ++step)
            must(nm_scene_builder_add_local_state(builder, track, step, &state, &error), &error);
    }
    if (flags & WITH_PROBLEM) {
        nm_state_def at = {.x = 3.25, .y = -1e-7, .heading = NM_PI, .vx = -roll(&d, 0, 30)};
        must(nm_scene_builder_add_problem(builder, 99, &at, 0, &error), &error);
        for (int g = 0; g < 2; ++g) {
            nm_goal goal = {.first_step = (uint32_t)g,
                            .last_step = 20,
                            .heading_min = g ? 1.0f : -0.1f,
                            .heading_max = g ? -1.0f : 0.2f,
                            .speed_min = g ? 3.0f : 1.0f,
                            .speed_max = g ? 7.5f : -1.0f};
            must(nm_scene_builder_add_goal(builder, &goal, &error), &error);
            int64_t lane = start->map->lanes[0].source_id;
            must(nm_scene_builder_add_goal_area(builder, roll(&d, -50, 50), 2, 4.5, g ? 2.0 : 0.0,
                                                g ? roll(&d, -3, 3) : 0, g ? -1 : lane, &error),
                 &error);
            must(nm_scene_builder_add_goal_area(builder, 1.5, 2, 3.3, 0.0, 0, -1, &error), &error);
        }
        must(nm_scene_builder_add_tag(builder, "critical", &error), &error);
        must(nm_scene_builder_add_tag(builder, "roundabout", &error), &error);
    }
    const nm_provenance from = {.source = "random", .file = "a<\"&'>b", .scene_id = "x"};
    must(nm_scene_builder_set_provenance(builder, &from, &error), &error);
    nm_scene_builder_set_current(builder, flags & WITH_EGO ? 4 : 0, flags & WITH_EGO ? 0 : NM_NONE);
    must(nm_scene_builder_build(builder, &scene, &error), &error);
    nm_scene_builder_destroy(builder);
    nm_scene_destroy(start);
    return scene;
}

/// One encoder, kept for many scenes.
typedef struct encoding {
    const nm_encoder *encoder;
    void *work;
    nm_encoded out;
} encoding;
static inline encoding encoding_begin(nm_export_format format) {
    encoding e = {.encoder = nm_encoder_of(format)};
    assert_non_null(e.encoder);
    e.work = e.encoder->create ? e.encoder->create() : NULL;
    assert_true(e.work || !e.encoder->create);
    return e;
}
static inline nm_status encode_scene(encoding *e, const nm_export_item *item, nm_error *error) {
    e->out.main.size = e->out.shared.size = 0;
    e->out.shared_name[0] = 0;
    nm_error_clear(error);
    return e->encoder->encode(e->work, item, &e->out, error);
}
static inline void encoding_end(encoding *e) {
    if (e->encoder->destroy) e->encoder->destroy(e->work);
    nm_byte_buffer_free(&e->out.main);
    nm_byte_buffer_free(&e->out.shared);
}

/// Floats that lost nothing but what they lose on the way through another origin.
static inline void assert_place(double a_origin, float a, double b_origin, float b) {
    double limit = a_origin == b_origin ? 0.0 : 1.3e-7 * (fabs((double)a) + fabs((double)b)) + 1e-12 * fabs(a_origin);
    double way = (a_origin + (double)a) - (b_origin + (double)b);
    if (!(fabs(way) <= limit)) fail_msg("%.9g + %.9g is not %.9g + %.9g", a_origin, (double)a, b_origin, (double)b);
}

static inline void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/// Runs a script of tests/dataset with Python over a new folder that `fill` has filled; removes the folder. $`variable`
/// names another Python than python3. A script that ends with 77 could not run, and has said why.
static inline void run_reader(const char *script, const char *variable, const char *argument,
                              void (*fill)(const char *folder)) {
    if (system("python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null") != 0) {
        printf("skipped: python3 is missing\n");
        return;
    }
    char folder[] = "/tmp/nearmiss-reader-XXXXXX", command[1024];
    assert_non_null(mkdtemp(folder));
    fill(folder);
    const char *python = getenv(variable);
    snprintf(command, sizeof command, "'%s' '" NM_SOURCE_DIR "/tests/dataset/%s' '%s' %s", python ? python : "python3",
             script, folder, argument);
    fflush(stdout);
    int status = system(command);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    assert_true(status == 0 || status == 77 << 8);
}

#endif
