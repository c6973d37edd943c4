# Conversations that grow too large go on with a summary of their beginning (contract 03 §3.6, §3.11).

load helper

setup_file() {
    export CLAWGATE_COMPACT_CALL_MS=1200
    upstream_start
    gateway_start
    provider plain ''
    provider full "tool=datetime,loop,delay=5,text=noted,usage=800:1"
    provider roomy "tool=datetime,loop,delay=5,text=noted,usage=800:1"
    provider mute "tool=datetime,loop,delay=5,usage=800:1"
    provider slow "tool=datetime,loop,delay=1600,text=noted,usage=800:1"
    sqlite3 "$DATABASE" "UPDATE agents SET context_window = 1000 WHERE agent_key IN ('full', 'roomy', 'mute', 'slow');
        UPDATE agents SET compaction_config = '{\"maxHistoryShare\":1}', max_tool_iterations = 6 WHERE agent_key = 'roomy';
        UPDATE agents SET max_tool_iterations = 4 WHERE agent_key = 'slow'"
}

teardown_file() {
    gateway_stop
}

# What such a run leaves is summed up in the background as well: that must be over.
no_jobs() {
    [ "$(sql "SELECT COUNT(*) FROM jobs")" = 0 ]
}

setup() {
    wait_until 8 no_jobs
    upstream_reset
}

# What the upstream was asked, as an array of bodies.
asked() {
    upstream_requests | jq -c 'map(.body | fromjson)'
}

# Of the last run; what is summed up in the background has traces as well.
trace() {
    sql "SELECT $1 FROM traces WHERE name LIKE 'chat %' ORDER BY id DESC LIMIT 1"
}

# ---- while a run goes on ----

@test "03 §3.11: a full window in the middle of a run: the beginning is summed up once, the system message stays" {
    say "count the hours" goclaw:full
    assert_status 200
    body=$(asked)
    jq_eq '.[:13] | map(select(.max_tokens == 1024)) | length' 1
    # Seven messages are the first from which three may go: four stay.
    jq_eq '.[3] | [.max_tokens, .temperature, has("tools"), (.messages | length), .messages[0].role]' '[1024,0.3,false,2,"system"]'
    jq_eq '.[3].messages[1].content | test("user: count the hours\nassistant: noted\nassistant calls datetime: \\{\\}\ntool datetime: ")' true
    jq_eq '.[4].messages | map(.role)' '["system","user","assistant","tool","assistant","tool"]'
    jq_eq '.[4].messages[0] == .[0].messages[0]' true
    jq_eq '.[4].messages[1].content' '"Summary of our conversation so far:\nnoted\n\nWhat you are asked to do now:\ncount the hours"'
    jq_eq '.[4].messages[2:] == .[5].messages[2:6]' true
    jq_eq '.[4] | has("tools")' true
}

@test "03 §3.11: the summary has a span of its own and its usage counts; what is stored stays whole" {
    say "count the days" goclaw:full
    assert_status 200
    jq_eq .usage.prompt_tokens $((13 * 800))
    assert_equal "$(trace "llm_call_count || ' ' || tool_call_count || ' ' || total_input_tokens")" "13 12 10400"
    assert_equal "$(sql "SELECT name || ' ' || status || ' ' || input_tokens || ' ' || output_preview FROM spans
        WHERE trace_id = '$(trace id)' AND name LIKE '%compaction'")" "full/model-of-full compaction completed 800 noted"
    assert_equal "$(sql "SELECT message_count, COUNT(*), input_tokens, last_prompt_tokens FROM sessions s JOIN messages m
        ON m.session_id = s.id WHERE key = '$(header X-GoClaw-Session-Key)'")" "26|26|10400|800"
}

@test "03 §3.11: the agent's own share decides" {
    say hello goclaw:roomy
    assert_status 200
    assert_equal "$(asked | jq 'map(select(.max_tokens == 1024)) | length')" 0
    assert_equal "$(upstream_stat requests)" 6
}

