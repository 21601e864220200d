"""PostgreSQL with pgvector, Redis and an S3 server out of pip-installed wheels, with their data in one folder."""
