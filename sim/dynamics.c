/// The kinematic bicycle in rear-axle form (Polack et al. 2017, "The kinematic bicycle model: a consistent model for
/// planning feasible trajectories for autonomous vehicles?", eq. 1 with the reference point at the rear axle):
///     x' = v cos(psi), y' = v sin(psi), psi' = v kappa, kappa = tan(steering angle) / wheelbase.
/// Commands are acceleration and curvature; positions are kept at the box centre, `rear` metres ahead of the axle. The
/// step takes the mean speed and the mid heading: second order, exact for constant curvature up to the chord's
/// shortening.
#include "sim/world_internal.h"

/// Chosen, not fitted: what healthy vehicles do on a dry road, inside the bounds that Waymax calls infeasible (10.4
/// m/s^2, and 0.3 1/m for cars). Curvature at full lock belongs to turning circles of 10 m (car), 17 m (truck) and 20 m
/// (bus). In the order of the struct.
nm_dynamics_limits nm_dynamics_limits_of(nm_agent_type type) {
    const nm_dynamics_limits car = {4.0f, 8.0f, 25.0f, 0.20f, 0.20f, 0.9f, 60.0f, 0.30f};
    const nm_dynamics_limits truck = {1.5f, 6.5f, 15.0f, 0.12f, 0.10f, 0.75f, 33.0f, 0.28f};
    const nm_dynamics_limits bus = {1.8f, 6.0f, 15.0f, 0.10f, 0.10f, 0.75f, 30.0f, 0.25f};
    const nm_dynamics_limits motorcycle = {5.0f, 8.0f, 30.0f, 0.35f, 0.40f, 0.9f, 70.0f, 0.32f};
    const nm_dynamics_limits cyclist = {1.5f, 4.5f, 15.0f, 0.60f, 1.00f, 0.7f, 15.0f, 0.30f};
    const nm_dynamics_limits pedestrian = {2.0f, 4.0f, 20.0f, 20.0f, 200.f, 0.7f, 4.0f, 0.0f};
    switch (type) {
    case NM_AGENT_TRUCK:
        return truck;
    case NM_AGENT_BUS:
    case NM_AGENT_TRAIN:
        return bus;
    case NM_AGENT_MOTORCYCLE:
        return motorcycle;
    case NM_AGENT_CYCLIST:
        return cyclist;
    case NM_AGENT_PEDESTRIAN:
        return pedestrian;
    default:
        return car;
    }
}

/// Commands -> accel and curvature within jerk, engine, brakes, steering and tyres. Braking goes before steering: the
/// friction circle takes what the deceleration leaves.
NM_TARGET_CLONES
static void limit_commands(const nm_world *w, uint32_t count) {
    const float *restrict command = w->accel_command, *restrict steer = w->curvature_command;
    const float *restrict speed = w->speed, *restrict mobile = w->mobile;
    const float *restrict up = w->accel_max, *restrict down = w->brake_max, *restrict jerk = w->jerk_step;
    const float *restrict lock = w->curvature_max, *restrict rate = w->curvature_step, *restrict grip = w->grip_squared;
    float *restrict accel = w->accel, *restrict curvature = w->curvature;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        float a = nm_clampf(command[i], accel[i] - jerk[i], accel[i] + jerk[i]);
        a = nm_clampf(a, -down[i], up[i]);
        const float v2 = speed[i] * speed[i];
        const float lateral_left = nm_maxf(grip[i] - a * a, 0.04f * grip[i]);
        // |kappa| v^2 <= sqrt(left); the 1 keeps the bound open at walking pace, where full lock binds anyway
        const float tyre = sqrtf(lateral_left) / nm_maxf(v2, 1.0f);
        const float most = nm_minf(lock[i], tyre);
        float k = nm_clampf(steer[i], curvature[i] - rate[i], curvature[i] + rate[i]);
        k = nm_clampf(k, -most, most);
        accel[i] = mobile[i] != 0.0f ? a : accel[i];
        curvature[i] = mobile[i] != 0.0f ? k : curvature[i];
    }
}

NM_TARGET_CLONES
static void move(const nm_world *w, uint32_t count) {
    const float dt = NM_STEP_SECONDS;
    float *restrict x = w->x, *restrict y = w->y, *restrict heading = w->heading;
    float *restrict cos_h = w->cos_h, *restrict sin_h = w->sin_h, *restrict speed = w->speed;
    float *restrict vx = w->vx, *restrict vy = w->vy, *restrict accel = w->accel;
    const float *restrict curvature = w->curvature, *restrict rear = w->rear, *restrict mobile = w->mobile;
    const float *restrict top = w->speed_max;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        const float v0 = speed[i];
        float v1 = nm_clampf(v0 + accel[i] * dt, 0.0f, nm_maxf(top[i], v0)); // nobody reverses by braking
        const float distance = 0.5f * (v0 + v1) * dt;
        const float turn = distance * curvature[i];
        // rear axle, moved along the mid heading: the tangent turned by half the turn (|turn| < 1 rad)
        const float half = 0.5f * turn, half2 = half * half;
        const float half_sin = half * (1.0f - half2 * (1.0f / 6.0f) * (1.0f - half2 * (1.0f / 20.0f)));
        const float half_cos = 1.0f - half2 * 0.5f * (1.0f - half2 * (1.0f / 12.0f));
        const float mid_cos = cos_h[i] * half_cos - sin_h[i] * half_sin;
        const float mid_sin = sin_h[i] * half_cos + cos_h[i] * half_sin;
        float psi = heading[i] + turn;
        psi = psi > NM_PI_F ? psi - 2.0f * NM_PI_F : psi;
        psi = psi <= -NM_PI_F ? psi + 2.0f * NM_PI_F : psi;
        // the other half of the turn; one Newton step towards unit length
        const float c = mid_cos * half_cos - mid_sin * half_sin, s = mid_sin * half_cos + mid_cos * half_sin;
        const float unit = 1.5f - 0.5f * (c * c + s * s);
        const float new_cos = c * unit, new_sin = s * unit;
        const float new_x = x[i] + distance * mid_cos + rear[i] * (new_cos - cos_h[i]);
        const float new_y = y[i] + distance * mid_sin + rear[i] * (new_sin - sin_h[i]);
        const int on = mobile[i] != 0.0f;
        vx[i] = on ? (new_x - x[i]) * (1.0f / dt) : vx[i];
        vy[i] = on ? (new_y - y[i]) * (1.0f / dt) : vy[i];
        x[i] = on ? new_x : x[i];
        y[i] = on ? new_y : y[i];
        heading[i] = on ? psi : heading[i];
        cos_h[i] = on ? new_cos : cos_h[i];
        sin_h[i] = on ? new_sin : sin_h[i];
        accel[i] = on ? (v1 - v0) * (1.0f / dt) : accel[i];
        speed[i] = on ? v1 : speed[i];
    }
}

/// Turning the tangent step by step is cheaper than sine and cosine and drifts by a rounding a step: put right now and
/// then.
NM_TARGET_CLONES
static void align_tangents(const nm_world *w, uint32_t count) {
    const float *restrict heading = w->heading;
    float *restrict cos_h = w->cos_h, *restrict sin_h = w->sin_h;
    NM_INDEPENDENT
    for (uint32_t i = 0; i < count; ++i) {
        float s, c;
        nm_sincosf(heading[i], &s, &c);
        cos_h[i] = c;
        sin_h[i] = s;
    }
}

void nm_world_integrate(nm_world *world) {
    limit_commands(world, world->count);
    move(world, world->count);
    if (world->step % 16 == 15) align_tangents(world, world->count);
}
