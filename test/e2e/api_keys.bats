# API keys: making, listing and taking them back; what they open (contract 01 §1.4, §5, §6, §7).

load helper

KEYS=/v1/api-keys
NOWHERE=0193a5b0-7000-7000-8000-0000000000ff

setup_file() {
    gateway_start
    clawgate tenant create acme >/dev/null
    clawgate provider set offline --type offline --tenant acme >/dev/null
    clawgate agent create default --provider offline --model offline --default yes --tenant acme >/dev/null
    export ACME
    ACME=$(sql "SELECT id FROM tenants WHERE slug = 'acme'")
}

teardown_file() {
    gateway_stop
}

teardown() {
    sqlite3 "$DATABASE" '.timeout 5000' 'DELETE FROM api_keys'
}

repeat() {
    printf "%$2s" '' | sed "s/ /$1/g"
}

# mint SCOPE [MEMBERS]: a key by the last bearer; its text goes to $key, its id to $id.
mint() {
    api POST $KEYS "$(jq -cn "{name: \"k\", scopes: [\"operator.$1\"]} + {${2-}}")"
    assert_status 201
    key=$(jq -r .key <<<"$body")
    id=$(jq -r .id <<<"$body")
}

accepts() {
    mint read "$@"
}

refuses() {
    api POST $KEYS "$(jq -cn "{name: \"k\", scopes: [\"operator.read\"]} + {$1}")"
    assert_error 400 INVALID_REQUEST "$2"
}

@test "01 §1.4, §7, §7.2: a new key: the full record, its text once, its hash alone in the database" {
    extra=("X-GoClaw-User-Id: system")
    mint read 'name: "  ci  ", expires_in: 60, owner_id: "bob", tenant_id: "acme"'
    [[ $key =~ ^goclaw_[0-9a-f]{32}$ ]]
    assert_equal "$(header Cache-Control)" no-store
    jq_eq 'del(.id, .key, .prefix, .created_at, .updated_at, .expires_at)' '{"tenant_id":"'"$ACME"'","name":"ci",
        "scopes":["operator.read"],"owner_id":"bob","last_used_at":null,"revoked":false,"created_by":"system"}'
    assert_equal "$(jq -r .prefix <<<"$body")" "${key:7:8}"
    jq_eq '((.expires_at | sub("\\.[0-9]*Z"; "Z") | fromdate) - (.created_at | sub("\\.[0-9]*Z"; "Z") | fromdate)) | . >= 59 and . <= 61' true
    assert_equal "$(sql "SELECT key_hash FROM api_keys")" "$(printf %s "$key" | sha256sum | cut -d' ' -f1)"
    assert_equal "$(grep -ac "$key" "$DATABASE" "$DATABASE-wal" "$LOG" | cut -d: -f2 | sort -u)" 0
    local made
    made=$(jq -c 'del(.key)' <<<"$body")
    api GET $KEYS
    jq_eq . "[$made]"
    extra=()
    mint read
    jq_eq '[has("owner_id"), .expires_at, .created_by, .tenant_id]' '[false,null,"",null]'
}

# bats test_tags=fields
@test "01 §7.2: every field at its limit, and one past it" {
    refuses 'name: null' name
    refuses 'name: ""' name
    refuses 'name: "   "' name
    refuses 'name: 1' name
    accepts "name: \"$(repeat é 100)\""
    refuses "name: \"$(repeat é 101)\"" name
    accepts 'name: "k"'
    refuses 'scopes: null' scopes
    refuses 'scopes: []' scopes
    refuses 'scopes: "operator.read"' scopes
    refuses 'scopes: [1]' scopes
    refuses 'scopes: ["operator.root"]' scopes
    refuses 'scopes: ["operator.read", "read"]' scopes
    accepts 'scopes: ["operator.write", "operator.read", "operator.write", "operator.pairing", "operator.approvals", "operator.admin"]'
    jq_eq .scopes '["operator.write","operator.read","operator.pairing","operator.approvals","operator.admin"]'
    for none in 0 null; do
        accepts "expires_in: $none"
        jq_eq .expires_at null
    done
    accepts 'expires_in: 1'
    accepts 'expires_in: 315360000'
    refuses 'expires_in: 315360001' expires_in
    refuses 'expires_in: -1' expires_in
    refuses 'expires_in: 1.5' expires_in
    refuses 'expires_in: "60"' expires_in
    refuses 'expires_in: true' expires_in
    accepts "owner_id: \"$(repeat u 255)\""
    refuses "owner_id: \"$(repeat u 256)\"" owner_id
    refuses 'owner_id: ""' owner_id
    refuses 'owner_id: "a\u0007b"' owner_id
    refuses 'owner_id: "a\u200bb"' owner_id
    accepts 'owner_id: null'
    refuses 'tenant_id: "No Slug"' tenant_id
    refuses 'tenant_id: ""' tenant_id
    refuses 'tenant_id: 1' tenant_id
    accepts 'tenant_id: null'
    accepts 'key_hash: "x", prefix: "x", revoked: true, expires_at: "2020-01-01T00:00:00Z", created_by: "eve", id: "x"'
    jq_eq '[.revoked, .expires_at, .created_by, has("key_hash")]' '[false,null,"",false]'
    api POST $KEYS '{"name":"k","scopes":["operator.read"],"tenant_id":"nobody"}'
    assert_error 404 NOT_FOUND tenant_id
    api POST $KEYS "{\"name\":\"k\",\"scopes\":[\"operator.read\"],\"tenant_id\":\"$NOWHERE\"}"
    assert_error 404 NOT_FOUND tenant_id
    api POST $KEYS '[]'
    assert_error 400 INVALID_REQUEST
    api POST $KEYS
    assert_error 400 INVALID_REQUEST name
    api POST $KEYS "$(printf '{"name":"%s"}' "$(repeat a 1048576)")"
    assert_error 413 INVALID_REQUEST
}

