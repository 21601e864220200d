"""Models and the bounds of what a worker keeps in memory."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# "small" names the models kept in the repo; any other name is a hub name (optionally NAME@REVISION) or a folder.
# The paper's are google/flan-t5-xxl and facebook/contriever.
DEFAULT_BASE_MODEL: str = env.str("DEFAULT_BASE_MODEL", default="small")
DEFAULT_ENCODER: str = env.str("DEFAULT_ENCODER", default="facebook/contriever")
# What the training of a selector begins from; with the small base model it is the small encoder.
DEFAULT_SELECTOR_ENCODER: str = env.str("DEFAULT_SELECTOR_ENCODER", default="allenai/longformer-base-4096")
MODEL_DEVICE: str = env.str("MODEL_DEVICE", default="cpu")
MODEL_THREADS: int = env.int("MODEL_THREADS", default=1)

BM25_CACHE_BYTES: int = env.int("BM25_CACHE_BYTES", default=256 * 2**20)
ADAPTER_CACHE_BYTES: int = env.int("ADAPTER_CACHE_BYTES", default=512 * 2**20)

# How many users' adapters a worker trains in one pass at most; a GPU takes as many of them as its memory holds.
TRAINING_SLOTS: int = env.int("TRAINING_SLOTS", default=16)
# What an adapter's values are stored in. Exact mode stores float32 whatever this says.
ADAPTER_DTYPE: str = env.str("ADAPTER_DTYPE", default="bfloat16")
# A training is kept as it stands this often, so that a killed worker's users go on from there.
CHECKPOINT_SECONDS: float = env.float("CHECKPOINT_SECONDS", default=60.0)

if not 1 <= TRAINING_SLOTS <= 1024:
    raise ImproperlyConfigured(f"TRAINING_SLOTS must be between 1 and 1024, not {TRAINING_SLOTS}.")
if ADAPTER_DTYPE not in ("bfloat16", "float32"):
    raise ImproperlyConfigured(f"ADAPTER_DTYPE must be bfloat16 or float32, not {ADAPTER_DTYPE!r}.")
if not 0 < CHECKPOINT_SECONDS < float("inf"):
    raise ImproperlyConfigured(f"CHECKPOINT_SECONDS must be positive, not {CHECKPOINT_SECONDS}.")
