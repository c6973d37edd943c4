# POST /v1/chat/completions with stream: the frames as they are on the wire (contract 03 §1.9), and client tools.

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain 'text=one%20two%20three,usage=11:7:3'
    provider long text=cut,finish=length,usage=5:6
    provider empty text=
    provider hushed text=NO_REPLY,tool=get_weather
    provider tools 'tool=get_weather,args=%7B%22city%22%3A%22Hu%E1%BA%BF%22%7D'
    provider both 'text=Let%20me%20look.,tool=get_weather,tools=2,fragment=1,args=%7B%22a%22%3A1%7D'
}

teardown_file() {
    gateway_stop
}

tool() {
    jq -cn --arg name "$1" '{type: "function", function: {name: $name, description: "d",
        parameters: {type: "object", properties: {city: {type: "string"}}}}}'
}

ask_tools() {
    jq -cn --argjson tool "$(tool get_weather)" --arg model "goclaw:$1" --argjson more "${2:-"{}"}" \
        '{model: $model, messages: [{role: "user", content: "weather?"}], tools: [$tool]} + $more'
}

@test "references in a tool's schema are written out for the model, as SDKs make them" {
    local ask
    ask=$(jq -c '.tools[0].function.parameters = {"$ref": "#/$defs/args", "$defs": {
        args: {properties: {place: {"$ref": "#/$defs/place", description: "where"}}, required: ["place"]},
        place: {properties: {city: {type: "string"}, near: {"$ref": "#/$defs/place"}}}}}' <<<"$(ask_tools tools)")
    upstream_reset
    api POST /v1/chat/completions "$ask"
    assert_status 200
    jq_eq '.body.tools[-1].function.parameters' '{"properties":{"place":{"properties":{"city":{"type":"string"},
        "near":{"type":"object","properties":{}}},"type":"object","description":"where"}},"required":["place"],
        "type":"object"}' "$(upstream_last)"
}

@test "a tool's schema goes to Gemini and to xAI without what they refuse" {
    local ask schema='{"type": "object", "additionalProperties": false, "properties": {
        "format": {"type": ["string", "null"], "minLength": 1, "default": null},
        "unit": {"anyOf": [{"const": "C"}, {"type": "null"}], "pattern": "."}}, "required": []}'
    provider gemini tool=get_weather gemini_native
    provider grok tool=get_weather xai
    ask=$(jq -c --argjson schema "$schema" '.tools[0].function.parameters = $schema' <<<"$(ask_tools gemini)")
    upstream_reset
    api POST /v1/chat/completions "$ask"
    assert_status 200
    jq_eq '.body.tools[-1].function.parameters' '{"type":"object","properties":{"format":{"type":"string"},
        "unit":{"enum":["C"]}}}' "$(upstream_last)"
    api POST /v1/chat/completions "$(jq -c '.model = "goclaw:grok"' <<<"$ask")"
    assert_status 200
    jq_eq '.body.tools[-1].function.parameters' "$(jq -c 'del(.properties.format.minLength)' <<<"$schema")" \
        "$(upstream_last)"
}

@test "DeepSeek and Kimi get back what was thought before a tool call, others do not" {
    local name type
    for type in deepseek kimi_coding openai_compat; do
        name=thinker-${type%%_*}
        provider "$name" 'tool=datetime,reasoning=I%20need%20the%20time' "$type"
        upstream_reset
        extra=("X-GoClaw-Session-Key: thinks")
        sse "$(stream_body 'what time is it?' "goclaw:$name")"
        say 'and now?' "goclaw:$name"
        jq_eq 'map(.body | fromjson.messages | map(select(.role == "assistant") | [has("tool_calls"), .reasoning_content]))' \
            "$(if [ "$type" = openai_compat ]; then
                echo '[[],[[true,null]],[[true,null],[false,null]],[[true,null],[false,null],[true,null]]]'
            else
                echo '[[],[[true,"I need the time"]],[[true," "],[false," "]],[[true," "],[false," "],[true,"I need the time"]]]'
            fi)" "$(upstream_requests)"
        extra=()
    done
}

