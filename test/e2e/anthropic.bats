#!/usr/bin/env bats
# Agents on a provider that speaks Anthropic's protocol (contract 03 §5.5), through the whole gateway.

load helper

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=50
    gateway_start '{"agents": {"defaults": {"run_timeout_sec": 20}}, "telemetry": {"model_pricing": {"model-of-counted":
        {"input_per_million": 1000, "output_per_million": 10000, "cache_read_per_million": 100}}}}'
    claude plain ''
    claude counted 'usage=11:7:30'
    claude dates 'tool=datetime,args=%7B%22timezone%22%3A%22Asia%2FHo_Chi_Minh%22%7D,fragment=1'
    claude lost 'tool=datetime,args=%7B%22timezone%22%3A%22Nowhere%22%7D'
    claude twice 'text=Let%20me%20look.,tool=datetime,tools=2,reasoning=I%20need%20the%20time%20%F0%9F%95%90'
    claude endless tool=datetime,loop=1,reasoning=again
    claude weather 'text=Let%20me%20look.,tool=get_weather,fragment=1,args=%7B%22city%22%3A%22Hu%E1%BA%BF%22%7D'
    clawgate provider set sonnet --type anthropic_native --base-url "$UPSTREAM/v1" --api-key sk-ant-oat01-setup >/dev/null
    clawgate agent create sonnet --provider sonnet --model sonnet >/dev/null
}

teardown_file() {
    gateway_stop
}

claude() {
    provider "$1" "$2" anthropic_native
}

# ask OPTIONS: one request whose upstream behaves so; sets $calls to how often it was asked.
ask() {
    say "$BATS_TEST_NUMBER $1 @upstream $1" goclaw:plain
    calls=$(upstream_requests | jq --arg text "@upstream $1" 'map(select(.body | contains($text))) | length')
}

# The bodies of all requests since upstream_reset, as an array; their number.
bodies() {
    upstream_requests | jq -c 'map(.body | fromjson)'
}

# sent MODEL MEMBERS: the body upstream for a request with these further members.
sent() {
    api POST /v1/chat/completions "$(chat_body hi "goclaw:$1" "$2")"
    assert_status 200
    upstream_last | jq -c .body
}

# set_agent AGENT JSON
set_agent() {
    local id
    id=$(sql "SELECT id FROM agents WHERE agent_key = '$1'")
    api PUT "/v1/agents/$id" "$2"
    assert_status 200
}

tool() {
    jq -cn --arg name "$1" '{type: "function", function: {name: $name, description: "d",
        parameters: {type: "object", properties: {city: {"$ref": "#/$defs/c"}}, "$defs": {c: {type: "string"}}}}}'
}

# ---- the request ----

@test "a plain answer, and the request as the upstream sees it" {
    upstream_reset
    say hello goclaw:plain
    assert_status 200
    assert_equal "$(answer)" "Hello from upstream."
    jq_eq '.choices[0].finish_reason' '"stop"'
    local last
    last=$(upstream_last)
    jq_eq '[.method, .path]' '["POST","/v1/messages"]' "$last"
    jq_eq '.headers | [.["x-api-key"], .["anthropic-version"], .["content-type"], .accept, has("authorization"),
        has("anthropic-beta")]' '["sk-plain","2023-06-01","application/json","application/json",false,false]' "$last"
    jq_eq '.body | [keys - ["system", "tools"], .model, .max_tokens, .stream, .temperature, .messages]' \
        '[["max_tokens","messages","model","stream","temperature"],"model-of-plain",8192,false,0.7,
        [{"role":"user","content":[{"type":"text","text":"hello"}]}]]' "$last"
    jq_eq '.body.system | [length, (.[0] | keys), .[0].type, .[-1].cache_control, (.[0].text | length > 100)]' \
        '[1,["cache_control","text","type"],"text",{"type":"ephemeral"},true]' "$last"
    jq_eq '.body.tools | [(.[-1] | keys), .[-1].cache_control, (map(.input_schema.type) | unique)]' \
        '[["cache_control","description","input_schema","name"],{"type":"ephemeral"},["object"]]' "$last"
    jq_eq '.body.tools[:-1] | map(has("cache_control")) | any' false "$last"
}

