/// Scenes as tokens: from an nm_scene to what the network takes (batch.h, network.h), and back.
///
/// A token is one agent over one token step of 0.5 s; a scene is [A][T] tokens of C channels, T = past + 1 + future.
/// Token `past` is the current one. Two encodings behind one interface:
///
/// NM_TOKENS_EGO, the published one (Nexus, arXiv 2504.10485): a token is the agent's state at the token's time, all in
/// the frame of the ego at the current step (origin the ego's box centre, x axis its heading). C = 8, enum
/// nm_ego_channel, as (value - mean) / (2 deviation). Map rows are points of polylines (Perceiver).
///
/// NM_TOKENS_AGENT, ours: a token holds the five 10 Hz states of its 0.5 s, the last one at the token's time, in the
/// agent's own frame; what is known of the agent besides is its condition; map rows are whole polylines in the agent's
/// frame (NM_MAP_POLYLINES). C = 5 x 5, state-major, enum nm_own_channel: the speed is that along the heading,
/// because for what rolls it says all that vx and vy say in fewer channels; a sideways velocity is lost.
///
/// Times: with the current step c, token t has the time of step c + 5 (t - past); the five states of an agent token
/// are those of that step and of the four before it. An agent's own frame is its last valid state in the history
/// window, which begins at the first step that token 0 reads and ends at c. Agents without one are no part of the
/// tokens: who appears later is not foreseen.
///
/// A token is `logged` when every state it reads is valid at exactly its step, `valid` when the network is to see it:
/// those that are logged and, on demand, all of the future (nm_token_request, generate). Values that are not logged are
/// 0 and mean nothing.
///
/// Units m, rad, m/s, s. Every function here is thread-safe on different outputs and arenas; the same input gives the
/// same bits.
#ifndef NM_NEXUS_TOKENS_H
#define NM_NEXUS_TOKENS_H

#include "base/arena.h"
#include "nexus/batch.h"
#include "nexus/encoding.h"
#include "nexus/model.h"
#include "nexus/path.h"
#include "sim/scene.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NM_TOKEN_STEPS 5u ///< scene steps of 0.1 s in a token's step

typedef enum nm_token_encoding { NM_TOKENS_EGO = 0, NM_TOKENS_AGENT } nm_token_encoding;

/// Channels of an NM_TOKENS_EGO token. Mean 0 but where stated; encoded as (value - mean) / (2 deviation).
typedef enum nm_ego_channel {
    NM_EGO_X = 0,  ///< m, deviation 52
    NM_EGO_Y,      ///< m, 52
    NM_EGO_COS,    ///< of the heading, 0.5
    NM_EGO_SIN,    ///< 0.5
    NM_EGO_VX,     ///< m/s, 2
    NM_EGO_VY,     ///< m/s, 2
    NM_EGO_LENGTH, ///< m, mean 4.5, deviation 2.5
    NM_EGO_WIDTH,  ///< m, mean 2, deviation 0.8
    NM_EGO_CHANNELS
} nm_ego_channel;

/// Channels of each of the five states of an NM_TOKENS_AGENT token: state i, channel k at i * NM_OWN_CHANNELS + k.
typedef enum nm_own_channel {
    NM_OWN_X = 0, ///< m / position_scale
    NM_OWN_Y,
    NM_OWN_COS, ///< of the heading / heading_scale
    NM_OWN_SIN,
    NM_OWN_SPEED, ///< m/s along the heading / speed_scale; negative backwards
    NM_OWN_CHANNELS
} nm_own_channel;

