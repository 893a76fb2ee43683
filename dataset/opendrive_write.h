/// Writes a map as OpenDRIVE 1.6.
///
/// Lanes that run side by side the whole way, with one border between them, become the lanes of one road; a road that
/// carries oncoming traffic on its left, too, has both directions. Whatever fits nowhere is a road of its own: any map
/// can be written. Borders are kept to 1 cm; docs/formats/opendrive.md says what is not kept.
///
/// - Reference lines are lines and arcs, laid through the middle lane's centreline and perpendicular to the ends of the
///   lanes where that is possible; the borders are laneOffset and width entries, linear in s, to NM_OW_TOLERANCE.
/// - A lane's end that leads to one road's lanes one to one is a link between roads. The lanes of one of the map's
///   junctions are its connecting roads where they join one road at each end. Any other fork or merge is a
///   junction whose connecting roads are 5 cm long, one for every movement (readers of ours leave them out again).
/// - Coordinates are the source's (origin added). Ids of roads count from 1, first those of lanes; junctions follow.
/// - What rules the end of a lane stands there as a signal for this lane: 1000001 or the sign's own code. Stop lines
/// are
///   signals 294. Crosswalks are objects.
#ifndef NM_DATASET_OPENDRIVE_WRITE_H
#define NM_DATASET_OPENDRIVE_WRITE_H

#include "dataset/encoders.h"

#define NM_OW_TOLERANCE 0.002 // m

typedef struct nm_opendrive_writer nm_opendrive_writer;
nm_opendrive_writer *nm_opendrive_writer_create(void); ///< NULL: no memory
void nm_opendrive_writer_destroy(nm_opendrive_writer *writer);
/// Appends the document. geo_reference: a PROJ string, or NULL. Prepares the map. The bytes are a function of the map
/// and the geo_reference. NM_E_UNSUPPORTED for a map without lanes; NM_E_MEMORY.
nm_status nm_opendrive_write(nm_opendrive_writer *writer, const nm_map *map, const char *geo_reference,
                             nm_byte_buffer *out, nm_error *error);
/// Where a lane went in the last document: the number that is the id of its road, and its id on it.
void nm_opendrive_lane(const nm_opendrive_writer *writer, uint32_t lane, uint32_t *road, int32_t *lane_id);

/// The road network of a scene as a file that scenes share: fills shared_name, "map-0123456789abcdef.xodr", by the map
/// and the geo_reference, and shared, unless it is written already. The geo_reference is what follows the colon in the
/// scene's tag "geoReference:...". Scenes in a row often share a map: the last document is kept. Errors as above.
nm_status nm_opendrive_share(nm_opendrive_writer *writer, const nm_scene *scene, nm_encoded *out, nm_error *error);

extern const nm_encoder nm_encoder_opendrive; ///< main stays empty: the map is all there is

#endif
