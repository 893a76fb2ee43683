/// The OpenSCENARIO encoder: XML 1.2, the recorded motion as timed trajectories. docs/formats/openscenario.md says what
/// becomes of a scene; ../openscenario.c reads it back.
///
/// Positions are those of the rear axle of vehicles and of the middle of everything else, as the standard has it. Every
/// time without a gap in which an agent is there is a trajectory of its own; before the first and after the last the
/// entity is added and deleted. Times are steps from the beginning of the file. The road network is a file of its own,
/// which scenes on one map share.
#include <math.h>

#include "dataset/opendrive_write.h"
#include "dataset/openscenario.h"
#include "dataset/xml_write.h"
#include "sim/math.h"
#include "sim/world.h"

typedef struct writer {
    const nm_scene *scene;
    nm_byte_buffer *out;
    uint32_t base;    // the step of the scene that is time 0
    uint32_t planned; // the track that is left to a controller, or NM_NONE
    int heights;
} writer;

static nm_byte_buffer *text(const writer *w, const char *literal) {
    nm_byte_buffer_text(w->out, literal);
    return w->out;
}

static void put_time(const writer *w, uint64_t half_steps) {
    char number[NM_XML_NUMBER];
    nm_byte_buffer_put(w->out, number, nm_xml_time(number, w->scene->dt, half_steps));
}

// --- entities --------------------------------------------------------------------------------------------------------

static int is_vehicle(unsigned type) {
    return type != NM_AGENT_PEDESTRIAN && type != NM_AGENT_OBSTACLE;
}

/// Words of each type; the standard's category cannot tell an unknown vehicle from a car, our property can.
static const struct {
    const char *name, *category;
    float height; // m, where the scene knows none
    const char *speed, *acceleration, *deceleration;
} types[NM_AGENT_TYPE_COUNT] = {[NM_AGENT_UNKNOWN] = {"unknown", "car", 1.5f, "70", "5", "10"},
                                [NM_AGENT_CAR] = {"car", "car", 1.5f, "70", "5", "10"},
                                [NM_AGENT_TRUCK] = {"truck", "truck", 3.5f, "40", "3", "8"},
                                [NM_AGENT_BUS] = {"bus", "bus", 3.2f, "40", "3", "8"},
                                [NM_AGENT_MOTORCYCLE] = {"motorcycle", "motorbike", 1.5f, "70", "6", "10"},
                                [NM_AGENT_CYCLIST] = {"cyclist", "bicycle", 1.7f, "15", "3", "6"},
                                [NM_AGENT_PEDESTRIAN] = {"pedestrian", "pedestrian", 1.75f, NULL, NULL, NULL},
                                [NM_AGENT_TRAIN] = {"train", "train", 4.0f, "90", "2", "3"},
                                [NM_AGENT_OBSTACLE] = {"obstacle", "obstacle", 1.0f, NULL, NULL, NULL}};

const char *nm_osc_type_name(unsigned type) {
    return types[type].name;
}

static float height_of(const nm_track *track) {
    return track->height > 0.0f ? track->height : types[track->type].height;
}

/// m from the origin of the entity to the middle of its box.
static float centre_of(const nm_track *track) {
    return is_vehicle(track->type) ? nm_dynamics_limits_of((nm_agent_type)track->type).rear_axle * track->length : 0.0f;
}

static void put_name(const writer *w, uint32_t track) {
    if (track == w->scene->ego) {
        text(w, "Ego");
        return;
    }
    text(w, types[w->scene->tracks[track].type].name);
    text(w, "_");
    nm_xml_put_integer(w->out, w->scene->tracks[track].source_id);
}

static void put_number(const writer *w, const char *before, float value) {
    text(w, before);
    nm_xml_put_local(w->out, 0.0, value);
}

static void put_box(const writer *w, const nm_track *track) {
    put_number(w, "<BoundingBox><Center x=\"", centre_of(track));
    put_number(w, "\" y=\"0\" z=\"", 0.5f * height_of(track));
    put_number(w, "\"/><Dimensions width=\"", track->width);
    put_number(w, "\" length=\"", track->length);
    put_number(w, "\" height=\"", height_of(track));
    text(w, "\"/></BoundingBox>\n");
}

