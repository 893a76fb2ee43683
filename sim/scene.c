/// The memory of a scene and its small questions.
#include "sim/scene_private.h"

#define ALIGNMENT 64

typedef struct layout {
    char *base; // NULL: only measure
    size_t at;
    int overflow;
} layout;

/// Takes `count` elements from the block.
static void *take(layout *l, size_t size, size_t count) {
    if (l->overflow || count > (SIZE_MAX / 4 - l->at) / size) {
        l->overflow = 1;
        return NULL;
    }
    void *at = l->base ? l->base + l->at : NULL;
    l->at += (size * count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

/// Lays the arrays out; called once to measure and once to cut.
static char *lay_out(layout *l, const nm_scene_shape *shape, nm_scene *scene) {
    size_t cells = (size_t)shape->track_count * shape->step_count;
    scene->tracks = take(l, sizeof(nm_track), shape->track_count);
    scene->valid = take(l, 1, cells);
#define PLANE(name, always)                                                                                            \
    if (always || shape->has_sizes) scene->name = take(l, sizeof(float), cells);
    NM_SCENE_PLANES(PLANE)
#undef PLANE
    if (shape->has_signals) scene->signal_states = take(l, 1, (size_t)shape->signal_count * shape->step_count);
    if (shape->has_timestamps) scene->timestamps = take(l, sizeof(double), shape->step_count);
    scene->problems = take(l, sizeof(nm_problem), shape->problem_count);
    scene->goals = take(l, sizeof(nm_goal), shape->goal_count);
    scene->goal_areas = take(l, sizeof(nm_goal_area), shape->goal_area_count);
    scene->tags = take(l, sizeof(char *), shape->tag_count);
    return take(l, 1, shape->text_bytes);
}

/// In front of the public struct: the pointer that malloc gave, since the block is aligned by hand (calloc gives
/// untouched zero pages for large sparse scenes, which aligned_alloc and memset would not).
typedef struct holder {
    void *block;
    nm_scene scene;
} holder;

nm_status nm_scene_allocate(const nm_scene_shape *shape, const nm_map *map, nm_scene **scene, char **text,
                            nm_error *error) {
    if ((uint64_t)shape->track_count * shape->step_count > NM_SCENE_MAX_STATES) {
        return NM_ERROR(error, NM_E_LIMIT, "%u tracks over %u steps are more than %u states", shape->track_count,
                        shape->step_count, NM_SCENE_MAX_STATES);
    }
    nm_scene measured = {0};
    layout l = {0};
    take(&l, sizeof(holder), 1);
    (void)lay_out(&l, shape, &measured);
    char *block = l.overflow ? NULL : calloc(1, l.at + ALIGNMENT);
    if (!block) return NM_ERROR(error, NM_E_MEMORY, "out of memory for a scene");
    layout cut = {.base = block + (ALIGNMENT - (uintptr_t)block % ALIGNMENT) % ALIGNMENT};
    holder *h = take(&cut, sizeof(holder), 1);
    h->block = block;
    nm_scene *s = &h->scene;
    *text = lay_out(&cut, shape, s);
    s->map = nm_map_retain(map);
    s->track_count = shape->track_count;
    s->step_count = shape->step_count;
    s->problem_count = shape->problem_count;
    s->goal_count = shape->goal_count;
    s->goal_area_count = shape->goal_area_count;
    s->tag_count = shape->tag_count;
    s->ego = NM_NONE;
    s->bytes = l.at + ALIGNMENT;
    *scene = s;
    return NM_OK;
}

void nm_scene_destroy(const nm_scene *scene) {
    if (!scene) return;
    holder *h = (holder *)((char *)(uintptr_t)scene - offsetof(holder, scene));
    nm_map_release(scene->map);
    free(h->block);
}

const char *nm_scene_put_text(char **text, const char *string) {
    size_t size = strlen(string) + 1;
    char *to = *text;
    memcpy(to, string, size);
    *text += size;
    return to;
}

nm_scene_shape nm_scene_shape_of(const nm_scene *scene) {
    const nm_provenance *p = &scene->provenance;
    size_t text =
        strlen(p->source) + strlen(p->file) + strlen(p->scene_id) + strlen(p->program) + strlen(p->parameters) + 5;
    for (uint32_t i = 0; i < scene->tag_count; i++) text += strlen(scene->tags[i]) + 1;
    return (nm_scene_shape){.track_count = scene->track_count,
                            .step_count = scene->step_count,
                            .signal_count = scene->map->signal_count,
                            .problem_count = scene->problem_count,
                            .goal_count = scene->goal_count,
                            .goal_area_count = scene->goal_area_count,
                            .tag_count = scene->tag_count,
                            .has_sizes = scene->state_length != NULL,
                            .has_signals = scene->signal_states != NULL,
                            .has_timestamps = scene->timestamps != NULL,
                            .text_bytes = text};
}

nm_signal_state nm_scene_signal(const nm_scene *scene, uint32_t signal, uint32_t step) {
    NM_ASSERT(signal < scene->map->signal_count);
    if (scene->signal_states && step < scene->step_count) {
        return (nm_signal_state)scene->signal_states[(size_t)signal * scene->step_count + step];
    }
    const nm_signal *s = &scene->map->signals[signal];
    const nm_phase *phases = scene->map->phases + s->phases.first;
    uint64_t cycle = 0;
    for (uint32_t i = 0; i < s->phases.count; i++) cycle += phases[i].steps;
    if (!cycle) return NM_SIGNAL_UNKNOWN;
    // in steps of the cycle, which are not the scene's when it was resampled; 1/1000 step guards the rounding of floats
    double passed = floor((double)step * (double)scene->dt / (double)s->cycle_dt + 1e-3);
    uint64_t at = ((uint64_t)passed % cycle + cycle - s->phase_offset % cycle) % cycle;
    for (uint32_t i = 0; i < s->phases.count; i++) {
        if (at < phases[i].steps) return (nm_signal_state)phases[i].state;
        at -= phases[i].steps;
    }
    return NM_SIGNAL_UNKNOWN;
}

void nm_scene_count(const nm_scene *scene, uint64_t *agents, uint64_t *agent_states) {
    *agents = *agent_states = 0;
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const nm_track *track = &scene->tracks[i];
        if (track->flags & NM_TRACK_STATIC) continue;
        ++*agents;
        if (track->first_step > track->last_step) continue;
        const uint8_t *valid = scene->valid + nm_scene_at(scene, i, 0);
        for (uint32_t t = track->first_step; t <= track->last_step; t++) *agent_states += valid[t];
    }
}

const char *nm_agent_type_name(nm_agent_type type) {
    static const char *const names[NM_AGENT_TYPE_COUNT] = {"unknown", "car",        "truck", "bus",     "motorcycle",
                                                           "cyclist", "pedestrian", "train", "obstacle"};
    return (unsigned)type < NM_AGENT_TYPE_COUNT ? names[type] : "invalid";
}

int nm_agent_type_vehicle(nm_agent_type type) {
    return type == NM_AGENT_CAR || type == NM_AGENT_TRUCK || type == NM_AGENT_BUS || type == NM_AGENT_MOTORCYCLE ||
           type == NM_AGENT_UNKNOWN;
}
