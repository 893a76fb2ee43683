/// Tables of abi.h: the types.
#include "nexus/recipe.h"
#include "scenarios/abi_private.h"
#include "scenarios/corner_set.h"
#include "scenarios/episode.h"
#include "scenarios/planner_open.h"
#include "sim/metrics/nuplan_score.h"
#include "sim/planner.h"
#include "sim/vector_env.h"
#include "sim/world.h"

// clang-format off: many a line
#define S nm_error
static const nm_abi_field nm_error_fields[] = {V(code), P(raised_in), V(raised_at), A(input),
                                               V(line), V(offset),    A(message)};
#undef S

#define S nm_vec2
static const nm_abi_field nm_vec2_fields[] = {V(x), V(y)};
#undef S

#define S nm_point3
static const nm_abi_field nm_point3_fields[] = {V(x), V(y), V(z)};
#undef S

#define S nm_range
static const nm_abi_field nm_range_fields[] = {V(first), V(count)};
#undef S

#define S nm_lane
static const nm_abi_field nm_lane_fields[] = {V(source_id),
                                              V(length),
                                              V(speed_limit),
                                              V(type),
                                              V(turn),
                                              V(control),
                                              V(flags),
                                              V(left_marking),
                                              V(right_marking),
                                              V(left_colour),
                                              V(right_colour),
                                              V(junction),
                                              N(points, nm_range),
                                              N(rail, nm_range),
                                              V(rail_step),
                                              V(rail_inverse),
                                              N(predecessors, nm_range),
                                              N(successors, nm_range),
                                              N(left, nm_range),
                                              N(right, nm_range),
                                              N(conflicts, nm_range),
                                              N(signals, nm_range),
                                              V(stop_line),
                                              V(stop_s)};
#undef S

#define S nm_line
static const nm_abi_field nm_line_fields[] = {V(source_id), V(kind),     V(marking),
                                              V(colour),    V(reserved), N(points, nm_range)};
#undef S

#define S nm_area
static const nm_abi_field nm_area_fields[] = {V(source_id), V(kind), A(reserved), N(points, nm_range)};
#undef S

#define S nm_stop_line
static const nm_abi_field nm_stop_line_fields[] = {N(a, nm_vec2), N(b, nm_vec2), V(lane), V(s)};
#undef S

#define S nm_signal
static const nm_abi_field nm_signal_fields[] = {V(source_id), N(position, nm_vec2), V(placed),
                                                V(turn),      A(reserved),          V(phase_offset),
                                                V(cycle_dt),  N(phases, nm_range),  N(lanes, nm_range)};
#undef S

#define S nm_map
static const nm_abi_field nm_map_fields[] = {N(origin, nm_point3),
                                             N(bounds_min, nm_vec2),
                                             N(bounds_max, nm_vec2),
                                             V(hash),
                                             V(lane_count),
                                             P(lanes),
                                             V(point_count),
                                             P(centre),
                                             P(left),
                                             P(right),
                                             P(z),
                                             P(point_s),
                                             V(rail_count),
                                             P(rail),
                                             V(lane_ref_count),
                                             P(lane_refs),
                                             V(neighbour_count),
                                             P(neighbours),
                                             V(conflict_count),
                                             P(conflicts),
                                             V(junction_count),
                                             V(line_count),
                                             P(lines),
                                             V(line_point_count),
                                             P(line_points),
                                             V(line_z_count),
                                             P(line_z),
                                             V(area_count),
                                             P(areas),
                                             V(area_point_count),
                                             P(area_points),
                                             V(stop_line_count),
                                             P(stop_lines),
                                             V(sign_count),
                                             P(signs),
                                             V(signal_count),
                                             P(signals),
                                             V(signal_ref_count),
                                             P(signal_refs),
                                             V(phase_count),
                                             P(phases),
                                             A(repairs),
                                             P(grid),
                                             V(bytes)};
#undef S

#define S nm_track
static const nm_abi_field nm_track_fields[] = {V(source_id), V(length),     V(width),    V(height),     V(type),
                                               V(flags),     V(difficulty), V(reserved), V(first_step), V(last_step)};
#undef S

#define S nm_provenance
static const nm_abi_field nm_provenance_fields[] = {P(source),  P(file), P(scene_id), V(record),
                                                    P(program), V(seed), V(parent),   P(parameters)};
#undef S

