/// The rules of an OpenDRIVE document, and what is read of roads and junctions.
#include <math.h>
#include <string.h>

#include "dataset/opendrive_xml.h"

#define MAX_LENGTH 1e6 // m: of a road

static nm_od_road *last_road(nm_od_parser *parser) {
    return NM_OD_LAST(parser->document->roads);
}

static void open_root(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)parser, (void)rule;
}

static void open_header(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_document *d = parser->document;
    double major = nm_od_number_or(parser, "revMajor", 1.0), minor = nm_od_number_or(parser, "revMinor", 4.0);
    if (major != 1.0) {
        nm_od_fail(parser, NM_E_UNSUPPORTED, 0, "OpenDRIVE %g.%g: only versions 1.x are read", major, minor);
        return;
    }
    d->name = nm_od_copy(parser, "name", 0);
}

/// It is not applied: coordinates stay those of the file. Whoever puts it together with other files must know.
static void open_header_offset(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    static const char *const parts[] = {"x", "y", "z", "hdg"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; ++i)
        parser->document->has_offset |= nm_od_number_or(parser, parts[i], 0.0) != 0.0;
}

static void open_geo_reference(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    parser->document->geo_reference = (nm_od_text){parser->document->texts.count, 0};
    parser->collecting = 1;
}

// --- roads -----------------------------------------------------------------------------------------------------------

static void open_road(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_document *d = parser->document;
    nm_od_road *road;
    NM_OD_ADD(road, parser, roads);
    road->line = nm_od_line(parser);
    road->id = nm_od_copy(parser, "id", 1);
    if (!nm_od_value_is(nm_od_attribute(parser, "junction"), "-1"))
        road->junction_id = nm_od_copy(parser, "junction", 0);
    road->length = nm_od_number(parser, "length");
    road->left_hand = (uint8_t)nm_od_value_is(nm_od_attribute(parser, "rule"), "LHT");
    road->junction = NM_NONE;
    road->geometries.first = d->geometries.count;
    road->elevations.first = d->elevations.count;
    road->rolls.first = d->rolls.count;
    road->offsets.first = d->offsets.count;
    road->types.first = d->types.count;
    road->sections.first = d->sections.count;
    road->signals.first = d->signals.count;
    road->objects.first = d->objects.count;
    if (!(road->length > 0.0 && road->length <= MAX_LENGTH))
        nm_od_fail(parser, NM_E_FORMAT, 0, "a road of length %g m: over 0 and at most %g is expected", road->length,
                   MAX_LENGTH);
}

/// A road without geometry or lanes is nothing to drive on; a geometry that ends elsewhere than the road does is not
/// known beyond its end.
static void close_road(nm_od_parser *parser) {
    nm_od_document *d = parser->document;
    nm_od_road *road = last_road(parser);
    if (road->geometries.count == 0) {
        nm_od_fail(parser, NM_E_FORMAT, road->line, "a road without geometry");
        return;
    }
    const nm_od_geometry *first = &d->geometries.at[road->geometries.first];
    const nm_od_geometry *last = first + road->geometries.count - 1;
    if (first->s > 1.0) {
        nm_od_fail(parser, NM_E_FORMAT, road->line, "the road's geometry begins at s = %g", first->s);
        return;
    }
    double end = last->s + last->length;
    if (fabs(end - road->length) > 1.0 + 0.01 * road->length) {
        nm_od_fail(parser, NM_E_FORMAT, road->line, "the road's geometry ends at s = %g, its length is %g", end,
                   road->length);
        return;
    }
    if (end < road->length) road->length = end;
}

static void open_road_link(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_road_link *link = &last_road(parser)->links[rule->argument];
    nm_od_value type = nm_od_attribute(parser, "elementType");
    if (link->given) {
        nm_od_fail(parser, NM_E_FORMAT, 0, "a second <%s> of the same road", rule->element);
        return;
    }
    link->given = 1;
    link->line = nm_od_line(parser);
    link->id = nm_od_copy(parser, "elementId", 1);
    link->junction = (uint8_t)nm_od_value_is(type, "junction");
    link->at_end = (uint8_t)nm_od_value_is(nm_od_attribute(parser, "contactPoint"), "end");
}

