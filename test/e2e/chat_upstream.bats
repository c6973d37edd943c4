# POST /v1/chat/completions when the model's server fails: whose fault it is decides the answer (contract 03 §1.10, §5.4).

load helper

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=50
    gateway_start '{"agents":{"defaults":{"run_timeout_sec":5}}}'
    provider plain ''
    clawgate provider set dead --type openai_compat --base-url http://127.0.0.1:9/v1 --api-key sk-dead --model m >/dev/null
    clawgate agent create dead --provider dead >/dev/null
}

teardown_file() {
    gateway_stop
}

# ask OPTIONS: one request whose upstream behaves so; sets $calls to how often it was asked.
ask() {
    say "$BATS_TEST_NUMBER $1 @upstream $1" goclaw:plain
    calls=$(upstream_requests | jq --arg text "@upstream $1" 'map(select(.body | contains($text))) | length')
}

last_error() {
    sse_json | tail -n 1
}

@test "refused credentials and unknown models are 409, asked once" {
    local status
    for status in 401 402 403 404; do
        ask "status=$status"
        assert_error 409 FAILED_PRECONDITION
        assert_equal "$(header X-Should-Retry)" false
        assert_equal "$calls" 1
    done
}

@test "overload and server errors are 503 after three attempts, never to be repeated by an SDK" {
    local status
    for status in 429 500 503 529; do
        ask "status=$status"
        assert_error 503 UNAVAILABLE
        assert_equal "$(header X-Should-Retry)" false
        assert_equal "$calls" 3
        [ -n "$(header X-GoClaw-Run-Id)" ]
    done
}

@test "a bad request of ours is 409, asked once" {
    ask "status=400,text=no%20such%20parameter"
    assert_error 409 FAILED_PRECONDITION
    assert_equal "$calls" 1
}

@test "the upstream's Retry-After is honoured and handed on when it is too long to wait for" {
    local after_ms=30000
    ask "status=429,retry_after=30"
    assert_error 503 UNAVAILABLE
    assert_equal "$calls" 1
    after_ms=60000
    ask "status=503,retry_after=3600"
    assert_error 503 UNAVAILABLE
}

@test "an upstream that recovers is not noticed by the client" {
    ask "status=503,times=2,text=recovered"
    assert_status 200
    assert_equal "$(answer)" recovered
    assert_equal "$calls" 3
    ask "cut=headers,times=1,text=back"
    assert_status 200
    assert_equal "$(answer)" back
}

@test "connection refused and answers that are no JSON are 503" {
    say x goclaw:dead
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" false
    local options
    for options in html=1,status=502 garbage=1 empty=1 cut=mid cut=reset; do
        ask "$options"
        assert_error 503 UNAVAILABLE
    done
}

@test "a web page with status 200 is a wrong base URL: 409" {
    ask "type=text/html,html=1"
    assert_error 409 FAILED_PRECONDITION
    assert_equal "$calls" 1
}

@test "an error inside a 200 answer is an error" {
    ask "inband=model%20exploded"
    assert_status 503
    assert_envelope 503 UNAVAILABLE
}

@test "a redirect is not followed" {
    ask "status=307,location=$UPSTREAM/v1/chat/completions"
    [ "$status_code" -ge 400 ]
    assert_equal "$calls" 1
}

@test "01 §3.3: 504 when the run's time is over, plain and streamed, and the trace says error" {
    local plain=$BATS_TEST_TMPDIR/plain
    curl -sS -m 20 -D "$plain.head" -o "$plain" -H "Authorization: Bearer $TOKEN" \
        -d "$(chat_body '@upstream stall=headers' goclaw:plain)" "$GATEWAY/v1/chat/completions" 3>&- &
    sse "$(stream_body '@upstream stall=mid' goclaw:plain)"
    wait
    body=$(last_error)
    assert_envelope 504 AGENT_TIMEOUT
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_data | tail -n 1)" "[DONE]"
    assert_equal "$(sql "SELECT status FROM traces WHERE run_id = '$(header X-GoClaw-Run-Id)'")" error
    headers=$(tr -d '\r' <"$plain.head") body=$(cat "$plain") status_code=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$plain.head")
    assert_error 504 AGENT_TIMEOUT
    assert_equal "$(header X-Should-Retry)" false
    assert_equal "$(sql "SELECT status || '|' || (duration_ms BETWEEN 4500 AND 7000) FROM traces
        WHERE run_id = '$(header X-GoClaw-Run-Id)'")" "error|1"
}

@test "the user's message is stored once when the run fails, nothing else" {
    extra=("X-GoClaw-Session-Key: failing")
    ask "status=401"
    assert_equal "$(sql "SELECT group_concat(role) FROM messages m JOIN sessions s ON s.id = m.session_id
        WHERE s.key = 'agent:plain:http:direct:failing'")" user
    assert_equal "$(sql "SELECT status || '|' || (error <> '') FROM traces WHERE run_id = '$(header X-GoClaw-Run-Id)'")" "error|1"
}

@test "neither the provider's key nor its raw answer is shown, logged or stored" {
    provider leaky "status=401,text=Incorrect%20key%20sk%2Dleaky%20given,%20or%20sk%2Dlive-abcdefghijklmnopqrstuvwxyz0123456789"
    say hi goclaw:leaky
    assert_error 409 FAILED_PRECONDITION
    refute grep -q 'sk-leaky\|sk-live-abcdefghijkl' <<<"$body"
    refute grep -aq 'sk-leaky\|sk-live-abcdefghijkl' "$LOG" "$DATABASE" "$DATABASE-wal"
    ask "status=500,text=$(printf 'x%.0s' {1..900})"
    [ "$(jq '.error.message | length' <<<"$body")" -le 600 ]
}

@test "the prompt that does not fit is the caller's error" {
    ask 'status=400,text=This%20model%27s%20maximum%20context%20length%20is%208192%20tokens.'
    assert_error 400 INVALID_REQUEST
}

@test "a refused max_tokens is asked for again with the limit the upstream names" {
    ask 'status=400,times=1,text=max_tokens%20is%20too%20large:%208192.%20This%20model%20supports%20at%20most%204096%20completion%20tokens.'
    assert_status 200
    assert_equal "$(upstream_last | jq .body.max_tokens)" 4096
}
