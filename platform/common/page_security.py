"""What a browser may do on our pages: load from this host, and put files into the object store."""

from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponseBase

HEADER: Final = "Content-Security-Policy"


def secure(response: HttpResponseBase) -> None:
    """Tell the browser so. Styles may stand in the page, as the plots' do; scripts may not."""
    response.headers.setdefault(HEADER, _policy())


def _policy() -> str:
    return "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data: blob:",
            "style-src 'self' 'unsafe-inline'",
            f"connect-src 'self' {_origin(settings.S3_PUBLIC_ENDPOINT)}",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
