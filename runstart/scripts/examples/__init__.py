"""Worked examples of reduction scripts: read them, copy one, change it. They are executed, never imported."""
