"""An import of a time-based file against bare ijson and COPY of the same rows into tables without keys.

The floor parses the file with ijson's fastest backend in one pass, keeps every user and document it has met in a
dict, and writes with COPY, in one transaction, what our tables hold of people, documents and questions: each document
once a user, with its canonical JSON, sha256 and date key, and each question with the ids of its documents in order. It
checks nothing, takes the database for empty, fills no index, holds no constraint and needs memory in proportion to the
file. Ours bounds and checks every value, digests the file, merges with what stands already, keeps all constraints and
its memory flat.

Both commit to the same PostgreSQL, which the benchmark starts for itself. Equal rows are asserted before the clock
counts. Repeat with `python -m benchmarks imports`.
"""

import hashlib
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Figure

USERS = 130
QUESTIONS_A_USER = 3
DOCUMENTS = (40, 80)
WORDS = (40, 90)
ROUNDS = 9
NEWS = "Generate a headline for the following article: "


def run() -> list[Figure]:
    from embedded import stack

    with tempfile.TemporaryDirectory(prefix="lamppost-bench-") as folder:
        root = Path(folder) / "servers"
        # PostgreSQL may run as another user, who must be able to pass through.
        Path(folder).chmod(0o755)
        endpoints = stack.up(root, only={"postgres"})
        try:
            os.environ["DATABASE_URL"] = endpoints.database_url
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
            return [_measured(Path(folder) / "dev_questions.json")]
        finally:
            stack.erase(root)


def _measured(path: Path) -> Figure:
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    size = _write_questions(path)
    _make_floor_tables()
    _floor(path)
    _import(path)
    rows = _assert_equal_rows()
    floor_seconds, our_seconds = [], []
    for _ in range(ROUNDS):
        _empty()
        floor_seconds.append(_seconds(_floor, path))
        our_seconds.append(_seconds(_import, path))
    connection.close()
    ours, floor = rows / statistics.median(our_seconds), rows / statistics.median(floor_seconds)
    return Figure(
        name="import_vs_floor",
        ratio=statistics.median(f / o for f, o in zip(floor_seconds, our_seconds, strict=True)),
        median=ours,
        unit="rows a second",
        detail=f"{size / 1e6:.1f} MB, {rows:,} rows, against ijson + COPY without checks or keys: {floor:,.0f}",
    )


def _seconds(call: Callable[[Path], object], path: Path) -> float:
    start = time.perf_counter()
    call(path)
    return time.perf_counter() - start


def _import(path: Path) -> None:
    from eval_app.importing import Order, Source, import_split
    from users_app.services import ensure_workspace

    workspace, _ = ensure_workspace(slug="bench")
    done = import_split(Order(workspace, "bench", "dev", Source(path, path.name)))
    assert done.changed, "the rows of the round before still stand"


def _floor(path: Path) -> None:
    """What a short script would do: parse, number users and documents, copy each document once, then the questions."""
    import ijson
    from django.db import connection, transaction

    users: dict[str, int] = {}
    documents: dict[tuple[int, str], int] = {}
    questions = []
    with transaction.atomic(), connection.cursor() as cursor:
        with path.open("rb") as file, cursor.copy("COPY floor_document FROM STDIN") as copy:
            for position, question in enumerate(ijson.items(file, "item", use_float=True)):
                user = users.setdefault(question["user_id"], len(users))
                entry_ids, document_ids = [], []
                for entry in question["profile"]:
                    entry_ids.append(entry.pop("id"))
                    fields = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
                    number = documents.get((user, fields))
                    if number is None:
                        number = documents[user, fields] = len(documents)
                        digest = hashlib.sha256(fields.encode()).digest()
                        date = [int(part) for part in entry["date"].split("-")]
                        copy.write_row((number, user, "LaMP-4", digest, fields, date))
                    document_ids.append(number)
                questions.append(
                    (1, user, position, question["id"], False, question["input"], None, document_ids, entry_ids)
                )
        with cursor.copy("COPY floor_end_user FROM STDIN") as copy:
            for external_id, user in users.items():
                copy.write_row((user, f"bench/LaMP-4/{external_id}"))
        with cursor.copy("COPY floor_question FROM STDIN") as copy:
            for row in questions:
                copy.write_row(row)


