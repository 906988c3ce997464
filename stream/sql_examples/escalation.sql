-- Which warnings became critical within the hour, without an all-clear between?
SELECT *
FROM alerts MATCH_RECOGNIZE (
  -- In the table's own order: Flink 2.3 names the columns as here, and fills them as there.
  PARTITION BY rule, device_id
  ORDER BY rt
  MEASURES
    W.emitted_at AS warned_at,
    C.emitted_at AS critical_at,
    C.`value` AS at_last
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (W N* C) WITHIN INTERVAL '1' HOUR
  DEFINE
    W AS W.event = 'FIRED' AND W.severity = 'WARNING',
    N AS N.event <> 'RESOLVED' AND N.severity <> 'CRITICAL',
    C AS C.event <> 'RESOLVED' AND C.severity = 'CRITICAL'
);
