"""Keeping the truth of a generated benchmark: the oracle's answer with each question of a split.

Like the rest of an import it is all or nothing, in the caller's transaction. What stands is never changed: reports were
made with it.
"""

from __future__ import annotations

import os
from typing import Final

from django.db import connection

from common.copying import copying, text_value
from eval_app.models import DatasetSplit
from lamp.catalogue import get_task
from lamp.problems import IDS_SHOWN, LampProblem
from lamp.truth import oracle_of_unknown_questions, questions_without_oracle, read_oracle

# Of what the oracle answers here and what stands with the questions there, in either direction.
_UNMATCHED: Final = (
    (
        oracle_of_unknown_questions,
        """
        SELECT count(*), (array_agg(o.question_id))[:%(shown)s] FROM import_oracle o
         WHERE NOT EXISTS (SELECT 1 FROM eval_app_question q
                            WHERE q.split_id = %(split)s AND q.external_id = o.question_id)
        """,
    ),
    (
        questions_without_oracle,
        """
        SELECT count(*), (array_agg(q.external_id))[:%(shown)s] FROM eval_app_question q
         WHERE q.split_id = %(split)s
           AND NOT EXISTS (SELECT 1 FROM import_oracle o WHERE o.question_id = q.external_id)
        """,
    ),
)


def keep_truth(*, split: DatasetSplit, path: str | os.PathLike[str], name: str) -> bool:
    """Keep what the oracle of the file answers to each question of `split`; False where exactly that stands already.

    Runs in the caller's transaction. Raises `LampProblem` for a file that is not in order, that does not answer exactly
    the questions of the split, or that says something else than the truth that stands.
    """
    task = get_task(split.task)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE import_oracle (question_id text NOT NULL, output text NOT NULL) ON COMMIT DROP"
        )
    with copying("import_oracle", ("question_id", "output")) as rows:
        for answer in read_oracle(path, task=task, split=split.split, name=name):
            rows.write_line(f"{text_value(answer.id)}\t{text_value(answer.output)}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE import_oracle")
        for problem, unmatched in _UNMATCHED:
            cursor.execute(unmatched, {"split": split.pk, "shown": IDS_SHOWN})
            count, ids = cursor.fetchone()
            if count:
                raise problem(name, count, ids)
        kept = _kept(split, name)
        cursor.execute("DROP TABLE import_oracle")
    return kept


def _kept(split: DatasetSplit, name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*) FROM eval_app_question q JOIN import_oracle o ON o.question_id = q.external_id
             WHERE q.split_id = %s AND q.oracle_answer IS DISTINCT FROM o.output
            """,
            [split.pk],
        )
        (differing,) = cursor.fetchone()
        if split.has_oracle:
            if differing:
                raise LampProblem(
                    file=name,
                    field=f"oracle.{split.split}.answers",
                    message=f"another truth stands for {split}: {differing} answers differ",
                    remedy="Import the questions with this truth as another dataset",
                )
            return False
        cursor.execute(
            """
            UPDATE eval_app_question q SET oracle_answer = o.output FROM import_oracle o
             WHERE q.split_id = %s AND q.external_id = o.question_id
            """,
            [split.pk],
        )
    split.has_oracle = True
    split.save(update_fields=["has_oracle"])
    return True
