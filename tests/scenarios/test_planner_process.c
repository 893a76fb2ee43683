#include "../sim/planner_drive.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/thread_pool.h"
#include "scenarios/planner_open.h"

#define SOON 0.2f   // s, a deadline that has to pass
#define LATER 30.0f // s, one that must not
#define STEPS 6

static void rest(int milliseconds) {
    const struct timespec time = {0, milliseconds * 1000000L};
    nanosleep(&time, NULL);
}

static nm_planner *opened(const char *mode, const char *prefix) {
    char specification[512];
    snprintf(specification, sizeof specification, "exec:%s%s %s", prefix, NM_MISBEHAVING, mode);
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_planner_open(specification, NULL, &planner, &error) != NM_OK) fail_msg("%s", error.message);
    return planner;
}

static const nm_scene *road(void) {
    const test_vehicle cars[3] = {
        {NM_AGENT_CAR, 100, 0, 0, 10}, {NM_AGENT_CAR, 140, 3.5f, 0, 7}, {NM_AGENT_TRUCK, 60, 0, 0, 7}};
    return scene_with(straight_road(2, 500, 20), cars, 3, 60);
}

/// Fails at the third step of a scenario with an odd seed, with the code and the words; the next scenario goes well.
static void misbehave(const char *mode, float deadline, nm_status wanted, const char *words, const char *more) {
    const nm_scene *scene = road();
    nm_planner *planner = opened(mode, "");
    for (uint64_t seed = 0; seed < 3; seed++) {
        const int bad = seed % 2;
        const drive_result r = drive_within(planner, scene, NM_POLICY_IDM, STEPS, seed, bad ? deadline : LATER);
        if (!bad && r.status != NM_OK) fail_msg("%s, good: %s", mode, r.error.message);
        if (!bad) assert_int_equal(r.steps, STEPS);
        if (!bad) continue;
        if (r.status != wanted || !strstr(r.error.message, words) || !strstr(r.error.message, more))
            fail_msg("%s: %s: %s", mode, nm_status_name(r.status), r.error.message);
        assert_int_equal(r.steps, 2);
        assert_non_null(strstr(r.error.message, "step 2"));
    }
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

static void well_behaved_ones_drive(void **state) {
    (void)state;
    const nm_scene *scene = road();
    nm_planner *planner = opened("good", "");
    const nm_planner_needs needs = nm_planner_get_needs(planner);
    assert_int_equal(needs.history, 3);
    assert_float_equal(needs.map_radius, 50.0f, 0.0f);
    const drive_result r = drive_within(planner, scene, NM_POLICY_IDM, 50, 1, LATER);
    if (r.status != NM_OK) fail_msg("%s", r.error.message);
    assert_float_equal(r.way, 50.0f, 0.01f);
    nm_planner *same = planner_named("constant_velocity"); // what it does, with one rounding more
    const drive_result q = drive_with(same, scene, NM_POLICY_IDM, 50, 1);
    assert_float_equal(q.way, r.way, 1e-3f);
    nm_planner_destroy(same);
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

static void bad_answers_cost_their_scenario_only(void **state) {
    (void)state;
    misbehave("nan", LATER, NM_E_NUMERIC, "NaN", "");
    misbehave("nothing", LATER, NM_E_FORMAT, "answered nothing", "was killed");
    misbehave("onepoint", LATER, NM_E_FORMAT, "of 1 points", "");
    misbehave("short", LATER, NM_E_FORMAT, "too short", "0.050 s");
    misbehave("long", LATER, NM_E_FORMAT, "600 points", "at most 512");
    misbehave("uneven", LATER, NM_E_FORMAT, "11 times", "10 speeds");
    misbehave("jump", LATER, NM_E_FORMAT, "scene's frame", "");
    misbehave("stale", LATER, NM_E_FORMAT, "answered step 1 when it was asked for step 2", "");
    misbehave("ready", LATER, NM_E_FORMAT, "neither a trajectory nor a control", "");
    misbehave("error", LATER, NM_E_UNSUPPORTED, "I can not see", "");
}

static void broken_streams_cost_their_scenario_only(void **state) {
    (void)state;
    misbehave("garbage", LATER, NM_E_FORMAT, "no message of dataset/protos/planner.proto", "was killed");
    misbehave("negative", LATER, NM_E_FORMAT, "claims a message of 4294967295 bytes", "");
    misbehave("types", LATER, NM_E_FORMAT, "no message of dataset/protos/planner.proto", "");
    misbehave("drip", SOON, NM_E_LIMIT, "cut short", "of 1004 bytes");
    misbehave("huge", LATER, NM_E_FORMAT, "claims a message of 1073741824 bytes", "at most 16777216");
    misbehave("cut", SOON, NM_E_LIMIT, "cut short: 6 of 1004 bytes", "was killed");
    misbehave("stdout", LATER, NM_E_FORMAT, "sent 'step 1: all is well'", "did it print to standard output?");
    misbehave("shorttext", SOON, NM_E_LIMIT, "cut short", "did it print to standard output?");
}

static void ends_cost_their_scenario_only(void **state) {
    (void)state;
    misbehave("exit", LATER, NM_E_IO, "exited with status 3", "Traceback: KeyError 'lane'");
    misbehave("wordy", LATER, NM_E_IO, "exited with status 5; its standard error ends: ValueError: too many lanes", "");
    misbehave("crash", LATER, NM_E_IO, "was killed by signal 6", "");
    misbehave("hang", SOON, NM_E_LIMIT, "no answer within 0.200 s", "was killed");
    misbehave("stop", SOON, NM_E_LIMIT, "no answer within 0.200 s", "was killed");
    misbehave("shut", LATER, NM_E_IO, "closed its standard output and was killed", "");
    misbehave("flood", SOON, NM_E_LIMIT, "no answer within 0.200 s", "all work and no answer");
    misbehave("noise", LATER, NM_E_IO, "exited with status 4", "line 39999");
}

/// A program for each scenario: it ends after one, and is started again without a word. So is one that prints, or
/// says that it is ready, when it is told that a scenario is over. Either may show before or after the next one is
/// begun.
static void what_comes_after_the_end_costs_nothing(void **state) {
    (void)state;
    const nm_scene *scene = road();
    const char *modes[3] = {"oneshot", "chatty", "polite"};
    for (int i = 0; i < 3; i++) {
        nm_planner *planner = opened(modes[i], "");
        for (uint64_t seed = 0; seed < 8; seed++) {
            const drive_result r = drive_within(planner, scene, NM_POLICY_IDM, STEPS, seed, LATER);
            if (r.status != NM_OK) fail_msg("%s, scenario %d: %s", modes[i], (int)seed, r.error.message);
            if (seed % 3 == 0) rest(20); // it does so meanwhile
        }
        nm_planner_destroy(planner);
    }
    nm_scene_destroy(scene);
}

/// Is the process there, and no zombie that nobody has waited for?
static int lives(int pid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    const size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    const char *after = strrchr(text, ')');
    return count > 0 && after && after[2] != 'Z' && after[2] != 'X';
}

static void children_are_killed_with_their_parents(void **state) {
    (void)state;
    const char *modes[2] = {"fork", "orphan"};
    const nm_scene *scene = road();
    for (int i = 0; i < 2; i++) {
        nm_planner *planner = opened(modes[i], "");
        const drive_result r = drive_within(planner, scene, NM_POLICY_IDM, STEPS, 1, i ? SOON : LATER);
        assert_int_equal(r.status, i ? NM_E_LIMIT : NM_E_IO);
        if (!i) assert_non_null(strstr(r.error.message, "exited with status 0")); // though its child holds its output
        char words[128];
        int child = 0;
        assert_true(nm_planner_stderr(planner, words, sizeof words) > 0);
        assert_int_equal(sscanf(words, "child %d", &child), 1);
        assert_true(child > 1);
        for (int tries = 0; lives(child) && tries < 100; tries++) rest(10); // SIGKILL is on its way
        assert_false(lives(child));
        nm_planner_destroy(planner);
    }
    nm_scene_destroy(scene);
}

static void bad_beginnings_cost_their_scenario_only(void **state) {
    (void)state;
    const nm_scene *scene = road();
    nm_planner_options options = nm_planner_options_default();
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    options.begin_deadline = 0.3;
    assert_int_equal(nm_planner_open("exec:" NM_MISBEHAVING " hangbegin", &options, &planner, &error), NM_OK);
    const drive_result hung = drive_within(planner, scene, NM_POLICY_IDM, STEPS, 1, LATER);
    assert_int_equal(hung.status, NM_E_LIMIT);
    assert_int_equal(hung.steps, 0);
    assert_non_null(strstr(hung.error.message, "no answer within 0.300 s"));
    nm_planner_destroy(planner);
    planner = opened("leaves", "");
    const drive_result left = drive_within(planner, scene, NM_POLICY_IDM, STEPS, 1, LATER);
    assert_int_equal(left.status, NM_E_IO);
    assert_non_null(strstr(left.error.message, "failed to begin scenario"));
    assert_non_null(strstr(left.error.message, "exited with status 0"));
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
}

static void openings_that_fail_say_why(void **state) {
    (void)state;
    const struct {
        const char *specification;
        nm_status status;
        const char *words;
    } bad[] = {
        {"exec:" NM_MISBEHAVING " abi", NM_E_VERSION, "speaks version 99"},
        {"exec:" NM_MISBEHAVING " mute", NM_E_LIMIT, "no answer within 0.300 s"},
        {"exec:no-such-program-here", NM_E_IO, "exited with status 127; its standard error ends: "},
        {"exec:echo Welcome to my planner", NM_E_FORMAT, "did it print to standard output?"},
        {"exec:kill -9 $$; true", NM_E_IO, "killed by signal 9"},
        {"exec:cd / && sh -c 'kill -6 $$'; exit $?", NM_E_IO, "128 + signal 6"},
        {"exec:A=1 sh -c 'exit $A'", NM_E_IO, "exited with status 1"},
        {"exec:true", NM_E_IO, "exited with status 0"},
        {"exec:kill -9 $$", NM_E_IO, "killed by signal 9"},
        {"exec:exit 1\n\033[2J", NM_E_IO, "planner 'exec:exit 1\\n\\x1b[2J' can not"},
        {"exec:printf ab; sleep 100", NM_E_LIMIT, "did it print to standard output?"},
        {"exec:printf ab", NM_E_IO, "did it print to standard output?"},
        {"exec:", NM_E_ARGUMENT, "COMMAND LINE"},
        {"unix:/no/such/socket", NM_E_IO, "/no/such/socket"},
        {"unix:/no\033[2J", NM_E_IO, "listens on '/no\\x1b[2J'"},
        {"nobody", NM_E_NOT_FOUND, "expert, constant_velocity"},
    };
    nm_planner_options options = nm_planner_options_default();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nm_planner *planner = NULL;
        nm_error error;
        nm_error_clear(&error);
        options.start_deadline = bad[i].status == NM_E_LIMIT ? 0.3 : 30.0;
        const nm_status status = nm_planner_open(bad[i].specification, &options, &planner, &error);
        if (status != bad[i].status || !strstr(error.message, bad[i].words))
            fail_msg("%s: %s: %s", bad[i].specification, nm_status_name(status), error.message);
        assert_null(planner);
    }
    options.plan_deadline = 0.0;
    nm_planner *planner = NULL;
    assert_int_equal(nm_planner_open("idm", &options, &planner, NULL), NM_E_ARGUMENT);
}

static void sockets_work_the_same(void **state) {
    (void)state;
    char path[64], specification[128];
    snprintf(path, sizeof path, "/tmp/nm_planner_%d.sock", (int)getpid());
    snprintf(specification, sizeof specification, "unix:%s", path);
    unlink(path);
    const pid_t server = fork();
    if (server == 0) {
        setpgid(0, 0); // it forks for each connection: one group to be killed
        execl(NM_MISBEHAVING, NM_MISBEHAVING, "hang", path, (char *)NULL);
        _exit(127);
    }
    nm_planner *planner = NULL;
    for (int tries = 0; tries < 500 && nm_planner_open(specification, NULL, &planner, NULL) != NM_OK; tries++)
        rest(10); // until it listens
    assert_non_null(planner);
    const nm_scene *scene = road();
    for (uint64_t seed = 0; seed < 4; seed++) {
        const drive_result r = drive_within(planner, scene, NM_POLICY_IDM, STEPS, seed, seed % 2 ? SOON : LATER);
        if (r.status != (seed % 2 ? NM_E_LIMIT : NM_OK)) fail_msg("%s", r.error.message);
        if (seed % 2) assert_non_null(strstr(r.error.message, "it was hung up on"));
    }
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
    kill(-server, SIGKILL);
    waitpid(server, NULL, 0);
    unlink(path);
}

/// One that listens but never accepts: its queue is full at some time, and connecting must not wait forever.
static void sockets_that_nobody_serves_cost_the_deadline(void **state) {
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/nm_planner_%d.full", (int)getpid());
    char specification[128];
    snprintf(specification, sizeof specification, "unix:%s", address.sun_path);
    unlink(address.sun_path);
    const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listening, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listening, 0), 0);
    nm_planner_options options = nm_planner_options_default();
    options.start_deadline = SOON;
    for (int i = 0; i < 4; i++) {
        nm_planner *planner = NULL;
        nm_error error;
        nm_error_clear(&error);
        assert_int_equal(nm_planner_open(specification, &options, &planner, &error), NM_E_LIMIT);
        if (i == 3) assert_non_null(strstr(error.message, "accepts no connection"));
    }
    close(listening);
    unlink(address.sun_path);
}

