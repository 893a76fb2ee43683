/// The part of a city that a scene needs, as a map of ours: lanes keep their ends, connectors are lanes of a junction,
/// the drivable area is areas.
///
/// A light is given per connector. It rules the ends of the lanes before it, for the turn the connector makes, and has
/// the connector's id: as the WOMD reader does it, so that whoever exports finds the connector again.
#include <math.h>
#include <stdio.h>

#include "dataset/nuplan.h"

typedef struct making {
    const nm_np_city *city;
    const nm_np_box *box;   // NULL: everything
    const nm_id_table *lit; // nullable
    nm_map_builder *builder;
    nm_error *error;
    nm_pile lines[3], shares; // nm_point3: centre, left, right; double
    nm_pile ids;              // int64_t
} making;

static nm_status no_memory(const making *m) {
    return NM_ERROR(m->error, NM_E_MEMORY, "no memory for the map");
}

static const nm_np_lane *lane_at(const making *m, uint32_t index) {
    return &NM_AT(m->city->lanes, nm_np_lane, index);
}

static int taken(const making *m, uint32_t lane) {
    return lane != NM_NONE && (!m->box || nm_np_meet(m->box, &lane_at(m, lane)->box));
}

static int has_light(const making *m, const nm_np_lane *connector) {
    return connector->connector && (connector->lit || (m->lit && nm_id_table_find(m->lit, connector->fid) != NM_NONE));
}

static nm_np_line line_of(const making *m, nm_range range, int reversed) {
    return (nm_np_line){range.count ? &NM_AT(m->city->points, nm_np_point, range.first) : NULL, range.count, reversed};
}

/// Ids of the connectors in the links of a lane.
static int add_linked(making *m, const nm_pile *links, uint32_t lane) {
    const nm_np_link *link = links->data;
    size_t low = 0, high = links->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (link[middle].lane < lane)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < links->count && link[low].lane == lane; ++low) {
        if (!taken(m, link[low].connector)) continue;
        int64_t *id = NM_PUSH(&m->ids, int64_t, 1);
        if (!id) return 0;
        *id = lane_at(m, link[low].connector)->id;
    }
    return 1;
}

static int add_id(making *m, uint32_t lane) {
    if (!taken(m, lane)) return 1;
    int64_t *id = NM_PUSH(&m->ids, int64_t, 1);
    if (id) *id = lane_at(m, lane)->id;
    return id != NULL;
}

/// Where one stops on a lane, left end first. 0: at its end.
static int stop_line_of(const making *m, const nm_np_lane *lane, nm_point3 stop[2]) {
    if (lane->stop_s < 0.0 || !lane->border[0].count || !lane->border[1].count) return 0;
    const nm_np_line centre = line_of(m, lane->centre, 0);
    const double share = fmin(lane->stop_s / nm_np_length(centre.points, centre.count), 1.0);
    for (int side = 0; side < 2; ++side) {
        const nm_np_line border = line_of(m, lane->border[side], 0);
        const nm_np_point p = nm_np_at(border.points, border.count, lane->against[side] ? 1.0 - share : share);
        stop[side] = (nm_point3){p.x, p.y, 0.0};
    }
    return 1;
}

static nm_status add_lane(making *m, uint32_t index) {
    const nm_np_lane *lane = lane_at(m, index);
    const int bordered = lane->border[0].count && lane->border[1].count; // one alone would have to be trusted twice
    const nm_np_line lines[3] = {line_of(m, lane->centre, 0),
                                 line_of(m, bordered ? lane->border[0] : (nm_range){0}, lane->against[0]),
                                 line_of(m, bordered ? lane->border[1] : (nm_range){0}, lane->against[1])};
    for (int i = 0; i < 3; ++i) m->lines[i].count = 0;
    m->ids.count = 0;
    if (!nm_np_pair(lines, m->lines, &m->shares)) return no_memory(m);
    nm_lane_def def = nm_lane_def_default();
    def.id = lane->id;
    def.centre = m->lines[0].data;
    def.left = bordered ? m->lines[1].data : NULL;
    def.right = bordered ? m->lines[2].data : NULL;
    def.point_count = m->lines[0].count;
    def.speed_limit = lane->speed_limit;
    def.type = lane->bike ? NM_LANE_BIKE : NM_LANE_STREET;
    def.left_marking = (nm_marking)lane->marking[0];
    def.right_marking = (nm_marking)lane->marking[1];
    const int enough = lane->connector
                           ? add_id(m, lane->behind) && (def.successor_count = m->ids.count, add_id(m, lane->before))
                           : add_linked(m, &m->city->leaving, index) &&
                                 (def.successor_count = m->ids.count, add_linked(m, &m->city->arriving, index));
    if (!enough) return no_memory(m);
    def.successors = m->ids.data;
    def.predecessor_count = m->ids.count - def.successor_count;
    def.predecessors = m->ids.data ? (int64_t *)m->ids.data + def.successor_count : NULL;
    nm_neighbour_def beside[2] = {{0}};
    for (int side = 0; side < 2; ++side) {
        if (!taken(m, lane->beside[side])) continue;
        beside[side].lane = lane_at(m, lane->beside[side])->id;
        *(side ? &def.right_neighbours : &def.left_neighbours) = &beside[side];
        *(side ? &def.right_neighbour_count : &def.left_neighbour_count) = 1;
    }
    if (lane->connector) {
        def.flags = NM_LANE_JUNCTION;
        def.turn = (nm_turn)lane->turn;
        // connectors outside intersections are a junction of their lane group connector each
        def.junction =
            lane->intersection >= 0 ? 2 * lane->intersection : 2 * (lane->group < 0 ? lane->fid : lane->group) + 1;
    }
    nm_point3 stop[2];
    def.control = (nm_control_kind)lane->control;
    def.stop_line = stop_line_of(m, lane, stop) ? stop : NULL;
    return nm_map_builder_add_lane(m->builder, &def, m->error);
}

