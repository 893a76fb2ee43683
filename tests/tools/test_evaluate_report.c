#include "support.h"

#include <unistd.h>

#include "tools/evaluate_reasons.h"
#include "tools/evaluate_report.h"
#include "tools/evaluate_svg.h"
#include "tools/markup.h"

#define HOSTILE "<script>alert('x')</script> & \"q\" \x01\xff\n]]>"

static char folder[] = "/tmp/nm_report_XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static char *read_all(const char *path) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    text[fread(text, 1, (size_t)size, file)] = '\0';
    assert_int_equal(strlen(text), size);
    fclose(file);
    return text;
}

static size_t count_of(const char *text, const char *what) {
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) ++count;
    return count;
}

/// What a function writes.
typedef struct memory {
    char *text;
    size_t size;
    FILE *file;
} memory;

static FILE *begin(memory *m) {
    m->file = open_memstream(&m->text, &m->size);
    assert_non_null(m->file);
    return m->file;
}

static void expect(memory *m, const char *wanted) {
    fclose(m->file);
    assert_string_equal(m->text, wanted);
    free(m->text);
}

static void texts_stand_for_themselves(void **state) {
    (void)state;
    memory m;
    nm_markup_text(begin(&m), "a<b>&\"c\"'d'\t\r\n");
    expect(&m, "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;&#9;&#13;&#10;");
    // controls of one byte and of two, a cut character, U+FFFE; what is allowed stays
    nm_markup_text(begin(&m), "\x01\x7f\xc2\x85\xe2\x82|\xef\xbf\xbe|\xef\xbf\xbd\xc3\xa9\xf0\x9f\x9a\x97");
    expect(&m, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd|"
               "\xef\xbf\xbd\xc3\xa9\xf0\x9f\x9a\x97");
}