/// Conditions of an NM_TOKENS_AGENT token. The same for all tokens of an agent but for the signal: history tokens have
/// that of their own time, the current and later ones that of the current step, as nobody knows the later ones. All
/// are 0 where what they need is not known, and a flag says so.
typedef enum nm_condition {
    NM_CONDITION_TYPE = 0,                                         ///< nm_agent_type, one-hot
    NM_CONDITION_LENGTH = NM_CONDITION_TYPE + NM_AGENT_TYPE_COUNT, ///< (m - 4.5) / 5
    NM_CONDITION_WIDTH,                                            ///< (m - 2) / 1.6
    NM_CONDITION_EGO,                                              ///< 1 = is the ego
    NM_CONDITION_X,                                                ///< own frame seen from the ego's: m / 50
    NM_CONDITION_Y,
    NM_CONDITION_COS,
    NM_CONDITION_SIN,
    NM_CONDITION_SPEED,       ///< of the own frame's state, along its heading: m/s / speed_scale
    NM_CONDITION_AGE,         ///< s from that state to the current step
    NM_CONDITION_LANE,        ///< 1 = on a lane: nm_map_match within 2 m, of lanes for its type; pedestrians never are
    NM_CONDITION_LANE_OFFSET, ///< m left of its centreline / 2
    NM_CONDITION_LANE_COS,    ///< own heading relative to the lane's
    NM_CONDITION_LANE_SIN,
    NM_CONDITION_LIMIT_KNOWN,
    NM_CONDITION_LIMIT,  ///< speed limit of the lane: m/s / 20
    NM_CONDITION_SIGNAL, ///< of the lane, or of the only way on from it within 100 m: enum nm_light, one-hot; all 0 =
                         ///< none
    NM_CONDITION_STOP = NM_CONDITION_SIGNAL + 4, ///< m along the lanes to where that signal stops one / 50
    NM_CONDITION_LEAD,     ///< 1 = somebody is ahead: of those whose boxes reach within 0.2 m of the strip straight
                           ///< ahead, heading within 60 degrees or slower than 1 m/s, and at most 80 m away the nearest
    NM_CONDITION_LEAD_GAP, ///< m from bumper to bumper, not below 0 / 50
    NM_CONDITION_LEAD_SPEED, ///< its speed along the own heading less the own: m/s / speed_scale
    NM_CONDITION_TAIL,       ///< the same for the one straight behind
    NM_CONDITION_TAIL_GAP,
    NM_CONDITION_TAIL_SPEED,
    NM_CONDITION_COUNT
} nm_condition;

/// Conditions after those, with nm_token_config.paths: the way the road leads the agent (path.h), and where on it the
/// token is if the agent keeps its speed. Without a path: straight on. Whoever has a path has those of LEAD and SIGNAL
/// along it: boxes that reach within 0.2 m of the strip along the path, and the first signal on it within 100 m.
typedef enum nm_path_condition {
    NM_CONDITION_PATH = NM_CONDITION_COUNT, ///< 1 = a road leads the agent
    NM_CONDITION_ROUTE,                     ///< 1 = the path is known to be the agent's; 0 = the straightest one
    NM_CONDITION_PATH_X,                    ///< own frame: m / position_scale
    NM_CONDITION_PATH_Y,
    NM_CONDITION_PATH_COS, ///< direction there
    NM_CONDITION_PATH_SIN,
    NM_CONDITION_PATH_SHAPE, ///< 6 places -24, -12, -6, 6, 12, 24 m along from there, seen from there: x less what it
                             ///< is on a straight road, y: m / 10; then the angle to there, rad
    NM_CONDITION_PATH_LIMIT = NM_CONDITION_PATH_SHAPE + 18,  ///< speed limit 0, 25, 50 m along from the agent: m/s / 20
    NM_CONDITION_PATH_CONTROL = NM_CONDITION_PATH_LIMIT + 3, ///< what rules the next entry into another lane within 100
                                                             ///< m: nm_control_kind from PRIORITY on, one-hot of 5
    NM_CONDITION_PATH_ENTRY = NM_CONDITION_PATH_CONTROL + 5, ///< m along to where it stops one / 50
    NM_CONDITION_PATH_END
} nm_path_condition;

/// Signals as the network sees them. Of several on a lane, the strictest counts, as in the simulator.
typedef enum nm_light { NM_LIGHT_UNKNOWN = 0, NM_LIGHT_STOP, NM_LIGHT_CAUTION, NM_LIGHT_GO, NM_LIGHT_COUNT } nm_light;

