"""The local stack: the servers of production on one machine, without Docker."""
