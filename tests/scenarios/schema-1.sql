-- nearmiss scene store, schema version 1.
-- Read scenes, events, kinds and sources (views) first. Units are in the column names: s, m, mps (m/s), mps2 (m/s^2).
-- Numbers that were not measured, or mean "no danger" (an infinite time to collision), are NULL. Steps count from 0.
-- Tracks are indices into the scene's tracks, from 0. Stored scenes never change; delete and put again.

-- What made this file: program, created_utc, schema_version (also PRAGMA user_version), like_scale.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- The kinds of corner cases. Numbers are stable: kinds are only ever added.
CREATE TABLE kind (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL
);

-- Where scenes come from: "commonroad", "womd", "builtin", "simulate", ...
CREATE TABLE source (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- Input files that went in completely: an import that is run again skips them.
CREATE TABLE imported (
    file         TEXT NOT NULL,    -- base name
    file_bytes   INTEGER NOT NULL,
    file_hash    INTEGER NOT NULL, -- 64 bits of the content, as a signed number
    scenes       INTEGER NOT NULL, -- how many it held
    finished_utc TEXT NOT NULL,    -- "2025-01-31T12:00:00Z"
    PRIMARY KEY (file, file_bytes, file_hash)
) WITHOUT ROWID;

-- Each map once, however many scenes happen on it.
CREATE TABLE map (
    hash       INTEGER PRIMARY KEY, -- of the content, as a signed number
    lanes      INTEGER NOT NULL,
    lane_km    REAL NOT NULL,       -- length of all centrelines
    origin_x_m REAL NOT NULL,       -- what was subtracted from the source's coordinates
    origin_y_m REAL NOT NULL,
    raw_bytes  INTEGER NOT NULL,    -- of the bytes inside `content`
    content    BLOB NOT NULL        -- one zstd frame; layout: sim/map_codec.c
);

CREATE TABLE scene (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice
    source       INTEGER NOT NULL REFERENCES source (id),
    file         TEXT NOT NULL,    -- base name of the input file; '' = none
    record       INTEGER NOT NULL, -- index of the record within the file
    scene_name   TEXT NOT NULL,    -- the source's own id (benchmarkID, scenario_id)
    tags         TEXT NOT NULL,    -- separated by spaces
    content_hash INTEGER NOT NULL, -- of map and content, without provenance, as a signed number
    map          INTEGER NOT NULL REFERENCES map (hash),
    program      TEXT NOT NULL,    -- that made this row, with its version
    seed         INTEGER NOT NULL, -- of the generation; 0 for logs
    parent_hash  INTEGER,          -- content_hash of the scene it was made from
    parameters   TEXT NOT NULL,    -- JSON: everything needed to make it again
    dt_s         REAL NOT NULL,
    steps        INTEGER NOT NULL,
    current_step INTEGER NOT NULL, -- "now": history up to it, future after it
    ego_track    INTEGER,
    tracks       INTEGER NOT NULL, -- all, standing obstacles included
    agents       INTEGER NOT NULL, -- what moved or could
    agent_states INTEGER NOT NULL, -- their valid states
    problems     INTEGER NOT NULL  -- planning problems
);
CREATE UNIQUE INDEX scene_identity ON scene (content_hash, file, record, seed, source);
CREATE INDEX scene_map ON scene (map);

CREATE TABLE scene_data (
    scene     INTEGER PRIMARY KEY REFERENCES scene (id) ON DELETE CASCADE,
    raw_bytes INTEGER NOT NULL, -- of the bytes inside `content`
    content   BLOB NOT NULL     -- one zstd frame; layout: sim/scene_codec.c
);

-- Words of tags, source, file and scene name. Search: scene_fts MATCH 'highway'.
CREATE VIEW scene_text AS
SELECT scene.id AS id, tags, source.name AS source, file, scene_name
FROM scene JOIN source ON source.id = scene.source;
CREATE VIRTUAL TABLE scene_fts USING fts5 (
    tags, source, file, scene_name, content = 'scene_text', content_rowid = 'id', columnsize = 0);

-- Parameters that mining runs used, each set once.
CREATE TABLE mining (
    id         INTEGER PRIMARY KEY,
    parameters TEXT NOT NULL UNIQUE -- JSON
);

-- How dangerous a scene is: extremes over all pairs of tracks. A scene has a row here once it was mined.
CREATE TABLE criticality (
    scene               INTEGER PRIMARY KEY REFERENCES scene (id) ON DELETE CASCADE,
    mining              INTEGER NOT NULL REFERENCES mining (id),
    events              INTEGER NOT NULL,
    pairs               INTEGER,
    collisions          INTEGER,
    min_ttc_s           REAL, -- time to collision, exact sweep of both boxes
    min_ttc_projected_s REAL, -- by box projection
    min_distance_m      REAL,
    min_thw_s           REAL, -- time headway
    max_drac_mps2       REAL, -- deceleration rate to avoid a crash
    max_ittc_per_s      REAL, -- inverse time to collision
    min_pet_s           REAL, -- post-encroachment time
    min_ttr_s           REAL, -- time to react
    max_delta_v_mps     REAL,
    tet_s               REAL, -- time exposed to a time to collision under the threshold
    tit_s2              REAL, -- integral of the shortfall
    critical_step       INTEGER,
    first_track         INTEGER, -- the pair of the smallest time to collision
    second_track        INTEGER,
    feature             BLOB -- 32 little-endian 32-bit floats, scaled: the distance between scenes is Euclidean
);

-- One labelled moment.
CREATE TABLE event (
    id                INTEGER PRIMARY KEY,
    scene             INTEGER NOT NULL REFERENCES scene (id) ON DELETE CASCADE,
    kind              INTEGER NOT NULL REFERENCES kind (id),
    first_step        INTEGER NOT NULL,
    last_step         INTEGER NOT NULL, -- inclusive
    critical_step     INTEGER NOT NULL, -- the moment that matters
    actor_track       INTEGER NOT NULL, -- who does it
    other_track       INTEGER,          -- who suffers it
    min_ttc_s         REAL,
    min_distance_m    REAL,
    min_thw_s         REAL,
    max_drac_mps2     REAL,
    pet_s             REAL,
    min_ttr_s         REAL,
    closing_speed_mps REAL, -- at the critical step
    gap_m             REAL, -- at the critical step
    lateral_speed_mps REAL, -- of the actor, at the critical step
    deceleration_mps2 REAL, -- the actor's largest within the event
    impact_speed_mps  REAL, -- collisions only
    delta_v_mps       REAL, -- collisions only
    severity          REAL NOT NULL -- 0..1, one number to order by
);
CREATE INDEX event_scene ON event (scene, severity DESC, id);
CREATE INDEX event_kind_severity ON event (kind, severity DESC, id, min_ttc_s, min_distance_m);
CREATE INDEX event_kind_ttc ON event (kind, min_ttc_s, severity DESC, id);
CREATE INDEX event_severity ON event (severity DESC, id, min_ttc_s, min_distance_m);

-- Boxes for range searches over several quantities at once; a missing quantity lies at 1e6.
CREATE VIRTUAL TABLE event_rtree USING rtree (
    id, kind_low, kind_high, ttc_low_s, ttc_high_s, distance_low_m, distance_high_m, severity_low, severity_high);

-- The features once more, rounded to bytes and packed, so that a search for similar scenes reads little. Block b holds
-- scenes 1024 b to 1024 b + 1023, 36 bytes each: 32 signed bytes (the feature times meta.like_scale, rounded, clamped),
-- then a little-endian 32-bit float, the length of what rounding took away; negative or zero bytes = no such scene.
CREATE TABLE feature_block (
    block   INTEGER PRIMARY KEY,
    vectors BLOB NOT NULL
);

-- Whoever deletes a scene, with this program or by hand, leaves nothing behind.
CREATE TRIGGER scene_delete BEFORE DELETE ON scene BEGIN
    INSERT INTO scene_fts (scene_fts, rowid, tags, source, file, scene_name)
        SELECT 'delete', id, tags, source, file, scene_name FROM scene_text WHERE id = old.id;
    DELETE FROM event WHERE scene = old.id;
    DELETE FROM criticality WHERE scene = old.id;
    DELETE FROM scene_data WHERE scene = old.id;
END;
CREATE TRIGGER scene_deleted AFTER DELETE ON scene BEGIN
    DELETE FROM map WHERE hash = old.map AND NOT EXISTS (SELECT 1 FROM scene WHERE map = old.map);
END;
CREATE TRIGGER event_deleted AFTER DELETE ON event BEGIN
    DELETE FROM event_rtree WHERE id = old.id;
END;
CREATE TRIGGER scene_update BEFORE UPDATE ON scene BEGIN
    SELECT raise(ABORT, 'a stored scene never changes: delete it and put it again');
END;

-- --------------------------------------------------------------------------------------------------------------------
-- Views for people

CREATE VIEW scenes AS
SELECT scene.id AS scene, source.name AS source, file, record, scene_name, tags, round(dt_s * (steps - 1), 3) AS duration_s,
    dt_s, steps, current_step, ego_track, tracks, agents, agent_states, problems,
    criticality.scene IS NOT NULL AS mined, events, pairs, collisions, min_ttc_s, min_ttc_projected_s, min_distance_m,
    min_thw_s, max_drac_mps2, max_ittc_per_s, min_pet_s, min_ttr_s, max_delta_v_mps, tet_s, tit_s2,
    program, seed, parameters, printf('%016x', content_hash) AS content_hash, printf('%016x', map) AS map_hash,
    CASE WHEN parent_hash IS NOT NULL THEN printf('%016x', parent_hash) END AS parent_hash
FROM scene JOIN source ON source.id = scene.source LEFT JOIN criticality ON criticality.scene = scene.id;

CREATE VIEW events AS
SELECT event.id AS event, event.scene AS scene, kind.name AS kind, severity, round(critical_step * dt_s, 3) AS time_s,
    first_step, last_step, critical_step, actor_track, other_track, min_ttc_s, min_distance_m, min_thw_s, max_drac_mps2,
    pet_s, min_ttr_s, closing_speed_mps, gap_m, lateral_speed_mps, deceleration_mps2, impact_speed_mps, delta_v_mps,
    source.name AS source, file, record, scene_name, tags, dt_s, steps, tracks, agents, agent_states, program, seed,
    printf('%016x', content_hash) AS content_hash, printf('%016x', map) AS map_hash
FROM event JOIN kind ON kind.id = event.kind JOIN scene ON scene.id = event.scene
    JOIN source ON source.id = scene.source;

CREATE VIEW kinds AS
SELECT kind.name AS kind, count(event.id) AS events, count(DISTINCT event.scene) AS scenes,
    min(min_ttc_s) AS min_ttc_s, max(severity) AS max_severity, definition
FROM kind LEFT JOIN event ON event.kind = kind.id GROUP BY kind.id;

CREATE VIEW sources AS
SELECT source.name AS source, count(DISTINCT file) AS files, count(*) AS scenes, sum(agents) AS agents,
    sum(agent_states) AS agent_states, round(sum(dt_s * (steps - 1)) / 3600.0, 4) AS hours, count(DISTINCT map) AS maps
FROM scene JOIN source ON source.id = scene.source GROUP BY source.id;
