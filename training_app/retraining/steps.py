"""One end user's retraining, from its turn to its end: trial, measurement, and the adapter that serves from then on.

Every step locks the end user, then the retraining, and is idempotent: it looks at what is there. A step is taken when
jobs of the retraining have ended, and what a lost process owed, the sweep does. Where the ground has moved under a
retraining (a document left the profile, the task changed, another adapter serves) it starts over, so that nothing is
promoted that was compared with something else, or has learned from what is no longer there.

What serves does not change before the end, and a retraining that fails changes nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from jobs import errors
from jobs.models import UNFINISHED as UNFINISHED_JOBS
from jobs.models import Job, State
from jobs.outcomes import unfinished_origins
from jobs.services import cancel, cancel_origin
from lamp.catalogue import UnknownTask
from lamp.tasks import Task
from training_app.adapter_deletion import delete_adapter
from training_app.adapter_requests import require_room
from training_app.adapter_selectors import profile_to_learn_from
from training_app.adapters import AdapterPlan, all_live, plan_adapter, request_adapter, stored_dtype_of
from training_app.base_models import default_dtype
from training_app.hyperparameters import InvalidHyperparameters, complete_hyperparameters
from training_app.kinds import TRAIN_ADAPTER
from training_app.models import Adapter, Retraining, ServingChoice
from training_app.retraining import keeping, measuring
from training_app.retraining.holding_out import ProfileDocument, TooFewDocuments, hold_out
from training_app.retraining.judging import Candidate, Judgement, judge
from training_app.retraining.learned import note_learned
from training_app.retraining.measuring import ORIGIN as ORIGIN
from training_app.retraining.measuring import retraining_origin
from training_app.retraining.models import REASON_LENGTH, UNDER_WAY
from training_app.serving_selectors import serving_adapter
from users_app.models import EndUser, Workspace
from users_app.quotas import QuotaExceeded
from users_app.selectors import documents_of, lock_end_users
from users_app.tasks import task_of

logger = logging.getLogger(__name__)

DECIDED: Final = (Retraining.State.PROMOTED, Retraining.State.KEPT, Retraining.State.NONE)

_TRIALS_AT_ONCE: Final = 100


class OnEnd(Protocol):
    """Told after the commit that a retraining of this sweep has ended."""

    def __call__(self, *, sweep_id: int) -> Any: ...


_on_end: list[OnEnd] = []


def on_end(callback: OnEnd) -> None:
    """Call `callback` after each retraining's end, whatever it was. Registering it again changes nothing."""
    if callback not in _on_end:
        _on_end.append(callback)


@transaction.atomic
def begin(*, retraining_id: int) -> None:
    """Let a waiting retraining have its turn: it goes on to its trial, or straight to an end.

    One transaction for each, as it locks the end user. One that is not waiting, or gone, stays as it is.
    """
    retraining = _held(retraining_id)
    if retraining is not None and retraining.state == Retraining.State.WAITING:
        _start(retraining)


@transaction.atomic
def advance(*, retraining_id: int) -> None:
    """Take a retraining as far as it goes without waiting. Safe to call at any time, by anyone."""
    retraining = _held(retraining_id)
    if retraining is None or retraining.state not in UNDER_WAY:
        return
    _STEPS[Retraining.State(retraining.state)](retraining)


@transaction.atomic
def cancel_retraining(*, retraining_id: int, reason: str) -> None:
    """End a retraining that has not ended, without any change to what serves."""
    retraining = _held(retraining_id)
    if retraining is not None and retraining.finished_at is None:
        _end(retraining, Retraining.State.CANCELLED, reason)


def jobs_ended(origin: str) -> None:
    """The listener: jobs of a retraining have ended. Safe to repeat."""
    if origin not in unfinished_origins([origin]):
        advance(retraining_id=int(origin.partition(":")[2]))


def advance_stalled() -> None:
    """Beat's sweep: take every retraining further that no job of its own is under way for, whatever was lost."""
    under_way = Retraining.objects.filter(state__in=UNDER_WAY).order_by("pk")
    origins = {retraining_origin(pk): pk for pk in under_way.values_list("pk", flat=True)}
    for origin in sorted(origins.keys() - unfinished_origins(origins.keys())):
        try:
            advance(retraining_id=origins[origin])
        except Exception as problem:  # noqa: BLE001 - the others go on, and this one is tried again
            logger.error("%s could not be taken further: %s", origin, errors.describe(problem).for_log())


