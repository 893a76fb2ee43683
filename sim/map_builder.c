/// Collects the parts of a map in source coordinates. Checks what can be checked of each part alone; map_build.c
/// resolves what they say of each other.
#include "sim/map_builder.h"

#include "sim/geometry.h"

#define MAX_COORDINATE 1e8 // m; UTM northings end at 1e7
#define ASSUMED_WIDTH 3.5  // m
#define ASSUMED_PATH_WIDTH 1.8

static nm_status no_memory(nm_error *error) {
    return NM_ERROR(error, NM_E_MEMORY, "out of memory for the map");
}

static int usable(const nm_point3 *p) {
    // written so that NaN fails
    return fabs(p->x) <= MAX_COORDINATE && fabs(p->y) <= MAX_COORDINATE && fabs(p->z) <= MAX_COORDINATE;
}

static nm_status bad_point(nm_error *error, int64_t line, const char *what, int64_t id, size_t index) {
    return NM_ERROR_AT(error, NM_E_FORMAT, NULL, line, -1,
                       "%s %lld: coordinate %zu is not a number or further than 1e8 m from 0", what, (long long)id,
                       index);
}

nm_map_builder *nm_map_builder_create(void) {
    nm_map_builder *builder = calloc(1, sizeof *builder);
    if (!builder) return NULL;
    for (int type = 0; type < NM_LANE_TYPE_COUNT; type++) builder->default_speed[type] = 50.0 / 3.6;
    builder->default_speed[NM_LANE_FREEWAY] = 120.0 / 3.6;
    builder->default_speed[NM_LANE_RAMP] = 60.0 / 3.6;
    builder->default_speed[NM_LANE_DRIVEWAY] = 10.0 / 3.6;
    builder->default_speed[NM_LANE_BIKE] = 20.0 / 3.6;
    builder->default_speed[NM_LANE_SIDEWALK] = 6.0 / 3.6;
    builder->default_speed[NM_LANE_CROSSWALK] = 6.0 / 3.6;
    nm_map_builder_reset(builder);
    return builder;
}

void nm_map_builder_destroy(nm_map_builder *builder) {
    if (!builder) return;
    nm_pile *piles[] = {&builder->lanes,       &builder->points, &builder->refs,        &builder->neighbours,
                        &builder->lines,       &builder->areas,  &builder->line_points, &builder->signals,
                        &builder->area_points, &builder->signs,  &builder->phases,      &builder->edges,
                        &builder->starts,      &builder->counts};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) nm_pile_free(piles[i]);
    nm_id_table_free(&builder->lane_ids);
    nm_id_table_free(&builder->signal_ids);
    nm_id_table_free(&builder->sign_ids);
    nm_id_table_free(&builder->junction_ids);
    free(builder);
}

void nm_map_builder_reset(nm_map_builder *builder) {
    nm_pile *piles[] = {&builder->lanes,       &builder->points, &builder->refs,        &builder->neighbours,
                        &builder->lines,       &builder->areas,  &builder->line_points, &builder->signals,
                        &builder->area_points, &builder->signs,  &builder->phases};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; i++) piles[i]->count = 0;
    nm_id_table_reset(&builder->lane_ids);
    nm_id_table_reset(&builder->signal_ids);
    nm_id_table_reset(&builder->sign_ids);
    nm_id_table_reset(&builder->junction_ids);
    builder->has_origin = 0;
    builder->lo_x = builder->lo_y = builder->lo_z = INFINITY;
    builder->hi_x = builder->hi_y = -INFINITY;
    memset(builder->repairs, 0, sizeof builder->repairs);
}

void nm_map_builder_set_origin(nm_map_builder *builder, nm_point3 origin) {
    builder->origin = origin;
    builder->has_origin = 1;
}

void nm_map_builder_set_default_speed(nm_map_builder *builder, nm_lane_type type, double speed) {
    NM_ASSERT((unsigned)type < NM_LANE_TYPE_COUNT && speed > 0.0 && speed < 1000.0);
    builder->default_speed[type] = speed;
}

nm_lane_def nm_lane_def_default(void) {
    return (nm_lane_def){.junction = -1};
}

// ---------------------------------------------------------------------------------------------------------------------
// Lanes

