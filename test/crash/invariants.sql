-- What must hold in the database (attached as g) at every instant, given the acknowledgements in main.acks.
-- Each statement gives one row: name, number of violations, an example.

PRAGMA temp_store = MEMORY;

CREATE TEMP TABLE pairs AS
SELECT s.tenant_id, s.key AS session, replace(u.content, char(10), '|') AS text, m.content AS answer
FROM g.sessions s
JOIN g.messages u ON u.session_id = s.id AND u.role = 'user'
JOIN g.messages m ON m.session_id = s.id AND m.seq = u.seq + 1 AND m.role = 'assistant';
CREATE INDEX temp.pairs_by_text ON pairs (text);

SELECT 'integrity_check is ok', COUNT(*), MIN(integrity_check)
FROM pragma_integrity_check WHERE schema = 'g' AND integrity_check <> 'ok';

SELECT 'foreign_key_check is empty', COUNT(*), MIN("table")
FROM pragma_foreign_key_check WHERE schema = 'g';

SELECT 'an acknowledged run is completed', COUNT(*), MIN(run)
FROM acks WHERE NOT EXISTS (SELECT 1 FROM g.traces t WHERE t.run_id = acks.run AND t.status = 'completed');

SELECT 'an acknowledged run is in the session it named', COUNT(*), MIN(run)
FROM acks JOIN g.traces t ON t.run_id = acks.run
WHERE acks.session <> '' AND t.session_key IS NOT acks.session;

SELECT 'an acknowledged answer stands behind its question', COUNT(*), MIN(run)
FROM acks WHERE NOT EXISTS (
    SELECT 1 FROM g.traces t JOIN pairs p ON p.tenant_id = t.tenant_id AND p.session = t.session_key
    WHERE t.run_id = acks.run AND p.text = acks.text AND p.answer = acks.answer);

SELECT 'a question without a key is stored at most once', COUNT(*), MIN(content)
FROM (SELECT content FROM g.messages WHERE role = 'user' AND content NOT LIKE '%answer of key%'
      GROUP BY content HAVING COUNT(*) > 1);

SELECT 'a request without a key completes at most once', COUNT(*), MIN(input_preview)
FROM (SELECT input_preview FROM g.traces WHERE status = 'completed' AND input_preview NOT LIKE '%answer of key%'
      GROUP BY input_preview HAVING COUNT(*) > 1);

SELECT 'an Idempotency-Key completes at most one run', COUNT(*), MIN(input_preview)
FROM (SELECT input_preview FROM g.traces WHERE status = 'completed' AND input_preview LIKE '%answer of key%'
      GROUP BY input_preview HAVING COUNT(*) > 1);

SELECT 'an Idempotency-Key has one run and one answer for everybody', COUNT(*), MIN(idem)
FROM (SELECT idem FROM acks WHERE idem <> '' GROUP BY idem
      HAVING COUNT(DISTINCT run) > 1 OR COUNT(DISTINCT answer) > 1);

SELECT 'a finished run is not kept as running', COUNT(*), MIN(k.key)
FROM g.kept_answers k JOIN g.traces t ON t.run_id = k.run_id
WHERE k.state = 'running' AND t.status = 'completed';

SELECT 'a kept answer has its completed run', COUNT(*), MIN(k.key)
FROM g.kept_answers k
WHERE k.state = 'done' AND NOT EXISTS (SELECT 1 FROM g.traces t WHERE t.run_id = k.run_id AND t.status = 'completed');

SELECT 'usage counts every finished run once', abs(used - finished), used || ' counted, ' || finished || ' finished'
FROM (SELECT (SELECT COALESCE(SUM(requests), 0) FROM g.usage_hourly) AS used,
             (SELECT COUNT(*) FROM g.traces WHERE status <> 'running' AND error IS NOT 'interrupted') AS finished);

SELECT 'usage counts the tokens of the runs', abs(used - spent), used || ' counted, ' || spent || ' in traces'
FROM (SELECT (SELECT COALESCE(SUM(input_tokens + output_tokens), 0) FROM g.usage_hourly) AS used,
             (SELECT COALESCE(SUM(total_input_tokens + total_output_tokens), 0) FROM g.traces) AS spent);

SELECT 'usage counts the failed runs', abs(used - failed), used || ' counted, ' || failed || ' failed'
FROM (SELECT (SELECT COALESCE(SUM(errors), 0) FROM g.usage_hourly) AS used,
             (SELECT COUNT(*) FROM g.traces WHERE status = 'error' AND error IS NOT 'interrupted') AS failed);

SELECT 'a session counts the tokens of its runs', COUNT(*), MIN(key)
FROM (SELECT s.key FROM g.sessions s JOIN g.traces t ON t.tenant_id = s.tenant_id AND t.session_key = s.key
      GROUP BY s.id HAVING s.input_tokens + s.output_tokens <> SUM(t.total_input_tokens + t.total_output_tokens));

SELECT 'message_count is the number of messages', COUNT(*), MIN(key)
FROM g.sessions s WHERE message_count <> (SELECT COUNT(*) FROM g.messages m WHERE m.session_id = s.id);

SELECT 'message numbers have no gap', COUNT(*), MIN(session_id)
FROM (SELECT session_id FROM g.messages GROUP BY session_id HAVING MIN(seq) <> 1 OR MAX(seq) <> COUNT(*));

SELECT 'span_count is the number of spans and their root', COUNT(*), MIN(id)
FROM g.traces t WHERE status <> 'running' AND error IS NOT 'interrupted'
AND span_count <> 1 + (SELECT COUNT(*) FROM g.spans s WHERE s.trace_id = t.id);

SELECT 'no span is without its run', COUNT(*), MIN(trace_id)
FROM g.spans WHERE trace_id NOT IN (SELECT id FROM g.traces WHERE status <> 'running' AND error IS NOT 'interrupted');

SELECT 'an ended run has an end, a running one has none', COUNT(*), MIN(id)
FROM g.traces WHERE (status = 'running') <> (end_time IS NULL);
