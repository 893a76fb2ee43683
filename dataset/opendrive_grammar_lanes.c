/// What is read of lanes, signals and objects of an OpenDRIVE document.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset/opendrive_xml.h"

#define MAX_PLACE 1e7 // m: of a signal or object along or beside its road

static nm_od_lane *last_lane(nm_od_parser *parser) {
    return NM_OD_LAST(parser->document->lanes);
}

// --- sections and lanes ----------------------------------------------------------------------------------------------

void nm_od_open_section(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_section *section;
    NM_OD_ADD(section, parser, sections);
    nm_od_road *road = NM_OD_LAST(parser->document->roads);
    section->line = nm_od_line(parser);
    section->s = nm_od_number(parser, "s");
    section->lanes.first = parser->document->lanes.count;
    if (section->s < 0.0) nm_od_fail(parser, NM_E_FORMAT, 0, "a lane section at s = %g", section->s);
    if (road->sections.count++ && !(section->s > section[-1].s))
        nm_od_fail(parser, NM_E_FORMAT, 0, "a lane section at s = %g, not behind the last one at %g", section->s,
                   section[-1].s);
}

static int from_left(const void *a, const void *b) {
    const nm_od_lane *x = a, *y = b;
    return (x->id < y->id) - (x->id > y->id);
}

/// Lanes come in any order; ids must be there without gaps on each side.
void nm_od_close_section(nm_od_parser *parser) {
    nm_od_document *d = parser->document;
    nm_od_section *section = NM_OD_LAST(d->sections);
    if (section->lanes.count == 0) {
        nm_od_fail(parser, NM_E_FORMAT, section->line, "a lane section without lanes");
        return;
    }
    nm_od_lane *lanes = &d->lanes.at[section->lanes.first];
    qsort(lanes, section->lanes.count, sizeof *lanes, from_left);
    section->centre = NM_NONE;
    for (uint32_t i = 0; i < section->lanes.count; ++i) {
        if (lanes[i].id == 0) section->centre = i;
        if (i && lanes[i].id == lanes[i - 1].id) {
            nm_od_fail(parser, NM_E_FORMAT, lanes[i].line, "lane %d is there twice in one section", lanes[i].id);
            return;
        }
    }
    if (section->centre == NM_NONE)
        nm_od_fail(parser, NM_E_FORMAT, section->line, "a lane section without lane 0, its centre");
}

void nm_od_open_side(nm_od_parser *parser, const nm_od_rule *rule) {
    parser->side = (int)rule->argument - 1;
}

void nm_od_open_lane(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    static const nm_od_word kinds[] = {{"driving", NM_OD_LANE_DRIVING},
                                       {"shared", NM_OD_LANE_DRIVING},
                                       {"bidirectional", NM_OD_LANE_BOTH_WAYS},
                                       {"entry", NM_OD_LANE_RAMP},
                                       {"exit", NM_OD_LANE_RAMP},
                                       {"onRamp", NM_OD_LANE_RAMP},
                                       {"offRamp", NM_OD_LANE_RAMP},
                                       {"connectingRamp", NM_OD_LANE_RAMP},
                                       {"slipLane", NM_OD_LANE_RAMP},
                                       {"mwyEntry", NM_OD_LANE_RAMP},
                                       {"mwyExit", NM_OD_LANE_RAMP},
                                       {"bus", NM_OD_LANE_BUS},
                                       {"taxi", NM_OD_LANE_BUS},
                                       {"HOV", NM_OD_LANE_BUS},
                                       {"biking", NM_OD_LANE_BIKE},
                                       {"sidewalk", NM_OD_LANE_SIDEWALK},
                                       {"walking", NM_OD_LANE_SIDEWALK},
                                       {"shoulder", NM_OD_LANE_SHOULDER},
                                       {"stop", NM_OD_LANE_SHOULDER},
                                       {NULL, NM_OD_LANE_OTHER}};
    nm_od_document *d = parser->document;
    nm_od_lane *lane;
    NM_OD_ADD(lane, parser, lanes);
    ++NM_OD_LAST(d->sections)->lanes.count;
    lane->line = nm_od_line(parser);
    lane->id = nm_od_lane_id(parser, "id");
    lane->kind = (uint8_t)nm_od_word_of(kinds, nm_od_attribute(parser, "type"));
    lane->reversed = (uint8_t)nm_od_value_is(nm_od_attribute(parser, "direction"), "reversed");
    if (nm_od_value_is(nm_od_attribute(parser, "direction"), "both") && lane->kind == NM_OD_LANE_DRIVING)
        lane->kind = NM_OD_LANE_BOTH_WAYS;
    lane->widths.first = d->widths.count;
    lane->borders.first = d->borders.count;
    lane->marks.first = d->marks.count;
    lane->speeds.first = d->speeds.count;
    lane->links.first = d->lane_links.count;
    if ((lane->id > 0) - (lane->id < 0) != parser->side)
        nm_od_fail(parser, NM_E_FORMAT, 0, "lane %d among the lanes on the %s", lane->id,
                   parser->side > 0   ? "left, whose ids are over 0"
                   : parser->side < 0 ? "right, whose ids are under 0"
                                      : "centre, whose id is 0");
}