/// The vectors of RFC 4648, and bytes that need the last digits.
static void base64(void **state) {
    (void)state;
    static const char *const wanted[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    memory m;
    for (size_t n = 0; n <= 6; ++n) {
        nm_markup_base64(begin(&m), (const uint8_t *)"foobar", n);
        expect(&m, wanted[n]);
    }
    nm_markup_base64(begin(&m), (const uint8_t[]){0xfb, 0xff, 0xfe, 0xff, 0xff, 0xff}, 6);
    expect(&m, "+//+////");
}

static void shell_words(void **state) {
    (void)state;
    memory m;
    nm_evaluate_shell_word(begin(&m), "./a-b_c.db");
    expect(&m, "./a-b_c.db");
    nm_evaluate_shell_word(begin(&m), "");
    expect(&m, "''");
    nm_evaluate_shell_word(begin(&m), "exec:it's $HOME; rm *");
    expect(&m, "'exec:it'\\''s $HOME; rm *'");
    char text[NM_EVALUATE_NUMBER];
    assert_string_equal(nm_evaluate_number(text, 0.12345, 3), "0.123");
    assert_string_equal(nm_evaluate_number(text, NAN, 3), "-");
    assert_string_equal(nm_evaluate_number(text, (double)INFINITY, 3), "-");
}

// ---------------------------------------------------------------------------------------------------------------------
// A report about one good scene, one collision, one failure, one unfit scene; the texts are hostile.

typedef struct stage {
    nm_results_row rows[4];
    nm_evaluation_entrant entrants[2];
    nm_evaluation_summary summary;
    nm_episode_config episode;
    nm_evaluate_report report;
    nm_evaluate_study study;
    nm_arena *arena;
    char path[128];
} stage;

static void make_hit(nm_results_row *row) {
    nm_episode *hit = &row->episode;
    hit->score.score = 0.25;
    hit->worst = "no_ego_at_fault_collisions";
    hit->worst_sample = 21;
    hit->collision_count = hit->score.collisions = hit->score.at_fault_vehicles = 1;
    hit->collisions[0] = (nm_nuplan_collision){
        .track = 7, .step = 21, .at_fault = 1, .type = NM_NUPLAN_PEDESTRIAN, .collision_class = NM_NUPLAN_ACTIVE_FRONT};
    hit->min_ttc = 0.5f;
    hit->danger =
        (nm_ego_criticality){.value = {0.0f, 0.75f, INFINITY, 8.5f, 4.0f, 20.0f}, .worst_step = 21, .worst_track = 7};
    hit->losses[0] = (nm_loss){.metric = NM_NUPLAN_COLLISIONS,
                               .detail = NM_NUPLAN_ACTIVE_FRONT,
                               .cost = 0.5,
                               .recorded = 1.0,
                               .sample = 21,
                               .track = 7};
    hit->losses[1] = (nm_loss){.metric = NM_NUPLAN_SPEED_LIMIT,
                               .value = 0.75,
                               .cost = 0.125,
                               .recorded = NAN,
                               .recording = 1,
                               .sample = NM_NONE,
                               .track = NM_NONE};
    hit->loss_count = 2;
    row->said = row->adversary = HOSTILE;
    hit->adversary = 7;
    hit->met = 1;
    hit->avoid = NM_AVOID_UNAVOIDABLE;
}

static void set_up(stage *s, const char *name) {
    *s = (stage){.episode = nm_episode_config_default(), .arena = nm_arena_create(0)};
    for (int i = 0; i < 4; ++i) {
        nm_results_row *row = &s->rows[i];
        row->scene = INT64_C(4000000001) + i;
        row->scene_hash = 0xfedcba9876543210u;
        row->name = i ? HOSTILE : "plain";
        row->type = i % 2 ? "x,\"y\"" : "cut_in";
        row->episode = (nm_episode){.worst = "", .worst_sample = NM_NONE, .start_step = 10, .samples = 50};
        row->episode.min_ttc = INFINITY;
        row->episode.min_distance = 2.5f;
        row->episode.wall_seconds = 0.25;
        row->episode.danger = nm_episode_no_danger();
        row->episode.adversary = NM_NONE;
    }
    s->rows[0].episode.score.score = 1.0;
    for (int m = 0; m < NM_NUPLAN_SCORED_COUNT; ++m) s->rows[0].episode.score.metric[m].value = 1.0;
    make_hit(&s->rows[1]);
    s->rows[2].said = HOSTILE;
    s->rows[2].episode.outcome = NM_EPISODE_FAILED;
    s->rows[3].episode.outcome = NM_EPISODE_UNFIT;
    for (int i = 2; i < 4; ++i) snprintf(s->rows[i].episode.reason, sizeof s->rows[i].episode.reason, "%s", HOSTILE);
    s->entrants[0] = (nm_evaluation_entrant){HOSTILE, s->rows, 4, NULL};
    s->entrants[1] = (nm_evaluation_entrant){"expert", s->rows, 1, NULL};
    assert_int_equal(nm_evaluation_summarize(s->entrants, 2, NULL, s->arena, &s->summary, NULL), NM_OK);
    s->report = (nm_evaluate_report){.store = HOSTILE,
                                     .name = "",
                                     .anchor = "",
                                     .options = HOSTILE,
                                     .episode = &s->episode,
                                     .entrants = s->entrants,
                                     .summary = &s->summary,
                                     .scenes = 4,
                                     .groups = 3};
    s->study = (nm_evaluate_study){.results = HOSTILE,
                                   .command_line = HOSTILE,
                                   .made = "2025-01-31 12:00 UTC",
                                   .grouping = "motion",
                                   .pass_score = NAN,
                                   .worlds = &s->report,
                                   .world_count = 1};
    snprintf(s->path, sizeof s->path, "%s/%s", folder, name);
}

static void csv(void **state) {
    (void)state;
    stage s;
    set_up(&s, "a.csv");
    s.entrants[0].planner = "a, \"b\"";
    assert_int_equal(nm_evaluate_write_csv(&s.study, s.path, NULL), NM_OK);
    char *text = read_all(s.path);
    assert_int_equal(count_of(text, "\r\n"), 6);
    assert_non_null(strstr(text, "planner,scene,scene_hash,name,type,outcome,reason,start_step,ego_track,samples,score,"
                                 "no_ego_at_fault_collisions,drivable_area_compliance,ego_is_making_progress,"));
    assert_non_null(strstr(text,
                           "\r\n\"a, \"\"b\"\"\",4000000001,\"fedcba9876543210\",\"plain\",\"cut_in\",\"done\","
                           "\"\",10,0,50,1,1,1,1,1,1,1,1,1,0,0,\"\",\"\",,,,2.5,\"\",,0,0,0.25,,,,,,,,,\"idm\","));
    assert_non_null(strstr(text, ",0.25,0,0,0,0,0,0,0,0,1,1,\"active_front\",\"pedestrian\",31,7,0.5,2.5,"
                                 "\"no_ego_at_fault_collisions\",31,0,0,0.25,0,0.75,,8.5,4,20,31,7,\"idm\","));
    assert_int_equal(count_of(text, ",7,0,1,\"unavoidable\"\r\n"), 1);
    assert_int_equal(count_of(text, ",\"\",,,,\"\"\r\n"), 4); // nobody was steered
    assert_non_null(strstr(text, ",wall_s,sweep_ttc_s,min_thw_s,pet_s,closing_mps,max_drac_mps2,required_decel_mps2,"
                                 "danger_step,danger_track,agents,store,adversary,adversary_track,staged,met_adversary,"
                                 "avoidable\r\n"));
    assert_non_null(strstr(text, ",10,0,50,0,0,0,0,0,0,0,0,0,0,0,\"\",")); // failed: 0
    assert_non_null(strstr(text, ",10,0,50,,,,,,,,,,0,0,\"\","));          // unfit: nothing
    free(text);
    nm_error error;
    assert_int_equal(nm_evaluate_write_csv(&s.study, "/nowhere/a.csv", &error), NM_E_IO);
    assert_int_equal(nm_evaluate_write_json(&s.study, "/nowhere/a.json", &error), NM_E_IO);
    assert_int_equal(nm_evaluate_write_junit(&s.study, "/nowhere/a.xml", &error), NM_E_IO);
    assert_int_equal(nm_evaluate_write_html(&s.study, "/nowhere/a.html", &error), NM_E_IO);
    assert_string_equal(error.input, "/nowhere/a.html");
    nm_arena_destroy(s.arena);
}

/// One line a loss; what has no value is empty.
static void losses(void **state) {
    (void)state;
    stage s;
    set_up(&s, "losses.csv");
    s.entrants[0].planner = "a, \"b\"";
    s.rows[1].adversary = "cut_in";
    s.report.store = "here/s.db";
    assert_int_equal(nm_evaluate_write_losses(&s.study, s.path, NULL), NM_OK);
    char *text = read_all(s.path);
    assert_string_equal(
        text,
        "planner,scene,metric,detail,value,cost,step,track,recording,recorded,agents,store,adversary\r\n"
        "\"a, \"\"b\"\"\",4000000002,no_ego_at_fault_collisions,active_front,0,0.5,31,7,0,1,idm,\"s.db\",\"cut_in\"\r\n"
        "\"a, \"\"b\"\"\",4000000002,speed_limit_compliance,,0.75,0.125,,,1,,idm,\"s.db\",\"cut_in\"\r\n");
    free(text);
    nm_error error;
    assert_int_equal(nm_evaluate_write_losses(&s.study, "/nowhere/l.csv", &error), NM_E_IO);
    // and summed up: of two scenes driven to the end one has them
    char *table = NULL;
    size_t size;
    FILE *file = open_memstream(&table, &size);
    assert_non_null(file);
    nm_evaluate_print_reasons(&s.report, file);
    fclose(file);
    const char *collisions = strstr(table, "active_front"), *limit = strstr(table, "speed_limit_compliance");
    assert_true(collisions && limit && collisions < limit); // the most costly first
    assert_true(strstr(collisions, "0.2500") && strstr(collisions, "0.2500") < limit);
    assert_non_null(strstr(limit, "0.0625"));
    free(table);
    nm_arena_destroy(s.arena);
}

static void json(void **state) {
    (void)state;
    stage s;
    set_up(&s, "a.json");
    assert_int_equal(nm_evaluate_write_json(&s.study, s.path, NULL), NM_OK);
    char *text = read_all(s.path);
    cJSON *document = cJSON_Parse(text);
    assert_non_null(document);
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(document, "rows");
    assert_int_equal(cJSON_GetArraySize(rows), 5);
    const cJSON *planner = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(document, "planners"), 0);
    assert_float_equal(cJSON_GetObjectItemCaseSensitive(planner, "score")->valuedouble, 1.25 / 3, 1e-9);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(planner, "unfit")->valueint, 1);
    assert_null(strstr(text, "\xff")); // repaired
    const cJSON *unfit = cJSON_GetArrayItem(rows, 3);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(unfit, "score")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(unfit, "min_ttc_s")));
    const cJSON *hit = cJSON_GetArrayItem(rows, 1), *told = cJSON_GetObjectItemCaseSensitive(hit, "losses");
    assert_int_equal(cJSON_GetArraySize(told), 2);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(told, 0), "detail")->valuestring,
                        "active_front");
    assert_non_null(cJSON_GetObjectItemCaseSensitive(hit, "said"));
    assert_null(cJSON_GetObjectItemCaseSensitive(unfit, "said"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(planner, "reasons")), 2);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(planner, "adversaries")), 2);
    const cJSON *pairs = cJSON_GetObjectItemCaseSensitive(document, "pairs");
    assert_int_equal(cJSON_GetArraySize(pairs), 1);
    assert_int_equal(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(pairs, 0), "ties")->valueint, 1);
    cJSON_Delete(document);
    free(text);
    nm_arena_destroy(s.arena);
}

