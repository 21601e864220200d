import pytest

from eval_app.layout import unbounded_line
from eval_app.methods import parse_method
from eval_app.supplements import supplements_of
from eval_app.table import part_of_table
from tests.eval_app.choosing import a_choosing_table
from tests.eval_app.test_export import a_controlled_table, a_table


def lines_of(one):
    return {
        (line.row.task.key, line.row.metric.name): [*line.leads, *(line.cells[method.key] for method in one.columns)]
        for line in one.lines
    }


def test_a_table_without_methods_that_choose_says_nothing_of_choosing():
    titles = [one.title for table in (a_table(), a_controlled_table()) for one in supplements_of(table)]
    assert not [title for title in titles if "hos" in title]


class TestChoosing:
    @pytest.fixture
    def tables(self):
        return supplements_of(a_choosing_table())

    def test_values_stand_between_the_best_single_retriever_and_the_pools_oracle(self, tables):
        between, _ = tables
        assert [method.key for method in between.columns] == ["rag:rspg-pre", "rag:rspg-post"]
        assert list(between.leads) == ["Best single", "Pool's oracle"]
        assert lines_of(between) == {
            ("LaMP-2", "accuracy"): ["0.500 BM25", "0.750", "0.750, 1.00, p 1.000", "–"],
            ("LaMP-3", "MAE"): ["1.000 BM25", "0.250", "1.000, 0.00, p 1.000", "0.500, 0.67, p 1.000"],
            ("LaMP-3", "RMSE"): ["1.581 BM25", "0.500", "1.581, 0.00, p 1.000", "0.707, 0.81, p 1.000"],
        }

    def test_how_often_each_was_chosen_is_counted_by_task(self, tables):
        _, chosen = tables
        assert chosen.title == "How often each was chosen: No documents / BM25"
        assert lines_of(chosen) == {
            ("LaMP-2", "accuracy"): ["3 / 1", "2 / 2"],
            ("LaMP-3", "MAE"): ["3 / 1", "2 / 2"],
        }

    def test_it_is_said_that_the_best_single_retriever_is_favoured_and_the_oracle_knows_the_answers(self, tables):
        remark = tables[0].remarks[0]
        assert "picked on these same questions, which favours it" in remark
        assert "knows the right answers" in remark

    def test_tasks_are_counted_by_their_first_metric(self, tables):
        assert tables[0].remarks[1:] == [
            "RAG RSPG-Pre, by each task's first metric: better than the best single retriever in 1 of 2 tasks "
            "(0 at p < 0.01), worse in 0 (0); mean share 0.50.",
            "RAG RSPG-Post, by each task's first metric: better than the best single retriever in 1 of 1 tasks "
            "(0 at p < 0.01), worse in 0 (0); mean share 0.67.",
        ]

    def test_no_order_of_the_rows_counts_a_task_twice(self):
        table = a_choosing_table()
        rows = [table.rows[at] for at in (2, 0, 3, 1)]
        between, chosen = supplements_of(part_of_table(table, rows=rows, columns=table.columns))
        assert "in 1 of 2 tasks" in between.remarks[1]
        assert [line.begins_task for line in between.lines] == [True, True, True]
        assert [line.row.task.key for line in chosen.lines] == ["LaMP-3", "LaMP-2"]

    def test_only_the_columns_that_are_shown_are_told_of(self):
        table = a_choosing_table()
        for one in supplements_of(part_of_table(table, rows=table.rows, columns=[parse_method("rag:rspg-post")])):
            assert [method.key for method in one.columns] == ["rag:rspg-post"]

    def test_where_no_tasks_first_metric_is_shown_nothing_is_counted(self):
        table = a_choosing_table()
        rows = [row for row in table.rows if row.metric.name == "RMSE"]
        between, _ = supplements_of(part_of_table(table, rows=rows, columns=table.columns))
        assert len(between.remarks) == 1

    def test_what_cannot_be_held_against_its_pool_is_named_with_the_reason(self):
        assert unbounded_line(a_choosing_table()) == (
            "Not held against what choosing can gain. RAG RSPG-Post in LaMP-2: a member of its pool answered other "
            "questions."
        )
        assert unbounded_line(a_table()) is None
