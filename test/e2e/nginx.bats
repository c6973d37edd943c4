# The programs behind nginx, by tools/examples/nginx.conf: the core of what lighttpd gives must hold there too.

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain ''
    nginx_start
}

teardown_file() {
    [ -z "${NGINX_PID:-}" ] || kill "$NGINX_PID"
    gateway_stop
}

# The example with this test's address, home and no TLS, inside the smallest nginx.conf that can run it.
nginx_start() {
    local dir=$BATS_FILE_TMPDIR/nginx port
    port=$(free_port)
    export base=http://127.0.0.1:$port NGINX_DIR=$dir NGINX_PID
    mkdir -p "$dir"
    cp /etc/nginx/fastcgi_params "$dir/"
    sed -e "s|listen 443 ssl http2;|listen 127.0.0.1:$port;|" -e '/ssl_certificate/d' -e "s|/var/lib/clawgate|$GATEWAY_HOME|" \
        -e "s|/var/log/nginx/clawgate.log|$dir/access.log|" "$ROOT/tools/examples/nginx.conf" >"$dir/clawgate.conf"
    cat >"$dir/nginx.conf" <<CONF
daemon off;
master_process off;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 1024; }
http {
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    include $dir/clawgate.conf;
}
CONF
    nginx -c "$dir/nginx.conf" >"$dir/out" 2>&1 3>&- &
    NGINX_PID=$!
    disown
    behind_nginx() { curl -fs -o /dev/null "$base/ready"; }
    wait_until 5 behind_nginx || { cat "$dir/out" "$dir/error.log" >&2; return 1; }
}

@test "a completion and its headers" {
    say "/echo through nginx"
    assert_status 200
    assert_equal "$(answer)" "through nginx"
    [ -n "$(header X-GoClaw-Run-Id)" ]
    assert_equal "$(header X-Content-Type-Options)" nosniff
    assert_equal "$(header Server | cut -d/ -f1)" nginx
}

@test "a stream comes at once, piece by piece, and ends once" {
    local seen=$BATS_TEST_TMPDIR/seen times
    request_options
    curl -sS -N "${options[@]}" --data-binary "$(stream_body '@upstream tokens=6,pace=200' goclaw:plain)" \
        "$base/v1/chat/completions" | tee "$BATS_TEST_TMPDIR/stream" | while IFS= read -r line; do
        case $line in data:*) now_ms ;; esac
    done >"$seen"
    mapfile -t times <"$seen"
    [ $((times[-1] - times[0])) -ge 800 ] || fail "${times[*]}"
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
    api GET /v1/models/%2e%2e
    assert_status 400
}

@test "a user header without a value is refused, not taken for nobody" {
    extra=("X-GoClaw-User-Id;")
    say hi
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
}

@test "a client that leaves takes its run along" {
    request_options
    curl -sS -N -m 1 -o /dev/null "${options[@]}" --data-binary "$(stream_body 'gone @upstream endless=1,pace=50' goclaw:plain)" \
        "$base/v1/chat/completions" 2>/dev/null || true
    cancelled() { [ "$(sql "SELECT status FROM traces WHERE input_preview LIKE 'gone%'")" = cancelled ]; }
    wait_until 2 cancelled
}

@test "bodies of several megabytes pass, those above the limit are 413 in the envelope" {
    { printf '{"messages":[{"role":"user","content":"/echo big"}],"pad":"'; head -c 5000000 /dev/zero | tr '\0' a; printf '"}'; } >"$BATS_TEST_TMPDIR/big"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/big"
    assert_status 200
    head -c 10485761 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/big"
    assert_error 413 INVALID_REQUEST
}

@test "no query string reaches a log" {
    api GET "/v1/sessions?token=query-secret-1"
    refute grep -rq query-secret-1 "$NGINX_DIR" "$GATEWAY_HOME/log"
}

@test "the example sends every route to the program that describes it" {
    "$ROOT/tools/routes" "$BUILD" "$ROOT/tools/examples/nginx.conf"
}
