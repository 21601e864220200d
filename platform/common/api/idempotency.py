"""One effect however often a request is sent: the `Idempotency-Key` header.

The record and the effect are made in one transaction, the record first. A second request with the same key therefore
waits at the unique index until the first has committed, and then answers with what that one made, or, where the first
failed, takes its place. Nothing is leased and nobody polls.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction

from common.api.problems import FieldError, Problem, invalid_input
from common.models import IdempotencyRecord

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")
_CHUNK: Final = 5_000

_INSERT: Final = """
    INSERT INTO common_idempotencyrecord (workspace_id, key, fingerprint, resource, end_user_id)
    VALUES (%s, %s, %s, '{}', %s)
    ON CONFLICT DO NOTHING
    RETURNING id
"""


def key_of(headers: Mapping[str, str]) -> str | None:
    """The request's key, None where it has none. Raises `Problem` 400 for one that is no key."""
    given = headers.get(HEADER)
    if given is None or _KEY.match(given):
        return given
    raise invalid_input(
        FieldError(HEADER, "This is no key.", "Send 1 to 255 visible ASCII characters, such as a UUID.")
    )


def fingerprint_of(*, method: str, path: str, body_digest: bytes) -> bytes:
    """What tells two requests with one key apart."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body_digest))).digest()


def once(
    *,
    workspace_id: int,
    key: str | None,
    fingerprint: bytes,
    end_user_id: int | None,
    create: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """Run `create` in a transaction, unless a request with `key` has done so; what it returned, and whether it was so.

    `create` returns the ids from which an answer is rendered, as a JSON object without users' text. Without a key it
    always runs. Whatever it raises undoes the record too, so the key is free again.

    Raises `Problem` 422 where the key was used for another request.
    """
    with transaction.atomic():
        if key is None:
            return create(), False
        while True:
            made = _insert(workspace_id, key, fingerprint, end_user_id)
            if made is not None:
                resource = create()
                IdempotencyRecord.objects.filter(pk=made).update(resource=resource)
                return resource, False
            standing = IdempotencyRecord.objects.filter(workspace_id=workspace_id, key=key).first()
            if standing is not None:
                break
            # Its retention ended between the two statements: then there is room for a new one.
    if bytes(standing.fingerprint) != fingerprint:
        raise Problem(
            422,
            "idempotency-key-reused",
            f"This {HEADER} was used for another request. Send a new one, or the same request to have its answer.",
        )
    return standing.resource, True


def _insert(workspace_id: int, key: str, fingerprint: bytes, end_user_id: int | None) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [workspace_id, key, fingerprint, end_user_id])
        row = cursor.fetchone()
    return None if row is None else row[0]


def forget_old_records() -> int:
    """Delete the records past `IDEMPOTENCY_RETENTION_HOURS`, in short transactions; how many. A sweep."""
    return delete_records(older_than_hours=settings.IDEMPOTENCY_RETENTION_HOURS)


def delete_records(*, older_than_hours: float) -> int:
    """Delete the records that are older, in short transactions; how many there were."""
    deleted = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                """DELETE FROM common_idempotencyrecord WHERE id IN (
                     SELECT id FROM common_idempotencyrecord
                      WHERE created_at < now() - make_interval(secs => %s)
                      ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED)""",
                [older_than_hours * 3600, _CHUNK],
            )
            count = cursor.rowcount
        deleted += count
        if count < _CHUNK:
            return deleted
