#include "scenarios/set_stats.h"

#include <math.h>
#include <string.h>

#include "scenarios/set_reader.h"

// --- counts ----------------------------------------------------------------------------------------------------------

static void read_totals(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(
        reader, "SELECT count(*), count(criticality.scene), total(dt_s * (steps - 1)) / 3600.0, min(dt_s * (steps - "
                "1)), max(dt_s * (steps - 1)), coalesce(sum(collisions > 0), 0), (SELECT page_count * page_size FROM "
                "pragma_page_count, pragma_page_size) FROM generated JOIN scene ON scene.id = generated.scene LEFT "
                "JOIN criticality ON criticality.scene = generated.scene");
    while (nm_reader_next(reader)) {
        stats->scenes = nm_reader_number(reader, 0);
        stats->mined = nm_reader_number(reader, 1);
        stats->hours = nm_reader_real(reader, 2);
        stats->duration_low = nm_reader_real(reader, 3);
        stats->duration_high = nm_reader_real(reader, 4);
        stats->collisions = nm_reader_number(reader, 5);
        stats->bytes = nm_reader_number(reader, 6);
    }
}

static void read_ttc(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(reader, "SELECT min_ttc_s FROM generated JOIN criticality ON criticality.scene = generated.scene");
    while (nm_reader_next(reader)) {
        double ttc = nm_reader_real(reader, 0);
        if (isnan(ttc))
            stats->ttc_none++;
        else if (ttc >= NM_SET_TTC_BINS * NM_SET_TTC_WIDTH)
            stats->ttc_above++;
        else
            stats->ttc[ttc > 0 ? (int)(ttc / NM_SET_TTC_WIDTH) : 0]++;
    }
}

static void read_detected(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(reader,
                    "SELECT generated.kind, event.kind, count(DISTINCT event.scene) FROM generated JOIN event ON "
                    "event.scene = generated.scene GROUP BY 1, 2");
    while (nm_reader_next(reader)) {
        nm_kind asked, found;
        if (nm_reader_kind(reader, 0, &asked) && nm_reader_kind(reader, 1, &found))
            stats->detected[asked][found] = nm_reader_number(reader, 2);
    }
}

static void read_runs(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(reader,
                    "SELECT id, parameters, command, program, started_utc, finished_utc, seed, (SELECT total(max("
                    "count, 0)) FROM attempt WHERE generation = id), (SELECT total(max(count, 0)) FROM attempt WHERE "
                    "generation = id AND reason = 'kept'), (SELECT count(*) FROM generated WHERE generation = id) FROM "
                    "generation ORDER BY id");
    while (nm_reader_next(reader)) {
        stats->runs = nm_reader_grow(reader, stats->runs, stats->run_count, sizeof *stats->runs);
        if (!stats->runs) continue;
        stats->runs[stats->run_count++] = (nm_set_run){.id = sqlite3_column_int64(reader->row, 0),
                                                       .parameters = nm_reader_text(reader, 1),
                                                       .command = nm_reader_text(reader, 2),
                                                       .program = nm_reader_text(reader, 3),
                                                       .started = nm_reader_text(reader, 4),
                                                       .finished = nm_reader_text(reader, 5),
                                                       .seed = (uint64_t)sqlite3_column_int64(reader->row, 6),
                                                       .attempts = nm_reader_number(reader, 7),
                                                       .kept = nm_reader_number(reader, 8),
                                                       .scenes = nm_reader_number(reader, 9)};
    }
}

static void read_groups(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(
        reader, "SELECT generated.kind, generator, severity, label, count(*), sum(EXISTS (SELECT 1 FROM event WHERE "
                "event.scene = generated.scene AND event.kind = generated.kind)), total(dt_s * (steps - 1)) / 3600.0 "
                "FROM generated JOIN scene ON scene.id = generated.scene GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4");
    while (nm_reader_next(reader)) {
        nm_set_group group = {0};
        if (!nm_reader_kind(reader, 0, &group.kind)) continue;
        stats->groups = nm_reader_grow(reader, stats->groups, stats->group_count, sizeof *stats->groups);
        if (!stats->groups) continue;
        group.generator = nm_reader_text(reader, 1);
        group.severity = nm_reader_text(reader, 2);
        group.label = nm_reader_text(reader, 3);
        group.scenes = nm_reader_number(reader, 4);
        group.confirmed = nm_reader_number(reader, 5);
        group.hours = nm_reader_real(reader, 6);
        stats->groups[stats->group_count++] = group;
    }
}

