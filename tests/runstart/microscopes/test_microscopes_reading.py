from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runstart.errors import Alert
from runstart.frames import Counting, Crop, Detector
from runstart.microscopes import Microscope, check_clusters, find_microscopes_file, read_microscopes

TEXT = """\
[microscopes.STEM]
title = "A microscope"
scans = "file:raw/STEM"
batch_bytes = "64MiB"
bin_by = 2
center = [63.5, 60]

[microscopes.STEM.counting]
background_threshold = 30

[microscopes.STEM.crop]
shape = "circle"
radius = 50

[[microscopes.STEM.detectors]]
name = "bright_field"
outer = 20

[[microscopes.STEM.detectors]]
name = "dark_field"
inner = 20
outer = 60

[microscopes.STEM.calibration]
scan_step_nm = 0.1

[microscopes.STEM.announcements]
topic = "STEM_scans"
kafka = "other"

[microscopes.STEM.pods]
tolerations = [{ key = "frames", effect = "NoSchedule" }]
"""
REPOSITORY = Path(__file__).parents[3]


def read(tmp_path: Path, text: str, **environ: str) -> dict[str, Microscope]:
    file = tmp_path / "microscopes.toml"
    file.write_text(text)
    return read_microscopes(file, environ)


def test_a_table_becomes_a_microscope_with_defaults(tmp_path: Path) -> None:
    microscope = read(tmp_path, TEXT)["STEM"]
    assert (microscope.name, microscope.batch_bytes, microscope.settle_seconds) == ("STEM", 64 * 2**20, 5.0)
    assert microscope.calibration.scan_step_nm == 0.1
    assert microscope.pods.tolerations[0].key == "frames"


def test_what_is_computed_stands_directly_under_the_microscope(tmp_path: Path) -> None:
    recipe = read(tmp_path, TEXT)["STEM"].recipe
    assert recipe.counting == Counting(background_threshold=30)
    assert recipe.crop == Crop(shape="circle", radius=50)
    assert recipe.detectors == (
        Detector(name="bright_field", outer=20),
        Detector(name="dark_field", inner=20, outer=60),
    )
    assert (recipe.bin_by, recipe.center) == (2, (63.5, 60.0))


@pytest.mark.parametrize("center", ["", 'center = "auto"'])
def test_a_centre_is_found_unless_it_is_given(tmp_path: Path, center: str) -> None:
    assert read(tmp_path, TEXT.replace("center = [63.5, 60]", center))["STEM"].recipe.center is None


