from django.db import migrations, models

# One statement for all rows of a statement, so that an import costs little more than before. End users are deleted
# after their documents, so whose these were can still be read. Documents never change.
COUNT_DOCUMENTS = """
    CREATE FUNCTION users_app_count_documents() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO users_app_usage (workspace_id, what, amount)
        SELECT u.workspace_id, counted.what, sum(CASE TG_OP WHEN 'DELETE' THEN -counted.amount ELSE counted.amount END)
          FROM (SELECT end_user_id, count(*) AS documents, sum(octet_length(fields::text)) AS bytes
                  FROM changed GROUP BY end_user_id) AS own
          JOIN users_app_enduser u ON u.id = own.end_user_id
         CROSS JOIN LATERAL (VALUES ('documents', own.documents), ('bytes', own.bytes)) AS counted (what, amount)
         GROUP BY u.workspace_id, counted.what;
        RETURN NULL;
    END $$;
    CREATE TRIGGER users_app_count_new_documents AFTER INSERT ON users_app_document
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION users_app_count_documents();
    CREATE TRIGGER users_app_count_deleted_documents AFTER DELETE ON users_app_document
        REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION users_app_count_documents();
"""
COUNT_NO_DOCUMENTS = """
    DROP TRIGGER users_app_count_new_documents ON users_app_document;
    DROP TRIGGER users_app_count_deleted_documents ON users_app_document;
    DROP FUNCTION users_app_count_documents();
"""
# Django deletes a workspace after everything in it.
FORGET_USAGE = """
    CREATE FUNCTION users_app_forget_usage() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM users_app_usage WHERE workspace_id IN (SELECT id FROM gone);
        RETURN NULL;
    END $$;
    CREATE TRIGGER users_app_forget_usage AFTER DELETE ON users_app_workspace
        REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION users_app_forget_usage();
"""
KEEP_USAGE = """
    DROP TRIGGER users_app_forget_usage ON users_app_workspace;
    DROP FUNCTION users_app_forget_usage();
"""
# Making the triggers has locked the table until this transaction ends: nothing is counted twice or left out.
COUNT_WHAT_STANDS = """
    INSERT INTO users_app_usage (workspace_id, what, amount)
    SELECT u.workspace_id, counted.what, sum(counted.amount)
      FROM (SELECT end_user_id, count(*) AS documents, sum(octet_length(fields::text)) AS bytes
              FROM users_app_document GROUP BY end_user_id) AS own
      JOIN users_app_enduser u ON u.id = own.end_user_id
     CROSS JOIN LATERAL (VALUES ('documents', own.documents), ('bytes', own.bytes)) AS counted (what, amount)
     GROUP BY u.workspace_id, counted.what
"""


class Migration(migrations.Migration):

    dependencies = [
        ('users_app', '0022_webhooks'),
    ]

    operations = [
        migrations.AddField(
            model_name='workspace',
            name='quota_adapters',
            field=models.PositiveBigIntegerField(blank=True, help_text='Empty: as the installation has it.', null=True),
        ),
        migrations.AddField(
            model_name='workspace',
            name='quota_bytes',
            field=models.PositiveBigIntegerField(blank=True, help_text='Empty: as the installation has it.', null=True),
        ),
        migrations.AddField(
            model_name='workspace',
            name='quota_documents',
            field=models.PositiveBigIntegerField(blank=True, help_text='Empty: as the installation has it.', null=True),
        ),
        migrations.AddField(
            model_name='workspace',
            name='quota_generations_a_day',
            field=models.PositiveBigIntegerField(blank=True, help_text='Empty: as the installation has it.', null=True),
        ),
        migrations.CreateModel(
            name='Usage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('workspace_id', models.BigIntegerField()),
                ('what', models.CharField(choices=[('documents', 'documents'), ('adapters', 'adapters'), ('bytes', 'bytes of documents and adapters'), ('generations_a_day', 'generations a day (UTC)')], max_length=20)),
                ('day', models.DateField(null=True)),
                ('amount', models.BigIntegerField()),
            ],
            options={
                'verbose_name_plural': 'usage',
                'indexes': [models.Index(fields=['workspace_id', 'what', 'day'], include=('amount',), name='usage_by_workspace')],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('day__isnull', True), ('what__in', ['documents', 'adapters', 'bytes'])), models.Q(('day__isnull', False), ('what', 'generations_a_day')), _connector='OR'), name='usage_is_known_and_dated')],
            },
        ),
        migrations.RunSQL(COUNT_DOCUMENTS, COUNT_NO_DOCUMENTS),
        migrations.RunSQL(FORGET_USAGE, KEEP_USAGE),
        migrations.RunSQL(COUNT_WHAT_STANDS, migrations.RunSQL.noop),
    ]
