"""Stand-ins for sensors: replayed series and a seeded fleet of pumps, published over MQTT 5."""
