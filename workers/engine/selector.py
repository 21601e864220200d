"""Selectors of RSPG: an encoder with a one-unit head that scores each candidate by itself (LaMP reference §3).

What a selector reads is decided by `retrieval_app.selection`; here are the model, its files and its scores. Any encoder
that transformers can put a classification head on serves; a Longformer has its global attention on the first token, as
that class has it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from lamp.selector_texts import SelectorText
from workers.engine.alignment import align
from workers.engine.batches import padded
from workers.engine.encoder import most_tokens
from workers.engine.model_folders import (
    check_tensors,
    read_config,
    refuse_unless,
    require_one_label,
    write_model_folder,
)
from workers.engine.seeds import stream_seed
from workers.engine.sources import ModelRefused, settle
from workers.engine.text_lengths import MOST_TOKENS

MAX_TOKENS = MOST_TOKENS


@dataclass(frozen=True, eq=False)
class Selector:
    """A selector in evaluation mode with its tokenizer; `max_tokens` is how much it reads, special tokens included."""

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    name: str
    device: str
    max_tokens: int


class TokenRow(NamedTuple):
    """A candidate's token ids, and the segment (0 or 1) of each."""

    ids: list[int]
    segments: list[int]


def initial_selector(
    name_or_path: str, *, revision: str | None = None, seed: int, device: str = "cpu", name: str | None = None
) -> Selector:
    """An encoder with a head that has learned nothing yet, in float32; the same seed gives the same weights.

    Args:
        name_or_path: an encoder's folder (safetensors), else its name on the hub, as `load_encoder` takes them.

    Raises:
        ModelUnavailable, ModelRefused: as `load_encoder` does.
    """
    source = settle(name_or_path, revision=revision)
    config = source.load(AutoConfig.from_pretrained, num_labels=1)
    _require_encoder(config, name=name_or_path)
    if source.in_folder and not list(Path(name_or_path).glob("*.safetensors")):
        raise ModelRefused(f"The folder {name_or_path} holds no safetensors; other weight files are not read.")
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(seed, "head"))
        model = source.load(
            AutoModelForSequenceClassification.from_pretrained,
            config=config,
            dtype=torch.float32,
            use_safetensors=True if source.in_folder else None,
        )
    tokenizer = source.load(AutoTokenizer.from_pretrained)
    return wrap_selector(model, tokenizer, name=name or name_or_path, device=device)


def wrap_selector(model: Any, tokenizer: Any, *, name: str, device: str = "cpu") -> Selector:
    """Freeze a selector that is in memory already. Raises `ModelRefused` where its tokenizer is of no use to it."""
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelRefused(f"{name} has no tokenizer.json, which a selector's texts are read with.")
    model.to(device)
    align(model)
    model.eval()
    model.requires_grad_(False)
    return Selector(
        model=model, tokenizer=tokenizer, name=name, device=device, max_tokens=min(MAX_TOKENS, most_tokens(model))
    )


def _require_encoder(config: Any, *, name: str) -> None:
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        raise ModelRefused(f"{name} is a {config.model_type} model; an encoder such as BERT is needed.")


def write_selector(folder: Path, selector: Selector) -> None:
    """Write the selector as a plain Hugging Face folder with safetensors; `folder` is emptied first."""
    write_model_folder(folder, model=selector.model, tokenizer=selector.tokenizer)


def load_selector(folder: Path, *, device: str = "cpu", name: str | None = None) -> Selector:
    """The inverse of `write_selector`, for a folder that may come from anywhere: nothing is unpickled, no code run.

    Raises `ModelRefused`: files that are missing, too many, too large or damaged; a configuration that is no encoder
    with one label, or could have other code run; tensors that are not those of its configuration, or not finite.
    """
    settings = read_config(folder)
    require_one_label(settings)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        _require_encoder(config, name="The model")
        refuse_unless(config.num_labels == 1, "its head has not the one unit of a selector")
        with torch.device("meta"):
            expected = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False).state_dict()
        check_tensors(folder, {key: tuple(tensor.shape) for key, tensor in expected.items()})
        model = AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except ModelRefused:
        raise
    except Exception as error:
        # Whatever a forged configuration or tokenizer makes the loaders raise; tokenizers' own are plain Exceptions.
        problem = f"{type(error).__name__} while a {str(settings.get('model_type'))[:40]!r} model was loaded"
        raise ModelRefused(f"The selector could not be loaded: {problem}.") from error
    finite = all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    refuse_unless(finite, "it holds values that are not finite")
    refuse_unless(
        len(tokenizer) <= model.get_input_embeddings().num_embeddings, "its tokenizer has more tokens than the model"
    )
    return wrap_selector(model, tokenizer, name=name or folder.name, device=device)


def token_rows(selector: Selector, texts: Sequence[SelectorText]) -> list[TokenRow]:
    """Each candidate as the tokenizer joins its segments, cut to `max_tokens`.

    Only the prompt is cut, at its end, so that the whole output stays; one that is longer than the limit by itself is
    cut too, and leaves nothing of the prompt.
    """
    backend = selector.tokenizer.backend_tokenizer
    # A tokenizer's file may bring limits of its own.
    backend.no_truncation()
    backend.no_padding()
    rows = []
    for text in texts:
        prompt = backend.encode(text.text, add_special_tokens=False)
        output = None if text.output is None else backend.encode(text.output, add_special_tokens=False)
        room = selector.max_tokens - backend.num_special_tokens_to_add(output is not None)
        if output is not None:
            output.truncate(room)
            room -= len(output)
        prompt.truncate(room)
        whole = backend.post_process(prompt, output)
        rows.append(TokenRow(list(whole.ids), list(whole.type_ids)))
    return rows


def score(
    selector: Selector, texts: Sequence[SelectorText], *, exact: bool | None = None, batch_size: int = 32
) -> np.ndarray:
    """The head's output for each candidate, [texts] float32; the higher, the more it is expected to help.

    Args:
        exact: score one candidate a pass, so that its score does not depend on its neighbours to the byte. Where not
            given: yes on a CPU, no on a GPU, as `workers.engine.encoder.encode` does.
        batch_size: candidates a pass where not exact; they are sorted by length.
    """
    exact = selector.device == "cpu" if exact is None else exact
    return score_rows(selector, token_rows(selector, texts), batch_size=1 if exact else batch_size)


def score_rows(selector: Selector, rows: Sequence[TokenRow], *, batch_size: int) -> np.ndarray:
    """`score` of candidates whose tokens are known, `batch_size` a pass."""
    scores = np.zeros(len(rows), dtype=np.float32)
    for batch in _by_length(rows, size=batch_size):
        with torch.inference_mode():
            scores[batch] = logits(selector.model, selector.tokenizer, [rows[place] for place in batch]).cpu().numpy()
    return scores


def _by_length(rows: Sequence[TokenRow], *, size: int) -> Iterator[list[int]]:
    order = sorted(range(len(rows)), key=lambda place: (len(rows[place].ids), place))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def logits(model: Any, tokenizer: Any, rows: Sequence[TokenRow]) -> Tensor:
    """One pass: the head's outputs, [rows], on the model's device."""
    device = next(model.parameters()).device
    ids, mask = padded([row.ids for row in rows], pad=tokenizer.pad_token_id or 0)
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    # RoBERTa and its like know one segment; others (DistilBERT) take none at all.
    if (getattr(model.config, "type_vocab_size", 0) or 0) > 1:
        segments, _ = padded([row.segments for row in rows], pad=0)
        inputs["token_type_ids"] = segments.to(device)
    found: Tensor = model(**inputs).logits[:, 0]
    return found
