import pytest

from lamp.catalogue import CATALOGUE, get_task
from lamp.feedback import NoDocument, document_of
from lamp.pairs import pair_of
from lamp.queries import input_of
from lamp.tasks import Pair
from lamp.templates import Template

FILM = 'a "film" {about} rain'
QUESTIONS = {
    "LaMP-2": ({"description": FILM}, "comedy", {"description": FILM, "tag": "comedy"}),
    "LaMP-3": ({"text": "fine"}, "4", {"text": "fine", "score": "4"}),
    "LaMP-4": ({"text": "it rained"}, "Rain", {"text": "it rained", "title": "Rain"}),
    "LaMP-5": ({"abstract": "we rain"}, "On rain", {"title": "On rain", "abstract": "we rain"}),
    "LaMP-6": ({"text": "hi: there"}, "Hi", {"text": "hi: there", "title": "Hi"}),
    "LaMP-7": ({"text": "it rains"}, "rain again", {"text": "rain again"}),
}  # fmt: skip


@pytest.mark.parametrize("key", QUESTIONS)
def test_an_accepted_answer_makes_the_document_that_its_task_learns_from(key):
    values, answer, document = QUESTIONS[key]
    task = get_task(key)
    assert document_of(task, input_text=input_of(task, values), answer=answer) == document
    assert not task.field_problems(document)


@pytest.mark.parametrize("key", [key for key in QUESTIONS if isinstance(CATALOGUE[key].pair, Pair)])
def test_its_training_pair_is_the_question_and_the_answer(key):
    values, answer, _ = QUESTIONS[key]
    task = get_task(key)
    question = input_of(task, values)
    assert pair_of(task, document_of(task, input_text=question, answer=answer)) == (question, answer)


@pytest.mark.parametrize("key", ["LaMP-1", "LaMP-2N"])
def test_a_document_with_more_than_question_and_answer_cannot_be_made_of_them(key):
    task = get_task(key)
    question = input_of(task, dict.fromkeys(task.input.fields, "words"))
    with pytest.raises(NoDocument):
        document_of(task, input_text=question, answer=task.labels[0])


def test_an_answer_that_is_no_label_makes_no_document():
    task = get_task("LaMP-2")
    with pytest.raises(NoDocument, match="none of the labels"):
        document_of(task, input_text=input_of(task, {"description": "x"}), answer="gardening")


def test_an_input_of_another_form_is_not_guessed_at_nor_quoted():
    with pytest.raises(NoDocument) as refusal:
        document_of(get_task("LaMP-4"), input_text="s3cret words", answer="Rain")
    assert "s3cret" not in str(refusal.value)


def two_fields(template: str):
    task = get_task("LaMP-4")
    changed = {name: getattr(task, name) for name in task.__dataclass_fields__}
    return type(task)(
        **{**changed, "fields": ("text", "place", "title"), "pair": Pair(Template(template), Template("{title}"))}
    )


def test_several_fields_are_read_back_where_it_is_clear_which_ends_where():
    task = two_fields("About {place}: {text}.")
    assert document_of(task, input_text="About home: it rains.", answer="Wet") == {
        "text": "it rains",
        "place": "home",
        "title": "Wet",
    }


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("About {place}: {text}.", "About home: it rains: a lot."),
        ("About {place}{text}.", "About home it rains."),
        ("{place} and {place}: {text}", "home and away: it rains"),
    ],
)
def test_where_it_is_not_clear_no_document_is_made(template, text):
    with pytest.raises(NoDocument):
        document_of(two_fields(template), input_text=text, answer="Wet")
