"""The kinds of job this app asks for. The handlers live in `workers`, and are named because apps never import them."""

from jobs.kinds import Kind

IMPORT_DATASET = Kind(
    name="import_dataset",
    queue="cpu",
    handler="workers.importing.handle",
    lease_seconds=60,
)

CHECK_IMPORT = Kind(
    name="check_import",
    queue="cpu",
    handler="workers.importing.check",
    lease_seconds=60,
)

DELETE_DATASET = Kind(
    name="delete_dataset",
    queue="cpu",
    handler="workers.deleting_datasets.handle",
    lease_seconds=120,
    least_role="admin",
)

ADVANCE_EXPERIMENT = Kind(
    name="advance_experiment",
    queue="cpu",
    handler="workers.evaluating.advance",
    lease_seconds=60,
)

# Of the model queue, because there the runs are made.
RECORD_PROVENANCE = Kind(
    name="record_provenance",
    queue="model",
    handler="workers.evaluating.record_where_runs_are_made",
    lease_seconds=60,
)

SCORE_RUN = Kind(
    name="score_run",
    queue="cpu",
    handler="workers.evaluating.score",
    lease_seconds=120,
)

COMPARE_EXPERIMENT = Kind(
    name="compare_experiment",
    queue="cpu",
    handler="workers.evaluating.compare",
    lease_seconds=120,
)

STEP_TRAINING = Kind(
    name="step_training",
    queue="cpu",
    handler="workers.stepping_trainings.handle",
    lease_seconds=60,
)

TRAIN_SELECTOR = Kind(
    name="train_selector",
    queue="training",
    handler="workers.selector_training.handle",
    lease_seconds=120,
)

# Of the model queue, because the base model answers; it gives way to whoever else waits there.
GATHER_DOCUMENT_FEEDBACK = Kind(
    name="gather_document_feedback",
    queue="model",
    handler="workers.document_feedback.handle",
    lease_seconds=120,
)

TRAIN_ENCODER = Kind(
    name="train_encoder",
    queue="training",
    handler="workers.encoder_training.handle",
    lease_seconds=120,
)

KINDS = (
    IMPORT_DATASET,
    CHECK_IMPORT,
    DELETE_DATASET,
    ADVANCE_EXPERIMENT,
    RECORD_PROVENANCE,
    SCORE_RUN,
    COMPARE_EXPERIMENT,
    STEP_TRAINING,
    TRAIN_SELECTOR,
    GATHER_DOCUMENT_FEEDBACK,
    TRAIN_ENCODER,
)
