// Why scores are not 1, and what planners said before they failed, which goals were reached.
#include <math.h>
#include <string.h>

#include "scenarios/results_internal.h"

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static int put_loss(sqlite3_stmt *s, int64_t run, const nm_results_row *row, const nm_loss *loss) {
    sqlite3_bind_int64(s, 1, run);
    sqlite3_bind_int64(s, 2, row->scene);
    bind_text(s, 3, nm_nuplan_describe((nm_nuplan_metric)loss->metric)->name);
    bind_text(s, 4, nm_loss_detail(loss));
    sqlite3_bind_double(s, 5, loss->value);
    sqlite3_bind_double(s, 6, loss->cost);
    nm_results_bind_index(s, 7, loss->sample, row->episode.start_step);
    nm_results_bind_index(s, 8, loss->track, 0);
    sqlite3_bind_int(s, 9, loss->recording);
    if (isfinite(loss->recorded))
        sqlite3_bind_double(s, 10, loss->recorded);
    else
        sqlite3_bind_null(s, 10);
    const int result = sqlite3_step(s);
    sqlite3_reset(s);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

static nm_status put_said(nm_results *results, int64_t run, const nm_results_row *row, nm_error *error) {
    sqlite3_stmt *s = NULL;
    if (!row->said || !row->said[0]) return NM_OK;
    int result = sqlite3_prepare_v2(nm_results_database(results), "INSERT INTO said VALUES (?1, ?2, ?3)", -1, &s, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, run);
        sqlite3_bind_int64(s, 2, row->scene);
        bind_text(s, 3, row->said);
        result = sqlite3_step(s);
    }
    const nm_status status =
        result == SQLITE_DONE ? NM_OK : nm_results_fail(results, result, "writing what was said", error);
    sqlite3_finalize(s);
    return status;
}

static nm_status put_goal(nm_results *results, int64_t run, const nm_results_row *row, nm_error *error) {
    sqlite3_stmt *s = NULL;
    if (!row->episode.has_goal) return NM_OK;
    int result = sqlite3_prepare_v2(nm_results_database(results), "INSERT INTO goal VALUES (?1, ?2, ?3)", -1, &s, NULL);
    if (result == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, run);
        sqlite3_bind_int64(s, 2, row->scene);
        nm_results_bind_index(s, 3, row->episode.goal_sample, row->episode.start_step);
        result = sqlite3_step(s);
    }
    const nm_status status = result == SQLITE_DONE ? NM_OK : nm_results_fail(results, result, "writing a goal", error);
    sqlite3_finalize(s);
    return status;
}

nm_status nm_results_put_losses(nm_results *results, int64_t run, const nm_results_row *row, nm_error *error) {
    sqlite3_stmt *s = NULL;
    nm_status before = put_said(results, run, row, error);
    if (before == NM_OK) before = put_goal(results, run, row, error);
    if (before != NM_OK || !row->episode.loss_count) return before;
    int result = sqlite3_prepare_v2(nm_results_database(results),
                                    "INSERT INTO loss VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", -1, &s, NULL);
    for (uint32_t i = 0; result == SQLITE_OK && i < row->episode.loss_count; ++i)
        result = put_loss(s, run, row, &row->episode.losses[i]);
    const nm_status status = result == SQLITE_OK ? NM_OK : nm_results_fail(results, result, "writing a loss", error);
    sqlite3_finalize(s);
    return status;
}

/// Files are hostile: what has no name of ours, and no share that is one, is not there.
static void read_loss(sqlite3_stmt *s, nm_episode *e) {
    const char *metric = (const char *)sqlite3_column_text(s, 1), *detail = (const char *)sqlite3_column_text(s, 2);
    nm_loss loss = {.value = nm_results_share(s, 3, NAN),
                    .cost = nm_results_share(s, 4, NAN),
                    .sample = nm_results_index(s, 5, e->start_step),
                    .track = nm_results_index(s, 6, 0),
                    .recording = sqlite3_column_int(s, 7) != 0,
                    .recorded = nm_results_share(s, 8, NAN)};
    if (!metric || !detail || isnan(loss.value) || isnan(loss.cost) || !nm_loss_from_names(metric, detail, &loss))
        return;
    if (e->loss_count < NM_NUPLAN_SCORED_COUNT) e->losses[e->loss_count++] = loss;
}

