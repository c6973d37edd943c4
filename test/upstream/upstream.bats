#!/usr/bin/env bats
# The scripted upstream itself: what the other suites rely on. CLAWGATE_BUILD names the build (default: build).

setup_file() {
    local root
    root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    local build=${CLAWGATE_BUILD:-$root/build}
    export UPSTREAM=$build/test/upstream/upstream LOAD=$build/test/bench/load DIR=$BATS_FILE_TMPDIR
    "$UPSTREAM" --make-cert "$DIR"
    "$UPSTREAM" --tls-port 0 --cert "$DIR/cert.pem" --key "$DIR/key.pem" --port-file "$DIR/ports" \
        >/dev/null 2>"$DIR/stderr" 3>&- &
    echo $! >"$DIR/pid"
    for _ in $(seq 100); do
        [ -e "$DIR/ports" ] && break
        sleep 0.05
    done
    PORT=$(jq .port "$DIR/ports")
    TLS_PORT=$(jq .tls_port "$DIR/ports")
    export PORT TLS_PORT URL=http://127.0.0.1:$PORT
}

teardown_file() {
    kill "$(cat "$DIR/pid")"
    cat "$DIR/stderr" >&2
    [ ! -s "$DIR/stderr" ]
}

setup() {
    curl -sf -X POST "$URL/_reset" >/dev/null
}

# ask OPTIONS STREAM [API] [CURL ARGUMENT…]
ask() {
    local options=$1 stream=$2 api=${3:-chat/completions}
    shift $(($# < 3 ? $# : 3))
    curl -sS -m 5 "$@" -d '{"model":"m","stream":'"$stream"',"messages":[{"role":"user","content":"hi"}]}' \
        "$URL/o/$options/v1/$api"
}

# The text of an OpenAI stream.
stream_text() {
    tr -d '\r' | sed -n 's/^data: *//p' | grep -v '^\[DONE\]$' | jq -rj '.choices[0].delta.content // empty'
}

@test "a plain answer and a stream say the same" {
    [ "$(ask '' false | jq -r '.choices[0].message.content')" = "Hello from upstream." ]
    [ "$(ask '' true | stream_text)" = "Hello from upstream." ]
    [ "$(ask '' true | grep -c '^data: \[DONE\]$')" -eq 1 ]
}

@test "the Anthropic stream has its events in order" {
    run bash -c 'sed -n "s/^event: //p" | uniq | tr "\n" " "' < <(ask tokens=3 true messages)
    [ "$output" = "message_start content_block_start ping content_block_delta content_block_stop message_delta message_stop " ]
}

@test "one byte per chunk and every line end give the same text" {
    local whole
    whole=$(ask emoji true | stream_text)
    [[ $whole = *😀* ]]
    [ "$(ask emoji,split=1 true | stream_text)" = "$whole" ]
    [ "$(ask emoji,crlf,nospace true | stream_text)" = "$whole" ]
    [ "$(ask emoji,cr true | tr '\r' '\n' | stream_text)" = "$whole" ]
}

@test "a tool call comes whole or in fragments, then its result is told" {
    local options='tool=add,args=%7B%22a%22:1%7D'
    local args='[.choices[0].delta.tool_calls[]?.function.arguments] | join("")'
    [ "$(ask "$options" false | jq -r '.choices[0].message.tool_calls[0].function.arguments')" = '{"a":1}' ]
    [ "$(ask "$options,fragment" true | sed -n 's/^data: {/{/p' | jq -rj "$args")" = '{"a":1}' ]
    run curl -sS -d '{"messages":[{"role":"assistant","content":null},{"role":"tool","content":"42"}]}' \
        "$URL/o/$options/v1/chat/completions"
    [ "$(jq -r '.choices[0].message.content' <<<"$output")" = "Result: 42" ]
}

@test "the last user message overrides the path, an earlier one does not" {
    run curl -sS -d '{"messages":[{"role":"user","content":"@upstream status=418"},
        {"role":"user","content":"now @upstream text=over%20ride please"}]}' "$URL/o/text=path/v1/chat/completions"
    [ "$(jq -r '.choices[0].message.content' <<<"$output")" = "over ride" ]
}

@test "times=2 fails twice, and again after a reset" {
    local codes=""
    for _ in 1 2 3; do
        codes+="$(ask status=429,retry_after=7,times=2 false chat/completions -o /dev/null -w '%{http_code} ')"
    done
    [ "$codes" = "429 429 200 " ]
    curl -sf -X POST "$URL/_reset" >/dev/null
    run ask status=429,retry_after=7,times=2 false chat/completions -i
    [[ $output = *"Retry-After: 7"* ]]
}

@test "stalls and cuts look to curl as they should" {
    run ask stall=headers false chat/completions -m 0.3
    [ "$status" -eq 28 ]
    run ask stall=mid,tokens=4 true chat/completions -m 0.3
    [ "$status" -eq 28 ]
    [[ $output = *tok2* && $output != *tok3* ]]
    run ask cut=headers true
    [ "$status" -eq 56 ]
    run ask cut=mid,tokens=4 true
    [ "$status" -eq 18 ]
    run ask cut=soft,tokens=4 true
    [ "$status" -eq 0 ]
    [[ $output != *DONE* ]]
}

