/// CommonRoad written and read back: everything that the format can hold is there again.
#include "scene_support.h"

#include "base/decimal.h"
#include "dataset/xml_write.h"

// --- numbers ---------------------------------------------------------------------------------------------------------

static void numbers_read_back(void **state) {
    (void)state;
    dice d = {5, 0};
    static const double origins[] = {0.0, 1.0, -17.0, 412345.0, 5345678.0, 0.25};
    static const float special[] = {0.0f,          -0.0f,  1.0f,        -2.5f, 0.1f,  1e-7f,
                                    3.4028235e38f, 1e-20f, 16777216.0f, 7e9f,  -1e-3f};
    size_t special_count = sizeof special / sizeof *special, longest = 0;
    for (size_t i = 0; i < 200000; ++i) {
        double origin = origins[i % 6];
        float value = i < special_count ? special[i] : (float)(roll(&d, -1, 1) * pow(10, roll(&d, -6, 4)));
        if (i < special_count) origin = 0;
        char text[NM_XML_NUMBER + 1];
        size_t length = nm_xml_local(text, origin, value);
        assert_true(length < NM_XML_NUMBER);
        text[length] = 0;
        double back;
        assert_true(nm_decimal_parse(text, length, &back));
        assert_null(strpbrk(text, "eE+n"));
        if (length > longest && i >= special_count) longest = length;
        float again = (float)(back - origin);
        // with an origin, doubles themselves are 1e-9 apart: smaller numbers cannot all come back
        if (origin == 0 || fabsf(value) > 0.05f)
            assert_true(again == value);
        else
            assert_float_equal(again, value, 1e-9);
        if (strchr(text, '.')) assert_true(text[length - 1] != '0');
        // one digit less is another number
        for (int digits = 1; origin == 0 && i > special_count && i % 100 == 0; ++digits) {
            char shorter[64];
            size_t short_length = nm_decimal_print(shorter, sizeof shorter, NM_DECIMAL_SHORT, digits, (double)value);
            assert_true(nm_decimal_parse(shorter, short_length, &back));
            if ((float)back != value) continue;
            size_t own = 0;
            for (const char *c = text; *c; ++c) own += *c >= '0' && *c <= '9' && (own || *c != '0');
            assert_true(own <= (size_t)digits || fabsf(value) >= 10.0f);
            break;
        }
    }
    assert_true(longest <= 24);
}

static void angles_read_back(void **state) {
    (void)state;
    dice d = {6, 0};
    for (int i = 0; i < 20000; ++i) {
        float angle = i == 0 ? NM_PI_F : i == 1 ? -3.1415925f : (float)roll(&d, -3.1415925, 3.14159265);
        char text[NM_XML_NUMBER];
        double back;
        assert_true(nm_decimal_parse(text, nm_xml_angle(text, angle), &back));
        assert_true((float)nm_wrap_angle_d(back) == angle);
    }
}

static void texts_do_not_break_out(void **state) {
    (void)state;
    nm_byte_buffer out = {0};
    nm_xml_put_text(&out, "a<b>&\"'\n\x01\x80\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xed\xa0\x80\xc3");
    nm_byte_buffer_put(&out, "", 1);
    assert_string_equal((char *)out.bytes,
                        "a&lt;b&gt;&amp;&quot;&apos;&#10;??\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80????");
    nm_byte_buffer_free(&out);
}

// --- maps ------------------------------------------------------------------------------------------------------------

static int64_t junction_of(const nm_map *map, uint32_t lane) {
    uint32_t group = nm_map_get_source(map).lane_junctions[lane];
    return group == NM_NONE ? -1 : (int64_t)group;
}

static int refers(const nm_map *map, nm_range refs, uint32_t lane) {
    for (uint32_t i = 0; i < refs.count; ++i) {
        if (map->lane_refs[refs.first + i] == lane) return 1;
    }
    return 0;
}

static const nm_neighbour *longest(const nm_map *map, nm_range range) {
    const nm_neighbour *best = NULL;
    for (uint32_t i = range.first; i < range.first + range.count; ++i) {
        const nm_neighbour *n = &map->neighbours[i];
        if (!best || n->self_end - n->self_start > best->self_end - best->self_start) best = n;
    }
    return best;
}

/// Every stop of an intersection is an all-way stop when it is read.
static unsigned read_control(const nm_lane *lane) {
    return lane->control == NM_CONTROL_ALL_WAY_STOP ? (unsigned)NM_CONTROL_STOP : lane->control;
}

