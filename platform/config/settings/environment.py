"""Where settings come from: the process environment first, then the servers that `manage.py stack up` recorded."""

from pathlib import Path

import environ

from embedded import stack

BASE_DIR = Path(__file__).resolve().parents[3]

env = environ.Env()

VAR_DIR = Path(env.str("LAMPPOST_VAR", default=str(BASE_DIR / "var")))

# What stands in for a server nobody named: port 9 (discard) refuses at once, and the name says what to do.
_NOWHERE = stack.Endpoints(
    database_url="postgres://run-manage.py-stack-up:@127.0.0.1:9/lamppost",
    broker_url="redis://127.0.0.1:9/0",
    s3_endpoint="http://127.0.0.1:9",
    s3_access_key="",
    s3_secret_key="",
)

embedded_endpoints: stack.Endpoints = stack.recorded(VAR_DIR) or _NOWHERE
