/// Criticality of scenes: nm_scene_evaluate against the pair functions applied to every pair and step, and
/// post-encroachment times worked by hand and stepped finely.
#include "base/arena.h"
#include "criticality_support.h"

static nm_criticality_params params;

/// A scene without a map, filled by hand.
typedef struct stage {
    nm_scene scene;
    nm_track *tracks;
    uint8_t *valid;
    float *fields[6]; ///< x, y, heading, vx, vy, length
    int own_length;   ///< per-step lengths are in use
} stage;

static stage stage_of(uint32_t tracks, uint32_t steps) {
    stage out = {.scene = {.dt = 0.1f, .step_count = steps, .track_count = tracks, .ego = NM_NONE}};
    size_t states = (size_t)tracks * steps;
    out.tracks = calloc(tracks + 1, sizeof *out.tracks);
    out.valid = calloc(states + 1, 1);
    for (int f = 0; f < 6; f++) out.fields[f] = calloc(states + 1, sizeof(float));
    for (uint32_t i = 0; i < tracks; i++)
        out.tracks[i] = (nm_track){.source_id = i, .length = 4, .width = 2, .type = NM_AGENT_CAR};
    return out;
}

static const nm_scene *scene_of(stage *from) {
    from->scene.tracks = from->tracks, from->scene.valid = from->valid;
    from->scene.x = from->fields[0], from->scene.y = from->fields[1], from->scene.heading = from->fields[2];
    from->scene.vx = from->fields[3], from->scene.vy = from->fields[4];
    from->scene.state_length = from->own_length ? from->fields[5] : NULL;
    return &from->scene;
}

static void strike(stage *s) {
    free(s->tracks), free(s->valid);
    for (int f = 0; f < 6; f++) free(s->fields[f]);
}

static void put(stage *s, uint32_t track, uint32_t step, double x, double y, double heading, double speed) {
    size_t at = nm_scene_at(&s->scene, track, step);
    s->valid[at] = 1;
    s->fields[0][at] = (float)x, s->fields[1][at] = (float)y, s->fields[2][at] = (float)heading;
    s->fields[3][at] = (float)(speed * cos(heading)), s->fields[4][at] = (float)(speed * sin(heading));
}

/// Straight at constant speed through (x, y) at step 0, over steps [from, to].
static void drive(stage *s, uint32_t track, uint32_t from, uint32_t to, double x, double y, double heading,
                  double speed) {
    for (uint32_t t = from; t <= to; t++) {
        double way = speed * 0.1 * t;
        put(s, track, t, x + way * cos(heading), y + way * sin(heading), heading, speed);
    }
}

static nm_arena *arena;

static float pet_of(stage *s, uint32_t first, uint32_t second, uint32_t *step) {
    float pet;
    nm_error error;
    size_t used = nm_arena_used(arena);
    assert_int_equal(nm_pet(scene_of(s), first, second, &params, arena, &pet, step, &error), NM_OK);
    assert_int_equal(nm_arena_used(arena), used);
    float same;
    assert_int_equal(nm_pet(scene_of(s), second, first, &params, arena, &same, NULL, &error), NM_OK);
    assert_near(pet, same, 0);
    return pet;
}

static const double quarter = 1.5707963267948966;