static void same_lane(const nm_map *a, const nm_map *b, uint32_t i) {
    const nm_lane *m = &a->lanes[i], *n = &b->lanes[i];
    const unsigned m_flags = nm_map_get_source(a).lane_flags[i], n_flags = nm_map_get_source(b).lane_flags[i];
    assert_int_equal(m->type, n->type);
    assert_int_equal(read_control(m), read_control(n));
    assert_int_equal(m_flags & NM_LANE_JUNCTION, n_flags & NM_LANE_JUNCTION);
    assert_int_equal(m_flags & NM_LANE_BIDIRECTIONAL, n_flags & NM_LANE_BIDIRECTIONAL);
    assert_true(m->speed_limit == n->speed_limit);
    assert_int_equal(m->left_marking, n->left_marking);
    assert_int_equal(m->right_marking, n->right_marking);
    assert_int_equal(m->points.count, n->points.count);
    for (uint32_t k = 0; k < m->points.count; ++k) {
        const nm_vec2 *al = &a->left[m->points.first + k], *bl = &b->left[n->points.first + k];
        const nm_vec2 *ar = &a->right[m->points.first + k], *br = &b->right[n->points.first + k];
        assert_place(a->origin.x, al->x, b->origin.x, bl->x);
        assert_place(a->origin.y, al->y, b->origin.y, bl->y);
        assert_place(a->origin.x, ar->x, b->origin.x, br->x);
        assert_place(a->origin.y, ar->y, b->origin.y, br->y);
        assert_place(a->origin.z, a->z[m->points.first + k], b->origin.z, b->z[n->points.first + k]);
    }
    assert_int_equal(m->successors.count, n->successors.count);
    assert_int_equal(m->predecessors.count, n->predecessors.count);
    for (uint32_t k = 0; k < m->successors.count; ++k)
        assert_true(refers(b, n->successors, a->lane_refs[m->successors.first + k]));
    for (uint32_t k = 0; k < m->predecessors.count; ++k)
        assert_true(refers(b, n->predecessors, a->lane_refs[m->predecessors.first + k]));
    const nm_range m_sides[2] = {m->left, m->right}, n_sides[2] = {n->left, n->right};
    for (int s = 0; s < 2; ++s) {
        const nm_neighbour *x = longest(a, m_sides[s]), *y = longest(b, n_sides[s]);
        assert_int_equal(x != NULL, y != NULL);
        if (!x) continue;
        assert_int_equal(x->lane, y->lane);
        assert_int_equal(x->opposite, y->opposite);
    }
    assert_int_equal(m->stop_line != NM_NONE, n->stop_line != NM_NONE);
    if (m->stop_line != NM_NONE) {
        const nm_stop_line *x = &a->stop_lines[m->stop_line], *y = &b->stop_lines[n->stop_line];
        assert_place(a->origin.x, x->a.x, b->origin.x, y->a.x);
        assert_place(a->origin.y, x->b.y, b->origin.y, y->b.y);
        assert_float_equal(x->s, y->s, 1e-4);
    }
    assert_int_equal(m->signals.count, n->signals.count);
    for (uint32_t k = 0; k < m->signals.count; ++k)
        assert_int_equal(a->signal_refs[m->signals.first + k], b->signal_refs[n->signals.first + k]);
    if (junction_of(a, i) >= 0) {
        assert_true(junction_of(b, i) >= 0);
        unsigned turn = m->turn == NM_TURN_U ? NM_TURN_LEFT : m->turn == NM_TURN_UNKNOWN ? NM_TURN_STRAIGHT : m->turn;
        assert_int_equal(turn, n->turn);
        for (uint32_t k = 0; k < i; ++k)
            assert_int_equal(junction_of(a, k) == junction_of(a, i), junction_of(b, k) == junction_of(b, i));
    }
}

static uint32_t crosswalks(const nm_map *map) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < map->area_count; ++i)
        count += map->areas[i].kind == NM_AREA_CROSSWALK && map->areas[i].points.count == 4;
    return count;
}

static void same_map(const nm_map *a, const nm_map *b) {
    assert_int_equal(b->lane_count, a->lane_count + crosswalks(a));
    for (uint32_t i = 0; i < a->lane_count; ++i) same_lane(a, b, i);
    for (uint32_t i = a->lane_count; i < b->lane_count; ++i) assert_int_equal(b->lanes[i].type, NM_LANE_CROSSWALK);
    uint32_t k = 0;
    for (uint32_t i = 0; i < a->sign_count; ++i) {
        const nm_sign *m = &a->signs[i], *n = &b->signs[k];
        if (!m->lanes.count) continue;
        assert_true(k++ < b->sign_count);
        assert_string_equal(m->code, n->code);
        assert_true(m->value == n->value);
        assert_int_equal(m->virtual_sign, n->virtual_sign);
        assert_int_equal(m->placed, n->placed);
        assert_int_equal(m->lanes.count, n->lanes.count);
        if (m->placed) assert_place(a->origin.x, m->position.x, b->origin.x, n->position.x);
    }
    for (; k < b->sign_count; ++k) assert_true(b->signs[k].virtual_sign);
    k = 0;
    for (uint32_t i = 0; i < a->signal_count; ++i) {
        const nm_signal *m = &a->signals[i], *n = &b->signals[k];
        if (!m->placed && !m->lanes.count) continue;
        assert_true(k++ < b->signal_count);
        assert_int_equal(m->turn == NM_TURN_U ? 0 : m->turn, n->turn);
        assert_int_equal(m->placed, n->placed);
        assert_int_equal(m->lanes.count, n->lanes.count);
        if (m->placed) assert_place(a->origin.y, m->position.y, b->origin.y, n->position.y);
    }
    assert_int_equal(k, b->signal_count);
}

