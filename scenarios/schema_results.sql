-- nearmiss evaluation results, schema version 4. Read the views runs and episodes first.
-- Numbers without a value are NULL. Steps are those of the scene, from 0, brought to 0.1 s where it had others; tracks
-- are indices into its tracks.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One planner over a set of scenes under one configuration.
CREATE TABLE run (
    id           INTEGER PRIMARY KEY,
    planner      TEXT NOT NULL, -- as it was given: a built-in name, "./mine.so", "exec:python3 mine.py"
    agents       TEXT NOT NULL, -- "log", "idm", "nexus"
    idm          TEXT NOT NULL, -- which parameters IDM agents had
    execution    TEXT NOT NULL, -- "tracked": nuPlan's two-stage controller; "perfect"
    seconds      REAL NOT NULL, -- at most
    deadline_s   REAL NOT NULL, -- for an answer; 0 = none
    seed         INTEGER NOT NULL,
    weights      TEXT NOT NULL, -- hashes of the model and the shared library that drove agents or ego; '' = none
    store        TEXT NOT NULL, -- base name of the store that the scenes are in
    program      TEXT NOT NULL,
    config       TEXT NOT NULL, -- what the planner was handed
    started_utc  TEXT NOT NULL, -- "2025-01-31T12:00:00Z"
    finished_utc TEXT,          -- NULL: not finished
    adversary    TEXT NOT NULL DEFAULT '' -- since version 3: kind by which one agent was steered against the ego; '' = nobody was
);

CREATE TABLE episode (
    run         INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    scene       INTEGER NOT NULL, -- id in the store
    scene_hash  INTEGER NOT NULL, -- of its content, as a signed number
    name        TEXT NOT NULL,    -- the source's own id
    type        TEXT NOT NULL,    -- what happens in it: the kind it was made for or mined as, else its source
    outcome     TEXT NOT NULL,    -- "done"; "failed": the planner did, score 0; "unfit": cannot be driven, no score
    reason      TEXT NOT NULL,    -- why it is not done
    start_step  INTEGER NOT NULL,
    ego_track   INTEGER,          -- who was driven
    samples     INTEGER NOT NULL, -- scored, 0.1 s apart
    score       REAL,             -- nuPlan closed-loop score
    no_ego_at_fault_collisions      REAL,
    drivable_area_compliance        REAL,
    ego_is_making_progress          REAL,
    driving_direction_compliance    REAL,
    ego_progress_along_expert_route REAL,
    time_to_collision_within_bound  REAL,
    speed_limit_compliance          REAL,
    ego_is_comfortable              REAL,
    collisions  INTEGER NOT NULL, -- of the ego, at fault or not
    at_fault    INTEGER NOT NULL,
    first_collision TEXT NOT NULL, -- class of the first: "active_front", ...; '' = none
    collision_step  INTEGER,       -- of the first
    collision_track INTEGER,
    min_ttc_s      REAL,
    min_distance_m REAL,
    worst       TEXT NOT NULL,    -- the metric that lost most; '' = none did
    worst_step  INTEGER,          -- where
    plan_mean_ms REAL NOT NULL,   -- real time of an answer
    plan_max_ms  REAL NOT NULL,
    wall_s      REAL NOT NULL,    -- real time of the episode
    -- Since version 2: how dangerous it was for the ego. NULL: not measured (an older program, or not driven to the
    -- end); of a time also: there was none.
    sweep_ttc_s REAL,             -- least time to collision with anybody at unchanged velocities, up to 10 s
    min_thw_s   REAL,             -- least time headway behind somebody it followed
    pet_s       REAL,             -- least post-encroachment time
    closing_mps REAL,             -- relative speed of the two at the moment of the least TTC
    max_drac_mps2       REAL,     -- largest deceleration to avoid a crash behind somebody it followed
    required_decel_mps2 REAL,     -- the same of the relative motion, with anybody
    danger_step  INTEGER,         -- of the least TTC
    danger_track INTEGER,         -- with whom
    -- Since version 3: the run's adversary.
    adversary_track INTEGER,      -- who was steered, in the scene as it was driven; NULL = nobody
    staged      INTEGER NOT NULL DEFAULT 0, -- 1 = the detectors see the run's kind of adversary in what was driven
    met         INTEGER NOT NULL DEFAULT 0, -- 1 = ego and adversary touched
    avoidable   TEXT NOT NULL DEFAULT '', -- by a careful driver (UNECE R157): "avoidable", "unavoidable",
                                          -- "no_conflict"; '' = no adversary drove
    PRIMARY KEY (run, scene)
) WITHOUT ROWID;

-- Contacts of the ego with others, the first 8 of an episode; `collisions` above counts all.
CREATE TABLE collision (
    run      INTEGER NOT NULL,
    scene    INTEGER NOT NULL,
    step     INTEGER NOT NULL, -- of the scene, at first contact
    track    INTEGER NOT NULL, -- with whom
    type     TEXT NOT NULL,    -- what that is to nuPlan: "vehicle", "pedestrian", ...
    class    TEXT NOT NULL,    -- "active_front", ...
    at_fault INTEGER NOT NULL, -- 1 = the ego
    energy   REAL,             -- m/s, so called in nuPlan: the change of velocity between equal masses
    PRIMARY KEY (run, scene, step, track),
    FOREIGN KEY (run, scene) REFERENCES episode (run, scene) ON DELETE CASCADE
) WITHOUT ROWID;

