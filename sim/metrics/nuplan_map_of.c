/// A map of the simulator as nuPlan's metrics see it.
#include "sim/metrics/nuplan_private.h"

#define MAX_POINTS (1u << 26)
#define NEIGHBOUR_SHARE 0.5f // of the length of both, from which lanes are side by side
#define CHAIN_MAX 32u        // lanes of a connector
#define CHAINS_MAX 64u       // connectors that begin with the same lane
#define JOINT 1e-3           // m, within which a point is the one before it

/// A definition in the making: piles that become its arrays.
typedef struct sketch {
    const nm_map *map;
    uint32_t objects;
    uint32_t *object_of; // [lane_count] of a lane; of a connector's lane the first one that begins with it; or NM_NONE
    uint32_t *begins;    // [lane_count] how many objects begin with it
    uint8_t *covered;    // [lane_count] is in an object
    nm_pile chains;      // nm_range of each object: its lanes, in the pile below
    nm_pile chain_lanes; // uint32_t
    uint32_t *block;     // [objects] union-find, then roadblocks
    nm_pile points, rings, polygons, parts, object, links, roadblocks, intersections, drivable;
} sketch;

static void release(sketch *s) {
    nm_pile *piles[] = {&s->chains, &s->chain_lanes, &s->points,     &s->rings,         &s->polygons, &s->parts,
                        &s->object, &s->links,       &s->roadblocks, &s->intersections, &s->drivable};
    for (size_t i = 0; i < sizeof piles / sizeof *piles; ++i) nm_pile_free(piles[i]);
    free(s->object_of);
    free(s->begins);
    free(s->covered);
    free(s->block);
}

static nm_range chain_of(const sketch *s, uint32_t object) {
    return NM_AT(s->chains, nm_range, object);
}

static uint32_t lane_at(const sketch *s, uint32_t object, uint32_t k) {
    return NM_AT(s->chain_lanes, uint32_t, chain_of(s, object).first + k);
}

static const nm_lane *lane_of(const sketch *s, uint32_t object) {
    return &s->map->lanes[lane_at(s, object, 0)];
}

static const nm_lane *last_of(const sketch *s, uint32_t object) {
    return &s->map->lanes[lane_at(s, object, chain_of(s, object).count - 1)];
}

static int is_connector(const nm_lane *lane) {
    return (lane->flags & NM_LANE_JUNCTION) != 0;
}

static int drivable(const sketch *s, uint32_t lane) {
    return nm_lane_type_drivable((nm_lane_type)s->map->lanes[lane].type);
}

// --- objects ---------------------------------------------------------------------------------------------------------

/// An object of these lanes.
static int add_chain(sketch *s, const uint32_t *lanes, uint32_t count) {
    nm_range *chain = NM_PUSH(&s->chains, nm_range, 1);
    uint32_t *to = NM_PUSH(&s->chain_lanes, uint32_t, count);
    if (!chain || !to || s->chain_lanes.count > MAX_POINTS) return 0;
    *chain = (nm_range){(uint32_t)(s->chain_lanes.count - count), count};
    for (uint32_t i = 0; i < count; ++i) {
        to[i] = lanes[i];
        s->covered[lanes[i]] = 1;
    }
    if (!s->begins[lanes[0]]++) s->object_of[lanes[0]] = s->objects;
    s->objects++;
    return 1;
}

static int is_among(const uint32_t *lanes, uint32_t count, uint32_t lane) {
    for (uint32_t i = 0; i < count; ++i)
        if (lanes[i] == lane) return 1;
    return 0;
}

/// Connectors from the last of these lanes on: each way through the junction to where it ends is one. *left: how many
/// more may begin like this.
static int extend(sketch *s, uint32_t *lanes, uint32_t count, uint32_t *left) {
    const nm_range next = s->map->lanes[lanes[count - 1]].successors;
    int goes_on = 0, leaves = 0;
    for (uint32_t i = next.first; i < next.first + next.count; ++i) {
        const uint32_t lane = s->map->lane_refs[i];
        if (!drivable(s, lane)) continue;
        if (!is_connector(&s->map->lanes[lane])) {
            leaves = 1;
            continue;
        }
        if (count == CHAIN_MAX || *left == 0 || is_among(lanes, count, lane)) continue;
        goes_on = 1;
        lanes[count] = lane;
        if (!extend(s, lanes, count + 1, left)) return 0;
    }
    if ((goes_on && !leaves) || *left == 0) return 1;
    --*left;
    return add_chain(s, lanes, count);
}

