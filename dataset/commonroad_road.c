/// What the rules for the road do: root, tags, lanelets, signs, lights, intersections.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "dataset/commonroad_xml.h"

#define MAX_TAGS 1000u
#define MAX_DT 60.0         // s
#define NO_LIMIT_SPEED 50.0 // m/s: from here on a speed limit means "none" (SUMO's converters write 50.0)

// --- root ------------------------------------------------------------------------------------------------------------

static void add_tag(nm_cr_parser *parser, const char *text, size_t length) {
    nm_cr_document *document = parser->document;
    if (length == 0) return;
    if (document->tags.count >= MAX_TAGS || length >= NM_CR_MAX_TAG) {
        nm_cr_fail(parser, NM_E_LIMIT, 0, "more than %u tags, or one longer than %d bytes", MAX_TAGS,
                   NM_CR_MAX_TAG - 1);
        return;
    }
    nm_cr_tag *tag = NM_CR_NEW(parser, document->tags);
    if (tag) memcpy(tag->text, text, length);
}

void nm_cr_open_tag(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    add_tag(parser, parser->element_name, strlen(parser->element_name));
}

/// 2018b keeps the tags in an attribute, as words.
static void split_tags(nm_cr_parser *parser, const nm_cr_text *tags) {
    size_t begin = 0;
    for (size_t i = 0; i <= tags->length; ++i) {
        if (i < tags->length && !strchr(" \t\r\n", tags->at[i])) continue;
        add_tag(parser, tags->at + begin, i - begin);
        begin = i + 1;
    }
}

void nm_cr_open_root(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule;
    nm_cr_document *document = parser->document;
    const nm_cr_text *version = &attributes[NM_CR_A_VERSION], *id = &attributes[NM_CR_A_BENCHMARK_ID],
                     *step = &attributes[NM_CR_A_TIME_STEP_SIZE];
    if (!version->at || !id->at || !step->at) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "<commonRoad> has no attribute %s",
                   !version->at ? "commonRoadVersion" : (!id->at ? "benchmarkID" : "timeStepSize"));
        return;
    }
    if (nm_cr_text_is(version, "2018b")) {
        document->version = 2018;
    } else if (nm_cr_text_is(version, "2020a")) {
        document->version = 2020;
    } else {
        nm_cr_fail(parser, NM_E_UNSUPPORTED, 0, "CommonRoad version \"%.*s\": only 2018b and 2020a are read",
                   (int)(version->length < 20 ? version->length : 20), version->at);
        return;
    }
    if (id->length >= sizeof document->benchmark_id) {
        nm_cr_fail(parser, NM_E_LIMIT, 0, "benchmarkID is longer than %zu bytes", sizeof document->benchmark_id - 1);
        return;
    }
    memcpy(document->benchmark_id, id->at, id->length);
    document->benchmark_id[id->length] = 0;
    if (!nm_decimal_parse(step->at, step->length, &document->dt) || !(document->dt > 0.0 && document->dt <= MAX_DT)) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "timeStepSize=\"%.*s\" is not a number of seconds in (0, %g]",
                   (int)(step->length < 40 ? step->length : 40), step->at, MAX_DT);
        return;
    }
    if (attributes[NM_CR_A_TAGS].at) split_tags(parser, &attributes[NM_CR_A_TAGS]);
}

// --- lanelets --------------------------------------------------------------------------------------------------------

void nm_cr_open_lanelet(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_document *document = parser->document;
    if (document->lanelets.count >= parser->limits->max_lanes) {
        nm_cr_fail(parser, NM_E_LIMIT, 0, "more than %u lanelets", parser->limits->max_lanes);
        return;
    }
    nm_cr_lanelet *lanelet = NM_CR_NEW(parser, document->lanelets);
    if (!lanelet || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &lanelet->id)) return;
    lanelet->line = nm_cr_line(parser);
    lanelet->refs.first = document->refs.count;
}

void nm_cr_open_bound(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)attributes;
    parser->inner_mark = parser->document->points.count;
    parser->bound = rule->argument;
}

void nm_cr_close_bound(nm_cr_parser *parser, const nm_cr_rule *rule) {
    nm_cr_document *document = parser->document;
    nm_cr_lanelet *lanelet = NM_CR_LAST(document->lanelets);
    nm_range range = {parser->inner_mark, document->points.count - parser->inner_mark};
    if (range.count < 2) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "<%s> of lanelet %lld has %u points, at least 2 are needed",
                   nm_cr_element_name(rule->element), (long long)lanelet->id, range.count);
        return;
    }
    *(rule->argument == 0 ? &lanelet->left : &lanelet->right) = range;
}

