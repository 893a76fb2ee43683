/// What stands still, kept as a texture: under a bird's-eye camera that stands or pans the map is drawn once and then
/// copied. A software renderer is bound by the pixels it fills, and a map fills each of them several times.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/gl/gl_internal.h"

static int has_content(const nm_gl_layer *layer) {
    uint32_t bodies = 0;
    for (int kind = 0; kind < NM_GL_BODY_KINDS; kind++) bodies += layer->bodies[kind].count;
    return layer->flats.count || layer->segments.count || bodies || layer->labels;
}

/// The first shown layer that can not be kept: something in it moves, or it has text, which stays upright and of one
/// size in pixels wherever the picture is cut.
static int first_moving(uint32_t layers, nm_gl_slot *const *slots, size_t count) {
    for (int layer = 0; layer < NM_LAYER_COUNT; layer++)
        for (size_t i = 0; i < count; i++) {
            const nm_gl_layer *content = &slots[i]->layers[layer];
            if (!(layers >> layer & 1) || !has_content(content)) continue;
            if (!slots[i]->still || content->labels) return layer;
        }
    return NM_LAYER_COUNT;
}

static uint64_t mix(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001B3u;
    return hash;
}

/// Everything the texture's content depends on, except for the place.
static uint64_t key_of(const nm_renderer *renderer, const nm_gl_view *view, uint32_t layers, int end,
                       nm_gl_slot *const *slots, size_t count) {
    uint64_t hash = 0xCBF29CE484222325u;
    const int size[2] = {view->viewport.width, view->viewport.height};
    hash = mix(hash, size, sizeof size);
    hash = mix(hash, &view->camera.yaw, sizeof view->camera.yaw);
    hash = mix(hash, &view->camera.span, sizeof view->camera.span);
    hash = mix(hash, &view->camera.target.z, sizeof view->camera.target.z);
    hash = mix(hash, &renderer->cleared.colour, sizeof renderer->cleared.colour);
    hash = mix(hash, &end, sizeof end);
    const uint32_t shown = layers & ((1u << end) - 1u);
    hash = mix(hash, &shown, sizeof shown);
    for (size_t i = 0; i < count; i++) {
        if (!slots[i]->still) continue;
        const uint64_t who[2] = {(uint64_t)(slots[i] - renderer->slots), slots[i]->generation};
        hash = mix(hash, who, sizeof who);
    }
    return hash ? hash : 1;
}

/// 0 when there can be no texture of that size: the map is drawn anew then, which is no error.
static int reserve_texture(nm_renderer *renderer, int width, int height) {
    GLint most = 0;
    if (renderer->cache.texture && renderer->cache.width == width && renderer->cache.height == height)
        return renderer->cache.usable;
    renderer->cache.width = width;
    renderer->cache.height = height;
    renderer->cache.usable = 0;
    glGetIntegerv(GL_MAX_TEXTURE_SIZE, &most);
    nm_gl_take_errors(renderer);
    if (!renderer->cache.texture) {
        glGenTextures(1, &renderer->cache.texture);
        glGenFramebuffers(1, &renderer->cache.framebuffer);
    }
    glBindTexture(GL_TEXTURE_2D, renderer->cache.texture);
    if (width > most || height > most) return 0;
    glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, width, height, 0, GL_RGBA, GL_UNSIGNED_BYTE, NULL);
    if (nm_gl_drop_errors() != GL_NO_ERROR) return 0;
    glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, GL_NEAREST);
    glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, GL_NEAREST);
    glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAX_LEVEL, 0);
    glBindFramebuffer(GL_DRAW_FRAMEBUFFER, renderer->cache.framebuffer);
    glFramebufferTexture2D(GL_DRAW_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, renderer->cache.texture, 0);
    renderer->cache.usable = glCheckFramebufferStatus(GL_DRAW_FRAMEBUFFER) == GL_FRAMEBUFFER_COMPLETE;
    return renderer->cache.usable;
}

