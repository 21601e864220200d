"""Generations as clients ask for them, with a base model that nobody loads."""

from typing import Any

from django.db import transaction

from jobs.models import Job
from tests.people import ASK, TWEETS
from tests.training_app.adapters import a_base_model
from training_app.asking import ask, question
from training_app.generations import Answer, generation_origin, record_answers
from training_app.models import Generation
from users_app.models import EndUser

ANSWERED = Answer(
    prompt="the prompt",
    output="rain on my roses",
    retrieved_document_ids=[],
    retrieved_scores=[],
    sequence_score=-0.5,
    input_tokens=5,
    output_tokens=3,
    retrieval_ms=1.0,
    adapter_ms=2.0,
    model_ms=3.0,
)


def asked(end_user: EndUser, **told: Any) -> Generation:
    """A generation that a client asked for, of the first tweet's paraphrase unless told otherwise."""
    kind = told.pop("kind", Generation.Kind.ANSWER)
    a_base_model()
    values = {"task": TWEETS, "base_model": "some/t5", **told}
    if "fields" not in values:
        values.setdefault("input", ASK + "roses and rain")
    one = question(end_user=end_user, **values)
    with transaction.atomic():
        return ask(workspace=end_user.workspace, questions=[one], api_key_id=7, kind=kind)[0]


def answered(end_user: EndUser, output: str = "rain on my roses", **told: Any) -> Generation:
    """One that was answered with `output`."""
    generation = asked(end_user, **told)
    record_answers([(generation, Answer(**{**vars(ANSWERED), "output": output}))])
    generation.refresh_from_db()
    return generation


def job_of(generation: Generation) -> Job:
    return Job.objects.get(origin=generation_origin(generation.pk))
