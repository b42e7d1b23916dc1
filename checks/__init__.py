"""The checks: one topic, one file."""
