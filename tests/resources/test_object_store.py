"""The object store as a Dagster resource."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from resources.object_store import ObjectStoreResource
from runstart.errors import Alert
from runstart.facility import S3Server
from runstart.storage import FileStore, S3Store


def test_a_file_url_opens_a_folder(tmp_path: Path) -> None:
    store = ObjectStoreResource(url=f"file:{tmp_path}").open()
    assert isinstance(store, FileStore)
    assert store.root == tmp_path


@pytest.mark.store
def test_an_s3_url_opens_the_bucket_at_the_endpoint_with_the_environments_credentials(
    s3_server: S3Server, s3_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    url = f"s3://{s3_store.bucket}/{s3_store.prefix}"
    store = ObjectStoreResource(url=url, endpoint_url=s3_server.endpoint_url, region=s3_server.region).open()
    assert isinstance(store, S3Store)
    with closing(store._client):
        store.put("a", b"1")
        assert s3_store.get("a").data == b"1"


def test_any_other_url_is_an_alert() -> None:
    with pytest.raises(Alert, match="does not name an object store"):
        ObjectStoreResource(url="ftp://host/a").open()


def test_an_empty_environment_means_a_folder_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    resource = ObjectStoreResource.from_environment({})
    assert (resource.url, resource.endpoint_url, resource.region) == (
        f"file:{tmp_path}/.runstart/store",
        None,
        None,
    )


def test_the_environment_names_store_endpoint_and_region() -> None:
    environ = {
        "RUNSTART_OBJECT_STORE": "s3://facility/runstart",
        "AWS_ENDPOINT_URL": "http://localhost:8333",
        "AWS_DEFAULT_REGION": "eu-west-2",
    }
    resource = ObjectStoreResource.from_environment(environ)
    assert resource.url == "s3://facility/runstart"
    assert resource.endpoint_url == "http://localhost:8333"
    assert resource.region == "eu-west-2"


def test_no_field_holds_a_credential_and_every_field_is_described() -> None:
    fields = ObjectStoreResource.model_fields
    assert set(fields) == {"url", "endpoint_url", "region"}
    assert all(field.description for field in fields.values())


def test_aws_is_not_imported_until_an_s3_store_is_opened(tmp_path: Path) -> None:
    script = (
        "import sys; from resources.object_store import ObjectStoreResource as R; "
        f"R.from_environment({{}}); R(url='file:{tmp_path}').open(); "
        "print(sorted({'boto3', 'dagster_aws', 'runstart.facility'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
