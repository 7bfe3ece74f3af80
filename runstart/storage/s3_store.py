"""The object store in an S3 bucket, of any provider that honours conditional puts.

The etag is S3's own. Since the client repeats a request whose answer was lost, a refused conditional put may be our
own success: then the stored content decides.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from runstart.errors import Alert, Transient
from runstart.storage.object_store import (
    Keys,
    ObjectMissing,
    ObjectStore,
    PreconditionFailed,
    StoredObject,
    check_key,
    check_prefix,
)

_MISSING = {"NoSuchKey", "404", "NotFound"}
_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_BEYOND_THE_END = {"InvalidRange", "416"}
_CREDENTIALS = {
    "403",
    "401",
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_BUSY = {
    "SlowDown",
    "RequestTimeout",
    "TooManyRequests",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
}


class S3Store(ObjectStore):
    """An object store under a prefix of an S3 bucket.

    Parameters
    ----------
    client : botocore.client.S3
        A client as boto3 makes them; it may be shared by threads.
    bucket : str
        The bucket, which must exist.
    prefix : str, optional
        A key under which all of this store's keys lie; empty for the whole bucket.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self.bucket = bucket
        self.prefix = check_key(prefix) + "/" if prefix else ""

    def __repr__(self) -> str:
        return f"S3Store(bucket={self.bucket!r}, prefix={self.prefix.rstrip('/')!r})"

    def get(self, key: str) -> StoredObject:  # noqa: D102 - as the base class says
        with self._told(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
            return StoredObject(answer["Body"].read(), answer["ETag"])

    def get_part(self, key: str, start: int, stop: int) -> bytes:  # noqa: D102
        from botocore.exceptions import ClientError

        if stop <= start:
            if self.head(key) is None:
                raise ObjectMissing(key)
            return b""
        wanted = f"bytes={start}-{stop - 1}"
        with self._told(key):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key), Range=wanted)
            except ClientError as error:
                if _code(error) in _BEYOND_THE_END:
                    return b""
                raise
            data: bytes = answer["Body"].read()
        return data

    def head(self, key: str) -> str | None:  # noqa: D102
        try:
            with self._told(key):
                answer = self._client.head_object(Bucket=self.bucket, Key=self._full(key))
        except ObjectMissing:
            return None
        return str(answer["ETag"])

    def put(self, key: str, data: bytes) -> str:  # noqa: D102
        return self._put(key, data, {})

    def put_if_absent(self, key: str, data: bytes) -> str:  # noqa: D102
        return self._put(key, data, {"IfNoneMatch": "*"})

    def put_if_match(self, key: str, data: bytes, etag: str) -> str:  # noqa: D102
        return self._put(key, data, {"IfMatch": etag})

    def delete(self, key: str) -> None:  # noqa: D102
        with contextlib.suppress(ObjectMissing), self._told(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def list(self, prefix: str = "") -> Keys:  # noqa: D102
        full = self.prefix + check_prefix(prefix)
        with self._told(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=full)
            found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        # A console marks a folder that it made by an empty object whose key ends with a slash.
        return sorted(key.removeprefix(self.prefix) for key in found if not key.endswith("/"))

    def _full(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _put(self, key: str, data: bytes, condition: dict[str, str]) -> str:
        from botocore.exceptions import ClientError

        full = self._full(key)
        with self._told(key):
            try:
                answer = self._client.put_object(Bucket=self.bucket, Key=full, Body=data, **condition)
            except ClientError as error:
                if not condition or _code(error) not in _REFUSED | _MISSING:
                    raise
                if error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0):
                    etag = self._etag_if_ours(key, data)
                    if etag is not None:
                        return etag
                raise PreconditionFailed(key) from error
        return str(answer["ETag"])

    def _etag_if_ours(self, key: str, data: bytes) -> str | None:
        try:
            stored = self.get(key)
        except ObjectMissing:
            return None
        return stored.etag if stored.data == data else None

    @contextlib.contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """Turn what S3 and its client say into what the user or the caller can do about it."""
        from botocore import exceptions

        credential_errors = (
            exceptions.NoCredentialsError,
            exceptions.PartialCredentialsError,
            exceptions.CredentialRetrievalError,
        )
        where = f"s3://{self.bucket}/{self.prefix}{key}"
        try:
            yield
        except exceptions.ClientError as error:
            raise self._translated(error, key, where) from error
        except credential_errors as error:
            raise Alert(f"There are no credentials for {where}: {error}", _CREDENTIALS_REMEDY) from error
        except (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError) as error:
            raise Transient(f"The object store does not answer for {where}: {error}") from error

    def _translated(self, error: Any, key: str, where: str) -> Exception:
        code = _code(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _MISSING:
            return ObjectMissing(key)
        if code == "NoSuchBucket":
            remedy = "Create the bucket, or name another one in RUNSTART_OBJECT_STORE."
            return Alert(f"There is no bucket {self.bucket!r}.", remedy)
        if code in _CREDENTIALS:
            return Alert(f"S3 refuses access to {where}: {error}.", _CREDENTIALS_REMEDY)
        if code in _BUSY or status >= 500 or status == 429:
            return Transient(f"The object store cannot serve {where} now: {error}")
        return error if isinstance(error, Exception) else AssertionError(error)


_CREDENTIALS_REMEDY = (
    "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, outside AWS, AWS_ENDPOINT_URL to an account "
    "that may read, write and list the bucket."
)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
