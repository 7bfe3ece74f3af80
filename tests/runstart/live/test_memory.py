from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runstart.live.memory import MessageMemory, Verdict

START = 1_700_000_000 * 10**9
BUCKET = 2**33
Key = tuple[str, int, int]

messages = st.tuples(
    st.sampled_from(["a", "b", "µ\0"]),
    st.one_of(st.integers(0, 12), st.integers(2**63 - 3, 2**63 + 3), st.integers(2**64 - 3, 2**64 - 1)),
    st.integers(-3, 20).map(lambda n: START + n * BUCKET // 2),
)


def signed(message_id: int) -> int:
    return message_id - 2**64 if message_id >= 2**63 else message_id


def expected_gaps(keys: set[Key], stop: int | None = None) -> tuple[int, int]:
    missing = restarts = 0
    for source in {source for source, _, _ in keys}:
        places = sorted((pulse, signed(message_id)) for name, message_id, pulse in keys if name == source)
        for before, after in pairwise(places):
            if not any(pulse >= START and (stop is None or pulse < stop) for pulse, _ in (before, after)):
                continue
            step = (after[1] - before[1]) % 2**64
            if 1 <= step <= 1_000_000:
                missing += step - 1
            else:
                restarts += 1
    return missing, restarts


@given(st.lists(messages, max_size=60), st.randoms(use_true_random=False))
def test_what_is_new_and_what_is_missing_does_not_depend_on_the_order_of_arrival(seen: list[Key], random) -> None:
    random.shuffle(seen)
    memory = MessageMemory(START)
    verdicts = [memory.see(*key) for key in seen]
    assert verdicts.count(Verdict.NEW) == len(set(seen))
    assert Verdict.UNJUDGED not in verdicts
    assert memory.gaps() == expected_gaps(set(seen))


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 3)), min_size=1, max_size=80),
    st.lists(st.integers(0, 79), max_size=20),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_forgetting_changes_nothing_for_messages_that_are_less_late_than_the_memory_is_long(
    steps: list[tuple[str, int]], copied: list[int], window: int, random
) -> None:
    ids = {"a": 0, "b": 2**63 - 2}
    keys = []
    for number, (source, step) in enumerate(steps):
        ids[source] = (ids[source] + step) % 2**64 if step else 5  # a step of 0 is a source that numbers anew
        keys.append((source, ids[source], START + number * BUCKET // 2))
    positions = [*range(len(keys)), *(n for n in copied if n < len(keys))]
    arrival = [keys[n] for n in sorted(positions, key=lambda n: (n // window, random.random()))]
    memory = MessageMemory(START, capacity=3 * window + 4)
    verdicts = [memory.see(*key) for key in arrival]
    assert verdicts.count(Verdict.NEW) == len(set(keys))
    assert verdicts.count(Verdict.DUPLICATE) == len(arrival) - len(set(keys))
    assert memory.gaps() == expected_gaps(set(keys))


@given(st.lists(messages, max_size=60), st.integers(1, 20))
def test_a_message_that_was_never_seen_is_never_called_a_duplicate(seen: list[Key], capacity: int) -> None:
    memory = MessageMemory(START, capacity)
    known: set[Key] = set()
    for key in seen:
        verdict = memory.see(*key)
        assert verdict is not Verdict.DUPLICATE or key in known
        known.add(key)


@given(st.lists(messages, max_size=60), st.integers(0, 60), st.integers(1, 70))
def test_a_stored_memory_goes_on_as_if_it_had_never_stopped(seen: list[Key], cut: int, capacity: int) -> None:
    whole, first = MessageMemory(START, capacity), MessageMemory(START, capacity)
    for key in seen[:cut]:
        assert whole.see(*key) == first.see(*key)
        assert whole.raise_charge(key[2], key[1] % 7) == first.raise_charge(key[2], key[1] % 7)
    second = MessageMemory(START, capacity)
    second.load(first.arrays())
    for key in seen[cut:]:
        assert whole.see(*key) == second.see(*key)
        assert whole.raise_charge(key[2], key[1] % 7) == second.raise_charge(key[2], key[1] % 7)
    assert whole.gaps() == second.gaps()
    assert {n: a.tolist() for n, a in whole.arrays().items()} == {n: a.tolist() for n, a in second.arrays().items()}


@given(st.lists(messages, max_size=60), st.integers(-2, 20))
def test_gaps_wholly_past_the_stop_do_not_count_whenever_the_stop_becomes_known(
    seen: list[Key], after: int
) -> None:
    stop = START + after * BUCKET // 2
    before, late = MessageMemory(START), MessageMemory(START)
    before.stop_at(stop)
    for key in seen:
        before.see(*key)
        late.see(*key)
    late.gaps()
    late.stop_at(stop)
    assert before.gaps() == late.gaps() == expected_gaps(set(seen), stop)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=30), st.randoms(use_true_random=False))
def test_the_charge_of_a_pulse_is_the_largest_of_its_messages_in_any_order(carried: list[tuple[int, int]], random):
    random.shuffle(carried)
    memory, total = MessageMemory(START), 0
    for number, (pulse, charge) in enumerate(carried):
        memory.see("a", number, START + pulse)
        total += memory.raise_charge(START + pulse, charge)
    largest = {pulse: max(c for p, c in carried if p == pulse) for pulse, _ in carried}
    assert total == sum(largest.values())


def test_ids_of_the_upper_half_of_64_bits_follow_one_another_without_a_gap() -> None:
    memory = MessageMemory(START)
    for number in range(10):
        memory.see("a", (2**63 - 5 + number), START + number)
        memory.see("b", (2**64 - 5 + number) % 2**64, START + number)
    assert memory.gaps() == (0, 0)


def test_messages_older_than_the_memory_are_unjudged_and_those_within_it_are_not() -> None:
    memory = MessageMemory(START, capacity=4)
    for number in range(10):
        assert memory.see("a", number, START + number * BUCKET) is Verdict.NEW
    assert memory.see("a", 0, START) is Verdict.UNJUDGED
    assert memory.see("a", 9, START + 9 * BUCKET) is Verdict.DUPLICATE


def test_the_memory_is_bounded_by_its_capacity() -> None:
    memory = MessageMemory(START, capacity=100)
    for number in range(1000):
        memory.see("a", number, START + number * BUCKET // 3)
    assert len(memory.arrays()["keys"]) <= 100
    assert memory.gaps() == (0, 0)


def test_a_step_too_long_to_be_a_loss_is_a_restart() -> None:
    memory = MessageMemory(START)
    for number, message_id in enumerate((5, 6, 2_000_007, 2_000_008, 1)):
        memory.see("a", message_id, START + number)
    assert memory.gaps() == (0, 2)
