#include "scenarios/kinds_measure.h"

#include <math.h>

#include "scenarios/case.h"

float nm_kind_tolerance(nm_kind_param_id id) {
    switch (id) {
    case NM_PARAM_GAP:
    case NM_PARAM_REVEAL:
        return NM_TOLERANCE_GAP;
    case NM_PARAM_HEADWAY:
    case NM_PARAM_WARNING:
    case NM_PARAM_BRAKE_TTC:
    case NM_PARAM_DURATION:
    case NM_PARAM_PREDICTED_PET:
    case NM_PARAM_REACTION:
        return NM_TOLERANCE_TIME;
    default:
        return NM_TOLERANCE_SPEED;
    }
}

void nm_kind_measure(const nm_scene *scene, const nm_event *event, const nm_kind_roles *roles,
                     float value[NM_KIND_MAX_PARAMS], uint32_t *step) {
    const nm_kind_spec *spec = nm_kind_spec_of(event->kind);
    for (size_t i = 0; i < NM_KIND_MAX_PARAMS; i++) value[i] = NAN;
    if (step) *step = event->critical_step;
    for (size_t i = 0; i < spec->param_count; i++) {
        switch (spec->params[i].id) {
        case NM_PARAM_EGO_SPEED: {
            const size_t at = nm_scene_at(scene, roles->ego, scene->tracks[roles->ego].first_step);
            value[i] = hypotf(scene->vx[at], scene->vy[at]);
            break;
        }
        case NM_PARAM_GAP:
            value[i] = event->gap;
            break;
        case NM_PARAM_CLOSING:
            value[i] = event->closing_speed;
            break;
        default:
            break;
        }
    }
}
