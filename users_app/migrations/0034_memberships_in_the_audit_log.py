"""Who is a member is recorded, too."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('users_app', '0033_choices_of_serving_in_the_audit_log'),
    ]

    safe_because = {"ban-drop-constraint": "It is there again, and wider, before the transaction ends."}

    operations = [
        migrations.RemoveConstraint(
            model_name='auditentry',
            name='audit_action_is_known',
        ),
        migrations.AlterField(
            model_name='auditentry',
            name='action',
            field=models.CharField(choices=[('end_user.exported', 'an end user was exported'), ('end_user.erased', 'an end user was erased'), ('document.erased', 'a document was erased'), ('api_key.created', 'an API key was made'), ('api_key.revoked', 'an API key was revoked'), ('import.started', 'an import was asked for'), ('dataset.deleted', "a dataset's deletion was asked for"), ('membership.changed', 'somebody became a member, got another role, or is none any more'), ('quota.changed', 'a quota was changed'), ('shared_training.changed', 'whose data shared models learn from was changed'), ('agreement.changed', 'an end user agreed to shared training, or no longer does'), ('trained_model.withdrawn', 'a selector or fine-tuned encoder was withdrawn'), ('retraining_policy.created', 'a retraining policy was made'), ('retraining_policy.changed', 'a retraining policy was changed'), ('retraining_policy.deleted', 'a retraining policy was deleted'), ('retraining.asked', 'somebody asked for a retraining sweep'), ('retraining.cancelled', 'a retraining sweep was cancelled'), ('serving.chosen', 'somebody chose which adapter serves an end user'), ('webhook.created', 'a webhook was made'), ('webhook.changed', 'a webhook was changed or given a new secret'), ('webhook.deleted', 'a webhook was deleted')], max_length=40),
        ),
        AddConstraintNotValid(
            model_name='auditentry',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['end_user.exported', 'end_user.erased', 'document.erased', 'api_key.created', 'api_key.revoked', 'import.started', 'dataset.deleted', 'membership.changed', 'quota.changed', 'shared_training.changed', 'agreement.changed', 'trained_model.withdrawn', 'retraining_policy.created', 'retraining_policy.changed', 'retraining_policy.deleted', 'retraining.asked', 'retraining.cancelled', 'serving.chosen', 'webhook.created', 'webhook.changed', 'webhook.deleted'])), name='audit_action_is_known'),
        ),
    ]
