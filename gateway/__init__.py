"""The HTTP API in front of Dagster and the object store: its own process, of which any number may serve together.

It holds no state in memory that matters: nonces, tokens, the audit log and who may read what lie in the object store
under conditional puts. It speaks to Dagster by GraphQL over HTTP only.
"""

from gateway.app import make_app
from gateway.dagster_client import DagsterClient
from gateway.settings import GatewaySettings

__all__ = ["DagsterClient", "GatewaySettings", "make_app"]
