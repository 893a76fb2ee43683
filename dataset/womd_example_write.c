/// Scenes as the tf.Example records that trainers read: the Scenario of womd_write.c in the dataset's own conversion.
///
/// 128 agents: first those to predict that are there at the current step (8 at most, by ascending id), then the others:
/// who is there now by distance to the autonomous vehicle, then who is not, by how often it is there at all. 30,000 map
/// points: of a map with more those nearest to the autonomous vehicle. 16 signals a step: the first ones. Keys are
/// written in the order of their bytes. Padding is -1, of valid and is_sdc 0.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataset/protobuf_out.h"
#include "dataset/womd_choice.h"
#include "dataset/womd_samples.h"
#include "dataset/womd_write.h"

#define AGENTS 128u
#define POINTS 30000u
#define SIGNALS 16u
#define KEEP_MEMORY ((size_t)64 << 20)

enum { BYTES_LIST = 1, FLOAT_LIST = 2, INT64_LIST = 3 };

typedef struct period {
    const char *name;
    uint32_t first, count; // steps of the window
} period;
static const period past = {"past", 0, NM_WOMD_NOW}, current = {"current", NM_WOMD_NOW, 1},
                    future = {"future", NM_WOMD_NOW + 1, NM_WOMD_STEPS - NM_WOMD_NOW - 1};

/// Map points of the maps used last, as the bytes of their five features where they fit.
typedef struct kept_map {
    uint64_t hash, used;
    nm_womd_samples samples;
    nm_byte_buffer bytes; // empty: there are more than fit
} kept_map;

typedef struct writer {
    nm_arena *arena;
    nm_womd_map_cache maps;
    kept_map kept[NM_WOMD_KEPT_MAPS];
    uint64_t clock;
} writer;

static void *create(void) {
    writer *w = calloc(1, sizeof *w);
    if (w) w->arena = nm_arena_create(0);
    if (w && w->arena) return w;
    free(w);
    return NULL;
}

static void destroy(void *work) {
    writer *w = work;
    nm_womd_map_cache_free(&w->maps);
    for (uint32_t i = 0; i < NM_WOMD_KEPT_MAPS; i++) {
        nm_womd_samples_free(&w->kept[i].samples);
        nm_byte_buffer_free(&w->kept[i].bytes);
    }
    nm_arena_destroy(w->arena);
    free(w);
}

// --- features --------------------------------------------------------------------------------------------------------

/// Places to close: the entry of the map, the feature, its list, the values.
typedef struct open_feature {
    size_t places[4];
} open_feature;

static open_feature open_values(nm_byte_buffer *out, const char *key, int list) {
    open_feature f;
    f.places[0] = nm_pb_begin(out, 1);
    nm_pb_bytes(out, 1, key, strlen(key));
    f.places[1] = nm_pb_begin(out, 2);
    f.places[2] = nm_pb_begin(out, (uint32_t)list);
    f.places[3] = nm_pb_begin(out, 1);
    return f;
}

static void close_values(nm_byte_buffer *out, const open_feature *f) {
    for (int i = 3; i >= 0; i--) nm_pb_end(out, f->places[i]);
}

static void put_float(nm_byte_buffer *out, float value) {
    uint8_t *at = nm_byte_buffer_grow(out, 4);
    if (at) nm_pb_store_float(at, value);
}
static void put_integer(nm_byte_buffer *out, int64_t value) {
    nm_pb_raw_varint(out, (uint64_t)value);
}

static void put_times(nm_byte_buffer *out, uint32_t count, int64_t value) {
    while (count-- > 0) put_integer(out, value);
}

// --- the map ---------------------------------------------------------------------------------------------------------

enum { KEY_DIR, KEY_ID, KEY_TYPE, KEY_VALID, KEY_XYZ, MAP_KEYS };

