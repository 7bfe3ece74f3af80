"""A gateway in a process of its own, and its page in a tab of a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from live_page_kit import CHECKOUT
from waiting import wait_until

from runstart.facility.processes import free_port
from runstart.storage import FileStore

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page


class LiveGateway:
    """A gateway in a process of its own, on a port that stays when it is started again."""

    def __init__(self, folder: Path, store: FileStore, **environ: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._environ = {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RUNSTART_OBJECT_STORE": f"file:{store.root}",
            "RUNSTART_DAGSTER_URL": f"http://127.0.0.1:{free_port()}",
            "RUNSTART_GATEWAY_OPEN_READING": "1",
            **{
                name: str(CHECKOUT / f"{name[9:].lower()}.toml")
                for name in ("RUNSTART_INSTRUMENTS", "RUNSTART_SITES")
            },
            **environ,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with (self._folder / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "--port", str(self.port)],
                cwd=self._folder,
                env={**os.environ, **self._environ},
                stderr=log,
                stdout=log,
            )
        wait_until(self._answers, "the gateway")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "gateway.log").read_text()
        try:
            return httpx.get(f"{self.url}/health", trust_env=False).is_success
        except httpx.HTTPError:
            return False


class Seen:
    """A tab, and what went wrong in it."""

    def __init__(self, context: BrowserContext, url: str, path: str = "") -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(30_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._take)
        self.page.goto(f"{url}/{path}")

    def figure(self, name: str) -> Locator:
        figures = self.page.locator(".figure")
        return figures.filter(has=self.page.get_by_text(name, exact=True)).locator("dd")

    def pixels(self, label: str) -> str:
        """Return a digest of what is painted in a chart, and how many colours it has."""
        canvas = self.page.locator(f"canvas[aria-label^='{label}']").first
        painted: str = canvas.evaluate(
            """canvas => {
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              const colours = new Set();
              let sum = 0;
              for (let at = 0; at < data.length; at += 4) {
                const colour = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
                colours.add(colour);
                sum = (sum * 31 + colour) % 1000000007;
              }
              return `${colours.size} ${sum}`;
            }"""
        )
        return painted

    def _take(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)
