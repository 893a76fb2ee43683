/// Scenes as Scenario records and back: what the format can hold comes back equal.
#include "export_support.h"

#include <inttypes.h>

#include "base/rng.h"
#include "dataset/protos/scenario.pb-c.h"
#include "sim/builtin.h"
#include "sim/scenes.h"
#include "womd_fixture.h"

typedef struct border_count {
    uint32_t points, close, far; // all, off by more than 1 mm, by more than 5 cm
} border_count;

static void same_lane(const nm_map *a, const nm_map *b, uint32_t index, border_count *borders) {
    const nm_lane *x = &a->lanes[index], *y = &b->lanes[index];
    assert_true(x->source_id == y->source_id);
    assert_int_equal(x->type, y->type);
    assert_int_equal(x->turn, y->turn);
    assert_int_equal(x->control, y->control);
    assert_true(x->speed_limit == y->speed_limit && x->stop_s == y->stop_s && x->length == y->length);
    assert_int_equal(x->points.count, y->points.count);
    for (uint32_t k = 0; k < x->points.count; k++) {
        const uint32_t p = x->points.first + k, q = y->points.first + k;
        assert_true(a->centre[p].x == b->centre[q].x && a->centre[p].y == b->centre[q].y && a->z[p] == b->z[q]);
        for (int left = 0; left < 2; left++) {
            const nm_vec2 u = left ? a->left[p] : a->right[p], v = left ? b->left[q] : b->right[q];
            const float off = hypotf(u.x - v.x, u.y - v.y);
            borders->points++;
            borders->close += off > 1e-3f;
            borders->far += off > 0.05f;
        }
    }
    const nm_range ours[] = {x->predecessors, x->successors}, theirs[] = {y->predecessors, y->successors};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(ours[k].count, theirs[k].count);
        for (uint32_t i = 0; i < ours[k].count; i++)
            assert_int_equal(a->lane_refs[ours[k].first + i], b->lane_refs[theirs[k].first + i]);
    }
    const nm_range sides[] = {x->left, x->right}, back[] = {y->left, y->right};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(sides[k].count, back[k].count);
        for (uint32_t i = 0; i < sides[k].count; i++) {
            const nm_neighbour *m = &a->neighbours[sides[k].first + i], *n = &b->neighbours[back[k].first + i];
            assert_int_equal(m->lane, n->lane);
            // sums over points that are floats now and were doubles then
            assert_true(fabsf(m->self_start - n->self_start) < 5e-3f && fabsf(m->self_end - n->self_end) < 5e-3f);
            assert_true(fabsf(m->other_start - n->other_start) < 5e-3f && fabsf(m->other_end - n->other_end) < 5e-3f);
        }
    }
}

static void same_lines(const nm_map *a, const nm_map *b) {
    assert_true(b->line_count >= a->line_count);
    for (uint32_t i = 0; i < a->line_count; i++) {
        const nm_line *x = &a->lines[i], *y = &b->lines[i];
        assert_true(x->source_id == y->source_id && x->kind == y->kind && x->marking == y->marking);
        assert_int_equal(x->colour, y->colour);
        assert_int_equal(x->points.count, y->points.count);
        for (uint32_t k = 0; k < x->points.count; k++) {
            const nm_vec2 p = a->line_points[x->points.first + k], q = b->line_points[y->points.first + k];
            assert_true(p.x == q.x && p.y == q.y);
            if (a->line_z_count) assert_true(a->line_z[x->points.first + k] == b->line_z[y->points.first + k]);
        }
    }
    assert_int_equal(a->area_count, b->area_count);
    for (uint32_t i = 0; i < a->area_count; i++) {
        const nm_area *x = &a->areas[i], *y = &b->areas[i];
        assert_true(x->source_id == y->source_id && x->kind == y->kind && x->points.count == y->points.count);
        assert_memory_equal(a->area_points + x->points.first, b->area_points + y->points.first,
                            x->points.count * sizeof *a->area_points);
    }
}

