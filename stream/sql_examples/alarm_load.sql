-- How many alerts rang in each ten minutes, by site and severity, and is that more than people can read?
SELECT window_start, site, COUNT(*) AS raised, COUNT(*) > 10 AS too_many,
  COUNT(*) FILTER (WHERE severity = 'CRITICAL') AS critical,
  COUNT(*) FILTER (WHERE severity = 'WARNING') AS warning
FROM TUMBLE(
  (SELECT site, severity, rt FROM alerts WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0),
  DESCRIPTOR(rt), INTERVAL '10' MINUTE)
GROUP BY window_start, window_end, site;