static void test_pet_of_crossing(void **state) {
    (void)state;
    uint32_t step;
    stage s = stage_of(2, 91);
    // a along x at 10 m/s, front at 2: covers y in [-1, 1]. b up along x = 20 at 5 m/s. The ground both cover is
    // [19, 21] x [-1, 1]. a's rear leaves it when 10 t - 2 = 21: 2.3 s. b's front comes when y0 + 2 + 5 t = -1.
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    drive(&s, 1, 0, 90, 20, -3 - 5 * 3.5, quarter, 5); // at 3.5 s
    assert_near(pet_of(&s, 0, 1, &step), 1.2, 1e-4);
    assert_true(step == 35 || step == 36);
    strike(&s);
    // b first: it leaves when y0 - 2 + 5 t = 1: 1 s, a comes at 1.7 s
    s = stage_of(2, 91);
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    drive(&s, 1, 0, 90, 20, 3 - 5 * 1.0, quarter, 5);
    assert_near(pet_of(&s, 0, 1, &step), 0.7, 1e-4);
    assert_true(step == 17 || step == 18); // just at a step: rounding decides
    params.pet_horizon = 0.69f;
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    assert_int_equal(step, NM_NONE);
    params.pet_horizon = 10;
    params.pet_margin = 0.5f; // a comes 0.5 + 0.5 m earlier, 0.1 s; b leaves 0.5 + 0.5 m later, 0.2 s
    assert_near(pet_of(&s, 0, 1, &step), 0.4, 1e-4);
    params.pet_margin = 0;
    strike(&s);
    // they never share ground: b stops short
    s = stage_of(2, 91);
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    drive(&s, 1, 0, 20, 20, -14, quarter, 5); // front at -14 + 2 + 10 = -2
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // on it together: a collision
    s = stage_of(2, 91);
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    drive(&s, 1, 0, 90, 20, -3 - 5 * 2.0, quarter, 5);
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // short and fast: a motorcycle jumps 4 m a step over a pedestrian's strip of 0.5 m, 1 s after him
    s = stage_of(2, 91);
    s.tracks[0] = (nm_track){.length = 2, .width = 0.8f, .type = NM_AGENT_MOTORCYCLE};
    s.tracks[1] = (nm_track){.length = 0.5f, .width = 0.5f, .type = NM_AGENT_PEDESTRIAN};
    drive(&s, 0, 0, 90, -100 + 1.3, 0, 0, 40);       // front at x = -0.25 when 40 t = 97.45: 2.43625 s
    drive(&s, 1, 0, 90, 0, -1.0 + 0.65, quarter, 1); // rear at y = 0.4 when t - 0.6 = 0.4: 1 s
    assert_near(pet_of(&s, 0, 1, &step), 1.43625, 1e-4);
    strike(&s);
}

