"""The contracts every part keeps: Avro schemas, records, codec, registry client, topic names."""
