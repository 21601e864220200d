"""Training at FlanT5-XXL's shape on a GPU, with random weights: what the published weights would cost as well.

Ours: many users in one pass beside a bf16 base, LoRA in float32, as a worker runs it (`training_room` chooses how many
users and tokens). Baselines: plain peft, one user at a time, in bf16 (LoRA in float32 there too) and in float32: a bare
loop with dynamic padding, fused AdamW, clipping and no Trainer around it, its first loss compared with ours. Each round
times a step of ours and a step of theirs in turn. A step of ours is an optimizer step of every user.

FLOPs are those of the frozen model, forward and backward, over the tokens themselves (`training_app.costs`): neither
padding nor LoRA, nor what gradient checkpointing computes again, counts as work done. They are held against the rate
of one large bf16 product measured before and after; the better of the two counts.

    python -m benchmarks.xxl_shape                    # on a GPU: writes benchmarks/results/xxl_shape-<gpu>.json, .md
    python -m benchmarks.xxl_shape --shape tiny --device cpu      # the same code in small, under a minute

`python -m benchmarks` runs the one that suits the machine. Figures of the tiny shape say nothing of the other.
"""

import argparse
import gc
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, T5ForConditionalGeneration

from benchmarks.figures import Figure
from benchmarks.random_models import config_of
from benchmarks.workloads import PairLength, lamp_7_users, texts
from training_app.costs.flops import training_flops
from training_app.costs.lengths import sums_of
from training_app.costs.paper import TASKS, TOKENS_PER_WORD, Words
from training_app.costs.shapes import PUBLISHED, ModelShape
from workers.engine.base_model import BaseModel, wrap
from workers.engine.batches import TokenPair, effective_batches, padded, tokenize_pairs
from workers.engine.hyperparameters import Hyperparameters
from workers.engine.memory import training_room
from workers.engine.optimizer import linear_schedule
from workers.engine.threads import limit_threads
from workers.engine.training import AdapterTrainer, TrainingRequest
from workers.provenance import hardware, versions
from workers.small_models import SMALL_T5

RESULTS = Path(__file__).resolve().parent / "results"
PAPER = Hyperparameters()
WORKLOADS = ("LaMP-2", "LaMP-4", "LaMP-7")
SHAPES = {
    "xxl": PUBLISHED["google/flan-t5-xxl"],
    "tiny": ModelShape(
        d_model=64, d_kv=16, d_ff=160, num_heads=4, num_layers=2, num_decoder_layers=2, vocab_size=2048,
        gated=True, tied=False,
    ),
}  # fmt: skip
# Of the measured bf16 rate, at LaMP-2 lengths.
BOUND = 0.45
# Losses of the first batch: rounding to bf16 in another order.
TOLERANCE = {torch.bfloat16: 0.03, torch.float32: 0.05}

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Settings:
    """`users` in training at once, `rounds` timed after one that is not; `multiplied` is the large product's side."""

    shape: str
    device: str
    users: int
    rank: int
    rounds: int
    baseline_steps: int
    multiplied: int


def settings_for(shape: str, device: str) -> Settings:
    if shape == "xxl":
        return Settings(shape, device, users=64, rank=8, rounds=6, baseline_steps=2, multiplied=8192)
    return Settings(shape, device, users=4, rank=8, rounds=5, baseline_steps=1, multiplied=512)


@dataclass(frozen=True)
class Rate:
    """One way of training at one workload. Tokens are those of the pairs, without padding; `peak_gib` is what
    tensors took at most, the base included, on a GPU only."""

    tokens_per_second: float
    adapters_per_hour: float
    model_tflops_per_second: float
    peak_gib: float | None


@dataclass(frozen=True)
class WorkloadResult:
    """`of_matrix_rate` is ours; ratios are medians over rounds of ours by theirs in tokens a second."""

    workload: str
    tokens_per_adapter: float
    users: int
    pass_tokens: int
    gradient_checkpointing: bool
    ours: Rate
    of_matrix_rate: float
    peft_bf16: Rate
    vs_peft_bf16: float
    peft_float32: Rate | None = None
    vs_peft_float32: float | None = None


def run() -> list[Figure]:
    """On a GPU that holds it the real shape; elsewhere the tiny one, whose figures say so."""
    large_gpu = torch.cuda.is_available() and torch.cuda.get_device_properties(0).total_memory > 60e9
    settings = settings_for("xxl", "cuda") if large_gpu else settings_for("tiny", "cpu")
    result = measure(settings)
    if large_gpu:
        write(result, RESULTS)
    return [_figure(settings, workload) for workload in result["workloads"]]