static void add_lane(nm_map_builder *maps, int64_t id, double x, double y, int64_t junction, int64_t next,
                     int64_t left) {
    nm_error error;
    const nm_point3 line[2] = {{x, y, 0}, {x + 10, y, 0}};
    const nm_neighbour_def beside = {.lane = left};
    nm_lane_def lane = nm_lane_def_default();
    lane.id = id;
    lane.centre = line;
    lane.point_count = 2;
    lane.type = NM_LANE_STREET;
    lane.junction = junction;
    lane.flags = junction >= 0 ? NM_LANE_JUNCTION : 0;
    lane.turn = junction >= 0 ? NM_TURN_STRAIGHT : NM_TURN_UNKNOWN;
    lane.successors = &next;
    lane.successor_count = next > 0;
    lane.left_neighbours = &beside;
    lane.left_neighbour_count = left > 0;
    must(nm_map_builder_add_lane(maps, &lane, &error), &error);
}

/// Two lanes beside one another are one road into a junction; what follows inside, and is entered from inside only,
/// belongs to it. A lane of a junction that no lane leads into is one of an intersection by its type alone.
static void junctions_of_several_lanes_come_back(void **state) {
    (void)state;
    nm_error error;
    nm_map_builder *maps = nm_map_builder_create();
    add_lane(maps, 1, 0, 0, -1, 3, 2);
    add_lane(maps, 2, 0, 3.5, -1, 5, 0);
    add_lane(maps, 3, 10, 0, 7, 4, 0);
    add_lane(maps, 4, 20, 0, 7, 6, 0);
    add_lane(maps, 5, 10, 3.5, 7, 0, 0);
    add_lane(maps, 6, 30, 0, -1, 0, 0);
    add_lane(maps, 9, 0, 50, 8, 0, 0);
    const nm_map *map;
    must(nm_map_builder_build(maps, &map, &error), &error);
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *scene;
    must(nm_scene_builder_begin(builder, map, 0.1, 1, &error), &error);
    must(nm_scene_builder_build(builder, &scene, &error), &error);
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    nm_export_item item = {.scene = scene, .id = 1};
    must(encode_scene(&e, &item, &error), &error);
    nm_byte_buffer_put(&e.out.main, "", 1);
    const char *text = (const char *)e.out.main.bytes, *incoming = strstr(text, "<incoming id=");
    assert_non_null(incoming);
    assert_null(strstr(incoming + 1, "<incoming id="));
    assert_non_null(strstr(incoming, "<incomingLanelet ref=\"1\"/><incomingLanelet ref=\"2\"/>"));
    catch c = import_bytes("back.xml", text, e.out.main.size - 1);
    assert_int_equal(c.scenes, 1);
    assert_true(junction_of(c.scene->map, 2) >= 0); // lane 3
    for (uint32_t i = 0; i < map->lane_count; ++i) {
        int64_t id = map->lanes[i].source_id;
        int inside = id == 3 || id == 4 || id == 5;
        assert_int_equal(junction_of(c.scene->map, i), inside ? junction_of(c.scene->map, 2) : -1);
        assert_int_equal(nm_map_get_source(c.scene->map).lane_flags[i] & NM_LANE_JUNCTION,
                         inside || id == 9 ? NM_LANE_JUNCTION : 0);
    }
    release_catch(&c);
    encoding_end(&e);
    nm_scene_destroy(scene);
    nm_scene_builder_destroy(builder);
    nm_map_release(map);
    nm_map_builder_destroy(maps);
}

// --- scenes ----------------------------------------------------------------------------------------------------------

static void same_motion(float ax, float ay, float bx, float by) {
    float limit = 1.5e-6f * (1.0f + nm_hypotf(ax, ay));
    assert_float_equal(ax, bx, limit);
    assert_float_equal(ay, by, limit);
}

/// The states of track i from `first` to before `end` without a gap, or NM_NONE in *first where there are no more.
static void next_stretch(const nm_scene *scene, uint32_t track, uint32_t *first, uint32_t *end) {
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    *first = *end;
    while (*first < scene->step_count && !valid[*first]) ++*first;
    *end = *first;
    while (*end < scene->step_count && valid[*end]) ++*end;
    if (*first == scene->step_count) *first = NM_NONE;
}

/// `base`: the step of `a` that is step 0 of `b`. The stretch from `first` to before `end` is all there is of track k.
static void same_track(const nm_scene *a, uint32_t i, uint32_t first, uint32_t end, const nm_scene *b, uint32_t k,
                       uint32_t base) {
    const nm_track *m = &a->tracks[i], *n = &b->tracks[k];
    assert_int_equal(m->type, n->type);
    assert_true(m->length == n->length && m->width == n->width);
    assert_int_equal(m->flags & NM_TRACK_STATIC, n->flags);
    for (uint32_t step = 0; step < b->step_count; ++step) {
        nm_state x = {0}, y = {0};
        int there = nm_scene_get_state(a, i, base + step, &x) && base + step >= first && base + step < end;
        assert_int_equal(there, nm_scene_get_state(b, k, step, &y));
        if (!there) continue;
        assert_place(a->map->origin.x, x.x, b->map->origin.x, y.x);
        assert_place(a->map->origin.y, x.y, b->map->origin.y, y.y);
        assert_true(x.heading == y.heading);
        same_motion(x.vx, x.vy, y.vx, y.vy);
    }
}

