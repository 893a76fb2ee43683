/// Walks an OpenDRIVE document with libxml2's SAX2 interface and applies the rules of the grammar.
///
/// Hostile input: as for CommonRoad (commonroad_xml.c): no document type declarations, nothing is fetched, libxml2's
/// own limits stay on.
#include "dataset/opendrive_xml.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>

#include "base/decimal.h"

#define MAX_DEPTH 16 // the grammar nests 7 deep
#define MAX_GEO_REFERENCE 4096u
#define MAX_LANE_ID 255

typedef struct frame {
    const nm_od_rule *rule;
} frame;

struct nm_od_xml {
    xmlParserCtxtPtr context;
    const char *input;
    nm_error *error;
    frame stack[MAX_DEPTH];
    uint32_t depth, skipped;
    const xmlChar *element;
    const xmlChar **attributes;
    int attribute_count;
    uint8_t first_rule[NM_OD_C_EMPTY + 1]; // of each content; the grammar is grouped by parent
};

// --- arrays ----------------------------------------------------------------------------------------------------------

void *nm_od_grow(void *at, uint32_t *capacity, size_t item_size) {
    uint32_t wanted = *capacity ? *capacity + *capacity / 2 : 32;
    if (wanted >= UINT32_C(1) << 31) return at;
    void *grown = realloc(at, wanted * item_size);
    if (!grown) return at;
    *capacity = wanted;
    return grown;
}

#define EACH_ARRAY(X)                                                                                                  \
    X(texts)                                                                                                           \
    X(roads)                                                                                                           \
    X(geometries)                                                                                                      \
    X(elevations)                                                                                                      \
    X(rolls)                                                                                                           \
    X(offsets)                                                                                                         \
    X(widths)                                                                                                          \
    X(borders)                                                                                                         \
    X(types)                                                                                                           \
    X(sections)                                                                                                        \
    X(lanes)                                                                                                           \
    X(lane_links)                                                                                                      \
    X(marks)                                                                                                           \
    X(speeds)                                                                                                          \
    X(signals)                                                                                                         \
    X(validities)                                                                                                      \
    X(objects)                                                                                                         \
    X(corners)                                                                                                         \
    X(junctions)                                                                                                       \
    X(connections)                                                                                                     \
    X(junction_links)

void nm_od_document_reset(nm_od_document *document) {
#define X(array) document->array.count = 0;
    EACH_ARRAY(X)
#undef X
    document->name = document->geo_reference = (nm_od_text){0, 0};
    document->has_offset = 0;
}

void nm_od_document_release(nm_od_document *document) {
#define X(array) free(document->array.at);
    EACH_ARRAY(X)
#undef X
    *document = (nm_od_document){0};
}

// --- failing ---------------------------------------------------------------------------------------------------------

int32_t nm_od_line(const nm_od_parser *parser) {
    return xmlSAX2GetLineNumber(parser->xml->context);
}