void nm_cr_close_marking(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    static const nm_cr_word markings[] = {{"dashed", NM_MARKING_DASHED},
                                          {"solid", NM_MARKING_SOLID},
                                          {"broad_dashed", NM_MARKING_BROAD_DASHED},
                                          {"broad_solid", NM_MARKING_BROAD_SOLID},
                                          {"no_marking", NM_MARKING_NONE},
                                          {"solid_solid", NM_MARKING_DOUBLE_SOLID},
                                          {"dashed_dashed", NM_MARKING_DOUBLE_DASHED},
                                          {"solid_dashed", NM_MARKING_SOLID_DASHED},
                                          {"dashed_solid", NM_MARKING_DASHED_SOLID},
                                          {"curb", NM_MARKING_CURB},
                                          {"lowered_curb", NM_MARKING_CURB},
                                          {NULL, NM_MARKING_UNKNOWN}};
    nm_cr_lanelet *lanelet = NM_CR_LAST(parser->document->lanelets);
    uint8_t marking = (uint8_t)nm_cr_word_value(markings, parser->text);
    if (parser->bound == 0)
        lanelet->left_marking = marking;
    else
        lanelet->right_marking = marking;
}

static void add_ref(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes, nm_cr_ref_kind kind) {
    nm_cr_ref *ref = NM_CR_NEW(parser, parser->document->refs);
    if (!ref || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_REF, &ref->id)) return;
    ref->line = nm_cr_line(parser);
    ref->kind = (uint8_t)kind;
}

void nm_cr_open_ref(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    add_ref(parser, rule, attributes, rule->argument);
    nm_cr_document *document = parser->document;
    if (rule->parent == NM_CR_C_INCOMING || rule->parent == NM_CR_C_CROSSING)
        ++NM_CR_LAST(document->incomings)->refs.count;
    else
        ++NM_CR_LAST(document->lanelets)->refs.count;
}

void nm_cr_open_adjacent(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    const nm_cr_text *direction = &attributes[NM_CR_A_DRIVING_DIR];
    int opposite = nm_cr_text_is(direction, "opposite");
    if (!opposite && !nm_cr_text_is(direction, "same")) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "<%s> needs drivingDir=\"same\" or \"opposite\"",
                   nm_cr_element_name(rule->element));
        return;
    }
    add_ref(parser, rule, attributes, (nm_cr_ref_kind)(rule->argument + opposite));
    ++NM_CR_LAST(parser->document->lanelets)->refs.count;
}

void nm_cr_open_stop_line(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    parser->inner_mark = parser->document->points.count;
}

void nm_cr_close_stop_line(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_cr_document *document = parser->document;
    nm_cr_lanelet *lanelet = NM_CR_LAST(document->lanelets);
    uint32_t count = document->points.count - parser->inner_mark;
    if (count != 0 && count != 2) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the stop line of lanelet %lld has %u points, not 0 or 2",
                   (long long)lanelet->id, count);
        return;
    }
    lanelet->has_stop_line = 1;
    lanelet->stop_line = (nm_range){parser->inner_mark, count};
}

/// A lanelet may have several types; the later in this list, the more it says.
static int rank_of(nm_lane_type type) {
    static const nm_lane_type by_rank[] = {NM_LANE_UNKNOWN,  NM_LANE_STREET,   NM_LANE_FREEWAY,  NM_LANE_RAMP,
                                           NM_LANE_BUS,      NM_LANE_DRIVEWAY, NM_LANE_SHOULDER, NM_LANE_BIKE,
                                           NM_LANE_SIDEWALK, NM_LANE_CROSSWALK};
    int rank = 0;
    while (by_rank[rank] != type) ++rank;
    return rank;
}

void nm_cr_close_lanelet_type(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    static const nm_cr_word types[] = {{"urban", NM_LANE_STREET},
                                       {"country", NM_LANE_STREET},
                                       {"interstate", NM_LANE_FREEWAY},
                                       {"highway", NM_LANE_FREEWAY},
                                       {"mainCarriageWay", NM_LANE_FREEWAY},
                                       {"accessRamp", NM_LANE_RAMP},
                                       {"exitRamp", NM_LANE_RAMP},
                                       {"shoulder", NM_LANE_SHOULDER},
                                       {"driveWay", NM_LANE_DRIVEWAY},
                                       {"parking", NM_LANE_DRIVEWAY},
                                       {"busLane", NM_LANE_BUS},
                                       {"busStop", NM_LANE_BUS},
                                       {"bicycleLane", NM_LANE_BIKE},
                                       {"sidewalk", NM_LANE_SIDEWALK},
                                       {"crosswalk", NM_LANE_CROSSWALK},
                                       {NULL, NM_LANE_UNKNOWN}};
    nm_cr_lanelet *lanelet = NM_CR_LAST(parser->document->lanelets);
    nm_lane_type type = (nm_lane_type)nm_cr_word_value(types, parser->text);
    if (rank_of(type) > rank_of((nm_lane_type)lanelet->type)) lanelet->type = (uint8_t)type;
    if (strcmp(parser->text, "intersection") == 0) lanelet->junction = 1;
}