/// Does a way through a junction begin here: from a lane, or from nowhere?
static int begins_chain(const sketch *s, const nm_lane *lane) {
    int inside = 0;
    for (uint32_t i = lane->predecessors.first; i < lane->predecessors.first + lane->predecessors.count; ++i) {
        const uint32_t before = s->map->lane_refs[i];
        if (!drivable(s, before)) continue;
        if (!is_connector(&s->map->lanes[before])) return 1;
        inside = 1;
    }
    return !inside;
}

/// Lanes one by one, connectors as whole ways; what no way leads over, as a ring without entry, stays as it is.
static int find_objects(sketch *s) {
    const size_t count = (size_t)s->map->lane_count + 1;
    uint32_t lanes[CHAIN_MAX];
    s->object_of = malloc(count * sizeof *s->object_of);
    s->begins = calloc(count, sizeof *s->begins);
    s->covered = calloc(count, 1);
    if (!s->object_of || !s->begins || !s->covered) return 0;
    for (uint32_t i = 0; i < s->map->lane_count; ++i) s->object_of[i] = NM_NONE;
    for (int pass = 0; pass < 2; ++pass)
        for (uint32_t i = 0; i < s->map->lane_count; ++i) {
            const nm_lane *lane = &s->map->lanes[i];
            uint32_t left = CHAINS_MAX;
            lanes[0] = i;
            if (!drivable(s, i) || s->covered[i]) continue;
            const int whole = pass || !is_connector(lane);
            if (whole ? !add_chain(s, lanes, 1) : begins_chain(s, lane) && !extend(s, lanes, 1, &left)) return 0;
        }
    s->block = malloc(((size_t)s->objects + 1) * sizeof *s->block);
    if (!s->block) return 0;
    for (uint32_t i = 0; i < s->objects; ++i) s->block[i] = i;
    return 1;
}

// --- geometry --------------------------------------------------------------------------------------------------------

static int add_points(sketch *s, const nm_vec2 *points, uint32_t count) {
    nm_nuplan_point *to = NM_PUSH(&s->points, nm_nuplan_point, count);
    if (!to) return 0;
    for (uint32_t i = 0; i < count; ++i) {
        to[i] = (nm_nuplan_point){(double)points[i].x, (double)points[i].y};
    }
    return 1;
}

/// A polygon of one ring over the points from `first` to the end of the pile.
static int add_polygon(sketch *s, size_t first) {
    nm_range *ring = NM_PUSH(&s->rings, nm_range, 1), *polygon = NM_PUSH(&s->polygons, nm_range, 1);
    if (!ring || !polygon) return 0;
    *ring = (nm_range){(uint32_t)first, (uint32_t)(s->points.count - first)};
    *polygon = (nm_range){(uint32_t)(s->rings.count - 1), 1};
    return 1;
}

/// The lines of the lanes of an object, one after the other, without the points that they share.
static int add_line(sketch *s, uint32_t object, const nm_vec2 *line, int backwards) {
    const nm_range chain = chain_of(s, object);
    const size_t begin = s->points.count;
    for (uint32_t k = 0; k < chain.count; ++k) {
        const nm_range points = s->map->lanes[lane_at(s, object, backwards ? chain.count - 1 - k : k)].points;
        for (uint32_t i = 0; i < points.count; ++i) {
            const nm_vec2 p = line[points.first + (backwards ? points.count - 1 - i : i)];
            if (i == 0 && k > 0 && s->points.count > begin) {
                const nm_nuplan_point last = NM_AT(s->points, nm_nuplan_point, s->points.count - 1);
                if (nm_nuplan_hypot((double)p.x - last.x, (double)p.y - last.y) < JOINT) continue;
            }
            nm_nuplan_point *to = NM_PUSH(&s->points, nm_nuplan_point, 1);
            if (!to || s->points.count > MAX_POINTS) return 0;
            *to = (nm_nuplan_point){(double)p.x, (double)p.y};
        }
    }
    return 1;
}

