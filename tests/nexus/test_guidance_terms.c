/// Every energy of guidance: its gradient against central differences, its scale, and where it is zero.
#include "support.h"

#include "base/rng.h"
#include "guidance_slow.h"

enum { AGENTS = 5, TIMES = 7, COUNT = AGENTS * TIMES };

/// Five agents for seven times, dense enough to overlap, leave their lanes and drive wildly.
typedef struct world {
    nm_guide_view view;
    double state[NM_GUIDE_STATES][COUNT], length[COUNT], width[COUNT];
    double lane_x[COUNT], lane_y[COUNT], lane_cos[COUNT], lane_sin[COUNT], lane_half[COUNT];
    uint32_t previous[COUNT], next[COUNT], offsets[TIMES + 1], tokens[COUNT], foe[COUNT];
    uint8_t fixed[COUNT], on_lane[COUNT];
} world;

static double uniform(uint64_t seed, uint32_t *counter, double low, double high) {
    const nm_rng_key key = {.seed = seed, .purpose = NM_PURPOSE_TEST};
    return low + (high - low) * (double)nm_rng_uniform(&key, (*counter)++);
}

static void make_world(world *w, uint64_t seed) {
    uint32_t c = 0;
    memset(w, 0, sizeof *w);
    for (uint32_t n = 0; n < COUNT; n++) {
        const double turn = uniform(seed, &c, -3.0, 3.0), long_ = uniform(seed, &c, 0.85, 1.15);
        const double speed = uniform(seed, &c, 0.5, 25.0), course = turn + uniform(seed, &c, -0.4, 0.4);
        const double state[NM_GUIDE_STATES] = {
            uniform(seed, &c, -8.0, 8.0), uniform(seed, &c, -8.0, 8.0), long_ * cos(turn), long_ * sin(turn),
            speed * cos(course),          speed * sin(course)};
        for (int f = 0; f < NM_GUIDE_STATES; f++) w->state[f][n] = state[f];
        w->length[n] = uniform(seed, &c, 0.5, 12.0);
        w->width[n] = uniform(seed, &c, 0.5, 2.6);
        w->previous[n] = n % TIMES ? n - 1 : NM_NONE;
        w->next[n] = n % TIMES + 1 < TIMES ? n + 1 : NM_NONE;
        w->tokens[n] = n % AGENTS * TIMES + n / AGENTS; // n-th by time, then agent
        w->foe[n] = NM_NONE;
        w->on_lane[n] = n % 3 != 0;
        const double lane = uniform(seed, &c, -3.0, 3.0);
        w->lane_x[n] = state[0] + uniform(seed, &c, -3.0, 3.0);
        w->lane_y[n] = state[1] + uniform(seed, &c, -3.0, 3.0);
        w->lane_cos[n] = cos(lane);
        w->lane_sin[n] = sin(lane);
        w->lane_half[n] = uniform(seed, &c, 0.5, 1.5);
    }
    for (uint32_t t = 0; t <= TIMES; t++) w->offsets[t] = t * AGENTS;
    w->view = (nm_guide_view){.count = COUNT,
                              .dt = 0.5,
                              .length = w->length,
                              .width = w->width,
                              .previous = w->previous,
                              .next = w->next,
                              .group_count = TIMES,
                              .group_offsets = w->offsets,
                              .group_tokens = w->tokens,
                              .foe = w->foe,
                              .fixed = w->fixed,
                              .on_lane = w->on_lane,
                              .lane_x = w->lane_x,
                              .lane_y = w->lane_y,
                              .lane_cos = w->lane_cos,
                              .lane_sin = w->lane_sin,
                              .lane_half = w->lane_half};
    for (int f = 0; f < NM_GUIDE_STATES; f++) w->view.state[f] = w->state[f];
}

typedef double energy(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]);