/// Without standard streams the next files get their numbers; the planner's must not.
static void missing_streams_do_not_matter(void **state) {
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        nm_planner *planner = NULL;
        for (int fd = 0; fd < 3; fd++) close(fd);
        const nm_status status = nm_planner_open("exec:" NM_MISBEHAVING " good", NULL, &planner, NULL);
        int taken = 0; // by what belongs to the planner
        for (int fd = 0; fd < 3; fd++) taken += fcntl(fd, F_GETFD) >= 0;
        nm_planner_destroy(planner);
        _exit(status != NM_OK ? 1 : taken ? 2 : 0);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

/// What is open in this process.
static int open_files(void) {
    int count = 0;
    for (int fd = 0; fd < 256; fd++) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void nothing_is_left_behind(void **state) {
    (void)state;
    const int before = open_files();
    const nm_scene *scene = road();
    for (int i = 0; i < 3; i++) {
        const double start = nm_clock();
        nm_planner *planner = opened(i ? "exit" : "good", i == 2 ? "exec " : "");
        drive_within(planner, scene, NM_POLICY_IDM, STEPS, 1, LATER);
        nm_planner_destroy(planner);
        assert_true(i || nm_clock() - start < 20.0);
    }
    assert_int_equal(open_files(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); // no child, not even a zombie
    nm_scene_destroy(scene);
}

typedef struct team {
    const nm_scene *scene;
    drive_result results[4];
} team;

static nm_status drive_one(void *context, size_t index, int worker, nm_error *error) {
    team *t = context;
    (void)worker, (void)error;
    nm_planner *planner = opened(index % 2 ? "exit" : "good", "");
    t->results[index] = drive_within(planner, t->scene, NM_POLICY_IDM, 20, index, LATER);
    nm_planner_destroy(planner);
    return NM_OK;
}

/// Programs of several threads at once: none holds what belongs to another, so that each end is seen at once.
static void threads_do_not_mix(void **state) {
    (void)state;
    team t = {.scene = road()};
    nm_thread_pool *pool = NULL;
    assert_int_equal(nm_thread_pool_create(4, &pool, NULL), NM_OK);
    assert_int_equal(nm_thread_pool_for(pool, 4, 1, drive_one, &t, NULL), NM_OK);
    nm_thread_pool_destroy(pool);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(t.results[i].status, i % 2 ? NM_E_IO : NM_OK);
        if (i % 2) assert_non_null(strstr(t.results[i].error.message, "exited with status 3"));
        if (i == 2) assert_float_equal(t.results[2].way, t.results[0].way, 0.0f);
    }
    nm_scene_destroy(t.scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_behaved_ones_drive),
        cmocka_unit_test(bad_answers_cost_their_scenario_only),
        cmocka_unit_test(broken_streams_cost_their_scenario_only),
        cmocka_unit_test(ends_cost_their_scenario_only),
        cmocka_unit_test(what_comes_after_the_end_costs_nothing),
        cmocka_unit_test(children_are_killed_with_their_parents),
        cmocka_unit_test(bad_beginnings_cost_their_scenario_only),
        cmocka_unit_test(openings_that_fail_say_why),
        cmocka_unit_test(sockets_work_the_same),
        cmocka_unit_test(sockets_that_nobody_serves_cost_the_deadline),
        cmocka_unit_test(missing_streams_do_not_matter),
        cmocka_unit_test(threads_do_not_mix),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
