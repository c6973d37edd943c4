# Agents, /v1/agents: create, read, change, delete (contract 02 §3, §4).

load helper
load agents

@test "create answers the full record with its defaults, and reads answer the same" {
    create '"agent_key":"one"'
    jq_eq 'del(.id, .created_at, .updated_at, .workspace)' '{"tenant_id":"0193a5b0-7000-7000-8000-000000000001",
        "agent_key":"one","owner_id":"alice","provider":"offline","model":"offline","context_window":200000,
        "max_tool_iterations":30,"restrict_to_workspace":true,"agent_type":"open","is_default":false,
        "status":"active","tools_config":{},"other_config":{},"memory_config":{"enabled":true},"compaction_config":{}}'
    jq_eq '.created_at == .updated_at and (.created_at | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z$"))' true
    jq_eq .workspace "\"$GATEWAY_HOME/workspace/one\""
    local made=$body
    for path in "$agent" $AGENTS/one "${agent^^}"; do
        api GET "${path/\/V1\/AGENTS/$AGENTS}"
        assert_status 200
        assert_equal "$body" "$made"
    done
}

@test "house fields and unknown ones in the body change nothing" {
    create '"agent_key":"one","id":"x","tenant_id":5,"owner_id":"eve","created_at":1,"restrict_to_workspace":false,
        "summon_error":"x","unknown":[]'
    jq_eq '[.owner_id, .restrict_to_workspace, has("summon_error"), has("unknown")]' '["alice",true,false,false]'
    local made=$body
    takes 'id: "x", owner_id: "eve", restrict_to_workspace: false, summon_error: "x", tenant_id: null, unknown: 1'
    jq_eq 'del(.ok)' "$made"
    # What came from elsewhere is put right by the first change.
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE agents SET restrict_to_workspace = 0 WHERE agent_key = 'one'"
    takes ''
    jq_eq .restrict_to_workspace true
}

# bats test_tags=fields
@test "every field at its limit, and one past it" {
    local f
    accepts "display_name: \"$(repeat é 255)\""
    refuses "display_name: \"$(repeat é 256)\"" display_name
    accepts "frontmatter: \"$(repeat é 2000)\""
    refuses "frontmatter: \"$(repeat é 2001)\"" frontmatter
    accepts "provider: \"$(repeat é 50)\""
    refuses "provider: \"$(repeat é 51)\"" provider
    accepts "model: \"$(repeat é 200)\""
    refuses "model: \"$(repeat é 201)\"" model
    accepts 'context_window: 1'
    accepts 'context_window: 10000000'
    refuses 'context_window: 10000001' context_window
    accepts 'context_window: 0, max_tool_iterations: -1'
    jq_eq '[.context_window, .max_tool_iterations]' '[200000,30]'
    accepts 'max_tool_iterations: 1'
    accepts 'max_tool_iterations: 1000'
    refuses 'max_tool_iterations: 1001' max_tool_iterations
    accepts 'budget_monthly_cents: 0'
    jq_eq .budget_monthly_cents 0
    refuses 'budget_monthly_cents: -1' budget_monthly_cents
    accepts 'monthly_cents: 9007199254740991'
    jq_eq .budget_monthly_cents 9007199254740991
    refuses 'monthly_cents: 9007199254740992' budget_monthly_cents
    accepts 'budget_monthly_cents: null'
    jq_eq 'has("budget_monthly_cents")' false
    for f in tools_config other_config sandbox_config subagents_config memory_config compaction_config \
        context_pruning; do
        accepts "$f: {a: \"$(repeat s 65528)\"}"
        refuses "$f: {a: \"$(repeat s 65529)\"}" $f
        refuses "$f: []" $f
        refuses "$f: \"{}\"" $f
        accepts "$f: {}"
        jq_eq .$f '{}'
    done
    accepts 'agent_type: "predefined"'
    jq_eq '[.agent_type, .status]' '["predefined","active"]'
    refuses 'agent_type: "closed"' agent_type
    accepts 'status: "inactive"'
    for f in '"summoning"' '"summon_failed"' '"deleted"' 1; do
        refuses "status: $f" status
    done
}

