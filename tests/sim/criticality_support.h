/// Shared by the tests of sim/metrics: random boxes with a printed seed, and an overlap test made another way.
#ifndef NM_TESTS_SIM_CRITICALITY_SUPPORT_H
#define NM_TESTS_SIM_CRITICALITY_SUPPORT_H

#include "base/rng.h"
#include "sim/metrics/criticality.h"
#include "support.h"

typedef struct draws {
    nm_rng_key key;
    uint32_t next;
} draws;

static inline draws draws_of(uint64_t seed) {
    printf("seed %llu\n", (unsigned long long)seed);
    return (draws){{.seed = seed, .purpose = NM_PURPOSE_TEST}, 0};
}
static inline float draw(draws *from, float low, float high) {
    return low + (high - low) * nm_rng_uniform(&from->key, from->next++);
}

/// A box of the given place, heading (rad), size and speed along its heading.
static inline nm_box box_at(double x, double y, double heading, double length, double width, double speed) {
    return (nm_box){.x = (float)x,
                    .y = (float)y,
                    .cos_h = (float)cos(heading),
                    .sin_h = (float)sin(heading),
                    .length = (float)length,
                    .width = (float)width,
                    .vx = (float)(speed * cos(heading)),
                    .vy = (float)(speed * sin(heading))};
}
/// A car of 4 m x 2 m heading along +x.
static inline nm_box car_at(double x, double y, double speed) {
    return box_at(x, y, 0.0, 4.0, 2.0, speed);
}

static inline nm_box random_box(draws *from, float spread) {
    nm_box box = box_at(draw(from, -spread, spread), draw(from, -spread, spread), draw(from, -3.14f, 3.14f),
                        draw(from, 0.3f, 8.0f), draw(from, 0.3f, 3.0f), draw(from, -3.0f, 20.0f));
    box.vx += draw(from, -1.0f, 1.0f), box.vy += draw(from, -1.0f, 1.0f);
    return box;
}

static inline nm_box moved(nm_box box, double t) {
    box.x = (float)(box.x + box.vx * t), box.y = (float)(box.y + box.vy * t);
    return box;
}

/// Turned about the origin, then shifted.
static inline nm_box placed(nm_box box, double angle, double dx, double dy) {
    double c = cos(angle), s = sin(angle);
    nm_box out = box;
    out.x = (float)(c * box.x - s * box.y + dx), out.y = (float)(s * box.x + c * box.y + dy);
    out.cos_h = (float)(c * box.cos_h - s * box.sin_h), out.sin_h = (float)(s * box.cos_h + c * box.sin_h);
    out.vx = (float)(c * box.vx - s * box.vy), out.vy = (float)(s * box.vx + c * box.vy);
    return out;
}

/// Distance of the boxes by points on both outlines and in the inside of each: an oracle that knows no geometry but
/// "is this point in that rectangle". Never below the truth; 0 when a sampled point of one lies in the other.
static inline double sampled_distance(const nm_box *a, const nm_box *b, int points) {
    const nm_box *boxes[2] = {a, b};
    double least = INFINITY;
    for (int order = 0; order < 2; order++) {
        const nm_box *from = boxes[order], *to = boxes[1 - order];
        for (int edge = 0; edge < 4; edge++)
            for (int i = 0; i <= points; i++) {
                double f = 2.0 * i / points - 1.0;
                double l = 0.5 * from->length * (edge < 2 ? f : edge == 2 ? 1 : -1);
                double w = 0.5 * from->width * (edge >= 2 ? f : edge == 0 ? 1 : -1);
                double x = from->x + from->cos_h * l - from->sin_h * w - to->x;
                double y = from->y + from->sin_h * l + from->cos_h * w - to->y;
                double along = fabs(to->cos_h * x + to->sin_h * y) - 0.5 * to->length;
                double aside = fabs(to->cos_h * y - to->sin_h * x) - 0.5 * to->width;
                along = along > 0 ? along : 0, aside = aside > 0 ? aside : 0;
                double distance = sqrt(along * along + aside * aside);
                if (distance < least) least = distance;
            }
    }
    return least;
}

#define assert_near(actual, expected, tolerance)                                                                       \
    do {                                                                                                               \
        double actual_ = (actual), expected_ = (expected);                                                             \
        if (!(fabs(actual_ - expected_) <= (tolerance)) && actual_ != expected_)                                       \
            fail_msg("%s is %.9g, expected %.9g", #actual, actual_, expected_);                                        \
    } while (0)

#endif