static void put_points(nm_byte_buffer *out, int key, const nm_womd_sample *const *samples, uint32_t count) {
    static const char *const names[MAP_KEYS] = {"dir", "id", "type", "valid", "xyz"};
    char name[64];
    snprintf(name, sizeof name, "roadgraph_samples/%s", names[key]);
    const int vectors = key == KEY_DIR || key == KEY_XYZ;
    const open_feature f = open_values(out, name, vectors ? FLOAT_LIST : INT64_LIST);
    for (uint32_t i = 0; i < count; i++) {
        const nm_womd_sample *s = samples[i];
        if (vectors) {
            uint8_t *at = nm_byte_buffer_grow(out, 12);
            for (int k = 0; at && k < 3; k++) at = nm_pb_store_float(at, key == KEY_DIR ? s->dir[k] : s->xyz[k]);
        } else {
            put_integer(out, key == KEY_ID ? s->id : key == KEY_TYPE ? s->type : 1);
        }
    }
    for (uint32_t i = count; i < POINTS; i++) {
        for (int k = 0; k < 3 && vectors; k++) put_float(out, -1.0f);
        if (!vectors) put_integer(out, key == KEY_VALID ? 0 : -1);
    }
    close_values(out, &f);
}

typedef struct ranked {
    float distance;
    uint32_t index;
} ranked;

static int nearer(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int by_index(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/// The samples that are written, in order: all, or the nearest to (x, y). NULL when memory is out.
static const nm_womd_sample **choose_points(const nm_womd_samples *samples, nm_arena *arena, float x, float y,
                                            uint32_t *count) {
    const size_t all = samples->count;
    *count = all < POINTS ? (uint32_t)all : POINTS;
    const nm_womd_sample **chosen = NM_ARENA_ARRAY(arena, const nm_womd_sample *, *count);
    if (!chosen) return NULL;
    if (all <= POINTS) {
        for (uint32_t i = 0; i < *count; i++) chosen[i] = &samples->items[i];
        return chosen;
    }
    ranked *order = NM_ARENA_ARRAY(arena, ranked, all);
    uint32_t *kept = NM_ARENA_ARRAY(arena, uint32_t, POINTS);
    if (!order || !kept || all > UINT32_MAX) return NULL;
    for (size_t i = 0; i < all; i++)
        order[i] = (ranked){hypotf(samples->items[i].xyz[0] - x, samples->items[i].xyz[1] - y), (uint32_t)i};
    qsort(order, all, sizeof *order, nearer);
    for (uint32_t i = 0; i < POINTS; i++) kept[i] = order[i].index;
    qsort(kept, POINTS, sizeof *kept, by_index);
    for (uint32_t i = 0; i < POINTS; i++) chosen[i] = &samples->items[kept[i]];
    return chosen;
}

static int put_all_points(const nm_womd_samples *samples, nm_arena *arena, float x, float y, nm_byte_buffer *out) {
    uint32_t count;
    const nm_womd_sample **chosen = choose_points(samples, arena, x, y, &count);
    for (int key = 0; key < MAP_KEYS && chosen; key++) put_points(out, key, chosen, count);
    return chosen != NULL;
}

/// The map's points, made once for each of the maps used last. NULL when memory is out.
static const kept_map *keep_map(writer *w, const nm_map *map, const nm_womd_map_bytes *bytes) {
    kept_map *place = &w->kept[0];
    for (uint32_t i = 0; i < NM_WOMD_KEPT_MAPS; i++) {
        kept_map *kept = &w->kept[i];
        if (kept->used && kept->hash == map->hash) {
            kept->used = ++w->clock;
            return kept;
        }
        if (kept->used < place->used) place = kept;
    }
    place->used = 0;
    place->bytes.size = 0;
    place->bytes.failed = 0;
    if (!nm_womd_sample_features(&bytes->features, w->arena, &place->samples)) return NULL;
    if (place->samples.count <= POINTS && !put_all_points(&place->samples, w->arena, 0.0f, 0.0f, &place->bytes))
        return NULL;
    if (place->bytes.failed) return NULL;
    place->hash = map->hash;
    place->used = ++w->clock;
    return place;
}

// --- agents ----------------------------------------------------------------------------------------------------------

typedef struct agents {
    const nm_womd_choice *choice;
    const nm_womd_map_bytes *map;
    uint32_t order[AGENTS]; // into choice->tracks
    uint32_t count, modeled;
    double times[NM_WOMD_STEPS];
} agents;

/// Index of the state of a track at a step of the window; 0 when there is none.
static int state_at(const nm_womd_choice *c, uint32_t place, uint32_t step, size_t *at) {
    uint32_t t;
    if (!nm_womd_step(c, step, &t)) return 0;
    *at = nm_scene_at(c->scene, c->tracks[place], t);
    return c->scene->valid[*at];
}

static int holds(const uint32_t *list, uint32_t count, uint32_t place) {
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] == place) return 1;
    }
    return 0;
}

