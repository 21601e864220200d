"""A finished generation as OpenAI's API writes it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from retrieval_app.chosen import Chosen
from retrieval_app.retrievers import RSPG_POST
from training_app.engine_version import ENGINE_VERSION
from training_app.models import Generation

DONE: Final = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Form:
    """What of an answer differs between completions and chat completions."""

    id_prefix: str
    object: str
    chunk_object: str
    chat: bool

    def whole(self, generation: Generation, *, chosen: Chosen | None) -> dict[str, Any]:
        """The answer that is not streamed; `chosen` is what a selector chose for it."""
        text = generation.output or ""
        content: dict[str, Any] = (
            {"message": {"role": "assistant", "content": text, "refusal": None}} if self.chat else {"text": text}
        )
        return {
            **self._head(generation, self.object),
            "choices": [_choice(content, finish_reason(generation))],
            "usage": usage(generation),
            "lamppost": _how(generation, chosen),
        }

    def opening(self, generation: Generation) -> Iterator[bytes]:
        """What can be streamed before there is a text."""
        if self.chat:
            delta = {"delta": {"role": "assistant", "content": ""}}
            yield _event({**self._head(generation, self.chunk_object), "choices": [_choice(delta, None)]})

    def closing(self, generation: Generation, *, chosen: Chosen | None, with_usage: bool) -> Iterator[bytes]:
        """The text, whole, and the end of the stream: beam search knows no word before it knows them all."""
        text = generation.output or ""
        content = {"delta": {"content": text}} if self.chat else {"text": text}
        head = self._head(generation, self.chunk_object)
        chunk = {**head, "choices": [_choice(content, finish_reason(generation))], "lamppost": _how(generation, chosen)}
        yield _event({**chunk, "usage": None} if with_usage else chunk)
        if with_usage:
            yield _event({**head, "choices": [], "usage": usage(generation)})
        yield DONE

    def _head(self, generation: Generation, kind: str) -> dict[str, Any]:
        return {
            "id": f"{self.id_prefix}-{generation.pk}",
            "object": kind,
            "created": int(generation.created_at.timestamp()),
            "model": generation.base_model.public_name,
            "system_fingerprint": fingerprint(generation),
        }


COMPLETION: Final = Form("cmpl", "text_completion", "text_completion", chat=False)
CHAT: Final = Form("chatcmpl", "chat.completion", "chat.completion.chunk", chat=True)


def finish_reason(generation: Generation) -> str:
    """ "length" where the answer has as many tokens as it was allowed, else "stop".

    Of RSPG-Post the tokens of all candidates are known together: "length" where each must have been cut.
    """
    generated = len(generation.candidate_scores or [0]) if generation.retriever == RSPG_POST else 1
    allowed = generated * generation.parameters["max_output_tokens"]
    return "length" if (generation.output_tokens or 0) >= allowed else "stop"


def usage(generation: Generation) -> dict[str, int]:
    """Tokens of the whole prompt, the user's documents included, and of the answer; of RSPG-Post, of all candidates."""
    read, written = generation.input_tokens or 0, generation.output_tokens or 0
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def fingerprint(generation: Generation) -> str:
    """Equal as long as the base model and the engine are."""
    base_model = generation.base_model
    made_by = f"{base_model.name}@{base_model.revision}|{generation.parameters['dtype']}|{ENGINE_VERSION}"
    return f"fp_{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"


def error_event(error: dict[str, Any]) -> bytes:
    """An error that comes when the answer has begun already."""
    return _event(error)


def _choice(content: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, **content, "logprobs": None, "finish_reason": reason}


def _how(generation: Generation, chosen: Chosen | None) -> dict[str, Any]:
    """How the answer came about; what else is known of it `GET /api/v1/generations/{id}` says."""
    return {
        "generation_id": generation.pk,
        "task": generation.task,
        "method": generation.family,
        "reason": generation.reason,
        "adapter_id": generation.adapter_id,
        "selection": None if chosen is None else asdict(chosen),
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
