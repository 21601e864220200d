"""The request as the API reads it."""

from typing import IO, Any

from rest_framework.request import Request


class ApiRequest(Request):
    """Also reads a body of unknown length (`Transfer-Encoding: chunked`), which Django takes for none."""

    # sha256 of the body's bytes once it is parsed; None while it is not, and for one that is read as a stream.
    body_digest: bytes | None = None

    @property
    def stream(self) -> IO[bytes] | Any:
        """The body to read, None where there is none."""
        found = super().stream
        return self._chunked() if found is None else found

    def _chunked(self) -> IO[bytes] | None:
        meta = self._request.META
        chunked = meta.get("HTTP_TRANSFER_ENCODING", "").strip().lower() == "chunked"
        # Only a server that says so ends the stream where the body ends.
        return meta["wsgi.input"] if chunked and meta.get("wsgi.input_terminated") else None
