/// A planner that behaves badly in the way its first argument says, where the seed of the scenario is odd: see
/// test_planner_process.c. With a second argument it listens on that Unix socket rather than on standard input.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataset/protos/planner.pb-c.h"

static int in = 0, out = 1;
static const char *mode;

static int is(const char *name) {
    return strcmp(mode, name) == 0;
}

static void put(const void *bytes, size_t size) {
    for (const char *at = bytes; size > 0;) {
        const ssize_t count = write(out, at, size);
        if (count <= 0) _exit(9);
        at += count;
        size -= (size_t)count;
    }
}

static void put_length(uint32_t size) {
    const uint8_t header[4] = {(uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), (uint8_t)(size >> 24)};
    put(header, 4);
}

static int get(void *bytes, size_t size) {
    for (char *at = bytes; size > 0;) {
        const ssize_t count = read(in, at, size);
        if (count <= 0) return 0;
        at += count;
        size -= (size_t)count;
    }
    return 1;
}

static void answer(const Nearmiss__Answer *message) {
    static uint8_t bytes[1 << 16];
    const size_t size = nearmiss__answer__get_packed_size(message);
    if (size > sizeof bytes) _exit(8);
    nearmiss__answer__pack(message, bytes);
    put_length((uint32_t)size);
    put(bytes, size);
}

static void hello(void) {
    Nearmiss__Hello hello = NEARMISS__HELLO__INIT;
    Nearmiss__Answer message = NEARMISS__ANSWER__INIT;
    char name[] = "misbehaving";
    hello.abi = is("abi") ? 99 : 1;
    hello.name = name;
    hello.history = 3;
    hello.map_radius = 50.0f;
    message.kind_case = NEARMISS__ANSWER__KIND_HELLO;
    message.hello = &hello;
    answer(&message);
}

static void ready(void) {
    Nearmiss__Ready ready = NEARMISS__READY__INIT;
    Nearmiss__Answer message = NEARMISS__ANSWER__INIT;
    message.kind_case = NEARMISS__ANSWER__KIND_READY;
    message.ready = &ready;
    answer(&message);
}

/// Straight on at the speed of now; `count` points until `end` s.
static void straight(const Nearmiss__Plan *plan, uint32_t step, size_t count, float end, float spoil) {
    float time[600], x[600], y[600], heading[600], speed[600];
    for (size_t i = 0; i < count; i++) {
        time[i] = end * (float)i / (float)(count > 1 ? count - 1 : 1);
        x[i] = plan->ego->rear_axle->x_scene + plan->ego->rear_axle_speed_ahead * time[i] + spoil;
        y[i] = plan->ego->rear_axle->y_scene;
        heading[i] = plan->ego->rear_axle->heading_scene;
        speed[i] = plan->ego->rear_axle_speed_ahead;
    }
    Nearmiss__Trajectory trajectory = NEARMISS__TRAJECTORY__INIT;
    trajectory.n_time = trajectory.n_rear_axle_x_scene = trajectory.n_rear_axle_y_scene = count;
    trajectory.n_heading_scene = count;
    trajectory.n_speed_ahead = is("uneven") && count == 11 ? count - 1 : count;
    trajectory.time = time;
    trajectory.rear_axle_x_scene = x;
    trajectory.rear_axle_y_scene = y;
    trajectory.heading_scene = heading;
    trajectory.speed_ahead = speed;
    Nearmiss__Answer message = NEARMISS__ANSWER__INIT;
    message.kind_case = NEARMISS__ANSWER__KIND_TRAJECTORY;
    message.trajectory = &trajectory;
    message.step = step;
    answer(&message);
}

/// Leaves a child behind that holds all that it inherited; its number goes to standard error.
static void leave_a_child(void) {
    const pid_t child = fork();
    if (child == 0) {
        sleep(1000);
        _exit(0);
    }
    fprintf(stderr, "child %d\n", (int)child);
}

static void say_error(const char *words) {
    char text[64];
    snprintf(text, sizeof text, "%s", words);
    Nearmiss__Answer message = NEARMISS__ANSWER__INIT;
    message.kind_case = NEARMISS__ANSWER__KIND_ERROR;
    message.error = text;
    answer(&message);
}

