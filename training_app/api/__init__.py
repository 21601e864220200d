"""The endpoints of generations and adapters."""
