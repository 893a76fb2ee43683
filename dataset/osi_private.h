/// ASAM OSI 3 traces: what writer and reader share. Private to osi_*.c. Numbers are the standard's, compared
/// with the definitions of releases 3.7.0 and 3.8.0.
#ifndef NM_DATASET_OSI_PRIVATE_H
#define NM_DATASET_OSI_PRIVATE_H

#include "base/arena.h"
#include "dataset/encoders.h"
#include "dataset/protos/osi.pb-c.h"
#include "dataset/readers.h"

enum { NM_OSI_MAJOR = 3, NM_OSI_MINOR = 7, NM_OSI_PATCH = 0 }; ///< of proj_frame_offset, the newest that is written
#define NM_OSI_PROTOBUF "32112" ///< in file names: the release whose wire format is meant

enum { NM_OSI_OTHER = 1 }; ///< of all enumerations
enum { NM_OSI_VEHICLE = 2, NM_OSI_PEDESTRIAN = 3 };
enum {
    NM_OSI_CAR_FIRST = 2,
    NM_OSI_CAR = 4,
    NM_OSI_CAR_LAST = 6,
    NM_OSI_HEAVY_TRUCK = 7,
    NM_OSI_TRAILER = 9,
    NM_OSI_MOTORCYCLE = 10,
    NM_OSI_BICYCLE = 11,
    NM_OSI_BUS = 12,
    NM_OSI_TRAM = 13,
    NM_OSI_TRAIN = 14,
    NM_OSI_WHEELCHAIR = 15,
    NM_OSI_SEMITRACTOR = 16,
    NM_OSI_SCOOTER = 17,
    NM_OSI_MICROMOBILITY = 18 ///< since 3.8.0
};
enum { NM_OSI_CIVIL = 2 };
enum { NM_OSI_SPEED_BUMP = 17 };
enum { NM_OSI_DRIVING = 2, NM_OSI_NONDRIVING = 3, NM_OSI_INTERSECTION = 4 };
/// Lane subtypes, and types of logical lanes.
enum {
    NM_OSI_LANE_NORMAL = 2,
    NM_OSI_LANE_BIKING = 3,
    NM_OSI_LANE_SIDEWALK = 4,
    NM_OSI_LANE_RESTRICTED = 7,
    NM_OSI_LANE_SHOULDER = 9,
    NM_OSI_LANE_EXIT = 10,
    NM_OSI_LANE_CONNECTINGRAMP = 14
};
enum {
    NM_OSI_NO_LINE = 2,
    NM_OSI_SOLID_LINE = 3,
    NM_OSI_DASHED_LINE = 4,
    NM_OSI_BOTTS_DOTS = 5,
    NM_OSI_ROAD_EDGE = 6,
    NM_OSI_CURB = 12,
    NM_OSI_BARRIER = 14
};
enum { NM_OSI_COLOUR_NONE = 2, NM_OSI_COLOUR_WHITE = 3, NM_OSI_COLOUR_YELLOW = 4 };
enum { NM_OSI_NONE_ALLOWED = 2, NM_OSI_INCREASING_T = 3, NM_OSI_DECREASING_T = 4, NM_OSI_BOTH_ALLOWED = 5 };
enum { NM_OSI_MOVE_INCREASING = 2, NM_OSI_MOVE_DECREASING = 3, NM_OSI_MOVE_BOTH = 4 };
enum { NM_OSI_KMH = 3, NM_OSI_MPH = 4 };
enum { NM_OSI_RED = 2, NM_OSI_YELLOW = 3, NM_OSI_GREEN = 4 };
enum { NM_OSI_ICON_NONE = 2, NM_OSI_STRAIGHT = 3, NM_OSI_LEFT = 4, NM_OSI_RIGHT = 7, NM_OSI_ICON_LAST_ARROW = 13 };
enum { NM_OSI_MODE_OFF = 2, NM_OSI_CONSTANT = 3, NM_OSI_FLASHING = 4 };
enum { NM_OSI_GIVE_WAY = 16, NM_OSI_STOP = 17, NM_OSI_SPEED_LIMIT = 52 };
enum { NM_OSI_SYMBOL = 5, NM_OSI_MARKING_WHITE = 2 };

/// Types of external references that carry what the standard has no field for, as "key=value" texts.
#define NM_OSI_REF_TRACK "net.nearmiss.track"
#define NM_OSI_REF_LANE "net.nearmiss.lane"
#define NM_OSI_REF_LINE "net.nearmiss.line"
#define NM_OSI_REF_AREA "net.nearmiss.area"
#define NM_OSI_REF_SIGNAL "net.nearmiss.signal"
#define NM_OSI_REF_SIGN "net.nearmiss.sign"

/// First ids of the kinds of items, which share one name space.
typedef struct nm_osi_ids {
    uint64_t tracks, lanes, junctions, boundaries, logical_lanes, reference_lines, logical_boundaries, lines, areas,
        signs, lights; ///< two boundaries a lane: left, right; three lights a signal: red, yellow, green
} nm_osi_ids;

/// ns of step i where no clock was recorded.
int64_t nm_osi_time(double dt, uint32_t step);

/// osi_encode_map.c: the static part of a message.
void nm_osi_put_map(nm_byte_buffer *out, const nm_map *map, const nm_osi_ids *ids);
/// The physical lane that a lane is part of.
uint64_t nm_osi_physical_lane(const nm_map_source *source, const nm_osi_ids *ids, uint32_t lane);

void nm_osi_put_id(nm_byte_buffer *out, uint32_t field, uint64_t id);
void nm_osi_put_vector(nm_byte_buffer *out, uint32_t field, double x, double y, double z);
/// An external reference of this type; identifiers are put by nm_osi_put_key before nm_pb_end.
size_t nm_osi_begin_reference(nm_byte_buffer *out, uint32_t field, const char *type);
void nm_osi_put_key(nm_byte_buffer *out, const char *key, int64_t value);

#endif
