"""Options that several commands share."""

from __future__ import annotations

import difflib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runstart.errors import Alert

if TYPE_CHECKING:
    from runstart.instruments import Access, Instrument

DEFAULT_INSTRUMENTS_FILE = Path("instruments.toml")


class Format(StrEnum):
    """Schemas of event messages."""

    EV42 = "ev42"
    EV44 = "ev44"


InstrumentsFile = Annotated[
    Path, typer.Option("--instruments", metavar="FILE", help="The file that declares the instruments.")
]
BootstrapServers = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The Kafka cluster; by default the instrument's in the instruments file, or RUNSTART_KAFKA.",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="Schema of the event messages.")]
Partitions = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Partitions of the event topic if it has to be made; by default 1.",
        show_default=False,
    ),
]


def find_instrument(file: Path, name: str, bootstrap_servers: str | None) -> tuple[Instrument, str, Access]:
    """Return an instrument, the address of its Kafka cluster, and how that is entered, wherever it is.

    Raises
    ------
    Alert
        The file or the address is wrong, or the file does not declare the instrument.
    """
    from pydantic import ValidationError

    from runstart.instruments import KafkaCluster, read_instruments

    if bootstrap_servers is not None:
        try:
            KafkaCluster(name="asked", bootstrap_servers=bootstrap_servers)
        except ValidationError as error:
            remedy = "Write it like localhost:9092, several with commas between."
            raise Alert(f"--bootstrap-servers {bootstrap_servers!r} is not host:port.", remedy) from error
    facility = read_instruments(file)
    if name not in facility.instruments:
        known = sorted(facility.instruments)
        upper = {known_name.upper(): known_name for known_name in known}
        nearest = difflib.get_close_matches(name.upper(), upper, n=1)
        remedy = f"Did you mean {upper[nearest[0]]}?" if nearest else f"It declares {', '.join(known) or 'none'}."
        raise Alert(f"{file} declares no instrument {name!r}.", remedy)
    instrument = facility.instruments[name]
    cluster = facility.clusters[instrument.kafka]
    return instrument, bootstrap_servers or cluster.bootstrap_servers, cluster.access