/// A track is an obstacle for each of its stretches, of which the first has its id. How many there are.
static uint32_t same_stretches(const nm_scene *a, uint32_t i, const nm_scene *b, uint32_t k, uint32_t base) {
    uint32_t first, end = base, count = 0;
    for (next_stretch(a, i, &first, &end); first != NM_NONE; next_stretch(a, i, &first, &end), ++count) {
        assert_true(k + count < b->track_count);
        same_track(a, i, first, end, b, k + count, base);
        assert_int_equal(a->tracks[i].source_id == b->tracks[k + count].source_id, count == 0);
    }
    return count;
}

static void same_goals(const nm_scene *a, const nm_problem *m, const nm_scene *b, const nm_problem *n, uint32_t base) {
    assert_int_equal(m->goals.count, n->goals.count);
    for (uint32_t g = 0; g < m->goals.count; ++g) {
        const nm_goal *x = &a->goals[m->goals.first + g], *y = &b->goals[n->goals.first + g];
        assert_int_equal(x->first_step > base ? x->first_step - base : 0, y->first_step);
        assert_int_equal(x->last_step - base, y->last_step);
        assert_int_equal(x->heading_min <= x->heading_max, y->heading_min <= y->heading_max);
        if (x->heading_min <= x->heading_max)
            assert_true(x->heading_min == y->heading_min && x->heading_max == y->heading_max);
        assert_int_equal(x->speed_min <= x->speed_max, y->speed_min <= y->speed_max);
        if (x->speed_min <= x->speed_max) assert_true(x->speed_min == y->speed_min && x->speed_max == y->speed_max);
        assert_int_equal(x->areas.count, y->areas.count);
        for (uint32_t k = 0; k < x->areas.count; ++k) {
            const nm_goal_area *p = &a->goal_areas[x->areas.first + k], *q = &b->goal_areas[y->areas.first + k];
            assert_int_equal(p->lane, q->lane);
            assert_true(p->length == q->length && p->width == q->width && p->heading == q->heading);
            if (p->lane == NM_NONE) assert_place(a->map->origin.x, p->centre.x, b->map->origin.x, q->centre.x);
        }
    }
}

/// Everything; `planned`: the ego is left to a planner.
static void same_scene(const nm_scene *a, const nm_scene *b, int planned) {
    same_map(a->map, b->map);
    uint32_t base = planned ? a->current_step : 0, k = 0;
    assert_true(a->dt == b->dt);
    assert_true(b->step_count + base <= a->step_count);
    for (int moving = 0; moving < 2; ++moving) {
        for (uint32_t i = 0; i < a->track_count; ++i) {
            if ((a->tracks[i].flags & NM_TRACK_STATIC) == (moving ? NM_TRACK_STATIC : 0u) || (planned && i == a->ego))
                continue;
            k += same_stretches(a, i, b, k, base);
        }
    }
    assert_int_equal(k, b->track_count);
    assert_int_equal(b->problem_count, a->problem_count ? a->problem_count : a->ego != NM_NONE);
    for (uint32_t i = 0; i < a->problem_count; ++i) same_goals(a, &a->problems[i], b, &b->problems[i], base);
    for (uint32_t s = 0, t = 0; s < a->map->signal_count; ++s) {
        if (!a->map->signals[s].placed && !a->map->signals[s].lanes.count) continue;
        for (uint32_t step = base; step < a->step_count; ++step) {
            nm_signal_state want = nm_scene_signal(a, s, step);
            if (want != NM_SIGNAL_UNKNOWN) assert_int_equal(want, nm_scene_signal(b, t, step - base));
        }
        ++t;
    }
}

static catch read_back(encoding *e, const nm_export_item *item) {
    nm_error error;
    must(encode_scene(e, item, &error), &error);
    catch c = import_bytes("back.xml", e->out.main.bytes, e->out.main.size);
    if (c.scenes != 1) fail_msg("refused: %d %s", c.refusal.line > 0 ? (int)c.refusal.line : 0, c.refusal.message);
    return c;
}