static void read_yields(nm_reader *reader, nm_set_stats *stats) {
    // total() counts in floating point: sum() fails where integers overflow
    nm_reader_begin(reader,
                    "SELECT kind, generator, total(max(count, 0)), total(CASE WHEN reason = 'kept' THEN max(count, 0) "
                    "ELSE 0 END) FROM attempt GROUP BY 1, 2 ORDER BY 1, 2");
    while (nm_reader_next(reader)) {
        nm_set_yield yield = {0};
        if (!nm_reader_kind(reader, 0, &yield.kind)) continue;
        stats->yields = nm_reader_grow(reader, stats->yields, stats->yield_count, sizeof *stats->yields);
        if (!stats->yields) continue;
        yield.generator = nm_reader_text(reader, 1);
        yield.attempts = nm_reader_number(reader, 2);
        yield.kept = nm_reader_number(reader, 3);
        stats->yields[stats->yield_count++] = yield;
    }
}

static void read_rejects(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(
        reader,
        "SELECT generator, reason, total(max(count, 0)) FROM attempt WHERE reason <> 'kept' GROUP BY 1, 2 ORDER BY 3 "
        "DESC, 1, 2");
    while (nm_reader_next(reader)) {
        stats->rejects = nm_reader_grow(reader, stats->rejects, stats->reject_count, sizeof *stats->rejects);
        if (!stats->rejects) continue;
        stats->rejects[stats->reject_count++] = (nm_set_reject){.generator = nm_reader_text(reader, 0),
                                                                .reason = nm_reader_text(reader, 1),
                                                                .count = nm_reader_number(reader, 2)};
    }
}

static void read_reasons(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(reader, "SELECT kind, generator, reason, total(max(count, 0)) FROM attempt WHERE reason <> 'kept' "
                            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 4 DESC, 3");
    while (nm_reader_next(reader)) {
        nm_set_reason reason = {0};
        if (!nm_reader_kind(reader, 0, &reason.kind)) continue;
        stats->reasons = nm_reader_grow(reader, stats->reasons, stats->reason_count, sizeof *stats->reasons);
        if (!stats->reasons) continue;
        reason.generator = nm_reader_text(reader, 1);
        reason.reason = nm_reader_text(reader, 2);
        reason.count = nm_reader_number(reader, 3);
        stats->reasons[stats->reason_count++] = reason;
    }
}

static void read_sources(nm_reader *reader, nm_set_stats *stats) {
    nm_reader_begin(
        reader, "SELECT source.name, coalesce((SELECT own.name FROM scene AS parent JOIN source AS own ON own.id = "
                "parent.source WHERE parent.content_hash = scene.parent_hash ORDER BY parent.id LIMIT 1), CASE WHEN "
                "json_valid(scene.parameters) THEN json_extract(scene.parameters, '$.parent_source') END, '') AS "
                "parent, count(*) FROM generated JOIN scene ON scene.id = generated.scene JOIN source ON source.id "
                "= scene.source GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2");
    while (nm_reader_next(reader)) {
        stats->sources = nm_reader_grow(reader, stats->sources, stats->source_count, sizeof *stats->sources);
        if (!stats->sources) continue;
        stats->sources[stats->source_count++] = (nm_set_source){.source = nm_reader_text(reader, 0),
                                                                .parent = nm_reader_text(reader, 1),
                                                                .scenes = nm_reader_number(reader, 2)};
    }
}

nm_status nm_set_stats_read(nm_store *store, nm_arena *arena, nm_set_stats *stats, nm_error *error) {
    NM_ASSERT(store && arena && stats);
    nm_error local;
    nm_reader reader = {.store = store, .arena = arena, .error = error ? error : &local, .status = NM_OK};
    memset(stats, 0, sizeof *stats);
    stats->duration_low = stats->duration_high = NAN;
    if (store->schema < 2) return NM_OK; // from before there was anything to count
    nm_status status = nm_store_enter_read(store, error);
    if (status != NM_OK) return status;
    store->stopped = NM_OK;
    read_totals(&reader, stats);
    read_ttc(&reader, stats);
    read_detected(&reader, stats);
    read_runs(&reader, stats);
    read_groups(&reader, stats);
    read_yields(&reader, stats);
    read_rejects(&reader, stats);
    read_reasons(&reader, stats);
    read_sources(&reader, stats);
    nm_set_read_parameters(&reader, stats);
    nm_set_read_quality(&reader, stats);
    nm_store_leave_read(store);
    return reader.status;
}
