"""Storing many documents of many end users at once, by COPY, inside the caller's transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from django.db import connection

from common.copying import NULL, Copying, bytes_value, copying, int_array_value, json_value, text_value
from users_app.documents import canonical_fields, document_date_key
from users_app.models import Workspace

# Digests of documents: some 150 bytes each.
_REMEMBERED: Final = 100_000


class StagedDocuments:
    """Documents on their way in: `add` streams them to a temporary table, `store` makes them and their users real.

    Holds some megabytes whatever the number of documents. The temporary tables end with the transaction or `store`.
    """

    def __init__(self) -> None:
        self._rows: Copying | None = None
        # Snapshots of one user repeat documents: one seen lately need not be sent again.
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._seen_count = 0
        with connection.cursor() as cursor:
            cursor.execute("""
                CREATE TEMPORARY TABLE staged_end_user (id bigint NOT NULL, external_id text NOT NULL) ON COMMIT DROP;
                CREATE TEMPORARY TABLE staged_document (
                    external_id text NOT NULL, digest bytea NOT NULL, fields jsonb NOT NULL, date_key bigint[]
                ) ON COMMIT DROP;
            """)

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Within the block `add` may be called, and nothing else may use the connection."""
        with copying("staged_document", ("external_id", "digest", "fields", "date_key")) as self._rows:
            yield
        self._rows = None

    def add(self, external_id: str, fields: Mapping[str, Any]) -> str:
        """Stage one document of the end user `external_id`; returns its digest (hex). The fields must be fit for JSON.

        Raises ValueError for a field that is not.
        """
        canonical = canonical_fields(fields)
        digest = sha256(canonical).hexdigest()
        seen = self._seen.get(external_id)
        if seen is None or digest not in seen:
            self._send(external_id, digest, canonical, fields.get("date"))
        return digest

    def store(self, *, workspace: Workspace, task: str, end_users: str) -> tuple[int, int]:
        """Make the end users and their documents; returns how many of each are new.

        `end_users` is the caller's own temporary table with a column external_id: people may have no document.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                INSERT INTO users_app_enduser (workspace_id, external_id)
                SELECT %s, external_id FROM {end_users} GROUP BY external_id ORDER BY external_id
                ON CONFLICT (workspace_id, external_id) DO NOTHING
                """,  # noqa: S608 - our own name
                [workspace.pk],
            )
            new_users = cursor.rowcount
            cursor.execute(
                f"""
                INSERT INTO staged_end_user
                SELECT id, external_id FROM users_app_enduser
                 WHERE workspace_id = %s AND external_id IN (SELECT external_id FROM {end_users})
                """,  # noqa: S608 - our own name
                [workspace.pk],
            )
            # So that it is the side that is hashed; of the documents it is enough to know that they are many.
            cursor.execute("ANALYZE staged_end_user")
            cursor.execute(
                """
                INSERT INTO users_app_document (end_user_id, task, digest, fields, date_key)
                SELECT u.id, %s, d.digest, d.fields, d.date_key
                  FROM staged_document d
                  JOIN staged_end_user u USING (external_id)
                ON CONFLICT (end_user_id, task, digest) DO NOTHING
                """,
                [task],
            )
            new_documents = cursor.rowcount
            # The transaction may be longer than this: another import in it begins with tables of its own.
            cursor.execute("DROP TABLE staged_end_user, staged_document")
        return new_users, new_documents

    def _send(self, external_id: str, digest: str, canonical: bytes, date: str | int | None) -> None:
        if self._rows is None:
            raise RuntimeError("documents are added within `adding`")
        if self._seen_count >= _REMEMBERED:
            self._seen.clear()
            self._seen_count = 0
        self._seen[external_id].add(digest)
        self._seen_count += 1
        self._rows.write_line(
            f"{_copied_id(external_id)}\t{bytes_value(digest)}\t{json_value(canonical.decode())}\t{_copied_date(date)}"
        )


_copied_id = lru_cache(maxsize=100)(text_value)


def forget_copied() -> None:
    """Let go of the external ids that this process has copied last."""
    _copied_id.cache_clear()


@lru_cache(maxsize=20_000, typed=True)
def _copied_date(date: str | int | None) -> str:
    key = document_date_key({"date": date})
    return NULL if key is None else int_array_value(key)
