# One run for one request, however often it is sent (contract 03 §1.10, 01 §12.18).

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain ''
    export KEY
    KEY=$(clawgate key create --name k --scopes write --owner system)
}

teardown_file() {
    gateway_stop
}

asked() {
    upstream_requests | jq --arg text "$1" 'map(select(.body | contains($text))) | length'
}

is_asked() {
    [ "$(asked "$1")" -ge 1 ]
}

sessions() {
    sql 'SELECT count(*) FROM sessions'
}

# age SECONDS: what is kept seems to have been answered so long ago.
age() {
    sqlite3 -cmd '.timeout 5000' "$DATABASE" \
        "UPDATE kept_answers SET created_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-$1 seconds')"
}

# start BODY: a request in the background whose answer nobody reads.
start() {
    local options
    request_options
    curl -sS -o /dev/null -m 20 "${options[@]}" --data-binary "$1" "$GATEWAY/v1/chat/completions" 3>&- &
}

@test "01 §12.18: the same key and body give the kept answer, byte for byte, and no second run" {
    local ask first before
    ask=$(chat_body 'idem-1' goclaw:plain)
    extra=("Idempotency-Key: key-1")
    api POST /v1/chat/completions "$ask"
    assert_status 200
    first=$body before=$(sessions)
    local names
    names="$(header X-GoClaw-Run-Id) $(header X-GoClaw-Session-Key) $(header X-GoClaw-Agent-Id)"
    api POST /v1/chat/completions "$ask"
    assert_status 200
    assert_equal "$body" "$first"
    assert_equal "$(header X-GoClaw-Run-Id) $(header X-GoClaw-Session-Key) $(header X-GoClaw-Agent-Id)" "$names"
    assert_equal "$(header Content-Type)" application/json
    assert_equal "$(asked idem-1)" 1
    assert_equal "$(sessions)" "$before"
}

@test "01 §12.18: the same key with another body is 409 ALREADY_EXISTS" {
    extra=("Idempotency-Key: key-2")
    say 'idem-2' goclaw:plain
    say 'idem-2b' goclaw:plain
    assert_error 409 ALREADY_EXISTS Idempotency-Key
    assert_equal "$(header X-Should-Retry)" false
    assert_equal "$(asked idem-2b)" 0
}

@test "01 §12.18: a key belongs to its caller: another credential or user does not find it" {
    local ask
    ask=$(chat_body '/echo idem-3')
    extra=("Idempotency-Key: key-3")
    api POST /v1/chat/completions "$ask"
    local first=$body
    bearer=$KEY
    api POST /v1/chat/completions "$ask"
    assert_status 200
    [ "$(jq .id <<<"$body")" != "$(jq .id <<<"$first")" ]
    unset bearer
    extra+=("X-GoClaw-User-Id: somebody")
    api POST /v1/chat/completions "$ask"
    assert_status 200
    [ "$(jq .id <<<"$body")" != "$(jq .id <<<"$first")" ]
}

@test "01 §12.18: while the first is in progress the second is told to wait, and finds the answer later" {
    local ask
    ask=$(chat_body 'idem-4 @upstream delay=1000' goclaw:plain)
    extra=("Idempotency-Key: key-4")
    start "$ask"
    wait_until 3 is_asked idem-4
    api POST /v1/chat/completions "$ask"
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" ""
    wait
    api POST /v1/chat/completions "$ask"
    assert_status 200
    assert_equal "$(asked idem-4)" 1
}

@test "twenty at once with one key make one run" {
    local ask i codes options
    ask=$(chat_body 'idem-5 @upstream delay=300' goclaw:plain)
    extra=("Idempotency-Key: key-5")
    request_options
    for i in {1..20}; do
        curl -sS -o /dev/null -m 20 -w '%{http_code}\n' "${options[@]}" --data-binary "$ask" \
            "$GATEWAY/v1/chat/completions" >"$BATS_TEST_TMPDIR/c$i" 3>&- &
    done
    wait
    assert_equal "$(asked idem-5)" 1
    codes=$(cat "$BATS_TEST_TMPDIR"/c* | sort -u | tr '\n' ' ')
    [ "$codes" = "200 503 " ] || [ "$codes" = "200 " ] || fail "$codes"
}

