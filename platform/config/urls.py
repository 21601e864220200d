"""Where each address leads."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from common.api.documentation import documentation, openapi_json

_API: list[URLPattern | URLResolver] = [
    path("openapi.json", openapi_json, name="openapi"),
    path("docs/", documentation, name="documentation"),
    path("", include("users_app.api.urls")),
    path("", include("training_app.api.urls")),
    path("", include("eval_app.api.urls")),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("common.monitoring.urls")),
    path("", include("users_app.views.urls")),
    path("w/<slug:workspace>/", include("training_app.views.urls")),
    path("w/<slug:workspace>/", include("eval_app.views.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include(_API)),
    path("v1/", include("training_app.api.openai_shaped.urls")),
]

handler400 = "common.api.handling.bad_request"
handler403 = "common.api.handling.permission_denied"
handler404 = "common.api.handling.page_not_found"
handler500 = "common.api.handling.server_error"
