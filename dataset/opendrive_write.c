/// The OpenDRIVE document of a map.
#include "dataset/opendrive_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/rng.h"
#include "dataset/opendrive_plan.h"

#define HEIGHT_TOLERANCE 0.01 // m
#define TAG "geoReference:"

struct nm_opendrive_writer {
    nm_ow_plan plan;
    nm_pile crossings;       // crossing: by road
    nm_byte_buffer document; // to be shared: the last one
    uint64_t name;           // of it
    int kept;
};

/// A crosswalk goes with the road it lies on.
typedef struct crossing {
    uint32_t road, area;
} crossing;

nm_opendrive_writer *nm_opendrive_writer_create(void) {
    return calloc(1, sizeof(nm_opendrive_writer));
}

void nm_opendrive_writer_destroy(nm_opendrive_writer *writer) {
    if (!writer) return;
    nm_ow_plan_free(&writer->plan);
    nm_pile_free(&writer->crossings);
    nm_byte_buffer_free(&writer->document);
    free(writer);
}

void nm_opendrive_lane(const nm_opendrive_writer *writer, uint32_t lane, uint32_t *road, int32_t *lane_id) {
    NM_ASSERT(lane < writer->plan.lanes.count);
    const nm_ow_lane *info = &NM_AT(writer->plan.lanes, nm_ow_lane, lane);
    *road = info->road + 1;
    *lane_id = info->id;
}

void nm_ow_number(nm_byte_buffer *out, const char *name, int digits, double value) {
    char text[64];
    size_t length = nm_decimal_print(text, sizeof text, NM_DECIMAL_FIXED, digits, value);
    if (digits > 0) {
        while (text[length - 1] == '0') --length;
        if (text[length - 1] == '.') --length;
    }
    if (length == 2 && memcmp(text, "-0", 2) == 0) {
        text[0] = '0';
        length = 1;
    }
    nm_byte_buffer_format(out, " %s=\"%.*s\"", name, (int)length, text);
}

static void write_poly(nm_byte_buffer *out, const char *element, const char *offset, double s, double a, double b) {
    nm_byte_buffer_format(out, "<%s", element);
    nm_ow_number(out, offset, 9, s);
    nm_ow_number(out, "a", 6, a);
    nm_ow_number(out, "b", 10, b);
    nm_byte_buffer_text(out, " c=\"0\" d=\"0\"/>\n");
}

// --- the reference line ----------------------------------------------------------------------------------------------

static void write_link(const nm_ow_plan *plan, const nm_ow_link *link, const char *element, nm_byte_buffer *out) {
    if (link->kind == NM_OW_TO_ROAD)
        nm_byte_buffer_format(out, "      <%s elementType=\"road\" elementId=\"%u\" contactPoint=\"%s\"/>\n", element,
                              link->target + 1, link->at_end ? "end" : "start");
    if (link->kind == NM_OW_TO_JUNCTION)
        nm_byte_buffer_format(out, "      <%s elementType=\"junction\" elementId=\"%u\"/>\n", element,
                              nm_ow_junction_id(plan, link->target));
}

static void write_plan_view(const nm_ow_plan *plan, nm_byte_buffer *out) {
    nm_byte_buffer_text(out, "    <planView>\n");
    for (size_t i = 0; i < plan->arcs.count; ++i) {
        const nm_ow_arc *arc = &NM_AT(plan->arcs, nm_ow_arc, i);
        nm_byte_buffer_text(out, "      <geometry");
        nm_ow_number(out, "s", 9, arc->s);
        nm_ow_number(out, "x", 9, arc->x);
        nm_ow_number(out, "y", 9, arc->y);
        nm_ow_number(out, "hdg", 12, arc->hdg);
        nm_ow_number(out, "length", 9, arc->length);
        nm_byte_buffer_text(out, ">");
        if (arc->curvature == 0.0) {
            nm_byte_buffer_text(out, "<line/>");
        } else {
            nm_byte_buffer_text(out, "<arc");
            nm_ow_number(out, "curvature", 12, arc->curvature);
            nm_byte_buffer_text(out, "/>");
        }
        nm_byte_buffer_text(out, "</geometry>\n");
    }
    nm_byte_buffer_text(out, "    </planView>\n");
}