void nm_od_open_lane_link(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_lane_link *link;
    NM_OD_ADD(link, parser, lane_links);
    ++last_lane(parser)->links.count;
    link->lane = nm_od_lane_id(parser, "id");
    link->successor = rule->argument;
}

void nm_od_open_width(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_poly *poly;
    nm_range *range = rule->argument ? &last_lane(parser)->borders : &last_lane(parser)->widths;
    if (rule->argument)
        NM_OD_ADD(poly, parser, borders);
    else
        NM_OD_ADD(poly, parser, widths);
    nm_od_read_poly(parser, "sOffset", poly);
    if (range->count++) nm_od_check_order(parser, poly[-1].s, poly->s, rule->element);
}

void nm_od_open_mark(nm_od_parser *parser, const nm_od_rule *rule) {
    static const nm_od_word kinds[] = {{"none", NM_MARKING_NONE},
                                       {"grass", NM_MARKING_NONE},
                                       {"solid", NM_MARKING_SOLID},
                                       {"edge", NM_MARKING_SOLID},
                                       {"broken", NM_MARKING_DASHED},
                                       {"botts dots", NM_MARKING_DASHED},
                                       {"solid solid", NM_MARKING_DOUBLE_SOLID},
                                       {"broken broken", NM_MARKING_DOUBLE_DASHED},
                                       {"solid broken", NM_MARKING_SOLID_DASHED},
                                       {"broken solid", NM_MARKING_DASHED_SOLID},
                                       {"curb", NM_MARKING_CURB},
                                       {NULL, NM_MARKING_UNKNOWN}};
    static const nm_od_word colours[] = {{"white", NM_COLOUR_WHITE}, {"yellow", NM_COLOUR_YELLOW}, {NULL, 0}};
    nm_od_mark *mark;
    NM_OD_ADD(mark, parser, marks);
    nm_od_lane *lane = last_lane(parser);
    mark->s = nm_od_number_or(parser, "sOffset", 0.0);
    mark->marking = (uint8_t)nm_od_word_of(kinds, nm_od_attribute(parser, "type"));
    mark->colour = (uint8_t)nm_od_word_of(colours, nm_od_attribute(parser, "color"));
    if (nm_od_value_is(nm_od_attribute(parser, "weight"), "bold")) {
        if (mark->marking == NM_MARKING_SOLID) mark->marking = NM_MARKING_BROAD_SOLID;
        if (mark->marking == NM_MARKING_DASHED) mark->marking = NM_MARKING_BROAD_DASHED;
    }
    if (lane->marks.count++) nm_od_check_order(parser, mark[-1].s, mark->s, rule->element);
}

void nm_od_open_lane_speed(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_speed *speed;
    NM_OD_ADD(speed, parser, speeds);
    speed->s = nm_od_number_or(parser, "sOffset", 0.0);
    speed->max = nm_od_read_speed(parser);
    if (last_lane(parser)->speeds.count++) nm_od_check_order(parser, speed[-1].s, speed->s, rule->element);
}

// --- signals ---------------------------------------------------------------------------------------------------------

/// Speed signs in m/s where they say their unit; otherwise the reader decides by the sign's code.
static void read_value(nm_od_parser *parser, nm_od_signal *signal) {
    nm_od_value unit = nm_od_attribute(parser, "unit");
    double factor = nm_od_value_is(unit, "m/s")    ? 1.0
                    : nm_od_value_is(unit, "km/h") ? 1.0 / 3.6
                    : nm_od_value_is(unit, "mph")  ? 0.44704
                                                   : 0.0;
    nm_od_value value = nm_od_attribute(parser, "value");
    if (!value.at || nm_od_value_is(value, "none") || nm_od_value_is(value, "-1")) return;
    signal->value = nm_od_number_or(parser, "value", 0.0);
    signal->has_unit = factor > 0.0;
    if (signal->has_unit) signal->value *= factor;
}