/// Draws the still layers around the view's target into the texture.
static int render(nm_renderer *renderer, const nm_gl_view *view, uint32_t layers, int end, nm_gl_slot *const *slots,
                  size_t count) {
    GLint before;
    glGetIntegerv(GL_DRAW_FRAMEBUFFER_BINDING, &before);
    nm_gl_view wide = *view;
    wide.viewport.x = wide.viewport.y = 0;
    wide.viewport.width += 2 * NM_GL_CACHE_EDGE;
    wide.viewport.height += 2 * NM_GL_CACHE_EDGE;
    wide.viewport.full_height = wide.viewport.height;
    wide.camera.span *= (float)wide.viewport.height / (float)view->viewport.height;
    nm_camera_matrix(&wide.camera, (float)wide.viewport.width, (float)wide.viewport.height, wide.matrix);
    const int usable = reserve_texture(renderer, wide.viewport.width, wide.viewport.height);
    if (usable) {
        glBindFramebuffer(GL_DRAW_FRAMEBUFFER, renderer->cache.framebuffer);
        const nm_rgba c = renderer->cleared.colour;
        nm_gl_set_viewport(wide.viewport);
        glClearColor((float)c.r / 255.0f, (float)c.g / 255.0f, (float)c.b / 255.0f, (float)c.a / 255.0f);
        glClear(GL_COLOR_BUFFER_BIT);
        nm_gl_draw_layers(renderer, &wide, layers, 0, end, slots, count);
    }
    glBindFramebuffer(GL_DRAW_FRAMEBUFFER, (GLuint)before);
    return usable;
}

/// A plain copy of memory in software, several times faster there than a shader that fetches texels.
static void copy(nm_renderer *renderer, const nm_gl_view *view, int dx, int dy) {
    const nm_viewport *v = &view->viewport;
    const int y = v->full_height - v->y - v->height;
    const int from_x = NM_GL_CACHE_EDGE + dx, from_y = NM_GL_CACHE_EDGE + dy;
    GLint before;
    glGetIntegerv(GL_READ_FRAMEBUFFER_BINDING, &before);
    glBindFramebuffer(GL_READ_FRAMEBUFFER, renderer->cache.framebuffer);
    glDisable(GL_SCISSOR_TEST);
    glBlitFramebuffer(from_x, from_y, from_x + v->width, from_y + v->height, v->x, y, v->x + v->width, y + v->height,
                      GL_COLOR_BUFFER_BIT, GL_NEAREST);
    glEnable(GL_SCISSOR_TEST);
    glBindFramebuffer(GL_READ_FRAMEBUFFER, (GLuint)before);
}

int nm_gl_cache_draw(nm_renderer *renderer, const nm_gl_view *view, uint32_t layers, nm_gl_slot *const *slots,
                     size_t count) {
    const nm_viewport *v = &view->viewport;
    if (!view->bird || !renderer->cleared.pending || memcmp(&renderer->cleared.viewport, v, sizeof *v) != 0) return 0;
    const int end = first_moving(layers, slots, count);
    if (end == 0) return 0;
    const uint64_t key = key_of(renderer, view, layers, end, slots, count);
    const int again = key == renderer->cache.wanted_key;
    renderer->cache.wanted_key = key;
    const double dx = view->px_x - renderer->cache.x, dy = view->px_y - renderer->cache.y;
    const int inside = fabs(dx) <= NM_GL_CACHE_EDGE && fabs(dy) <= NM_GL_CACHE_EDGE;
    if (renderer->cache.key != key || !inside) {
        if (!again) return 0; // a picture on its own: copying it would only cost
        renderer->cache.key = 0;
        if (!render(renderer, view, layers, end, slots, count)) return 0;
        renderer->cache.key = key;
        renderer->cache.x = view->px_x;
        renderer->cache.y = view->px_y;
    }
    copy(renderer, view, (int)(view->px_x - renderer->cache.x), (int)(view->px_y - renderer->cache.y));
    return end;
}

void nm_gl_cache_free(nm_renderer *renderer) {
    if (!renderer->cache.texture) return;
    glDeleteTextures(1, &renderer->cache.texture);
    glDeleteFramebuffers(1, &renderer->cache.framebuffer);
}
