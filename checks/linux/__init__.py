"""Checks of what a Linux host says of itself."""
