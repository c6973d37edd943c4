# The same programs as plain CGI under lighttpd's mod_cgi: a process a request, no serve; what is shared is in the home.

load helper

setup_file() {
    export CLAWGATE_TEST_FRONT=cgi CLAWGATE_UPSTREAM_RETRY_MS=20
    upstream_start
    gateway_start
    provider plain ''
    READER=$(clawgate key create --name reader --scopes read)
    export READER
}

teardown_file() {
    gateway_stop
}

@test "every program answers: health, readiness, models, sessions, unknown paths" {
    api GET /health
    assert_status 200
    jq_eq '.status' '"ok"'
    api HEAD /health
    assert_status 200
    api GET /ready
    assert_status 200
    api GET /v1/models
    assert_status 200
    jq_eq '[.data[].id]' '["goclaw:default","goclaw:plain"]'
    api GET /v1/models/goclaw%3Aplain
    assert_status 200
    api GET '/v1/sessions?limit=1'
    assert_status 200
    jq_eq '.sessions | type' '"array"'
    api GET /v1/nothing
    assert_error 404 NOT_FOUND
}

@test "a completion, offline and from the upstream, is answered, stored, and its process gone" {
    say "/echo straight from a process"
    assert_status 200
    assert_equal "$(answer)" "straight from a process"
    say "hello" goclaw:plain
    assert_status 200
    assert_equal "$(answer)" "Hello from upstream."
    assert_equal "$(header Content-Type)" application/json
    jq_eq '.id' "\"chatcmpl-$(header X-GoClaw-Run-Id | tr -d -)\""
    assert_equal "$(sql "SELECT status FROM traces WHERE run_id = '$(header X-GoClaw-Run-Id)'")" completed
    api GET "/v1/sessions/$(header X-GoClaw-Session-Key)"
    assert_status 200
    jq_eq '.messageCount' 2
    wait_until 2 no_gateway_processes
}

@test "a stream: deltas one by one, ended once, the offline model too" {
    local times text='@upstream tokens=6,pace=150'
    request_options
    mapfile -t times < <(curl -sS -N "${options[@]}" --data-binary "$(stream_body "$text" goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" | while IFS= read -r line; do case $line in data:*) now_ms ;; esac done)
    [ $((times[-1] - times[0])) -ge 700 ] || fail "the frames came together: ${times[*]}"
    sse "$(stream_body '@upstream tokens=4' goclaw:plain)"
    assert_status 200
    assert_equal "$(header Content-Type)" text/event-stream
    assert_equal "$(sse_text)" "tok1 tok2 tok3 tok4 "
    assert_equal "$(sse_terminals) $(sse_data | grep -cx '\[DONE\]')" "1 1"
    sse "$(stream_body '/echo streamed offline')"
    assert_equal "$(sse_text)" "streamed offline"
    sse "$(stream_body '@upstream tokens=8,cut=reset' goclaw:plain)"
    assert_equal "$(sse_terminals) $(sse_data | tail -n 1)" "1 [DONE]"
}

@test "a session carries its history from process to process" {
    extra=("X-GoClaw-Session-Key: book")
    say "my name is Ada" goclaw:plain
    say "who am I" goclaw:plain
    assert_status 200
    assert_equal "$(upstream_last | jq -c '[.body.messages[] | select(.role != "system") | .content]')" \
        '["my name is Ada","Hello from upstream.","who am I"]'
}

# together KEY…: a request each at the same time; prints how many the upstream had at once.
together() {
    local key n=0
    rm -f "$BATS_TEST_TMPDIR"/code*
    upstream_reset
    for key; do
        n=$((n + 1))
        curl -sS -m 20 -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $TOKEN" \
            -H "X-GoClaw-Session-Key: $key" -d "$(chat_body "@upstream delay=300,text=turn$n" goclaw:plain)" \
            "$GATEWAY/v1/chat/completions" \
            >"$BATS_TEST_TMPDIR/code$n" 3>&- &
    done
    wait
    cat "$BATS_TEST_TMPDIR"/code* | sort | uniq -c | tr -s ' ' | tr -d '\n'
    echo ", $(upstream_stat peak_open) at a time"
}

@test "requests of one session take turns, of two sessions they do not" {
    assert_equal "$(together same same same)" " 3 200, 1 at a time"
    assert_equal "$(together one two)" " 2 200, 2 at a time"
    assert_equal "$(sql "SELECT group_concat(role) FROM (SELECT m.role FROM messages m
        JOIN sessions s ON s.id = m.session_id WHERE s.key LIKE '%:same' ORDER BY m.seq)")" \
        user,assistant,user,assistant,user,assistant
}

@test "a killed process does not keep its session" {
    upstream_reset
    extra=("X-GoClaw-Session-Key: killed")
    request_options
    curl -sS -m 20 -o /dev/null "${options[@]}" -d "$(chat_body '@upstream stall=headers' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" 3>&- &
    local client=$!
    asked() { [ "$(upstream_stat requests)" = 1 ]; }
    wait_until 5 asked
    # shellcheck disable=SC2046 # a list of numbers
    kill -KILL $(gateway_processes)
    wait $client || true
    say "next" goclaw:plain
    assert_status 200
}

