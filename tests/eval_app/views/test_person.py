"""One person's page: profile over time, adapters and their history, generations, improvements."""

import re

import pytest
from django.db.models.functions import Now

from eval_app.models import UserImprovement
from tests import people
from tests.eval_app.crowds import a_done_run, compared, crowd
from tests.members import member_of
from tests.training_app.adapters import a_base_model, facts, plan_of
from tests.training_app.generations import answered
from tests.training_app.serving import chosen
from training_app.adapters import record_adapter
from training_app.models import ServingChoice
from users_app.models import Document, EndUser
from users_app.services import remove_document
from users_app.shared_training import set_agreement

HOSTILE = "<script>alert('mine')</script>"


@pytest.fixture
def see(workspace):
    member = member_of(workspace)

    def page(person, query=""):
        answer = member.get(f"/w/{workspace.slug}/people/{person.pk}/?{query}")
        assert answer.status_code == 200
        return answer

    return page


def periods(answer):
    return [(period.name, period.documents) for period, _ in answer.context["periods"]]


def test_the_profile_is_counted_by_the_documents_own_dates(see, alice):
    answer = see(alice)
    assert periods(answer) == [("2019-06", 1), ("2019-04", 1), ("2019-03", 1), ("2018-11", 1), ("2017-01", 1)]
    assert [(task.task, task.documents, task.live) for task in answer.context["tasks"]] == [("LaMP-7", 5, 5)]


def test_it_says_whether_they_agreed_to_shared_training(see, workspace, alice):
    assert "Has not agreed that models of the whole workspace" in see(alice).content.decode()
    set_agreement(workspace=workspace, end_user=alice, agreed=True)
    assert "that models of the whole workspace learn from their data too" in see(alice).content.decode()
    assert "Has not agreed" not in see(alice).content.decode()


def test_many_months_are_put_together_by_years_and_what_has_no_date_stands_last(see, workspace):
    tweets = [{"text": f"number {at}", "date": f"{1980 + at // 12}-{at % 12 + 1:02}-01"} for at in range(60)]
    carol = people.person(workspace, "carol", [*tweets, {"text": "never"}])
    assert periods(see(carol)) == [
        ("1984", 12),
        ("1983", 12),
        ("1982", 12),
        ("1981", 12),
        ("1980", 12),
        ("without a date", 1),
    ]


def test_periods_are_bounded(see, workspace):
    tweets = [{"text": f"number {at}", "date": str(1000 + at)} for at in range(50)]
    carol = people.person(workspace, "carol", tweets)
    found = periods(see(carol))
    assert (len(found), found[-1]) == (37, ("earlier", 14))


def test_documents_come_with_all_their_fields_page_by_page(see, workspace):
    carol = people.person(
        workspace, "carol", [{"text": f"tweet number {at:02}.", "date": "2020-01-01"} for at in range(45)]
    )
    seen, query = [], ""
    while query is not None:
        answer = see(carol, query)
        seen += re.findall(r"tweet number (\d\d)\.", answer.content.decode())
        query = answer.context["documents_page"].following
    assert seen == [f"{at:02}" for at in range(44, -1, -1)]


def test_a_removed_document_and_one_of_a_dataset_alone_are_told_apart(see, alice, workspace):
    remove_document(workspace=workspace, end_user=alice, task="LaMP-7", client_id="alice-0")
    Document.objects.create(end_user=alice, task="LaMP-7", digest=b"x" * 32, fields={"text": "of the file"})
    page = see(alice).content.decode()
    assert (page.count(">removed<"), page.count("of a dataset<"), page.count("in the profile</span> as")) == (1, 1, 4)


def test_the_task_can_be_chosen(see, alice):
    people.give(alice, [{"text": "abstract", "title": "a paper"}], task="LaMP-5")
    assert "a paper" in see(alice, "task=LaMP-5").content.decode()
    assert "a paper" not in see(alice, "task=LaMP-7").content.decode()
    assert see(alice, "task=nonsense").status_code == 200


def test_adapters_tell_their_history(see, alice):
    documents = people.tweets_of(alice)
    record_adapter(end_user=alice, plan=plan_of(alice, documents[:3]), facts=facts())
    alice.adapters.update(withdrawn_at=Now())
    record_adapter(end_user=alice, plan=plan_of(alice, documents[1:], seed=4), facts=facts("c2"))
    page = see(alice).content.decode()
    assert page.index("version 2") < page.index("version 1")
    assert "2 more documents and 1 of the earlier ones gone" in page
    for shown in ("seed 0 → 4", "was withdrawn", "in 0.5 s", "10 B", "the first of this task"):
        assert shown in page


