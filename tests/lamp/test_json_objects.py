"""One large JSON object is written whole or not at all."""

import json

import pytest

from lamp.json_objects import write_json_object


@pytest.mark.parametrize("members", [{}, {"a": [1, "2"]}, {"a": "💡 \u2028\n", 'b"': {"x": None}}])
def test_what_is_written_is_read_back(tmp_path, members):
    path = tmp_path / "out.json"
    assert write_json_object(path, members.items()) == len(members)
    assert json.loads(path.read_text(encoding="utf-8")) == members
    assert [found.name for found in tmp_path.iterdir()] == ["out.json"]


def test_a_failure_leaves_what_stood_there(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("before")

    def members():
        yield "a", 1
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_json_object(path, members())
    assert path.read_text() == "before"
    assert [found.name for found in tmp_path.iterdir()] == ["out.json"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    write_json_object(tmp_path / "link.json", [("a", 1)])
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "target.json").read_text()) == {"a": 1}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_json_object(tmp_path / "nowhere" / "out.json", [])
