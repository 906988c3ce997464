-- What became of each alert: the work on its asset within a week, how soon, and was there a fault?
SELECT a.rule, a.asset_id, a.alert_id, m.order_id,
  TIMESTAMPDIFF(MINUTE, a.starts_at, m.started_at) AS minutes_to_action,
  m.finding = 'FAULT_FOUND' AS useful
FROM (SELECT * FROM alerts WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0) AS a
-- An order is told again as it goes on; its finding comes with the last record.
LEFT JOIN (SELECT * FROM maintenance WHERE finding <> 'UNKNOWN') AS m
  ON m.asset_id = a.asset_id AND m.rt BETWEEN a.rt AND a.rt + INTERVAL '7' DAY;
