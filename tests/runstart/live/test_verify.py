from __future__ import annotations

import io

import h5py
import pytest
from facility_kit import START_NS, raw, run_record, small_instrument

from runstart.events import encode_ev42
from runstart.live import find_contradictions
from runstart.live.accumulation import Accumulation
from runstart.live.head import Frozen
from runstart.live.publish import make_product
from runstart.product import content_digest, nexus_bytes


@pytest.fixture(scope="module")
def published() -> tuple[bytes, str]:
    accumulation = Accumulation(small_instrument(), START_NS)
    for number in range(4):
        payload = encode_ev42("s", number, START_NS, [5, 600_000], detector_id=[10, 99] if number else None)
        accumulation.add(raw(payload, offset=number), None)
    product = make_product(run_record(), accumulation, Frozen(START_NS + 1, "", {}, {}, 0), "run")
    return nexus_bytes(product), content_digest(product.views, product.series, product.ledger)


def edited(data: bytes, path: str, place: object, value: int) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        file[path][place] = value
    return buffer.getvalue()


def test_a_file_as_it_was_published_has_no_contradiction(published: tuple[bytes, str]) -> None:
    assert find_contradictions(*published) == []


@pytest.mark.parametrize(
    ("path", "place", "value"),
    [
        ("entry/tof_spectrum/counts", (0, 3), 9),
        ("entry/event_rate/events_per_second", 0, 1),
        ("entry/ledger/events_counted", (), 5),
        ("entry/ledger/messages_read", (), 5),
    ],
)
def test_a_changed_number_is_a_contradiction(
    published: tuple[bytes, str], path: str, place: object, value: int
) -> None:
    data, digest = published
    with h5py.File(io.BytesIO(data)) as file:
        counts = file[path]
        place = (slice(None),) * (counts.ndim - 1) + (3,) if "counts" in path else place
    assert find_contradictions(edited(data, path, place, value), digest)


def test_another_digest_is_a_contradiction(published: tuple[bytes, str]) -> None:
    assert any("was published" in text for text in find_contradictions(published[0], "0" * 64))


def test_a_file_that_cannot_be_read_is_a_contradiction(published: tuple[bytes, str]) -> None:
    assert len(find_contradictions(published[0][:1000], published[1])) == 1
