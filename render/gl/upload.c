/// Drawings to vertices sorted by layer, and the slots that keep them on the GPU.
#include <stdlib.h>
#include <string.h>

#include "render/gl/gl_internal.h"

void *nm_gl_scratch_reserve(nm_gl_scratch *scratch, size_t size) {
    if (size <= scratch->capacity && scratch->data) return scratch->data;
    const size_t capacity = size + size / 2 + 256;
    void *data = realloc(scratch->data, capacity);
    if (!data) return NULL;
    scratch->data = data;
    scratch->capacity = capacity;
    return data;
}

void nm_gl_buffer_set(nm_gl_buffer *buffer, GLenum target, const void *data, size_t size, int still) {
    const GLenum usage = still ? GL_STATIC_DRAW : GL_STREAM_DRAW;
    glBindBuffer(target, buffer->name);
    if (size > buffer->capacity) buffer->capacity = size + size / 2;
    // A new store each time: the old one may still be read by a frame in flight.
    if (size) {
        glBufferData(target, (GLsizeiptr)buffer->capacity, NULL, usage);
        glBufferSubData(target, 0, (GLsizeiptr)size, data);
    }
}

void nm_gl_upload_free(nm_gl_upload *upload) {
    nm_gl_scratch *all[] = {&upload->flats, &upload->segments, &upload->bodies,
                            &upload->line,  &upload->edges,    &upload->table};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]->data);
    memset(upload, 0, sizeof *upload);
}

nm_gl_flat_vertex *nm_gl_more_flats(nm_gl_upload *upload, uint32_t count) {
    nm_gl_flat_vertex *all = nm_gl_scratch_reserve(&upload->flats, ((size_t)upload->flat_count + count) * sizeof *all);
    if (!all) {
        upload->failed = 1;
        return NULL;
    }
    upload->flat_count += count;
    return all + upload->flat_count - count;
}

static void copy_flats(nm_gl_upload *upload, const nm_vertex *in, uint32_t count) {
    nm_gl_flat_vertex *out = nm_gl_more_flats(upload, count);
    for (uint32_t k = 0; out && k < count; k++)
        out[k] = (nm_gl_flat_vertex){.x = in[k].x, .y = in[k].y, .z = in[k].z, .colour = in[k].colour};
}

static void build_flats(nm_gl_upload *upload, const nm_drawing *drawing, nm_gl_layer *layers) {
    upload->flat_count = 0;
    for (int layer = 0; layer < NM_LAYER_COUNT; layer++) {
        layers[layer].flats.first = upload->flat_count;
        for (uint32_t i = 0; i < drawing->triangles_count; i++) {
            const nm_triangles *run = &drawing->triangles[i];
            if (run->layer != layer) continue;
            for (uint32_t at = run->first; at < run->first + run->count;) {
                int plain;
                const uint32_t count = nm_gl_next_part(drawing, at, run->first + run->count, &plain);
                copy_flats(upload, drawing->vertices + at, count);
                if (plain) nm_gl_add_fringe(upload, drawing, at, count);
                at += count;
            }
        }
        layers[layer].flats.count = upload->flat_count - layers[layer].flats.first;
    }
}

static void build_segments(nm_gl_upload *upload, const nm_drawing *drawing, nm_gl_layer *layers) {
    upload->segment_count = 0;
    for (int layer = 0; layer < NM_LAYER_COUNT; layer++) {
        layers[layer].segments.first = upload->segment_count;
        for (uint32_t i = 0; i < drawing->stroke_count; i++) {
            const nm_stroke *stroke = &drawing->strokes[i];
            if (stroke->layer == layer)
                nm_gl_add_line(upload, drawing, drawing->points + stroke->first, stroke->count, stroke);
        }
        layers[layer].segments.count = upload->segment_count - layers[layer].segments.first;
    }
}

static void build_bodies(nm_gl_upload *upload, const nm_drawing *drawing, nm_gl_layer *layers) {
    uint32_t counts[NM_LAYER_COUNT][NM_GL_BODY_KINDS] = {{0}}, at = 0;
    nm_box_body *out = nm_gl_scratch_reserve(&upload->bodies, (4 * (size_t)drawing->box_count + 1) * sizeof *out);
    if (!out) {
        upload->failed = 1;
        return;
    }
    for (uint32_t i = 0; i < drawing->box_count; i++) {
        NM_ASSERT(drawing->boxes[i].layer < NM_LAYER_COUNT && drawing->boxes[i].body < NM_GL_BODY_KINDS);
        counts[drawing->boxes[i].layer][drawing->boxes[i].body]++;
    }
    for (int layer = 0; layer < NM_LAYER_COUNT; layer++)
        for (int kind = 0; kind < NM_GL_BODY_KINDS; kind++) {
            layers[layer].bodies[kind].first = at;
            at += counts[layer][kind];
        }
    for (uint32_t i = 0; i < drawing->box_count; i++) {
        const nm_box_body *box = &drawing->boxes[i];
        nm_gl_span *span = &layers[box->layer].bodies[box->body];
        for (int corner = 0; corner < 4; corner++) out[4 * (size_t)(span->first + span->count) + (size_t)corner] = *box;
        span->count++;
    }
}

