# What every endpoint shares: routing, headers, CORS, limits, logs, and how the programs fit lighttpd.conf (01 §0, §2, §3, §12).

load helper

setup_file() {
    gateway_start '{"gateway":{"allowed_origins":["https://app.example"]}}'
}

teardown_file() {
    gateway_stop
}

assert_platform_headers() {
    assert_equal "$(header X-Content-Type-Options)" nosniff
    assert_equal "$(header X-Frame-Options)" DENY
    assert_equal "$(header X-XSS-Protection)" 0
    assert_equal "$(header Referrer-Policy)" strict-origin-when-cross-origin
    assert_equal "$(header Cache-Control)" no-store
    assert_equal "$(header Strict-Transport-Security)" ""
    [[ $(header X-Request-Id) =~ ^[0-9a-f-]{36}$ ]]
    assert_equal "$(header Server)" clawgate
}

@test "01 §2.2: every answer carries the headers of the platform, errors too" {
    local path
    for path in / /health /ready /v1/models /v1/sessions /v1/runs /v1/nothing /v1/runs/x; do
        api GET $path
        assert_platform_headers
        assert_equal "$(header Content-Type)" application/json
    done
    say hi
    assert_platform_headers
    bearer='' api GET /v1/models
    assert_platform_headers
}

@test "01 §0.3, §1.6, §9.1, §9.4: /, /health and /ready are public" {
    bearer=''
    api GET /
    jq_eq . '{"service":"goclaw","status":"ok"}'
    api GET /health
    assert_status 200
    jq_eq . '{"status":"ok"}'
    api GET /ready
    assert_status 200
    jq_eq . '{"status":"ready"}'
    api POST /health '{}'
    assert_error 405 INVALID_REQUEST
}

@test "01 §12.11: HEAD works wherever GET does, without a body" {
    local path length
    for path in / /health /ready /v1/models /v1/sessions /v1/runs; do
        api GET $path
        length=$(header Content-Length)
        api HEAD $path
        assert_status 200
        assert_equal "$body" ""
        assert_equal "$(header Content-Length)" "$length"
    done
    api HEAD /v1/nothing
    assert_status 404
}

@test "01 §0.1, §3.4, §12.10, §15.16: unknown paths are 404 in the envelope, before authentication" {
    local path
    bearer=''
    for path in /v1/nothing /v1 /v2/models /ws /mcp/bridge /v1/runs/a/b /v1/chat /v1//models //v1/models /v1/models//x \
        /v1/sessions//x /favicon.ico /v1/chat/completions/x; do
        api GET "$path"
        assert_error 404 NOT_FOUND
    done
}

@test "01 §0.1, §3.4, §12.11: known paths with a wrong method are 405 with Allow, before authentication" {
    bearer=''
    api DELETE /v1/models
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "GET, HEAD, OPTIONS"
    api PUT /v1/sessions/x/preview '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "GET, HEAD, POST, OPTIONS"
    api PATCH /health '{}'
    assert_error 405 INVALID_REQUEST
}

@test "01 §12.9, §12.10: one trailing slash is ignored, segments are decoded once" {
    api GET /v1/models/
    assert_status 200
    api GET /v1/m%6Fdels
    assert_status 200
    api GET /v1/models/goclaw%3adefault/
    assert_status 200
    api GET /v1/models/default%252F
    assert_error 404 NOT_FOUND -
    api GET /v1/sessions/a+b
    assert_error 404 NOT_FOUND key
    jq_eq '.error.message | contains("a+b")' true
}

@test "01 §12.9, §15.16: dots, broken escapes and NUL in the path are 400, whatever lighttpd would make of them" {
    local path
    for path in /v1/models/.. /v1/models/. /v1/models/%2e%2e /v1/models/%2E /v1/x/../models /v1/models/%2e%2e/sessions \
        /v1/sessions/%zz /v1/sessions/a%2 /v1/models/%ff /v1/sessions/%c0%ae; do
        api GET "$path"
        assert_status 400
        assert_envelope 400 INVALID_REQUEST -
    done
    api GET /v1/models/%00
    assert_status 400
}

