"""Which trained model is used for what, and what becomes of it when people who took part are erased or
no longer agree.
"""

from collections.abc import Collection

from django.db.models import Exists, F, Func, JSONField, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject

from retrieval_app.models import Participant, TrainedModel
from retrieval_app.pools import withdrawn_encoders
from users_app.models import EndUser, Workspace


def trained_models(*, workspace: Workspace) -> QuerySet[TrainedModel]:
    """All that may be used in `workspace`: its own, and those that came with Lamppost; the newest first.

    No selector whose pool names a withdrawn encoder: it could never answer.
    """
    own = Q(workspace=workspace) | Q(workspace__isnull=True)
    return TrainedModel.objects.filter(own, ~lacks_an_encoder(), withdrawn_at__isnull=True).order_by("-pk")


def lacks_an_encoder() -> Exists:
    """Whether the pool of a trained model, the outer query's row, names an encoder that was withdrawn."""
    as_member = Func(
        JSONObject(encoder="name", encoder_revision="revision"),
        function="jsonb_build_array",
        output_field=JSONField(),
    )
    return Exists(withdrawn_encoders().annotate(as_member=as_member).filter(as_member__contained_by=OuterRef("pool")))


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


def mark_what_learned_from(*, end_user: EndUser, tasks: Collection[str] | None = None) -> int:
    """Mark what `end_user` took part in, of these tasks if given: it should be trained anew. Returns how many.

    Call it in the transaction that erases them or documents of theirs, or that takes back their agreement.
    """
    taken_part = TrainedModel.objects.filter(
        pk__in=Participant.objects.filter(end_user=end_user).values("trained_model_id")
    )
    if tasks is not None:
        taken_part = taken_part.filter(tasks__overlap=list(tasks))
    return taken_part.update(erasures=F("erasures") + 1)