@test "values of another type are refused with the field's name" {
    local f
    for f in agent_key display_name frontmatter provider model workspace agent_type status; do
        refuses "$f: 5" $f
    done
    for f in context_window max_tool_iterations budget_monthly_cents; do
        refuses "$f: \"5\"" $f
        refuses "$f: 1.5" $f
    done
    refuses 'is_default: "true"' is_default
    refuses 'description: 5' description
    refuses 'agent_description: {}' agent_description
    api POST $AGENTS '[]'
    assert_error 400 INVALID_REQUEST
    api POST $AGENTS '{"agent_key":"a","agent_key":"b"}'
    assert_error 400 INVALID_REQUEST
    api POST $AGENTS "$(printf '{"agent_key":"%s"}' "$(repeat a 1048576)")"
    assert_error 413 INVALID_REQUEST
}

@test "keys: shape, length, reserved words" {
    local key
    for key in a 0 a-b a--b "$(repeat a 100)" import2 default-2; do
        create "\"agent_key\":\"$key\""
    done
    for key in '' A -a a- a_b 'a b' é "$(repeat a 101)" links import sync-workspace \
        0193a5b0-7000-7000-8000-000000000001; do
        api POST $AGENTS "{\"agent_key\":\"$key\"}"
        assert_error 400 INVALID_REQUEST agent_key
        api PUT "$agent" "{\"agent_key\":\"$key\"}"
        assert_error 400 INVALID_REQUEST agent_key
    done
}

@test "a key is made from the name when there is none" {
    local name key
    while IFS='|' read -r name key; do
        api POST $AGENTS "$(jq -cn --arg name "$name" '{display_name: $name}')"
        assert_status 201
        jq_eq '[.agent_key, .display_name]' "$(jq -cn --arg n "$name" --arg k "$key" '[$k, $n]')"
    done <<EOF
My  Agent #2!|my-agent-2
--X--|x
Ünï côde|n-c-de
$(repeat a 70)|$(repeat a 64)
$(repeat b 63) c|$(repeat b 63)
$(repeat d 62) ef|$(repeat d 62)-e
EOF
    api POST $AGENTS '{"display_name":"my agent 2"}'
    assert_error 409 ALREADY_EXISTS agent_key
    api POST $AGENTS '{"agent_key":null,"display_name":"Null key"}'
    assert_status 201
    for name in '' '!!' '日本' Links 0193A5B0-7000-7000-8000-000000000001; do
        api POST $AGENTS "{\"agent_key\":\"\",\"display_name\":\"$name\"}"
        assert_error 400 INVALID_REQUEST agent_key
    done
    # A change of the name leaves the key alone.
    create '"display_name":"First"'
    takes 'display_name: "Second"'
    jq_eq '[.agent_key, .display_name]' '["first","Second"]'
}

