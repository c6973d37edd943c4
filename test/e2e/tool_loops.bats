# Models that turn in circles: notes to them, and the end of the run (contract 03 §3.8).

load helper

setup_file() {
    upstream_start
    gateway_start
    # An unknown zone: the same result each time. Without a zone it is another one in each millisecond.
    provider stubborn "tool=datetime,args=%7B%22timezone%22:%22Nowhere%2FLand%22%7D,loop,usage=10:1"
    provider reader "tool=datetime,loop,delay=5"
    provider chatty "tool=datetime,args=%7B%22timezone%22:%22Nowhere%2FLand%22%7D,text=once,loop"
    provider crowd "tool=datetime,args=%7B%22timezone%22:%22Nowhere%2FLand%22%7D,tools=8,loop"
    provider cut "tool=datetime,finish=length,loop"
}

teardown_file() {
    gateway_stop
}

setup() {
    upstream_reset
}

# The notes the model was given in the last request, one a line.
notes() {
    upstream_last | jq -r '.body.messages[] | select(.role == "user") | .content'
}

# The last run's trace.
trace() {
    sql "SELECT $1 FROM traces ORDER BY id DESC LIMIT 1"
}

@test "03 §3.8: the same call with the same result: a note after the third, the end after the fifth" {
    say hello goclaw:stubborn
    assert_status 200
    assert_equal "$(answer)" "Sorry, I kept calling datetime without getting any further, so I stopped here."
    jq_eq '[.choices[0].finish_reason, (.choices[0].message | has("tool_calls")), .usage.prompt_tokens]' '["stop",false,50]'
    assert_equal "$(upstream_stat requests)" 5
    assert_equal "$(notes | grep -c 'datetime was called 3 times')" 1
    assert_equal "$(trace "status || ' ' || tags || ' ' || llm_call_count || ' ' || tool_call_count")" 'completed ["loop_killed"] 5 5'
    grep -q run.loop_stopped "$LOG"
}

@test "03 §3.8: what it says is stored, its calls keep their results, and the session goes on" {
    extra=("X-GoClaw-Session-Key: goes-on")
    say hello goclaw:stubborn
    assert_equal "$(sql "SELECT group_concat(role, ' ') FROM (SELECT m.role FROM messages m JOIN sessions s
        ON s.id = m.session_id WHERE s.key LIKE '%:goes-on' ORDER BY seq)")" \
        "user assistant tool assistant tool assistant tool assistant tool assistant tool assistant"
    say "@upstream loop=0" goclaw:stubborn
    [[ $(answer) == "Result: Unknown timezone."* ]]
}

@test "03 §3.8: reading the same again and again, whatever comes: a note after the eighth, the end after the twelfth" {
    say hello goclaw:reader
    assert_status 200
    assert_equal "$(upstream_stat requests)" 12
    assert_equal "$(notes | grep -c '8 tool calls in a row')" 1
    assert_equal "$(trace tags)" '["loop_killed"]'
}

@test "03 §3.8: a stream ends with the same words, in the caller's language, after what it said before" {
    extra=('Accept-Language: vi')
    sse "$(stream_body hello goclaw:chatty)"
    assert_status 200
    assert_equal "$(sse_terminals)" 1
    [[ $(sse_text) == once*$'\n\nXin lỗi, tôi đã gọi datetime '* ]] || fail "$(sse_text)"
}

@test "03 §3.8: calls of one answer behind the one that ends the run are not executed" {
    say hello goclaw:crowd
    assert_status 200
    assert_equal "$(upstream_stat requests)" 1
    assert_equal "$(trace tool_call_count)" 5
    local key
    key=$(header X-GoClaw-Session-Key)
    assert_equal "$(sql "SELECT COUNT(*) || ' ' || SUM(content LIKE 'Not executed%') FROM messages m JOIN sessions s
        ON s.id = m.session_id WHERE s.key = '$key' AND role = 'tool'")" "8 3"
}

@test "a call cut off by the output limit is asked for again three times, then the run fails" {
    say hello goclaw:cut
    assert_error 503 UNAVAILABLE
    assert_equal "$(upstream_stat requests)" 4
    assert_equal "$(notes | grep -c 'cut off by the output limit')" 3
    assert_equal "$(trace tool_call_count)" 0
}

@test "03 §3.8: a run without circles has no tag" {
    say '/call datetime {}'
    assert_status 200
    assert_equal "$(trace "COALESCE(tags, 'none')")" none
}
