/// Scenes for tests of tokens, and a scene moved rigidly with its map, or mirrored.
#ifndef NM_TESTS_NEXUS_TOKENS_SUPPORT_H
#define NM_TESTS_NEXUS_TOKENS_SUPPORT_H

#include "nexus/tokens.h"
#include "sim/builtin.h"
#include "sim/scenes.h"
#include "sim/world.h"

/// A built-in scene driven for `steps` steps from step 0.
static inline const nm_scene *tokens_rollout(const char *specification, uint64_t seed, uint32_t steps) {
    const nm_scene *start;
    nm_error error;
    nm_error_clear(&error);
    if (nm_builtin_scene(specification, seed, &start, &error) != NM_OK) fail_msg("%s", error.message);
    nm_world_config config = nm_world_config_default();
    nm_rollout_result result;
    if (nm_rollout(start, &config, steps, 1, &result, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_destroy(start);
    return result.scene;
}

/// Tokens of a scene with all that they need; release with tokens_end.
typedef struct tokens_fixture {
    nm_arena *arena;
    nm_token_map *map;
    nm_tokens tokens;
} tokens_fixture;

static inline tokens_fixture tokens_begin(const nm_scene *scene, const nm_token_config *config,
                                          const nm_token_request *request) {
    tokens_fixture f = {.arena = nm_arena_create(0)};
    nm_error error;
    nm_error_clear(&error);
    if (nm_token_map_create(scene->map, config, &f.map, &error) != NM_OK) fail_msg("%s", error.message);
    if (nm_tokens_build(f.map, scene, request, f.arena, &f.tokens, &error) != NM_OK) fail_msg("%s", error.message);
    return f;
}

static inline void tokens_end(tokens_fixture *f) {
    nm_token_map_destroy(f->map);
    nm_arena_destroy(f->arena);
}

/// A rigid motion of the plane: turned by `angle` about the origin, then moved. mirror: before all of it y is negated,
/// and left and right change places.
typedef struct rigid {
    double angle, x, y;
    int mirror;
} rigid;

static inline nm_turn rigid_turn(const rigid *r, uint8_t turn) {
    if (r->mirror && turn == NM_TURN_LEFT) return NM_TURN_RIGHT;
    return r->mirror && turn == NM_TURN_RIGHT ? NM_TURN_LEFT : (nm_turn)turn;
}

static inline nm_point3 rigid_point(const rigid *r, double x, double y) {
    double c = cos(r->angle), s = sin(r->angle);
    if (r->mirror) y = -y;
    return (nm_point3){c * x - s * y + r->x, s * x + c * y + r->y, 0.0};
}

static inline nm_point3 *rigid_points(const rigid *r, const nm_vec2 *points, uint32_t count) {
    nm_point3 *out = calloc(count, sizeof *out);
    for (uint32_t i = 0; i < count; i++) out[i] = rigid_point(r, (double)points[i].x, (double)points[i].y);
    return out;
}

static inline void rigid_lane(nm_map_builder *builder, const nm_map *map, uint32_t index, const rigid *r) {
    const nm_lane *lane = &map->lanes[index];
    nm_lane_def def = nm_lane_def_default();
    const nm_vec2 *borders[2] = {map->left + lane->points.first, map->right + lane->points.first};
    nm_point3 *left = rigid_points(r, borders[r->mirror != 0], lane->points.count);
    nm_point3 *right = rigid_points(r, borders[r->mirror == 0], lane->points.count);
    nm_neighbour_def beside[2];
    int64_t next[16];
    assert_true(lane->successors.count <= 16);
    for (uint32_t i = 0; i < lane->successors.count; i++)
        next[i] = map->lanes[map->lane_refs[lane->successors.first + i]].source_id;
    for (int side = 0; side < 2; side++) {
        nm_range range = side == !r->mirror ? lane->right : lane->left;
        if (!range.count) continue;
        const nm_neighbour *n = &map->neighbours[range.first];
        beside[side] = (nm_neighbour_def){.lane = map->lanes[n->lane].source_id, .opposite = n->opposite};
    }
    def.id = lane->source_id;
    def.left = left;
    def.right = right;
    def.point_count = lane->points.count;
    def.speed_limit = (double)lane->speed_limit;
    def.type = (nm_lane_type)lane->type;
    def.turn = rigid_turn(r, lane->turn);
    def.control = (nm_control_kind)lane->control;
    def.flags = lane->flags & NM_LANE_BIDIRECTIONAL;
    def.left_marking = (nm_marking)(r->mirror ? lane->right_marking : lane->left_marking);
    def.right_marking = (nm_marking)(r->mirror ? lane->left_marking : lane->right_marking);
    def.junction = lane->junction == NM_NONE ? -1 : (int64_t)lane->junction;
    def.successors = next;
    def.successor_count = lane->successors.count;
    def.left_neighbours = &beside[0];
    def.left_neighbour_count = (r->mirror ? lane->right : lane->left).count > 0;
    def.right_neighbours = &beside[1];
    def.right_neighbour_count = (r->mirror ? lane->left : lane->right).count > 0;
    nm_error error;
    if (nm_map_builder_add_lane(builder, &def, &error) != NM_OK) fail_msg("%s", error.message);
    free(left);
    free(right);
}

/// The map moved by `r`, its origin at (0, 0).
static inline const nm_map *rigid_map(const nm_map *map, const rigid *r) {
    nm_map_builder *builder = nm_map_builder_create();
    nm_error error;
    nm_map_builder_set_origin(builder, (nm_point3){0.0, 0.0, 0.0});
    for (uint32_t i = 0; i < map->lane_count; i++) rigid_lane(builder, map, i, r);
    for (uint32_t i = 0; i < map->line_count; i++) {
        const nm_line *line = &map->lines[i];
        nm_point3 *points = rigid_points(r, map->line_points + line->points.first, line->points.count);
        assert_int_equal(nm_map_builder_add_line(builder, line->source_id, (nm_line_kind)line->kind,
                                                 (nm_marking)line->marking, (nm_colour)line->colour, points,
                                                 line->points.count, &error),
                         NM_OK);
        free(points);
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        const nm_area *area = &map->areas[i];
        nm_point3 *points = rigid_points(r, map->area_points + area->points.first, area->points.count);
        assert_int_equal(nm_map_builder_add_area(builder, area->source_id, (nm_area_kind)area->kind, points,
                                                 area->points.count, &error),
                         NM_OK);
        free(points);
    }
    for (uint32_t i = 0; i < map->signal_count; i++) {
        const nm_signal *signal = &map->signals[i];
        int64_t lanes[16];
        assert_true(signal->lanes.count <= 16);
        for (uint32_t k = 0; k < signal->lanes.count; k++)
            lanes[k] = map->lanes[map->lane_refs[signal->lanes.first + k]].source_id;
        nm_signal_def def = {.id = signal->source_id,
                             .turn = rigid_turn(r, (uint8_t)signal->turn),
                             .phases = map->phases + signal->phases.first,
                             .phase_count = signal->phases.count,
                             .phase_offset = signal->phase_offset,
                             .cycle_dt = (double)signal->cycle_dt,
                             .lanes = lanes,
                             .lane_count = signal->lanes.count};
        if (nm_map_builder_add_signal(builder, &def, &error) != NM_OK) fail_msg("%s", error.message);
    }
    return nm_test_build(builder);
}

/// The scene on `map` (its own, or one moved by `r`), tracks in the order given ([track_count], NULL = as they are).
static inline const nm_scene *rigid_scene(const nm_scene *scene, const nm_map *map, const rigid *r,
                                          const uint32_t *order) {
    nm_scene_builder *builder = nm_scene_builder_create();
    const nm_scene *out = NULL;
    nm_error error;
    uint32_t ego = NM_NONE;
    nm_error_clear(&error);
    assert_int_equal(nm_scene_builder_begin(builder, map, (double)scene->dt, scene->step_count, &error), NM_OK);
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const uint32_t from = order ? order[i] : i;
        const nm_track *t = &scene->tracks[from];
        nm_track_def def = {.id = t->source_id,
                            .type = (nm_agent_type)t->type,
                            .flags = t->flags,
                            .length = t->length,
                            .width = t->width};
        uint32_t track;
        assert_int_equal(nm_scene_builder_add_track(builder, &def, &track, &error), NM_OK);
        if (from == scene->ego) ego = track;
        for (uint32_t step = 0; step < scene->step_count; step++) {
            size_t at = nm_scene_at(scene, from, step);
            if (!scene->valid[at]) continue;
            nm_point3 p = rigid_point(r, (double)scene->x[at], (double)scene->y[at]);
            nm_point3 v = rigid_point(&(rigid){.angle = r->angle, .mirror = r->mirror}, (double)scene->vx[at],
                                      (double)scene->vy[at]);
            nm_state_def state = {.x = p.x + map->origin.x,
                                  .y = p.y + map->origin.y,
                                  .heading = (double)(r->mirror ? -scene->heading[at] : scene->heading[at]) + r->angle,
                                  .vx = v.x,
                                  .vy = v.y};
            assert_int_equal(nm_scene_builder_add_state(builder, track, step, &state, &error), NM_OK);
        }
    }
    for (uint32_t i = 0; i < map->signal_count; i++)
        for (uint32_t step = 0; step < scene->step_count; step++)
            nm_scene_builder_set_signal(builder, i, step, nm_scene_signal(scene, i, step), &error);
    nm_scene_builder_set_current(builder, scene->current_step, ego);
    if (nm_scene_builder_build(builder, &out, &error) != NM_OK) fail_msg("%s", error.message);
    nm_scene_builder_destroy(builder);
    return out;
}

#endif