void nm_gl_upload_build(nm_gl_upload *upload, const nm_drawing *drawing, nm_gl_layer layers[NM_LAYER_COUNT]) {
    memset(layers, 0, NM_LAYER_COUNT * sizeof *layers);
    upload->failed = 0;
    build_flats(upload, drawing, layers);
    build_segments(upload, drawing, layers);
    build_bodies(upload, drawing, layers);
    for (uint32_t i = 0; i < drawing->label_count; i++) layers[drawing->labels[i].layer].labels++;
}

// --- slots -----------------------------------------------------------------------------------------------------------

/// A few values from everywhere in the drawing. Drawings of one map at one address after each other, in other colours,
/// may come to the same revision.
static uint64_t sample(const nm_drawing *drawing) {
    uint64_t hash = 0xCBF29CE484222325u;
    const struct {
        const void *data;
        size_t size;
    } arrays[] = {{drawing->vertices, drawing->vertex_count * sizeof *drawing->vertices},
                  {drawing->points, drawing->point_count * sizeof *drawing->points},
                  {drawing->strokes, drawing->stroke_count * sizeof *drawing->strokes},
                  {drawing->boxes, drawing->box_count * sizeof *drawing->boxes}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        const size_t words = arrays[i].size / 4, step = words / 64 | 1; // odd: not always the same member
        hash = (hash ^ words) * 0x100000001B3u;
        for (size_t k = 0; k < words; k += step) {
            uint32_t word;
            memcpy(&word, (const char *)arrays[i].data + 4 * k, 4);
            hash = (hash ^ word) * 0x100000001B3u;
        }
    }
    return hash;
}

static void attribute(GLuint index, GLint size, GLenum type, GLboolean normal, size_t stride, size_t offset) {
    glEnableVertexAttribArray(index);
    glVertexAttribPointer(index, size, type, normal, (GLsizei)stride, (const void *)offset);
}
static void attribute_uint(GLuint index, size_t stride, size_t offset) {
    glEnableVertexAttribArray(index);
    glVertexAttribIPointer(index, 1, GL_UNSIGNED_BYTE, (GLsizei)stride, (const void *)offset);
}

static void create_arrays(nm_renderer *renderer, nm_gl_slot *slot) {
    glGenBuffers(1, &slot->flats.name);
    glGenBuffers(1, &slot->segments.name);
    glGenBuffers(1, &slot->bodies.name);
    glGenVertexArrays(1, &slot->flat_array);
    glGenVertexArrays(1, &slot->segment_array);
    glGenVertexArrays(1, &slot->body_array);
    glGenVertexArrays(1, &slot->solid_array);

    glBindVertexArray(slot->flat_array);
    glBindBuffer(GL_ARRAY_BUFFER, slot->flats.name);
    const size_t flat = sizeof(nm_gl_flat_vertex);
    attribute(0, 3, GL_FLOAT, GL_FALSE, flat, offsetof(nm_gl_flat_vertex, x));
    attribute(1, 4, GL_UNSIGNED_BYTE, GL_TRUE, flat, offsetof(nm_gl_flat_vertex, colour));
    attribute(2, 2, GL_SHORT, GL_FALSE, flat, offsetof(nm_gl_flat_vertex, push));

    glBindVertexArray(slot->segment_array);
    glBindBuffer(GL_ELEMENT_ARRAY_BUFFER, renderer->quads);
    glBindBuffer(GL_ARRAY_BUFFER, slot->segments.name);
    const size_t stride = sizeof(nm_gl_segment);
    attribute(0, 3, GL_FLOAT, GL_FALSE, stride, offsetof(nm_gl_segment, a));
    attribute(1, 3, GL_FLOAT, GL_FALSE, stride, offsetof(nm_gl_segment, b));
    attribute(2, 4, GL_SHORT, GL_TRUE, stride, offsetof(nm_gl_segment, cut_a));
    attribute(3, 4, GL_FLOAT, GL_FALSE, stride, offsetof(nm_gl_segment, along));
    attribute(4, 4, GL_UNSIGNED_BYTE, GL_TRUE, stride, offsetof(nm_gl_segment, colour));
    attribute_uint(5, stride, offsetof(nm_gl_segment, flags));

    glBindVertexArray(slot->body_array);
    glBindBuffer(GL_ELEMENT_ARRAY_BUFFER, renderer->quads);
    glBindBuffer(GL_ARRAY_BUFFER, slot->bodies.name);
    const size_t body = sizeof(nm_box_body);
    attribute(0, 4, GL_FLOAT, GL_FALSE, body, offsetof(nm_box_body, x));
    attribute(1, 4, GL_FLOAT, GL_FALSE, body, offsetof(nm_box_body, length));
    attribute(2, 4, GL_UNSIGNED_BYTE, GL_TRUE, body, offsetof(nm_box_body, colour));
    attribute(3, 4, GL_UNSIGNED_BYTE, GL_TRUE, body, offsetof(nm_box_body, outline));
    attribute(4, 1, GL_FLOAT, GL_FALSE, body, offsetof(nm_box_body, outline_px));
    attribute_uint(5, body, offsetof(nm_box_body, body));

    glBindVertexArray(slot->solid_array);
    glBindBuffer(GL_ARRAY_BUFFER, renderer->meshes.buffer);
    const size_t mesh = sizeof(nm_gl_mesh_vertex);
    attribute(6, 3, GL_FLOAT, GL_FALSE, mesh, offsetof(nm_gl_mesh_vertex, unit));
    attribute(7, 3, GL_FLOAT, GL_FALSE, mesh, offsetof(nm_gl_mesh_vertex, metric));
    attribute(8, 4, GL_BYTE, GL_TRUE, mesh, offsetof(nm_gl_mesh_vertex, normal));
    attribute_uint(9, mesh, offsetof(nm_gl_mesh_vertex, part));
    for (GLuint i = 0; i < 3; i++) glVertexAttribDivisor(i, 1); // pointers to the bodies: when drawn
}

