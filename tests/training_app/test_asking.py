import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.api.problems import Problem
from jobs.models import Job
from lamp.catalogue import get_task
from tests.lamp.own_tasks import REPLIES
from tests.people import ASK, TWEETS, give, person, tweets_of
from tests.retrieval_app.trained import WITH_RECENCY, trained
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.generations import asked, job_of
from tests.training_app.serving import chosen
from training_app.adapters import ensure_base_model, record_adapter, withdraw_adapter
from training_app.asking import ask, choose, question
from training_app.models import Adapter, Generation
from training_app.serving_selectors import Serving
from users_app.models import EndUser
from users_app.tasks import define_task

LOUD = {"text": "SHOUTED", "date": "2020-01-01"}


@pytest.fixture
def enough(settings):
    """Alice's five tweets are a large profile."""
    settings.AUTO_ADAPTER_DOCUMENTS = 5


def adapter_of(end_user, **changed):
    return record_adapter(end_user=end_user, plan=plan_of(end_user, tweets_of(end_user), **changed), facts=facts())


def refused(call, *args, **told):
    with pytest.raises(Problem) as caught:
        call(*args, **told)
    return caught.value


def places(problem):
    return [error.field for error in problem.errors]


# -- which method, and why


def test_auto_answers_alone_for_an_empty_profile(workspace):
    generation = asked(person(workspace, "newcomer"))
    assert (generation.family, generation.retriever) == ("none", "")
    assert generation.reason == "The profile is empty for this task: the base model answers alone."


def test_auto_retrieves_for_a_user_without_an_adapter(alice, enough):
    generation = asked(alice)
    assert (generation.family, generation.retriever, generation.documents_wanted) == ("rag", "bm25", 4)
    assert generation.reason == "The user has no usable adapter, and a profile of 5 documents to retrieve from."


def test_auto_leaves_an_adapter_of_a_small_profile_alone(alice, settings):
    settings.AUTO_ADAPTER_DOCUMENTS = 6
    adapter_of(alice)
    generation = asked(alice)
    assert (generation.family, generation.adapter) == ("rag", None)
    assert generation.reason == "The profile has 5 documents: below 6, retrieval alone is used."


def test_auto_uses_adapter_and_retrieval_for_a_large_profile(alice, enough):
    adapter = adapter_of(alice)
    generation = asked(alice)
    assert (generation.family, generation.adapter, generation.retriever) == ("peft-rag", adapter, "bm25")
    assert "from 5 on" in generation.reason


def test_auto_does_not_retrieve_from_fewer_documents_than_the_installation_says(alice, settings):
    settings.AUTO_RAG_DOCUMENTS = 6
    assert asked(alice).family == "none"


def test_a_method_is_taken_as_asked_however_small_the_profile(alice):
    adapter_of(alice)
    assert [asked(alice, method=method).family for method in ("none", "rag", "peft", "peft-rag")] == [
        "none",
        "rag",
        "peft",
        "peft-rag",
    ]
    assert choose(method="rag", profile_size=0, serving=Serving(None)).reason == "It was asked for."


# -- what was measured


def test_auto_uses_an_adapter_of_a_small_profile_that_was_measured_to_be_better_than_none(alice, settings):
    settings.AUTO_ADAPTER_DOCUMENTS = 6
    chosen(alice, adapter_of(alice), better_than_none=True)
    generation = asked(alice)
    assert generation.family == "peft-rag"
    assert "was measured to be better than none" in generation.reason


@pytest.mark.parametrize("better_than_none", [None, False])
def test_auto_goes_by_the_size_of_the_profile_where_it_was_not(alice, settings, better_than_none):
    settings.AUTO_ADAPTER_DOCUMENTS = 6
    chosen(alice, adapter_of(alice), better_than_none=better_than_none)
    assert asked(alice).family == "rag"


