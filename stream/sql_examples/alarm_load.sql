-- How many alerts rang in each ten minutes, by site, and is that more than people can read?
SELECT window_start, site, COUNT(*) AS raised, COUNT(*) > 10 AS too_many
FROM TUMBLE(
  (SELECT site, rt FROM alerts WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0),
  DESCRIPTOR(rt), INTERVAL '10' MINUTE)
GROUP BY window_start, window_end, site;
