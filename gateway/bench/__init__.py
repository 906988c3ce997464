"""The edge benchmark: what a reading costs from MQTT to Kafka."""
