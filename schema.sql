-- The whole database as it stands today. A new home gets exactly this file, in one
-- transaction; an older database is brought here by common/store/migrations/NNNN.sql.
--
-- House rules
--   Ids are UUIDv7 text, lower case. Times are RFC 3339 UTC text of fixed width
--   (YYYY-MM-DDTHH:MM:SS.mmmZ), so that they sort as text. Booleans are 0 or 1.
--   JSON columns hold text. Every tenant-owned table carries tenant_id and every
--   query on it names it. Tables are STRICT: a value of the wrong type is an error.
--   Column types are kept to TEXT, INTEGER and REAL.

-- Tenants ---------------------------------------------------------------------

-- One row a tenant. Single-tenant installations use the master row only.
CREATE TABLE tenants (
    id          TEXT PRIMARY KEY NOT NULL,
    name        TEXT NOT NULL,
    slug        TEXT NOT NULL UNIQUE,
    status      TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'archived')),
    settings    TEXT NOT NULL DEFAULT '{}',
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL
) STRICT;

INSERT INTO tenants (id, name, slug, created_at, updated_at)
VALUES ('0193a5b0-7000-7000-8000-000000000001', 'Master', 'master',
        strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));

-- Who may enter a tenant by header with the gateway token.
CREATE TABLE tenant_users (
    id           TEXT PRIMARY KEY NOT NULL,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id      TEXT NOT NULL,
    display_name TEXT,
    role         TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'operator', 'member', 'viewer')),
    metadata     TEXT NOT NULL DEFAULT '{}',
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    UNIQUE (tenant_id, user_id)
) STRICT;

-- API keys: only the SHA-256 of a key is kept. tenant_id NULL is a system-level key.
CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY NOT NULL,
    tenant_id    TEXT REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    prefix       TEXT NOT NULL,             -- first 8 hex digits after "goclaw_"
    key_hash     TEXT NOT NULL,             -- 64 hex digits
    scopes       TEXT NOT NULL DEFAULT '[]',
    owner_id     TEXT,                      -- binds the key to one user
    created_by   TEXT,
    expires_at   TEXT,
    last_used_at TEXT,
    revoked      INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1)),
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX api_keys_live ON api_keys (key_hash) WHERE revoked = 0;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, created_at, id);

-- Agents ----------------------------------------------------------------------

-- provider names an llm_providers row of the tenant, '' means the configured default.
-- budget_monthly_cents NULL is unlimited. Deleting an agent deletes what hangs on it;
-- traces, usage and activity keep its id as text.
CREATE TABLE agents (
    id                    TEXT PRIMARY KEY NOT NULL,
    tenant_id             TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    agent_key             TEXT NOT NULL,
    display_name          TEXT NOT NULL DEFAULT '',
    frontmatter           TEXT NOT NULL DEFAULT '',
    owner_id              TEXT NOT NULL,
    provider              TEXT NOT NULL DEFAULT '',
    model                 TEXT NOT NULL DEFAULT '',
    context_window        INTEGER NOT NULL DEFAULT 200000,
    max_tool_iterations   INTEGER NOT NULL DEFAULT 30,
    workspace             TEXT NOT NULL DEFAULT '',
    restrict_to_workspace INTEGER NOT NULL DEFAULT 1 CHECK (restrict_to_workspace IN (0, 1)),
    agent_type            TEXT NOT NULL DEFAULT 'open' CHECK (agent_type IN ('open', 'predefined')),
    is_default            INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)),
    status                TEXT NOT NULL DEFAULT 'active'
                          CHECK (status IN ('active', 'inactive', 'summoning', 'summon_failed')),
    summon_error          TEXT,
    budget_monthly_cents  INTEGER,
    tools_config          TEXT NOT NULL DEFAULT '{}',
    other_config          TEXT NOT NULL DEFAULT '{}',
    sandbox_config        TEXT,
    subagents_config      TEXT,
    memory_config         TEXT DEFAULT '{"enabled":true}',
    compaction_config     TEXT DEFAULT '{}',
    context_pruning       TEXT,
    created_at            TEXT NOT NULL,
    updated_at            TEXT NOT NULL,
    deleted_at            TEXT              -- never set by us; readers filter it
) STRICT;
CREATE UNIQUE INDEX agents_key ON agents (tenant_id, agent_key) WHERE deleted_at IS NULL;
CREATE INDEX agents_by_time ON agents (tenant_id, created_at, id);
CREATE INDEX agents_by_owner ON agents (tenant_id, owner_id, is_default, id);