static void junit(void **state) {
    (void)state;
    stage s;
    set_up(&s, "a.xml");
    assert_int_equal(nm_evaluate_write_junit(&s.study, s.path, NULL), NM_OK);
    char *text = read_all(s.path);
    assert_int_equal(count_of(text, "<testsuite "), 2);
    assert_int_equal(count_of(text, "<testcase "), 5);
    assert_int_equal(count_of(text, "<failure "), 1);
    assert_int_equal(count_of(text, "<skipped "), 1);
    assert_int_equal(count_of(text, " tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"1.000000\""), 1);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "]]>"));
    assert_null(strstr(text, "\x01"));
    free(text);
    s.study.pass_score = 0.25; // reached
    assert_int_equal(nm_evaluate_write_junit(&s.study, s.path, NULL), NM_OK);
    text = read_all(s.path);
    assert_int_equal(count_of(text, "<failure "), 1);
    free(text);
    s.study.pass_score = 0.2500001;
    assert_int_equal(nm_evaluate_write_junit(&s.study, s.path, NULL), NM_OK);
    text = read_all(s.path);
    assert_int_equal(count_of(text, "<failure "), 2);
    assert_int_equal(count_of(text, "<failure type=\"score\" message=\"score 0.2500 is below 0.25: no_ego_at_fault"),
                     1);
    assert_int_equal(count_of(text, " failures=\"2\""), 1);
    free(text);
    nm_arena_destroy(s.arena);
}

