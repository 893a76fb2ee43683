#include "scenarios/audit.h"

#include <math.h>
#include <string.h>

#include "scenarios/audit_internal.h"

typedef struct check_info {
    const char *name, *unit;
    double coarse, share; ///< how far a stored value may differ: absolutely, and of its size
} check_info;

// Floats against doubles; on roads the ring search, 0.1 m at a time, whose directions pass small holes by further out.
static const check_info infos[NM_AUDIT_COUNT] = {
    [NM_AUDIT_SPEED] = {"speed", "m/s", 0.02, 0.002},
    [NM_AUDIT_ACCELERATION] = {"acceleration", "m/s^2", 0.05, 0.005},
    [NM_AUDIT_BRAKING] = {"braking", "m/s^2", 0.05, 0.005},
    [NM_AUDIT_LATERAL_ACCELERATION] = {"lateral_acceleration", "m/s^2", 0.05, 0.005},
    [NM_AUDIT_JERK] = {"jerk", "m/s^3", 0.1, 0.01},
    [NM_AUDIT_YAW_RATE] = {"yaw_rate", "rad/s", 0.005, 0.005},
    [NM_AUDIT_CURVATURE] = {"curvature", "1/m", 0.002, 0.01},
    [NM_AUDIT_SLIP] = {"slip", "rad", 0.005, 0.02},
    [NM_AUDIT_TELEPORT] = {"teleport", "m", 0.002, 0.005},
    [NM_AUDIT_HEADING_JUMP] = {"heading_jump", "rad", 0.001, 0.005},
    [NM_AUDIT_VELOCITY] = {"velocity", "m/s", 0.02, 0.005},
    [NM_AUDIT_GAP] = {"gap", "s", 0.001, 0.001},
    [NM_AUDIT_TURN_ON_SPOT] = {"turn_on_spot", "rad", 0.002, 0.01},
    [NM_AUDIT_OVERLAP_AT_START] = {"overlap_at_start", "m", 0.002, 0.01},
    [NM_AUDIT_OFF_ROAD] = {"off_road", "m", 0.06, 0.02},
    [NM_AUDIT_JAYWALK] = {"jaywalk", "m", 0.2, 0.35},
    [NM_AUDIT_RED_LIGHT] = {"red_light", "m/s", 0.02, 0.005},
    [NM_AUDIT_STOP_LINE] = {"stop_line", "m/s", 0.02, 0.005},
    [NM_AUDIT_WRONG_WAY] = {"wrong_way", "m", 0.05, 0.01},
    [NM_AUDIT_SPEEDING] = {"speeding", "m/s", 0.02, 0.005},
    [NM_AUDIT_CONTACT] = {"contact", "steps", 0, 0},
    [NM_AUDIT_CLOSENESS] = {"closeness", "s", 0, 0},
    [NM_AUDIT_OTHERS] = {"others", "pairs", 0, 0},
    [NM_AUDIT_EGO_SPEED] = {"param_ego_speed", "m/s", 0, 0},
    [NM_AUDIT_ENTRY_GAP] = {"param_gap", "m", 0, 0},
    [NM_AUDIT_CLOSING] = {"param_closing", "m/s", 0, 0},
    [NM_AUDIT_LATERAL_SPEED] = {"param_lateral_speed", "m/s", 0, 0},
    [NM_AUDIT_ADVERSARY_SPEED] = {"param_speed", "m/s", 0, 0},
    [NM_AUDIT_DECELERATION] = {"param_deceleration", "m/s^2", 0, 0},
    [NM_AUDIT_HEADWAY] = {"param_headway", "s", 0, 0},
    [NM_AUDIT_ROW] = {"row", "statements", 0, 0},
    [NM_AUDIT_JUDGEMENT] = {"judgement", "verdicts", 0, 0},
    [NM_AUDIT_AGAIN] = {"again", "scenes", 0, 0},
};

const char *nm_audit_name(nm_audit_check check) {
    NM_ASSERT((unsigned)check < NM_AUDIT_COUNT);
    return infos[check].name;
}

const char *nm_audit_unit(nm_audit_check check) {
    NM_ASSERT((unsigned)check < NM_AUDIT_COUNT);
    return infos[check].unit;
}

int nm_audit_other_value(nm_audit_check check, double a, double b) {
    return fabs(a - b) > infos[check].coarse + infos[check].share * fmax(fabs(a), fabs(b));
}

void nm_audit_take(nm_auditing *a, nm_audit_check check, uint32_t track, uint32_t step, double value, double limit,
                   int allowed) {
    nm_audit_finding *known = &a->report->found[check];
    if (isnan(value) || isinf(limit)) return;
    const nm_audit_result result = value <= limit ? NM_AUDIT_PASS : allowed ? NM_AUDIT_ALLOWED : NM_AUDIT_BROKEN;
    if (known->result != NM_AUDIT_UNJUDGED) {
        if (result < known->result) return;
        // each against its own limit: a lorry's may be another than a car's
        if (result == known->result && value / fmax(limit, 1e-6) <= known->value / fmax(known->limit, 1e-6)) return;
    }
    *known = (nm_audit_finding){.result = result, .value = value, .limit = limit, .track = track, .step = step};
}

static nm_status judge_track(nm_auditing *a, uint32_t track, int adversary) {
    const uint32_t last = nm_audit_last_free(a, track);
    nm_audit_judge_overlap(a, track);
    nm_status status = nm_audit_judge_motion(a, track, last);
    if (status == NM_OK) status = nm_audit_judge_road(a, track, last, adversary);
    if (status == NM_OK && adversary) nm_audit_judge_rules(a, track, last);
    return status;
}

nm_status nm_audit_scene(const nm_scene *scene, const nm_audit_case *about, nm_arena *arena, nm_audit_report *report,
                         nm_error *error) {
    NM_ASSERT(scene && about && arena && report);
    memset(report, 0, sizeof *report);
    for (int i = 0; i < NM_AUDIT_COUNT; i++) report->found[i].track = report->found[i].step = NM_NONE;
    report->min_ttc = report->min_ttc_grazing = INFINITY;
    if (fabs((double)scene->dt - NM_AUDIT_DT) > 1e-4)
        return NM_ERROR(error, NM_E_ARGUMENT, "the scene's time step is %g s, not 0.1 s", (double)scene->dt);
    nm_auditing a = {.scene = scene, .about = about, .arena = arena, .report = report, .begin = about->begin};
    nm_status status = judge_track(&a, about->ego, 0);
    for (uint32_t i = 0; status == NM_OK && i < about->staged_count; i++) status = judge_track(&a, about->staged[i], 1);
    if (status == NM_OK) nm_audit_judge_severity(&a);
    if (status == NM_OK) nm_audit_judge_params(&a);
    return status == NM_OK ? NM_OK : NM_ERROR(error, status, "out of memory while a scene is audited");
}
