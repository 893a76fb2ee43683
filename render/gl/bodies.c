/// Meshes of the bodies for perspective views, made of sloped boxes. x ahead, y left, z up; unit coordinates run over
/// the body's length, width (both -0.5 to 0.5) and height (0 to 1).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/gl/gl_internal.h"

#define MESH_VERTICES 2048

typedef struct mesh {
    nm_gl_mesh_vertex vertices[MESH_VERTICES];
    uint32_t count;
} mesh;

typedef enum part { PAINT = 0, GLASS, WHEEL, STEERED, HEAD_LIGHT, TAIL_LIGHT } part;
typedef struct corner {
    float x, y, z;
} corner;

/// A quad in unit coordinates, counter-clockwise from outside, with a normal taken for a body of 4.5 x 1.8 x 1.5 m.
static void quad(mesh *m, corner a, corner b, corner c, corner d, corner metric, part kind) {
    const corner scale = {4.5f, 1.8f, 1.5f};
    const corner u = {(b.x - a.x) * scale.x, (b.y - a.y) * scale.y, (b.z - a.z) * scale.z};
    const corner v = {(d.x - a.x) * scale.x, (d.y - a.y) * scale.y, (d.z - a.z) * scale.z};
    corner n = {u.y * v.z - u.z * v.y, u.z * v.x - u.x * v.z, u.x * v.y - u.y * v.x};
    const float length = sqrtf(n.x * n.x + n.y * n.y + n.z * n.z);
    const corner order[6] = {a, b, c, a, c, d};
    NM_ASSERT(m->count + 6 <= MESH_VERTICES && length > 0.0f);
    for (int i = 0; i < 6; i++) {
        m->vertices[m->count++] =
            (nm_gl_mesh_vertex){.unit = {order[i].x, order[i].y, order[i].z},
                                .metric = {metric.x, metric.y, metric.z},
                                .normal = {(int8_t)lrintf(127.0f * n.x / length), (int8_t)lrintf(127.0f * n.y / length),
                                           (int8_t)lrintf(127.0f * n.z / length), 0},
                                .part = (uint8_t)kind};
    }
}

/// A box whose top may be shorter and narrower than its bottom: x from `back` to `front`, y from -half to half.
typedef struct frustum {
    float back, front, half, z;
    float top_back, top_front, top_half, top_z;
} frustum;

static void add_frustum(mesh *m, frustum f, part sides, part ends, part top) {
    const corner none = {0, 0, 0};
    const corner a = {f.back, -f.half, f.z}, b = {f.front, -f.half, f.z}, c = {f.front, f.half, f.z},
                 d = {f.back, f.half, f.z};
    const corner e = {f.top_back, -f.top_half, f.top_z}, g = {f.top_front, -f.top_half, f.top_z},
                 h = {f.top_front, f.top_half, f.top_z}, i = {f.top_back, f.top_half, f.top_z};
    quad(m, a, b, g, e, none, sides);
    quad(m, c, d, i, h, none, sides);
    quad(m, b, c, h, g, none, ends);
    quad(m, d, a, e, i, none, ends);
    quad(m, e, g, h, i, none, top);
}

static frustum straight(float back, float front, float half, float z, float top_z) {
    return (frustum){back, front, half, z, back, front, half, top_z};
}

/// A wheel of 0.32 m radius at (x, y) unit: eight sides and the outer face; in metres around its hub.
static void add_wheel(mesh *m, float x, float y, part kind) {
    const float radius = 0.32f, thick = 0.11f, pi = 3.14159265f;
    nm_gl_mesh_vertex vertex = {.unit = {x, y, 0.0f}, .part = (uint8_t)kind};
    for (int i = 0; i < 8; i++) {
        const float t0 = 0.25f * pi * (float)i, t1 = 0.25f * pi * (float)(i + 1);
        const corner p[4] = {{radius * cosf(t0), -thick, radius + radius * sinf(t0)},
                             {radius * cosf(t1), -thick, radius + radius * sinf(t1)},
                             {radius * cosf(t0), thick, radius + radius * sinf(t0)},
                             {radius * cosf(t1), thick, radius + radius * sinf(t1)}};
        const corner faces[4][3] = {{p[0], p[1], p[2]},
                                    {p[2], p[1], p[3]},
                                    {p[0], p[1], {0, -thick, radius}},
                                    {p[2], p[3], {0, thick, radius}}};
        NM_ASSERT(m->count + 12 <= MESH_VERTICES);
        for (int k = 0; k < 12; k++) {
            const corner at = faces[k / 3][k % 3];
            memcpy(vertex.metric, &at, sizeof vertex.metric);
            vertex.normal[0] = (int8_t)(k < 6 ? lrintf(90.0f * cosf(t0)) : 0);
            vertex.normal[1] = (int8_t)(k < 6 ? 0 : k < 9 ? -127 : 127);
            m->vertices[m->count++] = vertex;
        }
    }
}

static void four_wheels(mesh *m, float front, float back, float half) {
    add_wheel(m, front, half, STEERED);
    add_wheel(m, front, -half, STEERED);
    add_wheel(m, back, half, WHEEL);
    add_wheel(m, back, -half, WHEEL);
}