void nm_cr_close_user(nm_cr_parser *parser, const nm_cr_rule *rule) {
    static const nm_cr_word users[] = {{"vehicle", NM_CR_USER_VEHICLE},
                                       {"car", NM_CR_USER_VEHICLE},
                                       {"truck", NM_CR_USER_VEHICLE},
                                       {"motorcycle", NM_CR_USER_VEHICLE},
                                       {"priorityVehicle", NM_CR_USER_VEHICLE},
                                       {"taxi", NM_CR_USER_VEHICLE},
                                       {"bus", NM_CR_USER_BUS},
                                       {"bicycle", NM_CR_USER_BICYCLE},
                                       {"pedestrian", NM_CR_USER_PEDESTRIAN},
                                       {NULL, NM_CR_USER_OTHER}};
    nm_cr_lanelet *lanelet = NM_CR_LAST(parser->document->lanelets);
    uint8_t *mask = rule->argument == 0 ? &lanelet->one_way : &lanelet->both_ways;
    *mask = (uint8_t)(*mask | nm_cr_word_value(users, parser->text));
}

void nm_cr_close_speed_limit(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    if (parser->number < 0.0) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the speed limit %g m/s is negative", parser->number);
        return;
    }
    if (parser->number < NO_LIMIT_SPEED) NM_CR_LAST(parser->document->lanelets)->speed_limit = parser->number;
}

void nm_cr_close_lanelet(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    const nm_cr_lanelet *lanelet = NM_CR_LAST(parser->document->lanelets);
    if (lanelet->left.count != lanelet->right.count)
        nm_cr_fail(parser, NM_E_FORMAT, lanelet->line, "lanelet %lld has %u points on the left and %u on the right",
                   (long long)lanelet->id, lanelet->left.count, lanelet->right.count);
}

// --- signs and lights ------------------------------------------------------------------------------------------------

void nm_cr_open_sign(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_document *document = parser->document;
    nm_cr_sign *sign = NM_CR_NEW(parser, document->signs);
    if (!sign || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &sign->id)) return;
    sign->line = nm_cr_line(parser);
    sign->elements.first = document->sign_elements.count;
}

void nm_cr_open_sign_element(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    if (NM_CR_NEW(parser, parser->document->sign_elements)) ++NM_CR_LAST(parser->document->signs)->elements.count;
}

void nm_cr_close_sign_code(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    nm_cr_sign_element *element = NM_CR_LAST(parser->document->sign_elements);
    snprintf(element->code, sizeof element->code, "%.15s", parser->text);
}

void nm_cr_close_additional_value(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    // free text by the format: only numbers matter (speeds)
    nm_cr_sign_element *element = NM_CR_LAST(parser->document->sign_elements);
    double value;
    if (element->value == 0.0 && nm_decimal_parse(parser->text, parser->text_length, &value) && isfinite(value) &&
        fabs(value) <= 1e6)
        element->value = value;
}

/// xs:boolean. Fails when it is anything else.
static int boolean(nm_cr_parser *parser, const nm_cr_rule *rule) {
    int yes = strcmp(parser->text, "true") == 0 || strcmp(parser->text, "1") == 0;
    if (!yes && strcmp(parser->text, "false") != 0 && strcmp(parser->text, "0") != 0)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "<%s> is neither true nor false: \"%.40s\"",
                   nm_cr_element_name(rule->element), parser->text);
    return yes;
}

void nm_cr_close_virtual(nm_cr_parser *parser, const nm_cr_rule *rule) {
    NM_CR_LAST(parser->document->signs)->virtual_sign = (uint8_t)boolean(parser, rule);
}

void nm_cr_open_place(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    parser->inner_mark = parser->document->points.count;
}

void nm_cr_close_place(nm_cr_parser *parser, const nm_cr_rule *rule) {
    nm_cr_document *document = parser->document;
    nm_range place = {parser->inner_mark, document->points.count - parser->inner_mark};
    *(rule->argument == 0 ? &NM_CR_LAST(document->signs)->position : &NM_CR_LAST(document->lights)->position) = place;
}

