#!/usr/bin/env bats
# The audit log: GET /v1/activity (contract 01 §8.1) and /v1/activity/aggregate (§14).

load helper

LIST=/v1/activity
TOTALS=/v1/activity/aggregate
MASTER=0193a5b0-7000-7000-8000-000000000001
NOWHERE=0193a5b0-7000-7000-8000-0000000000ff

# Twelve rows of three days: four actors, rows 4, 5 and 6 of the same millisecond. Row n has the id …n.
setup_file() {
    gateway_start
    clawgate tenant create acme >/dev/null
    export ACME READER ALICE WRITER FOREIGN
    ACME=$(sql "SELECT id FROM tenants WHERE slug = 'acme'")
    READER=$(clawgate key create --name reader --scopes read)
    ALICE=$(clawgate key create --name alice --scopes read --owner alice)
    WRITER=$(clawgate key create --name writer --scopes write)
    FOREIGN=$(clawgate key create --name foreign --scopes admin --tenant acme)
    row 1 user alice agent.created agent a1 2024-03-01T10:00:00.000Z
    row 2 user alice agent.updated agent a1 2024-03-01T23:59:59.999Z
    row 3 user bob agent.created agent a2 2024-03-02T00:00:00.000Z
    row 4 user bob provider.created provider p1 2024-03-02T08:00:00.000Z
    row 5 user alice provider.updated provider p1 2024-03-02T08:00:00.000Z
    row 6 user alice provider.deleted provider p1 2024-03-02T08:00:00.000Z
    row 7 api_key k-1 provider.created provider p2 2024-03-03T00:00:00.000Z
    row 8 system summoner agent.summoned agent a2 2024-03-03T12:00:00.000Z
    row 9 user alice session.reset session agent:default:x 2024-03-03T12:00:00.001Z
    sqlite3 "$DATABASE" "INSERT INTO activity_logs (id, tenant_id, actor_type, actor_id, action, created_at)
        VALUES ('${NOWHERE%ff}0a', '$MASTER', 'user', 'carol', 'storage.deleted', '2024-03-03T13:00:00.000Z')"
    row 0b user alice agent.created agent foreign 2024-03-01T09:00:00.000Z "$ACME"
    sqlite3 "$DATABASE" "UPDATE activity_logs SET details = '{\"error\":\"x\"}', ip_address = '192.0.2.7'
        WHERE id = '${NOWHERE%ff}08'"
}

teardown_file() {
    gateway_stop
}

# row NUMBER TYPE ACTOR ACTION ENTITY ID TIME [TENANT]
row() {
    local id=0$1
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "INSERT INTO activity_logs
        (id, tenant_id, actor_type, actor_id, action, entity_type, entity_id, created_at)
        VALUES ('${NOWHERE%ff}${id: -2}', '${8:-$MASTER}', '$2', '$3', '$4', '$5', '$6', '$7')"
}

# shows QUERY NUMBERS [TOTAL]: the list has these rows, in this order.
shows() {
    api GET "$LIST?$1"
    assert_status 200
    assert_equal "$(jq -r '[.logs[].id[-1:]] | join("")' <<<"$body")" "$2"
    jq_eq .total "${3-${#2}}"
}

counts() {
    api GET "$TOTALS?$1"
    assert_status 200
    jq_eq '.buckets | map("\(.key)=\(.count)")' "$2"
}

@test "01 §8.1: newest first, ties by id; every member as the contract says" {
    shows '' a987654321
    jq_eq '[.limit, .offset]' '[50,0]'
    jq_eq '.logs[2]' '{"id":"'"${NOWHERE%ff}08"'","actor_type":"system","actor_id":"summoner","action":"agent.summoned",
        "entity_type":"agent","entity_id":"a2","details":{"error":"x"},"ip_address":"192.0.2.7",
        "created_at":"2024-03-03T12:00:00.000Z"}'
    jq_eq '.logs[0]' '{"id":"'"${NOWHERE%ff}0a"'","actor_type":"user","actor_id":"carol","action":"storage.deleted",
        "details":null,"created_at":"2024-03-03T13:00:00.000Z"}'
    api HEAD $LIST
    assert_status 200
}

