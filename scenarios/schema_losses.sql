-- Since version 4: why scores are not 1, ...
CREATE TABLE loss (
    run       INTEGER NOT NULL,
    scene     INTEGER NOT NULL,
    metric    TEXT NOT NULL,    -- the one below its maximum, a column of episode
    detail    TEXT NOT NULL,    -- collisions: class of the first at fault; comfort: the bound that was passed by most; or ''
    value     REAL NOT NULL,    -- of the metric
    cost      REAL NOT NULL,    -- the score with the metric at 1, less the score
    step      INTEGER,          -- of the scene; NULL: no moment can be named
    track     INTEGER,          -- with whom; NULL: nobody in particular
    recording INTEGER NOT NULL, -- 1: the recorded drive has at least half of the loss; 0: driving made it
    recorded  REAL,             -- value of the metric of the recorded drive
    PRIMARY KEY (run, scene, metric),
    FOREIGN KEY (run, scene) REFERENCES episode (run, scene) ON DELETE CASCADE
) WITHOUT ROWID;

-- ... what planners in programs of their own wrote to standard error before they failed: the end of it.
CREATE TABLE said (
    run   INTEGER NOT NULL,
    scene INTEGER NOT NULL,
    text  TEXT NOT NULL,
    PRIMARY KEY (run, scene),
    FOREIGN KEY (run, scene) REFERENCES episode (run, scene) ON DELETE CASCADE
) WITHOUT ROWID;

-- ... and planning problems that were driven, and when their goals were reached.
CREATE TABLE goal (
    run   INTEGER NOT NULL,
    scene INTEGER NOT NULL,
    step  INTEGER, -- of the scene, at which it was reached first; NULL: never
    PRIMARY KEY (run, scene),
    FOREIGN KEY (run, scene) REFERENCES episode (run, scene) ON DELETE CASCADE
) WITHOUT ROWID;
