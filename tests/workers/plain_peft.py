"""Stored adapters in the hands of somebody who has `peft` and `transformers` and nothing of ours."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from workers.small_models import SMALL_T5

_SCRIPT = textwrap.dedent(
    """
    import json, sys
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    asked = json.load(sys.stdin)
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(asked["base"])
    prompt = tokenizer(asked["prompt"], return_tensors="pt")
    answers = []
    for folder in [None, *asked["folders"]]:
        model = AutoModelForSeq2SeqLM.from_pretrained(asked["base"])
        if folder is not None:
            model = PeftModel.from_pretrained(model, folder)
            stored, loaded = load_file(folder + "/adapter_model.safetensors"), get_peft_model_state_dict(model)
            assert stored and stored.keys() == loaded.keys()
            assert all(torch.equal(stored[name].float(), loaded[name].float()) for name in stored)
        with torch.inference_mode():
            made = model.eval().generate(**prompt, **asked["search"])[0, 1:]
        text = tokenizer.decode(made, skip_special_tokens=True)
        answers.append([text, int((made != model.config.pad_token_id).sum())])
    print(json.dumps(answers))
    assert not any(name.split(".")[0] in ("workers", "django", "training_app") for name in sys.modules)
    """
)


class PlainAnswer(NamedTuple):
    """An output and how many tokens it has, its end token included."""

    text: str
    tokens: int


def answers_in_plain_peft(folders: Sequence[Path], *, prompt: str, search: Mapping[str, int]) -> list[PlainAnswer]:
    """What a fresh process answers: by the small base model alone, then by each adapter's folder.

    It also finds every stored tensor in the loaded model, and no other.
    """
    asked = {
        "base": str(SMALL_T5),
        "folders": [str(folder) for folder in folders],
        "prompt": prompt,
        "search": dict(search),
    }
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folders[0],
        env={"PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [PlainAnswer(*answer) for answer in json.loads(done.stdout)]