@test "01 §7.1, §12.4: the list is a bare array, newest first, without totals" {
    api GET $KEYS
    assert_status 200
    assert_equal "$body" '[]'
    local name
    for name in a b c; do mint read "name: \"$name\""; done
    api GET $KEYS
    jq_eq '[.[].name]' '["c","b","a"]'
    jq_eq '[.[] | has("key"), has("key_hash")] | any' false
}

@test "01 §7.2: which tenant a key belongs to: the owner chooses, all others stay in theirs" {
    mint admin
    jq_eq .tenant_id null
    local system=$key
    mint admin 'tenant_id: "acme"'
    jq_eq .tenant_id "\"$ACME\""
    local bound=$key
    mint read "tenant_id: \"${ACME^^}\""
    jq_eq .tenant_id "\"$ACME\""
    extra=("X-GoClaw-Tenant-Id: acme")
    mint read
    jq_eq .tenant_id "\"$ACME\""
    mint read 'tenant_id: "master"'
    jq_eq .tenant_id '"0193a5b0-7000-7000-8000-000000000001"'
    # A system-level key works in the tenant it names and cannot make keys of its own level or of others.
    bearer=$system
    mint read 'tenant_id: "master"'
    jq_eq .tenant_id "\"$ACME\""
    extra=()
    mint read 'tenant_id: null'
    jq_eq .tenant_id '"0193a5b0-7000-7000-8000-000000000001"'
    # A bound key cannot be moved by header or body.
    bearer=$bound
    extra=("X-GoClaw-Tenant-Id: master")
    mint read 'tenant_id: "master"'
    jq_eq .tenant_id "\"$ACME\""
    # The gateway token for an ordinary user is no owner.
    bearer=$TOKEN
    extra=("X-GoClaw-User-Id: bob")
    mint read 'tenant_id: "acme"'
    jq_eq '[.tenant_id, .created_by]' '["0193a5b0-7000-7000-8000-000000000001","bob"]'
}

@test "01 §7.1, §7.3: who sees which keys, and can revoke no other" {
    local system system_id bound in_master in_acme foreign
    mint admin 'name: "system"' && system=$key system_id=$id
    mint admin 'name: "acme", tenant_id: "acme"' && bound=$key in_acme=$id
    mint read 'name: "master", tenant_id: "master"' && in_master=$id
    api GET $KEYS
    jq_eq '[.[].name]' '["master","acme","system"]'
    extra=("X-GoClaw-Tenant-Id: acme")
    api GET $KEYS
    jq_eq '[.[].name]' '["acme"]'
    for foreign in "$system_id" "$in_master"; do
        api DELETE "$KEYS/$foreign"
        assert_error 404 NOT_FOUND id
    done
    bearer=$bound extra=("X-GoClaw-Tenant-Id: master")
    api GET $KEYS
    jq_eq '[.[].name]' '["acme"]'
    for foreign in "$system_id" "$in_master"; do
        api DELETE "$KEYS/$foreign"
        assert_error 404 NOT_FOUND id
        api POST "$KEYS/$foreign/revoke" 'no json'
        assert_error 404 NOT_FOUND id
    done
    bearer=$system extra=()
    api GET $KEYS
    jq_eq '[.[].name]' '["master"]'
    api DELETE "$KEYS/$system_id"
    assert_error 404 NOT_FOUND id
    api DELETE "$KEYS/$in_acme"
    assert_error 404 NOT_FOUND id
    extra=("X-GoClaw-Tenant-Id: acme")
    api DELETE "$KEYS/$in_acme"
    assert_status 200
    assert_equal "$(sql 'SELECT group_concat(name) FROM api_keys WHERE revoked = 1')" acme
    assert_equal "$(grep -c '"security.api_key_revoke_forbidden"' "$LOG")" 8
}