/// To a lane, or to every way that begins with a connector's lane; from within a junction out of it only.
static int add_links(sketch *s, uint32_t index) {
    const nm_range next = last_of(s, index)->successors;
    const int inside = is_connector(last_of(s, index));
    for (uint32_t i = next.first; i < next.first + next.count; ++i) {
        const uint32_t lane = s->map->lane_refs[i];
        const int on = !inside || !is_connector(&s->map->lanes[lane]);
        for (uint32_t k = 0; on && s->object_of[lane] != NM_NONE && k < s->begins[lane]; ++k) {
            nm_nuplan_link *link = NM_PUSH(&s->links, nm_nuplan_link, 1);
            if (!link) return 0;
            *link = (nm_nuplan_link){index, s->object_of[lane] + k};
        }
    }
    return 1;
}

static int add_object(sketch *s, uint32_t index) {
    const nm_lane *lane = lane_of(s, index);
    nm_nuplan_object *object = NM_PUSH(&s->object, nm_nuplan_object, 1);
    if (!object) return 0;
    const size_t line = s->points.count;
    if (!add_line(s, index, s->map->centre, 0)) return 0;
    const size_t ring = s->points.count;
    *object = (nm_nuplan_object){
        .id = lane->source_id,
        .kind = (uint8_t)(is_connector(lane) ? NM_NUPLAN_CONNECTOR : NM_NUPLAN_LANE),
        .surface = index,
        .baseline = {(uint32_t)line, (uint32_t)(ring - line)},
        .speed_limit = (double)lane->speed_limit,
    };
    return add_line(s, index, s->map->right, 0) && add_line(s, index, s->map->left, 1) && add_polygon(s, ring) &&
           add_links(s, index);
}

static int add_part(sketch *s, nm_pile *areas, uint32_t polygon, int begins) {
    if (begins) {
        nm_range *area = NM_PUSH(areas, nm_range, 1);
        if (!area) return 0;
        *area = (nm_range){(uint32_t)s->parts.count, 0};
    }
    uint32_t *part = NM_PUSH(&s->parts, uint32_t, 1);
    if (!part) return 0;
    *part = polygon;
    NM_AT(*areas, nm_range, areas->count - 1).count++;
    return 1;
}

static int add_drivable(sketch *s) {
    for (uint32_t i = 0; i < s->objects; ++i)
        if (!add_part(s, &s->drivable, i, 1)) return 0;
    for (uint32_t i = 0; i < s->map->area_count; ++i) {
        const nm_area *area = &s->map->areas[i];
        if (area->kind != NM_AREA_DRIVEWAY || area->points.count < 3) continue;
        const size_t ring = s->points.count;
        if (!add_points(s, s->map->area_points + area->points.first, area->points.count) || !add_polygon(s, ring) ||
            !add_part(s, &s->drivable, (uint32_t)(s->polygons.count - 1), 1))
            return 0;
    }
    return 1;
}

// --- groups ----------------------------------------------------------------------------------------------------------

/// What objects are grouped by; equal keys are one group.
typedef struct keyed {
    uint64_t key;
    uint32_t object;
} keyed;

static int compare(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->object > y->object) - (x->object < y->object);
}

/// Areas of the surfaces of objects with equal keys, in the order of the keys; group [nullable] receives each object's.
static int add_groups(sketch *s, nm_pile *areas, keyed *list, uint32_t count, uint32_t *group) {
    qsort(list, count, sizeof *list, compare);
    for (uint32_t i = 0; i < count; ++i) {
        if (!add_part(s, areas, list[i].object, i == 0 || list[i].key != list[i - 1].key)) return 0;
        if (group) group[list[i].object] = (uint32_t)(areas->count - 1);
    }
    return 1;
}

static uint32_t root(uint32_t *block, uint32_t object) {
    while (block[object] != object) object = block[object] = block[block[object]];
    return object;
}

static void join(uint32_t *block, uint32_t a, uint32_t b) {
    const uint32_t x = root(block, a), y = root(block, b);
    block[x < y ? y : x] = x < y ? x : y;
}

static void join_neighbours(sketch *s, uint32_t index, nm_range range) {
    const nm_lane *lane = lane_of(s, index);
    if (is_connector(lane)) return;
    for (uint32_t i = range.first; i < range.first + range.count; ++i) {
        const nm_neighbour *n = &s->map->neighbours[i];
        const uint32_t other = s->object_of[n->lane];
        const nm_lane *beside = &s->map->lanes[n->lane];
        if (other == NM_NONE || n->opposite || is_connector(beside)) continue;
        if (n->self_end - n->self_start > NEIGHBOUR_SHARE * lane->length &&
            n->other_end - n->other_start > NEIGHBOUR_SHARE * beside->length)
            join(s->block, index, other);
    }
}

