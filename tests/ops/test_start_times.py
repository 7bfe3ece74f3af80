from __future__ import annotations

from ops.start_times import StartTimes


def test_parts_of_a_start_add_up_to_the_whole() -> None:
    times = StartTimes(100.0, 100.9, 102.0, 104.5, 107.0, 107.1)

    assert times.as_text() == (
        "Counting begins 7.1 s after the RunStart: 0.9 s until the sensor had requested the run, 1.1 s in the queue, "
        "2.5 s until its process, or its pod, was started, 2.5 s until Python had loaded it, 0.1 s until its first op."
    )


def test_clock_of_the_control_computer_that_is_ahead_shows() -> None:
    assert "-2.0 s until the sensor" in StartTimes(102.0, 100.0, 101.0, 102.0, 103.0, 104.0).as_text()