# What the upstream got: of each message role, text, signature of the first call, number of calls.
gemini_calls() {
    upstream_requests | jq -c 'map(.body | fromjson.messages | map(select(.role != "system") | [.role, .content // "",
        .tool_calls[0].extra_content.google.thought_signature, (.tool_calls // [] | length)]))'
}

@test "Gemini gets back what it signed, in the same run and later; what is not signed is told in words" {
    provider signer 'tool=datetime,tools=2,signature=c2lnbmVk' gemini_native
    clawgate agent create signer3 --provider signer --model gemini-3-pro >/dev/null
    upstream_reset
    extra=("X-GoClaw-Session-Key: signs")
    sse "$(stream_body 'what time is it?' goclaw:signer3)"
    assert_status 200
    say '@upstream text=Late.,tool=datetime,tools=1,signature=,args=%7B%22timezone%22%3A%22UTC%22%7D' goclaw:signer3
    say '@upstream tool=,text=bye' goclaw:signer3
    assert_equal "$(sql "SELECT DISTINCT json_extract(tool_calls, '\$[0].metadata') FROM messages
        WHERE tool_calls LIKE '%signature%'")" '{"thought_signature":"c2lnbmVk"}'
    jq_eq '.[0] | length' 1 "$(gemini_calls)"
    jq_eq '.[1][1]' '["assistant","","c2lnbmVk",2]' "$(gemini_calls)"
    jq_eq '.[2][1]' '["assistant","","c2lnbmVk",2]' "$(gemini_calls)"
    jq_eq '.[3][-2:] | map(.[0], (.[1] | sub("{.utc.*"; "")))' \
        '["assistant","Late.\n[Tool Call: datetime]\n{\"timezone\":\"UTC\"}","user","[Tool Result: datetime]\n"]' \
        "$(gemini_calls)"
}

@test "a stream consists of role, deltas, finish with usage and one [DONE]" {
    sse "$(stream_body hello goclaw:plain)"
    assert_status 200
    assert_equal "$(header Content-Type)" text/event-stream
    assert_equal "$(header Cache-Control)" no-cache
    assert_equal "$(header X-Accel-Buffering)" no
    assert_equal "$(header X-GoClaw-Session-Key | cut -d: -f1-2)" agent:plain
    [ -n "$(header X-Request-Id)" ]
    local id created all
    id="chatcmpl-$(header X-GoClaw-Run-Id | tr -d -)"
    created=$(sse_json | jq -s '.[0].created')
    all=$(sse_json | jq -cs .)
    jq_eq 'map([.id, .object, .created, .model, .system_fingerprint]) | unique' \
        "[[\"$id\",\"chat.completion.chunk\",$created,\"goclaw:plain\",null]]" "$all"
    jq_eq 'map(keys) | unique' '[["choices","created","id","model","object","system_fingerprint"],
        ["choices","created","id","model","object","system_fingerprint","usage"]]' "$all"
    jq_eq '.[0].choices' '[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]' "$all"
    jq_eq '.[1:-1] | map(.choices[0] | del(.delta.content)) | unique' \
        '[{"index":0,"delta":{},"logprobs":null,"finish_reason":null}]' "$all"
    jq_eq '.[-1].choices' '[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]' "$all"
    jq_eq '.[-1].usage' '{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,
        "prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":0}}' "$all"
    jq_eq 'map(has("usage")) | map(select(.)) | length' 1 "$all"
    assert_equal "$(sse_text)" "one two three"
    assert_equal "$(sse_data | tail -n 1)" "[DONE]"
    assert_equal "$(sse_data | grep -cx '\[DONE\]')" 1
}

@test "01 §12.16: every frame is one data line and an empty line, nothing else" {
    sse "$(stream_body hello goclaw:plain)"
    run awk 'NR % 2 ? !/^data: [{[]/ : length' "$stream"
    assert_output ""
    assert_equal "$(tail -c 2 "$stream" | od -An -c | tr -d ' ')" '\n\n'
    refute grep -q $'\r' "$stream"
    refute grep -q '"role":""' "$stream"
}

@test "include_usage sends usage once, in a chunk of its own, and null before" {
    sse "$(stream_body hello goclaw:long | jq -c '.stream_options = {include_usage: true}')"
    local all
    all=$(sse_json | jq -cs .)
    jq_eq '.[-1] | [.choices, .usage.prompt_tokens, .usage.completion_tokens, .usage.total_tokens]' '[[],5,6,11]' "$all"
    jq_eq '.[-2].choices[0].finish_reason' '"length"' "$all"
    jq_eq '.[:-1] | map(has("usage") and .usage == null) | unique' '[true]' "$all"
    assert_equal "$(sse_terminals)" 1
    sse "$(stream_body hello goclaw:long | jq -c '.stream_options = {include_usage: false}')"
    jq_eq '.[-1].usage.total_tokens' 11 "$(sse_json | jq -cs .)"
}