@test "parameters of a request travel under Anthropic's names, what it does not know stays behind" {
    jq_eq '[.top_p, .stop_sequences, .max_tokens, has("temperature"), has("seed"), has("stop"), has("response_format"),
        has("presence_penalty")]' '[0.5,["END"],100,false,false,false,false,false]' "$(sent plain '"top_p":0.5,"stop":"END",
        "max_tokens":100,"seed":7,"presence_penalty":1,"response_format":{"type":"json_object"}')"
    jq_eq '[.temperature, .stop_sequences]' '[1,["a","b"]]' "$(sent plain '"temperature":1.5,"stop":["a","\n","b"]')"
}

@test "short names of models, and a setup token as bearer" {
    upstream_reset
    say hello goclaw:sonnet
    assert_status 200
    local last
    last=$(upstream_last)
    jq_eq '.body | [.model, has("temperature")]' '["claude-sonnet-4-6",false]' "$last"
    jq_eq '.headers | [.authorization, .["anthropic-beta"], has("x-api-key")]' \
        '["Bearer sk-ant-oat01-setup","oauth-2025-04-20",false]' "$last"
}

@test "a conversation alternates, and the user has the last word" {
    extra=("X-GoClaw-Session-Key: talk")
    say one goclaw:plain
    say two goclaw:plain
    ask status=401
    say three goclaw:plain
    jq_eq '.body.messages | map(.role)' '["user","assistant","user","assistant","user"]' "$(upstream_last)"
    jq_eq '.body.messages[-1].content | map(.text | test("three$|status=401$"))' '[true]' "$(upstream_last)"
}

# ---- streams ----

@test "a stream comes token by token" {
    local seen=$BATS_TEST_TMPDIR/seen options
    request_options
    curl -sS -N "${options[@]}" --data-binary "$(stream_body '@upstream tokens=10,pace=200' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" | while IFS= read -r line; do
        [[ $line != data:* ]] || echo "$(now_ms) $line"
    done >"$seen"
    # Ten deltas 200 ms apart: the first is there long before the last.
    local first last
    first=$(grep -m 1 '"tok1 ' "$seen" | cut -d' ' -f1)
    last=$(grep -m 1 '"tok10 ' "$seen" | cut -d' ' -f1)
    [ $((last - first)) -ge 1400 ] || fail "$(cat "$seen")"
    assert_equal "$(grep -c '"content":"tok' "$seen")" 10
    jq_eq '.body.stream' true "$(upstream_last)"
    jq_eq '.headers.accept' '"text/event-stream"' "$(upstream_last)"
}

@test "a stream split inside characters, with carriage returns, is read whole" {
    local options text
    sse "$(stream_body '@upstream emoji=1' goclaw:plain)"
    text=$(sse_text)
    [[ $text == *🚀* ]]
    for options in split=1 split=7,crlf=1 cr=1,nospace=1; do
        sse "$(stream_body "@upstream emoji=1,$options" goclaw:plain)"
        assert_equal "$(sse_text)" "$text"
        assert_equal "$(sse_terminals)" 1
    done
}

@test "a plain answer to a request for a stream, the length as reason" {
    sse "$(stream_body '@upstream text=cut,finish=length' goclaw:plain)"
    assert_equal "$(sse_text)" cut
    jq_eq '.choices[0].finish_reason' '"length"' "$(sse_json | tail -n 1)"
    say '@upstream text=cut,finish=length' goclaw:plain
    jq_eq '.choices[0].finish_reason' '"length"'
}

# ---- tools ----

@test "the agent's tool is called and its result sent back, plain and streamed" {
    local stream
    for stream in false true; do
        upstream_reset
        if [ $stream = true ]; then
            sse "$(stream_body 'what time is it?' goclaw:dates)"
            [[ $(sse_text) == "Result: "*+07:00* ]] || fail "$(sse_text)"
        else
            say 'what time is it?' goclaw:dates
            [[ $(answer) == "Result: "*+07:00* ]] || fail "$body"
        fi
        jq_eq 'length' 2 "$(bodies)"
        jq_eq '.[1].messages | map([.role, (.content | map(.type))])' \
            '[["user",["text"]],["assistant",["tool_use"]],["user",["tool_result"]]]' "$(bodies)"
        jq_eq '.[1].messages | [.[1].content[0].name, .[1].content[0].input,
            (.[1].content[0].id | test("^call_[0-9a-f]{35}$")), .[1].content[0].id == .[2].content[0].tool_use_id,
            (.[2].content[0] | has("is_error")), (.[2].content[0].content | contains("+07:00"))]' \
            '["datetime",{"timezone":"Asia/Ho_Chi_Minh"},true,true,false,true]' "$(bodies)"
    done
}

