/// Tokens of real recordings, where they are there: the way there and back recovers what was recorded.
#include "support.h"

#include "dataset/import.h"
#include "nexus/tokens.h"
#include "sim/math.h"

typedef struct counts {
    uint32_t scenes, skipped, states;
    nm_arena *arena;
} counts;

/// Every logged token of a scene, decoded: position to 1 mm, heading to 1 mrad.
static uint32_t compare(const nm_scene *scene, const nm_tokens *tokens) {
    const nm_token_config *config = &tokens->config;
    const uint32_t count = nm_token_timeline(config, NM_RATE_2HZ), agents = tokens->shape.agents;
    const int64_t first = nm_tokens_first_step(tokens, NM_RATE_2HZ);
    nm_state *states = calloc((size_t)agents * count, sizeof *states);
    uint8_t *valid = calloc((size_t)agents * count, 1);
    uint32_t compared = 0;
    nm_error error;
    assert_int_equal(nm_tokens_decode(tokens, tokens->values, NULL, NM_RATE_2HZ, states, valid, &error), NM_OK);
    for (size_t i = 0; i < (size_t)agents * count; i++) {
        if (!valid[i]) continue;
        const int64_t step = first + 5 * (int64_t)(i % count);
        const size_t at = nm_scene_at(scene, tokens->track[i / count], (uint32_t)step);
        assert_true(scene->valid[at]);
        assert_true(hypotf(states[i].x - scene->x[at], states[i].y - scene->y[at]) < 1e-3f);
        assert_true(fabsf(nm_wrap_angle(states[i].heading - scene->heading[at])) < 1e-3f);
        compared++;
    }
    free(states);
    free(valid);
    return compared;
}

static nm_status take(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record;
    counts *c = context;
    nm_token_request request = nm_token_request_default(scene);
    request.current_step = scene->step_count > 25 ? 24 : scene->step_count - 1;
    for (int e = 0; e < 2; e++) {
        const nm_token_config config = nm_token_config_default(e ? NM_TOKENS_AGENT : NM_TOKENS_EGO);
        nm_token_map *map;
        nm_tokens tokens;
        assert_int_equal(nm_token_map_create(scene->map, &config, &map, error), NM_OK);
        nm_status status = nm_tokens_build(map, scene, &request, c->arena, &tokens, error);
        if (status == NM_OK) {
            c->states += compare(scene, &tokens);
            c->scenes++;
        } else { // a scene in which nobody is there yet
            assert_int_equal(status, NM_E_NOT_FOUND);
            c->skipped++;
        }
        nm_arena_reset(c->arena);
        nm_token_map_destroy(map);
    }
    nm_scene_destroy(scene);
    return NM_OK;
}

static void test_ngsim(void **state) {
    (void)state;
    char path[1024];
    if (!nm_test_have(path, sizeof path, "data/commonroad/ngsim-val.tar.xz")) skip();
    counts c = {.arena = nm_arena_create(0)};
    nm_importer *importer = nm_importer_create(NULL);
    nm_error error;
    if (nm_import_file(importer, path, take, NULL, &c, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    nm_arena_destroy(c.arena);
    printf("%u token scenes, %u without anybody, %u states\n", c.scenes, c.skipped, c.states);
    assert_true(c.scenes >= 20);
    assert_true(c.states > 4000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ngsim)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