static void page(void **state) {
    (void)state;
    stage s;
    set_up(&s, "a.html");
    uint8_t png[] = {1, 2, 3};
    nm_evaluate_shot shots[2] = {{.row = &s.rows[1], .again = s.rows[1].episode, .driven = 3, .frame_count = 2},
                                 {.row = &s.rows[2], .again = s.rows[2].episode, .trouble = HOSTILE}};
    shots[0].frames[0] = (nm_evaluate_frame){.png = png, .size = 3, .seconds = 1.1};
    shots[0].frames[1] = (nm_evaluate_frame){.png = png, .size = 3, .seconds = 2.1, .moment = 1};
    const nm_evaluate_gallery gallery = {
        .shots = (nm_evaluate_shot *[]){shots, NULL}, .counts = (size_t[]){2, 0}, .planners = 2, .driven = HOSTILE};
    s.report.gallery = &gallery;
    assert_int_equal(nm_evaluate_write_html(&s.study, s.path, NULL), NM_OK);
    char *text = read_all(s.path);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "\x01"));
    assert_null(strstr(text, "\xff"));
    assert_null(strstr(text, "nan"));
    assert_int_equal(count_of(text, "src=\"data:image/png;base64,AQID\""), 2);
    assert_int_equal(count_of(text, "<figure class=\"frame now\">"), 1);
    assert_int_equal(count_of(text, "collision at fault with a pedestrian (active_front) at 2.1 s"), 1);
    assert_int_equal(count_of(text, "nearmiss evaluate 4000000002 --store "), 1);
    assert_int_equal(count_of(text, "nearmiss view 3 --store "), 1);
    assert_int_equal(count_of(text, "Driven again"), 0);
    assert_int_equal(count_of(text, "No scene lost anything."), 1);
    assert_int_equal(count_of(text, "1 failed, 1 unfit"), 1);
    assert_int_equal(count_of(text, "<section id=\"losses\">"), 1);
    assert_int_equal(count_of(text, "<a href=\"#losses\">"), 1);
    assert_int_equal(count_of(text, "<td class=\"left\">active_front</td><td>1</td><td>0.2500</td>"), 1);
    assert_int_equal(count_of(text, "<section id=\"adversaries\">"), 1);
    assert_int_equal(count_of(text, "<a href=\"#adversaries\">"), 1);
    free(text);
    shots[0].again.score.score = 0.5;
    assert_int_equal(nm_evaluate_write_html(&s.study, s.path, NULL), NM_OK);
    text = read_all(s.path);
    assert_int_equal(count_of(text, "Driven again for these pictures it scored 0.500"), 1);
    free(text);
    nm_arena_destroy(s.arena);
}

