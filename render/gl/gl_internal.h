/// Private to render/gl: what a renderer holds and the steps from a drawing to draw calls.
///
/// A drawing becomes vertex buffers sorted by layer (upload.c), kept in a slot and made anew when its revision changes.
/// Every vertex is written out instead of instanced, but for the bodies of perspective views: software renderers run an
/// instance of four vertices at the price of many.
#ifndef NM_RENDER_GL_INTERNAL_H
#define NM_RENDER_GL_INTERNAL_H

#include <epoxy/gl.h>

#include "render/renderer.h"

#define NM_GL_SLOTS 8       ///< drawings kept on the GPU; the longest unused one makes room
#define NM_GL_BODY_KINDS 5  ///< values of nm_body
#define NM_GL_CACHE_EDGE 64 ///< px that the picture of what stands still is wider on every side

/// Memory that grows and is kept: after the largest frame there is no allocation.
typedef struct nm_gl_scratch {
    void *data;
    size_t capacity;
} nm_gl_scratch;
/// `size` bytes, what was in it is kept; NULL without memory.
void *nm_gl_scratch_reserve(nm_gl_scratch *scratch, size_t size);

/// A buffer object that grows.
typedef struct nm_gl_buffer {
    GLuint name;
    size_t capacity;
} nm_gl_buffer;
/// Replaces the content. `still`: it will be drawn many times.
void nm_gl_buffer_set(nm_gl_buffer *buffer, GLenum target, const void *data, size_t size, int still);

/// A corner of a triangle or of the seam around a run of them.
typedef struct nm_gl_flat_vertex {
    float x, y, z;
    nm_rgba colour;
    int16_t push[2]; ///< moved by so many px / NM_GL_PUSH
} nm_gl_flat_vertex;
#define NM_GL_PUSH 8192.0f

/// One segment of a stroke, once per corner. Layout of the vertex buffer.
typedef struct nm_gl_segment {
    float a[3], b[3];
    int16_t cut_a[2], cut_b[2]; ///< normals of the planes that end it, forward, in (along, left); 32767 = 1
    float along;                ///< distance of `a` along the line, dash phase included
    float width, dash, gap;
    nm_rgba colour;
    uint8_t flags; ///< NM_GL_SEGMENT_...
    uint8_t reserved[3];
} nm_gl_segment;
#define NM_GL_SEGMENT_PIXELS 1u
#define NM_GL_SEGMENT_FREE_A 2u ///< nothing joins at a: the cut is a smooth edge
#define NM_GL_SEGMENT_FREE_B 4u

typedef struct nm_gl_span {
    uint32_t first, count;
} nm_gl_span;

/// What a drawing has in one layer: spans of its buffers.
typedef struct nm_gl_layer {
    nm_gl_span flats;                    ///< vertices
    nm_gl_span segments;                 ///< vertices
    nm_gl_span bodies[NM_GL_BODY_KINDS]; ///< side by side
    uint32_t labels;
} nm_gl_layer;

typedef struct nm_gl_slot {
    const nm_drawing *drawing; ///< NULL = free
    uint64_t revision, sample; ///< identity of the content: an address may be used again by another drawing
    uint64_t last_use, generation;
    int still; ///< 1: was not uploaded at its last use
    nm_gl_layer layers[NM_LAYER_COUNT];
    GLuint flat_array, segment_array, body_array, solid_array;
    nm_gl_buffer flats, segments, bodies;
} nm_gl_slot;

/// Vertices of all layers, made on the CPU (upload.c).
typedef struct nm_gl_upload {
    nm_gl_scratch flats, segments, bodies, line, edges, table;
    uint32_t segment_count, flat_count;
    int failed;
} nm_gl_upload;
/// Fills the scratch buffers and `layers` from a drawing.
void nm_gl_upload_build(nm_gl_upload *upload, const nm_drawing *drawing, nm_gl_layer layers[NM_LAYER_COUNT]);
/// Adds a stroke of points; world space ones are thinned where they are straight. (strokes.c)
void nm_gl_add_line(nm_gl_upload *upload, const nm_drawing *drawing, const nm_point *points, uint32_t count,
                    const nm_stroke *style);
/// Drops points that repeat the one before, and those that lie within the tolerance (m, 0 = none) of what is left; in
/// place. Returns how many are left. (strokes.c)
uint32_t nm_gl_thin_line(nm_point *points, uint32_t count, float tolerance);
/// Room for more vertices; NULL without memory, which is noted.
nm_gl_flat_vertex *nm_gl_more_flats(nm_gl_upload *upload, uint32_t count);
/// Vertices from `first` on, before `end`, that can share a seam: *plain 1 = triangles of one colour; 0 = of several.
uint32_t nm_gl_next_part(const nm_drawing *drawing, uint32_t first, uint32_t end, int *plain);
/// Adds the seam around triangles of one colour: their edges are smooth then. (fringe.c)
void nm_gl_add_fringe(nm_gl_upload *upload, const nm_drawing *drawing, uint32_t first, uint32_t count);
void nm_gl_upload_free(nm_gl_upload *upload);

typedef enum nm_gl_program_kind {
    NM_GL_FLAT = 0,
    NM_GL_STROKE,       ///< one scale for the whole picture
    NM_GL_STROKE_DEPTH, ///< perspective
    NM_GL_SPRITE,       ///< bodies from above
    NM_GL_SOLID,        ///< bodies in perspective
    NM_GL_GLYPH,
    NM_GL_PROGRAM_COUNT
} nm_gl_program_kind;

