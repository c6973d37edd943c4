# Models behind TLS: certificates are checked, connections kept, broken ones replaced; and addresses that are refused.

load helper

KEY=sk-tls-secret-0123456789

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start
    tls_provider good "localhost:$UPSTREAM_TLS_PORT"
}

teardown_file() {
    local dir
    for dir in "$BATS_FILE_TMPDIR"/server-*; do server_stop "${dir##*-}"; done
    gateway_stop
}

# tls_provider NAME HOST:PORT: a provider with a key of its own and an agent of that name.
tls_provider() {
    clawgate provider set "$1" --type openai_compat --base-url "https://$2/v1" --api-key "$KEY" --model m >/dev/null
    clawgate agent create "$1" --provider "$1" >/dev/null
}

# server_start NAME [CERTIFICATES [PORT [ADDRESS]]]: one more upstream, with a CA of its own unless it is given
# certificates; sets $server_port (TLS) and $server, its plain address.
server_start() {
    local dir=$BATS_FILE_TMPDIR/server-$1 program=$BUILD/test/upstream/upstream
    local certificates=${2:-$dir} address=${4:-127.0.0.1}
    mkdir -p "$dir"
    rm -f "$dir/ports"
    [ -e "$certificates/cert.pem" ] || "$program" --make-cert "$certificates"
    "$program" --port 0 --tls-port "${3:-0}" --bind "$address" --cert "$certificates/cert.pem" --key "$certificates/key.pem" \
        --port-file "$dir/ports" >"$dir/out" 2>&1 3>&- &
    echo $! >"$dir/pid"
    disown
    wait_until 5 test -s "$dir/ports"
    server_port=$(jq .tls_port "$dir/ports")
    server=http://$address:$(jq .port "$dir/ports")
}

