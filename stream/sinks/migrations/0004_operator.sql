-- What people have said of an alert.

ALTER TABLE alerts ADD COLUMN acked_at timestamptz;
ALTER TABLE alerts ADD COLUMN acked_by text;
ALTER TABLE alerts ADD COLUMN shelved_until timestamptz;
