"""Feedback of documents (ROPG, LaMP reference §3): what a question's first documents are worth to the base model.

It is asked for here and gathered by jobs, kept question by question, and shared by every training that needs the same.
Only questions of end users whose data shared models may learn from are asked, and only theirs are read.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from eval_app.kinds import GATHER_DOCUMENT_FEEDBACK
from eval_app.models import DatasetSplit, DocumentFeedback, Question
from eval_app.selectors import split_questions
from jobs.services import JobSpec, enqueue_many
from lamp.catalogue import get_task
from lamp.tasks import Task
from retrieval_app.models import Encoder
from retrieval_app.version import RETRIEVAL_VERSION
from training_app.engine_version import ENGINE_VERSION
from training_app.identity import digest_of
from training_app.models import BaseModel
from users_app.models import EndUser, Workspace
from users_app.selectors import documents_of, lock_end_users
from users_app.shared_training import may_learn_from

FIRST_DOCUMENTS: Final = 16
"""How many of the initial retriever's documents are judged, unless told otherwise (LaMP reference §3)."""

# Enough that passes of the base model are full, few enough that progress shows.
QUESTIONS_A_JOB: Final = 16


@dataclass(frozen=True, kw_only=True)
class FeedbackSettings:
    """Everything that decides the feedback to a question beside the question itself; `digest` names it.

    `documents` is how many of the first documents by `encoder` are judged, `parameters` how the base model searches for
    its answers, as runs keep it.
    """

    task: Task
    encoder: Encoder
    base_model: BaseModel
    documents: int
    parameters: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest under which feedback is kept, at this version of task, retrieval and engine."""
        return digest_of(
            {
                "task": self.task.key,
                "task_version": self.task.version,
                "encoder": f"{self.encoder.name}@{self.encoder.revision}",
                "base_model": f"{self.base_model.name}@{self.base_model.revision}",
                "documents": self.documents,
                "parameters": dict(self.parameters),
                "retrieval": RETRIEVAL_VERSION,
                "engine": ENGINE_VERSION,
            }
        )

    def payload(self) -> dict[str, Any]:
        """What a job's row keeps of it: ids and settings, no text."""
        return {
            "task": self.task.key,
            "encoder_id": self.encoder.pk,
            "base_model_id": self.base_model.pk,
            "documents": self.documents,
            "parameters": dict(self.parameters),
            "settings_digest": self.digest,
        }


def settings_from(payload: Mapping[str, Any]) -> FeedbackSettings | None:
    """The settings of a job's payload; None where a model is gone, or a version has changed since it was asked for."""
    encoder = Encoder.objects.filter(pk=payload["encoder_id"]).first()
    base_model = BaseModel.objects.filter(pk=payload["base_model_id"]).first()
    if encoder is None or base_model is None:
        return None
    settings = FeedbackSettings(
        task=get_task(payload["task"]),
        encoder=encoder,
        base_model=base_model,
        documents=payload["documents"],
        parameters=payload["parameters"],
    )
    return settings if settings.digest == payload["settings_digest"] else None


def learnable_questions(*, workspace: Workspace, split: DatasetSplit, user_limit: int | None) -> QuerySet[Question]:
    """The questions of the first `user_limit` users of `split` that may be learned from now: with a gold, a profile and
    an end user who takes part.
    """
    questions = split_questions(split=split, user_limit=user_limit)
    return questions.filter(
        split__dataset__workspace=workspace, end_user__in=may_learn_from(workspace=workspace), gold__isnull=False
    ).exclude(document_ids=[])


def without_feedback(questions: QuerySet[Question], *, settings_digest: str) -> QuerySet[Question]:
    """Those of `questions` to which the base model's feedback under these settings is still to come."""
    standing = DocumentFeedback.objects.filter(question=OuterRef("pk"), settings_digest=settings_digest)
    return questions.exclude(Exists(standing))


def request_feedback(
    *,
    workspace: Workspace,
    split: DatasetSplit,
    user_limit: int | None,
    settings: FeedbackSettings,
    origin: str,
) -> set[str]:
    """Ask for what is missing, some questions a job; the dedupe keys of the jobs, which others may have asked for.

    Empty where nothing is missing.
    """
    questions = learnable_questions(workspace=workspace, split=split, user_limit=user_limit)
    missing = without_feedback(questions, settings_digest=settings.digest).order_by("position")
    chunks: dict[int, list[int]] = defaultdict(list)
    for question_id, position in missing.values_list("pk", "position"):
        # By their place in the file, so that two trainings that miss the same ask for the same jobs.
        chunks[position // QUESTIONS_A_JOB].append(question_id)
    specs = [
        JobSpec(
            kind=GATHER_DOCUMENT_FEEDBACK.name,
            payload={**settings.payload(), "question_ids": question_ids},
            workspace_id=workspace.pk,
            origin=origin,
            dedupe_key=f"document-feedback:{split.pk}:{settings.digest}:{chunk}",
        )
        for chunk, question_ids in chunks.items()
    ]
    enqueue_many(specs)
    return {spec.dedupe_key for spec in specs if spec.dedupe_key is not None}


def questions_to_judge(*, workspace: Workspace, question_ids: Sequence[int], settings_digest: str) -> list[Question]:
    """Those of a job's questions that are still to be judged, each with who asks it and its split, in the file's order.

    Left out: questions that are gone or judged already, and those of end users who no longer take part.
    """
    asked = Question.objects.filter(
        pk__in=question_ids,
        split__dataset__workspace=workspace,
        end_user__in=may_learn_from(workspace=workspace),
        gold__isnull=False,
    ).select_related("end_user__workspace", "split")
    return list(without_feedback(asked, settings_digest=settings_digest).order_by("position"))


@transaction.atomic
def record_feedback(
    *,
    workspace: Workspace,
    question: Question,
    settings_digest: str,
    document_ids: Sequence[int],
    utilities: Sequence[float],
) -> bool:
    """Keep what the question's first documents are worth, best first. What stands already stays as it is.

    False, and nothing is kept, where the end user, the question or a document was erased meanwhile.
    """
    try:
        lock_end_users(workspace=workspace, end_user_ids=[question.end_user_id])
    except EndUser.DoesNotExist:
        return False
    if not Question.objects.filter(pk=question.pk).exists():
        return False
    standing = documents_of(workspace=workspace, end_user=question.end_user, task=question.split.task)
    if standing.filter(pk__in=document_ids).count() < len(set(document_ids)):
        return False
    DocumentFeedback.objects.bulk_create(
        [
            DocumentFeedback(
                question=question,
                end_user_id=question.end_user_id,
                settings_digest=settings_digest,
                document_ids=list(document_ids),
                utilities=list(utilities),
            )
        ],
        ignore_conflicts=True,
    )
    return True
