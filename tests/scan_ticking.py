"""Ticks of the sensors of scans, as the daemon evaluates them: partitions are added, and the cursor is kept."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from scan_house import NAME, ScanHouse


class Ticks:
    """One sensor of a house."""

    def __init__(self, house: ScanHouse, sensor: dg.SensorDefinition) -> None:
        self.house = house
        self.sensor = sensor
        self.cursor: str | None = None

    def tick(self, *, is_kept: bool = True) -> SensorExecutionData:
        """Evaluate the sensor; a tick that is not kept is one that was killed before its end."""
        defs = self.house.definitions
        with dg.build_sensor_context(
            self.house.instance,
            self.cursor,
            repository_def=defs.get_repository_def(),
            resources=defs.resources,
            instance_ref=self.house.instance.get_ref(),
        ) as context:
            data = self.sensor.evaluate_tick(context)
        if is_kept:
            self.cursor = data.cursor
            for request in data.dynamic_partitions_requests or ():
                self.house.instance.add_dynamic_partitions(
                    request.partitions_def_name, list(request.partition_keys)
                )
        return data

    @property
    def known(self) -> list[str]:
        """Partitions that there are."""
        return list(self.house.instance.get_dynamic_partitions(f"scans_{NAME}"))


def requests_of(data: SensorExecutionData) -> list[dg.RunRequest]:
    return list(data.run_requests or ())
