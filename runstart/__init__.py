"""Runstart: the science and the protocols of a facility's data operations, free of Dagster."""

__version__ = "0.1.0"
