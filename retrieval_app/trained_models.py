"""Which trained model is used for what, and what becomes of it when people who took part are erased."""

from collections.abc import Collection

from django.db.models import F, Q, QuerySet

from retrieval_app.models import Participant, TrainedModel
from users_app.models import EndUser, Workspace


def trained_models(*, workspace: Workspace) -> QuerySet[TrainedModel]:
    """All that may be used in `workspace`: its own, and those that came with Lamppost; the newest first."""
    own = Q(workspace=workspace) | Q(workspace__isnull=True)
    return TrainedModel.objects.filter(own, withdrawn_at__isnull=True).order_by("-pk")


def trained_model_for(
    *, workspace: Workspace, kind: str, task: str, task_version: str, base_model: str
) -> TrainedModel | None:
    """The newest of `kind` for `task` and this base model ("NAME@REVISION"): the workspace's own before those that came
    with Lamppost; None where there is none.

    One that is known to have learned from another version of the task is passed over: it knows other prompts.
    """
    same_prompts = Q(task_versions__contains={task: task_version}) | ~Q(task_versions__has_key=task)
    fitting = trained_models(workspace=workspace).filter(
        same_prompts, kind=kind, tasks__contains=[task], base_model=base_model
    )
    return fitting.filter(workspace=workspace).first() or fitting.filter(workspace__isnull=True).first()


def note_erasure(*, end_user: EndUser, tasks: Collection[str] | None = None) -> int:
    """Mark what `end_user` took part in, of these tasks if given: it should be trained anew. Returns how many.

    Call it in the transaction that erases.
    """
    taken_part = TrainedModel.objects.filter(
        pk__in=Participant.objects.filter(end_user=end_user).values("trained_model_id")
    )
    if tasks is not None:
        taken_part = taken_part.filter(tasks__overlap=list(tasks))
    return taken_part.update(erasures=F("erasures") + 1)
