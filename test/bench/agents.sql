-- Only agents of one user, made a second apart: sqlite3 -cmd '.parameter set @agents 10000' data/goclaw.db <agents.sql
DELETE FROM agents;
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < @agents)
INSERT INTO agents (id, tenant_id, agent_key, display_name, owner_id, provider, model, created_at, updated_at)
SELECT printf('0193a5b0-7001-7000-8000-%012x', n), '0193a5b0-7000-7000-8000-000000000001', 'agent-' || n, 'Agent ' || n,
       'bench-user', 'plain', 'bench-model', made, made
FROM (SELECT n, strftime('%Y-%m-%dT%H:%M:%fZ', 1750000000 + n, 'unixepoch') AS made FROM numbers);