@test "the text of the stream is what is stored and what the plain answer says" {
    extra=("X-GoClaw-Session-Key: same")
    sse "$(stream_body 'hello' goclaw:plain)"
    assert_equal "$(sql "SELECT content FROM messages m JOIN sessions s ON s.id = m.session_id
        WHERE s.key = 'agent:plain:http:direct:same' AND m.role = 'assistant'")" "$(sse_text)"
    local streamed
    streamed=$(sse_text)
    say hello goclaw:plain
    assert_equal "$(answer)" "$streamed"
}

@test "an empty answer is a complete stream without deltas" {
    sse "$(stream_body hello goclaw:empty)"
    assert_equal "$(sse_text)" ""
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_data | wc -l)" 3
}

@test "a model name that needs escaping does not break the frames" {
    sse "$(jq -cn '{model: "x\"content\":\"y\\ \u007f é 🚀", stream: true, messages: [{role: "user", content: "/echo a\"b\\c"}]}')"
    assert_equal "$(sse_text)" 'a"b\c'
    jq_eq 'map(.model) | unique' '["x\"content\":\"y\\ \u007f é 🚀"]' "$(sse_json | jq -cs .)"
}

@test "HTTP/1.0 clients get the same stream" {
    printf '%s' "$(stream_body hello goclaw:plain)" | curl -sS -0 -o "$BATS_TEST_TMPDIR/old" \
        -H "Authorization: Bearer $TOKEN" --data-binary @- "$GATEWAY/v1/chat/completions"
    assert_equal "$(sse_text "$BATS_TEST_TMPDIR/old")" "one two three"
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/old")" 1
}

@test "client tools are offered, and a call ends the run with tool_calls" {
    api POST /v1/chat/completions "$(ask_tools tools)"
    assert_status 200
    jq_eq '.choices[0] | [.finish_reason, .message.content, (.message.tool_calls | length)]' '["tool_calls","",1]'
    jq_eq '.choices[0].message.tool_calls[0] | [.type, .function.name, (.function.arguments | fromjson), (.id | test("^[A-Za-z0-9_-]{1,40}$"))]' \
        '["function","get_weather",{"city":"Huế"},true]'
    body=$(upstream_last | jq -c .body)
    jq_eq '[.tools[].function.name | select(. == "get_weather")] | length' 1
    jq_eq '.tool_choice' '"auto"'
}

@test "03 §3.10: a silent reply is empty in both forms, beside a tool call too; the session keeps the text" {
    extra=("X-GoClaw-Session-Key: quiet")
    say "@upstream text=NO_REPLY" goclaw:plain
    jq_eq '.choices[0] | [.message.content, .finish_reason]' '["","stop"]'
    sse "$(stream_body "@upstream text=NO_REPLY" goclaw:plain)"
    assert_equal "$(sse_text)$(sse_terminals)" 1
    extra=()
    assert_equal "$(sql "SELECT group_concat(content) FROM messages m JOIN sessions s ON s.id = m.session_id
        WHERE s.key LIKE '%:quiet' AND role = 'assistant'")" NO_REPLY,NO_REPLY
    api POST /v1/chat/completions "$(ask_tools hushed)"
    jq_eq '.choices[0] | [.message.content, .finish_reason, (.message.tool_calls | length)]' '["","tool_calls",1]'
    sse "$(ask_tools hushed '{"stream":true}')"
    assert_equal "$(sse_text)$(sse_terminals)" 1
}

@test "the next request brings the result, and the run goes on in the same session" {
    api POST /v1/chat/completions "$(ask_tools tools)"
    local session id
    session=$(header X-GoClaw-Session-Key)
    id=$(jq -r '.choices[0].message.tool_calls[0].id' <<<"$body")
    api POST /v1/chat/completions "$(jq -cn --arg id "$id" --argjson tool "$(tool get_weather)" '{model: "goclaw:tools",
        tools: [$tool], messages: [{role: "user", content: "weather?"}, {role: "assistant", content: null, tool_calls:
        [{id: $id, type: "function", function: {name: "get_weather", arguments: "{}"}}]},
        {role: "tool", tool_call_id: $id, content: "sunny 🌞"}]}')"
    assert_status 200
    assert_equal "$(header X-GoClaw-Session-Key)" "$session"
    assert_equal "$(answer)" "Result: sunny 🌞"
    jq_eq '.choices[0].finish_reason' '"stop"'
    body=$(upstream_last | jq -c .body)
    jq_eq '[.messages[] | select(.role != "system") | .role]' '["user","assistant","tool"]'
    jq_eq '.messages[-1].tool_call_id == .messages[-2].tool_calls[0].id' true
    assert_equal "$(sql "SELECT group_concat(role) FROM (SELECT role FROM messages m JOIN sessions s
        ON s.id = m.session_id WHERE s.key = '$session' ORDER BY m.seq)")" user,assistant,tool,assistant
}

