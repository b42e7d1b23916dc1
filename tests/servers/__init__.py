"""Real servers on loopback, one file per program."""
