-- What the topics windows, alerts and devices hold, one row for each key. Column names are those
-- of the Avro contracts; times are UTC.

CREATE TABLE windows (
  device_id text NOT NULL,
  metric text NOT NULL,
  site text NOT NULL,
  window_start timestamptz NOT NULL,
  window_end timestamptz NOT NULL,
  count bigint NOT NULL,
  min double precision NOT NULL,
  max double precision NOT NULL,
  mean double precision NOT NULL,
  stddev double precision NOT NULL,
  rms double precision NOT NULL,
  first double precision NOT NULL,
  last double precision NOT NULL,
  slope double precision NOT NULL,
  PRIMARY KEY (device_id, metric, window_start, window_end)
);
CREATE INDEX windows_by_end ON windows USING brin (window_end);

-- Each transition of an alert is a row; `seq` counts them.
CREATE TABLE alerts (
  alert_id text NOT NULL,
  fingerprint text NOT NULL,
  seq integer NOT NULL,
  rule text NOT NULL,
  rule_version integer NOT NULL,
  category text NOT NULL,
  event text NOT NULL,
  state text NOT NULL,
  prev_state text,
  severity text NOT NULL,
  prev_severity text,
  asset_id text NOT NULL,
  device_id text NOT NULL,
  site text NOT NULL,
  metric text NOT NULL,
  unit text,
  value double precision NOT NULL,
  threshold_enter double precision NOT NULL,
  threshold_exit double precision NOT NULL,
  comparator text NOT NULL,
  score double precision,
  baseline_mean double precision,
  baseline_std double precision,
  sample_count bigint NOT NULL,
  peak_value double precision NOT NULL,
  window_start timestamptz NOT NULL,
  window_end timestamptz NOT NULL,
  condition_since timestamptz NOT NULL,
  starts_at timestamptz NOT NULL,
  ends_at timestamptz,
  last_true_at timestamptz NOT NULL,
  emitted_at timestamptz NOT NULL,
  clock text NOT NULL,
  late boolean NOT NULL,
  first_out boolean NOT NULL,
  resolve_reason text,
  labels jsonb NOT NULL,
  annotations jsonb NOT NULL,
  PRIMARY KEY (alert_id, seq, event)
);
CREATE INDEX alerts_by_time ON alerts (starts_at);
CREATE INDEX alerts_by_device ON alerts (device_id, starts_at);

CREATE VIEW alerts_latest AS
  SELECT DISTINCT ON (alert_id) * FROM alerts ORDER BY alert_id, emitted_at DESC, seq DESC;

-- What was known of a device from `valid_from` on.
CREATE TABLE devices (
  device_id text NOT NULL,
  asset_id text NOT NULL,
  site text NOT NULL,
  device_class text NOT NULL,
  interval_ms bigint,
  iso_group text,
  own_clock_metrics jsonb NOT NULL,
  valid_from timestamptz NOT NULL,
  labels jsonb NOT NULL,
  PRIMARY KEY (device_id, valid_from)
);

CREATE VIEW devices_latest AS
  SELECT DISTINCT ON (device_id) * FROM devices ORDER BY device_id, valid_from DESC;