@test "01 §8.1, §12.12: every filter alone, together, empty and unknown" {
    shows actor_type=api_key 7
    shows actor_id=bob 43
    shows action=agent.created 31
    shows entity_type=provider 7654
    shows entity_id=p1 654
    shows 'actor_id=alice&entity_type=provider&action=provider.updated' 5
    shows 'actor_id=&action=&nonsense=1' a987654321
    shows 'actor_id=bob&actor_id=alice' 43
    shows action=agent.crea ''
    jq_eq .logs '[]'
    shows 'entity_id=agent%3Adefault%3Ax' 9
    shows "entity_id=x'%20OR%20'1'%3D'1" ''
}

@test "01 §8.1, §12.6: paging: limits, offset, before" {
    shows limit=3 a98 10
    shows 'limit=3&offset=3' 765 10
    shows 'limit=3&offset=9' 1 10
    shows 'limit=3&offset=10' '' 10
    shows 'offset=99' '' 10
    local value
    for value in 0 -1 x 1.5 ''; do
        shows "limit=$value&offset=$value" a987654321
        jq_eq '[.limit, .offset]' '[50,0]'
    done
    shows limit=200 a987654321
    jq_eq .limit 200
    shows limit=201 a987654321
    jq_eq .limit 200
    shows "before=${NOWHERE%ff}08" 7654321 10
    shows "before=${NOWHERE%ff}05&limit=2" 43 10
    shows "before=${NOWHERE%ff}05&actor_id=alice" 21 5
    shows "before=$NOWHERE" '' 10
    shows "before=${NOWHERE%ff}0b" '' 10
    api GET "$LIST?before=nope"
    assert_error 400 INVALID_REQUEST before
}

@test "from is the first moment, to the first no more; a date alone as to is the end of its day" {
    shows from=2024-03-02 a9876543
    shows to=2024-03-01 21
    shows 'from=2024-03-02&to=2024-03-02' 6543
    shows 'from=2024-03-02T08:00:00Z&to=2024-03-03T00:00:00Z' 654
    shows 'from=2024-03-03T12:00:00.001Z&to=2024-03-03T13:00:00Z' 9
    shows 'from=2024-03-02T10:00:00.000%2B02:00&to=2024-03-02T10:00:00.001%2B02:00' 654
    shows 'from=2024-03-03T07:59:00.000%2B23:59&to=2024-03-03T07:59:00.001%2B23:59' 654
    shows 'from=2024-03-02T07:59:60Z&to=2024-03-02T08:00:00.001Z' 654
    shows 'from=2024-03-02t08:00:00z&to=2024-03-02t08:00:00.0015z' 654
    shows 'from=2024-02-29&to=2024-02-29' ''
    shows 'from=2024-03-03&to=2024-03-01' ''
    local name value
    for name in from to; do
        for value in yesterday now 2024-02-30 2024-3-1 12:00 2024-03-01T25:00:00Z 2024-03-01T10:00:00 20240301; do
            api GET "$LIST?$name=$value"
            assert_error 400 INVALID_REQUEST $name
            api GET "$TOTALS?$name=$value"
            assert_error 400 INVALID_REQUEST $name
        done
    done
}

@test "01 §8.1: below admin: one's own rows, whatever actor_id says; nobody without a name" {
    local bearer=$ALICE
    shows '' 96521
    shows actor_id=bob 96521
    shows 'entity_type=provider&actor_id=bob' 65
    shows "before=${NOWHERE%ff}06" 521 5
    bearer=$READER
    api GET $LIST
    assert_error 400 INVALID_REQUEST -
    api GET $TOTALS
    assert_error 400 INVALID_REQUEST -
    for bearer in "$READER" "$WRITER"; do
        extra=("X-GoClaw-User-Id: bob")
        shows '' 43
        extra=("X-GoClaw-User-Id: nobody")
        shows '' ''
    done
    bearer=""
    extra=()
    api GET $LIST
    assert_error 401 UNAUTHORIZED
}

@test "an admin sees the tenant, also under a name; no tenant sees another's" {
    extra=("X-GoClaw-User-Id: bob")
    shows '' a987654321
    extra=()
    local bearer=$FOREIGN
    shows '' b
    shows actor_id=bob ''
    counts '' '["agent.created=1"]'
    jq_eq .total 1
    bearer=$TOKEN
    extra=("X-GoClaw-Tenant-Id: acme")
    shows '' b
}