/// Channels of an NM_TOKENS_EGO map row, a point. The published assignment of types is not known to us: this is ours.
/// The format has no room for a flag: the limit is 0 where none is known.
typedef enum nm_point_channel {
    NM_POINT_X = 0,     ///< as NM_EGO_X
    NM_POINT_Y,         ///< as NM_EGO_Y
    NM_POINT_LANE,      ///< centreline of a lane for vehicles
    NM_POINT_CONNECTOR, ///< the same, inside a junction (NM_LANE_JUNCTION)
    NM_POINT_LINE,      ///< road line or road edge
    NM_POINT_OTHER,     ///< crosswalk, speed bump and other areas; sidewalk, bike lane
    NM_POINT_LIMIT,     ///< speed limit, m/s / 20
    NM_POINT_CHANNELS
} nm_point_channel;

/// Kinds of polylines.
typedef enum nm_polyline_kind {
    NM_POLYLINE_LANE = 0, ///< centreline, in driving direction
    NM_POLYLINE_LINE,     ///< road line
    NM_POLYLINE_EDGE,     ///< road edge
    NM_POLYLINE_CROSSWALK,
    NM_POLYLINE_AREA, ///< outline of any other area
    NM_POLYLINE_KINDS
} nm_polyline_kind;

/// Channels of an NM_TOKENS_AGENT map row, a polyline in its agent's frame. Lane channels are 0 for what is no lane.
typedef enum nm_row_channel {
    NM_ROW_KIND = 0,                                     ///< nm_polyline_kind, one-hot
    NM_ROW_LANE_TYPE = NM_ROW_KIND + NM_POLYLINE_KINDS,  ///< nm_lane_type, one-hot
    NM_ROW_TURN = NM_ROW_LANE_TYPE + NM_LANE_TYPE_COUNT, ///< nm_turn from STRAIGHT on, one-hot of 4
    NM_ROW_CONTROL = NM_ROW_TURN + 4,                    ///< nm_control_kind from PRIORITY on, one-hot of 5
    NM_ROW_SIGNAL = NM_ROW_CONTROL + 5,                  ///< nm_light of the lane now, one-hot; all 0 = none
    NM_ROW_JUNCTION = NM_ROW_SIGNAL + NM_LIGHT_COUNT,    ///< 1 = inside a junction
    NM_ROW_TWO_WAY,                                      ///< 1 = may be driven both ways
    NM_ROW_LIMIT_KNOWN,
    NM_ROW_LIMIT,        ///< m/s / 20
    NM_ROW_LEFT,         ///< m to the left border, mean of the polyline's points / 4
    NM_ROW_RIGHT,        ///< m to the right border / 4
    NM_ROW_CHANGE_LEFT,  ///< 1 = has a left neighbour of its direction that one may change to
    NM_ROW_CHANGE_RIGHT, ///< 1 = the same on the right
    NM_ROW_TO_END,       ///< m from the polyline's end to the lane's / 50
    NM_ROW_LENGTH,       ///< m of the polyline / 50
    NM_ROW_DISTANCE,     ///< m from the agent to its nearest point / 50
    NM_ROW_POINTS        ///< x, y of map_points points at equal steps: m / position_scale
} nm_row_channel;

#define NM_MAP_LANES 1u
#define NM_MAP_LINES 2u ///< road lines and edges
#define NM_MAP_AREAS 4u ///< crosswalks, speed bumps, driveways, obstacles

