/// Walks an OpenSCENARIO document with libxml2's SAX2 callbacks. What stands elsewhere than the trajectories, the
/// entities and where they begin is passed over.
///
/// Hostile input as in commonroad_xml.c: no document type declaration, nothing is fetched, libxml2's limits stay on.
#include "dataset/openscenario.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include <libxml/SAX2.h>
#include <libxml/parser.h>

#include "base/decimal.h"
#include "sim/math.h"

#define MAX_DEPTH 260u // libxml2 stops at 256
#define MAX_PARAMETERS 1000u
#define MAX_INDIRECTION 16   // of parameters that name parameters
#define MAX_COORDINATE 1e8   // m
#define MAX_TIME 1e7         // s
#define MAX_DIMENSION 1000.0 // m
#define MAX_VALUE 256u       // characters of a value that matters

/// Frequent ones first: they are looked for in this order.
#define ELEMENTS(X)                                                                                                    \
    X(VERTEX, "Vertex")                                                                                                \
    X(POSITION, "Position")                                                                                            \
    X(WORLD_POSITION, "WorldPosition")                                                                                 \
    X(PROPERTY, "Property")                                                                                            \
    X(SCENARIO, "OpenSCENARIO")                                                                                        \
    X(FILE_HEADER, "FileHeader")                                                                                       \
    X(LOGIC_FILE, "LogicFile")                                                                                         \
    X(PARAMETERS, "ParameterDeclarations")                                                                             \
    X(PARAMETER, "ParameterDeclaration")                                                                               \
    X(SCENARIO_OBJECT, "ScenarioObject")                                                                               \
    X(VEHICLE, "Vehicle")                                                                                              \
    X(PEDESTRIAN, "Pedestrian")                                                                                        \
    X(MISC_OBJECT, "MiscObject")                                                                                       \
    X(BOUNDING_BOX, "BoundingBox")                                                                                     \
    X(CENTER, "Center")                                                                                                \
    X(DIMENSIONS, "Dimensions")                                                                                        \
    X(OBJECT_CONTROLLER, "ObjectController")                                                                           \
    X(PRIVATE, "Private")                                                                                              \
    X(TELEPORT, "TeleportAction")                                                                                      \
    X(MANEUVER_GROUP, "ManeuverGroup")                                                                                 \
    X(ACTORS, "Actors")                                                                                                \
    X(ENTITY_REF, "EntityRef")                                                                                         \
    X(EVENT, "Event")                                                                                                  \
    X(START_TRIGGER, "StartTrigger")                                                                                   \
    X(SIMULATION_TIME, "SimulationTimeCondition")                                                                      \
    X(FOLLOW, "FollowTrajectoryAction")                                                                                \
    X(SHAPE, "Shape")                                                                                                  \
    X(POLYLINE, "Polyline")                                                                                            \
    X(TIMING, "Timing")                                                                                                \
    X(CATALOG_REFERENCE, "CatalogReference")

typedef enum element {
    E_OTHER = 0,
#define X(name, word) E_##name,
    ELEMENTS(X)
#undef X
        E_COUNT
} element;

static const char *const element_words[E_COUNT] = {"",
#define X(name, word) word,
                                                   ELEMENTS(X)
#undef X
};

typedef struct parameter {
    char name[64], value[64];
} parameter;

typedef struct parser {
    nm_osc_document *document;
    const nm_import_limits *limits;
    const char *input;
    nm_error *error;
    nm_status status;
    xmlParserCtxtPtr context;
    const xmlChar *names[E_COUNT]; // in the context's dictionary
    uint8_t stack[MAX_DEPTH];      // element; [0] = the document
    uint32_t depth;
    nm_pile parameters; // parameter
    nm_pile index;      // uint32_t: entities by name; made when the first is looked for
    nm_pile actors;     // uint32_t: entities that act now
    int indexed;

    int in_follow, has_timing, relative;
    double scale, offset, event_time;
    nm_range vertices;
    uint32_t event_run; // the first run of the event
} parser;

