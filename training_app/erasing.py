"""What this app erases of a person, and of a document: adapters with their files, and generations."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db.models import Case, F, Func, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Now

from jobs.models import FINISHED, UNFINISHED, Job
from jobs.services import cancel
from lamp.catalogue import UnknownTask
from training_app.adapter_selectors import profile_to_learn_from
from training_app.adapters import AdapterPlan, job_key, plan_adapter, request_adapters
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter, BaseModel, Generation, LearnedProfile, Retraining, ServingChoice
from training_app.object_keys import (
    ADAPTERS,
    CHECKPOINTS,
    adapter_prefix,
    checkpoint_prefix,
    identity_of,
    versions_prefix,
)
from training_app.retraining.measuring import ORIGIN as RETRAINING
from training_app.serving_selectors import not_passed_over
from users_app.erasers import Eraser, Erasing, ErasingDocuments
from users_app.models import EndUser


class _Settings(NamedTuple):
    """What made an adapter, beside the documents."""

    task: str
    base_model_id: int
    dtype: str
    exact: bool
    stored_dtype: str
    hyperparameters: tuple[tuple[str, Any], ...]
    seed: int


def _erase_end_user(erasing: Erasing) -> None:
    adapters = Adapter.objects.filter(end_user=erasing.end_user)
    erasing.prefixes += adapters.values_list("object_prefix", flat=True)
    identities = {*adapters.values_list("identity", flat=True), *_trainings(erasing.end_user).values_list(
        "payload__identity", flat=True
    )}  # fmt: skip
    # Jobs of earlier versions may name none.
    for identity in identities - {None}:
        # Also what was uploaded and is not recorded, and what is kept of trainings under way.
        erasing.prefixes += [versions_prefix(identity=identity), checkpoint_prefix(identity=identity)]
    erasing.delete_own(Generation)
    # In this order: each names those that come after it.
    for model in (ServingChoice, Retraining, LearnedProfile):
        erasing.delete_own(model)
    erasing.delete_own(Adapter)


def _erase_documents(erasing: ErasingDocuments) -> None:
    """Withdraw every adapter that saw one of them, and have each trained anew from the profile that is left."""
    touched = list(erasing.touched)
    adapters = Adapter.objects.filter(end_user=erasing.end_user, task=erasing.task, document_ids__overlap=touched)
    trainings = [
        job
        for job in _trainings(erasing.end_user).filter(payload__task=erasing.task)
        # Jobs of earlier versions do not speak of their documents, and are not run.
        if erasing.touched.intersection(job.payload.get("document_ids", ()))
    ]
    under_way = [job for job in trainings if job.state in UNFINISHED]
    # A trial answers nobody, and its retraining starts over; an adapter that was passed over must not come back.
    serving = not_passed_over(adapters.filter(withdrawn_at__isnull=True))
    wanted = [job for job in under_way if not job.payload.get("is_trial", False)]
    plans = _plans_anew(erasing, _settings_of(serving, wanted))
    # What is left may be what a training learns from already, if it stands under another id too: then that one goes on.
    anew = {plan.identity for plan in plans}
    trainings = [job for job in trainings if job.payload.get("identity") not in anew]
    cancel(*(job.pk for job in trainings))
    for identity, prefix in adapters.values_list("identity", "object_prefix"):
        if identity not in anew:
            erasing.prefixes += [prefix, versions_prefix(identity=identity)]
    for job in trainings:
        if "identity" in job.payload:
            identity = job.payload["identity"]
            erasing.prefixes += [versions_prefix(identity=identity), checkpoint_prefix(identity=identity)]
    erasing.count(Adapter, adapters.filter(withdrawn_at__isnull=True).update(withdrawn_at=Now()))
    _forget_digests(adapters)
    jobs, _ = Job.objects.filter(pk__in=[job.pk for job in trainings], state__in=FINISHED).delete()
    erasing.count(Job, jobs)
    _forget_in_generations(erasing)
    request_adapters(plans=plans)


def _forget_digests(adapters: QuerySet[Adapter]) -> None:
    """Keep no digest of the documents, nor the identity that is made of them: a short one could be guessed."""
    for adapter in adapters.only("content_digest"):
        identity = secrets.token_hex(32)
        Adapter.objects.filter(pk=adapter.pk).update(
            identity=identity,
            object_prefix=adapter_prefix(identity=identity, digest=adapter.content_digest),
            document_digests=[],
        )


def _trainings(end_user: EndUser) -> QuerySet[Job]:
    return Job.objects.filter(end_user_id=end_user.pk, kind=TRAIN_ADAPTER.name)


def _settings_of(adapters: Iterable[Adapter], jobs: Iterable[Job]) -> list[_Settings]:
    """The different settings of adapters that stand and of those on their way, the oldest first."""
    found = [
        _settings(one.task, one.base_model_id, one.dtype, one.exact, one.stored_dtype, one.hyperparameters, one.seed)
        for one in adapters
    ]
    names = ("task", "base_model_id", "dtype", "exact", "stored_dtype", "hyperparameters", "seed")
    # Jobs of earlier versions lack some, and would not have been run either.
    found += [_settings(*(job.payload[name] for name in names)) for job in jobs if job.payload.keys() >= set(names)]
    return list(dict.fromkeys(found))


def _settings(
    task: str,
    base_model_id: int,
    dtype: str,
    exact: bool,
    stored_dtype: str,
    hyperparameters: Mapping[str, Any],
    seed: int,
) -> _Settings:
    return _Settings(task, base_model_id, dtype, exact, stored_dtype, tuple(sorted(hyperparameters.items())), seed)


def _plans_anew(erasing: ErasingDocuments, wanted: Iterable[_Settings]) -> list[AdapterPlan]:
    """The adapters of these settings that the profile which is left makes."""
    workspace, end_user = erasing.workspace, erasing.end_user
    documents = profile_to_learn_from(workspace=workspace, end_user=end_user, task=erasing.task)
    if not documents:
        return []
    base_models = BaseModel.objects.in_bulk()
    try:
        return [
            plan_adapter(
                workspace=workspace,
                end_user_id=end_user.pk,
                task=one.task,
                base_model=base_models[one.base_model_id],
                dtype=one.dtype,
                exact=one.exact,
                stored_dtype=one.stored_dtype,
                hyperparameters=dict(one.hyperparameters),
                seed=one.seed,
                documents=documents,
            )
            for one in wanted
        ]
    except UnknownTask:
        # Nothing can be trained for a task that is no more.
        return []


def _forget_in_generations(erasing: ErasingDocuments) -> None:
    """Take the content out of prompts that quote it, and out of the profiles of questions yet to be answered.

    A question that a retraining has made of it goes as a whole.
    """
    Generation.objects.filter(
        end_user=erasing.end_user,
        origin__startswith=f"{RETRAINING}:",
        profile_document_ids__overlap=list(erasing.gone),
    ).delete()
    for document_id in erasing.gone:
        without = Func(F("profile_document_ids"), Value(document_id), function="array_remove")
        Generation.objects.filter(
            end_user=erasing.end_user, task=erasing.task, profile_document_ids__contains=[document_id]
        ).update(
            profile_document_ids=without,
            prompt=Case(
                When(Q(retrieved_document_ids__contains=[document_id]), then=Value("")),
                default=F("prompt"),
                output_field=TextField(),
            ),
        )


def _in_use(prefix: str) -> bool:
    """Whether a usable adapter lies there, or a training under way keeps or will put its files there."""
    if not prefix.startswith((f"{ADAPTERS}/", f"{CHECKPOINTS}/")):
        return False
    training = Job.objects.filter(dedupe_key=job_key(identity_of(prefix)), state__in=UNFINISHED, cancel_requested=False)
    standing = Adapter.objects.filter(
        identity=identity_of(prefix), object_prefix__startswith=prefix, withdrawn_at__isnull=True
    )
    return training.exists() or standing.exists()


ERASER = Eraser(
    name="training_app",
    models=(Adapter, Generation, ServingChoice, Retraining, LearnedProfile),
    end_user=_erase_end_user,
    documents=_erase_documents,
    in_use=_in_use,
)