@test "the workspace: its default, what a user may choose, what an admin may" {
    local dir=$GATEWAY_HOME/workspace path
    create '"agent_key":"one"'
    for path in / /etc "$dir" "$dir/" "${dir}2/x" "$dir/../x" "$dir/a/.." "$dir/./a" "$dir/tenants/other/a" \
        "$dir//tenants" relative '~'; do
        refuses "workspace: \"$path\"" workspace
        rejects "workspace: \"$path\"" workspace
    done
    accepts "workspace: \"$dir/shared/deep\""
    accepts "workspace: \"$dir/tenants2\""
    accepts "workspace: \"$dir/ten\""
    accepts "workspace: \"$dir/..a\""
    accepts "workspace: \"$dir/$(repeat a $((4096 - ${#dir} - 1)))\""
    refuses "workspace: \"$dir/$(repeat a $((4096 - ${#dir})))\"" workspace
    takes "workspace: \"$dir/two\""
    jq_eq .workspace "\"$dir/two\""
    takes 'workspace: null'
    jq_eq .workspace "\"$dir/one\""
    as alice "$ADMIN_KEY"
    takes 'workspace: "/srv/agents"'
    rejects 'workspace: "/srv/../etc"' workspace
    rejects 'workspace: "srv"' workspace
    # Sent back unchanged it is fine for its owner.
    as alice
    takes 'workspace: "/srv/agents", display_name: "x"'
    # Another tenant lives below its own directory; its admins too.
    as alice "$(clawgate key create --name t --scopes admin --tenant other)"
    create '"agent_key":"one"'
    jq_eq .workspace "\"$dir/tenants/other/one\""
    refuses "workspace: \"$dir/one\"" workspace
    refuses 'workspace: "/srv/agents"' workspace
    accepts "workspace: \"$dir/tenants/other/x\""
    jq_eq .workspace "\"$dir/tenants/other/x\""
}

@test "a row that says it was deleted is not there, under its id and its key, and its key is free" {
    as alice
    create '"agent_key":"gone"'
    local id
    id=$(jq -r .id <<<"$body")
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "UPDATE agents SET deleted_at = updated_at WHERE id = '$id'"
    for path in "/v1/agents/$id" /v1/agents/gone; do
        for method in GET PUT DELETE; do
            api $method "$path"
            assert_error 404 NOT_FOUND id
        done
        api GET "$path/sharing"
        assert_error 404 NOT_FOUND id
    done
    # Such a change is made by no program of ours: nobody is told that the lists kept are old.
    api GET "/v1/agents?limit=50&at=$id"
    assert_status 200
    jq_eq "[([.agents[].id] | index(\"$id\")), (.agents | length) == .total]" '[null,true]'
    create '"agent_key":"gone"'
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "DELETE FROM agents WHERE id = '$id'"
}

# With new settings; plain CGI reads them for each request.
restart() {
    by_cgi || {
        clawgate stop >/dev/null
        gateway_serve
    }
}

@test "01 §5.2: no key makes an agent at home in the tenants' directory, or where the database lies" {
    as alice
    api POST $AGENTS '{"agent_key":"tenants"}'
    assert_error 400 INVALID_REQUEST agent_key
    api POST $AGENTS '{"display_name":"Tenants"}'
    assert_error 400 INVALID_REQUEST agent_key
    create '"agent_key":"one"'
    rejects 'agent_key: "tenants", workspace: null' agent_key
    as alice "$ADMIN_KEY"
    api POST $AGENTS '{"agent_key":"tenants"}'
    assert_error 400 INVALID_REQUEST agent_key
    # With a directory of its own the key is as good as any; and it is below another tenant's.
    create '"agent_key":"tenants","workspace":"'"$GATEWAY_HOME/workspace/elsewhere"'"'
    as alice "$(clawgate key create --name t --scopes write --tenant other)"
    create '"agent_key":"tenants"'
    jq_eq .workspace "\"$GATEWAY_HOME/workspace/tenants/other/tenants\""
    run clawgate agent create tenants
    assert_failure
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/before"
    jq '.agents.defaults.workspace = "~"' "$BATS_TEST_TMPDIR/before" >"$GATEWAY_HOME/config.json"
    restart
    as alice
    api POST $AGENTS '{"agent_key":"data"}'
    assert_error 400 INVALID_REQUEST agent_key
    refuses 'workspace: "'"$GATEWAY_HOME//data/x"'"' workspace
    cat "$BATS_TEST_TMPDIR/before" >"$GATEWAY_HOME/config.json"
    restart
}