static nm_gl_slot *find_slot(nm_renderer *renderer, const nm_drawing *drawing) {
    nm_gl_slot *oldest = &renderer->slots[0];
    for (int i = 0; i < NM_GL_SLOTS; i++) {
        nm_gl_slot *slot = &renderer->slots[i];
        if (slot->drawing == drawing) return slot;
        if (slot->last_use < oldest->last_use) oldest = slot;
    }
    oldest->drawing = NULL;
    return oldest;
}

int nm_gl_reserve_quads(nm_renderer *renderer, uint32_t vertices) {
    const uint32_t wanted = vertices / 4;
    if (wanted <= renderer->quad_capacity) return 1;
    const uint32_t capacity = wanted + wanted / 2;
    uint32_t *indices = malloc((size_t)capacity * 6 * sizeof *indices);
    if (!indices) return 0;
    for (uint32_t i = 0; i < capacity; i++) {
        static const uint32_t corners[6] = {0, 1, 2, 2, 1, 3};
        for (int k = 0; k < 6; k++) indices[6 * (size_t)i + (size_t)k] = 4 * i + corners[k];
    }
    glBindVertexArray(0);
    glBindBuffer(GL_ELEMENT_ARRAY_BUFFER, renderer->quads);
    glBufferData(GL_ELEMENT_ARRAY_BUFFER, (GLsizeiptr)((size_t)capacity * 6 * sizeof *indices), indices,
                 GL_STATIC_DRAW);
    free(indices);
    renderer->quad_capacity = capacity;
    return 1;
}

nm_gl_slot *nm_gl_slot_of(nm_renderer *renderer, const nm_drawing *drawing) {
    nm_gl_slot *slot = find_slot(renderer, drawing);
    const uint64_t now = sample(drawing);
    slot->still = slot->drawing == drawing && slot->revision == drawing->revision && slot->sample == now;
    slot->last_use = renderer->calls;
    if (slot->still) return slot;
    nm_gl_upload *upload = &renderer->upload;
    if (!slot->flat_array) create_arrays(renderer, slot);
    slot->drawing = NULL;
    nm_gl_upload_build(upload, drawing, slot->layers);
    if (upload->failed || !nm_gl_reserve_quads(renderer, upload->segment_count) ||
        !nm_gl_reserve_quads(renderer, 4 * drawing->box_count))
        return NULL;
    glBindVertexArray(0);
    nm_gl_buffer_set(&slot->flats, GL_ARRAY_BUFFER, upload->flats.data, upload->flat_count * sizeof(nm_gl_flat_vertex),
                     0);
    nm_gl_buffer_set(&slot->segments, GL_ARRAY_BUFFER, upload->segments.data,
                     upload->segment_count * sizeof(nm_gl_segment), 0);
    nm_gl_buffer_set(&slot->bodies, GL_ARRAY_BUFFER, upload->bodies.data,
                     4 * (size_t)drawing->box_count * sizeof(nm_box_body), 0);
    slot->drawing = drawing;
    slot->revision = drawing->revision;
    slot->sample = now;
    slot->generation++;
    return slot;
}
