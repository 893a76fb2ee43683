/// Draw calls: layer by layer, in each triangles, strokes, bodies and labels.
#include <math.h>

#include "render/gl/gl_internal.h"

static const nm_gl_program *use(nm_renderer *renderer, const nm_gl_view *view, nm_gl_program_kind kind) {
    const nm_gl_program *program = &renderer->programs[kind];
    glUseProgram(program->name);
    if (program->matrix >= 0) glUniformMatrix4fv(program->matrix, 1, GL_FALSE, view->matrix);
    if (program->view >= 0)
        glUniform4f(program->view, view->pixel, (float)view->viewport.width, (float)view->viewport.height,
                    view->bird ? 0.0f : 1.0f);
    return program;
}

static void draw_quads(nm_gl_span vertices) {
    const size_t first = (size_t)vertices.first / 4 * 6 * sizeof(uint32_t);
    glDrawElements(GL_TRIANGLES, (GLsizei)(vertices.count / 4 * 6), GL_UNSIGNED_INT, (const void *)first);
}

static void draw_flats(nm_renderer *renderer, const nm_gl_view *view, const nm_gl_slot *slot,
                       const nm_gl_layer *layer) {
    if (!layer->flats.count) return;
    use(renderer, view, NM_GL_FLAT);
    glEnable(GL_BLEND);
    glBindVertexArray(slot->flat_array);
    glDrawArrays(GL_TRIANGLES, (GLint)layer->flats.first, (GLsizei)layer->flats.count);
}

static void draw_segments(nm_renderer *renderer, const nm_gl_view *view, const nm_gl_slot *slot,
                          const nm_gl_layer *layer) {
    if (!layer->segments.count) return;
    use(renderer, view, view->bird ? NM_GL_STROKE : NM_GL_STROKE_DEPTH);
    glEnable(GL_BLEND);
    glBindVertexArray(slot->segment_array);
    draw_quads(layer->segments);
}

/// Seen from above: one draw call for all.
static void draw_sprites(nm_renderer *renderer, const nm_gl_view *view, const nm_gl_slot *slot,
                         const nm_gl_layer *layer) {
    nm_gl_span all = {4 * layer->bodies[0].first, 0};
    for (int kind = 0; kind < NM_GL_BODY_KINDS; kind++) all.count += 4 * layer->bodies[kind].count;
    if (!all.count) return;
    use(renderer, view, NM_GL_SPRITE);
    glEnable(GL_BLEND);
    glBindVertexArray(slot->body_array);
    draw_quads(all);
}

/// In perspective: meshes, hidden by depth. One call per kind of body.
static void draw_solids(nm_renderer *renderer, const nm_gl_view *view, const nm_gl_slot *slot,
                        const nm_gl_layer *layer) {
    const GLsizei stride = 4 * (GLsizei)sizeof(nm_box_body); // each is there four times, for the sprites
    for (int kind = 0; kind < NM_GL_BODY_KINDS; kind++) {
        const nm_gl_span bodies = layer->bodies[kind], mesh = renderer->meshes.kinds[kind];
        if (!bodies.count) continue;
        use(renderer, view, NM_GL_SOLID);
        glEnable(GL_BLEND);
        glEnable(GL_DEPTH_TEST);
        glDepthFunc(GL_LEQUAL);
        glDepthMask(GL_TRUE);
        glBindVertexArray(slot->solid_array);
        glBindBuffer(GL_ARRAY_BUFFER, slot->bodies.name);
        const size_t base = (size_t)stride * bodies.first;
        for (GLuint i = 0; i < 3; i++) glEnableVertexAttribArray(i);
        glVertexAttribPointer(0, 4, GL_FLOAT, GL_FALSE, stride, (const void *)(base + offsetof(nm_box_body, x)));
        glVertexAttribPointer(1, 4, GL_FLOAT, GL_FALSE, stride, (const void *)(base + offsetof(nm_box_body, length)));
        glVertexAttribPointer(2, 4, GL_UNSIGNED_BYTE, GL_TRUE, stride,
                              (const void *)(base + offsetof(nm_box_body, colour)));
        glDrawArraysInstanced(GL_TRIANGLES, (GLint)mesh.first, (GLsizei)mesh.count, (GLsizei)bodies.count);
    }
}

/// Where the anchor of a label is in the viewport; 0 = out of sight. Through the view's own matrix, so that labels keep
/// to what they name.
static int place_label(const nm_gl_view *view, const nm_label *label, float *x, float *y) {
    const float *m = view->matrix;
    const float w = m[3] * label->x + m[7] * label->y + m[11] * label->z + m[15];
    if (!(w > 1e-3f)) return 0;
    const float cx = (m[0] * label->x + m[4] * label->y + m[8] * label->z + m[12]) / w;
    const float cy = (m[1] * label->x + m[5] * label->y + m[9] * label->z + m[13]) / w;
    *x = 0.5f * (cx + 1.0f) * (float)view->viewport.width;
    *y = 0.5f * (1.0f - cy) * (float)view->viewport.height;
    return fabsf(cx) < 1.5f && fabsf(cy) < 1.5f;
}

static void draw_labels(nm_renderer *renderer, const nm_gl_view *view, const nm_gl_slot *slot, int layer) {
    const nm_drawing *drawing = slot->drawing;
    size_t count = 0;
    if (!slot->layers[layer].labels) return;
    for (uint32_t i = 0; i < drawing->label_count; i++) {
        const nm_label *label = &drawing->labels[i];
        float x, y;
        if (label->layer != layer || !place_label(view, label, &x, &y)) continue;
        count =
            nm_gl_font_add(renderer->font, label, drawing->text + label->text, x, y, &renderer->glyph_vertices, count);
    }
    if (!count) return;
    if (!nm_gl_reserve_quads(renderer, (uint32_t)count)) {
        renderer->no_memory = 1;
        return;
    }
    use(renderer, view, NM_GL_GLYPH);
    glEnable(GL_BLEND);
    glBindTexture(GL_TEXTURE_2D, nm_gl_font_atlas(renderer->font));
    glBindVertexArray(renderer->glyph_array);
    nm_gl_buffer_set(&renderer->glyphs, GL_ARRAY_BUFFER, renderer->glyph_vertices.data,
                     count * sizeof(nm_gl_glyph_vertex), 0);
    draw_quads((nm_gl_span){0, (uint32_t)count});
}

void nm_gl_draw_layers(nm_renderer *renderer, const nm_gl_view *view, uint32_t layers, int first, int end,
                       nm_gl_slot *const *slots, size_t count) {
    for (int layer = first; layer < end; layer++) {
        if (!(layers >> layer & 1)) continue;
        for (size_t i = 0; i < count; i++) {
            const nm_gl_slot *slot = slots[i];
            const nm_gl_layer *content = &slot->layers[layer];
            // In perspective what lies on the ground is painted in order; above the bodies' layer they hide it.
            if (!view->bird && layer > NM_LAYER_AGENTS && layer < NM_LAYER_LABELS) {
                glEnable(GL_DEPTH_TEST);
                glDepthFunc(GL_LEQUAL);
                glDepthMask(GL_FALSE);
            }
            draw_flats(renderer, view, slot, content);
            draw_segments(renderer, view, slot, content);
            if (view->bird)
                draw_sprites(renderer, view, slot, content);
            else
                draw_solids(renderer, view, slot, content);
            glDisable(GL_DEPTH_TEST);
            draw_labels(renderer, view, slot, layer);
        }
    }
}