@test "03 §3.11: a summary that fails leaves the messages as they are, and is not asked for again" {
    say hello goclaw:mute
    assert_status 200
    body=$(asked)
    jq_eq 'map(select(.max_tokens == 1024)) | length' 1
    jq_eq '[.[4].messages[:8] == .[5].messages[:8], (.[4].messages | length)]' '[true,8]'
    grep -q run.compaction_failed "$LOG"
    assert_equal "$(sql "SELECT status || ' ' || error FROM spans WHERE trace_id = '$(trace id)' AND name LIKE '%compaction'")" \
        "error the answer was empty"
}

@test "03 §3.11: a summary that takes too long is not waited for" {
    say hello goclaw:slow
    assert_status 200
    assert_equal "$(sql "SELECT status || ' ' || error FROM spans WHERE trace_id = '$(trace id)' AND name LIKE '%compaction'")" \
        "error it took too long"
    assert_equal "$(asked | jq '.[-1].messages | length')" 10 # three rounds, two notes
}

# ---- when the model says that it is too much ----

OVERFLOW='status=400,text=maximum%20context%20length%20is%208192%20tokens'

# talk NAME COUNT: that many exchanges in a session.
talk() {
    local i
    extra=("X-GoClaw-Session-Key: $1")
    for ((i = 1; i <= $2; i++)); do
        say "exchange $i" goclaw:plain
        assert_status 200
    done
    upstream_reset
}

@test "03 §3.6: a conversation that does not fit is summed up, and the call is tried again" {
    talk too-large 4
    say "the last @upstream $OVERFLOW,times=1" goclaw:plain
    assert_status 200
    body=$(asked)
    jq_eq 'map(select(.max_tokens != 1024)) | length' 2
    jq_eq '.[0].messages | length' 10
    jq_eq '.[1].max_tokens' 1024
    jq_eq '.[1].messages[1].content | [test("exchange 1"), test("exchange 4"), test("the last")]' '[true,false,false]'
    jq_eq '.[2].messages | map(.role)' '["system","user","assistant","user","assistant","user"]'
    jq_eq '[.[2].messages[1].content, .[2].messages[3:] == .[0].messages[-3:]]' '["Summary of our conversation so far:\nHello from upstream.",true]'
    assert_equal "$(trace "status || ' ' || llm_call_count")" "completed 3"
    assert_equal "$(sql "SELECT group_concat(status, ' ') FROM (SELECT status FROM spans WHERE trace_id = '$(trace id)' ORDER BY status)")" \
        "completed completed error"
    assert_equal "$(sql "SELECT message_count FROM sessions WHERE key LIKE '%:too-large'")" 10
}

@test "03 §3.6: streams too, with one end" {
    talk too-large-stream 4
    sse "$(stream_body "the last @upstream $OVERFLOW,times=1" goclaw:plain)"
    assert_status 200
    assert_equal "$(sse_terminals)" 1
    sse_json | jq -es 'all(has("error") | not)'
    assert_equal "$(asked | jq -c 'map(.max_tokens == 1024)[:3]')" '[false,true,false]'
}

@test "03 §3.6: when it still does not fit: 400, after one try" {
    talk far-too-large 4
    say "the last @upstream $OVERFLOW" goclaw:plain
    assert_error 400 INVALID_REQUEST
    assert_equal "$(asked | jq -c 'map(.max_tokens == 1024)[:3]')" '[false,true,false]'
    assert_equal "$(asked | jq 'map(select(.max_tokens != 1024)) | length')" 2
    assert_equal "$(trace "status || ' ' || llm_call_count")" "error 3"
}

@test "03 §3.6: what is short already: 400 at once" {
    talk short 2
    say "the last @upstream $OVERFLOW" goclaw:plain
    assert_error 400 INVALID_REQUEST
    assert_equal "$(upstream_stat requests)" 1
}

@test "03 §3.6: a summary that does not fit either is asked for again with less" {
    provider narrow "$OVERFLOW,times=2"
    api POST /v1/chat/completions "$(jq -cn '{model: "goclaw:narrow", messages: [range(9) |
        {role: (if . % 2 == 0 then "user" else "assistant" end), content: ("one two three " * 50)}]}')"
    assert_status 200
    body=$(asked)
    jq_eq 'map(.max_tokens == 1024)' '[false,true,true,false]'
    jq_eq '(.[1].messages[1].content | length) > (.[2].messages[1].content | length)' true
}
