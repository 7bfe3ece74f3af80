"""Tables and series that a live run accumulates from its events."""

from runstart.views.series import CHARGE_QUANTUM_UAH, MAX_SECONDS, Series
from runstart.views.views import Tally, Views, warm_up

__all__ = ["CHARGE_QUANTUM_UAH", "MAX_SECONDS", "Series", "Tally", "Views", "warm_up"]
