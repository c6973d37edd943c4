# Sessions that became long are summed up in the background, after a run (contract 03 §3.11).

load helper

setup_file() {
    export CLAWGATE_UPSTREAM_RETRY_MS=10
    upstream_start
    gateway_start '{"telemetry":{"model_pricing":{"model-of-short":{"input_per_million":1000000}}}}'
    provider plain ''
    provider short 'usage=10:1'
    provider narrow 'usage=800:1'
    provider wide ''
    sqlite3 "$DATABASE" "UPDATE agents SET compaction_config = '{\"minMessages\":7}' WHERE agent_key = 'short';
        UPDATE agents SET context_window = 1000 WHERE agent_key = 'narrow';
        UPDATE agents SET context_window = 4000 WHERE agent_key = 'wide'"
    clawgate agent create offline-short --provider offline --model offline >/dev/null
    sqlite3 "$DATABASE" "UPDATE agents SET compaction_config = '{\"minMessages\":7,\"keepLastMessages\":2}'
        WHERE agent_key = 'offline-short'"
}

teardown_file() {
    gateway_stop
}

setup() {
    wait_until 8 no_jobs
    upstream_reset
}

# talk NAME AGENT COUNT [FIRST]: that many exchanges in a session, whose first text is FIRST.
talk() {
    local i
    name=agent:$2:http:direct:$1
    extra=("X-GoClaw-Session-Key: $1")
    for ((i = 1; i <= $3; i++)); do
        if [ $i = 1 ] && [ -n "${4:-}" ]; then say "$4" "goclaw:$2"; else say "exchange $i" "goclaw:$2"; fi
        assert_status 200
    done
}

# column LIST: of the session of the last talk.
column() {
    sql "SELECT $1 FROM sessions WHERE key = '$name'"
}

compactions_are() {
    [ "$(column compaction_count)" = "$1" ]
}

# The summaries the upstream was asked for.
summaries() {
    upstream_requests | jq -c 'map(.body | fromjson | select(.max_tokens == 1024))'
}

summary_begun() {
    [ "$(summaries | jq length)" -ge "${1:-1}" ]
}

no_jobs() {
    [ "$(sql "SELECT COUNT(*) FROM jobs")" = 0 ]
}

@test "03 §3.11: more messages than minMessages: all but the last four are summed up; one fewer and nothing happens" {
    talk limit short 3
    api PATCH "/v1/sessions/$name" '{"label":"x"}'
    sleep 1.5
    no_jobs
    assert_equal "$(summaries | jq length)" 0
    say "exchange 4 @upstream text=fine" goclaw:short
    wait_until 5 compactions_are 1
    assert_equal "$(column "message_count, context_start, summary, label")" "8|5|Hello from upstream.|x"
    body=$(summaries)
    jq_eq '[length, .[0].temperature, (.[0] | has("tools")), .[0].model]' '[1,0.3,false,"model-of-short"]'
    jq_eq '.[0].messages[1].content | [test("exchange 1"), test("exchange 2"), test("exchange 3"), test("<summary>")]' '[true,true,false,false]'
    wait_until 2 no_jobs
}

@test "03 §3.11, 02 §10: the next run sees the summary and the rest, the transcript stays whole" {
    talk goes-on short 4
    wait_until 5 compactions_are 1
    say "exchange 5" goclaw:short
    upstream_last | jq -e '[.body.messages[1:][] | .content] == ["Summary of our conversation so far:\nHello from upstream.",
        "Understood, I will build on that.", "exchange 3", "Hello from upstream.", "exchange 4", "Hello from upstream.", "exchange 5"]'
    api GET "/v1/sessions/$name"
    jq_eq '[.messages[] | .content] | [length, .[0], .[8]]' '[10,"exchange 1","exchange 5"]'
    jq_eq .summary '"Hello from upstream."'
    api GET "/v1/sessions?limit=200"
    jq_eq "[.sessions[] | select(.key == \"$name\") | .compactionCount, .messageCount]" '[1,10]'
}

@test "03 §3.11: a second one takes the first along and begins where it ended" {
    talk again short 4 'exchange 1 @upstream text=THE_FIRST'
    wait_until 5 compactions_are 1
    assert_equal "$(column summary)" THE_FIRST
    talk again short 1 # four that were left and two
    sleep 1.2
    compactions_are 1
    talk again short 1
    wait_until 5 compactions_are 2
    assert_equal "$(column "context_start, message_count")" "9|12"
    summaries | jq -e '.[1].messages[1].content | [test("<summary>\nTHE_FIRST\n</summary>"), test("exchange 2"), test("exchange 3"),
        test("exchange 1")] == [true, false, true, false]'
}

@test "03 §3.11, §3.13: its tokens and their price are counted, and it is audited" {
    talk counted short 4
    wait_until 5 compactions_are 1
    assert_equal "$(column "input_tokens, output_tokens")" "50|5" # of its runs, and this
    assert_equal "$(sql "SELECT status, tags, llm_call_count, total_input_tokens, total_cost, output_preview, input_preview IS NULL
        FROM traces WHERE session_key = '$name' AND name = 'compaction short'")" \
        'completed|["compaction"]|1|10|10.0|Hello from upstream.|1'
    assert_equal "$(sql "SELECT p.name, p.status, p.input_tokens, p.total_cost FROM spans p JOIN traces t ON t.id = p.trace_id
        WHERE t.session_key = '$name' AND t.name = 'compaction short'")" "short/model-of-short compaction|completed|10|10.0"
    # Usage is what the traces say.
    assert_equal "$(sql "SELECT SUM(requests), SUM(llm_calls), SUM(input_tokens), SUM(cost) FROM usage_hourly WHERE model = 'model-of-short'")" \
        "$(sql "SELECT COUNT(*), SUM(llm_call_count), SUM(total_input_tokens), SUM(total_cost) FROM traces WHERE model = 'model-of-short'")"
    assert_equal "$(sql "SELECT actor_type, actor_id, entity_type FROM activity_logs WHERE action = 'session.compacted' AND entity_id = '$name'")" \
        "system|system|session"
}

