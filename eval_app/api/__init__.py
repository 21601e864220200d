"""Datasets and experiments over HTTP: uploads, imports, experiments with their tables, runs and what they answered."""