/// Unit normal (to the left) of a centreline at point i, from its neighbours that lie elsewhere.
static void normal_at(const nm_point3 *centre, size_t count, size_t i, double *nx, double *ny) {
    size_t a = i > 0 ? i - 1 : 0, b = i + 1 < count ? i + 1 : i;
    double dx = 0.0, dy = 0.0, length = 0.0;
    for (;;) {
        dx = centre[b].x - centre[a].x;
        dy = centre[b].y - centre[a].y;
        length = sqrt(dx * dx + dy * dy);
        if (length > 1e-6 || (a == 0 && b + 1 >= count)) break;
        if (a > 0) a--;
        if (b + 1 < count) b++;
    }
    *nx = length > 0.0 ? -dy / length : 0.0;
    *ny = length > 0.0 ? dx / length : 1.0;
}

/// Borders of a lane that came as a centreline.
static void widen(const nm_lane_def *def, size_t i, nm_raw_point *point, unsigned *flags) {
    int path = def->type == NM_LANE_BIKE || def->type == NM_LANE_SIDEWALK;
    double assumed = 0.5 * (path ? ASSUMED_PATH_WIDTH : ASSUMED_WIDTH);
    double half = def->width > 0.0 ? 0.5 * def->width : assumed;
    double left = def->left_width ? (double)def->left_width[i] : 0.0;
    double right = def->right_width ? (double)def->right_width[i] : 0.0;
    if (!(left > 0.0)) {
        left = half;
        if (!(def->width > 0.0)) *flags |= NM_LANE_ASSUMED_LEFT;
    }
    if (!(right > 0.0)) {
        right = half;
        if (!(def->width > 0.0)) *flags |= NM_LANE_ASSUMED_RIGHT;
    }
    double nx, ny;
    normal_at(def->centre, def->point_count, i, &nx, &ny);
    point->lx = point->cx + nx * left;
    point->ly = point->cy + ny * left;
    point->rx = point->cx - nx * right;
    point->ry = point->cy - ny * right;
}

/// Appends the lane's points without repeated ones.
static nm_status add_points(nm_map_builder *builder, const nm_lane_def *def, nm_raw_lane *lane, nm_error *error) {
    nm_raw_point *points = NM_PUSH(&builder->points, nm_raw_point, def->point_count);
    if (!points) return no_memory(error);
    unsigned flags = lane->flags;
    size_t kept = 0;
    for (size_t i = 0; i < def->point_count; i++) {
        nm_raw_point *p = &points[kept];
        if (def->left) {
            const nm_point3 *l = &def->left[i], *r = &def->right[i];
            if (!usable(l) || !usable(r)) return bad_point(error, def->line, "lane", def->id, i);
            *p = (nm_raw_point){0.5 * (l->x + r->x), 0.5 * (l->y + r->y), l->x, l->y, r->x, r->y, 0.5 * (l->z + r->z)};
            const nm_point3 *c = def->centre ? &def->centre[i] : NULL;
            if (c && !usable(c)) return bad_point(error, def->line, "lane", def->id, i);
            if (c) p->cx = c->x, p->cy = c->y, p->z = c->z;
        } else {
            const nm_point3 *c = &def->centre[i];
            if (!usable(c)) return bad_point(error, def->line, "lane", def->id, i);
            *p = (nm_raw_point){.cx = c->x, .cy = c->y, .z = c->z};
            if (kept == 0 || p->cx != p[-1].cx || p->cy != p[-1].cy)
                widen(def, i, p, &flags);
            else
                *p = p[-1];
            if (!(fabs(p->lx - p->cx) + fabs(p->rx - p->cx) + fabs(p->ly - p->cy) + fabs(p->ry - p->cy) < 1e4)) {
                return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "lane %lld: width at point %zu is absurd",
                                   (long long)def->id, i);
            }
        }
        if (kept && p->lx == p[-1].lx && p->ly == p[-1].ly && p->rx == p[-1].rx && p->ry == p[-1].ry) continue;
        builder->lo_x = nm_min(builder->lo_x, p->cx);
        builder->hi_x = nm_max(builder->hi_x, p->cx);
        builder->lo_y = nm_min(builder->lo_y, p->cy);
        builder->hi_y = nm_max(builder->hi_y, p->cy);
        builder->lo_z = nm_min(builder->lo_z, p->z);
        kept++;
    }
    builder->repairs[NM_REPAIR_REPEATED_POINT] += (uint32_t)(def->point_count - kept);
    if (flags & (NM_LANE_ASSUMED_LEFT | NM_LANE_ASSUMED_RIGHT)) builder->repairs[NM_REPAIR_ASSUMED_WIDTH]++;
    builder->points.count -= def->point_count - kept;
    lane->points = (nm_range){(uint32_t)(builder->points.count - kept), (uint32_t)kept};
    lane->flags = (uint8_t)flags;
    if (kept < 2) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "lane %lld has fewer than two different points",
                           (long long)def->id);
    }
    return NM_OK;
}

