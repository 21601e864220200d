from datetime import UTC, datetime

import pytest

from common.api.problems import Problem
from tests.people import ASK, person, tweets_of
from tests.training_app.generations import answered, asked
from training_app.feedback import give_feedback
from training_app.models import Generation
from users_app.profiles import NewDocument, put_documents
from users_app.selectors import visible_documents

HEADLINE = "Generate a headline for the following article: "


def tell(generation, rating, **told):
    give_feedback(
        workspace=generation.end_user.workspace, generation=generation, rating=Generation.Rating(rating), **told
    )
    generation.refresh_from_db()


def refusal(generation, rating, **told):
    with pytest.raises(Problem) as caught:
        tell(generation, rating, **told)
    return caught.value


def profile(end_user, task="LaMP-7"):
    return [one.fields for one in visible_documents(workspace=end_user.workspace, end_user=end_user, task=task)]


def client_ids(end_user):
    entries = end_user.profile_entries.filter(removed_at__isnull=True).order_by("position")
    return list(entries.values_list("client_id", flat=True))


@pytest.fixture
def newcomer(workspace):
    return person(workspace, "newcomer")


def test_an_accepted_output_joins_the_profile(newcomer):
    generation = answered(newcomer)
    tell(generation, "accepted")
    assert profile(newcomer) == [{"text": "rain on my roses"}]
    assert generation.feedback_client_id == f"generation-{generation.pk}"
    assert (generation.rating, generation.rated_at is not None) == ("accepted", True)


def test_a_corrected_text_joins_the_profile_in_place_of_the_output(newcomer):
    tell(answered(newcomer, task="LaMP-4", input=HEADLINE + "it rained"), "corrected", text="Rain!")
    assert profile(newcomer, "LaMP-4") == [{"text": "it rained", "title": "Rain!"}]


def test_a_rejection_is_kept_and_makes_no_document(newcomer):
    generation = answered(newcomer)
    tell(generation, "rejected")
    assert (generation.rating, profile(newcomer)) == ("rejected", [])


def test_the_document_stands_under_the_clients_own_id(newcomer):
    tell(answered(newcomer), "accepted", document_id="tweet-9")
    assert client_ids(newcomer) == ["tweet-9"]


def test_it_has_todays_date_where_the_profile_has_dates(alice):
    tell(answered(alice), "accepted")
    assert profile(alice)[-1] == {"text": "rain on my roses", "date": datetime.now(UTC).date().isoformat()}


def test_the_client_may_say_the_whole_document(newcomer):
    generation = answered(newcomer, task="LaMP-2N", fields={"text": "it rained"}, method="none")
    document = {"text": "it rained", "title": "Rain", "category": "science"}
    tell(generation, "accepted", fields=document, date="2024-05-31")
    assert profile(newcomer, "LaMP-2N") == [{**document, "date": "2024-05-31"}]


def test_later_feedback_takes_the_place_of_earlier(newcomer):
    generation = answered(newcomer)
    tell(generation, "accepted")
    tell(generation, "corrected", text="roses in the rain")
    assert profile(newcomer) == [{"text": "roses in the rain"}]
    tell(generation, "corrected", text="roses", document_id="another")
    assert client_ids(newcomer) == ["another"]
    tell(generation, "rejected")
    assert (profile(newcomer), generation.feedback_client_id) == ([], "")


def test_a_document_that_cannot_be_made_is_asked_for(newcomer):
    problem = refusal(answered(newcomer, "women", task="LaMP-2N", fields={"text": "x"}, method="none"), "accepted")
    assert (problem.status, problem.errors[0].field) == (400, "/fields")
    assert "text, title, category" in problem.errors[0].remedy
    assert profile(newcomer, "LaMP-2N") == []


@pytest.mark.parametrize(
    ("rating", "told", "places"),
    [
        ("corrected", {}, ["/text"]),
        ("accepted", {"text": "x"}, ["/text"]),
        ("rejected", {"fields": {}, "document_id": "x"}, ["/fields", "/document_id"]),
        ("rejected", {"date": 2024}, ["/date"]),
        ("accepted", {"fields": {}}, ["/fields/text"]),
        ("accepted", {"fields": {"text": 3}}, ["/fields/text"]),
        ("accepted", {"fields": {"text": "x", "more": "y"}}, ["/fields/more"]),
        ("accepted", {"date": "soon"}, ["/date"]),
        ("corrected", {"text": "  "}, ["/fields"]),
    ],
)
def test_feedback_that_contradicts_itself_is_refused_and_changes_nothing(newcomer, rating, told, places):
    generation = answered(newcomer)
    problem = refusal(generation, rating, **told)
    generation.refresh_from_db()
    assert (problem.status, [error.field for error in problem.errors]) == (400, places)
    assert (generation.rating, profile(newcomer)) == ("", [])


def test_there_is_nothing_to_say_before_there_is_an_answer(newcomer):
    assert refusal(asked(newcomer), "rejected").slug == "not-answered"


def test_feedback_on_what_was_erased_meanwhile_finds_nothing(alice):
    generation = answered(alice)
    Generation.objects.all().delete()
    assert refusal(generation, "accepted").status == 404
    assert len(profile(alice)) == len(tweets_of(alice)) == 5


def test_an_answer_keeps_what_was_asked(newcomer):
    assert answered(newcomer).input.startswith(ASK)


def test_a_document_of_somebody_else_is_not_replaced(alice):
    before = profile(alice)
    problem = refusal(answered(alice), "accepted", document_id=client_ids(alice)[0])
    assert (problem.status, problem.slug) == (409, "document-exists")
    assert profile(alice) == before


def test_a_document_that_was_put_in_place_of_the_feedbacks_stays(newcomer):
    generation = answered(newcomer)
    tell(generation, "accepted", document_id="mine")
    put_documents(
        workspace=newcomer.workspace, end_user=newcomer, documents=[NewDocument("LaMP-7", "mine", {"text": "my own"})]
    )
    assert refusal(generation, "accepted").slug == "document-exists"
    tell(generation, "rejected")
    assert profile(newcomer) == [{"text": "my own"}]