@test "01 §1.4, §7.3: revoking: every program refuses the key from the next request on" {
    mint admin 'owner_id: "u"'
    bearer=$key
    say '/echo hi'
    assert_status 200
    for path in /v1/sessions /v1/mcp/servers /v1/models /v1/api-keys; do
        api GET "$path"
        assert_status 200
    done
    bearer=$TOKEN
    api DELETE "$KEYS/${id^^}"
    assert_status 200
    assert_equal "$body" '{"status":"revoked"}'
    bearer=$key
    say '/echo hi'
    assert_error 401 UNAUTHORIZED
    local refused=$body
    for path in /v1/sessions /v1/mcp/servers /v1/models /v1/api-keys; do
        api GET "$path"
        assert_error 401 UNAUTHORIZED
        assert_equal "$(header WWW-Authenticate)" 'Bearer realm="goclaw"'
        assert_equal "$body" "$refused"
    done
    bearer=$TOKEN
    api GET $KEYS
    jq_eq '[.[] | .revoked, .updated_at > .created_at]' '[true,true]'
    # Once more: the same answer, no second row of activity. The alias does the same.
    api DELETE "$KEYS/$id"
    assert_status 200
    api POST "$KEYS/$id/revoke"
    assert_status 200
    assert_equal "$body" '{"status":"revoked"}'
    assert_equal "$(sql "SELECT group_concat(action || ':' || actor_id || ':' || entity_type) FROM
        (SELECT * FROM activity_logs WHERE entity_id = '$id' ORDER BY id)")" \
        api_key.created:system:api_key,api_key.revoked:system:api_key
    api DELETE $KEYS/nope
    assert_error 400 INVALID_REQUEST id
    api POST $KEYS/nope/revoke
    assert_error 400 INVALID_REQUEST id
    api DELETE $KEYS/$NOWHERE
    assert_error 404 NOT_FOUND id
    api POST $KEYS/$NOWHERE/revoke
    assert_error 404 NOT_FOUND id
}

@test "01 §7.3, §12.15: the alias revokes, and a key may revoke itself" {
    mint admin
    api POST "$KEYS/$id/revoke" '{}'
    assert_status 200
    bearer=$key
    api GET $KEYS
    assert_error 401 UNAUTHORIZED
    bearer=$TOKEN
    mint admin 'tenant_id: "master"'
    bearer=$key
    api DELETE "$KEYS/$id"
    assert_status 200
    api DELETE "$KEYS/$id"
    assert_error 401 UNAUTHORIZED
    assert_equal "$(sql "SELECT actor_type || (actor_id = '$id') FROM activity_logs WHERE action = 'api_key.revoked'
        ORDER BY id DESC LIMIT 1")" api_key1
}

@test "01 §1.4: expiry counts from the next request on, in every program" {
    mint admin "owner_id: \"u\", expires_in: $((3 * SLOWER))"
    bearer=$key
    say '/echo hi'
    assert_status 200
    api GET /v1/sessions
    assert_status 200
    sleep $((3 * SLOWER))
    say '/echo hi'
    assert_error 401 UNAUTHORIZED
    for path in /v1/sessions /v1/mcp/servers $KEYS; do
        api GET "$path"
        assert_error 401 UNAUTHORIZED
    done
    bearer=$TOKEN
    api DELETE "$KEYS/$id"
    assert_status 200
}

@test "01 §1.4, §5.4: each scope gives its role and no more" {
    local scope request
    for scope in read write approvals pairing admin; do
        bearer=$TOKEN
        mint $scope 'owner_id: "u"'
        bearer=$key
        api GET /v1/mcp/servers
        assert_status 200
        say '/echo hi'
        if [ $scope = read ]; then assert_error 403 UNAUTHORIZED; else assert_status 200; fi
        api POST /v1/mcp/servers "{\"name\":\"s\",\"transport\":\"sse\",\"url\":\"https://mcp.example.com/\"}"
        if [ $scope = admin ]; then assert_status 201; else assert_error 403 UNAUTHORIZED; fi
        # Only admins manage keys: nobody can make himself more than he is.
        if [ $scope != admin ]; then
            api POST $KEYS '{"name":"k","scopes":["operator.read"]}'
            assert_error 403 UNAUTHORIZED
            for request in "GET $KEYS" "DELETE $KEYS/$id" "POST $KEYS/$id/revoke"; do
                api "${request% *}" "${request#* }"
                assert_error 403 UNAUTHORIZED
            done
        fi
        # No key is ever an owner, whatever user it names.
        extra=("X-GoClaw-User-Id: system")
        api GET /v1/tenants
        assert_error 403 UNAUTHORIZED
        extra=()
    done
    bearer=
    api GET $KEYS
    assert_error 401 UNAUTHORIZED
}

