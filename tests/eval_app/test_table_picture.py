"""The comparison table as a picture."""

import subprocess
import sys

from eval_app.methods import parse_methods
from eval_app.table import NotRun, build_table
from eval_app.table_picture import table_png
from lamp.catalogue import get_task
from tests.eval_app.test_table import CITATION, citation, outcomes_of

COLUMNS = parse_methods("none,rag:bm25,peft:8")


def a_table(columns=COLUMNS):
    outcomes = outcomes_of(CITATION, citation(3), rag__bm25=citation(5)) | {("LaMP-1", "peft:8"): NotRun("$no$ dates")}
    return build_table(tasks=[CITATION, get_task("LaMP-3")], columns=columns, outcomes=outcomes)


def test_it_is_a_png_and_always_the_same():
    drawn = table_png(a_table())
    assert drawn.startswith(b"\x89PNG")
    assert table_png(a_table()) == drawn


def test_a_table_of_very_many_columns_is_drawn_too():
    methods = parse_methods(",".join(["none", *(f"peft:{rank}" for rank in range(1, 100))]))
    assert len(table_png(a_table(methods))) < 2_000_000


def test_whoever_draws_nothing_loads_nothing_to_draw_with():
    said = subprocess.run(
        [sys.executable, "-c", "import eval_app.table_picture, sys; print('matplotlib' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "False"