/// What the standard has no word for, so that our own reader gets it back; others are to ignore properties.
static void put_properties(const writer *w, const nm_track *track) {
    text(w, "<Properties><Property name=\"nearmiss.id\" value=\"");
    nm_xml_put_integer(w->out, track->source_id);
    text(w, "\"/><Property name=\"nearmiss.type\" value=\"");
    text(w, types[track->type].name);
    text(w, "\"/><Property name=\"nearmiss.flags\" value=\"");
    nm_xml_put_integer(w->out, track->flags);
    text(w, "\"/>");
    if (!(track->height > 0.0f)) text(w, "<Property name=\"nearmiss.height\" value=\"assumed\"/>");
    text(w, "</Properties>\n");
}

/// Wheels as large as such vehicles have; the front axle as far before the middle as the rear axle is behind it.
static void put_axles(const writer *w, const nm_track *track) {
    int large = track->type == NM_AGENT_TRUCK || track->type == NM_AGENT_BUS || track->type == NM_AGENT_TRAIN;
    const char *wheel = large ? "1" : "0.65", *height = large ? "0.5" : "0.325";
    const float positions[2] = {2.0f * centre_of(track), 0.0f};
    text(w, "<Axles>");
    for (int i = 0; i < 2; ++i) {
        text(w, i ? "<RearAxle maxSteering=\"0\" wheelDiameter=\"" : "<FrontAxle maxSteering=\"0.6\" wheelDiameter=\"");
        text(w, wheel);
        put_number(w, "\" trackWidth=\"", 0.9f * track->width);
        put_number(w, "\" positionX=\"", positions[i]);
        text(w, "\" positionZ=\"");
        text(w, height);
        text(w, "\"/>");
    }
    text(w, "</Axles>\n");
}

static void put_entity(const writer *w, uint32_t index) {
    const nm_track *track = &w->scene->tracks[index];
    text(w, "<ScenarioObject name=\"");
    put_name(w, index);
    text(w, "\">\n");
    if (is_vehicle(track->type)) {
        text(w, "<Vehicle name=\"");
        text(w, types[track->type].name);
        text(w, "\" vehicleCategory=\"");
        text(w, types[track->type].category);
        text(w, "\">\n");
        put_box(w, track);
        text(w, "<Performance maxSpeed=\"");
        text(w, types[track->type].speed);
        text(w, "\" maxAcceleration=\"");
        text(w, types[track->type].acceleration);
        text(w, "\" maxDeceleration=\"");
        text(w, types[track->type].deceleration);
        text(w, "\"/>\n");
        put_axles(w, track);
    } else {
        text(w, track->type == NM_AGENT_PEDESTRIAN
                    ? "<Pedestrian name=\"pedestrian\" mass=\"80\" pedestrianCategory=\"pedestrian\">\n"
                    : "<MiscObject name=\"obstacle\" mass=\"100\" miscObjectCategory=\"obstacle\">\n");
        put_box(w, track);
    }
    put_properties(w, track);
    text(w, is_vehicle(track->type)              ? "</Vehicle>\n"
            : track->type == NM_AGENT_PEDESTRIAN ? "</Pedestrian>\n"
                                                 : "</MiscObject>\n");
    if (index == w->planned)
        text(w, "<ObjectController><Controller name=\"EgoController\"><Properties/></Controller></ObjectController>\n");
    text(w, "</ScenarioObject>\n");
}

// --- positions -------------------------------------------------------------------------------------------------------

static void put_position(const writer *w, uint32_t track, const nm_state *state) {
    const nm_point3 origin = w->scene->map->origin;
    const nm_track *t = &w->scene->tracks[track];
    float sine, cosine;
    nm_sincosf(state->heading, &sine, &cosine); // as the reader does
    const double ahead = (double)centre_of(t);
    char line[5 * NM_XML_NUMBER], *to = line;
    memcpy(to, "<Position><WorldPosition x=\"", 28);
    to += 28;
    to += nm_xml_moved(to, origin.x, ahead * (double)cosine, state->x);
    memcpy(to, "\" y=\"", 5);
    to += 5;
    to += nm_xml_moved(to, origin.y, ahead * (double)sine, state->y);
    if (w->heights) {
        memcpy(to, "\" z=\"", 5);
        to += 5;
        to += nm_xml_moved(to, origin.z, 0.5 * (double)height_of(t), state->z);
    }
    memcpy(to, "\" h=\"", 5);
    to += 5;
    to += nm_xml_angle(to, state->heading);
    memcpy(to, "\"/></Position>", 14);
    nm_byte_buffer_put(w->out, line, (size_t)(to + 14 - line));
}

