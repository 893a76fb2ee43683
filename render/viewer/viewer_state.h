/// The interactive viewer without its window: all that it knows, what events do to it, and how it looks.
///
/// Nothing here knows SDL or needs a display: events come in as plain data, pictures go out as drawings. viewer_sdl.h
/// is the window around it. Scenes come from a source that the program fills (a store, a built-in map, one file), since
/// render/ knows no store.
///
/// Lengths on the screen are in points: pixels over the scale, which says how many pixels of the display what was made
/// for one takes (2 on most displays with small pixels). Sizes of the window and the mouse come in pixels.
///
/// One thread. Time is the scene's, in s from its first step; it never leaves the scene that is longest.
#ifndef NM_RENDER_VIEWER_STATE_H
#define NM_RENDER_VIEWER_STATE_H

#include "render/denoising.h"
#include "render/picture.h"

#ifdef __cplusplus
extern "C" {
#endif

// --- where scenes come from ------------------------------------------------------------------------------------------

/// One line of the list. Texts may hold anything a file smuggled in: the viewer escapes them.
typedef struct nm_viewer_entry {
    int64_t id;
    char name[96], source[32];
    char kinds[96]; ///< of its events, separated by spaces; "" = none known
    char tags[96];  ///< separated by spaces; "" = the viewer takes them from the scene when it makes the small picture
    float severity, min_ttc; ///< [0, 1], s; NaN = unknown
} nm_viewer_entry;

/// An open scene. `owner` is the source's.
typedef struct nm_viewer_scene {
    const nm_scene *scene;
    const nm_moment *moments; ///< by peak step; their kinds live as long as the scene
    uint32_t moment_count;
    void *owner;
} nm_viewer_scene;

/// `filter` narrows the list to what fits the text ("" = everything; what it means is the source's affair) and leaves
/// it as it was on failure. Indices are below count(), which only filter changes. `load` opens; the viewer gives back
/// every scene it opened through `release`, at the latest in nm_viewer_destroy.
typedef struct nm_viewer_source {
    void *context;
    uint32_t (*count)(void *context);
    nm_status (*entry)(void *context, uint32_t index, nm_viewer_entry *entry, nm_error *error);
    nm_status (*filter)(void *context, const char *text, nm_error *error);
    nm_status (*load)(void *context, int64_t id, nm_viewer_scene *scene, nm_error *error);
    void (*release)(void *context, nm_viewer_scene *scene);
} nm_viewer_source;

/// The scene whose content has this hash (nm_scene.hash), so that a scene is found that another was made from.
/// NM_E_NOT_FOUND when the source has none.
typedef nm_status nm_viewer_finder(void *context, uint64_t hash, int64_t *id, nm_error *error);

// --- what happens to it ----------------------------------------------------------------------------------------------

typedef enum nm_viewer_event_kind {
    NM_VIEWER_KEY = 0,    ///< a key went down: key, shift
    NM_VIEWER_TEXT,       ///< a character was typed: text; '?' and '/' arrive here whatever the keyboard
    NM_VIEWER_MOUSE_DOWN, ///< x, y, button (1 left, 2 middle, 3 right), shift
    NM_VIEWER_MOUSE_UP,   ///< x, y, button
    NM_VIEWER_MOUSE_MOVE, ///< x, y
    NM_VIEWER_WHEEL,      ///< x, y, amount (> 0 away from the user)
    NM_VIEWER_RESIZE,     ///< width, height, px; amount: the scale, cut to [0.25, 8]; 0 = as before
    NM_VIEWER_VISIBILITY, ///< amount 0: minimised or hidden, nothing needs drawing; 1: back
    NM_VIEWER_CLOSE,      ///< the window's cross
    NM_VIEWER_TICK        ///< amount: s since the last tick; negative and huge ones are cut to [0, 0.25]
} nm_viewer_event_kind;

/// Keys that are letters, digits and signs are their (lower case) ASCII code.
typedef enum nm_viewer_key {
    NM_KEY_NONE = 0,
    NM_KEY_SPACE = ' ',
    NM_KEY_ENTER = 256,
    NM_KEY_ESCAPE,
    NM_KEY_BACKSPACE,
    NM_KEY_TAB,
    NM_KEY_LEFT,
    NM_KEY_RIGHT,
    NM_KEY_UP,
    NM_KEY_DOWN,
    NM_KEY_PAGE_UP,
    NM_KEY_PAGE_DOWN,
    NM_KEY_HOME,
    NM_KEY_END,
    NM_KEY_F1,
    NM_KEY_F5,
    NM_KEY_F12
} nm_viewer_key;

typedef struct nm_viewer_event {
    nm_viewer_event_kind kind;
    int key; ///< nm_viewer_key or ASCII
    int shift;
    char text[8]; ///< one UTF-8 character, terminated
    float x, y;   ///< px from the upper left corner; not finite: where the mouse was last
    int button;
    int width, height;
    float amount;
} nm_viewer_event;

// --- the viewer ------------------------------------------------------------------------------------------------------

typedef enum nm_viewer_mode { NM_VIEWER_LIST = 0, NM_VIEWER_SCENE, NM_VIEWER_DENOISING } nm_viewer_mode;
#define NM_VIEWER_PANES 2u

typedef struct nm_viewer_config {
    const nm_viewer_source *source; ///< copied; NULL = no list
    nm_viewer_finder *find;         ///< among the scenes of `source`; NULL = nothing is found
    void *find_context;
    const nm_denoising *denoising; ///< borrowed; shown at once. NULL = none
    nm_theme_kind theme;           ///< default day
    int width, height;             ///< px, [160, 8192]; default 1280 x 800
    float scale;                   ///< px per point, [0.25, 8]; default 1
    float live_seconds;            ///< s that a live run can last, (0, 600]; default 120
    uint64_t seed;                 ///< of live runs; default 0
    uint32_t thumbnails;           ///< kept at most, [1, 1024]; default 48
} nm_viewer_config;
NM_API nm_viewer_config nm_viewer_config_default(void);

typedef struct nm_viewer nm_viewer;
/// NM_E_ARGUMENT for a value out of range; NM_E_MEMORY.
NM_API nm_status nm_viewer_create(const nm_viewer_config *config, nm_viewer **viewer, nm_error *error);
NM_API void nm_viewer_destroy(nm_viewer *viewer); ///< NULL is fine

/// Opens a scene of the source in pane 0, or beside what is open there in pane 1.
NM_API nm_status nm_viewer_open(nm_viewer *viewer, int64_t id, int beside, nm_error *error);
/// Opens the scene that the one with the focus was made from (provenance.parent) in the other pane, at the same time.
/// NM_E_NOT_FOUND when it was made from none, or from one that the source does not have.
NM_API nm_status nm_viewer_open_parent(nm_viewer *viewer, nm_error *error);
/// Starts a live run in the pane that has the focus, from the step of its recording that is nearest to the time shown
/// (its last one after its end): every agent reacts (NM_POLICY_IDM). A live run that goes on there is given up.
NM_API nm_status nm_viewer_start_live(nm_viewer *viewer, nm_error *error);
/// Changes the list, as typing a filter does. NM_E_LIMIT for more than NM_VIEWER_FILTER_BYTES; what the source says.
/// The list is as it was then.
#define NM_VIEWER_FILTER_BYTES 159u
NM_API nm_status nm_viewer_set_filter(nm_viewer *viewer, const char *text, nm_error *error);

/// Whatever fails on the way becomes the message line; no event ends the viewer but closing it.
NM_API void nm_viewer_event_handle(nm_viewer *viewer, const nm_viewer_event *event);
/// Shorter: a key, a character, a tick.
NM_API void nm_viewer_press(nm_viewer *viewer, int key);
NM_API void nm_viewer_type(nm_viewer *viewer, const char *text);
NM_API void nm_viewer_tick(nm_viewer *viewer, float seconds);

/// What can be asked, by the window, by tests and by the window's title.
typedef struct nm_viewer_status {
    nm_viewer_mode mode;
    int closed;    ///< the window is to go
    int visible;   ///< 0: nothing needs drawing
    int animating; ///< 1: the next tick changes the picture by itself
    int help, filtering;
    uint32_t entries, selected; ///< of the list; selected < entries, or 0
    const char *filter;
    uint32_t panes, focus;
    int64_t scene[NM_VIEWER_PANES]; ///< ids
    int live[NM_VIEWER_PANES];
    float step[NM_VIEWER_PANES];       ///< shown, in [0, steps - 1]
    uint32_t steps[NM_VIEWER_PANES];   ///< that can be shown
    uint32_t follow[NM_VIEWER_PANES];  ///< track, or NM_NONE
    nm_camera camera[NM_VIEWER_PANES]; ///< as drawn
    double time, duration;             ///< s
    int playing;
    float speed;     ///< of time, 1 = as it was
    uint32_t layers; ///< shown, 1 << nm_layer
    int labels;      ///< as nm_frame_options
    int panel;       ///< graphs shown
    float scale;     ///< px per point
    nm_theme_kind theme;
    uint32_t pass, passes; ///< of the denoising
    uint32_t thumbnails;   ///< held now
    const char *message;   ///< "" = none
} nm_viewer_status;
NM_API nm_viewer_status nm_viewer_get(const nm_viewer *viewer);
/// One line that tells the state: for the window's title. At most `size` bytes, always terminated; returns the length
/// that the whole line has.
NM_API size_t nm_viewer_title(const nm_viewer *viewer, char *text, size_t size);
/// Says something in the message line, where it stays for 4 s. Formatted as printf.
NM_API void nm_viewer_say(nm_viewer *viewer, const char *format, ...) NM_PRINTF(2, 3);

/// 1 once after a screenshot was asked for: the caller writes the picture and says where (nm_viewer_say). name [out]: a
/// file name without folder that tells scene and step.
NM_API int nm_viewer_take_screenshot(nm_viewer *viewer, char *name, size_t size);

/// A part of the picture: screen-space panels (camera unused) or a world under a camera.
typedef struct nm_viewer_view {
    nm_viewport viewport;
    nm_camera camera;
    nm_rgba background;
    uint32_t layers;            ///< shown, 1 << nm_layer
    const nm_drawing *world[3]; ///< map, frame and tokens; NULL ones at the end
    uint32_t world_count;
} nm_viewer_view;
#define NM_VIEWER_MAX_VIEWS 64u

/// Brings all drawings up to date. Allocates nothing once the largest frame was seen. *views lives in the viewer until
/// the next call; the screen drawings lie over everything, the second over the first.
NM_API nm_status nm_viewer_compose(nm_viewer *viewer, const nm_viewer_view **views, uint32_t *count,
                                   const nm_drawing *screen[2], nm_error *error);
/// Composes and draws into the framebuffer that is bound.
NM_API nm_status nm_viewer_draw(nm_viewer *viewer, nm_renderer *renderer, nm_error *error);

/// Where things are, points: for tests, and for whoever points at them.
typedef struct nm_viewer_rect {
    float x, y, width, height;
} nm_viewer_rect;
NM_API nm_viewer_rect nm_viewer_pane_rect(const nm_viewer *viewer, uint32_t pane);
NM_API nm_viewer_rect nm_viewer_timeline_rect(const nm_viewer *viewer);
/// Of an entry of the list; height 0 when it is scrolled out of sight.
NM_API nm_viewer_rect nm_viewer_entry_rect(const nm_viewer *viewer, uint32_t index);

#ifdef __cplusplus
}
#endif
#endif
