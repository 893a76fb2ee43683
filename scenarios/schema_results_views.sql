CREATE VIEW runs AS
SELECT id, planner, adversary, agents, execution, count(scene) AS episodes, sum(outcome = 'failed') AS failed,
    sum(outcome = 'unfit') AS unfit, avg(CASE WHEN outcome = 'failed' THEN 0.0 ELSE score END) AS score,
    sum(staged) AS staged, sum(met) AS met, finished_utc IS NOT NULL AS finished
FROM run LEFT JOIN episode ON episode.run = run.id GROUP BY run.id;

CREATE VIEW episodes AS
SELECT run.planner AS planner, run.adversary AS adversary, run.agents AS agents, run.execution AS execution, episode.*
FROM episode JOIN run ON run.id = episode.run;
