import pytest

from eval_app.published import COLUMNS, SOURCE, TABLE_1
from eval_app.table import published_reference
from lamp.catalogue import get_task


def test_the_average_of_the_rounded_numbers_is_the_papers_but_for_rounding():
    average = published_reference()["average_relative_improvement"]
    assert average["peft"] == pytest.approx(1.07, abs=0.005)
    assert average["rag"] == pytest.approx(15.2, abs=0.05)
    assert average["peft-rag"] == pytest.approx(15.7, abs=0.05)


def test_it_is_marked_as_published():
    reference = published_reference()
    assert reference["published"] is True
    assert reference["source"] == SOURCE
    assert "Published numbers" in SOURCE


def test_its_rows_are_the_catalogues_metrics_with_their_directions():
    rows = [(row.task, row.metric, row.higher_is_better) for row in TABLE_1]
    tasks = [get_task(f"LaMP-{number}") for number in range(1, 8)]
    assert rows == [(task.key, metric.name, metric.higher_is_better) for task in tasks for metric in task.metrics]


def test_single_numbers_stand_where_the_paper_has_them():
    cells = {(row["task"], row["metric"]): row["cells"] for row in published_reference()["rows"]}
    assert cells["LaMP-1", "accuracy"]["none"] == {"value": 0.502}
    assert cells["LaMP-1", "accuracy"]["rag:rspg"] == {"value": 0.672}
    assert cells["LaMP-3", "MAE"]["peft:64"] == {"value": 0.301}
    assert cells["LaMP-3", "RMSE"]["peft-rag:best:64"] == {"value": 0.562}
    assert cells["LaMP-4", "rouge-1"]["rag:recency"] == {"value": 0.189}
    assert cells["LaMP-7", "rouge-L"]["rag:contriever"] == {"value": 0.390}
    assert len(COLUMNS) == 13
