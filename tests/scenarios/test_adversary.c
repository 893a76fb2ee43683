/// Adversaries against planners in closed loop: who plays, from where, and whether it comes about, by measures of this
/// file's own.
#include "../sim/planner_drive.h"

#include "scenarios/adversary.h"
#include "scenarios/episode.h"
#include "scenarios/validity.h"

enum { START = 15, STEPS = 150 };

/// A built-in scene, driven on by IDM: a recording with a past.
static const nm_scene *recording_of(const char *specification, uint64_t seed) {
    const nm_scene *scene = scene_of(specification, seed);
    nm_world_config config = nm_world_config_default();
    config.seed = seed;
    nm_rollout_result result;
    nm_error error;
    nm_error_clear(&error);
    if (nm_rollout(scene, &config, STEPS, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_destroy(scene);
    return result.scene;
}

static nm_episode_config config_of(nm_kind kind) {
    nm_episode_config config = nm_episode_config_default();
    config.deadline = 0.0f; // nothing here depends on how busy the machine is
    config.start_step = START;
    config.adversary = (int)kind;
    config.keep_scene = 1;
    return config;
}

static nm_episode run_with(nm_episode_work *work, const nm_scene *scene, nm_planner *planner,
                           const nm_episode_config *config) {
    nm_episode out;
    nm_error error;
    nm_error_clear(&error);
    if (nm_episode_run(work, scene, planner, config, &out, &error) != NM_OK) fail_msg("%s", error.message);
    return out;
}

// --- what holds of every adversary -----------------------------------------------------------------------------------

static nm_box box_at(const nm_scene *scene, uint32_t track, uint32_t step) {
    nm_box box;
    assert_true(nm_scene_box(scene, track, step, &box));
    return box;
}

/// Somebody new: not near the ego at the start, with a past without gaps, and not on anybody in it.
static void check_newcomer(const nm_episode *e, const nm_scene *base) {
    const nm_scene *driven = e->scene;
    const nm_track *info = &driven->tracks[e->adversary];
    assert_int_equal(e->adversary, base->track_count);
    assert_int_equal(driven->track_count, base->track_count + 1);
    assert_true(info->flags & NM_TRACK_GENERATED);
    for (uint32_t i = 0; i < base->track_count; i++)
        assert_true(driven->tracks[i].source_id != info->source_id && !(driven->tracks[i].flags & NM_TRACK_ADVERSARY));
    const nm_box ego = box_at(driven, e->ego_track, START), own = box_at(driven, e->adversary, START);
    assert_true(nm_box_distance(&ego, &own) >= 10.0f - 1e-3f);
    assert_true(nm_ttc(&ego, &own, 3.0f) >= 3.0f - 1e-3f);
    assert_true(info->first_step + 10 <= START);
    for (uint32_t step = info->first_step; step <= START; step++) {
        const nm_box before = box_at(driven, e->adversary, step);
        for (uint32_t i = 0; i < base->track_count; i++) {
            nm_box other;
            if (nm_scene_box(base, i, step, &other) && nm_box_overlap(&before, &other))
                fail_msg("track %u is on %u at %u", e->adversary, i, step);
        }
    }
}

/// Somebody recorded: what it was until the start.
static void check_recorded(const nm_episode *e, const nm_scene *base) {
    const nm_scene *driven = e->scene;
    assert_int_equal(driven->track_count, base->track_count);
    for (uint32_t step = 0; step <= START; step++) {
        const size_t at = nm_scene_at(base, e->adversary, step), there = nm_scene_at(driven, e->adversary, step);
        assert_int_equal(base->valid[at], driven->valid[there]);
        if (base->valid[at]) {
            assert_float_equal(base->x[at], driven->x[there], 1e-3);
            assert_float_equal(base->y[at], driven->y[there], 1e-3);
        }
    }
}

/// Until it touches somebody it moves as its kind of road user can: speed by displacement changes by no more than full
/// braking, and nobody jumps.
static void check_motion(const nm_episode *e) {
    const nm_scene *driven = e->scene;
    float before = -1;
    for (uint32_t step = START; step + 1 < driven->step_count; step++) {
        const size_t at = nm_scene_at(driven, e->adversary, step);
        if (!driven->valid[at] || !driven->valid[at + 1]) return;
        const float speed = hypotf(driven->x[at + 1] - driven->x[at], driven->y[at + 1] - driven->y[at]) / 0.1f;
        if (before >= 0 && fabsf(speed - before) > 0.1f * 9.81f + 0.25f)
            fail_msg("from %.2f to %.2f m/s at step %u", (double)before, (double)speed, step);
        assert_true(cosf(driven->heading[at + 1] - driven->heading[at]) > cosf(0.3f));
        before = speed;
        const nm_box own = box_at(driven, e->adversary, step + 1);
        for (uint32_t i = 0; i < driven->track_count; i++) {
            nm_box other;
            if (i != e->adversary && nm_scene_box(driven, i, step + 1, &other) && nm_box_overlap(&own, &other)) return;
        }
    }
}

/// What the episode says of it, measured anew.
static void check_outcome(const nm_episode *e, nm_kind kind, nm_arena *arena) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind);
    const uint32_t actor = spec->actor == NM_ROLE_EGO ? e->ego_track : e->adversary;
    const nm_detect_params params = nm_detect_params_default();
    nm_event *events;
    size_t count;
    int seen = 0, met = 0;
    assert_int_equal(nm_detect(e->scene, &params, arena, &events, &count, NULL, NULL), NM_OK);
    for (size_t i = 0; i < count; i++) seen |= events[i].kind == kind && events[i].actor == actor;
    if (e->staged) assert_true(seen);
    for (uint32_t step = START + 1; step < e->scene->step_count; step++) {
        nm_box ego, own;
        met |= nm_scene_box(e->scene, e->ego_track, step, &ego) && nm_scene_box(e->scene, e->adversary, step, &own) &&
               nm_box_overlap(&ego, &own);
    }
    assert_int_equal(met, e->met);
    assert_true(!met || e->avoid != NM_AVOID_NO_CONFLICT);
    assert_true(e->scene->tracks[e->adversary].flags & NM_TRACK_ADVERSARY);
    assert_non_null(strstr(e->scene->provenance.parameters, nm_kind_name(kind)));
}

