# GET /metrics: what all programs and processes counted together.

load helper

setup_file() {
    gateway_start
    export READ_KEY WRITE_KEY ADMIN_KEY
    READ_KEY=$(clawgate key create --name r --scopes read)
    WRITE_KEY=$(clawgate key create --name w --scopes write)
    ADMIN_KEY=$(clawgate key create --name a --scopes admin)
}

teardown_file() {
    gateway_stop
}

# value SERIES: its number; empty when there is none.
value() {
    bearer=$TOKEN api GET /metrics
    assert_status 200
    awk -v series="clawgate_$1" '$1 == series { print $2 }' <<<"$body"
}

is() {
    [ "$(value "$1")" = "$2" ]
}

@test "administrators see it, others do not" {
    bearer=$ADMIN_KEY api GET /metrics
    assert_status 200
    assert_equal "$(header Content-Type)" "text/plain; version=0.0.4; charset=utf-8"
    [[ $body == '# HELP clawgate_'* ]]
    bearer=$WRITE_KEY api GET /metrics
    assert_error 403 UNAUTHORIZED
    bearer=$READ_KEY api GET /metrics
    assert_error 403 UNAUTHORIZED
    bearer='' api GET /metrics
    assert_error 401 UNAUTHORIZED
    api HEAD /metrics
    assert_status 200
    api POST /metrics '{}'
    assert_error 405 INVALID_REQUEST
}

@test "every line is well-formed and every name has one TYPE" {
    api GET /metrics
    run grep -vE '^(# (HELP|TYPE) clawgate_[a-z_]+ .+|clawgate_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.]+)$' <<<"$body"
    refute_output
    [ -z "$(grep '^# TYPE' <<<"$body" | sort | uniq -d)" ]
}

@test "requests, runs and tokens of all programs are counted" {
    local before runs in
    say hi
    before=$(value 'requests_total{program="sessions",class="4xx"}')
    runs=$(value 'runs_total{outcome="completed"}')
    in=$(value 'llm_tokens_total{direction="input"}')
    api GET /v1/sessions/nothing
    assert_status 404
    wait_until 5 is 'requests_total{program="sessions",class="4xx"}' $((${before:-0} + 1))
    say hi
    assert_status 200
    wait_until 5 is 'runs_total{outcome="completed"}' $((runs + 1))
    assert_equal "$(value 'llm_tokens_total{direction="input"}')" $((in + $(jq .usage.prompt_tokens <<<"$(say hi; echo "$body")")))
    [ "$(value writer_jobs_total)" -ge "$(value writer_groups_total)" ]
    [ "$(value writer_groups_total)" -ge 1 ]
    [ "$(value llm_calls_total)" -ge 3 ]
    assert_equal "$(value 'request_duration_seconds_bucket{program="chat",le="+Inf"}')" \
        "$(value 'request_duration_seconds_count{program="chat"}')"
}

@test "runs and streams that are open now" {
    wait_until 5 is active_streams 0
    curl -sN -o /dev/null -H "Authorization: Bearer $TOKEN" "$GATEWAY/v1/chat/completions" \
        -d "$(stream_body $'/slow 20000\n/echo a b c')" 3>&- &
    local client=$!
    wait_until 5 is active_streams 1
    assert_equal "$(value active_runs)" 1
    kill $client
    wait_until 5 is active_streams 0
    wait_until 5 is active_runs 0
    [ "$(value 'runs_total{outcome="cancelled"}')" -ge 1 ]
    [ "$(value streams_total)" -ge 1 ]
}

@test "a killed chat worker takes its gauges along; its death is counted" {
    local deaths worker
    deaths=$(value 'worker_deaths_total{program="chat"}')
    curl -sN -o /dev/null -H "Authorization: Bearer $TOKEN" "$GATEWAY/v1/chat/completions" \
        -d "$(stream_body $'/slow 20000\n/echo a b c')" 3>&- &
    wait_until 5 is active_runs 1
    worker=$(jq -r 'select(.program == "chat" and .event == "request") | .pid' "$LOG" | tail -n 1)
    kill -KILL "$worker"
    wait_until 10 is_ready
    wait_until 5 is active_runs 0
    assert_equal "$(value active_streams)" 0
    assert_equal "$(value 'worker_deaths_total{program="chat"}')" $((deaths + 1))
}

@test "failed authentication is counted" {
    local before
    before=$(value 'auth_failures_total{program="chat"}')
    bearer=wrong api GET /v1/models
    assert_error 401 UNAUTHORIZED
    wait_until 5 is 'auth_failures_total{program="chat"}' $((before + 1))
}

@test "counters survive a restart; gateway.metrics_public opens the page alone" {
    local runs
    runs=$(value 'runs_total{outcome="completed"}')
    clawgate stop >/dev/null
    jq '.gateway.metrics_public = true' "$GATEWAY_HOME/config.json" >"$BATS_TEST_TMPDIR/config"
    cat "$BATS_TEST_TMPDIR/config" >"$GATEWAY_HOME/config.json"
    gateway_serve
    bearer='' api GET /metrics
    assert_status 200
    assert_equal "$(value 'runs_total{outcome="completed"}')" "$runs"
    bearer='' api GET /v1/models
    assert_error 401 UNAUTHORIZED
}
