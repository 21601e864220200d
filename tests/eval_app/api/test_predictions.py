"""`/runs/{id}/predictions` and `/runs/{id}/improvements`: users' texts and what became of each user."""

import pytest

from eval_app.models import Prediction, Question
from tests.eval_app.stored import answered_run, ended
from tests.people import tweets_of
from tests.retrieval_app.trained import SCORES, TOLD, trained
from users_app.erasure import erase_document, erase_end_user
from users_app.models import Scope

POOR = ["rain", "bike", "nothing"]
BETTER = ["rain on my roses", "bike", "garden gloves"]


@pytest.fixture
def rag(dev, alice, bob):
    """A run whose prompts quote two documents of each user."""
    run = answered_run(dev, BETTER, method="rag:bm25")
    for prediction in Prediction.objects.filter(run=run):
        own = tweets_of(prediction.end_user)
        prediction.prompt = f"{own[1].fields['text']} and then"
        prediction.retrieved_document_ids = [own[1].pk, own[2].pk]
        prediction.retrieved_scores = [2.5, 1.0]
        prediction.save()
    return run


@pytest.fixture
def predictions(rag):
    return f"/api/v1/runs/{rag.pk}/predictions"


@pytest.fixture
def improvements(dev, rag):
    ended(dev, {"none": answered_run(dev, POOR), "rag:bm25": rag})
    return f"/api/v1/runs/{rag.pk}/improvements"


def data(answer):
    assert answer.status_code == 200, answer.json()
    return answer.json()["data"]


# --- predictions


def test_each_answer_stands_beside_its_gold_with_its_scores(api, predictions, rag):
    first, second, third = data(api.get(predictions))
    assert [(one["question"], one["user"]) for one in (first, second, third)] == [
        (100, "alice"),
        (101, "bob"),
        (102, "alice"),
    ]
    scores = Prediction.objects.get(run=rag, question__external_id="100").scores
    assert first == {
        "question": 100,
        "user": "alice",
        "swapped_with": None,
        "output": "rain on my roses",
        "gold": "rain on my roses again",
        "scores": scores,
        "sequence_score": None,
        "adapter_id": None,
        "selection": None,
        "input_tokens": None,
        "output_tokens": None,
    }


def test_what_a_selector_chose_stands_beside_the_answer(api, dev, workspace, django_assert_max_num_queries):
    run = answered_run(dev, BETTER, method="rag:rspg-pre", selector=trained(workspace))
    Prediction.objects.exclude(question__external_id="102").update(chosen_retriever="bm25", candidate_scores=SCORES)
    with django_assert_max_num_queries(12):
        found = data(api.get(f"/api/v1/runs/{run.pk}/predictions"))
    assert [one["selection"] for one in found] == [TOLD, TOLD, None]


def test_ids_of_questions_are_texts_where_the_file_has_texts(api, predictions):
    Question.objects.update(id_is_integer=False)
    assert [one["question"] for one in data(api.get(predictions))] == ["100", "101", "102"]


def test_pages_follow_the_file(api, predictions):
    first = api.get(f"{predictions}?limit=2").json()
    rest = api.get(f"{predictions}?limit=2&cursor={first['next_cursor']}").json()
    assert [one["question"] for one in first["data"] + rest["data"]] == [100, 101, 102]
    assert rest["next_cursor"] is None


def test_those_of_one_user(api, predictions):
    assert [one["question"] for one in data(api.get(f"{predictions}?user=alice"))] == [100, 102]
    assert data(api.get(f"{predictions}?user=nobody")) == []


def test_a_user_of_a_dataset_is_found_by_the_whole_of_a_name_with_slashes(api, predictions, bob):
    bob.external_id = "news/LaMP-7/17"
    bob.save()
    assert [one["question"] for one in data(api.get(predictions, {"user": "news/LaMP-7/17"}))] == [101]


def test_prompts_and_documents_come_where_they_are_asked_for(api, predictions, alice):
    first = data(api.get(f"{predictions}?include=prompt,documents"))[0]
    own = tweets_of(alice)
    assert first["prompt"] == f"{own[1].fields['text']} and then"
    assert first["documents"] == [
        {"id": "alice-1", "digest": bytes(own[1].digest).hex(), "score": 2.5},
        {"id": "alice-2", "digest": bytes(own[2].digest).hex(), "score": 1.0},
    ]
    assert "prompt" not in data(api.get(f"{predictions}?include=documents"))[0]