static void test_pet_of_following_and_merging(void **state) {
    (void)state;
    uint32_t step;
    stage s = stage_of(2, 91);
    // one behind the other, the second passing where the first began
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    drive(&s, 1, 0, 90, -25, 0.3, 0, 12);
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // the leader's track has a gap: its second beginning is no arrival either
    s = stage_of(2, 91);
    drive(&s, 0, 0, 20, 0, 0, 0, 10);
    drive(&s, 0, 50, 90, 0, 0, 0, 10);
    drive(&s, 1, 0, 90, -25, 0.3, 0, 10);
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // merging at 10 degrees: b's path meets the lane of a from the right. b's left side touches a's strip (y = -1)
    // where its front left corner does: the corner is 2 m ahead and 1 m left of its centre
    s = stage_of(2, 91);
    const double angle = 10 * quarter / 90, corner_y = 2 * sin(angle) + cos(angle),
                 corner_x = 2 * cos(angle) - sin(angle);
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    // b's corner gets to y = -1 at 4 s, at x = 25: a's rear has left x = 25 at 2.7 s
    drive(&s, 1, 0, 90, 25 - corner_x - 40 * cos(angle), -1 - corner_y - 40 * sin(angle), angle, 10);
    assert_near(pet_of(&s, 0, 1, &step), 1.3, 0.02);
    assert_true(step == 40 || step == 41);
    strike(&s);
    // a change of lane behind the other, then following: the time at the change, not the headway after it (a brakes)
    s = stage_of(2, 91);
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    for (uint32_t t = 0; t <= 90; t++) {
        double way = 10 * 0.1 * t, y = t < 20 ? 3.0 : t < 50 ? 3.0 - 0.1 * (t - 20) : 0.0;
        put(&s, 1, t, -20 + way, y, 0, 10); // y = 2 at step 30: a left there (20 - 4) / 10 = 1.6 s ago
    }
    assert_near(pet_of(&s, 0, 1, &step), 1.6, 1e-3);
    assert_true(step == 30 || step == 31);
    strike(&s);
    // around a corner, 2 s behind: following still
    s = stage_of(2, 91);
    for (uint32_t t = 0; t <= 90; t++)
        for (uint32_t i = 0; i < 2; i++) {
            double way = 8 * 0.1 * t - (i ? 16 : 0), bend = 10.0; // radius; begins at way 20
            double turned = way < 20 ? 0 : way < 20 + bend * quarter ? (way - 20) / bend : quarter;
            double x = way < 20 ? way : 20 + bend * sin(turned), y = way < 20 ? 0 : bend * (1 - cos(turned));
            if (way > 20 + bend * quarter) y += way - 20 - bend * quarter;
            put(&s, i, t, x, y, turned, 8);
        }
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // turning onto the road of another: an arrival by crossing
    s = stage_of(2, 91);
    drive(&s, 0, 0, 90, -10, 0, 0, 10);
    for (uint32_t t = 0; t <= 90; t++) {
        double way = 6 * 0.1 * t, bend = 6.0,
               turned = way < 10                    ? 0
                        : way < 10 + bend * quarter ? (way - 10) / bend
                                                    : quarter;
        double y = way < 10 ? way - 16 : -bend * (1 - sin(turned)), x = way < 10 ? 0 : bend * (1 - cos(turned));
        if (turned == quarter) x += way - 10 - bend * quarter, y = 0;
        put(&s, 1, t, x, y, quarter - turned, 6);
    }
    float pet = pet_of(&s, 0, 1, &step);
    assert_true(pet > 0.2f && pet < 2.5f);
    strike(&s);
    // closing up to half a metre, less than a step of driving: still only following
    s = stage_of(2, 91);
    for (uint32_t t = 0; t <= 90; t++) put(&s, 0, t, t < 50 ? 1.3 * t : 65 + 1.0 * (t - 50), 0, 0, t < 50 ? 13 : 10);
    drive(&s, 1, 0, 90, 19.5, 0, 0, 10);
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // appearing, or appearing again, on ground that another has crossed before is no arrival
    s = stage_of(2, 91);
    drive(&s, 0, 0, 90, 0, 0, 0, 10);
    drive(&s, 1, 45, 60, 20, -22.5, quarter, 5);
    drive(&s, 1, 70, 90, 30, -35, quarter, 5);
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
    // no valid step at all
    s = stage_of(2, 10);
    drive(&s, 0, 0, 9, 0, 0, 0, 10);
    assert_near(pet_of(&s, 0, 1, &step), INFINITY, 0);
    strike(&s);
}

/// Crossings at random angles against fine stepping of "when did it last cover this ground".
static void test_pet_against_fine_steps(void **state) {
    (void)state;
    draws from = draws_of(6);
    int seen = 0;
    for (int n = 0; n < 60; n++) {
        stage s = stage_of(2, 61);
        double heading[2] = {0, draw(&from, 0.8f, 2.3f)}, speed[2] = {draw(&from, 5, 15), draw(&from, 5, 15)};
        for (uint32_t i = 0; i < 2; i++) {
            double cross = draw(&from, 2, 4) * speed[i]; // way to the crossing of the paths
            drive(&s, i, 0, 60, -cross * cos(heading[i]), -cross * sin(heading[i]), heading[i], speed[i]);
        }
        float pet = pet_of(&s, 0, 1, NULL);
        // boxes at times 0.03 s apart, either one later: least positive lag with overlap
        const double fine = 0.03;
        double least = INFINITY;
        int together = 0;
        nm_box box[2];
        assert_true(nm_scene_box(&s.scene, 0, 0, &box[0]) && nm_scene_box(&s.scene, 1, 0, &box[1]));
        for (int i = 0; i <= 200; i++)
            for (int j = 0; j <= 200; j++) {
                double lag = abs(i - j) * fine;
                if (lag >= least) continue;
                nm_box a = moved(box[0], i * fine), b = moved(box[1], j * fine);
                if (nm_box_overlap(&a, &b)) least = lag, together |= i == j;
            }
        if (together || least == INFINITY) {
            strike(&s);
            continue;
        }
        seen++;
        if (pet == INFINITY ? least > 0.1 : fabs(pet - least) > 2 * fine + 1e-3)
            fail_msg("pet %g, stepped %g", pet, least);
        strike(&s);
    }
    printf("%d crossings\n", seen);
    assert_true(seen > 25);
}

