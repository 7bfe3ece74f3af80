"""How FITS files are named."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runstart.errors import Alert
from runstart.fits import FitsReference

KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "source", "basename"),
    [
        ("archive/lsc1m005-fa15-20260101-0100-e91", "archive", "lsc1m005-fa15-20260101-0100-e91"),
        ("nights/2026/a_b.fits.fz", "nights", "2026/a_b.fits.fz"),
        (f"store/{KEY}-3", "store", f"{KEY}-3"),
        (f"store/{KEY}-3-large", "store", f"{KEY}-3"),
        (f"store/{KEY}-small", "store", KEY),
        ("archive/m31-large", "archive", "m31-large"),
    ],
)
def test_a_text_is_a_source_and_a_basename(text: str, source: str, basename: str) -> None:
    reference = FitsReference.parse(text)
    assert (reference.source, reference.basename, reference.uri) == (source, basename, "")
    assert reference.name == f"{source}/{basename}"


@pytest.mark.parametrize(
    "uri", ["file:/data/a.fits", "s3://bucket/a/b.fits", "https://host:8/a%20b.fits?sig=s3cret"]
)
def test_a_text_with_a_scheme_is_a_uri_whose_query_is_never_shown(uri: str) -> None:
    reference = FitsReference.parse(uri)
    assert (reference.uri, reference.source) == (uri, "")
    assert reference.name == uri.partition("?")[0]
    assert "s3cret" not in repr(reference) + str(reference) + reference.name


def test_fields_are_taken_with_the_references_own_name_of_the_filter() -> None:
    fields = {"source": "archive", "basename": "abc", "primary_optical_element": "rp"}
    assert FitsReference.parse(fields).filter == "rp"
    assert FitsReference.parse(fields | {"filter": "gp"}).filter == "gp"
    assert FitsReference.parse(fields | {"filter": None}).filter == "rp"
    assert FitsReference(source="archive", basename="abc", filter="gp").filter == "gp"
    assert FitsReference(source="archive", basename="abc").filter == ""
    reference = FitsReference.parse("archive/abc")
    assert FitsReference.parse(reference) is reference
    assert FitsReference.parse(reference.model_dump()) == reference


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc",
        "archive/",
        "/abc",
        "archive/../abc",
        "archive/a/../../b",
        "archive//etc/passwd",
        "archive/.hidden",
        "archive/a..b",
        "archive/bär",
        "archive/a b",
        "archive/a\0b",
        "archive/a\nb",
        "archive/-" + "x" * 200,
        "archive/☃",
        "../archive/abc",
        "ftp://host/a.fits",
        "file:",
        "file:/",
        "file:/data/../etc/passwd",
        "file:/data/%2e%2e/passwd",
        "https://host",
        "https://host/",
        "https://user:s3cret@host/a.fits",
        "https://host:x/a.fits",
        "https://[host/a.fits",
        "s3://bucket",
        "s3:key",
        "https://host/a b",
        "https://host/a\r\nHost: other",
        {},
        {"source": "archive"},
        {"basename": "abc"},
        {"source": "archive", "basename": "abc", "uri": "file:/a"},
        {"source": "archive", "basename": "abc", "other": 1},
        {"source": 5, "basename": "abc"},
        {"source": "archive", "basename": None},
        5,
        None,
        ["archive", "abc"],
    ],
)
def test_anything_else_is_an_alert_that_says_what_to_do(value: object) -> None:
    with pytest.raises(Alert) as caught:
        FitsReference.parse(value)  # type: ignore[arg-type]
    assert caught.value.what
    assert caught.value.remedy
    assert str(caught.value).isprintable()
    assert "s3cret" not in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.text(max_size=250))
def test_no_text_becomes_a_basename_that_leads_elsewhere(text: str) -> None:
    try:
        reference = FitsReference.parse(f"folder/{text}")
    except Alert:
        return
    for segment in reference.basename.split("/"):
        assert set(segment) <= set(string.ascii_letters + string.digits + "._+=@-")
        assert not segment.startswith(".")
        assert ".." not in segment
        assert 0 < len(segment) <= 200
