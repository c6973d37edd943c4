# TLS in two lines of settings, and what must not be started at all.

load helper

setup_file() {
    home_make
    make_cert "$GATEWAY_HOME/cert.pem" "$GATEWAY_HOME/key.pem"
    configure '.gateway += {tls_cert: "cert.pem", tls_key: "key.pem"}'
    export GATEWAY=https://localhost:$PORT CURL_CA_BUNDLE=$GATEWAY_HOME/cert.pem
    gateway_serve
}

teardown_file() {
    gateway_stop
}

make_cert() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$2" -out "$1" -days 2 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
    chmod 600 "$2"
}

configure() {
    jq "$1" "$GATEWAY_HOME/config.json" >"$GATEWAY_HOME/config.new"
    cat "$GATEWAY_HOME/config.new" >"$GATEWAY_HOME/config.json"
}

# refused SETTINGS MESSAGE: serve of a home with these settings ends at once and says why.
refused() {
    local home
    home=$(mktemp -d "$BATS_TEST_TMPDIR/home.XXXXXX")
    jq -n --argjson port "$(free_port)" "{gateway: {port: \$port, token: \"t\", host: \"127.0.0.1\"}} * $1" \
        >"$home/config.json"
    chmod 600 "$home/config.json"
    run timeout $((20 * SLOWER)) "$ROOT/tools/clawgate" serve --home "$home"
    assert_failure 1
    assert_output --partial "$2"
}

@test "01 §2.2: requests over TLS, with Strict-Transport-Security" {
    api GET /health
    assert_status 200
    assert_equal "$(header Strict-Transport-Security)" "max-age=31536000; includeSubDomains"
    say hi
    assert_status 200
    assert_equal "$(header Strict-Transport-Security)" "max-age=31536000; includeSubDomains"
    [ -n "$(answer)" ]
    api GET /v1/nothing
    assert_error 404 NOT_FOUND
    assert_equal "$(header Strict-Transport-Security)" "max-age=31536000; includeSubDomains"
}

@test "a stream over TLS begins at once and ends once" {
    local first
    sse "$(stream_body $'/slow 300\n/echo one two three')"
    assert_status 200
    assert_equal "$(sse_text)" "one two three"
    assert_equal "$(sse_terminals)" 1
    first=$(curl -sN -o /dev/null -w '%{time_starttransfer}' -H "Authorization: Bearer $TOKEN" \
        "$GATEWAY/v1/chat/completions" -d "$(stream_body $'/slow 1000\n/echo one two')")
    awk -v t="$first" -v s="$SLOWER" 'BEGIN { exit !(t < 0.9 * s) }'
}

@test "01 §2.5: a body without a length is taken" {
    extra=('Transfer-Encoding: chunked')
    say hi
    assert_status 200
}

@test "plain HTTP gets nothing from the TLS port, old protocols neither" {
    run curl -sS -m 5 "http://localhost:$PORT/health"
    assert_failure
    run curl -sS -m 5 --tls-max 1.1 "$GATEWAY/health"
    assert_failure
    run curl -sS -m 5 --tlsv1.2 --tls-max 1.2 -o /dev/null -w '%{http_code}' "$GATEWAY/health"
    assert_output 200
    run curl -sS -m 5 --tlsv1.3 -o /dev/null -w '%{http_code} %{http_version}' "$GATEWAY/health"
    assert_output "200 1.1"
}

@test "the command-line tools find the gateway" {
    run clawgate status
    assert_success
    assert_output --partial "https://127.0.0.1:$PORT"
    assert_line ready
    run clawgate api GET /health
    assert_output '{"status":"ok"}'
    grep -q "listens on https://" "$GATEWAY_HOME/serve.out"
}

serial() {
    openssl s_client -connect "127.0.0.1:$PORT" </dev/null 2>/dev/null | openssl x509 -noout -serial
}

@test "reload takes a renewed certificate; whoever is being served stays" {
    local old new stream errors
    old=$(serial)
    # Longer than lighttpd waits by itself before it cuts the streams of a graceful end.
    curl -sN -H "Authorization: Bearer $TOKEN" "$GATEWAY/v1/chat/completions" \
        -d "$(stream_body $'/slow 4000\n/echo one two three four')" >"$BATS_TEST_TMPDIR/stream" 3>&- &
    stream=$!
    sleep 0.5
    clawgate reload
    sleep 0.5
    assert_equal "$(serial)" "$old"
    # Requests one after the other, each on a connection of its own.
    (while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
        curl -sk -m 10 -o /dev/null -w '%{http_code}\n' "$GATEWAY/health"
    done >"$BATS_TEST_TMPDIR/codes") 3>&- &
    errors=$!
    make_cert "$BATS_TEST_TMPDIR/cert.pem" "$BATS_TEST_TMPDIR/key.pem"
    mv "$BATS_TEST_TMPDIR/key.pem" "$GATEWAY_HOME/key.pem"
    mv "$BATS_TEST_TMPDIR/cert.pem" "$GATEWAY_HOME/cert.pem"
    clawgate reload
    renewed() { new=$(serial) && [ -n "$new" ] && [ "$new" != "$old" ]; }
    wait_until 5 renewed
    say hi
    assert_status 200
    wait $stream
    grep -q '^data: \[DONE\]' "$BATS_TEST_TMPDIR/stream" || fail "the stream was cut: $(cat "$BATS_TEST_TMPDIR/stream")"
    one_front() { [ "$(pgrep -c -P "$(cat "$GATEWAY_HOME/serve.lock")" -x lighttpd)" = 1 ]; }
    wait_until 10 one_front
    touch "$BATS_TEST_TMPDIR/enough"
    wait $errors
    assert_equal "$(sort -u "$BATS_TEST_TMPDIR/codes")" 200
}