void nm_od_fail(nm_od_parser *parser, nm_status code, int32_t line, const char *format, ...) {
    if (parser->status != NM_OK) return;
    char message[384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    parser->status = NM_ERROR_AT(parser->xml->error, code, parser->xml->input, line > 0 ? line : nm_od_line(parser), -1,
                                 "%s", message);
}

void nm_od_fail_memory(nm_od_parser *parser) {
    nm_od_fail(parser, NM_E_MEMORY, 0, "no memory for the document");
}

// --- attributes ------------------------------------------------------------------------------------------------------

/// libxml2 gives five pointers an attribute: name, prefix, namespace, start and end of the value.
nm_od_value nm_od_attribute(const nm_od_parser *parser, const char *name) {
    const xmlChar **at = parser->xml->attributes;
    for (int i = 0; i < parser->xml->attribute_count; ++i, at += 5) {
        if (strcmp((const char *)at[0], name) == 0) return (nm_od_value){(const char *)at[3], (size_t)(at[4] - at[3])};
    }
    return (nm_od_value){NULL, 0};
}

int nm_od_value_is(nm_od_value value, const char *word) {
    return value.at && strlen(word) == value.length && memcmp(value.at, word, value.length) == 0;
}

int nm_od_word_of(const nm_od_word *list, nm_od_value value) {
    while (list->text && !nm_od_value_is(value, list->text)) ++list;
    return list->value;
}

static void refuse_value(nm_od_parser *parser, const char *name, nm_od_value value, const char *what) {
    nm_od_fail(parser, NM_E_FORMAT, 0, "%s=\"%.*s\" of <%.60s> is not %s", name,
               (int)(value.length < 40 ? value.length : 40), value.at, (const char *)parser->xml->element, what);
}

static int require(nm_od_parser *parser, const char *name, nm_od_value *value) {
    *value = nm_od_attribute(parser, name);
    if (value->at) return 1;
    nm_od_fail(parser, NM_E_FORMAT, 0, "<%.60s> has no attribute %s", (const char *)parser->xml->element, name);
    return 0;
}

static double to_number(nm_od_parser *parser, const char *name, nm_od_value value) {
    double number = 0.0;
    if (!nm_decimal_parse(value.at, value.length, &number)) {
        refuse_value(parser, name, value, "a number");
        return 0.0;
    }
    if (!isfinite(number)) {
        refuse_value(parser, name, value, "a finite number");
        return 0.0;
    }
    return number;
}

double nm_od_number(nm_od_parser *parser, const char *name) {
    nm_od_value value;
    return require(parser, name, &value) ? to_number(parser, name, value) : 0.0;
}

double nm_od_number_or(nm_od_parser *parser, const char *name, double otherwise) {
    nm_od_value value = nm_od_attribute(parser, name);
    return value.at && value.length ? to_number(parser, name, value) : otherwise;
}

int32_t nm_od_lane_id(nm_od_parser *parser, const char *name) {
    nm_od_value value;
    int64_t id = 0;
    if (!require(parser, name, &value)) return 0;
    if (!nm_decimal_parse_integer(value.at, value.length, &id) || id < -MAX_LANE_ID || id > MAX_LANE_ID) {
        refuse_value(parser, name, value, "the id of a lane, -255 to 255");
        return 0;
    }
    return (int32_t)id;
}

static int append_text(nm_od_parser *parser, const char *at, size_t length) {
    nm_od_document *d = parser->document;
    while (d->texts.capacity - d->texts.count < length) {
        uint32_t before = d->texts.capacity;
        d->texts.at = nm_od_grow(d->texts.at, &d->texts.capacity, 1);
        if (d->texts.capacity == before) {
            nm_od_fail_memory(parser);
            return 0;
        }
    }
    if (length) memcpy(d->texts.at + d->texts.count, at, length);
    d->texts.count += (uint32_t)length;
    return 1;
}

nm_od_text nm_od_copy(nm_od_parser *parser, const char *name, int required) {
    nm_od_value value = nm_od_attribute(parser, name);
    if (!value.at && required) require(parser, name, &value);
    nm_od_text text = {parser->document->texts.count, (uint32_t)value.length};
    if (value.length > 1000) {
        nm_od_fail(parser, NM_E_LIMIT, 0, "%s of <%.60s> has %zu characters, the limit is 1000", name,
                   (const char *)parser->xml->element, value.length);
        return (nm_od_text){0, 0};
    }
    return value.at && append_text(parser, value.at, value.length) ? text : (nm_od_text){0, 0};
}

// --- what many elements share ----------------------------------------------------------------------------------------

void nm_od_read_poly(nm_od_parser *parser, const char *offset_name, nm_od_poly *poly) {
    poly->s = nm_od_number(parser, offset_name);
    poly->a = nm_od_number(parser, "a");
    poly->b = nm_od_number_or(parser, "b", 0.0);
    poly->c = nm_od_number_or(parser, "c", 0.0);
    poly->d = nm_od_number_or(parser, "d", 0.0);
}

void nm_od_check_order(nm_od_parser *parser, double before, double s, const char *what) {
    if (s < before) nm_od_fail(parser, NM_E_FORMAT, 0, "%s at s = %g lies before the last one, at %g", what, s, before);
}

double nm_od_read_speed(nm_od_parser *parser) {
    static const nm_od_word units[] = {{"m/s", 1}, {"km/h", 2}, {"mph", 3}, {NULL, 0}};
    nm_od_value max = nm_od_attribute(parser, "max"), unit = nm_od_attribute(parser, "unit");
    if (!max.at || nm_od_value_is(max, "no limit") || nm_od_value_is(max, "undefined")) return 0.0;
    double factor = 1.0;
    switch (unit.at && unit.length ? nm_od_word_of(units, unit) : 1) {
    case 1:
        break;
    case 2:
        factor = 1.0 / 3.6;
        break;
    case 3:
        factor = 0.44704;
        break;
    default:
        refuse_value(parser, "unit", unit, "one of m/s, km/h, mph");
    }
    double speed = to_number(parser, "max", max) * factor;
    if (speed < 0.0 && speed > -2.0) return 0.0; // -1: "none", as RoadRunner writes it
    if (speed < 0.0 || speed > 900.0) refuse_value(parser, "max", max, "a speed");
    return speed;
}

// --- callbacks -------------------------------------------------------------------------------------------------------

static const nm_od_rule *find_rule(const struct nm_od_xml *xml, unsigned content, const char *name) {
    for (const nm_od_rule *rule = &nm_od_rules[xml->first_rule[content]]; rule->element && rule->parent == content;
         ++rule) {
        if (strcmp(rule->element, name) == 0) return rule;
    }
    return NULL;
}

static void open_element(nm_od_parser *parser, const xmlChar *name) {
    struct nm_od_xml *xml = parser->xml;
    if (xml->skipped > 0) {
        ++xml->skipped;
        return;
    }
    const nm_od_rule *parent = xml->stack[xml->depth].rule;
    unsigned content = parent ? parent->content : NM_OD_C_DOCUMENT;
    const nm_od_rule *rule = find_rule(xml, content, (const char *)name);
    if (!rule) {
        if (content == NM_OD_C_DOCUMENT)
            nm_od_fail(parser, NM_E_FORMAT, 0, "not an OpenDRIVE document: the root element is <%.60s>", name);
        xml->skipped = 1;
        return;
    }
    NM_ASSERT(xml->depth + 1 < MAX_DEPTH);
    xml->stack[++xml->depth].rule = rule;
    if (rule->open) rule->open(parser, rule);
}

static void start_element(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                          int namespace_count, const xmlChar **namespaces, int attribute_count, int defaulted_count,
                          const xmlChar **attributes) {
    (void)prefix, (void)uri, (void)namespace_count, (void)namespaces, (void)defaulted_count;
    nm_od_parser *parser = user;
    if (parser->status != NM_OK) return;
    parser->xml->element = name;
    parser->xml->attributes = attributes;
    parser->xml->attribute_count = attribute_count;
    open_element(parser, name);
    // not before the attributes have been read: libxml2 frees what they point into
    if (parser->status != NM_OK) xmlStopParser(parser->xml->context);
}

static void end_element(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri) {
    (void)name, (void)prefix, (void)uri;
    nm_od_parser *parser = user;
    struct nm_od_xml *xml = parser->xml;
    if (parser->status != NM_OK) return;
    if (xml->skipped > 0) {
        --xml->skipped;
        return;
    }
    const nm_od_rule *rule = xml->stack[xml->depth--].rule;
    parser->collecting = 0;
    if (rule->close) rule->close(parser);
    if (parser->status != NM_OK) xmlStopParser(xml->context);
}

static void characters(void *user, const xmlChar *text, int length) {
    nm_od_parser *parser = user;
    if (!parser->collecting || parser->status != NM_OK || !parser->xml->context->wellFormed) return;
    nm_od_text *reference = &parser->document->geo_reference;
    if (reference->length + (uint32_t)length > MAX_GEO_REFERENCE) {
        nm_od_fail(parser, NM_E_LIMIT, 0, "the geoReference is longer than %u bytes", MAX_GEO_REFERENCE);
        xmlStopParser(parser->xml->context);
    } else if (append_text(parser, (const char *)text, (size_t)length)) {
        reference->length += (uint32_t)length;
    }
}

static void refuse_doctype(void *user, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id) {
    (void)name, (void)external_id, (void)system_id;
    nm_od_parser *parser = user;
    nm_od_fail(parser, NM_E_FORMAT, 0, "a document type declaration (DOCTYPE) is not accepted");
    xmlStopParser(parser->xml->context);
}

// --- the whole document ----------------------------------------------------------------------------------------------

/// What libxml2 itself found wrong, as one line.
static nm_status report_malformed(const struct nm_od_xml *xml) {
    const xmlError *error = xmlCtxtGetLastError(xml->context);
    if (!error) return NM_ERROR_AT(xml->error, NM_E_FORMAT, xml->input, 0, -1, "not well-formed XML");
    char message[300];
    snprintf(message, sizeof message, "%s", error->message ? error->message : "not well-formed XML");
    message[strcspn(message, "\n")] = 0;
    nm_status code = error->code == XML_ERR_NO_MEMORY ? NM_E_MEMORY : NM_E_FORMAT;
    return NM_ERROR_AT(xml->error, code, xml->input, error->line, -1, "malformed XML: %s", message);
}

static void index_rules(struct nm_od_xml *xml) {
    uint8_t end = 0;
    while (nm_od_rules[end].element) ++end;
    memset(xml->first_rule, end, sizeof xml->first_rule);
    for (uint8_t r = end; r-- > 0;) xml->first_rule[nm_od_rules[r].parent] = r;
}

nm_status nm_od_parse(const char *name, const void *bytes, size_t size, nm_od_document *document, nm_error *error) {
    if (size > INT_MAX) return NM_ERROR_AT(error, NM_E_LIMIT, name, 0, -1, "the document is larger than 2 GiB");
    struct nm_od_xml xml = {.input = name, .error = error};
    nm_od_parser parser = {.document = document, .xml = &xml};
    nm_od_document_reset(document);
    index_rules(&xml);
    xml.context = xmlNewParserCtxt();
    if (!xml.context) return NM_ERROR(error, NM_E_MEMORY, "no memory for an XML parser");
    xmlSAXHandler *handler = xml.context->sax;
    memset(handler, 0, sizeof *handler);
    handler->initialized = XML_SAX2_MAGIC;
    handler->startElementNs = start_element;
    handler->endElementNs = end_element;
    handler->characters = characters;
    handler->ignorableWhitespace = characters;
    handler->cdataBlock = characters;
    handler->internalSubset = refuse_doctype;
    xml.context->userData = &parser;
    xmlDocPtr tree = xmlCtxtReadMemory(xml.context, bytes, (int)size, NULL, NULL,
                                       XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (tree) xmlFreeDoc(tree); // our callbacks build none; kept for libraries that think otherwise
    if (parser.status == NM_OK && !xml.context->wellFormed) parser.status = report_malformed(&xml);
    xmlFreeParserCtxt(xml.context);
    return parser.status;
}
