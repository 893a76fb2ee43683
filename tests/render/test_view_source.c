/// The viewer's list of a store: filters narrow what the command line asked for, against brute force.
#include "scenarios/store_support.h"
#include "tools/cmd_view_source.h"

#define SCENES 80
#define PER_SCENE 4

typedef struct world {
    folder f;
    nm_store *store;
    nm_event events[SCENES][PER_SCENE]; ///< scene id = index + 1
    int highway[SCENES];
} world;

static int make_world(void **state) {
    world *w = calloc(1, sizeof *w);
    w->f = folder_make();
    w->store = open_store(w->f.store, NM_STORE_CREATE);
    must(nm_store_begin(w->store, error));
    for (int i = 0; i < SCENES; i++) {
        const nm_scene *scene = random_scene((uint64_t)i);
        w->highway[i] = strcmp(scene->tags[0], "highway") == 0;
        nm_scene_destroy(scene);
        assert_int_equal(put_random(w->store, (uint64_t)i), i + 1);
        for (int k = 0; k < PER_SCENE; k++) {
            w->events[i][k] = random_event((uint64_t)(PER_SCENE * i + k));
            w->events[i][k].kind = (nm_kind)((unsigned)w->events[i][k].kind % 4); // so that some scenes have two
        }
        must(nm_store_put_events(w->store, i + 1, w->events[i], PER_SCENE, NULL, NULL, "{}", error));
    }
    must(nm_store_commit(w->store, error));
    *state = w;
    return 0;
}

static int drop_world(void **state) {
    world *w = *state;
    nm_store_close(w->store);
    folder_remove(&w->f);
    free(w);
    return 0;
}

/// Does scene `i` have an event of the kind that is as severe as that?
static int has(const world *w, int i, nm_kind kind, float least) {
    for (int k = 0; k < PER_SCENE; k++)
        if (w->events[i][k].kind == kind && w->events[i][k].severity >= least) return 1;
    return 0;
}

/// What a filter lists has to be exactly the scenes marked in `wanted`.
static void expect(const nm_viewer_source *source, const char *filter, const int wanted[SCENES]) {
    int got[SCENES] = {0}, count = 0;
    must(source->filter(source->context, filter, error));
    for (uint32_t i = 0; i < source->count(source->context); i++) {
        nm_viewer_entry entry;
        must(source->entry(source->context, i, &entry, error));
        assert_in_range(entry.id, 1, SCENES);
        got[entry.id - 1]++;
    }
    for (int i = 0; i < SCENES; i++) {
        if (got[i] != wanted[i]) fail_msg("'%s': scene %d is listed %d times", filter, i + 1, got[i]);
        count += wanted[i];
    }
    if (count == 0 || count == SCENES) fail_msg("'%s' tells nothing: %d scenes", filter, count);
}

static nm_view_store *open_view(const world *w, int kind, const char *where, nm_viewer_source *source) {
    nm_view_store *view = NULL;
    nm_query query = nm_query_default();
    query.kind = kind;
    query.where = where;
    must(nm_view_store_create(w->store, &query, &view, error));
    *source = nm_view_store_source(view);
    return view;
}

static void a_kind_beside_that_of_the_command_line(void **state) {
    const world *w = *state;
    nm_viewer_source source;
    nm_view_store *view = open_view(w, NM_KIND_CUT_IN, NULL, &source);
    int wanted[SCENES];
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0) && has(w, i, NM_KIND_CUT_OUT, 0);
    expect(&source, "cut_out", wanted);
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0);
    expect(&source, "cut_in", wanted);
    expect(&source, "", wanted);
    nm_view_store_destroy(view);
}

static void several_kinds_and_words(void **state) {
    const world *w = *state;
    nm_viewer_source source;
    nm_view_store *view = open_view(w, -1, NULL, &source);
    int wanted[SCENES];
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0);
    expect(&source, "cut_in", wanted);
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0) && has(w, i, NM_KIND_REAR_END, 0);
    expect(&source, " cut_in  rear_end cut_in ", wanted);
    expect(&source, "rear_end cut_in", wanted);
    for (int i = 0; i < SCENES; i++) wanted[i] &= w->highway[i];
    expect(&source, "rear_end highway cut_in", wanted);
    char longer[3000]; // than any buffer of fixed size would be: the last word counts, too
    memset(longer, ' ', sizeof longer);
    memcpy(longer, "cut_in rear_end", 15);
    strcpy(longer + sizeof longer - 8, "highway");
    expect(&source, longer, wanted);
    nm_view_store_destroy(view);
}

static void conditions_beside_each_other(void **state) {
    const world *w = *state;
    nm_viewer_source source;
    nm_view_store *view = open_view(w, NM_KIND_CUT_IN, "severity >= 0.4 -- bad enough", &source);
    int wanted[SCENES];
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0.4f);
    expect(&source, "", wanted);
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0.7f);
    expect(&source, "where severity >= 0.7", wanted);
    expect(&source, "where severity >= 0.7 -- worse", wanted);
    for (int i = 0; i < SCENES; i++) wanted[i] = has(w, i, NM_KIND_CUT_IN, 0.4f) && has(w, i, NM_KIND_CUT_OUT, 0);
    expect(&source, "cut_out", wanted);
    nm_view_store_destroy(view);
}

static void conditions_that_mean_harm(void **state) {
    static const char *const texts[] = {
        "where 1) OR (1", "where 1) OR (1=1 -- ", "where 1)) OR ((1", "where ", "where 1; DELETE FROM scene",
        "where 1 /*",     "where 'open",          "where ?"};
    const world *w = *state;
    nm_viewer_source source;
    nm_view_store *view = open_view(w, -1, "severity >= 0.9", &source);
    int wanted[SCENES];
    for (int i = 0; i < SCENES; i++)
        wanted[i] = has(w, i, 0, 0.9f) || has(w, i, 1, 0.9f) || has(w, i, 2, 0.9f) || has(w, i, 3, 0.9f);
    expect(&source, "where 1 OR 1", wanted);
    const uint32_t count = source.count(source.context);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nm_error error;
        nm_error_clear(&error);
        if (source.filter(source.context, texts[i], &error) != NM_E_ARGUMENT)
            fail_msg("'%s' is taken: %s", texts[i], error.message);
        assert_int_equal(source.count(source.context), count); // the list stays as it was
    }
    nm_view_store_destroy(view);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_beside_that_of_the_command_line), cmocka_unit_test(several_kinds_and_words),
        cmocka_unit_test(conditions_beside_each_other), cmocka_unit_test(conditions_that_mean_harm)};
    return cmocka_run_group_tests(tests, make_world, drop_world);
}