@test "a failed tool is reported as an error" {
    say 'what time is it?' goclaw:lost
    assert_status 200
    jq_eq '.body.messages[-1].content[0] | [.type, .is_error]' '["tool_result",true]' "$(upstream_last)"
}

@test "what was thought goes back unchanged with the calls, and all results in one message" {
    local stream
    for stream in false true; do
        upstream_reset
        api POST /v1/chat/completions "$(chat_body time goclaw:twice "\"stream\":$stream")"
        assert_status 200
        jq_eq 'length' 2 "$(bodies)"
        jq_eq '.[1].messages[1].content | [(map(.type)), .[0], .[1].text]' '[["thinking","text","tool_use","tool_use"],
            {"type":"thinking","thinking":"I need the time 🕐","signature":"c2lnbmF0dXJl"},"Let me look."]' "$(bodies)"
        jq_eq '.[1].messages[1].content[2:] | map(.id)' '["toolu_1_1","toolu_1_2"]' "$(bodies)"
        jq_eq '.[1].messages[2:] | map([.role, (.content | map([.type, .tool_use_id]))])' \
            '[["user",[["tool_result","toolu_1_1"],["tool_result","toolu_1_2"]]]]' "$(bodies)"
    done
}

@test "ids that a transcript knows already are not taken again" {
    extra=("X-GoClaw-Session-Key: again")
    say time goclaw:endless
    set_agent endless '{"max_tool_iterations":3}'
    upstream_reset
    say more goclaw:endless
    jq_eq '.[-1].messages | [.[].content[] | select(.type == "tool_use").id] | (length >= 3) and (unique | length) == length' \
        true "$(bodies)"
    jq_eq '.[-1].messages | [.[].content[] | select(.type == "tool_use").id] ==
        [.[].content[] | select(.type == "tool_result").tool_use_id]' true "$(bodies)"
}

@test "the last step offers no tool that could be called" {
    set_agent endless '{"max_tool_iterations":2}'
    upstream_reset
    say time goclaw:endless
    jq_eq '.[0].tools | map(.name) | index("datetime") != null' true "$(bodies)"
    jq_eq '.[1] | [(.tools | map(.name)), .tool_choice]' '[["no_tool"],{"type":"none"}]' "$(bodies)"
    jq_eq '.[1].messages[-1].content | map(.type)' '["tool_result","text"]' "$(bodies)"
}

@test "client tools: offered without references, called, answered in the next request" {
    local ask session id
    ask=$(jq -cn --argjson tool "$(tool get_weather)" '{model: "goclaw:weather",
        messages: [{role: "user", content: "weather?"}], tools: [$tool], tool_choice: "required",
        parallel_tool_calls: false}')
    api POST /v1/chat/completions "$ask"
    assert_status 200
    session=$(header X-GoClaw-Session-Key)
    jq_eq '.choices[0] | [.finish_reason, .message.content, (.message.tool_calls | map([.type, .function.name,
        (.function.arguments | fromjson)]))]' \
        '["tool_calls","Let me look.",[["function","get_weather",{"city":"Huế"}]]]'
    id=$(jq -r '.choices[0].message.tool_calls[0].id' <<<"$body")
    jq_eq '.body | [.tools[-1].input_schema, .tool_choice]' '[{"type":"object","properties":{"city":{"type":"string"}}},
        {"type":"any","disable_parallel_tool_use":true}]' "$(upstream_last)"
    api POST /v1/chat/completions "$(jq -c --arg id "$id" '.messages += [{role: "assistant", content: null, tool_calls:
        [{id: $id, type: "function", function: {name: "get_weather", arguments: "{}"}}]},
        {role: "tool", tool_call_id: $id, content: "sunny 🌞"}] | del(.tool_choice, .parallel_tool_calls)' <<<"$ask")"
    assert_status 200
    assert_equal "$(header X-GoClaw-Session-Key)" "$session"
    assert_equal "$(answer)" "Result: sunny 🌞"
    jq_eq '.body.messages | [map(.role), .[1].content[1].id == .[2].content[0].tool_use_id, .[1].content[1].input]' \
        '[["user","assistant","user"],true,{"city":"Huế"}]' "$(upstream_last)"
}