/// Heights of the middle lane, linear between its points; those on a line are left out.
static void write_elevation(const nm_ow_plan *plan, const nm_ow_road *road, double length, nm_byte_buffer *out) {
    const nm_map *map = plan->map;
    uint32_t place = road->lanes.count / 2;
    const nm_lane *lane = &map->lanes[nm_ow_lane_of(plan, road, place)];
    const float *z = map->z + lane->points.first, *along = map->point_s + lane->points.first;
    uint32_t n = lane->points.count, from = 0;
    int backward = place < road->backward;
    double scale = lane->length > 0.0f ? length / (double)lane->length : 1.0;
    nm_byte_buffer_text(out, "    <elevationProfile>\n");
    while (from + 1 < n) {
        uint32_t to = from + 1;
        double s0 = 0.0, z0 = 0.0, slope = 0.0;
        for (uint32_t end = from + 1; end < n && end < from + 256; ++end) {
            uint32_t a = backward ? n - 1 - from : from, b = backward ? n - 1 - end : end;
            double start = (double)(backward ? lane->length - along[a] : along[a]) * scale;
            double stop = (double)(backward ? lane->length - along[b] : along[b]) * scale;
            double rise = stop > start ? (double)(z[b] - z[a]) / (stop - start) : 0.0;
            int straight = 1;
            for (uint32_t k = from + 1; straight && k < end; ++k) {
                uint32_t c = backward ? n - 1 - k : k;
                double s = (double)(backward ? lane->length - along[c] : along[c]) * scale;
                straight = fabs((double)z[a] + rise * (s - start) - (double)z[c]) <= HEIGHT_TOLERANCE;
            }
            if (!straight) break;
            to = end;
            s0 = start;
            z0 = (double)z[a];
            slope = rise;
        }
        nm_byte_buffer_text(out, "      ");
        write_poly(out, "elevation", "s", s0, z0 + map->origin.z, slope);
        from = to;
    }
    nm_byte_buffer_text(out, "    </elevationProfile>\n");
}

// --- lanes -----------------------------------------------------------------------------------------------------------

static const char *lane_type(const nm_lane *lane) {
    if (lane->flags & NM_LANE_BIDIRECTIONAL && nm_lane_type_drivable((nm_lane_type)lane->type)) return "bidirectional";
    switch ((nm_lane_type)lane->type) {
    case NM_LANE_RAMP:
        return "onRamp";
    case NM_LANE_SHOULDER:
        return "shoulder";
    case NM_LANE_BUS:
        return "bus";
    case NM_LANE_BIKE:
        return "biking";
    case NM_LANE_SIDEWALK:
    case NM_LANE_CROSSWALK:
        return "sidewalk";
    default:
        return "driving";
    }
}

/// Names of pairs are from inside to outside; of lane 0, from left to right.
static const char *mark_type(nm_marking marking, int swapped) {
    switch (marking) {
    case NM_MARKING_NONE:
        return "none";
    case NM_MARKING_DASHED:
    case NM_MARKING_BROAD_DASHED:
        return "broken";
    case NM_MARKING_SOLID:
    case NM_MARKING_BROAD_SOLID:
        return "solid";
    case NM_MARKING_DOUBLE_SOLID:
        return "solid solid";
    case NM_MARKING_DOUBLE_DASHED:
        return "broken broken";
    case NM_MARKING_SOLID_DASHED:
        return swapped ? "broken solid" : "solid broken";
    case NM_MARKING_DASHED_SOLID:
        return swapped ? "solid broken" : "broken solid";
    case NM_MARKING_CURB:
        return "curb";
    default:
        return NULL;
    }
}

static void write_mark(nm_marking marking, nm_colour colour, int swapped, nm_byte_buffer *out) {
    const char *type = mark_type(marking, swapped);
    int bold = marking == NM_MARKING_BROAD_DASHED || marking == NM_MARKING_BROAD_SOLID;
    const char *name = colour == NM_COLOUR_WHITE ? "white" : colour == NM_COLOUR_YELLOW ? "yellow" : "standard";
    if (type)
        nm_byte_buffer_format(out, "            <roadMark sOffset=\"0\" type=\"%s\" weight=\"%s\" color=\"%s\"/>\n",
                              type, bold ? "bold" : "standard", name);
}

