# Context files of agents, /v1/agents/{id}/files, and the templates a predefined agent begins with (contract 02 §6.6,
# §8.3, §8.6).

load helper

AGENTS=/v1/agents
NAMES='AGENTS.md BOOTSTRAP.md HEARTBEAT.md IDENTITY.md SOUL.md TOOLS.md USER.md USER_PREDEFINED.md'

setup_file() {
    upstream_start
    gateway_start
    provider parrot echo
    export WRITE_KEY READ_KEY
    WRITE_KEY=$(clawgate key create --name w --scopes write)
    READ_KEY=$(clawgate key create --name r --scopes read)
}

teardown_file() {
    gateway_stop
}

setup() {
    as alice
}

teardown() {
    sqlite3 "$DATABASE" '.timeout 5000' "PRAGMA foreign_keys = ON; DELETE FROM agents WHERE owner_id = 'alice'"
}

# as USER [KEY]
as() {
    extra=("X-GoClaw-User-Id: $1")
    bearer=${2:-$WRITE_KEY}
}

# make KEY MEMBERS: an agent; its path goes to $agent.
make() {
    api POST $AGENTS "$(jq -cn "{agent_key: \"$1\", provider: \"parrot\", model: \"m\"} + {$2}")"
    assert_status 201
    agent=$AGENTS/$(jq -r .id <<<"$body")
}

# put NAME TEXT
put() {
    api PUT "$agent/files/$1" "$(jq -cn --arg text "$2" '{content: $text}')"
    assert_status 200
}

content() {
    api GET "$agent/files/$1"
    assert_status 200
    jq -r .content <<<"$body"
}

# The system prompt of a run of the agent.
prompt() {
    api POST /v1/chat/completions "$(jq -cn --arg id "${agent##*/}" \
        '{model: ("agent:" + $id), messages: [{role: "user", content: "hi"}]}')"
    assert_status 200
    answer | jq -r ".messages[0].text"
}

@test "02 §6.6: an open agent has no files until somebody writes one" {
    make one ''
    api GET "$agent/files"
    assert_status 200
    jq_eq . '{"files":[]}'
    api GET "$agent/files/SOUL.md"
    assert_error 404 NOT_FOUND id
}

@test "02 §6.6: written files: every name, the record, the list without the text, ETag" {
    make one ''
    local name
    for name in $NAMES; do
        put "$name" "text of $name é"
        jq_eq 'del(.updated_at)' "{\"agent_id\":\"${agent##*/}\",\"file_name\":\"$name\",\"status\":\"updated\",
            \"content\":\"text of $name é\",\"size\":$((${#name} + 11))}"
        local etag
        etag=$(header ETag)
        api GET "$agent/files/$name"
        assert_status 200
        assert_equal "$(header ETag)" "$etag"
        jq_eq '[.content, (.updated_at | length), has("status")]' "[\"text of $name é\",24,false]"
    done
    api GET $AGENTS/one/files
    jq_eq '[.files[].file_name] | join(" ")' "\"$NAMES\""
    jq_eq '.files[0] | keys' '["agent_id","file_name","size","updated_at"]'
}

@test "02 §6.6: a file is replaced; empty and absent content is an empty file; the same text changes nothing" {
    make one ''
    put SOUL.md first
    put SOUL.md second
    local made
    made=$(jq 'del(.status)' <<<"$body")
    put SOUL.md second
    jq_eq 'del(.status)' "$made"
    assert_equal "$(sql "SELECT COUNT(*) FROM activity_logs WHERE action = 'agent.file_set'
        AND entity_type = 'agent' AND entity_id = '${agent##*/}' AND details = '{\"file_name\":\"SOUL.md\"}'")" 2
    for text in '{}' '{"content":null}' '{"content":""}'; do
        put SOUL.md full
        api PUT "$agent/files/SOUL.md" "$text"
        assert_status 200
        jq_eq '[.content, .size]' '["",0]'
    done
}

@test "02 §6.6: what is refused: names, types, bytes, size" {
    make one ''
    for name in soul.md CAPABILITIES.md MEMORY.md x SOUL.md.bak; do
        api PUT "$agent/files/$name" '{"content":"x"}'
        assert_error 400 INVALID_REQUEST name
        api GET "$agent/files/$name"
        assert_error 400 INVALID_REQUEST name
    done
    for text in 1 true '[]' '{}'; do
        api PUT "$agent/files/SOUL.md" "{\"content\":$text}"
        assert_error 400 INVALID_REQUEST content
    done
    api PUT "$agent/files/SOUL.md" '{"content":"\u0000"}'
    assert_error 400 INVALID_REQUEST -
    printf '{"content":"%s"}' "$(head -c 1048562 /dev/zero | tr '\0' x)" >"$BATS_TEST_TMPDIR/large"
    api PUT "$agent/files/SOUL.md" "@$BATS_TEST_TMPDIR/large"
    assert_status 200
    jq_eq .size 1048562
    echo >>"$BATS_TEST_TMPDIR/large"
    api PUT "$agent/files/SOUL.md" "@$BATS_TEST_TMPDIR/large"
    assert_error 413 INVALID_REQUEST
}

