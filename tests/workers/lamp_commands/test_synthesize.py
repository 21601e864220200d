import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command


def synthesize(*arguments):
    out = StringIO()
    call_command("lamp", "synthesize", *arguments, stdout=out)
    return json.loads(out.getvalue())


def test_the_tasks_asked_for_are_written_and_counted(tmp_path):
    counts = synthesize("--out", str(tmp_path), "--users", "3", "--seed", "5", "--tasks", "LaMP_4,lamp-7")
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["LaMP_4", "LaMP_7"]
    questions = json.loads((tmp_path / "LaMP_4" / "dev_questions.json").read_text(encoding="utf-8"))
    assert counts["LaMP-4"]["dev"] == len(questions) >= 3


def test_strength_drift_and_manners_reach_the_files(tmp_path):
    settings = {"default": [], "weak": ["--strength", "0"], "moving": ["--drift", "1"], "mixed": ["--manners", "1"]}
    for name, options in settings.items():
        synthesize("--out", str(tmp_path / name), "--users", "2", "--seed", "5", "--tasks", "LaMP-6", *options)
    assert len({(tmp_path / name / "LaMP_6" / "dev_outputs.json").read_bytes() for name in settings}) == len(settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "1000000001"], "small models"),
        (["--users", "0"], "1 or more"),
        (["--tasks", "LaMP-2N"], "LaMP-2N"),
        (["--tasks", "LaMP-9"], "LaMP-9"),
        (["--strength", "1.5"], "from 0 to 1"),
        (["--drift", "much"], "from 0 to 1"),
        (["--manners", "-1"], "from 0 to 1"),
    ],
)
def test_what_cannot_be_generated_is_refused(tmp_path, arguments, message):
    with pytest.raises(CommandError, match=message):
        synthesize("--out", str(tmp_path), "--users", "1", "--seed", "1", *arguments)
    assert list(tmp_path.iterdir()) == []
