# Agents, /v1/agents: whose an agent is, who may see it, and the one everybody may use (contract 02 §2).

load helper
load agents

@test "the default agent: admins only, one a tenant" {
    create '"agent_key":"one"'
    rejects_default() {
        assert_error 403 UNAUTHORIZED is_default
        assert_equal "$(sql "SELECT group_concat(agent_key) FROM agents WHERE is_default")" default
    }
    api POST $AGENTS '{"agent_key":"two","is_default":true}'
    rejects_default
    api PUT "$agent" '{"is_default":true}'
    rejects_default
    as alice "$ADMIN_KEY"
    takes 'is_default: true'
    jq_eq .is_default true
    assert_equal "$(sql "SELECT group_concat(agent_key) FROM agents WHERE is_default")" one
    # Its owner may send true back, and give it up.
    as alice
    takes 'is_default: true, display_name: "x"'
    jq_eq .is_default true
    as alice "$ADMIN_KEY"
    create '"agent_key":"two","is_default":true'
    assert_equal "$(sql "SELECT group_concat(agent_key) FROM agents WHERE is_default")" two
    assert_equal "$(sql "SELECT updated_at > created_at FROM agents WHERE agent_key = 'one'")" 1
    as alice
    takes 'is_default: false'
    assert_equal "$(sql "SELECT COUNT(*) FROM agents WHERE is_default")" 0
    # The flag of another tenant's agent is its own.
    as_owner
    api PUT $AGENTS/default '{"is_default":true}'
    assert_status 200
    extra=("X-GoClaw-Tenant-Id: other" "X-GoClaw-User-Id: system")
    create '"agent_key":"theirs","is_default":true'
    assert_equal "$(sql "SELECT group_concat(agent_key) FROM
        (SELECT * FROM agents WHERE is_default ORDER BY agent_key)")" default,theirs
}

@test "twelve defaults at once leave one" {
    local i racers=()
    for i in $(seq 12); do
        curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $ADMIN_KEY" -H 'X-GoClaw-User-Id: alice' \
            -d "{\"agent_key\":\"race$i\",\"is_default\":true}" "$GATEWAY$AGENTS" >"$BATS_TEST_TMPDIR/$i" &
        racers+=($!)
    done
    wait "${racers[@]}"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/[0-9]* | sort | uniq -c | xargs)" '12 201'
    assert_equal "$(sql 'SELECT COUNT(*) FROM agents WHERE is_default')" 1
}

@test "the list: newest first, all states, paging when asked" {
    api GET $AGENTS
    assert_status 200
    jq_eq '[(.agents | map(.agent_key)), keys]' '[["default"],["agents"]]'
    create '"agent_key":"a"'
    create '"agent_key":"c","status":"inactive"'
    create '"agent_key":"b"'
    local made=$body
    api GET $AGENTS
    jq_eq '.agents | map(.agent_key)' '["b","c","a","default"]'
    jq_eq '.agents[0]' "$made"
    api GET "$AGENTS?limit=2&offset=1&unknown=1"
    jq_eq '[(.agents | map(.agent_key)), .total, .limit, .offset]' '[["c","a"],4,2,1]'
    # Those of the same moment are told apart by their id.
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE agents SET created_at = '2026-01-01T00:00:00.000Z'"
    api GET $AGENTS
    jq_eq '.agents | map(.id) | . == (sort | reverse)' true
    api HEAD $AGENTS
    assert_status 200
    assert_equal "$(wc -c <"$BATS_TEST_TMPDIR/body")" 0
}

