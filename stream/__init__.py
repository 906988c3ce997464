"""Stream jobs: panes, sliding windows, rules and alerts, and the Parquet lake."""
