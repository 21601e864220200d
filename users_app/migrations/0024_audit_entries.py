import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

KEEP_ENTRIES = """
    CREATE FUNCTION users_app_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            -- Erasing a person is all that may change an entry.
            OLD.end_user_id := NULL;
            IF NEW IS NOT DISTINCT FROM OLD THEN
                RETURN NEW;
            END IF;
        ELSIF current_setting('lamppost.forget_audit', true) = 'on'
           OR NOT EXISTS (SELECT FROM users_app_workspace WHERE id = OLD.workspace_id) THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'audit entries are neither changed nor deleted' USING ERRCODE = 'restrict_violation';
    END $$;
    CREATE TRIGGER users_app_keep_audit BEFORE UPDATE OR DELETE ON users_app_auditentry
        FOR EACH ROW EXECUTE FUNCTION users_app_keep_audit();
    CREATE FUNCTION users_app_forget_audit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM users_app_auditentry WHERE workspace_id IN (SELECT id FROM gone);
        RETURN NULL;
    END $$;
    CREATE TRIGGER users_app_forget_audit AFTER DELETE ON users_app_workspace
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION users_app_forget_audit();
"""
KEEP_NO_ENTRIES = """
    DROP TRIGGER users_app_forget_audit ON users_app_workspace;
    DROP FUNCTION users_app_forget_audit();
    DROP TRIGGER users_app_keep_audit ON users_app_auditentry;
    DROP FUNCTION users_app_keep_audit();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('users_app', '0023_quotas'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('action', models.CharField(choices=[('end_user.exported', 'an end user was exported'), ('end_user.erased', 'an end user was erased'), ('document.erased', 'a document was erased'), ('api_key.created', 'an API key was made'), ('api_key.revoked', 'an API key was revoked'), ('import.started', 'an import was asked for'), ('quota.changed', 'a quota was changed')], max_length=40)),
                ('actor', models.CharField(choices=[('api_key', 'a program, by its API key'), ('staff', 'a member of staff, in the admin'), ('command', 'whoever ran a command'), ('installation', 'the installation by itself')], max_length=20)),
                ('actor_name', models.CharField(blank=True, max_length=150)),
                ('key_prefix', models.CharField(blank=True, max_length=20)),
                ('staff_id', models.BigIntegerField(blank=True, null=True)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('subject', models.CharField(blank=True, max_length=300)),
                ('details', models.JSONField(blank=True, default=dict)),
                ('end_user', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='audit_entries', to='users_app.enduser')),
                ('workspace', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='audit_entries', to='users_app.workspace')),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['workspace', '-at', '-id'], name='audit_by_workspace'), models.Index(fields=['at'], name='audit_by_age'), models.Index(condition=models.Q(('end_user__isnull', False)), fields=['end_user'], name='audit_by_end_user')],
                'constraints': [models.CheckConstraint(condition=models.Q(('action__in', ['end_user.exported', 'end_user.erased', 'document.erased', 'api_key.created', 'api_key.revoked', 'import.started', 'quota.changed'])), name='audit_action_is_known'), models.CheckConstraint(condition=models.Q(models.Q(('actor', 'api_key'), ('staff_id__isnull', True), models.Q(('key_prefix', ''), _negated=True)), models.Q(('actor', 'staff'), ('key_prefix', ''), ('staff_id__isnull', False)), models.Q(('actor__in', ['command', 'installation']), ('key_prefix', ''), ('staff_id__isnull', True)), _connector='OR'), name='audit_actor_is_known')],
            },
        ),
        migrations.RunSQL(KEEP_ENTRIES, KEEP_NO_ENTRIES),
    ]