# in_flight NAME: a request that the upstream keeps for 9 seconds, in the background; $run_id is its run.
in_flight() {
    curl -sS -m 20 -o "$BATS_TEST_TMPDIR/$1" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
        -H "X-GoClaw-Session-Key: $1" -d "$(chat_body '@upstream delay=9000' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" >"$BATS_TEST_TMPDIR/$1.code" 3>&- &
    row() {
        run_id=$(sql "SELECT id FROM traces WHERE status = 'running' AND session_key LIKE '%:$1'")
        [ -n "$run_id" ]
    }
    wait_until 5 row "$1"
}

@test "cancel reaches the run of another process, and so does the end of its session" {
    local began run_id
    began=$(now_ms)
    in_flight far
    in_flight far-1
    api POST "/v1/runs/$run_id/cancel"
    assert_status 200
    jq_eq '[.ok, .status]' '[true,"cancelled"]'
    api GET "/v1/runs/$run_id"
    jq_eq .status '"cancelled"'
    api POST "/v1/runs/$run_id/cancel"
    jq_eq '[.ok, .status]' '[true,"cancelled"]'
    run_id=$(sql "SELECT id FROM traces WHERE status = 'running'")
    api POST "/v1/runs/$run_id/cancel"
    jq_eq '[.ok, .status]' '[true,"cancelled"]'
    wait
    [ $(($(now_ms) - began)) -lt $((6000 * SLOWER)) ] || fail "the runs were not ended"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/{far,far-1}.code)" 409409
    say "again" goclaw:plain
    extra=("X-GoClaw-Session-Key: near")
    say "first" goclaw:plain
    extra=()
    in_flight near
    api DELETE /v1/sessions/agent:plain:http:direct:near
    assert_status 200
    wait
    assert_equal "$(<"$BATS_TEST_TMPDIR/near.code")" 409
    api GET /v1/sessions/agent:plain:http:direct:near
    assert_error 404 NOT_FOUND key
}

@test "what is older than the settings say is pruned by a process every ten minutes" {
    say "/echo old"
    local id
    id=$(header X-GoClaw-Run-Id)
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "UPDATE traces SET start_time = '2020-01-01T00:00:00.000Z' WHERE id = '$id'"
    say "/echo new"
    api GET "/v1/runs/$id"
    assert_status 200
    touch -d '11 minutes ago' "$GATEWAY_HOME/data/run.lock"
    say "/echo newer"
    wait_until 2 no_gateway_processes
    api GET "/v1/runs/$id"
    assert_error 404 NOT_FOUND id
    assert_equal "$(sql "SELECT COUNT(*) FROM spans WHERE trace_id = '$id'")" 0
}

@test "an Idempotency-Key holds from process to process" {
    extra=("Idempotency-Key: once-1")
    say "exactly once" goclaw:plain
    assert_status 200
    local first=$body
    say "exactly once" goclaw:plain
    assert_status 200
    assert_equal "$body" "$first"
    assert_equal "$(sql "SELECT count(*) FROM traces WHERE input_preview = 'exactly once'")" 1
    say "something else" goclaw:plain
    assert_error 409 ALREADY_EXISTS Idempotency-Key
}

@test "errors of authentication, role, user, body and upstream are the same envelope" {
    bearer=wrong say x
    assert_error 401 UNAUTHORIZED
    assert_equal "$(header WWW-Authenticate)" 'Bearer realm="goclaw"'
    bearer="" api GET /v1/sessions
    assert_error 401 UNAUTHORIZED
    bearer=$READER say x
    assert_error 403 UNAUTHORIZED
    api POST /v1/chat/completions '{"messages":[]}'
    assert_error 400 INVALID_REQUEST messages
    assert_equal "$(header X-Should-Retry)" false
    api POST /v1/chat/completions '{"messages"'
    assert_error 400 INVALID_REQUEST
    api DELETE /v1/models
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "GET, HEAD, OPTIONS"
    say x goclaw:nobody
    assert_error 404 NOT_FOUND model
    say '@upstream status=500' goclaw:plain
    assert_error 503 UNAVAILABLE
    say '@upstream status=401' goclaw:plain
    assert_error 409 FAILED_PRECONDITION
    extra=("X-GoClaw-User-Id: $(printf 'u%.0s' {1..256})")
    say x
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
}

@test "a body at the limit is read, also in chunks; one byte more is 413; new settings count at once" {
    local frame text fits chunked
    jq '.gateway.max_body_bytes = 4096' "$GATEWAY_HOME/config.json" >"$BATS_TEST_TMPDIR/limited"
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/before"
    cat "$BATS_TEST_TMPDIR/limited" >"$GATEWAY_HOME/config.json"
    frame=$(chat_body "")
    printf -v text '%*s' $((4096 - ${#frame})) ''
    chat_body "${text// /x}" | tr -d '\n' >"$BATS_TEST_TMPDIR/fits"
    chat_body "${text// /x}x" | tr -d '\n' >"$BATS_TEST_TMPDIR/over"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/fits"
    fits=$status_code
    extra=("Transfer-Encoding: chunked")
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/fits"
    chunked=$status_code
    extra=()
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/over"
    cat "$BATS_TEST_TMPDIR/before" >"$GATEWAY_HOME/config.json"
    assert_equal "$(wc -c <"$BATS_TEST_TMPDIR/fits") $fits $chunked" "4096 200 200"
    assert_error 413 INVALID_REQUEST
}
