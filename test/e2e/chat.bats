# POST /v1/chat/completions: what is asked and what is answered (contract 03 §1.2 to §1.9).

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain ''
    provider echo echo=1
    provider priced text=fine,usage=11:7:3,finish=length
}

teardown_file() {
    gateway_stop
}

# What the model was given, from an agent whose upstream describes it.
given() {
    jq -c "$1" <<<"$(answer)"
}

@test "a completion has exactly the documented members" {
    say hello goclaw:priced
    assert_status 200
    assert_equal "$(header Content-Type)" application/json
    jq_eq 'keys' '["choices","created","id","model","object","system_fingerprint","usage"]'
    jq_eq '.id | test("^chatcmpl-[0-9a-f]{32}$")' true
    jq_eq '[.object, .model, .system_fingerprint]' '["chat.completion","goclaw:priced",null]'
    jq_eq '.created > 1700000000 and (.created | floor) == .created' true
    jq_eq '.choices' '[{"index":0,"message":{"role":"assistant","content":"fine","refusal":null},"logprobs":null,"finish_reason":"length"}]'
    jq_eq '.usage' '{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,
        "prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":0}}'
}

@test "the headers name run, session and agent" {
    say hello goclaw:plain
    local run agent
    run=$(header X-GoClaw-Run-Id) agent=$(header X-GoClaw-Agent-Id)
    jq_eq '.id' "\"chatcmpl-${run//-/}\""
    assert_equal "$agent" "$(sql "SELECT id FROM agents WHERE agent_key = 'plain'")"
    assert_equal "$(header X-GoClaw-Session-Key)" "agent:plain:http-system-${run: -8}"
    [[ $run =~ ^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$ ]]
}

@test "the model names the agent by goclaw:, agent:, uuid or with blanks around" {
    local id form
    id=$(sql "SELECT id FROM agents WHERE agent_key = 'plain'")
    for form in goclaw:plain agent:plain "goclaw: plain " "goclaw:$id" "agent:${id^^}"; do
        say hello "$form"
        assert_status 200
        assert_equal "$(header X-GoClaw-Agent-Id)" "$id"
        jq_eq '.model' "$(jq -n --arg m "$form" '$m')"
        [[ $(header X-GoClaw-Session-Key) == agent:plain:http-* ]]
    done
}

@test "any other model text runs the agent of the header, and the default agent without one" {
    local id model
    id=$(sql "SELECT id FROM agents WHERE agent_key = 'plain'")
    for model in gpt-4o "goclaw:" "GOCLAW:echo"; do
        extra=("X-GoClaw-Agent-Id: plain")
        say hello "$model"
        assert_equal "$(header X-GoClaw-Agent-Id)" "$id"
        jq_eq '.model' "\"$model\""
        extra=()
        say hello "$model"
        assert_equal "$(header X-GoClaw-Agent-Id)" "$(sql "SELECT id FROM agents WHERE agent_key = 'default'")"
    done
    extra=("X-GoClaw-Agent: $id")
    say hello
    assert_equal "$(header X-GoClaw-Agent-Id)" "$id"
    jq_eq '.model' '"goclaw:plain"'
    extra=("X-GoClaw-Agent: echo" "X-GoClaw-Agent-Id: plain")
    say hello
    assert_equal "$(header X-GoClaw-Agent-Id)" "$id"
}

@test "without model and header the default agent answers, offline" {
    say "/echo no network needed"
    assert_status 200
    jq_eq '[.model, .choices[0].message.content]' '["goclaw:default","no network needed"]'
    jq_eq '.usage.prompt_tokens > 0 and .usage.completion_tokens > 0' true
}

@test "the recorded user is the header's, else the body's, else system" {
    api POST /v1/chat/completions '{"messages":[{"role":"user","content":"hi"}],"user":"body-user"}'
    [[ $(header X-GoClaw-Session-Key) == agent:default:http-body-user-* ]]
    extra=("X-GoClaw-User-Id: header-user")
    api POST /v1/chat/completions '{"messages":[{"role":"user","content":"hi"}],"user":"body-user"}'
    [[ $(header X-GoClaw-Session-Key) == agent:default:http-header-user-* ]]
    assert_equal "$(sql "SELECT user_id FROM sessions WHERE key = '$(header X-GoClaw-Session-Key)'")" header-user
    extra=()
    say hi
    assert_equal "$(sql "SELECT user_id FROM sessions WHERE key = '$(header X-GoClaw-Session-Key)'")" system
}

@test "the last user message is the input; earlier texts are context of this run only" {
    api POST /v1/chat/completions '{"model":"goclaw:echo","messages":[
        {"role":"system","content":"be brief"},{"role":"user","content":"one"},{"role":"assistant","content":"two"},
        {"role":"tool","tool_call_id":"x","content":"dropped"},{"role":"developer","content":"be kind"},
        {"role":"user","content":"three"},{"role":"assistant","content":"prefill is ignored"}]}'
    assert_status 200
    jq_eq '[.messages[1:][] | [.role, .text]]' '[["user","one"],["assistant","two"],["user","three"]]' "$(answer)"
    jq_eq '.messages[0].role' '"system"' "$(answer)"
    jq_eq '.messages[0].text | contains("be brief\n\nbe kind")' true "$(answer)"
    local key
    key=$(header X-GoClaw-Session-Key)
    assert_equal "$(sql "SELECT group_concat(role) FROM (SELECT m.role FROM messages m
        JOIN sessions s ON s.id = m.session_id WHERE s.key = '$key' ORDER BY m.seq)")" user,assistant
}