@test "config objects: stored and shown as they came, null where it is allowed" {
    local odd='{"toolCallPrefix":"x_","deny":["exec"],"unknown":{"n":1.50,"big":1e3,"é":null}}' f
    create "\"agent_key\":\"one\",\"tools_config\":$odd"
    grep -qF "\"tools_config\":$odd" <<<"$body"
    for f in sandbox_config subagents_config memory_config compaction_config context_pruning; do
        takes "$f: {a: 1}"
        jq_eq .$f '{"a":1}'
        takes "$f: {b: 2}"
        jq_eq .$f '{"b":2}'
        takes "$f: {}"
        jq_eq .$f '{}'
        takes "$f: null"
        jq_eq "has(\"$f\")" false
        accepts "$f: null"
        jq_eq "has(\"$f\")" false
        rejects "$f: 1" $f
    done
    for f in tools_config other_config; do
        takes "$f: {a: 1}"
        takes "$f: null"
        jq_eq .$f '{}'
        accepts "$f: null"
        jq_eq .$f '{}'
    done
}

@test "the description has one home, whatever it is called" {
    create '"agent_key":"one","description":"writes poems"'
    jq_eq '[.other_config, has("description")]' '[{"description":"writes poems"},false]'
    create '"agent_key":"two","agent_description":"first","description":"second"'
    jq_eq .other_config '{"description":"first"}'
    create '"agent_key":"three","agent_description":"first","other_config":{"emoji":"x","description":"own"}'
    jq_eq .other_config '{"emoji":"x","description":"own"}'
    create '"agent_key":"four","agent_description":"","description":"second","other_config":{"emoji":"x","description":""}'
    jq_eq .other_config '{"emoji":"x","description":"second"}'
    takes 'description: "third"'
    jq_eq .other_config '{"emoji":"x","description":"third"}'
    takes 'description: "fourth", other_config: {a: 1}'
    jq_eq .other_config '{"a":1,"description":"fourth"}'
    takes 'description: null, agent_description: ""'
    jq_eq .other_config '{"a":1,"description":"fourth"}'
    rejects 'description: []' description
    takes "other_config: {a: \"$(repeat s 65500)\"}"
    rejects "description: \"$(repeat d 30)\"" other_config
    takes 'description: "d"'
}

@test "a change is partial and judged like a create; null clears or is refused" {
    create '"agent_key":"one","display_name":"d","frontmatter":"f","provider":"p","model":"m","monthly_cents":5'
    takes 'display_name: "e"'
    jq_eq '[.display_name, .frontmatter, .agent_key]' '["e","f","one"]'
    jq_eq '.updated_at > .created_at' true
    takes 'display_name: null, frontmatter: null, provider: null, model: null, monthly_cents: null, is_default: null'
    jq_eq '[has("display_name"), has("frontmatter"), .provider, .model, has("budget_monthly_cents"), .is_default]' \
        '[false,false,"","",false,false]'
    for f in agent_key agent_type status context_window max_tool_iterations; do
        rejects "$f: null" $f
    done
    rejects 'agent_type: ""' agent_type
    rejects 'status: ""' status
    rejects 'context_window: 0' context_window
    rejects 'context_window: 10000001' context_window
    takes 'context_window: 1, max_tool_iterations: 1'
    rejects 'max_tool_iterations: 0' max_tool_iterations
    rejects 'max_tool_iterations: 1001' max_tool_iterations
    takes 'context_window: 10000000, max_tool_iterations: 1000, agent_type: "predefined"'
    jq_eq '[.context_window, .max_tool_iterations, .agent_type]' '[10000000,1000,"predefined"]'
    rejects "display_name: \"$(repeat é 256)\"" display_name
    rejects "other_config: {a: \"$(repeat s 65529)\"}" other_config
    takes 'agent_key: "renamed"'
    api GET $AGENTS/one
    assert_error 404 NOT_FOUND id
    api GET $AGENTS/renamed
    assert_status 200
    # By key it works as by id.
    api PUT $AGENTS/renamed '{"display_name":"by key"}'
    assert_status 200
    jq_eq '[.ok, .display_name]' '["true","by key"]'
}