static void random_scenes_come_back(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    for (size_t i = 0; i < 5 * SPEC_COUNT; ++i) {
        unsigned flags = (unsigned)(i / SPEC_COUNT) & 3;
        const nm_scene *scene = random_scene(builtin_specs[i % SPEC_COUNT], i, flags);
        for (int ego = NM_EXPORT_EGO_RECORDED; ego <= NM_EXPORT_EGO_PLANNED; ++ego) {
            nm_export_item item = {.scene = scene, .id = (int64_t)i, .ego = (nm_export_ego)ego};
            catch c = read_back(&e, &item);
            same_scene(scene, c.scene, ego == NM_EXPORT_EGO_PLANNED && scene->ego != NM_NONE);
            // written again it is the same document: nothing drifts
            nm_byte_buffer first = e.out.main;
            e.out.main = (nm_byte_buffer){0};
            nm_export_item again = {.scene = c.scene, .id = (int64_t)i, .ego = NM_EXPORT_EGO_RECORDED};
            catch twice = read_back(&e, &again);
            same_scene(c.scene, twice.scene, 0);
            nm_byte_buffer_free(&first);
            release_catch(&c);
            release_catch(&twice);
        }
        nm_scene_destroy(scene);
    }
    encoding_end(&e);
}

/// The ego is a task: it starts where and as the ego does, and is done when the ego's own drive would be.
static void the_ego_becomes_a_problem(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    const nm_scene *scene = random_scene(builtin_specs[0], 3, WITH_EGO);
    nm_export_item item = {.scene = scene, .id = 12};
    catch c = read_back(&e, &item);
    assert_int_equal(c.scene->problem_count, 1);
    assert_string_equal(c.scene->provenance.scene_id, "ZAM_Random-12_1_T-1");
    const nm_problem *problem = &c.scene->problems[0];
    nm_state ego = {0};
    assert_true(nm_scene_get_state(scene, scene->ego, scene->current_step, &ego));
    assert_int_equal(problem->source_id, scene->tracks[scene->ego].source_id);
    assert_int_equal(problem->start_step, 0);
    assert_place(scene->map->origin.x, ego.x, c.scene->map->origin.x, problem->start.x);
    assert_true(ego.heading == problem->start.heading);
    same_motion(ego.vx, ego.vy, problem->start.vx, problem->start.vy);
    const nm_goal *goal = &c.scene->goals[problem->goals.first];
    assert_int_equal(problem->goals.count, 1);
    assert_int_equal(goal->last_step, scene->tracks[scene->ego].last_step - scene->current_step);
    assert_int_equal(goal->first_step, goal->last_step - 10);
    const nm_goal_area *area = &c.scene->goal_areas[goal->areas.first];
    assert_true(nm_scene_get_state(scene, scene->ego, scene->tracks[scene->ego].last_step, &ego));
    assert_place(scene->map->origin.y, ego.y, c.scene->map->origin.y, area->centre.y);
    assert_true(goal->heading_min < ego.heading && ego.heading < goal->heading_max);
    release_catch(&c);
    nm_scene_destroy(scene);
    encoding_end(&e);
}

static void labels_become_tags(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    const nm_scene *scene = random_scene(builtin_specs[0], 3, 0);
    const nm_scene_label label = {.kind = "cut_in"};
    const nm_scene_generation made = {.kind = "cut_in"};
    nm_export_item item = {.scene = scene, .id = 1, .labels = &label, .label_count = 1, .generated = &made};
    catch c = read_back(&e, &item);
    static const char *const tags[] = {"highway", "simulated", "critical", "cut_in"};
    assert_int_equal(c.scene->tag_count, 4);
    for (int i = 0; i < 4; ++i) assert_string_equal(c.scene->tags[i], tags[i]);
    assert_int_equal(c.scene->problem_count, 0);
    release_catch(&c);
    nm_scene_destroy(scene);
    encoding_end(&e);
}

/// A document of CommonRoad's own comes back with its ids, tags, name and problem.
static void check_document(encoding *e, const char *name) {
    size_t size;
    char *text = read_document(name, &size);
    catch first = import_bytes(name, text, size);
    assert_int_equal(first.scenes, 1);
    nm_export_item item = {.scene = first.scene, .id = 1};
    catch c = read_back(e, &item);
    same_scene(first.scene, c.scene, 0);
    assert_int_equal(first.scene->step_count, c.scene->step_count);
    const char *own = first.scene->provenance.scene_id;
    assert_string_equal(own[0] ? own : "ZAM_Commonroad-1_1", c.scene->provenance.scene_id);
    for (uint32_t i = 0; i < first.scene->map->lane_count; ++i)
        assert_int_equal(first.scene->map->lanes[i].source_id, c.scene->map->lanes[i].source_id);
    for (uint32_t i = 0; i < first.scene->problem_count; ++i) {
        int64_t id = first.scene->problems[i].source_id; // 18 documents of 2018b have a problem 0; ids are positive
        assert_true(c.scene->problems[i].source_id == id || (id == 0 && c.scene->problems[i].source_id > 0));
        same_motion(first.scene->problems[i].start.vx, first.scene->problems[i].start.vy, c.scene->problems[i].start.vx,
                    c.scene->problems[i].start.vy);
    }
    free(text);
    release_catch(&first);
    release_catch(&c);
}

static void documents_come_back(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    check_document(&e, "2020a.xml");
    check_document(&e, "2018b.xml");
    check_document(&e, "smallest.xml");
    encoding_end(&e);
}

typedef struct real {
    encoding encoding;
    uint64_t scenes, compared;
} real;