typedef struct nm_gl_program {
    GLuint name;
    GLint matrix, view;
} nm_gl_program;
nm_status nm_gl_programs_create(nm_gl_program programs[NM_GL_PROGRAM_COUNT], nm_error *error);
void nm_gl_programs_destroy(nm_gl_program programs[NM_GL_PROGRAM_COUNT]);

/// Meshes of the bodies: one vertex buffer, a span per kind. (bodies.c)
typedef struct nm_gl_meshes {
    GLuint buffer;
    nm_gl_span kinds[NM_GL_BODY_KINDS];
} nm_gl_meshes;
typedef struct nm_gl_mesh_vertex {
    float unit[3];   ///< times length, width, height
    float metric[3]; ///< m, added
    int8_t normal[4];
    uint8_t part, reserved[3]; ///< 0 paint, 1 glass, 2 wheel, 3 steered wheel, 4 head light, 5 tail light
} nm_gl_mesh_vertex;
nm_status nm_gl_meshes_create(nm_gl_meshes *meshes, nm_error *error); ///< NM_E_MEMORY

/// Text (font.c). Glyphs are rasterised at the size they are shown in, when they are first needed.
typedef struct nm_gl_font nm_gl_font;
typedef struct nm_gl_glyph {
    int16_t x, y, width, height; ///< in the atlas, the halo's edge included
    int16_t left, top;           ///< px from the pen to its upper left corner, top upwards
    int16_t advance;             ///< px
} nm_gl_glyph;
typedef struct nm_gl_glyph_vertex {
    float x, y; ///< px of the viewport, y down
    uint16_t u, v;
    nm_rgba colour;
    uint8_t halo, reserved[3];
} nm_gl_glyph_vertex;
nm_status nm_gl_font_create(nm_gl_font **font, nm_error *error);
void nm_gl_font_destroy(nm_gl_font *font);
GLuint nm_gl_font_atlas(const nm_gl_font *font);
int nm_gl_font_lacked_memory(nm_gl_font *font); ///< 1: letters were left out since this was asked last
float nm_gl_font_width(nm_gl_font *font, const char *text, float size);
/// Adds the quads of a label whose anchor is at pixel (x, y): halo first. Returns the new number of vertices.
size_t nm_gl_font_add(nm_gl_font *font, const nm_label *label, const char *text, float x, float y,
                      nm_gl_scratch *vertices, size_t count);

struct nm_renderer {
    nm_gl_program programs[NM_GL_PROGRAM_COUNT];
    nm_gl_font *font;
    nm_gl_meshes meshes;
    nm_gl_upload upload;
    nm_gl_slot slots[NM_GL_SLOTS];
    uint64_t calls; ///< of world and screen: the clock of last_use
    GLuint quads;   ///< indices of quads, shared by strokes, sprites and glyphs
    uint32_t quad_capacity;
    GLuint glyph_array;
    nm_gl_buffer glyphs;
    nm_gl_scratch glyph_vertices;
    int no_memory; ///< something was left out since the last check
    GLenum error;  ///< GL's first since then, as far as nm_gl_take_errors took it out of GL's queue
    // What stands still, as a texture (cache.c).
    struct {
        GLuint texture, framebuffer;
        int width, height;   ///< of the texture, wanted
        int usable;          ///< 1: there is one of that size
        uint64_t key;        ///< of its content, 0 = none
        uint64_t wanted_key; ///< of the last call
        double x, y;         ///< px of its middle in the frame of the camera's axes
    } cache;
    struct {
        nm_viewport viewport;
        nm_rgba colour;
        int pending; ///< nothing was drawn since
    } cleared;
    char name[160];
};

/// How a world call sees: the matrix and the scale.
typedef struct nm_gl_view {
    nm_viewport viewport;
    nm_camera camera; ///< bird: moved to whole pixels
    float matrix[16];
    float pixel;       ///< m per px; perspective: per px at distance 1
    int bird;          ///< one scale everywhere
    double px_x, px_y; ///< bird: the target in px along the camera's axes
} nm_gl_view;

/// Slot of a drawing, uploaded when it has to be. NULL without memory.
nm_gl_slot *nm_gl_slot_of(nm_renderer *renderer, const nm_drawing *drawing);
/// Makes the index buffer long enough for quads of `vertices`. 0 without memory.
int nm_gl_reserve_quads(nm_renderer *renderer, uint32_t vertices);
/// Draws layers [first, end) of the slots through the view.
void nm_gl_draw_layers(nm_renderer *renderer, const nm_gl_view *view, uint32_t layers, int first, int end,
                       nm_gl_slot *const *slots, size_t count);
/// Draws what stands still below the first layer that moves from the texture, made when it is seen the second time.
/// Returns the first layer that is not drawn yet (0 = none was drawn).
int nm_gl_cache_draw(nm_renderer *renderer, const nm_gl_view *view, uint32_t layers, nm_gl_slot *const *slots,
                     size_t count);
void nm_gl_cache_free(nm_renderer *renderer);
/// Empties GL's queue of errors; returns the first. A lost context never runs out of them: some at most.
GLenum nm_gl_drop_errors(void);
/// The same, but the renderer's next check tells the first: before a call whose own failure is nobody's affair.
void nm_gl_take_errors(nm_renderer *renderer);
void nm_gl_set_viewport(nm_viewport viewport);

#endif