#define S nm_scene
static const nm_abi_field nm_scene_fields[] = {P(map),
                                               V(dt),
                                               V(step_count),
                                               V(current_step),
                                               V(ego),
                                               V(track_count),
                                               P(tracks),
                                               P(valid),
                                               P(x),
                                               P(y),
                                               P(z),
                                               P(heading),
                                               P(vx),
                                               P(vy),
                                               P(state_length),
                                               P(state_width),
                                               P(state_height),
                                               P(signal_states),
                                               P(timestamps),
                                               V(problem_count),
                                               P(problems),
                                               V(goal_count),
                                               P(goals),
                                               V(goal_area_count),
                                               P(goal_areas),
                                               V(tag_count),
                                               P(tags),
                                               N(provenance, nm_provenance),
                                               V(hash),
                                               V(bytes)};
#undef S

#define S nm_world_config
static const nm_abi_field nm_world_config_fields[] = {V(seed),
                                                      V(start_step),
                                                      V(agents),
                                                      V(ego),
                                                      P(idm),
                                                      P(custom),
                                                      V(spawn_later),
                                                      V(log_static),
                                                      V(checks),
                                                      V(ttc_horizon),
                                                      V(off_road_margin),
                                                      V(remove_on_collision),
                                                      V(parent),
                                                      V(max_agents),
                                                      P(stop),
                                                      P(stop_context)};
#undef S

#define S nm_contact
static const nm_abi_field nm_contact_fields[] = {V(first), V(second), V(started)};
#undef S

#define S nm_world_view
static const nm_abi_field nm_world_view_fields[] = {
    P(scene), V(step),     V(count),    P(track),     P(slot_of), P(x),      P(y),         P(heading),
    P(cos_h), P(sin_h),    P(speed),    P(accel),     P(vx),      P(vy),     P(curvature), P(length),
    P(width), P(type),     P(policy),   P(lane),      P(lane_s),  P(lane_d), P(lead),      P(lead_gap),
    P(ttc),   P(ttc_with), P(off_road), P(wrong_way), P(events)};
#undef S

#define S nm_world_stats
static const nm_abi_field nm_world_stats_fields[] = {V(agent_steps),
                                                     V(agents),
                                                     V(collided),
                                                     V(off_road),
                                                     V(wrong_way),
                                                     V(frozen),
                                                     V(left),
                                                     V(started_in_contact),
                                                     V(started_off_road),
                                                     V(recorded_agent_steps),
                                                     V(recorded_speed_sum),
                                                     V(first_collision_step),
                                                     V(contacts_dropped),
                                                     V(lane_changes),
                                                     V(held_back),
                                                     V(speed_sum)};
#undef S

#define S nm_rollout_result
static const nm_abi_field nm_rollout_result_fields[] = {N(stats, nm_world_stats), V(hash), P(scene)};
#undef S

#define S nm_vector_env_config
static const nm_abi_field nm_vector_env_config_fields[] = {V(env_count),
                                                           P(scenes),
                                                           V(scene_count),
                                                           V(control),
                                                           V(action),
                                                           V(action_steps),
                                                           V(autoreset),
                                                           V(others),
                                                           P(idm),
                                                           V(agents),
                                                           V(start_step),
                                                           V(max_steps),
                                                           V(seed),
                                                           V(shuffle),
                                                           V(end_on_collision),
                                                           V(end_off_road),
                                                           V(threads),
                                                           V(neighbours),
                                                           V(neighbour_radius),
                                                           V(lane_points),
                                                           V(route_points),
                                                           V(point_spacing),
                                                           V(progress_reward),
                                                           V(collision_reward),
                                                           V(off_road_reward),
                                                           V(wrong_way_reward),
                                                           V(goal_reward)};
#undef S

#define S nm_vector_buffers
static const nm_abi_field nm_vector_buffers_fields[] = {P(observation), P(reward), P(terminated), P(truncated),
                                                        P(active),      P(events), P(progress),   P(final_observation),
                                                        P(scene),       P(step)};
#undef S

#define S nm_vector_column
static const nm_abi_field nm_vector_column_fields[] = {P(name), P(unit), P(meaning)};
#undef S

#define S nm_vector_block
static const nm_abi_field nm_vector_block_fields[] = {P(name), V(first), V(rows), V(columns), P(column)};
#undef S

#define S nm_planner_point
static const nm_abi_field nm_planner_point_fields[] = {V(x_scene), V(y_scene)};
#undef S

#define S nm_planner_pose
static const nm_abi_field nm_planner_pose_fields[] = {V(x_scene), V(y_scene), V(heading_scene)};
#undef S