@pytest.mark.parametrize(
    ("better_than_none", "reason"),
    [
        (False, "The user has no adapter that was measured to be better than none, and"),
        (None, "It was chosen that no adapter serves this user, and"),
    ],
)
def test_where_none_was_chosen_auto_retrieves_as_for_a_user_without_an_adapter(alice, enough, better_than_none, reason):
    adapter_of(alice)
    chosen(alice, None, better_than_none=better_than_none)
    generation = asked(alice)
    assert (generation.family, generation.adapter) == ("rag", None)
    assert generation.reason.startswith(reason)


def test_the_evidence_is_of_the_chosen_adapter_and_not_of_a_later_one(alice, settings):
    settings.AUTO_ADAPTER_DOCUMENTS = 6
    chosen(alice, adapter_of(alice), better_than_none=True)
    adapter_of(alice, seed=1)
    assert asked(alice).family == "rag"


def test_who_asks_for_an_adapter_where_none_was_chosen_is_told_so(alice):
    adapter_of(alice)
    chosen(alice, None)
    problem = refused(asked, alice, method="peft")
    assert problem.slug == "no-adapter"
    assert "It was chosen that none serves: see GET /api/v1/users/{user_id}/serving." in problem.detail


# -- whose adapter


@pytest.mark.parametrize("method", ["peft", "peft-rag"])
def test_a_user_without_an_adapter_is_told_what_to_do(alice, method):
    problem = refused(asked, alice, method=method)
    assert (problem.status, problem.slug) == (409, "no-adapter")
    assert "POST /api/v1/adapters" in problem.detail
    assert not Generation.objects.exists()


def test_the_newest_of_several_adapters_answers(alice):
    adapter_of(alice)
    newest = adapter_of(alice, seed=1)
    assert asked(alice, method="peft").adapter == newest


def test_a_withdrawn_adapter_is_not_used(alice):
    older = adapter_of(alice)
    withdraw_adapter(adapter=adapter_of(alice, seed=1))
    assert asked(alice, method="peft").adapter == older


def test_an_adapter_of_another_base_model_version_of_the_task_or_user_is_not_used(alice, bob):
    adapter = adapter_of(alice)
    adapter_of(bob)
    for changed in ({"task_version": "earlier"}, {"base_model": ensure_base_model(name="other/t5", revision="1")}):
        before = {name: getattr(adapter, name) for name in changed}
        Adapter.objects.filter(pk=adapter.pk).update(**changed)
        assert refused(asked, alice, method="peft").slug == "no-adapter"
        Adapter.objects.filter(pk=adapter.pk).update(**before)
    assert asked(alice, method="peft").adapter == adapter


# -- what is kept


def test_the_profile_is_taken_as_it_stands(alice):
    generation = asked(alice)
    give(alice, [LOUD])
    assert generation.profile_document_ids == [document.pk for document in tweets_of(alice)[:5]]


def test_how_it_was_asked_is_kept(alice):
    generation = asked(alice, num_beams=2, max_output_tokens=9, seed=3, exact=True, k=2)
    generation.refresh_from_db()
    assert generation.parameters == {
        "num_beams": 2,
        "max_input_tokens": 512,
        "max_output_tokens": 9,
        "exact": True,
        "dtype": "float32",
    }
    assert (generation.seed, generation.documents_wanted, generation.asked_method) == (3, 2, "auto")
    assert (generation.api_key_id, generation.state, generation.kind) == (7, "asked", "answer")
    assert generation.task_version == get_task(TWEETS).version


def test_fields_are_put_together_as_the_task_says(alice):
    assert asked(alice, fields={"text": "roses"}).input == ASK + "roses"


def test_whoever_waits_goes_before_experiments_and_shares_no_pass_with_them(alice):
    job = job_of(asked(alice))
    assert job.priority == 10
    assert job.payload["batch"].startswith("10|")


def test_of_several_questions_all_are_asked_or_none(alice, bob):
    a_base_model()
    adapter_of(alice)
    wanted = [
        question(end_user=user, task=TWEETS, input=ASK + "x", method="peft", base_model="some/t5")
        for user in (alice, bob)
    ]
    refused(ask, workspace=alice.workspace, questions=wanted, api_key_id=None)
    assert not Generation.objects.exists()
    assert not Job.objects.exists()


# -- which trained model a retriever stands for


