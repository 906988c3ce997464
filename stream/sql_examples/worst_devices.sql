-- The ten devices of each site that raised the most alerts
SELECT site, place, device_id, raised
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site ORDER BY raised DESC, device_id) AS place
  FROM (
    SELECT site, device_id, COUNT(*) AS raised
    FROM alerts WHERE event = 'FIRED'
    GROUP BY site, device_id
  )
)
WHERE place <= 10;