static void same_controls(const nm_scene *s, const nm_scene *t) {
    const nm_map *a = s->map, *b = t->map;
    assert_int_equal(a->sign_count, b->sign_count);
    for (uint32_t i = 0; i < a->sign_count; i++) {
        const nm_sign *x = &a->signs[i], *y = &b->signs[i];
        assert_true(x->source_id == y->source_id && x->placed == y->placed && x->lanes.count == y->lanes.count);
        assert_true(x->position.x == y->position.x && x->position.y == y->position.y);
        for (uint32_t k = 0; k < x->lanes.count; k++)
            assert_int_equal(a->lane_refs[x->lanes.first + k], b->lane_refs[y->lanes.first + k]);
    }
    assert_int_equal(a->signal_count, b->signal_count);
    for (uint32_t i = 0; i < a->signal_count; i++) {
        const nm_signal *x = &a->signals[i], *y = &b->signals[i];
        assert_true(x->source_id == y->source_id && x->placed == y->placed && x->lanes.count == y->lanes.count);
        assert_true(x->position.x == y->position.x && x->position.y == y->position.y && x->turn == y->turn);
        for (uint32_t t_step = 0; t_step < s->step_count; t_step++)
            assert_int_equal(nm_scene_signal(s, i, t_step), nm_scene_signal(t, i, t_step));
    }
}

/// Everything of a scene that came from WOMD, sides that no line of the record explains apart: at most `odd` border
/// points in a thousand.
static void same_scene(const nm_scene *a, const nm_scene *b, uint32_t odd) {
    const nm_map *m = a->map, *n = b->map;
    border_count borders = {0};
    nm_test_same_traffic(a, b, 0);
    assert_int_equal(a->ego, b->ego);
    for (uint32_t i = 0; i < a->track_count; i++) {
        assert_int_equal(a->tracks[i].type, b->tracks[i].type);
        assert_int_equal(a->tracks[i].flags, b->tracks[i].flags);
        assert_int_equal(a->tracks[i].difficulty, b->tracks[i].difficulty);
    }
    for (uint32_t t = 0; t < a->step_count; t++) assert_true(a->timestamps[t] == b->timestamps[t]);
    assert_string_equal(a->provenance.scene_id, b->provenance.scene_id);
    assert_true(m->origin.x == n->origin.x && m->origin.y == n->origin.y && m->origin.z == n->origin.z);
    assert_int_equal(m->lane_count, n->lane_count);
    for (uint32_t i = 0; i < m->lane_count; i++) same_lane(m, n, i, &borders);
    same_lines(m, n);
    same_controls(a, b);
    assert_int_equal(borders.far, 0);
    assert_true(1000 * borders.close <= odd * borders.points);
    // a line is made where a border can not be said by those that are there
    assert_true(1000 * (n->line_count - m->line_count) <= odd * borders.points);
}

static void check_record(const char *relative) {
    char path[512];
    if (!nm_test_have(path, sizeof path, relative)) skip();
    const nm_scene *scene = nm_test_import_file(path);
    const nm_export_item item = {.scene = scene, .id = 1};
    const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD, &item);
    assert_int_equal(back->step_count, 91);
    assert_int_equal(back->current_step, scene->current_step);
    same_scene(scene, back, 1);
    // from then on nothing changes: what could not be said the same way was said some way
    const nm_export_item again = {.scene = back, .id = 1};
    const nm_scene *third = nm_test_round_trip(NM_EXPORT_WOMD, &again);
    assert_int_equal(third->map->line_count, back->map->line_count);
    same_scene(back, third, 0);
    nm_scene_destroy(third);
    nm_scene_destroy(back);
    nm_scene_destroy(scene);
}

static void the_first_record_comes_back(void **state) {
    (void)state;
    check_record("data/womd/motion_data_one_scenario.tfrecord");
}

static void the_second_record_comes_back(void **state) {
    (void)state;
    check_record("data/womd/womd_scenario_input.tfrecord");
}

/// protobuf-c, which reads the record, would write the same bytes.
static void bytes_are_as_protobuf_has_them(void **state) {
    fixture *f = *state;
    const nm_scene *scene = accepted(f);
    const nm_export_item item = {.scene = scene, .id = 1};
    size_t size;
    uint8_t *payload = nm_test_encode(NM_EXPORT_WOMD, &item, &size);
    Womd__Scenario *read = womd__scenario__unpack(NULL, size, payload);
    assert_non_null(read);
    assert_int_equal(womd__scenario__get_packed_size(read), size);
    uint8_t *packed = malloc(size);
    assert_non_null(packed);
    assert_int_equal(womd__scenario__pack(read, packed), size);
    assert_memory_equal(packed, payload, size);
    womd__scenario__free_unpacked(read, NULL);
    free(packed);
    free(payload);
}

