"""One method on one split: what names a run, and what it needs next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from eval_app import selectors
from eval_app.kinds import SCORE_RUN
from eval_app.methods import Method
from eval_app.models import DatasetSplit, Prediction, Question, Run
from eval_app.retrieving_means import encoders_of_run
from eval_app.selectors import run_origin
from eval_app.swapping import LEAST_USERS, RULE, TOO_FEW_USERS, Profile, swapped_profiles
from jobs.outcomes import failures_of_keys, failures_of_origin, unfinished_origins
from jobs.services import JobSpec, cancel_origin, enqueue
from lamp.catalogue import get_task
from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.pools import PoolRefused
from retrieval_app.retrievers import DENSE, SELECTING
from retrieval_app.selectors import end_users_to_embed
from retrieval_app.services import request_embeddings
from retrieval_app.version import RETRIEVAL_VERSION
from training_app.adapter_requests import require_room
from training_app.adapters import AdapterPlan, adapters_by_identity, plan_adapter, request_adapters
from training_app.engine_version import ENGINE_VERSION
from training_app.generations import request_generations
from training_app.identity import digest_of
from training_app.models import BaseModel, Generation
from users_app.models import Document, ErasureReceipt
from users_app.quotas import QuotaExceeded
from users_app.selectors import erasures

TERMINAL = (Run.State.DONE, Run.State.FAILED, Run.State.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """Everything that decides a run's predictions, and nothing else; `identity` is the digest of it.

    The seed, the hyperparameters and what adapters are stored in stand here where there is an adapter, the encoder
    where there is a dense retriever, the selector where one chooses, the control where it is one. So a run is shared by
    all experiments that need it.
    """

    split: DatasetSplit
    method: Method
    base_model: BaseModel
    encoder: Encoder | None
    selector: TrainedModel | None = None
    documents_wanted: int
    hyperparameters: Mapping[str, Any]
    parameters: Mapping[str, Any]
    adapter_dtype: str
    seed: int
    user_limit: int | None

    @property
    def identity(self) -> str:
        """The digest that names the run in its workspace, at this version of the engine."""
        method, encoder = self.method, self.encoder
        control = {} if method.control is None else {"control": [method.control, RULE]}
        # Its pool and the encoders of that are part of its contents.
        selector = {} if self.selector is None else {"selector": self.selector.content_digest}
        return digest_of(
            {
                **control,
                **selector,
                "split": self.split.pk,
                "task_version": get_task(self.split.task).version,
                "base_model": f"{self.base_model.name}@{self.base_model.revision}",
                "family": method.family.value,
                "retriever": method.retriever or "",
                "encoder": f"{encoder.name}@{encoder.revision}" if encoder else None,
                "documents": self.documents_wanted,
                "retrieval": RETRIEVAL_VERSION if method.family.retrieves else None,
                "hyperparameters": dict(self.hyperparameters),
                "parameters": dict(self.parameters),
                "adapter_dtype": self.adapter_dtype,
                "seed": self.seed,
                "users": self.user_limit,
                "engine": ENGINE_VERSION,
            }
        )


def run_inputs(
    *,
    split: DatasetSplit,
    method: Method,
    base_model: BaseModel,
    encoder: Encoder | None,
    selector: TrainedModel | None = None,
    documents_wanted: int,
    hyperparameters: Mapping[str, Any],
    parameters: Mapping[str, Any],
    adapter_dtype: str,
    seed: int,
    user_limit: int | None,
) -> RunInputs:
    """Of what an experiment is asked for, the part that decides what `method` answers on `split`. Writes nothing.

    `encoder` and `selector` are what `method` retrieves with (`eval_app.retrieving_means`). Raises ValueError for a
    retriever that chooses among others without a selector.
    """
    adapts = method.family.adapts
    if method.retriever in SELECTING and selector is None:
        raise ValueError(f"{method.key} needs a selector")
    return RunInputs(
        split=split,
        method=method,
        base_model=base_model,
        encoder=encoder if method.retriever in DENSE else None,
        selector=selector if method.retriever in SELECTING else None,
        documents_wanted=documents_wanted if method.family.retrieves else 0,
        hyperparameters={**hyperparameters, "rank": method.rank} if adapts else {},
        parameters=dict(parameters),
        adapter_dtype=adapter_dtype if adapts else "",
        seed=seed if adapts else 0,
        user_limit=user_limit,
    )


def ensure_run(*, versions: Mapping[str, str], hardware: Mapping[str, Any], **asked: Any) -> Run:
    """Return the run that these inputs (those of `run_inputs`) name, made if nobody has asked for it before."""
    inputs = run_inputs(**asked)
    run, _ = Run.objects.get_or_create(
        workspace=inputs.split.dataset.workspace,
        identity=inputs.identity,
        defaults={
            "split": inputs.split,
            "base_model": inputs.base_model,
            "family": inputs.method.family.value,
            "retriever": inputs.method.retriever or "",
            "control": inputs.method.control or "",
            "encoder": inputs.encoder,
            "selector": inputs.selector,
            "documents_wanted": inputs.documents_wanted,
            "rank": inputs.method.rank,
            "hyperparameters": dict(inputs.hyperparameters),
            "parameters": dict(inputs.parameters),
            "adapter_dtype": inputs.adapter_dtype,
            "seed": inputs.seed,
            "user_limit": inputs.user_limit,
            "question_count": question_count(split=inputs.split, user_limit=inputs.user_limit),
            "versions": dict(versions),
            "hardware": dict(hardware),
        },
    )
    return run


def question_count(*, split: DatasetSplit, user_limit: int | None) -> int:
    """How many questions the first `user_limit` users of `split` ask (all without a limit)."""
    if user_limit is None:
        return split.question_count
    users = selectors.first_end_users(split=split, limit=user_limit)
    return Question.objects.filter(split=split, end_user__in=users).count()


@transaction.atomic
def step_run(*, run_id: int) -> Run:
    """Do what `run` needs next, if anything: embed, train, generate or score. Safe to call at any time, by anyone."""
    # Experiments that share a run step it one at a time; its predictions, which refer to it, may be written meanwhile.
    locked = Run.objects.select_for_update(of=("self",), no_key=True)
    run = locked.select_related("split", "base_model", "workspace").get(pk=run_id)
    if run.state in (Run.State.PENDING, Run.State.PREPARING):
        _prepare(run)
    elif run.state == Run.State.GENERATING:
        _collect(run)
    elif run.state == Run.State.SCORING and not _fail_if(run, {score_key(run.pk)}):
        # Once more, in case the job is gone; one that is under way is enough.
        _request_scoring(run)
    return run


def _prepare(run: Run) -> None:
    if run.control and selectors.run_questions(run=run).values("end_user").distinct().count() < LEAST_USERS:
        # Refused when it was asked for; somebody has been erased since.
        _fail(run, TOO_FEW_USERS)
        return
    origin = run_origin(run.pk)
    # Looked at first: what is still missing takes long to find out, and while jobs are under way nothing is asked for.
    if run.state == Run.State.PREPARING and origin in unfinished_origins([origin]):
        return
    plans = list(adapter_plans(run=run)) if run.rank is not None else []
    standing = adapters_by_identity(workspace=run.workspace, identities=[plan.identity for plan in plans])
    missing = [plan for plan in plans if plan.identity not in standing]
    try:
        to_embed = _end_users_to_embed(run)
    except PoolRefused as refused:
        _fail(run, str(refused))
        return
    if _fail_if(run, {plan.job_key for plan in missing}):
        return
    if missing or to_embed:
        if missing:
            try:
                # Without waiting: a step plans for long, and whoever stores something would wait for all of it.
                require_room(workspace=run.workspace, plans=missing, take_turns=False)
            except QuotaExceeded as exceeded:
                _fail(run, str(exceeded))
                return
            request_adapters(plans=missing, origin=origin)
        embedding_keys: set[str] = set()
        for encoder, end_users in to_embed:
            embedding_keys |= request_embeddings(
                workspace=run.workspace, task=run.split.task, encoder=encoder, end_users=end_users, origin=origin
            )
        _fail_if(run, embedding_keys)
        if run.state != Run.State.FAILED:
            _move(run, Run.State.PREPARING)
        return
    adapter_of = {plan.end_user_id: standing[plan.identity] for plan in plans}
    _move(run, Run.State.GENERATING)
    request_generations(
        workspace_id=run.workspace_id,
        generations=_generations(run, adapter_of),
        origin=origin,
    )


def _collect(run: Run) -> None:
    # Not by their number: a question may have gone with its end user since.
    if not selectors.unanswered_questions(run=run).exists():
        _move(run, Run.State.SCORING)
        _request_scoring(run)
        return
    origin = run_origin(run.pk)
    if origin in unfinished_origins([origin]):
        return
    failed = failures_of_origin(origin, since=run.started_at)
    if failed:
        _fail(run, f"{len(failed)} of {run.question_count} questions failed. The first: {failed[0]}")
        return
    # No job is left and no answer came, as after a deletion by hand: ask again for what is missing.
    _forget_generations(run)
    _move(run, Run.State.PENDING)
    _prepare(run)


def _request_scoring(run: Run) -> None:
    enqueue(
        JobSpec(
            kind=SCORE_RUN.name,
            payload={"run_id": run.pk},
            workspace_id=run.workspace_id,
            origin=run_origin(run.pk),
            dedupe_key=score_key(run.pk),
        )
    )


def score_key(run_id: int) -> str:
    """The key under which a run's scoring is asked for once."""
    return f"score:{run_id}"