/// The roadblock of the first lane of `range` that is drivable and no connector, plus 1; 0 for none.
static uint64_t block_of_first(sketch *s, nm_range range) {
    for (uint32_t i = range.first; i < range.first + range.count; ++i) {
        const uint32_t lane = s->map->lane_refs[i], object = s->object_of[lane];
        if (object != NM_NONE && !is_connector(&s->map->lanes[lane])) return (uint64_t)root(s->block, object) + 1;
    }
    return 0;
}

/// Lanes are grouped as neighbours; connectors by what they connect, and where they connect nothing on either side, by
/// themselves. A group of lanes has a lower key than any of connectors.
static int add_roadblocks(sketch *s) {
    keyed *list = malloc(((size_t)s->objects + 1) * sizeof *list);
    if (!list) return 0;
    for (uint32_t i = 0; i < s->objects; ++i) {
        join_neighbours(s, i, lane_of(s, i)->left);
        join_neighbours(s, i, lane_of(s, i)->right);
    }
    for (uint32_t i = 0; i < s->objects; ++i) {
        const nm_lane *lane = lane_of(s, i);
        uint64_t key = root(s->block, i);
        if (is_connector(lane)) {
            const uint64_t from = block_of_first(s, lane->predecessors),
                           to = block_of_first(s, last_of(s, i)->successors);
            key = from && to ? from << 32 | to : (uint64_t)1 << 63 | key;
        }
        list[i] = (keyed){key, i};
    }
    const int done = add_groups(s, &s->roadblocks, list, s->objects, s->block);
    free(list);
    return done;
}

static int add_intersections(sketch *s) {
    keyed *list = malloc(((size_t)s->objects + 1) * sizeof *list);
    uint32_t count = 0;
    if (!list) return 0;
    for (uint32_t i = 0; i < s->objects; ++i) {
        const nm_lane *lane = lane_of(s, i);
        if (!is_connector(lane)) continue;
        // a connector of no junction is an intersection of its own
        const uint64_t own = ((uint64_t)1 << 32) | i;
        list[count++] = (keyed){lane->junction == NM_NONE ? own : lane->junction, i};
    }
    const int done = add_groups(s, &s->intersections, list, count, NULL);
    free(list);
    return done;
}

static int draw(sketch *s) {
    if (!find_objects(s)) return 0;
    for (uint32_t i = 0; i < s->objects; ++i)
        if (!add_object(s, i)) return 0;
    if (!add_drivable(s) || !add_roadblocks(s) || !add_intersections(s)) return 0;
    for (uint32_t i = 0; i < s->objects; ++i) NM_AT(s->object, nm_nuplan_object, i).roadblock = s->block[i];
    return 1;
}

nm_status nm_nuplan_map_of(const nm_map *map, const nm_nuplan_map **view, nm_error *error) {
    NM_ASSERT(map && view);
    *view = NULL;
    if (map->point_count > MAX_POINTS || map->area_point_count > MAX_POINTS)
        return NM_ERROR(error, NM_E_LIMIT, "a map of %u points is too large to be viewed", map->point_count);
    const nm_status status = nm_map_prepare(map, error); // finds junctions
    if (status != NM_OK) return status;
    sketch s = {.map = map};
    if (!draw(&s)) {
        release(&s);
        return NM_ERROR(error, NM_E_MEMORY, "no memory for a view of %u lanes", map->lane_count);
    }
    const nm_nuplan_map_def def = {
        .points = s.points.data,
        .point_count = (uint32_t)s.points.count,
        .rings = s.rings.data,
        .ring_count = (uint32_t)s.rings.count,
        .polygons = s.polygons.data,
        .polygon_count = (uint32_t)s.polygons.count,
        .parts = s.parts.data,
        .part_count = (uint32_t)s.parts.count,
        .objects = s.object.data,
        .object_count = (uint32_t)s.object.count,
        .links = s.links.data,
        .link_count = (uint32_t)s.links.count,
        .roadblocks = s.roadblocks.data,
        .roadblock_count = (uint32_t)s.roadblocks.count,
        .intersections = s.intersections.data,
        .intersection_count = (uint32_t)s.intersections.count,
        .drivable = s.drivable.data,
        .drivable_count = (uint32_t)s.drivable.count,
    };
    const nm_status made = nm_nuplan_map_create(&def, view, error);
    release(&s);
    return made;
}