@test "a client that leaves is recorded as closed early" {
    run ask tokens=100,pace=20 true chat/completions -m 0.2 -H 'Authorization: Bearer sk-x'
    sleep 0.1
    run curl -sS "$URL/_requests"
    [ "$(jq -c '.[-1] | [.closed_early, .done, .headers.authorization, (.body | fromjson | .model)]' <<<"$output")" = \
        '[true,false,"Bearer sk-x","m"]' ]
    [ "$(curl -sS "$URL/_stats" | jq -c '[.requests,.open,.aborted]')" = '[1,0,1]' ]
}

@test "an unknown option and a bad body are refused" {
    run ask bogus=1 false
    [[ $output = *'bad option \"bogus=1\"'* ]]
    run ask pace=fast false
    [[ $output = *'bad option'* ]]
    [ "$(curl -sS -d 'no' -o /dev/null -w '%{http_code}' "$URL/v1/chat/completions")" = 400 ]
}

@test "chunked request bodies and Expect: 100-continue are understood" {
    local body
    body=$(jq -nc '{messages:[{role:"user",content:("x" * 300000)}]}')
    run curl -sS -H 'Transfer-Encoding: chunked' -d @- "$URL/o/echo/v1/chat/completions" <<<"$body"
    [ "$(jq -r '.choices[0].message.content | fromjson | .messages[0].text | length' <<<"$output")" -eq 300000 ]
    run curl -sS -H 'Expect: 100-continue' -d @- "$URL/o/echo/v1/chat/completions" <<<"$body"
    [ "$(jq -r '.choices[0].message.content | fromjson | .messages[0].text | length' <<<"$output")" -eq 300000 ]
}

@test "pipelined requests are answered in order" {
    local body='{"messages":[],"model":"a"}'
    exec 9<>"/dev/tcp/127.0.0.1/$PORT"
    printf 'POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%sGET /x HTTP/1.1\r\nConnection: close\r\n\r\n' \
        ${#body} "$body" >&9
    run timeout 5 cat <&9
    exec 9>&-
    [ "$(grep -ao 'HTTP/1.1 [0-9]*' <<<"$output" | tr '\n' ' ')" = "HTTP/1.1 200 HTTP/1.1 404 " ]
}

@test "broken requests close their connection and nothing else" {
    local request
    for request in 'POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n' \
        'POST /v1/messages HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n' '\r\n\r\n' 'GET\r\n\r\n'; do
        exec 9<>"/dev/tcp/127.0.0.1/$PORT"
        # shellcheck disable=SC2059  # the format is the request
        printf "$request" >&9
        run timeout 5 cat <&9
        exec 9>&-
        [ "$status" -eq 0 ]
        [ -z "$output" ]
    done
    [ "$(ask '' false | jq -r '.object')" = "chat.completion" ]
}

@test "TLS streams with the certificate it made" {
    run curl -sS --cacert "$DIR/ca.pem" -d '{"stream":true,"messages":[]}' \
        "https://localhost:$TLS_PORT/o/tokens=3,pace=10/v1/chat/completions"
    [ "$status" -eq 0 ]
    [ "$(stream_text <<<"$output")" = "tok1 tok2 tok3 " ]
}

@test "huge and endless answers" {
    [ "$(ask big=3000000 false | jq '.choices[0].message.content | length')" -eq 3000000 ]
    [ "$(ask big=3000000 true | awk 'length($0) > 3000000' | wc -l)" -eq 1 ]
    run ask endless,pace=1 true chat/completions -m 0.5
    [ "$status" -eq 28 ]
    [[ $output = *"tok100 "* ]]
}

@test "load counts complete streams and finds every kind of broken one" {
    local url kind
    run "$LOAD" streams --url "$URL/o/tokens=8,pace=5/v1/chat/completions" --streams 100 --expect-frames 10
    [ "$status" -eq 0 ]
    [ "$(jq -c '[.complete,.frames,.errors]' <<<"$output")" = "[100,1000,0]" ]
    for kind in cut=mid:truncated inband=x:error_frame noevent_end:terminal_events status=500:status \
        tokens=9:frame_count stall=mid:timeout cut=headers:connect; do
        url="$URL/o/${kind%:*}/v1/chat/completions"
        run "$LOAD" streams --url "$url" --streams 2 --timeout 0.5 --expect-frames 10
        [ "$status" -eq 1 ]
        [ "$(jq -c '.failures' <<<"$output")" = "{\"${kind#*:}\":2}" ]
    done
}

@test "load rr measures and counts other statuses as errors" {
    run "$LOAD" rr --url "$URL/v1/chat/completions" --concurrency 4 --seconds 0.2 --warmup 0
    [ "$status" -eq 0 ]
    [ "$(jq '.rps > 100 and .errors == 0 and .p50_us <= .p99_us and .p99_us > 0' <<<"$output")" = true ]
    run "$LOAD" rr --url "$URL/o/status=503/v1/chat/completions" --seconds 0.1 --warmup 0
    [ "$status" -eq 1 ]
    [ "$(jq '.requests == 0 and .errors > 0' <<<"$output")" = true ]
}
