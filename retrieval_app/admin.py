"""Encoders in the admin; vectors are never shown."""

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from retrieval_app.models import Encoder


@admin.register(Encoder)
class EncoderAdmin(ReadOnlyAdmin):
    list_display = ["name", "revision", "dimension", "created_at"]
    search_fields = ["name"]
