"""`python -m gateway`: the same as `runstart gateway`."""

from runstart.cli.gateway import gateway_app

gateway_app(prog_name="python -m gateway")