static void check(const nm_episode *e, const nm_scene *base, nm_kind kind, nm_arena *arena) {
    assert_string_equal(e->reason, "");
    assert_non_null(e->scene);
    assert_true(e->adversary != NM_NONE && e->adversary != e->ego_track);
    if (e->adversary < base->track_count)
        check_recorded(e, base);
    else
        check_newcomer(e, base);
    check_motion(e);
    check_outcome(e, kind, arena);
}

// --- each kind -------------------------------------------------------------------------------------------------------

typedef struct kind_case {
    nm_kind kind;
    const char *map, *planner;
    uint64_t seed; ///< of the first recording
    uint32_t recordings;
} kind_case;

static const kind_case cases[] = {
    {NM_KIND_CUT_IN, "highway:lanes=3,density=10", "idm", 1, 6},
    {NM_KIND_HARD_BRAKE, "highway:lanes=3,density=10", "idm", 1, 6},
    {NM_KIND_REAR_END, "highway:lanes=3,density=10", "idm", 1, 6},
    {NM_KIND_LEAD_STOPPED, "crosswalk:density=6", "constant_velocity", 1, 8},
    {NM_KIND_MERGE_CONFLICT, "on_ramp:density=8", "pdm", 1, 24},
    {NM_KIND_UNPROTECTED_LEFT_TURN, "junction_signal:density=8", "idm", 1, 16},
    {NM_KIND_CROSSING_CONFLICT, "junction_priority:density=8", "constant_velocity", 1, 16},
    {NM_KIND_RED_LIGHT_RUNNER, "junction_signal:lanes=2,density=8", "constant_velocity", 1, 24},
    {NM_KIND_RIGHT_TURN_CONFLICT, "junction_priority:lanes=2,density=12", "constant_velocity", 1, 40},
    {NM_KIND_PEDESTRIAN_CROSSING, "crosswalk:density=6", "idm", 1, 6},
    {NM_KIND_CYCLIST_CROSSING, "crosswalk:density=6", "idm", 1, 6},
    {NM_KIND_WRONG_WAY, "highway:lanes=2,density=6", "idm", 1, 8},
    {NM_KIND_TAILGATE, "highway:lanes=2,density=6", "idm", 1, 6},
    {NM_KIND_LANE_DRIFT, "highway:lanes=3,density=10", "idm", 1, 16},
    {NM_KIND_HEAD_ON, "junction_priority:density=6", "idm", 1, 8},
    {NM_KIND_PARKED_PULL_OUT, "crosswalk:density=6", "idm", 1, 8},
    {NM_KIND_BLOCKED_LANE, "crosswalk:density=6", "idm", 1, 10},
    {NM_KIND_SUDDEN_U_TURN, "crosswalk:lanes=3,density=4", "idm", 1, 10},
};

