/// `nearmiss show ID`: everything about one scene.
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/store.h"
#include "tools/cli.h"
#include "tools/cmd_event.h"
#include "tools/cmd_show_sketch.h"

#define ISSUES_SHOWN 20u

typedef struct shown {
    int64_t id;
    const nm_scene *scene;
    nm_stored_info info;
    nm_event *events;
    size_t event_count;
    uint64_t agents, agent_states;
    uint32_t by_type[NM_AGENT_TYPE_COUNT];
    uint32_t issue_counts[NM_ISSUE_COUNT];
    nm_issue issues[ISSUES_SHOWN];
    size_t issue_count;
} shown;

static nm_status load(nm_store *store, int64_t id, nm_arena *arena, shown *s, nm_error *error) {
    s->id = id;
    nm_status status = nm_store_get_scene(store, id, &s->scene, error);
    if (status == NM_OK) status = nm_store_get_info(store, id, &s->info, error);
    if (status == NM_OK) status = nm_store_get_events(store, id, arena, &s->events, &s->event_count, error);
    if (status != NM_OK) return status;
    nm_scene_count(s->scene, &s->agents, &s->agent_states);
    for (uint32_t i = 0; i < s->scene->track_count; i++) s->by_type[s->scene->tracks[i].type]++;
    s->issue_count = nm_scene_validate(s->scene, s->issues, ISSUES_SHOWN, s->issue_counts);
    return NM_OK;
}

typedef struct extreme {
    const char *name, *label, *unit;
    float value;
} extreme;

#define EXTREMES 11
static void extremes_of(const shown *s, extreme out[EXTREMES]) {
    const nm_scene_criticality *c = &s->info.criticality;
    const extreme all[EXTREMES] = {
        {"min_ttc_s", "smallest time to collision", "s", c->min_ttc},
        {"min_ttc_projected_s", "the same by box projection", "s", c->min_ttc_projected},
        {"min_distance_m", "smallest distance", "m", c->min_distance},
        {"min_thw_s", "smallest time headway", "s", c->min_thw},
        {"max_drac_mps2", "largest needed deceleration (DRAC)", "m/s^2", c->max_drac},
        {"max_ittc_per_s", "largest inverse time to collision", "1/s", c->max_ittc},
        {"min_pet_s", "smallest post-encroachment time", "s", c->min_pet},
        {"min_ttr_s", "smallest time to react", "s", c->min_ttr},
        {"max_delta_v_mps", "largest impact (delta-v)", "m/s", c->max_delta_v},
        {"tet_s", "time exposed to short times to collision", "s", c->tet},
        {"tit_s2", "the same, integrated", "s^2", c->tit},
    };
    memcpy(out, all, sizeof all);
}

// --- JSON ------------------------------------------------------------------------------------------------------------

static void hex_to_json(cJSON *object, const char *name, uint64_t value) {
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    cJSON_AddStringToObject(object, name, text);
}

static void provenance_to_json(cJSON *document, const shown *s) {
    const nm_provenance *from = &s->scene->provenance;
    cJSON *object = cJSON_AddObjectToObject(document, "provenance");
    cJSON_AddStringToObject(object, "source", from->source);
    cJSON_AddStringToObject(object, "file", from->file);
    nm_json_integer(object, "record", from->record);
    cJSON_AddStringToObject(object, "scene_name", from->scene_id);
    cJSON_AddStringToObject(object, "program", from->program);
    nm_json_integer(object, "seed", from->seed);
    if (from->parent)
        hex_to_json(object, "parent_hash", from->parent);
    else
        cJSON_AddNullToObject(object, "parent_hash");
    cJSON *parameters = cJSON_Parse(from->parameters);
    if (parameters)
        cJSON_AddItemToObject(object, "parameters", parameters);
    else
        cJSON_AddStringToObject(object, "parameters", from->parameters);
    hex_to_json(object, "content_hash", s->scene->hash);
    hex_to_json(object, "map_hash", s->scene->map->hash);
}

