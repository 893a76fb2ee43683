/// Agents being placed and the grid over them.
#include "sim/spawn_field.h"
#include "sim/math.h"
#include "sim/metrics/criticality.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_CELL 12.0f // m
#define MOST_CELLS 262144.0f
#define LARGEST_REACH 9.0f // m, half the diagonal of the largest vehicle, rounded up

nm_status nm_field_begin(nm_field *field, const nm_map *map, const nm_spawn_params *params, nm_error *error) {
    memset(field, 0, sizeof(*field));
    field->map = map;
    field->params = params;
    float width = nm_maxf(map->bounds_max.x - map->bounds_min.x, 1.0f);
    float height = nm_maxf(map->bounds_max.y - map->bounds_min.y, 1.0f);
    field->cell = nm_maxf(LEAST_CELL, sqrtf(width / MOST_CELLS) * sqrtf(height) * 1.01f);
    // a map that is long and thin would still have too many columns
    field->cell = nm_maxf(field->cell, nm_maxf(width, height) / 65536.0f);
    field->inverse = 1.0f / field->cell;
    field->columns = (uint32_t)(width * field->inverse) + 1;
    field->rows = (uint32_t)(height * field->inverse) + 1;
    size_t cells = (size_t)field->columns * field->rows;
    field->cells = malloc(cells * sizeof(*field->cells));
    if (!field->cells) return NM_ERROR(error, NM_E_MEMORY, "no memory to place traffic");
    memset(field->cells, 0xff, cells * sizeof(*field->cells));
    return NM_OK;
}

void nm_field_end(nm_field *field) {
    free(field->agents);
    free(field->next);
    free(field->cells);
    memset(field, 0, sizeof(*field));
}

static uint32_t clamp_cell(float value, uint32_t count) {
    if (!(value > 0.0f)) return 0;
    return value >= (float)count ? count - 1 : (uint32_t)value;
}

static uint32_t *cell_of(const nm_field *field, float x, float y) {
    uint32_t column = clamp_cell((x - field->map->bounds_min.x) * field->inverse, field->columns);
    uint32_t row = clamp_cell((y - field->map->bounds_min.y) * field->inverse, field->rows);
    return &field->cells[(size_t)row * field->columns + column];
}

void nm_field_near(const nm_field *field, float x, float y, float reach, nm_field_visit *visit, void *context) {
    nm_vec2 origin = field->map->bounds_min;
    uint32_t left = clamp_cell((x - reach - origin.x) * field->inverse, field->columns);
    uint32_t right = clamp_cell((x + reach - origin.x) * field->inverse, field->columns);
    uint32_t bottom = clamp_cell((y - reach - origin.y) * field->inverse, field->rows);
    uint32_t top = clamp_cell((y + reach - origin.y) * field->inverse, field->rows);
    for (uint32_t row = bottom; row <= top; row++)
        for (uint32_t column = left; column <= right; column++)
            for (uint32_t i = field->cells[(size_t)row * field->columns + column]; i != NM_NONE; i = field->next[i])
                visit(context, i);
}

static nm_box box_of(const nm_spawned *agent) {
    return (nm_box){.x = agent->x,
                    .y = agent->y,
                    .cos_h = agent->cos_h,
                    .sin_h = agent->sin_h,
                    .length = agent->length,
                    .width = agent->width};
}

typedef struct overlap_search {
    const nm_field *field;
    nm_box box;
    int found;
} overlap_search;

static void check_overlap(void *context, uint32_t agent) {
    overlap_search *search = context;
    if (search->found) return;
    nm_box other = box_of(&search->field->agents[agent]);
    search->found = nm_box_overlap(&search->box, &other);
}

static void insert(nm_field *field, uint32_t index) {
    uint32_t *cell = cell_of(field, field->agents[index].x, field->agents[index].y);
    field->next[index] = *cell;
    *cell = index;
}

static int grow(nm_field *field) {
    if (field->count < field->room) return 1;
    size_t room = field->room ? 2 * field->room : 256;
    nm_spawned *agents = realloc(field->agents, room * sizeof(*agents));
    if (agents) field->agents = agents;
    uint32_t *next = agents ? realloc(field->next, room * sizeof(*next)) : NULL;
    if (next) field->next = next;
    if (!next || room > NM_SCENE_MAX_TRACKS) {
        field->failed = next ? NM_E_LIMIT : NM_E_MEMORY;
        return 0;
    }
    field->room = room;
    return 1;
}

int nm_field_add(nm_field *field, const nm_spawned *agent, float front, float side) {
    if (field->failed) return 0;
    overlap_search search = {.field = field, .box = box_of(agent)};
    search.box.length += 2.0f * front;
    search.box.width += 2.0f * side;
    float reach = nm_hypotf(0.5f * search.box.length, 0.5f * search.box.width) + LARGEST_REACH;
    nm_field_near(field, agent->x, agent->y, reach, check_overlap, &search);
    if (search.found) return 0;
    if (agent->type != NM_AGENT_PEDESTRIAN) {
        uint8_t off;
        nm_map_boxes_off_road(field->map, &agent->x, &agent->y, &agent->cos_h, &agent->sin_h, &agent->length,
                              &agent->width, 0.0f, 1, &off);
        if (off) return 0;
    }
    if (!grow(field)) return 0;
    field->agents[field->count] = *agent;
    insert(field, (uint32_t)field->count++);
    return 1;
}

void nm_field_keep(nm_field *field, size_t count) {
    memset(field->cells, 0xff, (size_t)field->columns * field->rows * sizeof(*field->cells));
    field->count = count;
    for (size_t i = 0; i < count; i++) insert(field, (uint32_t)i);
}

static nm_rng_key key_of(const nm_field *field, uint32_t stream, uint32_t slot) {
    return (nm_rng_key){.seed = field->params->seed,
                        .scene = field->map->hash,
                        .agent = stream,
                        .step = slot,
                        .purpose = NM_PURPOSE_SPAWN};
}

float nm_field_uniform(const nm_field *field, uint32_t stream, uint32_t slot, uint32_t draw) {
    nm_rng_key key = key_of(field, stream, slot);
    return nm_rng_uniform(&key, draw);
}

float nm_field_normal(const nm_field *field, uint32_t stream, uint32_t slot, uint32_t draw) {
    nm_rng_key key = key_of(field, stream, slot);
    return nm_rng_normal(&key, draw);
}

uint32_t nm_field_word(const nm_field *field, uint32_t stream, uint32_t slot, uint32_t draw) {
    nm_rng_key key = key_of(field, stream, slot);
    uint32_t words[4];
    nm_rng_words(&key, draw, words);
    return words[0];
}

void nm_field_pose(const nm_map *map, nm_spawned *agent, uint32_t lane, float s, float d, int backwards) {
    nm_rail_point rail = nm_map_rail(map, lane, s);
    agent->lane = lane;
    agent->s = s;
    agent->d = d;
    agent->x = rail.x - d * rail.sin_h;
    agent->y = rail.y + d * rail.cos_h;
    agent->cos_h = backwards ? -rail.cos_h : rail.cos_h;
    agent->sin_h = backwards ? -rail.sin_h : rail.sin_h;
}
