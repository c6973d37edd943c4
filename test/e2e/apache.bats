# The programs behind Apache, by tools/examples/apache.conf: the core of what lighttpd gives must hold there too.

load helper
load front
load apache

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start
    provider plain ''
    apache_start
}

teardown_file() {
    apache_stop
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

# The example with this test's address and sockets, without TLS.
apache_start() {
    local port
    port=$(free_port)
    APACHE_DIR=$(mktemp -d /tmp/apache.XXXXXX)
    export APACHE_DIR base=http://127.0.0.1:$port
    sockets_for_workers
    apache_serve "$APACHE_DIR" "$port" mpm_event authz_core env proxy proxy_fcgi < <(
        sed -e "s|\*:443|127.0.0.1:$port|" -e '/SSL/d' -e "s|/var/lib/clawgate/run|$APACHE_DIR|" \
            -e "s|\${APACHE_LOG_DIR}|$APACHE_DIR|" "$ROOT/tools/examples/apache.conf"
    )
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
    front_completes Apache
}

@test "a stream comes at once, piece by piece, and ends once" {
    front_streams
}

@test "sessions carry their history, and encoded keys stay as they are" {
    front_remembers
}

@test "errors are the programs' own" {
    front_errors
}

@test "records are made, changed and deleted; a request without a length is told its length" {
    front_changes_records
    extra=("Transfer-Encoding: chunked")
    say "/echo without a length"
    assert_equal "$(answer)" "without a length"
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
    front_takes_bodies
}

@test "no query string reaches a log" {
    front_logs_no_query query-secret-2 "$APACHE_DIR"
}

@test "the example sends every route to the program that describes it" {
    "$ROOT/tools/routes" "$BUILD" "$ROOT/tools/examples/apache.conf"
}
