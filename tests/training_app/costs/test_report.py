import io

import pytest
from rich.console import Console

from training_app.costs.estimates import Assumptions
from training_app.costs.hardware import gpu_by_name
from training_app.costs.lengths import work_of_user
from training_app.costs.report import CostReport, Counted
from training_app.costs.shapes import PUBLISHED
from training_app.costs.terminal import print_report
from training_app.costs.words import bytes_in_words, number_in_words

TWEETS = work_of_user([(12, 20)] * 16, epochs=50, batch_size=16)
FILMS = work_of_user([(130, 3)] * 80, epochs=50, batch_size=16)


def report(*, gpu: str = "h200", ranks=(8, 16), work=None) -> CostReport:
    return CostReport(
        base_model="google/flan-t5-xxl",
        shape=PUBLISHED["google/flan-t5-xxl"],
        ranks=ranks,
        assumptions=Assumptions(gpu=gpu_by_name(gpu)),
        counted=Counted(
            workspace="lab",
            dataset="made",
            split="dev",
            work={"LaMP-2": FILMS, "LaMP-7": TWEETS + TWEETS} if work is None else work,
            lengths="counted by hand",
            epochs=50,
            batch_size=16,
            max_input_tokens=512,
            max_output_tokens=128,
        ),
    )


def printed(told: CostReport, *, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_report(told, Console(file=file, width=160))
    file.seek(0)
    return file.read()


def test_every_rank_is_summed_over_the_tasks_and_the_ranks_together():
    told = report()
    totals = {row.rank: row.cost for row in told.totals()}
    assert totals[8].adapters == totals[16].adapters == 3
    assert totals[None].adapters == 6
    assert totals[None].gpu_hours == pytest.approx(sum(row.cost.gpu_hours for row in told.rows()))


def test_one_rank_needs_no_sum_over_ranks():
    assert [row.rank for row in report(ranks=(8,)).totals()] == [8]


def test_a_million_users_cost_as_the_splits_do_on_average():
    told = report()
    [eight, _] = told.million_users()
    assert eight.cost.adapters == pytest.approx(1e6)
    assert eight.cost.gpu_hours == pytest.approx(told.totals()[0].cost.gpu_hours * 1e6 / 3)


def test_the_table_shows_every_task_the_totals_and_a_million():
    lines = printed(report()).splitlines()
    assert sum("LaMP-2" in line for line in lines) == sum("LaMP-7" in line for line in lines) == 2
    assert sum("all tasks" in line for line in lines) == 3
    assert sum("a million such users" in line for line in lines) == 2


def test_the_formulas_name_the_numbers_that_stand_in_them():
    words = " ".join(report().assumptions_in_words())
    for number in ("989 TFLOP/s", "40%", "700 W", "1.58", "450 g", "216", "11,135.3 million", "counted by hand"):
        assert number in words


def test_a_model_too_large_for_one_gpu_is_said_to_be():
    assert "they need 2 of these GPUs" in " ".join(report(gpu="rtx-4090").assumptions_in_words())
    assert "they need" not in " ".join(report(gpu="h200").assumptions_in_words())


def test_the_table_is_written_in_whatever_the_console_can_write():
    assert "kg CO2e" in printed(report(), encoding="ascii")


def test_where_nobody_has_documents_there_is_nothing_to_pay():
    told = report(work={"LaMP-7": work_of_user([], epochs=50, batch_size=16)})
    assert "GFLOP a token" not in " ".join(told.assumptions_in_words())
    assert "LaMP-7" in printed(told)
    assert told.as_dict()["million_users"][0]["gpu_hours"] == 0


def test_as_plain_data_it_holds_rows_totals_and_assumptions():
    told = report().as_dict()
    assert [(row["task"], row["rank"]) for row in told["rows"]] == [
        ("LaMP-2", 8),
        ("LaMP-7", 8),
        ("LaMP-2", 16),
        ("LaMP-7", 16),
    ]
    assert told["totals"][0]["storage_bytes"]["float32"] > told["totals"][0]["storage_bytes"]["bfloat16"]
    assert told["gpu"]["name"] == "h200"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (12, "12"),
        (12345.6, "12,346"),
        (1.234e7, "12.3 million"),
        (1.2e12, "1,200 billion"),
    ],
)
def test_numbers_are_short(value, words):
    assert number_in_words(value) == words


@pytest.mark.parametrize(("value", "words"), [(12, "12 B"), (28_373_686, "28.4 MB"), (2.8e13, "28 TB")])
def test_bytes_have_decimal_units(value, words):
    assert bytes_in_words(value) == words
