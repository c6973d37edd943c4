# What must hold behind any front server, with $base as its address: for suites that put one in front of the programs.
# shellcheck shell=bash disable=SC2154,SC2034

# front_completes NAME: a completion and its headers; NAME is what the server calls itself.
front_completes() {
    say "/echo through $1"
    assert_status 200
    assert_equal "$(answer)" "through $1"
    say "hello" goclaw:plain
    assert_equal "$(answer)" "Hello from upstream."
    jq_eq '.id' "\"chatcmpl-$(header X-GoClaw-Run-Id | tr -d -)\""
    assert_equal "$(header X-Content-Type-Options)" nosniff
    assert_equal "$(header Server | cut -d/ -f1)" "$1"
}

# The first frame does not wait for the model, the others come one by one, and there is one end.
front_streams() {
    local times
    mapfile -t times < <(frame_times "$(stream_body '@upstream delay=1500,tokens=6,pace=150' goclaw:plain)")
    [ "${times[0]}" -lt $((1000 * SLOWER)) ] || fail "the first frame waited for the model: ${times[*]}"
    [ $((times[-1] - times[1])) -ge 600 ] || fail "the frames came together: ${times[*]}"
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/stream")" 1
    assert_equal "$(sse_data "$BATS_TEST_TMPDIR/stream" | tail -n 1)" "[DONE]"
}

# Sessions carry their history, and encoded keys stay as they are.
front_remembers() {
    extra=("X-GoClaw-Session-Key: a/b c")
    say one goclaw:plain
    say two goclaw:plain
    assert_equal "$(upstream_last | jq '[.body.messages[] | select(.role != "system")] | length')" 3
    extra=()
    api GET /v1/sessions/agent:plain:http:direct:a%2Fb%20c
    assert_status 200
    jq_eq '.messageCount' 4
}

front_errors() {
    bearer='' api GET /v1/models
    assert_error 401 UNAUTHORIZED
    api GET /v1/nothing
    assert_error 404 NOT_FOUND
    api GET /v1//models
    assert_error 404 NOT_FOUND
    api DELETE /v1/chat/completions
    assert_error 405 INVALID_REQUEST
    say x goclaw:nobody
    assert_error 404 NOT_FOUND model
    say '@upstream status=500' goclaw:plain
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" false
}

# Bodies of several megabytes pass, those above the limit are 413 in the envelope.
front_takes_bodies() {
    {
        printf '{"messages":[{"role":"user","content":"/echo big"}],"pad":"'
        head -c 5000000 /dev/zero | tr '\0' a
        printf '"}'
    } >"$BATS_TEST_TMPDIR/big"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/big"
    assert_status 200
    head -c 10485761 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/big"
    assert_error 413 INVALID_REQUEST
}

# Agents are made, changed and deleted.
front_changes_records() {
    local id
    extra=("X-GoClaw-User-Id: alice")
    api POST /v1/agents '{"agent_key": "behind"}'
    assert_status 201
    id=$(jq -r .id <<<"$body")
    api PUT "/v1/agents/$id" '{"display_name": "Behind"}'
    assert_status 200
    api DELETE "/v1/agents/$id"
    assert_status 200
    api GET "/v1/agents/$id"
    assert_error 404 NOT_FOUND id
}

# front_logs_no_query SECRET FOLDER…: a query string with it leaves no trace in the logs.
front_logs_no_query() {
    local secret=$1
    shift
    api GET "/v1/sessions?token=$secret"
    refute grep -rq "$secret" "$@" "$GATEWAY_HOME/log"
}
