# Tenants: making, changing, deleting them, their users, and that none sees another's rows (contract 01 §5, §13).

load helper

TENANTS=/v1/tenants
MASTER=0193a5b0-7000-7000-8000-000000000001
NOWHERE=0193a5b0-7000-7000-8000-0000000000ff

setup_file() {
    gateway_start
}

teardown_file() {
    gateway_stop
}

teardown() {
    write "PRAGMA foreign_keys = ON; DELETE FROM tenants WHERE slug <> 'master'"
    rm -rf "$GATEWAY_HOME/workspace/tenants"
}

write() {
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "$1"
}

repeat() {
    printf "%$2s" '' | sed "s/ /$1/g"
}

# create MEMBERS: its path goes to $tenant, its id to $id.
create() {
    api POST $TENANTS "$(jq -cn "{$1}")"
    assert_status 201
    id=$(jq -r .id <<<"$body")
    tenant=$TENANTS/$id
}

refuses() {
    api POST $TENANTS "$(jq -cn "{$1}")"
    assert_error 400 INVALID_REQUEST "$2"
}

status_set() {
    api PATCH "$1" "{\"status\":\"$2\"}"
    assert_status 200
}

@test "01 §13: create, read by id and by slug, list oldest first; a directory of its own" {
    create 'name: " Acme Corp ", settings: {a: 1}'
    jq_eq 'del(.id, .created_at, .updated_at)' '{"name":"Acme Corp","slug":"acme-corp","status":"active","settings":{"a":1}}'
    local made=$body
    for path in "$tenant" "$TENANTS/${id^^}" $TENANTS/acme-corp; do
        api GET "$path"
        assert_status 200
        assert_equal "$body" "$made"
        [[ $(header ETag) == \"*\" ]]
    done
    assert_equal "$(stat -c %a "$GATEWAY_HOME/workspace/tenants/acme-corp")" 700
    create 'name: "Before", slug: "before"'
    api GET $TENANTS
    assert_status 200
    jq_eq keys '["tenants"]'
    jq_eq '[.tenants[].slug]' '["master","acme-corp","before"]'
    jq_eq '.tenants[0].id' "\"$MASTER\""
    assert_equal "$(sql "SELECT group_concat(action || ':' || entity_type || ':' || tenant_id) FROM activity_logs
        WHERE entity_id = '$id'")" "tenant.created:tenant:$MASTER"
}

@test "01 §13: every field at its limit, and one past it" {
    refuses '' name
    refuses 'name: null' name
    refuses 'name: "  "' name
    refuses 'name: 5' name
    create "name: \"$(repeat é 255)\", slug: \"long\""
    refuses "name: \"$(repeat é 256)\", slug: \"longer\"" name
    create "name: \"a\", slug: \"$(repeat s 100)\""
    refuses "name: \"a\", slug: \"$(repeat s 101)\"" slug
    for slug in '' Upper a_b -a a- 'a b' é "$NOWHERE"; do
        refuses "name: \"a\", slug: \"$slug\"" slug
    done
    refuses 'name: "a", slug: 5' slug
    create "name: \"a\", settings: {a: \"$(repeat s 65528)\"}"
    refuses "name: \"b\", settings: {a: \"$(repeat s 65529)\"}" settings
    refuses 'name: "b", settings: []' settings
    create 'name: "b", status: "archived", id: "x", unknown: 1'
    jq_eq .status '"active"'
    api POST $TENANTS 'no json'
    assert_error 400 INVALID_REQUEST
}

@test "slugs are made from names" {
    create 'name: "  --Größe & Co., 2nd Ltd.--  "'
    jq_eq .slug '"gr-e-co-2nd-ltd"'
    create 'name: "x", slug: null'
    jq_eq .slug '"x"'
    refuses 'name: "日本"' slug
    refuses 'name: "***"' slug
    create "name: \"$(repeat a 99) b\""
    jq_eq .slug "\"$(repeat a 99)\""
    refuses "name: \"$NOWHERE\"" slug
    api POST $TENANTS '{"name":"X"}'
    assert_error 409 ALREADY_EXISTS slug
    api POST $TENANTS '{"name":"Master"}'
    assert_error 409 ALREADY_EXISTS slug
}

@test "01 §12.7, §12.8, §13: change: partial, slug fixed, status known; nothing effective writes nothing" {
    create 'name: "Acme", settings: {a: 1, b: 2}'
    api PATCH $TENANTS/acme '{"name":"New","slug":"other","id":"x","created_at":"x"}'
    assert_status 200
    jq_eq '[.ok, .name, .slug, .status, .settings]' '["true","New","acme","active",{"a":1,"b":2}]'
    local at
    at=$(jq .updated_at <<<"$body")
    for same in '' '{}' '{"name":"New"}' '{"settings":{"b":2,"a":1}}' '{"slug":"other"}'; do
        api PATCH "$tenant" "$same"
        assert_status 200
        jq_eq '[.ok, .updated_at]' "[\"true\",$at]"
    done
    api PATCH "$tenant" '{"settings":{"c":3}}'
    jq_eq .settings '{"c":3}'
    api PATCH "$tenant" '{"settings":null}'
    jq_eq .settings '{}'
    for wrong in '"gone"' '""' null 1; do
        api PATCH "$tenant" "{\"status\":$wrong}"
        assert_error 400 INVALID_REQUEST status
    done
    api PATCH "$tenant" '{"name":null}'
    assert_error 400 INVALID_REQUEST name
    api PATCH $TENANTS/nobody 'no json'
    assert_error 404 NOT_FOUND id
    api PATCH $TENANTS/No_Slug '{}'
    assert_error 400 INVALID_REQUEST id
    api PUT "$tenant" '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(sql "SELECT group_concat(action) FROM (SELECT * FROM activity_logs WHERE entity_id = '$id' ORDER BY id)")" \
        tenant.created,tenant.updated,tenant.updated,tenant.updated
}

@test "01 §12.14, §12.18, §13: ETag, If-Match and Idempotency-Key" {
    extra=("Idempotency-Key: t1")
    create 'name: "Acme"'
    local made=$body first
    api POST $TENANTS '{"name":"Acme"}'
    assert_status 201
    assert_equal "$body" "$made"
    extra=()
    api GET "$tenant"
    first=$(header ETag)
    extra=("If-Match: $first")
    status_set "$tenant" archived
    api PATCH "$tenant" '{"name":"b"}'
    assert_error 412 FAILED_PRECONDITION If-Match
    api DELETE "$tenant"
    assert_error 412 FAILED_PRECONDITION If-Match
    extra=("If-Match: *")
    api DELETE "$tenant"
    assert_status 200
}

@test "01 §5.3, §13: what a status means, from the next request on" {
    create 'name: "Acme"'
    local key
    key=$(clawgate key create --name k --scopes admin --owner u --tenant acme)
    clawgate provider set offline --type offline --tenant acme >/dev/null
    clawgate agent create default --provider offline --model offline --default yes --tenant acme >/dev/null
    for status in suspended archived; do
        status_set "$tenant" $status
        bearer=$key
        say '/echo hi'
        assert_error 403 UNAUTHORIZED
        api GET /v1/sessions
        assert_error 403 UNAUTHORIZED
        # The owner may look, nothing more.
        bearer=$TOKEN extra=("X-GoClaw-Tenant-Id: acme")
        api GET /v1/sessions
        assert_status 200
        say '/echo hi'
        assert_error 403 UNAUTHORIZED
        extra=()
        status_set "$tenant" active
        bearer=$key
        say '/echo hi'
        assert_status 200
        bearer=$TOKEN
    done
}

@test "01 §13: the tenant header plays no part: whatever it names, the path alone says which tenant is meant" {
    create 'name: "Acme"'
    status_set "$tenant" suspended
    for named in acme "$NOWHERE" no-such master; do
        extra=("X-GoClaw-Tenant-Id: $named")
        for path in $TENANTS "$tenant" "$tenant/users"; do
            api GET "$path"
            assert_status 200
        done
        api POST "$tenant/users" '{"user_id":"ann"}'
        assert_status 201
        api DELETE "$tenant/users/ann"
        assert_status 200
        status_set "$tenant" active
        status_set "$tenant" suspended
    done
    assert_equal "$(sql "SELECT group_concat(DISTINCT tenant_id) FROM activity_logs WHERE entity_id = '$id'")" "$MASTER"
    extra=("X-GoClaw-Tenant-Id: acme")
    status_set "$tenant" archived
    api DELETE "$tenant"
    assert_status 200
    assert_equal "$(sql "SELECT tenant_id FROM activity_logs WHERE entity_id = '$id' AND action = 'tenant.deleted'")" "$MASTER"
}

@test "01 §5.1, §13: the master tenant stays: neither deleted nor put to rest" {
    for path in $TENANTS/master $TENANTS/$MASTER; do
        api DELETE "$path"
        assert_error 403 FAILED_PRECONDITION
        for status in suspended archived; do
            api PATCH "$path" "{\"status\":\"$status\"}"
            assert_error 403 FAILED_PRECONDITION
        done
    done
    api PATCH $TENANTS/master '{"status":"active","settings":{"a":1}}'
    assert_status 200
    api PATCH $TENANTS/master '{"settings":null}'
    assert_status 200
}

@test "01 §13: delete: only what is archived; nothing of it is left, nothing else is touched" {
    create 'name: "Acme"'
    local other=$id
    create 'name: "Gone"'
    api DELETE "$tenant"
    assert_error 409 FAILED_PRECONDITION
    status_set "$tenant" suspended
    api DELETE "$tenant"
    assert_error 409 FAILED_PRECONDITION
    # One row for each of the two in every table that has rows of tenants, whatever tables there are.
    local key owned="SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = 'tenant_id'
        WHERE m.type = 'table'"
    fill() {
        sql "SELECT 'INSERT INTO ' || m.name || ' (' || group_concat(c.name) || ') VALUES (' || group_concat(CASE
                WHEN c.name = 'tenant_id' THEN '''$1''' WHEN c.name = 'scope' THEN '''$1|x'''
                WHEN c.type = 'TEXT' THEN '''$2''' ELSE '1' END) || ');'
            FROM sqlite_schema m JOIN pragma_table_info(m.name) c
            WHERE m.type = 'table' AND m.name IN ($owned UNION SELECT 'kept_answers') GROUP BY m.name" |
            sqlite3 -bail -cmd '.timeout 5000' -cmd 'PRAGMA ignore_check_constraints = ON' -cmd 'PRAGMA foreign_keys = OFF' "$DATABASE"
    }
    fill "$id" x
    fill "$other" y
    key=$(clawgate key create --name k --scopes admin --owner u --tenant gone)
    write "INSERT OR IGNORE INTO generations VALUES ('mcp', 5)"
    local counter
    counter=$(sql "SELECT n FROM generations WHERE kind = 'mcp'")
    status_set "$tenant" archived
    api DELETE $TENANTS/gone
    assert_status 200
    jq_eq . "{\"status\":\"deleted\",\"id\":\"$id\"}"
    local table tables=0
    for table in $(sql "$owned"); do
        assert_equal "$table $(sql "SELECT COUNT(*) FROM $table WHERE tenant_id = '$id'")" "$table 0"
        [ "$(sql "SELECT COUNT(*) FROM $table WHERE tenant_id = '$other'")" -ge 1 ]
        tables=$((tables + 1))
    done
    [ $tables -ge 18 ]
    assert_equal "$(sql "SELECT group_concat(scope) FROM kept_answers WHERE key IN ('x', 'y')")" "$other|x"
    assert_equal "$(sql 'PRAGMA foreign_key_check' | wc -l)" 0
    assert_equal "$(sql "SELECT n FROM generations WHERE kind = 'mcp'")" $((counter + 1))
    [ -d "$GATEWAY_HOME/workspace/tenants/gone" ]
    bearer=$key
    api GET /v1/sessions
    assert_error 401 UNAUTHORIZED
    bearer=$TOKEN
    for method in GET PATCH DELETE; do
        api $method "$tenant"
        assert_error 404 NOT_FOUND id
    done
    extra=("X-GoClaw-Tenant-Id: gone")
    api GET /v1/sessions
    assert_error 404 NOT_FOUND X-GoClaw-Tenant-Id
    extra=()
    assert_equal "$(sql "SELECT group_concat(action) FROM (SELECT * FROM activity_logs WHERE entity_id = '$id'
        AND tenant_id = '$MASTER' ORDER BY id)")" tenant.created,tenant.updated,tenant.updated,tenant.deleted
    for table in $(sql "$owned"); do
        write "PRAGMA foreign_keys = OFF; DELETE FROM $table WHERE tenant_id = '$other'"
    done
}

@test "files of a tenant that was deleted do not become another one's" {
    create 'name: "Acme"'
    status_set "$tenant" archived
    api DELETE "$tenant"
    assert_status 200
    create 'name: "Acme"'
    touch "$GATEWAY_HOME/workspace/tenants/acme/secret"
    status_set "$tenant" archived
    api DELETE "$tenant"
    assert_status 200
    api POST $TENANTS '{"name":"Acme"}'
    assert_error 409 ALREADY_EXISTS slug
    assert_equal "$(sql "SELECT COUNT(*) FROM tenants WHERE slug = 'acme'")" 0
    rm "$GATEWAY_HOME/workspace/tenants/acme/secret"
    mkdir -p "$GATEWAY_HOME/data/tenants/acme/x"
    api POST $TENANTS '{"name":"Acme"}'
    assert_error 409 ALREADY_EXISTS slug
    rm -r "$GATEWAY_HOME/data/tenants"
    create 'name: "Acme"'
}

@test "a directory that cannot be made: nothing is left of the tenant" {
    ln -s nowhere/at/all "$GATEWAY_HOME/workspace/tenants"
    api POST $TENANTS '{"name":"Acme"}'
    assert_error 500 INTERNAL
    assert_equal "$(sql "SELECT COUNT(*) FROM tenants WHERE slug = 'acme'")" 0
}

@test "01 §13: users: add, replace, list, remove" {
    create 'name: "Acme"'
    local users=$TENANTS/acme/users
    api GET $users
    assert_status 200
    assert_equal "$body" '{"users":[]}'
    api POST $users '{"user_id":"bob"}'
    assert_status 201
    jq_eq 'del(.id, .created_at, .updated_at)' "{\"tenant_id\":\"$id\",\"user_id\":\"bob\",\"display_name\":null,
        \"role\":\"member\",\"metadata\":{}}"
    local first=$body
    api POST $users '{"user_id":"group:telegram:-1/x","role":"viewer"}'
    assert_status 201
    api POST "$tenant/users" '{"user_id":"bob","role":"admin","display_name":"Bob","metadata":{"a":1}}'
    assert_status 201
    jq_eq '[.id, .created_at, .role, .display_name, .metadata]' \
        "$(jq -c '[.id, .created_at, "admin", "Bob", {a: 1}]' <<<"$first")"
    jq_eq '.updated_at > .created_at' true
    api POST $users '{"user_id":"bob"}'
    jq_eq '[.role, .display_name, .metadata]' '["member",null,{}]'
    api GET $users
    jq_eq keys '["users"]'
    jq_eq '[.users[].user_id]' '["bob","group:telegram:-1/x"]'
    api DELETE "$users/group:telegram:-1%2Fx"
    assert_status 200
    assert_equal "$body" '{"status":"deleted"}'
    api DELETE "$users/group:telegram:-1%2Fx"
    assert_error 404 NOT_FOUND id
    assert_equal "$(sql "SELECT group_concat(action || ':' || entity_type) FROM
        (SELECT * FROM activity_logs WHERE entity_id = '$id' ORDER BY id)")" \
        tenant.created:tenant,tenant.user.added:tenant,tenant.user.added:tenant,tenant.user.added:tenant,tenant.user.added:tenant,tenant.user.removed:tenant
}

@test "01 §13: users: limits and what is refused" {
    create 'name: "Acme"'
    local users=$tenant/users
    for wrong in '{}' '{"user_id":null}' '{"user_id":""}' '{"user_id":1}' "{\"user_id\":\"$(repeat u 256)\"}" \
        '{"user_id":"a\u0000b"}' '{"user_id":"a\nb"}'; do
        api POST "$users" "$wrong"
        assert_status 400
    done
    for role in owner admin operator member viewer; do
        api POST "$users" "{\"user_id\":\"$(repeat u 255)\",\"role\":\"$role\"}"
        assert_status 201
    done
    for role in '"root"' '""x' 1; do
        api POST "$users" "{\"user_id\":\"u\",\"role\":$role}"
        assert_status 400
    done
    api POST "$users" '{"user_id":"u","role":"root"}'
    assert_error 400 INVALID_REQUEST role
    api POST "$users" "{\"user_id\":\"u\",\"display_name\":\"$(repeat é 255)\"}"
    assert_status 201
    api POST "$users" "{\"user_id\":\"u\",\"display_name\":\"$(repeat é 256)\"}"
    assert_error 400 INVALID_REQUEST display_name
    api POST "$users" '{"user_id":"u","metadata":[]}'
    assert_error 400 INVALID_REQUEST metadata
    api POST "$users" "{\"user_id\":\"u\",\"metadata\":{\"a\":\"$(repeat m 65528)\"}}"
    assert_status 201
    api POST "$users" "{\"user_id\":\"u\",\"metadata\":{\"a\":\"$(repeat m 65529)\"}}"
    assert_error 400 INVALID_REQUEST metadata
    api GET $TENANTS/nobody/users
    assert_error 404 NOT_FOUND id
    api POST $TENANTS/nobody/users 'no json'
    assert_error 404 NOT_FOUND id
    api GET $TENANTS/No_Slug/users
    assert_error 400 INVALID_REQUEST id
    api POST $TENANTS/No_Slug/users 'no json'
    assert_error 400 INVALID_REQUEST id
    api DELETE "$users/nobody"
    assert_error 404 NOT_FOUND id
    api DELETE "$users/a%07b"
    assert_error 400 INVALID_REQUEST userID
    api DELETE $TENANTS/nobody/users/u
    assert_error 404 NOT_FOUND id
    # The tenant of the path alone counts.
    create 'name: "Other"'
    api DELETE "$tenant/users/u"
    assert_error 404 NOT_FOUND id
    api GET "$tenant/users"
    jq_eq .users '[]'
}

@test "01 §1.3, §5.3, §5.4: membership opens a tenant to the gateway token's users, from the next request on" {
    create 'name: "Acme"'
    extra=("X-GoClaw-User-Id: bob" "X-GoClaw-Tenant-Id: acme")
    api GET /v1/sessions
    assert_error 403 UNAUTHORIZED
    extra=()
    api POST "$tenant/users" '{"user_id":"bob","role":"viewer"}'
    extra=("X-GoClaw-User-Id: bob" "X-GoClaw-Tenant-Id: acme")
    api GET /v1/sessions
    assert_status 200
    extra=()
    api DELETE "$tenant/users/bob"
    extra=("X-GoClaw-User-Id: bob" "X-GoClaw-Tenant-Id: acme")
    api GET /v1/sessions
    assert_error 403 UNAUTHORIZED
}

@test "01 §13: only the owner manages tenants" {
    create 'name: "Acme"'
    local system bound request
    system=$(clawgate key create --name s --scopes admin --tenant -)
    bound=$(clawgate key create --name b --scopes admin --tenant acme --owner system)
    for who in "$system" "$bound" "$TOKEN"; do
        bearer=$who extra=("X-GoClaw-User-Id: system")
        [ "$who" != "$TOKEN" ] || extra=("X-GoClaw-User-Id: bob")
        for request in "GET $TENANTS" "GET $tenant" "DELETE $tenant" "GET $tenant/users" "DELETE $tenant/users/u" \
            "GET $TENANTS/nobody"; do
            api "${request% *}" "${request#* }"
            assert_error 403 UNAUTHORIZED
        done
        for request in "POST $TENANTS" "PATCH $tenant" "POST $tenant/users"; do
            api "${request% *}" "${request#* }" '{"name":"mine","user_id":"bob"}'
            assert_error 403 UNAUTHORIZED
        done
    done
    bearer='' extra=()
    api GET $TENANTS
    assert_error 401 UNAUTHORIZED
    bearer=$TOKEN extra=("X-GoClaw-User-Id: system")
    api GET $TENANTS
    assert_status 200
    assert_equal "$(sql "SELECT group_concat(slug) FROM (SELECT slug FROM tenants ORDER BY created_at)")" master,acme
}

@test "01 §5.2: two tenants never see each other's agents, sessions, runs, servers or keys" {
    local a b name
    for name in one two; do
        create "name: \"$name\""
        clawgate provider set offline --type offline --tenant $name >/dev/null
        clawgate agent create default --provider offline --model offline --default yes --tenant $name >/dev/null
        clawgate agent create "agent-$name" --user u --provider offline --model offline --tenant $name >/dev/null
    done
    api POST "$tenant/users" '{"user_id":"u"}'
    a=$(clawgate key create --name a --scopes admin --tenant one)
    b=$(clawgate key create --name b --scopes admin --tenant two)
    bearer=$a extra=("X-GoClaw-User-Id: u" "X-GoClaw-Session-Key: agent:agent-one:shared")
    say '/echo secret' goclaw:agent-one
    assert_status 200
    local run agent server key_id session
    run=$(header X-GoClaw-Run-Id)
    session=$(header X-GoClaw-Session-Key)
    api POST /v1/mcp/servers '{"name":"server-one","transport":"sse","url":"https://mcp.example.com/"}'
    assert_status 201
    server=$(jq -r .id <<<"$body")
    agent=$(sql "SELECT id FROM agents WHERE agent_key = 'agent-one'")
    key_id=$(sql "SELECT id FROM api_keys WHERE name = 'a'")
    paths=("/v1/sessions/$session" "/v1/runs/$run" "/v1/mcp/servers/$server" "/v1/models/goclaw:agent-one" "/v1/agents/$agent" /v1/agents/agent-one)
    extra=()
    for path in "${paths[@]}"; do
        api GET "$path"
        assert_status 200
    done
    # The other tenant's admin, by his bound key and by a system-level key in his tenant.
    for bearer in "$b" "$(clawgate key create --name s --scopes admin --tenant -)" "$TOKEN"; do
        extra=("X-GoClaw-Tenant-Id: two")
        for path in "${paths[@]}"; do
            api GET "$path"
            assert_error 404 NOT_FOUND -
        done
        api DELETE "/v1/mcp/servers/$server"
        assert_error 404 NOT_FOUND -
        api POST "/v1/runs/$run/cancel"
        assert_error 404 NOT_FOUND -
        api DELETE "/v1/api-keys/$key_id"
        assert_error 404 NOT_FOUND -
        for list in /v1/agents /v1/sessions /v1/runs /v1/mcp/servers /v1/models /v1/api-keys; do
            api GET $list
            assert_status 200
            jq_eq '[.. | strings | select(test("one|secret"))]' '[]'
        done
        extra+=("X-GoClaw-User-Id: u")
        say '/echo hi' goclaw:agent-one
        assert_error 404 NOT_FOUND -
        say '/echo hi' "goclaw:$agent"
        assert_error 404 NOT_FOUND -
    done
    assert_equal "$(sql "SELECT COUNT(*) FROM api_keys WHERE id = '$key_id' AND revoked = 0")" 1
}

@test "the command line makes and lists tenants" {
    run clawgate tenant create acme --name 'Acme Corp'
    assert_success
    [ -d "$GATEWAY_HOME/workspace/tenants/acme" ]
    run clawgate tenant create acme
    assert_failure 1
    assert_output --partial 'already'
    for slug in Acme a_b "$NOWHERE" ''; do
        run clawgate tenant create "$slug"
        assert_failure 1
    done
    run clawgate tenant list
    assert_success
    assert_equal "$(cut -f2- <<<"$output")" $'master\tactive\tMaster\nacme\tactive\tAcme Corp'
    api GET $TENANTS/acme
    jq_eq .name '"Acme Corp"'
    touch "$GATEWAY_HOME/workspace/tenants/acme/file"
    write "DELETE FROM tenants WHERE slug = 'acme'"
    run clawgate tenant create acme
    assert_failure 1
    assert_output --partial 'earlier tenant'
}
