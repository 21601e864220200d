import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command

from eval_app.export import CSV_COLUMNS
from eval_app.models import Question, Run
from tests.eval_app.stored import answered_run, ended

OUTPUTS = ["rain on “my” roses 🌷", "  two blanks  ", "line\nbreak"]


@pytest.fixture
def experiment(dev):
    return ended(
        dev,
        {
            "none": answered_run(dev, ["a", "b", "c"]),
            "rag:bm25": answered_run(dev, OUTPUTS, method="rag:bm25"),
            "rag:recency": "the profiles have no dates",
        },
    )


def export(out, **changed):
    said = io.StringIO()
    options = {"workspace": "acme", "name": "first", "task": "LaMP-7", "method": "rag:bm25", "out": out, **changed}
    call_command("export_predictions", **options, stdout=said)
    return said.getvalue()


def table(form="json", **options):
    said = io.StringIO()
    call_command("export_table", workspace="acme", name="first", format=form, **options, stdout=said)
    return said.getvalue()


class TestPredictions:
    def test_they_have_lamps_form_the_files_order_and_its_ids(self, experiment, tmp_path):
        assert "3 predictions" in export(tmp_path / "out.json")
        assert json.loads((tmp_path / "out.json").read_text()) == {
            "task": "LaMP_7",
            "golds": [{"id": 100 + at, "output": output} for at, output in enumerate(OUTPUTS)],
        }

    def test_an_id_that_is_text_in_the_questions_is_text_here(self, experiment, tmp_path):
        Question.objects.update(id_is_integer=False)
        export(tmp_path / "out.json")
        golds = json.loads((tmp_path / "out.json").read_text())["golds"]
        assert [gold["id"] for gold in golds] == ["100", "101", "102"]

    def test_lamp_score_gives_the_stored_numbers(self, experiment, tmp_path):
        export(tmp_path / "out.json")
        golds = [
            {"id": str(question.external_id), "output": question.gold} for question in Question.objects.order_by("pk")
        ]
        (tmp_path / "golds.json").write_text(json.dumps({"task": "LaMP_7", "golds": golds}))
        said = io.StringIO()
        call_command(
            "lamp",
            "score",
            golds=str(tmp_path / "golds.json"),
            predictions=str(tmp_path / "out.json"),
            stdout=said,
        )
        assert json.loads(said.getvalue()) == Run.objects.get(family="rag").metrics

    def test_tasks_and_methods_may_be_written_as_people_write_them(self, experiment, tmp_path):
        export(tmp_path / "out.json", task="lamp_7", method="RAG:BM25")
        assert (tmp_path / "out.json").exists()

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"workspace": "nowhere"}, "There is no workspace “nowhere”"),
            ({"workspace": "elsewhere"}, "no experiment “first” in workspace “elsewhere”"),
            ({"name": "second"}, "no experiment “second”"),
            ({"task": "LaMP-9"}, "LaMP-9"),
            ({"task": "LaMP-4"}, "has no LaMP-4; it has LaMP-7"),
            ({"method": "magic"}, "is of no known family"),
            ({"method": "peft:8"}, "has no peft:8 for LaMP-7; it has none, rag:bm25, rag:recency"),
            ({"method": "rag:recency"}, "was not run on LaMP-7: the profiles have no dates"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_what_is_not_there_is_named(self, experiment, mallory, tmp_path, changed, message):
        with pytest.raises(CommandError, match=message) as raised:
            export(tmp_path / "out.json", **changed)
        assert raised.value.returncode == 2
        assert list(tmp_path.iterdir()) == []

    def test_a_run_that_is_not_done_is_not_exported(self, experiment, tmp_path):
        Run.objects.update(state=Run.State.GENERATING)
        with pytest.raises(CommandError, match="is generating: export it once it is done") as raised:
            export(tmp_path / "out.json")
        assert raised.value.returncode == 2

    def test_a_place_that_cannot_be_written_is_named(self, experiment, tmp_path):
        with pytest.raises(CommandError, match=r"missing/out\.json cannot be written: No such file") as raised:
            export(tmp_path / "missing" / "out.json")
        assert raised.value.returncode == 2

    def test_an_earlier_file_is_replaced_whole(self, experiment, tmp_path):
        (tmp_path / "out.json").write_text("older " * 1000)
        export(tmp_path / "out.json")
        assert len(json.loads((tmp_path / "out.json").read_text())["golds"]) == 3
        assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


class TestTable:
    def test_json_is_the_report(self, experiment):
        report = json.loads(table("json"))
        assert [row["metric"] for row in report["rows"]] == ["rouge-1", "rouge-L"]
        assert report["rows"][0]["cells"]["rag:bm25"]["value"] == Run.objects.get(family="rag").metrics["rouge-1"]
        assert report["reference"] is None

    def test_csv_has_a_line_a_cell(self, experiment):
        lines = list(csv.DictReader(io.StringIO(table("csv"))))
        assert tuple(lines[0]) == CSV_COLUMNS
        assert len(lines) == 2 * 3

    @pytest.mark.parametrize(("form", "begins"), [("markdown", "| Task |"), ("latex", "% needs")])
    def test_it_can_be_read_and_typeset(self, experiment, form, begins):
        assert table(form).startswith(begins)

    @pytest.mark.parametrize("form", ["json", "csv", "markdown", "latex"])
    def test_published_numbers_stand_beside_it_where_asked_for(self, experiment, form):
        assert "0.672" in table(form, reference=True)
        assert "0.672" not in table(form)

    @pytest.mark.parametrize("form", ["json", "csv", "markdown", "latex"])
    def test_a_file_holds_what_would_be_printed(self, experiment, tmp_path, form):
        assert "Wrote the table" in table(form, out=tmp_path / "table")
        assert (tmp_path / "table").read_bytes().decode() == table(form)

    def test_there_is_none_before_the_experiment_has_ended(self, experiment):
        experiment.report = None
        experiment.save()
        with pytest.raises(CommandError, match="has not ended") as raised:
            table()
        assert raised.value.returncode == 2

    def test_a_place_that_cannot_be_written_is_named(self, experiment, tmp_path):
        with pytest.raises(CommandError, match="cannot be written: No such file") as raised:
            table(out=tmp_path / "missing" / "table.json")
        assert raised.value.returncode == 2
