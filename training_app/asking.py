"""What a client asks for becomes generations: which method, whose adapter, from which profile, and why.

First `question` reads the request against what stands still (the task, the models); then `ask`, in the transaction
that records the request, looks at the profile and the adapters, and stores the generations with their jobs. Whatever
cannot be asked is a `Problem` that says what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from common.api.problems import FieldError, Problem, invalid_input, not_found
from lamp.catalogue import UnknownTask
from lamp.queries import MissingMarker, end_of_word, input_of, query_of
from lamp.tasks import InsertedAfter, Task
from retrieval_app.encoders import default_encoder
from retrieval_app.models import Encoder, TrainedModel
from retrieval_app.pools import pool_names
from retrieval_app.retrievers import BM25, CONTRIEVER, FINE_TUNED, RECENCY, RSPG_POST, RSPG_PRE, SELECTING, TITLES
from retrieval_app.trained_models import trained_model_for
from training_app.base_models import asked_base_model, default_dtype, request_default_models
from training_app.generation_selectors import undated_documents
from training_app.generations import request_generations
from training_app.models import Adapter, BaseModel, Generation
from training_app.serving_selectors import Serving, serving_now
from users_app.models import EndUser, Quota, Workspace
from users_app.quotas import Room
from users_app.selectors import lock_end_users, profile_document_ids
from users_app.tasks import task_of

AUTO: Final = "auto"
METHODS: Final = (AUTO, *Generation.Family.values)
RETRIEVERS: Final = tuple(TITLES)

# Bounds of what a client may ask for, each with what it is where the client does not say.
DOCUMENTS_DEFAULT: Final = 4
DOCUMENTS_MOST: Final = 50
OUTPUT_TOKENS_DEFAULT: Final = 128
OUTPUT_TOKENS_MOST: Final = 512
BEAMS_DEFAULT: Final = 4
BEAMS_MOST: Final = 16
SEED_MOST: Final = 2**53
INPUT_CHARACTERS_MOST: Final = 50_000
QUESTIONS_MOST: Final = 100

# Somebody waits for these; experiments wait for nobody.
_PRIORITY: Final = 10
_READY_SOON_SECONDS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request that can be asked, as far as that does not depend on the user's profile.

    `method` is one of `METHODS`, `retriever` of `RETRIEVERS`; `encoder` is contriever's. `at` is where it stands in
    the request's body, as a JSON pointer; problems begin with it.
    """

    end_user: EndUser
    task: Task
    input: str
    method: str
    retriever: str
    documents_wanted: int
    base_model: BaseModel
    encoder: Encoder | None
    max_output_tokens: int
    num_beams: int
    seed: int
    exact: bool
    at: str = ""


@dataclass(frozen=True)
class Choice:
    """The method that a generation uses, with which adapter, and why."""

    family: Generation.Family
    adapter: Adapter | None
    reason: str


def question(
    *,
    end_user: EndUser,
    task: str,
    input: str | None = None,
    fields: Mapping[str, Any] | None = None,
    method: str = AUTO,
    retriever: str | None = None,
    k: int | None = None,
    base_model: str | None = None,
    max_output_tokens: int = OUTPUT_TOKENS_DEFAULT,
    num_beams: int = BEAMS_DEFAULT,
    seed: int = 0,
    exact: bool = False,
    at: str = "",
) -> Question:
    """Read one request; numbers are within their bounds already. Call it outside of a transaction.

    Exactly one of `input` (the task's input as the model shall see it) and `fields` (the values of the task's input
    template). `retriever` is bm25 and `k` 4 unless given; a method that retrieves nothing takes neither.

    Raises Problem 400 `invalid-input`, or 409 `base-model-not-ready` or `encoder-not-ready` while no worker has loaded
    the default models yet.
    """
    form = _task(end_user.workspace, task, at=at)
    text = _input(form, input, fields, at=at)
    if method in (Generation.Family.NONE, Generation.Family.PEFT):
        _refuse_retrieval(method, retriever=retriever, k=k, at=at)
    else:
        _require_query(form, text, place="input" if fields is None else "fields", at=at)
    retrieves_by = retriever or BM25
    return Question(
        end_user=end_user,
        task=form,
        input=text,
        method=method,
        retriever=retrieves_by,
        documents_wanted=DOCUMENTS_DEFAULT if k is None else k,
        base_model=asked_base_model(base_model, at=at),
        encoder=asked_encoder() if retrieves_by == CONTRIEVER else None,
        max_output_tokens=max_output_tokens,
        num_beams=num_beams,
        seed=seed,
        exact=exact,
        at=at,
    )


