"""One question of one user, asked by each method and shown side by side."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db.models import F

from jobs.models import Job
from tests import people
from tests.lamp.own_tasks import REPLIES
from tests.retrieval_app.trained import has_chosen, trained
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.generations import ANSWERED, answered
from training_app.adapters import record_adapter
from training_app.generations import Answer, record_answers
from training_app.models import Generation
from users_app.models import Membership
from users_app.quotas import set_quotas
from users_app.services import set_role
from users_app.tasks import define_task

PLAYGROUND = "/w/acme/playground/"
TWEET = {
    "user": "alice",
    "task": "LaMP-7",
    "form": "fields",
    "field-text": "rain on my roses",
    "retriever": "bm25",
    "k": "2",
    "base_model": "some/t5",
    "num_beams": "1",
}


@pytest.fixture
def researcher(client, workspace, alice):
    a_base_model()
    user = get_user_model().objects.create_user("rita")
    set_role(workspace=workspace, user_id=user.pk, role=Membership.Role.RESEARCHER)
    client.force_login(user)
    return client


@pytest.fixture
def adapter(alice):
    return record_adapter(end_user=alice, plan=plan_of(alice, people.tweets_of(alice)), facts=facts())


def asked_for():
    return list(Generation.objects.order_by("pk"))


def answer(generation, output, documents=()):
    values = {"retrieved_document_ids": [one.pk for one in documents], "retrieved_scores": [1.5] * len(documents)}
    record_answers([(generation, Answer(**{**vars(ANSWERED), "output": output, **values}))])


def text(answer):
    return answer.content.decode()


def test_each_method_is_asked_the_same(researcher, adapter):
    researcher.post(PLAYGROUND, TWEET)
    assert [one.family for one in asked_for()] == ["none", "rag", "peft", "peft-rag"]
    assert {one.input for one in asked_for()} == {people.ASK + "rain on my roses"}
    assert [one.documents_wanted for one in asked_for()] == [0, 2, 0, 2]


def test_without_an_adapter_the_others_are_asked_and_the_page_says_what_to_do(researcher):
    page = researcher.post(PLAYGROUND, TWEET, follow=True)
    assert [one.family for one in asked_for()] == ["none", "rag"]
    assert "no usable adapter of some/t5" in text(page)
    assert "Train an adapter" in text(page)


def test_the_answers_address_asks_nothing_anew(researcher, adapter):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    researcher.get(address)
    assert researcher.get(address).status_code == 200
    assert len(asked_for()) == 4


def test_the_answers_come_one_by_one(researcher, adapter):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    none, rag, *_ = asked_for()
    answer(none, "rain on my roses")
    card = text(researcher.get(f"{PLAYGROUND}{none.pk}/status/?against={none.pk}"))
    assert ("rain on my roses" in card, "every 1s" in card) == (True, False)
    assert "every 1s" in text(researcher.get(f"{PLAYGROUND}{rag.pk}/status/?against={none.pk}"))
    assert text(researcher.get(address)).count("every 1s") == 3


def test_what_the_page_shows_already_is_not_sent_again(researcher, adapter):
    researcher.post(PLAYGROUND, TWEET)
    none, *_ = asked_for()
    card = f"{PLAYGROUND}{none.pk}/status/?against={none.pk}&seen=waiting-10"
    assert researcher.get(card).status_code == 204
    answer(none, "rain")
    assert researcher.get(card).status_code == 200


def test_whoever_waits_for_long_is_told_that_there_may_be_no_worker(researcher):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    assert "No worker has taken it yet" not in text(researcher.get(address))
    Generation.objects.update(created_at=F("created_at") - timedelta(minutes=1))
    assert "No worker has taken it yet" in text(researcher.get(address))


def test_one_that_a_client_asked_for_stands_alone(researcher, alice):
    one = answered(alice, method="rag")
    page = text(researcher.get(f"{PLAYGROUND}{one.pk}/"))
    assert ("rain on my roses" in page, "Train an adapter" in page) == (True, False)


def test_what_was_retrieved_is_shown_with_its_score(researcher, alice):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    answer(asked_for()[1], "rain", people.tweets_of(alice)[:1])
    page = text(researcher.get(address))
    assert people.OF_ALICE[0]["text"] in page
    assert ("alice-0" in page, "score 1.500" in page) == (True, True)


def test_what_the_base_model_did_not_say_is_marked(researcher, alice):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    none, rag = asked_for()
    answer(none, "rain on the roses")
    answer(rag, "rain on my roses")
    assert "rain on <ins>my</ins> roses" in text(researcher.get(address))


def test_what_a_selector_chose_is_shown_with_the_scores_of_all(researcher, workspace):
    trained(workspace)
    address = researcher.post(PLAYGROUND, {**TWEET, "retriever": "rspg-pre"}).headers["Location"]
    assert "Chosen:" not in text(researcher.get(address))
    answer(asked_for()[1], "rain")
    has_chosen(asked_for()[1])
    page = text(researcher.get(address))
    assert "Chosen: <strong>BM25</strong>" in page
    assert 'No documents</th><td class="number">-0.250' in page
    assert 'BM25 <span class="badge good">chosen</span></th><td class="number">1.500' in page


def test_that_no_documents_were_chosen_is_said(researcher, workspace):
    trained(workspace)
    address = researcher.post(PLAYGROUND, {**TWEET, "retriever": "rspg-pre"}).headers["Location"]
    answer(asked_for()[1], "rain")
    has_chosen(asked_for()[1], "none")
    page = text(researcher.get(address))
    assert ("no documents is what was chosen" in page, "the profile is empty" in page) == (True, False)


def test_texts_are_text(researcher, alice):
    address = researcher.post(PLAYGROUND, {**TWEET, "field-text": "<script>alert(1)</script>"}).headers["Location"]
    answer(asked_for()[0], "<script>alert(2)</script>")
    page = text(researcher.get(address))
    assert ("<script>alert" in page, "&lt;script&gt;alert(2)" in page) == (False, True)


def test_another_user_s_answers_do_not_stand_beside_these(researcher, alice, bob):
    one, other = answered(alice), answered(bob)
    assert researcher.get(f"{PLAYGROUND}{one.pk}/?with={other.pk}").status_code == 404


def test_another_workspace_s_answers_are_not_there(researcher, alice, mallory):
    one, other = answered(alice), answered(mallory)
    assert researcher.get(f"{PLAYGROUND}{other.pk}/").status_code == 404
    assert researcher.get(f"{PLAYGROUND}{one.pk}/?with={other.pk}").status_code == 404
    assert researcher.get(f"{PLAYGROUND}{one.pk}/status/?against={other.pk}").status_code == 404


def test_a_parameter_that_is_nonsense_is_ignored(researcher, alice):
    one = answered(alice)
    assert researcher.get(f"{PLAYGROUND}{one.pk}/?with=x-9999999999999999999&training=%00").status_code == 200
    assert researcher.get(f"{PLAYGROUND}?task=LaMP-99&user=%00&from=x").status_code == 200


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"user": "nobody"}, "id_user"),
        ({"user": ""}, "id_user"),
        ({"task": "LaMP-99"}, "id_task"),
        ({"field-text": " "}, "id_form"),
        ({"form": "whole", "input": ""}, "id_input"),
        ({"task": "LaMP-1", "form": "whole", "input": "no marker"}, "id_input"),
        ({"k": "0"}, "id_k"),
        ({"k": "many"}, "id_k"),
        ({"num_beams": "17"}, "id_num_beams"),
        ({"base_model": "no/such"}, "id_base_model"),
        ({"retriever": "magic"}, "id_retriever"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(researcher, changed, field):
    page = researcher.post(PLAYGROUND, {**TWEET, **changed})
    assert (page.status_code, f'id="{field}_error"' in text(page)) == (400, True)
    assert asked_for() == []


def test_recency_over_documents_without_dates_is_refused_at_the_retriever(researcher, workspace):
    people.person(workspace, "dave", [{"text": "no date at all"}])
    page = researcher.post(PLAYGROUND, {**TWEET, "user": "dave", "retriever": "recency"})
    assert (page.status_code, 'id="id_retriever_error"' in text(page)) == (400, True)
    assert asked_for() == []


@pytest.mark.parametrize("retriever", ["ropg-kd", "ropg-rl", "rspg-pre", "rspg-post"])
def test_a_retriever_that_was_not_trained_yet_is_refused_at_the_retriever(researcher, mallory, retriever):
    trained(mallory.workspace, retriever)
    page = researcher.post(PLAYGROUND, {**TWEET, "retriever": retriever})
    assert (page.status_code, 'id="id_retriever_error"' in text(page)) == (409, True)
    assert "POST /api/v1/model-trainings" in text(page)
    assert asked_for() == []


def options(page):
    """By retriever, what the rest of its option's tag says, and its words."""
    select = re.search(r'<select name="retriever".*?</select>', text(page), re.DOTALL)[0]
    return {name: (more.strip(), words) for name, more, words in re.findall(r'value="(.*?)"(.*?)>(.*?)<', select)}


