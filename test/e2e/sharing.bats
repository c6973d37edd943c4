# Sharing, /v1/agents/{id}/sharing: who else may use an agent (contract 02 §7).

load helper
load agents

SHARING=/v1/agents/one/sharing

setup() {
    as alice
    api POST $AGENTS '{"agent_key":"one"}'
    assert_status 201
    id=$(jq -r .id <<<"$body")
}

share() {
    api POST $SHARING "$(jq -cn "{$1}")"
    assert_status 201
}

refuses() {
    api POST $SHARING "$(jq -cn "{$1}")"
    assert_error 400 INVALID_REQUEST "$2"
}

@test "a share is made, listed, changed and revoked" {
    api GET $SHARING
    assert_status 200
    assert_equal "$body" '{"shares":[]}'
    share 'user_id: "bob"'
    jq_eq 'del(.id, .created_at, .updated_at)' \
        "{\"agent_id\":\"$id\",\"user_id\":\"bob\",\"role\":\"user\",\"granted_by\":\"alice\",\"ok\":\"true\"}"
    jq_eq '.created_at == .updated_at and (.id | length == 36)' true
    local made=$body
    share 'user_id: "carol", role: "viewer"'
    # Granting again changes the role and who granted it, nothing else.
    bearer=$ADMIN_KEY extra=()
    share 'user_id: "bob", role: "operator"'
    jq_eq '[.role, .granted_by]' '["operator","system"]'
    jq_eq '[.id, .created_at]' "$(jq -c '[.id, .created_at]' <<<"$made")"
    jq_eq '.updated_at > .created_at' true
    as alice
    api GET $SHARING
    jq_eq '[.shares[] | [.user_id, .role]]' '[["bob","operator"],["carol","viewer"]]'
    jq_eq '.shares[0] | keys' '["agent_id","created_at","granted_by","id","role","updated_at","user_id"]'
    api GET "$AGENTS/$id/sharing?limit=1&offset=1"
    jq_eq '[.shares[0].user_id, .total]' '["carol",2]'
    api DELETE $SHARING/bob
    assert_status 200
    assert_equal "$body" '{"ok":"true"}'
    api DELETE $SHARING/bob
    assert_status 200
    assert_equal "$body" '{"ok":"true"}'
    api GET $SHARING
    jq_eq '[.shares[].user_id]' '["carol"]'
}

@test "01 §12.15: the alias is the same" {
    api POST $AGENTS/one/shares '{"user_id":"bob"}'
    assert_status 201
    api GET $AGENTS/one/shares
    jq_eq '[.shares[].user_id]' '["bob"]'
    local all=$body
    api GET $SHARING
    assert_equal "$body" "$all"
    api DELETE "$AGENTS/$id/shares/bob"
    assert_status 200
    api GET $SHARING
    jq_eq .shares '[]'
    api PUT $AGENTS/one/shares '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" 'GET, HEAD, POST, OPTIONS'
    api GET $SHARING/bob
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" 'DELETE, OPTIONS'
}

@test "user ids and roles at their limits, and one past them" {
    share "user_id: \"$(repeat u 255)\""
    refuses "user_id: \"$(repeat u 256)\"" user_id
    refuses '' user_id
    refuses 'user_id: ""' user_id
    refuses 'user_id: null' user_id
    refuses 'user_id: 5' user_id
    refuses 'user_id: "a\tb"' user_id
    refuses 'user_id: "a\u200bb"' user_id
    share "user_id: \"r\", role: \"$(repeat a 20)\""
    refuses "user_id: \"r\", role: \"$(repeat a 21)\"" role
    share 'user_id: "r", role: "a_b-c"'
    share 'user_id: "r", role: null'
    jq_eq .role '"user"'
    for role in Admin _a -a a1 'a b' é; do
        refuses "user_id: \"r\", role: \"$role\"" role
    done
    refuses 'user_id: "r", role: 5' role
    api POST $SHARING '[]'
    assert_error 400 INVALID_REQUEST
    share 'user_id: "alice"'
}

@test "user ids in paths are decoded once, encoded slashes stay inside" {
    share 'user_id: "group:telegram:-100/1+é%2F"'
    api DELETE "$SHARING/group:telegram:-100%2F1+%C3%A9%252F"
    assert_status 200
    assert_equal "$(sql "SELECT COUNT(*) FROM agent_shares WHERE agent_id = '$id'")" 0
    share "user_id: \"$(repeat u 255)\""
    api DELETE "$SHARING/$(repeat u 255)"
    assert_status 200
    assert_equal "$(sql "SELECT COUNT(*) FROM agent_shares WHERE agent_id = '$id'")" 0
    api DELETE "$SHARING/$(repeat u 256)"
    assert_error 400 INVALID_REQUEST user_id
    api DELETE "$SHARING/a%09b"
    assert_error 400 INVALID_REQUEST user_id
}