static double overlap(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    return nm_energy_overlap(view, 0.2, gradient);
}
static double smooth(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    return nm_energy_smooth(view, 1, gradient);
}
static double smoother(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    return nm_energy_smooth(view, 3, gradient);
}
static double kinematic(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    return nm_energy_kinematic(view, TIMES, 6.0, 0.05, gradient) + nm_energy_kinematic(view, 0, 6.0, 0.05, gradient);
}
static double conflict(const nm_guide_view *view, double *const gradient[NM_GUIDE_STATES]) {
    const nm_conflict_target any = {3.0, -2.0, 0.6, 0.8, -1.0}, at_speed = {1.0, 4.0, -0.8, 0.6, 7.0};
    return nm_energy_conflict(view, 0, 5, &any, gradient) +
           nm_energy_conflict(view, TIMES + 2, TIMES + 6, &at_speed, gradient);
}

static const struct {
    const char *name;
    energy *energy;
    double step; ///< share of a full one that must lead down; of overlap little, as five agents meet at once
} terms[] = {{"overlap", overlap, 0.1},
             {"road", nm_energy_road, 1.0},
             {"smooth", smooth, 1.0},
             {"smoother", smoother, 1.0},
             {"consistent", nm_energy_consistent, 1.0},
             {"kinematic", kinematic, 0.5},
             {"conflict", conflict, 1.0}};
#define TERM_COUNT (sizeof terms / sizeof *terms)

static double gradient_store[2][NM_GUIDE_STATES][COUNT];
static double *const exact[NM_GUIDE_STATES] = {gradient_store[0][0], gradient_store[0][1], gradient_store[0][2],
                                               gradient_store[0][3], gradient_store[0][4], gradient_store[0][5]};
static double *const unused[NM_GUIDE_STATES] = {gradient_store[1][0], gradient_store[1][1], gradient_store[1][2],
                                                gradient_store[1][3], gradient_store[1][4], gradient_store[1][5]};

static void gradients_are_those_of_the_energies(void **state) {
    (void)state;
    static world w;
    for (size_t t = 0; t < TERM_COUNT; t++) {
        int counted = 0;
        for (uint64_t seed = 1; seed <= 20; seed++) {
            make_world(&w, seed);
            memset(gradient_store, 0, sizeof gradient_store);
            const double value = terms[t].energy(&w.view, exact);
            assert_true(value >= 0.0);
            for (int i = 0; i < NM_GUIDE_STATES * COUNT; i++) {
                double *x = &w.state[i / COUNT][i % COUNT], kept = *x;
                const double h = 1e-5;
                *x = kept + h;
                const double above = terms[t].energy(&w.view, unused);
                *x = kept - h;
                const double below = terms[t].energy(&w.view, unused);
                *x = kept;
                const double slope = (above - below) / (2.0 * h), got = exact[i / COUNT][i % COUNT];
                if (fabs(slope - got) > 1e-4 + 1e-6 * fabs(got))
                    fail_msg("%s, seed %d, field %d of token %d: %g, differences %g", terms[t].name, (int)seed,
                             i / COUNT, i % COUNT, got, slope);
                counted += got != 0.0;
            }
        }
        if (counted < 300) fail_msg("%s was hardly tested: %d slopes", terms[t].name, counted);
    }
}

/// The scale that the header promises: a full step in the energies' units leads down, everywhere.
static void full_steps_lead_down(void **state) {
    (void)state;
    static world w;
    const double unit2[3] = {1.0, NM_GUIDE_ARM * NM_GUIDE_ARM, 0.25};
    for (size_t t = 0; t < TERM_COUNT; t++) {
        for (uint64_t seed = 1; seed <= 40; seed++) {
            make_world(&w, seed);
            double before = INFINITY;
            for (int i = 0; i < 10; i++) {
                memset(gradient_store, 0, sizeof gradient_store);
                const double now = terms[t].energy(&w.view, exact);
                if (now > before * (1.0 + 1e-9) + 1e-15)
                    fail_msg("%s, seed %d: step %d leads from %g up to %g", terms[t].name, (int)seed, i, before, now);
                before = now;
                for (int k = 0; k < NM_GUIDE_STATES * COUNT; k++)
                    w.state[k / COUNT][k % COUNT] -= terms[t].step / unit2[k / COUNT / 2] * exact[k / COUNT][k % COUNT];
            }
        }
    }
}

