"""The data operations: one file each, found by being here."""
