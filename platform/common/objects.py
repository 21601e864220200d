"""The object store: adapters, exports and uploads, by plain S3 through the minio SDK.

Any S3 server will do. Nothing here leans on versioning, tags or locks, which some servers lack, and no key may also be
the folder of another ("a" beside "a/b"), which servers over a file system cannot hold.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import urllib3
from django.conf import settings
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

_CHUNK_BYTES = 1024 * 1024
# Files up to this size go in one request; of larger ones so much is in memory at a time.
_PART_BYTES = 16 * 1024 * 1024
_TIMEOUT = urllib3.Timeout(connect=3, read=30)
_RETRIES = urllib3.Retry(
    total=2, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504), raise_on_status=False, redirect=0
)

_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "ResourceNotFound"})
_REFUSED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"})
_OURS_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})


class ObjectStoreError(Exception):
    """The object store did not do what was asked."""

    # It names keys, servers and settings; keys hold ids and digests.
    safe_message = True


class ObjectStoreUnavailable(ObjectStoreError):
    """The object store cannot be reached or does not work now; another attempt may succeed."""


class ObjectStoreRefused(ObjectStoreUnavailable):
    """The object store does not accept our keys."""


class ObjectMissing(ObjectStoreError):
    """There is no object by that key."""


class ObjectTooLarge(ObjectStoreError):
    """The object holds more bytes than the caller is ready to take."""


class _BucketMissing(ObjectMissing):
    """There is no object, since there is no bucket."""


@dataclass(frozen=True)
class ObjectInfo:
    """What is stored by a key. The etag changes with the content, but is no digest that could be computed here."""

    key: str
    size: int
    etag: str
    # When it was stored, by the store's clock; None in the answer to storing it.
    modified: datetime | None = None


class ObjectStore:
    """One bucket of an S3 server. Safe to share among threads, not among forked processes."""

    def __init__(
        self,
        *,
        endpoint: str,
        public_endpoint: str,
        access_key: str,
        secret_key: str,
        bucket: str,
        region: str = "us-east-1",
    ) -> None:
        self.endpoint = endpoint
        self.bucket = bucket

        def client(url: str) -> Minio:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
                raise ObjectStoreError(
                    f"{url!r} is no address of an S3 server. Write S3_ENDPOINT and S3_PUBLIC_ENDPOINT as "
                    f"http://HOST:PORT or https://HOST, without a path."
                )
            # With its region known the client asks the server nothing before it signs an address.
            return Minio(
                parts.netloc, access_key=access_key, secret_key=secret_key, secure=parts.scheme == "https",
                region=region, http_client=urllib3.PoolManager(timeout=_TIMEOUT, retries=_RETRIES, maxsize=8),
            )  # fmt: skip

        self._client = client(endpoint)
        self._public_client = client(public_endpoint)

    def ensure_bucket(self) -> None:
        """Make the bucket if it is missing."""
        with self._clear_errors():
            try:
                if not self._client.bucket_exists(self.bucket):
                    self._client.make_bucket(self.bucket)
            except S3Error as error:
                if error.code not in _OURS_ALREADY:
                    raise

    def reach(self) -> None:
        """Return where the store answers and accepts our keys, whether or not the bucket was made yet.

        Raises:
            ObjectStoreUnavailable: It does not.
        """
        with self._clear_errors():
            self._client.bucket_exists(self.bucket)

    def put_bytes(self, key: str, data: bytes, *, content_type: str = "application/octet-stream") -> ObjectInfo:
        """Store `data`, whole or not at all, in place of what was there; return what was stored."""
        return self._put(key, lambda: io.BytesIO(data), len(data), content_type)

    def put_file(
        self, key: str, path: str | os.PathLike[str], *, content_type: str = "application/octet-stream"
    ) -> ObjectInfo:
        """Store the file `path`, whole or not at all, in memory of a fixed size."""
        path = Path(path)
        return self._put(key, lambda: path.open("rb"), path.stat().st_size, content_type)

    def get_bytes(self, key: str, *, max_bytes: int) -> bytes:
        """The whole object.

        Raises:
            ObjectMissing: No such object.
            ObjectTooLarge: It holds more than `max_bytes`, of which no more than that was read.
        """
        with self.open_stream(key) as stream:
            data = stream.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ObjectTooLarge(f"The object {key} holds more than the {max_bytes} bytes that were allowed for.")
        return data

    def download(self, key: str, path: str | os.PathLike[str]) -> None:
        """Write the object to the file `path`, which is either as before or complete.

        Raises:
            ObjectMissing: No such object.
        """
        path = Path(path)
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        try:
            with self.open_stream(key) as stream, fresh.open("xb") as file:
                while chunk := stream.read(_CHUNK_BYTES):
                    file.write(chunk)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)

    @contextlib.contextmanager
    def open_stream(self, key: str) -> Iterator[BinaryIO]:
        """The object as a file that is read while it arrives.

        Raises:
            ObjectMissing: No such object.
            ObjectStoreUnavailable: Also while reading, if the object breaks off.
        """
        with self._clear_errors(key):
            response = cast("urllib3.HTTPResponse", self._client.get_object(self.bucket, checked_key(key)))
            # As urllib3 asks of whoever reads its response through a buffer: it would close itself at its end.
            response.auto_close = False
            try:
                yield io.BufferedReader(response, _CHUNK_BYTES)
            finally:
                response.close()
                response.release_conn()

    def stat(self, key: str) -> ObjectInfo | None:
        """What is stored by `key`, None if nothing."""
        try:
            with self._clear_errors(key):
                found = self._client.stat_object(self.bucket, checked_key(key))
        except ObjectMissing:
            return None
        return ObjectInfo(key, found.size or 0, (found.etag or "").strip('"'), found.last_modified)

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens if there is none."""
        with contextlib.suppress(ObjectMissing), self._clear_errors(key):
            self._client.remove_object(self.bucket, checked_key(key))

    def delete_prefix(self, prefix: str) -> int:
        """Remove all objects whose keys begin with `prefix`, which ends in "/"; return how many there were."""
        if not prefix.endswith("/"):
            raise ValueError(f"The prefix {prefix!r} does not end in '/', so it could catch more than one folder.")
        keys = [info.key for info in self.list(prefix)]
        with self._clear_errors(prefix):
            failures = builtins.list(self._client.remove_objects(self.bucket, [DeleteObject(key) for key in keys]))
        if failures:
            raise ObjectStoreUnavailable(
                f"The object store at {self.endpoint} has not deleted {len(failures)} of {len(keys)} objects below "
                f"{prefix} ({failures[0].code}). Try again."
            )
        return len(keys)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose keys begin with `prefix`, in the order of their keys."""
        with contextlib.suppress(_BucketMissing), self._clear_errors(prefix):
            for found in self._client.list_objects(self.bucket, prefix=prefix, recursive=True):
                if not found.is_dir:
                    etag = (found.etag or "").strip('"')
                    yield ObjectInfo(found.object_name or "", found.size or 0, etag, found.last_modified)

    def presigned_get(self, key: str, *, seconds: int) -> str:
        """An address by which anybody can read the object for `seconds`, reachable from outside. Asks no server."""
        return self._public_client.presigned_get_object(self.bucket, checked_key(key), timedelta(seconds=seconds))

    def presigned_put(self, key: str, *, seconds: int) -> str:
        """An address by which anybody can write the object for `seconds`, reachable from outside. Asks no server.

        The bucket must be there: call `ensure_bucket` once before.
        """
        return self._public_client.presigned_put_object(self.bucket, checked_key(key), timedelta(seconds=seconds))

    def _put(self, key: str, open_source: Callable[[], BinaryIO], size: int, content_type: str) -> ObjectInfo:
        checked_key(key)

        def put() -> str:
            with open_source() as source:
                written = self._client.put_object(
                    self.bucket, key, source, size, content_type=content_type, part_size=_PART_BYTES,
                    num_parallel_uploads=1,
                )  # fmt: skip
            return (written.etag or "").strip('"')

        try:
            with self._clear_errors(key):
                etag = put()
        except _BucketMissing:
            self.ensure_bucket()
            with self._clear_errors(key):
                etag = put()
        return ObjectInfo(key, size, etag)

    @contextlib.contextmanager
    def _clear_errors(self, key: str = "") -> Iterator[None]:
        """Turn what the SDK and its HTTP client raise into errors that say what to do."""
        try:
            yield
        except (MinioException, urllib3.exceptions.HTTPError, ConnectionError) as error:
            raise self._translated(error, key) from error

    def _translated(self, error: Exception, key: str) -> ObjectStoreError:
        code = _s3_code(error)
        if code in _MISSING:
            return ObjectMissing(f"There is no object {key} in the bucket {self.bucket}.")
        if code == "NoSuchBucket":
            return _BucketMissing(f"There is no object {key}: there is no bucket {self.bucket}.")
        if code in _REFUSED:
            return self._refused(code)
        if code is not None:
            return ObjectStoreUnavailable(
                f"The object store at {self.endpoint} answered {code}. See its log, and try again."
            )
        if isinstance(error, InvalidResponseError):
            return ObjectStoreUnavailable(f"{self.endpoint} answers, but not as an S3 server does. Check S3_ENDPOINT.")
        return ObjectStoreUnavailable(
            f"The object store at {self.endpoint} cannot be reached ({type(error).__name__}). Start the embedded one "
            f"by `manage.py stack up`, or check S3_ENDPOINT."
        )

    def _refused(self, code: str) -> ObjectStoreRefused:
        hint = (
            " The clocks of this machine and of the server differ too much." if code == "RequestTimeTooSkewed" else ""
        )
        return ObjectStoreRefused(
            f"The object store at {self.endpoint} refuses our keys ({code}).{hint} Check S3_ACCESS_KEY and "
            f"S3_SECRET_KEY, and what the key may do with the bucket {self.bucket}."
        )


def _s3_code(error: Exception) -> str | None:
    """The code by which S3 names what went wrong; None if `error` is no answer of an S3 server."""
    if isinstance(error, S3Error):
        return error.code
    if isinstance(error, ServerError):
        return f"HTTP {error.status_code}"
    if isinstance(error, InvalidResponseError):
        # rclone's errors arrive here: it calls its XML text/xml, where the SDK wants application/xml.
        code = re.search(r"<Code>(\w+)</Code>", error._body or "")
        if code is not None:
            return code[1]
        if error._code in (401, 403):
            return "AccessDenied"
    return None


def checked_key(key: str) -> str:
    """`key`, if every S3 server can hold it.

    Raises:
        ValueError: It cannot.
    """
    parts = key.split("/")
    if not key or len(key.encode()) > 1024 or "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{key!r} cannot be the key of an object.")
    return key


def get_store() -> ObjectStore:
    """The store that the settings name, one a process."""
    return _store(
        os.getpid(),
        endpoint=settings.S3_ENDPOINT,
        public_endpoint=settings.S3_PUBLIC_ENDPOINT,
        access_key=settings.S3_ACCESS_KEY,
        secret_key=settings.S3_SECRET_KEY,
        bucket=settings.S3_BUCKET,
        region=settings.S3_REGION,
    )


@functools.lru_cache(maxsize=4)
def _store(pid: int, **options: str) -> ObjectStore:
    """Kept by process id, so that a forked worker does not use its parent's connections."""
    return ObjectStore(**options)