@test "streamed client tool calls come whole, after the text" {
    sse "$(jq -cn --argjson tool "$(tool get_weather)" '{model: "goclaw:weather", stream: true, tools: [$tool],
        tool_choice: {type: "function", function: {name: "get_weather"}}, messages: [{role: "user", content: "?"}]}')"
    assert_equal "$(sse_text)" "Let me look."
    local all
    all=$(sse_json | jq -cs .)
    jq_eq '[.[].choices[0].delta.tool_calls // [] | .[] | [.function.name, .function.arguments]]' \
        '[["get_weather","{\"city\":\"Huế\"}"]]' "$all"
    jq_eq '.[-1].choices[0].finish_reason' '"tool_calls"' "$all"
    jq_eq '.body.tool_choice' '{"type":"tool","name":"get_weather"}' "$(upstream_last)"
}

# ---- thinking ----

@test "reasoning_effort becomes a budget, with its header and room for the answer" {
    jq_eq '[.thinking, .max_tokens, has("temperature")]' '[{"type":"enabled","budget_tokens":10000},18192,false]' \
        "$(sent plain '"reasoning_effort":"medium","temperature":0.5')"
    jq_eq '.headers["anthropic-beta"]' '"interleaved-thinking-2025-05-14"' "$(upstream_last)"
    jq_eq '[has("thinking"), .max_tokens]' '[false,8192]' "$(sent plain '"reasoning_effort":"minimal"')"
    jq_eq '.headers | has("anthropic-beta")' false "$(upstream_last)"
}

@test "the agent's thinking level holds unless the request says otherwise" {
    set_agent plain '{"other_config":{"thinking_level":"low"}}'
    jq_eq '.thinking.budget_tokens' 4096 "$(sent plain '"n":1')"
    jq_eq '.thinking.budget_tokens' 32000 "$(sent plain '"reasoning_effort":"high"')"
    jq_eq 'has("thinking")' false "$(sent plain '"reasoning_effort":"none"')"
    set_agent plain '{"other_config":{"thinking_level":"off"}}'
    jq_eq 'has("thinking")' false "$(sent plain '"n":1')"
}

@test "thoughts are not part of the answer; they are stored and counted" {
    extra=("X-GoClaw-Session-Key: thoughtful")
    sse "$(stream_body '@upstream reasoning=four%20times%20four,text=16,usage=5:9' goclaw:plain)"
    assert_equal "$(sse_text)" 16
    refute grep -q 'four times' "$stream"
    jq_eq '.usage.completion_tokens_details.reasoning_tokens' 3 "$(sse_json | tail -n 1)"
    assert_equal "$(sql "SELECT thinking FROM messages m JOIN sessions s ON s.id = m.session_id
        WHERE s.key = 'agent:plain:http:direct:thoughtful' AND m.role = 'assistant'")" "four times four"
}

# ---- usage ----

@test "usage counts what came from the cache, in the answer, the rows and the price" {
    local usage='{"prompt_tokens":41,"completion_tokens":7,"total_tokens":48,
        "prompt_tokens_details":{"cached_tokens":30},"completion_tokens_details":{"reasoning_tokens":0}}'
    say hello goclaw:counted
    jq_eq .usage "$usage"
    local run
    run=$(header X-GoClaw-Run-Id)
    assert_equal "$(sql "SELECT total_input_tokens || ' ' || total_output_tokens FROM traces WHERE run_id = '$run'")" "41 7"
    # 11 at 0.001, 30 at 0.0001 and 7 at 0.01 dollars.
    assert_equal "$(sql "SELECT input_tokens || ' ' || output_tokens || ' ' || printf('%.4f', total_cost) || ' ' || metadata
        FROM spans WHERE trace_id = '$run' AND span_type = 'llm_call'")" '41 7 0.0840 {"cache_read_tokens":30}'
    sse "$(stream_body hello goclaw:counted)"
    jq_eq .usage "$usage" "$(sse_json | tail -n 1)"
    assert_equal "$(sql "SELECT input_tokens || ' ' || output_tokens || ' ' || cache_read_tokens || ' ' || llm_calls
        FROM usage_hourly WHERE provider = 'counted'")" "82 14 60 2"
}

# ---- failures ----

@test "refused credentials and unknown models are 409, asked once" {
    local status
    for status in 401 403 404; do
        ask "status=$status"
        assert_error 409 FAILED_PRECONDITION
        assert_equal "$calls" 1
    done
    ask "status=400,text=no%20such%20thing"
    assert_error 409 FAILED_PRECONDITION
    [[ $body == *"no such thing"* ]]
    assert_equal "$calls" 1
}

