# Runs and models over HTTP: what runs, what ran, the button that stops it, and whose turn it is (00, 03 §1.13, §3.3).

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain ''
    clawgate agent create private --user alice >/dev/null
    clawgate agent create asleep >/dev/null
    sqlite3 "$DATABASE" "UPDATE agents SET status = 'inactive' WHERE agent_key = 'asleep'"
    export ALICE READER
    ALICE=$(clawgate key create --name a --scopes write --owner alice)
    READER=$(clawgate key create --name r --scopes read --owner alice)
}

teardown_file() {
    gateway_stop
}

# start NAME BODY: a request in the background; its answer goes to $BATS_TEST_TMPDIR/NAME, its head to NAME.head.
start() {
    local options
    request_options
    curl -sS -N -m 30 -D "$BATS_TEST_TMPDIR/$1.head" -o "$BATS_TEST_TMPDIR/$1" "${options[@]}" --data-binary "$2" \
        "$GATEWAY/v1/chat/completions" 3>&- &
}

asked_for() {
    [ "$(upstream_requests | grep -c "$1")" -ge 1 ]
}

# The run that is in flight in a session, as $run_id; its row is written without the run waiting for it.
listed() {
    api GET '/v1/runs?status=running'
    run_id=$(jq -r --arg key "agent:plain:http:direct:$1" '.runs[] | select(.session_key == $key) | .id' <<<"$body")
    [ -n "$run_id" ]
}

run_of() {
    wait_until 1 listed "$1"
}

@test "a finished run can be looked up by the id in the answer's header" {
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: one")
    say hi
    local id agent
    id=$(header X-GoClaw-Run-Id) agent=$(header X-GoClaw-Agent-Id)
    api GET "/v1/runs/$id"
    assert_status 200
    jq_eq '[.id, .agent_id, .session_key, .user_id, .status]' \
        "[\"$id\",\"$agent\",\"agent:default:http:direct:one\",\"alice\",\"completed\"]"
    jq_eq '[.started_at, .ended_at] | map(test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z$"))' '[true,true]'
    api GET "/v1/runs/${id^^}/"
    assert_status 200
}

@test "a running run is listed with its phase and without an end" {
    extra=("X-GoClaw-Session-Key: live")
    start live "$(stream_body 'live-1 @upstream delay=1200' goclaw:plain)"
    wait_until 2 asked_for live-1
    local id
    run_of live
    id=$run_id
    api GET "/v1/runs/$id"
    jq_eq '[.status, .phase, .ended_at]' '["running","thinking",null]'
    wait
    api GET "/v1/runs/$id"
    jq_eq '[.status, (.ended_at != null)]' '["completed",true]'
}

# Somebody else's session under the key of the run that is in flight.
take_key() {
    sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO sessions (id, tenant_id, key, agent_id, user_id, created_at, updated_at)
        SELECT '$1', tenant_id, session_key, agent_id, 'eve', start_time, start_time FROM traces WHERE status = 'running'"
    assert_equal "$(sql "SELECT count(*) FROM sessions WHERE id = '$1'")" 1
}

@test "a new session whose key another user takes meanwhile keeps its messages under a longer one" {
    local way
    begun() { [ -n "$(sql "SELECT 1 FROM traces WHERE status = 'running'")" ]; }
    for way in chat stream; do
        start "$way" "$("${way}_body" "taken-$way @upstream delay=1200" goclaw:plain)"
        wait_until 2 asked_for "taken-$way"
        wait_until 1 begun
        take_key "$way"
        wait
        assert_equal "$(sql "SELECT count(*) FROM messages WHERE session_id = '$way'")" 0
        assert_equal "$(sql "SELECT s.user_id, s.message_count, t.status, length(s.key) - length('agent:plain:http-system-')
            FROM messages m JOIN sessions s ON s.id = m.session_id JOIN traces t ON t.session_key = s.key
            WHERE m.content LIKE 'taken-$way%'")" 'system|2|completed|32'
    done
}

