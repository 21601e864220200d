"""How the platform says how it is: health, readiness and metrics (decision 23)."""
