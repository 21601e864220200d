from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from jobs.models import Job
from tests.people import ASK, tweets_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from training_app import finishers
from training_app.adapters import record_adapter
from training_app.generations import Answer, batch_key, record_answers, request_generations
from training_app.models import Generation

PARAMETERS = {"num_beams": 4, "max_input_tokens": 512, "max_output_tokens": 8, "exact": False, "dtype": "float32"}
ANSWER = Answer(
    prompt="the prompt",
    output="an answer",
    retrieved_document_ids=[3, 1],
    retrieved_scores=[0.5, 0.25],
    sequence_score=-0.5,
    input_tokens=5,
    output_tokens=3,
    retrieval_ms=1.0,
    adapter_ms=2.0,
    model_ms=3.0,
)


@pytest.fixture
def gathered():
    """What a finisher for the origin “gathering” has taken over."""
    taken = []

    def take(generation):
        taken.append((generation.origin, generation.output))
        return True

    finishers.register("gathering", take)
    yield taken
    del finishers._finishers["gathering"]


def a_generation(end_user, *, family="none", retriever="", origin="", adapter=None):
    return Generation(
        end_user=end_user,
        task="LaMP-7",
        base_model=a_base_model(),
        family=family,
        retriever=retriever,
        adapter=adapter,
        parameters=PARAMETERS,
        input=ASK + "hello",
        profile_document_ids=[document.pk for document in tweets_of(end_user)],
        origin=origin,
    )


def test_each_generation_is_a_job_that_names_it_and_holds_no_text(alice, bob):
    asked = [a_generation(alice), a_generation(bob)]
    assert request_generations(workspace_id=alice.workspace_id, generations=asked, origin="run:1") == 2
    stored = Generation.objects.order_by("pk")
    assert [(job.end_user_id, job.payload["generation_id"]) for job in Job.objects.order_by("pk")] == [
        (generation.end_user_id, generation.pk) for generation in stored
    ]
    assert not any("hello" in str(job.payload) for job in Job.objects.all())


def test_what_shares_a_pass_shares_the_base_model_and_the_search():
    key = batch_key(base_model_id=1, parameters=PARAMETERS)
    assert key == batch_key(base_model_id=1, parameters=dict(reversed(PARAMETERS.items())))
    assert key != batch_key(base_model_id=2, parameters=PARAMETERS)
    assert all(
        key != batch_key(base_model_id=1, parameters={**PARAMETERS, name: value})
        for name, value in (("num_beams", 1), ("max_output_tokens", 9), ("exact", True), ("dtype", "bfloat16"))
    )


def test_an_answer_stays_where_nobody_collects_it(alice):
    generation = a_generation(alice)
    generation.save()
    record_answers([(generation, ANSWER)])
    generation.refresh_from_db()
    assert (generation.output, generation.retrieved_document_ids) == ("an answer", [3, 1])
    assert generation.finished_at is not None


def test_answers_of_many_are_recorded_in_as_many_statements_as_one(alice, bob, django_assert_max_num_queries):
    asked = [a_generation(one, family="rag", retriever="bm25") for one in (alice, bob, alice, bob)]
    for generation in asked:
        generation.save()
    quoting = [
        (one, replace(ANSWER, output=f"to {one.pk}", retrieved_document_ids=[one.profile_document_ids[0]]))
        for one in asked
    ]
    with django_assert_max_num_queries(6):
        record_answers([(one, replace(answer, retrieved_scores=[0.5])) for one, answer in quoting])
    for generation in Generation.objects.all():
        assert (generation.output, generation.prompt) == (f"to {generation.pk}", "the prompt")


def test_a_prompt_goes_where_a_document_of_its_user_has_gone_and_stays_elsewhere(alice, bob):
    his, hers = a_generation(bob, family="rag", retriever="bm25"), a_generation(alice, family="rag", retriever="bm25")
    for generation in (his, hers):
        generation.save()
    gone = hers.profile_document_ids[0]
    tweets_of(alice)[0].delete()
    record_answers(
        [
            (hers, replace(ANSWER, retrieved_document_ids=[gone], retrieved_scores=[1.0])),
            (his, replace(ANSWER, retrieved_document_ids=his.profile_document_ids[:1], retrieved_scores=[1.0])),
        ]
    )
    assert [Generation.objects.get(pk=one.pk).prompt for one in (hers, his)] == ["", "the prompt"]


def test_an_answer_is_handed_to_whoever_asked_and_the_row_goes(alice, gathered):
    generation = a_generation(alice, origin="gathering:12/345")
    generation.save()
    record_answers([(generation, ANSWER)])
    assert gathered == [("gathering:12/345", "an answer")]
    assert not Generation.objects.exists()


def test_a_finisher_that_leaves_the_answer_leaves_it_in_the_row(alice):
    finishers.register("looking", lambda generation: False)
    try:
        generation = a_generation(alice, origin="looking:1")
        generation.save()
        record_answers([(generation, ANSWER)])
    finally:
        del finishers._finishers["looking"]
    assert Generation.objects.get().output == "an answer"


def test_two_finishers_of_one_origin_are_a_mistake(gathered):
    with pytest.raises(ValueError, match="Two finishers"):
        finishers.register("gathering", lambda generation: True)


@pytest.mark.parametrize(
    ("changed", "constraint"),
    [
        ({"family": "magic"}, "generation_family_is_known"),
        ({"retriever": "bm25"}, "generation_retriever_matches_family"),
        ({"family": "rag"}, "generation_retriever_matches_family"),
        ({"family": "peft-rag"}, "generation_retriever_matches_family"),
        ({"kind": "magic"}, "generation_kind_is_known"),
        ({"finished_at": "2024-01-01T00:00Z"}, "generation_state_has_its_parts"),
        ({"state": "done", "finished_at": "2024-01-01T00:00Z"}, "generation_state_has_its_parts"),
        ({"state": "failed", "finished_at": "2024-01-01T00:00Z"}, "generation_state_has_its_parts"),
        ({"rating": "accepted", "rated_at": "2024-01-01T00:00Z"}, "generation_rating_is_of_an_answer"),
    ],
    ids=lambda value: str(value),
)
def test_the_database_refuses_a_generation_that_cannot_be(alice, changed, constraint):
    generation = a_generation(alice)
    generation.save()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Generation.objects.filter(pk=generation.pk).update(**changed)


def test_the_database_refuses_an_adapter_where_the_family_has_none(alice):
    adapter = record_adapter(end_user=alice, plan=plan_of(alice, tweets_of(alice)), facts=facts())
    with pytest.raises(IntegrityError, match="generation_adapter_matches_family"), transaction.atomic():
        a_generation(alice, adapter=adapter).save()
