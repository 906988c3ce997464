-- Which alerts have been on for over a day? Each is told once, when the day is over
SELECT a.alert_id, a.fingerprint, a.site, a.severity, a.starts_at
FROM (SELECT * FROM alerts WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0) AS a
LEFT JOIN (SELECT alert_id, rt FROM alerts WHERE event = 'RESOLVED') AS o
  ON o.alert_id = a.alert_id AND o.rt BETWEEN a.rt AND a.rt + INTERVAL '1' DAY
WHERE o.alert_id IS NULL;
