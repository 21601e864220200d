"""Generations over HTTP: what `auto` goes by, how many may wait, how long answers are kept."""

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env

# Prompts are cut to so many tokens.
GENERATION_INPUT_TOKENS: int = env.int("GENERATION_INPUT_TOKENS", default=512)

# `auto` retrieves from a profile of so many documents or more, and uses the user's adapter beside it where the profile
# has so many. Below, what an adapter has learned helps less than it may harm (the paper's figure 1).
AUTO_RAG_DOCUMENTS: int = env.int("AUTO_RAG_DOCUMENTS", default=1)
AUTO_ADAPTER_DOCUMENTS: int = env.int("AUTO_ADAPTER_DOCUMENTS", default=50)

# How many requests of one web process may wait for answers at a time. Fewer than it has threads, so that others are
# served meanwhile; whoever comes beyond is told where the answer will be.
WAITING_REQUESTS: int = env.int("WAITING_REQUESTS", default=32)

# Prompts, inputs and outputs that clients asked for are deleted so long after they ended; 0 keeps them.
GENERATION_RETENTION_DAYS: float = env.float("GENERATION_RETENTION_DAYS", default=30.0)

if not 1 <= GENERATION_INPUT_TOKENS <= 100_000:
    raise ImproperlyConfigured(f"GENERATION_INPUT_TOKENS must be between 1 and 100,000, not {GENERATION_INPUT_TOKENS}.")
if AUTO_RAG_DOCUMENTS < 1 or AUTO_ADAPTER_DOCUMENTS < 1:
    raise ImproperlyConfigured("AUTO_RAG_DOCUMENTS and AUTO_ADAPTER_DOCUMENTS must be 1 or more.")
if WAITING_REQUESTS < 0:
    raise ImproperlyConfigured(f"WAITING_REQUESTS must not be negative: {WAITING_REQUESTS}.")
if not 0 <= GENERATION_RETENTION_DAYS < float("inf"):
    raise ImproperlyConfigured(f"GENERATION_RETENTION_DAYS must not be negative: {GENERATION_RETENTION_DAYS}.")
