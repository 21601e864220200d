"""Bytes of a stored adapter by rank, in bf16 and in float32, and what storing in bf16 changes in the answers.

Folders of the small model are really written, and asserted to have the bytes that `training_app.costs` computes;
FlanT5-XXL's are computed. For the change, users of the synthetic benchmark get adapters trained with the demo's
settings, which answer their questions as trained and as read back from a bf16 folder; every answer counts, and its
score (mean log-probability a token). Repeat with `python -m benchmarks adapter_storage`.
"""

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from benchmarks.figures import Figure
from lamp.catalogue import get_task
from lamp.pairs import pair_of
from lamp.synthetic.population import Person, people
from training_app.costs.estimates import MILLION
from training_app.costs.paper import RANKS
from training_app.costs.shapes import PUBLISHED, ModelShape, shape_from_config
from training_app.costs.storage import BYTES_A_VALUE, adapter_bytes, weights_file_bytes
from training_app.costs.words import bytes_in_words
from workers.engine.adapter_files import WEIGHTS_FILE, read_peft_folder, write_peft_folder
from workers.engine.adapters import AdapterWeights
from workers.engine.base_model import BaseModel, load_base_model
from workers.engine.generation import GeneratedText, GenerationRow, generate
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.threads import limit_threads
from workers.engine.training import TrainedAdapter, TrainingRequest, train_adapters
from workers.small_models import SMALL_T5

XXL = "google/flan-t5-xxl"
TASKS = ("LaMP-4", "LaMP-7")
USERS = 24
DOCUMENTS = 16
# The demo's: small models want larger steps than the paper's 11 billion parameters.
TRAINED = Hyperparameters(rank=8, epochs=6, learning_rate=3e-3)


def run() -> list[Figure]:
    limit_threads(1)
    base = load_base_model(str(SMALL_T5))
    shape = shape_from_config(json.loads((SMALL_T5 / "config.json").read_text()))
    figures = [_written(base, shape, rank) for rank in RANKS]
    figures += [_computed(rank) for rank in RANKS]
    return figures + [_changed(base, task) for task in TASKS]


def _written(base: BaseModel, shape: ModelShape, rank: int) -> Figure:
    request = TrainingRequest([("a", "b")], Hyperparameters(rank=rank, epochs=1), seed=0)
    [trained] = train_adapters(base, [request])
    sizes: dict[str, int] = {}
    for dtype in BYTES_A_VALUE:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_peft_folder(folder, trained, base, dtype=dtype)
            expected = weights_file_bytes(shape, rank=rank, dtype=dtype)
            assert (folder / WEIGHTS_FILE).stat().st_size == expected, "the computed bytes are not those written"
            sizes[dtype] = sum(path.stat().st_size for path in folder.iterdir())
    return _size_figure(f"adapter_bytes_small_r{rank}", sizes, "small model, written")


def _computed(rank: int) -> Figure:
    sizes = {dtype: adapter_bytes(PUBLISHED[XXL], rank=rank, dtype=dtype) for dtype in BYTES_A_VALUE}
    return _size_figure(f"adapter_bytes_xxl_r{rank}", sizes, "FlanT5-XXL's shape, computed")


def _size_figure(name: str, sizes: dict[str, int], what: str) -> Figure:
    half, full = sizes["bfloat16"], sizes["float32"]
    return Figure(
        name=name,
        ratio=full / half,
        median=half / 1e6,
        unit="MB a user in bf16",
        detail=f"{what}; float32 {full / 1e6:.4g} MB; a million users {bytes_in_words(MILLION * half)} "
        f"and {bytes_in_words(MILLION * full)}",
    )


def _changed(base: BaseModel, task: str) -> Figure:
    users = list(people(task, users=range(1, USERS + 1), seed=11, strength=0.9, drift=0.2))
    trained = train_adapters(base, [_request(user, task) for user in users])
    kept = [adapter.as_weights() for adapter in trained]
    stored = [_through_bf16(base, adapter) for adapter in trained]
    bare = _answers(base, users, [None] * USERS)
    exact = _answers(base, users, kept)
    rounded = _answers(base, users, stored)
    changed = sum(one.text != other.text for one, other in zip(exact, rounded, strict=True))
    personal = sum(one.text != other.text for one, other in zip(exact, bare, strict=True))
    differences = [abs(one.score - other.score) for one, other in zip(exact, rounded, strict=True)]
    weights = max(
        _relative_error(one.tensors[name], other.tensors[name])
        for one, other in zip(kept, stored, strict=True)
        for name in one.tensors
    )
    return Figure(
        name=f"adapter_bf16_changes_{task}",
        ratio=1 - changed / len(exact),
        median=100 * changed / len(exact),
        unit="% of answers changed",
        detail=f"{len(exact)} answers of {USERS} users, 4 beams; the adapters themselves change {personal}; "
        f"score differs by {statistics.mean(differences):.1e} nats a token on average, {max(differences):.1e} at most; "
        f"weights by {weights:.2%} at most",
    )


def _request(user: Person, task: str) -> TrainingRequest:
    pairs = [pair_of(get_task(task), document.fields) for document in user.documents[:DOCUMENTS]]
    return TrainingRequest(pairs, TRAINED, seed=user.user_id)


def _through_bf16(base: BaseModel, adapter: TrainedAdapter) -> AdapterWeights:
    with tempfile.TemporaryDirectory() as name:
        write_peft_folder(Path(name), adapter, base, dtype="bfloat16")
        return read_peft_folder(Path(name), base=base, max_bytes=1 << 30)


def _answers(
    base: BaseModel, users: Sequence[Person], adapters: Sequence[AdapterWeights | None]
) -> list[GeneratedText]:
    rows = [
        GenerationRow(question.input, adapter)
        for user, adapter in zip(users, adapters, strict=True)
        for question in user.questions
    ]
    return generate(base, rows, num_beams=4)


def _relative_error(exact: Tensor, rounded: Tensor) -> float:
    """The largest error of a value relative to it; a zero stays one."""
    size = exact.abs()
    errors = (exact - rounded.to(exact.dtype)).abs()[size > 0] / size[size > 0]
    return float(errors.max()) if errors.numel() else 0.0