@test "01 §8.1: the log cannot be written" {
    for method in POST PUT PATCH DELETE; do
        api $method $LIST '{}'
        assert_error 405 INVALID_REQUEST
    done
    api DELETE "$LIST/${NOWHERE%ff}08"
    assert_error 404 NOT_FOUND -
    api GET "$LIST/${NOWHERE%ff}08"
    assert_status 404
}

@test "01 §14: totals: every grouping, the largest first, ties by key" {
    counts '' '["agent.created=2","provider.created=2","agent.summoned=1","agent.updated=1","provider.deleted=1",
        "provider.updated=1","session.reset=1","storage.deleted=1"]'
    jq_eq 'del(.buckets)' '{"source":"activity_logs","group_by":"action","total":10,"limit":50}'
    counts group_by=action "$(jq -c '.buckets | map("\(.key)=\(.count)")' <<<"$body")"
    counts group_by=actor_type '["user=8","api_key=1","system=1"]'
    counts group_by=entity_type '["agent=4","provider=4","=1","session=1"]'
    counts group_by=actor_id '["alice=5","bob=2","carol=1","k-1=1","summoner=1"]'
    counts 'group_by=actor_id&limit=1' '["alice=5"]'
    jq_eq '[.total, .limit]' '[10,1]'
    counts 'group_by=actor_id&limit=0' '["alice=5","bob=2","carol=1","k-1=1","summoner=1"]'
    counts 'limit=201&from=2030-01-01' '[]'
    jq_eq '[.total, .limit, .from]' '[0,200,"2030-01-01T00:00:00.000Z"]'
    counts 'group_by=actor_type&from=2024-03-02&to=2024-03-02' '["user=4"]'
    jq_eq '[.total, .from, .to]' '[4,"2024-03-02T00:00:00.000Z","2024-03-03T00:00:00.000Z"]'
    api GET "$TOTALS?group_by=ip_address"
    assert_error 400 INVALID_REQUEST group_by
}

@test "totals below admin are one's own, and never by actor" {
    local bearer=$ALICE
    counts group_by=entity_type '["agent=2","provider=2","session=1"]'
    jq_eq .total 5
    api GET "$TOTALS?group_by=actor_id"
    assert_error 403 UNAUTHORIZED group_by
}

@test "01 §8.2: a change through the API is there at once, with its address" {
    extra=("X-GoClaw-User-Id: dave")
    api POST /v1/providers '{"name":"seen"}'
    assert_status 201
    local id
    id=$(jq -r .id <<<"$body")
    api GET "$LIST?actor_id=dave"
    jq_eq '.logs[0] | del(.id, .created_at)' '{"actor_type":"user","actor_id":"dave","action":"provider.created",
        "entity_type":"provider","entity_id":"'"$id"'","details":null,"ip_address":"127.0.0.1"}'
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "DELETE FROM activity_logs WHERE actor_id = 'dave'"
}

@test "totals of a long log are capped, filters keep them exact" {
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 9990)
        INSERT INTO activity_logs (id, tenant_id, actor_type, actor_id, action, created_at)
        SELECT 'many-' || i, '$MASTER', 'user', 'many', 'many', '2020-01-01T00:00:00.000Z' FROM n"
    shows limit=1 a 10000
    jq_eq 'has("total_capped")' false
    row 0c user late many many m 2020-01-01T00:00:00.000Z
    # Every page tells the same, the last one too, though it shows how many there are.
    for page in limit=1 'limit=200&offset=9900' 'limit=200&offset=20000'; do
        api GET "$LIST?$page"
        jq_eq '[.total, .total_capped]' '[10000,true]'
    done
    shows 'limit=1&actor_id=alice' 9 5
    jq_eq 'has("total_capped")' false
    api GET "$TOTALS?group_by=actor_type"
    jq_eq '[.total, .buckets[0].count]' '[10001,9999]'
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "DELETE FROM activity_logs WHERE created_at < '2024'"
}

@test "01 §12.4: the CLI's alias for lists works here too" {
    gateway_stop
    jq '.gateway.list_payload_alias = true' "$GATEWAY_HOME/config.json" >"$BATS_TEST_TMPDIR/c"
    cp "$BATS_TEST_TMPDIR/c" "$GATEWAY_HOME/config.json"
    gateway_serve
    api GET "$LIST?limit=2"
    jq_eq '.payload == .logs and (.logs | length == 2)' true
}