def adapter_plans(*, run: Run) -> Iterator[AdapterPlan]:
    """The adapter that each of the run's users should have; a user with nothing to learn from has none."""
    assert run.base_model is not None
    for end_user_id, documents in selectors.training_documents(run=run):
        if documents:
            yield plan_adapter(
                workspace=run.workspace,
                end_user_id=end_user_id,
                task=run.split.task,
                base_model=run.base_model,
                dtype=run.parameters["dtype"],
                exact=run.parameters["exact"],
                stored_dtype=run.adapter_dtype,
                hyperparameters=run.hyperparameters,
                seed=run.seed,
                documents=documents,
            )


def _end_users_to_embed(run: Run) -> list[tuple[Encoder, list[tuple[int, int]]]]:
    """For each encoder of the run by which anything is left to embed: (end user id, number of documents)."""
    encoders = encoders_of_run(run)
    users = selectors.first_end_users(split=run.split, limit=run.user_limit) if encoders else []
    waiting = [
        (
            encoder,
            end_users_to_embed(workspace=run.workspace, end_user_ids=users, task=run.split.task, encoder=encoder),
        )
        for encoder in encoders
    ]
    return [(encoder, end_users) for encoder, end_users in waiting if end_users]


def _generations(run: Run, adapter_of: Mapping[int, int]) -> Iterator[Generation]:
    assert run.base_model_id is not None
    asked = set(Generation.objects.filter(origin__startswith=f"{run_origin(run.pk)}/").values_list("origin", flat=True))
    swapped = swapped_profiles(run=run) if run.control else {}
    erased_from = erasures(workspace=run.workspace).filter(scope=ErasureReceipt.Scope.DOCUMENT).exists()
    for question in selectors.unanswered_questions(run=run).order_by("position").iterator(500):
        origin = f"{run_origin(run.pk)}/{question.pk}"
        if origin in asked:
            continue
        # A control's question is asked as if the partner had asked it, so no reader ever looks through the wall.
        asks = swapped[question.end_user_id] if run.control else Profile(question.end_user_id, question.document_ids)
        document_ids = asks.document_ids
        if erased_from:
            # The split's snapshot still names what has been erased from a profile since.
            standing = set(
                Document.objects.filter(end_user=asks.end_user_id, pk__in=document_ids).values_list("pk", flat=True)
            )
            document_ids = [document_id for document_id in document_ids if document_id in standing]
        yield Generation(
            end_user_id=asks.end_user_id,
            task=run.split.task,
            base_model_id=run.base_model_id,
            family=run.family,
            retriever=run.retriever,
            encoder_id=run.encoder_id,
            selector_id=run.selector_id,
            documents_wanted=run.documents_wanted,
            adapter_id=adapter_of.get(asks.end_user_id),
            parameters=run.parameters,
            input=question.input,
            profile_document_ids=document_ids,
            origin=origin,
        )


