"""The Flink jobs: what is wired to what. Only this package imports PyFlink."""