/// Fill with nm_token_config_default().
typedef struct nm_token_config {
    nm_token_encoding encoding;
    uint32_t past;          ///< tokens before the current one, 0..64; default 4
    uint32_t future;        ///< tokens after it, 0..256; default 16
    uint32_t agents;        ///< at most, the ego first, then the nearest to it, 1..65536; default 32
    double range;           ///< m from the ego, box centres; farther agents are left out, > 0; default 104 (EGO), 150
    int statics;            ///< 1 = tracks that stand still by their role count as agents; default 1
    unsigned map_features;  ///< NM_MAP_...; default all (EGO), lanes and areas (AGENT: rows of lanes have borders)
    uint32_t map_polylines; ///< EGO: of a scene, default 128; AGENT: of each agent, default 48; 0..4096
    uint32_t map_points;    ///< of a polyline, 2..64; default 21 (EGO), 10
    double map_piece;      ///< m: a feature is cut into equal polylines of at most this, 1..10000; default 40 (EGO), 30
    double map_range;      ///< m from the ego or agent to a polyline's nearest point, > 0; default 104 (EGO), 100
    int paths;             ///< AGENT: 1 = conditions know where the road leads (nm_path_condition); default 0
    double position_scale; ///< AGENT: m, > 0; default 20
    double heading_scale;  ///< AGENT: > 0; default 1
    double speed_scale;    ///< AGENT: m/s, > 0; default 10
} nm_token_config;
NM_API nm_token_config nm_token_config_default(nm_token_encoding encoding);
/// NM_E_ARGUMENT naming the field that is out of its range.
NM_API nm_status nm_token_config_check(const nm_token_config *config, nm_error *error);
/// 1: what a model knows the numbers of tokens by is the same. Ranges and what counts as an agent may differ.
NM_API int nm_token_config_same(const nm_token_config *a, const nm_token_config *b);

NM_API uint32_t nm_token_count(const nm_token_config *config);        ///< T
NM_API uint32_t nm_token_channels(const nm_token_config *config);     ///< C
NM_API uint32_t nm_token_conditions(const nm_token_config *config);   ///< K: 0 (EGO), NM_CONDITION_COUNT, with paths
                                                                      ///< NM_CONDITION_PATH_END
NM_API uint32_t nm_token_map_channels(const nm_token_config *config); ///< of a map row
NM_API uint32_t nm_token_states(const nm_token_config *config);       ///< states in a token: 1 (EGO), 5
/// The encoding of its tokens as a table, for guidance.h and for moving frames (encoding.h).
NM_API nm_state_encoding nm_token_state_encoding(const nm_token_config *config);
/// Map rows that a scene of `agents` agents has at most.
NM_API uint32_t nm_token_map_rows(const nm_token_config *config, uint32_t agents);
/// Sets what the tokens decide of a model: channels, conditions, map_channels, map_encoder, pose_bias (1 for AGENT).
NM_API void nm_token_fit_model(const nm_token_config *config, nm_model_config *model);

// ---------------------------------------------------------------------------------------------------------------------
// The map, cut into polylines once

/// Constant after creation, shared by threads. Holds a reference to the map.
typedef struct nm_token_map nm_token_map;

/// Cuts every feature of the map into pieces of equal length, at most config->map_piece, each resampled to
/// config->map_points points; prepares the map. Features without length (under 1 mm) are left out. NM_E_LIMIT for more
/// than 2^20 pieces; NM_E_MEMORY; what nm_token_config_check refuses. O(points of the map + points made).
NM_API nm_status nm_token_map_create(const nm_map *map, const nm_token_config *config, nm_token_map **token_map,
                                     nm_error *error);
NM_API void nm_token_map_destroy(nm_token_map *token_map); ///< NULL is fine
NM_API const nm_token_config *nm_token_map_config(const nm_token_map *token_map);
NM_API uint32_t nm_token_map_pieces(const nm_token_map *token_map);
NM_API size_t nm_token_map_bytes(const nm_token_map *token_map);

// ---------------------------------------------------------------------------------------------------------------------
// Building

/// A frame in the scene: where its origin lies and where its x axis points.
typedef struct nm_token_frame {
    double x, y;    ///< m, scene frame
    float heading;  ///< rad
    float cos, sin; ///< of the heading
    uint32_t step;  ///< of the scene: whose state it is
} nm_token_frame;