def forget_forsaken() -> None:
    """Beat's sweep: delete the trials and answers of which no retraining is under way, as after a worker recorded a
    trial too late, or a policy was deleted with its retrainings.
    """
    measuring.forget_answers(
        of_none_among=set(Retraining.objects.filter(state=Retraining.State.MEASURING).values_list("pk", flat=True))
    )
    measured = Retraining.objects.filter(
        end_user=OuterRef("end_user"),
        task=OuterRef("task"),
        base_model=OuterRef("base_model"),
        rank=OuterRef("rank"),
        state__in=UNDER_WAY,
    )
    for trial in Adapter.objects.filter(~Exists(measured), is_trial=True).order_by("pk")[:_TRIALS_AT_ONCE]:
        delete_adapter(adapter=trial)


# --- Steps -----------------------------------------------------------------------------------------------------------


def _start(retraining: Retraining) -> None:
    """Read the profile and what serves now, and ask for the trial; for the first time or over again."""
    try:
        task = _task(retraining)
        hyperparameters = complete_hyperparameters({**_rule(retraining, "hyperparameters"), "rank": retraining.rank})
    except (UnknownTask, InvalidHyperparameters) as problem:
        _end(retraining, Retraining.State.FAILED, str(problem))
        return
    exact = _rule(retraining, "exact")
    retraining.settings = {
        "task_version": task.version,
        "dtype": default_dtype(),
        "exact": exact,
        "stored_dtype": stored_dtype_of(exact=exact),
        "hyperparameters": hyperparameters,
        "seed": _rule(retraining, "seed"),
    }
    retraining.scores = {}
    retraining.old_adapter = _serving(retraining, task)
    retraining.trial_adapter = None
    if retraining.started_at is None:
        retraining.started_at = Now()
    profile = _read_profile(retraining)
    # Questions of an earlier start are about other documents, or of another adapter.
    measuring.answers_of(retraining).delete()
    if profile is None:
        _end_without_training(retraining)
        return
    old = retraining.old_adapter
    if old is not None and _final_plan(retraining).identity == old.identity:
        _end(
            retraining,
            Retraining.State.KEPT,
            "The adapter that serves has learned from just this profile, in this way.",
        )
        return
    try:
        parts = hold_out(
            profile,
            share=_rule(retraining, "held_out_share"),
            most=_rule(retraining, "held_out_most"),
            seen=old.document_ids if old is not None and _may_stay(retraining) else (),
        )
    except TooFewDocuments:
        _end_without_training(retraining)
        return
    retraining.held_out_ids = list(parts.measured)
    _seek_trial(retraining)


def _seek_trial(retraining: Retraining) -> None:
    """Measure the trial if it stands, else have it trained, or end with its training."""
    plan = _trial_plan(retraining)
    trial = _standing(retraining, plan) or _standing(retraining, _trial_plan(retraining, is_trial=False))
    if trial is not None:
        _measure(retraining, trial)
    else:
        _train(retraining, plan, state=Retraining.State.TRIAL)


def _look_after_trial(retraining: Retraining) -> None:
    if _has_moved(retraining):
        _start(retraining)
    else:
        _seek_trial(retraining)


def _measure(retraining: Retraining, trial: Adapter) -> None:
    retraining.trial_adapter = trial
    retraining.training_seconds += _seconds_spent(retraining, trial)
    _move(retraining, Retraining.State.MEASURING)
    measuring.answers_of(retraining).delete()
    measuring.ask(retraining, task=_task(retraining), adapters=_candidates(retraining))


def _look_after_measuring(retraining: Retraining) -> None:
    trial = retraining.trial_adapter
    if _has_moved(retraining) or trial is None or trial.withdrawn_at is not None:
        _start(retraining)
        return
    found = measuring.scores(retraining, task=_task(retraining), adapters=_candidates(retraining))
    if found is not None:
        retraining.scores = measuring.stored(found)
        _judge(retraining)
        return
    origin = retraining_origin(retraining.pk)
    if origin in unfinished_origins([origin]):
        return
    keys = {f"generation:{pk}" for pk in measuring.answers_of(retraining).values_list("pk", flat=True)}
    ended = [job for job in Job.objects.filter(origin=origin).exclude(origin="") if job.dedupe_key in keys]
    if not _end_with(retraining, ended):
        # Nothing is under way and no answer came, as after a deletion by hand: ask again.
        _measure(retraining, trial)