@test "01 §0.2, §2.8: preflights of allowed origins are answered, others get nothing to work with" {
    bearer=''
    extra=("Origin: https://app.example" "Access-Control-Request-Method: POST" "Access-Control-Request-Headers: x-stainless-lang, authorization")
    api OPTIONS /v1/chat/completions
    assert_status 204
    assert_equal "$(header Access-Control-Allow-Origin)" https://app.example
    assert_equal "$(header Vary)" Origin
    assert_equal "$(header Access-Control-Max-Age)" 600
    assert_equal "$(header Access-Control-Allow-Credentials)" ""
    [[ $(header Access-Control-Allow-Headers) == *Authorization* && $(header Access-Control-Allow-Headers | tr '[:upper:]' '[:lower:]') == *x-stainless-lang* ]]
    [[ $(header Access-Control-Allow-Methods) == *POST* ]]
    extra=("Origin: https://evil.example" "Access-Control-Request-Method: POST")
    api OPTIONS /v1/chat/completions
    assert_status 204
    assert_equal "$(header Access-Control-Allow-Origin)" ""
    grep -q '"security.cors_rejected".*evil' "$LOG"
    extra=()
    api OPTIONS /v1/chat/completions
    assert_status 204
    assert_equal "$(header Allow)" "POST, OPTIONS"
    api OPTIONS /v1/nothing
    assert_error 404 NOT_FOUND
}

@test "01 §2.8: answers and errors for an allowed origin can be read by its scripts" {
    extra=("Origin: https://app.example")
    api GET /v1/models
    assert_equal "$(header Access-Control-Allow-Origin)" https://app.example
    [[ $(header Access-Control-Expose-Headers) == *X-Request-Id* ]]
    sse "$(stream_body hi)"
    assert_equal "$(header Access-Control-Allow-Origin)" https://app.example
    bearer='' api GET /v1/models
    assert_equal "$(header Access-Control-Allow-Origin)" https://app.example
    extra=("Origin: https://app.example.evil")
    api GET /v1/models
    assert_equal "$(header Access-Control-Allow-Origin)" ""
}

