from __future__ import annotations

from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.instruments import Facility, read_instruments

TEXT = """\
[kafka.default]
bootstrap_servers = "localhost:9092"

[instruments.SANS]
title = "Small angles"
tof = { start_us = 0, stop_us = 100, bins = 10 }
views = ["tof", "pixel"]

[[instruments.SANS.banks]]
name = "rear"
shape = [2, 3]
first_detector_id = 1

[[instruments.SANS.banks]]
name = "front"
shape = [5]
first_detector_id = 7
"""
REPOSITORY = Path(__file__).parents[3]


def read(tmp_path: Path, text: str, **environ: str) -> Facility:
    file = tmp_path / "instruments.toml"
    file.write_text(text)
    return read_instruments(file, environ)


def test_a_table_becomes_an_instrument_with_defaults(tmp_path: Path) -> None:
    facility = read(tmp_path, TEXT)
    instrument = facility.instruments["SANS"]
    assert instrument.name == "SANS"
    assert instrument.topics.events == "SANS_events"
    assert [bank.shape for bank in instrument.banks] == [(2, 3), (5,)]
    assert instrument.pixel_count == 11
    assert facility.clusters["default"].bootstrap_servers == "localhost:9092"


def test_the_environment_names_the_default_cluster(tmp_path: Path) -> None:
    facility = read(tmp_path, TEXT, RUNSTART_KAFKA="broker:1234")
    assert facility.clusters["default"].bootstrap_servers == "broker:1234"


def test_the_environment_is_enough_for_the_default_cluster(tmp_path: Path) -> None:
    facility = read(tmp_path, TEXT[TEXT.index("[instruments") :], RUNSTART_KAFKA="broker:1234")
    assert facility.clusters["default"].bootstrap_servers == "broker:1234"


def test_the_environment_leaves_other_clusters_alone(tmp_path: Path) -> None:
    other = '[kafka.other]\nbootstrap_servers = "other:9"\n'
    facility = read(tmp_path, TEXT + other, RUNSTART_KAFKA="broker:1234")
    assert facility.clusters["other"].bootstrap_servers == "other:9"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("bins = 10", "bins = 0", "instruments.toml:6: instruments.SANS.tof.bins: 0 should be greater"),
        ("bins = 10", "bins = 11000", "instruments.toml:6: instruments.SANS.tof.bins: 11000 bins"),
        ("bins = 10", "bin = 10", "instruments.toml:6: instruments.SANS.tof.bin: .*did you mean 'bins'"),
        ("bins = 10", 'bins = "ten"', "instruments.toml:6: instruments.SANS.tof.bins: 'ten' should be"),
        ("title", "titel", "instruments.toml:5: instruments.SANS.titel: .*did you mean 'title'"),
        ("title", "qqqqqq", "instruments.toml:5: instruments.SANS.qqqqqq: .*known keys: title, live_red"),
        ('"pixel"', '"pixle"', "instruments.toml:7: instruments.SANS.views.1: 'pixle' should be 'tof'"),
        ("[5]", "[0]", "instruments.toml:16: instruments.SANS.banks.1.shape.0: 0 should be"),
        ("shape = [5]\n", "", "instruments.toml:14: instruments.SANS.banks.1.shape: is missing"),
        ("shape = [5]", "shap = [5]", "instruments.toml:16: .*banks.1.shap: .*did you mean 'shape'"),
        ("_id = 7", "_id = 6", "instruments.toml:9: instruments.SANS.banks: .*begin at 7 or later"),
        ('"front"', '"rear"', "instruments.toml:9: instruments.SANS.banks: two banks are named 'rear'"),
        ("views", "kafka = 'x'\nviews", "instruments.toml:7: instruments.SANS.kafka: .*no Kafka cluster 'x'"),
        ("views", "grace = -1\nviews", "instruments.toml:7: instruments.SANS.grace: -1 should be"),
        ("views", "topics.events = 'a b'\nviews", "instruments.toml:7: instruments.SANS.topics.events: 'a b'"),
        ("views", "topics.event = 'a'\nviews", "instruments.toml:7: .*topics.event: .*mean 'events'"),
        ("views", "topics.events = 'SANS_runInfo'\nviews", "instruments.toml:7: .*SANS.topics: .*different topics"),
        ("views", "name = 'A'\nviews", "instruments.toml:7: instruments.SANS.name: .*remove this line"),
        ("instruments.SANS]\n", "instruments.2D]\n", "instruments.toml:4: instruments.2D: '2D' cannot be a name"),
        (":9092", "", "instruments.toml:2: kafka.default.bootstrap_servers: 'localhost' is not host:port"),
        (":9092", ":99999", "instruments.toml:2: kafka.default.bootstrap_servers: 'localhost:99999'"),
        ("[kafka.default]", "[kafka]", "instruments.toml:1: kafka: .*write \\[kafka.NAME\\]"),
        ("[kafka.default]", "[kafkas.default]", "instruments.toml:1: kafkas: .*did you mean 'kafka'"),
        ("[5]", "[5", "instruments.toml:17: is not TOML: Unclosed array"),
        ("bins = 10 }", "bins = 10", "instruments.toml:6: is not TOML: "),
        ("title = ", "title : ", "instruments.toml:5: is not TOML: "),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(Alert, match=told):
        read(tmp_path, TEXT.replace(old, new, 1))


