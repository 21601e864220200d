"""What differs between two outputs."""

import pytest

from training_app.side_by_side import differences


def marked(output, against):
    return "".join(f"[{piece.text}]" if piece.differs else piece.text for piece in differences(output, against=against))


@pytest.mark.parametrize(
    ("output", "against", "shown"),
    [
        ("rain on my roses", "rain on my roses", "rain on my roses"),
        ("rain on my roses", "rain on the roses", "rain on [my] roses"),
        ("so much rain", "rain", "[so much] rain"),
        ("rain again", "rain", "rain [again]"),
        ("sun", "rain", "[sun]"),
        ("sun", "", "[sun]"),
        ("", "rain", ""),
        ("a  b", "a b", "a [] b"),
    ],
)
def test_words_that_the_other_does_not_have_are_marked(output, against, shown):
    assert marked(output, against) == shown


@pytest.mark.parametrize("output", ["", " ", "a  b ", " a b\n c"])
def test_nothing_of_the_output_is_lost(output):
    assert "".join(piece.text for piece in differences(output, against="b x c")) == output
