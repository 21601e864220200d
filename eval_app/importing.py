"""Importing one split of a dataset: parse, then plan, then act, in the caller's transaction.

Parse streams the files into temporary tables by COPY, checking every question. Plan asks the database what would
change. Act makes it so in a few statements. Whatever goes wrong on the way leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from django.db import connection, transaction

from common.copying import bytes_array_value, copying, text_array_value, text_value
from eval_app.models import Dataset, DatasetSplit
from eval_app.truth import keep_truth
from lamp.golds import golds_for_unknown_questions, questions_without_gold, read_golds
from lamp.problems import IDS_SHOWN
from lamp.reading import Question, Questions, Separation, read_questions
from lamp.tasks import Task
from users_app.models import Quota, Workspace
from users_app.quotas import Room
from users_app.staging import StagedDocuments

_QUESTION_COLUMNS: Final = (
    "position",
    "question_id",
    "id_is_integer",
    "input",
    "external_id",
    "digests",
    "entry_ids",
)
_QUESTIONS_A_REPORT: Final = 50

Report = Callable[[int, int, str], None]
"""Told now and then: bytes read, bytes in all, what is being done. May raise to stop the import."""
Keep = Callable[[], object]
"""Called when everything is stored, in the import's transaction, to keep what shall stand beside the split."""


class ImportRefused(ValueError):
    """What was asked for cannot be imported under these names; the message says why."""

    safe_message = True


class DatasetBeingDeleted(ImportRefused):
    """The dataset is on its way out; what is imported under its name would go with it."""


@dataclass(frozen=True)
class Source:
    """A file to import, and what its owner calls it."""

    path: Path
    name: str


@dataclass(frozen=True)
class Order:
    """What is to be imported as which split."""

    workspace: Workspace
    dataset: str
    split: str
    questions: Source
    outputs: Source | None = None
    truth: Source | None = None
    task: Task | None = None
    separation: Separation | None = None


@dataclass(frozen=True)
class Parsed:
    """What the files hold, once all of it stands in the temporary tables."""

    task: Task
    separation: Separation
    questions: int
    entries: int
    undated_entries: int
    ignored_fields: dict[str, int]


@dataclass(frozen=True)
class Plan:
    """What acting on the parsed files would make."""

    version: int
    questions: int
    end_users: int
    documents: int
    entries: int
    has_golds: bool
    has_dates: bool


@dataclass(frozen=True)
class Imported:
    """What stands after an import. `changed` is False where these very files stood already, as this version;
    `new_oracle` says whether the truth of the split was kept now.
    """

    changed: bool
    split_id: int
    dataset: str
    task: str
    split: str
    separation: str
    version: int
    newest_version: int
    questions: int
    end_users: int
    documents: int
    entries: int
    has_golds: bool
    has_oracle: bool
    new_end_users: int
    new_documents: int
    new_oracle: bool
    ignored_fields: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def import_split(
    order: Order, *, report: Report = lambda done, total, doing: None, keep: Keep = lambda: None
) -> Imported:
    """Import the files as the next version of their split, or find that they stand already.

    Raises `LampProblem` for files that are not in order, `DatasetBeingDeleted`, and `QuotaExceeded` for more than the
    workspace may have. All of it happens in one transaction; the lock on the task's splits lasts to its end.
    """
    with transaction.atomic():
        digests = _digests(order)
        reader = _reader(order)
        dataset = _locked_dataset(order, reader.task)
        standing = _standing(order, reader, digests)
        if standing is not None:
            reader.close()
            made = _with_truth(order, standing)
            keep()
            return made
        staged = StagedDocuments()
        parsed = _parse(order, reader, staged, report)
        report(reader.size, reader.size, "planning")
        plan = _plan(order, dataset, parsed)
        report(reader.size, reader.size, f"storing {plan.questions:,} questions")
        split = DatasetSplit.objects.create(
            dataset=dataset,
            task=parsed.task.key,
            split=order.split,
            version=plan.version,
            separation=parsed.separation,
            digest=digests.both,
            questions_digest=digests.questions,
            outputs_digest=digests.outputs,
            question_count=plan.questions,
            end_user_count=plan.end_users,
            document_count=plan.documents,
            entry_count=plan.entries,
            has_golds=plan.has_golds,
            has_dates=plan.has_dates,
        )
        room = Room(workspace=order.workspace, quotas=[Quota.DOCUMENTS, Quota.BYTES])
        room.look()
        new_users, new_documents = _act(order, split, staged)
        report(reader.size, reader.size, "committing")
        made = _imported(
            split,
            newest=split.version,
            changed=True,
            new_end_users=new_users,
            new_documents=new_documents,
            ignored_fields=parsed.ignored_fields,
        )
        made = _with_truth(order, made)
        # As long as it takes; from the next line on others wait.
        keep()
        # However much there was room for, it may all be taken now.
        room.hold()
        room.require()
        return made


