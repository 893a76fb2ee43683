#include "render/theme.h"

#include <math.h>

#define RGB(hex)                                                                                                       \
    { (hex) >> 16 & 255, (hex) >> 8 & 255, (hex)&255, 255 }
#define RGBA(hex, alpha)                                                                                               \
    { (hex) >> 16 & 255, (hex) >> 8 & 255, (hex)&255, (alpha) }

// Roads are grey without a hue, so that every hue in the picture belongs to an agent or a danger. The role colours
// began as those of Okabe and Ito and were moved until all pairs keep their distance under the three dichromacies
// (tests/render/test_theme.c holds the floor).
static const nm_theme day = {
    .background = RGB(0xF1EFEA),
    .lane = RGB(0xB9BEC5),
    .junction = RGB(0xB1B6BE),
    .shoulder = RGB(0xC9CCCF),
    .bike_lane = RGB(0xA9C2B4),
    .sidewalk = RGB(0xDEDAD2),
    .driveway = RGB(0xCFCBC3),
    .crosswalk = RGB(0xF7F7F5),
    .stop_line = RGB(0xFFFFFF),
    .marking_white = RGB(0xFFFFFF),
    .marking_yellow = RGB(0xF2B705),
    .edge = RGB(0x8A9099),
    .centre = RGBA(0x5B6470, 150),
    .signal_stop = RGB(0xC81E1E),
    .signal_caution = RGB(0xF5B301),
    .signal_go = RGB(0x17A35B),
    .signal_off = RGB(0x6B7078),
    .role = {[NM_ROLE_EGO] = RGB(0x0A539F),
             [NM_ROLE_ADVERSARY] = RGB(0xC94A0A),
             [NM_ROLE_VEHICLE] = RGB(0xF4F6F8),
             [NM_ROLE_LARGE] = RGB(0xAE86D2),
             [NM_ROLE_CYCLIST] = RGB(0x149E78),
             [NM_ROLE_PEDESTRIAN] = RGB(0xFFDF1F),
             [NM_ROLE_STATIC] = RGB(0x4C474A)},
    .outline = {[NM_ROLE_EGO] = RGB(0x06294F),
                [NM_ROLE_ADVERSARY] = RGB(0x5C1F00),
                [NM_ROLE_VEHICLE] = RGB(0x4A525C),
                [NM_ROLE_LARGE] = RGB(0x4B3266),
                [NM_ROLE_CYCLIST] = RGB(0x054534),
                [NM_ROLE_PEDESTRIAN] = RGB(0x5E5300),
                [NM_ROLE_STATIC] = RGB(0x221F20)},
    .trail = RGBA(0x39434F, 120),
    .future = RGBA(0x39434F, 190),
    .plan = RGBA(0x0B5CAD, 210),
    .warning = RGB(0xE0007A),
    .collision = RGB(0xB00020),
    .goal = RGB(0x0F7B63),
    .text = RGB(0x1D232B),
    .text_halo = RGBA(0xFFFFFF, 225),
    .panel = RGB(0xFBFAF8),
    .panel_line = RGB(0xD3D5D8),
    .panel_graph = RGB(0x0B5CAD),
    .panel_mark = RGB(0xB00020),
    .noise = {RGB(0x12386B), RGB(0xF1D35A)},
};

