/// Private to sim/vector_*.c.
#ifndef NM_SIM_VECTOR_PRIVATE_H
#define NM_SIM_VECTOR_PRIVATE_H

#include "base/thread_pool.h"
#include "sim/route.h"
#include "sim/vector_env.h"

#define NM_VECTOR_MAX_ROWS 64u

/// What is the same whenever a scene is driven.
typedef struct nm_vector_stage {
    uint32_t start_step;
    uint32_t agents;  ///< controlled
    uint32_t *track;  ///< [agents]
    nm_route **route; ///< [agents] NULL = has none
} nm_vector_stage;

typedef struct nm_vector_agent {
    uint32_t track;
    const nm_planner_route *route; ///< nullable
    float route_at;                ///< m along it
    float wheelbase;               ///< m
    float x, y, heading;           ///< as the action began
    float cos_h, sin_h;
    uint32_t known; ///< NM_AGENT_... of the world up to the step before
    int done;
} nm_vector_agent;

/// One environment.
typedef struct nm_vector_world {
    nm_world *world; ///< in `memory`
    void *memory;
    uint32_t scene;
    uint64_t seed, episode;
    uint32_t steps, agents;
    int begun, over;
    nm_vector_agent *agent; ///< [rows]
} nm_vector_world;

struct nm_vector_env {
    nm_vector_env_config config;
    uint32_t rows, features, action_size;
    nm_vector_stage *stages; ///< [scene_count]
    nm_vector_world *worlds; ///< [env_count]
    size_t world_bytes, bytes;
    nm_thread_pool *pool;
    nm_vector_buffers out;
    const float *actions; ///< of the step that is being done
    nm_vector_block layout[NM_VECTOR_BLOCKS];
};

/// Fills env->layout and env->features from the configuration.
void nm_vector_lay_out(nm_vector_env *env);
/// Writes env->features numbers about agent `row` of `w`; zeros when it is not there.
void nm_vector_observe(const nm_vector_env *env, const nm_vector_world *w, uint32_t row, float *out);

#endif
