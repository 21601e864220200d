"""Numbers as people read them."""

import pytest

from training_app.costs.words import duration_in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0042, "4.2 ms"),
        (1, "1 s"),
        (59.6, "59.6 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7300, "2 h 1 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, words):
    assert duration_in_words(seconds) == words