/// Straight, steady driving in the middle of a lane with nobody near costs nothing.
static void good_driving_costs_nothing(void **state) {
    (void)state;
    static world w;
    make_world(&w, 1);
    for (uint32_t n = 0; n < COUNT; n++) {
        const double along = 6.0 * (n % TIMES), aside = 3.5 * (n / TIMES);
        const double at[NM_GUIDE_STATES] = {0.8 * along - 0.6 * aside, 0.6 * along + 0.8 * aside, 0.8, 0.6, 9.6, 7.2};
        for (int f = 0; f < NM_GUIDE_STATES; f++) w.state[f][n] = at[f];
        w.length[n] = 4.8;
        w.width[n] = 2.0;
        w.lane_x[n] = at[0] + 0.6 * 1.0;
        w.lane_y[n] = at[1] - 0.8 * 1.0;
        w.lane_cos[n] = 0.8;
        w.lane_sin[n] = 0.6;
        w.lane_half[n] = 1.75;
    }
    for (size_t t = 0; t + 1 < TERM_COUNT; t++) { // all but the conflict
        memset(gradient_store, 0, sizeof gradient_store);
        const double value = terms[t].energy(&w.view, exact);
        if (value > 1e-20) fail_msg("%s costs %g", terms[t].name, value);
        for (int i = 0; i < NM_GUIDE_STATES * COUNT; i++) assert_true(fabs(exact[i / COUNT][i % COUNT]) < 1e-12);
    }
}

/// Boxes that overlap by area always cost; boxes whose half diagonals and margin do not reach never do.
static void overlap_is_seen(void **state) {
    (void)state;
    static world w;
    int touching = 0, apart = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        make_world(&w, seed);
        for (uint32_t a = 0; a < COUNT; a += TIMES) { // only the first time, two agents at a time
            for (uint32_t b = a + TIMES; b < COUNT; b += TIMES) {
                const uint32_t offsets[2] = {0, 2}, tokens[2] = {a, b};
                nm_guide_view two = w.view;
                two.count = 2;
                two.group_count = 1;
                two.group_offsets = offsets;
                two.group_tokens = tokens;
                for (int i = 0; i < 2; i++) {
                    const double size = hypot(w.state[2][tokens[i]], w.state[3][tokens[i]]);
                    w.state[2][tokens[i]] /= size;
                    w.state[3][tokens[i]] /= size;
                }
                // a point of a's box inside b's?
                int inside = 0;
                for (int i = 0; i <= 20; i++) {
                    for (int k = 0; k <= 10; k++) {
                        const double u = (i / 20.0 - 0.5) * w.length[a], v = (k / 10.0 - 0.5) * w.width[a];
                        const double x = w.state[0][a] + u * w.state[2][a] - v * w.state[3][a] - w.state[0][b];
                        const double y = w.state[1][a] + u * w.state[3][a] + v * w.state[2][a] - w.state[1][b];
                        inside |= fabs(x * w.state[2][b] + y * w.state[3][b]) < 0.5 * w.length[b] &&
                                  fabs(y * w.state[2][b] - x * w.state[3][b]) < 0.5 * w.width[b];
                    }
                }
                const double value = nm_energy_overlap(&two, 0.0, unused);
                const double reach = 0.5 * hypot(w.length[a], w.width[a]) + 0.5 * hypot(w.length[b], w.width[b]);
                const double far = hypot(w.state[0][a] - w.state[0][b], w.state[1][a] - w.state[1][b]);
                if (inside) assert_true(value > 0.0);
                if (far > reach + 1.5) assert_true(value == 0.0); // circles stick out of the corners by less
                touching += inside;
                apart += far > reach + 1.5;
                w.foe[b] = a; // it is meant to
                assert_true(nm_energy_overlap(&two, 0.0, unused) == 0.0);
                w.foe[b] = NM_NONE;
                w.fixed[a] = w.fixed[b] = 1; // nobody can give way
                assert_true(nm_energy_overlap(&two, 0.0, unused) == 0.0);
                w.fixed[a] = w.fixed[b] = 0;
            }
        }
    }
    assert_true(touching > 50 && apart > 50);
}