@test "01 §2.3.1: a key bound to a user acts for him alone, and makes only keys of that user" {
    mint admin 'owner_id: "bob"'
    bearer=$key
    extra=("X-GoClaw-User-Id: alice")
    say '/echo hi'
    assert_status 200
    assert_equal "$(sql "SELECT user_id FROM sessions ORDER BY created_at DESC LIMIT 1")" bob
    mint admin 'owner_id: "alice"'
    jq_eq '[.owner_id, .created_by]' '["bob","bob"]'
    mint admin 'owner_id: null'
    jq_eq .owner_id '"bob"'
    bearer=$key
    say '/echo hi'
    assert_equal "$(sql "SELECT user_id FROM sessions ORDER BY created_at DESC LIMIT 1")" bob
}

@test "01 §5.3: a key bound to a tenant stays there; a system-level one goes where the header says" {
    local bound system
    mint admin 'tenant_id: "acme"' && bound=$key
    mint admin && system=$key
    bearer=$bound
    for tenant in master acme nobody; do
        extra=("X-GoClaw-Tenant-Id: $tenant" "X-GoClaw-User-Id: u")
        say '/echo hi'
        assert_status 200
        assert_equal "$(sql "SELECT tenant_id FROM sessions ORDER BY created_at DESC LIMIT 1")" "$ACME"
    done
    bearer=$system extra=("X-GoClaw-Tenant-Id: acme")
    api GET "$KEYS"
    jq_eq length 1
    extra=("X-GoClaw-Tenant-Id: nobody")
    api GET "$KEYS"
    assert_error 404 NOT_FOUND X-GoClaw-Tenant-Id
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE tenants SET status = 'suspended' WHERE slug = 'acme'"
    bearer=$bound extra=()
    api GET "$KEYS"
    assert_error 403 UNAUTHORIZED
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE tenants SET status = 'active' WHERE slug = 'acme'"
    api GET "$KEYS"
    assert_status 200
}

@test "01 §7.2, §12.18: Idempotency-Key: one key, and the kept answer goes without its text" {
    extra=("Idempotency-Key: once")
    mint read
    local made
    made=$(jq -c 'del(.key)' <<<"$body")
    api POST $KEYS '{"name":"k","scopes":["operator.read"]}'
    assert_status 201
    assert_equal "$(jq -c . <<<"$body")" "$made"
    api POST $KEYS '{"name":"k","scopes":["operator.write"]}'
    assert_error 409 ALREADY_EXISTS Idempotency-Key
    assert_equal "$(sql 'SELECT COUNT(*) FROM api_keys')" 1
    assert_equal "$(sql "SELECT COUNT(*) FROM activity_logs WHERE entity_id = '$id'")" 1
    assert_equal "$(sql "SELECT COUNT(*) FROM kept_answers WHERE answer LIKE '%$key%'")" 0
}

@test "01 §1.4: last_used_at is noted, at most once a minute" {
    mint read 'tenant_id: "master"'
    bearer=$key
    api GET /v1/mcp/servers
    assert_status 200
    used() { [ "$(sql "SELECT last_used_at IS NOT NULL FROM api_keys WHERE id = '$id'")" = 1 ]; }
    wait_until 3 used
    local first
    first=$(sql "SELECT last_used_at FROM api_keys WHERE id = '$id'")
    api GET /v1/mcp/servers
    sleep 0.3
    assert_equal "$(sql "SELECT last_used_at FROM api_keys WHERE id = '$id'")" "$first"
}

@test "methods, aliases of paths, other languages" {
    api PUT $KEYS '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" 'GET, HEAD, POST, OPTIONS'
    api GET "$KEYS/$NOWHERE"
    assert_error 405 INVALID_REQUEST
    api GET "$KEYS/"
    assert_status 200
    api HEAD $KEYS
    assert_status 200
    extra=('Accept-Language: zh')
    api POST $KEYS '{}'
    assert_error 400 INVALID_REQUEST name
    jq_eq '.error.message | test("name") and (test("required") | not)' true
}

@test "the command line lists what the API lists" {
    mint read 'name: "first", owner_id: "bob", tenant_id: "acme"'
    api DELETE "$KEYS/$id"
    clawgate key create --name second --scopes write --tenant - >/dev/null
    run clawgate key list
    assert_success
    assert_equal "$(cut -f3-5,7,8 <<<"$output")" "$(printf '%s\n' \
        $'live\t-\t-\t["operator.write"]\tsecond' $'revoked\tacme\tbob\t["operator.read"]\tfirst')"
}
