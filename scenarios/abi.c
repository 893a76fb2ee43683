#include "scenarios/abi.h"

#include <string.h>

#include "scenarios/abi_private.h"
#include "scenarios/corner_set.h"
#include "scenarios/episode.h"
#include "scenarios/planner_open.h"
#include "sim/builtin.h"
#include "sim/vector_env.h"

/// The signature has to be that of the header: the selection has no other case.
#define F(result, name, arguments)                                                                                     \
    { #name, #result, #arguments, (void (*)(void)) _Generic(&name, result(*) arguments : &name) }
#define C(name)                                                                                                        \
    { #name, name }

// clang-format off: a line each
static const nm_abi_function functions[] = {
    // base
    F(const char *, nm_status_name, (nm_status)),
    F(nm_arena *, nm_arena_create, (size_t)),
    F(void, nm_arena_destroy, (nm_arena *)),
    F(void, nm_arena_reset, (nm_arena *)),
    F(nm_status, nm_thread_pool_create, (int, nm_thread_pool **, nm_error *)),
    F(void, nm_thread_pool_destroy, (nm_thread_pool *)),
    F(int, nm_cpu_count, (void)),
    // sim: scenes and maps
    F(const char *, nm_agent_type_name, (nm_agent_type)),
    F(const char *, nm_lane_type_name, (nm_lane_type)),
    F(const char *, nm_signal_state_name, (nm_signal_state)),
    F(nm_signal_state, nm_scene_signal, (const nm_scene *, uint32_t, uint32_t)),
    F(nm_status, nm_scene_resample, (const nm_scene *, double, const nm_scene **, nm_error *)),
    F(void, nm_scene_destroy, (const nm_scene *)),
    F(size_t, nm_scene_encode, (const nm_scene *, void *, size_t)),
    F(nm_status, nm_scene_decode, (const void *, size_t, const nm_map *, const nm_scene **, nm_error *)),
    F(const nm_map *, nm_map_retain, (const nm_map *)),
    F(void, nm_map_release, (const nm_map *)),
    F(size_t, nm_map_encode, (const nm_map *, void *, size_t)),
    F(nm_status, nm_map_decode, (const void *, size_t, const nm_map **, nm_error *)),
    F(nm_status, nm_builtin_scene, (const char *, uint64_t, const nm_scene **, nm_error *)),
    F(const char *, nm_builtin_name, (nm_builtin_kind)),
    // sim: worlds
    F(const char *, nm_policy_name, (nm_policy_kind)),
    F(int, nm_policy_from_name, (const char *, nm_policy_kind *)),
    F(const nm_idm_params *, nm_idm_named, (const char *)),
    F(nm_world_config, nm_world_config_default, (void)),
    F(nm_status, nm_world_create, (const nm_scene *, const nm_world_config *, nm_world **, nm_error *)),
    F(void, nm_world_destroy, (nm_world *)),
    F(void, nm_world_reset, (nm_world *, uint64_t)),
    F(nm_status, nm_world_step, (nm_world *, nm_contact *, size_t, size_t *)),
    F(nm_world_view, nm_world_get_view, (const nm_world *)),
    F(nm_world_stats, nm_world_get_stats, (const nm_world *)),
    F(void, nm_world_set_control, (nm_world *, uint32_t, float, float)),
    F(void, nm_world_set_state, (nm_world *, uint32_t, float, float, float, float)),
    F(void, nm_world_set_policy, (nm_world *, uint32_t, nm_policy_kind)),
    F(uint64_t, nm_world_hash, (const nm_world *)),
    F(nm_status, nm_rollout,
      (const nm_scene *, const nm_world_config *, uint32_t, int, nm_rollout_result *, nm_error *)),
    // sim: vector environments
    F(nm_vector_env_config, nm_vector_env_config_default, (void)),
    F(nm_status, nm_vector_env_create, (const nm_vector_env_config *, nm_vector_env **, nm_error *)),
    F(void, nm_vector_env_destroy, (nm_vector_env *)),
    F(uint32_t, nm_vector_env_agents, (const nm_vector_env *)),
    F(uint32_t, nm_vector_env_features, (const nm_vector_env *)),
    F(uint32_t, nm_vector_env_action_size, (const nm_vector_env *)),
    F(size_t, nm_vector_env_bytes, (const nm_vector_env *)),
    F(const nm_vector_block *, nm_vector_env_layout, (const nm_vector_env *)),
    F(void, nm_vector_env_bind, (nm_vector_env *, const nm_vector_buffers *)),
    F(nm_status, nm_vector_env_reset, (nm_vector_env *, const uint64_t *, const uint8_t *, nm_error *)),
    F(nm_status, nm_vector_env_step, (nm_vector_env *, const float *, nm_error *)),
    F(nm_status, nm_vector_env_run, (nm_vector_env *, const float *, uint32_t, nm_error *)),
    F(const nm_world *, nm_vector_env_world, (const nm_vector_env *, uint32_t)),
    F(uint32_t, nm_vector_env_track, (const nm_vector_env *, uint32_t, uint32_t)),
    // planners and episodes
    F(nm_status, nm_planner_adopt, (const nm_planner_vtable *, const char *, void *, nm_planner **, nm_error *)),
    F(nm_status, nm_planner_open, (const char *, const nm_planner_options *, nm_planner **, nm_error *)),
    F(void, nm_planner_destroy, (nm_planner *)),
    F(const nm_nuplan_description *, nm_nuplan_describe, (nm_nuplan_metric)),
    F(const char *, nm_nuplan_class_name, (nm_nuplan_class)),
    F(const nm_ego_description *, nm_ego_describe, (nm_ego_measure)),
    F(int, nm_episode_agents_from_name, (const char *, nm_episode_agents *)),
    F(const char *, nm_episode_outcome_name, (nm_episode_outcome)),
    F(nm_episode_config, nm_episode_config_default, (void)),
    F(nm_episode_work *, nm_episode_work_create, (void)),
    F(void, nm_episode_work_destroy, (nm_episode_work *)),
    F(nm_status, nm_episode_run,
      (nm_episode_work *, const nm_scene *, nm_planner *, const nm_episode_config *, nm_episode *, nm_error *)),
    // kinds and detectors
    F(const char *, nm_kind_name, (nm_kind)),
    F(int, nm_kind_from_name, (const char *, nm_kind *)),
    F(const nm_detector_info *, nm_detector, (nm_kind)),
    F(nm_detect_params, nm_detect_params_default, (void)),
    F(nm_status, nm_detect,
      (const nm_scene *, const nm_detect_params *, nm_arena *, nm_event **, size_t *, nm_scene_criticality *,
       nm_error *)),
    F(const nm_kind_spec *, nm_kind_spec_of, (nm_kind)),
    F(const char *, nm_severity_name, (nm_severity)),
    F(int, nm_severity_from_name, (const char *, nm_severity *)),
    F(int, nm_sampling_from_name, (const char *, nm_sampling *)),
    F(nm_status, nm_kind_ranges_set, (nm_kind_ranges *, const char *, nm_error *)),
    // stores
    F(nm_status, nm_store_open, (const char *, nm_store_mode, nm_store **, nm_error *)),
    F(void, nm_store_close, (nm_store *)),
    F(nm_status, nm_store_put_scene, (nm_store *, const nm_scene *, int64_t *, nm_error *)),
    F(nm_status, nm_store_get_scene, (nm_store *, int64_t, const nm_scene **, nm_error *)),
    F(nm_status, nm_store_find_hash, (nm_store *, uint64_t, int64_t *, nm_error *)),
    F(nm_status, nm_store_delete_scene, (nm_store *, int64_t, nm_error *)),
    F(nm_status, nm_store_scene_ids, (nm_store *, int, nm_arena *, int64_t **, size_t *, nm_error *)),
    F(nm_status, nm_store_get_events, (nm_store *, int64_t, nm_arena *, nm_event **, size_t *, nm_error *)),
    F(nm_status, nm_store_generated_ids, (nm_store *, int64_t, nm_arena *, int64_t **, size_t *, nm_error *)),
    F(nm_status, nm_store_get_generated, (nm_store *, int64_t, nm_arena *, nm_generated *, nm_error *)),
    F(nm_status, nm_store_get_stats, (nm_store *, nm_store_stats *, nm_error *)),
    F(nm_query, nm_query_default, (void)),
    F(nm_status, nm_store_find_all, (nm_store *, const nm_query *, nm_arena *, nm_hit **, size_t *, nm_error *)),
    // corner cases
    F(const char *, nm_case_generator_name, (nm_case_generator)),
    F(int, nm_case_generator_from_name, (const char *, nm_case_generator *)),
    F(nm_status, nm_corner_kind_default, (nm_kind, nm_corner_kind *, nm_error *)),
    F(nm_corner_config, nm_corner_config_default, (void)),
    F(nm_status, nm_corner_check, (const nm_corner_config *, nm_error *)),
    F(nm_status, nm_corner_set_run,
      (const nm_corner_config *, nm_store *, nm_thread_pool *, nm_corner_report *, nm_error *)),
    // the model
    F(nm_backend_config, nm_backend_config_default, (void)),
    F(nm_status, nm_backend_create_cpu, (const nm_backend_config *, nm_backend **, nm_error *)),
    F(void, nm_backend_destroy, (nm_backend *)),
    F(nm_status, nm_recipe_load, (const char *, nm_backend *, nm_model **, nm_recipe *, nm_error *)),
    F(nm_status, nm_model_hash, (const nm_model *, uint64_t *, nm_error *)),
    F(void, nm_model_destroy, (nm_model *)),
};
// clang-format on

static const nm_abi_constant constants[] = {
    C(NM_NONE),
    C(NM_STATUS_COUNT),
    C(NM_E_ARGUMENT),
    C(NM_E_UNSUPPORTED),
    C(NM_E_NOT_FOUND),
    C(NM_E_EXISTS),
    C(NM_E_CANCELLED),
    C(NM_AGENT_TYPE_COUNT),
    C(NM_LANE_TYPE_COUNT),
    C(NM_SIGNAL_STATE_COUNT),
    C(NM_TRACK_STATIC),
    C(NM_TRACK_EGO),
    C(NM_TRACK_ADVERSARY),
    C(NM_TRACK_GENERATED),
    C(NM_BUILTIN_COUNT),
    C(NM_POLICY_EXTERNAL),
    C(NM_POLICY_COUNT),
    C(NM_AGENT_COLLIDED),
    C(NM_AGENT_WENT_OFF_ROAD),
    C(NM_AGENT_WENT_WRONG_WAY),
    C(NM_AGENT_FROZEN),
    C(NM_AGENT_LEFT),
    C(NM_VECTOR_EGO),
    C(NM_VECTOR_ALL),
    C(NM_VECTOR_STEERING),
    C(NM_VECTOR_WAYPOINT),
    C(NM_VECTOR_NO_ACTION),
    C(NM_VECTOR_NEXT_STEP),
    C(NM_VECTOR_SAME_STEP),
    C(NM_VECTOR_DISABLED),
    C(NM_VECTOR_COLLIDED),
    C(NM_VECTOR_OFF_ROAD),
    C(NM_VECTOR_WRONG_WAY),
    C(NM_VECTOR_GOAL),
    C(NM_VECTOR_LEFT),
    C(NM_VECTOR_FROZEN),
    C(NM_VECTOR_BLOCKS),
    C(NM_PLANNER_ABI),
    C(NM_PLANNER_MAX_POINTS),
    C(NM_PLANNER_TRAJECTORY),
    C(NM_PLANNER_CONTROL_CURVATURE),
    C(NM_PLANNER_CONTROL_STEERING),
    C(NM_NUPLAN_SCORED_COUNT),
    C(NM_NUPLAN_METRIC_COUNT),
    C(NM_EGO_MEASURE_COUNT),
    C(NM_EPISODE_DONE),
    C(NM_EPISODE_FAILED),
    C(NM_EPISODE_UNFIT),
    C(NM_EPISODE_NEXUS),
    C(NM_STORE_READ),
    C(NM_STORE_WRITE),
    C(NM_STORE_CREATE),
    C(NM_KIND_COUNT),
    C(NM_SEVERITY_NEAR_MISS),
    C(NM_SEVERITY_COLLISION),
    C(NM_SEVERITY_COUNT),
    C(NM_CASE_GENERATOR_COUNT),
    C(NM_CASE_DIFFUSION),
};

uint32_t nm_abi_version(void) {
    return NM_ABI_VERSION;
}

const nm_abi_tables *nm_abi(void) {
    static const nm_abi_tables tables = {.version = NM_ABI_VERSION,
                                         .size = sizeof(nm_abi_tables),
                                         .program = "nearmiss " NM_VERSION,
                                         .type_count = NM_ABI_TYPES,
                                         .function_count = sizeof functions / sizeof *functions,
                                         .constant_count = sizeof constants / sizeof *constants,
                                         .types = nm_abi_types,
                                         .functions = functions,
                                         .constants = constants};
    return &tables;
}

// ---------------------------------------------------------------------------------------------------------------------

typedef struct hit_list {
    nm_arena *arena;
    nm_hit *hits;
    size_t count, capacity;
} hit_list;

static nm_status collect(void *context, const nm_hit *hit, nm_error *error) {
    hit_list *list = context;
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        nm_hit *hits = NM_ARENA_ARRAY(list->arena, nm_hit, capacity);
        if (!hits) return NM_ERROR(error, NM_E_MEMORY, "no memory for %zu hits", capacity);
        if (list->count) memcpy(hits, list->hits, sizeof *hits * list->count);
        list->hits = hits;
        list->capacity = capacity;
    }
    list->hits[list->count++] = *hit;
    return NM_OK;
}

nm_status nm_store_find_all(nm_store *store, const nm_query *query, nm_arena *arena, nm_hit **hits, size_t *count,
                            nm_error *error) {
    hit_list list = {.arena = arena};
    const nm_status status = nm_store_find(store, query, collect, &list, error);
    *hits = status == NM_OK ? list.hits : NULL;
    *count = status == NM_OK ? list.count : 0;
    return status;
}
