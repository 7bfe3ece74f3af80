"""Where this machine's pip finds packages and whom it trusts, for a pip that is run elsewhere.

What is on the machine stays there: no address of an index is in the repository, nor in an image that is built from it.
"""

from __future__ import annotations

import ast
import configparser
import io
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from runstart.errors import Alert

__all__ = ["PipSettings", "read_pip_settings"]

# What says where packages are, and how patient to be; the rest is the other pip's own business.
_HANDED_ON = (
    "index-url",
    "extra-index-url",
    "no-index",
    "find-links",
    "trusted-host",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
)
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@dataclass(frozen=True)
class PipSettings:
    """Settings of pip.

    Attributes
    ----------
    text : str
        As in a file pip.conf.
    certificates : Path or None
        Of the authorities that are trusted; None if pip's own are.
    """

    text: str
    certificates: Path | None


def read_pip_settings(certificates_at: str) -> PipSettings:
    """Return the settings of this machine's pip, from its files and from the environment.

    Parameters
    ----------
    certificates_at : str
        Path at which the other pip will find the certificates, if there are any.

    Raises
    ------
    Alert
        If pip cannot say them, or the file of certificates that they name is missing.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Alert(f"pip does not say how it is set up:\n{done.stderr[-2000:]}", "Mend its configuration.")
    return _choose(done.stdout, certificates_at)


def _choose(listed: str, certificates_at: str) -> PipSettings:
    sections: dict[str, dict[str, str]] = defaultdict(dict)
    certificates = next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), None)
    # The environment has the last word, as it has with pip: over all sections of files.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        section = "install" if section == ":env:" else section
        if option == "cert":
            certificates = ast.literal_eval(value)
        elif option in _HANDED_ON:
            sections[section][option] = ast.literal_eval(value)
    if certificates is not None:
        if not Path(certificates).is_file():
            raise Alert(f"pip's certificates, {certificates}, are missing.", "Mend pip's setting `cert`.")
        sections["global"]["cert"] = certificates_at
    return PipSettings(_write(sections), None if certificates is None else Path(certificates))


def _write(sections: dict[str, dict[str, str]]) -> str:
    parser = configparser.RawConfigParser()
    parser.read_dict(sections)
    written = io.StringIO()
    parser.write(written)
    return written.getvalue()
