"""A license-free LaMP: seeded synthetic users whose traits decide the answers where the input alone cannot."""

from lamp.synthetic.benchmark import DEFAULT_DRIFT, DEFAULT_MANNERS, DEFAULT_STRENGTH, TRAINING_SEEDS, generate
from lamp.synthetic.population import RECIPES

SYNTHETIC_TASKS = tuple(RECIPES)

__all__ = ["DEFAULT_DRIFT", "DEFAULT_MANNERS", "DEFAULT_STRENGTH", "SYNTHETIC_TASKS", "TRAINING_SEEDS", "generate"]
