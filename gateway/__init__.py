"""The edge daemon: MQTT readings in, made durable, and on to Kafka as Avro."""