/// Until it came about once.
static void each_kind_comes_about_somewhere(void **state) {
    (void)state;
    nm_arena *arena = nm_arena_create(0);
    nm_episode_work *work = nm_episode_work_create();
    uint32_t recorded = 0, newcomers = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const kind_case *c = &cases[i];
        nm_planner *planner = planner_named(c->planner);
        const nm_episode_config config = config_of(c->kind);
        int staged = 0;
        for (uint32_t k = 0; !staged && k < c->recordings; k++) {
            const nm_scene *base = recording_of(c->map, c->seed + k);
            const nm_episode e = run_with(work, base, planner, &config);
            if (e.outcome == NM_EPISODE_DONE) {
                check(&e, base, c->kind, arena);
                staged = e.staged;
                recorded += e.adversary < base->track_count;
                newcomers += e.adversary >= base->track_count;
            } else {
                assert_int_equal(e.outcome, NM_EPISODE_UNFIT);
                assert_true(e.adversary == NM_NONE && !e.scene && !e.staged && !e.met);
            }
            nm_scene_destroy(e.scene);
            nm_scene_destroy(base);
        }
        if (!staged) fail_msg("%s never came about on %s", nm_kind_name(c->kind), c->map);
        nm_planner_destroy(planner);
    }
    assert_true(recorded > 0 && newcomers > 0);
    nm_episode_work_destroy(work);
    nm_arena_destroy(arena);
}

/// Of kinds whose manoeuvre is close to the ego from its beginning on, on roads on which nobody recorded fits.
static void newcomers_come_from_afar(void **state) {
    (void)state;
    static const nm_kind kinds[] = {NM_KIND_TAILGATE, NM_KIND_LANE_DRIFT, NM_KIND_HARD_BRAKE, NM_KIND_REAR_END};
    nm_arena *arena = nm_arena_create(0);
    nm_episode_work *work = nm_episode_work_create();
    nm_planner *planner = planner_named("idm");
    uint32_t newcomers = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        const nm_scene *base = recording_of("highway:lanes=2,density=3", seed);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            const nm_episode_config config = config_of(kinds[i]);
            const nm_episode e = run_with(work, base, planner, &config);
            if (e.outcome == NM_EPISODE_DONE) {
                check(&e, base, kinds[i], arena);
                newcomers += e.adversary == base->track_count;
            }
            nm_scene_destroy(e.scene);
        }
        nm_scene_destroy(base);
    }
    assert_true(newcomers >= 12);
    nm_planner_destroy(planner);
    nm_episode_work_destroy(work);
    nm_arena_destroy(arena);
}