static nm_status compare_real(void *context, const nm_scene *scene, const char *input, uint64_t record,
                              nm_error *error) {
    (void)input, (void)record, (void)error;
    real *r = context;
    ++r->scenes;
    nm_export_item item = {.scene = scene, .id = 1};
    catch c = read_back(&r->encoding, &item);
    same_scene(scene, c.scene, scene->ego != NM_NONE);
    ++r->compared;
    release_catch(&c);
    nm_scene_destroy(scene);
    return r->compared == 60 && !getenv("NM_TEST_ALL") ? NM_E_CANCELLED : NM_OK;
}

static void real_files_come_back(void **state) {
    (void)state;
    static const char *const archives[] = {"data/commonroad/handcrafted.tar.xz", "data/commonroad/osm-traffic.tar.xz",
                                           "data/commonroad/ngsim-val.tar.xz", "data/commonroad/ngsim-train.tar.xz"};
    real r = {.encoding = encoding_begin(NM_EXPORT_COMMONROAD)};
    char path[1024];
    for (size_t i = 0; i < (getenv("NM_TEST_ALL") ? 4 : 1); ++i) {
        if (!nm_test_have(path, sizeof path, archives[i])) continue;
        nm_error error;
        nm_importer *importer = nm_importer_create(NULL);
        nm_import_file(importer, path, compare_real, NULL, &r, NULL, &error);
        nm_importer_destroy(importer);
    }
    assert_int_equal(r.scenes, r.compared);
    printf("%llu documents\n", (unsigned long long)r.compared);
    encoding_end(&r.encoding);
}

// --- another reader --------------------------------------------------------------------------------------------------

static void write_state(FILE *file, const nm_scene *scene, uint32_t track, long long id, uint32_t step, int still) {
    nm_state s = {0};
    assert_true(nm_scene_get_state(scene, track, step, &s));
    fprintf(file, "%lld ", id);
    fprintf(file, still ? "static" : "%u", step - scene->current_step);
    fprintf(file, " %.9g %.9g %.9g %.9g\n", scene->map->origin.x + (double)s.x, scene->map->origin.y + (double)s.y,
            (double)s.heading, (double)nm_hypotf(s.vx, s.vy));
}

/// What the document must hold, by the ids of what was read back: those of lanes may have been taken. Strict ones have
/// of moving tracks only the stretches of two states or more from step 0 on.
static void write_states(const char *path, const nm_scene *scene, const nm_scene *back, int strict) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    uint32_t base = scene->current_step, k = 0;
    for (int moving = 0; moving < 2; ++moving) {
        for (uint32_t i = 0; i < scene->track_count; ++i) {
            const int still = (scene->tracks[i].flags & NM_TRACK_STATIC) != 0;
            if (still == moving || i == scene->ego) continue;
            uint32_t first, end = base;
            for (next_stretch(scene, i, &first, &end); first != NM_NONE; next_stretch(scene, i, &first, &end)) {
                if (strict && !still && (first != base || end == first + 1)) continue;
                const long long id = (long long)back->tracks[k++].source_id;
                for (uint32_t step = first; step < (still ? first + 1 : end); ++step)
                    write_state(file, scene, i, id, step, still);
                if (still) break;
            }
        }
    }
    assert_int_equal(k, back->track_count);
    assert_int_equal(fclose(file), 0);
}

static void fill_for_commonroad_io(const char *folder) {
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    for (size_t i = 0; i < 2 * SPEC_COUNT; ++i) {
        const nm_scene *scene = random_scene(builtin_specs[i / 2], 40 + i, WITH_EGO);
        nm_export_item item = {.scene = scene, .id = (int64_t)i + 1, .strict = (int)i % 2};
        catch c = read_back(&e, &item);
        char path[256];
        snprintf(path, sizeof path, "%s/%02zu%s.xml", folder, i, item.strict ? "-strict" : "");
        write_bytes(path, e.out.main.bytes, e.out.main.size);
        snprintf(path, sizeof path, "%s/%02zu%s.txt", folder, i, item.strict ? "-strict" : "");
        write_states(path, scene, c.scene, item.strict);
        release_catch(&c);
        nm_scene_destroy(scene);
    }
    encoding_end(&e);
}

static void commonroad_io_reads_it(void **state) {
    (void)state;
    run_reader("read_commonroad.py", "NM_COMMONROAD_PYTHON", "", fill_for_commonroad_io);
}

// --- ids, bytes, refusals --------------------------------------------------------------------------------------------

/// All ids of a document, in order.
static size_t ids_in(const encoding *e, int64_t *ids, size_t capacity) {
    size_t count = 0;
    char *text = malloc(e->out.main.size + 1);
    memcpy(text, e->out.main.bytes, e->out.main.size);
    text[e->out.main.size] = 0;
    for (const char *at = text; (at = strstr(at, " id=\"")); ++at) {
        assert_true(count < capacity);
        ids[count++] = strtoll(at + 5, NULL, 10);
    }
    free(text);
    return count;
}