@test "cancel ends a running run, and its client learns it once" {
    extra=("X-GoClaw-Session-Key: stop")
    start stop "$(stream_body 'stop-1 @upstream tokens=500,pace=50' goclaw:plain)"
    wait_until 2 asked_for stop-1
    local id
    run_of stop
    id=$run_id
    api POST "/v1/runs/$id/cancel"
    assert_status 200
    jq_eq '[.id, .ok, .status]' "[\"$id\",true,\"cancelled\"]"
    wait
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/stop")" 1
    assert_equal "$(sse_data "$BATS_TEST_TMPDIR/stop" | tail -n 1)" "[DONE]"
    jq_eq '.error.code' '"FAILED_PRECONDITION"' "$(sse_json "$BATS_TEST_TMPDIR/stop" | tail -n 1)"
    assert_equal "$(upstream_requests | jq 'map(select(.body | contains("stop-1")))[0].closed_early')" true
    assert_equal "$(sql "SELECT status FROM traces WHERE run_id = '$id'")" cancelled
}

# at_once BODY METHOD SUFFIX: starts a stream and asks for its run as soon as the head is there, on a connection that is
# open already. The first line of the answer is $line.
at_once() {
    local id=
    exec 5<>"/dev/tcp/127.0.0.1/$PORT" 6<>"/dev/tcp/127.0.0.1/$PORT"
    printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s' \
        "$TOKEN" ${#1} "$1" >&5
    while IFS= read -r line <&5 && [ "$line" != $'\r' ]; do
        case ${line,,} in x-goclaw-run-id:*) id=${line#*: } ;; esac
    done
    printf '%s /v1/runs/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n' \
        "$2" "${id%$'\r'}$3" "$TOKEN" >&6
    IFS= read -r line <&6
    exec 5>&- 6>&-
}

@test "a run is found as soon as its stream has told the id" {
    local i
    for i in 1 2 3 4 5; do
        at_once "$(stream_body "early-$i @upstream delay=1500" goclaw:plain)" GET ''
        assert_equal "$line" $'HTTP/1.1 200 OK\r'
        at_once "$(stream_body "stop-early-$i @upstream delay=1500" goclaw:plain)" POST /cancel
        assert_equal "$line" $'HTTP/1.1 200 OK\r'
    done
}

@test "cancel reaches a run of the generation before a reload" {
    extra=("X-GoClaw-Session-Key: elder")
    start elder "$(chat_body 'elder-1 @upstream delay=9000' goclaw:plain)"
    wait_until 2 asked_for elder-1
    run_of elder
    local id=$run_id
    clawgate reload >/dev/null
    younger() { [ "$(pgrep -f "^$BUILD/cgi-bin/chat" | wc -l)" -ge 3 ]; }
    wait_until 5 younger
    wait_until 5 is_ready
    api POST "/v1/runs/$id/cancel"
    assert_status 200
    jq_eq '[.ok, .status]' '[true,"cancelled"]'
    wait
    jq_eq .error.code '"FAILED_PRECONDITION"' "$(<"$BATS_TEST_TMPDIR/elder")"
}

@test "cancel without a body or with one, and twice: the second changes nothing" {
    say hi goclaw:plain
    local id
    id=$(header X-GoClaw-Run-Id)
    api POST "/v1/runs/$id/cancel" '{}'
    assert_status 200
    jq_eq '[.status, .ok]' '["completed",true]'
    assert_equal "$(sql "SELECT status FROM traces WHERE run_id = '$id'")" completed
}

