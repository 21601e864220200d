"""One sample with all answers to it."""

import pytest

from eval_app.models import Prediction, Question
from tests import people
from tests.eval_app.stored import answered_run, ended
from tests.members import member_of
from tests.retrieval_app.trained import SCORES, trained
from tests.training_app.adapters import facts, plan_of
from training_app.adapters import record_adapter
from users_app.models import Document

KINDS = ("rspg-pre", "rspg-post")
HOSTILE = "<script>alert('mine')</script><img src=x onerror=alert(2)>"


@pytest.fixture
def see(workspace):
    member = member_of(workspace)

    def page(experiment, question, status=200):
        answer = member.get(f"/w/{workspace.slug}/experiments/{experiment.pk}/questions/{question.pk}/")
        assert answer.status_code == status
        return answer.content.decode()

    return page


@pytest.fixture
def questions(dev):
    return list(Question.objects.filter(split=dev).order_by("position"))


def runs_of(dev, **outputs):
    return {
        method.replace("_", ":"): answered_run(dev, given, method=method.replace("_", ":"))
        for method, given in outputs.items()
    }


def test_every_method_s_output_stands_beside_the_gold_with_its_differences(dev, see, questions):
    runs = runs_of(dev, none=["rain on my tulips", "x", "y"], rag_bm25=["rain on my roses again", "x", "y"])
    page = see(ended(dev, runs), questions[0])
    assert "RAG BM25" in page
    assert '<del><span class="visually-hidden">[missing: </span>roses again' in page
    assert '<ins><span class="visually-hidden">[added: </span>tulips' in page
    assert "equal to the gold" in page


def test_scores_tokens_times_prompt_and_adapter_are_shown(dev, see, questions, alice):
    runs = runs_of(dev, none=["a", "b", "c"])
    plan = plan_of(alice, people.tweets_of(alice))
    record_adapter(end_user=alice, plan=plan, facts=facts())
    adapter = alice.adapters.get()
    Prediction.objects.filter(question=questions[0]).update(
        prompt="say it better", input_tokens=17, output_tokens=3, model_ms=12.5, retrieval_ms=0.0, adapter=adapter
    )
    page = see(ended(dev, runs), questions[0])
    for shown in ("rouge-1", "say it better", "tokens in</dt><dd>17", "12.5 ms", f'#adapters">{adapter.pk}'):
        assert shown in page


def test_retrieved_documents_come_with_their_scores_and_deleted_ones_are_said_so(dev, see, questions, alice):
    runs = runs_of(dev, rag_bm25=["a", "b", "c"])
    first, second = people.tweets_of(alice)[:2]
    Prediction.objects.filter(question=questions[0]).update(
        retrieved_document_ids=[first.pk, second.pk], retrieved_scores=[3.25, 1.5]
    )
    experiment = ended(dev, runs)
    Document.objects.filter(pk=second.pk).delete()
    page = see(experiment, questions[0])
    assert first.fields["text"] in page
    assert "score 3.25" in page
    assert "deleted since" in page


def test_what_a_selector_chose_is_shown_with_the_scores_of_all(dev, see, questions, workspace):
    chooses = answered_run(dev, ["a", "b", "c"], method="rag:rspg-pre", selector=trained(workspace))
    Prediction.objects.filter(run=chooses, question=questions[0]).update(
        chosen_retriever="bm25", candidate_scores=SCORES
    )
    experiment = ended(dev, {**runs_of(dev, rag_bm25=["a", "b", "c"]), "rag:rspg-pre": chooses})
    page = see(experiment, questions[0])
    assert page.count("Chosen: <strong>BM25</strong>") == 1
    assert 'No documents</th><td class="number">-0.250' in page
    assert "Chosen:" not in see(experiment, questions[1])


