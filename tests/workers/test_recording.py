from jobs.models import Job
from retrieval_app.encoders import default_encoder
from retrieval_app.models import Encoder, TrainedModel
from training_app.base_models import default_base_model, request_default_models
from training_app.models import BaseModel


def own_selectors():
    return list(TrainedModel.objects.filter(workspace=None).order_by("pk").values_list("pk", flat=True))


def recorded(in_process):
    request_default_models()
    in_process("record_default_models")
    return Job.objects.get()


def test_a_worker_records_the_models_that_the_settings_name(in_process):
    job = recorded(in_process)
    assert (job.state, job.result) == (
        "done",
        {"base_model_id": default_base_model().pk, "encoder_id": default_encoder().pk, "selector_ids": own_selectors()},
    )
    assert (default_base_model().name, default_encoder().name) == ("small", "small")


def test_asked_again_nothing_is_recorded_twice(in_process):
    recorded(in_process)
    Job.objects.all().delete()
    recorded(in_process)
    assert (BaseModel.objects.count(), Encoder.objects.count()) == (1, 1)


def test_without_its_encoder_an_installation_has_its_base_model(in_process, monkeypatch):
    monkeypatch.setattr("workers.recording.default_encoder_name", lambda: "/nowhere/at-all")
    assert recorded(in_process).result["encoder_id"] is None
    assert default_base_model().name == "small"


def test_a_base_model_that_cannot_be_loaded_fails_the_job_with_what_to_do(in_process, settings, tmp_path):
    settings.DEFAULT_BASE_MODEL = str(tmp_path)
    job = recorded(in_process)
    assert job.state == "failed"
    assert "config.json" in job.error_message
