# Start, stop, reload, and what is left when a process is killed (guarantees of tools/clawgate-serve.c and web/service.h).

load helper

setup_file() {
    upstream_start
    gateway_start '{"gateway":{"drain_seconds":2}}'
    provider plain ''
}

teardown_file() {
    gateway_stop
}

# A test that leaves the gateway broken must not take the others along.
setup() {
    is_ready || gateway_serve
}

# The serve of the moment: tests replace it.
serve_process() {
    head -n 1 "$GATEWAY_HOME/serve.lock"
}

# The process of a program that serve started; chat's worker is the supervisor's child.
process_of() {
    pgrep -P "$(serve_process)" -f "$1" | head -n 1
}

worker_of() {
    pgrep -P "$(process_of "$1")" | head -n 1
}

answers() {
    [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $TOKEN" -d "$(chat_body "${1:-/echo up}")" \
        "$GATEWAY/v1/chat/completions")" = 200 ]
}

# streams COUNT OPTIONS: that many streams in the background, each in $BATS_TEST_TMPDIR/sN; waits until all are upstream.
streams() {
    local i quoted before
    before=$(upstream_stat requests)
    quoted=$(stream_body "@upstream $2" goclaw:plain | jq -Rs .)
    for ((i = 1; i <= $1; i++)); do
        printf 'url = "%s/v1/chat/completions"\noutput = "%s/s%s"\nheader = "Authorization: Bearer %s"\ndata-binary = %s\n' \
            "$GATEWAY" "$BATS_TEST_TMPDIR" "$i" "$TOKEN" "$quoted"
        [ "$i" = "$1" ] || echo next
    done >"$BATS_TEST_TMPDIR/config"
    curl -sS -Z --parallel-immediate --parallel-max "$1" -K "$BATS_TEST_TMPDIR/config" 2>"$BATS_TEST_TMPDIR/curl" 3>&- &
    streams_pid=$!
    all_there() { [ "$(upstream_stat requests)" -ge $((before + $1)) ]; }
    wait_until 10 all_there "$1"
}

# Asks one question after the other until the file `stop` exists; every acknowledged session key goes to `acked`.
write_load() {
    local code
    while [ ! -e "$BATS_TEST_TMPDIR/stop" ]; do
        code=$(curl -s -m 10 -D "$BATS_TEST_TMPDIR/load.head" -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
            -d "$(chat_body '/echo load')" "$GATEWAY/v1/chat/completions") || true
        [ "$code" != 200 ] || sed -n 's/^x-goclaw-session-key: //Ip' "$BATS_TEST_TMPDIR/load.head" | tr -d '\r' >>"$BATS_TEST_TMPDIR/acked"
    done
}

assert_acknowledged_is_there() {
    local key missing=0
    while IFS= read -r key; do
        [ "$(sql "SELECT message_count FROM sessions WHERE key = '$key'")" = 2 ] || missing=$((missing + 1))
    done <"$BATS_TEST_TMPDIR/acked"
    [ -s "$BATS_TEST_TMPDIR/acked" ]
    assert_equal "$missing" 0
    assert_equal "$(sqlite3 "$DATABASE" 'PRAGMA integrity_check')" ok
    assert_equal "$(sqlite3 "$DATABASE" 'PRAGMA foreign_key_check')" ""
}

@test "a second serve for the same home is refused with status 3, and says whose it is" {
    run clawgate serve
    assert_equal "$status" 3
    assert_output --partial "$(serve_process)"
    answers
}

@test "status knows whether it runs" {
    run clawgate status
    assert_success
    assert_output --partial ready
    run "$ROOT/tools/clawgate" status --home "$BATS_TEST_TMPDIR"
    assert_equal "$status" 3
}

@test "kill -9 of the chat worker: back within two seconds, acknowledged rows are there, the run in flight is interrupted" {
    local load i
    write_load 3>&- &
    load=$!
    streams 1 'tokens=100,pace=100'
    for i in 1 2 3; do
        kill -KILL "$(worker_of cgi-bin/chat)"
        wait_until 2 answers
    done
    touch "$BATS_TEST_TMPDIR/stop"
    wait "$load" "$streams_pid" || true
    interrupted() { [ "$(sql "SELECT status || '|' || error FROM traces WHERE input_preview LIKE '%tokens=100,pace=100%'")" = "error|interrupted" ]; }
    wait_until 10 interrupted
    assert_equal "$(sql "SELECT count(*) FROM traces WHERE status = 'running'")" 0
    assert_acknowledged_is_there
    wait_until 2 upstream_closed
}

upstream_closed() {
    [ "$(upstream_stat open)" = 0 ]
}

@test "kill -9 of chat's supervisor: its worker goes too, a new one is back within two seconds" {
    local worker supervisor
    supervisor=$(process_of cgi-bin/chat)
    worker=$(worker_of cgi-bin/chat)
    kill -KILL "$supervisor"
    wait_until 2 answers
    gone() { [ ! -e "/proc/$worker" ]; }
    wait_until 2 gone
    [ "$(process_of cgi-bin/chat)" != "$supervisor" ]
}

