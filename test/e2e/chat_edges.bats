# What the chat path must hold when it is crowded, and against bodies that are nearly right.

load helper

setup_file() {
    upstream_start
    gateway_start '{"gateway": {"max_concurrent_runs": 1}, "agents": {"defaults": {"max_tool_calls": 2}}}'
    provider plain ''
    provider slow first=1500
    provider echo echo=1
    provider clock tool=datetime
    provider clocks tool=datetime,tools=3
}

teardown_file() {
    gateway_stop
}

# post JSON
post() {
    api POST /v1/chat/completions "$1"
}

tool_turn() {
    jq -cn --arg id "$1" --arg model "${2:-goclaw:plain}" \
        '{model: $model, messages: [{role: "tool", tool_call_id: $id, content: "42"}]}'
}

@test "with every slot and every place in the line taken the process still answers" {
    local options ask pids=()
    request_options
    ask=$(chat_body hi goclaw:slow)
    all_taken() { [ "$(sql "SELECT count(*) FROM traces WHERE status = 'running'")" -ge 257 ]; }
    none_left() { [ "$(sql "SELECT count(*) FROM traces WHERE status = 'running'")" = 0 ]; }
    for _ in {1..340}; do
        # On a connection that served a request before: only there lighttpd tells of a client that leaves a plain run.
        curl -sS -o /dev/null "$GATEWAY/v1/models" --next -sS -o /dev/null -m 60 "${options[@]}" -d "$ask" \
            "$GATEWAY/v1/chat/completions" 3>&- 2>/dev/null &
        pids+=($!)
    done
    wait_until 40 all_taken
    run curl -sS -m $((5 * SLOWER)) -o /dev/null -w '%{http_code}' "$GATEWAY/ready"
    assert_output 200
    say late goclaw:plain
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" ""
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" || true
    wait_until 60 none_left
}

@test "results of tool calls are refused in a session that made no such call" {
    local call
    extra=("X-GoClaw-Session-Key: nothing-yet")
    post "$(tool_turn call_unknown)"
    assert_error 400 INVALID_REQUEST messages
    extra=("X-GoClaw-Session-Key: asks")
    post "$(jq -cn '{model: "goclaw:plain", tools: [{type: "function", function: {name: "weather"}}],
        messages: [{role: "user", content: "@upstream tool=weather"}]}')"
    assert_status 200
    call=$(jq -r '.choices[0].message.tool_calls[0].id' <<<"$body")
    extra=("X-GoClaw-Session-Key: another")
    post "$(tool_turn "$call")"
    assert_error 400 INVALID_REQUEST messages
    extra=("X-GoClaw-Session-Key: asks")
    post "$(tool_turn "$call")"
    assert_status 200
}

@test "tool_choice is one of the documented values" {
    local choice tools='[{"type":"function","function":{"name":"f"}}]'
    for choice in '"banana"' '""' 7 '[]' '{}' '{"type":"function"}' '{"type":"function","function":{}}'; do
        post "{\"model\":\"goclaw:echo\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":$tools,\"tool_choice\":$choice}"
        assert_error 400 INVALID_REQUEST tool_choice
    done
    for choice in '"none"' '"auto"' '"required"' null '{"type":"function","function":{"name":"f"}}'; do
        post "{\"model\":\"goclaw:echo\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":$tools,\"tool_choice\":$choice}"
        assert_status 200
    done
}

@test "a session key in the body obeys the rules of the header, and is named in the error" {
    local key
    for key in 7 '["a"]' '{"a":1}' '"a\nb"' '"a\u0085b"' '"a\u007fb"' '"agent:other:x"' "\"$(printf 's%.0s' {1..201})\""; do
        post "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"metadata\":{\"session_key\":$key}}"
        assert_error 400 INVALID_REQUEST metadata.session_key
    done
    for key in null '""' '"ü"'; do
        post "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"metadata\":{\"session_key\":$key}}"
        assert_status 200
    done
    assert_equal "$(header X-GoClaw-Session-Key)" "agent:default:http:direct:%C3%BC"
}

@test "a model name has at most 255 bytes, as every chunk of a stream repeats it" {
    local name
    name=$(printf 'm%.0s' {1..255})
    say hi "$name"
    assert_status 200
    jq_eq .model "\"$name\""
    say hi "${name}m"
    assert_error 400 INVALID_REQUEST model
}

@test "an unknown agent is named before a missing user message" {
    post '{"model":"goclaw:nobody","messages":[{"role":"system","content":"x"}]}'
    assert_error 404 NOT_FOUND model
    post '{"model":"goclaw:plain","messages":[{"role":"system","content":"x"}]}'
    assert_error 400 INVALID_REQUEST messages
}

@test "a tool that must be called is asked for once, then the model may answer" {
    post '{"model":"goclaw:clock","messages":[{"role":"user","content":"what time is it?"}],"tool_choice":"required",
        "tools":[{"type":"function","function":{"name":"mine"}}]}'
    assert_status 200
    jq_eq '.choices[0].finish_reason' '"stop"'
    body=$(upstream_requests | jq '[.[] | .body | fromjson | .tool_choice] | .[-2:]')
    jq_eq . '["required","auto"]'
}

@test "of three tool calls where two are allowed the third is not carried out, and the model is told to answer" {
    local results
    say now goclaw:clocks
    assert_status 200
    results=$(upstream_last | jq -c '[.body.messages[] | select(.role == "tool").content]')
    jq_eq '[(.[:2][] | test("unix_ms")), (.[2] | test("Answer now"))]' '[true,true,true]' "$results"
}
