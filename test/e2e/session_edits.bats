# Changing sessions over HTTP: PATCH, reset, DELETE, and what becomes of the runs in them (contract 03 §6.4, §6.5).

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain ''
    clawgate tenant create acme >/dev/null
    export ALICE READER BOB ADMIN NOBODY FOREIGN
    ALICE=$(clawgate key create --name a --scopes write --owner alice)
    BOB=$(clawgate key create --name b --scopes write --owner bob)
    READER=$(clawgate key create --name r --scopes read --owner alice)
    ADMIN=$(clawgate key create --name d --scopes admin)
    NOBODY=$(clawgate key create --name n --scopes write)
    FOREIGN=$(clawgate key create --name f --scopes admin --tenant acme)
}

teardown_file() {
    gateway_stop
}

# talk NAME: a session of alice's with two messages; $key is its path.
talk() {
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: $1")
    say "/echo $1"
    assert_status 200
    extra=()
    name=agent:default:http:direct:$1
    key=/v1/sessions/$name
}

# audited ACTION NAME COUNT [ACTOR]
audited() {
    assert_equal "$(sql "SELECT COUNT(*) FROM activity_logs WHERE action = '$1' AND entity_type = 'session'
        AND entity_id = '$2' AND actor_id = '${4:-system}'")" "$3"
}

repeat() {
    printf "$1%.0s" $(seq "$2")
}

# ---- PATCH ----

@test "PATCH sets label, model and metadata, answers the item with ok and the new ETag, and is audited once" {
    talk patched
    api GET "$key"
    local tag
    tag=$(header ETag)
    api PATCH "$key" '{"label":"Holiday 🚀","model":"gpt-x","metadata":{"a":"1","b":"2"}}'
    assert_status 200
    jq_eq '[.ok, .key, .label, .model, .metadata, .messageCount, .userID]' \
        "[true,\"$name\",\"Holiday 🚀\",\"gpt-x\",{\"a\":\"1\",\"b\":\"2\"},2,\"alice\"]"
    jq_eq '.updated > .created' true
    [ "$(header ETag)" != "$tag" ]
    tag=$(header ETag)
    api GET "$key"
    assert_equal "$(header ETag)" "$tag"
    jq_eq '[.label, .model, .metadata.b, (.messages | length)]' '["Holiday 🚀","gpt-x","2",2]'
    audited session.patched "$name" 1
}

@test "PATCH touches what it names only; metadata is merged, null removes" {
    talk merged
    api PATCH "$key" '{"label":"L","model":"m","metadata":{"a":"1","b":"2"}}'
    api PATCH "$key" '{"metadata":{"a":null,"b":"3","c":"","none":null}}'
    jq_eq '[.label, .model, .metadata]' '["L","m",{"b":"3","c":""}]'
    api PATCH "$key" '{"label":null}'
    jq_eq '[has("label"), .model, .metadata]' '[false,"m",{"b":"3","c":""}]'
    api PATCH "$key" '{"metadata":null,"model":null}'
    jq_eq '[has("metadata"), has("model")]' '[false,false]'
}

@test "PATCH that changes nothing writes nothing: empty body, unknown members, the same values" {
    talk same
    api PATCH "$key" '{"label":"L","metadata":{"a":"1"}}'
    local tag updated text
    tag=$(header ETag) updated=$(jq .updated <<<"$body")
    for text in '' '{}' '{"label":"L"}' '{"metadata":{"a":"1","x":null}}' '{"key":"stolen","user_id":"bob","metadata":{}}'; do
        api PATCH "$key" "$text"
        assert_status 200
        jq_eq '[.ok, .label, .updated, .userID]' "[true,\"L\",$updated,\"alice\"]"
        assert_equal "$(header ETag)" "$tag"
    done
    audited session.patched "$name" 1
}

@test "PATCH: a label of 500 characters, a model of 200, one more is 400" {
    talk long
    api PATCH "$key" "{\"label\":\"$(repeat é 500)\",\"model\":\"$(repeat m 200)\"}"
    assert_status 200
    jq_eq '[.label, .model] | map(length)' '[500,200]'
    api PATCH "$key" "{\"label\":\"$(repeat é 501)\"}"
    assert_error 400 INVALID_REQUEST label
    api PATCH "$key" "{\"model\":\"$(repeat m 201)\"}"
    assert_error 400 INVALID_REQUEST model
    audited session.patched "$name" 1
}