static void short_scenes_are_filled_up(void **state) {
    fixture *f = *state;
    const nm_scene *scene = accepted(f);
    const nm_export_item item = {.scene = scene, .id = 1};
    const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD, &item);
    assert_int_equal(scene->step_count, STEPS);
    assert_int_equal(back->step_count, 91);
    assert_int_equal(back->current_step, 10);
    nm_test_same_traffic(scene, back, 0);
    for (uint32_t t = 0; t < STEPS; t++) assert_true(scene->timestamps[t] == back->timestamps[t]);
    assert_float_equal(back->timestamps[90] - back->timestamps[STEPS - 1], 0.1 * (91 - STEPS), 1e-9);
    border_count borders = {0};
    for (uint32_t i = 0; i < scene->map->lane_count; i++) same_lane(scene->map, back->map, i, &borders);
    assert_int_equal(borders.close, 0);
    same_lines(scene->map, back->map);
    assert_int_equal(scene->map->line_count, back->map->line_count);
    same_controls(scene, back);
    nm_scene_destroy(back);
}

// --- scenes of other sources -----------------------------------------------------------------------------------------

static const nm_map *road(nm_builtin_kind kind) {
    nm_builtin_params params = nm_builtin_params_default(kind);
    const nm_map *map = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_map(&params, &map, &error) != NM_OK) fail_msg("%s", error.message);
    return map;
}

typedef struct dice {
    nm_rng_key key;
    uint32_t draw;
} dice;

static double roll(dice *d, double low, double high) {
    return low + (high - low) * (double)nm_rng_uniform(&d->key, d->draw++);
}

static nm_track_def random_track(dice *d, int64_t id) {
    return (nm_track_def){.id = id,
                          .type = (nm_agent_type)nm_rng_below(&d->key, d->draw++, NM_AGENT_TYPE_COUNT),
                          .flags = nm_rng_below(&d->key, d->draw++, 4) == 0 ? NM_TRACK_OF_INTEREST : 0,
                          .length = (float)roll(d, 0.5, 12.0),
                          .width = (float)roll(d, 0.5, 3.0),
                          .height = (float)roll(d, 0.5, 4.0)};
}

/// Tracks with gaps, of any type, sizes that vary in every third one; ids as wild as a source's may be.
static const nm_scene *random_scene(uint64_t seed, const nm_map *map, uint32_t steps, uint32_t current) {
    dice d = {.key = {.seed = seed, .purpose = NM_PURPOSE_TEST}};
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene = NULL;
    const uint32_t tracks = 1 + nm_rng_below(&d.key, d.draw++, 30);
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, NULL), NM_OK);
    for (uint32_t i = 0; i < tracks; i++) {
        const nm_track_def def = random_track(&d, 1 + 7 * (int64_t)i);
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, NULL), NM_OK);
        for (uint32_t t = 0; t < steps; t++) {
            if (nm_rng_below(&d.key, d.draw++, 10) == 0 && !(i == 0 && t == current)) continue;
            const float grown = i % 3 == 0 ? def.length + (float)t * 0.01f : 0.0f;
            const nm_state state = {.x = (float)roll(&d, -300.0, 300.0),
                                    .y = (float)roll(&d, -300.0, 300.0),
                                    .z = (float)roll(&d, -5.0, 5.0),
                                    .heading = (float)roll(&d, -3.14, 3.14),
                                    .vx = (float)roll(&d, -30.0, 30.0),
                                    .vy = (float)roll(&d, -30.0, 30.0),
                                    .length = grown,
                                    .width = i % 3 == 0 ? def.width : 0.0f,
                                    .height = i % 3 == 0 ? def.height : 0.0f};
            assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &state, NULL), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, current, 0);
    assert_int_equal(nm_scene_builder_build(builder, &scene, NULL), NM_OK);
    nm_scene_builder_destroy(builder);
    return scene;
}

static void random_traffic_comes_back(void **state) {
    (void)state;
    const uint32_t lengths[] = {91, 30, 200, 120}, currents[] = {10, 0, 40, 5}, firsts[] = {0, 0, 30, 0};
    for (uint64_t seed = 0; seed < 60; seed++) {
        const nm_map *map = road((nm_builtin_kind)(seed % NM_BUILTIN_COUNT));
        const uint32_t k = (uint32_t)(seed / NM_BUILTIN_COUNT) % 4;
        const nm_scene *scene = random_scene(seed, map, lengths[k], currents[k]);
        const nm_export_item item = {.scene = scene, .id = 1};
        const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD, &item);
        assert_int_equal(back->step_count, 91);
        nm_test_same_traffic(scene, back, firsts[k]);
        assert_int_equal(back->ego, 0);
        for (uint32_t i = 0; i < scene->track_count; i++)
            assert_int_equal(scene->tracks[i].flags & NM_TRACK_OF_INTEREST,
                             back->tracks[i].flags & NM_TRACK_OF_INTEREST);
        nm_scene_destroy(back);
        nm_scene_destroy(scene);
        nm_map_release(map);
    }
}

