#include "tools/cmd_show_sketch.h"

#include <math.h>
#include <string.h>

#define COLUMNS 100
#define ROWS 28
#define MARGIN 12.0f  ///< m around the agents
#define SMALLEST 0.4f ///< m, width of a character

typedef struct sketch {
    char cells[ROWS][COLUMNS];
    float left, top; ///< m, of the first cell
    float wide;      ///< m of a cell; it is twice as high
} sketch;

static void put(sketch *s, float x, float y, char mark) {
    float column = floorf((x - s->left) / s->wide), row = floorf((s->top - y) / (2 * s->wide));
    if (column >= 0 && column < COLUMNS && row >= 0 && row < ROWS) s->cells[(int)row][(int)column] = mark;
}

static void line(sketch *s, nm_vec2 a, nm_vec2 b) {
    const float length = hypotf(b.x - a.x, b.y - a.y);
    const int steps = length < 5000.0f ? (int)(length / s->wide) + 1 : 0;
    for (int i = 0; i <= steps && steps; i++) {
        const float t = (float)i / (float)steps;
        put(s, a.x + t * (b.x - a.x), a.y + t * (b.y - a.y), '.');
    }
}

/// The part of the map that can be seen: borders of lanes, and edges and crosswalks of maps that have them.
static void draw_map(sketch *s, const nm_map *map) {
    for (uint32_t i = 0; i < map->lane_count; i++) {
        const nm_lane *lane = &map->lanes[i];
        for (uint32_t k = 1; k < lane->points.count; k++) {
            const uint32_t p = lane->points.first + k;
            line(s, map->left[p - 1], map->left[p]);
            line(s, map->right[p - 1], map->right[p]);
        }
    }
}

static char vehicle_mark(float heading) {
    static const char marks[] = {'>', '^', '<', 'v'};
    const int quarter = (int)lrintf(heading / 1.57079633f);
    return marks[quarter & 3];
}

static char mark_of(const nm_scene *scene, uint32_t track, size_t at, uint32_t actor, uint32_t other) {
    if (track == actor) return 'A';
    if (track == other) return 'B';
    if (track == scene->ego) return 'E';
    switch ((nm_agent_type)scene->tracks[track].type) {
    case NM_AGENT_PEDESTRIAN:
        return 'p';
    case NM_AGENT_CYCLIST:
        return 'c';
    case NM_AGENT_OBSTACLE:
        return '#';
    default:
        return scene->tracks[track].flags & NM_TRACK_STATIC ? '#' : vehicle_mark(scene->heading[at]);
    }
}

/// Fits the window to the agents, or around the actor when they lie too far apart to be told from each other.
static int frame(sketch *s, const nm_scene *scene, uint32_t step, uint32_t actor) {
    nm_vec2 low = {INFINITY, INFINITY}, high = {-INFINITY, -INFINITY};
    const float limit = 2.0f; // m a character may be wide
    for (uint32_t i = 0; i < scene->track_count; i++) {
        const size_t at = nm_scene_at(scene, i, step);
        if (!scene->valid[at]) continue;
        low = (nm_vec2){fminf(low.x, scene->x[at]), fminf(low.y, scene->y[at])};
        high = (nm_vec2){fmaxf(high.x, scene->x[at]), fmaxf(high.y, scene->y[at])};
    }
    if (!(low.x <= high.x)) return 0;
    float wide = fmaxf((high.x - low.x + 2 * MARGIN) / COLUMNS, (high.y - low.y + 2 * MARGIN) / (2 * ROWS));
    nm_vec2 centre = {(low.x + high.x) / 2, (low.y + high.y) / 2};
    const uint32_t focus = actor < scene->track_count ? actor : scene->ego;
    if (wide > limit && focus < scene->track_count && scene->valid[nm_scene_at(scene, focus, step)]) {
        wide = limit;
        centre = (nm_vec2){scene->x[nm_scene_at(scene, focus, step)], scene->y[nm_scene_at(scene, focus, step)]};
    }
    s->wide = fmaxf(wide, SMALLEST);
    s->left = centre.x - s->wide * COLUMNS / 2;
    s->top = centre.y + s->wide * ROWS;
    return 1;
}

void nm_sketch(FILE *file, const nm_scene *scene, uint32_t step, uint32_t actor, uint32_t other) {
    sketch s;
    if (step >= scene->step_count || !frame(&s, scene, step, actor)) return;
    memset(s.cells, ' ', sizeof s.cells);
    draw_map(&s, scene->map);
    for (int special = 0; special < 2; special++) { // those that matter on top
        for (uint32_t i = 0; i < scene->track_count; i++) {
            const size_t at = nm_scene_at(scene, i, step);
            if (scene->valid[at] && (i == actor || i == other || i == scene->ego) == special)
                put(&s, scene->x[at], scene->y[at], mark_of(scene, i, at, actor, other));
        }
    }
    for (int row = 0; row < ROWS; row++) {
        int end = COLUMNS;
        while (end > 0 && s.cells[row][end - 1] == ' ') end--;
        fprintf(file, "%.*s\n", end, s.cells[row]);
    }
    fprintf(file,
            "step %u, %.0f m wide; E ego, A actor, B other, > ^ < v vehicles, c cyclist, p pedestrian, # standing\n",
            step, (double)(s.wide * COLUMNS));
}