def test_what_was_not_trained_for_the_task_and_base_model_says_so_in_the_choice(researcher, workspace, mallory):
    trained(workspace)
    trained(workspace, "ropg-kd", tasks=["LaMP-4"])
    trained(mallory.workspace, "rspg-post")
    found = options(researcher.get(f"{PLAYGROUND}?task=LaMP-7&base_model=some/t5"))
    assert [name for name, (more, _) in found.items() if more == "disabled"] == ["ropg-kd", "ropg-rl", "rspg-post"]
    assert "none trained for LaMP-7 and this base model" in found["ropg-kd"][1]


def test_the_choice_follows_the_task_and_keeps_what_is_chosen(researcher, workspace):
    trained(workspace)
    fragment = f"{PLAYGROUND}fragments/retrievers/?base_model=some/t5&retriever=rspg-pre"
    assert options(researcher.get(f"{fragment}&task=LaMP-7"))["rspg-pre"][0] == "selected"
    more, words = options(researcher.get(f"{fragment}&task=LaMP-4"))["rspg-pre"]
    assert (more, "none trained for LaMP-4" in words) == ("selected", True)


@pytest.mark.parametrize("model", ["no/such", "some/t5@1", "%00", ""])
def test_for_a_base_model_that_is_not_listed_nothing_is_trained(researcher, workspace, model):
    trained(workspace)
    found = options(researcher.get(f"{PLAYGROUND}?task=LaMP-7&base_model={model}&retriever=nonsense"))
    assert (found["bm25"][0], found["rspg-pre"][0]) == ("", "disabled")


