"""The tags by which the run queue knows live runs from batch work."""

KIND_TAG = "runstart/kind"
LIVE, BATCH = "live", "batch"