@test "01 §2.6, §3.4: bodies above every limit are refused in the envelope, 1 MiB is the limit elsewhere" {
    head -c 1048577 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
    api POST /v1/runs/01900000-0000-7000-8000-000000000000/cancel "@$BATS_TEST_TMPDIR/big"
    assert_error 413 INVALID_REQUEST
    jq_eq '.error.details.max' 1048576
    head -c 1048574 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/big"
    printf '{}' >>"$BATS_TEST_TMPDIR/big"
    api POST /v1/runs/01900000-0000-7000-8000-000000000000/cancel "@$BATS_TEST_TMPDIR/big"
    assert_error 404 NOT_FOUND id
    status_code=$(curl -sS -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' -H 'Content-Length: 99000000' -H 'Expect:' -d x \
        -m 5 "$GATEWAY/v1/chat/completions")
    body=$(cat "$BATS_TEST_TMPDIR/body")
    assert_status 413
    assert_envelope 413 INVALID_REQUEST
}

@test "a client that would change to HTTP/2 stays with HTTP/1.1, where a body needs no length" {
    local options
    bearer=$TOKEN
    request_options
    printf '{"name": "Upgraded"}' >"$BATS_TEST_TMPDIR/in"
    run -0 curl -sS --http2 -o /dev/null -w '%{http_code} %{http_version}\n' "${options[@]}" "$GATEWAY/v1/tenants" \
        --next --http2 -sS -X POST -T - -o /dev/null -w '%{http_code} %{http_version}\n' "${options[@]}" \
        "$GATEWAY/v1/tenants" <"$BATS_TEST_TMPDIR/in"
    assert_output "200 1.1
201 1.1"
}

@test "01 §3.4: what lighttpd refuses by itself is JSON too" {
    local answer
    answer=$(curl -sS -X POST -H 'Content-Length:' "$GATEWAY/v1/chat/completions" -w '\n%{http_code}')
    body=${answer%$'\n'*} status_code=${answer##*$'\n'}
    assert_status 411
    assert_envelope 411 INVALID_REQUEST
    answer=$(curl -sS -H "X-Long: $(head -c 100000 /dev/zero | tr '\0' x)" "$GATEWAY/v1/models" -w '\n%{http_code}')
    body=${answer%$'\n'*} status_code=${answer##*$'\n'}
    assert_status 431
    assert_envelope 431 INVALID_REQUEST
    answer=$(exec 7<>"/dev/tcp/127.0.0.1/$PORT"; printf 'GET / HTTP/1.1\r\nHost : x\r\n\r\n' >&7; timeout 5 cat <&7)
    body=$(sed '1,/^\r*$/d' <<<"$answer")
    [[ $answer == "HTTP/1.1 400"* ]]
    assert_envelope 400 INVALID_REQUEST
}

@test "01 §0.9, §12.12: a malformed query string is 400, unknown parameters are ignored" {
    api GET '/v1/sessions?limit=%zz'
    assert_error 400 INVALID_REQUEST
    api GET '/v1/sessions?nothing=1&limit=5&limit=7'
    jq_eq '.limit' 5
}

@test "01 §2.7: every line of the log is JSON with the request's id, path without query, and no secret" {
    extra=("X-Request-Id: find-me-1")
    api GET "/v1/sessions?token=$TOKEN&secret=hunter2"
    bearer=wrong-token-value api GET /v1/sessions
    extra=()
    sleep 0.2
    jq -es 'length > 0 and all(.[]; .time and .level and .event)' "$LOG" >/dev/null
    jq -es 'map(select(.request_id == "find-me-1")) | .[0] |
        .event == "request" and .path == "/v1/sessions" and .method == "GET" and .status == 200 and .role == "owner" and (.ms | type == "number")' "$LOG"
    refute grep -rq "$TOKEN\|hunter2\|wrong-token-value" "$GATEWAY_HOME/log"
}

@test "abnormal events have a number each, and no number means two things" {
    "$ROOT/tools/log-events" >/dev/null
}

@test "only chat carries libcurl and TLS" {
    local program
    for program in "$BUILD"/cgi-bin/* "$BUILD"/tools/*; do
        [ -x "$program" ] || continue
        case $program in
            */chat) ldd "$program" | grep -q libcurl ;;
            *) refute grep -q 'libcurl\|libssl' <(ldd "$program") ;;
        esac
    done
}

@test "01 §15, §15.5, §15.7, §15.12, §15.14 to §15.16: every route is complete, and lighttpd.conf sends it to the program that describes it" {
    local program
    for program in "$BUILD"/cgi-bin/*; do
        "$program" --describe | jq -e --arg name "${program##*/}" '.program == $name and (.routes | length > 0) and all(.routes[];
            (.method | length > 0) and (.path | startswith("/")) and (.summary | length > 0) and (.tag | length > 0)
            and (.role | IN("public", "viewer", "operator", "admin", "owner")) and (.user | length > 0))' >/dev/null ||
            fail "${program##*/} describes an incomplete route"
    done
    "$ROOT/tools/routes" "$BUILD" "$ROOT/lighttpd.conf"
}

@test "the settings that are correctness are in lighttpd.conf, for chat" {
    local chat
    chat=$(sed -n '/v1\/(chat/,/^}/p' "$ROOT/lighttpd.conf")
    grep -q 'server.stream-response-body = 2' <<<"$chat"
    grep -q '"tcp-fin-propagate" => "enable"' <<<"$chat"
    grep -q '"listen-backlog" => 4096' <<<"$chat"
    grep -q '^server.max-fds *= 16384' "$ROOT/lighttpd.conf"
    grep -q '^server.max-connections *= 8192$' "$ROOT/lighttpd.conf"
    grep -q '^server.max-write-idle *= 360$' "$ROOT/lighttpd.conf"
    grep -q '^server.errorfile-prefix' "$ROOT/lighttpd.conf"
    refute grep -Eq '^accesslog.format.*%(r|q)' "$ROOT/lighttpd.conf"
}