static void each_kind_is_steerable_or_says_why_not(void **state) {
    (void)state;
    uint32_t in_table = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) in_table |= 1u << cases[i].kind;
    for (int kind = 0; kind < NM_KIND_COUNT; kind++) {
        nm_error error;
        nm_error_clear(&error);
        const nm_status status = nm_adversary_check((nm_kind)kind, &error);
        assert_int_equal(nm_adversary_steers((nm_kind)kind), in_table >> kind & 1u);
        assert_int_equal(status, nm_adversary_steers((nm_kind)kind) ? NM_OK : NM_E_UNSUPPORTED);
        if (status == NM_OK) continue;
        assert_non_null(strstr(error.message, nm_kind_name((nm_kind)kind)));
        assert_non_null(strstr(error.message, "cut_in, hard_brake"));
        nm_episode_config config = config_of((nm_kind)kind);
        assert_int_equal(nm_episode_check(&config, &error), NM_E_UNSUPPORTED);
    }
    nm_episode_config config = config_of(NM_KIND_CUT_IN);
    config.adversary = NM_KIND_COUNT;
    assert_int_equal(nm_episode_check(&config, NULL), NM_E_ARGUMENT);
}

// --- the same again --------------------------------------------------------------------------------------------------

static void same_again_is_the_same(void **state) {
    (void)state;
    const nm_scene *base = recording_of("highway:lanes=3,density=10", 4),
                   *other = recording_of("crosswalk:density=6", 2);
    nm_episode_work *work = nm_episode_work_create(), *fresh = nm_episode_work_create();
    nm_planner *planner = planner_named("idm");
    nm_episode_config config = config_of(NM_KIND_HARD_BRAKE), between = config_of(NM_KIND_PEDESTRIAN_CROSSING);
    const nm_episode first = run_with(work, base, planner, &config);
    const nm_episode beside = run_with(work, other, planner, &between); // what lies in the work before means nothing
    const nm_episode again = run_with(work, base, planner, &config), alone = run_with(fresh, base, planner, &config);
    assert_int_equal(first.outcome, NM_EPISODE_DONE);
    assert_true(first.scene->hash == again.scene->hash && first.scene->hash == alone.scene->hash);
    assert_true(first.score.score == alone.score.score && first.staged == alone.staged && first.avoid == alone.avoid);
    int differs = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        config.seed = seed;
        const nm_episode another = run_with(work, base, planner, &config);
        differs |= another.scene && another.scene->hash != first.scene->hash;
        nm_scene_destroy(another.scene);
    }
    assert_true(differs);
    nm_scene_destroy(first.scene);
    nm_scene_destroy(beside.scene);
    nm_scene_destroy(again.scene);
    nm_scene_destroy(alone.scene);
    nm_planner_destroy(planner);
    nm_episode_work_destroy(work);
    nm_episode_work_destroy(fresh);
    nm_scene_destroy(base);
    nm_scene_destroy(other);
}

static void a_scene_without_a_place_says_so(void **state) {
    (void)state;
    const nm_scene *base = recording_of("highway:lanes=3,density=10", 4);
    nm_episode_work *work = nm_episode_work_create();
    nm_planner *planner = planner_named("idm");
    nm_episode_config config = config_of(NM_KIND_PEDESTRIAN_CROSSING);
    nm_episode e = run_with(work, base, planner, &config);
    assert_int_equal(e.outcome, NM_EPISODE_UNFIT);
    assert_string_equal(e.reason, "no place for pedestrian_crossing");
    config = config_of(NM_KIND_HARD_BRAKE);
    config.seconds = 2.0f; // too short for anything
    e = run_with(work, base, planner, &config);
    assert_string_equal(e.reason, "no place for hard_brake");
    nm_planner_destroy(planner);
    nm_episode_work_destroy(work);
    nm_scene_destroy(base);
}

// --- planners --------------------------------------------------------------------------------------------------------

/// Drives at its speed for `good` answers, then says nothing; `begun` counts drives.
typedef struct mind {
    uint32_t good, answers, begun;
    float most_speed; ///< answers with this speed from the second drive on; 0: as in the first
} mind;

static void *make(const char *config, char *error, size_t size) {
    (void)config, (void)error, (void)size;
    return NULL;
}

static int begin(void *planner, const nm_planner_scenario *scenario, char *error, size_t size) {
    (void)scenario, (void)error, (void)size;
    ((mind *)planner)->begun++;
    return 0;
}

