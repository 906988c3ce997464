-- Which alerts went on and off so often that nobody can follow: three changes within a minute
SELECT *
FROM (SELECT * FROM alerts WHERE event IN ('FIRED', 'NO_DATA', 'RESOLVED')) MATCH_RECOGNIZE (
  PARTITION BY fingerprint
  ORDER BY rt
  MEASURES
    A.emitted_at AS first_at,
    C.emitted_at AS last_at
  AFTER MATCH SKIP PAST LAST ROW
  PATTERN (A B C) WITHIN INTERVAL '2' MINUTE
  DEFINE
    C AS C.emitted_at <= A.emitted_at + INTERVAL '1' MINUTE
);