/// Distance of a point to a lane's border line, on one side.
static float off_border(const nm_map *map, const nm_lane *lane, int left, nm_vec2 p) {
    const nm_vec2 *border = (left ? map->left : map->right) + lane->points.first;
    float best = INFINITY;
    for (uint32_t i = 0; i + 1 < lane->points.count; i++) {
        const float dx = border[i + 1].x - border[i].x, dy = border[i + 1].y - border[i].y, square = dx * dx + dy * dy;
        float t = square > 0.0f ? ((p.x - border[i].x) * dx + (p.y - border[i].y) * dy) / square : 0.0f;
        t = fminf(fmaxf(t, 0.0f), 1.0f);
        best = fminf(best, hypotf(p.x - border[i].x - t * dx, p.y - border[i].y - t * dy));
    }
    return best;
}

/// Road edges have the road on their left.
static void edges_have_the_road_on_their_left(const nm_map *map) {
    for (uint32_t i = 0; i < map->line_count; i++) {
        const nm_line *line = &map->lines[i];
        if (line->kind != NM_LINE_EDGE_BOUNDARY) continue;
        for (uint32_t k = line->points.first; k + 1 < line->points.first + line->points.count; k++) {
            const nm_vec2 a = map->line_points[k], b = map->line_points[k + 1];
            const float dx = b.x - a.x, dy = b.y - a.y, length = hypotf(dx, dy);
            const float x = 0.5f * (a.x + b.x), y = 0.5f * (a.y + b.y);
            if (length < 0.5f) continue;
            assert_true(nm_map_drivable(map, x - 0.4f * dy / length, y + 0.4f * dx / length));
            assert_false(nm_map_drivable(map, x + 0.4f * dy / length, y - 0.4f * dx / length));
        }
    }
}

/// Roads of other sources: lanes, their order and their borders, which become lines; and what rules their ends.
static void other_maps_come_back(void **state) {
    (void)state;
    for (int kind = 0; kind < NM_BUILTIN_COUNT; kind++) {
        const nm_map *map = road((nm_builtin_kind)kind);
        const nm_scene *scene = random_scene(1000 + (uint64_t)kind, map, 91, 10);
        const nm_export_item item = {.scene = scene, .id = 1};
        const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD, &item);
        const nm_map *got = back->map;
        uint32_t signals = 0, edges = 0, far = 0, points = 0;
        for (uint32_t i = 0, k = 0; i < map->lane_count; i++) {
            const nm_lane *x = &map->lanes[i];
            if (x->type == NM_LANE_SIDEWALK || x->type == NM_LANE_CROSSWALK) continue;
            assert_true(k < got->lane_count);
            const nm_lane *y = &got->lanes[k++];
            assert_true(x->source_id == y->source_id && x->speed_limit == y->speed_limit);
            assert_float_equal(x->length, y->length, 1e-3);
            const int stop = x->control == NM_CONTROL_STOP || x->control == NM_CONTROL_ALL_WAY_STOP;
            assert_int_equal(stop, y->control == NM_CONTROL_STOP);
            assert_int_equal(x->control == NM_CONTROL_SIGNAL, y->control == NM_CONTROL_SIGNAL);
            signals += y->control == NM_CONTROL_SIGNAL;
            for (uint32_t p = 0; p < y->points.count; p++) {
                for (int left = 0; left < 2; left++, points++) {
                    nm_vec2 at = (left ? got->left : got->right)[y->points.first + p];
                    at.x += (float)(got->origin.x - map->origin.x);
                    at.y += (float)(got->origin.y - map->origin.y);
                    far += off_border(map, x, left, at) > 0.06f;
                }
            }
        }
        for (uint32_t i = 0; i < got->line_count; i++) edges += got->lines[i].kind == NM_LINE_EDGE_BOUNDARY;
        assert_true(edges > 0);
        assert_int_equal(signals > 0, kind == NM_BUILTIN_JUNCTION_SIGNAL);
        // at a lane's end the normal may meet its border 5 cm beyond the border's end
        if (far > 0) fail_msg("%s: %u of %u border points are off", nm_builtin_name(kind), far, points);
        nm_scene_destroy(back);
        nm_scene_destroy(scene);
        nm_map_release(map);
    }
}

