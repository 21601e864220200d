import pytest

from jobs.models import Job
from training_app.adapters import ensure_base_model
from training_app.base_models import (
    DefaultModelNotReady,
    UnknownBaseModel,
    base_model_named,
    default_base_model,
    default_dtype,
)

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def flan(db):
    """Two revisions of a model, the newer one last."""
    return [ensure_base_model(name="some/flan", revision=revision) for revision in (OLD, NEW)]


def test_a_name_is_its_newest_revision(flan):
    assert base_model_named("some/flan") == flan[1]


@pytest.mark.parametrize("revision", [OLD, OLD[:7]])
def test_a_revision_can_be_named(flan, revision):
    assert base_model_named(f"some/flan@{revision}") == flan[0]


@pytest.mark.parametrize(
    "name", ["some/t5", "some/flan@aaaaaa", "some/flan@" + "c" * 40, "@" + OLD, "", "some/flan@", "some/\0flan"]
)
def test_an_unknown_name_is_answered_with_those_that_are_there(flan, name):
    with pytest.raises(UnknownBaseModel, match="there are: some/flan"):
        base_model_named(name)


@pytest.mark.parametrize("name", ["some/flan", f"some/flan@{NEW}", "some/flan@main"])
def test_no_name_is_the_default_one(flan, settings, name):
    settings.DEFAULT_BASE_MODEL = name
    assert base_model_named(None) == flan[1]


def test_a_folder_is_found_by_its_whole_path(db, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings.DEFAULT_BASE_MODEL = "models/t5"
    stored = ensure_base_model(name=str(tmp_path / "models" / "t5"), revision=OLD)
    assert default_base_model() == stored


def test_a_default_that_nobody_has_loaded_is_asked_for_once(db, settings):
    settings.DEFAULT_BASE_MODEL = "some/flan"
    for _ in range(2):
        with pytest.raises(DefaultModelNotReady, match="Try again"):
            default_base_model()
    assert Job.objects.get().kind == "record_default_models"


def test_why_it_could_not_be_loaded_is_said(db, settings):
    settings.DEFAULT_BASE_MODEL = "some/flan"
    with pytest.raises(DefaultModelNotReady):
        default_base_model()
    Job.objects.update(
        state="failed", finished_at="2020-01-01T00:00Z", error_type="ModelUnavailable", error_message="No such folder."
    )
    with pytest.raises(DefaultModelNotReady, match="No such folder"):
        default_base_model()


@pytest.mark.parametrize(("device", "dtype"), [("cpu", "float32"), ("cuda", "bfloat16"), ("auto", "bfloat16")])
def test_base_models_run_in_full_precision_on_a_cpu_alone(settings, device, dtype):
    settings.MODEL_DEVICE = device
    assert default_dtype() == dtype
