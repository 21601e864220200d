"""An experiment as large as they come: seven tasks, thirteen columns, ten thousand users a task, recorded, not run.

What runs leave behind is written straight into the tables, in a few statements; the report is made up, since what a
page costs does not depend on what its numbers are.
"""

import random
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from eval_app.methods import NONE, parse_methods
from eval_app.models import Dataset, DatasetSplit, Experiment, ExperimentRun, Run
from eval_app.regression import UserPoint, regress
from lamp.catalogue import get_task
from lamp.tasks import Task
from tests.eval_app.stored import HYPERPARAMETERS, PARAMETERS, a_base_model
from tests.eval_app.trained import a_trained_model, a_training
from users_app.models import Workspace

USERS = 10_000
TASKS = tuple(f"LaMP-{number}" for number in range(1, 8))
METHODS = parse_methods(
    "none,peft:8,peft:16,peft:32,peft:64,rag:bm25,rag:recency,rag:contriever,rag:best,"
    "peft-rag:best:8,peft-rag:best:16,peft-rag:best:32,peft-rag:best:64"
)
QUESTION_SET = "0" * 64
COLUMNS = len(METHODS)


def experiment_of_many(workspace: Workspace, *, users: int = USERS, name: str = "many", seed: int = 0) -> Experiment:
    """The experiment, done, with its runs, predictions, improvements and report. Questions are one a user and task."""
    dataset, _ = Dataset.objects.get_or_create(workspace=workspace, name="many")
    _store_users(workspace, users)
    splits = {task: _split(dataset, task, users) for task in TASKS}
    for task, split in splits.items():
        _store_questions(split, workspace, task)
    experiment = Experiment.objects.create(
        workspace=workspace,
        name=name,
        dataset=dataset,
        split="dev",
        configuration={
            "methods": [method.key for method in METHODS],
            "controls": [],
            "splits": {task: split.pk for task, split in splits.items()},
            "base_model_id": a_base_model().pk,
            "encoder_id": None,
            "documents_wanted": 4,
            "hyperparameters": HYPERPARAMETERS,
            "parameters": PARAMETERS,
            "adapter_dtype": "bfloat16",
            "seed": seed,
            "user_limit": None,
            "reference": False,
        },
        versions={"torch": "2"},
        hardware={"cores": 2},
    )
    runs = {task: _runs(split, name=name, seed=seed) for task, split in splits.items()}
    for task, of_task in runs.items():
        ExperimentRun.objects.bulk_create(
            ExperimentRun(experiment=experiment, task=task, method=key, run=run) for key, run in of_task.items()
        )
        _store_predictions(list(of_task.values()), get_task(task))
        _store_improvements([run for key, run in of_task.items() if key != NONE.key], of_task[NONE.key], get_task(task))
    _store_trained_model(experiment)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE eval_app_question, eval_app_prediction, eval_app_userimprovement, users_app_enduser")
    experiment.report = _report(runs, users)
    experiment.state = Experiment.State.DONE
    experiment.finished_at = Now()
    experiment.save()
    experiment.refresh_from_db()
    return experiment


def _store_trained_model(experiment: Experiment) -> None:
    """A selector that has learned from everybody, of whom one was erased since, and a training in its place."""
    workspace, tasks = experiment.workspace, list(TASKS)
    made = a_trained_model(workspace, tasks=tasks, erasures=1, loss_curve=[1.0] * 10_000, steps=10_000)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO retrieval_app_participant (trained_model_id, end_user_id) "
            "SELECT %s, id FROM users_app_enduser WHERE workspace_id = %s",
            [made.pk, workspace.pk],
        )
    a_training(experiment.dataset, state="done", tasks=tasks, trained_model=made)
    a_training(experiment.dataset, tasks=tasks, replaces=made, train_experiment=experiment, dev_experiment=experiment)


def _store_users(workspace: Workspace, users: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users_app_enduser (workspace_id, external_id) "
            "SELECT %s, 'many-' || n FROM generate_series(1, %s) AS n ON CONFLICT DO NOTHING",
            [workspace.pk, users],
        )


def _split(dataset: Dataset, task: str, users: int) -> DatasetSplit:
    found, _ = DatasetSplit.objects.get_or_create(
        dataset=dataset,
        task=task,
        split="dev",
        version=1,
        defaults={
            "separation": "user",
            "digest": f"many {task}",
            "questions_digest": f"many {task}",
            "outputs_digest": f"many {task}",
            "question_count": users,
            "end_user_count": users,
            "document_count": 5 * users,
            "entry_count": 5 * users,
            "has_golds": True,
            "has_dates": True,
        },
    )
    return found