// --- whole scenes ----------------------------------------------------------------------------------------------------

/// What the header promises, literally.
static void summarise(const nm_scene *scene, uint32_t i, uint32_t j, uint32_t from, uint32_t to, float range,
                      nm_pair_summary *out, int *seen, uint32_t *collision) {
    *out = (nm_pair_summary){.min_ttc = INFINITY,
                             .min_ttc_projected = INFINITY,
                             .min_distance = INFINITY,
                             .min_thw = INFINITY,
                             .min_ttce_dce = INFINITY,
                             .min_ttb = INFINITY,
                             .min_tts = INFINITY,
                             .min_ttr = INFINITY,
                             .min_ttc_step = NM_NONE,
                             .min_distance_step = NM_NONE,
                             .max_drac_step = NM_NONE};
    *seen = 0, *collision = NM_NONE;
    for (uint32_t t = from; t <= to; t++) {
        nm_box a, b;
        if (!nm_scene_box(scene, i, t, &a) || !nm_scene_box(scene, j, t, &b)) continue;
        float dx = b.x - a.x, dy = b.y - a.y;
        if (dx * dx + dy * dy > range * range) continue;
        *seen = 1;
        float ttc = nm_ttc(&a, &b, params.ttc_horizon), distance = nm_box_distance(&a, &b);
        if (ttc < out->min_ttc) out->min_ttc = ttc, out->min_ttc_step = t;
        if (ttc < params.ttc_threshold) out->tet += 0.1f, out->tit += 0.1f * (params.ttc_threshold - ttc);
        if (distance < out->min_distance) out->min_distance = distance, out->min_distance_step = t;
        float projected = nm_ttc_projected(&a, &b, &params);
        if (projected < out->min_ttc_projected) out->min_ttc_projected = projected;
        nm_following f[2] = {nm_follow(&a, &b, &params), nm_follow(&b, &a, &params)};
        for (int k = 0; k < 2; k++) {
            if (f[k].thw < out->min_thw) out->min_thw = f[k].thw;
            if (f[k].ittc > out->max_ittc) out->max_ittc = f[k].ittc;
            if (f[k].drac > out->max_drac) out->max_drac = f[k].drac, out->max_drac_step = t;
        }
        float ttce, dce, ttb[2], tts[2], ttr[2];
        nm_closest_approach(&a, &b, params.ttc_horizon, &ttce, &dce);
        if (dce < out->min_ttce_dce) out->min_ttce_dce = dce;
        nm_time_to_react(&a, &b, &params, &ttb[0], &tts[0], &ttr[0]);
        nm_time_to_react(&b, &a, &params, &ttb[1], &tts[1], &ttr[1]);
        out->min_ttb = fminf(out->min_ttb, fmaxf(ttb[0], ttb[1]));
        out->min_tts = fminf(out->min_tts, fmaxf(tts[0], tts[1]));
        out->min_ttr = fminf(out->min_ttr, fmaxf(ttr[0], ttr[1]));
        if (nm_rss_dangerous(&a, &b, &params)) out->rss_exposed += 0.1f;
        if (*collision == NM_NONE && nm_box_overlap(&a, &b)) *collision = t;
    }
}

static void compare(const nm_pair_summary *got, const nm_pair_summary *want) {
    assert_near(got->min_ttc, want->min_ttc, 0);
    assert_int_equal(got->min_ttc_step, want->min_ttc_step);
    assert_near(got->min_ttc_projected, want->min_ttc_projected, 0);
    assert_near(got->min_distance, want->min_distance, 0);
    assert_int_equal(got->min_distance_step, want->min_distance_step);
    assert_near(got->min_thw, want->min_thw, 0);
    assert_near(got->max_drac, want->max_drac, 0);
    assert_int_equal(got->max_drac_step, want->max_drac_step);
    assert_near(got->max_ittc, want->max_ittc, 0);
    assert_near(got->min_ttce_dce, want->min_ttce_dce, 0);
    assert_near(got->min_ttb, want->min_ttb, 0);
    assert_near(got->min_tts, want->min_tts, 0);
    assert_near(got->min_ttr, want->min_ttr, 0);
    assert_near(got->tet, want->tet, 1e-3);
    assert_near(got->tit, want->tit, 1e-3);
    assert_near(got->rss_exposed, want->rss_exposed, 1e-3);
}