@test "kill -9 of a prefork worker and of its supervisor: the next request is served" {
    api GET /v1/sessions
    assert_status 200
    kill -KILL "$(worker_of cgi-bin/sessions)"
    api GET /v1/sessions
    assert_status 200
    kill -KILL "$(process_of cgi-bin/sessions)"
    api GET /v1/sessions
    assert_status 200
}

@test "kill -9 of lighttpd: a new one within two seconds" {
    kill -KILL "$(process_of lighttpd)"
    wait_until 2 answers
}

@test "kill -9 of serve leaves no process, and the next serve starts over stale sockets" {
    kill -KILL "$(serve_process)"
    wait_until 5 no_gateway_processes || fail "left: $(gateway_processes)"
    gateway_serve
    answers
}

@test "a stop during fifty streams ends each with exactly one terminal event and [DONE]" {
    local i errors=0
    streams 50 'tokens=1000,pace=50'
    timeout 20 "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME"
    wait "$streams_pid" || true
    no_gateway_processes
    for i in {1..50}; do
        assert_equal "$i: $(sse_terminals "$BATS_TEST_TMPDIR/s$i") $(sse_data "$BATS_TEST_TMPDIR/s$i" | tail -n 1)" "$i: 1 [DONE]"
        ! sse_json "$BATS_TEST_TMPDIR/s$i" | tail -n 1 | jq -e .error >/dev/null || errors=$((errors + 1))
    done
    assert_equal "$errors" 50
    body=$(sse_json "$BATS_TEST_TMPDIR/s1" | tail -n 1)
    assert_envelope 503 UNAVAILABLE
    assert_equal "$(sqlite3 "$DATABASE" "SELECT count(*) FROM traces WHERE status = 'running'")" 0
}

@test "streams that end in time end well while it stops, and new runs are told 503" {
    streams 3 'tokens=6,pace=200'
    kill -TERM "$(serve_process)"
    refused() {
        say "too late"
        [ "$status_code" = 503 ]
    }
    wait_until 1 refused
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" ""
    api GET /ready
    assert_error 503 UNAVAILABLE
    wait "$streams_pid"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s{1,2,3} | grep -c '"finish_reason":"stop"')" 3
    wait_until 5 no_gateway_processes
}

@test "a reload under load refuses no request and breaks no stream" {
    local i old
    old=$(worker_of cgi-bin/chat)
    streams 5 'tokens=15,pace=100'
    for ((i = 1; i <= 300; i++)); do
        printf 'url = "%s/v1/%s"\noutput = "/dev/null"\nheader = "Authorization: Bearer %s"\n%s\nwrite-out = "%%{http_code}\\n"\n' \
            "$GATEWAY" "$([ $((i % 3)) = 0 ] && echo sessions || echo chat/completions)" "$TOKEN" \
            "$([ $((i % 3)) = 0 ] || printf 'data = %s' "$(chat_body '/echo x' | jq -Rs .)")"
        [ "$i" = 300 ] || echo next
    done >"$BATS_TEST_TMPDIR/load"
    curl -sS -Z --parallel-immediate --parallel-max 8 -K "$BATS_TEST_TMPDIR/load" >"$BATS_TEST_TMPDIR/codes" 2>"$BATS_TEST_TMPDIR/errors" 3>&- &
    local load=$!
    for i in 1 2 3; do
        sleep 0.3
        clawgate reload
    done
    wait "$load" || fail "$(sort "$BATS_TEST_TMPDIR/errors" | uniq -c)"
    wait "$streams_pid"
    assert_equal "$(sort "$BATS_TEST_TMPDIR/codes" | uniq -c | tr -s ' ')" " 300 200"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s{1..5} | grep -c '"finish_reason":"stop"')" 5
    replaced() { [ ! -e "/proc/$old" ]; }
    wait_until 5 replaced
}

@test "a reload brings new settings" {
    sed -i 's/"max_body_bytes": *[0-9]*,//; s/"gateway": *{/&"max_body_bytes": 2000,/' "$GATEWAY_HOME/config.json"
    clawgate reload
    limited() {
        say "$(printf 'x%.0s' {1..3000})"
        [ "$status_code" = 413 ]
    }
    wait_until 3 limited
}

@test "a broken config is refused by serve with the name of the key, and a reload keeps the service" {
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/good"
    sed -i 's/"drain_seconds": *2/"drain_seconds": "soon"/' "$GATEWAY_HOME/config.json"
    clawgate reload
    sleep 1
    answers
    clawgate stop
    run clawgate serve
    assert_failure
    assert_output --partial drain_seconds
    cat "$BATS_TEST_TMPDIR/good" >"$GATEWAY_HOME/config.json"
    gateway_serve
}

@test "a database newer than the program is refused, and left as it is" {
    clawgate stop
    local version
    version=$(sqlite3 "$DATABASE" 'PRAGMA user_version')
    sqlite3 "$DATABASE" "PRAGMA user_version = $((version + 1))"
    run clawgate serve
    assert_failure
    assert_output --partial newer
    assert_equal "$(sqlite3 "$DATABASE" 'PRAGMA user_version')" $((version + 1))
    sqlite3 "$DATABASE" "PRAGMA user_version = $version"
    gateway_serve
    answers
}

@test "init is safe to repeat, and does not touch a home with other values" {
    run clawgate init
    assert_success
    run clawgate init --token another
    assert_failure
    assert_equal "$(clawgate token)" "$TOKEN"
}
