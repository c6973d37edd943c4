# The same binaries as plain CGI, one process a request, behind lighttpd's mod_cgi.

load helper

setup_file() {
    upstream_start
    home_make
    provider plain ''
    cgi_start
}

teardown_file() {
    [ -z "${CGI_PID:-}" ] || kill "$CGI_PID"
    unset CGI_PID
    gateway_stop
}

cgi_start() {
    local dir=$BATS_FILE_TMPDIR/cgi
    mkdir -p "$dir/empty"
    cat >"$dir/lighttpd.conf" <<CONF
server.modules = ( "mod_alias", "mod_cgi", "mod_setenv" )
server.port = $PORT
server.bind = "127.0.0.1"
server.document-root = "$dir/empty"
server.errorlog = "$dir/error.log"
server.upload-dirs = ( "$dir" )
server.http-parseopts = ( "url-normalize" => "disable" )
server.stream-response-body = 2
setenv.add-environment = ( "CLAWGATE_HOME" => "$GATEWAY_HOME", "SSL_CERT_FILE" => "$SSL_CERT_FILE" )
cgi.assign = ( "" => "" )
alias.url = ( "/v1/chat" => "$BUILD/cgi-bin/chat", "/v1/models" => "$BUILD/cgi-bin/chat", "/v1/runs" => "$BUILD/cgi-bin/chat",
              "/ready" => "$BUILD/cgi-bin/chat", "/v1/sessions" => "$BUILD/cgi-bin/sessions", "/health" => "$BUILD/cgi-bin/docs" )
CONF
    lighttpd -D -f "$dir/lighttpd.conf" >"$dir/out" 2>&1 3>&- &
    export CGI_PID=$!
    disown
    wait_until 5 is_ready || { cat "$dir/out" "$dir/error.log" >&2; return 1; }
}

@test "health, readiness, models" {
    api GET /health
    assert_status 200
    api GET /ready
    assert_status 200
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default","goclaw:plain"]'
}

@test "a completion is answered and stored" {
    say "/echo one process" goclaw:default
    assert_status 200
    assert_equal "$(answer)" "one process"
    api GET "/v1/sessions/$(header X-GoClaw-Session-Key)"
    assert_status 200
    jq_eq '.messageCount' 2
}

@test "an upstream is called, and a session carries its history" {
    extra=("X-GoClaw-Session-Key: s")
    say one goclaw:plain
    assert_equal "$(answer)" "Hello from upstream."
    say two goclaw:plain
    assert_equal "$(upstream_last | jq '[.body.messages[] | select(.role != "system")] | length')" 3
}

@test "a stream is a stream" {
    local seen=$BATS_TEST_TMPDIR/seen times
    request_options
    curl -sS -N "${options[@]}" --data-binary "$(stream_body '@upstream tokens=5,pace=200' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" | tee "$BATS_TEST_TMPDIR/stream" | while IFS= read -r line; do
        case $line in data:*) now_ms ;; esac
    done >"$seen"
    mapfile -t times <"$seen"
    [ $((times[-1] - times[0])) -ge 500 ] || fail "${times[*]}"
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/stream")" 1
    assert_equal "$(sse_data "$BATS_TEST_TMPDIR/stream" | tail -n 1)" "[DONE]"
}

@test "requests of one session take turns across processes" {
    local i
    extra=("X-GoClaw-Session-Key: turns")
    request_options
    for i in 1 2 3 4; do
        curl -sS -o "$BATS_TEST_TMPDIR/t$i" "${options[@]}" --data-binary "$(chat_body "turn $i @upstream delay=200" goclaw:plain)" \
            "$GATEWAY/v1/chat/completions" 3>&- &
    done
    wait
    assert_equal "$(grep -l '"finish_reason":"stop"' "$BATS_TEST_TMPDIR"/t[1-4] | wc -l)" 4
    assert_equal "$(sql "SELECT group_concat(role, '') FROM (SELECT substr(role, 1, 1) AS role FROM messages m JOIN sessions s
        ON s.id = m.session_id WHERE s.key = 'agent:plain:http:direct:turns' ORDER BY m.seq)")" uauauaua
    assert_equal "$(upstream_stat peak_open)" 1
}

@test "errors keep their envelope and headers" {
    bearer='' api GET /v1/sessions
    assert_error 401 UNAUTHORIZED
    api POST /v1/chat/completions '{'
    assert_error 400 INVALID_REQUEST
    assert_equal "$(header X-Should-Retry)" false
    api DELETE /v1/models
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "GET, HEAD, OPTIONS"
    say '@upstream status=401' goclaw:plain
    assert_error 409 FAILED_PRECONDITION
}

@test "an idempotency key holds across processes" {
    local first
    extra=("Idempotency-Key: cgi-1")
    say "once only" goclaw:plain
    first=$body
    say "once only" goclaw:plain
    assert_equal "$body" "$first"
    assert_equal "$(upstream_requests | grep -c 'once only')" 1
}

@test "nothing is left running between requests" {
    alone() { [ -z "$(gateway_processes)" ]; }
    wait_until 2 alone
}
