-- A job that keeps an hourly roll-up of all readings as Parquet beside the lake
CREATE TABLE hourly (
  hour_start TIMESTAMP(3), device_id STRING, metric STRING, n BIGINT, mean DOUBLE, dt STRING
) PARTITIONED BY (dt) WITH (
  'connector' = 'filesystem', 'format' = 'parquet', 'path' = '${LAKE_URI}/hourly'
);

-- A reading that comes after its hour has closed is left out: choose --delay accordingly.
INSERT INTO hourly
SELECT window_start, device_id, metric, COUNT(*), AVG(`value`),
  DATE_FORMAT(window_start, 'yyyy-MM-dd')
FROM TUMBLE(TABLE readings, DESCRIPTOR(rt), INTERVAL '1' HOUR)
WHERE kind = 'READING' AND quality <> 'BAD'
GROUP BY window_start, window_end, device_id, metric;