typedef struct attributes {
    const xmlChar **at;
    int count;
} attributes;

// --- failing, texts --------------------------------------------------------------------------------------------------

static void fail(parser *p, nm_status code, const char *format, ...) NM_PRINTF(3, 4);
static void fail(parser *p, nm_status code, const char *format, ...) {
    if (p->status != NM_OK) return;
    char message[384];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    p->status = NM_ERROR_AT(p->error, code, p->input, xmlSAX2GetLineNumber(p->context), -1, "%s", message);
}

static void fail_memory(parser *p) {
    fail(p, NM_E_MEMORY, "no memory for the document");
}

static const char *text_at(const nm_osc_document *document, uint32_t at) {
    return (const char *)document->texts.data + at;
}

/// libxml2 gives five pointers an attribute: name, prefix, namespace, start and end of the value.
static size_t find(const attributes *a, const char *name, const char **value) {
    for (int i = 0; i < a->count; ++i) {
        const xmlChar **at = a->at + 5 * (size_t)i;
        if (strcmp((const char *)at[0], name) != 0) continue;
        *value = (const char *)at[3];
        return (size_t)(at[4] - at[3]);
    }
    *value = NULL;
    return 0;
}

/// The value of an attribute, terminated, with a parameter's value in place of "$name". 0 when it is not there, is too
/// long, or names no parameter: the document has failed unless it is merely missing.
static int get_text(parser *p, const attributes *a, const char *name, char to[MAX_VALUE]) {
    const char *value;
    size_t length = find(a, name, &value);
    if (!value) return 0;
    if (length >= MAX_VALUE) {
        fail(p, NM_E_LIMIT, "%s is longer than %u characters", name, MAX_VALUE - 1);
        return 0;
    }
    memcpy(to, value, length);
    to[length] = 0;
    for (int round = 0; to[0] == '$'; ++round) {
        if (to[1] == '{') {
            fail(p, NM_E_UNSUPPORTED, "%s=\"%.60s\": expressions are not read", name, to);
            return 0;
        }
        const parameter *parameters = p->parameters.data, *found = NULL;
        for (size_t i = 0; i < p->parameters.count && !found; ++i) {
            if (strcmp(parameters[i].name, to + 1) == 0) found = &parameters[i];
        }
        if (!found || round == MAX_INDIRECTION) {
            fail(p, NM_E_FORMAT,
                 found ? "%s=\"%.60s\": parameters that name each other in a circle"
                       : "%s=\"%.60s\": there is no such parameter",
                 name, to);
            return 0;
        }
        memcpy(to, found->value, sizeof found->value);
    }
    return 1;
}

/// A finite number; `otherwise` when the attribute is missing, which is an error when that is NaN.
static double get_number(parser *p, const attributes *a, const char *name, double limit, double otherwise) {
    const char *raw;
    double value = otherwise;
    size_t length = find(a, name, &raw);
    if (!raw) {
        if (isnan(otherwise)) fail(p, NM_E_FORMAT, "the attribute %s is missing", name);
        return otherwise;
    }
    char text[MAX_VALUE];
    int ok = length > 0 && raw[0] != '$' ? nm_decimal_parse(raw, length, &value)
                                         : get_text(p, a, name, text) && nm_decimal_parse(text, strlen(text), &value);
    if (!ok)
        fail(p, NM_E_FORMAT, "%s=\"%.*s\" is not a number", name, (int)(length < 40 ? length : 40), raw);
    else if (!(fabs(value) <= limit))
        fail(p, NM_E_LIMIT, "%s=\"%.*s\" is beyond %g", name, (int)(length < 40 ? length : 40), raw, limit);
    return p->status == NM_OK ? value : 0.0;
}

// --- entities --------------------------------------------------------------------------------------------------------

