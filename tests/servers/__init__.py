"""Real servers on loopback, and the authority whose certificates they show."""