/// The marking between two lanes, as the lane on its right (of the road) has it, or else the one on its left; pairs as
/// seen along the road. The outer lanes' own ones at the edges.
static void border_mark(const nm_ow_plan *plan, const nm_ow_road *road, uint32_t border, nm_marking *marking,
                        nm_colour *colour) {
    *marking = NM_MARKING_UNKNOWN;
    *colour = NM_COLOUR_UNKNOWN;
    for (int side = 0; side < 2 && *marking == NM_MARKING_UNKNOWN; ++side) {
        uint32_t place = side ? border - 1 : border;
        if (side ? border == 0 : border >= road->lanes.count) continue;
        const nm_lane *lane = &plan->map->lanes[nm_ow_lane_of(plan, road, place)];
        int backward = place < road->backward, left = (side == 0) != backward;
        *marking = (nm_marking)(left ? lane->left_marking : lane->right_marking);
        *colour = (nm_colour)(left ? lane->left_colour : lane->right_colour);
        if (!backward) continue;
        if (*marking == NM_MARKING_SOLID_DASHED)
            *marking = NM_MARKING_DASHED_SOLID;
        else if (*marking == NM_MARKING_DASHED_SOLID)
            *marking = NM_MARKING_SOLID_DASHED;
    }
}

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/// Widths between two borders: linear between all places where either bends.
static int write_widths(nm_ow_plan *plan, uint32_t border, double length, nm_byte_buffer *out) {
    plan->breaks.count = 0;
    for (uint32_t k = border; k < border + 2; ++k) {
        nm_range range = NM_AT(plan->ranges, nm_range, k);
        for (uint32_t i = range.first; i < range.first + range.count; ++i) {
            double *at = NM_PUSH(&plan->breaks, double, 1);
            if (!at) return 0;
            *at = NM_AT(plan->borders, nm_ow_place, i).s;
        }
    }
    double *breaks = plan->breaks.data;
    size_t n = plan->breaks.count;
    qsort(breaks, n, sizeof *breaks, compare_numbers);
    for (size_t i = 0; i < n; ++i) {
        double s = breaks[i], end = length;
        if (i && s - breaks[i - 1] < 1e-6) continue;
        for (size_t k = i + 1; k < n; ++k) {
            if (breaks[k] - s < 1e-6) continue;
            end = breaks[k];
            break;
        }
        if (end - s < 1e-6) continue;
        double from = nm_ow_border_at(plan, border, s) - nm_ow_border_at(plan, border + 1, s);
        double to = nm_ow_border_at(plan, border, end) - nm_ow_border_at(plan, border + 1, end);
        from = fmax(from, 0.0);
        to = fmax(to, 0.0);
        nm_byte_buffer_text(out, "            ");
        write_poly(out, "width", "sOffset", s, from, (to - from) / (end - s));
    }
    return 1;
}

static void write_offset(const nm_ow_plan *plan, uint32_t border, double length, nm_byte_buffer *out) {
    nm_range range = NM_AT(plan->ranges, nm_range, border);
    const nm_ow_place *p = &NM_AT(plan->borders, nm_ow_place, range.first);
    for (uint32_t i = 0; i < range.count; ++i) {
        int last = i + 1 == range.count;
        if (last && i && p[i].s > length - 1e-6) break; // where the road ends; else t stays as it is from here on
        nm_byte_buffer_text(out, "      ");
        write_poly(out, "laneOffset", "s", p[i].s, p[i].t, last ? 0.0 : (p[i + 1].t - p[i].t) / (p[i + 1].s - p[i].s));
    }
}

/// Links of a lane at an end of its road to the lanes of the road that the end is linked with.
static void write_lane_links(const nm_ow_plan *plan, uint32_t index, const nm_ow_road *road, nm_byte_buffer *out) {
    const nm_map *map = plan->map;
    const nm_lane *lane = &map->lanes[index];
    int forward = NM_AT(plan->lanes, nm_ow_lane, index).id < 0;
    nm_byte_buffer_text(out, "            <link>\n");
    for (int end = 0; end < 2; ++end) {
        if (road->links[end].kind != NM_OW_TO_ROAD) continue;
        nm_range refs = (end == 1) == forward ? lane->successors : lane->predecessors;
        for (uint32_t k = refs.first; k < refs.first + refs.count; ++k)
            nm_byte_buffer_format(out, "              <%s id=\"%d\"/>\n", end ? "successor" : "predecessor",
                                  NM_AT(plan->lanes, nm_ow_lane, map->lane_refs[k]).id);
    }
    nm_byte_buffer_text(out, "            </link>\n");
}