static void open_type(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    static const nm_od_word types[] = {{"motorway", NM_LANE_FREEWAY},
                                       {"pedestrian", NM_LANE_SIDEWALK},
                                       {"bicycle", NM_LANE_BIKE},
                                       {NULL, NM_LANE_STREET}};
    nm_od_speed *type;
    NM_OD_ADD(type, parser, types);
    nm_od_road *road = last_road(parser);
    type->s = nm_od_number_or(parser, "s", 0.0);
    type->type = (uint8_t)nm_od_word_of(types, nm_od_attribute(parser, "type"));
    if (road->types.count++) nm_od_check_order(parser, type[-1].s, type->s, "a road's type");
}

static void open_type_speed(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    NM_OD_LAST(parser->document->types)->max = nm_od_read_speed(parser);
}

static void open_profile(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_poly *poly;
    nm_od_road *road = last_road(parser);
    nm_range *range = rule->argument == 0 ? &road->elevations : rule->argument == 1 ? &road->rolls : &road->offsets;
    if (rule->argument == 0)
        NM_OD_ADD(poly, parser, elevations);
    else if (rule->argument == 1)
        NM_OD_ADD(poly, parser, rolls);
    else
        NM_OD_ADD(poly, parser, offsets);
    nm_od_read_poly(parser, "s", poly);
    if (range->count++) nm_od_check_order(parser, poly[-1].s, poly->s, rule->element);
}

// --- geometry --------------------------------------------------------------------------------------------------------

static void open_geometry(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_geometry *g;
    NM_OD_ADD(g, parser, geometries);
    nm_od_road *road = last_road(parser);
    g->line = nm_od_line(parser);
    g->s = nm_od_number(parser, "s");
    g->x = nm_od_number(parser, "x");
    g->y = nm_od_number(parser, "y");
    g->hdg = nm_od_number(parser, "hdg");
    g->length = nm_od_number(parser, "length");
    if (g->s < 0.0 || g->length < 0.0 || g->length > MAX_LENGTH)
        nm_od_fail(parser, NM_E_FORMAT, 0, "a geometry of length %g m at s = %g makes no sense", g->length, g->s);
    if (fabs(g->hdg) > 1e6) nm_od_fail(parser, NM_E_FORMAT, 0, "a heading of %g rad makes no sense", g->hdg);
    if (road->geometries.count++) {
        double end = g[-1].s + g[-1].length;
        nm_od_check_order(parser, g[-1].s, g->s, "a geometry");
        if (fabs(g->s - end) > 1.0)
            nm_od_fail(parser, NM_E_FORMAT, 0, "a geometry at s = %g, where the one before ends at %g", g->s, end);
    }
}

static void close_geometry(nm_od_parser *parser) {
    nm_od_document *d = parser->document;
    nm_od_geometry *g = NM_OD_LAST(d->geometries);
    if (g->shape == NM_OD_NO_SHAPE) {
        nm_od_fail(parser, NM_E_FORMAT, g->line, "a geometry that is neither line, arc, spiral, poly3 nor paramPoly3");
        return;
    }
    if (g->length < 1e-9) { // nothing: rounding of a converter
        --d->geometries.count;
        --last_road(parser)->geometries.count;
        return;
    }
    const char *wrong = nm_od_geometry_prepare(g);
    if (wrong) nm_od_fail(parser, NM_E_FORMAT, g->line, "%s", wrong);
}

static void open_shape(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_geometry *g = NM_OD_LAST(parser->document->geometries);
    if (g->shape != NM_OD_NO_SHAPE) {
        nm_od_fail(parser, NM_E_FORMAT, 0, "a second shape, <%s>, in the same geometry", rule->element);
        return;
    }
    g->shape = rule->argument;
    static const char *const u[4] = {"aU", "bU", "cU", "dU"}, *const v[4] = {"aV", "bV", "cV", "dV"},
                             *const w[4] = {"a", "b", "c", "d"};
    switch ((nm_od_shape)rule->argument) {
    case NM_OD_ARC:
        g->u[0] = nm_od_number(parser, "curvature");
        break;
    case NM_OD_SPIRAL:
        g->u[0] = nm_od_number(parser, "curvStart");
        g->u[1] = nm_od_number(parser, "curvEnd");
        break;
    case NM_OD_POLY3:
        g->u[1] = 1.0;
        for (int i = 0; i < 4; ++i) g->v[i] = nm_od_number(parser, w[i]);
        break;
    case NM_OD_PARAM_POLY3:
        for (int i = 0; i < 4; ++i) {
            g->u[i] = nm_od_number(parser, u[i]);
            g->v[i] = nm_od_number(parser, v[i]);
        }
        // only 1.4 lets it be missing; then p runs from 0 to 1
        g->normalized = (uint8_t)!nm_od_value_is(nm_od_attribute(parser, "pRange"), "arcLength");
        break;
    default:
        break;
    }
}

