"""Many end users with documents, vectors and profiles, written with COPY: the tables of a platform that has grown.

Everything is drawn by a user's and a round's number, so the first users are the same however many there are. Rows are
written round by round, a document of each user a round, as they come to a platform over the months: each document of
a user stands on a page of its own. Triggers and foreign keys are not asked while the rows are written; checks and
unique indexes are.
"""

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

TASK: Final = "LaMP-7"
DOCUMENTS: Final = 15
WORDS: Final = 17
DIMENSION: Final = 128
"""Of the small encoder that comes with Lamppost."""
_KNOWN_WORDS: Final = 5_000
_BLOCK: Final = 1_000

_BINARY_COPY: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_BINARY_END: Final = b"\xff\xff"
# A row of the vectors' table as COPY reads it: each value behind its length, all of them of one length.
_VECTOR_ROW: Final = np.dtype(
    [
        ("fields", ">i2"),
        *[part for name in ("end_user", "document", "encoder") for part in ((f"{name}_size", ">i4"), (name, ">i8"))],
        *[("dimension_size", ">i4"), ("dimension", ">i4")],
        *[("vector_size", ">i4"), ("length", ">i2"), ("unused", ">i2"), ("vector", ">f4", (DIMENSION,))],
    ]
)


def populate(*, users: int) -> None:
    """Fill Django's default database, which has our tables and nothing of ours in them, with so many users."""
    from django.db import connection, transaction

    assert users % _BLOCK == 0, f"users come in blocks of {_BLOCK}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "INSERT INTO users_app_workspace (id, slug, name, shared_training) VALUES (1, 'bench', '', 'agreed')"
        )
        cursor.execute(
            "INSERT INTO retrieval_app_encoder (id, name, revision, dimension) VALUES (1, 'bench/encoder', '1', %s)",
            [DIMENSION],
        )
        cursor.execute(
            "INSERT INTO users_app_enduser (id, workspace_id, external_id)"
            " SELECT n, 1, 'user-' || n FROM generate_series(1, %s) AS n",
            [users],
        )
        with cursor.copy(
            "COPY users_app_document (id, end_user_id, task, digest, fields) FROM STDIN (FORMAT text)"
        ) as copy:
            for row in _documents(users):
                copy.write_row(row)
        cursor.execute(
            "INSERT INTO users_app_profileentry (end_user_id, task, client_id, document_id, position)"
            " SELECT end_user_id, task, 'd' || (id - 1) / %(users)s, id, (id - 1) / %(users)s"
            "   FROM users_app_document ORDER BY id",
            {"users": users},
        )
        cursor.execute(
            "INSERT INTO users_app_profiletally (end_user_id, workspace_id, task, added, removed)"
            " SELECT id, 1, %s, %s, 0 FROM users_app_enduser",
            [TASK, DOCUMENTS],
        )
        with cursor.copy(
            "COPY retrieval_app_embedding (end_user_id, document_id, encoder_id, dimension, vector)"
            " FROM STDIN (FORMAT binary)"
        ) as copy:
            copy.write(_BINARY_COPY)
            for block in _vectors(users):
                copy.write(block)
            copy.write(_BINARY_END)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")


class Query(NamedTuple):
    """What is asked, and the encoder's vector of it."""

    text: str
    vector: "np.ndarray[Any, np.dtype[np.float32]]"


def make_query(number: int) -> Query:
    """A tweet to be paraphrased, in the words of the documents."""
    draw = random.Random(number)
    words = [_words()[int(_KNOWN_WORDS * draw.random() ** 3)] for _ in range(WORDS)]
    vector = np.random.default_rng([9, number]).standard_normal(DIMENSION, dtype=np.float32)
    return Query("Paraphrase: " + " ".join(words), vector)


def _documents(users: int) -> Iterator[tuple[int, int, str, bytes, str]]:
    from users_app.documents import document_digest

    words = _words()
    for number in range(DOCUMENTS):
        for first in range(0, users, _BLOCK):
            draw = np.random.default_rng([7, number, first])
            # Few words are frequent, most are rare.
            chosen = (_KNOWN_WORDS * draw.random((_BLOCK, WORDS)) ** 3).astype(int).tolist()
            for place, places in enumerate(chosen, start=first + 1):
                fields = {"text": " ".join([words[one] for one in places])}
                yield number * users + place, place, TASK, document_digest(fields), json.dumps(fields)


def _vectors(users: int) -> Iterator[bytes]:
    rows = np.zeros(_BLOCK, dtype=_VECTOR_ROW)
    rows["fields"] = 5
    for name, size in (("end_user", 8), ("document", 8), ("encoder", 8), ("dimension", 4)):
        rows[f"{name}_size"] = size
    rows["encoder"] = 1
    rows["dimension"] = rows["length"] = DIMENSION
    rows["vector_size"] = 4 + 4 * DIMENSION
    for number in range(DOCUMENTS):
        for first in range(0, users, _BLOCK):
            rows["end_user"] = np.arange(first + 1, first + _BLOCK + 1)
            rows["document"] = rows["end_user"] + number * users
            rows["vector"] = np.random.default_rng([8, number, first]).standard_normal(
                (_BLOCK, DIMENSION), dtype=np.float32
            )
            yield rows.tobytes()


@lru_cache(maxsize=1)
def _words() -> list[str]:
    draw = random.Random(7)
    return ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(_KNOWN_WORDS)]