// --- runs ------------------------------------------------------------------------------------------------------------

/// The next stretch of steps at which the track is there; 0 when there is none from *first on.
static int next_run(const writer *w, uint32_t track, uint32_t *first, uint32_t *last) {
    const nm_scene *scene = w->scene;
    const uint8_t *valid = scene->valid + nm_scene_at(scene, track, 0);
    while (*first < scene->step_count && !valid[*first]) ++*first;
    if (*first == scene->step_count) return 0;
    *last = *first;
    while (*last + 1 < scene->step_count && valid[*last + 1]) ++*last;
    return 1;
}

/// A track that stands where it is by its role, from beginning to end, needs no trajectory.
static int stands(const writer *w, uint32_t track) {
    const nm_scene *scene = w->scene;
    if (!(scene->tracks[track].flags & NM_TRACK_STATIC)) return 0;
    nm_state first, state;
    if (!nm_scene_get_state(scene, track, w->base, &first)) return 0;
    for (uint32_t step = w->base; step < scene->step_count; ++step) {
        if (!nm_scene_get_state(scene, track, step, &state)) return 0;
        if (state.x != first.x || state.y != first.y || state.z != first.z || state.heading != first.heading) return 0;
    }
    return 1;
}

static void put_trigger(const writer *w, const char *name, uint64_t half_steps, const char *rule) {
    text(w, "<ConditionGroup><Condition name=\"");
    text(w, name);
    text(w, "\" delay=\"0\" conditionEdge=\"none\"><ByValueCondition><SimulationTimeCondition value=\"");
    put_time(w, half_steps);
    text(w, "\" rule=\"");
    text(w, rule);
    text(w, "\"/></ByValueCondition></Condition></ConditionGroup>");
}

static void open_event(const writer *w, const char *what, uint32_t run) {
    for (int i = 0; i < 2; ++i) {
        text(w, i ? "<Action name=\"" : "<Event name=\"");
        text(w, what);
        text(w, "_");
        nm_xml_put_integer(w->out, run);
        text(w, i ? "\">" : "\" priority=\"parallel\" maximumExecutionCount=\"1\">");
    }
}

static void close_event(const writer *w, uint64_t half_steps) {
    text(w, "</Action><StartTrigger>");
    put_trigger(w, "time", half_steps, "greaterOrEqual");
    text(w, "</StartTrigger></Event>\n");
}

static void put_vertex(const writer *w, uint32_t track, const nm_state *state, uint64_t half_steps) {
    char line[NM_XML_NUMBER + 32], *to = line;
    memcpy(to, "<Vertex time=\"", 14);
    to += 14;
    to += nm_xml_time(to, w->scene->dt, half_steps);
    memcpy(to, "\">", 2);
    nm_byte_buffer_put(w->out, line, (size_t)(to + 2 - line));
    put_position(w, track, state);
    NM_XML(w->out, "</Vertex>\n");
}

/// A polyline has two vertices at least: one state is there for half a step.
static void put_polyline(const writer *w, uint32_t track, uint32_t first, uint32_t last) {
    nm_state state;
    for (uint32_t step = first; step <= last; ++step) {
        if (!nm_scene_get_state(w->scene, track, step, &state)) continue;
        put_vertex(w, track, &state, 2 * (uint64_t)(step - w->base));
        if (first == last) put_vertex(w, track, &state, 2 * (uint64_t)(step - w->base) + 1);
    }
}

static void put_entity_action(const writer *w, uint32_t track, const nm_state *added) {
    text(w, "<GlobalAction><EntityAction entityRef=\"");
    put_name(w, track);
    if (added) {
        text(w, "\"><AddEntityAction>");
        put_position(w, track, added);
        text(w, "</AddEntityAction></EntityAction></GlobalAction>");
    } else {
        text(w, "\"><DeleteEntityAction/></EntityAction></GlobalAction>");
    }
}

