# The programs behind Apache, by tools/examples/apache.conf: the core of what lighttpd gives must hold there too.

load helper

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start
    provider plain ''
    apache_start
}

teardown_file() {
    [ -z "${APACHE_PID:-}" ] || kill "$APACHE_PID" || true
    gateway_stop
    rm -rf "${APACHE_DIR:-}"
}

# Apache's workers never run as root. As root in this test, they get the sockets under second names in a place that
# everybody may enter.
sockets_for_workers() {
    local socket
    chmod 755 "$APACHE_DIR"
    for socket in "$GATEWAY_HOME"/run/*.sock; do
        ln "$socket" "$APACHE_DIR/"
        chmod 666 "$socket"
    done
}

# The example with this test's address and sockets, without TLS, in the smallest httpd.conf that can run it.
apache_start() {
    local port module modules=/usr/lib/apache2/modules
    port=$(free_port)
    APACHE_DIR=$(mktemp -d /tmp/apache.XXXXXX)
    export APACHE_DIR APACHE_PID base=http://127.0.0.1:$port
    sockets_for_workers
    sed -e "s|\*:443|127.0.0.1:$port|" -e '/SSL/d' -e "s|/var/lib/clawgate/run|$APACHE_DIR|" \
        -e "s|\${APACHE_LOG_DIR}|$APACHE_DIR|" "$ROOT/tools/examples/apache.conf" >"$APACHE_DIR/clawgate.conf"
    {
        for module in mpm_event authz_core env proxy proxy_fcgi; do
            echo "LoadModule ${module}_module $modules/mod_$module.so"
        done
        cat <<CONF
ServerRoot $APACHE_DIR
ServerName gateway.example.org
PidFile $APACHE_DIR/pid
ErrorLog $APACHE_DIR/error.log
Listen 127.0.0.1:$port
User nobody
Group nogroup
Include $APACHE_DIR/clawgate.conf
CONF
    } >"$APACHE_DIR/httpd.conf"
    apache2 -f "$APACHE_DIR/httpd.conf" -D FOREGROUND >"$APACHE_DIR/out" 2>&1 3>&- &
    APACHE_PID=$!
    disown
    behind_apache() { curl -fs -o /dev/null "$base/ready"; }
    wait_until 5 behind_apache || {
        cat "$APACHE_DIR/out" "$APACHE_DIR/error.log" >&2
        return 1
    }
}

@test "every program answers, again and again" {
    local path
    # Apache sends the end of an empty body by itself: a program that is faster must not have closed its socket.
    for path in /health /ready /v1/models /v1/runs /v1/sessions /v1/agents /v1/providers /v1/mcp/servers /v1/api-keys \
        /v1/activity; do
        run -0 curl -s -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $TOKEN" "$base$path?n=[1-20]"
        assert_equal "$(sort -u <<<"$output")" 200
    done
    refute grep -q 'proxy_fcgi:error' "$APACHE_DIR/error.log"
}

@test "a completion and its headers" {
    say "/echo through Apache"
    assert_status 200
    assert_equal "$(answer)" "through Apache"
    say "hello" goclaw:plain
    assert_equal "$(answer)" "Hello from upstream."
    jq_eq '.id' "\"chatcmpl-$(header X-GoClaw-Run-Id | tr -d -)\""
    assert_equal "$(header X-Content-Type-Options)" nosniff
    assert_equal "$(header Server | cut -d/ -f1)" Apache
}

@test "a stream comes at once, piece by piece, and ends once" {
    local times
    mapfile -t times < <(frame_times "$(stream_body '@upstream delay=1500,tokens=6,pace=150' goclaw:plain)")
    [ "${times[0]}" -lt $((1000 * SLOWER)) ] || fail "the first frame waited for the model: ${times[*]}"
    [ $((times[-1] - times[1])) -ge 600 ] || fail "the frames came together: ${times[*]}"
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/stream")" 1
    assert_equal "$(sse_data "$BATS_TEST_TMPDIR/stream" | tail -n 1)" "[DONE]"
}

@test "sessions carry their history, and encoded keys stay as they are" {
    extra=("X-GoClaw-Session-Key: a/b c")
    say one goclaw:plain
    say two goclaw:plain
    assert_equal "$(upstream_last | jq '[.body.messages[] | select(.role != "system")] | length')" 3
    extra=()
    api GET /v1/sessions/agent:plain:http:direct:a%2Fb%20c
    assert_status 200
    jq_eq '.messageCount' 4
}

@test "errors are the programs' own" {
    bearer='' api GET /v1/models
    assert_error 401 UNAUTHORIZED
    api GET /v1/nothing
    assert_error 404 NOT_FOUND
    api GET /v1//models
    assert_error 404 NOT_FOUND
    api DELETE /v1/chat/completions
    assert_error 405 INVALID_REQUEST
    say x goclaw:nobody
    assert_error 404 NOT_FOUND model
    say '@upstream status=500' goclaw:plain
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" false
}

@test "records are made, changed and deleted; a request without a length is told its length" {
    extra=("X-GoClaw-User-Id: alice" "Transfer-Encoding: chunked")
    api POST /v1/agents '{"agent_key": "behind-apache"}'
    assert_status 201
    local id
    id=$(jq -r .id <<<"$body")
    extra=("X-GoClaw-User-Id: alice")
    api PUT "/v1/agents/$id" '{"display_name": "Behind Apache"}'
    assert_status 200
    api DELETE "/v1/agents/$id"
    assert_status 200
    api GET "/v1/agents/$id"
    assert_error 404 NOT_FOUND id
}

@test "a header with underscores is never taken for the one with dashes" {
    extra=("X-GoClaw-User-Id: bob" "X_GoClaw_User_Id: mallory")
    say hi
    assert_equal "$(sql "SELECT count(*) FROM sessions WHERE user_id = 'mallory'")" 0
}

@test "a client that leaves a stream takes its run along" {
    request_options
    curl -sS -N -m 1 -o /dev/null "${options[@]}" --data-binary \
        "$(stream_body 'gone-1 @upstream endless=1,pace=50' goclaw:plain)" "$base/v1/chat/completions" 2>/dev/null || true
    cancelled() { [ "$(sql "SELECT status FROM traces WHERE input_preview LIKE 'gone-%'")" = cancelled ]; }
    wait_until 5 cancelled || fail "$(sql "SELECT status FROM traces WHERE input_preview LIKE 'gone-%'")"
}

@test "bodies of several megabytes pass, those above the limit are 413 in the envelope" {
    {
        printf '{"messages":[{"role":"user","content":"/echo big"}],"pad":"'
        head -c 5000000 /dev/zero | tr '\0' a
        printf '"}'
    } >"$BATS_TEST_TMPDIR/big"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/big"
    assert_status 200
    head -c 10485761 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/big"
    assert_error 413 INVALID_REQUEST
}

@test "no query string reaches a log" {
    api GET "/v1/sessions?token=query-secret-2"
    refute grep -rq query-secret-2 "$APACHE_DIR" "$GATEWAY_HOME/log"
}

@test "the example sends every route to the program that describes it" {
    "$ROOT/tools/routes" "$BUILD" "$ROOT/tools/examples/apache.conf"
}
