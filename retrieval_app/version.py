"""The version of retrieval and prompts, a part of every run's identity that retrieves."""

# Raised whenever the same profile and input would give other documents, another order or another prompt.
RETRIEVAL_VERSION = "1"