/// Swaps the borders when the left one lies right of the other on every segment.
static void mend_sides(nm_map_builder *builder, nm_raw_lane *lane) {
    nm_raw_point *p = &NM_AT(builder->points, nm_raw_point, lane->points.first);
    uint32_t wrong = 0, right = 0;
    for (uint32_t i = 0; i + 1 < lane->points.count && !right; i++) {
        double dx = p[i + 1].cx - p[i].cx, dy = p[i + 1].cy - p[i].cy;
        double wx = p[i + 1].lx - p[i + 1].rx + p[i].lx - p[i].rx, wy = p[i + 1].ly - p[i + 1].ry + p[i].ly - p[i].ry;
        double side = dx * wy - dy * wx;
        wrong += side < 0.0;
        right += side > 0.0;
    }
    if (!wrong || right) return;
    for (uint32_t i = 0; i < lane->points.count; i++) {
        nm_raw_point q = p[i];
        p[i].lx = q.rx;
        p[i].ly = q.ry;
        p[i].rx = q.lx;
        p[i].ry = q.ly;
    }
    builder->repairs[NM_REPAIR_SWAPPED_BORDERS]++;
}

static int copy_refs(nm_map_builder *builder, const int64_t *ids, size_t count, nm_range *range) {
    int64_t *refs = NM_PUSH(&builder->refs, int64_t, count);
    if (!refs || builder->refs.count > NM_NONE / 2) return 0;
    if (count) memcpy(refs, ids, count * sizeof *ids);
    *range = (nm_range){(uint32_t)(builder->refs.count - count), (uint32_t)count};
    return 1;
}

static int copy_neighbours(nm_map_builder *builder, const nm_neighbour_def *defs, size_t count, nm_range *range) {
    nm_neighbour_def *to = NM_PUSH(&builder->neighbours, nm_neighbour_def, count);
    if (!to || builder->neighbours.count > NM_NONE / 2) return 0;
    if (count) memcpy(to, defs, count * sizeof *defs);
    *range = (nm_range){(uint32_t)(builder->neighbours.count - count), (uint32_t)count};
    return 1;
}

static void assert_lane_def(const nm_lane_def *def) {
    NM_ASSERT((def->left && def->right) || (!def->left && !def->right && def->centre) || def->point_count == 0);
    NM_ASSERT((unsigned)def->type < NM_LANE_TYPE_COUNT && (unsigned)def->turn <= NM_TURN_U);
    NM_ASSERT((unsigned)def->control <= NM_CONTROL_SIGNAL);
    NM_ASSERT((unsigned)def->left_marking <= NM_MARKING_CURB && (unsigned)def->right_marking <= NM_MARKING_CURB);
    NM_ASSERT((unsigned)def->left_colour <= NM_COLOUR_YELLOW && (unsigned)def->right_colour <= NM_COLOUR_YELLOW);
}

