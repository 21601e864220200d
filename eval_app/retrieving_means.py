"""What retrieves for a method on one task: its encoder, and the selector or fine-tuned encoder that its name means.

A method names a retriever, not a trained model. Which one is meant is settled when a run is assigned, and kept by it.
"""

from dataclasses import dataclass

from django.db.models import Q

from eval_app.methods import Method, retriever_title
from eval_app.models import DatasetSplit, Run
from lamp.catalogue import get_task
from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.pools import PoolRefused, encoders_of_pool, read_pool
from retrieval_app.retrievers import CONTRIEVER, FINE_TUNED, RECENCY, SELECTING
from retrieval_app.trained_models import trained_model_for, trained_models
from training_app.models import BaseModel
from users_app.models import Workspace

TRAINED = FINE_TUNED | SELECTING
"""The retrievers that have to be trained for the task and the base model before they can be used."""


@dataclass(frozen=True, kw_only=True)
class RetrievingMeans:
    """A retriever (None: nothing is retrieved) with its encoder or its selector, where it has one."""

    retriever: str | None
    encoder: Encoder | None = None
    selector: TrainedModel | None = None


class MeansMissing(LookupError):
    """The method cannot retrieve here; the message says why and what to do."""


def retrieving_means(
    *, method: Method, split: DatasetSplit, base_model: BaseModel, encoder: Encoder | None
) -> RetrievingMeans:
    """What `method`, which is not of the best retriever, retrieves with on `split`; `encoder` is contriever's.

    Raises `MeansMissing` where nothing fitting has been trained, or cannot be used on this split.
    """
    if method.retriever not in TRAINED:
        return RetrievingMeans(retriever=method.retriever, encoder=encoder if method.retriever == CONTRIEVER else None)
    found = trained_model_for(
        workspace=split.dataset.workspace,
        kind=method.retriever,
        task=split.task,
        task_version=get_task(split.task).version,
        base_model=f"{base_model.name}@{base_model.revision}",
    )
    if found is None:
        raise MeansMissing(_not_trained(method.retriever, split.task))
    if method.retriever in FINE_TUNED:
        return RetrievingMeans(retriever=method.retriever, encoder=found.encoder)
    _require_usable(found, method=method, split=split)
    return RetrievingMeans(retriever=method.retriever, selector=found)


def means_of_run(run: Run) -> RetrievingMeans:
    """What a run retrieves with."""
    return RetrievingMeans(retriever=run.retriever or None, encoder=run.encoder, selector=run.selector)


def with_usable_means(*, workspace: Workspace) -> Q:
    """The runs of `workspace` whose selector or fine-tuned encoder, where they have one, was not withdrawn."""
    usable = trained_models(workspace=workspace).order_by()
    return Q(Q(selector__isnull=True) | Q(selector__in=usable)) & Q(
        ~Q(retriever__in=FINE_TUNED) | Q(encoder__in=usable.filter(encoder__isnull=False).values("encoder"))
    )


def encoders_of_run(run: Run) -> list[Encoder]:
    """The encoders by which the run's users need their documents embedded: its own, or those of its selector's pool.

    Raises `PoolRefused` where one of the pool is not recorded.
    """
    if run.selector is not None:
        return list(encoders_of_pool(read_pool(run.selector.pool)).values())
    return [run.encoder] if run.encoder is not None else []


def trained_model_of(run: Run) -> TrainedModel | None:
    """The selector of a run, or what its fine-tuned encoder is on record as; None where it has neither."""
    if run.selector is not None or run.encoder is None or run.retriever not in FINE_TUNED:
        return run.selector
    of_workspace = TrainedModel.objects.filter(encoder=run.encoder, workspace=run.workspace_id)
    return of_workspace.order_by("-pk").first()


def _not_trained(retriever: str, task: str) -> str:
    what, how = (
        ("selector", " (`manage.py train_selector`)")
        if retriever in SELECTING
        else ("encoder", " (`manage.py train_encoder`)")
    )
    return (
        f"No {retriever_title(retriever)} {what} of {task} is ready for this base model: train one{how}, "
        "or leave the method out."
    )


def _require_usable(selector: TrainedModel, *, method: Method, split: DatasetSplit) -> None:
    try:
        pool = read_pool(selector.pool)
        encoders_of_pool(pool)
    except PoolRefused as problem:
        raise MeansMissing(f"{selector.get_kind_display()} {selector.pk} cannot be used here: {problem}") from None
    if not split.has_dates and any(member.retriever == RECENCY for member in pool):
        raise MeansMissing(
            f"{method.key} needs dates, as its selector may choose recency, and the profiles of {split.task} have none "
            f"({split.separation}-based separation): train a selector with another pool, or use the time-based files."
        )
