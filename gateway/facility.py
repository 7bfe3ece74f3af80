"""What the facility declares, as the gateway needs it: read once, when it starts, from the files that Dagster reads too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runstart.alerts import AlertsConfiguration, read_alerts
from runstart.instruments import read_instruments
from runstart.microscopes import find_microscopes_file, read_microscopes
from runstart.nights import read_sites
from runstart.pipelines import find_pipelines
from runstart.specifications import operators_folders

if TYPE_CHECKING:
    from runstart.fits import InputFiles
    from runstart.instruments import Instrument
    from runstart.microscopes import Microscope
    from runstart.nights import Site
    from runstart.storage import ObjectStore

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Facility:
    """What is declared.

    Attributes
    ----------
    instruments, microscopes, sites : mapping
        By name.
    alerts : AlertsConfiguration
        Limits of what is wrong; the usual ones where no file says others.
    pipelines : mapping of str to Path
        Files of pipelines of operators, by name.
    environ : mapping of str to str
        Where FITS images are found, as `resources/data_operations.py` reads it.
    sites_file : Path or None
        Declares the sites, whose exposures are found too.
    """

    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    microscopes: Mapping[str, Microscope] = field(default_factory=dict)
    sites: Mapping[str, Site] = field(default_factory=dict)
    alerts: AlertsConfiguration = field(default_factory=AlertsConfiguration)
    pipelines: Mapping[str, Path] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    sites_file: Path | None = None

    def open_inputs(self, store: ObjectStore) -> InputFiles:
        """Return where FITS images are found: in the store, the archive, declared folders, and at the sites.

        Parameters
        ----------
        store : ObjectStore
            Its outputs are the source `store`.

        Raises
        ------
        Alert
            If a setting does not have its form.
        """
        from runstart.nights import add_sites
        from runstart.operation_kit import open_workplace

        workplace = open_workplace(store, self.environ)
        if self.sites_file is not None:
            add_sites(workplace, self.sites_file, self.environ)
        return workplace.inputs


def read_facility(environ: Mapping[str, str], folder: Path = CHECKOUT) -> Facility:
    """Return what the facility declares.

    Parameters
    ----------
    environ : mapping of str to str
        RUNSTART_INSTRUMENTS, RUNSTART_MICROSCOPES, RUNSTART_SITES, RUNSTART_ALERTS and RUNSTART_OPERATORS, as
        `definitions.py` reads them.
    folder : Path, optional
        Where files are that the environment does not name.

    Raises
    ------
    Alert
        If a file is wrong.
    """
    instruments = read_instruments(_file(environ, "RUNSTART_INSTRUMENTS", folder / "instruments.toml"), environ)
    microscopes_file = find_microscopes_file(environ, folder)
    alerts_file = _file(environ, "RUNSTART_ALERTS", folder / "alerts.toml")
    sites_file = _file(environ, "RUNSTART_SITES", folder / "sites.toml")
    return Facility(
        instruments=instruments.instruments,
        microscopes={} if microscopes_file is None else read_microscopes(microscopes_file, environ),
        sites=read_sites(sites_file, environ),
        alerts=read_alerts(alerts_file, instruments.instruments)
        if alerts_file.is_file()
        else AlertsConfiguration(),
        pipelines=find_pipelines(operators_folders(environ, folder / "operators")),
        environ=dict(environ),
        sites_file=sites_file,
    )


def _file(environ: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    return Path(environ.get(variable) or otherwise)
