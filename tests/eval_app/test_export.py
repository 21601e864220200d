import csv
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from eval_app.export import (
    CHOOSING_COLUMNS,
    CONTROL_COLUMNS,
    CSV_COLUMNS,
    SHARE_COLUMNS,
    to_csv,
    to_json,
    to_latex,
    to_markdown,
)
from eval_app.methods import parse_methods
from eval_app.table import NotRun, build_table, measure, table_as_json
from lamp.catalogue import get_task
from tests.eval_app.choosing import a_choosing_table
from tests.eval_app.runs import answers

GOLDEN = Path(__file__).parent / "golden"
NASTY = '=HYPERLINK("http://x") | 100% of_$it$ \\end{table} <script>#1 ~^&'


def a_table(*, reference=False, reason="its documents have no dates"):
    """Two tasks, a column that did not run, one over fewer questions, a significant one."""
    columns = parse_methods("none,rag:bm25,rag:recency,peft:8")
    golds = ["[1]"] * 12
    none = answers("LaMP-1", golds, ["[2]"] * 11 + ["[1]"])
    ratings = ["5", "1", "3", "4"]
    plain = answers("LaMP-3", ratings, ["3", "1", "3", "1"])
    outcomes = {
        ("LaMP-1", "none"): measure(none),
        ("LaMP-1", "rag:bm25"): measure(answers("LaMP-1", golds, golds), baseline=none),
        ("LaMP-1", "rag:recency"): NotRun(reason),
        ("LaMP-1", "peft:8"): measure(answers("LaMP-1", golds[:9], ["[1]"] * 9), baseline=none),
        ("LaMP-3", "none"): measure(plain),
        ("LaMP-3", "rag:bm25"): measure(answers("LaMP-3", ratings, ["4", "2", "3", "1"]), baseline=plain),
        ("LaMP-3", "rag:recency"): NotRun(reason),
        ("LaMP-3", "peft:8"): measure(answers("LaMP-3", ratings, ["3", "1", "3", "3"]), baseline=plain),
    }
    tasks = [get_task("LaMP-1"), get_task("LaMP-3")]
    return build_table(tasks=tasks, columns=columns, outcomes=outcomes, reference=reference)


def a_controlled_table():
    """Two tasks, of which one has an oracle; a control that did worse, one that did not run."""
    columns = parse_methods("none,rag:bm25,peft:8")
    golds, ratings = ["[1]"] * 12, ["5", "1", "3", "4"]
    none, own = answers("LaMP-1", golds, ["[2]"] * 11 + ["[1]"]), answers("LaMP-1", golds, golds)
    plain, better = answers("LaMP-3", ratings, ["3", "1", "3", "1"]), answers("LaMP-3", ratings, ["4", "1", "3", "1"])
    oracle = {"accuracy": 1.0}
    outcomes = {
        ("LaMP-1", "none"): measure(none, oracle=oracle),
        ("LaMP-1", "rag:bm25"): measure(own, baseline=none, oracle=oracle),
        ("LaMP-1", "rag:bm25@swapped"): measure(none, baseline=own, oracle=oracle),
        ("LaMP-1", "peft:8"): measure(none, baseline=none, oracle=oracle),
        ("LaMP-1", "peft:8@swapped"): NotRun("there is nobody else"),
        ("LaMP-3", "none"): measure(plain),
        ("LaMP-3", "rag:bm25"): measure(better, baseline=plain),
        ("LaMP-3", "rag:bm25@swapped"): measure(better, baseline=better),
    }
    return build_table(tasks=[get_task("LaMP-1"), get_task("LaMP-3")], columns=columns, outcomes=outcomes)


@pytest.mark.parametrize(("form", "file"), [(to_markdown, "table.md"), (to_latex, "table.tex"), (to_csv, "table.csv")])
def test_the_table_is_written_as_its_golden_file(form, file):
    assert form(a_table()) == (GOLDEN / file).read_bytes().decode()


def test_json_is_the_report():
    table = a_table(reference=True)
    assert json.loads(to_json(table)) == table_as_json(table)


def test_csv_keeps_full_precision_and_bare_numbers():
    lines = list(csv.DictReader(io.StringIO(to_csv(a_table()))))
    assert tuple(lines[0]) == CSV_COLUMNS
    assert len(lines) == 3 * 4
    mae = next(line for line in lines if (line["metric"], line["method"]) == ("MAE", "peft:8"))
    assert (float(mae["value"]), float(mae["delta"])) == (0.75, -0.5)
    assert mae["delta"] == "-0.5"


def test_csv_runs_no_formula():
    lines = list(csv.DictReader(io.StringIO(to_csv(a_table(reason=NASTY)))))
    assert {line["remark"] for line in lines if line["method"] == "rag:recency"} == {"'" + NASTY}
    for start in ("=", "+", "-", "@", "\t", "\r", " =", "\n="):
        text = to_csv(a_table(reason=start + "1+1"))
        remarks = {line["remark"] for line in csv.DictReader(io.StringIO(text, newline="")) if not line["value"]}
        assert remarks == {"'" + start + "1+1"}


def test_markdown_shows_nasty_text_as_text():
    text = to_markdown(a_table(reason=NASTY))
    assert r"\| 100% of\_\$it\$ \\end{table} \<script\>\#1 \~^\&" in text
    assert len({line.count(" | ") for line in text.splitlines() if line.startswith("| ")}) == 1


