"""What adapters cost: floating-point operations, GPU hours, energy, CO₂e and storage, from shapes and lengths alone.

Pure Python: nothing here loads a model, so that web pages can use it too. docs/costs.md explains and tests it.
"""
