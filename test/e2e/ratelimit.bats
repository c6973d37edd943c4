# The rate limit (contract 01 §4): one table for all programs and processes of a home.

load helper

setup_file() {
    # One token a minute: what is taken stays taken while the suite runs. Each test uses buckets of its own.
    gateway_start '{"gateway":{"rate_limit_rpm":1,"trusted_proxies":["127.0.0.1"],"prefork_max":4}}'
}

teardown_file() {
    gateway_stop
}

as() {
    extra=("X-GoClaw-User-Id: $1")
}

# burst STATUS N METHOD PATH [JSON]: so many answers with this status, then 429.
burst() {
    local want=$1 n=$2
    shift 2
    while [ "$n" -gt 0 ]; do
        api "$@"
        assert_status "$want"
        n=$((n - 1))
    done
    api "$@"
    assert_error 429 RESOURCE_EXHAUSTED
}

# Edits the settings with jq and waits until every program has them.
reconfigure() {
    jq "$1" "$GATEWAY_HOME/config.json" >"$BATS_TEST_TMPDIR/config"
    cat "$BATS_TEST_TMPDIR/config" >"$GATEWAY_HOME/config.json"
    clawgate stop >/dev/null
    gateway_serve
}

# One request through a plain CGI process; prints its status.
cgi_status() {
    env -i PATH="$PATH" CLAWGATE_HOME="$GATEWAY_HOME" GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=GET \
        REQUEST_URI=/v1/sessions REMOTE_ADDR=127.0.0.1 HTTP_AUTHORIZATION="Bearer $TOKEN" \
        HTTP_X_GOCLAW_USER_ID="$1" "$BUILD/cgi-bin/sessions" </dev/null 2>/dev/null | sed -n 's/^Status: \([0-9]*\).*/\1/p'
}

@test "01 §4, §4.5: 50 requests at the same time, to two programs: exactly 5 pass" {
    local i urls=()
    for i in {1..25}; do
        urls+=(-o /dev/null "$GATEWAY/v1/sessions?n=$i" -o /dev/null "$GATEWAY/v1/models?n=$i")
    done
    run curl -sS -Z --parallel-immediate --parallel-max 50 -w '%{http_code}\n' -H "Authorization: Bearer $TOKEN" \
        -H 'X-GoClaw-User-Id: racer' "${urls[@]}"
    assert_success
    assert_equal "$(grep -c '^200$' <<<"$output")" 5
    assert_equal "$(grep -c '^429$' <<<"$output")" 45
    # some of each, else the table was not asked by two programs
    [ "$(grep -c '"status":429' "$LOG")" -ge 45 ]
    grep -q '"program":"sessions".*"event":"security.rate_limited"' "$LOG"
    grep -q '"program":"chat".*"event":"security.rate_limited"' "$LOG"
}

@test "01 §4: a refusal: envelope, Retry-After, no X-Should-Retry, a log line" {
    as alice
    burst 200 5 POST /v1/chat/completions "$(chat_body hi)"
    assert_equal "$(header X-Should-Retry)" ""
    grep -q '"event":"security.rate_limited".*"counted":"user".*"user":"alice".*"path":"/v1/chat/completions"' "$LOG"
    extra+=('Accept-Language: vi')
    api GET /v1/sessions
    assert_error 429 RESOURCE_EXHAUSTED
    assert_equal "$(header Content-Language)" vi
}

@test "01 §4.1, §4.4: users have buckets of their own, addresses too" {
    as bob
    burst 200 5 GET /v1/sessions
    as carol
    api GET /v1/sessions
    assert_status 200
    extra=('X-Forwarded-For: 203.0.113.1')
    burst 200 5 GET /v1/models
    extra=('X-Forwarded-For: 203.0.113.2')
    api GET /v1/models
    assert_status 200
    # who is not trusted cannot choose: the right-most address counts
    extra=('X-Forwarded-For: 203.0.113.99, 203.0.113.1')
    api GET /v1/models
    assert_error 429 RESOURCE_EXHAUSTED
}

@test "01 §4.3: guessing tokens: 401 five times, then 429; who has one is not touched" {
    local bearer=wrong
    extra=('X-Forwarded-For: 203.0.113.3')
    burst 401 5 GET /v1/sessions
    assert_equal "$(header WWW-Authenticate)" ""
    bearer=$TOKEN
    extra+=('X-GoClaw-User-Id: dave')
    api GET /v1/sessions
    assert_status 200
}

@test "01 §0.6: the limit is asked after token and tenant, before the role" {
    local bearer
    bearer=$(clawgate key create --name viewer --scopes read --tenant -)
    as ivan
    burst 403 5 POST /v1/providers 'not json'
    bearer=wrong api GET /v1/sessions
    assert_error 401 UNAUTHORIZED
    extra+=('X-GoClaw-Tenant-Id: nowhere')
    api GET /v1/sessions
    assert_error 404 NOT_FOUND X-GoClaw-Tenant-Id
}

@test "01 §4.2: health, readiness, documents, unknown paths and preflights are never limited" {
    local i
    extra=('X-Forwarded-For: 203.0.113.4')
    burst 200 5 GET /v1/models
    for i in {1..8}; do
        api GET /health
        assert_status 200
        api GET /ready
        assert_status 200
        api GET /metrics
        assert_status 200
        api GET /docs
        assert_status 200
        api GET /v1/unknown
        assert_error 404 NOT_FOUND
    done
    extra+=('Access-Control-Request-Method: GET' 'Origin: http://x.test')
    api OPTIONS /v1/models
    assert_status 204
}

@test "01 §4.5: the table outlives the workers" {
    as erin
    burst 200 5 GET /v1/sessions
    kill -KILL "$(jq -r 'select(.program == "sessions" and .event == "request") | .pid' "$LOG" | tail -n 1)"
    api GET /v1/sessions
    assert_error 429 RESOURCE_EXHAUSTED
}

@test "01 §4.5: plain CGI processes use the same table" {
    local i
    as frank
    api GET /v1/sessions
    assert_status 200
    for i in {1..4}; do
        assert_equal "$(cgi_status frank)" 200
    done
    assert_equal "$(cgi_status frank)" 429
    api GET /v1/sessions
    assert_error 429 RESOURCE_EXHAUSTED
}

@test "the file is private and does not grow" {
    assert_equal "$(stat -c '%a %s' "$GATEWAY_HOME/run/ratelimit.shm")" "600 1310912"
}

@test "01 §4.2: scope runs: chat completions are counted, the rest is not" {
    local i
    reconfigure '.gateway.rate_limit_scope = "runs"'
    as grace
    for i in {1..8}; do
        api GET /v1/sessions
        assert_status 200
        api GET /v1/models
        assert_status 200
    done
    burst 200 5 POST /v1/chat/completions "$(chat_body hi)"
    api GET /v1/sessions
    assert_status 200
}

@test "01 §4: tokens come back with the rate; a rate of 0 is no limit" {
    local i
    reconfigure '.gateway.rate_limit_scope = "all" | .gateway.rate_limit_rpm = 60'
    as henry
    burst 200 5 GET /v1/sessions
    sleep 1.1
    api GET /v1/sessions
    assert_status 200
    reconfigure '.gateway.rate_limit_rpm = 0'
    for i in {1..8}; do
        api GET /v1/sessions
        assert_status 200
    done
}
