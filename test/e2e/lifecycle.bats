# Starting, stopping, reloading and dying: nothing acknowledged is lost, nothing is left over, the service comes back.

load helper

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start '{"gateway": {"prefork_idle_seconds": 1, "drain_seconds": 2}}'
    provider plain ''
}

teardown_file() {
    gateway_stop
}

# Every test begins with a gateway that serves, whatever the one before left.
setup() {
    is_ready || {
        clawgate stop >/dev/null 2>&1 || true
        gateway_serve
    }
}

# ---- processes ----

serve_pid() {
    head -n 1 "$GATEWAY_HOME/serve.lock"
}

# child PID NAME: the newest child of that name, nothing when there is none.
child() {
    pgrep -n -P "$1" -x "$2" || true
}

# pid_of chat | chat-worker | sessions | sessions-worker | lighttpd | …
pid_of() {
    local pid
    pid=$(child "$(serve_pid)" "${1%-worker}")
    case $1 in *-worker) [ -z "$pid" ] || pid=$(child "$pid" "${1%-worker}") ;; esac
    echo "$pid"
}

parent_of() {
    local line
    read -r line 2>/dev/null <"/proc/$1/stat" || return 0
    line=${line##*) ? }
    echo "${line%% *}"
}

# Processes of this home that neither are the serve that runs nor descend from it.
orphans() {
    local pid up serve
    serve=$(serve_pid)
    for pid in $(gateway_processes); do
        up=$pid
        while [ -n "$up" ] && [ "$up" != "$serve" ] && [ "$up" -gt 1 ]; do up=$(parent_of "$up"); done
        [ -z "$up" ] || [ "$up" = "$serve" ] || echo "$pid"
    done
}

no_orphans() {
    [ -z "$(orphans)" ]
}

answers() {
    curl -fs -m 2 -o /dev/null -H "Authorization: Bearer $TOKEN" "$GATEWAY$1"
}

serves() {
    answers /ready && answers '/v1/sessions?limit=1' && answers /health
}

# kill_and_recover NAME: one SIGKILL; every program answers and nothing is orphaned within two seconds.
kill_and_recover() {
    local pid began took
    pid=$(pid_of "$1")
    [ -n "$pid" ] || fail "there is no $1"
    began=$(now_ms)
    kill -KILL "$pid"
    wait_until 5 serves || fail "$1 killed: no service"
    took=$(($(now_ms) - began))
    [ $took -le $((2000 * SLOWER)) ] || fail "$1 killed: service after $took ms"
    wait_until 2 no_orphans || fail "$1 killed: orphans $(orphans)"
    [ "$(pid_of "$1")" != "$pid" ]
}

# ---- load ----

# transfers COUNT BODY…: that many requests at a time, the bodies in turn, the answers in $BATS_TEST_TMPDIR/a1…
transfers() {
    local i count=$1 bodies=() text
    shift
    for text; do bodies+=("$(jq -Rs . <<<"$text")"); done
    for ((i = 1; i <= count; i++)); do
        printf 'url = "%s/v1/chat/completions"\noutput = "%s/a%s"\nwrite-out = "%%{http_code}\\n"\nmax-time = 30\n' \
            "$GATEWAY" "$BATS_TEST_TMPDIR" "$i"
        printf 'header = "Authorization: Bearer %s"\ndata = %s\n' "$TOKEN" "${bodies[i % ${#bodies[@]}]}"
        [ "$i" = "$count" ] || echo next
    done >"$BATS_TEST_TMPDIR/transfers"
}

# transfer PARALLEL: the status of each goes to $BATS_TEST_TMPDIR/codes.
transfer() {
    exec curl -sS -Z --parallel-immediate --parallel-max "$1" -K "$BATS_TEST_TMPDIR/transfers" \
        >"$BATS_TEST_TMPDIR/codes" 2>"$BATS_TEST_TMPDIR/curl"
}

fail_if_any() {
    local lines
    lines=$(cat)
    [ -z "$lines" ] || fail "$lines"
}

# Each file is a stream that was ended exactly once.
assert_ended_once() {
    local file
    for file; do
        sed -n 's/^data: //p' "$file" | jq -Rsc --arg file "${file##*/}" 'split("\n")[:-1] | [$file, last,
            (map(select(. == "[DONE]")) | length),
            (map(select(. != "[DONE]") | fromjson | select(.error or .choices[0].finish_reason)) | length)]'
    done | grep -v '","\[DONE\]",1,1\]$' | fail_if_any
}

upstream_got() {
    [ "$(upstream_stat requests)" = "$1" ]
}