/// The same rows in two worlds, with how real their agents are.
typedef struct worlds {
    stage s;
    nm_episode_config other;
    nm_evaluate_report reports[2];
    nm_evaluation_world compared[2];
    nm_evaluation_comparison comparison;
    nm_evaluate_realism realism[2];
} worlds;

static void set_up_worlds(worlds *w, const char *name) {
    set_up(&w->s, name);
    w->other = w->s.episode;
    w->other.agents = NM_EPISODE_LOG;
    for (int i = 0; i < 2; ++i) {
        w->reports[i] = w->s.report;
        w->compared[i] = (nm_evaluation_world){HOSTILE, NM_EPISODE_IDM, w->s.entrants, &w->s.summary};
        w->realism[i] = (nm_evaluate_realism){.store = HOSTILE, .agents = i ? NM_EPISODE_IDM : NM_EPISODE_LOG};
    }
    w->reports[0].name = "idm agents";
    w->reports[1].name = HOSTILE;
    w->reports[1].anchor = "-2";
    w->reports[1].episode = &w->other;
    w->realism[0].of = (nm_evaluation_realism){.rollouts = 8, .scenes = 3, .mean = {.agents = 5, .meta = 0.75}};
    w->realism[1].of = (nm_evaluation_realism){.rollouts = 8, .skipped = 3, .meta = {NAN, NAN, NAN, 0}};
    assert_int_equal(nm_evaluation_compare(w->compared, 2, NULL, w->s.arena, &w->comparison, NULL), NM_OK);
    assert_int_equal(w->comparison.shift_count, 2);
    w->s.study.worlds = w->reports;
    w->s.study.world_count = 2;
    w->s.study.compared = w->compared;
    w->s.study.comparison = &w->comparison;
    w->s.study.realism = w->realism;
    w->s.study.realism_count = 2;
}

/// Every section is there twice, under ids of its own.
static void page_of_several_worlds(void **state) {
    (void)state;
    worlds w;
    set_up_worlds(&w, "w.html");
    assert_int_equal(nm_evaluate_write_html(&w.s.study, w.s.path, NULL), NM_OK);
    char *text = read_all(w.s.path);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "nan"));
    static const char *const once[] = {
        " id=\"worlds\"",   " id=\"realism\"",  " id=\"world\"",    " id=\"world-2\"", " id=\"scores\"",
        " id=\"scores-2\"", " id=\"danger-2\"", " id=\"charts-2\"", "<b>0.750</b>",    "Do the worlds rank the"};
    for (size_t i = 0; i < sizeof once / sizeof *once; ++i)
        if (count_of(text, once[i]) != 1) fail_msg("%s: %zu times", once[i], count_of(text, once[i]));
    free(text);
    nm_arena_destroy(w.s.arena);
}

static void tables_of_several_worlds(void **state) {
    (void)state;
    worlds w;
    memory m;
    set_up_worlds(&w, "w");
    nm_evaluate_print_worlds(&w.s.study, begin(&m));
    fclose(m.file);
    assert_non_null(strstr(m.text, "Every pair of planners is apart in all worlds, or in none."));
    free(m.text);
    nm_evaluate_print_realism(&w.s.study, begin(&m));
    fclose(m.file);
    assert_non_null(strstr(m.text, "0.750"));
    assert_null(strstr(m.text, "nan"));
    free(m.text);
    assert_int_equal(nm_evaluate_write_csv(&w.s.study, w.s.path, NULL), NM_OK);
    char *text = read_all(w.s.path);
    assert_int_equal(count_of(text, "\r\n"), 11);
    assert_int_equal(count_of(text, ",\"idm\",\""), 5);
    assert_int_equal(count_of(text, ",\"log\",\""), 5);
    free(text);
    assert_int_equal(nm_evaluate_write_junit(&w.s.study, w.s.path, NULL), NM_OK);
    text = read_all(w.s.path);
    assert_int_equal(count_of(text, "<testsuite "), 4);
    assert_int_equal(count_of(text, ", idm agents\""), 2);
    free(text);
    nm_arena_destroy(w.s.arena);
}