def _make_floor_tables() -> None:
    """The columns of the real tables, less the times of storing, without keys."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE TABLE floor_end_user (id bigint, external_id text);
            CREATE TABLE floor_document (
                id bigint, end_user_id bigint, task text, digest bytea, fields jsonb, date_key bigint[]
            );
            CREATE TABLE floor_question (
                split_id bigint, end_user_id bigint, position integer, external_id text, id_is_integer boolean,
                input text, gold text, document_ids bigint[], entry_ids text[]
            );
        """)


def _empty() -> None:
    from django.db import connection

    floor = "floor_document, floor_question, floor_end_user"
    ours = "eval_app_question, eval_app_datasetsplit, users_app_document, users_app_enduser"
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {floor}, {ours} CASCADE")
        cursor.execute("CHECKPOINT")


def _assert_equal_rows() -> int:
    """Both hold the same documents and questions; how many rows that is."""
    from django.db import connection

    pairs = (
        (
            "SELECT u.external_id, d.task, d.digest, d.fields, d.date_key"
            " FROM floor_document d JOIN floor_end_user u ON u.id = d.end_user_id",
            "SELECT u.external_id, d.task, d.digest, d.fields, d.date_key"
            " FROM users_app_document d JOIN users_app_enduser u ON u.id = d.end_user_id",
        ),
        (
            "SELECT q.position, q.external_id, q.input, q.entry_ids, ARRAY(SELECT d.digest"
            " FROM unnest(q.document_ids) WITH ORDINALITY AS entry (id, place) JOIN floor_document d USING (id)"
            " ORDER BY entry.place) FROM floor_question q",
            "SELECT q.position, q.external_id, q.input, q.entry_ids, ARRAY(SELECT d.digest"
            " FROM unnest(q.document_ids) WITH ORDINALITY AS entry (id, place) JOIN users_app_document d USING (id)"
            " ORDER BY entry.place) FROM eval_app_question q",
        ),
    )
    rows = 0
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX floor_document_id ON floor_document (id)")
        for floor, ours in pairs:
            cursor.execute(f"SELECT (SELECT count(*) FROM ({floor}) f), (SELECT count(*) FROM ({ours}) o)")
            counts = cursor.fetchone()
            cursor.execute(f"SELECT count(*) FROM (({floor}) EXCEPT ALL ({ours})) AS different")
            different = cursor.fetchone()[0]
            assert counts[0] == counts[1], "the numbers of rows differ"
            assert different == 0, "the rows differ"
            rows += counts[0]
        cursor.execute("DROP INDEX floor_document_id")
    return rows


def _write_questions(path: Path) -> int:
    """A LaMP-4 file in the time-based separation: users own several questions, each with the profile as of then."""
    draw = random.Random(4)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5000)]

    def text(lengths: tuple[int, int]) -> str:
        return " ".join(draw.choices(words, k=draw.randint(*lengths)))

    questions = []
    for user in range(USERS):
        documents = [
            {"text": text(WORDS), "title": text((5, 12)), "date": f"20{10 + place // 12:02d}-{1 + place % 12:02d}-03"}
            for place in range(draw.randint(*DOCUMENTS))
        ]
        for number in range(QUESTIONS_A_USER):
            question_id = str(user * QUESTIONS_A_USER + number)
            seen = documents[: len(documents) - 10 * (QUESTIONS_A_USER - 1 - number)]
            profile = [document | {"id": f"{question_id}{place}"} for place, document in enumerate(seen)]
            questions.append({"id": question_id, "input": NEWS + text(WORDS), "profile": profile, "user_id": str(user)})
    draw.shuffle(questions)
    path.write_text(json.dumps(questions))
    return path.stat().st_size