@test "PATCH: metadata of 65536 bytes in all, one more is 400 and nothing is stored" {
    talk heavy
    # {"a":"…","b":"…"}: 15 bytes around the values
    jq -cn --arg a "$(repeat x 40000)" '{metadata: {a: $a}}' >"$BATS_TEST_TMPDIR/a"
    api PATCH "$key" "@$BATS_TEST_TMPDIR/a"
    assert_status 200
    jq -cn --arg b "$(repeat y $((65536 - 15 - 40000)))" '{metadata: {b: $b}}' >"$BATS_TEST_TMPDIR/b"
    api PATCH "$key" "@$BATS_TEST_TMPDIR/b"
    assert_status 200
    jq_eq '.metadata | tojson | length' 65536
    api PATCH "$key" '{"label":"no","metadata":{"b":null,"c":"'"$(repeat y $((65536 - 14 - 40000)))"'"}}'
    assert_error 400 INVALID_REQUEST metadata
    api GET "$key"
    jq_eq '[has("label"), (.metadata | keys)]' '[false,["a","b"]]'
}

@test "PATCH: wrong types and the reserved key are 400 with the member's name" {
    talk wrong
    local text param
    while read -r param text; do
        api PATCH "$key" "$text"
        assert_error 400 INVALID_REQUEST "$param"
    done <<'END'
label {"label":1}
label {"label":["x"]}
model {"model":true}
metadata {"metadata":"x"}
metadata {"metadata":[]}
metadata {"metadata":{"a":1}}
metadata {"metadata":{"a":{"b":"c"}}}
metadata {"metadata":{"context_start_index":"4"}}
metadata {"metadata":{"context_start_index":null}}
END
    for text in '[]' '{"label":' '{"label":"a","label":"b"}'; do
        api PATCH "$key" "$text"
        assert_status 400
    done
    audited session.patched "$name" 0
}

@test "PATCH, reset and DELETE honour If-Match" {
    talk matched
    api PATCH "$key" '{"label":"1"}'
    local tag
    tag=$(header ETag)
    api PATCH "$key" '{"label":"2"}'
    extra=("If-Match: $tag")
    api PATCH "$key" '{"label":"3"}'
    assert_error 412 FAILED_PRECONDITION If-Match
    api POST "$key/reset"
    assert_error 412 FAILED_PRECONDITION If-Match
    api DELETE "$key"
    assert_error 412 FAILED_PRECONDITION If-Match
    extra=()
    api GET "$key"
    jq_eq '[.label, .messageCount]' '["2",2]'
    extra=("If-Match: \"other\", $(header ETag)")
    api PATCH "$key" '{"label":"4"}'
    assert_status 200
    extra=("If-Match: *")
    api POST "$key/reset"
    assert_status 200
    api DELETE "$key"
    assert_status 200
    extra=("If-Match: *")
    api DELETE "$key"
    assert_error 404 NOT_FOUND key
}

# ---- reset and delete ----

@test "reset empties the session, keeps its counters, and the next run begins anew" {
    talk emptied
    api PATCH "$key" '{"label":"stays","metadata":{"a":"1"}}'
    local tag
    tag=$(header ETag)
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "UPDATE sessions SET summary = 'short', context_start = 2 WHERE key = '$name'"
    api POST "$key/reset"
    assert_status 200
    assert_equal "$body" '{"ok":true}'
    audited session.reset "$name" 1
    api GET "$key"
    jq_eq '[.messages, .summary, .messageCount, .label, .metadata, .inputTokens > 0, .estimatedTokens]' \
        '[[],"",0,"stays",{"a":"1"},true,12000]'
    [ "$(header ETag)" != "$tag" ]
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: emptied")
    say /history
    [[ $(answer) == "I see 2 messages: 1 system, 1 user, 0 assistant, 0 tool."* ]]
    extra=()
    api GET "$key"
    jq_eq .messageCount 2
    assert_equal "$(sql "SELECT COUNT(*) FROM messages WHERE session_id NOT IN (SELECT id FROM sessions)")" 0
}

@test "delete removes session and messages; again is 404; the name can be used again" {
    talk gone
    api DELETE "$key"
    assert_status 200
    assert_equal "$body" '{"ok":true}'
    audited session.deleted "$name" 1
    api GET "$key"
    assert_error 404 NOT_FOUND key
    api DELETE "$key"
    assert_error 404 NOT_FOUND key
    api POST "$key/reset"
    assert_error 404 NOT_FOUND key
    api PATCH "$key" '{"label":"x"}'
    assert_error 404 NOT_FOUND key
    audited session.deleted "$name" 1
    assert_equal "$(sql "SELECT COUNT(*) FROM sessions WHERE key = '$name'")" 0
    assert_equal "$(sql "SELECT COUNT(*) FROM messages WHERE session_id NOT IN (SELECT id FROM sessions)")" 0
    talk gone
    api GET "$key"
    jq_eq .messageCount 2
}

