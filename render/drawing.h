/// What to draw, without saying how: triangles, strokes, boxes and labels, as plain arrays.
///
/// A drawing is filled by functions that look at a map, a scene, a recording of a denoising or a list of menu entries,
/// and is turned into pixels by a back end (renderer.h). So what a picture shows can be tested without a screen. The
/// same type serves the map (made once), what moves (made anew each frame), and the panels over the picture.
///
/// Frames: NM_SPACE_WORLD is the scene's (m, x east, y north, z up, headings counter-clockwise); NM_SPACE_SCREEN is
/// pixels of the picture, x right, y down, from the upper left corner. Colours are sRGB with straight alpha.
/// Order: lower `layer` first; in a layer triangles, strokes, boxes, labels; in each the order of adding.
///
/// A drawing owns its arrays. nm_drawing_clear keeps the memory, so that frame after frame allocates nothing once the
/// largest was seen. One thread at a time per drawing; constant drawings may be read by several.
#ifndef NM_RENDER_DRAWING_H
#define NM_RENDER_DRAWING_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nm_rgba {
    uint8_t r, g, b, a;
} nm_rgba;

typedef enum nm_space { NM_SPACE_WORLD = 0, NM_SPACE_SCREEN } nm_space;

/// What a primitive belongs to, from the ground up; a view shows a set of them (bit 1 << layer).
typedef enum nm_layer {
    NM_LAYER_CASING = 0, ///< surfaces a little wider, in the colour of edges: what shows of it outlines the roads
    NM_LAYER_GROUND,     ///< lane surfaces, areas
    NM_LAYER_MARKINGS,   ///< lane markings by type
    NM_LAYER_EDGES,      ///< road edges, kerbs
    NM_LAYER_CROSSINGS,  ///< crosswalks, stop lines
    NM_LAYER_CENTRES,    ///< centrelines with direction
    NM_LAYER_TRAILS,     ///< where agents were
    NM_LAYER_FUTURES,    ///< where they will be: logged or predicted
    NM_LAYER_PLAN,       ///< the planned trajectory of the ego
    NM_LAYER_AGENTS,
    NM_LAYER_SIGNALS,
    NM_LAYER_HIGHLIGHTS, ///< TTC, collisions, goals
    NM_LAYER_TOKENS,     ///< denoising: tokens coloured by level
    NM_LAYER_LABELS,
    NM_LAYER_PANEL, ///< graphs, scale bar, menus
    NM_LAYER_COUNT
} nm_layer;
#define NM_LAYERS_ALL ((1u << NM_LAYER_COUNT) - 1u)

typedef struct nm_vertex {
    float x, y, z; ///< z 0 in screen space
    nm_rgba colour;
} nm_vertex;

/// A run of triangles: vertices [first, first + count), count a multiple of 3.
typedef struct nm_triangles {
    uint32_t first, count;
    uint8_t layer;
} nm_triangles;

/// A polyline with round joins, drawn flat (world: on the ground at the points' z). Back ends draw no stroke thinner
/// than a pixel, however far away: what thins out with the distance cannot be read.
typedef struct nm_stroke {
    uint32_t first, count; ///< into points
    float width;           ///< m or px, by `pixels`
    float dash, gap;       ///< in the unit of the space, along the line; gap 0 = solid
    float phase;           ///< where in the pattern the line begins
    nm_rgba colour;
    uint8_t layer;
    uint8_t pixels; ///< 1: width in pixels whatever the zoom (always 1 in screen space)
    uint8_t closed; ///< 1: back to the first point
} nm_stroke;
typedef struct nm_point {
    float x, y, z;
} nm_point;

/// An upright body: a vehicle with its wheels, a person. World space only.
typedef enum nm_body { NM_BODY_BOX = 0, NM_BODY_CAR, NM_BODY_LONG, NM_BODY_CYCLE, NM_BODY_PERSON } nm_body;
typedef struct nm_box_body {
    float x, y, z;               ///< centre of the footprint, on the ground
    float heading;               ///< rad
    float length, width, height; ///< m
    float steering;              ///< rad, of the front wheels (cars): shows where they turn
    nm_rgba colour, outline;
    float outline_px; ///< 0 = none
    uint8_t body;     ///< nm_body
    uint8_t layer;
} nm_box_body;