static nm_osc_entity *entity_of(const parser *p, uint32_t index) {
    return (nm_osc_entity *)p->document->entities.data + index;
}

/// The entity being declared, or NULL outside of <ScenarioObject>.
static nm_osc_entity *declared(const parser *p) {
    for (uint32_t i = p->depth; i > 0; --i) {
        if (p->stack[i] == E_SCENARIO_OBJECT && p->document->entities.count)
            return entity_of(p, (uint32_t)p->document->entities.count - 1);
    }
    return NULL;
}

static void open_entity(parser *p, const attributes *a) {
    nm_osc_document *d = p->document;
    char name[MAX_VALUE];
    if (!get_text(p, a, "name", name)) {
        fail(p, NM_E_FORMAT, "a <ScenarioObject> without a name");
        return;
    }
    if (p->indexed || d->entities.count >= p->limits->max_tracks) {
        fail(p, p->indexed ? NM_E_FORMAT : NM_E_LIMIT,
             p->indexed ? "an entity is declared after others were referred to" : "more than %u entities",
             p->limits->max_tracks);
        return;
    }
    size_t length = strlen(name) + 1;
    char *text = d->texts.count < INT_MAX ? NM_PUSH(&d->texts, char, length) : NULL;
    nm_osc_entity *e = text ? NM_PUSH(&d->entities, nm_osc_entity, 1) : NULL;
    if (!e) {
        fail_memory(p);
        return;
    }
    memcpy(text, name, length);
    *e = (nm_osc_entity){.name = (uint32_t)(d->texts.count - length), .line = xmlSAX2GetLineNumber(p->context)};
}

static void open_category(parser *p, const attributes *a, element kind) {
    static const struct {
        const char *word;
        nm_agent_type type;
    } words[] = {{"car", NM_AGENT_CAR},
                 {"van", NM_AGENT_CAR},
                 {"truck", NM_AGENT_TRUCK},
                 {"trailer", NM_AGENT_TRUCK},
                 {"semitrailer", NM_AGENT_TRUCK},
                 {"bus", NM_AGENT_BUS},
                 {"bicycle", NM_AGENT_CYCLIST},
                 {"motorbike", NM_AGENT_MOTORCYCLE},
                 {"train", NM_AGENT_TRAIN},
                 {"tram", NM_AGENT_TRAIN},
                 {"pedestrian", NM_AGENT_PEDESTRIAN},
                 {"wheelchair", NM_AGENT_PEDESTRIAN}};
    nm_osc_entity *e = declared(p);
    char word[MAX_VALUE];
    if (!e) return;
    if (kind == E_MISC_OBJECT) e->type = NM_AGENT_OBSTACLE;
    if (!get_text(p, a, kind == E_VEHICLE ? "vehicleCategory" : "pedestrianCategory", word)) return;
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i) {
        if (strcmp(words[i].word, word) == 0) e->type = (uint8_t)words[i].type;
    }
}

static void open_property(parser *p, const attributes *a) {
    nm_osc_entity *e = declared(p);
    char value[MAX_VALUE];
    const char *name;
    size_t length = find(a, "name", &name);
    int64_t number;
    if (!e || length < 10 || memcmp(name, "nearmiss.", 9) != 0 || !get_text(p, a, "value", value)) return;
    int is_number = nm_decimal_parse_integer(value, strlen(value), &number);
    name += 9;
    length -= 9;
    if (length == 2 && memcmp(name, "id", 2) == 0 && is_number) {
        e->has_id = 1;
        e->id = number;
    } else if (length == 5 && memcmp(name, "flags", 5) == 0 && is_number && number >= 0 && number <= UINT8_MAX) {
        e->flags = (uint8_t)number;
    } else if (length == 6 && memcmp(name, "height", 6) == 0) {
        e->assumed_height = strcmp(value, "assumed") == 0;
    } else if (length == 4 && memcmp(name, "type", 4) == 0) {
        for (unsigned type = 0; type < NM_AGENT_TYPE_COUNT; ++type) {
            if (strcmp(nm_osc_type_name(type), value) == 0) e->type = (uint8_t)type;
        }
    }
}