static void put_run(const writer *w, uint32_t track, uint32_t run, uint32_t first, uint32_t last) {
    nm_state state;
    const uint64_t begin = 2 * (uint64_t)(first - w->base);
    if (first > w->base && nm_scene_get_state(w->scene, track, first, &state)) {
        open_event(w, "appear", run);
        put_entity_action(w, track, &state);
        close_event(w, begin);
    }
    open_event(w, "drive", run);
    text(w, "<PrivateAction><RoutingAction><FollowTrajectoryAction><TrajectoryRef><Trajectory name=\"");
    put_name(w, track);
    text(w, "_");
    nm_xml_put_integer(w->out, run);
    text(w, "\" closed=\"false\"><Shape><Polyline>\n");
    put_polyline(w, track, first, last);
    text(w, "</Polyline></Shape></Trajectory></TrajectoryRef><TimeReference>"
            "<Timing domainAbsoluteRelative=\"absolute\" scale=\"1\" offset=\"0\"/></TimeReference>"
            "<TrajectoryFollowingMode followingMode=\"position\"/></FollowTrajectoryAction></RoutingAction>"
            "</PrivateAction>");
    close_event(w, begin);
    if (last + 1 == w->scene->step_count) return;
    open_event(w, "leave", run);
    put_entity_action(w, track, NULL);
    close_event(w, first == last ? begin + 1 : 2 * (uint64_t)(last - w->base));
}

static void put_manoeuvres(const writer *w, uint32_t track) {
    uint32_t first = w->base, last, run = 0;
    for (; next_run(w, track, &first, &last); first = last + 1, ++run) {
        if (run == 0) {
            text(w, "<ManeuverGroup maximumExecutionCount=\"1\" name=\"");
            put_name(w, track);
            text(w, "\"><Actors selectTriggeringEntities=\"false\"><EntityRef entityRef=\"");
            put_name(w, track);
            text(w, "\"/></Actors><Maneuver name=\"");
            put_name(w, track);
            text(w, "\">\n");
        }
        put_run(w, track, run, first, last);
    }
    if (run) text(w, "</Maneuver></ManeuverGroup>\n");
}

// --- the storyboard --------------------------------------------------------------------------------------------------

static void put_init(const writer *w, uint32_t track) {
    nm_state state;
    if (!nm_scene_get_state(w->scene, track, w->base, &state)) return;
    text(w, "<Private entityRef=\"");
    put_name(w, track);
    text(w, "\"><PrivateAction><TeleportAction>");
    put_position(w, track, &state);
    text(w, "</TeleportAction></PrivateAction><PrivateAction><LongitudinalAction><SpeedAction>"
            "<SpeedActionDynamics dynamicsShape=\"step\" value=\"0\" dynamicsDimension=\"time\"/>"
            "<SpeedActionTarget><AbsoluteTargetSpeed value=\"");
    nm_xml_put_local(w->out, 0.0, nm_hypotf(state.vx, state.vy));
    text(w, "\"/></SpeedActionTarget></SpeedAction></LongitudinalAction></PrivateAction>");
    if (track == w->planned) {
        text(w, "<PrivateAction><ControllerAction><ActivateControllerAction lateral=\"true\" longitudinal=\"true\"/>"
                "</ControllerAction></PrivateAction><PrivateAction><RoutingAction><AcquirePositionAction>");
        if (nm_scene_get_state(w->scene, track, w->scene->tracks[track].last_step, &state))
            put_position(w, track, &state);
        text(w, "</AcquirePositionAction></RoutingAction></PrivateAction>");
    }
    text(w, "</Private>\n");
}

static int is_there(const writer *w, uint32_t track) {
    uint32_t first = w->base, last;
    return next_run(w, track, &first, &last);
}

static void put_storyboard(const writer *w) {
    const nm_scene *scene = w->scene;
    int opened = 0;
    text(w, "<Storyboard>\n<Init><Actions>\n");
    for (uint32_t i = 0; i < scene->track_count; ++i) put_init(w, i);
    text(w, "</Actions></Init>\n");
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        if (i == w->planned || stands(w, i) || !is_there(w, i)) continue;
        if (!opened) text(w, "<Story name=\"traffic\"><Act name=\"traffic\">\n");
        opened = 1;
        put_manoeuvres(w, i);
    }
    if (opened) {
        text(w, "<StartTrigger>");
        put_trigger(w, "start", 0, "greaterOrEqual");
        text(w, "</StartTrigger></Act></Story>\n");
    }
    text(w, "<StopTrigger>");
    put_trigger(w, "end", 2 * (uint64_t)(scene->step_count - 1 - w->base), "greaterThan");
    text(w, "</StopTrigger>\n</Storyboard>\n");
}