/// Evaluates and compares with the definition over every pair; returns how many pairs there were.
static uint32_t check(stage *s, uint32_t from, uint32_t to, float range) {
    const nm_scene *scene = scene_of(s);
    nm_scene_criticality got;
    nm_error error;
    nm_arena_mark mark = nm_arena_get_mark(arena);
    assert_int_equal(nm_scene_evaluate(scene, from, to, range, &params, arena, &got, &error), NM_OK);
    uint32_t pair = 0, collisions = 0;
    float min_ttc = INFINITY, min_distance = INFINITY, max_drac = 0, tet = 0;
    if (to >= scene->step_count) to = scene->step_count - 1;
    for (uint32_t i = 0; i < scene->track_count; i++)
        for (uint32_t j = i + 1; j < scene->track_count; j++) {
            nm_pair_summary want;
            int seen;
            uint32_t collision;
            if (s->tracks[i].flags & s->tracks[j].flags & NM_TRACK_STATIC) continue;
            summarise(scene, i, j, from, to, range, &want, &seen, &collision);
            if (!seen) continue;
            assert_true(pair < got.pair_count);
            const nm_pair_summary *have = &got.pairs[pair++];
            assert_int_equal(have->first, i);
            assert_int_equal(have->second, j);
            compare(have, &want);
            min_ttc = fminf(min_ttc, want.min_ttc), min_distance = fminf(min_distance, want.min_distance);
            max_drac = fmaxf(max_drac, want.max_drac), tet = fmaxf(tet, want.tet);
            collisions += collision != NM_NONE;
            int found = 0;
            for (uint32_t k = 0; k < got.collision_count; k++)
                found += got.collisions[k].first == i && got.collisions[k].second == j &&
                         got.collisions[k].step == collision;
            assert_int_equal(found, collision != NM_NONE);
            float pet = INFINITY;
            if (from == 0 && to + 1 == scene->step_count && collision == NM_NONE) {
                assert_int_equal(nm_pet(scene, i, j, &params, arena, &pet, NULL, &error), NM_OK);
                if (range >= 1000) assert_near(have->pet, pet, 0);
            }
        }
    assert_int_equal(pair, got.pair_count);
    assert_int_equal(collisions, got.collision_count);
    assert_near(got.min_ttc, min_ttc, 0);
    assert_near(got.min_distance, min_distance, 0);
    assert_near(got.max_drac, max_drac, 0);
    assert_near(got.tet, tet, 1e-3);
    for (uint32_t k = 1; k < got.collision_count; k++)
        assert_true(got.collisions[k - 1].step <= got.collisions[k].step);
    if (min_ttc < INFINITY) {
        nm_box a, b;
        assert_true(nm_scene_box(scene, got.critical_first, got.critical_step, &a));
        assert_true(nm_scene_box(scene, got.critical_second, got.critical_step, &b));
        assert_near(nm_ttc(&a, &b, params.ttc_horizon), min_ttc, 0);
    } else {
        assert_int_equal(got.critical_step, NM_NONE);
    }
    nm_arena_release(arena, mark);
    return pair;
}