// --- junctions -------------------------------------------------------------------------------------------------------

static void open_junction(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_junction *junction;
    NM_OD_ADD(junction, parser, junctions);
    junction->line = nm_od_line(parser);
    junction->id = nm_od_copy(parser, "id", 1);
    junction->virtual_junction = (uint8_t)nm_od_value_is(nm_od_attribute(parser, "type"), "virtual");
    junction->connections.first = parser->document->connections.count;
}

static void open_connection(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_connection *connection;
    NM_OD_ADD(connection, parser, connections);
    nm_od_junction *junction = NM_OD_LAST(parser->document->junctions);
    ++junction->connections.count;
    connection->line = nm_od_line(parser);
    connection->links.first = parser->document->junction_links.count;
    connection->at_end = (uint8_t)nm_od_value_is(nm_od_attribute(parser, "contactPoint"), "end");
    if (junction->virtual_junction) return; // it may be without the rest
    connection->direct = nm_od_attribute(parser, "linkedRoad").at != NULL;
    connection->incoming_id = nm_od_copy(parser, "incomingRoad", 1);
    connection->connecting_id = nm_od_copy(parser, connection->direct ? "linkedRoad" : "connectingRoad", 1);
}

static void open_junction_link(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_junction_link *link;
    NM_OD_ADD(link, parser, junction_links);
    ++NM_OD_LAST(parser->document->connections)->links.count;
    link->from = nm_od_lane_id(parser, "from");
    link->to = nm_od_lane_id(parser, "to");
}

