-- What did a device's other metrics do in the 15 minutes before it raised an alert?
SELECT a.alert_id, a.device_id, a.rule, w.metric, w.window_end, w.mean, w.slope
FROM alerts AS a
JOIN windows AS w
  ON w.device_id = a.device_id AND w.metric <> a.metric
  AND w.rt BETWEEN a.rt - INTERVAL '15' MINUTE AND a.rt
WHERE a.event = 'FIRED';