static int plan(void *planner, const nm_planner_observation *seen, nm_planner_output *output, char *error,
                size_t size) {
    mind *m = planner;
    const nm_planner_pose from = seen->ego.rear_axle;
    const float now = seen->ego.rear_axle_speed_ahead;
    (void)error, (void)size;
    if (m->answers++ >= m->good) return 0;
    float way = 0, speed = now;
    for (uint32_t i = 0; i <= 20; ++i) {
        if (i && m->begun > 1 && m->most_speed > 0) speed = fmaxf(speed - 0.3f, fminf(now, m->most_speed));
        way += i ? 0.1f * speed : 0;
        output->points[output->point_count++] =
            (nm_planner_trajectory_point){0.1f * (float)i,
                                          {from.x_scene + way * cosf(from.heading_scene),
                                           from.y_scene + way * sinf(from.heading_scene), from.heading_scene},
                                          speed};
    }
    output->answer = NM_PLANNER_TRAJECTORY;
    return 0;
}

static const nm_planner_vtable table = {.abi = NM_PLANNER_ABI,
                                        .size = sizeof(nm_planner_vtable),
                                        .name = "test",
                                        .create = make,
                                        .begin = begin,
                                        .plan = plan};

static nm_episode run_mind(const nm_scene *base, mind *m, const nm_episode_config *config) {
    nm_planner *planner = NULL;
    nm_episode_work *work = nm_episode_work_create();
    assert_int_equal(nm_planner_adopt(&table, NULL, m, &planner, NULL), NM_OK);
    const nm_episode e = run_with(work, base, planner, config);
    nm_planner_destroy(planner);
    nm_episode_work_destroy(work);
    return e;
}

static void a_planner_may_fail_in_either_drive(void **state) {
    (void)state;
    const nm_scene *base = recording_of("highway:lanes=3,density=10", 4);
    const nm_episode_config config = config_of(NM_KIND_TAILGATE);
    mind m = {.good = 20};
    nm_episode e = run_mind(base, &m, &config);
    assert_int_equal(e.outcome, NM_EPISODE_FAILED);
    assert_non_null(strstr(e.reason, "without the adversary: "));
    assert_true(e.adversary == NM_NONE && m.begun == 1);
    m = (mind){.good = 1000000};
    e = run_mind(base, &m, &config);
    assert_int_equal(e.outcome, NM_EPISODE_DONE);
    const uint32_t all = m.answers, samples = e.samples;
    assert_int_equal(m.begun, 2);
    nm_scene_destroy(e.scene);
    m = (mind){.good = all - samples / 2}; // in the midst of the second drive
    e = run_mind(base, &m, &config);
    assert_int_equal(e.outcome, NM_EPISODE_FAILED);
    assert_null(strstr(e.reason, "without the adversary"));
    assert_true(e.adversary != NM_NONE && m.begun == 2);
    nm_scene_destroy(e.scene);
    nm_scene_destroy(base);
}

/// An ego that is slower than in the rehearsal is waited for: the pedestrian still crosses closely before it.
static void who_brakes_early_does_not_escape(void **state) {
    (void)state;
    int crossings = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        const nm_scene *base = recording_of("crosswalk:density=6", seed);
        const nm_episode_config config = config_of(NM_KIND_CYCLIST_CROSSING);
        mind fast = {.good = 1000000}, slow = {.good = 1000000, .most_speed = 9.0f};
        const nm_episode usual = run_mind(base, &fast, &config), later = run_mind(base, &slow, &config);
        if (usual.staged && later.outcome == NM_EPISODE_DONE) {
            assert_true(later.staged);
            crossings++;
        }
        nm_scene_destroy(usual.scene);
        nm_scene_destroy(later.scene);
        nm_scene_destroy(base);
    }
    assert_true(crossings >= 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_comes_about_somewhere),        cmocka_unit_test(newcomers_come_from_afar),
        cmocka_unit_test(each_kind_is_steerable_or_says_why_not), cmocka_unit_test(same_again_is_the_same),
        cmocka_unit_test(a_scene_without_a_place_says_so),        cmocka_unit_test(a_planner_may_fail_in_either_drive),
        cmocka_unit_test(who_brakes_early_does_not_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
