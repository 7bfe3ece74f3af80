"""The IOC's process: softioc's records, and a loop that moves them until SIGTERM."""

from __future__ import annotations

import math
import random
import signal
import sys
import threading
import time

UPDATES_PER_SECOND = 5.0


def main() -> None:
    """Serve the PVs whose names begin with the first argument; the second is the length of a ramp in seconds."""
    from softioc import asyncio_dispatcher, builder, softioc  # type: ignore[import-untyped]

    prefix, ramp_seconds = sys.argv[1], float(sys.argv[2])
    builder.SetDeviceName(prefix)
    temperature = builder.aIn(
        "TEMPERATURE", initial_value=295.0, EGU="K", PREC=3, HIGH=305.0, HSV="MINOR", HIHI=310.0, HHSV="MAJOR"
    )
    field = builder.aIn("FIELD", initial_value=1.5, EGU="T", PREC=4)
    rotation = builder.aIn("ROTATION", initial_value=0.0, EGU="deg", PREC=2)
    shutter = builder.mbbIn("SHUTTER", ("CLOSED", "MINOR"), "OPEN", initial_value=1)
    builder.WaveformIn("WAVE", initial_value=[0.0] * 16, EGU="V")
    builder.longStringIn("TEXT", initial_value="a text longer than forty characters, as names of samples are")
    builder.LoadDatabase()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher(), enable_pva=False)
    begun = time.monotonic()
    noise = random.Random(7)  # noqa: S311 - a simulation
    while not ended.wait(1 / UPDATES_PER_SECOND):
        seconds = time.monotonic() - begun
        # Up to 311 K and down again: both alarms are passed.
        height = 1 - abs(2 * (seconds / ramp_seconds % 1) - 1)
        temperature.set(295.0 + 16.0 * height + noise.gauss(0, 0.05))
        rotation.set(seconds * 6.0 % 360.0)
        open_now = int(seconds % 40.0 < 30.0)
        if shutter.get() != open_now:
            shutter.set(open_now)
        if math.floor(seconds * UPDATES_PER_SECOND) % 50 == 0:
            field.set(1.5 + noise.gauss(0, 0.0005))


if __name__ == "__main__":
    main()
