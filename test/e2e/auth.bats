# Who may come in, as whom and into which tenant (contract 01 §1, §2.3, §5.3).

load helper

setup_file() {
    gateway_start
    sqlite3 "$DATABASE" "INSERT INTO tenants (id, name, slug, status, created_at, updated_at) VALUES
        ('01900000-0000-7000-8000-00000000000a', 'Acme', 'acme', 'active', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'),
        ('01900000-0000-7000-8000-00000000000b', 'Gone', 'gone', 'suspended', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z');
        INSERT INTO tenant_users (id, tenant_id, user_id, created_at, updated_at) VALUES
        ('01900000-0000-7000-8000-0000000000f1', '01900000-0000-7000-8000-00000000000a', 'member', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')"
    clawgate provider set offline --type offline --tenant acme >/dev/null
    clawgate agent create default --provider offline --model offline --default yes --tenant acme >/dev/null
    clawgate agent create private --user alice >/dev/null
}

teardown_file() {
    gateway_stop
}

key() {
    clawgate key create --name test "$@"
}

ask() {
    say "/echo ${1:-hi}" "${2:-}"
}

@test "01 §1.1, §1.2.1: the scheme's case and blanks around the token do not count" {
    local value
    bearer=''
    for value in "Bearer $TOKEN" "bearer $TOKEN" "BEARER   $TOKEN" "Bearer $TOKEN  "; do
        extra=("Authorization: $value")
        api GET /v1/models
        assert_status 200
    done
}

@test "01 §1.4: keys have the documented form and are stored as a hash" {
    local key
    key=$(key --scopes read)
    [[ $key =~ ^goclaw_[0-9a-f]{32}$ ]]
    assert_equal "$(sql "SELECT prefix || length(key_hash) FROM api_keys ORDER BY created_at DESC LIMIT 1")" "${key:7:8}64"
    assert_equal "$(sql "SELECT key_hash FROM api_keys WHERE prefix = '${key:7:8}'")" "$(printf %s "$key" | sha256sum | cut -d' ' -f1)"
    refute grep -aq "$key" "$DATABASE" "$DATABASE-wal" "$LOG"
}

@test "01 §1.4, §5.4: scopes give the role: read views, write runs" {
    local scope
    bearer=$(key --scopes read --owner u)
    api GET /v1/sessions
    assert_status 200
    ask
    assert_error 403 UNAUTHORIZED
    for scope in write admin approvals read,write; do
        bearer=$(key --scopes $scope --owner u)
        ask
        assert_status 200
    done
}

@test "01 §1.4: revoking a key takes effect on the next request, on every worker" {
    local i
    bearer=$(key --scopes write)
    for i in {1..8}; do ask; done
    assert_status 200
    clawgate key revoke "$bearer" >/dev/null
    for i in {1..8}; do
        api GET /v1/models
        assert_error 401 UNAUTHORIZED
        api GET /v1/sessions
        assert_error 401 UNAUTHORIZED
    done
}

@test "01 §1.2.2, §1.4: an expired key is 401 from that moment on" {
    bearer=$(key --scopes write --expires-in 2)
    ask
    assert_status 200
    expired() { api GET /v1/models && [ "$status_code" = 401 ]; }
    wait_until 4 expired
    ask
    assert_error 401 UNAUTHORIZED
}

@test "01 §2.3.1: a key with an owner is that user, whatever the header or the body says" {
    bearer=$(key --scopes write --owner alice)
    extra=("X-GoClaw-User-Id: mallory")
    api POST /v1/chat/completions '{"model":"goclaw:private","user":"mallory","messages":[{"role":"user","content":"/echo x"}]}'
    assert_status 200
    [[ $(header X-GoClaw-Session-Key) == agent:private:http-alice-* ]]
    grep -q 'security.api_key_owner_override' "$LOG"
}

@test "01 §2.3.3 to §2.3.5: a key without an owner: header, then body name the user and are judged as such; nobody is recorded as the key" {
    bearer=$(key --scopes write)
    extra=("X-GoClaw-User-Id: bob")
    ask hi goclaw:private
    assert_error 403 UNAUTHORIZED
    extra=()
    api POST /v1/chat/completions '{"model":"goclaw:private","user":"bob","messages":[{"role":"user","content":"/echo x"}]}'
    assert_error 403 UNAUTHORIZED
    api POST /v1/chat/completions '{"model":"goclaw:private","user":"alice","messages":[{"role":"user","content":"/echo x"}]}'
    assert_status 200
    ask
    local id
    id=$(sql "SELECT id FROM api_keys WHERE prefix = '${bearer:7:8}'")
    [[ $(header X-GoClaw-Session-Key) == "agent:default:http-apikey:$id-"* ]]
}

@test "01 §2.3.4: an admin's body user names the run's user and restricts nothing" {
    api POST /v1/chat/completions '{"model":"goclaw:private","user":"bob","messages":[{"role":"user","content":"/echo x"}]}'
    assert_status 200
    [[ $(header X-GoClaw-Session-Key) == agent:private:http-bob-* ]]
}

@test "01 §1.4, §5.4: a key never becomes owner, not even as system" {
    bearer=$(key --scopes write)
    extra=("X-GoClaw-User-Id: system")
    ask hi goclaw:private
    assert_error 403 UNAUTHORIZED
    unset bearer
    ask hi goclaw:private
    assert_status 200
}

@test "01 §5.3: the owner enters a tenant by uuid or slug; what is there stays there" {
    local tenant
    for tenant in acme 01900000-0000-7000-8000-00000000000a 01900000-0000-7000-8000-00000000000A; do
        extra=("X-GoClaw-Tenant-Id: $tenant" "X-GoClaw-Session-Key: in-acme")
        ask
        assert_status 200
    done
    api GET /v1/sessions
    jq_eq '[.sessions[].key]' '["agent:default:http:direct:in-acme"]'
    ask hi goclaw:private
    assert_error 404 NOT_FOUND model
    local run
    run=$(sql "SELECT run_id FROM traces WHERE tenant_id = '01900000-0000-7000-8000-00000000000a' LIMIT 1")
    extra=()
    api GET "/v1/runs/$run"
    assert_error 404 NOT_FOUND id
    api GET /v1/sessions/agent:default:http:direct:in-acme
    assert_error 404 NOT_FOUND key
}

@test "01 §0.5, §5.3: unknown tenants are 404 for the owner, 403 for others; suspended ones 403 but for the owner's reading" {
    extra=("X-GoClaw-Tenant-Id: nowhere")
    api GET /v1/models
    assert_error 404 NOT_FOUND X-GoClaw-Tenant-Id
    extra=("X-GoClaw-Tenant-Id: gone")
    api GET /v1/models
    assert_status 200
    ask
    assert_error 403 UNAUTHORIZED
    extra=("X-GoClaw-Tenant-Id: nowhere" "X-GoClaw-User-Id: bob")
    api GET /v1/models
    assert_error 403 UNAUTHORIZED
    local hidden=$body
    extra=("X-GoClaw-Tenant-Id: acme" "X-GoClaw-User-Id: bob")
    api GET /v1/models
    assert_error 403 UNAUTHORIZED
    assert_equal "$body" "$hidden"
    grep -q '"security.http_tenant_no_membership".*"bob"' "$LOG"
    extra=("X-GoClaw-Tenant-Id: acme" "X-GoClaw-User-Id: member")
    api GET /v1/models
    assert_status 200
}

@test "01 §5.3: a tenant's key stays in its tenant; a system-level key may choose" {
    bearer=$(key --scopes admin --tenant acme)
    extra=("X-GoClaw-Tenant-Id: master")
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default"]'
    grep -q security.tenant_scope_violation "$LOG"
    bearer=$(key --scopes admin --tenant -)
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default","goclaw:private"]'
    extra=("X-GoClaw-Tenant-Id: acme")
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default"]'
}

# raw REQUEST…: sends the lines as they are, sets $status_code and $body.
raw() {
    local answer
    answer=$(
        exec 7<>"/dev/tcp/127.0.0.1/$PORT"
        printf '%b' "$*" >&7
        timeout 5 cat <&7
    )
    status_code=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' <<<"$answer")
    body=$(sed '1,/^\r*$/d' <<<"$answer")
}

@test "a header in two spellings is refused before anything else" {
    local pair
    for pair in 'X-GoClaw-User-Id: alice\r\nX_GoClaw_User_Id: system' 'X_GoClaw_Tenant_Id: acme\r\nX-GoClaw-Tenant-Id: master' \
        'Authorization: Bearer x\r\nX-GoClaw-User_Id: a\r\nX-GoClaw-User-Id: b'; do
        raw "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$pair\r\n\r\n"
        assert_equal "$status_code" 400
        assert_envelope 400 INVALID_REQUEST -
    done
    raw "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $TOKEN\r\nX_GoClaw_User_Id: bob\r\n\r\n"
    [ "$status_code" != 500 ]
}

@test "two credentials are no credential" {
    raw "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer $TOKEN\r\nAuthorization: Bearer $TOKEN\r\n\r\n"
    [[ $status_code == 40[01] ]]
}

@test "01 §1.2.3, §1.5, §2.3.2: without a token on a loopback address everybody is the admin of master, but no key turns into one" {
    clawgate stop
    jq '.gateway.token = ""' "$GATEWAY_HOME/config.json" >"$GATEWAY_HOME/new" && cat "$GATEWAY_HOME/new" >"$GATEWAY_HOME/config.json"
    gateway_serve
    bearer=''
    ask
    assert_status 200
    bearer=anything
    ask
    assert_status 200
    bearer=goclaw_00000000000000000000000000000000
    ask
    assert_error 401 UNAUTHORIZED
    # Pages of other sites, and names that lead here, are not this machine's.
    bearer=''
    for foreign in "Origin: https://evil.example" "Host: evil.example:$PORT"; do
        extra=("$foreign")
        api POST /v1/providers '{"name":"theirs"}'
        assert_error 401 UNAUTHORIZED
    done
    extra=("Origin: $GATEWAY")
    ask
    assert_status 200
    bearer='' extra=("X-GoClaw-User-Id: mallory" "X-GoClaw-Tenant-Id: acme")
    ask
    [[ $(header X-GoClaw-Session-Key) == agent:default:http-system-* ]]
    grep -q '"security.user_id_header_ignored_no_auth"' "$LOG"
}
