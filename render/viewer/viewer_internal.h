/// What the files of the viewer share. Private.
#ifndef NM_RENDER_VIEWER_INTERNAL_H
#define NM_RENDER_VIEWER_INTERNAL_H

#include "render/viewer/viewer_live.h"
#include "render/viewer/viewer_state.h"

#define VIEWER_SPEED_MIN 0.125f
#define VIEWER_SPEED_MAX 16.0f
#define VIEWER_FILTER (NM_VIEWER_FILTER_BYTES + 1u)
#define VIEWER_MESSAGE 300
#define VIEWER_MESSAGE_SECONDS 4.0f
#define VIEWER_DRAG 4.0f ///< points: the mouse moves less during a click

#define VIEWER_SCALE_MIN 0.25f ///< px per point
#define VIEWER_SCALE_MAX 8.0f

// Heights and widths of the parts of the screen, points.
#define VIEWER_BAR 26.0f
#define VIEWER_TIMELINE 44.0f
#define VIEWER_GRAPHS 150.0f
#define VIEWER_ROW 72.0f
#define VIEWER_THUMB_WIDTH 108.0f
#define VIEWER_HEAD 58.0f ///< of the list: title and filter
#define VIEWER_TOKENS_PANEL 300.0f

/// One scene on the screen.
typedef struct nm_viewer_pane {
    int open;
    int64_t id;
    char name[96]; ///< escaped
    nm_viewer_scene content;
    nm_viewer_live *live;  ///< when it drives, else NULL
    const nm_scene *shown; ///< content.scene, or the live run's
    nm_series series;      ///< of content.scene
    int has_series;
    nm_drawing map, frame;
    nm_camera camera;
    uint32_t follow;          ///< track or NM_NONE
    float offset_x, offset_y; ///< m from the agent to the middle, while it is followed
} nm_viewer_pane;

/// A small picture in the list. id 0 = free.
typedef struct nm_viewer_thumbnail {
    int64_t id;
    int used;
    int failed;    ///< could not be loaded: not tried again
    uint64_t last; ///< number of the last use
    nm_camera camera;
    nm_drawing map, frame;
    char tags[96]; ///< of the scene, as they stand in it
} nm_viewer_thumbnail;

typedef enum nm_viewer_grip { GRIP_NONE = 0, GRIP_TIMELINE, GRIP_GRAPHS, GRIP_PANE } nm_viewer_grip;

struct nm_viewer {
    nm_viewer_config config;
    nm_viewer_source source;
    int has_source;
    nm_viewer_mode mode;
    int closed, hidden, help, filtering, panel, labels;
    int pixel_width, pixel_height;
    float width, height, scale; ///< points; px per point
    nm_theme_kind theme;
    uint32_t layers;
    uint32_t focus;
    nm_viewer_pane panes[NM_VIEWER_PANES];
    nm_drawing spare; ///< the map of a scene that is being opened

    double time; ///< s
    int playing;
    float speed;

    uint32_t entries, selected, first_row;
    char filter[VIEWER_FILTER], typed[VIEWER_FILTER]; ///< in force, and as it is being typed
    nm_viewer_thumbnail *thumbnails;
    uint64_t uses; ///< of thumbnails so far

    uint32_t pass;
    double pass_time; ///< passes gone by while playing
    nm_camera token_camera;
    nm_drawing token_map, token_frame, tokens;

    nm_viewer_grip grip;
    int grip_button, dragged;
    float grip_x, grip_y, mouse_x, mouse_y; ///< points

    int screenshot;
    char message[VIEWER_MESSAGE];
    float message_left; ///< s

    nm_drawing screen, over; ///< panels; what lies over them
    nm_viewer_view views[NM_VIEWER_MAX_VIEWS];
    uint32_t view_count;
    int stale; ///< what follows from events has to be drawn
};

// viewer_state.c
void nm_viewer_fail(nm_viewer *viewer, const nm_error *error); ///< says what went wrong
uint32_t nm_viewer_pane_count(const nm_viewer *viewer);
double nm_viewer_duration(const nm_viewer *viewer);
uint32_t nm_viewer_pane_steps(const nm_viewer_pane *pane);         ///< that can be shown, >= 1
float nm_viewer_pane_step(const nm_viewer *viewer, uint32_t pane); ///< shown now
void nm_viewer_set_time(nm_viewer *viewer, double time);           ///< kept within the scenes
nm_viewer_pane *nm_viewer_focused(nm_viewer *viewer);              ///< NULL without an open scene

// viewer_pane.c
nm_status nm_viewer_pane_open(nm_viewer *viewer, uint32_t pane, int64_t id, nm_error *error);
void nm_viewer_show_parent(nm_viewer *viewer); ///< or says why not
void nm_viewer_pane_close(nm_viewer *viewer, uint32_t pane);
void nm_viewer_pane_fit(nm_viewer *viewer, uint32_t pane);                    ///< the camera shows what moves
void nm_viewer_pane_follow(nm_viewer *viewer, uint32_t pane, uint32_t track); ///< NM_NONE = nobody
void nm_viewer_pane_aim(nm_viewer *viewer, uint32_t pane);                    ///< brings the camera to who is followed
uint32_t nm_viewer_pane_pick(const nm_viewer *viewer, uint32_t pane, float x, float y); ///< track at a pixel
void nm_viewer_pane_next_camera(nm_viewer *viewer, uint32_t pane);
/// State of a track at a time between steps; 0 when it is not there. Headings turn the short way.
int nm_viewer_state_at(const nm_scene *scene, uint32_t track, float step, nm_state *state);

// viewer_list.c
void nm_viewer_list_key(nm_viewer *viewer, int key, int shift);
void nm_viewer_list_text(nm_viewer *viewer, const char *text);
void nm_viewer_list_click(nm_viewer *viewer, float x, float y);
void nm_viewer_list_wheel(nm_viewer *viewer, float amount);
/// px, and px per point; who was selected in sight stays in sight
void nm_viewer_list_resize(nm_viewer *viewer, int width, int height, float scale);
void nm_viewer_list_load_thumbnail(nm_viewer *viewer); ///< at most one
nm_viewer_thumbnail *nm_viewer_thumbnail_of(nm_viewer *viewer, int64_t id);
nm_status nm_viewer_list_reload(nm_viewer *viewer, nm_error *error); ///< asks the source anew; the selection stays
uint32_t nm_viewer_list_rows(const nm_viewer *viewer);               ///< that fit on the screen, >= 1

// viewer_layout.c
void nm_viewer_magnify(const nm_viewer *viewer, nm_drawing *drawing);                     ///< from points to px
void nm_viewer_draw_map(const nm_viewer *viewer, nm_drawing *drawing, const nm_map *map); ///< instead of what was in it
int nm_viewer_graphs_shown(const nm_viewer *viewer);
nm_panel nm_viewer_graphs(const nm_viewer *viewer, uint32_t pane); ///< where a pane's graphs are, and of what

// viewer_draw.c
void nm_viewer_draw_screen(nm_viewer *viewer);

#endif
