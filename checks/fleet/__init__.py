"""Checks across hosts (principle 8): twins, one clock, inventory against reality."""