@test "bodies of reset and DELETE do not matter, but must be none or an object" {
    talk bodies
    api POST "$key/reset" '{}'
    assert_status 200
    api POST "$key/reset" '[1'
    assert_error 400 INVALID_REQUEST
    api GET "$key/reset"
    assert_error 405 INVALID_REQUEST
    api PUT "$key" '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "GET, HEAD, PATCH, DELETE, OPTIONS"
    api DELETE "$key" '{"any":"thing"}'
    assert_status 200
}

@test "an Idempotency-Key resets once" {
    talk once
    extra=("Idempotency-Key: reset-1")
    api POST "$key/reset"
    assert_status 200
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: once")
    say "/echo after"
    extra=("Idempotency-Key: reset-1")
    api POST "$key/reset"
    assert_equal "$status_code $body" '200 {"ok":true}'
    extra=()
    api GET "$key"
    jq_eq .messageCount 2
    audited session.reset "$name" 1
}

# ---- who may ----

@test "below admin only one's own: 403 for another user's, 404 for none, 403 for readers, 400 for nobody" {
    talk own
    bearer=$ALICE
    api PATCH "$key" '{"label":"mine"}'
    assert_status 200
    audited session.patched "$name" 1 alice
    for bearer in $BOB $READER; do
        api PATCH "$key" '{"label":"theirs"}'
        assert_error 403 UNAUTHORIZED
        api POST "$key/reset"
        assert_error 403 UNAUTHORIZED
        api DELETE "$key"
        assert_error 403 UNAUTHORIZED
    done
    bearer=$BOB
    api DELETE /v1/sessions/agent:default:none
    assert_error 404 NOT_FOUND key
    bearer=$NOBODY
    api DELETE "$key"
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    extra=("X-GoClaw-User-Id: alice")
    api POST "$key/reset"
    assert_status 200
    extra=() bearer=$ADMIN
    api GET "$key"
    jq_eq '[.label, .messageCount]' '["mine",0]'
    api DELETE "$key"
    assert_status 200
}

@test "who may not see a session learns that before anything about the body" {
    talk order
    bearer=$BOB
    api PATCH "$key" '{"label":1}'
    assert_error 403 UNAUTHORIZED
    head -c 1100000 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
    api PATCH "$key" "@$BATS_TEST_TMPDIR/big"
    assert_error 403 UNAUTHORIZED
    bearer=$ALICE
    api PATCH "$key" "@$BATS_TEST_TMPDIR/big"
    assert_error 413 INVALID_REQUEST
}

@test "another tenant's admin finds nothing and changes nothing" {
    talk tenant
    bearer=$FOREIGN
    api PATCH "$key" '{"label":"x"}'
    assert_error 404 NOT_FOUND key
    api POST "$key/reset"
    assert_error 404 NOT_FOUND key
    api DELETE "$key"
    assert_error 404 NOT_FOUND key
    unset bearer
    api GET "$key"
    jq_eq '[.messageCount, has("label")]' '[2,false]'
    audited session.deleted "$name" 0
}

# ---- runs in the session ----

asked_for() {
    [ "$(upstream_requests | grep -c "$1")" -ge 1 ]
}

# slow NAME TEXT: a request in the background that the upstream keeps for 9 seconds.
slow() {
    local options
    extra=("X-GoClaw-Session-Key: $1")
    request_options
    curl -sS -m 30 -o "$BATS_TEST_TMPDIR/$1" -w '%{http_code}' "${options[@]}" \
        --data-binary "$(chat_body "$2 @upstream delay=9000" goclaw:plain)" "$GATEWAY/v1/chat/completions" \
        >"$BATS_TEST_TMPDIR/$1.code" 3>&- &
    wait_until 5 asked_for "$2"
    extra=()
}

running_row() {
    [ "$(sql "SELECT COUNT(*) FROM traces WHERE session_key = 'agent:plain:http:direct:$1' AND status = 'running'")" = "${2:-1}" ]
}