def test_quotas_count_what_is_asked(researcher, workspace):
    set_quotas(workspace=workspace, limits={"generations_a_day": 1})
    page = researcher.post(PLAYGROUND, TWEET)
    assert (page.status_code, "generations a day" in text(page)) == (429, True)
    assert asked_for() == []


def test_a_default_model_that_is_not_loaded_yet_is_said(researcher):
    page = researcher.post(PLAYGROUND, {**TWEET, "base_model": ""})
    assert (page.status_code, "has not been loaded yet" in text(page)) == (409, True)


def test_an_adapter_is_trained_and_then_asked(researcher, alice):
    researcher.post(PLAYGROUND, TWEET)
    none, rag = asked_for()
    panel = f"{PLAYGROUND}{none.pk}/adapter/status/"
    answer_to_post = researcher.post(f"{PLAYGROUND}{none.pk}/?with={rag.pk}")
    job = Job.objects.get(kind="train_adapter")
    assert answer_to_post.headers["Location"] == f"{PLAYGROUND}{none.pk}/?with={rag.pk}&training={job.pk}"
    assert "every 2s" in text(researcher.get(f"{panel}?with={rag.pk}&training={job.pk}"))
    record_adapter(end_user=alice, plan=plan_of(alice, people.tweets_of(alice)), facts=facts())
    shown = text(researcher.get(f"{panel}?with={rag.pk}&training={job.pk}"))
    assert ("every 2s" in shown, "Ask again, with the adapter" in shown) == (False, True)