/// Traffic: lanes along x, some against, some across, some standing, some turning; gaps in some tracks.
static stage traffic(draws *from, uint32_t tracks, uint32_t steps, float length) {
    stage s = stage_of(tracks, steps);
    s.own_length = draw(from, 0, 1) < 0.3f;
    for (uint32_t i = 0; i < tracks; i++) {
        float kind = draw(from, 0, 1);
        double x = draw(from, 0, length), y = 3.5 * (int)draw(from, 0, 4) + draw(from, -0.4f, 0.4f);
        double heading = kind < 0.55f ? 0 : kind < 0.7f ? 3.14159 : kind < 0.85f ? draw(from, -3, 3) : 0.02;
        double speed = kind > 0.85f ? 0 : draw(from, 2, 20), turn = kind > 0.8f ? draw(from, -0.3f, 0.3f) : 0;
        uint32_t begin = draw(from, 0, 1) < 0.3f ? (uint32_t)draw(from, 0, steps * 0.6f) : 0;
        uint32_t end = draw(from, 0, 1) < 0.3f ? begin + (uint32_t)draw(from, 0, steps * 0.4f) : steps - 1;
        uint32_t hole = draw(from, 0, 1) < 0.2f ? (uint32_t)draw(from, 0, (float)steps) : steps;
        if (draw(from, 0, 1) < 0.05f) s.tracks[i].flags = NM_TRACK_STATIC;
        s.tracks[i].type = (uint8_t)draw(from, 0, NM_AGENT_TYPE_COUNT - 0.01f);
        s.tracks[i].length = draw(from, 0.5f, 12), s.tracks[i].width = draw(from, 0.5f, 2.5f);
        for (uint32_t t = 0; t < steps; t++) {
            speed = speed > 0 ? fmax(0, speed + draw(from, -0.2f, 0.2f)) : 0;
            heading += speed > 0 ? turn * 0.1 : 0;
            x += speed * 0.1 * cos(heading), y += speed * 0.1 * sin(heading);
            double wrapped = heading > 3.14159265 ? heading - 6.28318531 : heading;
            if (t >= begin && t <= end && (t < hole || t > hole + 3)) put(&s, i, t, x, y, wrapped, speed);
            s.fields[5][nm_scene_at(&s.scene, i, t)] = i % 3 ? 0 : s.tracks[i].length + 0.1f;
        }
    }
    return s;
}

static void test_scene_against_definition(void **state) {
    (void)state;
    draws from = draws_of(7);
    uint32_t pairs = 0;
    for (int n = 0; n < 24; n++) {
        const uint32_t steps[] = {91, 20, 200, 64, 65, 1};
        stage s = traffic(&from, n % 3 == 0 ? 24 : 9, steps[n % 6], n % 2 ? 120 : 400);
        pairs += check(&s, 0, n % 4 ? 1000000 : steps[n % 6] - 1, n % 2 ? 50 : n % 4 ? 100 : 1000);
        if (steps[n % 6] > 20) check(&s, 11, steps[n % 6] - 5, 70);
        strike(&s);
    }
    printf("%u pairs\n", pairs);
    assert_true(pairs > 1000);
}

/// States that have nothing to do with one another from step to step: no extreme is where another is.
static void test_unrelated_states(void **state) {
    (void)state;
    draws from = draws_of(10);
    for (int n = 0; n < 60; n++) {
        stage s = stage_of(2, 96);
        s.own_length = 1;
        for (uint32_t t = 0; t < 96; t++)
            for (uint32_t i = 0; i < 2; i++) {
                put(&s, i, t, draw(&from, -60, 60) * (i ? 1 : 0.3), draw(&from, -6, 6),
                    draw(&from, -0.6f, 0.6f) + (t % 3), draw(&from, 0, 20));
                s.fields[5][nm_scene_at(&s.scene, i, t)] = draw(&from, 0.5f, 9);
            }
        check(&s, 0, 94, 90);
        strike(&s);
    }
}