@test "status: active and inactive can be set, the stored value may be sent back" {
    create '"agent_key":"one"'
    takes 'status: "inactive"'
    say hello agent:one
    assert_error 409 FAILED_PRECONDITION
    takes 'status: "active"'
    for status in summoning summon_failed other; do
        rejects "status: \"$status\"" status
    done
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE agents SET status = 'summon_failed', summon_error = 'no model'
        WHERE agent_key = 'one'"
    api GET "$agent"
    jq_eq '[.status, .summon_error]' '["summon_failed","no model"]'
    takes 'status: "summon_failed", display_name: "x"'
    rejects 'status: "summoning"' status
    takes 'status: "active"'
}

@test "nothing effective: 200, no new time, no activity" {
    create '"agent_key":"one","other_config":{"a":1,"b":2},"memory_config":null'
    local at rows change
    at=$(jq .updated_at <<<"$body")
    rows=$(sql 'SELECT COUNT(*) FROM activity_logs')
    for change in '' '{}' '{"agent_key":"one"}' '{"other_config":{"b":2,"a":1}}' '{"memory_config":null}' '{"x":1}' \
        '{"description":""}' '{"is_default":false,"status":"active","context_window":200000}'; do
        api PUT "$agent" "$change"
        assert_status 200
        jq_eq '[.ok, .updated_at]' "[\"true\",$at]"
    done
    assert_equal "$(sql 'SELECT COUNT(*) FROM activity_logs')" "$rows"
}

@test "keys are unique in the tenant, also in a race; a deleted one is free" {
    create '"agent_key":"one"'
    api POST $AGENTS '{"agent_key":"one"}'
    assert_error 409 ALREADY_EXISTS agent_key
    local first=$agent i racers=()
    create '"agent_key":"two"'
    api PUT "$agent" '{"agent_key":"one"}'
    assert_error 409 ALREADY_EXISTS agent_key
    api PUT "$agent" '{"agent_key":"two"}'
    assert_status 200
    api DELETE "$first"
    assert_status 200
    takes 'agent_key: "one"'
    for i in $(seq 12); do
        curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $WRITE_KEY" -H 'X-GoClaw-User-Id: alice' \
            -d '{"agent_key":"race"}' "$GATEWAY$AGENTS" >"$BATS_TEST_TMPDIR/$i" &
        racers+=($!)
    done
    wait "${racers[@]}"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/[0-9]* | sort | uniq -c | xargs)" '1 201 11 409'
}

@test "errors come in their order, and wrong methods tell the right ones" {
    create '"agent_key":"one"'
    api PUT $AGENTS/No 'not json'
    assert_error 400 INVALID_REQUEST id
    api GET "$AGENTS/a%2Fb"
    assert_error 400 INVALID_REQUEST id
    api PUT $MISSING 'not json'
    assert_error 404 NOT_FOUND id
    api PUT $AGENTS/nobody 'not json'
    assert_error 404 NOT_FOUND id
    as bob
    api PUT "$agent" 'not json'
    assert_error 403 UNAUTHORIZED
    as alice
    api PUT "$agent" 'not json'
    assert_error 400 INVALID_REQUEST
    extra+=('If-Match: "x"')
    api PUT "$agent" '{"agent_key":"A"}'
    assert_error 400 INVALID_REQUEST agent_key
    api PUT "$agent" '{"is_default":true}'
    assert_error 403 UNAUTHORIZED is_default
    api PUT "$agent" '{"agent_key":"default"}'
    assert_error 412 FAILED_PRECONDITION If-Match
    api PATCH "$agent" '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" 'GET, HEAD, PUT, DELETE, OPTIONS'
    api DELETE $AGENTS
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" 'GET, HEAD, POST, OPTIONS'
    api GET "$agent/nothing"
    assert_error 404 NOT_FOUND
}

