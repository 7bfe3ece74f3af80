from __future__ import annotations

from facility_fixtures import facility, instrument, new_name, store_place

__all__ = ["facility", "instrument", "new_name", "store_place"]