def test_selectors_make_one_query_however_many_they_are(dev, see, questions, workspace, django_assert_max_num_queries):
    methods = [f"{family}{kind}{rank}" for family, rank in (("rag:", ""), ("peft-rag:", ":8")) for kind in KINDS]
    runs = {
        method: answered_run(dev, ["a", "b", method], method=method, selector=trained(workspace, method.split(":")[1]))
        for method in methods
    }
    Prediction.objects.update(chosen_retriever="bm25", candidate_scores=SCORES)
    experiment = ended(dev, runs)
    with django_assert_max_num_queries(13):
        see(experiment, questions[0])


def test_a_document_of_somebody_else_is_not_shown(dev, see, questions, bob):
    runs = runs_of(dev, rag_bm25=["a", "b", "c"])
    his = people.tweets_of(bob)[0]
    Prediction.objects.filter(question=questions[0]).update(retrieved_document_ids=[his.pk], retrieved_scores=[1.0])
    page = see(ended(dev, runs), questions[0])
    assert his.fields["text"] not in page


def test_in_a_control_the_other_user_s_documents_are_shown_and_who_it_was(dev, see, questions, bob):
    runs = {"rag:bm25@swapped": answered_run(dev, ["a", "b", "c"], method="rag:bm25@swapped")}
    his = people.tweets_of(bob)[0]
    Prediction.objects.filter(question=questions[0]).update(
        retrieved_document_ids=[his.pk], retrieved_scores=[1.0], swapped_with=bob
    )
    page = see(ended(dev, runs), questions[0])
    assert his.fields["text"] in page
    assert "answered as if" in page


def test_a_method_that_did_not_answer_says_why(dev, see, questions):
    runs = {"none": answered_run(dev, ["a", "b", "c"]), "rag:contriever": "there is no encoder here"}
    assert "there is no encoder here" in see(ended(dev, runs), questions[0])


def test_the_oracle_s_answer_is_shown_where_there_is_one(dev, see, questions):
    Question.objects.filter(pk=questions[0].pk).update(oracle_answer="what the oracle said")
    experiment = ended(dev, runs_of(dev, none=["a", "b", "c"]))
    assert "what the oracle said" in see(experiment, questions[0])
    assert "Oracle" not in see(experiment, questions[1])


def test_samples_lead_to_the_ones_beside_them(dev, see, questions):
    experiment = ended(dev, runs_of(dev, none=["a", "b", "c"]))
    links = [f"/questions/{question.pk}/" for question in questions]
    assert [link in see(experiment, questions[0]) for link in links] == [False, True, False]
    assert [link in see(experiment, questions[1]) for link in links] == [True, False, True]
    assert [link in see(experiment, questions[2]) for link in links] == [False, True, False]


def test_a_question_that_the_experiment_does_not_ask_is_not_there(dev, see, alice):
    experiment = ended(dev, runs_of(dev, none=["a", "b", "c"]))
    other = people.split_of([people.Asked(alice, "else", "else", [])], dataset="other")
    see(experiment, Question.objects.get(split=other), status=404)


def test_hostile_texts_are_text(workspace, see):
    eve = people.person(workspace, HOSTILE, [{"text": HOSTILE, "date": "2020-01-01"}])
    documents = people.tweets_of(eve)
    split = people.split_of([people.Asked(eve, HOSTILE, HOSTILE, documents)], dataset="hostile")
    run = answered_run(split, [HOSTILE + " more"], method="rag:bm25")
    Prediction.objects.filter(run=run).update(
        prompt=HOSTILE, retrieved_document_ids=[documents[0].pk], retrieved_scores=[1.0]
    )
    page = see(ended(split, {"rag:bm25": run}), Question.objects.get(split=split))
    assert page.count("&lt;script&gt;alert(") >= 5
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_thirteen_methods_make_no_more_queries_than_one(dev, see, questions, django_assert_max_num_queries):
    methods = ["none", *(f"peft:{rank}" for rank in range(1, 13))]
    experiment = ended(dev, {method: answered_run(dev, ["a", "b", method], method=method) for method in methods})
    with django_assert_max_num_queries(12):
        see(experiment, questions[0])