#define S nm_planner_vehicle
static const nm_abi_field nm_planner_vehicle_fields[] = {V(length), V(width), V(wheelbase), V(rear_axle_to_box_centre)};
#undef S

#define S nm_planner_ego
static const nm_abi_field nm_planner_ego_fields[] = {N(rear_axle, nm_planner_pose),
                                                     N(box_centre, nm_planner_pose),
                                                     V(rear_axle_speed_ahead),
                                                     V(box_centre_velocity_x_scene),
                                                     V(box_centre_velocity_y_scene),
                                                     V(acceleration_ahead),
                                                     V(rear_axle_curvature),
                                                     V(steering_angle),
                                                     V(yaw_rate),
                                                     N(vehicle, nm_planner_vehicle)};
#undef S

#define S nm_planner_history
static const nm_abi_field nm_planner_history_fields[] = {V(sample_count),       P(valid),         P(box_centre_x_scene),
                                                         P(box_centre_y_scene), P(heading_scene), P(velocity_x_scene),
                                                         P(velocity_y_scene)};
#undef S

#define S nm_planner_agents
static const nm_abi_field nm_planner_agents_fields[] = {
    V(count), P(track), P(id), P(type), P(is_static), P(length), P(width), N(history, nm_planner_history)};
#undef S

#define S nm_planner_signals
static const nm_abi_field nm_planner_signals_fields[] = {V(count), P(lane), P(state), P(turn), P(lane_stop)};
#undef S

#define S nm_planner_lane
static const nm_abi_field nm_planner_lane_fields[] = {V(id),
                                                      V(source_id),
                                                      V(type),
                                                      V(turn),
                                                      V(control),
                                                      V(in_junction),
                                                      V(on_route),
                                                      V(may_change_left),
                                                      V(may_change_right),
                                                      V(speed_limit),
                                                      V(length),
                                                      V(stop),
                                                      V(left),
                                                      V(right),
                                                      V(first_point),
                                                      V(point_count),
                                                      V(first_successor),
                                                      V(successor_count),
                                                      V(first_predecessor),
                                                      V(predecessor_count)};
#undef S

#define S nm_planner_stop_line
static const nm_abi_field nm_planner_stop_line_fields[] = {N(left_end, nm_planner_point),
                                                           N(right_end, nm_planner_point), V(lane)};
#undef S

#define S nm_planner_area
static const nm_abi_field nm_planner_area_fields[] = {V(first_point), V(point_count)};
#undef S

#define S nm_planner_map
static const nm_abi_field nm_planner_map_fields[] = {V(version),      N(middle, nm_planner_point),
                                                     V(radius),       V(lane_count),
                                                     P(lanes),        V(point_count),
                                                     P(centre),       P(left_border),
                                                     P(right_border), V(link_count),
                                                     P(links),        V(stop_line_count),
                                                     P(stop_lines),   V(crosswalk_count),
                                                     P(crosswalks),   V(area_point_count),
                                                     P(area_points)};
#undef S

#define S nm_planner_route
static const nm_abi_field nm_planner_route_fields[] = {V(lane_count), P(lanes),         P(lane_from), V(point_count),
                                                       P(points),     P(heading_scene), P(curvature), P(speed_limit),
                                                       V(length),     V(goal)};
#undef S

#define S nm_planner_scenario
static const nm_abi_field nm_planner_scenario_fields[] = {P(name),
                                                          V(seed),
                                                          V(step_seconds),
                                                          V(step_count),
                                                          V(origin_x),
                                                          V(origin_y),
                                                          V(origin_z),
                                                          N(vehicle, nm_planner_vehicle),
                                                          V(ego_track),
                                                          V(start_step),
                                                          P(map),
                                                          P(route),
                                                          N(goal_box_centre, nm_planner_pose),
                                                          P(scene)};
#undef S

#define S nm_planner_observation
static const nm_abi_field nm_planner_observation_fields[] = {V(step),
                                                             V(time),
                                                             V(seed),
                                                             V(deadline),
                                                             N(ego, nm_planner_ego),
                                                             N(ego_history, nm_planner_history),
                                                             N(agents, nm_planner_agents),
                                                             N(signals, nm_planner_signals),
                                                             P(map),
                                                             P(route),
                                                             V(route_position),
                                                             V(route_offset),
                                                             N(goal_box_centre, nm_planner_pose)};
#undef S

#define S nm_planner_trajectory_point
static const nm_abi_field nm_planner_trajectory_point_fields[] = {V(time), N(rear_axle, nm_planner_pose),
                                                                  V(speed_ahead)};
