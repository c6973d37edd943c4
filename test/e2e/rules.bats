# The platform rules that hold for every family alike, each named by its number (test/rules-01.txt): the order of checks,
# errors, ids, times, lists, paging, changes, aliases, Idempotency-Key. Families have suites of their own.

load helper

ABSENT=0193a5b0-7000-7000-8000-0000000000ff
UUID7='^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'

# family: what POSTs make, in JSON with NAME for a name of its own; which member tells the record; what a PUT changes.
FAMILIES="agents providers mcp tenants keys"
declare -gA PATHS=([agents]=/v1/agents [providers]=/v1/providers [mcp]=/v1/mcp/servers [tenants]=/v1/tenants [keys]=/v1/api-keys)
declare -gA BODIES=(
    [agents]='{"agent_key":"NAME"}'
    [providers]='{"name":"NAME","provider_type":"offline"}'
    [mcp]='{"name":"NAME","transport":"streamable-http","url":"http://127.0.0.1:9/mcp"}'
    [tenants]='{"name":"NAME"}'
    [keys]='{"name":"NAME","scopes":["operator.read"]}')
declare -gA CHANGES=(
    [agents]='{"display_name":"NAME"}'
    [providers]='{"display_name":"NAME"}'
    [mcp]='{"display_name":"NAME"}'
    [tenants]='{"name":"NAME"}')
declare -gA VERBS=([agents]=PUT [providers]=PUT [mcp]=PUT [tenants]=PATCH)
declare -gA ACKNOWLEDGED=([agents]='{"ok":"true"}' [providers]='{"status":"updated"}' [mcp]='{"status":"updated"}' [tenants]='{"ok":"true"}')
CHANGEABLE="agents providers mcp tenants"

setup_file() {
    gateway_start '{"gateway":{"database_wait_ms":1000}}'
    export VIEWER OPERATOR
    VIEWER=$(clawgate key create --name viewer --scopes read --tenant -)
    OPERATOR=$(clawgate key create --name operator --scopes write)
    clawgate agent create private --user alice >/dev/null
}

teardown_file() {
    gateway_stop
}

# made FAMILY NAME: the record that a POST makes is in $body, its path in $path.
made() {
    as_maker "$1"
    api POST "${PATHS[$1]}" "${BODIES[$1]/NAME/$2}"
    assert_status 201
    path=${PATHS[$1]}/$(jq -r .id <<<"$body")
}

# Agents need a user, tenants the owner: without a header, or as system, the gateway token is that.
as_maker() {
    extra=()
    [ "$1" != agents ] || extra=('X-GoClaw-User-Id: system')
}

put() {
    api "${VERBS[$1]}" "$2" "${CHANGES[$1]/NAME/$3}"
}

# ---- the order of checks: every request is wrong in all the later ways as well ----

WRONG=('X-GoClaw-Tenant-Id: nowhere' $'X-GoClaw-User-Id: a\u200bb' 'If-Match: "none"')

@test "01 §0.1: a path nobody has, and a method it does not know, come before everything" {
    extra=("${WRONG[@]}")
    bearer=wrong api PUT /v1/agentz/A_B 'not json'
    assert_error 404 NOT_FOUND
    bearer=wrong api PATCH /v1/agents/A_B 'not json'
    assert_error 405 INVALID_REQUEST
}

@test "01 §0.3: public paths ask for nothing" {
    extra=("${WRONG[@]}")
    bearer=wrong api GET /health
    assert_status 200
    bearer=wrong api GET /docs/openapi.json
    assert_status 200
}

@test "01 §0.4: a wrong token comes before a wrong tenant" {
    extra=("${WRONG[@]}")
    bearer=wrong api PUT /v1/agents/A_B 'not json'
    assert_error 401 UNAUTHORIZED
}

@test "01 §0.5: a wrong tenant comes before a role too low" {
    extra=("${WRONG[@]}")
    bearer=$VIEWER api PUT /v1/agents/A_B 'not json'
    assert_error 404 NOT_FOUND X-GoClaw-Tenant-Id
}

