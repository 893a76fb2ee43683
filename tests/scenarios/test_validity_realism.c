/// The histograms of ordinary driving: counted again from the recordings, compared with the table in the code, and how
/// ordinary recorded drives come out. With --print the table is written out: how scenarios/ordinary_motion.h was made.
#include "support.h"

#include "dataset/import.h"
#include "scenarios/ordinary_motion.h"
#include "scenarios/validity_internal.h"

#define CELLS ((size_t)NM_ORDINARY_FEATURES * NM_ORDINARY_SPEEDS * NM_ORDINARY_BINS)
#define DRIVES_MAX 40000u
#define WINDOW 80u // steps of a drive: the 8 s that are generated

typedef struct census {
    uint32_t *counts; ///< [CELLS]; NULL = the drives are rated instead
    float *nats;      ///< [DRIVES_MAX]
    size_t drives;
    nm_arena *arena;
} census;

/// A motor vehicle that moves, cut into drives of 8 s.
static void take_track(census *c, const nm_scene *scene, uint32_t track) {
    const nm_track *info = &scene->tracks[track];
    nm_error error;
    if (!nm_agent_type_vehicle((nm_agent_type)info->type) || (info->flags & NM_TRACK_STATIC)) return;
    if (info->first_step > info->last_step) return;
    if (c->counts) {
        assert_int_equal(nm_ordinary_count(scene, track, info->first_step, info->last_step, c->arena, c->counts),
                         NM_OK);
        return;
    }
    for (uint32_t t = info->first_step; t + WINDOW <= info->last_step; t += WINDOW / 2) {
        float nats;
        assert_int_equal(nm_realism_of_motion(scene, track, t, t + WINDOW, c->arena, &nats, &error), NM_OK);
        if (isnan(nats)) continue;
        assert_true(c->drives < DRIVES_MAX);
        c->nats[c->drives++] = nats;
    }
}

static nm_status take_scene(void *context, const nm_scene *scene, const char *input, uint64_t record, nm_error *error) {
    (void)input, (void)record, (void)error;
    for (uint32_t track = 0; track < scene->track_count; track++) take_track(context, scene, track);
    nm_scene_destroy(scene);
    return NM_OK;
}

static int take_file(census *c, const char *relative) {
    char path[1024];
    nm_error error;
    if (!nm_test_have(path, sizeof path, relative)) return 0;
    c->arena = nm_arena_create(0);
    nm_importer *importer = nm_importer_create(NULL);
    if (nm_import_file(importer, path, take_scene, NULL, c, NULL, &error) != NM_OK) fail_msg("%s", error.message);
    nm_importer_destroy(importer);
    nm_arena_destroy(c->arena);
    return 1;
}

/// Counts smoothed over neighbouring bins (1 2 1), plus half a count so that what was never seen is only rare; in
/// hundredths of nats below the most common bin of the speed.
static void table_of(const uint32_t *counts, uint16_t table[NM_ORDINARY_BINS]) {
    double smooth[NM_ORDINARY_BINS], most = 0;
    for (int i = 0; i < NM_ORDINARY_BINS; i++) {
        double before = counts[i > 0 ? i - 1 : 0], after = counts[i < NM_ORDINARY_BINS - 1 ? i + 1 : i];
        smooth[i] = 0.25 * (before + 2.0 * counts[i] + after) + 0.5;
        most = fmax(most, smooth[i]);
    }
    for (int i = 0; i < NM_ORDINARY_BINS; i++)
        table[i] = (uint16_t)lround(100.0 * fmin(log(most / smooth[i]), (double)NM_REALISM_CEILING));
}

static const char *const training = "data/commonroad/ngsim-train.tar.xz";

static void test_table(void **state) {
    (void)state;
    census c = {.counts = calloc(CELLS, sizeof(uint32_t))};
    if (take_file(&c, training)) {
        for (uint32_t k = 0; k < NM_ORDINARY_FEATURES; k++)
            for (uint32_t s = 0; s < NM_ORDINARY_SPEEDS; s++) {
                uint16_t table[NM_ORDINARY_BINS];
                table_of(&c.counts[(k * NM_ORDINARY_SPEEDS + s) * NM_ORDINARY_BINS], table);
                assert_memory_equal(table, nm_ordinary_centinats[k][s], sizeof table);
            }
    }
    free(c.counts);
}

static int compare(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

/// Share of the recorded drives within the range; prints what the range is.
static double share_within(const char *relative) {
    census c = {.nats = calloc(DRIVES_MAX, sizeof(float))};
    size_t inside = 0;
    if (!take_file(&c, relative)) {
        free(c.nats);
        return 1;
    }
    assert_true(c.drives > 20);
    qsort(c.nats, c.drives, sizeof *c.nats, compare);
    for (size_t i = 0; i < c.drives; i++) inside += c.nats[i] <= NM_ORDINARY_REALISM;
    printf("%s: %zu drives, median %.3f, 99 %% below %.3f, 99.9 %% below %.3f, most %.3f, within the range %.3f %%\n",
           relative, c.drives, (double)c.nats[c.drives / 2], (double)c.nats[c.drives * 99 / 100],
           (double)c.nats[c.drives * 999 / 1000], (double)c.nats[c.drives - 1],
           100.0 * (double)inside / (double)c.drives);
    free(c.nats);
    return (double)inside / (double)c.drives;
}

static void test_range(void **state) {
    (void)state;
    double fitted = share_within(training), held_out = share_within("data/commonroad/ngsim-val.tar.xz");
    assert_true(fitted >= 0.9985 && fitted <= 1.0);
    assert_true(held_out >= 0.99);
}

static int print_table(void) {
    census c = {.counts = calloc(CELLS, sizeof(uint32_t))};
    if (!take_file(&c, training)) return 1;
    for (uint32_t k = 0; k < NM_ORDINARY_FEATURES; k++)
        for (uint32_t s = 0; s < NM_ORDINARY_SPEEDS; s++) {
            uint16_t table[NM_ORDINARY_BINS];
            table_of(&c.counts[(k * NM_ORDINARY_SPEEDS + s) * NM_ORDINARY_BINS], table);
            printf("%s{", s == 0 ? "{" : " ");
            for (int i = 0; i < NM_ORDINARY_BINS; i++) printf("%s%u", i > 0 ? ", " : "", table[i]);
            printf("}%s\n", s + 1 < NM_ORDINARY_SPEEDS ? "," : "},");
        }
    free(c.counts);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_range)};
    if (argc > 1 && strcmp(argv[1], "--print") == 0) return print_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