# A stream without end in the background: $BATS_TEST_TMPDIR/NAME, $client is its process.
endless() {
    curl -sS -N -m 60 -o "$BATS_TEST_TMPDIR/$1" -H "Authorization: Bearer $TOKEN" \
        --data-binary "$(stream_body "$1 @upstream endless=1,pace=50" goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" 2>/dev/null 3>&- &
    client=$!
    flows() { grep -qs '"content":"..*"' "$BATS_TEST_TMPDIR/$1"; }
    wait_until 5 flows "$1"
}

integrity() {
    assert_equal "$(sqlite3 "$DATABASE" 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok
}

config_set() {
    jq "$1" "$GATEWAY_HOME/config.json" >"$BATS_TEST_TMPDIR/config"
    cat "$BATS_TEST_TMPDIR/config" >"$GATEWAY_HOME/config.json"
}

# ---- start and stop ----

@test "programs other than chat are not there until asked, rest again when idle, and come back" {
    clawgate stop
    gateway_serve
    [ -n "$(pid_of chat)" ]
    assert_equal "$(pid_of sessions)$(pid_of docs)" ""
    local round
    for round in 1 2; do
        api GET /v1/sessions
        assert_status 200
        [ -n "$(pid_of sessions)" ]
        rested() { [ -z "$(pid_of sessions)" ]; }
        wait_until 4 rested || fail "sessions does not rest in round $round"
    done
    [ -n "$(pid_of chat-worker)" ]
}

@test "a second serve on the same home is refused with 3 and names the first" {
    run timeout 5 "$ROOT/tools/clawgate" serve --home "$GATEWAY_HOME"
    assert_equal "$status" 3
    assert_output --partial "already being served by process $(serve_pid)"
    serves
    run clawgate status
    assert_success
    assert_line ready
}

# status and stop, too, take the lock for a moment to see whether it is free.
@test "a look at the lock does not keep serve from starting" {
    clawgate stop
    flock "$GATEWAY_HOME/serve.lock" sleep 0.4 3>&- &
    sleep 0.1
    gateway_serve
    run -0 clawgate status
    assert_line ready
}

@test "several who look at a home that is stopped all see that" {
    clawgate stop
    flock -s "$GATEWAY_HOME/serve.lock" sleep 0.5 3>&- &
    sleep 0.1
    run -3 clawgate status
}

@test "a port that is taken is said at once, and no other gateway passes for this one" {
    local home
    home=$(mktemp -d /tmp/clawgate-e2e.XXXXXX)
    "$ROOT/tools/clawgate" init --home "$home" --port "$PORT"
    run -1 timeout 10 "$ROOT/tools/clawgate" serve --home "$home"
    assert_output --partial "gateway.port $PORT: Address already in use"
    refute_output --partial "listens on"
    sed -i 's/127\.0\.0\.1/192.0.2.1/' "$home/config.json"
    run -1 timeout 10 "$ROOT/tools/clawgate" serve --home "$home"
    assert_output --partial "gateway.host 192.0.2.1"
    rm -r "$home"
}

@test "gateway.host may be an address of IPv6, with and without brackets" {
    grep -q '^0*1 .* lo$' /proc/net/if_inet6 || skip "no IPv6 here"
    local home host port pid
    home=$(mktemp -d /tmp/clawgate-e2e.XXXXXX)
    port=$(free_port)
    "$ROOT/tools/clawgate" init --home "$home" --port "$port"
    for host in ::1 '[::1]' ::; do
        sed -i "s/\"host\": \"[^\"]*\"/\"host\": \"$host\"/" "$home/config.json"
        "$ROOT/tools/clawgate" serve --home "$home" >"$home/out" 2>&1 3>&- &
        pid=$!
        wait_until 5 curl -fs -o /dev/null -m 5 "http://[::1]:$port/ready" || fail "$(cat "$home/out" "$home"/log/*)"
        run -0 "$ROOT/tools/clawgate" api GET /health --home "$home"
        assert_output '{"status":"ok"}'
        run -0 "$ROOT/tools/clawgate" status --home "$home"
        assert_line ready
        "$ROOT/tools/clawgate" stop --home "$home"
        wait "$pid"
    done
    rm -r "$home"
}

@test "init is safe to repeat, and does not change a home that has other values" {
    run clawgate init
    assert_success
    run clawgate init --token another
    assert_failure
    assert_output --partial "exists with other values"
    assert_equal "$(clawgate token)" "$TOKEN"
}

