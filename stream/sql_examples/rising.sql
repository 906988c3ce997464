-- Where has a window's rms risen three times in a row within two hours?
SELECT *
FROM (
  -- Windows of several sizes share the topic; a pattern is of one.
  SELECT *, TIMESTAMPDIFF(MINUTE, window_start, window_end) AS minutes FROM windows
) MATCH_RECOGNIZE (
  PARTITION BY device_id, metric, minutes
  ORDER BY rt
  MEASURES
    A.rms AS first_rms,
    D.rms AS last_rms,
    D.window_end AS until
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (A B C D) WITHIN INTERVAL '2' HOUR
  DEFINE
    B AS B.rms > A.rms,
    C AS C.rms > B.rms,
    D AS D.rms > C.rms
);
