"""Puts a gateway together from the environment, and serves it until it is told to end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.app import make_app
from gateway.dagster_client import DagsterClient
from gateway.facility import read_facility
from gateway.oidc import EitherTokens, OidcTokens
from gateway.settings import GatewaySettings
from gateway.tokens import TokenBook, TokenReader
from runstart.compute import read_environments
from runstart.storage import ObjectStore

if TYPE_CHECKING:
    from types import FrameType

    import uvicorn
    from fastapi import FastAPI

__all__ = ["app_from_environment", "make_server", "serve"]

_KEEP_ALIVE_S = 30
_LAST_REQUESTS_S = 10


def app_from_environment(environ: Mapping[str, str], store: ObjectStore) -> FastAPI:
    """Return the gateway that the environment describes.

    Parameters
    ----------
    environ : mapping of str to str
        As `GatewaySettings.from_environment`, `read_environments` and `read_facility` take it; `compute.toml` is
        looked for in the current folder.
    store : ObjectStore
        Keeps everything.

    Raises
    ------
    Alert
        A variable or compute.toml does not have its form.
    """
    settings = GatewaySettings.from_environment(environ)
    dagster = DagsterClient(settings.dagster_url, settings.dagster_location, settings.dagster_timeout_s)
    return make_app(
        settings,
        store,
        dagster,
        read_environments(environ, Path.cwd()),
        _open_tokens(settings, store),
        facility=read_facility(environ),
    )


def serve(app: FastAPI, address: str, port: int, proxies: str = "") -> None:
    """Serve an app until SIGINT or SIGTERM.

    Parameters
    ----------
    app : FastAPI
        The app.
    address : str
        Where to listen, such as `127.0.0.1`.
    port : int
        TCP port; 0 takes a free one, which the log names.
    proxies : str, optional
        Addresses of proxies, separated by commas, whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # It would log each question to Dagster.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # uvicorn raises Ctrl-C again once it has ended in order.
    with contextlib.suppress(KeyboardInterrupt):
        make_server(app, address, port, proxies).run()


def make_server(app: FastAPI, address: str, port: int, proxies: str = "") -> uvicorn.Server:
    """Return the server of an app, which does not serve yet; see `serve`."""
    import uvicorn

    config = uvicorn.Config(
        app,
        host=address,
        port=port,
        log_config=None,
        access_log=False,  # uvicorn's has queries, and in them signatures
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies or None,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
    )

    class Server(uvicorn.Server):
        """Ends the streams of pages when it is told to end: they would go on for ever."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.watching.feed.end()
            super().handle_exit(sig, frame)

    return Server(config)


def _open_tokens(settings: GatewaySettings, store: ObjectStore) -> TokenReader:
    book = TokenBook(store)
    if not settings.oidc_issuer:
        return book
    issued = OidcTokens(settings.oidc_issuer, settings.oidc_audience, settings.oidc_user)
    return EitherTokens(book, issued)