/// A map without any line gets them along its borders, each once.
static void lines_are_made_along_borders(void **state) {
    (void)state;
    const nm_map *maps[] = {nm_test_road(200.0), nm_test_crossing(NM_CONTROL_STOP, NM_CONTROL_PRIORITY)};
    for (int i = 0; i < 2; i++) {
        const nm_scene *scene = random_scene(7, maps[i], 91, 10);
        const nm_export_item item = {.scene = scene, .id = 1};
        const nm_scene *back = nm_test_round_trip(NM_EXPORT_WOMD, &item);
        uint32_t edges = 0;
        assert_int_equal(maps[i]->line_count, 0);
        for (uint32_t k = 0; k < back->map->line_count; k++) edges += back->map->lines[k].kind == NM_LINE_EDGE_BOUNDARY;
        // three lanes side by side: an edge on either side, and two lines between; two roads of three lanes that cross
        if (i == 0) assert_int_equal(back->map->line_count, 4);
        assert_true(i == 0 ? edges == 2 : edges >= 8);
        edges_have_the_road_on_their_left(back->map);
        assert_int_equal(back->map->sign_count, i); // one stop sign, for the lane that must stop
        nm_scene_destroy(back);
        nm_scene_destroy(scene);
        nm_map_release(maps[i]);
    }
}

// --- what is chosen --------------------------------------------------------------------------------------------------

static Womd__Scenario *written(const nm_export_item *item) {
    size_t size;
    uint8_t *payload = nm_test_encode(NM_EXPORT_WOMD, item, &size);
    Womd__Scenario *read = womd__scenario__unpack(NULL, size, payload);
    assert_non_null(read);
    free(payload);
    return read;
}

/// Everybody drives east at 10 m/s from x = 30 i, but the last one, who stands; over `steps` steps.
static const nm_scene *column(const nm_map *map, uint32_t count, uint32_t steps, uint32_t current, uint32_t ego,
                              int64_t first_id) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.1, steps, NULL), NM_OK);
    for (uint32_t i = 0; i < count; i++) {
        const nm_track_def def = {
            .id = first_id + i, .type = NM_AGENT_CAR, .length = 4.5f, .width = 2.0f, .height = 1.5f};
        uint32_t track;
        const float speed = i + 1 < count ? 10.0f : 0.0f;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, NULL), NM_OK);
        for (uint32_t t = i == 1 ? 3 : 0; t < steps; t++) {
            const nm_state at = {.x = 30.0f * (float)i + 0.1f * speed * (float)t, .vx = speed};
            assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &at, NULL), NM_OK);
        }
    }
    nm_scene_builder_set_current(builder, current, ego);
    assert_int_equal(nm_scene_builder_build(builder, &scene, NULL), NM_OK);
    nm_scene_builder_destroy(builder);
    return scene;
}