def _figure(settings: Settings, workload: dict[str, Any]) -> Figure:
    ours, checked = workload["ours"], settings.shape == "xxl"
    return Figure(
        name=f"{settings.shape}_shape_on_{settings.device}_{workload['workload']}_vs_peft",
        ratio=workload["vs_peft_bf16"],
        median=ours["tokens_per_second"],
        unit="tokens/s",
        detail=f"{workload['users']} users; {ours['adapters_per_hour']:.3g} adapters/h, "
        f"{workload['of_matrix_rate']:.1%} of the measured bf16 rate; peft one by one in bf16: "
        f"{workload['peft_bf16']['tokens_per_second']:.4g} tokens/s"
        + ("" if checked else "; a tiny model, no figure of FlanT5-XXL"),
    )


def measure(settings: Settings, *, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Everything, as it is written to the result's file."""
    limit_threads(1)
    shape = SHAPES[settings.shape]
    tokenizer = AutoTokenizer.from_pretrained(str(SMALL_T5))
    workloads = {name: texts(users_of(name, settings.users), tokenizer) for name in WORKLOADS}
    before = matrix_rate(settings, torch.bfloat16)
    say(f"large product: {before / 1e12:.4g} TFLOP/s in bf16")
    model = random_model(shape, dtype=torch.bfloat16, device=settings.device, tokenizer=tokenizer)
    base = wrap(model, tokenizer, name=settings.shape, revision="random", device=settings.device)
    measured = {}
    for name, people in workloads.items():
        measured[name] = _both(base, name, people, settings)
        say(f"{name}: {measured[name][0]}")
    after = matrix_rate(settings, torch.bfloat16)
    rate = max(before, after)
    del model, base
    _forget()
    slow = _PeftLoop.of(shape, torch.float32, settings, tokenizer)
    results = []
    for name, people in workloads.items():
        result, ratios = measured[name]
        result = replace(result, of_matrix_rate=result.ours.model_tflops_per_second * 1e12 / rate)
        alone = _alone(slow, name, people, settings)
        if alone is not None:
            float32, seconds = alone
            result = replace(
                result,
                peft_float32=float32,
                vs_peft_float32=statistics.median(ours / theirs for ours, theirs in zip(ratios, seconds, strict=True)),
            )
            say(f"{name} in float32: {float32}")
        results.append(asdict(result))
    return {
        "command": " ".join(["python -m benchmarks.xxl_shape", *_arguments(settings)]),
        "ran_on_a_gpu": settings.device != "cpu",
        "note": "random weights in FlanT5-XXL's shape"
        if settings.shape == "xxl"
        else "a tiny model: it shows that the code runs, and says nothing of FlanT5-XXL or of a GPU",
        "settings": asdict(settings),
        "parameters": shape.parameters,
        "matrix_rate_tflops": {"before": before / 1e12, "after": after / 1e12},
        "bound": {"of_matrix_rate_at_LaMP-2": BOUND, "applies": settings.shape == "xxl"},
        "workloads": results,
        "hardware": {**hardware(), "torch_cuda": torch.version.cuda},
        "versions": versions(),
    }


def users_of(workload: str, count: int, *, seed: int = 0) -> list[list[PairLength]]:
    """Training pairs as long as the task's, in profiles of the task's mean size (LaMP reference §2, §5)."""
    if workload == "LaMP-7":
        return lamp_7_users(count, seed=seed)
    published, draw = TASKS[workload], Random(seed)
    return [
        [
            PairLength(
                _drawn(published.source, draw, most=PAPER.max_input_tokens),
                _drawn(published.target, draw, most=PAPER.max_output_tokens),
            )
            for _ in range(round(published.profile))
        ]
        for _ in range(count)
    ]


def _drawn(words: Words, draw: Random, *, most: int) -> int:
    """A length in tokens, its end token included."""
    return min(most, max(2, round(draw.gauss(words.mean, words.deviation) * TOKENS_PER_WORD) + 1))


def random_model(shape: ModelShape, *, dtype: torch.dtype, device: str, tokenizer: Any) -> T5ForConditionalGeneration:
    """A T5 of that shape made on the device itself, without a copy anywhere else; no dropout of its own."""
    config = config_of(shape)
    config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = config.decoder_start_token_id = tokenizer.pad_token_id
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
    model = model.to(dtype).to_empty(device=device)
    model.encoder.set_input_embeddings(model.shared)
    model.decoder.set_input_embeddings(model.shared)
    if shape.tied:
        model.lm_head.weight = model.shared.weight
    source = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layer_norm" in name:
                parameter.fill_(1.0)
            else:
                # As T5 is initialized: products neither grow nor vanish, and attention's scores stay small.
                fan_in = parameter.shape[1] * (shape.d_kv if name.endswith(".q.weight") else 1)
                parameter.normal_(0.0, 1.0 if "shared" in name else fan_in**-0.5, generator=source)
    return model.requires_grad_(False)


def matrix_rate(settings: Settings, dtype: torch.dtype) -> float:
    """Operations a second of one large product, the best of several timings."""
    side = settings.multiplied
    left, right = (torch.randn(side, side, device=settings.device).to(dtype) for _ in range(2))
    repeats = 20 if settings.device != "cpu" else 2
    best = 0.0
    for _ in range(5):
        begun = _now(settings.device)
        for _ in range(repeats):
            torch.mm(left, right)
        best = max(best, repeats * 2 * side**3 / (_now(settings.device) - begun))
    return best


@dataclass(frozen=True)
class _Timed:
    """Some steps: seconds, and the tokens and operations of the model in them."""

    seconds: float
    tokens: float
    flops: float

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def _both(
    base: BaseModel, name: str, people: Sequence[Pairs], settings: Settings
) -> tuple[WorkloadResult, list[float]]:
    """Ours and peft in bf16, in turn; the result, and our tokens a second in each round."""
    hyperparameters = replace(PAPER, rank=settings.rank)
    _forget()
    held = _allocated(settings.device)
    room = training_room(base, rank=settings.rank, slots=min(settings.users, len(people)))
    trainer = AdapterTrainer(
        base,
        slots=room.slots,
        rank=settings.rank,
        pass_tokens=room.pass_tokens,
        gradient_checkpointing=room.gradient_checkpointing,
    )
    for seed in range(trainer.slots):
        trainer.start(TrainingRequest(people[seed], hyperparameters, seed))
    held_by_ours = _allocated(settings.device) - held
    theirs = _PeftLoop.beside(base, settings)
    theirs.start(people[0], seed=0)
    ours_timed, theirs_timed, peaks = [], [], [0.0, 0.0]
    for turn in range(settings.rounds + 1):
        own, own_peak = _watched(settings.device, lambda: _step(trainer, settings))
        other, other_peak = _watched(settings.device, lambda: theirs.steps(settings.baseline_steps))
        if turn == 0:
            _assert_close(trainer.learners[0].loss_curve[0], theirs.losses[0], dtype=torch.bfloat16)
            continue
        ours_timed.append(own)
        theirs_timed.append(other)
        peaks = [max(peaks[0], own_peak), max(peaks[1], other_peak - held_by_ours)]
    tokens_per_adapter = _tokens_per_adapter(name, people, base.tokenizer)
    result = WorkloadResult(
        workload=name,
        tokens_per_adapter=tokens_per_adapter,
        users=trainer.slots,
        pass_tokens=trainer.pass_tokens,
        gradient_checkpointing=room.gradient_checkpointing,
        ours=_rate(ours_timed, tokens_per_adapter, peaks[0]),
        of_matrix_rate=0.0,
        peft_bf16=_rate(theirs_timed, tokens_per_adapter, peaks[1]),
        vs_peft_bf16=statistics.median(
            own.rate / other.rate for own, other in zip(ours_timed, theirs_timed, strict=True)
        ),
    )
    return result, [own.rate for own in ours_timed]


def _alone(
    loop: "_PeftLoop", name: str, people: Sequence[Pairs], settings: Settings
) -> tuple[Rate, list[float]] | None:
    """peft one user at a time by itself; None where the device is too small for it."""
    loop.start(people[0], seed=0)
    timed, peak = [], 0.0
    for turn in range(settings.rounds + 1):
        try:
            one, peak_now = _watched(settings.device, lambda: loop.steps(settings.baseline_steps))
        except torch.OutOfMemoryError:
            return None
        if turn:
            timed.append(one)
            peak = max(peak, peak_now)
    return _rate(timed, _tokens_per_adapter(name, people, loop.tokenizer), peak), [one.rate for one in timed]


def _step(trainer: AdapterTrainer, settings: Settings) -> _Timed:
    """One optimizer step of every user."""
    pairs = [pair for learner in trainer.learners for pair in learner.batch()]
    begun = _now(settings.device)
    trainer.step()
    return _timed(pairs, _now(settings.device) - begun, settings)


def _timed(pairs: Sequence[TokenPair], seconds: float, settings: Settings) -> _Timed:
    tokens = sums_of((len(pair.source), len(pair.target)) for pair in pairs)
    flops = training_flops(SHAPES[settings.shape], rank=settings.rank, tokens=tokens)
    return _Timed(seconds, tokens.tokens, flops.forward + flops.backward)


def _rate(timed: Sequence[_Timed], tokens_per_adapter: float, peak: float) -> Rate:
    """Over all rounds together, as partial batches come as often in them as in a training."""
    seconds = sum(one.seconds for one in timed)
    tokens = sum(one.tokens for one in timed) / seconds
    return Rate(
        tokens_per_second=tokens,
        adapters_per_hour=3600 * tokens / tokens_per_adapter,
        model_tflops_per_second=sum(one.flops for one in timed) / seconds / 1e12,
        peak_gib=peak or None,
    )


def _tokens_per_adapter(name: str, people: Sequence[Pairs], tokenizer: Any) -> float:
    """Of a user with the task's mean profile, trained as the paper does."""
    tokens = _tokenized([pair for pairs in people for pair in pairs], tokenizer)
    mean = statistics.mean(len(pair.source) + len(pair.target) for pair in tokens)
    return TASKS[name].profile * PAPER.epochs * mean


def _tokenized(pairs: Pairs, tokenizer: Any) -> list[TokenPair]:
    return tokenize_pairs(
        tokenizer, pairs, max_input_tokens=PAPER.max_input_tokens, max_output_tokens=PAPER.max_output_tokens
    )


class _PeftLoop:
    """Plain peft: one user's adapter beside a model that is wrapped once."""

    def __init__(self, model: Any, tokenizer: Any, settings: Settings) -> None:
        self.tokenizer = tokenizer
        self._settings = settings
        self._hyperparameters = replace(PAPER, rank=settings.rank)
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=PAPER.alpha,
            lora_dropout=PAPER.dropout,
            target_modules=["q", "k", "v"],
            task_type="SEQ_2_SEQ_LM",
        )
        self._model = get_peft_model(model, config).train()
        self._parameters = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self.losses: list[float] = []
        self._batches: Iterator[list[TokenPair]] = iter(())
        self._total = self._done = 0

    @classmethod
    def beside(cls, base: BaseModel, settings: Settings) -> "_PeftLoop":
        """On the base model's own weights, in modules of its own."""
        with torch.device("meta"):
            model = T5ForConditionalGeneration(base.model.config)
        model.load_state_dict(base.model.state_dict(), assign=True)
        return cls(model.requires_grad_(False), base.tokenizer, settings)

    @classmethod
    def of(cls, shape: ModelShape, dtype: torch.dtype, settings: Settings, tokenizer: Any) -> "_PeftLoop":
        """On weights of its own in another precision."""
        model = random_model(shape, dtype=dtype, device=settings.device, tokenizer=tokenizer)
        return cls(model, tokenizer, settings)

    def start(self, pairs: Pairs, *, seed: int) -> None:
        """A new user; A keeps the values of the one before, which changes nothing of what is timed."""
        self._model.train()
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                if "lora_B" in name:
                    parameter.zero_()
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=PAPER.learning_rate, weight_decay=PAPER.weight_decay, fused=True
        )
        tokens = _tokenized(pairs, self.tokenizer)
        self._total = PAPER.epochs * -(-len(tokens) // PAPER.batch_size)
        self._batches = (
            [tokens[index] for index in chosen]
            for epoch in range(PAPER.epochs)
            for chosen in effective_batches(len(tokens), size=PAPER.batch_size, seed=seed, epoch=epoch)
        )
        self.losses, self._done = [], 0

    def steps(self, count: int) -> _Timed:
        """The next optimizer steps."""
        batches = [next(self._batches) for _ in range(count)]
        device = self._settings.device
        begun = _now(device)
        losses = [self._step(batch, device) for batch in batches]
        seconds = _now(device) - begun
        self.losses += [loss.item() for loss in losses]
        return _timed([pair for batch in batches for pair in batch], seconds, self._settings)

    def _step(self, batch: Sequence[TokenPair], device: str) -> torch.Tensor:
        ids, mask = padded([pair.source for pair in batch], pad=self.tokenizer.pad_token_id)
        labels, _ = padded([pair.target for pair in batch], pad=-100)
        loss = self._model(input_ids=ids.to(device), attention_mask=mask.to(device), labels=labels.to(device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, PAPER.max_grad_norm)
        for group in self._optimizer.param_groups:
            factor = linear_schedule(self._done, total=self._total, warmup_ratio=PAPER.warmup_ratio)
            group["lr"] = PAPER.learning_rate * factor
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._done += 1
        return loss.detach()


def _assert_close(ours: float, theirs: float, *, dtype: torch.dtype) -> None:
    """The first loss is that of the base model: both must see the same batch and compute the same."""
    if abs(ours - theirs) > TOLERANCE[dtype] * abs(theirs):
        raise AssertionError(f"the first batch's loss is {ours:.4f} here and {theirs:.4f} with peft")


def _watched(device: str, call: Callable[[], _Timed]) -> tuple[_Timed, float]:
    """What `call` gives, and the most memory in GiB that tensors took meanwhile (0 on a CPU)."""
    if device == "cpu":
        return call(), 0.0
    torch.cuda.reset_peak_memory_stats(device)
    result = call()
    return result, torch.cuda.max_memory_allocated(device) / 2**30


def _allocated(device: str) -> float:
    """GiB that tensors take now (0 on a CPU)."""
    return 0.0 if device == "cpu" else torch.cuda.memory_allocated(device) / 2**30


def _now(device: str) -> float:
    """Seconds, when all that was asked of the device is done."""
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _forget() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _arguments(settings: Settings) -> list[str]:
    return ["--shape", settings.shape, "--device", settings.device, "--users", str(settings.users),
            "--rank", str(settings.rank), "--rounds", str(settings.rounds)]  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """The result in Markdown."""
    found, note = result["hardware"], result["note"]
    where = found["accelerator"] if result["ran_on_a_gpu"] else f"a CPU ({found['processor']})"
    lines = [
        f"# Training in the {result['settings']['shape']} shape on {where}",
        "",
        f"{note[0].upper()}{note[1:]}. Made by `{result['command']}`; torch {result['versions']['torch']}, "
        f"transformers {result['versions']['transformers']}, peft {result['versions']['peft']}. "
        f"Large bf16 product: {max(result['matrix_rate_tflops'].values()):.4g} TFLOP/s.",
        "",
        "| lengths | trained by | tokens/s | adapters/hour | TFLOP/s | of the bf16 rate | peak GiB | ours / theirs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rate = max(result["matrix_rate_tflops"].values())
    for workload in result["workloads"]:
        ways = [
            (f"ours, {workload['users']} users a pass", workload["ours"], None),
            ("peft, one by one, bf16", workload["peft_bf16"], workload["vs_peft_bf16"]),
            ("peft, one by one, float32", workload["peft_float32"], workload["vs_peft_float32"]),
        ]
        for way, measured, ratio in ways:
            if measured is None:
                lines.append(f"| {workload['workload']} | {way} | does not fit | | | | | |")
                continue
            peak = "–" if measured["peak_gib"] is None else f"{measured['peak_gib']:.1f}"
            lines.append(
                f"| {workload['workload']} | {way} | {measured['tokens_per_second']:.4g} "
                f"| {measured['adapters_per_hour']:.3g} | {measured['model_tflops_per_second']:.4g} "
                f"| {measured['model_tflops_per_second'] / rate:.1%} | {peak} | {f'{ratio:.2f}×' if ratio else ''} |"
            )
    return "\n".join(lines) + "\n"


def write(result: dict[str, Any], folder: Path) -> Path:
    """Keep a result as JSON and as a table; the name says the shape and the device."""
    device = result["hardware"].get("accelerator", "gpu") if result["ran_on_a_gpu"] else "cpu"
    name = re.sub(r"[^a-z0-9]+", "-", f"{result['settings']['shape']}-{device}".lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"xxl_shape-{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table(result), encoding="utf-8")
    return path


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xxl_shape", description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="xxl")
    parser.add_argument("--device", help="default: cuda for xxl, cpu for tiny")
    for name in ("users", "rank", "rounds"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result (default benchmarks/results)")
    options = parser.parse_args(arguments)
    device = options.device or ("cuda" if options.shape == "xxl" else "cpu")
    if device != "cpu" and not torch.cuda.is_available():
        print("This machine has no GPU that torch can use; see docs/gpu.md, or try --shape tiny.", file=sys.stderr)
        return 2
    given = {name: getattr(options, name) for name in ("users", "rank", "rounds") if getattr(options, name)}
    result = measure(replace(settings_for(options.shape, device), **given), say=lambda text: print(text, flush=True))
    path = write(result, options.out)
    print(table(result))
    print(f"Written to {path} and {path.with_suffix('.md').name}")
    reached = next(one["of_matrix_rate"] for one in result["workloads"] if one["workload"] == "LaMP-2")
    if result["bound"]["applies"] and reached < BOUND:
        print(f"LaMP-2 reaches {reached:.1%} of the measured rate, and {BOUND:.0%} is asked for.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