static nm_status add_light(making *m, uint32_t index) {
    const nm_np_lane *connector = lane_at(m, index);
    const nm_np_point *start = &NM_AT(m->city->points, nm_np_point, connector->centre.first);
    nm_point3 position = {start->x, start->y, 0.0};
    m->ids.count = 0;
    if (!add_id(m, connector->before)) return no_memory(m);
    const nm_np_lane *before = m->ids.count ? lane_at(m, connector->before) : NULL;
    if (before && before->stop_s >= 0.0) {
        const nm_np_line centre = line_of(m, before->centre, 0);
        const double length = nm_np_length(centre.points, centre.count);
        const nm_np_point p = nm_np_at(centre.points, centre.count, fmin(before->stop_s / length, 1.0));
        position = (nm_point3){p.x, p.y, 0.0};
    }
    const nm_signal_def def = {.id = connector->id,
                               .position = &position,
                               .turn = (nm_turn)connector->turn,
                               .lanes = m->ids.data,
                               .lane_count = m->ids.count};
    return nm_map_builder_add_signal(m->builder, &def, m->error);
}

static nm_status add_areas(making *m) {
    nm_status status = NM_OK;
    for (size_t i = 0; status == NM_OK && i < m->city->areas.count; ++i) {
        const nm_np_area *area = &NM_AT(m->city->areas, nm_np_area, i);
        if (m->box && !nm_np_meet(m->box, &area->box)) continue;
        const nm_np_point *points = &NM_AT(m->city->points, nm_np_point, area->points.first);
        m->lines[0].count = 0;
        nm_point3 *to = NM_PUSH(&m->lines[0], nm_point3, area->points.count);
        if (!to) return no_memory(m);
        for (uint32_t k = 0; k < area->points.count; ++k) to[k] = (nm_point3){points[k].x, points[k].y, 0.0};
        status =
            nm_map_builder_add_area(m->builder, area->fid, (nm_area_kind)area->kind, to, area->points.count, m->error);
    }
    return status;
}

static nm_status make(making *m, const nm_map **map) {
    const uint32_t count = (uint32_t)m->city->lanes.count;
    uint32_t lanes = 0;
    nm_status status = NM_OK;
    nm_map_builder_reset(m->builder);
    if (m->box) // the same part of a city has the same origin, whatever lanes there are in it
        nm_map_builder_set_origin(m->builder, (nm_point3){rint(0.5 * (m->box->lo_x + m->box->hi_x)),
                                                          rint(0.5 * (m->box->lo_y + m->box->hi_y)), 0.0});
    for (uint32_t i = 0; status == NM_OK && i < count; ++i) {
        if (!taken(m, i)) continue;
        status = add_lane(m, i);
        ++lanes;
    }
    if (status == NM_OK && lanes == 0)
        status = NM_ERROR(m->error, NM_E_FORMAT, "no lane of the map %s lies around what the ego drove: another map?",
                          m->city->name);
    for (uint32_t i = m->city->lane_count; status == NM_OK && i < count; ++i)
        if (taken(m, i) && has_light(m, lane_at(m, i))) status = add_light(m, i);
    if (status == NM_OK) status = add_areas(m);
    return status == NM_OK ? nm_map_builder_build(m->builder, map, m->error) : status;
}

nm_status nm_np_build_map(const nm_np_city *city, const nm_np_box *box, const nm_id_table *lit, nm_map_builder *builder,
                          const nm_map **map, nm_error *error) {
    making m = {.city = city, .box = box, .lit = lit, .builder = builder, .error = error};
    *map = NULL;
    nm_status status = make(&m, map);
    for (int i = 0; i < 3; ++i) nm_pile_free(&m.lines[i]);
    nm_pile_free(&m.shares);
    nm_pile_free(&m.ids);
    return status;
}
