"""Preloaded by the fork server of `run_worker`: loads the compiled kernels before the first fork."""

from run_worker import warm_up

warm_up()
