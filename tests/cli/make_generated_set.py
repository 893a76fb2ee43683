"""Gives a store that holds mined scenes the rows of a generated set, as a generator writes them: make_generated_set.py S.db"""

import json
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])
kinds = dict(database.execute("SELECT name, id FROM kind"))
scenes = [row[0] for row in database.execute("SELECT id FROM scene ORDER BY id")]
database.execute(
    "INSERT INTO generation (parameters, command, seed, program, started_utc, finished_utc) VALUES (?, ?, 7, 'nearmiss "
    "test', '2025-01-31T12:00:00Z', '2025-01-31T12:30:00Z')",
    (
        json.dumps({"kind": ["cut_in", "tailgate"], "kinds": [{"kind": "cut_in", "near_miss": {"gap": [3, 8]}}]}),
        "nearmiss generate --hours 1 --seed 7",
    ),
)
for i, scene in enumerate(scenes):
    kind = kinds["tailgate" if i % 2 == 0 else "cut_in"]
    database.execute(
        "INSERT INTO generated VALUES (?, 1, ?, 'manoeuvre', ?, 'avoidable', ?, ?, ?)",
        (
            scene,
            kind,
            "near_miss" if i % 3 else "collision",
            json.dumps({"gap": 3 + i}),
            json.dumps({"gap": 3.1 + i}),
            json.dumps({"valid": True, "verdicts": {"realism": {"result": "pass", "value": 0.5 + i}}}),
        ),
    )
# who plays which role stands in the scene's own parameters: in a store that a program wrote they never change
(guard,) = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'scene_update'").fetchone()
database.execute("DROP TRIGGER scene_update")
database.execute("UPDATE scene SET parameters = '{\"roles\":{\"ego\":0,\"adversary\":1}}'")
database.execute(guard)
rows = [("tailgate", "kept", 3), ("cut_in", "kept", 2), ("cut_in", "off_road", 4), ("cut_in", "too_fast", 1)]
for kind, reason, count in rows:
    database.execute("INSERT INTO attempt VALUES (1, ?, 'manoeuvre', ?, ?)", (kinds[kind], reason, count))
database.commit()
