# Long runs store their messages every five rounds: what a crash leaves, and that nothing is stored twice (03 §3.2).

load helper

setup_file() {
    upstream_start
    gateway_start
    provider seven "tool=datetime,loop,delay=40,usage=10:1,text=thinking"
    provider twelve "tool=datetime,loop,delay=250,usage=10:1" # then it counts as turning in circles
    sqlite3 "$DATABASE" "UPDATE agents SET max_tool_iterations = 7 WHERE agent_key = 'seven'"
}

teardown_file() {
    gateway_stop
}

setup() {
    upstream_reset
}

# start NAME BODY: a request in the background; its answer goes to $BATS_TEST_TMPDIR/NAME, its head to NAME.head.
start() {
    local options
    request_options
    curl -sS -N -m 30 -D "$BATS_TEST_TMPDIR/$1.head" -o "$BATS_TEST_TMPDIR/$1" "${options[@]}" --data-binary "$2" \
        "$GATEWAY/v1/chat/completions" 3>&- &
}

# Messages of the sessions whose first one is TEXT.
stored() {
    sql "SELECT COUNT(*) FROM messages WHERE session_id IN (SELECT session_id FROM messages WHERE content = '$1')"
}

stored_are() {
    [ "$(stored "$1")" = "$2" ]
}

# What is stored of the session that begins with TEXT: how many, whether the numbers have no gap, the counters.
exactly() {
    sql "SELECT COUNT(*), MAX(m.seq), COUNT(DISTINCT m.id), s.message_count, s.input_tokens, s.output_tokens
        FROM sessions s JOIN messages m ON m.session_id = s.id
        WHERE s.id IN (SELECT session_id FROM messages WHERE content = '$1') GROUP BY s.id"
}

@test "03 §3.2: a run of seven rounds: everything once, in order, in a new session and in one that is there" {
    local way
    say "plain seven" goclaw:seven
    assert_status 200
    jq_eq '[.choices[0].finish_reason, .choices[0].message.content, .usage.prompt_tokens]' '["stop","thinking",70]'
    assert_equal "$(exactly "plain seven")" "15|15|15|15|70|7"
    [[ $(header X-GoClaw-Session-Key) =~ ^agent:seven:http-system-[0-9a-f]{8}$ ]]
    sse "$(stream_body "streamed seven" goclaw:seven)"
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(exactly "streamed seven")" "15|15|15|15|70|7"
    extra=("X-GoClaw-Session-Key: keyed")
    say "keyed seven" goclaw:seven
    say "again" goclaw:seven
    assert_equal "$(exactly "keyed seven")" "30|30|30|30|140|14"
    assert_equal "$(sql "SELECT requests, llm_calls, tool_calls, input_tokens FROM usage_hourly
        WHERE agent_id = (SELECT id FROM agents WHERE agent_key = 'seven')")" "4|28|28|280"
    assert_equal "$(sql "SELECT COUNT(*) FROM traces WHERE agent_key = 'seven' AND status = 'completed' AND llm_call_count = 7")" 4
}

# bats test_tags=no-cgi
@test "03 §3.2: kill -9 in the seventh round: five rounds are stored, each call with its result, and the session goes on" {
    local chat way
    for way in keyed stream; do
        upstream_reset
        [ $way = stream ] || extra=("X-GoClaw-Session-Key: killed-$way")
        start $way "$(if [ $way = stream ]; then stream_body killed-$way goclaw:twelve; else chat_body killed-$way goclaw:twelve; fi)"
        seventh() { [ "$(upstream_stat requests)" -ge 7 ]; }
        wait_until 10 seventh
        chat=$(comm -12 <(gateway_processes | sort) <(pgrep -x chat | sort) | sort -n | tail -n 1)
        kill -KILL "$chat"
        wait
        assert_equal "$(stored killed-$way)" 11
        assert_equal "$(sql "SELECT group_concat(role, ' ') FROM (SELECT role FROM messages WHERE session_id IN
            (SELECT session_id FROM messages WHERE content = 'killed-$way') ORDER BY seq)")" \
            "user assistant tool assistant tool assistant tool assistant tool assistant tool"
        wait_until 10 is_ready
        interrupted() { [ "$(sql "SELECT error FROM traces WHERE input_preview = 'killed-$way'")" = interrupted ]; }
        wait_until 10 interrupted
        extra=("X-GoClaw-Session-Key: $(sql "SELECT key FROM sessions WHERE id IN
            (SELECT session_id FROM messages WHERE content = 'killed-$way')")")
        say "@upstream loop=0" goclaw:twelve
        assert_status 200
        assert_equal "$(sql "SELECT message_count FROM sessions WHERE id IN
            (SELECT session_id FROM messages WHERE content = 'killed-$way')")" 15
        upstream_last | jq -e '[.body.messages[] | select(.role == "tool") | .content] | length == 6 and all(test("utc"))'
        extra=()
    done
}

