-- What a window's device was part of at the window's end.

ALTER TABLE windows ADD COLUMN asset_id text NOT NULL DEFAULT '';
ALTER TABLE windows ADD COLUMN device_class text NOT NULL DEFAULT '';
ALTER TABLE windows ADD COLUMN iso_group text;
