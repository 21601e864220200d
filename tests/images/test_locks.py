"""The pins are those of pyproject.toml, and say so themselves when they are not."""

import shutil

import pytest

from images import locks
from images.requirements import Asked, pins, unmet

PYPROJECT = """
[build-system]
requires = ["hatchling"]
[project]
dependencies = ["Django>=5.2,<5.3", "celery[redis]>=5.5"]
[project.optional-dependencies]
models = ["torch==2.13.0"]
"""


def test_they_are_up_to_date():
    assert locks.problems() == []


def test_a_dependency_that_pyproject_got_since_is_told(monkeypatch):
    now = Asked.read()
    changed = Asked((*now.base, "lamppost-extra>=1"), now.extras, now.build)
    monkeypatch.setattr(Asked, "read", classmethod(lambda cls: changed))
    told = locks.problems()
    assert "web.lock is not of the dependencies that stand in pyproject.toml now." in told
    assert "web.lock does not pin lamppost-extra>=1." in told


def test_a_pin_that_is_not_everybody_s_is_told(monkeypatch, tmp_path):
    file = tmp_path / "web.lock"
    shutil.copy(locks.WEB.path, file)
    version = pins(file.read_text())["django"]
    file.write_text(file.read_text().replace(f"\ndjango=={version}", "\ndjango==5.2.1"))
    changed = locks.Lock(file, (), hashes=True)
    monkeypatch.setattr(locks, "LOCKS", (locks.CONSTRAINTS, changed))
    assert locks.problems() == [f"web.lock pins django 5.2.1, constraints.txt {version}."]


def test_the_digest_changes_with_the_dependencies_alone():
    asked = Asked.of(PYPROJECT)
    assert Asked.of(PYPROJECT + "\n[tool.ruff]\nline-length = 120\n").digest() == asked.digest()
    assert Asked.of(PYPROJECT.replace("celery[redis]>=5.5", "celery[redis]>=5.6")).digest() != asked.digest()
    assert Asked.of(PYPROJECT.replace("hatchling", "hatchling>1")).digest() != asked.digest()


@pytest.mark.parametrize("lock", [locks.WEB, locks.WORKER, locks.BUILD], ids=lambda lock: lock.path.name)
def test_what_images_install_has_digests(lock):
    entries = [entry for entry in ("\n" + lock.path.read_text()).split("\n") if "==" in entry]
    text = lock.path.read_text()
    assert entries
    for entry in entries:
        following = text[text.index(entry) + len(entry) :].split("\n")[1]
        assert following.startswith("    --hash=sha256:")


def test_torch_s_build_is_the_machine_s_choice():
    pinned = pins(locks.WORKER.path.read_text())
    assert not [name for name in pinned if name == "torch" or name.startswith(("nvidia-", "triton"))]
    assert pins((locks.FOLDER / "torch.txt").read_text()) == {
        "torch": pins(locks.CONSTRAINTS.path.read_text())["torch"]
    }


def test_no_file_of_pins_names_a_registry():
    for path in [locks.CONSTRAINTS.path, *locks.FOLDER.glob("*.lock"), *locks.FOLDER.glob("*.txt")]:
        assert "://" not in path.read_text()
        assert "index-url" not in path.read_text()


def test_a_pin_may_have_a_marker_and_an_extra():
    assert pins("h11==0.16.0 ; sys_platform != 'emscripten'\ncelery[redis]==5.7.0 \\\n    --hash=sha256:0\n") == {
        "h11": "0.16.0",
        "celery": "5.7.0",
    }


def test_what_no_pin_fulfils_is_named():
    pinned = {"django": "5.3", "celery": "5.7.0"}
    assert unmet(["Django>=5.2,<5.3", "celery[redis]>=5.5", "ijson"], pinned) == ["Django<5.3,>=5.2", "ijson"]
