import io
from dataclasses import replace

import pytest
from rich.console import Console

from eval_app.methods import parse_methods
from eval_app.table import build_table, measure
from eval_app.terminal import print_table
from lamp.catalogue import get_task
from tests.eval_app.choosing import a_choosing_table
from tests.eval_app.runs import answers
from tests.eval_app.test_export import a_controlled_table, a_table


def printed(table, *, width=120, encoding="utf-8"):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    print_table(table, Console(file=out, width=width, color_system=None))
    return out.buffer.getvalue().decode(encoding)


def a_large_table():
    """Every task, six columns, each with a control and an oracle."""
    columns = parse_methods("none,rag:bm25,rag:recency,rag:contriever,peft:8,peft-rag:best:8")
    outcomes = {}
    for task in (get_task(f"LaMP-{number}") for number in range(1, 8)):
        gold = (task.labels or ("4",))[0]
        run = answers(task.key, [gold] * 3, [gold, gold, "2"])
        oracle = {metric.name: 0.5 for metric in task.metrics}
        for method in columns:
            for one in [method] + ([method.controlled("swapped")] if method.family.personalizes else []):
                baseline = run if method.family.personalizes else None
                outcomes[task.key, one.key] = measure(run, baseline=baseline, oracle=oracle)
    return build_table(tasks=[get_task(f"LaMP-{number}") for number in range(1, 8)], columns=columns, outcomes=outcomes)


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


def test_own_stands_against_swapped_in_a_table_below():
    text = printed(a_controlled_table())
    below = text[text.index("Own against another user's") :]
    assert "1.000 / 0.083, p .003" in line_of(below, "LaMP-1", "accuracy ↑")
    assert "0.083 / –" in line_of(below, "LaMP-1", "accuracy ↑")
    assert "–: there is nobody else." in below
    assert "Own against" not in printed(a_table())


def test_the_share_of_the_possible_gain_stands_beside_the_oracle():
    text = printed(a_controlled_table())
    below = text[text.index("Share of the possible gain") :]
    assert "Oracle" in below
    assert line_of(below, "LaMP-1", "accuracy ↑").split()[-3:] == ["1.000", "1.00", "0.00"]
    assert "LaMP-3" not in below


def test_seven_tasks_and_six_columns_with_controls_fit_160_characters_in_one_block():
    text = printed(a_large_table(), width=160)
    assert all(len(line) <= 160 for line in text.splitlines())
    assert sum("LaMP-7" in line for line in text.splitlines()) == 4


def test_a_terminal_without_unicode_gets_plain_supplements():
    assert "?" not in printed(a_controlled_table(), encoding="ascii")


def test_what_choosing_gained_stands_between_its_bounds():
    text = printed(a_choosing_table(), width=100)
    below = text[text.index("Choosing the retriever") :]
    assert "1.000 BM25           0.250   1.000, 0.00, p 1.000   0.500, 0.67, p 1.000" in line_of(below, "MAE ↓")
    assert "3 / 1       2 / 2" in line_of(below[below.index("How often") :], "LaMP-3")
    assert "Not held against what choosing can gain. RAG RSPG-Post in LaMP-2" in " ".join(text.split())
    assert "Choosing" not in printed(a_table())


def test_a_terminal_without_unicode_can_tell_of_choosing():
    assert "?" not in printed(a_choosing_table(), encoding="ascii")


def test_which_retriever_was_the_best_is_named():
    table = a_table()
    best = parse_methods("peft-rag:best:8")[0]
    rows = [
        replace(row, cells={**row.cells, best.key: replace(row.cells["rag:bm25"], retriever="rspg-post")})
        for row in table.rows
    ]
    text = printed(replace(table, columns=[*table.columns, best], rows=rows))
    assert "PEFT-RAG best r=8: LaMP-1 RSPG-Post, LaMP-3 RSPG-Post." in " ".join(text.split())
