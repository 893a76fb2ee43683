/// The shaders, and their compilation.
#include <stdio.h>
#include <string.h>

#include "render/gl/gl_internal.h"

// u_view: m per pixel; width and height of the viewport in px; 1 = widths grow with the distance (perspective)

// `push` moves the outer side of a seam by a pixel.
static const char flat_vertex[] = "layout(location = 0) in vec3 place;\n"
                                  "layout(location = 1) in vec4 tint;\n"
                                  "layout(location = 2) in vec2 push;\n"
                                  "uniform mat4 u_matrix;\n"
                                  "uniform vec4 u_view;\n"
                                  "out vec4 colour;\n"
                                  "void main() {\n"
                                  "    float px = u_view.x;\n"
                                  "    if (u_view.w > 0.5) px *= max((u_matrix * vec4(place, 1.0)).w, 0.2);\n"
                                  "    gl_Position = u_matrix * vec4(place.xy + push * (px / 8192.0), place.z, 1.0);\n"
                                  "    colour = tint;\n"
                                  "}\n";
static const char flat_fragment[] = "in vec4 colour;\n"
                                    "out vec4 pixel;\n"
                                    "void main() { pixel = colour; }\n";

// A segment is a quad around a capsule. Distances are in the unit of the space, `at` is (along, left) from a.
static const char stroke_vertex[] =
    "layout(location = 0) in vec3 from;\n"
    "layout(location = 1) in vec3 to;\n"
    "layout(location = 2) in vec4 cuts;\n"
    "layout(location = 3) in vec4 measures;\n" // along, width, dash, gap
    "layout(location = 4) in vec4 tint;\n"
    "layout(location = 5) in uint flags;\n"
    "uniform mat4 u_matrix;\n"
    "uniform vec4 u_view;\n"
    "out vec3 at;\n" // along, left, half width
    "flat out vec4 planes;\n"
    "flat out vec4 pattern;\n" // length, along at a, dash, gap
    "flat out vec4 colour;\n"
    "flat out vec2 ends;\n"
    "void main() {\n"
    "    vec2 run = to.xy - from.xy;\n"
    "    float len = max(length(run), 1e-6);\n"
    "    vec2 ahead = run / len;\n"
    "    bool second = (gl_VertexID & 2) != 0;\n"
    "    float side = (gl_VertexID & 1) != 0 ? 1.0 : -1.0;\n"
    "    vec3 middle = second ? to : from;\n"
    "    float px = u_view.x;\n"
    "    if (u_view.w > 0.5) px *= max((u_matrix * vec4(middle, 1.0)).w, 0.2);\n"
    "    float half_width = 0.5 * measures.y * ((flags & 1u) != 0u ? px : 1.0);\n"
    "    half_width = max(half_width, 0.5 * px);\n" // what thins out with the distance can not be read
    // a pixel, and in perspective more: it is longer on the ground where the ground is seen at a flat angle
    "    float reach = half_width + px * (u_view.w > 0.5 ? 4.0 : 1.0);\n"
    "    float u = second ? len + reach : -reach;\n"
    "    gl_Position = u_matrix * vec4(from.xy + ahead * u + vec2(-ahead.y, ahead.x) * (side * reach), middle.z, "
    "1.0);\n"
    "    at = vec3(u, side * reach, half_width);\n"
    "    planes = cuts;\n"
    "    pattern = vec4(len, measures.x, measures.z, measures.w);\n"
    "    colour = tint;\n"
    "    ends = vec2((flags & 2u) != 0u ? 0.0 : 1e6, (flags & 4u) != 0u ? 0.0 : 1e6);\n"
    "}\n";
