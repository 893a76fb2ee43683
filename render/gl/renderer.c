/// The renderer: its life, and a call from viewport to pixels.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render/gl/gl_internal.h"

#define DRAWINGS_MAX NM_GL_SLOTS // of one call

static void create_glyph_array(nm_renderer *renderer) {
    const GLsizei stride = sizeof(nm_gl_glyph_vertex);
    glGenBuffers(1, &renderer->glyphs.name);
    glGenVertexArrays(1, &renderer->glyph_array);
    glBindVertexArray(renderer->glyph_array);
    glBindBuffer(GL_ELEMENT_ARRAY_BUFFER, renderer->quads);
    glBindBuffer(GL_ARRAY_BUFFER, renderer->glyphs.name);
    for (GLuint i = 0; i < 4; i++) glEnableVertexAttribArray(i);
    glVertexAttribPointer(0, 2, GL_FLOAT, GL_FALSE, stride, (const void *)offsetof(nm_gl_glyph_vertex, x));
    glVertexAttribPointer(1, 2, GL_UNSIGNED_SHORT, GL_FALSE, stride, (const void *)offsetof(nm_gl_glyph_vertex, u));
    glVertexAttribPointer(2, 4, GL_UNSIGNED_BYTE, GL_TRUE, stride, (const void *)offsetof(nm_gl_glyph_vertex, colour));
    glVertexAttribIPointer(3, 1, GL_UNSIGNED_BYTE, stride, (const void *)offsetof(nm_gl_glyph_vertex, halo));
}

nm_status nm_renderer_create(nm_renderer **result, nm_error *error) {
    *result = NULL;
    const int version = epoxy_gl_version(); // of the current context
    if (!epoxy_is_desktop_gl() || version < 33)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "OpenGL 3.3 is needed; this is %s %d.%d",
                        epoxy_is_desktop_gl() ? "OpenGL" : "OpenGL ES", version / 10, version % 10);
    nm_renderer *renderer = calloc(1, sizeof *renderer);
    if (!renderer) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    nm_gl_drop_errors(); // what others left behind is not ours to report
    const char *name = (const char *)glGetString(GL_RENDERER), *text = (const char *)glGetString(GL_VERSION);
    snprintf(renderer->name, sizeof renderer->name, "%.100s, OpenGL %.50s", name ? name : "?", text ? text : "?");
    glGenBuffers(1, &renderer->quads);
    create_glyph_array(renderer);
    nm_status status = nm_gl_meshes_create(&renderer->meshes, error);
    if (status == NM_OK) status = nm_gl_programs_create(renderer->programs, error);
    if (status == NM_OK) status = nm_gl_font_create(&renderer->font, error);
    if (status == NM_OK) status = nm_renderer_check(renderer, error);
    if (status != NM_OK) {
        nm_renderer_destroy(renderer);
        return status;
    }
    *result = renderer;
    return NM_OK;
}

void nm_renderer_destroy(nm_renderer *renderer) {
    if (!renderer) return;
    for (int i = 0; i < NM_GL_SLOTS; i++) {
        nm_gl_slot *slot = &renderer->slots[i];
        const GLuint buffers[3] = {slot->flats.name, slot->segments.name, slot->bodies.name};
        const GLuint arrays[4] = {slot->flat_array, slot->segment_array, slot->body_array, slot->solid_array};
        glDeleteBuffers(3, buffers);
        glDeleteVertexArrays(4, arrays);
    }
    const GLuint buffers[3] = {renderer->quads, renderer->glyphs.name, renderer->meshes.buffer};
    glDeleteBuffers(3, buffers);
    glDeleteVertexArrays(1, &renderer->glyph_array);
    nm_gl_cache_free(renderer);
    nm_gl_programs_destroy(renderer->programs);
    nm_gl_font_destroy(renderer->font);
    nm_gl_upload_free(&renderer->upload);
    free(renderer->glyph_vertices.data);
    free(renderer);
}

