-- Which alerts went on and off so often that nobody can follow: three changes within a minute
SELECT fingerprint, site, emitted_at, changes
FROM (
  SELECT fingerprint, site, emitted_at, COUNT(*) OVER (
      PARTITION BY fingerprint ORDER BY rt
      RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW) AS changes
  FROM alerts
  WHERE event IN ('FIRED', 'NO_DATA', 'RESOLVED')
)
WHERE changes >= 3;