static void order_modeled(agents *a) {
    const nm_womd_choice *c = a->choice;
    size_t at;
    for (uint32_t i = 0; i < c->predict_count && a->count < NM_WOMD_PREDICTED; i++) {
        if (state_at(c, c->predict[i], NM_WOMD_NOW, &at)) a->order[a->count++] = c->predict[i];
    }
    for (uint32_t i = 1; i < a->count; i++) { // by id
        const uint32_t place = a->order[i];
        uint32_t k = i;
        for (; k > 0 && c->ids[a->order[k - 1]] > c->ids[place]; k--) a->order[k] = a->order[k - 1];
        a->order[k] = place;
    }
    a->modeled = a->count;
}

/// How late a track comes among the others: who is there now by distance, behind them who is not by how rarely it is.
static float rank_of(const nm_womd_choice *c, uint32_t place, size_t ego, int ego_there) {
    const nm_scene *scene = c->scene;
    size_t at;
    if (state_at(c, place, NM_WOMD_NOW, &at))
        return ego_there ? hypotf(scene->x[at] - scene->x[ego], scene->y[at] - scene->y[ego]) : 0.0f;
    uint32_t valid = 0;
    for (uint32_t step = 0; step < NM_WOMD_STEPS; step++) valid += state_at(c, place, step, &at) != 0;
    return 1e9f - (float)valid * 1e3f;
}

static int order_agents(agents *a, nm_arena *arena) {
    const nm_womd_choice *c = a->choice;
    ranked *others = NM_ARENA_ARRAY(arena, ranked, c->track_count);
    uint32_t count = 0;
    size_t ego = 0;
    if (!others) return 0;
    order_modeled(a);
    const int ego_there = state_at(c, c->ego, NM_WOMD_NOW, &ego);
    for (uint32_t i = 0; i < c->track_count; i++) {
        if (!holds(a->order, a->modeled, i)) others[count++] = (ranked){rank_of(c, i, ego, ego_there), i};
    }
    qsort(others, count, sizeof *others, nearer);
    for (uint32_t i = 0; i < count && a->count < AGENTS; i++) a->order[a->count++] = others[i].index;
    return 1;
}

typedef enum value {
    BBOX_YAW,
    HEIGHT,
    LENGTH,
    SPEED,
    MICROS,
    VALID,
    VEL_YAW,
    VEL_X,
    VEL_Y,
    WIDTH,
    X,
    Y,
    Z,
    VALUES
} value;

static float value_of(const nm_scene *scene, uint32_t track, size_t i, value which) {
    const nm_track *t = &scene->tracks[track];
    const int sized = scene->state_length && scene->state_length[i] > 0.0f;
    switch (which) {
    case BBOX_YAW:
        return scene->heading[i];
    case HEIGHT:
        return sized ? scene->state_height[i] : t->height;
    case LENGTH:
        return sized ? scene->state_length[i] : t->length;
    case WIDTH:
        return sized ? scene->state_width[i] : t->width;
    case SPEED:
        return hypotf(scene->vx[i], scene->vy[i]);
    case VEL_YAW:
        return atan2f(scene->vy[i], scene->vx[i]);
    case VEL_X:
        return scene->vx[i];
    case VEL_Y:
        return scene->vy[i];
    case X:
        return (float)(scene->map->origin.x + (double)scene->x[i]);
    case Y:
        return (float)(scene->map->origin.y + (double)scene->y[i]);
    default:
        return (float)(scene->map->origin.z + (double)scene->z[i]);
    }
}

/// As the converter: float seconds, cut off.
static int64_t micros(double seconds) {
    return (int64_t)((float)seconds * 1e6f);
}