/// Any wish becomes a path within the limits, measured here by differences alone; a path within them stays as it is.
static void paths_are_made_drivable(void **state) {
    (void)state;
    static world w;
    nm_adversary limits = nm_adversary_default();
    for (uint64_t seed = 1; seed <= 100; seed++) {
        make_world(&w, seed);
        uint32_t c = 5000;
        limits.max_curvature = (float)uniform(seed, &c, 0.02, 0.3);
        limits.max_lateral = (float)uniform(seed, &c, 1.0, 6.0);
        uint8_t clean[COUNT] = {1, 1}, touched[COUNT] = {0};
        const double x1 = w.state[0][1];
        nm_make_drivable(&w.view, 0, &limits, clean, touched);
        assert_true(w.state[0][1] == x1 && !touched[0] && !touched[1] && touched[2] && touched[TIMES - 1]);
        assert_false(touched[TIMES]); // the next agent
        for (uint32_t n = 1; n + 1 < TIMES; n++) {
            const double ax = w.state[0][n] - w.state[0][n - 1], ay = w.state[1][n] - w.state[1][n - 1];
            const double bx = w.state[0][n + 1] - w.state[0][n], by = w.state[1][n + 1] - w.state[1][n];
            const double before = hypot(ax, ay), after = hypot(bx, by);
            const double gain = (after - before) / 0.25;
            assert_true(gain <= (double)limits.max_acceleration + 1e-6 && gain >= -(double)limits.max_braking - 1e-6);
            if (after < 0.01 || before < 0.01) continue;
            const double turn = fabs(atan2(ax * by - ay * bx, ax * bx + ay * by));
            assert_true(turn <= (double)limits.max_curvature * 0.5 * (before + after) + 1e-6);
            assert_true(turn * after / 0.25 <= (double)limits.max_lateral + 1e-6);
            if (n >= 2) { // heading and velocity are the path's
                assert_true(fabs(hypot(w.state[2][n], w.state[3][n]) - 1.0) < 1e-9);
                assert_true(fabs(hypot(w.state[4][n], w.state[5][n]) - (before + after)) < 1e-6);
                assert_true(w.state[2][n] * ax + w.state[3][n] * ay > before * (cos(0.5 * turn) - 1e-6));
                assert_true(w.state[2][n] * bx + w.state[3][n] * by > after * (cos(0.5 * turn) - 1e-6));
            }
        }
        double again[2][TIMES];
        for (int f = 0; f < 2; f++) memcpy(again[f], w.state[f], sizeof again[f]);
        nm_make_drivable(&w.view, 0, &limits, clean, touched);
        for (int i = 0; i < 2 * TIMES; i++)
            assert_true(fabs(again[i / TIMES][i % TIMES] - w.state[i / TIMES][i % TIMES]) < 1e-6);
    }
}