@test "ETag and If-Match" {
    create '"agent_key":"one"'
    api GET "$agent"
    local first second
    first=$(header ETag)
    [[ $first == \"*\" ]]
    extra+=("If-Match: $first")
    api PUT "$agent" '{"display_name":"x"}'
    assert_status 200
    second=$(header ETag)
    [ "$first" != "$second" ]
    api PUT "$agent" '{"display_name":"y"}'
    assert_error 412 FAILED_PRECONDITION If-Match
    api DELETE "$agent"
    assert_error 412 FAILED_PRECONDITION If-Match
    as alice
    api GET $AGENTS/one
    assert_equal "$(header ETag)" "$second"
    # Losing the flag to another agent is a change, too.
    as alice "$ADMIN_KEY"
    takes 'is_default: true'
    second=$(header ETag)
    api POST $AGENTS '{"agent_key":"two","is_default":true}'
    assert_status 201
    extra+=("If-Match: $second")
    api DELETE "$agent"
    assert_error 412 FAILED_PRECONDITION If-Match
    as alice
    extra+=('If-Match: *')
    api DELETE "$agent"
    assert_status 200
}

@test "Idempotency-Key: one agent for one key" {
    extra+=("Idempotency-Key: once")
    api POST $AGENTS '{"display_name":"One","description":"d"}'
    assert_status 201
    local made=$body
    api POST $AGENTS '{"display_name":"One","description":"d"}'
    assert_status 201
    assert_equal "$body" "$made"
    api POST $AGENTS '{"display_name":"Two"}'
    assert_error 409 ALREADY_EXISTS Idempotency-Key
}

@test "a created agent answers at once, a changed one as it is now, a deleted one not at all" {
    create '"display_name":"Helper"'
    local id=${agent##*/} session
    say hello agent:helper
    assert_status 200
    [ -n "$(answer)" ]
    assert_equal "$(header X-GoClaw-Agent-Id)" "$id"
    session=$(header X-GoClaw-Session-Key)
    as bob
    say hello agent:helper
    assert_error 403 UNAUTHORIZED
    as alice
    takes 'agent_key: "helper2"'
    say hello agent:helper
    assert_error 404 NOT_FOUND model
    say hello "agent:$id"
    assert_status 200
    takes 'provider: "nowhere"'
    say hello agent:helper2
    assert_error 409 FAILED_PRECONDITION
    api DELETE "$agent"
    assert_status 200
    assert_equal "$(sql "SELECT COUNT(*) FROM sessions WHERE agent_id = '$id'")" 0
    assert_equal "$(sql "SELECT COUNT(*) > 0 FROM traces WHERE agent_id = '$id'")" 1
    say hello agent:helper2
    assert_error 404 NOT_FOUND model
    api DELETE "$agent"
    assert_error 404 NOT_FOUND id
    api GET "$agent"
    assert_error 404 NOT_FOUND id
    # Without provider and model the configured ones answer; the key is free again.
    create '"agent_key":"helper"'
    takes 'provider: "", model: ""'
    say hello agent:helper
    assert_status 200
}

@test "activity: one row a change, with who and what" {
    create '"agent_key":"one"'
    local id=${agent##*/}
    takes 'display_name: "x"'
    bearer=$ADMIN_KEY extra=()
    takes 'display_name: "y"'
    api PUT "$agent" '{"agent_key":"A"}'
    as_owner
    api DELETE "$agent"
    assert_equal "$(sql "SELECT group_concat(action || ' ' || actor_type || ' ' || entity_type, ',') FROM
        (SELECT * FROM activity_logs WHERE entity_id = '$id' ORDER BY id)")" \
        'agent.created user agent,agent.updated user agent,agent.updated api_key agent,agent.deleted user agent'
    assert_equal "$(sql "SELECT group_concat(actor_id) FROM
        (SELECT * FROM activity_logs WHERE entity_id = '$id' AND actor_type = 'user' ORDER BY id)")" alice,alice,system
}