/// A scene as tokens. All arrays are in the arena that the scene was built with.
typedef struct nm_tokens {
    struct nm_tokens *next; ///< the same scene at a later step; NULL but from nm_block_parts_build
    nm_token_config config;
    nm_token_scene shape;  ///< for nm_batch_set; its pointers are those below
    uint32_t current_step; ///< of the scene
    uint32_t *track;       ///< [A] track of each agent; track[0] is the ego
    uint32_t *agent_id; ///< [A] stable id of each agent, whoever else there is: nm_noise_agent of the track's source_id
    nm_token_frame *frame;  ///< [A] own frame of each agent; see nm_tokens_frame
    nm_path *path;          ///< [A] AGENT with paths, else NULL
    uint8_t *route_given;   ///< [A] with paths: 1 = chosen by where the agent gets to, 0 = the straightest
    uint8_t *logged;        ///< [A][T] all states read are in the scene
    uint8_t *valid;         ///< [A][T] the network sees it
    uint8_t *known;         ///< [A][T] clean: first the logged history, current token included; see nm_tokens_set_task
    float *values;          ///< [A][T][C]
    float *condition;       ///< [A][T][K]
    float *pose;            ///< [A][T][4] own frame seen from the ego's: x, y m, cos, sin (nm_pass_input)
    uint32_t *map_piece;    ///< EGO [map_polylines], AGENT [P]: piece of the token map of each polyline, NM_NONE = none
    uint32_t map_polylines; ///< polylines there are
} nm_tokens;

/// A place on the way that an agent is going to take, scene frame: of the ways from its lane the one that leads there
/// is its path. Unlike a goal it is nothing that the agent is known to reach at any time.
typedef struct nm_token_bound {
    uint32_t track;
    float x, y, heading; ///< m, rad
} nm_token_bound;

typedef struct nm_token_request {
    uint32_t current_step; ///< of the scene
    uint32_t focus;        ///< track that is the ego; NM_NONE = the scene's, else as below
    float routes;  ///< with paths, [0, 1]: share of the agents whose path is the one that leads to their last logged
                   ///< token, where one does; the others' is the straightest; default 0
    uint64_t seed; ///< of the draw which agents those are
    const nm_token_bound *bounds; ///< [bound_count] with paths: agents whose way is known so instead; default none
    uint32_t bound_count;
    int generate; ///< 1 = future tokens are valid whether logged or not; 0 = only logged ones
    int present;  ///< 1 = who has no state at the current step takes no part, as if it had never been; default 0
} nm_token_request;
NM_API nm_token_request nm_token_request_default(const nm_scene *scene); ///< the scene's current step and ego; 0

/// Builds the tokens of `scene`, whose map `token_map` was made from.
///
/// The ego is request->focus, else scene->ego, where that has a state in the history window. Without a focus and
/// without such an ego it is the vehicle that is not static and nearest to the geometric median of all agents
/// (Weiszfeld's iteration), or, where there is no such vehicle, the agent nearest to it. Agents are ordered by distance
/// from the ego's frame to their own in whole centimetres, then by track. Map rows are ordered by agent, then by
/// distance in whole centimetres, then by piece; NM_TOKENS_EGO has map_polylines * map_points rows, those that are not
/// needed 0 and not valid, as the published model knows padding.
///
/// arena  receives everything and is left with nothing else; the caller resets it between scenes or batches, and
///        when its memory has grown to what a scene takes, nothing is allocated any more
/// Refuses: a time step that is not 0.1 s (nm_scene_resample), a current step or focus that is not there, a token map
/// of another map (NM_E_ARGUMENT); a focus without a state in the window, a window without any agent (NM_E_NOT_FOUND;
/// with request->present the window is the current step);
/// NM_E_MEMORY. `tokens` is then not to be used. O(tracks + pieces + tokens + rows); AGENT: and agents^2, for who is
/// ahead of whom.
NM_API nm_status nm_tokens_build(const nm_token_map *token_map, const nm_scene *scene, const nm_token_request *request,
                                 nm_arena *arena, nm_tokens *tokens, nm_error *error);

/// The frame that the values of agent `agent` are in.
static inline const nm_token_frame *nm_tokens_frame(const nm_tokens *tokens, uint32_t agent) {
    return &tokens->frame[tokens->config.encoding == NM_TOKENS_AGENT ? agent : 0];
}

