"""How a generation, a preview and what became of them are told to clients."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from rest_framework import serializers

from common.api.problems import Problem
from training_app import asking
from training_app.api.generation_bodies import INCLUDABLE
from training_app.generation_selectors import STATES, Told, told_of
from training_app.models import Generation
from users_app.models import Workspace


class MethodOut(serializers.Serializer):
    asked = serializers.ChoiceField(choices=asking.METHODS)
    used = serializers.ChoiceField(choices=Generation.Family.choices)
    reason = serializers.CharField(help_text="Why this one is used.")


class RetrievedOut(serializers.Serializer):
    id = serializers.CharField(allow_null=True, help_text="The client's id of the document; null where it is gone.")
    score = serializers.FloatField()


class RetrievalOut(serializers.Serializer):
    retriever = serializers.CharField()
    encoder = serializers.CharField(allow_null=True, help_text="NAME@REVISION, of dense retrieval alone.")
    k = serializers.IntegerField()
    profile_documents = serializers.IntegerField(help_text="How many there were to retrieve from.")
    documents = RetrievedOut(many=True, allow_null=True, help_text="The best first; null until they are known.")


class CandidateOut(serializers.Serializer):
    retriever = serializers.CharField(help_text="`none` stands for no documents.")
    score = serializers.FloatField(help_text="The higher, the better.")


class SelectionOut(serializers.Serializer):
    """What a retriever that chooses among others chose for this input."""

    retriever = serializers.CharField(help_text="The one that was chosen.")
    candidates = CandidateOut(many=True, help_text="All of its pool, in the pool's order.")


class AdapterOut(serializers.Serializer):
    id = serializers.IntegerField()
    version = serializers.CharField(help_text="The digest of everything that made it.")
    created_at = serializers.DateTimeField()


class BaseModelOut(serializers.Serializer):
    name = serializers.CharField(source="public_name")
    revision = serializers.CharField()


class ParametersOut(serializers.Serializer):
    num_beams = serializers.IntegerField()
    max_input_tokens = serializers.IntegerField(help_text="What the prompt is cut to.")
    max_output_tokens = serializers.IntegerField()
    seed = serializers.IntegerField()
    exact = serializers.BooleanField()
    dtype = serializers.CharField()


class UsageOut(serializers.Serializer):
    input_tokens = serializers.IntegerField(allow_null=True)
    output_tokens = serializers.IntegerField(allow_null=True)


class MillisecondsOut(serializers.Serializer):
    """Of the model, this answer's share of the pass that it was answered in."""

    retrieval = serializers.FloatField(allow_null=True)
    adapter = serializers.FloatField(allow_null=True)
    model = serializers.FloatField(allow_null=True)


class EndOut(serializers.Serializer):
    """Why there is no answer."""

    type = serializers.CharField()
    title = serializers.CharField()
    detail = serializers.CharField()


class FeedbackOut(serializers.Serializer):
    rating = serializers.ChoiceField(choices=Generation.Rating.choices)
    rated_at = serializers.DateTimeField()
    document_id = serializers.CharField(
        allow_null=True, help_text="By which id the text stands in the profile; null for a rejection."
    )


class PreviewOut(serializers.Serializer):
    """As far as the prompt."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=STATES)
    user = serializers.CharField()
    task = serializers.CharField()
    task_version = serializers.CharField()
    method = MethodOut()
    base_model = BaseModelOut()
    adapter = AdapterOut(allow_null=True)
    retrieval = RetrievalOut(allow_null=True)
    selection = SelectionOut(
        allow_null=True, help_text="Of rspg-pre and rspg-post, once they have chosen; null for all others."
    )
    parameters = ParametersOut()
    prompt = serializers.CharField(allow_null=True)
    usage = UsageOut()
    milliseconds = MillisecondsOut()
    problem = EndOut(allow_null=True)
    job_id = serializers.IntegerField(allow_null=True, help_text="See `GET /jobs/{id}`; null where it is forgotten.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class GenerationOut(PreviewOut):
    """One output, and how it came about."""

    output = serializers.CharField(allow_null=True)
    score = serializers.FloatField(
        allow_null=True, help_text="The mean log-probability of the output's tokens (nats), its end included."
    )
    prompt = serializers.CharField(allow_null=True, required=False, help_text="With `include=prompt`.")
    input = serializers.CharField(required=False, help_text="With `include=input`.")
    feedback = FeedbackOut(allow_null=True)


class GenerationsOut(serializers.Serializer):
    data = GenerationOut(  # type: ignore[assignment]  # the metaclass takes it away
        many=True, help_text="In the order of the request."
    )


# They render every answer: a serializer keeps nothing of what it renders, and takes long to make.
_PREVIEW: Final = PreviewOut()
_GENERATION: Final = GenerationOut()


def rendered(
    generations: Iterable[Generation], *, workspace: Workspace, include: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Each of these generations as `GenerationOut` describes it, with the texts named."""
    generations = list(generations)
    told = told_of(workspace=workspace, generations=generations)
    return [_generation(one, told[one.pk], include) for one in generations]