static void put_states(const agents *a, nm_byte_buffer *out, const period *when, value which) {
    static const char *const names[VALUES] = {"bbox_yaw", "height",  "length",     "speed",      "timestamp_micros",
                                              "valid",    "vel_yaw", "velocity_x", "velocity_y", "width",
                                              "x",        "y",       "z"};
    char key[64];
    snprintf(key, sizeof key, "state/%s/%s", when->name, names[which]);
    const int integers = which == MICROS || which == VALID;
    const open_feature f = open_values(out, key, integers ? INT64_LIST : FLOAT_LIST);
    for (uint32_t i = 0; i < AGENTS; i++) {
        for (uint32_t k = 0; k < when->count; k++) {
            const uint32_t step = when->first + k;
            size_t at;
            const int there = i < a->count && state_at(a->choice, a->order[i], step, &at);
            if (which == VALID)
                put_integer(out, there);
            else if (which == MICROS)
                put_integer(out, there ? micros(a->times[step]) : -1);
            else
                put_float(out, there ? value_of(a->choice->scene, a->choice->tracks[a->order[i]], at, which) : -1.0f);
        }
    }
    close_values(out, &f);
}

static void put_period(const agents *a, nm_byte_buffer *out, const period *when) {
    for (int which = 0; which < VALUES; which++) put_states(a, out, when, (value)which);
}

typedef enum fact { DIFFICULTY, IS_CONTEXT, IS_SDC, OF_INTEREST, TO_PREDICT } fact;

static void put_facts(const agents *a, nm_byte_buffer *out, const char *key, fact which) {
    const nm_womd_choice *c = a->choice;
    const open_feature f = open_values(out, key, INT64_LIST);
    for (uint32_t i = 0; i < a->count; i++) {
        const uint32_t place = a->order[i], difficulty = c->scene->tracks[c->tracks[place]].difficulty;
        const int modeled = i < a->modeled;
        const int64_t values[] = {[DIFFICULTY] = modeled && difficulty <= 2 ? difficulty : 0,
                                  [IS_CONTEXT] = !modeled,
                                  [IS_SDC] = place == c->ego,
                                  [OF_INTEREST] = holds(c->interest, c->interest_count, place),
                                  [TO_PREDICT] = modeled};
        put_integer(out, values[which]);
    }
    put_times(out, AGENTS - a->count, which == IS_SDC ? 0 : -1);
    close_values(out, &f);
}

static void put_identities(const agents *a, nm_byte_buffer *out, const char *key, int types) {
    const nm_womd_choice *c = a->choice;
    const open_feature f = open_values(out, key, FLOAT_LIST);
    for (uint32_t i = 0; i < AGENTS; i++) {
        float number = -1.0f;
        if (i < a->count)
            number = types ? (float)nm_womd_object_type(c->scene->tracks[c->tracks[a->order[i]]].type)
                           : (float)c->ids[a->order[i]];
        put_float(out, number);
    }
    close_values(out, &f);
}

// --- signals ---------------------------------------------------------------------------------------------------------

typedef enum light_value {
    LIGHT_ID,
    LIGHT_STATE,
    LIGHT_MICROS,
    LIGHT_VALID,
    LIGHT_X,
    LIGHT_Y,
    LIGHT_Z,
    LIGHT_VALUES
} light_value;

static void put_light(const agents *a, nm_byte_buffer *out, light_value which, uint32_t index, uint32_t step) {
    const nm_womd_light *light = index < a->map->light_count ? &a->map->lights[index] : NULL;
    nm_signal_state state = NM_SIGNAL_UNKNOWN;
    switch (which) {
    case LIGHT_ID:
        put_integer(out, light ? light->lane : -1);
        return;
    case LIGHT_STATE:
        if (light) state = nm_scene_signal(a->choice->scene, light->signal, a->choice->first + step);
        put_integer(out, !light ? -1 : state < NM_SIGNAL_OFF ? (int64_t)state : 0);
        return;
    case LIGHT_VALID:
        put_integer(out, light != NULL);
        return;
    default:
        break;
    }
    const int placed = light && light->placed;
    put_float(out, !placed ? -1.0f : (float)(which == LIGHT_X ? light->x : which == LIGHT_Y ? light->y : light->z));
}