static void roles_come_first(void **state) {
    (void)state;
    const nm_map *map = road(NM_BUILTIN_HIGHWAY);
    const nm_scene *scene = column(map, 12, 91, 10, 0, 100);
    const nm_scene_label labels[] = {{.kind = "cut_in", .actor = 7, .other = 0, .critical_step = 40},
                                     {.kind = "hard_brake", .actor = 9, .other = NM_NONE, .critical_step = 50}};
    const nm_export_item item = {.scene = scene, .id = 1, .labels = labels, .label_count = 2};
    Womd__Scenario *s = written(&item);
    assert_int_equal(s->sdc_track_index, 0);
    assert_int_equal(s->n_objects_of_interest, 2);
    assert_int_equal(s->objects_of_interest[0], 107);
    assert_int_equal(s->objects_of_interest[1], 100);
    // the roles, not the ego; then those who move, the nearest first; never the one who stands
    const int expected[] = {7, 9, 1, 2, 3, 4, 5, 6};
    assert_int_equal(s->n_tracks_to_predict, 8);
    for (int i = 0; i < 8; i++) assert_int_equal(s->tracks_to_predict[i]->track_index, expected[i]);
    womd__scenario__free_unpacked(s, NULL);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void labels_move_the_window(void **state) {
    (void)state;
    const nm_map *map = road(NM_BUILTIN_HIGHWAY);
    const nm_scene *scene = column(map, 3, 300, 50, 0, 1);
    const struct {
        uint32_t critical, first;
    } cases[] = {{100, 40}, {70, 40}, {60, 40}, {55, 35}, {10, 0}, {120, 50}, {150, 80}, {290, 209}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const nm_scene_label label = {.kind = "cut_in", .actor = 1, .other = 0, .critical_step = cases[i].critical};
        const nm_export_item item = {.scene = scene, .id = 1, .labels = &label, .label_count = 1};
        Womd__Scenario *s = written(&item);
        // the ego is at x = 0.1 * 10 * step
        const double x = s->tracks[0]->states[0]->center_x - map->origin.x;
        assert_float_equal(x, (double)cases[i].first, 1e-2);
        womd__scenario__free_unpacked(s, NULL);
    }
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void an_ego_is_found(void **state) {
    (void)state;
    const nm_map *map = road(NM_BUILTIN_HIGHWAY);
    const nm_scene *scene = column(map, 4, 91, 0, NM_NONE, -2); // ids -2 to 1
    const nm_export_item item = {.scene = scene, .id = 1};
    Womd__Scenario *s = written(&item);
    assert_int_equal(s->sdc_track_index, 0); // of those who are there all the time and drive as far, the first
    // the two numbers that are free go to those whose ids the format can not hold
    assert_int_equal(s->tracks[0]->id, 2);
    assert_int_equal(s->tracks[1]->id, 3);
    assert_int_equal(s->tracks[2]->id, 0);
    assert_int_equal(s->tracks[3]->id, 1);
    assert_int_equal(strlen(s->scenario_id), 16);
    womd__scenario__free_unpacked(s, NULL);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

static void empty_scenes_are_refused(void **state) {
    (void)state;
    const nm_map *map = road(NM_BUILTIN_HIGHWAY);
    const nm_scene *scenes[] = {column(map, 0, 5, 0, NM_NONE, 1), column(map, 2, 2, 0, NM_NONE, 1)};
    const nm_encoder *encoder = nm_encoder_of(NM_EXPORT_WOMD);
    void *work = encoder->create();
    nm_encoded out = {0};
    nm_error error;
    nm_export_item item = {.scene = scenes[0], .id = 1};
    assert_int_equal(encoder->encode(work, &item, &out, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "has no tracks"));
    item.scene = scenes[1];
    assert_int_equal(encoder->encode(work, &item, &out, &error), NM_OK);
    nm_byte_buffer_free(&out.main);
    encoder->destroy(work);
    nm_scene_destroy(scenes[0]);
    nm_scene_destroy(scenes[1]);
    nm_map_release(map);
}

static void other_rates_are_resampled(void **state) {
    (void)state;
    const nm_map *map = road(NM_BUILTIN_HIGHWAY);
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene = NULL;
    assert_int_equal(nm_scene_builder_begin(builder, map, 0.5, 21, NULL), NM_OK);
    const nm_track_def def = {.id = 1, .type = NM_AGENT_CAR, .length = 4.5f, .width = 2.0f, .height = 1.5f};
    uint32_t track;
    assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, NULL), NM_OK);
    for (uint32_t t = 0; t < 21; t++) {
        const nm_state at = {.x = 5.0f * (float)t, .vx = 10.0f};
        assert_int_equal(nm_scene_builder_add_local_state(builder, track, t, &at, NULL), NM_OK);
    }
    nm_scene_builder_set_current(builder, 2, 0);
    assert_int_equal(nm_scene_builder_build(builder, &scene, NULL), NM_OK);
    nm_scene_builder_destroy(builder);
    const nm_export_item item = {.scene = scene, .id = 1};
    Womd__Scenario *s = written(&item);
    for (int t = 0; t < 91; t++) {
        assert_true(s->tracks[0]->states[t]->valid);
        assert_float_equal(s->tracks[0]->states[t]->center_x - map->origin.x, t, 1e-2);
    }
    womd__scenario__free_unpacked(s, NULL);
    nm_scene_destroy(scene);
    nm_map_release(map);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_record_comes_back),  cmocka_unit_test(the_second_record_comes_back),
        TEST(bytes_are_as_protobuf_has_them),           TEST(short_scenes_are_filled_up),
        cmocka_unit_test(random_traffic_comes_back),    cmocka_unit_test(other_maps_come_back),
        cmocka_unit_test(lines_are_made_along_borders), cmocka_unit_test(roles_come_first),
        cmocka_unit_test(labels_move_the_window),       cmocka_unit_test(an_ego_is_found),
        cmocka_unit_test(empty_scenes_are_refused),     cmocka_unit_test(other_rates_are_resampled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
