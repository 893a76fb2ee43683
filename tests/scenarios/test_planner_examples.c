/// The worked examples, and libraries that must be refused.
#include "../sim/planner_drive.h"

#include "scenarios/planner_open.h"

static drive_result drive_on(const char *specification, const char *config, const char *road, uint32_t steps) {
    nm_planner_options options = nm_planner_options_default();
    options.config = config;
    nm_planner *planner = NULL;
    nm_error error;
    nm_error_clear(&error);
    if (nm_planner_open(specification, &options, &planner, &error) != NM_OK) fail_msg("%s", error.message);
    const nm_scene *scene = scene_of(road, 5);
    const drive_result r = drive_with(planner, scene, NM_POLICY_IDM, steps, 5);
    if (r.status != NM_OK) fail_msg("%s on %s: %s", specification, road, r.error.message);
    nm_planner_destroy(planner);
    nm_scene_destroy(scene);
    return r;
}

static const char *const roads[3] = {"highway:density=25", "off_ramp:density=20", "roundabout:density=10"};

static void example_in_c_drives(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        const drive_result r = drive_on(NM_EXAMPLE_C, "", roads[i], 100);
        assert_int_equal(r.ego_events & NM_AGENT_COLLIDED, 0);
        assert_true(r.way > 30.0f);
        assert_true(drive_on(NM_EXAMPLE_C, "", roads[i], 100).hash == r.hash);
    }
    // the configuration arrives
    const drive_result slow = drive_on(NM_EXAMPLE_C, "0.4", "highway:density=0", 100);
    const drive_result fast = drive_on(NM_EXAMPLE_C, "1.0", "highway:density=0", 100);
    assert_true(slow.way < 0.8f * fast.way);
}

static void example_in_python_drives(void **state) {
    (void)state;
    if (!NM_PYTHON[0]) {
        printf("skipped: no Python with the protobuf package, or no protoc (python3-protobuf, protobuf-compiler)\n");
        skip();
    }
    const char *specification = "exec:" NM_PYTHON " " NM_SOURCE_DIR "/examples/planner_python/planner.py";
    for (int i = 0; i < 3; i++) {
        const drive_result r = drive_on(specification, "", roads[i], 60);
        assert_int_equal(r.ego_events & NM_AGENT_COLLIDED, 0);
        assert_true(r.way > 20.0f);
        printf("%s: %.0f us a step\n", roads[i], 1e6 * r.seconds);
    }
}

static void examples_are_short(void **state) {
    (void)state;
    const char *files[2] = {NM_SOURCE_DIR "/examples/planner_c/planner.c",
                            NM_SOURCE_DIR "/examples/planner_python/planner.py"};
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(files[i], "r");
        assert_non_null(file);
        int lines = 0;
        for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
        fclose(file);
        assert_true(lines < 80);
    }
}

static void libraries_of_another_version_are_refused(void **state) {
    (void)state;
    const struct {
        const char *path;
        nm_status status;
        const char *words;
    } bad[] = {
        {NM_OTHER_ABI_0, NM_E_VERSION, "does not offer version 1"},
        {NM_OTHER_ABI_2, NM_E_VERSION, "built for version 2"},
        {NM_NO_ENTRY, NM_E_FORMAT, "does not export nm_planner_entry"},
        {NM_SOURCE_DIR "/LICENSE", NM_E_FORMAT, "can not be loaded"},
        {"./no/such/library.so", NM_E_NOT_FOUND, "./no/such/library.so"},
        {"missing.so", NM_E_NOT_FOUND, "missing.so"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        nm_planner *planner = NULL;
        nm_error error;
        nm_error_clear(&error);
        const nm_status status = nm_planner_open(bad[i].path, NULL, &planner, &error);
        if (status != bad[i].status || !strstr(error.message, bad[i].words))
            fail_msg("%s: %s: %s", bad[i].path, nm_status_name(status), error.message);
        assert_null(planner);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_in_c_drives),
        cmocka_unit_test(example_in_python_drives),
        cmocka_unit_test(examples_are_short),
        cmocka_unit_test(libraries_of_another_version_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
