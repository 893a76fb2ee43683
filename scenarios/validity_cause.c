// Is it the adversaries who make the danger? The same scene without them: what does everybody else demand of the ego?
//
// From each step the ego could drive on along its way with the speed it has; where that would end in one of the others,
// the least constant deceleration that avoids it is what they demand. The recorded motion of the others is used, not a
// prediction. Up to the critical step or the ego's first collision: what comes after is consequence.
#include <math.h>

#include "scenarios/rehearsal.h"
#include "scenarios/validity_internal.h"

#define AHEAD 40u   // steps looked ahead
#define EVERY 2u    // steps between those that are judged
#define GRAIN 0.25f // m/s^2
#define MOST 10.0f  // m/s^2: when not even that is enough

static float demand(const nm_rehearsal *r, uint32_t step, uint32_t last) {
    uint32_t at = step - r->first;
    for (float brake = 0; brake < MOST; brake += GRAIN) {
        const nm_manoeuvre m = {.brake = brake, .jerk = 1000, .grip = brake};
        if (nm_rehearse(r, step, r->s[at], r->v[at], -brake, &m, last, NM_WHOM_THIRD_PARTIES, NULL) == NM_NONE)
            return brake;
    }
    return MOST;
}

nm_status nm_judge_cause(nm_judging *j) {
    const nm_conflict_case *conflict = j->conflict;
    uint32_t begin = conflict->begin, last = j->last;
    if (last < begin) return NM_OK; // it crashed before
    if (conflict->event && conflict->event->critical_step >= begin && conflict->event->critical_step < last)
        last = conflict->event->critical_step;
    nm_arena_mark mark = nm_arena_get_mark(j->arena);
    uint32_t end = conflict->scene->step_count - 1;
    nm_rehearsal r;
    nm_status status = nm_rehearsal_make(conflict, begin, end - begin + 1, last, j->arena, &r, NULL);
    if (status != NM_OK) return status;
    for (uint32_t t = begin; t <= last && t < begin + r.recorded; t += EVERY) {
        uint32_t until = t + AHEAD < end ? t + AHEAD : end;
        nm_verdict_take(j, NM_VERDICT_CAUSE, conflict->ego, t, demand(&r, t, until), j->params->cause, 0);
    }
    nm_arena_release(j->arena, mark);
    return NM_OK;
}
