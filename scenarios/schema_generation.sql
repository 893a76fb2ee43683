-- Of schema version 2: how generated scenes came about. Part of every store; a store of version 1 gets it added.

-- One run of a generator, which may have been stopped and gone on with.
CREATE TABLE generation (
    id           INTEGER PRIMARY KEY,
    parameters   TEXT NOT NULL CHECK (json_valid(parameters)), -- JSON: the whole request
    command      TEXT NOT NULL, -- the command line that makes it again; '' = none
    seed         INTEGER NOT NULL,
    program      TEXT NOT NULL, -- with its version
    started_utc  TEXT NOT NULL, -- "2025-01-31T12:00:00Z"
    finished_utc TEXT           -- NULL: not finished
);

-- What its attempts came to, counted.
CREATE TABLE attempt (
    generation INTEGER NOT NULL REFERENCES generation (id) ON DELETE CASCADE,
    kind       INTEGER NOT NULL REFERENCES kind (id), -- that was asked for
    generator  TEXT NOT NULL, -- "manoeuvre", "resample", "diffusion"
    reason     TEXT NOT NULL, -- why it was rejected; 'kept' = it was not
    count      INTEGER NOT NULL,
    PRIMARY KEY (generation, kind, generator, reason)
) WITHOUT ROWID;

-- What a stored scene was generated for, and how it was judged.
CREATE TABLE generated (
    scene      INTEGER PRIMARY KEY REFERENCES scene (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL REFERENCES generation (id),
    kind       INTEGER NOT NULL REFERENCES kind (id), -- that was asked for
    generator  TEXT NOT NULL,
    severity   TEXT NOT NULL, -- that was asked for: "near_miss", "collision"; '' = any
    label      TEXT NOT NULL, -- for a reference driver: "avoidable", "unavoidable", or "no_conflict": nothing to avoid,
                              -- even if nobody reacts; '' = not judged
    requested  TEXT NOT NULL CHECK (json_valid(requested)), -- JSON: {"gap": 5.2, ...}, units as of the kind
    achieved   TEXT NOT NULL CHECK (json_valid(achieved)),  -- JSON: the same names, as measured
    verdicts   TEXT NOT NULL CHECK (json_valid(verdicts))   -- JSON: {"on_road": {...}, ...}
);
CREATE INDEX generated_kind ON generated (kind, generation);
CREATE INDEX generated_generation ON generated (generation);

CREATE TRIGGER scene_delete_generated BEFORE DELETE ON scene BEGIN
    DELETE FROM generated WHERE scene = old.id;
END;

-- For people: what was generated for what.
CREATE VIEW generated_scenes AS
SELECT generated.scene AS scene, kind.name AS kind, generator, severity, label, min_ttc_s, requested, achieved,
    verdicts, generation, generation.program AS program, generation.seed AS generation_seed, scene.seed AS seed,
    EXISTS (SELECT 1 FROM event WHERE event.scene = generated.scene AND event.kind = generated.kind) AS confirmed
FROM generated JOIN kind ON kind.id = generated.kind JOIN generation ON generation.id = generated.generation
    JOIN scene ON scene.id = generated.scene LEFT JOIN criticality ON criticality.scene = generated.scene;

CREATE VIEW yields AS
SELECT generation, kind.name AS kind, generator, sum(count) AS attempts,
    sum(CASE WHEN reason = 'kept' THEN count ELSE 0 END) AS kept
FROM attempt JOIN kind ON kind.id = attempt.kind GROUP BY generation, kind.id, generator;
