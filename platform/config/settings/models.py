"""Models and the bounds of what a worker keeps in memory."""

from config.settings.environment import env

# "small" names the models kept in the repo; any other name is a hub name (optionally NAME@REVISION) or a folder.
# The paper's are google/flan-t5-xxl and facebook/contriever.
DEFAULT_BASE_MODEL: str = env.str("DEFAULT_BASE_MODEL", default="small")
DEFAULT_ENCODER: str = env.str("DEFAULT_ENCODER", default="facebook/contriever")
MODEL_DEVICE: str = env.str("MODEL_DEVICE", default="cpu")
MODEL_THREADS: int = env.int("MODEL_THREADS", default=1)

BM25_CACHE_BYTES: int = env.int("BM25_CACHE_BYTES", default=256 * 2**20)
ADAPTER_CACHE_BYTES: int = env.int("ADAPTER_CACHE_BYTES", default=512 * 2**20)
