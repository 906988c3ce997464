-- Each day of a site, so far: alerts, the most in ten minutes, minutes above what people can read, and the mix
SELECT FLOOR(window_start TO DAY) AS day_start, site, SUM(raised) AS raised,
  MAX(raised) AS most_in_10_min, SUM(CASE WHEN raised > 10 THEN 10 ELSE 0 END) AS flood_min,
  CAST(SUM(critical) AS DOUBLE) / SUM(raised) AS critical_share
FROM (
  SELECT window_start, site, COUNT(*) AS raised,
    COUNT(*) FILTER (WHERE severity = 'CRITICAL') AS critical
  FROM TUMBLE(
    (SELECT site, severity, rt FROM alerts WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0),
    DESCRIPTOR(rt), INTERVAL '10' MINUTE)
  GROUP BY window_start, window_end, site
)
GROUP BY FLOOR(window_start TO DAY), site;