def _judge(retraining: Retraining) -> None:
    judgement = _judgement(retraining)
    reason = _in_words(retraining, judgement)
    metric = measuring.metric_of(_task(retraining))
    better = {
        candidate: measuring.better(metric, mean, judgement.means[Candidate.NONE])
        for candidate, mean in judgement.means.items()
    }
    measuring.answers_of(retraining).delete()
    match judgement.winner:
        case Candidate.TRIAL:
            # Beside the old adapter and the new one there need be no room for a third.
            _forget_trials(retraining)
            if _read_profile(retraining) is None:
                _end_without_training(retraining)
            else:
                _seek_final(retraining)
        case Candidate.OLD:
            _end(
                retraining, Retraining.State.KEPT, reason, adapter=retraining.old_adapter, better=better[Candidate.OLD]
            )
        case Candidate.NONE:
            _end(retraining, Retraining.State.NONE, reason, serves_none=True, better=False)


def _seek_final(retraining: Retraining) -> None:
    """Let the adapter of the whole profile serve if it stands, else have it trained, or end with its training."""
    plan = _final_plan(retraining)
    adapter = _standing(retraining, plan)
    if adapter is None:
        _train(retraining, plan, state=Retraining.State.TRAINING)
        return
    serving = _serving(retraining, _task(retraining))
    if serving not in (adapter, retraining.old_adapter):
        _end(
            retraining,
            Retraining.State.CANCELLED,
            "Another adapter was trained while this one was, and serves. The next sweep compares anew.",
        )
        return
    retraining.new_adapter = adapter
    keeping.delete_surpassed(retraining, promoted=adapter, keep=_rule(retraining, "adapters_kept"))
    retraining.training_seconds += _seconds_spent(retraining, adapter)
    judgement = _judgement(retraining)
    metric = measuring.metric_of(_task(retraining))
    _end(
        retraining,
        Retraining.State.PROMOTED,
        _in_words(retraining, judgement),
        adapter=adapter,
        better=measuring.better(metric, judgement.means[Candidate.TRIAL], judgement.means[Candidate.NONE]),
    )


def _look_after_final(retraining: Retraining) -> None:
    if _task_has_changed(retraining):
        _start(retraining)
        return
    if not _learns_from_live_alone(retraining) and _read_profile(retraining) is None:
        _end_without_training(retraining)
        return
    _seek_final(retraining)


_STEPS: Final[dict[Retraining.State, Callable[[Retraining], None]]] = {
    Retraining.State.TRIAL: _look_after_trial,
    Retraining.State.MEASURING: _look_after_measuring,
    Retraining.State.TRAINING: _look_after_final,
}


# --- What steps are made of ------------------------------------------------------------------------------------------


def _held(retraining_id: int) -> Retraining | None:
    """The retraining, held with its end user until the transaction ends; None where it is gone."""
    whose = Retraining.objects.filter(pk=retraining_id).select_related("end_user__workspace").first()
    if whose is None:
        return None
    try:
        lock_end_users(workspace=whose.end_user.workspace, end_user_ids=[whose.end_user_id])
    except EndUser.DoesNotExist:
        return None
    held = Retraining.objects.select_for_update(of=("self",), no_key=True)
    related = ("end_user__workspace", "base_model", "sweep__policy", "old_adapter", "trial_adapter")
    return held.select_related(*related).filter(pk=retraining_id).first()


def _workspace(retraining: Retraining) -> Workspace:
    return retraining.end_user.workspace


def _rule(retraining: Retraining, name: str) -> Any:
    """A rule of the policy as the sweep found it; one that the policy did not have then yet, as it is now."""
    sweep = retraining.sweep
    return sweep.rules[name] if name in sweep.rules else getattr(sweep.policy, name)


def _task(retraining: Retraining) -> Task:
    return task_of(workspace=_workspace(retraining), key=retraining.task)


def _task_has_changed(retraining: Retraining) -> bool:
    """Whether another version of the task is in force than when this began; a task that is gone is one."""
    try:
        return _task(retraining).version != retraining.settings["task_version"]
    except UnknownTask:
        return True


def _serving(retraining: Retraining, task: Task) -> Adapter | None:
    return serving_adapter(
        workspace=_workspace(retraining),
        end_user=retraining.end_user,
        task=retraining.task,
        task_version=task.version,
        base_model=retraining.base_model,
    )


