"""What a machine has, what is left of it, and how sessions share it out."""

from runstart.host.gpus import Gpu
from runstart.host.processes import is_alive
from runstart.host.reservations import Held, Reservation, Reservations
from runstart.host.resources import Demand, HostResources, measure_host, size_text

__all__ = [
    "Demand",
    "Gpu",
    "Held",
    "HostResources",
    "Reservation",
    "Reservations",
    "is_alive",
    "measure_host",
    "size_text",
]