@test "a kept answer is replayed as a stream, and a kept stream as an answer" {
    extra=("Idempotency-Key: key-6")
    sse "$(stream_body 'idem-6 @upstream usage=11:7:3' goclaw:plain)"
    local text id last
    text=$(sse_text) id=$(sse_json | jq -s '.[0].id') last=$(sse_json | tail -n 1)
    jq_eq .usage.prompt_tokens_details.cached_tokens 3 "$last"
    sse "$(stream_body 'idem-6 @upstream usage=11:7:3' goclaw:plain)"
    assert_status 200
    assert_equal "$(sse_text)" "$text"
    jq_eq 'map(.id) | unique' "[$id]" "$(sse_json | jq -cs .)"
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_data | tail -n 1)" "[DONE]"
    assert_equal "$(sse_json | tail -n 1)" "$last"
    assert_equal "$(sse_json | jq -s 'map(select(.choices[0].delta.content // "" | length > 0)) | length')" 1
    assert_equal "$(asked idem-6)" 1
}

@test "01 §12.18: a failed run is kept as well; refusals before the run are not" {
    local ask
    ask=$(chat_body 'idem-7 @upstream status=401' goclaw:plain)
    extra=("Idempotency-Key: key-7")
    api POST /v1/chat/completions "$ask"
    assert_error 409 FAILED_PRECONDITION
    api POST /v1/chat/completions "$ask"
    assert_error 409 FAILED_PRECONDITION
    assert_equal "$(header X-Should-Retry)" false
    assert_equal "$(asked idem-7)" 1
    extra=("Idempotency-Key: key-7a")
    for ask in first again; do
        say 'idem-7a @upstream status=503' goclaw:plain
        assert_error 503 UNAVAILABLE
        assert_equal "$(header X-Should-Retry)" false
    done
    extra=("Idempotency-Key: key-7b" "X-GoClaw-User-Id: nobody-here")
    say 'idem-7b' goclaw:plain
    assert_error 403 UNAUTHORIZED
    sqlite3 "$DATABASE" "PRAGMA busy_timeout = 5000; UPDATE agents SET is_default = 1 WHERE agent_key = 'plain'" >/dev/null
    sleep 1.1 # changes made behind the gateway's back are seen within a second
    say 'idem-7b' goclaw:plain
    sqlite3 "$DATABASE" "PRAGMA busy_timeout = 5000; UPDATE agents SET is_default = 0 WHERE agent_key = 'plain'" >/dev/null
    assert_status 200
}

@test "01 §12.18: keys that are empty of sense are refused" {
    local key
    for key in "with blank" "$(printf 'k%.0s' {1..256})" "ümlaut"; do
        extra=("Idempotency-Key: $key")
        say 'idem-8' goclaw:plain
        assert_error 400 INVALID_REQUEST Idempotency-Key
    done
    extra=("Idempotency-Key: $(printf 'k%.0s' {1..255})")
    say 'idem-8' goclaw:plain
    assert_status 200
}

@test "an SDK's first attempt always runs; its repeat finds the answer of a lost connection" {
    local ask first
    ask=$(chat_body 'sdk-1' goclaw:plain)
    extra=("X-Stainless-Retry-Count: 0")
    api POST /v1/chat/completions "$ask"
    api POST /v1/chat/completions "$ask"
    first=$body
    assert_equal "$(asked sdk-1)" 2
    extra=("X-Stainless-Retry-Count: 1")
    api POST /v1/chat/completions "$ask"
    assert_status 200
    assert_equal "$body" "$first"
    extra=("X-Stainless-Retry-Count: 2")
    api POST /v1/chat/completions "$ask"
    assert_equal "$body" "$first"
    assert_equal "$(asked sdk-1)" 2
    say 'sdk-1 unknown' goclaw:plain
    assert_status 200
}

