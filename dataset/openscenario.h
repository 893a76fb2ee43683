/// OpenSCENARIO XML, both ways. Private to dataset/. Sources: the schemas of 1.0 to 1.3 and their reference (ASAM).
///
/// Reading (openscenario.c, openscenario_scene.c) takes trajectories: entities, FollowTrajectoryAction with polylines
/// of timed world positions, and entities that only stand. Behaviour (speeds, lane changes, triggers by other entities)
/// needs a simulator and is not run: a file without a trajectory is refused.
#ifndef NM_DATASET_OPENSCENARIO_H
#define NM_DATASET_OPENSCENARIO_H

#include "dataset/encoders.h"
#include "dataset/readers.h"
#include "sim/pile.h"

/// Of nm_agent_type: the word in names and in the property "nearmiss.type".
const char *nm_osc_type_name(unsigned type);

/// Parameters of our own files, which others need not look at.
#define NM_OSC_TIME_STEP "nearmiss_time_step"
#define NM_OSC_STEPS "nearmiss_steps"
#define NM_OSC_CURRENT_STEP "nearmiss_current_step"

typedef struct nm_osc_entity {
    uint32_t name; ///< into texts
    int32_t line;
    uint8_t type;  ///< nm_agent_type
    uint8_t flags; ///< NM_TRACK_...
    uint8_t assumed_height, has_id, has_controller, has_teleport;
    int64_t id;
    double length, width, height; ///< m; 0 = not given
    double centre_x, centre_y;    ///< m from the entity's origin to the middle of its box
    double x, y, z, h;            ///< of the teleport
} nm_osc_entity;

typedef struct nm_osc_vertex {
    double time, x, y, z, h; ///< s, m, rad; h is NaN where none is given
} nm_osc_vertex;

/// One trajectory of one entity.
typedef struct nm_osc_run {
    uint32_t entity;
    int32_t line;
    nm_range vertices;
    double shift; ///< s to add to the vertices' times
} nm_osc_run;

/// What a document says, in its own frame.
typedef struct nm_osc_document {
    double time_step;        ///< s; 0 = not said
    uint32_t steps, current; ///< 0 = not said
    int has_heights;         ///< some position has a z
    char description[256];
    char network[256]; ///< filepath of <LogicFile>; "" = none
    nm_pile texts;     ///< char: names, terminated
    nm_pile entities;  ///< nm_osc_entity
    nm_pile vertices;  ///< nm_osc_vertex, their times increase within a run
    nm_pile runs;      ///< nm_osc_run
} nm_osc_document;

/// Frees what the document holds.
void nm_osc_document_release(nm_osc_document *document);
/// Fills `document`, which is empty; to be released whatever comes back.
nm_status nm_osc_parse(const nm_import_limits *limits, const char *name, const void *bytes, size_t size,
                       nm_osc_document *document, nm_error *error);
/// The road network that the document names, as the OpenDRIVE reader's scene: *network stays the context's, until the
/// next call. NULL where there is none to be had: nothing is named, the document is neither a file nor in an archive,
/// what is named is not a regular file beside it (links are not followed, other folders not entered) or not OpenDRIVE
/// in the archive, or its header moves it elsewhere. A file that is there and cannot be read as OpenDRIVE is an error.
/// `name` is the document's. In openscenario_network.c.
nm_status nm_osc_read_network(const nm_osc_document *document, nm_reader_context *context, const char *name,
                              const nm_scene **network, nm_error *error);
nm_status nm_osc_build_scene(const nm_osc_document *document, nm_reader_context *context, const char *name,
                             const nm_scene **scene, nm_error *error);

#endif