static int compare_ids(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void ids_are_unique(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    int64_t ids[20000];
    for (size_t i = 0; i < SPEC_COUNT; ++i) {
        nm_error error;
        const nm_scene *scene; // tracks and lanes are numbered from 0 here
        must(nm_builtin_scene(builtin_specs[i], i, &scene, &error), &error);
        for (int ego = 0; ego < 3; ++ego) {
            nm_export_item item = {.scene = scene, .id = 3, .ego = (nm_export_ego)ego};
            must(encode_scene(&e, &item, &error), &error);
            size_t count = ids_in(&e, ids, 20000);
            assert_true(count > scene->map->lane_count + scene->track_count - 1);
            qsort(ids, count, sizeof *ids, compare_ids);
            assert_true(ids[0] > 0);
            for (size_t k = 1; k < count; ++k) assert_true(ids[k] > ids[k - 1]);
        }
        nm_scene_destroy(scene);
    }
    encoding_end(&e);
}

/// The same bytes from a fresh encoder and one that has written other maps, whether the map was prepared or not.
static void bytes_are_a_function_of_the_scene(void **state) {
    (void)state;
    encoding used = encoding_begin(NM_EXPORT_COMMONROAD);
    nm_error error;
    for (size_t i = 0; i < 2 * SPEC_COUNT; ++i) {
        const nm_scene *scene = random_scene(builtin_specs[i % SPEC_COUNT], 77, WITH_EGO | WITH_PROBLEM);
        nm_export_item item = {.scene = scene, .id = 9};
        must(encode_scene(&used, &item, &error), &error);
        encoding fresh = encoding_begin(NM_EXPORT_COMMONROAD);
        size_t bytes = nm_map_encode(scene->map, NULL, 0);
        void *copy = malloc(bytes);
        const nm_map *map;
        nm_map_encode(scene->map, copy, bytes);
        must(nm_map_decode(copy, bytes, &map, &error), &error); // not prepared, unlike the spawner's
        nm_scene other = *scene;
        other.map = map;
        nm_export_item same = {.scene = &other, .id = 9};
        must(encode_scene(&fresh, &same, &error), &error);
        assert_int_equal(used.out.main.size, fresh.out.main.size);
        assert_memory_equal(used.out.main.bytes, fresh.out.main.bytes, fresh.out.main.size);
        assert_null(fresh.out.shared_name[0] ? fresh.out.shared_name : NULL);
        encoding_end(&fresh);
        nm_map_release(map);
        free(copy);
        nm_scene_destroy(scene);
    }
    encoding_end(&used);
}

static void an_absent_ego_is_refused(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    const nm_scene *scene = random_scene(builtin_specs[0], 3, WITH_EGO);
    uint8_t *valid = malloc((size_t)scene->track_count * scene->step_count);
    memcpy(valid, scene->valid, (size_t)scene->track_count * scene->step_count);
    valid[nm_scene_at(scene, 0, 4)] = 0;
    nm_scene without = *scene;
    without.valid = valid;
    nm_export_item item = {.scene = &without, .id = 1};
    nm_error error;
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "ego"));
    item.ego = NM_EXPORT_EGO_RECORDED;
    assert_int_equal(encode_scene(&e, &item, &error), NM_OK);
    free(valid);
    nm_scene_destroy(scene);
    encoding_end(&e);
}

/// What a strict document leaves out, counted from the scene.
static uint32_t count_left_out(const nm_scene *scene, uint32_t base, uint32_t without) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        uint32_t first, end = base;
        if (i == without || scene->tracks[i].flags & NM_TRACK_STATIC) continue;
        for (next_stretch(scene, i, &first, &end); first != NM_NONE; next_stretch(scene, i, &first, &end))
            count += first != base || end == first + 1;
    }
    return count;
}

/// Strict: everybody is there at step 0 and at the next, problems begin at step 0, and what is missing is counted.
static void strict_documents_begin_at_once(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    uint32_t all = 0;
    for (size_t i = 0; i < 2 * SPEC_COUNT; ++i) {
        const nm_scene *scene = random_scene(builtin_specs[i % SPEC_COUNT], i, WITH_EGO | WITH_PROBLEM);
        for (int ego = NM_EXPORT_EGO_RECORDED; ego <= NM_EXPORT_EGO_PLANNED; ++ego) {
            const int planned = ego == NM_EXPORT_EGO_PLANNED;
            nm_export_item item = {.scene = scene, .id = 1, .ego = (nm_export_ego)ego, .strict = 1};
            catch c = read_back(&e, &item);
            const uint32_t left = count_left_out(scene, planned ? 4 : 0, planned ? scene->ego : NM_NONE);
            assert_int_equal(e.out.left_out, left);
            all += left;
            for (uint32_t k = 0; k < c.scene->track_count; ++k)
                assert_true(c.scene->tracks[k].first_step == 0 && c.scene->tracks[k].last_step > 0);
            for (uint32_t k = 0; k < c.scene->problem_count; ++k) assert_int_equal(c.scene->problems[k].start_step, 0);
            nm_state at = {0};
            assert_true(nm_scene_get_state(scene, scene->ego, planned ? 4 : 0, &at));
            assert_place(scene->map->origin.x, at.x, c.scene->map->origin.x, c.scene->problems[0].start.x);
            item.strict = 0;
            release_catch(&c);
            c = read_back(&e, &item);
            assert_int_equal(e.out.left_out, 0);
            assert_int_equal(c.scene->problems[0].start_step, planned ? 0 : 4);
            release_catch(&c);
        }
        nm_scene_destroy(scene);
    }
    assert_true(all > 50);
    encoding_end(&e);
}