const nm_od_rule nm_od_rules[] = {
    {NM_OD_C_DOCUMENT, "OpenDRIVE", NM_OD_C_ROOT, 0, open_root, NULL},
    {NM_OD_C_ROOT, "road", NM_OD_C_ROAD, 0, open_road, close_road},
    {NM_OD_C_ROOT, "junction", NM_OD_C_JUNCTION, 0, open_junction, NULL},
    {NM_OD_C_ROOT, "header", NM_OD_C_HEADER, 0, open_header, NULL},
    {NM_OD_C_HEADER, "offset", NM_OD_C_EMPTY, 0, open_header_offset, NULL},
    {NM_OD_C_HEADER, "geoReference", NM_OD_C_GEO_REFERENCE, 0, open_geo_reference, NULL},
    {NM_OD_C_ROAD, "link", NM_OD_C_ROAD_LINK, 0, NULL, NULL},
    {NM_OD_C_ROAD, "type", NM_OD_C_TYPE, 0, open_type, NULL},
    {NM_OD_C_ROAD, "planView", NM_OD_C_PLAN_VIEW, 0, NULL, NULL},
    {NM_OD_C_ROAD, "elevationProfile", NM_OD_C_ELEVATION, 0, NULL, NULL},
    {NM_OD_C_ROAD, "lateralProfile", NM_OD_C_LATERAL, 0, NULL, NULL},
    {NM_OD_C_ROAD, "lanes", NM_OD_C_LANES, 0, NULL, NULL},
    {NM_OD_C_ROAD, "signals", NM_OD_C_SIGNALS, 0, NULL, NULL},
    {NM_OD_C_ROAD, "objects", NM_OD_C_OBJECTS, 0, NULL, NULL},
    {NM_OD_C_ROAD_LINK, "predecessor", NM_OD_C_EMPTY, 0, open_road_link, NULL},
    {NM_OD_C_ROAD_LINK, "successor", NM_OD_C_EMPTY, 1, open_road_link, NULL},
    {NM_OD_C_TYPE, "speed", NM_OD_C_EMPTY, 0, open_type_speed, NULL},
    {NM_OD_C_PLAN_VIEW, "geometry", NM_OD_C_GEOMETRY, 0, open_geometry, close_geometry},
    {NM_OD_C_GEOMETRY, "line", NM_OD_C_EMPTY, NM_OD_LINE, open_shape, NULL},
    {NM_OD_C_GEOMETRY, "arc", NM_OD_C_EMPTY, NM_OD_ARC, open_shape, NULL},
    {NM_OD_C_GEOMETRY, "spiral", NM_OD_C_EMPTY, NM_OD_SPIRAL, open_shape, NULL},
    {NM_OD_C_GEOMETRY, "poly3", NM_OD_C_EMPTY, NM_OD_POLY3, open_shape, NULL},
    {NM_OD_C_GEOMETRY, "paramPoly3", NM_OD_C_EMPTY, NM_OD_PARAM_POLY3, open_shape, NULL},
    {NM_OD_C_ELEVATION, "elevation", NM_OD_C_EMPTY, 0, open_profile, NULL},
    {NM_OD_C_LATERAL, "superelevation", NM_OD_C_EMPTY, 1, open_profile, NULL},
    {NM_OD_C_LANES, "laneOffset", NM_OD_C_EMPTY, 2, open_profile, NULL},
    {NM_OD_C_LANES, "laneSection", NM_OD_C_SECTION, 0, nm_od_open_section, nm_od_close_section},
    {NM_OD_C_SECTION, "left", NM_OD_C_SIDE, 2, nm_od_open_side, NULL},
    {NM_OD_C_SECTION, "center", NM_OD_C_SIDE, 1, nm_od_open_side, NULL},
    {NM_OD_C_SECTION, "right", NM_OD_C_SIDE, 0, nm_od_open_side, NULL},
    {NM_OD_C_SIDE, "lane", NM_OD_C_LANE, 0, nm_od_open_lane, NULL},
    {NM_OD_C_LANE, "width", NM_OD_C_EMPTY, 0, nm_od_open_width, NULL},
    {NM_OD_C_LANE, "roadMark", NM_OD_C_EMPTY, 0, nm_od_open_mark, NULL},
    {NM_OD_C_LANE, "link", NM_OD_C_LANE_LINK, 0, NULL, NULL},
    {NM_OD_C_LANE, "border", NM_OD_C_EMPTY, 1, nm_od_open_width, NULL},
    {NM_OD_C_LANE, "speed", NM_OD_C_EMPTY, 0, nm_od_open_lane_speed, NULL},
    {NM_OD_C_LANE_LINK, "predecessor", NM_OD_C_EMPTY, 0, nm_od_open_lane_link, NULL},
    {NM_OD_C_LANE_LINK, "successor", NM_OD_C_EMPTY, 1, nm_od_open_lane_link, NULL},
    {NM_OD_C_SIGNALS, "signal", NM_OD_C_SIGNAL, 0, nm_od_open_signal, NULL},
    {NM_OD_C_SIGNALS, "signalReference", NM_OD_C_SIGNAL, 1, nm_od_open_signal, NULL},
    {NM_OD_C_SIGNAL, "validity", NM_OD_C_EMPTY, 0, nm_od_open_validity, NULL},
    {NM_OD_C_SIGNAL, "positionInertial", NM_OD_C_EMPTY, 0, nm_od_open_signal_place, NULL},
    {NM_OD_C_OBJECTS, "object", NM_OD_C_OBJECT, 0, nm_od_open_object, nm_od_close_object},
    {NM_OD_C_OBJECT, "outline", NM_OD_C_OUTLINE, 0, nm_od_open_outline, NULL},
    {NM_OD_C_OBJECT, "outlines", NM_OD_C_OUTLINES, 0, NULL, NULL},
    {NM_OD_C_OUTLINES, "outline", NM_OD_C_OUTLINE, 0, nm_od_open_outline, NULL},
    {NM_OD_C_OUTLINE, "cornerRoad", NM_OD_C_EMPTY, 0, nm_od_open_corner, NULL},
    {NM_OD_C_OUTLINE, "cornerLocal", NM_OD_C_EMPTY, 1, nm_od_open_corner, NULL},
    {NM_OD_C_JUNCTION, "connection", NM_OD_C_CONNECTION, 0, open_connection, NULL},
    {NM_OD_C_CONNECTION, "laneLink", NM_OD_C_EMPTY, 0, open_junction_link, NULL},
    {0, NULL, 0, 0, NULL, NULL},
};