void nm_od_open_signal(nm_od_parser *parser, const nm_od_rule *rule) {
    static const nm_od_word orientations[] = {{"+", 1}, {"-", -1}, {NULL, 0}};
    nm_od_document *d = parser->document;
    nm_od_signal *signal;
    NM_OD_ADD(signal, parser, signals);
    ++NM_OD_LAST(d->roads)->signals.count;
    signal->line = nm_od_line(parser);
    signal->s = nm_od_number(parser, "s");
    signal->t = nm_od_number(parser, "t");
    signal->id = nm_od_copy(parser, "id", 0);
    signal->reference = rule->argument;
    signal->orientation = (int8_t)nm_od_word_of(orientations, nm_od_attribute(parser, "orientation"));
    signal->dynamic = (uint8_t)nm_od_value_is(nm_od_attribute(parser, "dynamic"), "yes");
    signal->validity.first = d->validities.count;
    nm_od_value code = nm_od_attribute(parser, "type");
    if (code.at && code.length < sizeof signal->code) memcpy(signal->code, code.at, code.length);
    if (fabs(signal->s) > MAX_PLACE || fabs(signal->t) > MAX_PLACE)
        nm_od_fail(parser, NM_E_FORMAT, 0, "a signal at s = %g, t = %g", signal->s, signal->t);
    if (!rule->argument) read_value(parser, signal);
}

void nm_od_open_signal_place(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_signal *signal = NM_OD_LAST(parser->document->signals);
    signal->place.x = nm_od_number(parser, "x");
    signal->place.y = nm_od_number(parser, "y");
    signal->place.z = nm_od_number_or(parser, "z", 0.0);
    signal->placed = 1;
}

void nm_od_open_validity(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_validity *validity;
    NM_OD_ADD(validity, parser, validities);
    ++NM_OD_LAST(parser->document->signals)->validity.count;
    validity->from = nm_od_lane_id(parser, "fromLane");
    validity->to = nm_od_lane_id(parser, "toLane");
}

// --- objects: crosswalks only ----------------------------------------------------------------------------------------

void nm_od_open_object(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_object *object;
    NM_OD_ADD(object, parser, objects);
    ++NM_OD_LAST(parser->document->roads)->objects.count;
    object->line = nm_od_line(parser);
    object->corners.first = parser->document->corners.count;
    nm_od_value type = nm_od_attribute(parser, "type");
    if (!nm_od_value_is(type, "crosswalk")) {
        object->outlines = UINT8_MAX; // dropped when it closes
        return;
    }
    object->s = nm_od_number(parser, "s");
    object->t = nm_od_number(parser, "t");
    object->hdg = nm_od_number_or(parser, "hdg", 0.0);
    object->length = nm_od_number_or(parser, "length", 0.0);
    object->width = nm_od_number_or(parser, "width", 0.0);
    if (fabs(object->s) > MAX_PLACE || fabs(object->t) > MAX_PLACE || fabs(object->hdg) > 1e6 ||
        fabs(object->length) > 1e4 || fabs(object->width) > 1e4)
        nm_od_fail(parser, NM_E_FORMAT, 0, "a crosswalk at s = %g, t = %g of %g by %g m", object->s, object->t,
                   object->length, object->width);
}

void nm_od_close_object(nm_od_parser *parser) {
    nm_od_document *d = parser->document;
    nm_od_object *object = NM_OD_LAST(d->objects);
    int whole = object->corners.count >= 3 || (object->length > 0.0 && object->width > 0.0);
    if (object->outlines != UINT8_MAX && whole) return;
    d->corners.count = object->corners.first;
    --d->objects.count;
    --NM_OD_LAST(d->roads)->objects.count;
}

void nm_od_open_outline(nm_od_parser *parser, const nm_od_rule *rule) {
    (void)rule;
    nm_od_object *object = NM_OD_LAST(parser->document->objects);
    if (object->outlines < 2) ++object->outlines;
}

void nm_od_open_corner(nm_od_parser *parser, const nm_od_rule *rule) {
    nm_od_object *object = NM_OD_LAST(parser->document->objects);
    if (object->outlines != 1) return; // the first outline is the object's; others are holes or parts
    nm_od_corner *corner;
    NM_OD_ADD(corner, parser, corners);
    ++object->corners.count;
    corner->local = rule->argument;
    corner->a = nm_od_number(parser, rule->argument ? "u" : "s");
    corner->b = nm_od_number(parser, rule->argument ? "v" : "t");
    if (fabs(corner->a) > MAX_PLACE || fabs(corner->b) > MAX_PLACE)
        nm_od_fail(parser, NM_E_FORMAT, 0, "a corner at %g, %g", corner->a, corner->b);
}