@test "reload with a certificate that cannot be used keeps the old one" {
    local old
    old=$(serial)
    cp "$GATEWAY_HOME/cert.pem" "$BATS_TEST_TMPDIR/good.pem"
    echo nonsense >"$GATEWAY_HOME/cert.pem"
    clawgate reload
    kept() { grep -q '"event":"serve.certificate_kept"' "$LOG"; }
    wait_until 5 kept
    assert_equal "$(serial)" "$old"
    cat "$BATS_TEST_TMPDIR/good.pem" >"$GATEWAY_HOME/cert.pem"
    clawgate reload
    say hi
    assert_status 200
}

@test "certificate and key in one file, named by the environment" {
    clawgate stop >/dev/null
    configure '.gateway |= del(.tls_cert, .tls_key)'
    cat "$GATEWAY_HOME/cert.pem" "$GATEWAY_HOME/key.pem" >"$GATEWAY_HOME/both.pem"
    export GOCLAW_TLS_CERT=$GATEWAY_HOME/both.pem
    gateway_serve
    api GET /health
    assert_status 200
    unset GOCLAW_TLS_CERT
    # without it plain HTTP, and no Strict-Transport-Security
    clawgate stop >/dev/null
    GATEWAY=http://127.0.0.1:$PORT gateway_serve
    base=http://127.0.0.1:$PORT api GET /health
    assert_status 200
    assert_equal "$(header Strict-Transport-Security)" ""
}

@test "certificates that cannot be used stop the start" {
    local d=$BATS_TEST_TMPDIR
    make_cert "$d/cert.pem" "$d/key.pem"
    make_cert "$d/other.pem" "$d/other-key.pem"
    echo nonsense >"$d/nonsense.pem"
    refused "{gateway: {tls_cert: \"$d/missing.pem\", tls_key: \"$d/key.pem\"}}" "gateway.tls_cert: $d/missing.pem: No such"
    refused "{gateway: {tls_cert: \"$d/cert.pem\", tls_key: \"$d/missing.pem\"}}" "gateway.tls_key: $d/missing.pem: No such"
    refused "{gateway: {tls_key: \"$d/key.pem\"}}" "gateway.tls_key is set, but gateway.tls_cert is not"
    refused "{gateway: {tls_cert: \"$d/cert.pem\"}}" "lighttpd cannot serve TLS"
    refused "{gateway: {tls_cert: \"$d/cert.pem\", tls_key: \"$d/other-key.pem\"}}" "lighttpd cannot serve TLS"
    refused "{gateway: {tls_cert: \"$d/nonsense.pem\", tls_key: \"$d/key.pem\"}}" "lighttpd cannot serve TLS"
    refused "{gateway: {tls_cert: 7}}" "gateway.tls_cert: must be a text"
}

@test "01 §1.5: an empty token on an address that is not loopback stops the start" {
    local host
    for host in 0.0.0.0 192.0.2.1 :: example.test 128.0.0.1; do
        refused "{gateway: {token: \"\", host: \"$host\"}}" "gateway.token is empty and $host is not a loopback address"
    done
    GOCLAW_ALLOW_INSECURE_NO_AUTH=0 refused '{gateway: {token: "", host: "0.0.0.0"}}' "gateway.token is empty"
    GOCLAW_ALLOW_INSECURE_NO_AUTH=perhaps refused '{gateway: {token: "", host: "0.0.0.0"}}' \
        "GOCLAW_ALLOW_INSECURE_NO_AUTH: must be true or false"
}

# open_home HOST: serves a home without a token and asks it, without credentials.
open_home() {
    local home port pid code=000
    home=$(mktemp -d "$BATS_TEST_TMPDIR/home.XXXXXX")
    port=$(free_port)
    jq -n --argjson port "$port" --arg host "$1" '{gateway: {port: $port, token: "", host: $host}}' >"$home/config.json"
    chmod 600 "$home/config.json"
    "$ROOT/tools/clawgate" init --home "$home" >/dev/null
    jq '.gateway.token = ""' "$home/config.json" >"$home/new" && cat "$home/new" >"$home/config.json"
    "$ROOT/tools/clawgate" serve --home "$home" >"$home/out" 2>&1 3>&- &
    pid=$!
    wait_until 15 curl -fs -o /dev/null "http://127.0.0.1:$port/ready" || cat "$home/out"
    code=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/v1/models")
    kill "$pid"
    wait "$pid" || true
    echo "$code"
}

@test "01 §1.5: an empty token is meant: loopback, or GOCLAW_ALLOW_INSECURE_NO_AUTH" {
    assert_equal "$(open_home 127.0.0.1)" 200
    assert_equal "$(GOCLAW_ALLOW_INSECURE_NO_AUTH=yes open_home 0.0.0.0)" 200
}