#undef S

#define S nm_planner_output
static const nm_abi_field nm_planner_output_fields[] = {
    V(answer),        V(point_count), V(point_capacity), P(points), V(acceleration_ahead), V(rear_axle_curvature),
    V(steering_rate), A(text)};
#undef S

#define S nm_planner_needs
static const nm_abi_field nm_planner_needs_fields[] = {V(history), V(map_radius)};
#undef S

#define S nm_planner_vtable
static const nm_abi_field nm_planner_vtable_fields[] = {V(abi),   V(size),  P(name), P(create), P(destroy),
                                                        P(needs), P(begin), P(plan), P(end)};
#undef S

#define S nm_nuplan_value
static const nm_abi_field nm_nuplan_value_fields[] = {V(value), V(worst), V(step)};
#undef S

#define S nm_nuplan_result
static const nm_abi_field nm_nuplan_result_fields[] = {V(score),
                                                       NA(metric, nm_nuplan_value),
                                                       V(collisions),
                                                       V(at_fault_people),
                                                       V(at_fault_vehicles),
                                                       V(at_fault_objects),
                                                       V(ego_progress),
                                                       V(expert_progress),
                                                       V(off_route_samples),
                                                       V(multi_lane_samples)};
#undef S

#define S nm_nuplan_description
static const nm_abi_field nm_nuplan_description_fields[] = {P(name), P(unit), V(role),   V(weight),
                                                            V(low),  V(high), P(meaning)};
#undef S

#define S nm_nuplan_collision
static const nm_abi_field nm_nuplan_collision_fields[] = {V(track),    V(step), V(collision_class),
                                                          V(at_fault), V(type), V(energy)};
#undef S

#define S nm_loss
static const nm_abi_field nm_loss_fields[] = {V(metric),   V(detail), V(recording), V(value),
                                              V(recorded), V(cost),   V(sample),    V(track)};
#undef S

#define S nm_episode_config
static const nm_abi_field nm_episode_config_fields[] = {
    V(agents), P(loop),      P(idm),   V(perfect), V(start_step), V(ego_track), V(seconds),     V(deadline),
    V(seed),   V(adversary), P(asked), V(problem), V(keep_scene), P(stop),      P(stop_context)};
#undef S

#define S nm_ego_criticality
static const nm_abi_field nm_ego_criticality_fields[] = {A(value), V(worst_step), V(worst_track)};
#undef S

#define S nm_ego_description
static const nm_abi_field nm_ego_description_fields[] = {P(name),    P(title),         P(unit),
                                                         P(meaning), V(more_is_worse), V(drawn_to)};
#undef S

#define S nm_episode
static const nm_abi_field nm_episode_fields[] = {V(outcome),
                                                 A(reason),
                                                 V(start_step),
                                                 V(ego_track),
                                                 V(samples),
                                                 V(seconds),
                                                 V(wall_seconds),
                                                 V(plan_mean),
                                                 V(plan_max),
                                                 N(score, nm_nuplan_result),
                                                 NA(collisions, nm_nuplan_collision),
                                                 V(collision_count),
                                                 V(min_ttc),
                                                 V(min_distance),
                                                 N(danger, nm_ego_criticality),
                                                 V(worst_sample),
                                                 P(worst),
                                                 V(adversary),
                                                 V(staged),
                                                 V(met),
                                                 V(avoid),
                                                 NA(losses, nm_loss),
                                                 V(loss_count),
                                                 V(has_goal),
                                                 V(goal_sample),
                                                 V(sizeless),
                                                 P(scene)};
#undef S

#define S nm_event
static const nm_abi_field nm_event_fields[] = {
    V(kind),          V(first_step),   V(last_step),    V(critical_step), V(actor),   V(other),         V(min_ttc),
    V(min_distance),  V(min_thw),      V(max_drac),     V(pet),           V(min_ttr), V(closing_speed), V(gap),
    V(lateral_speed), V(deceleration), V(impact_speed), V(delta_v),       V(severity)};
#undef S

#define S nm_detector_param
static const nm_abi_field nm_detector_param_fields[] = {P(name), P(unit), V(value), V(min), V(max), P(meaning)};
#undef S

#define S nm_detector_info
static const nm_abi_field nm_detector_info_fields[] = {V(kind), P(name), P(definition), V(param_count),
                                                       NA(params, nm_detector_param)};
#undef S

