"""What every part of the API shares and what knows no app: problems, parsing, pages, idempotency, event streams."""
