/// What `nearmiss render` is asked for.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "tools/cmd_event.h"
#include "tools/cmd_render.h"

#define SIZE_MOST 8192
#define TILE_WIDTH 480 // px
#define TILE_HEIGHT 270

/// A name for every layer: a new one does not compile without.
static const char *const layer_names[] = {
    [NM_LAYER_CASING] = "casing", [NM_LAYER_GROUND] = "ground",       [NM_LAYER_MARKINGS] = "markings",
    [NM_LAYER_EDGES] = "edges",   [NM_LAYER_CROSSINGS] = "crossings", [NM_LAYER_CENTRES] = "centres",
    [NM_LAYER_TRAILS] = "trails", [NM_LAYER_FUTURES] = "futures",     [NM_LAYER_PLAN] = "plan",
    [NM_LAYER_AGENTS] = "agents", [NM_LAYER_SIGNALS] = "signals",     [NM_LAYER_HIGHLIGHTS] = "highlights",
    [NM_LAYER_TOKENS] = "tokens", [NM_LAYER_LABELS] = "labels",       [NM_LAYER_PANEL] = "panel"};
_Static_assert(sizeof layer_names / sizeof *layer_names == NM_LAYER_COUNT, "a layer has no name");

/// Options as text, before they are looked at.
typedef struct words {
    const char *size, *sheet, *theme, *camera, *follow, *layers, *labels, *step, *seconds, *kind;
    double span, trail, future;
} words;

static int ends_in(const char *text, const char *end) {
    const size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

/// "AxB" of whole numbers in [1, most].
static int parse_pair(const char *text, int most, int *a, int *b) {
    char *end;
    const long first = strtol(text, &end, 10);
    if (end == text || *end != 'x' || first < 1 || first > most) return 0;
    const char *rest = end + 1;
    const long second = strtol(rest, &end, 10);
    if (end == rest || *end || second < 1 || second > most) return 0;
    *a = (int)first;
    *b = (int)second;
    return 1;
}

/// "A" or "A:B"; either side of the colon may be empty.
static int parse_stretch(const char *text, double *from, double *until) {
    const char *colon = strchr(text, ':');
    if (text[0] == 0 || strcmp(text, ":") == 0) return 0;
    if (colon != text) {
        const size_t length = colon ? (size_t)(colon - text) : strlen(text);
        if (!nm_decimal_parse(text, length, from) || !isfinite(*from) || *from < 0.0) return 0;
    }
    if (colon && colon[1]) {
        if (!nm_decimal_parse(colon + 1, strlen(colon + 1), until) || !isfinite(*until) || *until < 0.0) return 0;
    }
    return !(*from > *until);
}

/// Index of a word among `count` names; -1 after a message that offers the nearest or all.
static int choose(const nm_command *command, const char *what, const char *word, const char *const *names,
                  size_t count) {
    char all[256] = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word, names[i]) == 0) return (int)i;
        const size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = nm_cli_nearest(word, names, count);
    if (near)
        nm_cli_usage(command, "there is no %s '%s'; did you mean '%s'?", what, word, near);
    else
        nm_cli_usage(command, "there is no %s '%s'; there are %s", what, word, all);
    return -1;
}

/// "agents,trails" = these only; "+centres,-trails" = the default with changes; "all".
static int parse_layers(const nm_command *command, const char *text, uint32_t *layers) {
    const int changes = text[0] == '+' || text[0] == '-';
    uint32_t set = changes ? *layers : 0;
    while (*text) {
        char word[32];
        const size_t length = strcspn(text, ",");
        const int remove = text[0] == '-', sign = remove || text[0] == '+';
        snprintf(word, sizeof word, "%.*s", (int)(length - (size_t)sign), text + sign);
        uint32_t bits = NM_LAYERS_ALL;
        if (strcmp(word, "all") != 0) {
            const int layer = choose(command, "layer", word, layer_names, NM_LAYER_COUNT);
            if (layer < 0) return NM_EXIT_USAGE;
            bits = 1u << layer;
        }
        set = remove ? set & ~bits : set | bits;
        text += length;
        if (*text == ',') text++;
    }
    *layers = set;
    return -1;
}

static int parse_follow(const nm_command *command, const char *text, nm_picture_options *picture) {
    static const char *const names[] = {"none", "ego", "moment"};
    static const nm_follow_kind kinds[] = {NM_FOLLOW_NONE, NM_FOLLOW_EGO, NM_FOLLOW_MOMENT};
    char *end;
    const long track = strtol(text, &end, 10);
    if (end != text && !*end && track >= 0 && track < (long)UINT32_MAX) {
        picture->follow = NM_FOLLOW_TRACK;
        picture->track = (uint32_t)track;
        return -1;
    }
    const int index = choose(command, "way to follow, or number of a track,", text, names, 3);
    if (index < 0) return NM_EXIT_USAGE;
    picture->follow = kinds[index];
    return -1;
}