/// The spread gradient leads down as the gradient itself does, and what it adds to positions and velocities is one and
/// the same bend of the path: it begins at the last fixed token, and the velocities are the slope of the positions.
static void conflicts_bend_the_whole_path(void **state) {
    (void)state;
    static world w;
    const nm_conflict_target target = {3.0, -2.0, 0.6, 0.8, 7.0};
    const uint32_t contact = 5;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        make_world(&w, seed);
        w.fixed[0] = w.fixed[1] = 1;
        double before = INFINITY;
        for (int i = 0; i < 10; i++) {
            memset(gradient_store, 0, sizeof gradient_store);
            const double now = nm_energy_conflict(&w.view, 0, contact, &target, exact);
            assert_true(now <= before);
            before = now;
            memcpy(gradient_store[1], gradient_store[0], sizeof gradient_store[1]);
            nm_spread_conflict(&w.view, 0, contact, exact);
            for (int f = 0; f < 2; f++) {
                double bend[TIMES], rate[TIMES];
                for (uint32_t n = 1; n < TIMES; n++) {
                    bend[n] = exact[f][n] - 0.1 * unused[f][n];
                    rate[n] = (exact[4 + f][n] - 0.1 * unused[4 + f][n]) / 0.25;
                }
                assert_true(fabs(bend[1]) < 1e-12 && fabs(bend[contact]) > 1e-9);
                for (uint32_t n = 2; n < contact; n++)
                    assert_true(fabs(rate[n] - (bend[n + 1] - bend[n - 1])) < 1e-9 * (1.0 + fabs(rate[n])));
                assert_true(fabs(rate[TIMES - 1] - 2.0 * (bend[TIMES - 1] - bend[TIMES - 2])) < 1e-9);
                for (int n = 2; n < TIMES; n++) w.state[f][n] -= 0.5 * exact[f][n];
                for (int n = 2; n < TIMES; n++) w.state[4 + f][n] -= 0.5 / 0.25 * exact[4 + f][n];
            }
            for (int f = 2; f < 4; f++) assert_memory_equal(exact[f], unused[f], sizeof w.state[f]);
        }
    }
    make_world(&w, 1);
    for (uint32_t n = 0; n < TIMES; n++) w.fixed[n] = 1; // nothing to bend
    memset(gradient_store, 0, sizeof gradient_store);
    nm_energy_conflict(&w.view, 0, contact, &target, exact);
    memcpy(gradient_store[1], gradient_store[0], sizeof gradient_store[1]);
    nm_spread_conflict(&w.view, 0, contact, exact);
    assert_memory_equal(gradient_store[0], gradient_store[1], sizeof gradient_store[0]);
}

static void targets_touch_the_ego(void **state) {
    (void)state;
    static world w;
    for (int aim = 0; aim < NM_AIM_COUNT; aim++) {
        for (int side = -1; side <= 1; side += 2) {
            make_world(&w, 3);
            // the ego drives north at 12 m/s, the other was to its left (west) or right
            const uint32_t ego = 4, other = TIMES + 4;
            const double at[NM_GUIDE_STATES] = {10.0, 20.0, 0.0, 2.0, 0.0, 12.0};
            for (int f = 0; f < NM_GUIDE_STATES; f++) w.state[f][ego] = w.state[f][0] = at[f];
            w.state[0][TIMES] = 10.0 - 3.0 * side;
            w.length[ego] = 4.0;
            w.width[ego] = 2.0;
            w.length[other] = 5.0;
            nm_adversary what = nm_adversary_default();
            what.aim = (nm_conflict_aim)aim;
            what.closing_speed = 4.0f;
            const nm_conflict_target t = nm_conflict_target_of(&w.view, &what, ego, other, 0, TIMES);
            const double expected[NM_AIM_COUNT][5] = {
                {10.0, 24.5, 0.0, 1.0, 8.0},
                {10.0 - 0.5 * side, 24.5, sin(0.1) * side, cos(0.1), 8.0},
                {10.0 - 3.5 * side, 20.0, side, 0.0, -1.0},
                {10.0, 24.5, 0.0, -1.0, -1.0},
            };
            assert_true(fabs(t.x - expected[aim][0]) < 1e-9 && fabs(t.y - expected[aim][1]) < 1e-9);
            assert_true(fabs(t.cos_h - expected[aim][2]) < 1e-9 && fabs(t.sin_h - expected[aim][3]) < 1e-9);
            assert_true(fabs(t.speed - expected[aim][4]) < 1e-6);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_energies),
        cmocka_unit_test(full_steps_lead_down),
        cmocka_unit_test(good_driving_costs_nothing),
        cmocka_unit_test(overlap_is_seen),
        cmocka_unit_test(conflicts_bend_the_whole_path),
        cmocka_unit_test(paths_are_made_drivable),
        cmocka_unit_test(targets_touch_the_ego),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
