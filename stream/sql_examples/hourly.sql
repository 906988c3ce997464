-- Readings by the hour: how many, and their least, mean and greatest value
SELECT window_start AS hour_start, device_id, metric, COUNT(*) AS n,
  MIN(`value`) AS least, AVG(`value`) AS mean, MAX(`value`) AS greatest
FROM TUMBLE(TABLE readings, DESCRIPTOR(rt), INTERVAL '1' HOUR)
WHERE kind = 'READING' AND quality <> 'BAD'
GROUP BY window_start, window_end, device_id, metric;
