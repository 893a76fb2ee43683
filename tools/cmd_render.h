/// `nearmiss render` in parts: what is asked for, which scenes, and the pictures.
#ifndef NM_TOOLS_CMD_RENDER_H
#define NM_TOOLS_CMD_RENDER_H

#include "render/headless.h"
#include "render/picture.h"
#include "scenarios/store.h"
#include "tools/cli.h"

#define NM_SHEET_MOST 20 ///< tiles to a side

typedef struct render_options {
    const nm_command *command;
    nm_common common;
    const char *store, *out, *device;
    int film;           ///< the file's name ends in .mp4
    int width, height;  ///< px of the whole picture
    int columns, rows;  ///< of a contact sheet; 0 = one picture
    double from, until; ///< NAN = not given: in steps, or in s by `in_seconds`
    int in_seconds;     ///< what from and until are
    double around;      ///< s before and after the moment; NAN = the whole scene
    int64_t fps;        ///< frames per second of a film
    double speed;       ///< of time in a film; 1 = as it was
    nm_query query;     ///< which scenes when no ids are given
    const int64_t *ids; ///< nullable
    size_t id_count;    ///< 0 = by query
    nm_picture_options picture;
} render_options;

/// A scene to show and the moment of it that matters.
typedef struct render_shot {
    int64_t scene;
    int has_event; ///< 0: the scene has no event
    nm_event event;
    float step; ///< shown, or where the film begins
} render_shot;

/// Options and arguments to `options`; -1 to go on, else the exit status. ids: [argc].
int nm_render_parse(const nm_command *command, int argc, char **argv, render_options *options, int64_t *ids);

/// Which scenes: the ids given, else the most severe event of each scene that fits the query, the most severe first.
/// *shots by malloc. NM_E_NOT_FOUND when there is none.
nm_status nm_render_choose(nm_store *store, const render_options *options, render_shot **shots, size_t *count,
                           nm_error *error);

/// What became of it, for the report.
typedef struct render_result {
    uint64_t frames;
    double seconds; ///< of film
    char renderer[160];
} render_result;
nm_status nm_render_draw(nm_store *store, const render_options *options, render_shot *shots, size_t count,
                         render_result *result, nm_error *error);

/// "12 cut_in TTC 0.80 s".
void nm_render_title(const render_shot *shot, char *text, size_t size);

#endif