@test "stop leaves no process and no socket; a stopped home says so" {
    api GET /v1/sessions
    run clawgate stop
    assert_success
    assert_output stopped
    assert_equal "$(gateway_processes)" ""
    refute grep -F "$GATEWAY_HOME/run" /proc/net/unix
    run -7 curl -sS "$GATEWAY/health"
    run -3 clawgate status
    run -1 clawgate stop
    assert_output --partial "nothing serves"
}

# In a container the first process often is one that buries nobody.
@test "stop ends when serve has ended, though its parent does not take notice" {
    local parent
    clawgate stop
    bash -c '"$0" serve --home "$1" >"$1/serve.out" 2>&1 & exec sleep 60' "$ROOT/tools/clawgate" "$GATEWAY_HOME" 3>&- &
    parent=$!
    wait_until 10 is_ready
    run timeout 10 "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME"
    kill "$parent"
    assert_success
    assert_output stopped
}

@test "a database newer than the program is refused with a message" {
    clawgate stop
    local version
    version=$(sqlite3 "$DATABASE" 'PRAGMA user_version')
    sqlite3 "$DATABASE" 'PRAGMA user_version = 4711'
    run timeout 5 "$ROOT/tools/clawgate" serve --home "$GATEWAY_HOME"
    assert_equal "$(sqlite3 "$DATABASE" "PRAGMA user_version; PRAGMA user_version = $version")" 4711
    assert_equal "$status" 1
    assert_output --partial "the database has version 4711, this program knows"
    assert_equal "$(gateway_processes)" ""
    gateway_serve
}

# ---- dying ----

@test "chat's worker killed: its clients are told, its runs are marked, new requests wait and are served" {
    endless interrupted-1
    local stream_client=$client
    curl -sS -m 20 -o "$BATS_TEST_TMPDIR/plain" -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
        --data-binary "$(chat_body 'interrupted-2 @upstream stall=headers' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" >"$BATS_TEST_TMPDIR/plain.code" 3>&- &
    local plain_client=$!
    running() { [ "$(sql "SELECT count(*) FROM traces
        WHERE status = 'running' AND input_preview LIKE 'interrupted-%'")" = 2 ]; }
    wait_until 3 running
    transfers 20 "$(chat_body 'after @upstream tokens=1' goclaw:plain)"
    kill -KILL "$(pid_of chat-worker)"
    (transfer 20)
    assert_equal "$(sort "$BATS_TEST_TMPDIR/codes" | uniq -c | tr -s ' ')" " 20 200"
    wait $stream_client || true
    wait $plain_client
    local code
    code=$(cat "$BATS_TEST_TMPDIR/plain.code")
    [[ $code == 50? ]] || fail "the plain client got $code"
    jq -e '.error.code and .error.message' "$BATS_TEST_TMPDIR/plain"
    refute grep -q '"finish_reason":"stop"' "$BATS_TEST_TMPDIR/interrupted-1"
    interrupted() { [ "$(sql "SELECT group_concat(DISTINCT status || ' ' || error) FROM traces
        WHERE input_preview LIKE 'interrupted-%'")" = "error interrupted" ]; }
    wait_until 8 interrupted ||
        fail "$(sql "SELECT status, error FROM traces WHERE input_preview LIKE 'interrupted-%'")"
    api GET '/v1/runs?limit=200'
    jq_eq '[.runs[] | select(.status == "running")] | length' 0
    no_orphans
}

@test "one process killed: every program answers within two seconds, no orphan" {
    local name
    for name in chat-worker chat sessions-worker sessions lighttpd; do
        answers '/v1/sessions?limit=1' || fail "before $name was killed"
        kill_and_recover "$name"
    done
    integrity
}

@test "lighttpd killed: the streams it carried are cancelled" {
    endless cut-1
    kill_and_recover lighttpd
    wait "$client" || true
    cancelled() { [ "$(sql "SELECT status FROM traces WHERE input_preview LIKE 'cut-1%'")" = cancelled ]; }
    wait_until 2 cancelled
}