nm_status nm_map_builder_add_lane(nm_map_builder *builder, const nm_lane_def *def, nm_error *error) {
    assert_lane_def(def);
    uint32_t index = (uint32_t)builder->lanes.count;
    if (def->id < 0) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "lane id %lld is negative", (long long)def->id);
    }
    if (def->point_count < 2) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "lane %lld has %zu points, at least 2 are needed",
                           (long long)def->id, def->point_count);
    }
    if (def->point_count + builder->points.count > NM_NONE / 2) {
        return NM_ERROR_AT(error, NM_E_LIMIT, NULL, def->line, -1, "lane %lld: the map has too many points",
                           (long long)def->id);
    }
    if (!(def->speed_limit >= 0.0 && def->speed_limit < 1000.0)) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "lane %lld: speed limit %g m/s makes no sense",
                           (long long)def->id, def->speed_limit);
    }
    uint32_t stored = nm_id_table_add(&builder->lane_ids, def->id, index);
    if (stored == NM_NONE) return no_memory(error);
    if (stored != index) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "lane id %lld is used twice", (long long)def->id);
    }
    nm_raw_lane lane = {.id = def->id,
                        .line = def->line,
                        .junction = def->junction,
                        .speed_limit = def->speed_limit,
                        .type = (uint8_t)def->type,
                        .turn = (uint8_t)def->turn,
                        .control = (uint8_t)def->control,
                        .flags = (uint8_t)(def->flags & (NM_LANE_JUNCTION | NM_LANE_BIDIRECTIONAL)),
                        .left_marking = (uint8_t)def->left_marking,
                        .right_marking = (uint8_t)def->right_marking,
                        .left_colour = (uint8_t)def->left_colour,
                        .right_colour = (uint8_t)def->right_colour,
                        .stop = def->stop_line ? 2 : def->has_stop_line != 0};
    if (def->stop_line) {
        if (!usable(&def->stop_line[0]) || !usable(&def->stop_line[1])) {
            return bad_point(error, def->line, "stop line of lane", def->id, 0);
        }
        lane.stop_a = def->stop_line[0];
        lane.stop_b = def->stop_line[1];
    }
    nm_status status = add_points(builder, def, &lane, error);
    if (status != NM_OK) return status;
    if (def->left) mend_sides(builder, &lane);
    if (!copy_refs(builder, def->predecessors, def->predecessor_count, &lane.predecessors) ||
        !copy_refs(builder, def->successors, def->successor_count, &lane.successors) ||
        !copy_neighbours(builder, def->left_neighbours, def->left_neighbour_count, &lane.left) ||
        !copy_neighbours(builder, def->right_neighbours, def->right_neighbour_count, &lane.right)) {
        return no_memory(error);
    }
    nm_raw_lane *to = NM_PUSH(&builder->lanes, nm_raw_lane, 1);
    if (!to) return no_memory(error);
    *to = lane;
    return NM_OK;
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines, areas, signals, signs

static nm_status copy_points(nm_pile *pile, const char *what, int64_t id, const nm_point3 *points, size_t count,
                             nm_range *range, nm_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (!usable(&points[i])) return bad_point(error, 0, what, id, i);
    }
    nm_point3 *to = NM_PUSH(pile, nm_point3, count);
    if (!to || pile->count > NM_NONE / 2) return no_memory(error);
    if (count) memcpy(to, points, count * sizeof *points);
    *range = (nm_range){(uint32_t)(pile->count - count), (uint32_t)count};
    return NM_OK;
}

nm_status nm_map_builder_add_line(nm_map_builder *builder, int64_t id, nm_line_kind kind, nm_marking marking,
                                  nm_colour colour, const nm_point3 *points, size_t count, nm_error *error) {
    NM_ASSERT((unsigned)kind <= NM_LINE_EDGE_MEDIAN && (unsigned)marking <= NM_MARKING_CURB);
    NM_ASSERT((unsigned)colour <= NM_COLOUR_YELLOW);
    nm_line line = {.source_id = id, .kind = (uint8_t)kind, .marking = (uint8_t)marking, .colour = (uint8_t)colour};
    nm_status status = copy_points(&builder->line_points, "line", id, points, count, &line.points, error);
    if (status != NM_OK) return status;
    nm_line *to = NM_PUSH(&builder->lines, nm_line, 1);
    if (!to) return no_memory(error);
    *to = line;
    return NM_OK;
}

