"""The frozen base model: any T5, loaded once a process."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, MT5ForConditionalGeneration, T5ForConditionalGeneration

from workers.engine.alignment import align
from workers.engine.fused import fuse_gates, fuse_norms
from workers.engine.lora import LoraProjections
from workers.engine.sources import ModelRefused, folder_state, settle

# Passes have ever other sizes. A GPU's memory that grows in segments is not broken up by them; CUDA reads this once,
# when it is first used.
if "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")

_FAMILY: dict[str, Any] = {"t5": T5ForConditionalGeneration, "mt5": MT5ForConditionalGeneration}
# The share of a GPU's free memory that weights may take before they are spread over several GPUs.
_WEIGHTS_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A frozen T5 in evaluation mode with its tokenizer.

    `name` is what it was asked for by; `revision` the hub's commit, or a folder's digest. `projections` is where LoRA
    of users stands beside it. One pass at a time: who runs it holds `exclusive()`.
    """

    model: Any = field(repr=False)
    tokenizer: Any = field(repr=False)
    name: str
    revision: str
    device: str
    projections: LoraProjections = field(repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.shared.weight.dtype
        return dtype

    @property
    def adapter_dtype(self) -> torch.dtype:
        """LoRA and its optimizer are never kept in less than float32."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def input_device(self) -> torch.device:
        device: torch.device = self.model.shared.weight.device
        return device

    @property
    def pad_token(self) -> int:
        return int(self.model.config.pad_token_id)

    @property
    def end_token(self) -> int:
        return int(self.model.config.eos_token_id)

    @property
    def start_token(self) -> int:
        return int(self.model.config.decoder_start_token_id)

    @property
    def output_scale(self) -> float:
        """What the decoder's last states are multiplied by before the output layer (1 for T5 v1.1 and FlanT5)."""
        scaled = getattr(self.model.config, "scale_decoder_outputs", False)
        return float(self.model.config.d_model) ** -0.5 if scaled else 1.0

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the model for this thread."""
        with self._lock:
            yield


def load_base_model(
    name_or_path: str,
    *,
    revision: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    name: str | None = None,
) -> BaseModel:
    """Load a T5 or mT5 by hub name or folder, frozen, in evaluation mode, with LoRA's hooks attached.

    Args:
        name_or_path: a folder, else a name on the hub.
        revision: a hub revision to pin (what was loaded is recorded as its commit hash), or the digest a folder must
            have.
        device: "cpu", "cuda", "cuda:1" …; "auto", or "cuda" where the weights do not fit one GPU, spreads the
            layers over all GPUs (`device_map="auto"`).
        dtype: float32 on a CPU and bfloat16 on a GPU where not given.
        name: what to record as the model's name, where that is not what it is loaded by.

    Raises:
        ModelUnavailable: no such folder, and no hub with such a name in reach.
        ModelRefused: not of the T5 family, no safetensors, or a folder whose digest differs.
    """
    source = settle(name_or_path, revision=revision)
    config = source.load(AutoConfig.from_pretrained)
    family = _FAMILY.get(config.model_type)
    if family is None:
        raise ModelRefused(
            f"{name_or_path} is a {config.model_type} model; base models are of the T5 family ({', '.join(_FAMILY)})."
        )
    dtype = dtype or (torch.float32 if device == "cpu" or not torch.cuda.is_available() else torch.bfloat16)
    spread = device == "auto" or (device == "cuda" and not _fits_one_gpu(family, config, dtype))
    # A map with one device loads there without a copy in the machine's own memory.
    placement = {} if device == "cpu" else {"device_map": "auto" if spread else device}
    model = source.load(family.from_pretrained, use_safetensors=True, dtype=dtype, **placement)
    tokenizer = source.load(AutoTokenizer.from_pretrained)
    return wrap(model, tokenizer, name=name or name_or_path, revision=source.revision, device=device)


def wrap(
    model: Any, tokenizer: Any, *, name: str, revision: str, device: str = "cpu", fused: bool | None = None
) -> BaseModel:
    """Freeze a T5 that is in memory already, and attach LoRA's hooks to it.

    `fused` is whether norms and gates run as one kernel each; where not given, gates do, and norms on a single GPU.

    Raises ModelRefused where the tokenizer does not end a text with the model's end token, or where weights were left
    on no device because the GPUs are full.
    """
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ModelRefused(f"{name} does not fit the memory of the GPUs: use more of them, or a smaller model.")
    model.eval()
    model.requires_grad_(False)
    align(model)
    if fused is not False:
        fuse_gates(model)
    if fused or (fused is None and _on_one_gpu(model)):
        fuse_norms(model)
    end = model.config.eos_token_id
    if tokenizer("a")["input_ids"][-1:] != [end]:
        raise ModelRefused(f"The tokenizer of {name} does not end a text with the model's end token ({end}).")
    return BaseModel(
        model=model,
        tokenizer=tokenizer,
        name=name,
        revision=revision,
        device=device,
        projections=LoraProjections(model),
    )


def _on_one_gpu(model: nn.Module) -> bool:
    devices = {parameter.device for parameter in model.parameters()}
    return len(devices) == 1 and devices.pop().type == "cuda"


def _fits_one_gpu(family: Any, config: Any, dtype: torch.dtype) -> bool:
    with torch.device("meta"):
        parameters = family(config).num_parameters()
    free, _ = torch.cuda.mem_get_info()
    return bool(parameters * dtype.itemsize <= _WEIGHTS_SHARE * free)


class BaseModels:
    """The base models of a process: each loaded once, at most `limit` kept, the least recently used let go."""

    def __init__(self, *, limit: int = 2) -> None:
        if limit < 1:
            raise ValueError("at least one base model must fit")
        self._limit = limit
        self._lock = threading.Lock()
        self._models: OrderedDict[tuple[Any, ...], BaseModel] = OrderedDict()

    def get(
        self,
        name_or_path: str,
        *,
        revision: str | None = None,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        name: str | None = None,
    ) -> BaseModel:
        """The loaded model; a second caller waits for the first one's loading. A changed folder is loaded again."""
        key = (name_or_path, folder_state(name_or_path), revision, device, dtype)
        with self._lock:
            if key not in self._models:
                while len(self._models) >= self._limit:
                    self._models.popitem(last=False)
                self._models[key] = load_base_model(
                    name_or_path, revision=revision, device=device, dtype=dtype, name=name
                )
            self._models.move_to_end(key)
            return self._models[key]