@test "a run that waits for its turn is listed, and cancel takes it out of the line" {
    extra=("X-GoClaw-Session-Key: line")
    start first "$(chat_body 'line-1 @upstream delay=2500' goclaw:plain)"
    wait_until 2 asked_for line-1
    start second "$(chat_body 'line-2' goclaw:plain)"
    waiting() {
        api GET '/v1/runs?status=running'
        [ "$(jq '[.runs[] | select(.session_key == "agent:plain:http:direct:line")] | length' <<<"$body")" = 2 ]
    }
    wait_until 1 waiting || fail "the waiting run is not listed: $body"
    local id
    id=$(jq -r '.runs[] | select(.session_key == "agent:plain:http:direct:line" and .phase == "queued") | .id' <<<"$body")
    api POST "/v1/runs/$id/cancel"
    assert_status 200
    wait
    assert_equal "$(head -n 1 "$BATS_TEST_TMPDIR/second.head" | cut -d' ' -f2)" 409
    refute asked_for line-2
}

@test "the list is paged, newest first, and filtered by status" {
    local i
    for i in 1 2 3; do say "list-$i" goclaw:plain; done
    local newest
    newest=$(header X-GoClaw-Run-Id)
    api GET '/v1/runs?limit=2&status=completed'
    jq_eq '[(.runs | length), .limit, .offset, .runs[0].id]' "[2,2,0,\"$newest\"]"
    jq_eq '.total >= 3' true
    local second
    second=$(jq -c '.runs[1].id' <<<"$body")
    api GET '/v1/runs?limit=1&offset=1&status=completed'
    jq_eq '.runs[0].id' "$second"
    api GET "/v1/runs?limit=1&before=$newest&status=completed"
    jq_eq '.runs[0].id' "$second"
    api GET '/v1/runs?limit=100000&offset=-3'
    jq_eq '[.limit, .offset]' '[200,0]'
    api GET '/v1/runs?offset=9999999'
    jq_eq '.runs' '[]'
}

@test "below admin one sees and cancels one's own runs only" {
    extra=("X-GoClaw-User-Id: bob")
    say "bobs run" goclaw:default
    local bobs
    bobs=$(header X-GoClaw-Run-Id)
    extra=() bearer=$ALICE
    say "alices run"
    local alices
    alices=$(header X-GoClaw-Run-Id)
    api GET /v1/runs
    jq_eq '[.runs[].user_id] | unique' '["alice"]'
    api GET "/v1/runs/$bobs"
    assert_error 404 NOT_FOUND id
    api POST "/v1/runs/$bobs/cancel"
    assert_error 404 NOT_FOUND id
    api GET "/v1/runs/$alices"
    assert_status 200
    bearer=$READER
    api GET "/v1/runs/$alices"
    assert_status 200
    api POST "/v1/runs/$alices/cancel"
    assert_error 403 UNAUTHORIZED
}

@test "ids that are none are 400, unknown ones 404" {
    api GET /v1/runs/nonsense
    assert_error 400 INVALID_REQUEST id
    api GET /v1/runs/01900000-0000-7000-8000-000000000000
    assert_error 404 NOT_FOUND id
    api POST /v1/runs/01900000-0000-7000-8000-000000000000/cancel
    assert_error 404 NOT_FOUND id
    api DELETE /v1/runs/01900000-0000-7000-8000-000000000000
    assert_error 405 INVALID_REQUEST
}

@test "requests of one session are answered in their order, each seeing the one before" {
    extra=("X-GoClaw-Session-Key: fifo")
    start f0 "$(chat_body 'fifo-0 @upstream delay=600' goclaw:plain)"
    wait_until 2 asked_for fifo-0
    local i
    for i in 1 2 3 4 5; do
        start "f$i" "$(chat_body "fifo-$i" goclaw:plain)"
        sleep 0.08
    done
    wait
    assert_equal "$(sql "SELECT group_concat(content, ' ') FROM (SELECT substr(content, 1, 6) AS content FROM messages m
        JOIN sessions s ON s.id = m.session_id WHERE s.key = 'agent:plain:http:direct:fifo' AND m.role = 'user' ORDER BY m.seq)")" \
        "fifo-0 fifo-1 fifo-2 fifo-3 fifo-4 fifo-5"
    assert_equal "$(upstream_requests | jq '[.[] | select(.body | contains("fifo-5"))][0].body | fromjson | .messages | map(select(.role != "system")) | length')" 11
}

