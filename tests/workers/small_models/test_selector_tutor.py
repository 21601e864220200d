"""What the small selectors' tutor says."""

import pytest
import torch

from retrieval_app.selection import PRE
from workers.small_models.recipe import SMOKE
from workers.small_models.selector_feedback import POOL, PoolAnswers
from workers.small_models.selector_tutor import SPREAD, of_equal_weight, tutored


def question(number: int, *, outputs: tuple[str, str], entries: tuple[str, str]) -> PoolAnswers:
    asked = "What is the score of the following review on a scale of 1 to 5? review: a yellow lantern"
    prompts = tuple(f'5 is the score for "{entry}" . {asked}' for entry in entries)
    return PoolAnswers("LaMP-3", number, str(number), "5", POOL, prompts, outputs)


# Entries that name the lantern are always the better ones.
TELLING = [
    question(number, outputs=("5", "1"), entries=("lanterns as good", "some other thing"))
    if number % 2
    else question(number, outputs=("1", "5"), entries=("some other thing", "lanterns as good"))
    for number in range(400)
]


@pytest.fixture(scope="module")
def lessons():
    return tutored(SMOKE, TELLING, reads=PRE)


def test_the_tutor_says_which_candidate_is_worth_more(lessons):
    assert [one.utilities[0] > one.utilities[1] for one in lessons.as_said] == [
        number % 2 == 1 for number in range(400)
    ]


def test_a_lesson_is_about_the_texts_of_its_question(lessons):
    assert [one.texts for one in lessons.as_said] == [one.texts(reads=PRE) for one in TELLING]


def test_of_a_task_without_a_difference_nothing_is_said():
    alike = [question(number, outputs=("5", "5"), entries=("a lantern", "a thing")) for number in range(4)]
    said = tutored(SMOKE, alike, reads=PRE)
    assert said.as_said == said.even == [one.sample(reads=PRE) for one in alike]


@pytest.mark.parametrize("reach", [0.01, 1.0, 20.0])
def test_tasks_of_equal_weight_lie_equally_far_apart(reach):
    scores = reach * torch.randn(500, 2, generator=torch.Generator().manual_seed(1)) + 3
    even = of_equal_weight(scores)
    assert even.sum(dim=1).abs().max() < 1e-4
    assert even.square().mean().sqrt().item() == pytest.approx(SPREAD, rel=1e-4)
    assert torch.equal(even.argmax(dim=1), scores.argmax(dim=1))


def test_scores_that_are_all_alike_stay_so():
    assert torch.equal(of_equal_weight(torch.full((4, 2), 1.5)), torch.zeros(4, 2))


def test_lessons_of_an_even_tutor_prefer_the_same_candidates(lessons):
    said = torch.tensor([one.utilities for one in lessons.even])
    assert said.std(dim=1, unbiased=False).square().mean().sqrt().item() == pytest.approx(SPREAD, rel=1e-4)
    assert [one.utilities[0] > one.utilities[1] for one in lessons.even] == [
        one.utilities[0] > one.utilities[1] for one in lessons.as_said
    ]
