import pytest

from workers.small_models.selector_evidence import evidence


def test_words_of_the_right_answer_are_counted_by_the_number_of_documents():
    prompts = ['"Morning Report: a" , and "Morning Report: b" . c', '"Evening Desk: a" , and "Morning Report: b" . c']
    assert evidence("Morning Report: z", prompts, documents=2) == pytest.approx((2 / 3, 1 / 3))


def test_what_stands_in_the_question_makes_no_difference_between_prompts():
    with_it = evidence("red roses", ['"red" . roses', '"blue" . roses'], documents=1)
    without = evidence("red roses", ['"red" .', '"blue" .'], documents=1)
    assert with_it[0] - with_it[1] == without[0] - without[1] == 0.5


def test_an_answer_without_words_has_no_evidence():
    assert evidence("", ["a", "b"], documents=4) == (0, 0)
