-- Windows with the asset and ISO group that their device had at the window's end
SELECT w.device_id, w.metric, w.window_end, w.mean, d.asset_id, d.iso_group,
  d.device_id IS NOT NULL AS known
FROM windows AS w
LEFT JOIN devices FOR SYSTEM_TIME AS OF w.rt AS d ON w.device_id = d.device_id;
