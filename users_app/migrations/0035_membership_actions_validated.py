"""The constraint of 0034 holds for the entries that were there before, too."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("users_app", "0034_memberships_in_the_audit_log")]

    operations = [ValidateConstraint(model_name="auditentry", name="audit_action_is_known")]