-- Who else may use an agent. The role is information only.
CREATE TABLE agent_shares (
    id         TEXT PRIMARY KEY NOT NULL,
    tenant_id  TEXT NOT NULL,
    agent_id   TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    role       TEXT NOT NULL DEFAULT 'user',
    granted_by TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,               -- of the last grant
    UNIQUE (agent_id, user_id)
) STRICT;
CREATE INDEX agent_shares_by_user ON agent_shares (tenant_id, user_id);

-- Files of an agent that everybody who talks to it shares (SOUL.md, IDENTITY.md, …).
CREATE TABLE agent_context_files (
    id         TEXT PRIMARY KEY NOT NULL,
    tenant_id  TEXT NOT NULL,
    agent_id   TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    file_name  TEXT NOT NULL,
    content    TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (agent_id, file_name)
) STRICT;

-- The same for one user of an agent.
CREATE TABLE user_context_files (
    id         TEXT PRIMARY KEY NOT NULL,
    tenant_id  TEXT NOT NULL,
    agent_id   TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL,
    file_name  TEXT NOT NULL,
    content    TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (agent_id, user_id, file_name)
) STRICT;

-- One row for each user who has met an agent.
CREATE TABLE user_agent_profiles (
    agent_id      TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    user_id       TEXT NOT NULL,
    tenant_id     TEXT NOT NULL,
    workspace     TEXT,
    metadata      TEXT NOT NULL DEFAULT '{}',
    first_seen_at TEXT NOT NULL,
    last_seen_at  TEXT NOT NULL,
    seeded_at     TEXT,
    PRIMARY KEY (agent_id, user_id)
) STRICT, WITHOUT ROWID;