def rendered_preview(preview: Generation, *, workspace: Workspace) -> dict[str, Any]:
    """The preview as `PreviewOut` describes it."""
    told = told_of(workspace=workspace, generations=[preview])[preview.pk]
    return _PREVIEW.to_representation(_common(preview, told) | {"prompt": preview.prompt})


def _generation(generation: Generation, told: Told, include: Collection[str]) -> dict[str, Any]:
    values = _common(generation, told) | {
        "output": generation.output,
        "score": generation.sequence_score,
        "feedback": _feedback(generation),
        "prompt": generation.prompt,
        "input": generation.input,
    }
    told_values = _GENERATION.to_representation(values)
    return {name: value for name, value in told_values.items() if name not in INCLUDABLE or name in include}


def _common(generation: Generation, told: Told) -> dict[str, Any]:
    return {
        "id": generation.pk,
        "state": told.state(generation),
        "user": generation.end_user.external_id,
        "task": generation.task,
        "task_version": generation.task_version,
        "method": {"asked": generation.asked_method, "used": generation.family, "reason": generation.reason},
        "base_model": generation.base_model,
        "adapter": _adapter(generation),
        "retrieval": _retrieval(generation, told),
        "selection": told.chosen,
        "parameters": {**generation.parameters, "seed": generation.seed or 0},
        "usage": {"input_tokens": generation.input_tokens, "output_tokens": generation.output_tokens},
        "milliseconds": {
            "retrieval": generation.retrieval_ms,
            "adapter": generation.adapter_ms,
            "model": generation.model_ms,
        },
        "problem": problem_of(generation),
        "job_id": told.job_id,
        "created_at": generation.created_at,
        "finished_at": generation.finished_at,
    }


def problem_of(generation: Generation) -> dict[str, str] | None:
    """Why a generation has no answer; None where it has one or may yet have one."""
    if not generation.problem_slug:
        return None
    document = Problem(409, generation.problem_slug, generation.problem_detail).document(request_id="")
    return {name: document[name] for name in ("type", "title", "detail")}


def _adapter(generation: Generation) -> Mapping[str, Any] | None:
    adapter = generation.adapter
    if adapter is None:
        return None
    return {"id": adapter.pk, "version": adapter.identity, "created_at": adapter.created_at}


def _retrieval(generation: Generation, told: Told) -> dict[str, Any] | None:
    if not generation.retriever:
        return None
    documents = None
    if generation.retrieved_document_ids is not None:
        scores = generation.retrieved_scores or []
        documents = [
            {"id": told.documents.get(document_id), "score": score}
            for document_id, score in zip(generation.retrieved_document_ids, scores, strict=True)
        ]
    encoder = generation.encoder
    return {
        "retriever": generation.retriever,
        "encoder": None if encoder is None else f"{encoder.public_name}@{encoder.revision}",
        "k": generation.documents_wanted,
        "profile_documents": generation.profile_size,
        "documents": documents,
    }


def _feedback(generation: Generation) -> dict[str, Any] | None:
    if not generation.rating:
        return None
    return {
        "rating": generation.rating,
        "rated_at": generation.rated_at,
        "document_id": generation.feedback_client_id or None,
    }
