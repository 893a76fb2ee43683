/// How the OpenDRIVE reader recognises elements. Private to opendrive_xml.c (the walk), opendrive_grammar.c (roads and
/// junctions) and opendrive_grammar_lanes.c (lanes, signals, objects).
///
/// The grammar is a table of rules: "inside content P the element E holds content C, and these two functions are
/// called". An element without a rule is skipped with all it holds: userData, surfaces, railways, what newer versions
/// add.
#ifndef NM_DATASET_OPENDRIVE_XML_H
#define NM_DATASET_OPENDRIVE_XML_H

#include "dataset/opendrive.h"

typedef enum nm_od_content {
    NM_OD_C_DOCUMENT = 0,
    NM_OD_C_ROOT,
    NM_OD_C_HEADER,
    NM_OD_C_GEO_REFERENCE,
    NM_OD_C_ROAD,
    NM_OD_C_ROAD_LINK,
    NM_OD_C_TYPE,
    NM_OD_C_PLAN_VIEW,
    NM_OD_C_GEOMETRY,
    NM_OD_C_ELEVATION,
    NM_OD_C_LATERAL,
    NM_OD_C_LANES,
    NM_OD_C_SECTION,
    NM_OD_C_SIDE,
    NM_OD_C_LANE,
    NM_OD_C_LANE_LINK,
    NM_OD_C_SIGNALS,
    NM_OD_C_SIGNAL,
    NM_OD_C_OBJECTS,
    NM_OD_C_OBJECT,
    NM_OD_C_OUTLINES,
    NM_OD_C_OUTLINE,
    NM_OD_C_JUNCTION,
    NM_OD_C_CONNECTION,
    NM_OD_C_EMPTY ///< only attributes matter
} nm_od_content;

typedef struct nm_od_parser nm_od_parser;
typedef struct nm_od_rule {
    uint8_t parent;
    const char *element;
    uint8_t content;
    uint8_t argument;
    void (*open)(nm_od_parser *parser, const struct nm_od_rule *rule);
    void (*close)(nm_od_parser *parser);
} nm_od_rule;

extern const nm_od_rule nm_od_rules[]; ///< ends with an element NULL; grouped by parent

typedef struct nm_od_value {
    const char *at; ///< not terminated; NULL = not given
    size_t length;
} nm_od_value;

struct nm_od_parser {
    nm_od_document *document;
    nm_status status; ///< the first failure; nothing is called after it
    int side;         ///< of the lanes being read: +1 left, 0 centre, -1 right
    int collecting;   ///< text goes to the end of the document's texts
    struct nm_od_xml *xml;
};

/// Refuses the document with the line that is being read (or `line` when it is > 0).
void nm_od_fail(nm_od_parser *parser, nm_status code, int32_t line, const char *format, ...) NM_PRINTF(4, 5);
int32_t nm_od_line(const nm_od_parser *parser);
/// An attribute of the element being opened.
nm_od_value nm_od_attribute(const nm_od_parser *parser, const char *name);
int nm_od_value_is(nm_od_value value, const char *word);
/// A number that must be there. 0 after failing the document.
double nm_od_number(nm_od_parser *parser, const char *name);
double nm_od_number_or(nm_od_parser *parser, const char *name, double otherwise);
/// A lane's id.
int32_t nm_od_lane_id(nm_od_parser *parser, const char *name);
/// A text that must be there, or that may be missing, copied into the document.
nm_od_text nm_od_copy(nm_od_parser *parser, const char *name, int required);
void nm_od_fail_memory(nm_od_parser *parser);
/// The value of the word in a list that ends with NULL, whose value is the answer for other words.
typedef struct nm_od_word {
    const char *text;
    int value;
} nm_od_word;
int nm_od_word_of(const nm_od_word *list, nm_od_value value);

/// Appends a zeroed item: a pointer to it, or NULL after failing the document.
#define NM_OD_ADD(pointer, parser, array)                                                                              \
    do {                                                                                                               \
        (pointer) = NM_OD_NEW((parser)->document->array);                                                              \
        if (!(pointer)) {                                                                                              \
            nm_od_fail_memory(parser);                                                                                 \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

/// Reads a cubic (a, b, c, d from `offset_name` on) onto the end of what `range` holds of the array.
void nm_od_read_poly(nm_od_parser *parser, const char *offset_name, nm_od_poly *poly);
/// Refuses a place that lies before the one that came before it.
void nm_od_check_order(nm_od_parser *parser, double before, double s, const char *what);
/// The speed in m/s: `max` with its `unit`; 0 for no limit.
double nm_od_read_speed(nm_od_parser *parser);

// opendrive_grammar_lanes.c
void nm_od_open_section(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_close_section(nm_od_parser *parser);
void nm_od_open_side(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_lane(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_lane_link(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_width(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_mark(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_lane_speed(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_signal(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_signal_place(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_validity(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_object(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_close_object(nm_od_parser *parser);
void nm_od_open_outline(nm_od_parser *parser, const nm_od_rule *rule);
void nm_od_open_corner(nm_od_parser *parser, const nm_od_rule *rule);

#endif
