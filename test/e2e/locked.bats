# Somebody else holds the database's write lock: reads go on, writes give up in time, nothing hangs.

load helper

setup_file() {
    upstream_start
    gateway_start '{"gateway": {"database_wait_ms": 1500}}'
    provider plain ''
    export READER
    READER=$(clawgate key create --name r --scopes read --owner alice)
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: talk")
    say "/echo one"
}

teardown_file() {
    gateway_stop
}

# hold SECONDS: the lock, in the background.
hold() {
    {
        echo 'BEGIN IMMEDIATE;'
        echo ".system touch $BATS_TEST_TMPDIR/held"
        echo ".system sleep $1"
    } | sqlite3 "$DATABASE" 3>&- &
    wait_until 5 test -e "$BATS_TEST_TMPDIR/held"
}

# timed COMMAND…: how long it took, in $ms.
timed() {
    local began
    began=$(now_ms)
    "$@"
    ms=$(($(now_ms) - began))
}

within() {
    [ "$ms" -ge "$1" ] && [ "$ms" -lt $(($2 * SLOWER)) ] || fail "$ms ms instead of $1 to $2"
}

KEY=/v1/sessions/agent:default:http:direct:talk

@test "a change gives up after the set time with 503, the next ones sooner, and all is well afterwards" {
    hold 5
    timed api PATCH $KEY '{"label":"late"}'
    assert_error 503 UNAVAILABLE
    within 1400 2300
    say "/echo two"
    assert_error 503 UNAVAILABLE
    timed say "/echo three"
    assert_error 503 UNAVAILABLE
    within 0 900
    wait
    api PATCH $KEY '{"label":"in time"}'
    assert_status 200
    say "/echo four"
    assert_status 200
    api GET $KEY
    jq_eq '[.label, .messageCount]' '["in time",2]'
    assert_equal "$(sql "SELECT COUNT(*) FROM activity_logs WHERE action = 'session.patched'")" 1
}

@test "reads do not wait, not even behind a key whose last use is to be noted; readiness says what is missing" {
    hold 3
    local i
    timed api GET $KEY
    assert_status 200
    within 0 500
    bearer=$READER
    for i in 1 2 3; do
        timed api GET /v1/sessions
        assert_status 200
        within 0 500
    done
    unset bearer
    timed api GET /v1/runs
    assert_status 200
    within 0 500
    timed api GET /ready
    assert_error 503 UNAVAILABLE
    jq_eq .error.details.missing '["database"]'
    within 200 900
    wait
    api GET /ready
    assert_status 200
}

@test "a stream under way is not disturbed; what it could not store in time is its last word" {
    local data options
    request_options
    curl -sS -N -m 20 -o "$BATS_TEST_TMPDIR/stream" "${options[@]}" \
        --data-binary "$(stream_body '@upstream tokens=8,pace=100' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" 3>&- &
    streaming() { [ "$(sse_data "$BATS_TEST_TMPDIR/stream" 2>/dev/null | wc -l)" -ge 2 ]; }
    wait_until 5 streaming
    hold 4
    wait
    data=$(sse_json "$BATS_TEST_TMPDIR/stream" | jq -s .)
    assert_equal "$(sse_text "$BATS_TEST_TMPDIR/stream")" "tok1 tok2 tok3 tok4 tok5 tok6 tok7 tok8 "
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/stream")" 1
    jq_eq 'last.error.code' '"UNAVAILABLE"' "$data"
}

@test "a run of this process can be cancelled meanwhile" {
    local run_id
    curl -sS -m 20 -o "$BATS_TEST_TMPDIR/answer" -H "Authorization: Bearer $TOKEN" \
        --data-binary "$(chat_body '@upstream delay=9000' goclaw:plain)" "$GATEWAY/v1/chat/completions" 3>&- &
    row() { run_id=$(sql "SELECT id FROM traces WHERE status = 'running' AND input_preview LIKE '%delay=9000'") && [ -n "$run_id" ]; }
    wait_until 5 row
    hold 3
    timed api POST "/v1/runs/$run_id/cancel"
    assert_status 200
    within 0 4000
    wait
    wait_until 10 is_ready
}

@test "a run that began meanwhile is seen and can be cancelled once the lock is gone" {
    local run_id
    hold 3
    extra=("X-GoClaw-Session-Key: unseen")
    request_options
    curl -sS -m 30 -o "$BATS_TEST_TMPDIR/unseen" "${options[@]}" \
        --data-binary "$(chat_body '@upstream delay=20000' goclaw:plain)" "$GATEWAY/v1/chat/completions" 3>&- &
    seen() {
        api GET '/v1/runs?status=running'
        run_id=$(jq -r '.runs[] | select(.session_key | endswith(":unseen")).id' <<<"$body")
        [ -n "$run_id" ]
    }
    wait_until 10 seen
    api POST "/v1/runs/$run_id/cancel"
    assert_status 200
    jq_eq .status '"cancelled"'
    wait
    jq_eq .error.code '"FAILED_PRECONDITION"' "$(<"$BATS_TEST_TMPDIR/unseen")"
}