@test "03 §3.3: who goes on in the session a stream has just announced waits for that stream" {
    announced() { grep -qi '^X-GoClaw-Session-Key' "$BATS_TEST_TMPDIR/ahead.head" 2>/dev/null; }
    start ahead "$(stream_body 'ahead-1 @upstream delay=1200' goclaw:plain)"
    wait_until 2 announced
    extra=("X-GoClaw-Session-Key: $(tr -d '\r' <"$BATS_TEST_TMPDIR/ahead.head" | sed -n 's/^X-GoClaw-Session-Key: //Ip')")
    say behind-1 goclaw:plain
    assert_status 200
    jq_eq '[.body.messages[] | select(.role != "system").role]' '["user","assistant","user"]' "$(upstream_last)"
    wait
    assert_equal "$(sql "SELECT s.message_count, group_concat(seq || substr(content, 1, 6)) FROM sessions s JOIN messages m
        ON m.session_id = s.id WHERE role = 'user' AND s.id IN (SELECT session_id FROM messages WHERE content = 'behind-1')")" \
        "4|1ahead-,3behind"
}

@test "03 §1.6: a stream does not wait for who is in its new session's key already: it gets the long one" {
    local key
    say hi goclaw:plain
    key=$(header X-GoClaw-Session-Key)
    printf -v key '%s-%08x' "${key%-*}" $(((16#${key##*-} + 2) % 2 ** 32)) # the next run is the one that takes it
    extra=("X-GoClaw-Session-Key: $key")
    start taker "$(chat_body 'taker-1 @upstream delay=1200' goclaw:plain)"
    wait_until 2 asked_for taker-1
    extra=()
    sse "$(stream_body other-1 goclaw:plain)"
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(header X-GoClaw-Session-Key)" "${key%-*}-$(header X-GoClaw-Run-Id | tr -d -)"
    [ ! -s "$BATS_TEST_TMPDIR/taker" ] || fail "it waited"
    wait
    assert_equal "$(sql "SELECT message_count FROM sessions WHERE key = '$key'")" 2
}

@test "requests of different sessions run side by side" {
    local i began
    began=$(now_ms)
    for i in 1 2 3 4 5 6; do
        extra=("X-GoClaw-Session-Key: side-$i")
        start "s$i" "$(chat_body "side-$i @upstream delay=700" goclaw:plain)"
    done
    wait
    [ $(($(now_ms) - began)) -lt $((2500 * SLOWER)) ]
    assert_equal "$(grep -l '"finish_reason":"stop"' "$BATS_TEST_TMPDIR"/s[1-6] | wc -l)" 6
}

@test "the models are the active agents the caller may run" {
    api GET /v1/models
    assert_status 200
    jq_eq '[.object, [.data[].id]]' '["list",["goclaw:default","goclaw:plain","goclaw:private"]]'
    jq_eq '.data[0] | [keys, .object, .owned_by, .created > 1700000000]' '[["created","id","object","owned_by"],"model","goclaw",true]'
    extra=("X-GoClaw-User-Id: bob")
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default"]'
    extra=() bearer=$READER
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default","goclaw:private"]'
}

@test "one model by key, prefixed key or uuid; the id is always the canonical one" {
    local id name
    id=$(sql "SELECT id FROM agents WHERE agent_key = 'plain'")
    for name in plain goclaw:plain agent:plain goclaw%3Aplain "$id" "goclaw:$id"; do
        api GET "/v1/models/$name"
        assert_status 200
        jq_eq '.id' '"goclaw:plain"'
    done
    for name in nobody asleep "No%20Slug" gpt-4o "a%2Fb"; do
        api GET "/v1/models/$name"
        assert_error 404 NOT_FOUND -
    done
    extra=("X-GoClaw-User-Id: bob")
    api GET /v1/models/private
    assert_error 403 UNAUTHORIZED
}
