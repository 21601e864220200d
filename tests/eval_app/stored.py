"""Experiments and runs as the database holds them."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval_app.experiments import start_experiment
from eval_app.methods import parse_method, parse_methods
from eval_app.models import DatasetSplit, Experiment, ExperimentRun, Prediction, Question, Run
from eval_app.reports import build_report, score_run
from eval_app.runs import ensure_run
from retrieval_app.models import Encoder
from training_app.adapters import ensure_base_model
from training_app.models import BaseModel

# As short as an answer can be: what is asked here is not whether it is good.
PARAMETERS = {"num_beams": 1, "max_input_tokens": 128, "max_output_tokens": 4, "exact": False, "dtype": "float32"}
HYPERPARAMETERS: dict[str, Any] = {
    "alpha": 32,
    "dropout": 0.1,
    "epochs": 1,
    "learning_rate": 5e-4,
    "warmup_ratio": 0.05,
    "weight_decay": 1e-4,
    "batch_size": 16,
    "max_input_tokens": 64,
    "max_output_tokens": 16,
    "max_grad_norm": 1.0,
}


def small_t5() -> BaseModel:
    from workers.loaded import record_base_model

    return record_base_model("small", dtype="float32")


def small_encoder() -> Encoder:
    from workers.loaded import record_encoder

    return record_encoder("small")


def a_base_model() -> BaseModel:
    """One that nobody loads."""
    return ensure_base_model(name="some/t5", revision="1")


def start(found: DatasetSplit, /, methods: str = "none,rag:bm25", **changed: Any) -> Experiment:
    """Start an experiment on the dataset of a split."""
    asked: dict[str, Any] = {
        "workspace": found.dataset.workspace,
        "name": "first",
        "dataset": found.dataset,
        "split": found.split,
        "tasks": None,
        "methods": parse_methods(methods),
        "base_model": changed.get("base_model") or small_t5(),
        "encoder": None,
        "documents_wanted": 2,
        "hyperparameters": HYPERPARAMETERS,
        "parameters": PARAMETERS,
        "seed": 0,
        "user_limit": None,
        "reference": False,
        "versions": {"torch": "2"},
        "hardware": {"cores": 2},
    }
    return start_experiment(**{**asked, **changed})


def a_run(split: DatasetSplit, method: str = "none", **changed: Any) -> Run:
    """The run that these inputs name, with what differs from the usual."""
    asked: dict[str, Any] = {
        "split": split,
        "method": parse_method(method),
        "base_model": a_base_model(),
        "encoder": None,
        "documents_wanted": 2,
        "hyperparameters": HYPERPARAMETERS,
        "parameters": PARAMETERS,
        "adapter_dtype": "bfloat16",
        "seed": 0,
        "user_limit": None,
        "versions": {"torch": "2"},
        "hardware": {"cores": 2},
    }
    return ensure_run(**{**asked, **changed})


def answered_run(split: DatasetSplit, outputs: Sequence[str], *, method: str = "none", **fields: Any) -> Run:
    """A run that gave `outputs`, in the order of the questions, and was scored."""
    parsed = parse_method(method)
    questions = list(Question.objects.filter(split=split).order_by("position"))[: len(outputs)]
    run = Run.objects.create(
        workspace=split.dataset.workspace,
        split=split,
        identity=f"{method} {'|'.join(outputs)}"[:64],
        family=parsed.family.value,
        retriever=parsed.retriever or "",
        rank=parsed.rank,
        control=parsed.control or "",
        question_count=len(questions),
        state=Run.State.SCORING,
        **fields,
    )
    Prediction.objects.bulk_create(
        Prediction(run=run, question=question, end_user_id=question.end_user_id, output=output)
        for question, output in zip(questions, outputs, strict=True)
    )
    score_run(run=run)
    return run


def ended(
    split: DatasetSplit, runs: Mapping[str, Run | str], *, name: str = "first", **configuration: Any
) -> Experiment:
    """An experiment with these columns (a run, or why there is none) that has its report."""
    settings = {
        "methods": list(runs),
        "controls": [],
        "splits": {split.task: split.pk},
        "base_model_id": a_base_model().pk,
        "encoder_id": None,
        "documents_wanted": 2,
        "hyperparameters": HYPERPARAMETERS,
        "parameters": PARAMETERS,
        "adapter_dtype": "bfloat16",
        "seed": 0,
        "user_limit": None,
        "reference": False,
        **configuration,
    }
    experiment = Experiment.objects.create(
        workspace=split.dataset.workspace,
        name=name,
        dataset=split.dataset,
        split=split.split,
        configuration=settings,
        versions={"torch": "2"},
        hardware={"cores": 2},
    )
    for method, run in runs.items():
        given = {"refusal": run} if isinstance(run, str) else {"run": run}
        ExperimentRun.objects.create(experiment=experiment, task=split.task, method=method, **given)
    conclude(experiment)
    return experiment


def conclude(experiment: Experiment) -> None:
    from django.db.models.functions import Now

    experiment.report = build_report(experiment=experiment)
    experiment.state = Experiment.State.DONE
    experiment.finished_at = Now()
    experiment.save()
