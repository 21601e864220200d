"""The hyperparameters that selectors and encoders share when they are trained on a base model's feedback."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from training_app.hyperparameters import Bounds

FEEDBACK_HYPERPARAMETERS: Final[Mapping[str, Bounds]] = MappingProxyType(
    {
        # Learning rate, temperature and clipping are the source's (LaMP reference §3).
        "learning_rate": Bounds(1e-5, 1e-8, 1.0),
        "epochs": Bounds(10, 1, 1_000),
        "batch_size": Bounds(16, 1, 256),
        "temperature": Bounds(1.0, 0.001, 1_000.0),
        "gradient_clip": Bounds(1.0, 0.001, 1_000),
        "weight_decay": Bounds(0.01, 0.0, 1.0),
        "warmup_share": Bounds(0.05, 0.0, 1.0),
        "validations": Bounds(10, 1, 1_000),
    }
)