@test "01 §0.7: a role too low comes before a wrong user" {
    extra=("${WRONG[@]:1}")
    bearer=$VIEWER api PUT /v1/agents/A_B 'not json'
    assert_error 403 UNAUTHORIZED
}

@test "01 §0.8: a wrong user, or none, comes before a wrong id" {
    extra=("${WRONG[@]:1}")
    bearer=$OPERATOR api PUT /v1/agents/A_B 'not json'
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    extra=('If-Match: "none"')
    bearer=$OPERATOR api PUT /v1/agents/A_B 'not json'
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
}

@test "01 §0.9, §0.10: a malformed id, then an absent row, come before the body" {
    extra=('X-GoClaw-User-Id: bob' 'If-Match: "none"')
    bearer=$OPERATOR api PUT /v1/agents/A_B 'not json'
    assert_error 400 INVALID_REQUEST id
    bearer=$OPERATOR api PUT /v1/agents/nobody 'not json'
    assert_error 404 NOT_FOUND id
}

@test "01 §0.11: somebody else's row comes before the body" {
    extra=('X-GoClaw-User-Id: bob' 'If-Match: "none"')
    bearer=$OPERATOR api PUT /v1/agents/private 'not json'
    assert_error 403 UNAUTHORIZED
}

@test "01 §0.12, §0.13: the body's size, its syntax, its fields, then If-Match" {
    extra=('X-GoClaw-User-Id: alice' 'If-Match: "none"')
    bearer=$OPERATOR
    head -c 1048577 /dev/zero | tr '\0' x >"$BATS_TEST_TMPDIR/big"
    api PUT /v1/agents/private "@$BATS_TEST_TMPDIR/big"
    assert_error 413 INVALID_REQUEST
    api PUT /v1/agents/private 'not json'
    assert_error 400 INVALID_REQUEST
    api PUT /v1/agents/private '{"display_name":5}'
    assert_error 400 INVALID_REQUEST display_name
    api PUT /v1/agents/private '{"display_name":"x"}'
    assert_error 412 FAILED_PRECONDITION If-Match
}

# ---- headers and bodies ----

@test "01 §1.1, §2.1: a token in the query, the pairing header and unknown headers count for nothing" {
    bearer='' api GET "/v1/models?token=$TOKEN"
    assert_error 401 UNAUTHORIZED
    extra=('X-GoClaw-Sender-Id: alice' 'X-Anything: else' 'X-GoClaw-Nothing: at all')
    bearer=$OPERATOR api GET /v1/agents
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
}

@test "01 §2.1: the header chooses the agent, also under its short name; the model wins" {
    for header in X-GoClaw-Agent-Id X-GoClaw-Agent; do
        extra=("$header: private")
        say '/echo x'
        [[ $(header X-GoClaw-Session-Key) == agent:private:* ]]
        say '/echo x' goclaw:default
        [[ $(header X-GoClaw-Session-Key) == agent:default:* ]]
        extra=("$header: nobody")
        say '/echo x'
        assert_error 404 NOT_FOUND -
    done
}

