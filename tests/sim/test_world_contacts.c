/// The world's broad phase and sweep against the pairwise metrics, which share no code with them, over all pairs.
#include "world_scenes.h"

#define AGENTS 300

static nm_box box_of(const nm_world_view *v, uint32_t slot) {
    const nm_box box = {.x = v->x[slot],
                        .y = v->y[slot],
                        .cos_h = v->cos_h[slot],
                        .sin_h = v->sin_h[slot],
                        .length = v->length[slot],
                        .width = v->width[slot],
                        .vx = v->vx[slot],
                        .vy = v->vy[slot]};
    return box;
}

/// Traffic thrown anywhere within `side` metres, in any direction.
static const nm_scene *random_scene(uint32_t index, float side) {
    test_vehicle cars[AGENTS];
    for (uint32_t i = 0; i < AGENTS; ++i) {
        const uint32_t k = index * AGENTS + i;
        cars[i] = (test_vehicle){i % 9 == 0 ? NM_AGENT_PEDESTRIAN : NM_AGENT_CAR, draw_in(k, 0, 0, side),
                                 draw_in(k, 1, -side / 2, side / 2), draw_in(k, 2, -3.1f, 3.1f), draw_in(k, 3, 0, 25)};
    }
    return scene_with(straight_road(2, 1000, 20), cars, AGENTS, 2);
}

static void check_against_all_pairs(const nm_world *world, const nm_contact *contacts, size_t count, float horizon) {
    const nm_world_view v = nm_world_get_view(world);
    size_t found = 0, borderline = 0;
    for (uint32_t i = 0; i < v.count; ++i) {
        float best = INFINITY;
        const nm_box a = box_of(&v, i);
        for (uint32_t j = 0; j < v.count; ++j) {
            if (j == i) continue;
            const nm_box b = box_of(&v, j);
            best = fminf(best, nm_ttc(&a, &b, horizon));
            if (j < i || !nm_box_overlap(&a, &b)) continue;
            size_t k = 0;
            const uint32_t first = v.track[i] < v.track[j] ? v.track[i] : v.track[j];
            const uint32_t second = v.track[i] + v.track[j] - first;
            while (k < count && (contacts[k].first != first || contacts[k].second != second)) ++k;
            if (k < count)
                ++found;
            else
                ++borderline; // touching to within rounding
        }
        if (isfinite(best) && best < horizon - 1e-3f) assert_float_equal(v.ttc[i], best, 2e-3f);
        if (!isfinite(best)) assert_true(!isfinite(v.ttc[i]) || v.ttc[i] > horizon - 1e-2f);
    }
    assert_true(borderline <= 1);
    assert_int_equal(found, count);
    for (size_t k = 1; k < count; ++k)
        assert_true(contacts[k - 1].first < contacts[k].first ||
                    (contacts[k - 1].first == contacts[k].first && contacts[k - 1].second < contacts[k].second));
}

static void contacts_and_ttc_equal_all_pairs(void **state) {
    (void)state;
    for (uint32_t index = 0; index < 4; ++index) {
        const float side = index % 2 ? 1500.0f : 250.0f;
        const nm_scene *scene = random_scene(index, side);
        nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
        static nm_contact contacts[4096];
        size_t total = 0;
        for (int step = 0; step < 5; ++step) {
            size_t count = 0;
            assert_int_equal(nm_world_step(world, contacts, 4096, &count), NM_OK);
            check_against_all_pairs(world, contacts, count, 3.0f);
            total += count;
        }
        if (side < 300.0f) assert_true(total > 20); // the dense case really has contacts
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

static void too_many_contacts_are_counted(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(7, 40.0f);
    nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
    nm_contact contacts[3];
    size_t count = 0;
    assert_int_equal(nm_world_step(world, contacts, 3, &count), NM_OK);
    assert_true(count > 100);
    assert_int_equal(nm_world_get_stats(world).contacts_dropped, count - 3);
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

static void everybody_at_one_place_does_no_harm(void **state) {
    (void)state;
    test_vehicle cars[AGENTS];
    for (uint32_t i = 0; i < AGENTS; ++i) cars[i] = (test_vehicle){NM_AGENT_CAR, 100, 0, 0, 5};
    const nm_scene *scene = scene_with(straight_road(1, 400, 20), cars, AGENTS, 2);
    nm_world *world = world_of(scene, NM_POLICY_IDM, 1);
    for (int i = 0; i < 20; ++i) assert_int_equal(nm_world_step(world, NULL, 0, NULL), NM_OK);
    const nm_world_view v = nm_world_get_view(world);
    for (uint32_t i = 0; i < v.count; ++i) assert_true(isfinite(v.x[i]) && isfinite(v.speed[i]));
    nm_world_destroy(world);
    nm_scene_destroy(scene);
}

/// Traffic along the road, and one who crosses it from far away: rows are as high as the fastest across needs, wherever
/// in the order it stands.
static void one_who_crosses_is_seen(void **state) {
    (void)state;
    for (uint32_t crossing = 0; crossing < 16; ++crossing) {
        test_vehicle cars[16];
        for (uint32_t i = 0; i < 16; ++i) cars[i] = (test_vehicle){NM_AGENT_CAR, 50 + 15 * (float)i, 0, 0, 0};
        cars[crossing] = (test_vehicle){NM_AGENT_CAR, 51 + 15 * (float)((crossing + 1) % 16), -55, 1.5708f, 24};
        const nm_scene *scene = scene_with(straight_road(2, 1000, 20), cars, 16, 2);
        nm_world *world = world_of(scene, NM_POLICY_CONSTANT_VELOCITY, 1);
        assert_float_equal(nm_world_get_view(world).ttc[crossing], (55 - 2.25f - 0.9f) / 24, 0.01f);
        static nm_contact contacts[64];
        size_t count = 0;
        assert_int_equal(nm_world_step(world, contacts, 64, &count), NM_OK);
        check_against_all_pairs(world, contacts, count, 3.0f);
        nm_world_destroy(world);
        nm_scene_destroy(scene);
    }
}

/// Without the check there is no time to collision, and contacts are the same.
static void checks_can_be_left_out(void **state) {
    (void)state;
    const nm_scene *scene = random_scene(3, 60.0f);
    static nm_contact contacts[2][65536];
    size_t counts[2];
    for (int i = 0; i < 2; ++i) {
        nm_world_config config = nm_world_config_default();
        config.agents = config.ego = NM_POLICY_CONSTANT_VELOCITY;
        if (i) config.checks = NM_CHECK_COLLISION;
        nm_world *world;
        assert_int_equal(nm_world_create(scene, &config, &world, NULL), NM_OK);
        assert_int_equal(nm_world_step(world, contacts[i], 65536, &counts[i]), NM_OK);
        const nm_world_view v = nm_world_get_view(world);
        for (uint32_t k = 0; i && k < v.count; ++k) assert_true(isinf(v.ttc[k]) && v.ttc_with[k] == NM_NONE);
        nm_world_destroy(world);
    }
    assert_int_equal(counts[0], counts[1]);
    assert_true(counts[0] > 100);
    assert_memory_equal(contacts[0], contacts[1], counts[0] * sizeof(nm_contact));
    nm_scene_destroy(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contacts_and_ttc_equal_all_pairs),
        cmocka_unit_test(too_many_contacts_are_counted),
        cmocka_unit_test(one_who_crosses_is_seen),
        cmocka_unit_test(checks_can_be_left_out),
        cmocka_unit_test(everybody_at_one_place_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
