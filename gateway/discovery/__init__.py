"""What a broker carries, and the configuration that would take it: ``gateway discover``."""
