-- How many alerts rang in each ten minutes, by site, and is that more than people can read?
SELECT window_start, site, COUNT(*) AS raised, COUNT(*) > 10 AS too_many
FROM TUMBLE(TABLE alerts, DESCRIPTOR(rt), INTERVAL '10' MINUTE)
WHERE event IN ('FIRED', 'NO_DATA') AND seq = 0
GROUP BY window_start, window_end, site;