@test "sharing is the owner's; a share reads and runs, whatever its role" {
    share 'user_id: "bob", role: "admin"'
    as bob
    api GET $AGENTS/one
    assert_status 200
    say hello agent:one
    assert_status 200
    for who in "$WRITE_KEY" "$ADMIN_KEY" "$TOKEN"; do
        for user in bob stranger; do
            as $user "$who"
            api GET $SHARING
            assert_error 403 UNAUTHORIZED
            api POST $SHARING 'not json'
            assert_error 403 UNAUTHORIZED
            api DELETE $SHARING/bob
            assert_error 403 UNAUTHORIZED
        done
    done
    as bob
    api DELETE $SHARING/bob
    jq_eq .error.message "\"Only the owner may do this: DELETE $SHARING/bob\""
    for bearer in "$ADMIN_KEY" "$TOKEN"; do
        extra=()
        api GET $SHARING
        assert_status 200
    done
    as alice "$READ_KEY"
    api GET $SHARING
    assert_status 200
    api POST $SHARING '{"user_id":"carol"}'
    assert_error 403 UNAUTHORIZED
    api DELETE $SHARING/bob
    assert_error 403 UNAUTHORIZED
    bearer=$WRITE_KEY extra=()
    for method in GET POST; do
        api $method $SHARING
        assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    done
    bearer=
    api GET $SHARING
    assert_error 401 UNAUTHORIZED
    as alice
    api DELETE $SHARING/bob
    assert_status 200
    as bob
    api GET $AGENTS/one
    assert_error 403 UNAUTHORIZED
    say hello agent:one
    assert_error 403 UNAUTHORIZED
    # What was said before stays.
    assert_equal "$(sql "SELECT COUNT(*) FROM sessions WHERE agent_id = '$id' AND user_id = 'bob'")" 1
}

@test "agents that are not there: 400, 404; other tenants' neither" {
    local path
    for path in $AGENTS/nobody $AGENTS/0193a5b0-7000-7000-8000-0000000000ff; do
        api GET $path/sharing
        assert_error 404 NOT_FOUND id
        api POST $path/sharing 'not json'
        assert_error 404 NOT_FOUND id
        api DELETE $path/sharing/bob
        assert_error 404 NOT_FOUND id
    done
    api POST $AGENTS/No/sharing 'not json'
    assert_error 400 INVALID_REQUEST id
    api POST $SHARING 'not json'
    assert_error 400 INVALID_REQUEST
    share 'user_id: "bob"'
    bearer=$TOKEN extra=("X-GoClaw-Tenant-Id: other")
    for path in $SHARING "$AGENTS/$id/sharing"; do
        api GET "$path"
        assert_error 404 NOT_FOUND id
        api POST "$path" '{"user_id":"eve"}'
        assert_error 404 NOT_FOUND id
        api DELETE "$path/bob"
        assert_error 404 NOT_FOUND id
    done
    assert_equal "$(sql "SELECT group_concat(user_id) FROM agent_shares WHERE agent_id = '$id'")" bob
}

@test "activity, Idempotency-Key, and the end with the agent" {
    extra+=("Idempotency-Key: share-once")
    share 'user_id: "bob"'
    local made=$body
    share 'user_id: "bob"'
    assert_equal "$body" "$made"
    api POST $SHARING '{"user_id":"carol"}'
    assert_error 409 ALREADY_EXISTS Idempotency-Key
    as alice
    api DELETE $SHARING/bob
    api DELETE $SHARING/bob
    assert_equal "$(sql "SELECT group_concat(action || actor_id || entity_type || json_extract(details, '\$.user_id'))
        FROM (SELECT * FROM activity_logs WHERE entity_id = '$id' AND action <> 'agent.created' ORDER BY id)")" \
        agent.sharedaliceagentbob,agent.share_revokedaliceagentbob
    share 'user_id: "bob"'
    api DELETE $AGENTS/one
    assert_status 200
    assert_equal "$(sql "SELECT COUNT(*) FROM agent_shares WHERE agent_id = '$id'")" 0
}