def post(member, person, **told):
    values = {"task": "LaMP-7", "base_model": a_base_model().pk, **told}
    return member.post(f"/w/{person.workspace.slug}/people/{person.pk}/", values, follow=True)


def test_one_click_rolls_back_to_what_served_before(alice, workspace):
    older, newer = (
        record_adapter(end_user=alice, plan=plan_of(alice, people.tweets_of(alice), seed=seed), facts=facts())
        for seed in (0, 1)
    )
    chosen(alice, older)
    chosen(alice, newer)
    member = member_of(workspace, "researcher")
    page = member.get(f"/w/{workspace.slug}/people/{alice.pk}/").content.decode()
    assert f"Roll back to adapter {older.pk}" in page
    assert "It was measured." in page
    page = post(member, alice, adapter=older.pk).content.decode()
    assert f"Adapter {older.pk} serves from now on." in page
    assert f"LaMP-7, some/t5: adapter {older.pk}" in page
    choice = ServingChoice.objects.latest("pk")
    assert (choice.adapter, choice.by, choice.chosen_by.username) == (older, "person", "researcher of acme")


def test_that_none_serves_can_be_chosen(alice, workspace):
    record_adapter(end_user=alice, plan=plan_of(alice, people.tweets_of(alice)), facts=facts())
    assert (
        "No adapter serves from now on."
        in post(member_of(workspace, "researcher"), alice, adapter="none").content.decode()
    )
    assert ServingChoice.objects.get().serves_none


@pytest.mark.parametrize("adapter", ["", "0", "²", "9" * 30, "bob's"])
def test_a_choice_of_nothing_that_stands_here_is_refused(alice, bob, workspace, adapter):
    his = record_adapter(end_user=bob, plan=plan_of(bob, people.tweets_of(bob)), facts=facts())
    answer = post(member_of(workspace, "researcher"), alice, adapter=his.pk if adapter == "bob's" else adapter)
    assert "Choose an adapter that is listed here" in answer.content.decode()
    assert not ServingChoice.objects.exists()


def test_who_may_only_look_has_no_button_and_changes_nothing(alice, workspace):
    adapter = record_adapter(end_user=alice, plan=plan_of(alice, people.tweets_of(alice)), facts=facts())
    viewer = member_of(workspace)
    assert "Let none serve" not in viewer.get(f"/w/{workspace.slug}/people/{alice.pk}/").content.decode()
    assert post(viewer, alice, adapter=adapter.pk).status_code == 403
    assert not ServingChoice.objects.exists()


def test_what_was_generated_lately_is_shown(see, alice):
    generation = answered(alice)
    page = see(alice).content.decode()
    assert generation.output in page


def test_improvements_come_page_by_page_and_lead_to_the_samples(see, workspace):
    split = crowd(workspace, 1)
    person = EndUser.objects.get(external_id="crowd/00000")
    baseline = a_done_run(split, "none")
    runs = [a_done_run(split, f"peft:{rank}") for rank in range(1, 31)]
    for run in runs:
        compared(run, baseline, [(0.25, 0.75)])
    seen, query = 0, ""
    while query is not None:
        answer = see(person, query)
        seen += answer.content.decode().count("+0.5000")
        query = answer.context["improvements_page"].following
    assert seen == UserImprovement.objects.count() == 30
    assert f"/runs/{runs[-1].pk}/answers/?user=crowd%2F00000" in see(person).content.decode()


def test_a_profile_full_of_script_tags_shows_as_text(see, workspace):
    eve = people.person(workspace, HOSTILE, [{"text": f"{HOSTILE} {at}", HOSTILE: HOSTILE} for at in range(5)])
    page = see(eve).content.decode()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(") >= 15


def test_a_page_makes_few_queries(see, alice, django_assert_max_num_queries):
    for seed in range(10):
        record_adapter(end_user=alice, plan=plan_of(alice, people.tweets_of(alice), seed=seed), facts=facts(str(seed)))
    with django_assert_max_num_queries(30):
        see(alice)


def test_who_has_nothing_has_a_page(see, workspace):
    page = see(people.person(workspace, "carol")).content.decode()
    assert page.count('class="empty"') == 4