static int parse_look(const words *w, render_options *options) {
    static const char *const themes[] = {"day", "dark"};
    static const char *const cameras[] = {"bird", "chase", "free"};
    static const char *const labels[] = {"none", "key", "all"};
    const nm_command *command = options->command;
    nm_picture_options *picture = &options->picture;
    int index, status;
    if (w->theme) {
        if ((index = choose(command, "theme", w->theme, themes, 2)) < 0) return NM_EXIT_USAGE;
        picture->theme = (nm_theme_kind)index;
    }
    if (w->camera) {
        if ((index = choose(command, "camera", w->camera, cameras, 3)) < 0) return NM_EXIT_USAGE;
        picture->camera = (nm_camera_kind)index;
    }
    if (w->labels) {
        if ((index = choose(command, "choice of labels", w->labels, labels, 3)) < 0) return NM_EXIT_USAGE;
        picture->frame.labels = index;
    }
    if (w->follow && (status = parse_follow(command, w->follow, picture)) >= 0) return status;
    if (w->layers && (status = parse_layers(command, w->layers, &picture->layers)) >= 0) return status;
    picture->span = (float)w->span;
    picture->frame.trail_s = (float)w->trail;
    picture->frame.future_s = (float)w->future;
    return -1;
}

static int parse_size(const words *w, render_options *options) {
    if (w->sheet && !parse_pair(w->sheet, NM_SHEET_MOST, &options->columns, &options->rows))
        return nm_cli_usage(options->command, "--sheet wants COLUMNSxROWS, up to %dx%d, such as 4x6, not '%s'",
                            NM_SHEET_MOST, NM_SHEET_MOST, w->sheet);
    if (options->film && w->sheet)
        return nm_cli_usage(options->command, "--sheet makes one picture: --out wants a name that ends in .png");
    if (w->sheet && options->id_count > (size_t)options->columns * (size_t)options->rows)
        return nm_cli_usage(options->command, "--sheet %s has no room for %zu scenes", w->sheet, options->id_count);
    if (!w->sheet && !options->film && options->id_count > 1) { // as square as it gets
        while (options->columns * options->rows < (int)options->id_count) {
            if (options->columns <= options->rows)
                options->columns++;
            else
                options->rows++;
            if (options->columns == 1) options->rows = 1;
        }
        if (options->columns > NM_SHEET_MOST) return nm_cli_usage(options->command, "too many scenes for one picture");
    }
    options->width = options->columns ? options->columns * TILE_WIDTH : 1280;
    options->height = options->rows ? options->rows * TILE_HEIGHT : 720;
    if (options->width > SIZE_MOST) options->width = SIZE_MOST;
    if (w->size && (!parse_pair(w->size, SIZE_MOST, &options->width, &options->height) ||
                    options->width < 16 * (options->columns + 1) || options->height < 16 * (options->rows + 1)))
        return nm_cli_usage(options->command,
                            "--size wants WIDTHxHEIGHT in px, from 16x16 a picture to %dx%d, not '%s'", SIZE_MOST,
                            SIZE_MOST, w->size);
    if (options->film && (options->width % 2 || options->height % 2))
        return nm_cli_usage(options->command, "--size of a film wants even numbers, such as %dx%d, not '%s'",
                            options->width + options->width % 2, options->height + options->height % 2, w->size);
    return -1;
}

static int parse_time(const words *w, render_options *options) {
    options->from = options->until = NAN;
    if (w->step && w->seconds) return nm_cli_usage(options->command, "--step and --seconds say the same: one of them");
    const char *text = w->step ? w->step : w->seconds;
    options->in_seconds = !w->step;
    if (text && !parse_stretch(text, &options->from, &options->until))
        return nm_cli_usage(options->command, "--%s wants a number or FROM:UNTIL, not '%s'",
                            w->step ? "step" : "seconds", text);
    return -1;
}

static int parse_ids(int count, char **argv, render_options *options, int64_t *ids) {
    for (int i = 0; i < count; i++) {
        char *end;
        const long long id = strtoll(argv[i], &end, 10);
        if (*end || end == argv[i] || id < 1)
            return nm_cli_usage(options->command, "'%s' is not the number of a scene", argv[i]);
        ids[i] = id;
    }
    options->ids = ids;
    options->id_count = (size_t)count;
    if (count && (options->query.where || options->query.kind >= 0))
        return nm_cli_usage(options->command, "scenes by number, or by --kind and --where, not both");
    return -1;
}

