"""The runner of the benchmarks: what it collects, prints and writes."""

import json

import pytest

from benchmarks.__main__ import benchmarks, main, table, write
from benchmarks.figures import Figure, side_by_side

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
