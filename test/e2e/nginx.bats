# The programs behind nginx, by tools/examples/nginx.conf: the core of what lighttpd gives must hold there too.

load helper
load front

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start
    provider plain ''
    nginx_start
}

teardown_file() {
    [ -z "${NGINX_PID:-}" ] || kill "$NGINX_PID" || true
    gateway_stop
}

# example PORT: tools/examples/nginx.conf with this test's address and home, without TLS.
example() {
    sed -e "s|listen 443 ssl http2;|listen 127.0.0.1:$1;|" -e '/ssl_certificate/d' \
        -e "s|/var/lib/clawgate|$GATEWAY_HOME|" \
        -e "s|/var/log/nginx/clawgate.log|$NGINX_DIR/access.log|" "$ROOT/tools/examples/nginx.conf"
}

# The example in the smallest nginx.conf that can run it, and once more for headers with underscores, which nginx
# drops unless it is told not to.
nginx_start() {
    local port lenient
    port=$(free_port)
    lenient=$(free_port)
    export NGINX_DIR=$BATS_FILE_TMPDIR/nginx NGINX_PID
    export base=http://127.0.0.1:$port LENIENT=http://127.0.0.1:$lenient
    mkdir -p "$NGINX_DIR"
    cp /etc/nginx/fastcgi_params "$NGINX_DIR/"
    example "$port" >"$NGINX_DIR/clawgate.conf"
    example "$lenient" |
        sed -e '/^log_format/d' -e 's/^server {/&\n    underscores_in_headers on;/' >"$NGINX_DIR/lenient.conf"
    cat >"$NGINX_DIR/nginx.conf" <<CONF
daemon off;
master_process off;
pid $NGINX_DIR/pid;
error_log $NGINX_DIR/error.log;
events { worker_connections 1024; }
http {
    client_body_temp_path $NGINX_DIR/body;
    proxy_temp_path $NGINX_DIR/proxy;
    fastcgi_temp_path $NGINX_DIR/fastcgi;
    uwsgi_temp_path $NGINX_DIR/uwsgi;
    scgi_temp_path $NGINX_DIR/scgi;
    include $NGINX_DIR/clawgate.conf;
    include $NGINX_DIR/lenient.conf;
}
CONF
    nginx -c "$NGINX_DIR/nginx.conf" >"$NGINX_DIR/out" 2>&1 3>&- &
    NGINX_PID=$!
    disown
    behind_nginx() { curl -fs -o /dev/null "$base/ready" && curl -fs -o /dev/null "$LENIENT/ready"; }
    wait_until 5 behind_nginx || {
        cat "$NGINX_DIR/out" "$NGINX_DIR/error.log" >&2
        return 1
    }
}

@test "health, readiness, models and sessions come from their programs" {
    api GET /health
    assert_status 200
    api GET /ready
    assert_status 200
    api GET /v1/models
    jq_eq '[.data[].id]' '["goclaw:default","goclaw:plain"]'
    api GET '/v1/sessions?limit=1'
    jq_eq '.sessions | type' '"array"'
}

@test "a completion and its headers" {
    front_completes nginx
}

@test "a stream comes at once, piece by piece, and ends once" {
    front_streams
    sse "$(stream_body '@upstream tokens=9,cut=reset' goclaw:plain)"
    assert_equal "$(sse_terminals) $(sse_data | tail -n 1)" "1 [DONE]"
    assert_equal "$(header X-Accel-Buffering)" ""
}

@test "sessions carry their history, and encoded keys stay as they are" {
    front_remembers
}

@test "errors are the programs' own" {
    front_errors
    api GET /v1/models/%2e%2e
    assert_status 400
}

@test "a user header without a value is refused, not taken for nobody" {
    extra=("X-GoClaw-User-Id;")
    say hi
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    api GET /v1/models
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
}

@test "two headers that become one are refused; without nginx's leave the one with underscores is never seen" {
    extra=("X-GoClaw-User-Id: bob" "X_GoClaw_User_Id: mallory")
    base=$LENIENT say hi
    assert_error 400 INVALID_REQUEST -
    base=$LENIENT api GET /v1/sessions
    assert_error 400 INVALID_REQUEST -
    say hi
    assert_status 200
    [[ $(header X-GoClaw-Session-Key) == agent:default:http-bob-* ]]
    assert_equal "$(sql "SELECT count(*) FROM sessions WHERE user_id = 'mallory'")" 0
}

@test "a client that leaves takes its run along, streamed, silent or plain" {
    request_options
    local text
    for text in 'gone-1 @upstream endless=1,pace=50' 'gone-2 @upstream stall=headers'; do
        curl -sS -N -m 1 -o /dev/null "${options[@]}" --data-binary "$(stream_body "$text" goclaw:plain)" \
            "$base/v1/chat/completions" 2>/dev/null || true
    done
    curl -sS -m 1 -o /dev/null "${options[@]}" --data-binary "$(chat_body 'gone-3 @upstream stall=headers' goclaw:plain)" \
        "$base/v1/chat/completions" 2>/dev/null || true
    ends() { sql "SELECT group_concat(status) FROM traces WHERE input_preview LIKE 'gone-%'"; }
    cancelled() { [ "$(ends)" = cancelled,cancelled,cancelled ]; }
    wait_until 2 cancelled || fail "$(ends)"
}

@test "bodies of several megabytes pass, those above the limit are 413 in the envelope" {
    front_takes_bodies
}

@test "fifty streams at a time are whole" {
    local i quoted
    quoted=$(stream_body '@upstream tokens=5,pace=50' goclaw:plain | jq -Rs .)
    for i in {1..50}; do
        printf 'url = "%s/v1/chat/completions"\noutput = "%s/s%s"\nheader = "Authorization: Bearer %s"\ndata-binary = %s\n' \
            "$base" "$BATS_TEST_TMPDIR" "$i" "$TOKEN" "$quoted"
        [ "$i" = 50 ] || echo next
    done >"$BATS_TEST_TMPDIR/config"
    curl -sS -Z --parallel-immediate --parallel-max 50 -K "$BATS_TEST_TMPDIR/config"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s{1..50} | grep -c '"finish_reason":"stop"')" 50
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s{1..50} | grep -cx 'data: \[DONE\]')" 50
}

@test "no query string reaches a log" {
    front_logs_no_query query-secret-1 "$NGINX_DIR"
}

@test "the example sends every route to the program that describes it" {
    "$ROOT/tools/routes" "$BUILD" "$ROOT/tools/examples/nginx.conf"
}