/// Places far away, jumps across the map, one spot, no tracks: nothing is lost and nothing breaks.
static void test_odd_scenes(void **state) {
    (void)state;
    draws from = draws_of(8);
    stage s = traffic(&from, 20, 91, 100);
    for (uint32_t t = 0; t < 91; t++) {
        put(&s, 3, t, t % 2 ? 1e5 : 50, t % 3 ? -1e5 : 5, 0, 10); // wide
        put(&s, 4, t, 3e30, 3e30, 0, 10);
        put(&s, 5, t, -3e30, 20, 0, 1e30);
        put(&s, 6, t, 50, 5, 1, 0), put(&s, 7, t, 50, 5, 1, 0); // coincident
    }
    check(&s, 0, 90, 80);
    check(&s, 0, 90, 1e6f);
    check(&s, 0, 90, 0.5f);
    strike(&s);
    s = stage_of(0, 0);
    assert_int_equal(check(&s, 0, 10, 100), 0);
    strike(&s);
    s = stage_of(3, 10); // no valid step
    assert_int_equal(check(&s, 0, 10, 100), 0);
    drive(&s, 0, 0, 9, 0, 0, 0, 10);
    assert_int_equal(check(&s, 0, 10, 100), 0);
    drive(&s, 1, 5, 5, 10, 0, 0, 10); // one common step, the spawn frame of one
    assert_int_equal(check(&s, 0, 10, 100), 1);
    assert_int_equal(check(&s, 0, 4, 100), 0);
    assert_int_equal(check(&s, 8, 2, 100), 0);
    strike(&s);
    // parked cars are not paired with each other, but with who passes
    s = stage_of(3, 10);
    for (uint32_t i = 0; i < 3; i++) drive(&s, i, 0, 9, 3 * i, 0, 0, 0);
    s.tracks[0].flags = s.tracks[1].flags = NM_TRACK_STATIC;
    assert_int_equal(check(&s, 0, 9, 100), 2);
    strike(&s);
    // the border of the range is in it
    s = stage_of(2, 10);
    drive(&s, 0, 0, 9, 0, 0, 0, 0);
    drive(&s, 1, 0, 9, 30, 40, 0, 0);
    assert_int_equal(check(&s, 0, 9, 50), 1);
    assert_int_equal(check(&s, 0, 9, 49.99f), 0);
    strike(&s);
}

/// What was recorded at the impact and after it says nothing of how they met.
static void test_collision_from_before(void **state) {
    (void)state;
    nm_scene_criticality got;
    nm_error error;
    nm_arena_mark mark = nm_arena_get_mark(arena);
    stage s = stage_of(4, 20);
    // 20 m/s towards a standing car at x = 24: contact after 1.0 s, 20 m; both stand from the next step on, 1 m deep
    drive(&s, 0, 0, 10, -0.5, 0, 0, 20);
    for (uint32_t t = 11; t < 20; t++) put(&s, 0, t, 21, 0, 0, 0);
    drive(&s, 1, 0, 19, 24, 0, 0, 0);
    // stands beside another, then is on top of it without ever having moved; they come into one another earlier
    drive(&s, 2, 0, 4, 0, 50, 0, 0), drive(&s, 2, 5, 19, 0, 53.5, 0, 0);
    drive(&s, 3, 0, 19, 1, 55, 0, 0);
    s.fields[4][nm_scene_at(&s.scene, 2, 5)] = 9; // a speed that it has only there
    s.tracks[0].type = NM_AGENT_TRUCK;
    assert_int_equal(nm_scene_evaluate(scene_of(&s), 0, 19, 20, &params, arena, &got, &error), NM_OK);
    assert_int_equal(got.collision_count, 2);
    const nm_collision *jump = &got.collisions[0], *crash = &got.collisions[1];
    assert_int_equal(jump->first, 2);
    assert_int_equal(jump->step, 5);
    assert_near(jump->impact_speed, 0, 0);
    assert_int_equal(jump->fault, NM_FAULT_UNKNOWN);
    assert_int_equal(jump->first_impact, NM_IMPACT_SIDE); // 0.5 m deep from the side, 3 m from the end
    assert_int_equal(crash->first, 0);
    assert_int_equal(crash->step, 11);
    assert_near(crash->impact_speed, 20, 1e-5);
    assert_near(crash->first_delta_v, 20.0 / 9, 1e-5);
    assert_near(crash->second_delta_v, 160.0 / 9, 1e-4);
    assert_near(crash->x, 22, 1e-3);
    assert_int_equal(crash->fault, NM_FAULT_FIRST);
    // the smallest TTC is 0 for both pairs: the earlier moment is the critical one
    assert_int_equal(got.critical_first, 2);
    assert_int_equal(got.critical_second, 3);
    assert_int_equal(got.critical_step, 5);
    assert_near(got.max_delta_v, 160.0 / 9, 1e-4);
    nm_arena_release(arena, mark);
    strike(&s);
}