/// An ego that has gone before the current step: its problem and goal are within what was recorded of it. One that is
/// not there at step 0, or at no other, has no problem that is valid.
static void the_goal_is_where_the_ego_was(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    const nm_scene *scene = random_scene(builtin_specs[0], 3, WITH_EGO);
    nm_scene other = *scene;
    const size_t cells = (size_t)scene->track_count * scene->step_count;
    uint8_t *valid = malloc(cells);
    nm_track *tracks = malloc(scene->track_count * sizeof *tracks);
    assert_true(valid && tracks);
    memcpy(valid, scene->valid, cells);
    memcpy(tracks, scene->tracks, scene->track_count * sizeof *tracks);
    for (uint32_t step = 3; step < scene->step_count; ++step) valid[nm_scene_at(scene, scene->ego, step)] = 0;
    tracks[scene->ego].last_step = 2;
    other.valid = valid;
    other.tracks = tracks;
    assert_true(scene->current_step > 2);
    nm_export_item item = {.scene = &other, .id = 1, .ego = NM_EXPORT_EGO_RECORDED, .strict = 1};
    catch c = read_back(&e, &item);
    assert_int_equal(c.scene->problem_count, 1);
    assert_int_equal(c.scene->goal_count, 1);
    assert_int_equal(c.scene->goals[0].first_step, 0);
    assert_int_equal(c.scene->goals[0].last_step, 2);
    release_catch(&c);
    nm_error error;
    valid[nm_scene_at(scene, scene->ego, 0)] = 0;
    tracks[scene->ego].first_step = 1;
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "no state at step 0"));
    valid[nm_scene_at(scene, scene->ego, 0)] = 1;
    valid[nm_scene_at(scene, scene->ego, 1)] = valid[nm_scene_at(scene, scene->ego, 2)] = 0;
    tracks[scene->ego].first_step = tracks[scene->ego].last_step = 0;
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "goal is at step 0"));
    free(valid);
    free(tracks);
    nm_scene_destroy(scene);
    encoding_end(&e);
}

static void what_is_never_valid_is_refused(void **state) {
    (void)state;
    encoding e = encoding_begin(NM_EXPORT_COMMONROAD);
    nm_error error;
    const nm_scene *scene = random_scene(builtin_specs[0], 3, 0); // neither ego nor problem
    nm_export_item item = {.scene = scene, .id = 1, .strict = 1};
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "wants a problem"));
    nm_scene_destroy(scene);
    scene = random_scene(builtin_specs[0], 3, WITH_PROBLEM);
    nm_problem problem = scene->problems[0];
    nm_scene other = *scene;
    other.problems = &problem;
    item.scene = &other;
    assert_int_equal(encode_scene(&e, &item, &error), NM_OK);
    problem.start_step = 3;
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "begins at step 3"));
    problem.start_step = 0;
    nm_goal goals[8];
    assert_true(scene->goal_count <= 8 && problem.goals.count > 0);
    memcpy(goals, scene->goals, scene->goal_count * sizeof *goals);
    other.goals = goals;
    goals[problem.goals.first].first_step = goals[problem.goals.first].last_step = 0;
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "is at step 0, not later"));
    goals[problem.goals.first].last_step = 1;
    assert_int_equal(encode_scene(&e, &item, &error), NM_OK);
    problem.goals.count = 0;
    assert_int_equal(encode_scene(&e, &item, &error), NM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "has no goal"));
    item.strict = 0;
    assert_int_equal(encode_scene(&e, &item, &error), NM_OK);
    nm_scene_destroy(scene);
    encoding_end(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_read_back),
        cmocka_unit_test(angles_read_back),
        cmocka_unit_test(texts_do_not_break_out),
        cmocka_unit_test(junctions_of_several_lanes_come_back),
        cmocka_unit_test(random_scenes_come_back),
        cmocka_unit_test(the_ego_becomes_a_problem),
        cmocka_unit_test(labels_become_tags),
        cmocka_unit_test(documents_come_back),
        cmocka_unit_test(real_files_come_back),
        cmocka_unit_test(commonroad_io_reads_it),
        cmocka_unit_test(ids_are_unique),
        cmocka_unit_test(bytes_are_a_function_of_the_scene),
        cmocka_unit_test(an_absent_ego_is_refused),
        cmocka_unit_test(strict_documents_begin_at_once),
        cmocka_unit_test(the_goal_is_where_the_ego_was),
        cmocka_unit_test(what_is_never_valid_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
