/// Default parameters; sources in the header.
#include "sim/metrics/criticality.h"

nm_criticality_params nm_criticality_params_default(void) {
    return (nm_criticality_params){
        .ttc_horizon = 10.0f,
        .ttc_threshold = 2.0f,
        .box_step = 0.1f,
        .box_horizon = 3.0f,
        .follow_angle = 1.30899694f, // 75 degrees
        .max_brake = 8.0f,
        .max_lateral = 6.0f,
        .rss_reaction = 0.75f,
        .rss_accel_max = 3.0f,
        .rss_brake_min = 4.0f,
        .rss_brake_max = 8.0f,
        .rss_lateral_accel_max = 0.2f,
        .rss_lateral_brake_min = 0.8f,
        .rss_lateral_margin = 0.3f,
        .pet_horizon = 10.0f,
        .pet_cross_angle = 0.523598776f, // 30 degrees
        .pet_margin = 0.0f,
        .mass_ratio_truck = 8.0f,
    };
}
