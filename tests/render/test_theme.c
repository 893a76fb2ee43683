/// Colours: told apart by colour-blind people, too. Dichromacies after Machado, Oliveira and Fernandes 2009 (severity
/// 1.0, applied to linear RGB); distances by CIE94, which weighs differences of saturated colours down.
#include "render/theme.h"
#include "support.h"

typedef struct lab {
    double l, a, b;
} lab;

static const double visions[4][3][3] = {
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
    {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}, // protanopia
    {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},  // deuteranopia
    {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}, // tritanopia
};
static const char *const vision_names[4] = {"normal vision", "protanopia", "deuteranopia", "tritanopia"};

static double linear(uint8_t value) {
    const double v = value / 255.0;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double root(double t) {
    return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116;
}

static lab seen_as(nm_rgba colour, int vision) {
    const double in[3] = {linear(colour.r), linear(colour.g), linear(colour.b)};
    double c[3];
    for (int i = 0; i < 3; i++) {
        c[i] = 0;
        for (int k = 0; k < 3; k++) c[i] += visions[vision][i][k] * in[k];
        c[i] = fmin(fmax(c[i], 0), 1);
    }
    const double x = root((0.4124564 * c[0] + 0.3575761 * c[1] + 0.1804375 * c[2]) / 0.95047);
    const double y = root(0.2126729 * c[0] + 0.7151522 * c[1] + 0.0721750 * c[2]);
    const double z = root((0.0193339 * c[0] + 0.1191920 * c[1] + 0.9503041 * c[2]) / 1.08883);
    return (lab){116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

/// CIE94 for graphic arts, with the mean chroma of both so that it is symmetric.
static double distance(lab a, lab b) {
    const double ca = hypot(a.a, a.b), cb = hypot(b.a, b.b), mean = sqrt(ca * cb);
    const double dl = a.l - b.l, dc = ca - cb;
    const double dh2 = fmax((a.a - b.a) * (a.a - b.a) + (a.b - b.b) * (a.b - b.b) - dc * dc, 0);
    const double sc = 1 + 0.045 * mean, sh = 1 + 0.015 * mean;
    return sqrt(dl * dl + dc * dc / (sc * sc) + dh2 / (sh * sh));
}

static void apart(const char *what, nm_rgba a, nm_rgba b, double floor) {
    for (int vision = 0; vision < 4; vision++) {
        const double d = distance(seen_as(a, vision), seen_as(b, vision));
        if (!(d >= floor))
            fail_msg("%s: %.1f apart for %s, at least %.1f wanted", what, d, vision_names[vision], floor);
    }
}

static void roles_are_told_apart(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const nm_theme *theme = nm_theme_of((nm_theme_kind)kind);
        for (int i = 0; i < NM_ROLE_COUNT; i++) {
            char what[128];
            for (int k = 0; k < i; k++) {
                snprintf(what, sizeof what, "%s: %s and %s", kind ? "dark" : "day", nm_role_name((nm_role)i),
                         nm_role_name((nm_role)k));
                apart(what, theme->role[i], theme->role[k], 18.0);
            }
            snprintf(what, sizeof what, "%s: %s and the road", kind ? "dark" : "day", nm_role_name((nm_role)i));
            apart(what, theme->role[i], theme->lane, 12.0);
            apart(what, theme->role[i], theme->junction, 12.0);
        }
    }
}

static void marks_stand_out(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const nm_theme *t = nm_theme_of((nm_theme_kind)kind);
        apart("warning and road", t->warning, t->lane, 24.0);
        apart("collision and road", t->collision, t->lane, 25.0);
        apart("white marking and road", t->marking_white, t->lane, 15.0);
        apart("yellow marking and road", t->marking_yellow, t->lane, 15.0);
        apart("edge and road", t->edge, t->lane, 12.0);
        apart("road and background", t->lane, t->background, 8.0);
        apart("text and panel", t->text, t->panel, 60.0);
        apart("graph and panel", t->panel_graph, t->panel, 30.0);
        apart("mark and panel", t->panel_mark, t->panel, 30.0);
        // lightness alone: told apart without any hue
        assert_true(fabs(seen_as(t->signal_stop, 0).l - seen_as(t->signal_caution, 0).l) > 15);
        assert_true(fabs(seen_as(t->signal_go, 0).l - seen_as(t->signal_stop, 0).l) > 10);
    }
}

static void noise_goes_in_even_steps_of_lightness(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const nm_theme *theme = nm_theme_of((nm_theme_kind)kind);
        const double from = seen_as(theme->noise[0], 0).l, to = seen_as(theme->noise[1], 0).l;
        assert_true(fabs(to - from) > 45);
        for (int vision = 0; vision < 4; vision++) {
            double before = seen_as(nm_noise_colour(theme, 0), vision).l;
            for (int i = 1; i <= 10; i++) {
                const double l = seen_as(nm_noise_colour(theme, (float)i / 10), vision).l;
                if (!((l - before) * (to - from > 0 ? 1 : -1) > 2))
                    fail_msg("level %.1f: lightness %.1f after %.1f for %s", i / 10.0, l, before, vision_names[vision]);
                if (vision == 0) assert_true(fabs(l - (from + (to - from) * i / 10)) < 0.8);
                before = l;
            }
        }
        const nm_rgba ends[2] = {nm_noise_colour(theme, -1), nm_noise_colour(theme, 2)};
        for (int i = 0; i < 2; i++) assert_true(abs(ends[i].r - theme->noise[i].r) <= 1);
        const nm_rgba none = nm_noise_colour(theme, NAN);
        assert_memory_equal(&none, &ends[0], sizeof none);
    }
}

static void roles_have_names(void **state) {
    (void)state;
    for (int i = 0; i < NM_ROLE_COUNT; i++) assert_true(strlen(nm_role_name((nm_role)i)) >= 3);
    assert_string_equal(nm_role_name(NM_ROLE_EGO), "ego");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_are_told_apart),
        cmocka_unit_test(marks_stand_out),
        cmocka_unit_test(noise_goes_in_even_steps_of_lightness),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