static int write_lane(nm_ow_plan *plan, const nm_ow_road *road, uint32_t place, double length, nm_byte_buffer *out) {
    uint32_t index = nm_ow_lane_of(plan, road, place);
    const nm_lane *lane = &plan->map->lanes[index];
    int32_t id = NM_AT(plan->lanes, nm_ow_lane, index).id;
    nm_byte_buffer_format(out, "          <lane id=\"%d\" type=\"%s\" level=\"false\">\n", id, lane_type(lane));
    write_lane_links(plan, index, road, out);
    if (!write_widths(plan, place, length, out)) return 0;
    nm_marking marking;
    nm_colour colour;
    border_mark(plan, road, id > 0 ? place : place + 1, &marking, &colour);
    write_mark(marking, colour, id > 0, out);
    if (lane->speed_limit > 0.0f) {
        char text[40];
        nm_decimal_print(text, sizeof text, NM_DECIMAL_SHORT, 9, (double)lane->speed_limit);
        nm_byte_buffer_format(out, "            <speed sOffset=\"0\" max=\"%s\" unit=\"m/s\"/>\n", text);
    }
    nm_byte_buffer_text(out, "          </lane>\n");
    return 1;
}

static int write_lanes(nm_ow_plan *plan, const nm_ow_road *road, double length, nm_byte_buffer *out) {
    nm_marking marking;
    nm_colour colour;
    nm_byte_buffer_text(out, "    <lanes>\n");
    write_offset(plan, road->backward, length, out);
    nm_byte_buffer_text(out, "      <laneSection s=\"0\">\n");
    if (road->backward) nm_byte_buffer_text(out, "        <left>\n");
    for (uint32_t i = 0; i < road->backward; ++i) {
        if (!write_lane(plan, road, i, length, out)) return 0;
    }
    if (road->backward) nm_byte_buffer_text(out, "        </left>\n");
    nm_byte_buffer_text(out, "        <center>\n          <lane id=\"0\" type=\"none\" level=\"false\">\n"
                             "            <link/>\n");
    border_mark(plan, road, road->backward, &marking, &colour);
    write_mark(marking, colour, 0, out);
    nm_byte_buffer_text(out, "          </lane>\n        </center>\n        <right>\n");
    for (uint32_t i = road->backward; i < road->lanes.count; ++i) {
        if (!write_lane(plan, road, i, length, out)) return 0;
    }
    nm_byte_buffer_text(out, "        </right>\n      </laneSection>\n    </lanes>\n");
    return 1;
}

// --- crosswalks ------------------------------------------------------------------------------------------------------

/// The lane on which the middle of an area lies, else the one with the nearest point.
static uint32_t nearest_lane(const nm_map *map, const nm_area *area) {
    float x = 0.0f, y = 0.0f, best = INFINITY;
    for (uint32_t i = 0; i < area->points.count; ++i) {
        x += map->area_points[area->points.first + i].x / (float)area->points.count;
        y += map->area_points[area->points.first + i].y / (float)area->points.count;
    }
    nm_frenet at;
    if (nm_map_lanes_at(map, x, y, &at, 1) > 0) return at.lane;
    uint32_t nearest = 0;
    for (uint32_t lane = 0; lane < map->lane_count; ++lane) {
        nm_range points = map->lanes[lane].points;
        for (uint32_t i = points.first; i < points.first + points.count; ++i) {
            float dx = map->centre[i].x - x, dy = map->centre[i].y - y;
            if (dx * dx + dy * dy >= best) continue;
            best = dx * dx + dy * dy;
            nearest = lane;
        }
    }
    return nearest;
}

static int compare_crossings(const void *a, const void *b) {
    const crossing *x = a, *y = b;
    if (x->road != y->road) return x->road < y->road ? -1 : 1;
    return (x->area > y->area) - (x->area < y->area);
}

static int list_crossings(nm_opendrive_writer *writer) {
    const nm_map *map = writer->plan.map;
    writer->crossings.count = 0;
    for (uint32_t i = 0; i < map->area_count; ++i) {
        if (map->areas[i].kind != NM_AREA_CROSSWALK || map->areas[i].points.count < 3) continue;
        crossing *at = NM_PUSH(&writer->crossings, crossing, 1);
        if (!at) return 0;
        *at = (crossing){NM_AT(writer->plan.lanes, nm_ow_lane, nearest_lane(map, &map->areas[i])).road, i};
    }
    if (writer->crossings.count)
        qsort(writer->crossings.data, writer->crossings.count, sizeof(crossing), compare_crossings);
    return 1;
}