static void break_the_stream(void) {
    if (is("garbage")) {
        put_length(64);
        for (int i = 0; i < 64; i++) put("\xff", 1);
    } else if (is("huge")) {
        put_length(1u << 30);
        put("\x08\x01", 2);
    } else if (is("cut")) {
        put_length(1000);
        put("\x08\x01", 2);
        sleep(1000);
    } else if (is("stdout")) {
        put("step 1: all is well\n", 20);
        sleep(1000);
    } else if (is("negative")) {
        put_length((uint32_t)-1);
        sleep(1000);
    } else if (is("types")) { // the trajectory is a number
        put_length(2);
        put("\x20\x01", 2);
    } else if (is("drip")) { // always a byte more, never an end
        put_length(1000);
        for (int i = 0; i < 1000; i++) {
            put("\x08", 1);
            usleep(20000);
        }
    } else if (is("shorttext")) {
        put("1\n", 2); // two bytes of text, then a message: its length is read as the upper half
    }
}

static void end_badly(void) {
    if (is("exit")) {
        fprintf(stderr, "Traceback: KeyError 'lane'\n");
        _exit(3);
    }
    if (is("wordy")) {
        for (int i = 0; i < 30; i++) fprintf(stderr, "  File \"mine.py\", line %d, in a function of a long name\n", i);
        fprintf(stderr, "ValueError: too many lanes\n");
        _exit(5);
    }
    if (is("crash")) abort();
    if (is("hang")) sleep(1000);
    if (is("stop")) raise(SIGSTOP);
    if (is("shut")) {
        shutdown(out, SHUT_WR);
        sleep(1000);
    }
    if (is("flood"))
        for (;;) fputs("all work and no answer\n", stderr);
    if (is("fork")) {
        leave_a_child();
        _exit(0);
    }
    if (is("orphan")) {
        leave_a_child();
        sleep(1000);
    }
    if (is("noise")) { // more than the pipe and the ring hold
        for (int i = 0; i < 40000; i++) fprintf(stderr, "line %d\n", i);
        _exit(4);
    }
}

static void behave(const Nearmiss__Plan *plan) {
    uint32_t step = plan->step;
    size_t count = 10;
    float end = 2.0f, spoil = 0.0f;
    break_the_stream();
    end_badly();
    if (is("nothing")) put_length(0);
    if (is("error")) say_error("I can not see\n");
    if (is("ready")) ready();
    if (is("nothing") || is("error") || is("ready")) return;
    if (is("nan")) spoil = (float)strtod("nan", NULL);
    if (is("jump")) spoil = 5000.0f;
    if (is("onepoint")) count = 1;
    if (is("uneven")) count = 11;
    if (is("long")) count = 600, end = 60.0f;
    if (is("short")) end = 0.05f;
    if (is("stale")) step--;
    straight(plan, step, count, end, spoil);
}

static void serve(void) {
    uint64_t seed = 0;
    uint8_t header[4];
    if (is("mute")) sleep(1000);
    while (get(header, 4)) {
        const size_t size = (size_t)header[0] | (size_t)header[1] << 8 | (size_t)header[2] << 16;
        uint8_t *bytes = malloc(size + 1);
        if (!bytes || !get(bytes, size)) _exit(7);
        Nearmiss__Request *request = nearmiss__request__unpack(NULL, size, bytes);
        free(bytes);
        if (!request) _exit(6);
        switch (request->kind_case) {
        case NEARMISS__REQUEST__KIND_HELLO:
            hello();
            break;
        case NEARMISS__REQUEST__KIND_BEGIN:
            seed = request->begin->seed;
            if (is("leaves")) _exit(0); // every time
            if (is("hangbegin") && seed % 2) sleep(1000);
            ready();
            break;
        case NEARMISS__REQUEST__KIND_PLAN:
            if (seed % 2 && request->plan->step == 2)
                behave(request->plan);
            else
                straight(request->plan, request->plan->step, 10, 2.0f, 0.0f);
            break;
        default:
            if (is("oneshot")) _exit(0); // a scenario each: no fault
            if (is("chatty")) put("done\n", 5);
            if (is("polite")) { // answers the end as well, when the next has begun
                usleep(20000);
                ready();
            }
        }
        nearmiss__request__free_unpacked(request, NULL);
    }
}

int main(int count, char **words) {
    if (count < 2) return 2;
    mode = words[1];
    if (count == 2) {
        serve();
        return 0;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", words[2]);
    const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listening, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 4) != 0) return 5;
    for (;;) {
        in = out = accept(listening, NULL, NULL);
        if (in < 0) return 1;
        const pid_t child = fork();
        if (child == 0) {
            serve();
            return 0;
        }
        close(in);
    }
}