static void sort_losses(nm_episode *e) {
    for (uint32_t i = 1; i < e->loss_count; ++i) // by metric: the table is by name
        for (uint32_t k = i; k > 0 && e->losses[k - 1].metric > e->losses[k].metric; --k) {
            const nm_loss other = e->losses[k];
            e->losses[k] = e->losses[k - 1];
            e->losses[k - 1] = other;
        }
}

/// Into rows, ascending by scene.
static nm_status read_said(nm_results *results, int64_t run, nm_arena *arena, nm_results_row *rows, size_t count,
                           nm_error *error) {
    sqlite3_stmt *s = NULL;
    size_t at = 0;
    int result = sqlite3_prepare_v2(nm_results_database(results),
                                    "SELECT scene, text FROM said WHERE run = ?1 ORDER BY scene", -1, &s, NULL);
    if (result == SQLITE_ERROR)
        return NM_ERROR(error, NM_E_FORMAT, "damaged results: %s", sqlite3_errmsg(nm_results_database(results)));
    if (result == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, run);
        while ((result = sqlite3_step(s)) == SQLITE_ROW) {
            const int64_t scene = sqlite3_column_int64(s, 0);
            const char *text = (const char *)sqlite3_column_text(s, 1);
            while (at < count && rows[at].scene < scene) ++at;
            if (at < count && rows[at].scene == scene && text)
                rows[at].said = nm_arena_strndup(arena, text, strlen(text));
        }
    }
    const nm_status status =
        result == SQLITE_DONE ? NM_OK : nm_results_fail(results, result, "reading what was said", error);
    sqlite3_finalize(s);
    return status;
}

static nm_status read_goals(nm_results *results, int64_t run, nm_results_row *rows, size_t count, nm_error *error) {
    sqlite3_stmt *s = NULL;
    size_t at = 0;
    int result = sqlite3_prepare_v2(nm_results_database(results),
                                    "SELECT scene, step FROM goal WHERE run = ?1 ORDER BY scene", -1, &s, NULL);
    for (size_t i = 0; i < count; ++i) rows[i].episode.goal_sample = NM_NONE;
    if (result == SQLITE_ERROR)
        return NM_ERROR(error, NM_E_FORMAT, "damaged results: %s", sqlite3_errmsg(nm_results_database(results)));
    if (result == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, run);
        while ((result = sqlite3_step(s)) == SQLITE_ROW) {
            const int64_t scene = sqlite3_column_int64(s, 0);
            while (at < count && rows[at].scene < scene) ++at;
            if (at == count || rows[at].scene != scene) continue;
            rows[at].episode.has_goal = 1;
            rows[at].episode.goal_sample = nm_results_index(s, 1, rows[at].episode.start_step);
        }
    }
    const nm_status status = result == SQLITE_DONE ? NM_OK : nm_results_fail(results, result, "reading goals", error);
    sqlite3_finalize(s);
    return status;
}

nm_status nm_results_read_losses(nm_results *results, int64_t run, nm_arena *arena, nm_results_row *rows, size_t count,
                                 nm_error *error) {
    sqlite3_stmt *s = NULL;
    size_t at = 0;
    int result = sqlite3_prepare_v2(nm_results_database(results),
                                    "SELECT scene, metric, detail, value, cost, step, track, recording, recorded FROM "
                                    "loss WHERE run = ?1 ORDER BY scene, metric",
                                    -1, &s, NULL);
    if (result == SQLITE_ERROR) // there is a table of that name, but it is another
        return NM_ERROR(error, NM_E_FORMAT, "damaged results: %s", sqlite3_errmsg(nm_results_database(results)));
    if (result == SQLITE_OK) {
        sqlite3_bind_int64(s, 1, run);
        while ((result = sqlite3_step(s)) == SQLITE_ROW) {
            const int64_t scene = sqlite3_column_int64(s, 0);
            while (at < count && rows[at].scene < scene) ++at;
            if (at < count && rows[at].scene == scene) read_loss(s, &rows[at].episode);
        }
    }
    for (size_t i = 0; i < count; ++i) sort_losses(&rows[i].episode);
    nm_status status = result == SQLITE_DONE ? NM_OK : nm_results_fail(results, result, "reading losses", error);
    sqlite3_finalize(s);
    if (status == NM_OK) status = read_said(results, run, arena, rows, count, error);
    return status == NM_OK ? read_goals(results, run, rows, count, error) : status;
}