static void content_to_json(cJSON *document, const shown *s) {
    const nm_scene *scene = s->scene;
    nm_json_integer(document, "scene", (uint64_t)s->id);
    cJSON *tags = cJSON_AddArrayToObject(document, "tags");
    for (uint32_t i = 0; i < scene->tag_count; i++) cJSON_AddItemToArray(tags, cJSON_CreateString(scene->tags[i]));
    nm_json_number(document, "dt_s", round((double)scene->dt * 1e6) / 1e6);
    nm_json_integer(document, "steps", scene->step_count);
    nm_json_integer(document, "current_step", scene->current_step);
    if (scene->ego == NM_NONE)
        cJSON_AddNullToObject(document, "ego_track");
    else
        nm_json_integer(document, "ego_track", scene->ego);
    nm_json_integer(document, "agents", s->agents);
    nm_json_integer(document, "agent_states", s->agent_states);
    nm_json_integer(document, "tracks", scene->track_count);
    cJSON *types = cJSON_AddObjectToObject(document, "tracks_by_type");
    for (int i = 0; i < NM_AGENT_TYPE_COUNT; i++)
        if (s->by_type[i]) nm_json_integer(types, nm_agent_type_name((nm_agent_type)i), s->by_type[i]);
    nm_json_integer(document, "problems", scene->problem_count);
    cJSON *map = cJSON_AddObjectToObject(document, "map");
    nm_json_integer(map, "lanes", scene->map->lane_count);
    nm_json_integer(map, "signals", scene->map->signal_count);
    nm_json_integer(map, "signs", scene->map->sign_count);
    nm_json_integer(map, "stop_lines", scene->map->stop_line_count);
    nm_json_number(map, "origin_x_m", scene->map->origin.x);
    nm_json_number(map, "origin_y_m", scene->map->origin.y);
    nm_json_integer(map, "shared_by_scenes", s->info.map_scenes);
    nm_json_integer(document, "stored_bytes", s->info.content_bytes);
    nm_json_integer(document, "stored_map_bytes", s->info.map_bytes);
}

static int show_json(const nm_command *command, const shown *s) {
    cJSON *document = cJSON_CreateObject();
    content_to_json(document, s);
    provenance_to_json(document, s);
    cJSON_AddBoolToObject(document, "mined", s->info.mined);
    if (s->info.mined) {
        extreme extremes[EXTREMES];
        cJSON *object = cJSON_AddObjectToObject(document, "criticality");
        extremes_of(s, extremes);
        for (int i = 0; i < EXTREMES; i++) nm_json_number(object, extremes[i].name, (double)extremes[i].value);
        nm_json_integer(object, "collisions", s->info.criticality.collision_count);
    } else {
        cJSON_AddNullToObject(document, "criticality");
    }
    cJSON *events = cJSON_AddArrayToObject(document, "events");
    for (size_t i = 0; i < s->event_count; i++) {
        cJSON *event = cJSON_CreateObject();
        nm_event_to_json(event, &s->events[i]);
        cJSON_AddItemToArray(events, event);
    }
    cJSON *issues = cJSON_AddObjectToObject(document, "issues");
    for (int i = 0; i < NM_ISSUE_COUNT; i++)
        if (s->issue_counts[i]) nm_json_integer(issues, nm_issue_name((nm_issue_kind)i), s->issue_counts[i]);
    cJSON *details = cJSON_AddArrayToObject(document, "issue_details");
    for (size_t i = 0; i < s->issue_count && i < ISSUES_SHOWN; i++)
        cJSON_AddItemToArray(details, cJSON_CreateString(s->issues[i].detail));
    return nm_cli_print_json(command, document);
}

// --- text ------------------------------------------------------------------------------------------------------------