@test "delete and reset end a run in progress within seconds, and what it writes late is dropped" {
    local what began
    for what in delete reset; do
        extra=("X-GoClaw-Session-Key: busy-$what")
        say "first" goclaw:plain
        assert_status 200
        extra=()
        began=$(now_ms)
        slow "busy-$what" "slow-$what"
        wait_until 2 running_row "busy-$what"
        key=/v1/sessions/agent:plain:http:direct:busy-$what
        if [ $what = delete ]; then api DELETE "$key"; else api POST "$key/reset"; fi
        assert_status 200
        wait
        [ $(($(now_ms) - began)) -lt $((6000 * SLOWER)) ] || fail "the run was not ended"
        assert_equal "$(<"$BATS_TEST_TMPDIR/busy-$what.code")" 409
        jq_eq .error.code '"FAILED_PRECONDITION"' "$(<"$BATS_TEST_TMPDIR/busy-$what")"
        assert_equal "$(sql "SELECT status FROM traces WHERE session_key LIKE '%:busy-$what' ORDER BY id DESC LIMIT 1")" cancelled
        api GET "$key"
        if [ $what = delete ]; then assert_error 404 NOT_FOUND key; else jq_eq '[.messages, .messageCount]' '[[],0]'; fi
    done
    assert_equal "$(sql "SELECT COUNT(*) FROM messages WHERE session_id NOT IN (SELECT id FROM sessions)")" 0
}

@test "runs that wait for their turn end with the session too, those of other sessions go on" {
    extra=("X-GoClaw-Session-Key: line")
    say "first" goclaw:plain
    slow line slow-line
    extra=("X-GoClaw-Session-Key: line")
    request_options
    curl -sS -m 30 -o /dev/null -w '%{http_code}' "${options[@]}" --data-binary "$(chat_body waiting goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" >"$BATS_TEST_TMPDIR/waiting.code" 3>&- &
    wait_until 2 running_row line 2
    curl -sS -m 30 -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $TOKEN" -H "X-GoClaw-Session-Key: other" \
        --data-binary "$(chat_body "@upstream delay=3000" goclaw:plain)" "$GATEWAY/v1/chat/completions" \
        >"$BATS_TEST_TMPDIR/other.code" 3>&- &
    wait_until 2 running_row other
    extra=()
    api DELETE /v1/sessions/agent:plain:http:direct:line
    assert_status 200
    wait
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/{line,waiting,other}.code)" 409409200
    refute asked_for waiting
    api GET /v1/sessions/agent:plain:http:direct:line
    assert_error 404 NOT_FOUND key
}

@test "a session that is deleted before the row of its new run is written ends that run too" {
    ! by_cgi || return 0 # the row is written before the run goes on
    extra=("X-GoClaw-Session-Key: brief")
    say "first" goclaw:plain
    assert_status 200
    # Another program's transaction: what it deletes was there when the run began, whose row must wait for it.
    exec 5> >(command sqlite3 -cmd '.timeout 5000' "$DATABASE" 3>&-)
    local deleter=$!
    echo "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE;" >&5
    sleep 0.3
    slow brief slow-brief
    printf '%s\n' "DELETE FROM sessions WHERE key = 'agent:plain:http:direct:brief'; COMMIT;" .quit >&5
    exec 5>&-
    wait $deleter
    local began
    began=$(now_ms)
    wait
    [ $(($(now_ms) - began)) -lt $((4000 * SLOWER)) ] || fail "the run was not ended"
    assert_equal "$(<"$BATS_TEST_TMPDIR/brief.code")" 409
    api GET /v1/sessions/agent:plain:http:direct:brief
    assert_error 404 NOT_FOUND key
}

# ---- lists ----

@test "the list stands there as payload too when the setting says so" {
    talk listed
    api GET '/v1/sessions?limit=2'
    jq_eq 'has("payload")' false
    jq '.gateway.list_payload_alias = true' "$GATEWAY_HOME/config.json" >"$BATS_TEST_TMPDIR/c"
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/before"
    cat "$BATS_TEST_TMPDIR/c" >"$GATEWAY_HOME/config.json"
    shows_payload() { api GET '/v1/sessions?limit=2' && [ "$(jq 'has("payload")' <<<"$body")" = true ]; }
    by_cgi || clawgate reload >/dev/null
    wait_until 5 shows_payload
    jq_eq '[.payload == .sessions, (.payload | length), .limit]' '[true,2,2]'
    api GET '/v1/sessions?channel=none'
    jq_eq '[.payload, .sessions]' '[[],[]]'
    shows_payload() { api GET '/v1/runs?limit=2' && [ "$(jq 'has("payload")' <<<"$body")" = true ]; }
    wait_until 5 shows_payload
    jq_eq '.payload == .runs' true
    cat "$BATS_TEST_TMPDIR/before" >"$GATEWAY_HOME/config.json"
    by_cgi || clawgate reload >/dev/null
}