static const cJSON *member(const cJSON *object, const char *name) {
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!found) fail_msg("no %s", name);
    return found;
}

static void json_of_several_worlds(void **state) {
    (void)state;
    worlds w;
    set_up_worlds(&w, "w.json");
    assert_int_equal(nm_evaluate_write_json(&w.s.study, w.s.path, NULL), NM_OK);
    char *text = read_all(w.s.path);
    cJSON *document = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(member(document, "rows")), 10);
    assert_int_equal(cJSON_GetArraySize(member(document, "planners")), 4);
    assert_int_equal(cJSON_GetArraySize(member(document, "pairs")), 2);
    assert_int_equal(cJSON_GetArraySize(member(document, "worlds")), 2);
    assert_string_equal(member(cJSON_GetArrayItem(member(document, "worlds"), 1), "agents")->valuestring, "log");
    assert_float_equal(member(cJSON_GetArrayItem(member(document, "realism"), 0), "meta")->valuedouble, 0.75, 0);
    const cJSON *shift = cJSON_GetArrayItem(member(member(document, "comparison"), "shifts"), 0);
    assert_float_equal(member(member(shift, "score"), "value")->valuedouble, 0.0, 0);
    cJSON_Delete(document);
    free(text);
    nm_arena_destroy(w.s.arena);
}

/// Nothing to tell: no planners, or only scenes that nobody can drive.
static void empty_pages(void **state) {
    (void)state;
    stage s;
    set_up(&s, "b.html");
    s.entrants[0].rows = &s.rows[3];
    s.entrants[0].count = 1;
    s.entrants[1].count = 0;
    assert_int_equal(nm_evaluation_summarize(s.entrants, 2, NULL, s.arena, &s.summary, NULL), NM_OK);
    assert_int_equal(nm_evaluate_write_html(&s.study, s.path, NULL), NM_OK);
    char *text = read_all(s.path);
    assert_null(strstr(text, "nan"));
    assert_non_null(strstr(text, "There was none."));
    free(text);
    nm_arena_destroy(s.arena);
}

/// Two of four values lie at or below 0.25: the line is there at half the height, and ends at three quarters, since
/// one of the four has no value.
static void charts(void **state) {
    (void)state;
    memory m;
    const double values[] = {0.1, 0.2, 1.0};
    const nm_svg_series series = {.name = "<a>", .colour = 3, .values = values, .count = 3, .total = 4};
    const nm_svg_chart chart = {.title = "t", .x_label = "x", .high = 1.0};
    nm_svg_shares(begin(&m), &chart, &series, 1);
    fclose(m.file);
    assert_non_null(strstr(m.text, "<path class=\"line s3\" d=\"M44 224H90.4V170.5H136.8V117.0H508.0V63.5H508\">"));
    assert_non_null(strstr(m.text, "&lt;a&gt;"));
    free(m.text);
    nm_svg_histogram(begin(&m), &chart, &series, 1); // 0.1 and 0.2 in the second and third bin, 1.0 in the last
    fclose(m.file);
    assert_int_equal(count_of(m.text, "<rect class=\"f3\""), 3);
    assert_int_equal(count_of(m.text, ": 25.0 %"), 3);
    assert_non_null(strstr(m.text, "x=\"465.3\"")); // 44 + 46.4 * 9.08
    free(m.text);
    nm_svg_interval(begin(&m), 0.1, -0.2, 0.3, 0.4);
    fclose(m.file);
    assert_non_null(strstr(m.text, "x1=\"54.0\" x2=\"169.0\""));
    assert_non_null(strstr(m.text, "cx=\"123.0\""));
    free(m.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_stand_for_themselves),
        cmocka_unit_test(base64),
        cmocka_unit_test(shell_words),
        cmocka_unit_test(csv),
        cmocka_unit_test(losses),
        cmocka_unit_test(json),
        cmocka_unit_test(junit),
        cmocka_unit_test(page),
        cmocka_unit_test(page_of_several_worlds),
        cmocka_unit_test(tables_of_several_worlds),
        cmocka_unit_test(json_of_several_worlds),
        cmocka_unit_test(empty_pages),
        cmocka_unit_test(charts),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