@test "03 §3.11: a full window by what the provider counts, or by the texts, however few messages" {
    talk counted-full narrow 2
    sleep 1.2
    compactions_are 0 # four messages are never summed up
    talk counted-full narrow 1
    wait_until 5 compactions_are 1
    assert_equal "$(column "message_count, context_start")" "6|3"
    talk texts wide 2
    say "$(printf 'long %.0s' {1..1900})" goclaw:wide
    wait_until 5 compactions_are 1
    assert_equal "$(column "message_count, context_start")" "6|3"
}

@test "03 §3.6, §3.11: a conversation a model refused is summed up for the next run too" {
    talk refused plain 4
    say "the last @upstream status=400,text=maximum%20context%20length%20is%208192%20tokens,times=1" goclaw:plain
    assert_status 200
    wait_until 5 compactions_are 1
    assert_equal "$(column "message_count, context_start")" "10|7"
}

@test "03 §3.11: the built-in model writes no prose: the user's words are listed" {
    talk listed offline-short 4 '/echo first'
    wait_until 5 compactions_are 1
    assert_equal "$(column "context_start, summary")" "7|6 messages; the user wrote:
- /echo first
- exchange 2
- exchange 3"
}

@test "03 §3.11: runs are not held up by it, and what they add meanwhile stays" {
    talk meanwhile short 4 'exchange 1 @upstream delay=1500,text=LATE'
    wait_until 5 summary_begun
    local began
    began=$(now_ms)
    say "exchange 5" goclaw:short
    assert_status 200
    [ $(($(now_ms) - began)) -lt $((1000 * SLOWER)) ] || fail "the run was held up"
    assert_equal "$(column compaction_count)" 0
    wait_until 5 compactions_are 1
    assert_equal "$(column "message_count, context_start, summary")" "10|5|LATE"
    say "exchange 6" goclaw:short
    upstream_requests | jq -e 'map(.body | fromjson | select(.max_tokens != 1024)) | last.messages | length == 10'
}

@test "03 §3.11: a session with a run going on is left alone until that one ends" {
    talk busy short 3
    local i
    for i in 4 5; do
        request_options
        curl -sS -m 30 -o /dev/null "${options[@]}" --data-binary "$(chat_body "slow $i @upstream delay=1800" goclaw:short)" \
            "$GATEWAY/v1/chat/completions" 3>&- &
        sleep 0.2
    done
    eight() { [ "$(column message_count)" = 8 ]; }
    wait_until 5 eight # the second one begins
    sleep 1.3
    assert_equal "$(summaries | jq length)" 0
    compactions_are 0
    wait
    wait_until 5 compactions_are 1
    assert_equal "$(column "message_count, context_start")" "10|7"
}

@test "03 §3.11, §6.5: reset and delete meanwhile: nothing of it is stored" {
    local what
    for what in reset delete; do
        upstream_reset
        talk gone-$what short 4 "exchange 1 @upstream delay=1200,text=LATE_$what"
        wait_until 5 summary_begun
        if [ $what = reset ]; then api POST "/v1/sessions/$name/reset"; else api DELETE "/v1/sessions/$name"; fi
        assert_status 200
        wait_until 5 no_jobs
        assert_equal "$(sql "SELECT COUNT(*) FROM sessions WHERE summary LIKE 'LATE_$what'")" 0
        if [ $what = reset ]; then assert_equal "$(column "compaction_count, context_start")" "0|1"; else assert_equal "$(column 1)" ""; fi
    done
}

@test "03 §3.11: a summary that fails changes nothing, and is tried again after the next run" {
    # Its answers are what makes the upstream fail when it finds them in the conversation.
    provider failing 'text=%40upstream%20status=500%2Ctimes=3'
    sqlite3 "$DATABASE" "UPDATE agents SET compaction_config = '{\"minMessages\":7}' WHERE agent_key = 'failing'"
    talk failing failing 4
    failed() { grep -q "session.compaction_failed.*failing" "$LOG"; }
    wait_until 8 failed
    wait_until 2 no_jobs
    assert_equal "$(column "compaction_count, context_start, summary")" "0|1|"
    say "exchange 5" goclaw:failing
    assert_status 200
    wait_until 8 compactions_are 1
}

# bats test_tags=no-cgi
@test "03 §3.11: a chat that is killed meanwhile: the next one does it" {
    talk killed short 4 'exchange 1 @upstream delay=1500,text=LATE'
    wait_until 5 summary_begun
    local chat
    chat=$(comm -12 <(gateway_processes | sort) <(pgrep -x chat | sort) | sort -n | tail -n 1)
    kill -KILL "$chat"
    wait_until 10 compactions_are 1
    assert_equal "$(column "message_count, context_start, summary")" "8|5|LATE"
    assert_equal "$(summaries | jq length)" 2
}

# bats test_tags=no-cgi
@test "03 §3.11: a reload hands it over to the new process" {
    talk reloaded short 4 'exchange 1 @upstream delay=1500,text=LATE'
    wait_until 5 summary_begun
    clawgate reload
    wait_until 10 compactions_are 1
    wait_until 3 no_jobs
    compactions_are 1
}