@test "01 §2.5: the content type does not matter, an empty body is {}, chunks are taken, names are exact" {
    local type name=0
    for type in 'text/plain' 'application/x-www-form-urlencoded' 'application/json; charset=utf-8' ''; do
        name=$((name + 1))
        status_code=$(curl -sS -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
            -H "Content-Type:${type:+ $type}" -d "{\"name\":\"type-$name\",\"provider_type\":\"offline\"}" "$GATEWAY/v1/providers")
        assert_equal "$type $status_code" "$type 201"
    done
    status_code=$(curl -sS -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $TOKEN" -H 'Transfer-Encoding: chunked' \
        -d '{"name":"chunks","provider_type":"offline"}' "$GATEWAY/v1/providers")
    assert_equal "$status_code" 201
    for body in '' '{"Name":"x","NAME":"x"}'; do
        api POST /v1/providers "$body"
        assert_error 400 INVALID_REQUEST name
        api POST /v1/tenants "$body"
        assert_error 400 INVALID_REQUEST name
    done
    api POST /v1/providers
    assert_error 400 INVALID_REQUEST name
    api GET /v1/providers
    local want=$body
    api GET /v1/providers 'what nobody reads'
    assert_status 200
    assert_equal "$body" "$want"
}

@test "01 §2.7: the line of a request names tenant, role and user, and no query" {
    extra=('X-GoClaw-User-Id: log-reader' 'X-Request-Id: rule-27')
    bearer=$OPERATOR api GET '/v1/agents?secret=hunter3'
    logged() { grep -q '"request_id":"rule-27"' "$LOG"; }
    wait_until 3 logged
    jq_eq '[.tenant, .role, .user, .method, .path, .status, (.ms | type)]' \
        "[\"0193a5b0-7000-7000-8000-000000000001\",\"operator\",\"log-reader\",\"GET\",\"/v1/agents\",200,\"number\"]" \
        "$(grep '"request_id":"rule-27"' "$LOG")"
    refute grep -q hunter3 "$LOG"
}

# ---- errors ----

@test "01 §3.1, §12.5: no list and no record looks like an error to any client" {
    local path
    for path in / /health /ready /v1/models /v1/agents /v1/sessions /v1/runs /v1/providers /v1/mcp/servers /v1/activity \
        /v1/tenants /v1/agents/private /v1/tenants/master /v1/activity/aggregate?group_by=action; do
        api GET "$path"
        assert_status 200
        jq_eq 'type == "object" and (has("payload") or .ok == false or (.error | type == "object") | not)' true
    done
}

@test "01 §3.2, §3.3: each code with its status, its members and its headers" {
    local path
    bearer=wrong api GET /v1/models
    assert_error 401 UNAUTHORIZED
    bearer=$VIEWER api POST /v1/providers '{}'
    assert_error 403 UNAUTHORIZED
    api GET /v1/nothing
    assert_error 404 NOT_FOUND
    api DELETE /v1/models
    assert_error 405 INVALID_REQUEST
    api POST /v1/providers '{"name":"Not A Slug"}'
    assert_error 400 INVALID_REQUEST name
    made providers twice
    api POST /v1/providers '{"name":"twice","provider_type":"offline"}'
    assert_error 409 ALREADY_EXISTS -
    extra=('If-Match: "none"')
    put providers "$path" x
    assert_error 412 FAILED_PRECONDITION If-Match
    extra=()
    api DELETE /v1/tenants/master
    assert_error 403 FAILED_PRECONDITION -
    for path in /v1/nothing /v1/agents/nobody; do
        api HEAD "$path"
        assert_status 404
        assert_equal "$body" ""
    done
}

# later NAME METHOD PATH JSON: answers to $BATS_TEST_TMPDIR/NAME, headers and all.
later() {
    curl -sS -m 60 -D "$BATS_TEST_TMPDIR/$1.headers" -o "$BATS_TEST_TMPDIR/$1.body" -X "$2" -d "$4" \
        -H "Authorization: Bearer $TOKEN" -H 'X-GoClaw-User-Id: system' "$GATEWAY$3" 3>&- 8>&- &
}

# came NAME: what it was answered, as after `api`.
came() {
    headers=$(tr -d '\r' <"$BATS_TEST_TMPDIR/$1.headers")
    body=$(cat "$BATS_TEST_TMPDIR/$1.body")
    status_code=$(sed -nE '1s/^HTTP[^ ]* ([0-9]+).*/\1/p' <<<"$headers")
}

@test "01 §3.3, §3.4: a database that somebody holds for longer than anybody waits is 503 in every family; reads go on" {
    local lock name
    exec 8> >(exec sqlite3 "$DATABASE" 3>&-)
    lock=$!
    echo 'BEGIN IMMEDIATE;' >&8
    sleep 0.3
    later provider POST /v1/providers '{"name":"while-locked","provider_type":"offline"}'
    later agent POST /v1/agents '{"agent_key":"while-locked"}'
    later key POST /v1/api-keys '{"name":"while-locked","scopes":["operator.read"]}'
    later run POST /v1/chat/completions "$(chat_body '/echo while-locked')"
    for name in providers agents api-keys sessions activity; do
        api GET /v1/$name 8>&-
        assert_status 200
    done
    api GET /health 8>&-
    assert_status 200
    # shellcheck disable=SC2046 # numbers
    wait $(jobs -p | grep -vx "$lock")
    exec 8>&-
    wait "$lock" || true
    for name in provider agent key run; do
        came $name
        assert_error 503 UNAVAILABLE
    done
    api GET /v1/providers
    jq_eq '.providers | map(.name) | index("while-locked")' null
    api POST /v1/providers '{"name":"while-locked","provider_type":"offline"}'
    assert_status 201
}

# ---- the audit log ----

@test "01 §8.2, §8.3: every change leaves one row with the name of its action, and what changes nothing none" {
    local family first
    first=$(sql "SELECT COALESCE(MAX(id), '') FROM activity_logs")
    for family in $FAMILIES; do
        made $family audited
        [ $family = keys ] || put $family "$path" changed
        [ $family = keys ] || put $family "$path" changed
        if [ $family = agents ]; then
            api POST "$path/sharing" '{"user_id":"carol"}'
            assert_status 201
            api DELETE "$path/sharing/carol"
        elif [ $family = tenants ]; then
            api POST "$path/users" '{"user_id":"carol"}'
            assert_status 201
            api DELETE "$path/users/carol"
            assert_status 200
            api PATCH "$path" '{"status":"archived"}'
        fi
        [ $family = keys ] || assert_status 200
        api DELETE "$path"
        assert_status 200
        api DELETE "$path"
    done
    assert_equal "$(sql "SELECT group_concat(action || '/' || entity_type, ' ') FROM (SELECT * FROM activity_logs
        WHERE id > '$first' ORDER BY id)")" "agent.created/agent agent.updated/agent agent.shared/agent \
agent.share_revoked/agent agent.deleted/agent provider.created/provider provider.updated/provider provider.deleted/provider \
mcp_server.created/mcp_server mcp_server.updated/mcp_server mcp_server.deleted/mcp_server tenant.created/tenant \
tenant.updated/tenant tenant.user.added/tenant tenant.user.removed/tenant tenant.updated/tenant tenant.deleted/tenant \
api_key.created/api_key api_key.revoked/api_key"
    assert_equal "$(sql "SELECT DISTINCT actor_type || ' ' || actor_id || ' ' || ip_address FROM activity_logs
        WHERE id > '$first'")" "user system 127.0.0.1"
}

@test "01 §5.1: every table of the business has a tenant in every row, the master tenant is there" {
    assert_equal "$(sql "SELECT id || ' ' || name || ' ' || slug || ' ' || status FROM tenants WHERE slug = 'master'")" \
        "0193a5b0-7000-7000-8000-000000000001 Master master active"
    assert_equal "$(sql "SELECT group_concat(m.name, ' ') FROM sqlite_master m WHERE m.type = 'table' AND m.name IN
        ('agents', 'agent_shares', 'sessions', 'messages', 'llm_providers', 'mcp_servers', 'traces', 'spans', 'activity_logs',
         'tenant_users') AND NOT EXISTS (SELECT 1 FROM pragma_table_info(m.name) c WHERE c.name = 'tenant_id' AND c.\"notnull\")")" ""
    [ "$(sql "SELECT COUNT(*) FROM pragma_table_info('agents') WHERE name = 'tenant_id' AND \"notnull\"")" = 1 ]
}

# ---- conventions ----

@test "01 §12.1: ids are UUIDv7 in lower case, and found in upper case too" {
    local family id
    for family in $FAMILIES; do
        made $family ids
        id=$(jq -r .id <<<"$body")
        [[ $id =~ $UUID7 ]] || fail "$family: $id"
        [ $family != keys ] || continue
        api GET "${PATHS[$family]}/${id^^}"
        assert_status 200
        jq_eq .id "\"$id\""
    done
    # an agent's key may look like anything but a UUID, which is always an id
    as_maker agents
    api GET "/v1/agents/$ABSENT"
    assert_error 404 NOT_FOUND id
}

@test "01 §12.1: slugs have at most 100 characters, begin and end with a letter or digit" {
    local slug long
    long=$(printf 'a%.0s' {1..100})
    for slug in a 0 a-b a--b "$long"; do
        api POST /v1/tenants "{\"name\":\"x\",\"slug\":\"$slug\"}"
        assert_status 201
        api GET "/v1/tenants/$slug"
        assert_status 200
    done
    for slug in -a a- A a_b 'a b' ä "${long}a"; do
        api POST /v1/tenants "{\"name\":\"x\",\"slug\":\"$slug\"}"
        assert_error 400 INVALID_REQUEST slug
    done
}

@test "01 §12.2: what cannot be an id is 400, what is none of ours 404, whatever is done to it" {
    local family method bad change
    for family in $FAMILIES; do
        as_maker $family
        bad=not-a-uuid
        [[ $family != agents && $family != tenants ]] || bad=Not_A_Slug
        for method in GET ${VERBS[$family]:-} DELETE; do
            [ "$family $method" != 'keys GET' ] || continue
            change=()
            [ "$method" != "${VERBS[$family]:-}" ] || change=('{}')
            api "$method" "${PATHS[$family]}/$bad" ${change[@]+"${change[@]}"}
            assert_error 400 INVALID_REQUEST id
            api "$method" "${PATHS[$family]}/$ABSENT" ${change[@]+"${change[@]}"}
            assert_error 404 NOT_FOUND id
        done
    done
    extra=()
    say hi goclaw:Not_A_Slug
    assert_error 400 INVALID_REQUEST model
    say hi goclaw:nobody
    assert_error 404 NOT_FOUND model
    api GET '/v1/sessions?agent_id=nobody'
    jq_eq .sessions '[]'
    extra=('X-GoClaw-Agent-Id: Not_A_Slug')
    say hi
    assert_error 400 INVALID_REQUEST X-GoClaw-Agent-Id
}

@test "01 §12.3: times have one form, what is unset is null, queries take any offset and a date alone" {
    local family later
    for family in $FAMILIES; do
        made $family times
        jq_eq '[to_entries[] | select(.key | endswith("_at")) | .value | select(. != null) |
            test("^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9][.][0-9]{3}Z$")] | length >= 2 and all' true
        [ $family != keys ] || jq_eq '[.expires_at, .last_used_at]' '[null,null]'
    done
    extra=()
    later=$(date -u -d '+1 hour' +%Y-%m-%dT%H:%M:%S)
    api GET "/v1/activity/aggregate?group_by=action&from=$later.000Z"
    jq_eq .total 0
    # the same moment, said two hours to the east: an hour ago
    api GET "/v1/activity/aggregate?group_by=action&from=$later%2B02:00"
    jq_eq '.total > 0' true
    api GET "/v1/activity/aggregate?group_by=action&from=$(date -u +%Y-%m-%d)"
    jq_eq '.total > 0' true
    say '/echo x'
    jq_eq '.created | type == "number" and . == floor and . > 1700000000' true
}

