"""What names an adapter: a digest of everything that made it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def digest_of(value: Mapping[str, Any]) -> str:
    """sha256 (hex) of `value` as canonical JSON.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def adapter_identity(
    *,
    workspace_id: int,
    end_user_id: int,
    base_model: str,
    dtype: str,
    exact: bool,
    stored_dtype: str,
    task: str,
    task_version: str,
    hyperparameters: Mapping[str, Any],
    document_digests: Sequence[str],
    seed: int,
    engine_version: str,
    is_trial: bool = False,
) -> str:
    """The identity of the adapter made of exactly these inputs; `document_digests` in training order.

    A trial (`training_app.retraining`) is never taken for an adapter that may answer, though its bytes be the same.
    """
    trial = {"trial": True} if is_trial else {}
    return digest_of(
        {
            **trial,
            "workspace": workspace_id,
            "end_user": end_user_id,
            "base_model": base_model,
            "dtype": dtype,
            "exact": exact,
            "stored_dtype": stored_dtype,
            "task": task,
            "task_version": task_version,
            "hyperparameters": dict(hyperparameters),
            "documents": list(document_digests),
            "seed": seed,
            "engine": engine_version,
        }
    )
