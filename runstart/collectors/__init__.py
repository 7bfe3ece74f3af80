"""Collectors of time-series logs."""