@test "an SDK's repeat while the run is in flight is told to wait" {
    local ask
    ask=$(chat_body 'sdk-2 @upstream delay=1000' goclaw:plain)
    extra=("X-Stainless-Retry-Count: 0")
    start "$ask"
    wait_until 3 is_asked sdk-2
    extra=("X-Stainless-Retry-Count: 1")
    api POST /v1/chat/completions "$ask"
    assert_error 503 UNAVAILABLE
    wait
    api POST /v1/chat/completions "$ask"
    assert_status 200
    assert_equal "$(asked sdk-2)" 1
}

@test "an SDK's repeat of a run that was cancelled because the client had left is a new run" {
    local ask
    ask=$(stream_body 'sdk-3 @upstream stall=mid,times=1,text=whole%20again' goclaw:plain)
    extra=("X-Stainless-Retry-Count: 0")
    request_options
    curl -sS -N -m 0.7 -o /dev/null "${options[@]}" --data-binary "$ask" "$GATEWAY/v1/chat/completions" 2>/dev/null || true
    over() { [ "$(sql "SELECT status FROM traces WHERE input_preview LIKE 'sdk-3%'")" = cancelled ]; }
    wait_until 3 over
    extra=("X-Stainless-Retry-Count: 1")
    sse "$ask"
    assert_equal "$(sse_text)" "whole again"
    assert_equal "$(asked sdk-3)" 2
}

@test "a repeat for another session or agent is a new run" {
    local ask='{"messages":[{"role":"user","content":"sdk-4 continue"}]}' first
    extra=("X-Stainless-Retry-Count: 0" "X-GoClaw-Agent-Id: plain" "X-GoClaw-Session-Key: left")
    api POST /v1/chat/completions "$ask"
    first=$(jq .id <<<"$body")
    extra=("X-Stainless-Retry-Count: 1" "X-GoClaw-Agent-Id: plain" "X-GoClaw-Session-Key: right")
    api POST /v1/chat/completions "$ask"
    assert_equal "$(header X-GoClaw-Session-Key)" agent:plain:http:direct:right
    [ "$(jq .id <<<"$body")" != "$first" ]
    extra=("X-Stainless-Retry-Count: 1" "X-GoClaw-Agent-Id: default" "X-GoClaw-Session-Key: left")
    api POST /v1/chat/completions "$ask"
    assert_equal "$(header X-GoClaw-Session-Key)" agent:default:http:direct:left
}

@test "01 §12.18: a kept answer is found for 24 hours, what an SDK repeats without a key for 15 minutes" {
    local ask first header lifetime
    while read -r header lifetime; do
        ask=$(chat_body "idem-10 $header" goclaw:plain)
        extra=("$header: 1")
        api POST /v1/chat/completions "$ask"
        first=$(jq .id <<<"$body")
        age $((lifetime - 10))
        api POST /v1/chat/completions "$ask"
        assert_equal "$(jq .id <<<"$body")" "$first"
        age $((lifetime + 1))
        api POST /v1/chat/completions "$ask"
        assert_status 200
        [ "$(jq .id <<<"$body")" != "$first" ]
        assert_equal "$(asked "idem-10 $header")" 2
    done <<'TABLE'
Idempotency-Key 86400
X-Stainless-Retry-Count 900
TABLE
    extra=("Idempotency-Key: key-10")
    api POST /v1/providers '{"name":"again","provider_type":"offline"}'
    assert_status 201
    age 86390
    api POST /v1/providers '{"name":"again","provider_type":"offline"}'
    assert_status 201
    age 86401
    api POST /v1/providers '{"name":"again","provider_type":"offline"}'
    assert_error 409 ALREADY_EXISTS name
}

@test "what an answer keeps outlives a restart" {
    local ask first
    ask=$(chat_body 'idem-9' goclaw:plain)
    extra=("Idempotency-Key: key-9")
    api POST /v1/chat/completions "$ask"
    first=$body
    clawgate stop
    gateway_serve
    api POST /v1/chat/completions "$ask"
    assert_equal "$body" "$first"
    assert_equal "$(asked idem-9)" 1
}