def test_latex_shows_nasty_text_as_text():
    text = to_latex(a_table(reason=NASTY))
    assert r"\textbar{} 100\% of\_\$it\$ \textbackslash{}end\{table\} \textless{}script\textgreater{}\#1" in text
    assert r"\textasciitilde{}\textasciicircum{}\&" in text
    assert text.count(r"\end{table}") == 1


@pytest.mark.parametrize(("form", "tables"), [(to_markdown, 2), (to_latex, 2)])
def test_the_reference_is_a_table_of_its_own_marked_as_published(form, tables):
    text = form(a_table(reference=True))
    assert "Published numbers: Salemi" in text
    assert "0.672" in text
    assert text.count(r"\begin{table}") == (tables if form is to_latex else 0)
    assert "Published" not in form(a_table())


def test_csv_marks_published_lines():
    lines = list(csv.DictReader(io.StringIO(to_csv(a_table(reference=True)))))
    assert sum(line["published"] == "true" for line in lines) == 13 * 13
    assert all(line["n"] for line in lines if line["published"] == "false")


@pytest.mark.parametrize("form", [to_markdown, to_latex])
def test_controls_and_shares_are_tables_of_their_own(form):
    text, plain = form(a_controlled_table()), form(a_table())
    assert "Own against another user's: own / swapped" in text
    assert "Share of the possible gain" in text
    assert "1.000 / 0.083, p .003" in text
    assert "there is nobody else." in text
    assert "Own is better than swapped in 1 and worse in 0 of 3 cells" in text
    assert "swapped" not in plain
    assert "possible" not in plain


def test_csv_has_columns_for_controls_and_shares_only_where_there_are_any():
    lines = list(csv.DictReader(io.StringIO(to_csv(a_controlled_table()))))
    assert tuple(lines[0]) == CSV_COLUMNS + SHARE_COLUMNS + CONTROL_COLUMNS
    found = {(line["task"], line["metric"], line["method"]): line for line in lines}
    own = found["LaMP-1", "accuracy", "rag:bm25"]
    assert (own["oracle"], own["share_of_possible"], own["swapped_share_of_possible"]) == ("1.0", "1.0", "0.0")
    assert float(own["swapped_value"]) == 1 / 12
    assert float(own["swapped_p_value"]) == 2 / 2**11
    assert found["LaMP-1", "accuracy", "peft:8"]["swapped_remark"] == "there is nobody else"
    rating = found["LaMP-3", "MAE", "rag:bm25"]
    assert (rating["oracle"], rating["share_of_possible"], rating["swapped_p_value"]) == ("", "", "1.0")


@pytest.mark.parametrize("form", [to_markdown, to_latex])
def test_choosing_is_two_tables_of_its_own(form):
    text, plain = form(a_choosing_table()), form(a_table())
    assert "Choosing the retriever: value, and share of what choosing can gain" in text
    assert "0.500, 0.67, p 1.000" in text
    assert "How often each was chosen: No documents / BM25" in text
    assert "Not held against what choosing can gain. RAG RSPG-Post in LaMP-2" in text
    assert "Choosing" not in plain


def test_csv_has_columns_for_choosing_only_where_there_is_any():
    lines = list(csv.DictReader(io.StringIO(to_csv(a_choosing_table()))))
    assert tuple(lines[0]) == CSV_COLUMNS + CHOOSING_COLUMNS
    found = {(line["task"], line["metric"], line["method"]): line for line in lines}
    post = found["LaMP-3", "MAE", "rag:rspg-post"]
    assert [post[column] for column in CHOOSING_COLUMNS] == [
        "none 2; bm25 2",
        "bm25",
        "1.0",
        "0.25",
        repr(2 / 3),
        "1.0",
        "1.0",
        "",
    ]
    assert found["LaMP-2", "f1", "rag:rspg-pre"]["choosing_remark"] == "no single answer has a macro F1"
    assert found["LaMP-3", "MAE", "rag:bm25"]["chosen"] == ""


def test_every_form_names_the_retriever_that_was_best():
    table = a_table()
    best = parse_methods("rag:best")[0]
    rows = [
        replace(row, cells={**row.cells, best.key: replace(row.cells["rag:bm25"], retriever="recency")})
        for row in table.rows
    ]
    told = replace(table, columns=[*table.columns, best], rows=rows)
    for form in (to_markdown, to_latex):
        assert "The best retriever. RAG best: LaMP-1 Recency, LaMP-3 Recency." in form(told)
    lines = csv.DictReader(io.StringIO(to_csv(told)))
    assert {line["best_retriever"] for line in lines if line["method"] == "rag:best"} == {"recency"}
    assert "best_retriever" not in to_csv(table)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.long
def test_latex_compiles(tmp_path):
    body = to_latex(a_table(reference=True, reason=NASTY)) + to_latex(a_controlled_table())
    body += to_latex(a_choosing_table())
    head = "\\documentclass{article}\\usepackage{booktabs}\\usepackage[T1]{fontenc}\\begin{document}\n"
    (tmp_path / "t.tex").write_text(head + body + "\\end{document}\n")
    subprocess.run(["pdflatex", "-halt-on-error", "t.tex"], cwd=tmp_path, check=True, capture_output=True)
