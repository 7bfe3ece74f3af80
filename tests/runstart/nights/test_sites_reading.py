from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.nights import Site, read_sites

TEXT = """\
[sites.OBS]
title = "An observatory"
time_zone = "Europe/London"
first_night = 2026-01-01
exposures = "file:raw/OBS"
morning = "30 13 * * 1-5"

[sites.OBS.keywords]
kind = ["IMAGETYP"]

[sites.OBS.limits]
flats = 5
bias_level = [100, 500]

[sites.OBS.colors]
gp = [0, 0, 255]
"""
REPOSITORY = Path(__file__).parents[3]


def read(tmp_path: Path, text: str, **environ: str) -> dict[str, Site]:
    file = tmp_path / "sites.toml"
    file.write_text(text)
    return read_sites(file, environ)


def test_a_table_becomes_a_site_with_defaults(tmp_path: Path) -> None:
    site = read(tmp_path, TEXT)["OBS"]
    assert (site.name, site.first_night, site.time_zone) == ("OBS", date(2026, 1, 1), "Europe/London")
    assert site.keywords.kind == ("IMAGETYP",)
    assert site.keywords.filter == ("FILTER",)
    assert (site.limits.flats, site.limits.bias_level, site.limits.darks) == (5, (100, 500), 3)
    assert site.colors == {"gp": (0, 0, 255)}


@pytest.mark.parametrize("text", ["", "[sites]\n", "# none\n"])
def test_a_file_without_sites_is_fine(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


def test_a_relative_folder_lies_beside_the_file_wherever_the_process_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sites.toml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    sites = read_sites("sites.toml", {})
    assert sites["OBS"].exposures == f"file:{tmp_path}/raw/OBS"


def test_the_environment_names_the_folder_of_relative_folders(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT, RUNSTART_EXPOSURES="/data")["OBS"].exposures == "file:/data/raw/OBS"


@pytest.mark.parametrize("exposures", ["file:/data/OBS", "file:///data/OBS"])
def test_an_absolute_folder_stays(tmp_path: Path, exposures: str) -> None:
    site = read(tmp_path, TEXT.replace("file:raw/OBS", exposures), RUNSTART_EXPOSURES="/other")["OBS"]
    assert site.exposures == "file:/data/OBS"


def test_a_bucket_stays(tmp_path: Path) -> None:
    site = read(tmp_path, TEXT.replace("file:raw/OBS", "s3://bucket/raw/OBS"), RUNSTART_EXPOSURES="/other")["OBS"]
    assert site.exposures == "s3://bucket/raw/OBS"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title", "titel", "sites.toml:2: sites.OBS.titel: .*did you mean 'title'"),
        ("[sites.OBS]", "[site.OBS]", "sites.toml:1: site: .*did you mean 'sites'"),
        ("[sites.OBS]", "[sites.2M]", "sites.toml:1: sites.2M: '2M' cannot be a name"),
        ("[sites.OBS]\n", "[sites.OBS]\nname = 'A'\n", "sites.toml:2: sites.OBS.name: .*remove this line"),
        ("Europe/London", "Mars/Olympus", "sites.toml:3: sites.OBS.time_zone: 'Mars/Olympus' is no time zone"),
        ("Europe/London", "../../etc/passwd", "sites.toml:3: sites.OBS.time_zone: .* is no time zone"),
        ("first_night = 2026-01-01\n", "", "sites.toml:1: sites.OBS.first_night: is missing"),
        ("2026-01-01", '"soon"', "sites.toml:4: sites.OBS.first_night: 'soon'"),
        ("file:raw/OBS", "raw/OBS", "sites.toml:5: sites.OBS.exposures: 'raw/OBS' is neither file:FOLDER nor s3:"),
        ("file:raw/OBS", "https://x/y", "sites.toml:5: sites.OBS.exposures: .* is neither"),
        ("file:raw/OBS", "s3:bucket", "sites.toml:5: sites.OBS.exposures: .* is neither"),
        ("file:raw/OBS", "file:", "sites.toml:5: sites.OBS.exposures: .* is neither"),
        ("30 13 * * 1-5", "30 13 * *", "sites.toml:6: sites.OBS.morning: .* is not minute, hour"),
        ("30 13 * * 1-5", "30 24 * * *", "sites.toml:6: sites.OBS.morning: '24' is no hour"),
        ("30 13 * * 1-5", "30 13 * * 5-1", "sites.toml:6: sites.OBS.morning: '5-1' is no weekday"),
        ("30 13 * * 1-5", "noon 13 * * *", "sites.toml:6: sites.OBS.morning: 'noon' is no minute"),
        ("kind =", "kinds =", "sites.toml:9: sites.OBS.keywords.kinds: .*did you mean 'kind'"),
        ("flats = 5", "flats = -5", "sites.toml:12: sites.OBS.limits.flats: -5 should be"),
        ("[100, 500]", "[500, 100]", "sites.toml:13: sites.OBS.limits.bias_level: 500 is not less than 100"),
        ("255]", "300]", "sites.toml:16: sites.OBS.colors.gp.2: 300 should be less"),
        ("sites.OBS", "sites.store", "sites.toml:1: sites.store: 'store' is a source .* already"),
        ("[sites.OBS]", "[sites.OBS", "sites.toml:1: is not TOML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(Alert, match=told):
        read(tmp_path, TEXT.replace(old, new))


def test_what_is_no_table_of_tables_is_told(tmp_path: Path) -> None:
    with pytest.raises(Alert, match=r"sites.toml:2: sites: .*write \[sites.NAME\]"):
        read(tmp_path, "\nsites.title = 'x'\n")


def test_the_first_of_several_mistakes_is_told_with_the_number_of_the_others(tmp_path: Path) -> None:
    text = TEXT.replace("flats = 5", "flats = -5").replace("255]", "300]").replace("title", "titel")
    with pytest.raises(Alert, match=r"toml:2: .*titel.*\(2 more to mend in this file\.\)"):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Alert, match="cannot be read"):
        read_sites(tmp_path / "none.toml", {})


def test_the_shipped_file_is_without_mistakes() -> None:
    site = read_sites(REPOSITORY / "sites.toml", {})["SIMOBS"]
    assert site.exposures == f"file:{REPOSITORY}/exposures/SIMOBS"
    assert set(site.colors) == {"gp", "rp", "ip"}
