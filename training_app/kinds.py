"""The kinds of job this app asks for. The handlers live in `workers`, and are named because apps never import them."""

from django.conf import settings

from jobs.kinds import Kind

TRAIN_ADAPTER = Kind(
    name="train_adapter",
    queue="training",
    handler="workers.training.handle",
    batch_size=settings.TRAINING_SLOTS,
    # Users of one pass share the base model and slots of one size; whoever is to be trained alone shares with nobody.
    batch_by="batch",
    lease_seconds=120,
)

GENERATE = Kind(
    name="generate",
    queue="model",
    handler="workers.generating.handle",
    batch_size=32,
    gather_seconds=0.01,
    # Rows of one pass share the base model and the search's settings.
    batch_by="batch",
    # Somebody waits for the answer, so it should not be long until another worker takes over from one that was killed.
    # A worker that lives is heard every two seconds, by a thread that does nothing else.
    lease_seconds=30,
)

RECORD_DEFAULT_MODELS = Kind(
    name="record_default_models",
    queue="model",
    handler="workers.recording.handle",
    lease_seconds=120,
)

SWEEP_RETRAINING = Kind(
    name="sweep_retraining",
    queue="cpu",
    handler="workers.sweeping_retraining.handle",
    lease_seconds=120,
)