def _read_profile(retraining: Retraining) -> list[ProfileDocument] | None:
    """Let the retraining be about the profile as it is now; None where that is too small to train on."""
    documents = profile_to_learn_from(
        workspace=_workspace(retraining), end_user=retraining.end_user, task=retraining.task
    )
    retraining.document_ids = [document_id for document_id, _ in documents]
    if len(documents) < _rule(retraining, "minimum_documents"):
        return None
    dates: dict[int, list[int] | None] = dict(
        documents_of(workspace=_workspace(retraining), end_user=retraining.end_user, task=retraining.task)
        .filter(pk__in=set(retraining.document_ids))
        .values_list("pk", "date_key")
    )
    keys = {document_id: None if date is None else tuple(date) for document_id, date in dates.items()}
    return [ProfileDocument(document_id, keys[document_id]) for document_id in retraining.document_ids]


def _learns_from_live_alone(retraining: Retraining) -> bool:
    return all_live(end_user=retraining.end_user, task=retraining.task, document_ids=retraining.document_ids)


def _has_moved(retraining: Retraining) -> bool:
    """Whether what was read when the trial began is no longer so; documents that were added since change nothing."""
    return (
        _task_has_changed(retraining)
        or not _learns_from_live_alone(retraining)
        or _serving(retraining, _task(retraining)) != retraining.old_adapter
    )


def _may_stay(retraining: Retraining) -> bool:
    """Whether the old adapter has learned from documents alone that stood in the profile when the trial began."""
    old = retraining.old_adapter
    return old is not None and Counter(old.document_ids) <= Counter(retraining.document_ids)


def _candidates(retraining: Retraining) -> dict[Candidate, Adapter | None]:
    """Who is measured, in the order in which equals are preferred."""
    found: dict[Candidate, Adapter | None] = {Candidate.TRIAL: retraining.trial_adapter}
    if _may_stay(retraining):
        found[Candidate.OLD] = retraining.old_adapter
    return {**found, Candidate.NONE: None}


def _plan(retraining: Retraining, document_ids: Sequence[int], **told: bool) -> AdapterPlan:
    documents = documents_of(workspace=_workspace(retraining), end_user=retraining.end_user, task=retraining.task)
    digests = {one.pk: bytes(one.digest).hex() for one in documents.filter(pk__in=set(document_ids)).only("digest")}
    how = retraining.settings
    return plan_adapter(
        workspace=_workspace(retraining),
        end_user_id=retraining.end_user_id,
        task=retraining.task,
        task_version=how["task_version"],
        base_model=retraining.base_model,
        dtype=how["dtype"],
        exact=how["exact"],
        stored_dtype=how["stored_dtype"],
        hyperparameters=how["hyperparameters"],
        seed=how["seed"],
        documents=[(document_id, digests[document_id]) for document_id in document_ids],
        **told,
    )


def _trial_plan(retraining: Retraining, *, is_trial: bool = True) -> AdapterPlan:
    """The trial; or the adapter that may serve and has learned the same, which is as good a trial where it stands."""
    held_out = set(retraining.held_out_ids)
    learned = [document_id for document_id in retraining.document_ids if document_id not in held_out]
    return _plan(retraining, learned, is_trial=is_trial)


def _final_plan(retraining: Retraining) -> AdapterPlan:
    return _plan(retraining, retraining.document_ids, only_live=True)


def _standing(retraining: Retraining, plan: AdapterPlan) -> Adapter | None:
    return Adapter.objects.filter(
        end_user=retraining.end_user_id, identity=plan.identity, withdrawn_at__isnull=True
    ).first()


def _train(retraining: Retraining, plan: AdapterPlan, *, state: Retraining.State) -> None:
    """Have the planned adapter trained; wait for a job that does, and end with one of ours that could not."""
    _cancel_others(retraining, plan)
    under_way = Job.objects.filter(dedupe_key=plan.job_key, state__in=UNFINISHED_JOBS)
    if not under_way.exists():
        if retraining.state == state:
            own = Job.objects.filter(origin=retraining_origin(retraining.pk), kind=TRAIN_ADAPTER.name)
            ended = [job for job in own.exclude(origin="").order_by("pk") if job.dedupe_key == plan.job_key]
            if _end_with(retraining, ended[-1:]):
                return
        try:
            require_room(workspace=_workspace(retraining), plans=[plan])
        except QuotaExceeded as exceeded:
            _end(retraining, Retraining.State.FAILED, str(exceeded))
            return
    request_adapter(plan=plan, origin=retraining_origin(retraining.pk))
    _move(retraining, state)


def _cancel_others(retraining: Retraining, plan: AdapterPlan) -> None:
    """Give up what was asked for before the retraining started over, unless it is what is wanted now."""
    own = Job.objects.filter(origin=retraining_origin(retraining.pk), state__in=UNFINISHED_JOBS).exclude(origin="")
    cancel(*own.exclude(dedupe_key=plan.job_key).values_list("pk", flat=True))