/// The object lies at the road's start, so that its corners need no more than a turn.
static void write_crossing(const nm_ow_plan *plan, uint32_t index, nm_byte_buffer *out) {
    const nm_map *map = plan->map;
    const nm_area *area = &map->areas[index];
    const nm_ow_arc *start = &NM_AT(plan->arcs, nm_ow_arc, 0);
    double c = cos(start->hdg), s = sin(start->hdg);
    nm_byte_buffer_format(out,
                          "      <object id=\"a%u\" type=\"crosswalk\" s=\"0\" t=\"0\" zOffset=\"0\" hdg=\"0\" "
                          "pitch=\"0\" roll=\"0\" orientation=\"none\">\n        <outlines>\n          "
                          "<outline id=\"0\" closed=\"true\">\n",
                          index);
    for (uint32_t i = area->points.first; i < area->points.first + area->points.count; ++i) {
        double dx = (double)map->area_points[i].x + map->origin.x - start->x;
        double dy = (double)map->area_points[i].y + map->origin.y - start->y;
        nm_byte_buffer_text(out, "            <cornerLocal");
        nm_ow_number(out, "u", 6, dx * c + dy * s);
        nm_ow_number(out, "v", 6, dy * c - dx * s);
        nm_byte_buffer_text(out, " z=\"0\" height=\"0\"/>\n");
    }
    nm_byte_buffer_text(out, "          </outline>\n        </outlines>\n      </object>\n");
}

static void write_crossings(const nm_opendrive_writer *writer, uint32_t road, size_t *next, nm_byte_buffer *out) {
    size_t first = *next;
    const crossing *at = writer->crossings.data;
    while (*next < writer->crossings.count && at[*next].road == road) ++*next;
    if (first == *next) return;
    nm_byte_buffer_text(out, "    <objects>\n");
    for (size_t i = first; i < *next; ++i) write_crossing(&writer->plan, at[i].area, out);
    nm_byte_buffer_text(out, "    </objects>\n");
}

// --- the document ----------------------------------------------------------------------------------------------------

static int write_road(nm_opendrive_writer *writer, uint32_t index, size_t *crossing_at, nm_byte_buffer *out) {
    nm_ow_plan *plan = &writer->plan;
    const nm_ow_road *road = nm_ow_road_at(plan, index);
    const nm_lane *first = &plan->map->lanes[nm_ow_lane_of(plan, road, 0)];
    double length, off;
    if (!nm_ow_lay_out(plan, road, &length, &off)) return 0;
    nm_byte_buffer_format(out, "  <road id=\"%u\" name=\"\"", index + 1);
    nm_ow_number(out, "length", 9, length);
    if (road->junction == NM_NONE)
        nm_byte_buffer_text(out, " junction=\"-1\" rule=\"RHT\">\n");
    else
        nm_byte_buffer_format(out, " junction=\"%u\" rule=\"RHT\">\n", nm_ow_junction_id(plan, road->junction));
    nm_byte_buffer_text(out, "    <link>\n");
    write_link(plan, &road->links[0], "predecessor", out);
    write_link(plan, &road->links[1], "successor", out);
    int motorway = first->type == NM_LANE_FREEWAY;
    for (uint32_t i = 1; i < road->lanes.count; ++i)
        motorway = motorway || plan->map->lanes[nm_ow_lane_of(plan, road, i)].type == NM_LANE_FREEWAY;
    nm_byte_buffer_format(out, "    </link>\n    <type s=\"0\" type=\"%s\"/>\n", motorway ? "motorway" : "town");
    write_plan_view(plan, out);
    write_elevation(plan, road, length, out);
    nm_byte_buffer_text(out, "    <lateralProfile/>\n");
    if (!write_lanes(plan, road, length, out)) return 0;
    write_crossings(writer, index, crossing_at, out);
    nm_ow_write_signals(plan, index, length, out);
    nm_ow_note_exits(plan, road, length);
    nm_byte_buffer_text(out, "  </road>\n");
    return 1;
}

static int writable_reference(const char *text) {
    if (!text || strstr(text, "]]>")) return 0;
    for (const char *at = text; *at; ++at) {
        if ((unsigned char)*at < 0x20 && !strchr("\t\n\r", *at)) return 0;
    }
    return 1;
}