static void open_box(parser *p, const attributes *a, element kind) {
    nm_osc_entity *e = declared(p);
    if (!e || p->stack[p->depth - 1] != E_BOUNDING_BOX) return;
    if (kind == E_CENTER) {
        e->centre_x = get_number(p, a, "x", MAX_DIMENSION, 0.0);
        e->centre_y = get_number(p, a, "y", MAX_DIMENSION, 0.0);
        return;
    }
    e->length = get_number(p, a, "length", MAX_DIMENSION, NAN);
    e->width = get_number(p, a, "width", MAX_DIMENSION, NAN);
    e->height = get_number(p, a, "height", MAX_DIMENSION, NAN);
    if (!(e->length >= 0.0 && e->width >= 0.0 && e->height >= 0.0))
        fail(p, NM_E_FORMAT, "the box of \"%.60s\" has a negative size", text_at(p->document, e->name));
}

static int compare_names(const nm_osc_document *d, uint32_t a, uint32_t b) {
    const nm_osc_entity *entities = d->entities.data;
    return strcmp(text_at(d, entities[a].name), text_at(d, entities[b].name));
}

/// Sorted and searched, not hashed: no choice of names makes it slow. Merge sort from the bottom up, since qsort hands
/// no context through.
static int sort_names(nm_osc_document *d, uint32_t *order, uint32_t count) {
    uint32_t *other = malloc(((size_t)count + 1) * sizeof *other), *from = order, *to = other;
    if (!other) return 0;
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t low = 0; low < count; low += 2 * width) {
            uint32_t middle = low + width < count ? low + width : count;
            uint32_t high = middle + width < count ? middle + width : count, i = low, k = middle;
            for (uint32_t at = low; at < high; ++at) {
                int left = i < middle && (k == high || compare_names(d, from[i], from[k]) <= 0);
                to[at] = left ? from[i++] : from[k++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != order) memcpy(order, from, count * sizeof *order);
    free(other);
    return 1;
}

static void index_names(parser *p) {
    nm_osc_document *d = p->document;
    uint32_t count = (uint32_t)d->entities.count;
    uint32_t *order = NM_PUSH(&p->index, uint32_t, count);
    p->indexed = 1;
    if (!order) {
        fail_memory(p);
        return;
    }
    for (uint32_t i = 0; i < count; ++i) order[i] = i;
    if (!sort_names(d, order, count)) fail_memory(p);
    for (uint32_t i = 1; i < count; ++i) {
        if (compare_names(d, order[i - 1], order[i]) == 0)
            fail(p, NM_E_FORMAT, "two entities are called \"%.60s\"", text_at(d, entity_of(p, order[i])->name));
    }
}

/// Makes the entity that `entityRef` names one of those that act.
static void add_actor(parser *p, const attributes *a) {
    char name[MAX_VALUE];
    if (!p->indexed) index_names(p);
    if (p->status != NM_OK) return;
    if (!get_text(p, a, "entityRef", name)) {
        fail(p, NM_E_FORMAT, "the attribute entityRef is missing");
        return;
    }
    const uint32_t *order = p->index.data;
    size_t low = 0, high = p->document->entities.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(text_at(p->document, entity_of(p, order[middle])->name), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == p->document->entities.count || strcmp(text_at(p->document, entity_of(p, order[low])->name), name) != 0) {
        fail(p, NM_E_FORMAT, "there is no entity \"%.60s\"", name);
        return;
    }
    uint32_t *actor = NM_PUSH(&p->actors, uint32_t, 1);
    if (actor)
        *actor = order[low];
    else
        fail_memory(p);
}

// --- positions -------------------------------------------------------------------------------------------------------

static void open_vertex(parser *p, const attributes *a) {
    if (!p->in_follow) return;
    const char *raw;
    if (find(a, "time", &raw) == 0 && !raw) {
        fail(p, NM_E_UNSUPPORTED, "a vertex without a time: only timed trajectories are read");
        return;
    }
    nm_osc_vertex *v = p->document->vertices.count < INT_MAX ? NM_PUSH(&p->document->vertices, nm_osc_vertex, 1) : NULL;
    if (!v) {
        fail_memory(p);
        return;
    }
    *v = (nm_osc_vertex){.time = get_number(p, a, "time", MAX_TIME, NAN), .x = NAN};
    ++p->vertices.count;
}

static void open_world_position(parser *p, const attributes *a) {
    unsigned of = p->depth >= 2 ? p->stack[p->depth - 2] : 0u;
    int is_vertex = of == E_VERTEX && p->in_follow, is_teleport = of == E_TELEPORT && p->actors.count;
    if (p->stack[p->depth - 1] != E_POSITION || !(is_vertex || is_teleport)) return;
    double x = get_number(p, a, "x", MAX_COORDINATE, NAN), y = get_number(p, a, "y", MAX_COORDINATE, NAN);
    const char *raw;
    find(a, "z", &raw);
    double z = raw ? get_number(p, a, "z", MAX_COORDINATE, 0.0) : 0.0;
    if (raw) p->document->has_heights = 1;
    find(a, "h", &raw);
    double h = raw ? get_number(p, a, "h", 1e6, 0.0) : NAN;
    if (p->status != NM_OK) return;
    if (is_vertex) {
        nm_osc_vertex *v = (nm_osc_vertex *)p->document->vertices.data + p->document->vertices.count - 1;
        v->x = x;
        v->y = y;
        v->z = z;
        v->h = h;
        return;
    }
    nm_osc_entity *e = entity_of(p, NM_AT(p->actors, uint32_t, 0));
    e->has_teleport = 1;
    e->x = x;
    e->y = y;
    e->z = z;
    e->h = isnan(h) ? 0.0 : h;
}

static void close_vertex(parser *p) {
    if (!p->in_follow) return;
    const nm_osc_vertex *v = (nm_osc_vertex *)p->document->vertices.data + p->document->vertices.count - 1;
    if (isnan(v->x))
        fail(p, NM_E_UNSUPPORTED,
             "a vertex that is not at a <WorldPosition>: positions on roads and lanes are not read");
    else if (p->vertices.count > 1 && !(v->time > v[-1].time))
        fail(p, NM_E_FORMAT, "a vertex at %g s after one at %g s", v->time, v[-1].time);
}

// --- trajectories ----------------------------------------------------------------------------------------------------

static void open_follow(parser *p) {
    p->in_follow = 1;
    p->has_timing = p->relative = 0;
    p->scale = 1.0;
    p->offset = 0.0;
    p->vertices = (nm_range){(uint32_t)p->document->vertices.count, 0};
}

static void open_timing(parser *p, const attributes *a) {
    if (!p->in_follow) return;
    char word[MAX_VALUE];
    p->has_timing = 1;
    p->relative = get_text(p, a, "domainAbsoluteRelative", word) && strcmp(word, "relative") == 0;
    p->scale = get_number(p, a, "scale", 1e6, 1.0);
    p->offset = get_number(p, a, "offset", MAX_TIME, 0.0);
    if (!(p->scale > 0.0)) fail(p, NM_E_FORMAT, "the scale of a timing is not positive");
}

static void close_follow(parser *p) {
    p->in_follow = 0;
    if (!p->has_timing)
        fail(p, NM_E_UNSUPPORTED, "a trajectory without <Timing>: how fast it is followed is not said");
    else if (p->vertices.count < 2)
        fail(p, NM_E_FORMAT, "a trajectory of %u vertices", p->vertices.count);
    else if (p->actors.count == 0)
        fail(p, NM_E_FORMAT, "a trajectory that nobody follows");
    if (p->status != NM_OK) return;
    nm_osc_vertex *v = (nm_osc_vertex *)p->document->vertices.data + p->vertices.first;
    for (uint32_t i = 0; i < p->vertices.count; ++i) v[i].time = v[i].time * p->scale + p->offset;
    for (size_t i = 0; i < p->actors.count; ++i) {
        nm_osc_run *run = p->document->runs.count < INT_MAX ? NM_PUSH(&p->document->runs, nm_osc_run, 1) : NULL;
        if (!run) {
            fail_memory(p);
            return;
        }
        // what is relative is moved to where its event starts when that is known
        *run = (nm_osc_run){.entity = NM_AT(p->actors, uint32_t, i),
                            .line = xmlSAX2GetLineNumber(p->context),
                            .vertices = p->vertices,
                            .shift = p->relative ? NAN : 0.0};
    }
}

/// Runs outside of events (in Init) start at 0.
static void settle_runs(parser *p, double time) {
    nm_osc_run *runs = p->document->runs.data;
    for (size_t i = p->event_run; i < p->document->runs.count; ++i) {
        if (isnan(runs[i].shift)) runs[i].shift = time;
    }
    p->event_run = (uint32_t)p->document->runs.count;
}

// --- callbacks -------------------------------------------------------------------------------------------------------

static void open_header(parser *p, const attributes *a) {
    const char *raw;
    size_t length = find(a, "revMajor", &raw);
    if (length != 1 || raw[0] != '1') {
        fail(p, raw ? NM_E_UNSUPPORTED : NM_E_FORMAT, "OpenSCENARIO XML of revision \"%.*s\": 1.0 to 1.3 are read",
             raw ? (int)(length < 20 ? length : 20) : 0, raw ? raw : "");
        return;
    }
    length = find(a, "description", &raw);
    if (length >= sizeof p->document->description) length = sizeof p->document->description - 1;
    if (raw) memcpy(p->document->description, raw, length);
}

static void open_parameter(parser *p, const attributes *a) {
    if (p->depth != 3 || p->stack[2] != E_PARAMETERS) return; // those of entities and catalogs are theirs
    const char *name, *value;
    size_t name_length = find(a, "name", &name), length = find(a, "value", &value);
    if (p->parameters.count >= MAX_PARAMETERS) {
        fail(p, NM_E_LIMIT, "more than %u parameters", MAX_PARAMETERS);
        return;
    }
    if (!name || !value || name_length >= 64 || length >= 64)
        return; // too long to be a number: whoever uses it is told
    parameter *to = NM_PUSH(&p->parameters, parameter, 1);
    if (!to) {
        fail_memory(p);
        return;
    }
    memset(to, 0, sizeof *to);
    memcpy(to->name, name, name_length);
    memcpy(to->value, value, length);
    nm_osc_document *d = p->document;
    if (strcmp(to->name, NM_OSC_TIME_STEP) == 0) d->time_step = get_number(p, a, "value", 60.0, 0.0);
    if (strcmp(to->name, NM_OSC_STEPS) == 0)
        d->steps = (uint32_t)fmax(0.0, get_number(p, a, "value", p->limits->max_steps, 0.0));
    if (strcmp(to->name, NM_OSC_CURRENT_STEP) == 0)
        d->current = (uint32_t)fmax(0.0, get_number(p, a, "value", p->limits->max_steps, 0.0));
    if (!(d->time_step >= 0.0)) fail(p, NM_E_FORMAT, "a time step that is negative");
}

static void open_logic_file(parser *p, const attributes *a) {
    char name[MAX_VALUE];
    if (get_text(p, a, "filepath", name)) snprintf(p->document->network, sizeof p->document->network, "%s", name);
}

/// What stands before the storyboard. 1 when `kind` is one of these.
static int open_declaration(parser *p, element kind, const attributes *a) {
    nm_osc_entity *e;
    switch (kind) {
    case E_PROPERTY:
        open_property(p, a);
        return 1;
    case E_FILE_HEADER:
        open_header(p, a);
        return 1;
    case E_PARAMETER:
        open_parameter(p, a);
        return 1;
    case E_LOGIC_FILE:
        open_logic_file(p, a);
        return 1;
    case E_SCENARIO_OBJECT:
        open_entity(p, a);
        return 1;
    case E_VEHICLE:
    case E_PEDESTRIAN:
    case E_MISC_OBJECT:
        open_category(p, a, kind);
        return 1;
    case E_CENTER:
    case E_DIMENSIONS:
        open_box(p, a, kind);
        return 1;
    case E_OBJECT_CONTROLLER:
        e = declared(p);
        if (e) e->has_controller = 1;
        return 1;
    default:
        return 0;
    }
}

/// When the event that is being read starts, as far as that is a matter of time.
static void open_time_condition(parser *p, const attributes *a) {
    for (uint32_t i = p->depth; i > 1; --i) {
        if (p->stack[i] == E_START_TRIGGER && p->stack[i - 1] == E_EVENT)
            p->event_time = get_number(p, a, "value", MAX_TIME, 0.0);
    }
}

static void open_element(parser *p, element kind, const xmlChar *name, const attributes *a) {
    const unsigned parent = p->stack[p->depth - 1];
    switch (kind) {
    case E_VERTEX:
        open_vertex(p, a);
        break;
    case E_WORLD_POSITION:
        open_world_position(p, a);
        break;
    case E_PRIVATE:
        p->actors.count = 0;
        add_actor(p, a);
        break;
    case E_MANEUVER_GROUP:
        p->actors.count = 0;
        break;
    case E_ENTITY_REF:
        if (parent == E_ACTORS) add_actor(p, a);
        break;
    case E_EVENT:
        settle_runs(p, 0.0);
        p->event_time = 0.0;
        break;
    case E_SIMULATION_TIME:
        open_time_condition(p, a);
        break;
    case E_FOLLOW:
        open_follow(p);
        break;
    case E_TIMING:
        open_timing(p, a);
        break;
    case E_CATALOG_REFERENCE:
        if (p->in_follow) fail(p, NM_E_UNSUPPORTED, "a trajectory from a catalog: catalogs are not read");
        break;
    default:
        if (!open_declaration(p, kind, a) && parent == E_SHAPE && p->in_follow && kind != E_POLYLINE)
            fail(p, NM_E_UNSUPPORTED, "a trajectory of the shape <%.40s>: only polylines are read", name);
        break;
    }
}

static void stop_if_failed(parser *p) {
    if (p->status != NM_OK) xmlStopParser(p->context);
}

static void start_element(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                          int namespace_count, const xmlChar **namespaces, int attribute_count, int defaulted_count,
                          const xmlChar **values) {
    (void)prefix, (void)uri, (void)namespace_count, (void)namespaces, (void)defaulted_count;
    parser *p = user;
    if (p->status != NM_OK) return;
    unsigned kind = E_OTHER;
    for (unsigned i = 1; i < E_COUNT && !kind; ++i) {
        if (p->names[i] == name) kind = i;
    }
    if (p->depth == 0 && kind != E_SCENARIO)
        fail(p, NM_E_FORMAT, "not an OpenSCENARIO document: the root element is <%.60s>", name);
    else if (p->depth + 1 >= MAX_DEPTH)
        fail(p, NM_E_LIMIT, "elements nested more than %u deep", MAX_DEPTH - 2);
    if (p->status == NM_OK) {
        p->stack[++p->depth] = (uint8_t)kind;
        const attributes a = {values, attribute_count};
        open_element(p, (element)kind, name, &a);
    }
    stop_if_failed(p);
}

static void end_element(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri) {
    (void)name, (void)prefix, (void)uri;
    parser *p = user;
    if (p->status != NM_OK) return;
    switch ((element)p->stack[p->depth--]) {
    case E_VERTEX:
        close_vertex(p);
        break;
    case E_FOLLOW:
        close_follow(p);
        break;
    case E_EVENT:
        settle_runs(p, p->event_time);
        break;
    case E_MANEUVER_GROUP:
    case E_PRIVATE:
        p->actors.count = 0;
        break;
    default:
        break;
    }
    stop_if_failed(p);
}

static void refuse_doctype(void *user, const xmlChar *name, const xmlChar *external_id, const xmlChar *system_id) {
    (void)name, (void)external_id, (void)system_id;
    fail(user, NM_E_FORMAT, "a document type declaration (DOCTYPE) is not accepted");
    stop_if_failed(user);
}

// --- the whole document ----------------------------------------------------------------------------------------------

static void report_malformed(parser *p) {
    const xmlError *error = xmlCtxtGetLastError(p->context);
    char message[300];
    snprintf(message, sizeof message, "%s", error && error->message ? error->message : "not well-formed");
    message[strcspn(message, "\n")] = 0;
    p->status = NM_ERROR_AT(p->error, error && error->code == XML_ERR_NO_MEMORY ? NM_E_MEMORY : NM_E_FORMAT, p->input,
                            error ? error->line : 0, -1, "malformed XML: %s", message);
}

static int begin(parser *p) {
    p->context = xmlNewParserCtxt();
    if (!p->context) return 0;
    for (unsigned i = 1; i < E_COUNT; ++i) {
        p->names[i] = xmlDictLookup(p->context->dict, (const xmlChar *)element_words[i], -1);
        if (!p->names[i]) return 0;
    }
    xmlSAXHandler *handler = p->context->sax;
    memset(handler, 0, sizeof *handler);
    handler->initialized = XML_SAX2_MAGIC;
    handler->startElementNs = start_element;
    handler->endElementNs = end_element;
    handler->internalSubset = refuse_doctype;
    p->context->userData = p;
    return 1;
}

nm_status nm_osc_parse(const nm_import_limits *limits, const char *name, const void *bytes, size_t size,
                       nm_osc_document *document, nm_error *error) {
    parser p = {.document = document, .limits = limits, .input = name, .error = error};
    if (size > INT_MAX) return NM_ERROR_AT(error, NM_E_LIMIT, name, 0, -1, "the document is larger than 2 GiB");
    if (begin(&p)) {
        // without a DOCTYPE there are only the five entities; NOENT gives "&" for "&amp;" in attributes
        xmlDocPtr tree = xmlCtxtReadMemory(p.context, bytes, (int)size, NULL, NULL,
                                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOENT);
        if (tree) xmlFreeDoc(tree);
        if (p.status == NM_OK && !p.context->wellFormed) report_malformed(&p);
        settle_runs(&p, 0.0);
    } else {
        p.status = NM_ERROR(error, NM_E_MEMORY, "no memory for an XML parser");
    }
    if (p.context) xmlFreeParserCtxt(p.context);
    nm_pile_free(&p.parameters);
    nm_pile_free(&p.index);
    nm_pile_free(&p.actors);
    return p.status;
}

void nm_osc_document_release(nm_osc_document *document) {
    nm_pile_free(&document->texts);
    nm_pile_free(&document->entities);
    nm_pile_free(&document->vertices);
    nm_pile_free(&document->runs);
}

nm_status nm_openscenario_read(nm_reader_context *context, const char *name, const void *bytes, size_t size,
                               const nm_scene **scene, nm_error *error) {
    nm_osc_document document = {0};
    *scene = NULL;
    nm_status status = nm_osc_parse(&context->limits, name, bytes, size, &document, error);
    if (status == NM_OK) status = nm_osc_build_scene(&document, context, name, scene, error);
    nm_osc_document_release(&document);
    return status;
}