def test_who_has_no_documents_has_nothing_to_learn_from(researcher, workspace):
    people.person(workspace, "erin")
    page = researcher.post(PLAYGROUND, {**TWEET, "user": "erin"}, follow=True)
    assert ("nothing to learn from" in text(page), "Train an adapter" in text(page)) == (True, False)


def test_the_form_is_filled_in_from_the_address(researcher):
    page = text(researcher.get(f"{PLAYGROUND}?user=alice&task=LaMP-3&input=What+then"))
    assert ('value="alice"' in page, '<option value="LaMP-3" selected>' in page, "What then</textarea>" in page) == (
        True,
        True,
        True,
    )


def test_what_was_asked_before_is_filled_in_again(researcher, alice):
    one = answered(alice, method="rag", k=7)
    page = text(researcher.get(f"{PLAYGROUND}?from={one.pk}"))
    assert (one.input in page, 'value="7"' in page) == (True, True)


def test_the_answers_lead_back_to_all_that_was_asked(researcher):
    page = researcher.post(PLAYGROUND, {**TWEET, "k": "7", "retriever": "recency"}, follow=True)
    assert f'href="{PLAYGROUND}?from={asked_for()[1].pk}"' in text(page)


def test_what_one_asked_lately_is_found_again_in_that_workspace_alone(researcher, mallory):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    assert f'href="{address}"' in text(researcher.get(PLAYGROUND))
    set_role(workspace=mallory.workspace, user_id=researcher.session["_auth_user_id"], role=Membership.Role.VIEWER)
    assert "You asked lately" not in text(researcher.get("/w/elsewhere/playground/"))


def test_what_is_gone_since_is_not_listed(researcher):
    researcher.post(PLAYGROUND, TWEET)
    Generation.objects.all().delete()
    page = researcher.get(PLAYGROUND)
    assert (page.status_code, "You asked lately" in text(page)) == (200, False)


def test_lines_end_as_they_do_elsewhere(researcher):
    researcher.post(PLAYGROUND, {**TWEET, "field-text": "rain\r\nroses"})
    assert asked_for()[0].input.endswith("rain\nroses")


def test_a_task_s_own_fields_are_asked_for(researcher, workspace):
    define_task(workspace=workspace, definition=REPLIES)
    fields = text(researcher.get(f"{PLAYGROUND}fragments/task/?task={REPLIES['key']}"))
    assert 'name="field-' in fields
    assert REPLIES["title"] in text(researcher.get(PLAYGROUND))


def test_users_are_found_by_the_beginning_of_their_ids(researcher, workspace, mallory):
    people.person(workspace, "alina")
    found = text(researcher.get(f"{PLAYGROUND}users/search/?user=ali"))
    assert ("alice" in found, "alina" in found) == (True, True)
    assert "mallory" not in text(researcher.get(f"{PLAYGROUND}users/search/?user=m"))
    assert "option" not in text(researcher.get(f"{PLAYGROUND}users/search/?user="))


def test_a_viewer_sees_answers_and_asks_nothing(researcher, client, workspace, alice):
    one = answered(alice)
    viewer = get_user_model().objects.create_user("vera")
    set_role(workspace=workspace, user_id=viewer.pk, role=Membership.Role.VIEWER)
    client.force_login(viewer)
    assert "rain on my roses" in text(client.get(f"{PLAYGROUND}{one.pk}/"))
    assert client.post(PLAYGROUND, TWEET).status_code == 403


def test_the_page_takes_few_queries(researcher, adapter, alice, django_assert_max_num_queries):
    address = researcher.post(PLAYGROUND, TWEET).headers["Location"]
    for one in asked_for():
        answer(one, "rain", people.tweets_of(alice) if one.retriever else ())
    with django_assert_max_num_queries(15):
        researcher.get(address)
