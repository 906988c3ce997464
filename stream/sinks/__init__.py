"""Databases that windows, alerts and devices are written to."""