@test "serve killed under load: no process is left, what was acknowledged is there, the next serve starts" {
    transfers 400 "$(chat_body 'ack @upstream tokens=3' goclaw:plain)" \
        "$(stream_body 'ack @upstream tokens=3,pace=20' goclaw:plain)"
    transfer 8 3>&- &
    local load=$!
    enough() { [ "$(sql "SELECT count(*) FROM traces
        WHERE input_preview LIKE 'ack%' AND status = 'completed'")" -ge 60 ]; }
    wait_until 15 enough
    kill -KILL "$(serve_pid)"
    wait_until 2 no_gateway_processes || fail "left: $(gateway_processes)"
    kill $load 2>/dev/null || true
    wait $load || true
    gateway_serve
    integrity
    # Plain answers that arrived whole, and streams that came to their end.
    local file
    for file in "$BATS_TEST_TMPDIR"/a*; do
        if jq -e .id "$file" || grep -qx 'data: \[DONE\]' "$file"; then
            grep -o -m 1 'chatcmpl-[0-9a-f]*' "$file" | head -n 1 | sed 's/chatcmpl-//'
        fi >>"$BATS_TEST_TMPDIR/acked.unsorted" 2>/dev/null
    done
    grep -x '[0-9a-f]\{32\}' "$BATS_TEST_TMPDIR/acked.unsorted" | sort >"$BATS_TEST_TMPDIR/acked"
    sql "SELECT replace(t.run_id, '-', '') FROM traces t JOIN sessions s ON s.key = t.session_key
        WHERE t.status = 'completed' AND (SELECT count(*) FROM messages m WHERE m.session_id = s.id) = 2" |
        sort >"$BATS_TEST_TMPDIR/stored"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/acked")" -ge 40 ]
    assert_equal "$(comm -23 "$BATS_TEST_TMPDIR/acked" "$BATS_TEST_TMPDIR/stored")" ""
}

# ---- draining ----

@test "SIGTERM during a hundred streams: each ends exactly once, finished or with one error" {
    upstream_reset
    transfers 100 "$(stream_body 'drain-short @upstream tokens=20,pace=100' goclaw:plain)" \
        "$(stream_body 'drain-endless @upstream endless=1,pace=50' goclaw:plain)"
    transfer 100 3>&- &
    wait_until 10 upstream_got 100
    local began took
    began=$(now_ms)
    clawgate stop
    took=$(($(now_ms) - began))
    [ $took -le $((6000 * SLOWER)) ] || fail "stopped after $took ms"
    wait $!
    assert_equal "$(gateway_processes)" ""
    assert_ended_once "$BATS_TEST_TMPDIR"/a{1..100}
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/a{1..100} | grep -c '"finish_reason":"stop"')" 50
    cat "$BATS_TEST_TMPDIR"/a{1..100} | grep '"error"' | sed 's/^data: //' >"$BATS_TEST_TMPDIR/errors"
    assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/errors")" 50
    body=$(head -n 1 "$BATS_TEST_TMPDIR/errors")
    assert_envelope 503 UNAVAILABLE
    integrity
    assert_equal "$(sql "SELECT group_concat(n) FROM (SELECT count(*) || ' ' || status AS n FROM traces
        WHERE input_preview LIKE 'drain-%' GROUP BY status ORDER BY status)")" "50 cancelled,50 completed"
}

@test "while it stops new runs are told 503; a second SIGTERM leaves those in flight no time" {
    clawgate stop
    config_set '.gateway.drain_seconds = 60'
    gateway_serve
    endless hurried
    local pid
    pid=$(serve_pid)
    kill -TERM "$pid"
    refused() { say "too late" && [ "$status_code" = 503 ]; }
    wait_until 3 refused
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" ""
    api GET /ready
    assert_status 503
    # It takes no more runs, and lets this one go on.
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/hurried")" 0
    kill -0 "$client"
    kill -TERM "$pid"
    wait_until 3 no_gateway_processes
    wait "$client"
    assert_ended_once "$BATS_TEST_TMPDIR/hurried"
    config_set '.gateway.drain_seconds = 2'
}

# ---- reloading ----

@test "five reloads under load refuse no request" {
    local load=$BUILD/test/bench/load body i
    [ -x "$load" ] || make -s -C "$ROOT" BUILD="$BUILD" "$load"
    body=$(chat_body '@upstream tokens=1' goclaw:plain)
    "$load" rr --url "$GATEWAY/v1/chat/completions" --token "$TOKEN" --body "$body" --concurrency 4 --warmup 0 \
        --seconds 3 >"$BATS_TEST_TMPDIR/plain" 3>&- &
    local plain=$!
    "$load" rr --url "$GATEWAY/v1/sessions?limit=1" --no-body --token "$TOKEN" --concurrency 2 --warmup 0 \
        --seconds 3 >"$BATS_TEST_TMPDIR/sessions" 3>&- &
    local sessions=$!
    "$load" streams --url "$GATEWAY/v1/chat/completions" --token "$TOKEN" --streams 100 --ramp 2000 \
        --body "$(stream_body '@upstream tokens=10,pace=100' goclaw:plain)" >"$BATS_TEST_TMPDIR/streams" 3>&- &
    local streams=$!
    for i in 1 2 3 4 5; do
        sleep 0.4
        clawgate reload
    done
    wait $plain || fail "chat: $(cat "$BATS_TEST_TMPDIR/plain")"
    wait $sessions || fail "sessions: $(cat "$BATS_TEST_TMPDIR/sessions")"
    wait $streams || fail "streams: $(cat "$BATS_TEST_TMPDIR/streams")"
    jq_eq '[.complete, .errors]' '[100,0]' "$(cat "$BATS_TEST_TMPDIR/streams")"
    jq_eq '.errors == 0 and .requests > 50' true "$(cat "$BATS_TEST_TMPDIR/plain")"
    jq_eq '.errors == 0 and .requests > 50' true "$(cat "$BATS_TEST_TMPDIR/sessions")"
    one_crew() { [ "$(pgrep -c -P "$(pid_of chat)" -x chat)" = 1 ]; }
    wait_until 5 one_crew || fail "old workers stay: $(pgrep -P "$(pid_of chat)")"
    no_orphans
}