@test "overload and server errors are tried three times, then 503" {
    local status
    for status in 429 500 529; do
        ask "status=$status"
        assert_error 503 UNAVAILABLE
        assert_equal "$calls" 3
    done
    local after_ms=30000
    ask "status=529,retry_after=30"
    assert_error 503 UNAVAILABLE
    assert_equal "$calls" 1
}

@test "an upstream that recovers from overload is not noticed" {
    ask "status=529,times=2,text=recovered"
    assert_equal "$(answer)" recovered
    assert_equal "$calls" 3
    sse "$(stream_body '@upstream status=529,times=1,text=streamed' goclaw:plain)"
    assert_equal "$(sse_text)" streamed
    sse "$(stream_body '@upstream inband=Overloaded,at=0,times=1,text=after%20an%20event' goclaw:plain)"
    assert_equal "$(sse_text)" "after an event"
}

@test "a prompt that does not fit is the caller's error" {
    ask 'status=400,text=prompt%20is%20too%20long:%20205000%20tokens%20>%20200000%20maximum'
    assert_error 400 INVALID_REQUEST
}

@test "a refused max_tokens is asked for again with the limit the upstream names" {
    ask 'status=400,times=1,text=max_tokens:%208192%20>%204096%2C%20which%20is%20the%20maximum%20allowed%20number%20of%20output%20tokens'
    assert_status 200
    jq_eq .body.max_tokens 4096 "$(upstream_last)"
}

# broken OPTIONS: a stream that ends so has one error, as its last word.
broken() {
    sse "$(stream_body "$BATS_TEST_NUMBER @upstream tokens=6,$1" goclaw:plain)"
    assert_status 200
    [[ $(sse_text) == "tok1 "* ]] || fail "$(sse_text)"
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_data | tail -n 1)" "[DONE]"
    body=$(sse_json | tail -n 1)
    assert_envelope 503 UNAVAILABLE
}

@test "a stream that is cut, or reports an error, ends with an error" {
    broken cut=mid
    broken cut=reset
    broken cut=soft
    broken noevent_end=1,nofinish=1
    broken inband=Overloaded
    [[ $body == *Overloaded* ]]
}

@test "a stream without its last event is complete once the reason to stop is there" {
    sse "$(stream_body '@upstream text=all,noevent_end=1' goclaw:plain)"
    assert_equal "$(sse_text)" all
    jq_eq '.choices[0].finish_reason' '"stop"' "$(sse_json | tail -n 1)"
    sse "$(stream_body '@upstream text=all,nofinish=1' goclaw:plain)"
    assert_equal "$(sse_text)" all
}

@test "answers that are no JSON, or a web page" {
    local options
    for options in garbage=1 empty=1 cut=mid; do
        ask "$options"
        assert_error 503 UNAVAILABLE
    done
    ask "type=text/html,html=1"
    assert_error 409 FAILED_PRECONDITION
}

@test "the key is neither shown, logged nor stored in clear" {
    claude secretive 'status=401,text=invalid%20x-api-key%20sk%2Dsecretive'
    say hi goclaw:secretive
    assert_error 409 FAILED_PRECONDITION
    refute grep -q sk-secretive <<<"$body"
    refute grep -aq sk-secretive "$LOG" "$DATABASE" "$DATABASE-wal"
}

# ---- verify and models ----

@test "such a provider is verified with a model and lists its models" {
    local id
    id=$(sql "SELECT id FROM llm_providers WHERE name = 'plain'")
    upstream_reset
    api POST "/v1/providers/$id/verify" '{"model":"haiku"}'
    jq_eq . '{"valid":true}'
    jq_eq '[.path, .headers["x-api-key"], .body.model, .body.max_tokens, (.body.messages | length), (.body | has("system"))]' \
        '["/v1/messages","sk-plain","claude-haiku-4-5-20251001",50,1,false]' "$(upstream_last)"
    api GET "/v1/providers/$id/models"
    jq_eq '.models | map(.id)' '["upstream-small","upstream-large"]'
    claude refused 'status=401,text=invalid%20x-api-key'
    id=$(sql "SELECT id FROM llm_providers WHERE name = 'refused'")
    api POST "/v1/providers/$id/verify" '{"model":"haiku"}'
    jq_eq . '{"valid":false,"error":"invalid x-api-key"}'
}