@test "03 §3.2: delete and reset take what is stored so far, and what comes late is dropped" {
    local what
    for what in delete reset; do
        extra=("X-GoClaw-Session-Key: gone-$what")
        start $what "$(chat_body gone-$what goclaw:twelve)"
        extra=()
        wait_until 10 stored_are gone-$what 11
        key=/v1/sessions/agent:twelve:http:direct:gone-$what
        if [ $what = delete ]; then api DELETE "$key"; else api POST "$key/reset"; fi
        assert_status 200
        wait
        jq_eq .error.code '"FAILED_PRECONDITION"' "$(<"$BATS_TEST_TMPDIR/$what")"
        assert_equal "$(sql "SELECT status FROM traces WHERE input_preview = 'gone-$what'")" cancelled
        api GET "$key"
        if [ $what = delete ]; then assert_error 404 NOT_FOUND key; else jq_eq '[.messages, .messageCount]' '[[],0]'; fi
    done
    assert_equal "$(sql "SELECT COUNT(*) FROM messages WHERE session_id NOT IN (SELECT id FROM sessions)")" 0
}

@test "03 §3.2, §3.3: a new session that is stored in part is its run's until the end: the next one waits" {
    start first "$(stream_body "first of two" goclaw:twelve)"
    wait_until 10 stored_are "first of two" 11
    extra=("X-GoClaw-Session-Key: $(tr -d '\r' <"$BATS_TEST_TMPDIR/first.head" | sed -n 's/^X-GoClaw-Session-Key: //Ip')")
    say "second @upstream loop=0,tool=nothing" goclaw:twelve
    assert_status 200
    wait
    assert_equal "$(sql "SELECT seq FROM messages WHERE content LIKE 'second%'")" 27
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/first")" 1
}

@test "03 §1.6, §3.2: a new session whose key another user takes meanwhile gets all its messages under a longer one" {
    local way
    begun() { [ -n "$(sql "SELECT 1 FROM traces WHERE status = 'running'")" ]; }
    for way in chat stream; do
        start $way "$("${way}_body" "taken-$way" goclaw:twelve)"
        wait_until 2 begun
        sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO sessions (id, tenant_id, key, agent_id, user_id, created_at, updated_at)
            SELECT '$way', tenant_id, session_key, agent_id, 'mallory', start_time, start_time FROM traces WHERE status = 'running'"
        wait
        assert_equal "$(sql "SELECT count(*) FROM messages WHERE session_id = '$way'")" 0
        assert_equal "$(sql "SELECT s.user_id, s.message_count, COUNT(*), t.status, length(s.key) - length('agent:twelve:http-system-')
            FROM sessions s JOIN messages m ON m.session_id = s.id JOIN traces t ON t.session_key = s.key
            WHERE s.id IN (SELECT session_id FROM messages WHERE content = 'taken-$way') GROUP BY s.id, t.id")" \
            'system|26|26|completed|32'
    done
}

@test "03 §3.2: a run that is cancelled later keeps what is stored and its mark, once" {
    start cancelled "$(chat_body cancelled-one goclaw:twelve)"
    wait_until 10 stored_are cancelled-one 11
    api POST "/v1/runs/$(sql "SELECT id FROM traces WHERE input_preview = 'cancelled-one'")/cancel"
    assert_status 200
    wait
    assert_equal "$(sql "SELECT content FROM messages WHERE session_id IN (SELECT session_id FROM messages
        WHERE content = 'cancelled-one') ORDER BY seq DESC LIMIT 1")" "[Stopped by user]"
    assert_equal "$(exactly cancelled-one | cut -d'|' -f1)" "$(exactly cancelled-one | cut -d'|' -f4)"
    assert_equal "$(sql "SELECT COUNT(*) FROM messages WHERE content = 'cancelled-one'")" 1
}