static const nm_theme dark = {
    .background = RGB(0x14171B),
    .lane = RGB(0x2B3038),
    .junction = RGB(0x323842),
    .shoulder = RGB(0x24282E),
    .bike_lane = RGB(0x263A33),
    .sidewalk = RGB(0x1E2126),
    .driveway = RGB(0x262522),
    .crosswalk = RGB(0x8F959E),
    .stop_line = RGB(0xB4BAC3),
    .marking_white = RGB(0xA3AAB4),
    .marking_yellow = RGB(0xC09218),
    .edge = RGB(0x596270),
    .centre = RGBA(0x8C96A4, 130),
    .signal_stop = RGB(0xFF4B4B),
    .signal_caution = RGB(0xFFC52E),
    .signal_go = RGB(0x2FD77F),
    .signal_off = RGB(0x7A828D),
    .role = {[NM_ROLE_EGO] = RGB(0x447FE6),
             [NM_ROLE_ADVERSARY] = RGB(0xDB610A),
             [NM_ROLE_VEHICLE] = RGB(0xDEEAF5),
             [NM_ROLE_LARGE] = RGB(0x9B9DAC),
             [NM_ROLE_CYCLIST] = RGB(0x08CB8D),
             [NM_ROLE_PEDESTRIAN] = RGB(0xFFE23A),
             [NM_ROLE_STATIC] = RGB(0x60606E)},
    .outline = {[NM_ROLE_EGO] = RGB(0xC9DDFF),
                [NM_ROLE_ADVERSARY] = RGB(0xFFD9BD),
                [NM_ROLE_VEHICLE] = RGB(0x0C0E11),
                [NM_ROLE_LARGE] = RGB(0x0C0E11),
                [NM_ROLE_CYCLIST] = RGB(0xBDF7E1),
                [NM_ROLE_PEDESTRIAN] = RGB(0xFFFBD6),
                [NM_ROLE_STATIC] = RGB(0xA5A5B2)},
    .trail = RGBA(0xC3CCD8, 110),
    .future = RGBA(0xC3CCD8, 190),
    .plan = RGBA(0x7FB2FF, 220),
    .warning = RGB(0xFF5CB0),
    .collision = RGB(0xFF3347),
    .goal = RGB(0x3CE0B8),
    .text = RGB(0xECEFF3),
    .text_halo = RGBA(0x0B0D10, 225),
    .panel = RGB(0x191D22),
    .panel_line = RGB(0x39404A),
    .panel_graph = RGB(0x6FA6FF),
    .panel_mark = RGB(0xFF3347),
    .noise = {RGB(0x2F5E9E), RGB(0xF6E08A)},
};

const nm_theme *nm_theme_of(nm_theme_kind kind) {
    NM_ASSERT(kind == NM_THEME_DAY || kind == NM_THEME_DARK);
    return kind == NM_THEME_DARK ? &dark : &day;
}

const char *nm_role_name(nm_role role) {
    static const char *const names[NM_ROLE_COUNT] = {"ego",     "adversary",  "vehicle", "large vehicle",
                                                     "cyclist", "pedestrian", "static"};
    NM_ASSERT(role >= 0 && role < NM_ROLE_COUNT);
    return names[role];
}

// --- CIE L*a*b* of sRGB (IEC 61966-2-1, white D65): where equal steps look equal
// --------------------------------------

typedef struct lab {
    float l, a, b;
} lab;

static float to_linear(uint8_t value) {
    const float v = (float)value / 255.0f;
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

static uint8_t from_linear(float v) {
    v = fminf(fmaxf(v, 0.0f), 1.0f);
    const float coded = v <= 0.0031308f ? 12.92f * v : 1.055f * powf(v, 1.0f / 2.4f) - 0.055f;
    return (uint8_t)(255.0f * coded + 0.5f);
}

static float root(float t) {
    return t > 216.0f / 24389.0f ? cbrtf(t) : (24389.0f / 27.0f * t + 16.0f) / 116.0f;
}

static float unroot(float f) {
    return f > 6.0f / 29.0f ? f * f * f : (116.0f * f - 16.0f) * 27.0f / 24389.0f;
}

static lab lab_of(nm_rgba c) {
    const float r = to_linear(c.r), g = to_linear(c.g), b = to_linear(c.b);
    const float x = root((0.4124564f * r + 0.3575761f * g + 0.1804375f * b) / 0.95047f);
    const float y = root(0.2126729f * r + 0.7151522f * g + 0.0721750f * b);
    const float z = root((0.0193339f * r + 0.1191920f * g + 0.9503041f * b) / 1.08883f);
    return (lab){116.0f * y - 16.0f, 500.0f * (x - y), 200.0f * (y - z)};
}

static nm_rgba rgba_of(lab c, uint8_t alpha) {
    const float fy = (c.l + 16.0f) / 116.0f;
    const float x = 0.95047f * unroot(fy + c.a / 500.0f), y = unroot(fy), z = 1.08883f * unroot(fy - c.b / 200.0f);
    return (nm_rgba){from_linear(3.2404542f * x - 1.5371385f * y - 0.4985314f * z),
                     from_linear(-0.9692660f * x + 1.8760108f * y + 0.0415560f * z),
                     from_linear(0.0556434f * x - 0.2040259f * y + 1.0572252f * z), alpha};
}

nm_rgba nm_noise_colour(const nm_theme *theme, float level) {
    NM_ASSERT(theme);
    const float t = level > 0 ? fminf(level, 1.0f) : 0.0f; // NaN is 0
    const lab from = lab_of(theme->noise[0]), to = lab_of(theme->noise[1]);
    const lab between = {from.l + t * (to.l - from.l), from.a + t * (to.a - from.a), from.b + t * (to.b - from.b)};
    return rgba_of(between, 255);
}
