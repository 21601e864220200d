"""Model folders as `transformers` reads them, put in place whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerFast

CARD = "README.md"


def write_model(folder: Path, *, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write configuration, weights (safetensors) and tokenizer into `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # What older readers look for: this file, and a tokenizer class that they know too.
    _write_json(folder / "special_tokens_map.json", tokenizer.special_tokens_map)
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    _write_json(folder / "tokenizer_config.json", settings | {"tokenizer_class": "PreTrainedTokenizerFast"})
    for file in folder.iterdir():
        file.chmod(0o644)


def put_in_place(fresh: Path, folder: Path) -> None:
    """Let the new folder take the old one's place."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