#define S nm_query
static const nm_abi_field nm_query_fields[] = {V(kind),         V(ttc_min),      V(ttc_max), V(distance_min),
                                               V(distance_max), V(severity_min), P(text),    P(source),
                                               P(where),        V(like),         V(limit),   V(seconds)};
#undef S

#define S nm_hit
static const nm_abi_field nm_hit_fields[] = {V(scene),    V(event),  V(kind),     N(detail, nm_event),
                                             V(distance), A(source), A(scene_id), A(file)};
#undef S

#define S nm_store_stats
static const nm_abi_field nm_store_stats_fields[] = {V(scenes),  V(agents),         V(agent_states), V(maps),
                                                     V(events),  V(sources),        V(hours),        V(agent_hours),
                                                     A(by_kind), A(scenes_by_kind), V(mined),        V(bytes)};
#undef S

#define S nm_generation_run
static const nm_abi_field nm_generation_run_fields[] = {P(parameters), P(command), P(program), V(seed)};
#undef S

#define S nm_generated
static const nm_abi_field nm_generated_fields[] = {V(generation), V(kind),      P(generator), P(severity),
                                                   P(label),      P(requested), P(achieved),  P(verdicts)};
#undef S

#define S nm_kind_range
static const nm_abi_field nm_kind_range_fields[] = {V(low), V(high)};
#undef S

#define S nm_kind_param
static const nm_abi_field nm_kind_param_fields[] = {
    V(id), P(name), P(unit), N(bounds, nm_kind_range), NA(fallback, nm_kind_range), V(critical), V(free), P(source)};
#undef S

#define S nm_kind_spec
static const nm_abi_field nm_kind_spec_fields[] = {
    V(kind),       P(name),        P(definition),  V(generable),
    V(severities), P(ego),         P(adversary),   P(others),
    V(actor),      V(other_named), V(needs),       V(violations),
    P(typology),   P(tests),       V(param_count), NA(params, nm_kind_param)};
#undef S

#define S nm_kind_ranges
static const nm_abi_field nm_kind_ranges_fields[] = {V(kind), V(severity), NA(range, nm_kind_range), V(given)};
#undef S

#define S nm_corner_kind
static const nm_abi_field nm_corner_kind_fields[] = {
    V(kind), V(weight), V(collisions), V(sampling), NA(ranges, nm_kind_ranges), A(generators)};
#undef S

#define S nm_corner_config
static const nm_abi_field nm_corner_config_fields[] = {P(kinds),
                                                       V(kind_count),
                                                       P(sources),
                                                       P(source_weights),
                                                       V(source_count),
                                                       A(generators),
                                                       V(adversaries),
                                                       P(model),
                                                       P(recipe),
                                                       V(count),
                                                       V(hours),
                                                       V(seed),
                                                       V(ego),
                                                       P(custom),
                                                       P(idm),
                                                       V(steps),
                                                       V(traffic),
                                                       N(validity, nm_validity_params),
                                                       V(patience),
                                                       P(mining),
                                                       N(run, nm_generation_run),
                                                       P(stop),
                                                       P(stop_context),
                                                       P(progress),
                                                       P(progress_context),
                                                       P(attempt)};
#undef S

#define S nm_corner_yield
static const nm_abi_field nm_corner_yield_fields[] = {V(kind), V(generator), V(share),  V(attempts),
                                                      V(kept), V(given_up),  V(sources)};
#undef S

#define S nm_corner_report
static const nm_abi_field nm_corner_report_fields[] = {V(generation), P(yields), V(kept), V(attempts), V(hours)};
#undef S