@test "01 §12.4: lists have their own name, and payload only where it is switched on" {
    local row
    extra=()
    for row in /v1/agents:agents /v1/sessions:sessions /v1/providers:providers /v1/mcp/servers:servers /v1/activity:logs \
        /v1/tenants:tenants /v1/tenants/master/users:users /v1/agents/private/sharing:shares /v1/runs:runs /v1/models:data; do
        api GET "${row%:*}"
        assert_status 200
        jq_eq "(.${row#*:} | type) + \" \" + (has(\"payload\") | tostring)" '"array false"'
    done
    api GET /v1/api-keys
    jq_eq type '"array"'
}

@test "01 §12.5: an empty list is [], an empty object {}" {
    local row
    made tenants nothing-there
    extra=('X-GoClaw-Tenant-Id: nothing-there')
    for row in /v1/agents:agents /v1/sessions:sessions /v1/providers:providers /v1/mcp/servers:servers /v1/activity:logs \
        /v1/runs:runs /v1/models:data; do
        api GET "${row%:*}"
        jq_eq ".${row#*:}" '[]'
    done
    api GET /v1/api-keys
    jq_eq . '[]'
    extra=()
    api GET /v1/tenants/nothing-there
    jq_eq .settings '{}'
}

@test "01 §12.6: pages: what cannot be is the default, what is too much the most, beyond the end there is nothing" {
    local path list total
    extra=()
    for path in sessions:20:sessions activity:50:logs runs:50:runs; do
        IFS=: read -r path preset list <<<"$path"
        api GET "/v1/$path"
        total=$(jq .total <<<"$body")
        jq_eq '[.limit, .offset]' "[$preset,0]"
        for query in limit=0 limit=-1 limit=x limit= offset=-1 offset=x limit=1.5; do
            api GET "/v1/$path?$query"
            jq_eq '[.limit, .offset]' "[$preset,0]"
        done
        api GET "/v1/$path?limit=201"
        jq_eq .limit 200
        api GET "/v1/$path?limit=1&offset=100000"
        jq_eq "[.$list, .limit, .offset]" '[[],1,100000]'
        [ "$(jq .total <<<"$body")" -ge "$total" ]
    done
}