typedef enum nm_task_kind {
    NM_TASK_FREE = 0, ///< the logged history is known
    NM_TASK_GOAL,     ///< and each agent's last logged token
    NM_TASK_INFILL    ///< every logged token outside the gap is known
} nm_task_kind;
/// What is given. Everything is about logged tokens; what is not logged is never known.
typedef struct nm_token_task {
    nm_task_kind kind;
    uint32_t gap_first, gap_end; ///< INFILL: tokens [gap_first, gap_end) are to be found
    const uint8_t *given;        ///< [A] nullable: 1 = all logged tokens of this agent are known, whatever the kind
} nm_token_task;
/// Sets tokens->known.
NM_API void nm_tokens_set_task(nm_tokens *tokens, const nm_token_task *task);

// ---------------------------------------------------------------------------------------------------------------------
// States <-> one token

/// values [out, C] of nm_token_states states (scene frame, at successive steps; finite; length and width set: they are
/// used by EGO).
NM_API void nm_token_encode(const nm_token_config *config, const nm_token_frame *frame, const nm_state *states,
                            float *values);
/// And back. cos and sin need not be of length 1; both 0 give the frame's heading. EGO: length and width as they come
/// out; AGENT: 0 = the track's. z and height are 0.
NM_API void nm_token_decode(const nm_token_config *config, const nm_token_frame *frame, const float *values,
                            nm_state *states);

// ---------------------------------------------------------------------------------------------------------------------
// Tokens -> states over time

typedef enum nm_token_rate { NM_RATE_2HZ = 0, NM_RATE_10HZ } nm_token_rate;

/// S, states over time of each agent: T at 2 Hz; at 10 Hz 5 (T - 1) + 1 (EGO), 5 T (AGENT).
NM_API uint32_t nm_token_timeline(const nm_token_config *config, nm_token_rate rate);
/// Scene step of the first of them; before the recording when negative. At 10 Hz the next is the next step, at 2 Hz
/// five later.
NM_API int64_t nm_tokens_first_step(const nm_tokens *tokens, nm_token_rate rate);

/// present  [A][T] nullable = tokens->valid: which tokens of `values` [A][T][C] to read
/// states   [out, A x S] scene frame; where not valid all 0
/// valid    [out, A x S]
///
/// At token times exactly what nm_token_decode gives. EGO at 10 Hz: between two present tokens in succession positions
/// follow the cubic Hermite curve of both positions and velocities, velocities its derivative, and headings a monotone
/// cubic (Fritsch and Butland 1984) through the headings of the present run, turned the short way; sizes are linear.
/// NM_E_NUMERIC naming agent and token of a present value that is not finite, or of a state, at or after it, that no
/// scene takes: more than 1e7 m from the origin or 1e5 m/s along an axis, or (EGO) with a size that is not finite.
NM_API nm_status nm_tokens_decode(const nm_tokens *tokens, const float *values, const uint8_t *present,
                                  nm_token_rate rate, nm_state *states, uint8_t *valid, nm_error *error);

/// How a scene is made of tokens.
typedef struct nm_token_output {
    const char *source;     ///< provenance; "nexus" when NULL
    const char *parameters; ///< JSON object: everything needed to make it again; "{}" when NULL
    uint64_t seed;
    uint64_t parent; ///< hash recorded as the parent, for a scene that was resampled; 0 = the scene's own
    int keep_rest;   ///< 1 = tracks that are no agents of the tokens keep their recorded future; 0 = it is left out
} nm_token_output;

/// A scene of 10 Hz states with the futures replaced: up to the current step a bit-exact copy of `scene`, which the
/// tokens were built from; after it, for as long as the tokens go, what `values` say (nm_tokens_decode, present as
/// there). Track indices, sizes, types, flags, tags and signals are those of `scene`; heights of the ground are the
/// last recorded ones. scene->hash becomes the parent, unless another is given. Goals, problems and timestamps are not
/// taken over.
///
/// builder  reset and used, so that its memory serves the next scene
/// arena    for working memory, left as it was
/// *out     the caller's; NULL on failure
NM_API nm_status nm_tokens_to_scene(const nm_tokens *tokens, const nm_scene *scene, const float *values,
                                    const uint8_t *present, const nm_token_output *output, nm_scene_builder *builder,
                                    nm_arena *arena, const nm_scene **out, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