def _end_with(retraining: Retraining, ended: Sequence[Job]) -> bool:
    """End as the first of these jobs that failed or was cancelled did; False where none has."""
    for job in ended:
        if job.state == State.FAILED:
            # A job's message holds no user's text (`jobs.errors`).
            _end(retraining, Retraining.State.FAILED, f"job {job.pk}: {job.error_message or job.error_type}")
            return True
        if job.state == State.CANCELLED:
            _end(retraining, Retraining.State.CANCELLED, f"job {job.pk} was cancelled.")
            return True
    return False


def _seconds_spent(retraining: Retraining, adapter: Adapter) -> float:
    """How long it was trained, where that was for this retraining."""
    own = Job.objects.filter(origin=retraining_origin(retraining.pk), kind=TRAIN_ADAPTER.name, state=State.DONE)
    made = {job.result.get("adapter_id") for job in own.exclude(origin="") if job.result}
    return adapter.training_seconds if adapter.pk in made else 0.0


def _judgement(retraining: Retraining) -> Judgement:
    values = {Candidate(name): found for name, found in retraining.scores.items()}
    return judge(values, higher_is_better=measuring.metric_of(_task(retraining)).higher_is_better)


def _in_words(retraining: Retraining, judgement: Judgement) -> str:
    old, seen = retraining.old_adapter, 0
    if old is not None and Candidate.OLD in judgement.means:
        seen = len(set(retraining.held_out_ids) & set(old.document_ids))
    words = measuring.in_words(
        measuring.metric_of(_task(retraining)),
        dict(judgement.means),
        measured=len(retraining.held_out_ids),
        seen=seen,
    )
    if old is not None and Candidate.OLD not in judgement.means:
        words += " The old adapter was not compared: it has learned from documents that have left the profile."
    return words


def _move(retraining: Retraining, state: Retraining.State) -> None:
    retraining.state = state
    retraining.save()


def _end_without_training(retraining: Retraining) -> None:
    """End where the profile is too small to train on: the old adapter stays if it may."""
    least, number = _rule(retraining, "minimum_documents"), len(retraining.document_ids)
    small = f"The profile has {number} document{'' if number == 1 else 's'}, too few to train on (from {least} on)."
    if retraining.old_adapter is None:
        _end(retraining, Retraining.State.NONE, small)
    elif _may_stay(retraining):
        _end(retraining, Retraining.State.KEPT, small)
    else:
        gone = "The adapter that served has learned from documents that have left the profile."
        _end(retraining, Retraining.State.NONE, f"{small} {gone}", serves_none=True)


def _forget_trials(retraining: Retraining) -> None:
    """Delete the trial, and those from before the retraining started over."""
    retraining.trial_adapter = None
    for trial in Adapter.objects.filter(
        end_user=retraining.end_user_id,
        task=retraining.task,
        base_model=retraining.base_model_id,
        rank=retraining.rank,
        is_trial=True,
    ).order_by("pk"):
        delete_adapter(adapter=trial)


def _end(
    retraining: Retraining,
    state: Retraining.State,
    reason: str,
    *,
    adapter: Adapter | None = None,
    serves_none: bool = False,
    better: bool | None = None,
) -> None:
    """End so, and choose what serves from now on where there is an `adapter` or `serves_none`."""
    reason = reason[:REASON_LENGTH]
    # Answers before jobs, as a worker records them, so that neither waits for the other.
    measuring.answers_of(retraining).delete()
    cancel_origin(retraining_origin(retraining.pk))
    _forget_trials(retraining)
    retraining.reason = reason
    retraining.finished_at = Now()
    _move(retraining, state)
    if adapter is not None or serves_none:
        ServingChoice.objects.create(
            end_user=retraining.end_user,
            task=retraining.task,
            base_model=retraining.base_model,
            adapter=adapter,
            serves_none=serves_none,
            by=ServingChoice.By.RETRAINING,
            retraining=retraining,
            better_than_none=better,
            reason=reason,
        )
    if state in DECIDED:
        note_learned(
            end_user=retraining.end_user,
            task=retraining.task,
            task_version=_task(retraining).version,
            base_model_id=retraining.base_model_id,
            rank=retraining.rank,
            document_ids=retraining.document_ids,
        )
    for callback in _on_end:
        transaction.on_commit(partial(callback, sweep_id=retraining.sweep_id), robust=True)