@test "01 §12.7: unknown fields and those of the house change nothing, made or changed" {
    local family before
    for family in $CHANGEABLE; do
        as_maker $family
        api POST "${PATHS[$family]}" "$(jq -c --arg absent $ABSENT '. + {id: $absent, tenant_id: $absent, created_at:
            "2000-01-01T00:00:00.000Z", updated_at: "2000-01-01T00:00:00.000Z", no_such_member: [1]}' <<<"${BODIES[$family]/NAME/houses}")"
        assert_status 201
        jq_eq '(.id != "'$ABSENT'") and (.tenant_id? != "'$ABSENT'") and (.created_at | startswith("2000") | not) and (has("no_such_member") | not)' true
        path=${PATHS[$family]}/$(jq -r .id <<<"$body")
        api GET "$path"
        before=$body
        api "${VERBS[$family]}" "$path" "{\"id\":\"$ABSENT\",\"tenant_id\":\"$ABSENT\",\"created_at\":\"2000-01-01T00:00:00.000Z\",\"no_such_member\":1}"
        assert_status 200
        api GET "$path"
        assert_equal "$body" "$before"
    done
    grep -q '"security.filtered_unknown_field".*no_such_member' "$LOG"
}

@test "01 §12.8: a change is partial, answers the record with its acknowledgement, and moves updated_at when it is one" {
    local family before
    for family in $CHANGEABLE; do
        made $family partial
        before=$body
        sleep 0.01
        put $family "$path" 'New name'
        assert_status 200
        jq_eq ". * ${ACKNOWLEDGED[$family]} == ." true
        jq_eq '.updated_at > '"$(jq .updated_at <<<"$before")" true
        jq_eq 'del(.updated_at, .display_name, .name, .ok, .status)' \
            "$(jq -c 'del(.updated_at, .display_name, .name, .ok, .status)' <<<"$before")"
        before=$(jq .updated_at <<<"$body")
        put $family "$path" 'New name'
        assert_status 200
        jq_eq .updated_at "$before"
        api "${VERBS[$family]}" "$path" '{}'
        assert_status 200
        jq_eq .updated_at "$before"
        api "${VERBS[$family]}" "$path" "$(sed 's/:.*/:5}/' <<<"${CHANGES[$family]}")"
        assert_error 400 INVALID_REQUEST "$(sed -E 's/\{"([a-z_]+).*/\1/' <<<"${CHANGES[$family]}")"
    done
}

