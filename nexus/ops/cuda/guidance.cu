#include "nexus/ops/cuda/guidance.h"

#include "nexus/ops/cuda/device.cuh"

// A thread has a state, or the path of an adversary, and gathers what others would scatter to it on the CPU, in the
// order in which they would: a pair is looked at from both sides, and no addition needs to be atomic. All in double,
// as on the CPU: a metre in a map of kilometres, with its squares, is more than a float holds.

namespace nm_cuda {
namespace {

constexpr uint32_t guide_threads = 128;

__device__ inline uint32_t this_thread() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}
__device__ inline const nm_cuda_guide_token &token_of(const nm_cuda_guide &g, uint32_t p) {
    return g.tokens[p / g.config.encoding.states];
}
__device__ inline float *row_of(const nm_cuda_guide &g, uint32_t p) {
    const nm_state_encoding &e = g.config.encoding;
    return g.x0 + (size_t)(p / e.states) * g.x0_stride + (size_t)(p % e.states) * e.stride;
}

// ---------------------------------------------------------------------------------------------------------------------
// Before and after the steps

__global__ void decode_kernel(const nm_cuda_guide g) {
    const uint32_t p = this_thread();
    if (p >= g.view.count) return;
    const nm_state_encoding &e = g.config.encoding;
    const nm_cuda_guide_token &token = token_of(g, p);
    const float *row = row_of(g, p);
    nm_guide_decode_state(&e, row, &token.pose, &g.view, p);
    g.length[p] = nm_guide_extent(&e, row, NM_FIELD_LENGTH, token.length, 4.5);
    g.width[p] = nm_guide_extent(&e, row, NM_FIELD_WIDTH, token.width, 2.0);
    g.clean[p] = g.level[(size_t)(p / e.states) * g.level_stride] == 0.0f;
    g.fixed[p] = g.clean[p] || nm_guide_slow(&g.view, p, (double)g.config.min_speed);
    g.touched[p] = 0;
    g.on_lane[p] = 0;
}

__global__ void lane_kernel(const nm_cuda_guide g) {
    const uint32_t p = this_thread();
    if (p >= g.view.count || g.fixed[p]) return;
    const nm_cuda_guide_token &token = token_of(g, p);
    if (token.map == NM_NONE || !token.lane_mask) return;
    const nm_cuda_guide_map *m = &g.maps[token.map];
    const float x = (float)g.view.state[NM_FIELD_X][p], y = (float)g.view.state[NM_FIELD_Y][p];
    const float heading = nm_atan2f((float)g.view.state[NM_FIELD_SIN][p], (float)g.view.state[NM_FIELD_COS][p]);
    const nm_map_grid *grid = m->grid.start ? &m->grid : nullptr;
    const nm_frenet at =
        nm_inline_match(&m->map, m->bounds, grid, x, y, heading, g.config.lane_radius, token.lane_mask);
    if (at.lane == NM_NONE) return;
    float lane_x, lane_y, lane_heading;
    nm_inline_position(&m->map, at.lane, at.s, 0.0f, &lane_x, &lane_y, &lane_heading);
    g.on_lane[p] = 1;
    g.lane_x[p] = (double)lane_x;
    g.lane_y[p] = (double)lane_y;
    g.lane_cos[p] = cos((double)lane_heading);
    g.lane_sin[p] = sin((double)lane_heading);
    g.lane_half[p] = (double)(at.d >= 0.0f ? at.left : at.right);
}

__global__ void encode_kernel(const nm_cuda_guide g) {
    const uint32_t p = this_thread();
    if (p >= g.view.count || !g.touched[p]) return;
    nm_guide_encode_state(&g.config.encoding, &g.view, p, &token_of(g, p).pose, row_of(g, p));
}

// ---------------------------------------------------------------------------------------------------------------------
// The slope of a step

__device__ void add(double sum[NM_GUIDE_STATES], double strength, const double term[NM_GUIDE_STATES]) {
    for (int f = 0; f < NM_GUIDE_STATES; f++) sum[f] += strength * term[f];
}

__device__ void add_overlap(const nm_cuda_guide &g, uint32_t n, double sum[NM_GUIDE_STATES]) {
    const nm_guide_view &v = g.view;
    const double margin = (double)g.config.margin, reach = nm_guide_reach_of_box(&v, n, margin);
    const double x = v.state[NM_FIELD_X][n], y = v.state[NM_FIELD_Y][n];
    double term[NM_GUIDE_STATES] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    const uint32_t end = v.group_offsets[g.group[n] + 1];
    bool passed = false; // the others that come after n are second in the pair, those before it first
    for (uint32_t i = v.group_offsets[g.group[n]]; i < end; i++) {
        const uint32_t other = v.group_tokens[i];
        passed = passed || other == n;
        if (other == n) continue;
        const double dx = v.state[NM_FIELD_X][other] - x, dy = v.state[NM_FIELD_Y][other] - y;
        const double near = reach + nm_guide_reach_of_box(&v, other, margin);
        if (dx * dx + dy * dy >= near * near) continue;
        const uint32_t a = passed ? n : other, b = passed ? other : n;
        if (!nm_guide_concerns(&v, a, b)) continue;
        const nm_guide_overlap o = nm_guide_overlap_of(&v, a, b, margin);
        if (!(o.energy > 0.0)) continue;
        term[NM_FIELD_X] += passed ? o.apart.x : -o.apart.x;
        term[NM_FIELD_Y] += passed ? o.apart.y : -o.apart.y;
        term[NM_FIELD_COS] += passed ? o.heading_a.x : o.heading_b.x;
        term[NM_FIELD_SIN] += passed ? o.heading_a.y : o.heading_b.y;
    }
    const nm_guide_vector favoured = nm_guide_favour_lane(&v, n, {term[NM_FIELD_X], term[NM_FIELD_Y]});
    term[NM_FIELD_X] = favoured.x;
    term[NM_FIELD_Y] = favoured.y;
    add(sum, (double)g.config.overlap, term);
}

__device__ void add_road(const nm_cuda_guide &g, uint32_t n, double sum[NM_GUIDE_STATES]) {
    nm_guide_vector slope;
    if (!g.on_lane[n] || !(nm_guide_beyond_lane(&g.view, n, &slope) > 0.0)) return;
    sum[NM_FIELD_X] += (double)g.config.road * slope.x;
    sum[NM_FIELD_Y] += (double)g.config.road * slope.y;
}

/// The pull of the window around every state, for add_smooth.
__global__ void window_kernel(const nm_cuda_guide g) {
    const uint32_t n = this_thread();
    if (n >= g.view.count) return;
    uint32_t first;
    const uint32_t reach = nm_guide_reach_of(&g.view, n, g.config.window, &first);
    for (int f = 0; f < NM_GUIDE_STATES; f++) {
        double off;
        g.term[f][n] = reach ? nm_guide_smooth_pull(&g.view, n, first, reach, f, &off) : 0.0;
    }
}

__device__ void add_smooth(const nm_cuda_guide &g, uint32_t n, double sum[NM_GUIDE_STATES]) {
    const nm_guide_view &v = g.view;
    double term[NM_GUIDE_STATES] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    uint32_t at = n, before = 0; // the windows that may hold n are those of its neighbours, on either side
    for (; before < g.config.window && v.previous[at] != NM_NONE; before++) at = v.previous[at];
    for (uint32_t i = 0; i <= before + g.config.window && at != NM_NONE; i++, at = v.next[at]) {
        uint32_t first;
        const uint32_t reach = nm_guide_reach_of(&v, at, g.config.window, &first);
        const uint32_t distance = i < before ? before - i : i - before;
        if (!reach || distance > reach) continue;
        const double share = 1.0 / (2 * reach + 1);
        for (int f = 0; f < NM_GUIDE_STATES; f++) {
            const double pull = g.term[f][at];
            if (at == n) term[f] += pull;
            term[f] -= share * pull;
        }
    }
    add(sum, (double)g.config.smooth, term);
}

__device__ void add_consistent(const nm_cuda_guide &g, uint32_t n, double sum[NM_GUIDE_STATES]) {
    const nm_guide_view &v = g.view;
    double term[NM_GUIDE_STATES] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    for (int after = 0; after < 2; after++) {
        const uint32_t other = after ? v.next[n] : v.previous[n];
        for (int axis = 0; other != NM_NONE && axis < 2; axis++) {
            double off;
            const double pull = nm_guide_velocity_pull(&v, after ? n : other, after ? other : n, axis, &off);
            term[NM_FIELD_X + axis] += after ? -pull : pull;
            term[NM_FIELD_VX + axis] -= 0.5 * v.dt * pull;
        }
    }
    nm_guide_heading_against_velocity(&v, n, term);
    nm_guide_heading_of_length_one(&v, n, term);
    add(sum, (double)g.config.consistent, term);
}

__global__ void slope_kernel(const nm_cuda_guide g) {
    const uint32_t n = this_thread();
    if (n >= g.view.count) return;
    double sum[NM_GUIDE_STATES] = {0.0, 0.0, 0.0, 0.0, 0.0, 0.0};
    if (g.config.overlap > 0.0f) add_overlap(g, n, sum);
    if (g.config.road > 0.0f) add_road(g, n, sum);
    if (g.config.smooth > 0.0f) add_smooth(g, n, sum);
    if (g.config.consistent > 0.0f) add_consistent(g, n, sum);
    for (int f = 0; f < NM_GUIDE_STATES; f++) g.sum[f][n] = sum[f];
}

// ---------------------------------------------------------------------------------------------------------------------
// Adversaries: a thread has a path

__global__ void encounter_kernel(const nm_cuda_guide g) {
    const uint32_t i = this_thread();
    if (i >= g.encounter_count || !g.encounters[i].leads) return;
    for (uint32_t k = i; k != NM_NONE; k = g.encounters[k].then) {
        const nm_guide_encounter &e = g.encounters[k].encounter;
        for (uint32_t n = e.first; n != NM_NONE; n = g.view.next[n]) {
            for (int f = 0; f < NM_GUIDE_STATES; f++) g.term[f][n] = 0.0;
        }
        nm_guide_add_encounter(&g.view, &e, g.term);
        for (uint32_t n = e.first; n != NM_NONE; n = g.view.next[n]) {
            for (int f = 0; f < NM_GUIDE_STATES; f++) g.sum[f][n] += (double)g.config.adversarial * g.term[f][n];
        }
    }
}

__global__ void drivable_kernel(const nm_cuda_guide g) {
    const uint32_t i = this_thread();
    if (i >= g.encounter_count || !g.encounters[i].leads) return;
    nm_guide_view view = g.view;
    for (uint32_t k = i; k != NM_NONE; k = g.encounters[k].then) {
        const nm_guide_encounter &e = g.encounters[k].encounter;
        nm_guide_make_drivable(&view, e.first, &e.what, g.clean, g.touched);
    }
}

__global__ void descend_kernel(const nm_cuda_guide g) {
    const uint32_t n = this_thread();
    if (n >= g.view.count || g.fixed[n]) return;
    double slope[NM_GUIDE_STATES], move[NM_GUIDE_STATES];
    for (int f = 0; f < NM_GUIDE_STATES; f++) slope[f] = g.sum[f][n];
    if (!nm_guide_move(&g.descent, slope, move)) return;
    for (int f = 0; f < NM_GUIDE_STATES; f++) g.view.state[f][n] += move[f];
    g.touched[n] = 1;
}

} // namespace
} // namespace nm_cuda

int nm_cuda_made(const nm_backend *backend) {
    return backend->ops->linear == nm_cuda::linear;
}

void nm_cuda_guide_pass(nm_backend *handle, const nm_cuda_guide *guide) {
    using namespace nm_cuda;
    NM_ASSERT(nm_cuda_made(handle));
    backend *b = enter(handle, "guidance");
    const nm_cuda_guide &g = *guide;
    const nm_guidance_config &c = g.config;
    const dim3 block(guide_threads), states((g.view.count + guide_threads - 1) / guide_threads);
    const dim3 paths((g.encounter_count + guide_threads - 1) / guide_threads);
    launch(b, decode_kernel, states, block, 0, g);
    if (c.overlap > 0.0f || c.road > 0.0f) launch(b, lane_kernel, states, block, 0, g);
    for (uint32_t i = 0; i < c.iterations; i++) {
        if (c.smooth > 0.0f) launch(b, window_kernel, states, block, 0, g);
        launch(b, slope_kernel, states, block, 0, g);
        launch(b, encounter_kernel, paths, block, 0, g);
        launch(b, descend_kernel, states, block, 0, g);
    }
    launch(b, drivable_kernel, paths, block, 0, g);
    launch(b, encode_kernel, states, block, 0, g);
}