static void put_description(const writer *w, const nm_export_item *item) {
    const nm_provenance *from = &w->scene->provenance;
    text(w, "scene ");
    nm_xml_put_integer(w->out, item->id);
    text(w, " (");
    nm_xml_put_text(w->out, from->source);
    if (from->scene_id[0]) text(w, " ");
    nm_xml_put_text(w->out, from->scene_id);
    text(w, ")");
    for (size_t i = 0; i < item->label_count; ++i) {
        const nm_scene_label *label = &item->labels[i];
        text(w, i ? ", " : ": ");
        nm_xml_put_text(w->out, label->kind);
        if (label->actor >= w->scene->track_count) continue;
        text(w, " by ");
        put_name(w, label->actor);
    }
}

static void put_parameter(const writer *w, const char *name, const char *type) {
    text(w, "<ParameterDeclaration name=\"");
    text(w, name);
    text(w, "\" parameterType=\"");
    text(w, type);
    text(w, "\" value=\"");
}

/// network: the name of the .xodr, or "" when the map has no lanes and so no roads.
static void put_head(const writer *w, const nm_export_item *item, const char *network) {
    const nm_scene *scene = w->scene;
    // the date is a function of nothing: the same scene gives the same bytes on every day
    text(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<OpenSCENARIO>\n"
            "<FileHeader revMajor=\"1\" revMinor=\"2\" date=\"1970-01-01T00:00:00\" description=\"");
    put_description(w, item);
    text(w, "\" author=\"nearmiss\"/>\n<ParameterDeclarations>");
    put_parameter(w, NM_OSC_TIME_STEP, "double");
    put_time(w, 2);
    text(w, "\"/>");
    put_parameter(w, NM_OSC_STEPS, "unsignedInt");
    nm_xml_put_integer(w->out, scene->step_count - w->base);
    text(w, "\"/>");
    put_parameter(w, NM_OSC_CURRENT_STEP, "unsignedInt");
    nm_xml_put_integer(w->out, scene->current_step - w->base);
    text(w, "\"/></ParameterDeclarations>\n<CatalogLocations/>\n<RoadNetwork>");
    if (network[0]) nm_byte_buffer_format(w->out, "<LogicFile filepath=\"%s\"/>", network);
    text(w, "</RoadNetwork>\n<Entities>\n");
    for (uint32_t i = 0; i < scene->track_count; ++i) {
        if (is_there(w, i)) put_entity(w, i);
    }
    text(w, "</Entities>\n");
}

static int has_heights(const nm_scene *scene) {
    if (scene->map->origin.z != 0.0) return 1;
    for (size_t i = 0; i < (size_t)scene->track_count * scene->step_count; ++i) {
        if (scene->z[i] != 0.0f) return 1;
    }
    return 0;
}

static void *create_work(void) {
    return nm_opendrive_writer_create();
}
static void destroy_work(void *work) {
    nm_opendrive_writer_destroy(work);
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *encoded, nm_error *error) {
    const nm_scene *scene = item->scene;
    int planned = item->ego == NM_EXPORT_EGO_PLANNED && scene->ego != NM_NONE;
    writer w = {.scene = scene,
                .out = &encoded->main,
                .base = planned ? scene->current_step : 0,
                .planned = planned ? scene->ego : NM_NONE,
                .heights = has_heights(scene)};
    if (planned && !scene->valid[nm_scene_at(scene, scene->ego, scene->current_step)])
        return NM_ERROR(error, NM_E_UNSUPPORTED,
                        "the ego has no state at the current step, where its controller would start");
    if (scene->map->lane_count) {
        nm_status status = nm_opendrive_share(work, scene, encoded, error);
        if (status != NM_OK) return status;
    }
    put_head(&w, item, encoded->shared_name);
    put_storyboard(&w);
    text(&w, "</OpenSCENARIO>\n");
    return w.out->failed ? NM_ERROR(error, NM_E_MEMORY, "no memory for a scene as OpenSCENARIO") : NM_OK;
}

const nm_encoder nm_encoder_openscenario = {.format = NM_EXPORT_OPENSCENARIO,
                                            .layout = NM_ENCODER_FILES,
                                            .extension = ".xosc",
                                            .create = create_work,
                                            .destroy = destroy_work,
                                            .encode = encode};