/// Many tracks, few near each other: a line, a cross and a grid of them. Pairs are counted against a sorted sweep.
static void test_sparse_crowds(void **state) {
    (void)state;
    const uint32_t tracks = 2000;
    for (int shape = 0; shape < 3; shape++) {
        stage s = stage_of(tracks, 3);
        for (uint32_t i = 0; i < tracks; i++) {
            double x = shape == 0 ? 0 : shape == 1 ? (i % 2 ? i * 20.0 : 0) : (i % 55) * 60.0;
            double y = shape == 0 ? i * 20.0 : shape == 1 ? (i % 2 ? 0 : i * 20.0) : (i / 55) * 60.0;
            drive(&s, i, 0, 2, x, y, 0, 0);
        }
        uint32_t expected = 0;
        for (uint32_t i = 0; i < tracks; i++)
            for (uint32_t j = i + 1; j < tracks; j++) {
                float dx = s.fields[0][3 * i] - s.fields[0][3 * j], dy = s.fields[1][3 * i] - s.fields[1][3 * j];
                expected += dx * dx + dy * dy <= 70.0f * 70.0f;
            }
        nm_scene_criticality got;
        nm_error error;
        nm_arena_mark mark = nm_arena_get_mark(arena);
        assert_int_equal(nm_scene_evaluate(scene_of(&s), 0, 2, 70, &params, arena, &got, &error), NM_OK);
        assert_int_equal(got.pair_count, expected);
        assert_true(expected > tracks);
        nm_arena_release(arena, mark);
        strike(&s);
    }
}

static void test_memory_limit(void **state) {
    (void)state;
    draws from = draws_of(9);
    stage s = traffic(&from, 20, 30, 50);
    nm_arena *small = nm_arena_create(1000);
    nm_scene_criticality got;
    nm_error error;
    assert_int_equal(nm_scene_evaluate(scene_of(&s), 0, 29, 100, &params, small, &got, &error), NM_E_MEMORY);
    assert_int_equal(got.pair_count, 0);
    assert_string_not_equal(error.message, "");
    float pet;
    assert_int_equal(nm_pet(scene_of(&s), 0, 1, &params, small, &pet, NULL, &error), NM_E_MEMORY);
    nm_arena_destroy(small);
    strike(&s);
}

static void test_accelerations(void **state) {
    (void)state;
    stage s = stage_of(1, 6);
    for (uint32_t t = 0; t < 6; t++)
        if (t != 4) put(&s, 0, t, 0, 0, 0, 1.0 + 0.5 * t * t);
    nm_box box = {.ax = 9};
    assert_int_equal(nm_scene_box(scene_of(&s), 0, 1, &box), 1);
    assert_near(box.ax, (3.0 - 1.0) / 0.2, 1e-4); // (1 + 0.5 * 4 - 1) / 0.2
    assert_int_equal(nm_scene_box(scene_of(&s), 0, 0, &box), 1);
    assert_near(box.ax, 0, 0); // the first
    assert_int_equal(nm_scene_box(scene_of(&s), 0, 3, &box), 1);
    assert_near(box.ax, 0, 0); // before a gap
    assert_int_equal(nm_scene_box(scene_of(&s), 0, 5, &box), 1);
    assert_near(box.ax, 0, 0); // after it, and the last
    box.ax = 9;
    assert_int_equal(nm_scene_box(scene_of(&s), 0, 4, &box), 0);
    assert_near(box.ax, 9, 0);
    strike(&s);
}

static int make_arena(void **state) {
    (void)state;
    arena = nm_arena_create(0);
    return arena == NULL;
}
static int drop_arena(void **state) {
    (void)state;
    nm_arena_destroy(arena);
    return 0;
}

int main(void) {
    params = nm_criticality_params_default();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pet_of_crossing),        cmocka_unit_test(test_pet_of_following_and_merging),
        cmocka_unit_test(test_pet_against_fine_steps), cmocka_unit_test(test_scene_against_definition),
        cmocka_unit_test(test_unrelated_states),       cmocka_unit_test(test_odd_scenes),
        cmocka_unit_test(test_collision_from_before),  cmocka_unit_test(test_sparse_crowds),
        cmocka_unit_test(test_memory_limit),           cmocka_unit_test(test_accelerations),
    };
    return cmocka_run_group_tests(tests, make_arena, drop_arena);
}