def ask(
    *,
    workspace: Workspace,
    questions: Sequence[Question],
    api_key_id: int | None,
    kind: Generation.Kind = Generation.Kind.ANSWER,
) -> list[Generation]:
    """Store a generation for each question, with the job that will answer it; in the questions' order.

    `kind` says whether to generate, or to go as far as the prompt (a preview). All of them are asked, or none. Call it
    in the transaction that records the request: what it finds must stand until then.

    Raises Problem 409 `no-adapter` where the method needs an adapter that the user has not, 409 `no-trained-model`
    where the retriever needs a trained model and there is none for the task and the base model, 400 `invalid-input`
    for recency, also as one of a pool, over documents without dates and for a preview that would have to generate, 404
    where a user was erased meanwhile, and `QuotaExceeded`.
    """
    if kind == Generation.Kind.PREVIEW:
        _refuse_generating(questions)
    try:
        lock_end_users(workspace=workspace, end_user_ids={one.end_user.pk for one in questions})
    except EndUser.DoesNotExist:
        raise not_found() from None
    read = _Read()
    generations = [_generation(workspace, one, read, api_key_id=api_key_id, kind=kind) for one in questions]
    if kind == Generation.Kind.ANSWER:
        room = Room(workspace=workspace, quotas=[Quota.GENERATIONS_A_DAY])
        room.require(adding={Quota.GENERATIONS_A_DAY: len(questions)})
    request_generations(workspace_id=workspace.pk, generations=generations, origin=None, priority=_PRIORITY)
    return generations


def choose(*, method: str, profile_size: int, serving: Serving) -> Choice:
    """What `method` comes to for a user with a profile of so many documents, for whom this adapter serves, or none.

    `auto` takes the adapter beside retrieval for large profiles, and for small ones too where it was measured to be
    better than none; retrieval alone for the other small ones and for users without an adapter, and the base model
    alone for empty profiles. Any other method is taken as asked.
    """
    adapter = serving.adapter
    if method != AUTO:
        family = Generation.Family(method)
        adapts = family in (Generation.Family.PEFT, Generation.Family.PEFT_RAG)
        return Choice(family, adapter if adapts else None, "It was asked for.")
    enough, least = settings.AUTO_ADAPTER_DOCUMENTS, settings.AUTO_RAG_DOCUMENTS
    documents = f"{profile_size} document{'' if profile_size == 1 else 's'}"
    if adapter is not None and serving.better_than_none and profile_size >= least:
        reason = (
            f"The profile has {documents}, and on the newest of them the user's adapter was measured to be better than "
            "none: it is used beside retrieval."
        )
        return Choice(Generation.Family.PEFT_RAG, adapter, reason)
    if adapter is not None and profile_size >= enough:
        reason = f"The profile has {documents}, and from {enough} on the user's adapter is used beside retrieval."
        return Choice(Generation.Family.PEFT_RAG, adapter, reason)
    if profile_size >= least:
        reason = (
            f"{_without_adapter(serving)}, and a profile of {documents} to retrieve from."
            if adapter is None
            else f"The profile has {documents}: below {enough}, retrieval alone is used."
        )
        return Choice(Generation.Family.RAG, None, reason)
    nothing = "empty for this task" if profile_size == 0 else f"too small to retrieve from, with {documents}"
    return Choice(Generation.Family.NONE, None, f"The profile is {nothing}: the base model answers alone.")


def _without_adapter(serving: Serving) -> str:
    if not serving.none_was_chosen:
        return "The user has no usable adapter"
    if serving.better_than_none is None:
        return "It was chosen that no adapter serves this user"
    return "The user has no adapter that was measured to be better than none"


def asked_encoder() -> Encoder:
    """The encoder that dense retrieval uses for clients. Call it outside of a transaction.

    Raises Problem 409 `encoder-not-ready` until a worker has loaded it, which is asked for here.
    """
    encoder = default_encoder()
    if encoder is None:
        request_default_models()
        raise Problem(
            409,
            "encoder-not-ready",
            "The encoder of dense retrieval has not been loaded yet. Try again in a few seconds, or use the retriever "
            "bm25; if that lasts, see the installation's default encoder and its workers' log.",
            headers={"Retry-After": str(_READY_SOON_SECONDS)},
        )
    return encoder


