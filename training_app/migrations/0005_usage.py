from django.db import migrations

# Adapters that are withdrawn have no files, or are about to have none: neither they nor their bytes count.
COUNT_ADAPTERS = """
    CREATE FUNCTION training_app_count_adapters() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO users_app_usage (workspace_id, what, amount)
        SELECT u.workspace_id, counted.what, sum(CASE TG_OP WHEN 'DELETE' THEN -counted.amount ELSE counted.amount END)
          FROM (SELECT end_user_id, count(*) AS adapters, sum(size_bytes) AS bytes
                  FROM changed WHERE withdrawn_at IS NULL GROUP BY end_user_id) AS own
          JOIN users_app_enduser u ON u.id = own.end_user_id
         CROSS JOIN LATERAL (VALUES ('adapters', own.adapters), ('bytes', own.bytes)) AS counted (what, amount)
         GROUP BY u.workspace_id, counted.what;
        RETURN NULL;
    END $$;
    CREATE FUNCTION training_app_count_changed_adapters() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO users_app_usage (workspace_id, what, amount)
        SELECT u.workspace_id, counted.what, sum(counted.amount)
          FROM (SELECT end_user_id, 1 AS adapters, size_bytes AS bytes FROM after WHERE withdrawn_at IS NULL
                UNION ALL
                SELECT end_user_id, -1, -size_bytes FROM before WHERE withdrawn_at IS NULL) AS own
          JOIN users_app_enduser u ON u.id = own.end_user_id
         CROSS JOIN LATERAL (VALUES ('adapters', own.adapters), ('bytes', own.bytes)) AS counted (what, amount)
         GROUP BY u.workspace_id, counted.what HAVING sum(counted.amount) <> 0;
        RETURN NULL;
    END $$;
    CREATE TRIGGER training_app_count_new_adapters AFTER INSERT ON training_app_adapter
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION training_app_count_adapters();
    CREATE TRIGGER training_app_count_deleted_adapters AFTER DELETE ON training_app_adapter
        REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION training_app_count_adapters();
    CREATE TRIGGER training_app_count_changed_adapters AFTER UPDATE ON training_app_adapter
        REFERENCING OLD TABLE AS before NEW TABLE AS after
        FOR EACH STATEMENT EXECUTE FUNCTION training_app_count_changed_adapters();
"""
COUNT_NO_ADAPTERS = """
    DROP TRIGGER training_app_count_new_adapters ON training_app_adapter;
    DROP TRIGGER training_app_count_deleted_adapters ON training_app_adapter;
    DROP TRIGGER training_app_count_changed_adapters ON training_app_adapter;
    DROP FUNCTION training_app_count_adapters();
    DROP FUNCTION training_app_count_changed_adapters();
"""
# What clients asked for, on the day in UTC when they did; it stays counted when it is deleted.
COUNT_GENERATIONS = """
    CREATE FUNCTION training_app_count_generations() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO users_app_usage (workspace_id, what, day, amount)
        SELECT u.workspace_id, 'generations_a_day', own.day, sum(own.generations)
          FROM (SELECT end_user_id, (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS generations
                  FROM changed WHERE kind = 'answer' AND asked_method <> '' GROUP BY 1, 2) AS own
          JOIN users_app_enduser u ON u.id = own.end_user_id
         GROUP BY u.workspace_id, own.day;
        RETURN NULL;
    END $$;
    CREATE TRIGGER training_app_count_new_generations AFTER INSERT ON training_app_generation
        REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION training_app_count_generations();
"""
COUNT_NO_GENERATIONS = """
    DROP TRIGGER training_app_count_new_generations ON training_app_generation;
    DROP FUNCTION training_app_count_generations();
"""
# Making the triggers has locked the tables until this transaction ends: nothing is counted twice or left out.
COUNT_WHAT_STANDS = """
    INSERT INTO users_app_usage (workspace_id, what, amount)
    SELECT u.workspace_id, counted.what, sum(counted.amount)
      FROM (SELECT end_user_id, count(*) AS adapters, sum(size_bytes) AS bytes
              FROM training_app_adapter WHERE withdrawn_at IS NULL GROUP BY end_user_id) AS own
      JOIN users_app_enduser u ON u.id = own.end_user_id
     CROSS JOIN LATERAL (VALUES ('adapters', own.adapters), ('bytes', own.bytes)) AS counted (what, amount)
     GROUP BY u.workspace_id, counted.what;
    INSERT INTO users_app_usage (workspace_id, what, day, amount)
    SELECT u.workspace_id, 'generations_a_day', (g.created_at AT TIME ZONE 'UTC')::date, count(*)
      FROM training_app_generation g JOIN users_app_enduser u ON u.id = g.end_user_id
     WHERE g.kind = 'answer' AND g.asked_method <> '' GROUP BY 1, 3;
"""
COUNT_IT_NO_LONGER = """
    DELETE FROM users_app_usage WHERE what IN ('adapters', 'generations_a_day');
    INSERT INTO users_app_usage (workspace_id, what, amount)
    SELECT u.workspace_id, 'bytes', -sum(a.size_bytes)
      FROM training_app_adapter a JOIN users_app_enduser u ON u.id = a.end_user_id
     WHERE a.withdrawn_at IS NULL GROUP BY u.workspace_id;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('training_app', '0004_generations_over_http'),
        ('users_app', '0023_quotas'),
    ]

    operations = [
        migrations.RunSQL(COUNT_ADAPTERS, COUNT_NO_ADAPTERS),
        migrations.RunSQL(COUNT_GENERATIONS, COUNT_NO_GENERATIONS),
        migrations.RunSQL(COUNT_WHAT_STANDS, COUNT_IT_NO_LONGER),
    ]
