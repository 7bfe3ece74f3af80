"""Benchmarks against peers, both measured in one run: `python -m bench NAME`."""