static const char stroke_fragment[] =
    "in vec3 at;\n"
    "flat in vec4 planes;\n"
    "flat in vec4 pattern;\n"
    "flat in vec4 colour;\n"
    "flat in vec2 ends;\n"
    "uniform vec4 u_view;\n"
    "out vec4 pixel;\n"
    "void main() {\n"
    "    float beyond = at.x - clamp(at.x, 0.0, pattern.x);\n"
    "    float away = sqrt(beyond * beyond + at.y * at.y);\n"
    "#ifdef DEPTH\n"
    "    float sharp_u = 1.0 / max(length(vec2(dFdx(at.x), dFdy(at.x))), 1e-6);\n"
    "    float sharp = 1.0 / max(length(vec2(dFdx(away), dFdy(away))), 1e-6);\n"
    "#else\n"
    "    float sharp = 1.0 / u_view.x;\n"
    "    float sharp_u = sharp;\n"
    "#endif\n"
    "    float cover = clamp((at.z - away) * sharp + 0.5, 0.0, 1.0);\n"
    "#ifdef DEPTH\n" // lines across the view become paler towards the horizon
    "    cover -= clamp(0.5 - (at.z + away) * sharp, 0.0, 1.0);\n"
    "#endif\n"
    "    cover *= clamp(dot(at.xy, planes.xy) * max(ends.x, sharp_u) + 0.5, 0.0, 1.0);\n"
    "    cover *= clamp(-dot(vec2(at.x - pattern.x, at.y), planes.zw) * max(ends.y, sharp_u) + 0.5, 0.0, 1.0);\n"
    "    if (pattern.w > 0.0) {\n"
    "        float period = pattern.z + pattern.w;\n"
    "        float place = pattern.y + clamp(at.x, 0.0, pattern.x) - 0.5 * pattern.z;\n"
    "        float off = abs(place - period * floor(place / period + 0.5));\n"
    "        float dash = clamp((0.5 * pattern.z - off) * sharp_u + 0.5, 0.0, 1.0);\n"
    // dashes of less than a pixel are a paler line, not a flicker
    "        cover *= mix(pattern.z / period, dash, clamp(0.5 * period * sharp_u - 0.5, 0.0, 1.0));\n"
    "    }\n"
    "    pixel = vec4(colour.rgb, colour.a * cover);\n"
    "}\n";

// A body from above: a quad whose fragments know their place on the body in m.
static const char sprite_vertex[] =
    "layout(location = 0) in vec4 place;\n"
    "layout(location = 1) in vec4 size;\n" // length, width, height, steering
    "layout(location = 2) in vec4 tint;\n"
    "layout(location = 3) in vec4 rim;\n"
    "layout(location = 4) in float rim_px;\n"
    "layout(location = 5) in uint kind;\n"
    "uniform mat4 u_matrix;\n"
    "uniform vec4 u_view;\n"
    "out vec2 at;\n"
    "flat out vec4 shape;\n" // half length, half width, cos and sin of steering
    "flat out vec4 colour;\n"
    "flat out vec4 line;\n"
    "flat out float line_width;\n"
    "flat out uint body;\n"
    "void main() {\n"
    "    vec2 half_size = 0.5 * size.xy;\n"
    // people and cycles stay visible from far above
    "    if (kind == 4u) half_size = max(half_size, vec2(3.0 * u_view.x));\n"
    "    if (kind == 3u) half_size = max(half_size, vec2(4.0, 2.0) * u_view.x);\n"
    "    vec2 corner = vec2((gl_VertexID & 2) != 0 ? 1.0 : -1.0, (gl_VertexID & 1) != 0 ? 1.0 : -1.0);\n"
    "    at = corner * (half_size + 0.25 + u_view.x);\n"
    "    vec2 ahead = vec2(cos(place.w), sin(place.w));\n"
    "    gl_Position = u_matrix * vec4(place.xy + ahead * at.x + vec2(-ahead.y, ahead.x) * at.y, place.z, 1.0);\n"
    "    shape = vec4(half_size, cos(size.w), sin(size.w));\n"
    "    colour = tint;\n"
    "    line = rim;\n"
    "    line_width = rim_px * u_view.x;\n"
    "    body = kind;\n"
    "}\n";
