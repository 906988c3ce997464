-- Roll-ups and runs of machines are rows of `windows`, too; a run stands beside a window of the same
-- bounds.

ALTER TABLE windows ADD COLUMN session text NOT NULL DEFAULT '';
ALTER TABLE windows DROP CONSTRAINT windows_pkey;
ALTER TABLE windows ADD PRIMARY KEY (device_id, metric, window_start, window_end, session);

-- Windows that stand at whole multiples of their own length, a day's in UTC. A rule's window that
-- stands where a roll-up would is the same row. One that a backfill took back holds nothing.
CREATE VIEW rollups AS
  SELECT device_id, metric, site, window_end - window_start AS size, window_start, window_end,
    count, min, max, mean, stddev, rms, first, last, slope
  FROM windows
  WHERE session = '' AND count > 0
    AND window_end - window_start IN
      ('1 minute', '5 minutes', '15 minutes', '1 hour', '1 day')
    AND date_bin(window_end - window_start, window_start, TIMESTAMPTZ '1970-01-01 00:00+00')
      = window_start;

CREATE VIEW sessions AS
  SELECT session, device_id, metric, site, window_start, window_end,
    count, min, max, mean, stddev, rms, first, last, slope
  FROM windows WHERE session <> '';

-- Hours and days are what dashboards ask for, among many more windows.
CREATE INDEX windows_rolled_up ON windows (metric, window_start)
  WHERE session = '' AND window_end - window_start IN ('1 hour', '1 day');
CREATE INDEX windows_sessions ON windows (session, device_id, window_start) WHERE session <> '';