def collect_generation(generation: Generation) -> bool:
    """The finisher of runs: keep the answer as the run's prediction. An answer nobody waits for any more is dropped."""
    run_id, question_id = (int(part) for part in generation.origin.removeprefix("run:").split("/"))
    question = Question.objects.filter(pk=question_id).only("end_user_id").first()
    if question is None or not Run.objects.filter(pk=run_id).exists():
        return True
    swapped = generation.end_user_id != question.end_user_id
    Prediction.objects.bulk_create(
        [
            Prediction(
                run_id=run_id,
                question_id=question_id,
                end_user_id=question.end_user_id,
                swapped_with_id=generation.end_user_id if swapped else None,
                output=generation.output or "",
                prompt=generation.prompt,
                adapter_id=generation.adapter_id,
                retrieved_document_ids=generation.retrieved_document_ids or [],
                retrieved_scores=generation.retrieved_scores or [],
                chosen_retriever=generation.chosen_retriever,
                candidate_scores=generation.candidate_scores,
                sequence_score=generation.sequence_score,
                input_tokens=generation.input_tokens,
                output_tokens=generation.output_tokens,
                retrieval_ms=generation.retrieval_ms,
                adapter_ms=generation.adapter_ms,
                model_ms=generation.model_ms,
            )
        ],
        ignore_conflicts=True,
    )
    return True