static const char sprite_fragment[] =
    "in vec2 at;\n"
    "flat in vec4 shape;\n"
    "flat in vec4 colour;\n"
    "flat in vec4 line;\n"
    "flat in float line_width;\n"
    "flat in uint body;\n"
    "uniform vec4 u_view;\n"
    "out vec4 pixel;\n"
    "float box(vec2 p, vec2 h, float r) {\n"
    "    vec2 q = abs(p) - h + r;\n"
    "    return length(max(q, 0.0)) + min(max(q.x, q.y), 0.0) - r;\n"
    "}\n"
    "float inside(float d) { return clamp(0.5 - d / u_view.x, 0.0, 1.0); }\n"
    "void main() {\n"
    "    vec2 h = shape.xy;\n"
    "    vec3 glass = colour.rgb * 0.25 + 0.03;\n"
    "    vec3 paint = colour.rgb;\n"
    "    float wheels = 0.0, outer;\n"
    "    if (body == 4u) {\n" // a person: shoulders, head, nose
    "        outer = (length(at / vec2(0.8, 1.0) / h) - 1.0) * min(h.x * 0.8, h.y);\n"
    "        outer = min(outer, length(at - vec2(0.75 * h.x, 0.0)) - 0.25 * h.x);\n"
    "        paint = mix(paint, paint * 0.45, inside(length(at) - 0.42 * min(h.x, h.y)));\n"
    "    } else if (body == 3u) {\n" // two wheels and a rider
    "        outer = min(box(at, vec2(h.x, 0.28 * h.y), 0.2 * h.y), box(at - vec2(0.45 * h.x, 0.0), vec2(0.08 * h.x, "
    "h.y), 0.0));\n"
    "        outer = min(outer, length((at + vec2(0.1 * h.x, 0.0)) / vec2(0.7, 1.0)) - 0.75 * h.y);\n"
    "        paint = mix(paint, glass, inside(length(at + vec2(0.1 * h.x, 0.0)) - 0.35 * h.y));\n"
    "    } else {\n"
    "        float r = body == 0u ? 0.0 : body == 1u ? 0.55 * h.y : 0.12 * h.y;\n"
    "        outer = box(at, h, min(r, 0.8));\n"
    "    }\n"
    "    if (body == 1u) {\n"
    "        vec2 screen = at - vec2(0.26 * h.x, 0.0);\n"
    "        paint = mix(paint, glass, inside(box(screen, vec2(0.15 * h.x, (0.74 + 0.5 * screen.x / h.x) * h.y), "
    "0.1)));\n"
    "        paint = mix(paint, glass, inside(box(at + vec2(0.68 * h.x, 0.0), vec2(0.09 * h.x, 0.66 * h.y), 0.1)));\n"
    "        vec2 w = vec2(at.x - 0.62 * h.x, abs(at.y) - h.y + 0.06);\n"
    "        float turn = at.y < 0.0 ? -shape.w : shape.w;\n"
    "        w = vec2(shape.z * w.x + turn * w.y, shape.z * w.y - turn * w.x);\n"
    "        wheels = inside(box(w, vec2(0.33, 0.12), 0.05));\n"
    "    } else if (body == 2u) {\n" // a cab, then the load
    "        float cab = min(2.4, 0.6 * h.x);\n"
    "        paint = mix(paint, glass, inside(box(at - vec2(h.x - 0.28 * cab, 0.0), vec2(0.14 * cab, 0.82 * h.y), "
    "0.1)));\n"
    "        paint = mix(paint, glass, inside(abs(at.x - h.x + cab) - 0.12));\n"
    "    }\n"
    "    float whole = inside(outer);\n"
    "    vec3 shade = mix(line.rgb, paint, max(inside(outer + line_width), 1.0 - line.a));\n"
    "    float cover = max(whole, wheels);\n"
    "    pixel = vec4(mix(glass, shade, whole), colour.a * cover);\n"
    "}\n";

static const char solid_vertex[] =
    "layout(location = 0) in vec4 place;\n"
    "layout(location = 1) in vec4 size;\n"
    "layout(location = 2) in vec4 tint;\n"
    "layout(location = 6) in vec3 unit;\n"
    "layout(location = 7) in vec3 metric;\n"
    "layout(location = 8) in vec4 normal;\n"
    "layout(location = 9) in uint part;\n"
    "uniform mat4 u_matrix;\n"
    "out vec4 colour;\n"
    "vec2 turn(vec2 v, float angle) {\n"
    "    float c = cos(angle), s = sin(angle);\n"
    "    return vec2(c * v.x - s * v.y, s * v.x + c * v.y);\n"
    "}\n"
    "void main() {\n"
    "    vec3 offset = metric;\n"
    "    vec3 facing = normal.xyz;\n"
    "    if (part == 3u) { offset.xy = turn(offset.xy, size.w); facing.xy = turn(facing.xy, size.w); }\n"
    "    vec3 local = unit * size.xyz + offset;\n"
    "    gl_Position = u_matrix * vec4(place.xy + turn(local.xy, place.w), place.z + local.z, 1.0);\n"
    "    facing.xy = turn(facing.xy, place.w);\n"
    "    float light = 0.62 + 0.38 * max(dot(facing, vec3(-0.36, 0.48, 0.8)), 0.0) + 0.12 * facing.z;\n"
    "    vec3 base = tint.rgb;\n"
    "    if (part == 1u) base = tint.rgb * 0.15 + vec3(0.06, 0.08, 0.10);\n"
    "    if (part == 2u || part == 3u) base = vec3(0.07);\n"
    "    if (part == 4u) { base = vec3(1.0, 0.97, 0.85); light = 1.0; }\n"
    "    if (part == 5u) { base = vec3(0.85, 0.08, 0.05); light = 1.0; }\n"
    "    colour = vec4(min(base * light, 1.0), tint.a);\n"
    "}\n";

