"""What the web process serves, and how it is locked down."""

from importlib.util import find_spec

from django.templatetags.static import static

from config.settings.environment import VAR_DIR, env
from config.settings.secret import secret_key

DEBUG: bool = env.bool("DEBUG", default=False)
SECRET_KEY: str = env.str("SECRET_KEY", default="") or secret_key(VAR_DIR)
# Earlier keys, while what they signed is still about.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

ROOT_URLCONF = "config.urls"
LOGIN_REDIRECT_URL = "home"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

MIDDLEWARE = [
    "common.api.request_ids.RequestIdMiddleware",
    "common.monitoring.requests.RequestMeasures",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
CSRF_FAILURE_VIEW = "common.api.handling.csrf_failure"

# The first counts attempts, the second knows people.
AUTHENTICATION_BACKENDS = ["users_app.login_limits.LimitedLogins", "django.contrib.auth.backends.ModelBackend"]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
# How times are written: the language's own way takes three lines of a column.
FORMAT_MODULE_PATH = "config.formats"

STATIC_URL = "static/"
# The plots' library comes with its wheel, whose Python part is not needed for it.
_plotly_folders = getattr(find_spec("plotly"), "submodule_search_locations", [])
STATICFILES_DIRS = [("plotly", f"{folder}/package_data") for folder in _plotly_folders]
# Where `collectstatic` puts them, if it is used, and whence they are served then, compressed beforehand. By default
# they are served from the apps' own folders.
STATIC_ROOT: str | None = env.str("STATIC_ROOT", default=None)
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if STATIC_ROOT is None
        else "whitenoise.storage.CompressedStaticFilesStorage"
    },
}

# Behind TLS (production), set HTTPS=1: cookies and redirects then insist on it.
HTTPS: bool = env.bool("HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
# Whoever watches asks the process itself, over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
# How long a browser that has been here once takes this host, and those below it, by https alone.
SECURE_HSTS_SECONDS: int = env.int("HSTS_SECONDS", default=31_536_000) if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
# Browsers' own lists of hosts are for whoever owns the whole domain, for good: never asked for by default, and missing
# it is no fault.
SECURE_HSTS_PRELOAD: bool = HTTPS and env.bool("HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

UNFOLD = {
    "SITE_TITLE": "Lamppost",
    "SITE_HEADER": "Lamppost",
    "SITE_SUBHEADER": "Administration",
    "SITE_ICON": lambda request: static("common/lamppost.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("common/lamppost.svg")},
    ],
    "DASHBOARD_CALLBACK": "jobs.admin.dashboard",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "8px",
    # The pages' blue.
    "COLORS": {
        "primary": {
            "50": "#f1f5fe",
            "100": "#e4ecfd",
            "200": "#c6d7fb",
            "300": "#a6c1f8",
            "400": "#8fb4ff",
            "500": "#5b86e5",
            "600": "#2456c8",
            "700": "#1e48a8",
            "800": "#1b3b86",
            "900": "#1a3168",
            "950": "#121f42",
        },
    },
    "SIDEBAR": {"show_search": True, "navigation": "config.admin_navigation.navigation"},
}
