"""The commands of ``tidegate gateway`` that are more than a few lines."""