// Positions are px from the upper left corner; the atlas holds coverage (r) and halo (g) texel by texel.
static const char glyph_vertex[] =
    "layout(location = 0) in vec2 place;\n"
    "layout(location = 1) in vec2 texel;\n"
    "layout(location = 2) in vec4 tint;\n"
    "layout(location = 3) in uint halo;\n"
    "uniform vec4 u_view;\n"
    "out vec2 at;\n"
    "flat out vec4 colour;\n"
    "flat out float channel;\n"
    "void main() {\n"
    "    gl_Position = vec4(2.0 * place.x / u_view.y - 1.0, 1.0 - 2.0 * place.y / u_view.z, 0.0, 1.0);\n"
    "    at = texel;\n"
    "    colour = tint;\n"
    "    channel = float(halo);\n"
    "}\n";
static const char glyph_fragment[] = "in vec2 at;\n"
                                     "flat in vec4 colour;\n"
                                     "flat in float channel;\n"
                                     "uniform sampler2D u_image;\n"
                                     "out vec4 pixel;\n"
                                     "void main() {\n"
                                     "    vec2 cover = texelFetch(u_image, ivec2(at), 0).rg;\n"
                                     "    pixel = vec4(colour.rgb, colour.a * mix(cover.x, cover.y, channel));\n"
                                     "}\n";

typedef struct source {
    const char *name, *vertex, *fragment, *define;
} source;
static const source sources[NM_GL_PROGRAM_COUNT] = {
    [NM_GL_FLAT] = {"flat", flat_vertex, flat_fragment, ""},
    [NM_GL_STROKE] = {"stroke", stroke_vertex, stroke_fragment, ""},
    [NM_GL_STROKE_DEPTH] = {"stroke in depth", stroke_vertex, stroke_fragment, "#define DEPTH\n"},
    [NM_GL_SPRITE] = {"sprite", sprite_vertex, sprite_fragment, ""},
    [NM_GL_SOLID] = {"solid", solid_vertex, flat_fragment, ""},
    [NM_GL_GLYPH] = {"glyph", glyph_vertex, glyph_fragment, ""},
};

static GLuint compile(GLenum stage, const char *define, const char *text, char *log, GLsizei size) {
    const char *parts[] = {"#version 330 core\n", define, text};
    const GLuint shader = glCreateShader(stage);
    GLint done = 0;
    glShaderSource(shader, 3, parts, NULL);
    glCompileShader(shader);
    glGetShaderiv(shader, GL_COMPILE_STATUS, &done);
    if (done) return shader;
    glGetShaderInfoLog(shader, size, NULL, log);
    glDeleteShader(shader);
    return 0;
}

static nm_status create(nm_gl_program *program, const source *from, nm_error *error) {
    char log[400] = "no memory";
    GLint done = 0;
    const GLuint vertex = compile(GL_VERTEX_SHADER, from->define, from->vertex, log, sizeof log);
    const GLuint fragment = vertex ? compile(GL_FRAGMENT_SHADER, from->define, from->fragment, log, sizeof log) : 0;
    if (fragment) {
        program->name = glCreateProgram();
        glAttachShader(program->name, vertex);
        glAttachShader(program->name, fragment);
        glLinkProgram(program->name);
        glGetProgramiv(program->name, GL_LINK_STATUS, &done);
        if (!done) glGetProgramInfoLog(program->name, sizeof log, NULL, log);
    }
    glDeleteShader(vertex);
    glDeleteShader(fragment);
    if (!done)
        return NM_ERROR(error, NM_E_UNSUPPORTED, "this OpenGL does not compile shader '%s': %s", from->name, log);
    program->matrix = glGetUniformLocation(program->name, "u_matrix");
    program->view = glGetUniformLocation(program->name, "u_view");
    return NM_OK;
}

nm_status nm_gl_programs_create(nm_gl_program programs[NM_GL_PROGRAM_COUNT], nm_error *error) {
    for (int i = 0; i < NM_GL_PROGRAM_COUNT; i++) {
        const nm_status status = create(&programs[i], &sources[i], error);
        if (status != NM_OK) return status;
    }
    return NM_OK;
}

void nm_gl_programs_destroy(nm_gl_program programs[NM_GL_PROGRAM_COUNT]) {
    for (int i = 0; i < NM_GL_PROGRAM_COUNT; i++) glDeleteProgram(programs[i].name);
    memset(programs, 0, NM_GL_PROGRAM_COUNT * sizeof *programs);
}