@dataclass(frozen=True)
class _Read:
    """What was read for the questions of one request, each once."""

    profiles: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    trained_models: dict[tuple[str, str, int], TrainedModel] = field(default_factory=dict)


def _profile(workspace: Workspace, asked: Question, read: _Read) -> list[int]:
    """The user's profile of the task as ids of documents."""
    key = asked.end_user.pk, asked.task.key
    if key not in read.profiles:
        read.profiles[key] = profile_document_ids(workspace=workspace, end_user=asked.end_user, task=asked.task.key)
    return read.profiles[key]


def _trained_model(workspace: Workspace, asked: Question, read: _Read) -> TrainedModel:
    """The newest trained model that the retriever stands for. Raises Problem 409 where there is none."""
    base_model = asked.base_model
    key = asked.retriever, asked.task.key, base_model.pk
    if key not in read.trained_models:
        found = trained_model_for(
            workspace=workspace,
            kind=asked.retriever,
            task=asked.task.key,
            task_version=asked.task.version,
            base_model=f"{base_model.name}@{base_model.revision}",
        )
        if found is None:
            raise _no_trained_model(asked)
        read.trained_models[key] = found
    return read.trained_models[key]


def _no_trained_model(asked: Question) -> Problem:
    message = f"No {TITLES[asked.retriever]} is ready for this task and the base model {asked.base_model.public_name}."
    remedy = f"Have one trained with POST /api/v1/model-trainings and ask again when it is done, or use {BM25}."
    error = FieldError(f"{asked.at}/retriever", message, remedy)
    return Problem(409, "no-trained-model", f"{message} {remedy}", errors=[error])


def _refuse_generating(previews: Sequence[Question]) -> None:
    """A preview goes as far as the prompt, which RSPG-Post finds by generating."""
    errors = [
        FieldError(
            f"{one.at}/retriever",
            f"A preview generates nothing, and {RSPG_POST} chooses by what each candidate generates.",
            f"Use {RSPG_PRE}, or ask for a generation.",
        )
        for one in previews
        if one.retriever == RSPG_POST
    ]
    if errors:
        raise invalid_input(*errors)


def _generation(
    workspace: Workspace,
    asked: Question,
    read: _Read,
    *,
    api_key_id: int | None,
    kind: Generation.Kind,
) -> Generation:
    document_ids = _profile(workspace, asked, read)
    serving = _serving(workspace, asked)
    choice = choose(method=asked.method, profile_size=len(document_ids), serving=serving)
    retrieves = choice.family in (Generation.Family.RAG, Generation.Family.PEFT_RAG)
    encoder_id = asked.encoder.pk if retrieves and asked.encoder is not None else None
    selector = None
    if retrieves and asked.retriever in FINE_TUNED:
        encoder_id = _trained_model(workspace, asked, read).encoder_id
    elif retrieves and asked.retriever in SELECTING:
        selector = _trained_model(workspace, asked, read)
    if retrieves and (asked.retriever == RECENCY or (selector is not None and RECENCY in pool_names(selector.pool))):
        _require_dates(workspace, asked, document_ids)
    return Generation(
        end_user=asked.end_user,
        kind=kind,
        task=asked.task.key,
        task_version=asked.task.version,
        base_model=asked.base_model,
        asked_method=asked.method,
        family=choice.family,
        reason=choice.reason,
        adapter=choice.adapter,
        retriever=asked.retriever if retrieves else "",
        encoder_id=encoder_id,
        selector=selector,
        documents_wanted=asked.documents_wanted if retrieves else 0,
        parameters={
            "num_beams": asked.num_beams,
            "max_input_tokens": settings.GENERATION_INPUT_TOKENS,
            "max_output_tokens": asked.max_output_tokens,
            "exact": asked.exact,
            "dtype": default_dtype(),
        },
        seed=asked.seed,
        input=asked.input,
        profile_document_ids=document_ids,
        api_key_id=api_key_id,
    )


