"""The runner of the benchmarks: what it collects, prints and writes."""

import json

import pytest

from benchmarks import __main__ as runner
from benchmarks.__main__ import benchmarks, main, markdown, table, write
from benchmarks.figures import Figure, compared, in_turn, side_by_side
from benchmarks.surroundings import surroundings

FIGURE = Figure(name="lamps", ratio=2.5, median=0.25, unit="s", detail="against candles")


def test_every_module_with_a_run_is_a_benchmark():
    assert "bm25" in benchmarks()
    assert not {"figures", "__main__"} & set(benchmarks())


def test_the_table_shows_name_ratio_and_median():
    line = table([FIGURE]).splitlines()[1]
    assert line.split() == ["lamps", "2.50×", "0.25", "s", "against", "candles"]


def test_the_figures_are_written_as_a_list(tmp_path):
    write([FIGURE], tmp_path / "var" / "bench.json")
    expected = [{"name": "lamps", "ratio": 2.5, "median": 0.25, "unit": "s", "detail": "against candles"}]
    assert json.loads((tmp_path / "var" / "bench.json").read_text()) == expected
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["bench.json"]


def test_both_sides_run_in_turn():
    calls: list[str] = []
    side_by_side(lambda: calls.append("a"), lambda: calls.append("b"), rounds=2, our_calls=2)
    assert calls == ["a", "b", "b", "a", "b", "b"]


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["nothing"])
    assert caught.value.code == 2
    assert "bm25" in capsys.readouterr().err


def test_several_calls_run_in_turn():
    calls: list[str] = []
    seconds = in_turn({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=2)
    assert calls == ["a", "b", "c", "a", "b", "c"]
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"a": 2, "b": 2, "c": 2}


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    assert compared([2.0, 9.0, 8.0], [1.0, 1.0, 2.0]) == (4.0, 8.0, 1.0)


def test_the_page_holds_the_figures_the_command_and_what_they_were_measured_on():
    page = markdown([FIGURE], command="python -m benchmarks lamps", context={"machine": "a lighthouse"})
    assert "| `lamps` | 2.50× | 0.25 s | against candles |" in page.splitlines()
    assert "- command: `python -m benchmarks lamps`" in page.splitlines()
    assert "- machine: a lighthouse" in page.splitlines()


def test_the_surroundings_name_the_machine_and_the_versions_of_what_was_compared():
    facts = surroundings()
    assert {"machine", "threads", "Python", "torch", "transformers", "peft"} <= facts.keys()
    assert all(facts.values())


def test_beside_the_figures_stands_what_they_were_measured_on(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "benchmarks", lambda: {"lamps": lambda: [FIGURE]})
    main(["lamps", "--out", str(tmp_path / "bench.json"), "--markdown", str(tmp_path / "page.md")])
    context = json.loads((tmp_path / "bench.context.json").read_text())
    assert context == {"command": "python -m benchmarks lamps", **surroundings()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.context.json", "bench.json", "page.md"]
