"""The connection to a container engine, and what its errors mean here.

A connection that fails is `EngineUnreachable`; an engine that fails at what it was asked is a `Transient`, one that
refuses it an `Alert`. That something is not there stays the SDK's own error: it means something else at each call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runstart.errors import Alert, Transient
from runstart.launchers._image_names import LOCAL, read_image_name
from runstart.launchers.failures import EngineUnreachable, ImageNotFound, PullFailed

if TYPE_CHECKING:
    from docker import APIClient

_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_ANSWER_S = 60
_GATEWAY_ERRORS = {502, 503, 504}
_NOT_THERE = re.compile(
    r"not found|unknown|denied|unauthorized|forbidden|does not exist|no such image|authentication required",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"no such host|no route|unreachable|refused|timeout|timed out|temporary failure", re.IGNORECASE
)


class EngineRefused(Alert):
    """The engine does not do what it was asked."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The container engine refuses: {said}")
        self.said = said


class EngineFailed(Transient):
    """The engine could not do what it was asked."""

    def __init__(self, said: str) -> None:
        super().__init__(f"The container engine failed: {said}")
        self.said = said


class Engine:
    """A container engine; it is asked for the first time at the first need.

    Parameters
    ----------
    environ : mapping of str to str
        `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, as every client of Docker reads them.

    Raises
    ------
    Alert
        These do not have their form.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env, parse_host

        variables = {name: environ.get(name, "") for name in _VARIABLES}
        try:
            self._arguments = kwargs_from_env(variables)
            whole: str = parse_host(self._arguments.get("base_url"), tls=bool(self._arguments.get("tls")))
        except DockerException as problem:
            given = " ".join(f"{name}={value}" for name, value in variables.items() if value)
            raise Alert(
                f"The container engine's address cannot be used ({given}): {problem}",
                "Set DOCKER_HOST to one like unix:///run/podman/podman.sock.",
            ) from None
        self.url = variables["DOCKER_HOST"] or whole.removeprefix("http+")
        self._client: APIClient | None = None

    @contextmanager
    def asked(self) -> Iterator[APIClient]:
        """Lend the SDK's client; its errors become ours, but for `docker.errors.NotFound`.

        Raises
        ------
        EngineUnreachable, EngineFailed, EngineRefused
            See this module.
        """
        from docker.errors import APIError, DockerException, NotFound
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield self._connect()
        except NotFound:
            raise
        except APIError as problem:
            said = str(problem.explanation or problem)
            if problem.status_code in _GATEWAY_ERRORS:
                raise EngineUnreachable(self.url, said) from problem
            raise (EngineRefused(said) if problem.is_client_error() else EngineFailed(said)) from problem
        except (DockerException, RequestException, HTTPError) as problem:
            raise EngineUnreachable(self.url, _cause(problem)) from problem

    def pull(self, image: str, reference: str) -> None:
        """Pull an image.

        Parameters
        ----------
        image : str
            Its name as it was given, for errors.
        reference : str
            Its name for the engine.

        Raises
        ------
        ImageNotFound
            It does not exist, or may not be pulled by this user.
        PullFailed
            The registry does not answer, or the like.
        EngineUnreachable
            The engine does not answer.
        """
        from docker.errors import NotFound

        name = read_image_name(reference)
        if name.registry == LOCAL:
            raise ImageNotFound(
                image, "it was not built here, and names that begin with localhost are never pulled"
            )
        try:
            with self.asked() as client:
                said = [
                    step["error"] for step in client.pull(str(name), stream=True, decode=True) if "error" in step
                ]
        except NotFound as problem:
            raise ImageNotFound(image, str(problem.explanation)) from problem
        except (EngineRefused, EngineFailed) as problem:
            said = [problem.said]
        if said:
            raise (ImageNotFound if _is_nowhere(said[-1]) else PullFailed)(image, said[-1])

    def kill(self, container: str) -> bool:
        """Kill a container, and return whether it still ran."""
        return self.signal(container, "SIGKILL")

    def signal(self, container: str, name: str) -> bool:
        """Send a signal to a container's first process, and return whether it still ran."""
        from docker.errors import NotFound

        try:
            with self.asked() as client:
                client.kill(container, name)
        except NotFound:
            return False
        except (EngineRefused, EngineFailed):
            if self._is_running(container):
                raise
            return False
        return True

    def remove(self, container: str) -> None:
        """Kill a container if it runs, and remove it with its output; nothing if it is gone."""
        from docker.errors import NotFound

        # Podman would give it seconds to end by itself.
        self.kill(container)
        try:
            with self.asked() as client:
                client.remove_container(container, force=True, v=True)
        except NotFound:
            pass
        except EngineRefused as problem:
            # Docker refuses what another process is removing just now.
            raise EngineFailed(problem.said) from problem

    def _is_running(self, container: str) -> bool:
        from docker.errors import NotFound

        try:
            with self.asked() as client:
                return bool(client.inspect_container(container)["State"]["Running"])
        except NotFound:
            return False

    def _connect(self) -> APIClient:
        if self._client is None:
            from docker import APIClient

            self._client = APIClient(**self._arguments, version="auto", timeout=_ANSWER_S)
        return self._client


def _is_nowhere(said: str) -> bool:
    return _NOT_THERE.search(said) is not None and _UNREACHABLE.search(said) is None


def _cause(problem: BaseException) -> str:
    """Return what the system said at the bottom of an error, or the error's own text."""
    seen: BaseException | None = problem
    said = str(problem)
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            said = seen.strerror
        seen = seen.__cause__ or seen.__context__
    return said
