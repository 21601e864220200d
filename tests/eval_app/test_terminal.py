import io

import pytest
from rich.console import Console

from eval_app.terminal import print_table
from tests.eval_app.test_export import a_table


def printed(table, *, width=120, encoding="utf-8"):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    print_table(table, Console(file=out, width=width, color_system=None))
    return out.buffer.getvalue().decode(encoding)


def line_of(text, *words):
    return next(line for line in text.splitlines() if all(word in line for word in words))


def test_values_marks_and_numbers_are_there():
    text = printed(a_table())
    assert "▸ 1.000**" in line_of(text, "LaMP-1", "accuracy ↑")
    assert "0.750" in line_of(text, "LaMP-3", "MAE ↓")
    assert " 12 " in line_of(text, "LaMP-1", "accuracy")
    assert "[1] did not run: its documents have no dates" in text
    assert "[2] not compared: answered 9 questions, the row's others 12" in text
    assert "n=9" in line_of(text, "LaMP-1", "accuracy")
    assert "*, **, ***: different from None" in text
    assert "Average relative improvement over no personalization" in text


def test_users_who_won_tied_and_lost_are_shown():
    assert "11 / 1 / 0" in line_of(printed(a_table()), "LaMP-1", " / ")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_value_is_cut(width):
    text = printed(a_table(reference=True), width=width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert "0.672" in text


def test_a_narrow_terminal_gets_blocks_of_columns():
    assert printed(a_table(), width=60).count("accuracy") > printed(a_table()).count("accuracy")


def test_a_terminal_without_unicode_gets_plain_marks():
    text = printed(a_table(reference=True), encoding="ascii")
    assert "> 1.000**" in text
    assert "accuracy ^" in text
    assert "?" not in text


def test_the_reference_is_marked_as_published():
    assert "Published numbers: Salemi" in printed(a_table(reference=True))
    assert "Published" not in printed(a_table())