@pytest.mark.parametrize("method", ["rag", "auto"])
@pytest.mark.parametrize("kind", ["rspg-pre", "rspg-post"])
def test_a_retriever_that_chooses_is_its_selector(alice, kind, method):
    selector = trained(alice.workspace, kind)
    generation = asked(alice, method=method, retriever=kind)
    assert (generation.retriever, generation.selector, generation.encoder) == (kind, selector, None)


@pytest.mark.parametrize("kind", ["ropg-kd", "ropg-rl"])
def test_a_fine_tuned_retriever_is_its_encoder(alice, kind):
    fine_tuned = trained(alice.workspace, kind)
    generation = asked(alice, method="rag", retriever=kind)
    assert (generation.retriever, generation.encoder, generation.selector) == (kind, fine_tuned.encoder, None)


def test_the_adapter_answers_beside_a_selector(alice):
    adapter, selector = adapter_of(alice), trained(alice.workspace)
    generation = asked(alice, method="peft-rag", retriever="rspg-pre")
    assert (generation.adapter, generation.selector) == (adapter, selector)


@pytest.mark.parametrize("kind", ["ropg-kd", "ropg-rl", "rspg-pre", "rspg-post"])
def test_without_a_trained_model_one_is_told_what_to_do(alice, kind):
    problem = refused(asked, alice, method="rag", retriever=kind, at="/at")
    assert (problem.status, problem.slug, places(problem)) == (409, "no-trained-model", ["/at/retriever"])
    assert ("some/t5" in problem.detail, "POST /api/v1/model-trainings" in problem.detail) == (True, True)
    assert "bm25" in problem.detail
    assert not Generation.objects.exists()


def test_a_trained_model_of_another_workspace_task_base_model_or_kind_is_not_used(alice, mallory):
    trained(mallory.workspace)
    trained(alice.workspace, tasks=["LaMP-4"])
    trained(alice.workspace, base_model="some/t5@2")
    trained(alice.workspace, "rspg-post")
    trained(alice.workspace, withdrawn_at="2024-01-01T00:00Z")
    assert refused(asked, alice, method="rag", retriever="rspg-pre").slug == "no-trained-model"


def test_the_workspaces_newest_goes_before_what_came_with_lamppost(alice):
    shipped = trained(None)
    assert asked(alice, method="rag", retriever="rspg-pre").selector == shipped
    trained(alice.workspace)
    newest = trained(alice.workspace)
    trained(None)
    assert asked(alice, method="rag", retriever="rspg-pre").selector == newest


def test_a_workspaces_own_task_has_trained_models_of_its_own(workspace):
    define_task(workspace=workspace, definition=REPLIES)
    carol = person(workspace, "carol", [{"question": "when do roses bloom", "reply": "in june"}], task="replies")
    told = {"task": "replies", "fields": {"question": "where are my roses"}, "retriever": "rspg-pre"}
    trained(workspace)
    assert refused(asked, carol, **told).slug == "no-trained-model"
    selector = trained(workspace, tasks=[TWEETS, "replies"])
    assert asked(carol, **told).selector == selector


def test_where_nothing_is_retrieved_no_trained_model_is_needed(workspace):
    generation = asked(person(workspace, "newcomer"), retriever="rspg-pre")
    assert (generation.family, generation.retriever, generation.selector) == ("none", "", None)


def test_recency_in_the_pool_needs_dates_too(alice):
    trained(alice.workspace, pool=WITH_RECENCY)
    assert asked(alice, method="rag", retriever="rspg-pre").retriever == "rspg-pre"
    give(alice, [{"text": "when was this"}])
    problem = refused(asked, alice, method="rag", retriever="rspg-pre")
    assert (problem.status, places(problem)) == (400, ["/retriever"])
    assert "rspg-pre, which may choose recency: 1 of the profile's documents" in problem.errors[0].message


def test_a_preview_goes_as_far_as_the_prompt_that_a_selector_chooses(alice):
    selector = trained(alice.workspace)
    assert asked(alice, method="rag", retriever="rspg-pre", kind="preview").selector == selector