void nm_gl_set_viewport(nm_viewport viewport) {
    const int y = viewport.full_height - viewport.y - viewport.height;
    glViewport(viewport.x, y, viewport.width, viewport.height);
    glScissor(viewport.x, y, viewport.width, viewport.height);
    glEnable(GL_SCISSOR_TEST);
}

void nm_renderer_clear(nm_renderer *renderer, nm_viewport viewport, nm_rgba colour) {
    nm_gl_set_viewport(viewport);
    glColorMask(GL_TRUE, GL_TRUE, GL_TRUE, GL_TRUE);
    glClearColor((float)colour.r / 255.0f, (float)colour.g / 255.0f, (float)colour.b / 255.0f,
                 (float)colour.a / 255.0f);
    glClear(GL_COLOR_BUFFER_BIT);
    renderer->cleared.viewport = viewport;
    renderer->cleared.colour = colour;
    renderer->cleared.pending = 1;
}

/// State that others (a window's toolkit) may have changed.
static void set_state(nm_viewport viewport) {
    nm_gl_set_viewport(viewport);
    glActiveTexture(GL_TEXTURE0);
    glDisable(GL_CULL_FACE);
    glDisable(GL_DEPTH_TEST);
    glDisable(GL_STENCIL_TEST);
    glColorMask(GL_TRUE, GL_TRUE, GL_TRUE, GL_TRUE);
    glPolygonMode(GL_FRONT_AND_BACK, GL_FILL);
    glBlendEquation(GL_FUNC_ADD);
    // The picture's own alpha stays what clear made it.
    glBlendFuncSeparate(GL_SRC_ALPHA, GL_ONE_MINUS_SRC_ALPHA, GL_ZERO, GL_ONE);
}

/// Moves a bird's-eye camera to whole pixels: what stands still then does not shimmer while the camera pans, and the
/// kept picture of it (cache.c) fits without being sampled between its pixels.
static void snap(nm_gl_view *view) {
    const double scale = 1.0 / (double)view->pixel;
    const double ux = cos((double)view->camera.yaw), uy = sin((double)view->camera.yaw);
    const double x = (double)view->camera.target.x, y = (double)view->camera.target.y;
    view->px_x = round((x * uy - y * ux) * scale); // right of `up`
    view->px_y = round((x * ux + y * uy) * scale);
    const double right = view->px_x / scale, up = view->px_y / scale;
    view->camera.target.x = (float)(right * uy + up * ux);
    view->camera.target.y = (float)(up * uy - right * ux);
}

static nm_gl_view world_view(nm_viewport viewport, const nm_camera *camera) {
    nm_gl_view view = {.viewport = viewport, .camera = *camera};
    const float width = (float)viewport.width, height = (float)viewport.height;
    view.bird = camera->kind == NM_CAMERA_BIRD;
    if (view.bird) {
        view.pixel = camera->span / height;
        snap(&view);
    } else {
        view.pixel = 2.0f * tanf(0.5f * camera->fov) / height;
    }
    nm_camera_matrix(&view.camera, width, height, view.matrix);
    return view;
}

static nm_gl_view screen_view(nm_viewport viewport) {
    nm_gl_view view = {.viewport = viewport, .pixel = 1.0f, .bird = 1};
    view.matrix[0] = 2.0f / (float)viewport.width;
    view.matrix[5] = -2.0f / (float)viewport.height;
    view.matrix[10] = view.matrix[15] = 1.0f;
    view.matrix[12] = -1.0f;
    view.matrix[13] = 1.0f;
    return view;
}