@test "without a session key two requests share nothing" {
    say "remember me" goclaw:echo
    say "again" goclaw:echo
    jq_eq '[.messages[] | select(.role != "system") | .text]' '["again"]' "$(answer)"
}

@test "a session key carries the history over requests" {
    extra=("X-GoClaw-Session-Key: trip-1")
    say "my name is Ada" goclaw:plain
    assert_equal "$(header X-GoClaw-Session-Key)" agent:plain:http:direct:trip-1
    api POST /v1/chat/completions '{"model":"goclaw:plain","messages":[{"role":"user","content":"ignored, it is stored"},
        {"role":"system","content":"be brief"},{"role":"user","content":"who am I"}]}'
    assert_status 200
    run jq -c '[.body.messages[] | select(.role != "system") | [.role, .content]]' <<<"$(upstream_last)"
    assert_output '[["user","my name is Ada"],["assistant","Hello from upstream."],["user","who am I"]]'
    extra=()
    api POST /v1/chat/completions '{"model":"goclaw:plain","metadata":{"session_key":"trip-1"},
        "messages":[{"role":"user","content":"third"}]}'
    assert_equal "$(upstream_last | jq '[.body.messages[] | select(.role != "system")] | length')" 5
    extra=("X-GoClaw-Session-Key: agent:plain:http:direct:trip-1")
    say fourth goclaw:plain
    assert_equal "$(upstream_last | jq '[.body.messages[] | select(.role != "system")] | length')" 7
}

@test "03 §1.6: an admin without a user goes on in another user's session, which stays that user's" {
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: lent")
    say "alice was here"
    assert_status 200
    extra=("X-GoClaw-Session-Key: lent")
    say "/history"
    assert_status 200
    [[ $(answer) == *"alice was here"* ]]
    sse "$(stream_body "the admin was here")"
    assert_equal "$(sse_terminals)" 1
    extra=()
    api GET /v1/sessions/agent:default:http:direct:lent
    jq_eq '[.userID, .messageCount, [.messages[] | select(.role == "user").content]]' \
        '["alice",6,["alice was here","/history","the admin was here"]]'
}

@test "the header's session key wins over the body's" {
    extra=("X-GoClaw-Session-Key: from-header")
    api POST /v1/chat/completions '{"metadata":{"session_key":"from-body"},"messages":[{"role":"user","content":"x"}]}'
    assert_equal "$(header X-GoClaw-Session-Key)" agent:default:http:direct:from-header
}

@test "the offline model remembers a session too" {
    extra=("X-GoClaw-Session-Key: offline-1")
    say "/echo first"
    say "/history"
    [[ $(answer) == *"/echo first"* ]]
    extra=()
    say "/history"
    [[ $(answer) != *"/echo first"* ]]
}

@test "content may be text parts, joined by line breaks" {
    api POST /v1/chat/completions '{"model":"goclaw:echo","messages":[{"role":"user","content":[
        {"type":"text","text":"one"},{"type":"text","text":"zwei 🚀"}]}]}'
    jq_eq '.messages[-1].text' '"one\nzwei 🚀"' "$(answer)"
}

@test "parameters reach the upstream under their own names" {
    api POST /v1/chat/completions '{"model":"goclaw:plain","messages":[{"role":"user","content":"x","name":"n"}],
        "temperature":0,"top_p":0.25,"stop":["a","b"],"seed":-7,"presence_penalty":-2,"frequency_penalty":2,
        "response_format":{"type":"json_object"},"max_tokens":17,"n":1,"tools":[],"logit_bias":{},"store":true,"unknown":[{}]}'
    assert_status 200
    body=$(upstream_last | jq -c .body)
    jq_eq '{temperature,top_p,stop,seed,presence_penalty,frequency_penalty,response_format,max_tokens,model,stream}' '{
        "temperature":0,"top_p":0.25,"stop":["a","b"],"seed":-7,"presence_penalty":-2,"frequency_penalty":2,
        "response_format":{"type":"json_object"},"max_tokens":17,"model":"model-of-plain","stream":false}'
    jq_eq '[has("store"), has("unknown"), has("logit_bias"), has("n")]' '[false,false,false,false]'
}

@test "without parameters the agent's defaults are sent, and the key of the provider" {
    say x goclaw:plain
    body=$(upstream_last | jq -c .)
    jq_eq '.body | [.max_tokens, .temperature, has("top_p"), has("seed")]' '[8192,0.7,false,false]'
    jq_eq '[.path, .headers.authorization, .headers["content-type"]]' '["/v1/chat/completions","Bearer sk-plain","application/json"]'
}

@test "max_tokens lowers the agent's cap and never raises it; the smaller of two names counts" {
    api POST /v1/chat/completions '{"model":"goclaw:plain","messages":[{"role":"user","content":"x"}],"max_tokens":999999}'
    assert_equal "$(upstream_last | jq .body.max_tokens)" 8192
    api POST /v1/chat/completions '{"model":"goclaw:plain","messages":[{"role":"user","content":"x"}],
        "max_tokens":50,"max_completion_tokens":40}'
    assert_equal "$(upstream_last | jq .body.max_tokens)" 40
}

@test "a message without a trailing newline or content type still works" {
    status_code=$(curl -sS -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
        -d '{"messages":[{"role":"user","content":"/echo form type"}]}' "$GATEWAY/v1/chat/completions/")
    body=$(cat "$BATS_TEST_TMPDIR/body")
    assert_status 200
    assert_equal "$(answer)" "form type"
}