def test_the_first_of_several_mistakes_is_told_with_the_number_of_the_others(tmp_path: Path) -> None:
    text = TEXT.replace("[5]", "[0]").replace("bins = 10", "bins = 0").replace("title", "titel")
    with pytest.raises(Alert, match=r"toml:5: .*titel.*\(2 more to mend in this file\.\)"):
        read(tmp_path, text)


def test_two_instruments_cannot_share_an_event_topic(tmp_path: Path) -> None:
    second = TEXT[TEXT.index("[instruments") :].replace("SANS", "LOKI")
    second = second.replace("views", 'topics.events = "SANS_events"\nviews')
    with pytest.raises(Alert, match=r"toml:21: instruments\.LOKI\.topics\.events: .*SANS"):
        read(tmp_path, TEXT + second)


def test_an_event_topic_cannot_carry_another_instruments_runs(tmp_path: Path) -> None:
    second = TEXT[TEXT.index("[instruments") :].replace("SANS", "LOKI")
    second = second.replace("views", 'topics.run_info = "SANS_events"\nviews')
    with pytest.raises(Alert, match=r"instruments\.LOKI\.topics\.run_info: .*event topic of SANS"):
        read(tmp_path, TEXT + second)


def test_two_instruments_may_share_run_info_and_different_clusters_may_share_names(tmp_path: Path) -> None:
    second = TEXT[TEXT.index("[instruments") :].replace("SANS", "LOKI")
    shared = second.replace("views", 'topics.run_info = "SANS_runInfo"\nviews')
    assert set(read(tmp_path, TEXT + shared).instruments) == {"SANS", "LOKI"}
    apart = second.replace("views", 'kafka = "far"\ntopics.events = "SANS_events"\nviews')
    assert read(tmp_path, TEXT + apart + '[kafka.far]\nbootstrap_servers = "far:1"\n')


def test_a_wrong_environment_variable_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="RUNSTART_KAFKA: 'nonsense' is not host:port"):
        read(tmp_path, TEXT, RUNSTART_KAFKA="nonsense")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"none\.toml: cannot be read"):
        read_instruments(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_told_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "instruments.toml"
    file.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(Alert, match=r"instruments\.toml:2: is not UTF-8"):
        read_instruments(file)


def test_windows_line_ends_do_not_move_lines(tmp_path: Path) -> None:
    file = tmp_path / "instruments.toml"
    file.write_bytes(TEXT.replace("bins = 10", "bins = 0").replace("\n", "\r\n").encode())
    with pytest.raises(Alert, match=r"instruments\.toml:6: "):
        read_instruments(file, {})


def test_the_facility_checks_what_is_put_together_in_code(tmp_path: Path) -> None:
    facility = read(tmp_path, TEXT)
    with pytest.raises(ValueError, match="no Kafka cluster 'default'"):
        Facility(instruments=facility.instruments, clusters={})


def test_the_instruments_that_ship_are_right() -> None:
    facility = read_instruments(REPOSITORY / "instruments.toml", {})
    assert facility.instruments["SIMSANS"].pixel_count == 128 * 128 + 64 * 128
    assert facility.instruments["SANS2D"].pixel_count == 122_888
