import django.contrib.postgres.fields
import django.db.models.deletion
import jobs.clock
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Worker',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ('hostname', models.CharField(max_length=255)),
                ('pid', models.PositiveIntegerField()),
                ('pool', models.CharField(blank=True, default='', max_length=30)),
                ('queues', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), default=list, size=None)),
                ('concurrency', models.PositiveIntegerField(default=1)),
                ('stopping', models.BooleanField(default=False, help_text='Was asked to stop: claims nothing more.')),
                ('started_at', models.DateTimeField(db_default=jobs.clock.ClockTimestamp())),
                ('heartbeat_at', models.DateTimeField(db_default=jobs.clock.ClockTimestamp())),
                ('stopped_at', models.DateTimeField(blank=True, null=True)),
                ('lost', models.BooleanField(default=False, help_text='Fell silent without saying goodbye.')),
            ],
            options={
                'indexes': [models.Index(models.F('heartbeat_at'), name='worker_heartbeat')],
                'constraints': [models.CheckConstraint(condition=models.Q(('lost', False), ('stopped_at__isnull', False), _connector='OR'), name='worker_lost_is_stopped')],
            },
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=100)),
                ('payload', models.JSONField(default=dict)),
                ('workspace_id', models.BigIntegerField(blank=True, null=True)),
                ('end_user_id', models.BigIntegerField(blank=True, null=True)),
                ('origin', models.CharField(blank=True, default='', help_text='Who asked, e.g. “run:12”; that one hears when a batch ended.', max_length=200)),
                ('priority', models.SmallIntegerField(default=0, help_text='Higher goes first.')),
                ('dedupe_key', models.CharField(blank=True, max_length=200, null=True)),
                ('batch_key', models.CharField(blank=True, default='', help_text="Jobs of one batch share it; holds the kind's name too.", max_length=200)),
                ('alone', models.BooleanField(default=False, help_text='Ran badly in a batch: is claimed by itself, so that it cannot spoil others again.')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='waiting', max_length=10)),
                ('available_at', models.DateTimeField(db_default=jobs.clock.ClockTimestamp(), help_text='Not claimed before this.')),
                ('attempts', models.PositiveSmallIntegerField(default=0, help_text='Counted when a worker claims the job.')),
                ('max_attempts', models.PositiveSmallIntegerField(default=3)),
                ('claim', models.UUIDField(blank=True, null=True)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('cancel_requested', models.BooleanField(default=False)),
                ('progress_done', models.BigIntegerField(blank=True, null=True)),
                ('progress_total', models.BigIntegerField(blank=True, null=True)),
                ('progress_message', models.CharField(blank=True, default='', max_length=200)),
                ('result', models.JSONField(blank=True, null=True)),
                ('error_type', models.CharField(blank=True, default='', max_length=200)),
                ('error_message', models.CharField(blank=True, default='', max_length=500)),
                ('error_trace', models.TextField(blank=True, default='')),
                ('created_at', models.DateTimeField(db_default=jobs.clock.ClockTimestamp())),
                ('started_at', models.DateTimeField(blank=True, help_text='When the last attempt began.', null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('worker', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, to='jobs.worker')),
            ],
            options={
                'indexes': [models.Index(models.F('kind'), models.OrderBy(models.F('priority'), descending=True), models.F('available_at'), models.F('id'), condition=models.Q(('state', 'waiting')), name='job_claim_order'), models.Index(models.F('batch_key'), models.OrderBy(models.F('priority'), descending=True), models.F('available_at'), models.F('id'), condition=models.Q(('state', 'waiting'), models.Q(('batch_key', ''), _negated=True)), name='job_batch_order'), models.Index(models.F('id'), condition=models.Q(('state', 'running')), name='job_running'), models.Index(models.F('origin'), models.F('state'), condition=models.Q(('origin', ''), _negated=True), name='job_of_origin'), models.Index(models.F('finished_at'), condition=models.Q(('finished_at__isnull', False)), name='job_finished')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'running', 'done', 'failed', 'cancelled'])), name='job_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('claim__isnull', False), ('lease_until__isnull', False), ('started_at__isnull', False), ('state', 'running')), models.Q(models.Q(('state', 'running'), _negated=True), ('claim__isnull', True), ('lease_until__isnull', True)), _connector='OR'), name='job_running_has_claim'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('state__in', ('done', 'failed', 'cancelled'))), models.Q(('finished_at__isnull', True), ('state__in', ('waiting', 'running'))), _connector='OR'), name='job_finished_has_time'), models.CheckConstraint(condition=models.Q(('attempts__gte', 0), ('attempts__lte', models.F('max_attempts')), ('max_attempts__gte', 1)), name='job_attempts_bounded'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'waiting'), _negated=True), ('attempts__lt', models.F('max_attempts')), _connector='OR'), name='job_waiting_may_be_attempted'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', ('running', 'done')), _negated=True), ('attempts__gte', 1), _connector='OR'), name='job_running_was_attempted'), models.CheckConstraint(condition=models.Q(('cancel_requested', False), ('state__in', ('running', 'cancelled')), _connector='OR'), name='job_cancel_requested_of_running'), models.CheckConstraint(condition=models.Q(('result__isnull', True), ('state', 'done'), _connector='OR'), name='job_result_of_done'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), _negated=True), models.Q(('error_type', ''), _negated=True), _connector='OR'), name='job_failed_has_error'), models.CheckConstraint(condition=models.Q(models.Q(('progress_done__isnull', True), ('progress_done__gte', 0), _connector='OR'), models.Q(('progress_total__isnull', True), ('progress_total__gte', 0), _connector='OR')), name='job_progress_not_negative'), models.CheckConstraint(condition=models.Q(('kind', ''), _negated=True), name='job_kind_named'), models.CheckConstraint(condition=models.Q(('dedupe_key', ''), _negated=True), name='job_dedupe_key_not_empty'), models.UniqueConstraint(condition=models.Q(('dedupe_key__isnull', False), ('state__in', ('waiting', 'running'))), fields=('dedupe_key',), name='job_dedupe_unfinished')],
            },
        ),
        # A queue's rows change state a few times and leave the claim order: vacuum by count, not by share of the table,
        # and leave room in each page so that heartbeats stay in it.
        migrations.RunSQL(
            """ALTER TABLE jobs_job SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,
                   autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0.02,
                   autovacuum_vacuum_insert_scale_factor = 0.05)""",
            "ALTER TABLE jobs_job RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, "
            "autovacuum_analyze_scale_factor, autovacuum_vacuum_insert_scale_factor)",
        ),
    ]
