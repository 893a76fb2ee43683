/// A whole picture of a scene: map, agents, panel. What stills, films, contact sheets and the viewer have in common.
#ifndef NM_RENDER_PICTURE_H
#define NM_RENDER_PICTURE_H

#include "render/renderer.h"
#include "render/scene_drawing.h"

#ifdef __cplusplus
extern "C" {
#endif

/// What a picture follows.
typedef enum nm_follow { NM_FOLLOW_NONE = 0, NM_FOLLOW_EGO, NM_FOLLOW_TRACK, NM_FOLLOW_MOMENT } nm_follow_kind;

typedef struct nm_picture_options {
    nm_theme_kind theme;
    nm_camera_kind camera;
    nm_follow_kind follow;  ///< default MOMENT when there is one, else EGO, else the middle of all agents
    uint32_t track;         ///< FOLLOW_TRACK
    float span;             ///< m the picture is high, bird's-eye; 0 = fit what moves, or what the followed one needs
    uint32_t layers;        ///< default all but centres
    int panel;              ///< 1 = graphs and time line under it (default); 0 = title and time in the corner
    nm_frame_options frame; ///< the view is filled in
    /// Asked now and then while a picture is created, which takes seconds for thousands of agents; nonzero ends it with
    /// NM_E_CANCELLED. NULL = never.
    int (*stop)(void *context);
    void *stop_context; ///< handed to `stop`; the caller's
} nm_picture_options;
NM_API nm_picture_options nm_picture_options_default(void);

/// Drawings of one scene, kept from frame to frame. The scene is borrowed, and so is what the options point to. The
/// title (nullable) is copied. NM_E_ARGUMENT when the options follow a track that there is not.
typedef struct nm_picture nm_picture;
NM_API nm_status nm_picture_create(const nm_scene *scene, const nm_picture_options *options, const char *title,
                                   nm_picture **picture, nm_error *error);
NM_API void nm_picture_destroy(nm_picture *picture); ///< NULL is fine
/// Options that make no sense for the scene are a caller's bug here.
NM_API void nm_picture_set_options(nm_picture *picture, const nm_picture_options *options);
/// The part of the viewport that shows the world, above the panel: what the functions of camera.h want to know.
NM_API nm_viewport nm_picture_world(const nm_picture *picture, nm_viewport viewport);
/// The camera at `step` of a picture of width x height px: follows what the options say, smoothly over time.
NM_API nm_camera nm_picture_camera(const nm_picture *picture, float step, int width, int height);
/// Draws into a viewport. camera NULL = nm_picture_camera.
NM_API nm_status nm_picture_draw(nm_picture *picture, nm_renderer *renderer, nm_viewport viewport, float step,
                                 const nm_camera *camera, nm_error *error);

#ifdef __cplusplus
}
#endif
#endif