@pytest.mark.parametrize("text", ["", "[microscopes]\n", "# none\n"])
def test_a_file_without_microscopes_is_fine(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


def test_a_relative_folder_lies_beside_the_file_or_where_the_environment_says(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT)["STEM"].path == tmp_path / "raw/STEM"
    assert read(tmp_path, TEXT, RUNSTART_SCANS="/data")["STEM"].path == Path("/data/raw/STEM")


@pytest.mark.parametrize("scans", ["file:/data/STEM", "file:///data/STEM", "s3://bucket/raw"])
def test_an_absolute_folder_and_a_bucket_stay(tmp_path: Path, scans: str) -> None:
    microscope = read(tmp_path, TEXT.replace("file:raw/STEM", scans), RUNSTART_SCANS="/other")["STEM"]
    assert microscope.scans == scans.replace("///", "/")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title", "titel", "microscopes.toml:2: microscopes.STEM.titel: .*did you mean 'title'"),
        ("bin_by", "bin", "microscopes.toml:5: microscopes.STEM.bin: .*did you mean 'bin_by'"),
        ("bin_by = 2", "recipe = 2", "microscopes.toml:5: microscopes.STEM.recipe: is not a key"),
        ("bin_by = 2", "bin_by = 0", "microscopes.toml:5: microscopes.STEM.bin_by: 0 should be"),
        ("[microscopes.STEM]", "[microscope.STEM]", "toml:1: microscope: .*did you mean 'microscopes'"),
        ("microscopes.STEM", "microscopes.2M", "toml:1: microscopes.2M: '2M' cannot be a name"),
        ("[microscopes.STEM]\n", "[microscopes.STEM]\nname = 'A'\n", "toml:2: microscopes.STEM.name: .*remove"),
        ('scans = "file:raw/STEM"\n', "", "toml:1: microscopes.STEM.scans: is missing"),
        ("file:raw/STEM", "raw", "toml:3: microscopes.STEM.scans: 'raw' is neither file:FOLDER nor s3:"),
        ("64MiB", "much", "toml:4: microscopes.STEM.batch_bytes: 'much' is no size; .*'512MiB'"),
        ("64MiB", "1kB", "toml:4: microscopes.STEM.batch_bytes: 1000 should be"),
        ("[63.5, 60]", '"middle"', "toml:6: microscopes.STEM.center: 'middle' is no centre; write"),
        ("[63.5, 60]", "[1]", "toml:6: microscopes.STEM.center"),
        ("background_threshold", "background", "toml:9: .*counting.background: .*'background_threshold'"),
        ("= 30", "= 3000", "toml:8: microscopes.STEM.counting: .*must be below xray_threshold"),
        ("radius = 50", "half_rows = 50", "toml:11: microscopes.STEM.crop: a circle has a radius"),
        ("inner = 20", "iner = 20", "toml:21: microscopes.STEM.detectors.1.iner: .*did you mean 'inner'"),
        ("outer = 60", "outer = 10", "toml:19: microscopes.STEM.detectors.1: dark_field: inner must be below"),
        ('"dark_field"', '"bright_field"', "toml:15: microscopes.STEM.detectors: two detectors"),
        ('"dark_field"', '"dark field"', "toml:20: microscopes.STEM.detectors.1.name: 'dark field'"),
        ("scan_step_nm", "step", "toml:25: microscopes.STEM.calibration.step: .*'scan_step_nm'"),
        ("STEM_scans", "a topic", "toml:28: microscopes.STEM.announcements.topic: 'a topic'"),
        ('key = "frames"', 'kay = "frames", key = "x"', "toml:32: .*tolerations.0.kay: .*did you mean 'key'"),
        ("[microscopes.STEM]", "[microscopes.STEM", "toml:1: is not TOML"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(Alert, match=told):
        read(tmp_path, TEXT.replace(old, new))


def test_all_mistakes_are_counted(tmp_path: Path) -> None:
    text = TEXT.replace("title", "titel").replace("64MiB", "much").replace("= 30", "= 3000")
    with pytest.raises(Alert, match=r"toml:2: .*titel.*\(2 more to mend in this file\.\)"):
        read(tmp_path, text)


def test_a_cluster_that_is_not_declared_is_told(tmp_path: Path) -> None:
    microscopes = read(tmp_path, TEXT).values()
    check_clusters(microscopes, {"default", "other"})
    with pytest.raises(Alert, match=r"STEM\.announcements\.kafka: there is no cluster 'other'.*: default\."):
        check_clusters(microscopes, {"default"})


def test_the_environment_names_the_file_before_the_folder_does(tmp_path: Path) -> None:
    assert find_microscopes_file({}, tmp_path) is None
    (tmp_path / "microscopes.toml").touch()
    assert find_microscopes_file({}, tmp_path) == tmp_path / "microscopes.toml"
    assert find_microscopes_file({"RUNSTART_MICROSCOPES": "/x.toml"}, tmp_path) == Path("/x.toml")


def test_the_shipped_file_is_without_mistakes() -> None:
    microscope = read_microscopes(REPOSITORY / "microscopes.toml", {})["SIMSTEM"]
    assert microscope.scans == f"file:{REPOSITORY}/scans/SIMSTEM"
    assert microscope.recipe.counting == Counting(background_threshold=28, xray_threshold=2000)
    assert [detector.name for detector in microscope.recipe.detectors] == ["bright_field", "annular_dark_field"]


def test_what_the_shipped_file_shows_as_comments_is_right_too(tmp_path: Path) -> None:
    text = (REPOSITORY / "microscopes.toml").read_text()
    shown = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    microscope = read(tmp_path, shown)["SIMSTEM"]
    assert (microscope.recipe.crop, microscope.phase.flip) == (Crop(shape="circle", radius=60), True)
    assert microscope.announcements is not None
    assert microscope.pods.tolerations[0].effect == "NoSchedule"


def test_reading_microscopes_loads_no_library_of_frames() -> None:
    heavy = ("numba", "astropy", "scipy", "PIL", "boto3", "h5py", "dagster", "kafka")
    code = (
        "import sys; from runstart.microscopes import read_microscopes; read_microscopes('microscopes.toml', {}); "
        f"sys.exit(any(name in sys.modules for name in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=REPOSITORY).returncode == 0
