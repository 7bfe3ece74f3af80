"""Makes the modules in `runstart/schemas/generated` anew from the `.fbs` files beside this one.

Run `python -m runstart.schemas.regenerate` after editing a schema. The compiler writes to a temporary
folder first, because it would also empty the `__init__.py` of every package on the way to the modules.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from runstart.errors import Alert

__all__ = ["main", "regenerate_modules"]

_SCHEMAS = Path(__file__).parent
_NAMESPACE = Path("runstart", "schemas", "generated")


def regenerate_modules(destination: Path = _SCHEMAS / "generated") -> list[Path]:
    """Write one Python module for each table, union and enum of the schemas.

    Parameters
    ----------
    destination : Path
        Folder that holds exactly the generated modules afterwards; what was in it is removed.

    Returns
    -------
    list of Path
        The modules written, sorted.

    Raises
    ------
    Alert
        If the FlatBuffers compiler is not installed, or refuses a schema.
    """
    compiler = shutil.which("flatc")
    if compiler is None:
        raise Alert(
            "The FlatBuffers compiler `flatc` was not found on the PATH.",
            "Install it (Debian and Ubuntu: the package flatbuffers-compiler; version 2.0.8 or later).",
        )
    schemas = sorted(str(path) for path in _SCHEMAS.glob("*.fbs"))
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "--python", "-I", str(_SCHEMAS), "-o", folder, *schemas]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Alert(f"flatc refused the schemas: {result.stdout}{result.stderr}", "Mend the .fbs file.")
        if destination.exists():
            shutil.rmtree(destination)
        shutil.copytree(Path(folder) / _NAMESPACE, destination)
    return sorted(destination.glob("*.py"))


def main() -> int:
    """Regenerate the modules in place and name them; return the process's exit code."""
    try:
        modules = regenerate_modules()
    except Alert as alert:
        sys.stderr.write(f"{alert}\n")
        return 1
    sys.stdout.write("".join(f"{module.name}\n" for module in modules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
