"""The version of the engine's arithmetic, a part of every adapter's and run's identity."""

# Raised whenever `workers.engine` would make other bytes of the same inputs.
ENGINE_VERSION = "3"