/// Lights as quads just before the front and behind the back.
static void add_lights(mesh *m, float half, float z0, float z1) {
    const corner ahead = {0.012f, 0, 0}, behind = {-0.012f, 0, 0};
    for (int side = -1; side <= 1; side += 2) {
        const float y0 = side < 0 ? -half : 0.55f * half, y1 = side < 0 ? -0.55f * half : half;
        quad(m, (corner){0.5f, y0, z0}, (corner){0.5f, y1, z0}, (corner){0.5f, y1, z1}, (corner){0.5f, y0, z1}, ahead,
             HEAD_LIGHT);
        quad(m, (corner){-0.5f, y1, z0}, (corner){-0.5f, y0, z0}, (corner){-0.5f, y0, z1}, (corner){-0.5f, y1, z1},
             behind, TAIL_LIGHT);
    }
}

static void build_car(mesh *m) {
    add_frustum(m, straight(-0.5f, 0.5f, 0.5f, 0.14f, 0.42f), PAINT, PAINT, PAINT);
    add_frustum(m, (frustum){-0.5f, 0.5f, 0.5f, 0.42f, -0.49f, 0.47f, 0.47f, 0.58f}, PAINT, PAINT, PAINT);
    add_frustum(m, (frustum){-0.46f, 0.24f, 0.46f, 0.58f, -0.34f, 0.06f, 0.38f, 0.97f}, GLASS, GLASS, PAINT);
    add_frustum(m, straight(-0.34f, 0.06f, 0.38f, 0.97f, 1.0f), PAINT, PAINT, PAINT);
    add_lights(m, 0.48f, 0.34f, 0.46f);
    four_wheels(m, 0.31f, -0.30f, 0.45f);
}

static void build_long(mesh *m) {
    add_frustum(m, straight(-0.5f, 0.28f, 0.5f, 0.18f, 1.0f), PAINT, PAINT, PAINT);
    add_frustum(m, straight(0.30f, 0.5f, 0.48f, 0.14f, 0.45f), PAINT, PAINT, PAINT);
    add_frustum(m, (frustum){0.30f, 0.5f, 0.48f, 0.45f, 0.30f, 0.48f, 0.46f, 0.80f}, PAINT, GLASS, PAINT);
    add_lights(m, 0.46f, 0.20f, 0.28f);
    four_wheels(m, 0.40f, -0.34f, 0.46f);
    add_wheel(m, -0.22f, 0.46f, WHEEL);
    add_wheel(m, -0.22f, -0.46f, WHEEL);
}

static void build_cycle(mesh *m) {
    add_frustum(m, straight(-0.5f, -0.12f, 0.06f, 0.0f, 0.36f), WHEEL, WHEEL, WHEEL);
    add_frustum(m, straight(0.12f, 0.5f, 0.06f, 0.0f, 0.36f), WHEEL, WHEEL, WHEEL);
    add_frustum(m, straight(-0.3f, 0.3f, 0.08f, 0.36f, 0.48f), PAINT, PAINT, PAINT);
    add_frustum(m, straight(0.24f, 0.28f, 0.5f, 0.56f, 0.60f), WHEEL, WHEEL, WHEEL);
    add_frustum(m, (frustum){-0.2f, 0.04f, 0.30f, 0.46f, -0.06f, 0.14f, 0.36f, 0.86f}, PAINT, PAINT, PAINT);
    add_frustum(m, (frustum){-0.02f, 0.12f, 0.18f, 0.87f, 0.0f, 0.1f, 0.14f, 1.0f}, GLASS, GLASS, GLASS);
}

static void build_person(mesh *m) {
    add_frustum(m, (frustum){-0.2f, 0.2f, 0.26f, 0.0f, -0.26f, 0.26f, 0.34f, 0.48f}, GLASS, GLASS, GLASS);
    add_frustum(m, (frustum){-0.26f, 0.26f, 0.36f, 0.48f, -0.28f, 0.28f, 0.5f, 0.82f}, PAINT, PAINT, PAINT);
    add_frustum(m, (frustum){-0.2f, 0.2f, 0.2f, 0.84f, -0.16f, 0.16f, 0.16f, 1.0f}, PAINT, PAINT, GLASS);
    add_frustum(m, straight(0.2f, 0.36f, 0.06f, 0.88f, 0.93f), PAINT, PAINT, PAINT); // the nose: where it looks
}

nm_status nm_gl_meshes_create(nm_gl_meshes *meshes, nm_error *error) {
    mesh *m = calloc(1, sizeof *m);
    if (!m) return NM_ERROR(error, NM_E_MEMORY, "out of memory");
    glGenBuffers(1, &meshes->buffer);
    for (int kind = 0; kind < NM_GL_BODY_KINDS; kind++) {
        meshes->kinds[kind].first = m->count;
        switch ((nm_body)kind) {
        case NM_BODY_BOX:
            add_frustum(m, straight(-0.5f, 0.5f, 0.5f, 0.0f, 1.0f), PAINT, PAINT, PAINT);
            break;
        case NM_BODY_CAR:
            build_car(m);
            break;
        case NM_BODY_LONG:
            build_long(m);
            break;
        case NM_BODY_CYCLE:
            build_cycle(m);
            break;
        case NM_BODY_PERSON:
            build_person(m);
            break;
        }
        meshes->kinds[kind].count = m->count - meshes->kinds[kind].first;
    }
    glBindBuffer(GL_ARRAY_BUFFER, meshes->buffer);
    glBufferData(GL_ARRAY_BUFFER, (GLsizeiptr)(m->count * sizeof *m->vertices), m->vertices, GL_STATIC_DRAW);
    free(m);
    return NM_OK;
}
