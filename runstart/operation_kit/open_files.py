"""How many files this process may have open: each input file that came through the file cache is one, while it is used.

The limit is raised by itself as far as the system lets this user raise it.
"""

from __future__ import annotations

import resource

from runstart.errors import Alert

OWN_FILES = 128  # that are open beside the inputs: libraries, the store, sockets
MOST_FILES = 2**16  # more is never asked for


def make_room(n_files: int) -> None:
    """Let this process have a number of input files open at once.

    Parameters
    ----------
    n_files : int
        The input files that are held open.

    Raises
    ------
    Alert
        If the system does not let it have so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if n_files and soft != resource.RLIM_INFINITY and n_files + OWN_FILES > soft:
        raise Alert(
            f"{n_files} files from elsewhere cannot be open at once: this process may open {soft}.",
            f"Raise its limit of open files to {n_files + OWN_FILES} (`ulimit -Hn`), or give fewer files.",
        )