-- Upstream model services. Agents refer to them by name. api_key is encrypted text.
CREATE TABLE llm_providers (
    id            TEXT PRIMARY KEY NOT NULL,
    tenant_id     TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    display_name  TEXT NOT NULL DEFAULT '',
    provider_type TEXT NOT NULL,
    api_base      TEXT NOT NULL DEFAULT '',
    api_key       TEXT NOT NULL DEFAULT '',
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    settings      TEXT NOT NULL DEFAULT '{}',
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

-- MCP servers -----------------------------------------------------------------

-- Tool servers agents may use. headers and env are JSON objects, encrypted as one
-- text (a JSON string holding the token) unless empty; api_key is encrypted text.
CREATE TABLE mcp_servers (
    id           TEXT PRIMARY KEY NOT NULL,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    display_name TEXT NOT NULL DEFAULT '',
    transport    TEXT NOT NULL CHECK (transport IN ('stdio', 'sse', 'streamable-http')),
    command      TEXT NOT NULL DEFAULT '',
    args         TEXT NOT NULL DEFAULT '[]',
    url          TEXT NOT NULL DEFAULT '',
    headers      TEXT NOT NULL DEFAULT '{}',
    env          TEXT NOT NULL DEFAULT '{}',
    api_key      TEXT NOT NULL DEFAULT '',
    tool_prefix  TEXT NOT NULL DEFAULT '',
    timeout_sec  INTEGER NOT NULL DEFAULT 60,
    settings     TEXT NOT NULL DEFAULT '{}',
    enabled      INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_by   TEXT NOT NULL DEFAULT '',
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

-- Which agents may use a server, and which of its tools ([] = all).
CREATE TABLE mcp_agent_grants (
    id               TEXT PRIMARY KEY NOT NULL,
    tenant_id        TEXT NOT NULL,
    server_id        TEXT NOT NULL REFERENCES mcp_servers (id) ON DELETE CASCADE,
    agent_id         TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    enabled          INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    tool_allow       TEXT NOT NULL DEFAULT '[]',
    tool_deny        TEXT NOT NULL DEFAULT '[]',
    config_overrides TEXT NOT NULL DEFAULT '{}',
    granted_by       TEXT NOT NULL DEFAULT '',
    created_at       TEXT NOT NULL,
    UNIQUE (server_id, agent_id)
) STRICT;
CREATE INDEX mcp_agent_grants_by_agent ON mcp_agent_grants (agent_id);

-- Sessions --------------------------------------------------------------------

-- One conversation. Counters only grow; message_count is also the number of the last
-- message. Compaction moves context_start and writes summary, it deletes nothing.
-- key_channel is the third part of a key such as agent:{key}:telegram:direct:{peer}.
CREATE TABLE sessions (
    id                            TEXT NOT NULL,   -- names its messages
    tenant_id                     TEXT NOT NULL,
    key                           TEXT NOT NULL,
    agent_id                      TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
    user_id                       TEXT NOT NULL,
    channel                       TEXT NOT NULL DEFAULT '',
    label                         TEXT NOT NULL DEFAULT '',
    model                         TEXT NOT NULL DEFAULT '',
    provider                      TEXT NOT NULL DEFAULT '',
    summary                       TEXT NOT NULL DEFAULT '',
    metadata                      TEXT NOT NULL DEFAULT '{}',
    input_tokens                  INTEGER NOT NULL DEFAULT 0,
    output_tokens                 INTEGER NOT NULL DEFAULT 0,
    compaction_count              INTEGER NOT NULL DEFAULT 0,
    memory_flush_compaction_count INTEGER NOT NULL DEFAULT 0,
    memory_flush_at               TEXT,
    message_count                 INTEGER NOT NULL DEFAULT 0,
    message_bytes                 INTEGER NOT NULL DEFAULT 0,
    last_prompt_tokens            INTEGER NOT NULL DEFAULT 0,
    last_message_count            INTEGER NOT NULL DEFAULT 0,
    context_window                INTEGER NOT NULL DEFAULT 0,
    context_start                 INTEGER NOT NULL DEFAULT 1,  -- first message number the model sees
    team_id                       TEXT,
    spawned_by                    TEXT,
    spawn_depth                   INTEGER NOT NULL DEFAULT 0,
    created_at                    TEXT NOT NULL,
    updated_at                    TEXT NOT NULL,
    key_channel                   TEXT GENERATED ALWAYS AS (
        CASE WHEN key LIKE 'agent:%:%:%' THEN
            substr(substr(key, 7 + instr(substr(key, 7), ':')), 1,
                   instr(substr(key, 7 + instr(substr(key, 7), ':')), ':') - 1)
        END) VIRTUAL,
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;
-- Read backwards (last used first, then by key), written at their end.
CREATE INDEX sessions_by_time ON sessions (tenant_id, updated_at, key DESC);
CREATE INDEX sessions_by_user ON sessions (tenant_id, user_id, updated_at, key DESC);
CREATE INDEX sessions_by_agent ON sessions (agent_id);

-- The transcript, one row a message, append-only except for reset. (CHECK with OR here and
-- in traces: SQLite builds a temporary table for each IN list it checks, on every row.)
CREATE TABLE messages (
    session_id   TEXT NOT NULL,
    seq          INTEGER NOT NULL,
    tenant_id    TEXT NOT NULL,
    id           TEXT NOT NULL,
    role         TEXT NOT NULL
                 CHECK (role = 'user' OR role = 'assistant' OR role = 'tool' OR role = 'system'),
    is_error     INTEGER NOT NULL DEFAULT 0,
    created_at   TEXT NOT NULL,
    tool_call_id TEXT,
    content      TEXT NOT NULL DEFAULT '',
    thinking     TEXT,
    tool_calls   TEXT,   -- JSON array [{"id","name","arguments"}]
    media_refs   TEXT,   -- JSON array
    PRIMARY KEY (session_id, seq)
) STRICT, WITHOUT ROWID;
-- Instead of a foreign key, whose parent every message would look up.
CREATE TRIGGER sessions_messages AFTER DELETE ON sessions BEGIN
    DELETE FROM messages WHERE session_id = OLD.id;
END;

-- Where a tool call was made, so that a later request that brings only its result
-- finds the session again.
CREATE TABLE tool_call_index (
    tenant_id    TEXT NOT NULL,
    tool_call_id TEXT NOT NULL,
    called_at    TEXT NOT NULL,
    session_key  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, tool_call_id, called_at, session_key),
    FOREIGN KEY (tenant_id, session_key) REFERENCES sessions (tenant_id, key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tool_call_index_by_session ON tool_call_index (tenant_id, session_key);

-- Runs ------------------------------------------------------------------------

-- (Without rowid, as sessions, messages and spans: one b-tree less to write for every run.)
-- One row a run, under the run's id; ids begin with their time, so their order is that of the runs. Created running, finished in the transaction that stores the answer.
-- start_time is also the time of creation. worker owns the run while it is running.
CREATE TABLE traces (
    tenant_id           TEXT NOT NULL,
    id                  TEXT NOT NULL,
    parent_trace_id     TEXT,
    run_id              TEXT,
    session_key         TEXT,
    user_id             TEXT,
    channel             TEXT,
    agent_id            TEXT,
    agent_key           TEXT,
    team_id             TEXT,
    name                TEXT,
    status              TEXT NOT NULL
                        CHECK (status = 'running' OR status = 'completed' OR status = 'error' OR status = 'cancelled'),
    start_time          TEXT NOT NULL,
    end_time            TEXT,
    duration_ms         INTEGER,
    span_count          INTEGER NOT NULL DEFAULT 0,
    llm_call_count      INTEGER NOT NULL DEFAULT 0,
    tool_call_count     INTEGER NOT NULL DEFAULT 0,
    total_input_tokens  INTEGER NOT NULL DEFAULT 0,
    total_output_tokens INTEGER NOT NULL DEFAULT 0,
    total_cost          REAL NOT NULL DEFAULT 0,
    worker              INTEGER NOT NULL DEFAULT 0,
    error               TEXT,
    input_preview       TEXT,
    output_preview      TEXT,
    metadata            TEXT,
    tags                TEXT,
    model               TEXT,
    provider            TEXT,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX traces_by_user ON traces (tenant_id, user_id, id);
-- Only queries that say status <> 'completed' use it.
CREATE INDEX traces_unfinished ON traces (status, tenant_id, id) WHERE status <> 'completed';

-- Runs that shall stop, told by a process that does not own them. The owner looks once a second while it has runs.
CREATE TABLE run_cancels (
    worker    INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    run_id    TEXT NOT NULL,
    PRIMARY KEY (worker, tenant_id, run_id)
) STRICT, WITHOUT ROWID;

-- Steps of a run; the run itself, their root (span_type agent), is the row in traces, counted in
-- span_count, and its id is their parent's. total_cost NULL means no price is known. Deleted with their trace
-- by retention; no foreign key, because every run pays for it.
CREATE TABLE spans (
    trace_id       TEXT NOT NULL,
    start_time     TEXT NOT NULL,
    id             TEXT NOT NULL,
    tenant_id      TEXT NOT NULL,
    parent_span_id TEXT,
    agent_id       TEXT,
    team_id        TEXT,
    span_type      TEXT NOT NULL,
    name           TEXT,
    status         TEXT NOT NULL,
    level          TEXT NOT NULL DEFAULT 'DEFAULT',
    error          TEXT,
    end_time       TEXT,
    duration_ms    INTEGER,
    model          TEXT,
    provider       TEXT,
    input_tokens   INTEGER NOT NULL DEFAULT 0,
    output_tokens  INTEGER NOT NULL DEFAULT 0,
    total_cost     REAL,
    finish_reason  TEXT,
    model_params   TEXT,
    tool_name      TEXT,
    tool_call_id   TEXT,
    input_preview  TEXT,
    output_preview TEXT,
    metadata       TEXT,
    PRIMARY KEY (trace_id, start_time, id)
) STRICT, WITHOUT ROWID;

-- Usage, added up while runs finish; survives the traces. '' stands for "none".
-- avg_duration_ms = duration_ms / requests.
CREATE TABLE usage_hourly (
    tenant_id           TEXT NOT NULL,
    bucket_hour         TEXT NOT NULL,      -- YYYY-MM-DDTHH:00:00.000Z
    agent_id            TEXT NOT NULL,
    user_id             TEXT NOT NULL,
    channel             TEXT NOT NULL,
    provider            TEXT NOT NULL,
    model               TEXT NOT NULL,
    requests            INTEGER NOT NULL,
    errors              INTEGER NOT NULL,
    llm_calls           INTEGER NOT NULL,
    tool_calls          INTEGER NOT NULL,
    input_tokens        INTEGER NOT NULL,
    output_tokens       INTEGER NOT NULL,
    cache_read_tokens   INTEGER NOT NULL,
    cache_create_tokens INTEGER NOT NULL,
    thinking_tokens     INTEGER NOT NULL,
    duration_ms         INTEGER NOT NULL,
    cost                REAL NOT NULL,
    PRIMARY KEY (tenant_id, bucket_hour, agent_id, user_id, channel, provider, model)
) STRICT, WITHOUT ROWID;

-- What an agent spent in a UTC month, for its budget: one row read before each run.
CREATE TABLE agent_monthly_cost (
    tenant_id TEXT NOT NULL,
    agent_id  TEXT NOT NULL,
    month     TEXT NOT NULL,                -- YYYY-MM
    cost      REAL NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, month)
) STRICT, WITHOUT ROWID;

-- Stored answers: idempotency keys and SDK retries, kept for 24 hours. scope begins
-- with the tenant and names caller and path.
CREATE TABLE kept_answers (
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    body_hash  TEXT NOT NULL,
    run_id     TEXT,
    state      TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'gone')),
    status     INTEGER NOT NULL DEFAULT 0,
    worker     INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    answer     TEXT,
    PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX kept_answers_by_time ON kept_answers (created_at);

-- Audit, processes, background work -------------------------------------------

-- Append-only: one row for each successful change, in the transaction of the change.
CREATE TABLE activity_logs (
    tenant_id   TEXT NOT NULL,
    id          TEXT NOT NULL,
    actor_type  TEXT NOT NULL,
    actor_id    TEXT NOT NULL,
    action      TEXT NOT NULL,
    entity_type TEXT,
    entity_id   TEXT,
    details     TEXT,
    ip_address  TEXT,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX activity_logs_by_time ON activity_logs (tenant_id, created_at, id);
CREATE INDEX activity_logs_by_actor ON activity_logs (tenant_id, actor_id, created_at, id);
CREATE INDEX activity_logs_by_action ON activity_logs (tenant_id, action, created_at, id);
CREATE INDEX activity_logs_by_entity ON activity_logs (tenant_id, entity_id, created_at, id);

-- A counter for each kind of cached data; a process whose copy is older reloads it.
CREATE TABLE generations (
    kind TEXT PRIMARY KEY NOT NULL,
    n    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Durable background work: claimed with a lease, tried again with a pause, safe to run
-- twice. A job whose lease ran out is free again.
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY NOT NULL,
    tenant_id    TEXT NOT NULL,
    kind         TEXT NOT NULL,
    entity_id    TEXT,
    payload      TEXT NOT NULL DEFAULT '{}',
    status       TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    run_at       TEXT NOT NULL,
    leased_by    TEXT,
    leased_until TEXT,
    last_error   TEXT,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_due ON jobs (run_at) WHERE status IN ('queued', 'running');
CREATE INDEX jobs_by_entity ON jobs (tenant_id, kind, entity_id);

PRAGMA user_version = 1;
