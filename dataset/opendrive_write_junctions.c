/// Junctions of a written document, and the stubs of those that have no roads of their own.
///
/// OpenDRIVE lets traffic fork and merge inside junctions only, over connecting roads. Where lanes of a map simply
/// fork, each movement gets a connecting road of NM_OW_STUB m, straight on from the end of the lane it comes from and
/// as wide.
#include <math.h>

#include "dataset/opendrive_plan.h"
#include "sim/math.h"

void nm_ow_note_exits(nm_ow_plan *plan, const nm_ow_road *road, double length) {
    const nm_map *map = plan->map;
    for (uint32_t place = 0; place < road->lanes.count; ++place) {
        uint32_t index = nm_ow_lane_of(plan, road, place);
        const nm_lane *lane = &map->lanes[index];
        int backward = place < road->backward;
        double s = backward ? 0.0 : length;
        double left = nm_ow_border_at(plan, place, s), right = nm_ow_border_at(plan, place + 1, s);
        nm_ow_exit *exit = &NM_AT(plan->exits, nm_ow_exit, index);
        nm_ow_pose(plan, s, &exit->x, &exit->y, &exit->hdg);
        if (backward) exit->hdg += NM_PI;
        exit->left = backward ? -right : left;
        exit->width = fmax(left - right, 0.0);
        exit->z = (double)map->z[lane->points.first + lane->points.count - 1] + map->origin.z;
    }
}

static int is_stub(const nm_ow_plan *plan, const nm_ow_edge *edge, uint32_t *junction) {
    const nm_ow_link *link = &nm_ow_road_at(plan, edge->from_end / 2)->links[edge->from_end % 2];
    if (link->kind != NM_OW_TO_JUNCTION || !NM_AT(plan->junctions, nm_ow_junction, link->target).joint) return 0;
    *junction = link->target;
    return 1;
}

static int32_t lane_id(const nm_ow_plan *plan, uint32_t lane) {
    return NM_AT(plan->lanes, nm_ow_lane, lane).id;
}

static void write_stub(const nm_ow_plan *plan, const nm_ow_edge *edge, uint32_t id, uint32_t junction,
                       nm_byte_buffer *out) {
    const nm_ow_exit *exit = &NM_AT(plan->exits, nm_ow_exit, edge->from);
    nm_byte_buffer_format(out, "  <road id=\"%u\" name=\"\"", id);
    nm_ow_number(out, "length", 3, NM_OW_STUB);
    nm_byte_buffer_format(out,
                          " junction=\"%u\" rule=\"RHT\">\n    <link>\n"
                          "      <predecessor elementType=\"road\" elementId=\"%u\" contactPoint=\"%s\"/>\n",
                          nm_ow_junction_id(plan, junction), edge->from_end / 2 + 1,
                          edge->from_end % 2 ? "end" : "start");
    nm_byte_buffer_format(out,
                          "      <successor elementType=\"road\" elementId=\"%u\" contactPoint=\"%s\"/>\n    </link>\n"
                          "    <type s=\"0\" type=\"town\"/>\n    <planView>\n      <geometry s=\"0\"",
                          edge->to_end / 2 + 1, edge->to_end % 2 ? "end" : "start");
    nm_ow_number(out, "x", 9, exit->x);
    nm_ow_number(out, "y", 9, exit->y);
    nm_ow_number(out, "hdg", 12, exit->hdg);
    nm_ow_number(out, "length", 3, NM_OW_STUB);
    nm_byte_buffer_text(out, "><line/></geometry>\n    </planView>\n    <elevationProfile>\n      <elevation s=\"0\"");
    nm_ow_number(out, "a", 6, exit->z);
    nm_byte_buffer_text(out, " b=\"0\" c=\"0\" d=\"0\"/>\n    </elevationProfile>\n    <lateralProfile/>\n    <lanes>\n"
                             "      <laneOffset s=\"0\"");
    nm_ow_number(out, "a", 6, exit->left);
    nm_byte_buffer_format(out,
                          " b=\"0\" c=\"0\" d=\"0\"/>\n      <laneSection s=\"0\">\n        <center>\n"
                          "          <lane id=\"0\" type=\"none\" level=\"false\"/>\n        </center>\n"
                          "        <right>\n          <lane id=\"-1\" type=\"%s\" level=\"false\">\n",
                          nm_lane_type_drivable((nm_lane_type)plan->map->lanes[edge->from].type) ? "driving"
                                                                                                 : "sidewalk");
    nm_byte_buffer_format(out,
                          "            <link>\n              <predecessor id=\"%d\"/>\n              <successor "
                          "id=\"%d\"/>\n            </link>\n            <width sOffset=\"0\"",
                          lane_id(plan, edge->from), lane_id(plan, edge->to));
    nm_ow_number(out, "a", 6, exit->width);
    nm_byte_buffer_text(out, " b=\"0\" c=\"0\" d=\"0\"/>\n          </lane>\n        </right>\n      </laneSection>\n"
                             "    </lanes>\n  </road>\n");
}

void nm_ow_write_stubs(const nm_ow_plan *plan, nm_byte_buffer *out) {
    uint32_t id = (uint32_t)plan->roads.count, junction;
    for (size_t i = 0; i < plan->edges.count; ++i) {
        const nm_ow_edge *edge = &NM_AT(plan->edges, nm_ow_edge, i);
        if (is_stub(plan, edge, &junction)) write_stub(plan, edge, ++id, junction, out);
    }
}

/// One connection for every pair of road ends that traffic enters a junction over; of a joint, for every stub.
static void write_connections(const nm_ow_plan *plan, uint32_t junction, nm_byte_buffer *out) {
    uint32_t connection = 0, stub = (uint32_t)plan->roads.count, target;
    const nm_ow_edge *edges = plan->edges.data;
    for (size_t i = 0, end; i < plan->edges.count; i = end) {
        int stubs = is_stub(plan, &edges[i], &target);
        end = i + 1;
        stub += stubs;
        while (!stubs && end < plan->edges.count && edges[end].from_end == edges[i].from_end &&
               edges[end].to_end == edges[i].to_end)
            ++end;
        uint32_t from = edges[i].from_end / 2, to = edges[i].to_end / 2;
        const nm_ow_link *link = &nm_ow_road_at(plan, from)->links[edges[i].from_end % 2];
        int inside = nm_ow_road_at(plan, from)->junction != NM_NONE;
        if (link->kind != NM_OW_TO_JUNCTION || link->target != junction || inside) continue;
        nm_byte_buffer_format(out,
                              "    <connection id=\"%u\" incomingRoad=\"%u\" connectingRoad=\"%u\" "
                              "contactPoint=\"%s\">\n",
                              connection++, from + 1, stubs ? stub : to + 1,
                              !stubs && edges[i].to_end % 2 ? "end" : "start");
        for (size_t k = i; k < end; ++k)
            nm_byte_buffer_format(out, "      <laneLink from=\"%d\" to=\"%d\"/>\n", lane_id(plan, edges[k].from),
                                  stubs ? -1 : lane_id(plan, edges[k].to));
        nm_byte_buffer_text(out, "    </connection>\n");
    }
}

void nm_ow_write_junctions(const nm_ow_plan *plan, nm_byte_buffer *out) {
    for (uint32_t j = 0; j < plan->junctions.count; ++j) {
        nm_byte_buffer_format(out, "  <junction id=\"%u\" name=\"\">\n", nm_ow_junction_id(plan, j));
        write_connections(plan, j, out);
        nm_byte_buffer_text(out, "  </junction>\n");
    }
}
