"""How gunicorn is told to behave (`gunicorn --config python:config.gunicorn_options`), wherever it runs."""

logger_class = "common.logs.gunicorn.QuietLogger"