server_stop() {
    local file=$BATS_FILE_TMPDIR/server-$1/pid
    [ ! -s "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
    rm -f "$file"
}

# The provider's key is in no answer, no log and no trace.
assert_key_kept() {
    refute grep -F "$KEY" <<<"$body"
    refute grep -rF "$KEY" "$GATEWAY_HOME/log"
    assert_equal "$(sql "SELECT count(*) FROM traces WHERE error LIKE '%$KEY%'")" 0
}

@test "a certificate of a known authority: plain, streamed, in pieces, and the key arrives" {
    say hi goclaw:good
    assert_status 200
    assert_equal "$(answer)" "Hello from upstream."
    assert_equal "$(upstream_last | jq -r .headers.authorization)" "Bearer $KEY"
    sse "$(stream_body '@upstream tokens=5,split=1,emoji=1' goclaw:good)"
    assert_equal "$(sse_terminals) $(sse_data | tail -n 1)" "1 [DONE]"
    [[ $(sse_text) == *🚀* || $(sse_text) == *😀* ]]
    sse "$(stream_body '@upstream tokens=9,cut=reset' goclaw:good)"
    assert_equal "$(sse_terminals) $(sse_data | tail -n 1)" "1 [DONE]"
    say '@upstream big=900000' goclaw:good
    assert_status 200
    [ ${#body} -ge 900000 ]
}

@test "deltas over TLS come one by one" {
    local times text='@upstream tokens=6,pace=150'
    request_options
    mapfile -t times < <(curl -sS -N "${options[@]}" --data-binary "$(stream_body "$text" goclaw:good)" \
        "$GATEWAY/v1/chat/completions" | while IFS= read -r line; do case $line in data:*) now_ms ;; esac done)
    [ $((times[-1] - times[0])) -ge 700 ] || fail "the frames came together: ${times[*]}"
}

@test "an unknown authority: 503 that says so, nothing was sent, the key is kept" {
    server_start stranger
    tls_provider stranger "localhost:$server_port"
    say hi goclaw:stranger
    assert_error 503 UNAVAILABLE
    [[ $(jq -r .error.message <<<"$body") == *stranger*certificate* ]] || fail "no readable reason: $body"
    assert_equal "$(curl -fsS "$server/_stats" | jq .requests)" 0
    assert_key_kept
    sse "$(stream_body hi goclaw:stranger)"
    assert_equal "$(sse_terminals) $(sse_data | tail -n 1)" "1 [DONE]"
    body=$(sse_json | tail -n 1)
    assert_envelope 503 UNAVAILABLE
    assert_key_kept
}

@test "a certificate for another name is refused, and nothing was sent" {
    server_start elsewhere "$BATS_FILE_TMPDIR/upstream" 0 127.0.0.2
    tls_provider wrong-name "127.0.0.2:$server_port"
    say hi goclaw:wrong-name
    assert_error 503 UNAVAILABLE
    [[ $(jq -r .error.message <<<"$body") == *wrong-name*certificate* ]] || fail "no readable reason: $body"
    assert_equal "$(curl -fsS "$server/_stats" | jq .requests)" 0
    assert_key_kept
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
    server_start again "$BATS_FILE_TMPDIR/upstream"
    tls_provider again "localhost:$server_port"
    say hi goclaw:again
    assert_status 200
    server_stop again
    free() { ! (: <"/dev/tcp/127.0.0.1/$server_port") 2>/dev/null; }
    wait_until 3 free
    server_start again "$BATS_FILE_TMPDIR/upstream" "$server_port"
    say "hello again" goclaw:again
    assert_status 200
    assert_equal "$(curl -fsS "$server/_stats" | jq .requests)" 1
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
}

@test "a private address is for the master tenant only" {
    sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO tenants (id, name, slug, created_at, updated_at) VALUES
        ('0193a5b0-7000-7000-8000-00000000acce', 'Acme', 'acme', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')"
    local before host
    before=$(upstream_stat requests)
    extra=("X-GoClaw-Tenant-Id: acme")
    for host in 127.0.0.1 localhost 2130706433 '[::ffff:127.0.0.1]'; do
        clawgate provider set near --tenant acme --type openai_compat --base-url "http://$host:$UPSTREAM_PORT/v1" \
            --api-key "$KEY" --model m >/dev/null
        [ "$host" != 127.0.0.1 ] || clawgate agent create near --tenant acme --provider near >/dev/null
        say hi goclaw:near
        assert_error 409 FAILED_PRECONDITION
        assert_equal "$(header X-Should-Retry)" false
        [[ $(jq -r .error.message <<<"$body") == *private* ]] || fail "no readable reason: $body"
    done
    assert_equal "$(upstream_stat requests)" "$before"
    assert_key_kept
}

@test "link-local and metadata addresses are refused always: when saved and when called" {
    local host
    for host in 169.254.169.254 '[::ffff:169.254.169.254]' 2852039166 0xa9fea9fe metadata.google.internal \
        100.100.100.200 0.0.0.0; do
        run clawgate provider set far --type openai_compat --base-url "http://$host/v1" --api-key "$KEY" --model m
        assert_failure
        assert_output --partial "never allowed"
    done
    tls_provider far "localhost:$UPSTREAM_TLS_PORT"
    for host in 169.254.169.254 2852039166 metadata.google.internal; do
        sqlite3 "$DATABASE" '.timeout 5000' "UPDATE llm_providers SET api_base = 'http://$host/v1' WHERE name = 'far'"
        say hi goclaw:far
        assert_error 409 FAILED_PRECONDITION
        [[ $(jq -r .error.message <<<"$body") == *"never allowed"* ]] || fail "no readable reason: $body"
    done
    assert_key_kept
}

@test "a redirect is not followed" {
    say "@upstream status=302,location=http%3A%2F%2F169.254.169.254%2F" goclaw:good
    [[ $status_code == 409 || $status_code == 503 ]] || fail "$status_code $body"
    say "@upstream status=307,location=$(command jq -rn --arg u "$UPSTREAM/v1/chat/completions" '$u | @uri')" goclaw:good
    [[ $status_code == 409 || $status_code == 503 ]] || fail "$status_code $body"
    # It came over TLS only; the plain address it was sent to was not asked.
    assert_equal "$(upstream_requests | jq -c '[.[] | select(.body | contains("status=307")) | .headers.host] | unique')" \
        "[\"localhost:$UPSTREAM_TLS_PORT\"]"
}