def find_standing(order: Order) -> Imported | None:
    """What an import would find to stand already, None where it would change something.

    Raises `LampProblem` for files that cannot be read, and for a truth that cannot be kept.
    """
    with _reader(order) as reader:
        standing = _standing(order, reader, _digests(order))
    if standing is None or order.truth is None:
        return standing
    with transaction.atomic():
        found = _with_truth(order, standing)
        # It is only looked at here.
        transaction.set_rollback(True)
    return None if found.new_oracle else standing


def end_user_id(dataset: str, task: str, split: str, question: Question) -> str:
    """The external id of the person who asks: dataset/task/user (time) or dataset/task/split/question (user).

    Slashes inside an id are written %2F, so that a user's id cannot name somebody else (LaMP reference §2).
    """
    if question.user_id is not None:
        return f"{dataset}/{task}/{_segment(question.user_id)}"
    return f"{dataset}/{task}/{split}/{_segment(question.id)}"


def _segment(value: str) -> str:
    return value.replace("%", "%25").replace("/", "%2F")


def _with_truth(order: Order, imported: Imported) -> Imported:
    """Keep the truth that comes with the files, if any."""
    if order.truth is None:
        return imported
    split = DatasetSplit.objects.get(pk=imported.split_id)
    kept = keep_truth(split=split, path=order.truth.path, name=order.truth.name)
    return replace(imported, has_oracle=True, new_oracle=kept)


# --- parse -----------------------------------------------------------------------------------------------------------


def _parse(order: Order, reader: Questions, staged: StagedDocuments, report: Report) -> Parsed:
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE TEMPORARY TABLE import_question (
                position integer NOT NULL, question_id text NOT NULL, id_is_integer boolean NOT NULL,
                input text NOT NULL, external_id text NOT NULL, digests bytea[] NOT NULL, entry_ids text[] NOT NULL
            ) ON COMMIT DROP;
            CREATE TEMPORARY TABLE import_gold (question_id text NOT NULL, output text NOT NULL) ON COMMIT DROP;
        """)
    # One COPY at a time has the connection: questions wait on disk while documents stream to the server.
    with tempfile.TemporaryFile() as lines:
        with staged.adding():
            _parse_questions(order, reader, staged, lines, report)
        lines.seek(0)
        with copying("import_question", _QUESTION_COLUMNS) as rows:
            rows.write_lines_of(lines)
    if order.outputs is not None:
        with copying("import_gold", ("question_id", "output")) as rows:
            for gold in read_golds(order.outputs.path, task=reader.task, name=order.outputs.name).items:
                rows.write_line(f"{text_value(gold.id)}\t{text_value(gold.output)}")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE import_question (question_id, external_id); ANALYZE import_gold (question_id)")
    return Parsed(
        task=reader.task,
        separation=reader.separation,
        questions=reader.count,
        entries=reader.entry_count,
        undated_entries=reader.undated_entries,
        ignored_fields=dict(reader.ignored_fields),
    )


def _parse_questions(
    order: Order, reader: Questions, staged: StagedDocuments, lines: IO[bytes], report: Report
) -> None:
    task = reader.task.key
    for position, question in enumerate(reader):
        external_id = end_user_id(order.dataset, task, order.split, question)
        digests = [staged.add(external_id, entry.fields) for entry in question.profile]
        line = "\t".join(
            (
                str(position),
                text_value(question.id),
                "t" if question.id_is_integer else "f",
                text_value(question.input),
                text_value(external_id),
                bytes_array_value(digests),
                text_array_value([entry.entry_id for entry in question.profile]),
            )
        )
        lines.write(line.encode() + b"\n")
        if position % _QUESTIONS_A_REPORT == 0:
            report(reader.bytes_read, reader.size, f"reading: {position + 1:,} questions")


# --- plan ------------------------------------------------------------------------------------------------------------


def _plan(order: Order, dataset: Dataset, parsed: Parsed) -> Plan:
    if order.outputs is not None:
        _refuse_golds_that_do_not_match(order.outputs)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(DISTINCT external_id),
                   (SELECT count(*) FROM (SELECT DISTINCT external_id, digest FROM staged_document) AS different)
              FROM import_question
            """
        )
        end_users, documents = cursor.fetchone()
    return Plan(
        version=_newest(dataset, parsed.task, order.split) + 1,
        questions=parsed.questions,
        end_users=end_users,
        documents=documents,
        entries=parsed.entries,
        has_golds=order.outputs is not None,
        has_dates=parsed.separation == "time" or (parsed.entries > 0 and parsed.undated_entries == 0),
    )


