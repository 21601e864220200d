"""An import of a time-based file against bare ijson and COPY of the same rows into tables without keys.

Ours checks every value, computes digests, finds repeated documents and known users, keeps all constraints and can be
undone; the floor does none of it, and is what any import must do at least. Both commit to the same PostgreSQL, which the
benchmark starts for itself. Equal rows are asserted before the clock counts. Repeat with `python -m benchmarks imports`.
"""

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
ROUNDS = 5
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
        detail=f"{size / 1e6:.1f} MB, {rows:,} rows, against ijson + COPY without checks or keys: {floor:,.0f} a second",
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
    """What a short script would do: parse, and copy each document of a user once and each question."""
    import ijson
    from django.db import connection, transaction

    questions = []
    seen = set()
    with transaction.atomic(), connection.cursor() as cursor:
        with (
            path.open("rb") as file,
            cursor.copy("COPY floor_document (end_user, fields) FROM STDIN") as copy,
        ):
            for question in ijson.items(file, "item", use_float=True):
                ids = []
                for entry in question["profile"]:
                    ids.append(entry.pop("id"))
                    row = (question["user_id"], json.dumps(entry, ensure_ascii=False))
                    if row not in seen:
                        seen.add(row)
                        copy.write_row(row)
                questions.append((question["user_id"], question["id"], question["input"], ids))
        with cursor.copy("COPY floor_question (end_user, question_id, input, entry_ids) FROM STDIN") as copy:
            for row in questions:
                copy.write_row(row)


def _make_floor_tables() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor_document (end_user text, fields jsonb)")
        cursor.execute("CREATE TABLE floor_question (end_user text, question_id text, input text, entry_ids text[])")


def _empty() -> None:
    from django.db import connection

    tables = "floor_document, floor_question, eval_app_question, eval_app_datasetsplit, users_app_document, users_app_enduser"
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} CASCADE")
        cursor.execute("CHECKPOINT")


def _assert_equal_rows() -> int:
    """Both hold the same documents and questions; how many rows that is."""
    from django.db import connection

    pairs = (
        (
            "SELECT end_user, fields FROM floor_document",
            """SELECT split_part(u.external_id, '/', 3), d.fields
                 FROM users_app_document d JOIN users_app_enduser u ON u.id = d.end_user_id""",
        ),
        (
            "SELECT question_id, input, entry_ids FROM floor_question",
            "SELECT external_id, input, entry_ids FROM eval_app_question",
        ),
    )
    rows = 0
    with connection.cursor() as cursor:
        for floor, ours in pairs:
            cursor.execute(f"SELECT (SELECT count(*) FROM ({floor}) f), (SELECT count(*) FROM ({ours}) o)")
            counts = cursor.fetchone()
            cursor.execute(f"SELECT count(*) FROM (({floor}) EXCEPT ALL ({ours})) AS different")
            assert counts[0] == counts[1] and cursor.fetchone() == (0,), "the rows differ"
            rows += counts[0]
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