@test "01 §12.14: If-Match: a file that is there, one that is not" {
    make one ''
    extra+=('If-Match: "x"')
    api PUT "$agent/files/SOUL.md" '{"content":"x"}'
    assert_error 412 FAILED_PRECONDITION If-Match
    as alice
    put SOUL.md x
    local etag
    etag=$(header ETag)
    extra+=("If-Match: $etag")
    put SOUL.md y
    api PUT "$agent/files/SOUL.md" '{"content":"z"}'
    assert_error 412 FAILED_PRECONDITION If-Match
}

@test "02 §6.6: files are for the owner, shared or default or not" {
    make one ''
    put SOUL.md secret
    api POST "$agent/sharing" '{"user_id":"bob","role":"admin"}'
    as bob
    for call in "GET $agent/files" "GET $agent/files/SOUL.md" "PUT $agent/files/SOUL.md"; do
        api ${call%% *} "${call#* }" '{"content":"x"}'
        assert_error 403 UNAUTHORIZED
    done
    as alice "$READ_KEY"
    api PUT "$agent/files/SOUL.md" '{"content":"x"}'
    assert_error 403 UNAUTHORIZED
    assert_equal "$(content SOUL.md)" secret
    extra=() bearer=$TOKEN
    assert_equal "$(content SOUL.md)" secret
    api GET $AGENTS/nobody/files
    assert_error 404 NOT_FOUND id
}

@test "02 §8.3: a predefined agent begins with its templates; becoming one adds what is missing" {
    make one 'agent_type: "predefined"'
    jq_eq .status '"active"'
    api GET "$agent/files"
    jq_eq '[.files[].file_name]' '["AGENTS.md","IDENTITY.md","SOUL.md","USER_PREDEFINED.md"]'
    assert_equal "$(content IDENTITY.md)" "$(cat "$ROOT/common/agent/templates/IDENTITY.md")"
    assert_equal "$(content SOUL.md | grep '^## ' | tr -d '\n')" \
        '## Core Truths## Boundaries## Vibe## Style## Expertise## Continuity'

    make two ''
    put SOUL.md 'my own'
    put AGENTS.md ''
    api PUT "$agent" '{"agent_type":"predefined"}'
    assert_status 200
    api GET "$agent/files"
    jq_eq '[.files[].file_name]' '["AGENTS.md","IDENTITY.md","SOUL.md","USER_PREDEFINED.md"]'
    assert_equal "$(content SOUL.md)" 'my own'
    assert_equal "$(content AGENTS.md)" "$(cat "$ROOT/common/agent/templates/AGENTS.md")"
    api PUT "$agent" '{"agent_type":"open"}'
    api PUT "$agent" '{"agent_type":"predefined"}'
    assert_equal "$(content SOUL.md)" 'my own'
}

@test "02 §4.4: another display name goes into IDENTITY.md, of the agent and of an open agent's users" {
    make one 'agent_type: "predefined"'
    api PUT "$agent" '{"display_name":"Ada"}'
    assert_equal "$(content IDENTITY.md | sed -n 3,4p)" "- **Name:** Ada
  _(what people call you)_"
    api PUT "$agent" '{"display_name":""}'
    assert_equal "$(content IDENTITY.md | sed -n 3p)" "- **Name:** Ada"

    make two ''
    sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO user_context_files (id, tenant_id, agent_id, user_id, file_name, content,
        created_at, updated_at) SELECT 'f' || u.column1, tenant_id, id, u.column1, 'IDENTITY.md',
        u.column2, 't', 't' FROM agents, (VALUES ('bob', '# Me' || char(10) || 'Name: old'), ('eve', '')) u
        WHERE agent_key = 'two'"
    api PUT "$agent" '{"display_name":"Grace"}'
    assert_status 200
    assert_equal "$(content IDENTITY.md | sed -n 3p)" '- **Name:** Grace'
    assert_equal "$(sql "SELECT group_concat(replace(content, char(10), '|'), ';') FROM user_context_files
        WHERE agent_id = '${agent##*/}' ORDER BY user_id")" '# Me|Name: Grace;'
}

@test "02 §8.4, §8.6: the files reach the prompt of the next run, wrapped and in order; BOOTSTRAP.md does not over HTTP" {
    make one 'agent_type: "predefined"'
    put SOUL.md 'I am a lighthouse.'
    put HEARTBEAT.md 'look at the lamp'
    put BOOTSTRAP.md 'ask for the name'
    local text
    text=$(prompt)
    assert_equal "$(grep -o '<[a-z_]* name="[A-Z_a-z.]*">' <<<"$text" | tr -d '\n')" "$(printf '%s' \
        '<internal_config name="SOUL.md"><internal_config name="IDENTITY.md"><internal_config name="AGENTS.md">' \
        '<internal_config name="USER_PREDEFINED.md"><system_context name="AVAILABILITY.md">')"
    [[ $text == *'I am a lighthouse.'* && $text != *'look at the lamp'* && $text != *'ask for the name'* ]]
    [[ $text != *'First conversation'* ]]

    make two ''
    put BOOTSTRAP.md 'ask for the name'
    put SOUL.md 'I am a harbour.'
    text=$(prompt)
    [[ $text == *'<context_file name="SOUL.md">'* && $text != *'BOOTSTRAP'* && $text != *'only tool'* ]]
}
