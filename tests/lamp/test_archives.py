"""A task folder in one zip, made by friends and by enemies."""

import struct
import zipfile

import pytest

from lamp.archives import MOST_MEMBERS, splits_of_archive, take_out
from lamp.problems import LampProblem

ALL_OF_IT = {
    "LaMP_7/train_questions.json": "[1]",
    "LaMP_7/train_outputs.json": "{1}",
    "LaMP_7/dev_questions.json": "[2]",
    "LaMP_7/dev_outputs.json": "{2}",
    "LaMP_7/test_questions.json": "[3]",
    "LaMP_7/truth.json": "{4}",
    "LaMP_7/README.md": "read me",
}


@pytest.fixture
def zipped(tmp_path):
    def make(members, *, compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / "task.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make


def splits(path, most_bytes=1_000_000):
    return splits_of_archive(path, name="task.zip", most_bytes=most_bytes)


def problem_of(path, **told):
    with pytest.raises(LampProblem) as raised:
        splits(path, **told)
    return str(raised.value)


def test_each_split_has_its_files_and_the_truth_goes_with_outputs(zipped):
    found = {split: sorted(files.members) for split, files in splits(zipped(ALL_OF_IT)).items()}
    assert found == {
        "train": ["outputs", "questions", "truth"],
        "dev": ["outputs", "questions", "truth"],
        "test": ["questions"],
    }


def test_files_need_no_folder_around_them(zipped):
    assert list(splits(zipped({"dev_questions.json": "[]"}))) == ["dev"]


def test_what_is_taken_out_is_what_was_put_in(zipped, tmp_path):
    path = zipped(ALL_OF_IT)
    targets = {"questions": tmp_path / "q", "outputs": tmp_path / "o"}
    take_out(path, splits(path)["dev"], targets, name="task.zip")
    assert [target.read_text() for target in targets.values()] == ["[2]", "{2}"]


@pytest.mark.parametrize("name", ["../dev_questions.json", "/dev_questions.json", "a/../../x.json", "C:/x.json"])
def test_a_path_that_leads_out_is_refused(zipped, name):
    assert "leads out" in problem_of(zipped({"dev_questions.json": "[]", name: "[]"}))


def test_several_tasks_are_refused(zipped):
    assert "several tasks" in problem_of(zipped({"a/dev_questions.json": "[]", "b/dev_questions.json": "[]"}))


def test_no_questions_are_refused(zipped):
    assert "no questions file" in problem_of(zipped({"dev_outputs.json": "{}"}))


def test_very_many_members_are_refused(zipped):
    assert "more than 1,000" in problem_of(zipped({f"{n}": "" for n in range(MOST_MEMBERS + 1)}))


def test_very_deep_members_are_refused(zipped):
    assert "deep" in problem_of(zipped({"a/" * 9 + "dev_questions.json": "[]"}))


def test_a_bomb_is_refused_before_it_is_read(zipped):
    path = zipped({"dev_questions.json": "[" + " " * 5_000_000 + "]"})
    assert path.stat().st_size < 10_000
    assert "more than 1,000,000 bytes" in problem_of(path)


def test_a_truth_counts_once_for_each_split_that_has_it(zipped):
    members = {f"{split}_{what}.json": "[]" for split in ("train", "dev") for what in ("questions", "outputs")}
    path = zipped({**members, "truth.json": "x" * 1_000})
    assert "more than 2,000 bytes" in problem_of(path, most_bytes=2_000)
    assert len(splits(path, most_bytes=2_008)) == 2


def test_room_that_was_taken_for_a_file_is_kept_until_it_is_written(zipped, tmp_path):
    path = zipped({"dev_questions.json": "x" * 500_000})
    target = tmp_path / "q"
    target.write_bytes(b"\0" * 500_000)
    sizes = []
    take_out(
        path,
        splits(path)["dev"],
        {"questions": target},
        name="task.zip",
        check=lambda: sizes.append(target.stat().st_size),
    )
    assert (set(sizes), target.read_text()) == ({500_000}, "x" * 500_000)


def test_of_what_a_file_held_before_nothing_is_left(zipped, tmp_path):
    path = zipped({"dev_questions.json": "[2]"})
    target = tmp_path / "q"
    target.write_text("much longer")
    take_out(path, splits(path)["dev"], {"questions": target}, name="task.zip")
    assert target.read_text() == "[2]"


def test_a_file_larger_than_it_claims_is_not_taken_out(zipped, tmp_path):
    path = zipped({"dev_questions.json": "[" + " " * 5_000_000 + "]"})
    found = splits(path, most_bytes=10_000_000)["dev"]
    real = path.read_bytes()
    path.write_bytes(real.replace(struct.pack("<I", found.sizes["questions"]), struct.pack("<I", 100)))
    found = splits(path)["dev"]
    target = tmp_path / "q"
    with pytest.raises(LampProblem):
        take_out(path, found, {"questions": target}, name="task.zip")
    assert target.stat().st_size <= 100


def test_a_list_of_members_of_many_megabytes_is_not_read(zipped):
    path = zipped({f"{n:05}{'x' * 200}": "" for n in range(6_000)})
    assert "no zip archive" in problem_of(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"[]" * 1000, b"PK\5\6" + b"\0" * 18])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "task.zip"
    path.write_bytes(content)
    with pytest.raises(LampProblem):
        splits(path)


def test_an_unusual_packing_is_refused(zipped):
    assert "unusual" in problem_of(zipped({"dev_questions.json": "[]"}, compression=zipfile.ZIP_BZIP2))


def test_half_an_archive_is_refused(zipped):
    path = zipped(ALL_OF_IT)
    path.write_bytes(path.read_bytes()[:-30])
    assert "no zip archive" in problem_of(path)