typedef enum nm_anchor { NM_ANCHOR_LEFT = 0, NM_ANCHOR_CENTRE, NM_ANCHOR_RIGHT } nm_anchor;
typedef struct nm_label {
    float x, y, z;  ///< of the anchor: left, centre or right end of the text, at half its height
    uint32_t text;  ///< offset into `text`, terminated UTF-8
    float size;     ///< height of a capital letter, px
    nm_rgba colour; ///< of the letters
    nm_rgba halo;   ///< around them; alpha 0 = none
    uint8_t anchor; ///< nm_anchor
    uint8_t layer;
} nm_label;

typedef struct nm_drawing {
    nm_space space;
    uint32_t vertex_count, triangles_count, stroke_count, point_count, box_count, label_count, text_size;
    nm_vertex *vertices;
    nm_triangles *triangles;
    nm_stroke *strokes;
    nm_point *points;
    nm_box_body *boxes;
    nm_label *labels;
    char *text;
    uint32_t capacity[7]; ///< of the arrays, in the order of the counts
    int failed;           ///< memory ran out while adding: what was added since is missing. Cleared by clear
    uint64_t revision;    ///< changes with every clear and every addition: back ends upload anew when it does
    void *scratch;        ///< working memory of the functions that add, kept like the arrays
    size_t scratch_size;
} nm_drawing;

NM_API void nm_drawing_init(nm_drawing *drawing, nm_space space); ///< empty, no memory
NM_API void nm_drawing_free(nm_drawing *drawing);
NM_API void nm_drawing_clear(nm_drawing *drawing);
/// NM_E_MEMORY when something could not be added since the last clear.
NM_API nm_status nm_drawing_check(const nm_drawing *drawing, nm_error *error);

// Adding. Nothing is added for values that are not finite (counted as nothing, not as a failure).
// -----------------------

/// A filled polygon, any simple one (ear clipping), 3 points or more; z of all points. O(count^2) at worst.
NM_API void nm_draw_polygon(nm_drawing *drawing, nm_layer layer, const nm_point *points, uint32_t count,
                            nm_rgba colour);
/// A band between two lines of the same number of points, 2 or more.
NM_API void nm_draw_band(nm_drawing *drawing, nm_layer layer, const nm_point *left, const nm_point *right,
                         uint32_t count, nm_rgba colour);
NM_API void nm_draw_triangle(nm_drawing *drawing, nm_layer layer, nm_point a, nm_point b, nm_point c, nm_rgba colour);
/// An axis-parallel rectangle.
NM_API void nm_draw_rectangle(nm_drawing *drawing, nm_layer layer, float x0, float y0, float x1, float y1,
                              nm_rgba colour);
NM_API void nm_draw_disc(nm_drawing *drawing, nm_layer layer, nm_point centre, float radius, nm_rgba colour);
/// `style`: first, count are filled in; the points (2 or more) are copied. Nothing for a width of 0.
NM_API void nm_draw_stroke(nm_drawing *drawing, const nm_point *points, uint32_t count, nm_stroke style);
NM_API void nm_draw_box(nm_drawing *drawing, const nm_box_body *box);
/// `style`: text is filled in; formatted as printf. Control characters become spaces and what is not UTF-8 becomes '?'.
NM_API void nm_draw_label(nm_drawing *drawing, nm_label style, const char *format, ...) NM_PRINTF(3, 4);

/// Makes all that is measured in pixels `factor` (> 0) times as large: in screen space everything, in world space
/// labels, outlines and strokes with a width in pixels. For displays with small pixels: a drawing is made for a display
/// with ordinary ones, then magnified, once. Cost O(what is drawn).
NM_API void nm_drawing_magnify(nm_drawing *drawing, float factor);

/// Smallest box around all that is drawn (labels by their anchor). 0 when there is nothing.
NM_API int nm_drawing_bounds(const nm_drawing *drawing, nm_point *least, nm_point *most);

#ifdef __cplusplus
}
#endif
#endif