def _refuse_golds_that_do_not_match(outputs: Source) -> None:
    for problem, here, there in (
        (golds_for_unknown_questions, "import_gold", "import_question"),
        (questions_without_gold, "import_question", "import_gold"),
    ):
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT count(*), (array_agg(h.question_id))[:{IDS_SHOWN}]
                  FROM {here} h WHERE NOT EXISTS (SELECT 1 FROM {there} t WHERE t.question_id = h.question_id)
                """  # noqa: S608 - our own names
            )
            count, ids = cursor.fetchone()
        if count:
            raise problem(outputs.name, count, ids)


# --- act -------------------------------------------------------------------------------------------------------------


def _act(order: Order, split: DatasetSplit, staged: StagedDocuments) -> tuple[int, int]:
    made = staged.store(workspace=order.workspace, task=split.task, end_users="import_question")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO eval_app_question (split_id, end_user_id, position, external_id, id_is_integer, input, gold,
                                           document_ids, entry_ids)
            SELECT %s, u.id, q.position, q.question_id, q.id_is_integer, q.input, g.output,
                   ARRAY(SELECT d.id
                           FROM unnest(q.digests) WITH ORDINALITY AS entry (digest, place)
                           JOIN users_app_document d
                             ON d.end_user_id = u.id AND d.task = %s AND d.digest = entry.digest
                          ORDER BY entry.place),
                   q.entry_ids
              FROM import_question q
              JOIN users_app_enduser u ON u.workspace_id = %s AND u.external_id = q.external_id
              LEFT JOIN import_gold g ON g.question_id = q.question_id
             ORDER BY q.position
            """,
            [split.pk, split.task, order.workspace.pk],
        )
        if cursor.rowcount != split.question_count:
            raise RuntimeError(f"{split.question_count} questions were read and {cursor.rowcount} stored")
        cursor.execute("DROP TABLE import_question, import_gold")
    return made


def _locked_dataset(order: Order, task: Task) -> Dataset:
    """The dataset, with its splits of this task locked against other imports until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"import:{order.workspace.pk}/{order.dataset}/{task.key}"],
        )
    dataset, _ = Dataset.objects.get_or_create(workspace=order.workspace, name=order.dataset)
    require_standing(dataset)
    return dataset


def require_standing(dataset: Dataset | None) -> None:
    """Raise `DatasetBeingDeleted` where `dataset` is being deleted."""
    if dataset is not None and dataset.deletion_requested_at is not None:
        raise DatasetBeingDeleted(
            f"Dataset “{dataset.name}” is being deleted. Wait until it is gone, or choose another name."
        )


def _newest(dataset: Dataset, task: Task, split: str) -> int:
    versions = DatasetSplit.objects.filter(dataset=dataset, task=task.key, split=split)
    return versions.order_by("-version").values_list("version", flat=True).first() or 0


def _reader(order: Order) -> Questions:
    return read_questions(order.questions.path, task=order.task, separation=order.separation, name=order.questions.name)


def _standing(order: Order, reader: Questions, digests: _Digests) -> Imported | None:
    split = DatasetSplit.objects.filter(
        dataset__workspace=order.workspace,
        dataset__name=order.dataset,
        task=reader.task.key,
        split=order.split,
        separation=reader.separation,
        digest=digests.both,
    ).first()
    return None if split is None else _imported(split, newest=_newest(split.dataset, reader.task, order.split))


def files_digest(questions: Path, outputs: Path | None) -> str:
    """The digest by which a split made of these files is known (`DatasetSplit.digest`)."""
    return _Digests(_digest(questions), _digest(outputs) if outputs is not None else "").both


@dataclass(frozen=True)
class _Digests:
    """SHA-256 (hex) of the files; `outputs` is empty without golds."""

    questions: str
    outputs: str

    @property
    def both(self) -> str:
        return hashlib.sha256(f"{self.questions} {self.outputs}".encode()).hexdigest()


def _digests(order: Order) -> _Digests:
    return _Digests(_digest(order.questions.path), _digest(order.outputs.path) if order.outputs else "")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _imported(
    split: DatasetSplit,
    *,
    newest: int,
    changed: bool = False,
    new_end_users: int = 0,
    new_documents: int = 0,
    ignored_fields: dict[str, int] | None = None,
) -> Imported:
    return Imported(
        changed=changed,
        split_id=split.pk,
        dataset=split.dataset.name,
        task=split.task,
        split=split.split,
        separation=split.separation,
        version=split.version,
        newest_version=newest,
        questions=split.question_count,
        end_users=split.end_user_count,
        documents=split.document_count,
        entries=split.entry_count,
        has_golds=split.has_golds,
        has_oracle=split.has_oracle,
        new_end_users=new_end_users,
        new_documents=new_documents,
        new_oracle=False,
        ignored_fields=ignored_fields or {},
    )