/// Facts as a table of two columns: escapes what files smuggle in.
static void show_facts(const shown *s) {
    static const char *const headings[] = {"scene", ""};
    const nm_scene *scene = s->scene;
    const nm_provenance *from = &scene->provenance;
    nm_table *table = nm_table_create(headings, 2);
    char types[256] = "";
    for (int i = 0; i < NM_AGENT_TYPE_COUNT; i++) {
        const size_t used = strlen(types);
        if (s->by_type[i])
            snprintf(types + used, sizeof types - used, "%s%u %s", used ? ", " : "", s->by_type[i],
                     nm_agent_type_name((nm_agent_type)i));
    }
    nm_table_cell(table, "id");
    nm_table_cell(table, "%" PRId64, s->id);
    nm_table_cell(table, "name");
    nm_table_cell(table, "%s", from->scene_id);
    nm_table_cell(table, "source");
    nm_table_cell(table, "%s %s record %" PRIu64, from->source, from->file, from->record);
    nm_table_cell(table, "made by");
    nm_table_cell(table, "%s, seed %" PRIu64, from->program, from->seed);
    if (from->parent) {
        nm_table_cell(table, "made from");
        nm_table_cell(table, "%016" PRIx64, from->parent);
    }
    nm_table_cell(table, "parameters");
    nm_table_cell(table, "%s", from->parameters);
    nm_table_cell(table, "content, map");
    nm_table_cell(table, "%016" PRIx64 ", %016" PRIx64 " (shared by %" PRIu64 " scenes)", scene->hash, scene->map->hash,
                  s->info.map_scenes);
    nm_table_cell(table, "time");
    nm_table_cell(table, "%u steps of %.3g s, now at step %u", scene->step_count, (double)scene->dt,
                  scene->current_step);
    nm_table_cell(table, "tracks");
    nm_table_cell(table, "%s", types[0] ? types : "none");
    nm_table_cell(table, "agents");
    nm_table_cell(table, "%" PRIu64 " that move or could, %" PRIu64 " states", s->agents, s->agent_states);
    nm_table_cell(table, "map");
    nm_table_cell(table, "%u lanes, %u signals, %u signs, origin (%.1f, %.1f) m", scene->map->lane_count,
                  scene->map->signal_count, scene->map->sign_count, scene->map->origin.x, scene->map->origin.y);
    nm_table_cell(table, "problems");
    nm_table_cell(table, "%u", scene->problem_count);
    nm_table_cell(table, "stored");
    nm_table_cell(table, "%" PRIu64 " bytes (%" PRIu64 " raw), map %" PRIu64 " bytes", s->info.content_bytes,
                  s->info.content_raw_bytes, s->info.map_bytes);
    for (uint32_t i = 0; i < scene->tag_count; i++) {
        nm_table_cell(table, i ? "" : "tags");
        nm_table_cell(table, "%s", scene->tags[i]);
    }
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void show_criticality(const shown *s) {
    static const char *const headings[] = {"criticality", ">value", "unit"};
    extreme extremes[EXTREMES];
    if (!s->info.mined) {
        printf("\nnot mined yet: nearmiss mine finds its events\n");
        return;
    }
    nm_table *table = nm_table_create(headings, 3);
    extremes_of(s, extremes);
    for (int i = 0; i < EXTREMES; i++) {
        nm_table_cell(table, "%s", extremes[i].label);
        nm_table_number(table, 2, (double)extremes[i].value);
        nm_table_cell(table, "%s", extremes[i].unit);
    }
    printf("\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void show_events(const shown *s) {
    static const char *const headings[] = {"event",  ">severity", ">at s",  ">actor",       ">other",
                                           ">TTC s", ">gap m",    ">PET s", ">closing m/s", ">braking m/s^2"};
    if (s->event_count == 0) return;
    nm_table *table = nm_table_create(headings, sizeof headings / sizeof *headings);
    for (size_t i = 0; i < s->event_count; i++) {
        const nm_event *event = &s->events[i];
        nm_table_cell(table, "%s", nm_kind_name(event->kind));
        nm_table_number(table, 2, (double)event->severity);
        nm_table_number(table, 1, (double)event->critical_step * (double)s->scene->dt);
        nm_table_cell(table, "%u", event->actor);
        if (event->other == NM_NONE)
            nm_table_cell(table, "-");
        else
            nm_table_cell(table, "%u", event->other);
        nm_table_number(table, 2, (double)event->min_ttc);
        nm_table_number(table, 2, (double)event->min_distance);
        nm_table_number(table, 2, (double)event->pet);
        nm_table_number(table, 1, (double)event->closing_speed);
        nm_table_number(table, 1, (double)event->deceleration);
    }
    printf("\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static void show_issues(const shown *s) {
    static const char *const headings[] = {"issue", ">count", "for example"};
    if (s->issue_count == 0) return;
    nm_table *table = nm_table_create(headings, 3);
    for (int kind = 0; kind < NM_ISSUE_COUNT; kind++) {
        const char *detail = "";
        if (!s->issue_counts[kind]) continue;
        for (size_t i = s->issue_count < ISSUES_SHOWN ? s->issue_count : ISSUES_SHOWN; i > 0; i--)
            if ((int)s->issues[i - 1].kind == kind) detail = s->issues[i - 1].detail;
        nm_table_cell(table, "%s", nm_issue_name((nm_issue_kind)kind));
        nm_table_cell(table, "%u", s->issue_counts[kind]);
        nm_table_cell(table, "%s", detail);
    }
    printf("\n");
    nm_table_print(table, stdout);
    nm_table_destroy(table);
}

static int show_text(const nm_command *command, const shown *s, int sketch) {
    show_facts(s);
    show_criticality(s);
    show_events(s);
    show_issues(s);
    if (sketch) {
        const nm_event *worst = s->event_count ? &s->events[0] : NULL;
        printf("\n");
        nm_sketch(stdout, s->scene, worst ? worst->critical_step : s->scene->current_step,
                  worst ? worst->actor : NM_NONE, worst ? worst->other : NM_NONE);
    }
    return nm_cli_finish(command);
}

// --- the command -----------------------------------------------------------------------------------------------------

static int run_show(const nm_command *command, int argc, char **argv) {
    const char *path = NULL;
    int plain = 0, count, result = NM_EXIT_OK;
    nm_common common = {0};
    const nm_option table[] = {
        {"store", NM_OPTION_TEXT, &path, "S.db", "store to look into", 0, 0},
        {"no-sketch", NM_OPTION_FLAG, &plain, NULL, "leave the drawing out", 0, 0},
    };
    int parsed = nm_cli_parse(command, table, sizeof table / sizeof *table, &common, argc, argv, 1, 1, &count);
    if (parsed >= 0) return parsed;
    if (!path) return nm_cli_usage(command, "--store S.db is missing");
    char *end;
    const long long id = strtoll(argv[0], &end, 10);
    if (*end || end == argv[0] || id < 1) return nm_cli_usage(command, "'%s' is not the number of a scene", argv[0]);
    nm_error error;
    nm_error_clear(&error);
    nm_store *store = NULL;
    nm_arena *arena = nm_arena_create(0);
    shown *s = calloc(1, sizeof *s);
    nm_status status = s && arena ? nm_store_open(path, NM_STORE_READ, &store, &error)
                                  : NM_ERROR(&error, NM_E_MEMORY, "out of memory");
    if (status == NM_OK) status = load(store, id, arena, s, &error);
    if (status != NM_OK)
        result = nm_cli_fail(command, &error);
    else if (common.json)
        result = show_json(command, s);
    else
        result = show_text(command, s, !plain);
    if (s) nm_scene_destroy(s->scene);
    free(s);
    nm_arena_destroy(arena);
    nm_store_close(store);
    return result;
}

const nm_command nm_command_show = {
    .name = "show",
    .summary = "Shows everything about one scene: where it comes from, what is in it, what happens, what is wrong.",
    .usage = "show ID --store S.db [--no-sketch]",
    .example = "nearmiss show 42 --store scenes.db",
    .run = run_show,
};
