"""Checks of what answers on the network."""
