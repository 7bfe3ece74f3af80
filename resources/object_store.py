"""The object store as a Dagster resource: a folder, or any S3 endpoint through dagster-aws.

Credentials are never configuration, so that they are in no run's record: they come from the standard AWS
environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from runstart.storage import ObjectStore


class ObjectStoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where Runstart keeps what it makes: snapshots, results, pictures and their versions."""

    url: str = Field(
        description=(
            "Where objects are kept: `file:/absolute/folder`, `file:relative/folder` (from the current directory) "
            "or `s3://bucket/prefix`."
        )
    )
    endpoint_url: str | None = Field(
        default=None,
        description="Address of the S3 service, such as `http://localhost:8333`; leave it out for AWS itself.",
    )
    region: str | None = Field(
        default=None,
        description="Region of the S3 service; leave it out to use the AWS environment's.",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ObjectStoreResource:
        """Return the object store that the environment asks for.

        Parameters
        ----------
        environ : Mapping of str to str
            `RUNSTART_OBJECT_STORE` is the URL, `file:` under `.runstart/store` in the current directory by default;
            `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, and `AWS_REGION` or `AWS_DEFAULT_REGION`, say where S3 is.

        Returns
        -------
        ObjectStoreResource
            The resource; nothing has been opened or checked.
        """
        from runstart.storage import store_url

        return cls(
            url=store_url(environ),
            endpoint_url=environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None,
            region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None,
        )

    def open(self) -> ObjectStore:
        """Return the object store.

        Returns
        -------
        ObjectStore
            A store that may be shared by threads; an S3 store has a client of its own.

        Raises
        ------
        Alert
            If the URL does not name an object store.
        """
        from runstart.storage import open_store

        return open_store(self.url, self._s3_client() if self.url.startswith("s3:") else None)

    def _s3_client(self) -> object:
        # 0.8 s to import, and of no use to a folder.
        from dagster_aws.s3 import S3Resource

        return S3Resource(endpoint_url=self.endpoint_url, region_name=self.region, max_attempts=5).get_client()