void nm_cr_open_light(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_document *document = parser->document;
    nm_cr_light *light = NM_CR_NEW(parser, document->lights);
    if (!light || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &light->id)) return;
    light->line = nm_cr_line(parser);
    light->phases.first = document->phases.count;
    light->turn = NM_TURN_UNKNOWN;
}

void nm_cr_open_cycle_element(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    if (NM_CR_NEW(parser, parser->document->phases)) ++NM_CR_LAST(parser->document->lights)->phases.count;
}

void nm_cr_close_duration(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    if (!(parser->number >= 1.0 && parser->number <= 1e9) || parser->number != floor(parser->number)) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the duration %g of a signal phase is not a number of steps >= 1",
                   parser->number);
        return;
    }
    NM_CR_LAST(parser->document->phases)->steps = (uint32_t)parser->number;
}

void nm_cr_close_color(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    static const nm_cr_word colours[] = {{"red", NM_SIGNAL_STOP},          {"yellow", NM_SIGNAL_CAUTION},
                                         {"redYellow", NM_SIGNAL_CAUTION}, {"green", NM_SIGNAL_GO},
                                         {"inactive", NM_SIGNAL_OFF},      {NULL, NM_SIGNAL_STATE_COUNT}};
    int state = nm_cr_word_value(colours, parser->text);
    if (state == NM_SIGNAL_STATE_COUNT) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "no signal colour: \"%.40s\"", parser->text);
        return;
    }
    NM_CR_LAST(parser->document->phases)->state = (uint8_t)state;
}

void nm_cr_close_time_offset(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    if (!(fabs(parser->number) <= 1e9) || parser->number != floor(parser->number)) {
        nm_cr_fail(parser, NM_E_FORMAT, 0, "timeOffset %g is not a whole number of steps", parser->number);
        return;
    }
    NM_CR_LAST(parser->document->lights)->offset = (int64_t)parser->number;
}

void nm_cr_close_direction(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    static const nm_cr_word directions[] = {{"right", NM_TURN_RIGHT},
                                            {"left", NM_TURN_LEFT},
                                            {"straight", NM_TURN_STRAIGHT},
                                            {NULL, NM_TURN_UNKNOWN}}; // all, and the mixed ones
    NM_CR_LAST(parser->document->lights)->turn = (uint8_t)nm_cr_word_value(directions, parser->text);
}

void nm_cr_close_active(nm_cr_parser *parser, const nm_cr_rule *rule) {
    NM_CR_LAST(parser->document->lights)->dark = (uint8_t)!boolean(parser, rule);
}

void nm_cr_close_cycle(nm_cr_parser *parser, const nm_cr_rule *rule) {
    (void)rule;
    const nm_cr_document *document = parser->document;
    const nm_cr_light *light = NM_CR_LAST(document->lights);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < light->phases.count; ++i) sum += document->phases.at[light->phases.first + i].steps;
    if (sum == 0 || sum > INT32_MAX)
        nm_cr_fail(parser, NM_E_FORMAT, 0, "the cycle of traffic light %lld lasts %llu steps", (long long)light->id,
                   (unsigned long long)sum);
}

// --- intersections ---------------------------------------------------------------------------------------------------

void nm_cr_open_intersection(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_document *document = parser->document;
    nm_cr_intersection *intersection = NM_CR_NEW(parser, document->intersections);
    if (!intersection || !nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &intersection->id)) return;
    intersection->line = nm_cr_line(parser);
    intersection->incomings.first = document->incomings.count;
}

static nm_cr_incoming *add_incoming(nm_cr_parser *parser) {
    nm_cr_document *document = parser->document;
    nm_cr_incoming *incoming = NM_CR_NEW(parser, document->incomings);
    if (!incoming) return NULL;
    incoming->line = nm_cr_line(parser);
    incoming->refs.first = document->refs.count;
    ++NM_CR_LAST(document->intersections)->incomings.count;
    return incoming;
}

void nm_cr_open_incoming(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    nm_cr_incoming *incoming = add_incoming(parser);
    if (incoming) nm_cr_get_id(parser, rule, attributes, NM_CR_A_ID, &incoming->id);
}

void nm_cr_open_crossing(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    (void)rule, (void)attributes;
    nm_cr_incoming *crossing = add_incoming(parser);
    if (crossing) crossing->id = -1;
}

/// isLeftOf only repeats what the geometry says (right before left), and where it is given it does not always name an
/// incoming: the T-junctions of one generator name a lanelet. It must be an id; it is not kept.
void nm_cr_open_left_of(nm_cr_parser *parser, const nm_cr_rule *rule, const nm_cr_text *attributes) {
    int64_t ignored;
    nm_cr_get_id(parser, rule, attributes, NM_CR_A_REF, &ignored);
}