@test "who sees and changes what: owner, shared, default, stranger, admin with and without a name, owner role" {
    local id who
    create '"agent_key":"one"'
    id=${agent##*/}
    sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO agent_shares
        (id, tenant_id, agent_id, user_id, role, created_at, updated_at)
        SELECT 's', tenant_id, id, 'carol', 'admin', 't', 't' FROM agents WHERE agent_key = 'one'"
    # sees_and_may READ LIST WRITE
    sees_and_may() {
        api GET "$agent"
        assert_status "$1"
        [ "$1" = 200 ] || assert_error 403 UNAUTHORIZED
        api GET $AGENTS
        jq_eq '.agents | map(.agent_key)' "$2"
        api PUT "$agent" "{\"display_name\":\"$RANDOM$RANDOM\"}"
        [ "$3" = 200 ] && assert_status 200 || assert_error 403 UNAUTHORIZED
        api DELETE $MISSING
        assert_error 404 NOT_FOUND id
    }
    sees_and_may 200 '["one","default"]' 200
    for who in "$WRITE_KEY" "$ADMIN_KEY" "$TOKEN"; do
        as carol "$who"
        sees_and_may 200 '["one","default"]' 403
        api DELETE "$agent"
        assert_error 403 UNAUTHORIZED
        as bob "$who"
        sees_and_may 403 '["default"]' 403
        api DELETE "$agent"
        assert_error 403 UNAUTHORIZED
    done
    bearer=$BOB_KEY extra=("X-GoClaw-User-Id: alice")
    sees_and_may 403 '["default"]' 403
    for who in "$ADMIN_KEY" "$TOKEN"; do
        bearer=$who extra=()
        sees_and_may 200 '["one","default"]' 200
    done
    as system "$TOKEN"
    sees_and_may 200 '["one","default"]' 200
    # A default agent is everybody's to see, its owner's to change.
    as_owner
    takes 'is_default: true'
    as bob
    sees_and_may 200 '["one"]' 403
    # Below admin nobody is nobody.
    extra=()
    for bearer in "$WRITE_KEY" "$READ_KEY"; do
        api GET $AGENTS
        assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
        api GET "$agent"
        assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    done
    bearer=$WRITE_KEY
    api PUT "$agent" '{}'
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    api DELETE "$agent"
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    # A viewer reads what is his and changes nothing.
    as alice "$READ_KEY"
    api GET $AGENTS/one
    assert_status 200
    for method in PUT DELETE; do
        api $method "$agent" '{}'
        assert_error 403 UNAUTHORIZED
    done
    api POST $AGENTS '{"agent_key":"viewers"}'
    assert_error 403 UNAUTHORIZED
    as alice
    api DELETE $AGENTS/one
    assert_status 200
    jq_eq . '{"ok":"true"}'
}

@test "creating needs a user, whoever calls" {
    extra=()
    for bearer in "$WRITE_KEY" "$ADMIN_KEY" "$TOKEN"; do
        api POST $AGENTS 'not json'
        assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    done
    bearer=$BOB_KEY
    create '"agent_key":"one"'
    jq_eq .owner_id '"bob"'
    bearer=
    api POST $AGENTS '{}'
    assert_error 401 UNAUTHORIZED
    as "$(repeat u 255)"
    create '"agent_key":"two"'
    jq_eq '.owner_id | length' 255
    as "$(repeat u 256)"
    api POST $AGENTS '{"agent_key":"three"}'
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
}

@test "another tenant neither collides nor sees" {
    create '"agent_key":"one"'
    as_owner
    extra=("X-GoClaw-Tenant-Id: other" "X-GoClaw-User-Id: system")
    for method in GET PUT DELETE; do
        for path in "$agent" $AGENTS/one; do
            api $method $path
            assert_error 404 NOT_FOUND id
        done
    done
    api GET $AGENTS
    jq_eq . '{"agents":[]}'
    local theirs=$agent
    create '"agent_key":"one"'
    [ "$agent" != "$theirs" ]
    api GET $AGENTS/one
    jq_eq .tenant_id '"0193a5b0-7000-7000-8000-00000000000b"'
}

@test "a default agent answers everybody who names none" {
    as alice "$ADMIN_KEY"
    create '"agent_key":"everybodys","is_default":true'
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE agents SET agent_key = 'was-default' WHERE agent_key = 'default'"
    as bob
    say hello
    local status=$status_code by
    by=$(header X-GoClaw-Agent-Id)
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE agents SET agent_key = 'default' WHERE agent_key = 'was-default'"
    assert_equal "$status $by" "200 ${agent##*/}"
}
