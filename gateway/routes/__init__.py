"""The routes, one file a subject; each file's `router` is listed here."""

from gateway.routes import (
    analysis,
    data_sessions,
    instruments,
    nights,
    ocean,
    ocean_admin,
    operations,
    page,
    pipelines,
    probe_sessions,
    root,
    scans,
)

ROUTERS = (
    root.router,
    ocean.router,
    ocean_admin.router,
    data_sessions.router,
    operations.router,
    analysis.router,
    probe_sessions.router,
    instruments.router,
    scans.router,
    nights.router,
    pipelines.router,
    page.router,
)