@transaction.atomic
def restart_run(*, run: Run) -> None:
    """Let a failed or cancelled run go on from what it has; one that another experiment has restarted just goes on."""
    ended = Run.objects.filter(pk=run.pk, state__in=(Run.State.FAILED, Run.State.CANCELLED))
    if ended.update(state=Run.State.PENDING, error="", finished_at=None, started_at=Now()):
        # Until the commit the row is held, so no step has asked for new ones yet.
        _forget_generations(run)


def cancel_run(*, run: Run) -> None:
    """Stop a run: nothing new starts, what is under way is given up, what is answered stays."""
    # In the order in which a worker records an answer, the generation before the job, so that neither waits for the
    # other.
    if run.state not in TERMINAL:
        _forget_generations(run)
    cancel_origin(run_origin(run.pk))
    Run.objects.filter(pk=run.pk).exclude(state__in=TERMINAL).update(state=Run.State.CANCELLED, finished_at=Now())


def _forget_generations(run: Run) -> None:
    """Delete what the run has asked and nobody will answer: it holds users' words."""
    Generation.objects.filter(origin__startswith=f"{run_origin(run.pk)}/").delete()


def _fail_if(run: Run, keys: set[str]) -> bool:
    """Fail `run` if one of the jobs it waits for has failed since the run was (re)started."""
    failed = failures_of_keys(keys, since=run.started_at) if keys else []
    if failed:
        _fail(run, failed[0])
    return bool(failed)


def _fail(run: Run, error: str) -> None:
    run.error = error
    run.finished_at = Now()
    run.state = Run.State.FAILED
    run.save(update_fields=["state", "error", "finished_at"])
    if run.control:
        # It holds one user's words in another's name, so it would not go with its user: it must not outlast the run.
        _forget_generations(run)


def _move(run: Run, state: str) -> None:
    run.state = state
    run.save(update_fields=["state"])
