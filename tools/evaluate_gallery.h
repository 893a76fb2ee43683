/// The worst scenes of each planner, driven once more and drawn.
#ifndef NM_TOOLS_EVALUATE_GALLERY_H
#define NM_TOOLS_EVALUATE_GALLERY_H

#include "base/thread_pool.h"
#include "scenarios/evaluation_summary.h"

#define NM_EVALUATE_FRAMES 5u
#define NM_EVALUATE_FRAME_WIDTH 270  ///< px
#define NM_EVALUATE_FRAME_HEIGHT 330 ///< px
/// Of all pictures of a page together. With base64 and text it stays under 10 MB.
#define NM_EVALUATE_PICTURE_BYTES (6u << 20)

typedef struct nm_evaluate_frame {
    uint8_t *png; ///< own block
    size_t size;
    double seconds; ///< after the start
    int moment;     ///< 1: the one to look at
} nm_evaluate_frame;

typedef struct nm_evaluate_shot {
    const nm_results_row *row; ///< as in the results; borrowed
    nm_episode again;          ///< as it was driven for the picture; no scene
    char trouble[512];         ///< why there are no frames; "" = there are
    int64_t driven;            ///< id in the store of driven scenes; 0 = it is not there
    uint32_t other;            ///< track that is marked beside the ego; NM_NONE = none
    nm_evaluate_frame frames[NM_EVALUATE_FRAMES];
    size_t frame_count;
} nm_evaluate_shot;

typedef struct nm_evaluate_gallery {
    nm_evaluate_shot **shots; ///< [planners] the worst first
    size_t *counts;           ///< [planners]
    size_t planners;
    const char *driven; ///< path of the store of driven scenes; borrowed
} nm_evaluate_gallery;

/// Everything is borrowed during the call, `driven` longer.
typedef struct nm_evaluate_gallery_config {
    const char *store;  ///< path of the scenes
    const char *driven; ///< path of a store that is made, or added to
    const nm_episode_config *episode;
    int problems; ///< as in nm_evaluation_config
    /// Makes entrant number `planner` anew; called on the thread that is going to use it, by several at once.
    nm_status (*open)(void *context, size_t planner, nm_planner **out, nm_error *error);
    void *context;
    size_t most;                                   ///< scenes of a planner
    size_t bytes;                                  ///< of the pictures of a planner
    void (*progress)(void *context, size_t shots); ///< nullable
    int (*stop)(void *context);                    ///< nullable
} nm_evaluate_gallery_config;

/// How many scenes it will hold; SIZE_MAX without memory.
size_t nm_evaluate_gallery_size(const nm_evaluation_entrant *entrants, size_t count, size_t most);

/// A scene that cannot be driven or drawn (no EGL on this machine, a planner that does not start) is in the gallery
/// with the reason; so is one whose pictures would be beyond the planner's bytes. Scenes are driven by the threads of
/// the pool (among agents that a model drives by the calling one), and drawn one after the other: the same for any
/// number of threads. Errors are those of the stores and of memory, and NM_E_CANCELLED; *gallery is NULL then.
nm_status nm_evaluate_gallery_make(const nm_evaluate_gallery_config *config, const nm_evaluation_entrant *entrants,
                                   size_t count, nm_thread_pool *pool, nm_evaluate_gallery **gallery, nm_error *error);
void nm_evaluate_gallery_destroy(nm_evaluate_gallery *gallery); ///< NULL is fine

/// Pictures of driven scenes: evaluate_pictures.c, not in builds without graphics.
typedef struct nm_evaluate_painter nm_evaluate_painter;
nm_status nm_evaluate_painter_create(nm_evaluate_painter **painter, nm_error *error); ///< NM_E_UNSUPPORTED: no EGL
void nm_evaluate_painter_destroy(nm_evaluate_painter *painter);                       ///< NULL is fine
/// What surrounds a frame.
typedef struct nm_evaluate_scenery {
    const nm_scene *scene;    ///< driven
    const nm_scene *recorded; ///< nullable: where the ego's recording went is dotted
    uint32_t ego, other;      ///< tracks; other NM_NONE = nobody
    uint32_t start, moment;   ///< steps; the picture's up is where the ego heads at `moment`
} nm_evaluate_scenery;
/// Fills in the frame's picture; its `moment` says whether rings are drawn.
nm_status nm_evaluate_paint(nm_evaluate_painter *painter, const nm_evaluate_scenery *scenery, uint32_t step,
                            nm_evaluate_frame *frame, nm_error *error);

#endif