nm_status nm_map_builder_add_area(nm_map_builder *builder, int64_t id, nm_area_kind kind, const nm_point3 *points,
                                  size_t count, nm_error *error) {
    NM_ASSERT((unsigned)kind <= NM_AREA_OBSTACLE);
    nm_area area = {.source_id = id, .kind = (uint8_t)kind};
    nm_status status = copy_points(&builder->area_points, "area", id, points, count, &area.points, error);
    if (status != NM_OK) return status;
    nm_area *to = NM_PUSH(&builder->areas, nm_area, 1);
    if (!to) return no_memory(error);
    *to = area;
    return NM_OK;
}

/// Claims an id in a table of its own kind.
static nm_status claim(nm_id_table *table, const char *what, int64_t id, int64_t line, size_t index, nm_error *error) {
    uint32_t stored = nm_id_table_add(table, id, (uint32_t)index);
    if (stored == NM_NONE) return no_memory(error);
    if (stored == index) return NM_OK;
    return NM_ERROR_AT(error, NM_E_FORMAT, NULL, line, -1, "%s id %lld is used twice", what, (long long)id);
}

nm_status nm_map_builder_add_signal(nm_map_builder *builder, const nm_signal_def *def, nm_error *error) {
    NM_ASSERT((unsigned)def->turn <= NM_TURN_U);
    if (def->position && !usable(def->position)) return bad_point(error, def->line, "signal", def->id, 0);
    uint64_t cycle = 0;
    for (size_t i = 0; i < def->phase_count; i++) {
        NM_ASSERT(def->phases[i].state < NM_SIGNAL_STATE_COUNT);
        cycle += def->phases[i].steps;
    }
    if (def->phase_count && (cycle == 0 || !(def->cycle_dt > 0.0 && def->cycle_dt <= 3600.0))) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "signal %lld: its cycle has no duration",
                           (long long)def->id);
    }
    nm_status status = claim(&builder->signal_ids, "signal", def->id, def->line, builder->signals.count, error);
    if (status != NM_OK) return status;
    nm_raw_signal signal = {.id = def->id,
                            .line = def->line,
                            .cycle_dt = def->phase_count ? def->cycle_dt : 0.0,
                            .phase_offset = def->phase_offset,
                            .placed = def->position != NULL,
                            .turn = (uint8_t)def->turn};
    if (def->position) signal.position = *def->position;
    nm_phase *phases = NM_PUSH(&builder->phases, nm_phase, def->phase_count);
    if (!phases || !copy_refs(builder, def->lanes, def->lane_count, &signal.lanes)) return no_memory(error);
    for (size_t i = 0; i < def->phase_count; i++) {
        phases[i] = (nm_phase){.steps = def->phases[i].steps, .state = def->phases[i].state};
    }
    signal.phases = (nm_range){(uint32_t)(builder->phases.count - def->phase_count), (uint32_t)def->phase_count};
    nm_raw_signal *to = NM_PUSH(&builder->signals, nm_raw_signal, 1);
    if (!to) return no_memory(error);
    *to = signal;
    return NM_OK;
}

nm_status nm_map_builder_add_sign(nm_map_builder *builder, const nm_sign_def *def, nm_error *error) {
    if (def->position && !usable(def->position)) return bad_point(error, def->line, "sign", def->id, 0);
    if (!(fabs(def->value) < 1e30)) {
        return NM_ERROR_AT(error, NM_E_FORMAT, NULL, def->line, -1, "sign %lld: its value is not a number",
                           (long long)def->id);
    }
    nm_status status = claim(&builder->sign_ids, "sign", def->id, def->line, builder->signs.count, error);
    if (status != NM_OK) return status;
    nm_raw_sign sign = {.line = def->line};
    sign.sign.source_id = def->id;
    sign.sign.value = (float)def->value;
    sign.sign.placed = def->position != NULL;
    sign.sign.virtual_sign = def->virtual_sign != 0;
    const char *code = def->code ? def->code : "";
    size_t length = strlen(code);
    if (length >= sizeof sign.sign.code) length = sizeof sign.sign.code - 1;
    memcpy(sign.sign.code, code, length);
    if (def->position) sign.position = *def->position;
    if (!copy_refs(builder, def->lanes, def->lane_count, &sign.lanes)) return no_memory(error);
    nm_raw_sign *to = NM_PUSH(&builder->signs, nm_raw_sign, 1);
    if (!to) return no_memory(error);
    *to = sign;
    return NM_OK;
}