/// Slots of the drawings that have one, in order. Those without (no memory) are left out; GL's error is kept for check.
static size_t slots_of(nm_renderer *renderer, const nm_drawing *const *drawings, size_t count, nm_space space,
                       nm_gl_slot *slots[DRAWINGS_MAX]) {
    size_t found = 0;
    NM_ASSERT(count <= DRAWINGS_MAX);
    renderer->calls++;
    for (size_t i = 0; i < count; i++) {
        NM_ASSERT(drawings[i]->space == space);
        slots[found] = nm_gl_slot_of(renderer, drawings[i]);
        if (slots[found])
            found++;
        else
            renderer->no_memory = 1;
    }
    return found;
}

void nm_renderer_world(nm_renderer *renderer, nm_viewport viewport, const nm_camera *camera, uint32_t layers,
                       const nm_drawing *const *drawings, size_t count) {
    nm_gl_slot *slots[DRAWINGS_MAX];
    const nm_gl_view view = world_view(viewport, camera);
    set_state(viewport);
    count = slots_of(renderer, drawings, count, NM_SPACE_WORLD, slots);
    if (!view.bird) { // bodies hide each other by depth
        glDepthMask(GL_TRUE);
        glClear(GL_DEPTH_BUFFER_BIT);
    }
    const int first = nm_gl_cache_draw(renderer, &view, layers, slots, count);
    nm_gl_set_viewport(viewport);
    nm_gl_draw_layers(renderer, &view, layers, first, NM_LAYER_COUNT, slots, count);
    renderer->cleared.pending = 0;
}

void nm_renderer_screen(nm_renderer *renderer, nm_viewport viewport, uint32_t layers, const nm_drawing *const *drawings,
                        size_t count) {
    nm_gl_slot *slots[DRAWINGS_MAX];
    const nm_gl_view view = screen_view(viewport);
    set_state(viewport);
    count = slots_of(renderer, drawings, count, NM_SPACE_SCREEN, slots);
    nm_gl_draw_layers(renderer, &view, layers, 0, NM_LAYER_COUNT, slots, count);
    renderer->cleared.pending = 0;
}

void nm_renderer_finish(nm_renderer *renderer) {
    (void)renderer;
    glFinish();
}

float nm_renderer_text_width(const nm_renderer *renderer, const char *text, float size) {
    return nm_gl_font_width(renderer->font, text, size);
}

static const char *gl_error_name(GLenum code) {
    switch (code) {
    case GL_INVALID_ENUM:
        return "GL_INVALID_ENUM";
    case GL_INVALID_VALUE:
        return "GL_INVALID_VALUE";
    case GL_INVALID_OPERATION:
        return "GL_INVALID_OPERATION";
    case GL_INVALID_FRAMEBUFFER_OPERATION:
        return "GL_INVALID_FRAMEBUFFER_OPERATION";
    case GL_OUT_OF_MEMORY:
        return "GL_OUT_OF_MEMORY";
    default:
        return "an error without a name";
    }
}

GLenum nm_gl_drop_errors(void) {
    const GLenum first = glGetError();
    for (int i = 0; i < 16 && first != GL_NO_ERROR && glGetError() != GL_NO_ERROR; i++) {
    }
    return first;
}

void nm_gl_take_errors(nm_renderer *renderer) {
    const GLenum first = nm_gl_drop_errors();
    if (renderer->error == GL_NO_ERROR) renderer->error = first;
}

nm_status nm_renderer_check(nm_renderer *renderer, nm_error *error) {
    nm_gl_take_errors(renderer);
    const GLenum first = renderer->error;
    const int no_text = renderer->font && nm_gl_font_lacked_memory(renderer->font);
    const int no_memory = renderer->no_memory || no_text;
    renderer->error = GL_NO_ERROR;
    renderer->no_memory = 0;
    if (first != GL_NO_ERROR)
        return NM_ERROR(error, NM_E_NUMERIC, "OpenGL reports %s (0x%04x) on %s", gl_error_name(first), first,
                        renderer->name);
    return no_memory ? NM_ERROR(error, NM_E_MEMORY, "out of memory while drawing") : NM_OK;
}

const char *nm_renderer_name(const nm_renderer *renderer) {
    return renderer->name;
}