def _store_questions(split: DatasetSplit, workspace: Workspace, task: str) -> None:
    gold = (get_task(task).labels or ("what was wanted",))[0]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO eval_app_question (split_id, end_user_id, position, external_id, id_is_integer, input, gold,
                                           document_ids, entry_ids)
            SELECT %s, id, row_number() OVER (ORDER BY id) - 1, id::text, true, 'question of ' || external_id, %s,
                   ARRAY[1, 2, 3, 4, 5]::bigint[], ARRAY['1', '2', '3', '4', '5']
              FROM users_app_enduser WHERE workspace_id = %s AND external_id LIKE 'many-%%'
            ON CONFLICT DO NOTHING
            """,
            [split.pk, gold, workspace.pk],
        )


def _runs(split: DatasetSplit, *, name: str, seed: int) -> dict[str, Run]:
    metrics = {metric.name: 0.5 for metric in get_task(split.task).metrics}
    costs = {"input_tokens": 1000, "output_tokens": 100, "adapters": 0, "training_seconds": 1.5, "adapter_bytes": 10}
    return {
        method.key: Run.objects.create(
            workspace_id=split.dataset.workspace_id,
            split=split,
            identity=f"{name} {split.pk} {method.key}"[:64],
            base_model=a_base_model(),
            family=method.family.value,
            retriever={"best": "bm25"}.get(method.retriever or "", method.retriever or ""),
            rank=method.rank,
            hyperparameters=HYPERPARAMETERS if method.rank else {},
            parameters=PARAMETERS,
            seed=seed,
            question_count=split.question_count,
            state=Run.State.DONE,
            metrics=metrics,
            costs=costs,
            finished_at=Now(),
        )
        for method in METHODS
    }


def _store_predictions(runs: list[Run], task: Task) -> None:
    # Macro F1 is of a whole run, so no sample has it.
    names = [metric.name for metric in task.metrics if metric.name != "f1"]
    scores = "jsonb_build_object(" + ", ".join(f"'{name}', (hashint8(q.id + r.id) & 3) / 3.0" for name in names) + ")"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO eval_app_prediction (run_id, question_id, end_user_id, output, prompt, chosen_retriever,
                                             retrieved_document_ids, retrieved_scores, input_tokens, output_tokens,
                                             retrieval_ms, adapter_ms, model_ms, scores)
            SELECT r.id, q.id, q.end_user_id, 'answer ' || (hashint8(q.id + r.id) & 3), 'asked: ' || q.input, '',
                   ARRAY[1, 2]::bigint[], ARRAY[0.5, 0.25]::float8[], 100, 10, 1.5, 0.5, 20, {scores}
              FROM eval_app_question q JOIN eval_app_run r ON r.split_id = q.split_id
             WHERE r.id = ANY(%s)
             ORDER BY r.id, q.id
            """,
            [[run.pk for run in runs]],
        )


def _store_improvements(runs: list[Run], baseline: Run, task: Task) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO eval_app_userimprovement (run_id, baseline_id, end_user_id, metric, profile_size,
                                                  question_count, score, baseline_score, direction)
            SELECT r.id, %s, q.end_user_id, %s, 1 + (hashint8(q.end_user_id) & 1023), 1, 0.5, 0.5,
                   (hashint8(q.id + r.id) & 3) %% 3 - 1
              FROM eval_app_question q JOIN eval_app_run r ON r.split_id = q.split_id
             WHERE r.id = ANY(%s)
             ORDER BY r.id, q.end_user_id
            """,
            [baseline.pk, task.metrics[0].name, [run.pk for run in runs]],
        )


def _report(runs: dict[str, dict[str, Run]], users: int) -> dict[str, Any]:
    chance = random.Random(0)
    line = regress([UserPoint(chance.uniform(1, 1000), chance.choice((-1, 1))) for _ in range(200)])
    assert line is not None
    assert line.slope_interval is not None
    drawn = {
        "n": line.n,
        "slope": line.slope,
        "interval": list(line.slope_interval),
        "correlation": line.correlation,
        "p_value": line.p_value,
        "intercept": line.intercept,
        "mean_size": line.mean_size,
        "size_squares": line.size_squares,
        "residual_variance": line.residual_variance,
    }
    return {
        "measured": {
            task: {key: _measured(get_task(task), key, run, users, chance) for key, run in of_task.items()}
            for task, of_task in runs.items()
        },
        "truth": [],
        "figure_1": {family: dict.fromkeys([*TASKS, "all"], drawn) for family in ("peft", "rag")},
    }


def _measured(task: Task, key: str, run: Run, users: int, chance: random.Random) -> dict[str, Any]:
    values = {metric.name: chance.uniform(0.3, 0.6) for metric in task.metrics}
    comparison = None
    if key != NONE.key:
        compared = {
            name: {"baseline": 0.4, "value": value, "delta": value - 0.4, "relative_gain": 0.1, "p_value": 0.01}
            for name, value in values.items()
        }
        wins = chance.randrange(users)
        comparison = {"users": users, "metrics": compared, "wins": wins, "ties": users - wins, "losses": 0}
    measured = {
        "values": values,
        "n": users,
        "users": users,
        "question_set": QUESTION_SET,
        "intervals": {name: [value - 0.01, value + 0.01] for name, value in values.items()},
        "comparison": comparison,
        "retriever": None,
        "oracle": None,
        "erased": 0,
    }
    return {"measured": measured, "run": run.pk, "retriever": run.retriever}