def test_a_preview_that_would_have_to_generate_is_refused(alice):
    trained(alice.workspace, "rspg-post")
    problem = refused(asked, alice, method="rag", retriever="rspg-post", kind="preview")
    assert (problem.status, places(problem)) == (400, ["/retriever"])
    assert "A preview generates nothing" in problem.errors[0].message
    assert not Generation.objects.exists()


def test_a_trained_model_is_looked_for_once_for_a_batch_and_not_at_all_for_others(alice):
    a_base_model()
    trained(alice.workspace)

    def statements(retriever):
        wanted = [
            question(end_user=alice, task=TWEETS, input=ASK + "x", base_model="some/t5", retriever=retriever)
            for _ in range(5)
        ]
        with CaptureQueriesContext(connection) as queries:
            ask(workspace=alice.workspace, questions=wanted, api_key_id=7)
        return sum('FROM "retrieval_app_trainedmodel"' in query["sql"] for query in queries)

    assert (statements("rspg-pre"), statements("bm25")) == (1, 0)


# -- what cannot be asked


@pytest.mark.parametrize(
    ("told", "place"),
    [
        ({"input": ASK + "x", "fields": {"text": "x"}}, "/at"),
        ({"input": None}, "/at"),
        ({"input": " "}, "/at/input"),
        ({"input": "no marker here"}, "/at/input"),
        ({"input": "x" * 50_001}, "/at/input"),
        ({"fields": {}}, "/at/fields/text"),
        ({"fields": {"text": "x", "more": "y"}}, "/at/fields"),
        ({"fields": {"text": True}}, "/at/fields/text"),
        ({"fields": {"text": ["x"]}}, "/at/fields/text"),
        ({"task": "LaMP-99"}, "/at/task"),
        ({"base_model": "nobody/has-it"}, "/at/base_model"),
        ({"method": "none", "retriever": "bm25"}, "/at/retriever"),
        ({"method": "peft", "k": 3}, "/at/k"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_asked_is_refused_where_it_stands(alice, told, place):
    problem = refused(asked, alice, at="/at", **told)
    assert (problem.status, places(problem)) == (400, [place])


def test_an_input_without_its_marker_needs_no_retrieval(alice):
    assert asked(alice, input="no marker here", method="none").input == "no marker here"


def test_recency_over_documents_without_dates_is_refused(alice):
    give(alice, [{"text": "when was this"}])
    problem = refused(asked, alice, method="rag", retriever="recency")
    assert (problem.status, places(problem)) == (400, ["/retriever"])
    assert "1 of the profile's documents" in problem.errors[0].message


def test_dense_retrieval_waits_until_a_worker_has_loaded_the_encoder(alice):
    problem = refused(asked, alice, retriever="contriever")
    assert (problem.status, problem.slug, problem.headers) == (409, "encoder-not-ready", {"Retry-After": "5"})
    assert Job.objects.get().kind == "record_default_models"


def test_no_refusal_quotes_what_was_sent(alice):
    for told in ({"input": "s3cret"}, {"fields": {"s3cret": 1}}, {"task": "s3cret"}, {"base_model": "s3cret"}):
        problem = refused(asked, alice, **told)
        assert "s3cret" not in str(problem.document(request_id=""))


def test_somebody_who_was_erased_meanwhile_is_not_found(alice):
    one = asked(alice)
    gone = EndUser.objects.get(pk=alice.pk)
    EndUser.objects.filter(pk=alice.pk).delete()
    again = question(end_user=gone, task=one.task, input=one.input, base_model="some/t5")
    problem = refused(ask, workspace=gone.workspace, questions=[again], api_key_id=7)
    assert (problem.status, problem.slug) == (404, "not-found")


def test_a_profile_is_read_once_for_a_batch(alice):
    a_base_model()
    questions = [question(end_user=alice, task=TWEETS, input=ASK + str(n), base_model="some/t5") for n in range(20)]
    with CaptureQueriesContext(connection) as queries:
        ask(workspace=alice.workspace, questions=questions, api_key_id=7)
    assert sum('ORDER BY "users_app_profileentry"."position"' in query["sql"] for query in queries) == 1