def test_a_page_takes_a_few_statements_however_long_it_is(api, predictions, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        assert len(data(api.get(f"{predictions}?include=prompt,documents"))) == 3


def test_a_document_that_was_erased_is_not_among_them(api, predictions, alice, rag):
    erase_document(workspace=alice.workspace, end_user=alice, task="LaMP-7", client_id="alice-1")
    first = data(api.get(f"{predictions}?include=prompt,documents"))[0]
    assert [document["id"] for document in first["documents"]] == ["alice-2"]
    assert first["prompt"] == ""


def test_a_document_of_somebody_else_is_never_among_them(api, predictions, bob, mallory):
    strange = [tweets_of(person)[0].pk for person in (bob, mallory)]
    Prediction.objects.filter(question__external_id="100").update(retrieved_document_ids=strange)
    assert data(api.get(f"{predictions}?include=documents"))[0]["documents"] == []


def test_a_control_says_with_whose_profile_it_was_answered(api, predictions, bob):
    his = tweets_of(bob)
    Prediction.objects.filter(question__external_id="100").update(
        swapped_with=bob, retrieved_document_ids=[his[0].pk, his[1].pk]
    )
    first = data(api.get(f"{predictions}?include=documents"))[0]
    assert (first["user"], first["swapped_with"]) == ("alice", "bob")
    assert [(one["id"], one["digest"]) for one in first["documents"]] == [
        (None, bytes(document.digest).hex()) for document in his[:2]
    ]


@pytest.mark.parametrize("query", ["?include=input", "?include=", "?limit=0", "?run=1"])
def test_what_cannot_be_asked_is_refused(api, predictions, query):
    answer = api.get(predictions + query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, query.partition("=")[0])


# --- improvements


def test_each_user_has_what_the_run_changed_for_them(api, improvements, alice, rag):
    hers, his = data(api.get(improvements))
    assert (hers["user"], hers["direction"], hers["questions"], hers["metric"]) == ("alice", "better", 2, "rouge-1")
    assert hers["gain"] == pytest.approx(hers["score"] - hers["baseline_score"])
    assert hers["gain"] > 0
    assert hers["profile_size"] == 4
    assert (his["user"], his["direction"], his["gain"]) == ("bob", "same", 0)
    assert hers["baseline_run_id"] != rag.pk


def test_those_for_whom_it_got_better_or_of_one_user(api, improvements):
    assert [one["user"] for one in data(api.get(f"{improvements}?direction=better"))] == ["alice"]
    assert [one["user"] for one in data(api.get(f"{improvements}?direction=same"))] == ["bob"]
    assert data(api.get(f"{improvements}?direction=worse")) == []
    assert [one["user"] for one in data(api.get(f"{improvements}?user=bob"))] == ["bob"]
    assert api.get(f"{improvements}?direction=1").json()["errors"][0]["field"] == "?direction"


def test_improvements_are_paged(api, improvements):
    first = api.get(f"{improvements}?limit=1").json()
    rest = api.get(f"{improvements}?limit=1&cursor={first['next_cursor']}").json()
    assert [one["user"] for one in first["data"] + rest["data"]] == ["alice", "bob"]


# --- who may see them


def test_who_may_only_look_at_experiments_sees_no_users(api_key, client_of, predictions, improvements):
    every_other = client_of(api_key(scopes=[scope for scope in Scope if scope != Scope.MANAGE]))
    assert [every_other.get(address).status_code for address in (predictions, improvements)] == [403, 403]


def test_a_stranger_sees_none(stranger_api, predictions, improvements):
    assert [stranger_api.get(address).status_code for address in (predictions, improvements)] == [404, 404]


def test_who_was_erased_is_in_neither(api, predictions, improvements, alice):
    erase_end_user(workspace=alice.workspace, end_user=alice)
    assert {one["user"] for one in data(api.get(predictions))} == {"bob"}
    assert {one["user"] for one in data(api.get(improvements))} == {"bob"}