@test "reload brings a new token into force and ends the old one" {
    config_set '.gateway.token = "another-token-0123456789abcdef"'
    clawgate reload
    fresh() { bearer=another-token-0123456789abcdef api GET "$1" && [ "$status_code" = 200 ]; }
    old_refused() { api GET "$1" && [ "$status_code" = 401 ]; }
    local path
    for path in /v1/sessions /v1/models; do
        wait_until 3 fresh "$path"
        wait_until 3 old_refused "$path"
        assert_error 401 UNAUTHORIZED
    done
    config_set ".gateway.token = \"$TOKEN\""
    clawgate reload
    wait_until 3 answers /v1/models
    wait_until 3 answers /v1/sessions
}

@test "reload with settings that cannot be read keeps the old ones" {
    local worker
    worker=$(pid_of chat-worker)
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/good"
    echo '{"gateway": {' >"$GATEWAY_HOME/config.json"
    kill -HUP "$(serve_pid)"
    refused() { [ "$(grep -c "$1" "$LOG")" -ge 1 ]; }
    wait_until 5 refused '"event":"service.config"'
    is_ready
    assert_equal "$(pid_of chat-worker)" "$worker"
    cat "$BATS_TEST_TMPDIR/good" >"$GATEWAY_HOME/config.json"
    serves
}

@test "reload says what is wrong with the settings, and leaves the gateway alone" {
    local serve
    serve=$(serve_pid)
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/good"
    config_set '.gateway.drain_seconds = "soon"'
    run clawgate reload
    cat "$BATS_TEST_TMPDIR/good" >"$GATEWAY_HOME/config.json"
    assert_failure
    assert_output --partial "gateway.drain_seconds"
    refute_output --partial "reload asked for"
    run -0 clawgate reload
    assert_equal "$(serve_pid)" "$serve"
    serves
}

# No file means no settings, and so no token: that is for a start, not for the moment in which an editor changes it.
@test "a reload without config.json keeps the settings, the token above all" {
    mv "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/good"
    run clawgate reload
    kill -HUP "$(serve_pid)"
    sleep 0.5
    mv "$BATS_TEST_TMPDIR/good" "$GATEWAY_HOME/config.json"
    assert_failure
    assert_output --partial "config.json"
    for bearer in "" wrong; do
        api GET /v1/models
        assert_status 401
    done
    bearer=$TOKEN
    serves
}

# Programs other than chat start with a request, at any time.
@test "until a reload every program has the same settings, also one that starts meanwhile" {
    local settings
    bearer=$TOKEN
    rested() { [ -z "$(pid_of sessions)" ]; }
    cp "$GATEWAY_HOME/config.json" "$BATS_TEST_TMPDIR/good"
    for settings in '{"gateway": {"token": "another-token-0123456789"}}' '{"gateway": {' \
        '{"gateway": {"drain_seconds": "soon"}}'; do
        wait_until 6 rested
        echo "$settings" >"$GATEWAY_HOME/config.json"
        [[ $settings == *another* ]] || kill -HUP "$(serve_pid)"
        sleep 0.3
        for path in sessions models; do
            api GET "/v1/$path"
            assert_status 200
        done
    done
    cat "$BATS_TEST_TMPDIR/good" >"$GATEWAY_HOME/config.json"
    grep -q '"event":"serve.settings_kept"' "$LOG"
    assert_equal "$(stat -c %a "$GATEWAY_HOME/run/config.json")" 600
}

@test "01 §10: a setting of the wrong kind is refused by serve, with its name" {
    clawgate stop
    config_set '.gateway.drain_seconds = "soon"'
    run timeout 5 "$ROOT/tools/clawgate" serve --home "$GATEWAY_HOME"
    config_set '.gateway.drain_seconds = 2'
    assert_equal "$status" 1
    assert_output --partial gateway.drain_seconds
}
