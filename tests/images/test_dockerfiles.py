"""The images' recipes, and what of the repository they see."""

import re

import pytest

from images import locks
from images.requirements import pins
from tests.servers import REPOSITORY

FILES = {path.stem: path for path in locks.FOLDER.glob("*.Dockerfile")}
IN_THE_IMAGE = ("manage.py", "platform", "users_app", "retrieval_app", "training_app", "eval_app", "workers")

each = pytest.mark.parametrize("name", sorted(FILES))


def text(name):
    return FILES[name].read_text()


def test_there_is_one_for_each_image():
    assert set(FILES) == {"web", "worker-cpu", "worker-gpu"}


@each
def test_it_holds_the_program_and_nothing_of_its_build(name):
    build, final = text(name).split("\nFROM ")[1:]
    assert tuple(re.findall(r"^COPY (\S+) \./", build, re.MULTILINE)) == IN_THE_IMAGE
    assert re.findall(r"^COPY .*", final, re.MULTILINE) == [
        "COPY --from=build /opt/venv /opt/venv",
        "COPY --from=build /app /app",
    ]


@each
def test_what_is_copied_is_there_and_shown_to_the_build(name):
    shown = {
        line[1:].rstrip("/") for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text(name), re.MULTILINE):
        for source in sources.split():
            assert (REPOSITORY / source).exists()
            assert source in shown or re.sub(r"\w+\.lock$", "*.lock", source) in shown


@each
def test_everything_that_is_installed_has_its_digest_except_torch(name):
    installs = re.findall(r"pip install ([^&\\]*)", text(name))
    assert [line for line in installs if "--require-hashes" not in line] == (
        [] if name == "web" else ['${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement /locks/torch.txt ']
    )


@each
def test_it_runs_as_nobody_s_user(name):
    [user] = re.findall(r"^USER (.*)", text(name), re.MULTILINE)
    assert user == "10001:10001"


@each
def test_no_secret_goes_into_it(name):
    assert not re.search(r"^(ARG|ENV) .*(SECRET|PASSWORD|TOKEN|ACCESS_KEY)", text(name), re.MULTILINE)
    # The key of the build is in no layer of the image, and is none.
    assert set(re.findall(r"SECRET_KEY=(\S+)", text(name))) <= {"while-building"}
    assert "SECRET_KEY" not in text(name).split("\nFROM ")[2]


def test_the_web_image_has_nothing_of_models():
    assert not {"torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors"} & set(
        pins(locks.WEB.path.read_text())
    )


def test_build_sees_nothing_but_what_is_named():
    first, *_ = [
        line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert first == "*"