@test "a result for a call nobody made is refused" {
    api POST /v1/chat/completions '{"model":"goclaw:tools","messages":[{"role":"user","content":"x"},
        {"role":"tool","tool_call_id":"call_unknown","content":"?"}]}'
    assert_error 400 INVALID_REQUEST messages
}

# results ID…: the tool messages of a request without anything else.
results() {
    jq -cn --argjson tool "$(tool get_weather)" '{model: "goclaw:tools", tools: [$tool],
        messages: [$ARGS.positional[] | {role: "tool", tool_call_id: ., content: "sunny"}]}' --args "$@"
}

@test "every result must answer a call of the session that is still open, and each another one" {
    local first other again
    api POST /v1/chat/completions "$(ask_tools tools)"
    first=$(jq -r '.choices[0].message.tool_calls[0].id' <<<"$body")
    extra=("X-GoClaw-Session-Key: open")
    api POST /v1/chat/completions "$(ask_tools tools)"
    other=$(jq -r '.choices[0].message.tool_calls[0].id' <<<"$body")
    extra=()
    for again in "$first call_unknown" "$first $other" "$other $first" "$first $first"; do
        # shellcheck disable=SC2086 # two ids
        api POST /v1/chat/completions "$(results $again)"
        assert_error 400 INVALID_REQUEST messages
    done
    extra=("X-GoClaw-Session-Key: open")
    api POST /v1/chat/completions "$(results "$other")"
    assert_status 200
    api POST /v1/chat/completions "$(ask_tools tools)"
    again=$(jq -r '.choices[0].message.tool_calls[0].id' <<<"$body")
    api POST /v1/chat/completions "$(results "$other")"
    assert_error 400 INVALID_REQUEST messages
    api POST /v1/chat/completions "$(results "$again")"
    assert_status 200
    extra=()
    api POST /v1/chat/completions "$(results "$first")"
    assert_status 200
}

@test "streamed tool calls come whole, after the text, with finish_reason tool_calls" {
    sse "$(ask_tools both '{"stream":true}')"
    assert_equal "$(sse_text)" "Let me look."
    local all
    all=$(sse_json | jq -cs .)
    jq_eq '[.[].choices[0].delta.tool_calls // [] | .[] | [.index, .type, .function.name, .function.arguments]]' \
        '[[0,"function","get_weather","{\"a\":1}"],[1,"function","get_weather","{\"a\":1}"]]' "$all"
    jq_eq '[.[].choices[0].delta.tool_calls // [] | .[].id] | (unique | length) == 2' true "$all"
    jq_eq '.[-1].choices[0].finish_reason' '"tool_calls"' "$all"
    assert_equal "$(sse_terminals)" 1
}

@test "tool_choice and parallel_tool_calls are passed on with client tools only" {
    api POST /v1/chat/completions "$(ask_tools plain '{"tool_choice":"required","parallel_tool_calls":false}')"
    body=$(upstream_last | jq -c .body)
    jq_eq '[.tool_choice, .parallel_tool_calls]' '["required",false]'
    api POST /v1/chat/completions "$(chat_body x goclaw:plain | jq -c '. + {tool_choice: "required", parallel_tool_calls: false}')"
    body=$(upstream_last | jq -c .body)
    jq_eq '[.tool_choice != "required", has("parallel_tool_calls")]' '[true,false]'
}

@test "agents run their own tools behind the answer" {
    say '/call datetime {"timezone":"Asia/Ho_Chi_Minh"}'
    assert_status 200
    jq_eq '[.choices[0].finish_reason, (.choices[0].message | has("tool_calls"))]' '["stop",false]'
    [[ $(answer) == *+07:00* || $(answer) == *Ho_Chi_Minh* ]]
}

@test "a client tool named like a tool of the agent is refused" {
    api POST /v1/chat/completions "$(jq -cn --argjson tool "$(tool datetime)" \
        '{messages: [{role: "user", content: "x"}], tools: [$tool]}')"
    assert_error 400 INVALID_REQUEST tools
}
