from dataclasses import replace

import pytest

from tests.workers.engine.models import pairs_of, small_base
from workers.engine.base_model import BaseModel
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.training import TrainedAdapter, train_adapter


@pytest.fixture(scope="session")
def base() -> BaseModel:
    return small_base()


@pytest.fixture(scope="session")
def briefly() -> Hyperparameters:
    """Enough steps to compare two trainings."""
    return Hyperparameters(rank=4, alpha=16, epochs=4, learning_rate=2e-2, batch_size=4)


@pytest.fixture(scope="session")
def thoroughly() -> Hyperparameters:
    """Enough training that an adapter changes the answers, and ends them at different lengths."""
    return Hyperparameters(rank=4, alpha=32, epochs=20, learning_rate=2e-2, batch_size=4)


@pytest.fixture(scope="session")
def alice(base: BaseModel, thoroughly: Hyperparameters) -> TrainedAdapter:
    return train_adapter(base, pairs=pairs_of("alice", count=9), hyperparameters=thoroughly, seed=1)


@pytest.fixture(scope="session")
def bob(base: BaseModel, thoroughly: Hyperparameters) -> TrainedAdapter:
    return train_adapter(base, pairs=pairs_of("bob", count=6), hyperparameters=thoroughly, seed=2)


@pytest.fixture(scope="session")
def carol(base: BaseModel, thoroughly: Hyperparameters) -> TrainedAdapter:
    """Another rank than the others."""
    return train_adapter(base, pairs=pairs_of("carol", count=5), hyperparameters=replace(thoroughly, rank=8), seed=3)
