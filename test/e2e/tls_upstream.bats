# Model servers over TLS: certificates are checked, connections kept, broken ones replaced.

load helper

setup_file() {
    upstream_start
    gateway_start
    tls_provider good localhost
    tls_provider wrong-name 127.0.0.2
    export SSL_CERT_FILE=$BATS_FILE_TMPDIR/upstream/ca.pem
}

teardown_file() {
    gateway_stop
}

tls_provider() {
    clawgate provider set "$1" --type openai_compat --base-url "https://$2:$UPSTREAM_TLS_PORT/v1" --api-key sk-tls --model m >/dev/null
    clawgate agent create "$1" --provider "$1" >/dev/null
}

@test "a certificate of a known authority is accepted" {
    say hi goclaw:good
    assert_status 200
    assert_equal "$(answer)" "Hello from upstream."
    sse "$(stream_body '@upstream tokens=5,split=1' goclaw:good)"
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_text)" "tok1 tok2 tok3 tok4 tok5 "
}

@test "a certificate for another name is refused, and nothing was sent" {
    local before
    before=$(upstream_stat requests)
    say hi goclaw:wrong-name
    assert_error 503 UNAVAILABLE
    assert_equal "$(upstream_stat requests)" "$before"
}

@test "connections are used again" {
    local before i
    say hi goclaw:good
    before=$(upstream_stat connections_accepted)
    for i in {1..10}; do say "again $i" goclaw:good; done
    # The two questions about the counter make one each.
    [ $(($(upstream_stat connections_accepted) - before)) -le 2 ]
}

@test "a kept connection that the upstream closed meanwhile is not noticed" {
    say hi goclaw:good
    local dir=$BATS_FILE_TMPDIR/upstream pid
    pid=$(pgrep -f -- "--port-file $dir/ports")
    kill "$pid"
    "$BUILD/test/upstream/upstream" --port "$UPSTREAM_PORT" --tls-port "$UPSTREAM_TLS_PORT" --cert "$dir/cert.pem" \
        --key "$dir/key.pem" --port-file "$dir/ports2" >"$dir/out2" 2>&1 3>&- &
    disown
    wait_until 5 test -s "$dir/ports2"
    say "hello again" goclaw:good
    assert_status 200
    pgrep -f -- "--port-file $dir/ports2" >"$dir/pid"
}

@test "twenty streams over TLS at a time are whole" {
    local i quoted
    quoted=$(stream_body '@upstream tokens=5,pace=50' goclaw:good | jq -Rs .)
    for i in {1..20}; do
        printf 'url = "%s/v1/chat/completions"\noutput = "%s/s%s"\nheader = "Authorization: Bearer %s"\ndata-binary = %s\n' \
            "$GATEWAY" "$BATS_TEST_TMPDIR" "$i" "$TOKEN" "$quoted"
        [ "$i" = 20 ] || echo next
    done >"$BATS_TEST_TMPDIR/config"
    curl -sS -Z --parallel-immediate --parallel-max 20 -K "$BATS_TEST_TMPDIR/config"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s* | grep -c '"finish_reason":"stop"')" 20
    kill "$(cat "$BATS_FILE_TMPDIR/upstream/pid")"
}