static int parse_output(const words *w, render_options *options) {
    const nm_command *command = options->command;
    if (!options->store) return nm_cli_usage(command, "--store S.db is missing");
    if (!options->out) return nm_cli_usage(command, "--out F.png or --out F.mp4 is missing");
    options->film = ends_in(options->out, ".mp4");
    if (!options->film && !ends_in(options->out, ".png"))
        return nm_cli_usage(command, "--out wants a name that ends in .png or .mp4, not '%s'", options->out);
    if (w->kind) {
        const char *names[NM_KIND_COUNT];
        for (int i = 0; i < NM_KIND_COUNT; i++) names[i] = nm_kind_name((nm_kind)i);
        if ((options->query.kind = choose(command, "kind", w->kind, names, NM_KIND_COUNT)) < 0) return NM_EXIT_USAGE;
    }
    if (options->device && strcmp(options->device, "cpu") == 0) options->device = "software";
    if (options->device && strcmp(options->device, "software") != 0 &&
        strspn(options->device, "0123456789") != strlen(options->device))
        return nm_cli_usage(command, "--device wants software or the number of a graphics device, not '%s'",
                            options->device);
    return -1;
}

int nm_render_parse(const nm_command *command, int argc, char **argv, render_options *options, int64_t *ids) {
    *options = (render_options){.command = command, .around = NAN, .fps = 30, .speed = 1.0};
    options->query = nm_query_default();
    options->picture = nm_picture_options_default();
    words w = {.trail = (double)options->picture.frame.trail_s, .future = (double)options->picture.frame.future_s};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &options->store, "S.db", "store with the scenes", 0, 0},
        {"out", NM_OPTION_TEXT, &options->out, "FILE", "picture (.png) or film (.mp4) to write", 0, 0},
        {"sheet", NM_OPTION_TEXT, &w.sheet, "CxR", "contact sheet of so many columns and rows, one scene a tile", 0, 0},
        {"kind", NM_OPTION_TEXT, &w.kind, "KIND", "scenes with such an event, the most severe first", 0, 0},
        {"where", NM_OPTION_TEXT, &options->query.where, "SQL", "condition over the view events, as in find", 0, 0},
        {"step", NM_OPTION_TEXT, &w.step, "N[:M]", "step shown; of films: from and until; default the worst moment", 0,
         0},
        {"seconds", NM_OPTION_TEXT, &w.seconds, "S[:T]", "the same in s since the scene's first step", 0, 0},
        {"around", NM_OPTION_REAL, &options->around, "S", "film: only the worst moment and S seconds on both sides", 0,
         1e6},
        {"size", NM_OPTION_TEXT, &w.size, "WxH", "px of the whole picture; default 1280x720, of sheets 480x270 a tile",
         0, 0},
        {"theme", NM_OPTION_TEXT, &w.theme, "NAME", "day or dark; default day", 0, 0},
        {"camera", NM_OPTION_TEXT, &w.camera, "NAME", "bird, chase or free; default bird", 0, 0},
        {"follow", NM_OPTION_TEXT, &w.follow, "WHAT", "moment, ego, none or the number of a track; default moment", 0,
         0},
        {"span", NM_OPTION_REAL, &w.span, "M", "m that the picture is high; default 0 = what matters fits", 0, 1e5},
        {"layers", NM_OPTION_TEXT, &w.layers, "LIST", "such as agents,ground or +centres,-trails; all", 0, 0},
        {"labels", NM_OPTION_TEXT, &w.labels, "WHICH", "none, key or all; default key: ego and who is concerned", 0, 0},
        {"trail", NM_OPTION_REAL, &w.trail, "S", "s of trail behind agents; default 2", 0, 1e4},
        {"future", NM_OPTION_REAL, &w.future, "S", "s of what agents will do; default 0", 0, 1e4},
        {"fps", NM_OPTION_INTEGER, &options->fps, "N", "frames per second of a film; default 30", 1, 240},
        {"speed", NM_OPTION_REAL, &options->speed, "X", "of time in a film: 0.5 = half; default 1", 0.01, 100},
        {"device", NM_OPTION_TEXT, &options->device, "NAME", "software, or a number; default a GPU where there is one",
         0, 0},
    };
    int count;
    int status =
        nm_cli_parse(command, table, sizeof table / sizeof *table, &options->common, argc, argv, 0, -1, &count);
    if (status < 0) status = parse_output(&w, options);
    if (status < 0) status = parse_ids(count, argv, options, ids);
    if (status < 0) status = parse_size(&w, options);
    if (status < 0) status = parse_time(&w, options);
    if (status < 0) status = parse_look(&w, options);
    return status;
}