static void put_lights(const agents *a, nm_byte_buffer *out, const period *when, light_value which) {
    static const char *const names[LIGHT_VALUES] = {"id", "state", "timestamp_micros", "valid", "x", "y", "z"};
    char key[64];
    snprintf(key, sizeof key, "traffic_light_state/%s/%s", when->name, names[which]);
    const open_feature f = open_values(out, key, which < LIGHT_X ? INT64_LIST : FLOAT_LIST);
    for (uint32_t k = 0; k < when->count; k++) {
        const uint32_t step = when->first + k;
        if (which == LIGHT_MICROS) put_integer(out, micros(a->times[step]));
        for (uint32_t i = 0; i < SIGNALS && which != LIGHT_MICROS; i++) put_light(a, out, which, i, step);
    }
    close_values(out, &f);
}

// --- the record ------------------------------------------------------------------------------------------------------

static void put_example(const nm_export_item *item, const agents *a, nm_byte_buffer *out) {
    char id[NM_WOMD_ID];
    nm_womd_scenario_id(item, id);
    open_feature f;
    f.places[0] = nm_pb_begin(out, 1);
    nm_pb_bytes(out, 1, "scenario/id", 11);
    f.places[1] = nm_pb_begin(out, 2);
    f.places[2] = nm_pb_begin(out, BYTES_LIST);
    nm_pb_bytes(out, 1, id, strlen(id));
    for (int i = 2; i >= 0; i--) nm_pb_end(out, f.places[i]);
    put_period(a, out, &current);
    put_facts(a, out, "state/difficulty_level", DIFFICULTY);
    put_period(a, out, &future);
    put_identities(a, out, "state/id", 0);
    put_facts(a, out, "state/is_context", IS_CONTEXT);
    put_facts(a, out, "state/is_sdc", IS_SDC);
    put_facts(a, out, "state/objects_of_interest", OF_INTEREST);
    put_period(a, out, &past);
    put_facts(a, out, "state/tracks_to_predict", TO_PREDICT);
    put_identities(a, out, "state/type", 1);
    const period *const periods[] = {&current, &future, &past};
    for (int p = 0; p < 3; p++) {
        for (int which = 0; which < LIGHT_VALUES; which++) put_lights(a, out, periods[p], (light_value)which);
    }
}

static nm_status encode_chosen(writer *w, const nm_export_item *item, const nm_womd_choice *c, nm_byte_buffer *out,
                               nm_error *error) {
    const nm_scene *scene = c->scene;
    agents a = {.choice = c, .map = nm_womd_map_write(&w->maps, scene->map, w->arena)};
    const kept_map *map = a.map ? keep_map(w, scene->map, a.map) : NULL;
    size_t at = 0;
    if (!map || !order_agents(&a, w->arena)) return NM_ERROR(error, NM_E_MEMORY, "out of memory for the map");
    nm_womd_times(c, a.times);
    const size_t whole = nm_pb_begin(out, 1);
    if (map->bytes.size) {
        nm_byte_buffer_put(out, map->bytes.bytes, map->bytes.size);
    } else {
        const int there = state_at(c, c->ego, NM_WOMD_NOW, &at);
        const float x = there ? value_of(scene, c->tracks[c->ego], at, X) : (float)scene->map->origin.x;
        const float y = there ? value_of(scene, c->tracks[c->ego], at, Y) : (float)scene->map->origin.y;
        if (!put_all_points(&map->samples, w->arena, x, y, out))
            return NM_ERROR(error, NM_E_MEMORY, "out of memory for the map");
    }
    put_example(item, &a, out);
    nm_pb_end(out, whole);
    return NM_OK;
}

static nm_status encode(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error) {
    writer *w = work;
    nm_womd_choice choice;
    if (nm_arena_used(w->arena) > KEEP_MEMORY) {
        nm_arena_destroy(w->arena);
        w->arena = nm_arena_create(0);
        if (!w->arena) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    }
    nm_arena_reset(w->arena);
    nm_status status = nm_womd_choose(item, w->arena, &choice, error);
    if (status == NM_OK) status = encode_chosen(w, item, &choice, &out->main, error);
    nm_womd_choice_release(&choice);
    return status;
}

const nm_encoder nm_encoder_womd_example = {.format = NM_EXPORT_WOMD_EXAMPLE,
                                            .layout = NM_ENCODER_RECORDS,
                                            .extension = ".tfrecord",
                                            .windows = nm_womd_windows,
                                            .window_holds = nm_womd_window_holds,
                                            .create = create,
                                            .destroy = destroy,
                                            .encode = encode};
