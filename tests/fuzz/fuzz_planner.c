/// What a planner's program answers, over arbitrary bytes: refused, or an output whose points are all there.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "scenarios/planner_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nm_wire *wire = nm_wire_create();
    static nm_planner_trajectory_point points[NM_PLANNER_MAX_POINTS];
    nm_planner_output output = {.points = points, .point_capacity = NM_PLANNER_MAX_POINTS};
    if (!wire) return 0;
    const Nearmiss__Answer *answer = nm_wire_read(wire, data, size);
    if (answer) {
        const nm_status status = nm_wire_output(answer, 3, &output, NULL);
        if (status == NM_OK && answer->step != 3) abort();
        if (status == NM_OK && output.answer == NM_PLANNER_NO_ANSWER) abort();
        if (output.point_count > NM_PLANNER_MAX_POINTS || memchr(output.text, '\0', sizeof output.text) == NULL)
            abort();
    }
    nm_wire_destroy(wire);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    float numbers[5] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f};
    char text[] = "seen", words[] = "I can not see";
    Nearmiss__Trajectory trajectory = NEARMISS__TRAJECTORY__INIT;
    Nearmiss__Control control = NEARMISS__CONTROL__INIT;
    Nearmiss__Hello hello = NEARMISS__HELLO__INIT;
    Nearmiss__Answer answer = NEARMISS__ANSWER__INIT;
    answer.step = 3;
    answer.text = text;
    switch (index) {
    case 0:
        trajectory.n_time = trajectory.n_rear_axle_x_scene = trajectory.n_rear_axle_y_scene = 5;
        trajectory.n_heading_scene = trajectory.n_speed_ahead = 5;
        trajectory.time = trajectory.rear_axle_x_scene = trajectory.rear_axle_y_scene = numbers;
        trajectory.heading_scene = trajectory.speed_ahead = numbers;
        answer.kind_case = NEARMISS__ANSWER__KIND_TRAJECTORY;
        answer.trajectory = &trajectory;
        break;
    case 1:
        control.acceleration_ahead = -1.0f;
        control.steering_case = NEARMISS__CONTROL__STEERING_STEERING_RATE;
        control.steering_rate = 0.1f;
        answer.kind_case = NEARMISS__ANSWER__KIND_CONTROL;
        answer.control = &control;
        break;
    case 2:
        answer.kind_case = NEARMISS__ANSWER__KIND_ERROR;
        answer.error = words;
        break;
    case 3:
        hello.abi = 1;
        answer.kind_case = NEARMISS__ANSWER__KIND_HELLO;
        answer.hello = &hello;
        break;
    default:
        return 0;
    }
    const size_t size = nearmiss__answer__get_packed_size(&answer);
    return size <= capacity ? nearmiss__answer__pack(&answer, buffer) : 0;
}
