"""Asks Dagster's webserver, by GraphQL over HTTP, whether the code is loaded and the daemons are well.

No answer is an answer: a webserver that does not listen yet has loaded nothing.
"""

from __future__ import annotations

import http.client
import json
from typing import Any

_TIMEOUT_S = 5.0

_LOCATION = """
query Location($name: String!) {
  workspaceLocationEntryOrError(name: $name) {
    __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename } }
  }
}
"""
_DAEMONS = """
{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }
"""


class NoAnswer(Exception):
    """The webserver does not answer, or not with what was asked for."""


class Webserver:
    """A Dagster webserver on loopback.

    Parameters
    ----------
    port : int
        Its TCP port.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the data that a GraphQL query asks for.

        Raises
        ------
        NoAnswer
            If the webserver does not answer, or finds fault with the query.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        body = json.dumps({"query": query, "variables": variables})
        try:
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NoAnswer(f"The webserver did not answer: {error!r}") from error
        finally:
            connection.close()
        if answer.get("errors"):
            raise NoAnswer(f"The webserver did not understand: {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data

    def has_loaded(self, location: str) -> bool:
        """Tell whether a code location is loaded.

        Parameters
        ----------
        location : str
            Its name.
        """
        try:
            entry = self.ask(_LOCATION, name=location)["workspaceLocationEntryOrError"] or {}
        except NoAnswer:
            return False
        return bool((entry.get("locationOrLoadError") or {}).get("__typename") == "RepositoryLocation")

    def daemons_are_well(self) -> bool:
        """Tell whether every daemon that the instance needs has reported that it is well."""
        try:
            statuses = self.ask(_DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        except NoAnswer:
            return False
        return bool(statuses) and all(status["healthy"] for status in statuses if status["required"])
