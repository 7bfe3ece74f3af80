from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.fits.camera_keywords import USUAL, CameraKeywords, check_keyword

WORD = st.text("ABCXYZ0189_-", min_size=1, max_size=8).filter(lambda word: word not in ("END", "BLANK"))
KEYWORDS = st.lists(st.lists(WORD, min_size=1, max_size=4).map(" ".join), max_size=3).map(tuple)


@given(st.dictionaries(st.sampled_from(CameraKeywords.meanings()), KEYWORDS))
def test_the_text_of_keywords_names_them_again(named: dict[str, tuple[str, ...]]) -> None:
    keywords = CameraKeywords(**named)
    assert CameraKeywords.parse(keywords.to_text()) == keywords


def test_what_a_text_leaves_out_is_usual() -> None:
    keywords = CameraKeywords.parse("  gain=egain1,GAIN   read_noise=ESO.DET.OUT1.RON bias_section= ")
    assert keywords.gain == ("EGAIN1", "GAIN")
    assert keywords.read_noise == ("ESO DET OUT1 RON",)
    assert keywords.bias_section == ()
    assert keywords.saturation == USUAL.saturation
    assert CameraKeywords.parse("") == USUAL


def test_usual_keywords_have_no_text() -> None:
    assert USUAL.to_text() == ""
    assert CameraKeywords.parse("gain=GAIN,EGAIN data_section=TRIMSEC,DATASEC").to_text() == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gain", "'gain' does not name keywords.*meanings are gain, read_noise, saturation, exposure"),
        ("gain = EGAIN1", "'gain' does not name keywords"),
        ("offset=OFF", "'offset=OFF' does not name keywords.*meanings are gain"),
        ("gain=A gain=B", "'gain=B' names gain a second time"),
        ("gain=A,,B", "'' is no header keyword"),
        ("gain=A;B", "'A;B' is no header keyword"),
        ("gain=GÄIN", "'GÄIN' is no header keyword"),
        ("gain=" + "A" * 69, "is no header keyword"),
        ("gain=A,NAXIS1", "'NAXIS1' does not describe a camera"),
        ("gain=A,history", "'history' does not describe a camera"),
        ("=A", "'=A' does not name keywords"),
    ],
)
def test_a_text_of_another_form_is_told(text: str, told: str) -> None:
    with pytest.raises(Alert, match=f"keywords: .*{told}"):
        CameraKeywords.parse(text)


@pytest.mark.parametrize("text", ["", " ", ".", "A\nB'", "\x00", "SIMPLE"])
def test_what_cannot_be_a_keyword_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"keyword|camera"):
        check_keyword(text)