def _serving(workspace: Workspace, asked: Question) -> Serving:
    """What serves the user. Raises Problem 409 where the method needs an adapter and there is none."""
    if asked.method in (Generation.Family.NONE, Generation.Family.RAG):
        return Serving(None)
    serving = serving_now(
        workspace=workspace,
        end_user=asked.end_user,
        task=asked.task.key,
        task_version=asked.task.version,
        base_model=asked.base_model,
    )
    if serving.adapter is None and asked.method != AUTO:
        chosen = (
            " It was chosen that none serves: see GET /api/v1/users/{user_id}/serving."
            if serving.none_was_chosen
            else ""
        )
        raise Problem(
            409,
            "no-adapter",
            f"This user has no usable adapter of the base model {asked.base_model.public_name} for the task as it "
            f"stands now.{chosen} Have one trained with POST /api/v1/adapters and ask again when its job is done, or "
            "ask by the method “auto”, which uses what there is.",
        )
    return serving


def _task(workspace: Workspace, key: str, *, at: str) -> Task:
    try:
        return task_of(workspace=workspace, key=key)
    except UnknownTask:
        raise _wrong(
            at, "task", "This names no task of this workspace.", "Use a key that GET /api/v1/tasks lists."
        ) from None


def _input(task: Task, text: str | None, fields: Mapping[str, Any] | None, *, at: str) -> str:
    names = ", ".join(task.input.fields)
    if (text is None) == (fields is None):
        raise invalid_input(
            FieldError(
                at,
                "There are both an input and fields." if text is not None else "There is neither an input nor fields.",
                f"Give either “input”, the whole text for the model, or “fields” with {names}.",
            )
        )
    if text is None and fields is not None:
        errors = [
            FieldError(f"{at}/fields/{name}", "This is missing.", f"Give the fields {names}.")
            for name in dict.fromkeys(task.input.fields)
            if name not in fields
        ]
        errors += [
            FieldError(f"{at}/fields", "One of these is no field of the task's input.", f"Give the fields {names}.")
            for name in fields
            if name not in task.input.fields
        ][:1]
        errors += [
            FieldError(f"{at}/fields/{name}", "This is neither text nor a number.", "Write a string or a number.")
            for name in dict.fromkeys(task.input.fields)
            if name in fields and (isinstance(fields[name], bool) or not isinstance(fields[name], str | int | float))
        ]
        if errors:
            raise invalid_input(*errors)
        text = input_of(task, fields)
    assert text is not None
    place = "fields" if fields is not None else "input"
    if not text.strip():
        raise _wrong(at, place, "This is empty.", "Give the text that the answer is about.")
    if len(text) > INPUT_CHARACTERS_MOST:
        raise _wrong(
            at, place, f"This has {len(text):,} characters.", f"Give {INPUT_CHARACTERS_MOST:,} characters at most."
        )
    return text


def _refuse_retrieval(method: str, *, retriever: str | None, k: int | None, at: str) -> None:
    errors = [
        FieldError(
            f"{at}/{name}", f"This has no meaning for the method {method}.", "Leave it out, or use rag or peft-rag."
        )
        for name, value in (("retriever", retriever), ("k", k))
        if value is not None
    ]
    if errors:
        raise invalid_input(*errors)


def _require_query(task: Task, text: str, *, place: str, at: str) -> None:
    """The words by which the task finds its query, and the place of its documents, stand in the input."""
    try:
        query_of(task, text)
        if isinstance(task.prompt, InsertedAfter):
            end_of_word(task, text, task.prompt.word)
    except MissingMarker as missing:
        raise _wrong(
            at,
            place,
            f"This cannot be retrieved for: {missing}.",
            f"Give “fields” with {', '.join(task.input.fields)} in place of the input, or ask by the method none.",
        ) from None


def _require_dates(workspace: Workspace, asked: Question, document_ids: Sequence[int]) -> None:
    undated = undated_documents(
        workspace=workspace, end_user=asked.end_user, task=asked.task.key, document_ids=document_ids
    )
    if undated:
        is_member = ", which may choose recency" if asked.retriever != RECENCY else ""
        raise _wrong(
            asked.at,
            "retriever",
            f"This cannot be {asked.retriever}{is_member}: {undated} of the profile's documents have no date.",
            "Give every document a date, or use bm25.",
        )


def _wrong(at: str, name: str, message: str, remedy: str) -> Problem:
    return invalid_input(FieldError(f"{at}/{name}", message, remedy))