@test "01 §12.13: a number with a fraction, in quotes or a truth is no integer; an answer holds none" {
    local value
    as_maker agents
    for value in 1.5 '"1"' true '[1]' 9007199254740993.5; do
        api POST /v1/agents "{\"agent_key\":\"numbers\",\"context_window\":$value}"
        assert_error 400 INVALID_REQUEST context_window
        api POST /v1/api-keys "{\"name\":\"n\",\"scopes\":[\"operator.read\"],\"expires_in\":$value}"
        assert_error 400 INVALID_REQUEST expires_in
    done
    for value in '"true"' 1 0 '"yes"'; do
        api POST /v1/providers "{\"name\":\"numbers\",\"provider_type\":\"offline\",\"enabled\":$value}"
        assert_error 400 INVALID_REQUEST enabled
    done
    made agents numbers
    jq_eq '[.context_window, .max_tool_iterations] | all(type == "number" and . == floor)' true
    jq_eq '[.restrict_to_workspace, .is_default] | all(type == "boolean")' true
}

@test "01 §12.14: every record has a strong ETag; PUT, PATCH and DELETE honour If-Match" {
    local family first second
    for family in $CHANGEABLE; do
        made $family tagged
        api GET "$path"
        first=$(header ETag)
        [[ $first == \"?*\" ]]
        put $family "$path" second
        second=$(header ETag)
        [[ $second == \"?*\" && $second != "$first" ]]
        extra+=("If-Match: $first")
        put $family "$path" third
        assert_error 412 FAILED_PRECONDITION If-Match
        api DELETE "$path"
        assert_error 412 FAILED_PRECONDITION If-Match
        as_maker $family
        api GET "$path"
        assert_equal "$(header ETag)" "$second"
        extra+=('If-Match: *')
        put $family "$path" third
        assert_status 200
    done
}

@test "01 §12.15: aliases answer like what they stand for" {
    as_maker agents
    api GET /v1/agents/private/sharing
    local want=$body
    api GET /v1/agents/private/shares
    assert_equal "$body" "$want"
    api GET /docs/openapi.json
    want=$(header ETag)
    api GET /v1/openapi.json
    assert_equal "$(header ETag)" "$want"
    say '/echo x'
    local session
    session=$(header X-GoClaw-Session-Key)
    api GET "/v1/sessions/$session/preview"
    want=$body
    api POST "/v1/sessions/$session/preview"
    assert_status 200
    assert_equal "$body" "$want"
    made keys alias
    api POST "$path/revoke"
    assert_status 200
    jq_eq . '{"status":"revoked"}'
}

@test "01 §12.18: Idempotency-Key on every POST that makes something: once, the same answer; another body 409; no key 400" {
    local family first key
    for family in $FAMILIES; do
        as_maker $family
        extra+=("Idempotency-Key: rule-$family")
        api POST "${PATHS[$family]}" "${BODIES[$family]/NAME/kept}"
        assert_status 201
        first=$(jq -c 'del(.key)' <<<"$body")
        api POST "${PATHS[$family]}" "${BODIES[$family]/NAME/kept}"
        assert_status 201
        jq_eq 'del(.key)' "$first"
        api POST "${PATHS[$family]}" "${BODIES[$family]/NAME/other}"
        assert_error 409 ALREADY_EXISTS Idempotency-Key
        for key in 'with blank' "$(printf 'k%.0s' {1..256})"; do
            as_maker $family
            extra+=("Idempotency-Key: $key")
            api POST "${PATHS[$family]}" "${BODIES[$family]/NAME/refused}"
            assert_error 400 INVALID_REQUEST Idempotency-Key
        done
    done
    as_maker providers
    extra+=("Idempotency-Key: $(printf 'k%.0s' {1..255})")
    api POST /v1/providers "${BODIES[providers]/NAME/longest}"
    assert_status 201
}

@test "every rule in the list has a test that names it" {
    run "$ROOT/test/rules"
    assert_success
}
