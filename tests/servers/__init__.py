"""Real servers that tests start on loopback, one file for each program."""
