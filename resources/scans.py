"""Scans of electron microscopes as a Dagster resource: what it takes to read their frames.

Credentials are never configuration: they come from the standard AWS environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from runstart.microscopes import Microscope
    from runstart.scans import ScanWork
    from runstart.storage import ObjectStore


class ScansResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Opens scans in the folders and buckets that microscopes.toml names."""

    endpoint_url: str | None = Field(
        default=None,
        description="Address of the S3 service that has the buckets of scans; leave it out for AWS itself.",
    )
    region: str | None = Field(
        default=None, description="Region of that service; leave it out to use the AWS environment's."
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ScansResource:
        """Return the resource that says what the environment says.

        Parameters
        ----------
        environ : mapping of str to str
            `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, and `AWS_REGION` or `AWS_DEFAULT_REGION`, say where S3 is.
        """
        return cls(
            endpoint_url=environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or None,
            region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or None,
        )

    def open(
        self, store: ObjectStore, microscope: Microscope, scan: str, tell: Callable[[str], object]
    ) -> ScanWork:
        """Return the work on a scan.

        Parameters
        ----------
        store : ObjectStore
            Has the scan's record, and keeps what is made of it.
        microscope : Microscope
            Whose scan.
        scan : str
            The scan's partition key.
        tell : callable
            Is told of progress, in sentences.

        Raises
        ------
        Alert
            If nothing is known of the scan.
        Transient
            If the store does not answer.
        """
        from runstart.scans import ScanWork, load_record
        from runstart.storage import make_s3_client

        record = load_record(store, microscope.name, scan)
        client = None
        if microscope.scans.startswith("s3:"):
            client = make_s3_client(endpoint_url=self.endpoint_url, region_name=self.region)
        return ScanWork(microscope, record, store, s3_client=client, tell=tell)