static void write_header(const nm_ow_plan *plan, const char *geo_reference, nm_byte_buffer *out) {
    const nm_map *map = plan->map;
    nm_byte_buffer_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OpenDRIVE>\n"
                             "  <header revMajor=\"1\" revMinor=\"6\" name=\"\" version=\"1\"");
    nm_ow_number(out, "north", 3, (double)map->bounds_max.y + map->origin.y);
    nm_ow_number(out, "south", 3, (double)map->bounds_min.y + map->origin.y);
    nm_ow_number(out, "east", 3, (double)map->bounds_max.x + map->origin.x);
    nm_ow_number(out, "west", 3, (double)map->bounds_min.x + map->origin.x);
    nm_byte_buffer_text(out, " vendor=\"nearmiss\">\n");
    if (writable_reference(geo_reference)) {
        nm_byte_buffer_text(out, "    <geoReference><![CDATA[");
        nm_byte_buffer_text(out, geo_reference);
        nm_byte_buffer_text(out, "]]></geoReference>\n");
    }
    nm_byte_buffer_text(out, "  </header>\n");
}

static nm_status no_roads(nm_error *error) {
    return NM_ERROR(error, NM_E_UNSUPPORTED, "a map without lanes has no roads");
}

nm_status nm_opendrive_write(nm_opendrive_writer *writer, const nm_map *map, const char *geo_reference,
                             nm_byte_buffer *out, nm_error *error) {
    if (map->lane_count == 0) return no_roads(error);
    nm_status status = nm_map_prepare(map, error);
    if (status != NM_OK) return status;
    nm_ow_plan *plan = &writer->plan;
    plan->map = map;
    plan->exits.count = 0;
    size_t crossing_at = 0;
    int fine = NM_PUSH(&plan->exits, nm_ow_exit, map->lane_count) != NULL && nm_ow_group_lanes(plan) &&
               nm_ow_join_roads(plan) && nm_ow_list_rulers(plan) && list_crossings(writer);
    if (fine) write_header(plan, geo_reference, out);
    for (uint32_t r = 0; fine && r < plan->roads.count; ++r) fine = write_road(writer, r, &crossing_at, out);
    if (fine) {
        nm_ow_write_stubs(plan, out);
        nm_ow_write_junctions(plan, out);
        nm_byte_buffer_text(out, "</OpenDRIVE>\n");
    }
    if (fine && !out->failed) return NM_OK;
    return NM_ERROR(error, NM_E_MEMORY, "no memory to write a map as OpenDRIVE");
}

nm_status nm_opendrive_share(nm_opendrive_writer *writer, const nm_scene *scene, nm_encoded *out, nm_error *error) {
    const char *reference = NULL;
    for (uint32_t i = 0; i < scene->tag_count && !reference; ++i) {
        if (strncmp(scene->tags[i], TAG, sizeof TAG - 1) == 0) reference = scene->tags[i] + sizeof TAG - 1;
    }
    const uint64_t name = reference ? nm_hash_bytes(reference, strlen(reference), scene->map->hash) : scene->map->hash;
    if (scene->map->lane_count == 0) return no_roads(error);
    snprintf(out->shared_name, sizeof out->shared_name, "map-%016llx.xodr", (unsigned long long)name);
    if (out->is_written && out->is_written(out->written, out->shared_name)) return NM_OK;
    if (!writer->kept || writer->name != name) {
        writer->kept = 0;
        writer->document.size = 0;
        writer->document.failed = 0;
        nm_status status = nm_opendrive_write(writer, scene->map, reference, &writer->document, error);
        if (status != NM_OK) return status;
        writer->kept = 1;
        writer->name = name;
    }
    nm_byte_buffer_put(&out->shared, writer->document.bytes, writer->document.size);
    return NM_OK;
}

// --- the encoder -----------------------------------------------------------------------------------------------------

static void *create_work(void) {
    return nm_opendrive_writer_create();
}
static void destroy_work(void *work) {
    nm_opendrive_writer_destroy(work);
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    return nm_opendrive_share(work, item->scene, out, error);
}

const nm_encoder nm_encoder_opendrive = {.format = NM_EXPORT_OPENDRIVE,
                                         .layout = NM_ENCODER_FILES,
                                         .extension = ".xodr",
                                         .create = create_work,
                                         .destroy = destroy_work,
                                         .encode = encode};