const nm_abi_type nm_abi_types[] = {
    NM_ABI_STRUCT(nm_error),
    NM_ABI_STRUCT(nm_vec2),
    NM_ABI_STRUCT(nm_point3),
    NM_ABI_STRUCT(nm_range),
    NM_ABI_STRUCT(nm_lane),
    NM_ABI_STRUCT(nm_line),
    NM_ABI_STRUCT(nm_area),
    NM_ABI_STRUCT(nm_stop_line),
    NM_ABI_STRUCT(nm_signal),
    NM_ABI_STRUCT(nm_map),
    NM_ABI_STRUCT(nm_track),
    NM_ABI_STRUCT(nm_provenance),
    NM_ABI_STRUCT(nm_scene),
    NM_ABI_STRUCT(nm_world_config),
    NM_ABI_STRUCT(nm_contact),
    NM_ABI_STRUCT(nm_world_view),
    NM_ABI_STRUCT(nm_world_stats),
    NM_ABI_STRUCT(nm_rollout_result),
    NM_ABI_STRUCT(nm_vector_env_config),
    NM_ABI_STRUCT(nm_vector_buffers),
    NM_ABI_STRUCT(nm_vector_column),
    NM_ABI_STRUCT(nm_vector_block),
    NM_ABI_STRUCT(nm_planner_point),
    NM_ABI_STRUCT(nm_planner_pose),
    NM_ABI_STRUCT(nm_planner_vehicle),
    NM_ABI_STRUCT(nm_planner_ego),
    NM_ABI_STRUCT(nm_planner_history),
    NM_ABI_STRUCT(nm_planner_agents),
    NM_ABI_STRUCT(nm_planner_signals),
    NM_ABI_STRUCT(nm_planner_lane),
    NM_ABI_STRUCT(nm_planner_stop_line),
    NM_ABI_STRUCT(nm_planner_area),
    NM_ABI_STRUCT(nm_planner_map),
    NM_ABI_STRUCT(nm_planner_route),
    NM_ABI_STRUCT(nm_planner_scenario),
    NM_ABI_STRUCT(nm_planner_observation),
    NM_ABI_STRUCT(nm_planner_trajectory_point),
    NM_ABI_STRUCT(nm_planner_output),
    NM_ABI_STRUCT(nm_planner_needs),
    NM_ABI_STRUCT(nm_planner_vtable),
    NM_ABI_STRUCT(nm_nuplan_value),
    NM_ABI_STRUCT(nm_nuplan_result),
    NM_ABI_STRUCT(nm_nuplan_description),
    NM_ABI_STRUCT(nm_nuplan_collision),
    NM_ABI_STRUCT(nm_ego_description),
    NM_ABI_ENUM(nm_status),
    NM_ABI_ENUM(nm_policy_kind),
    NM_ABI_ENUM(nm_agent_type),
    NM_ABI_ENUM(nm_signal_state),
    NM_ABI_ENUM(nm_lane_type),
    NM_ABI_ENUM(nm_nuplan_metric),
    NM_ABI_ENUM(nm_nuplan_class),
    NM_ABI_ENUM(nm_nuplan_role),
    NM_ABI_ENUM(nm_vector_action),
    NM_ABI_ENUM(nm_vector_autoreset),
    NM_ABI_ENUM(nm_vector_control),
    NM_ABI_STRUCT(nm_episode_config),
    NM_ABI_STRUCT(nm_ego_criticality),
    NM_ABI_STRUCT(nm_loss),
    NM_ABI_STRUCT(nm_episode),
    NM_ABI_STRUCT(nm_event),
    NM_ABI_STRUCT(nm_detector_param),
    NM_ABI_STRUCT(nm_detector_info),
    NM_ABI_STRUCT(nm_query),
    NM_ABI_STRUCT(nm_hit),
    NM_ABI_STRUCT(nm_store_stats),
    NM_ABI_STRUCT(nm_generation_run),
    NM_ABI_STRUCT(nm_generated),
    NM_ABI_STRUCT(nm_kind_range),
    NM_ABI_STRUCT(nm_kind_param),
    NM_ABI_STRUCT(nm_kind_spec),
    NM_ABI_STRUCT(nm_kind_ranges),
    NM_ABI_STRUCT(nm_corner_kind),
    NM_ABI_STRUCT(nm_corner_config),
    NM_ABI_STRUCT(nm_corner_yield),
    NM_ABI_STRUCT(nm_corner_report),
    NM_ABI_OPAQUE(nm_validity_params),
    NM_ABI_OPAQUE(nm_recipe),
    NM_ABI_OPAQUE(nm_backend_config),
    NM_ABI_OPAQUE(nm_detect_params),
    NM_ABI_OPAQUE(nm_planner_options),
    NM_ABI_ENUM(nm_case_generator),
    NM_ABI_ENUM(nm_episode_agents),
    NM_ABI_ENUM(nm_episode_outcome),
    NM_ABI_ENUM(nm_avoid_label),
    NM_ABI_ENUM(nm_kind),
    NM_ABI_ENUM(nm_kind_param_id),
    NM_ABI_ENUM(nm_role),
    NM_ABI_ENUM(nm_sampling),
    NM_ABI_ENUM(nm_severity),
    NM_ABI_ENUM(nm_store_mode),
};
// clang-format on

_Static_assert(sizeof nm_abi_types / sizeof *nm_abi_types == NM_ABI_TYPES, "the number that abi.c shows");
