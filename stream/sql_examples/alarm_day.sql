-- Each day of a site: alerts, the most in ten minutes, minutes above what people can read, and the mix
SELECT window_start AS day_start, site, SUM(raised) AS raised, MAX(raised) AS most_in_10_min,
  SUM(CASE WHEN raised > 10 THEN 10 ELSE 0 END) AS flood_min,
  CAST(SUM(critical) AS DOUBLE) / SUM(raised) AS critical_share
FROM TUMBLE((
    SELECT window_time, site, COUNT(*) AS raised,
      COUNT(*) FILTER (WHERE severity = 'CRITICAL') AS critical
    FROM TUMBLE(
      (SELECT site, severity, rt FROM alerts WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0),
      DESCRIPTOR(rt), INTERVAL '10' MINUTE)
    GROUP BY window_start, window_end, window_time, site
  ), DESCRIPTOR(window_time), INTERVAL '1' DAY)
GROUP BY window_start, window_end, site;
