# Bad input of every kind: it ends in a documented answer, never in 5xx, and says nothing of the inside. What is about one
# family or one rule stands in its suite; how the front server's own refusals look, in platform.bats.

load helper

setup_file() {
    upstream_start
    gateway_start
    provider slow 'tokens=40,pace=50'
    clawgate agent create private --user alice --provider slow --model model-of-slow >/dev/null
    for program in "$BUILD"/cgi-bin/*; do
        "$program" --describe
    done | jq -s . >"$BATS_FILE_TMPDIR/routes.json"
}

teardown_file() {
    gateway_stop
}

# raw BYTES: sends them as they are (printf's %b) and reads until the end; sets $status_code, $headers, $body.
raw() {
    local answer
    answer=$(
        exec 7<>"/dev/tcp/127.0.0.1/$PORT"
        printf '%b' "$1" >&7
        timeout 5 cat <&7 | tr -d '\0'
    )
    status_code=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' <<<"$answer")
    headers=$(sed '/^\r*$/,$d' <<<"$answer" | tr -d '\r')
    body=$(sed '1,/^\r*$/d' <<<"$answer")
}

# Requests of which every one is refused, and nothing is kept waiting.
raw_refused() {
    raw "$1"
    [[ $status_code == 4[0-9][0-9] || $status_code == 50[15] ]] || fail "$status_code for $1: $body"
    [[ $body == '{"error":{'* ]] || fail "no envelope for $1: $body"
    [ "$(grep -c '^HTTP/' <<<"$headers$body")" -le 1 ] || fail "two answers for $1"
}

still_serves() {
    bearer=$TOKEN extra=()
    say '/echo still here'
    assert_equal "$(answer)" 'still here'
}

AUTH='Authorization: Bearer test-token-0123456789abcdef\r\n'

@test "headers and bodies that come byte by byte hold no worker: others are answered meanwhile" {
    local i fd fds=() began
    for i in {1..60}; do
        exec {fd}<>"/dev/tcp/127.0.0.1/$PORT"
        fds+=("$fd")
        case $((i % 3)) in
            0) printf 'GET /v1/sessions HTTP/1.1\r\nHos' >&"$fd" ;;
            1) printf "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n%bContent-Length: 1000\r\n\r\n{" "$AUTH" >&"$fd" ;;
            2) printf "POST /v1/providers HTTP/1.1\r\nHost: x\r\n%bTransfer-Encoding: chunked\r\n\r\n1\r\n{" "$AUTH" >&"$fd" ;;
        esac
    done
    for i in {1..3}; do
        for fd in "${fds[@]}"; do printf 'a' >&"$fd"; done
        began=$(now_ms)
        still_serves
        api POST /v1/providers "{\"name\":\"beside-$i\",\"provider_type\":\"offline\"}"
        assert_status 201
        [ $(($(now_ms) - began)) -lt $((3000 * SLOWER)) ]
    done
    for fd in "${fds[@]}"; do exec {fd}>&-; done
    api GET /v1/runs?status=running
    jq_eq .runs '[]'
    grep -Eq '^server.max-read-idle *= *60$' "$ROOT/lighttpd.conf"
}

@test "requests made to be read in two ways are refused: lengths, chunks, blanks, line ends" {
    local chat='POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n'$AUTH get='GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'$AUTH
    raw_refused "${chat}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    raw_refused "${chat}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"
    raw_refused "${chat}Content-Length: -1\r\n\r\n{}"
    raw_refused "${chat}Content-Length: +2\r\n\r\n{}"
    raw_refused "${chat}Content-Length: 0x2\r\n\r\n{}"
    raw_refused "${chat}Content-Length: 99999999999999999999\r\n\r\n{}"
    raw_refused "${chat}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    raw_refused "${chat}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{}\r\n0\r\n\r\n"
    raw_refused "${chat}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
    raw_refused "${chat}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
    raw_refused "GET /v1/models HTTP/1.1\nHost: x\n\n"
    raw_refused "GET /v1/models HTTP/1.1\r\n\r\n"
    raw_refused "GET  /v1/models  HTTP/1.1\r\nHost: x\r\n\r\n"
    raw_refused "GET /v1/models HTTP/9.9\r\nHost: x\r\n\r\n"
    raw_refused "G@T /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    raw_refused "${get}X-A: a\0b\r\n\r\n"
    raw_refused "${get}X-A: a\x01b\r\n\r\n"
    raw_refused "${get} : x\r\n\r\n"
    raw_refused "${get}Host: y\r\n\r\n"
    still_serves
}

@test "a bare line end smuggled into a chunk's size, or a second request behind a refused one, is not answered" {
    raw "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${AUTH}Content-Length: 5\r\n\r\nnull\nGET /v1/tenants HTTP/1.1\r\nHost: x\r\n${AUTH}Connection: close\r\n\r\n"
    assert_equal "$status_code" 400
    # the length was right: what follows it is a request of its own, answered as one
    [[ $body == *'"tenants"'* ]]
    raw_refused "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n${AUTH}Content-Length: 4\r\nContent-Length: 200\r\n\r\nnullGET /v1/tenants HTTP/1.1\r\nHost: x\r\n${AUTH}\r\n\r\n"
    refute grep -q '"tenants"' <<<"$body"
}

@test "line ends in ids, names and request ids never reach a header of the answer" {
    local path
    for path in '/v1/sessions/a%0d%0aX-Evil:%20yes' '/v1/models/goclaw:x%0d%0aX-Evil:%20yes' '/v1/agents/x%0aX-Evil:yes' \
        '/v1/providers/%0d%0aX-Evil:yes/models' '/v1/nothing%0d%0aX-Evil:%20yes' '/v1/sessions?limit=%0d%0aX-Evil:yes'; do
        for method in GET POST DELETE OPTIONS; do
            api $method "$path"
            [ "$status_code" -lt 500 ]
            assert_equal "$(header X-Evil)" ""
        done
    done
    api POST /v1/chat/completions '{"model":"goclaw:default","metadata":{"session_key":"a\r\nX-Evil: yes"},"messages":[{"role":"user","content":"hi"}]}'
    assert_status 400
    assert_equal "$(header X-Evil)" ""
    raw "GET /v1/models HTTP/1.1\r\nHost: x\r\n${AUTH}X-Request-Id: a b\r\nConnection: close\r\n\r\n"
    refute grep -qi '^x-request-id: a b' <<<"$headers"
    raw "GET /v1/models HTTP/1.1\r\nHost: x\r\n${AUTH}X-Request-Id: a\xc2\x85X-Evil: yes\r\nConnection: close\r\n\r\n"
    refute grep -qi 'x-evil' <<<"$headers"
}

@test "headers in two spellings, twice, or with two values are refused or count once" {
    local pair
    for pair in 'X-GoClaw-User-Id: alice\r\nX_GoClaw_User_Id: system' 'X-GoClaw-Tenant-Id: master\r\nX_GoClaw-Tenant_Id: acme'; do
        raw "GET /v1/agents HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$AUTH$pair\r\n\r\n"
        assert_equal "$status_code" 400
        raw "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n$AUTH$pair\r\n\r\n{}"
        assert_equal "$status_code" 400
        assert_equal "$(header X-Should-Retry)" false
    done
    for pair in 'Authorization: Bearer one, two' "Authorization: Bearer x\r\n$AUTH" "${AUTH}Authorization: Basic eDp5\r\n"; do
        raw "GET /v1/agents HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$pair\r\n\r\n"
        [[ $status_code == 40[01] ]]
    done
}

@test "bodies too long, too deep, of too many values or names: refused at once, the process keeps its size" {
    local before after began
    worker() { pgrep -f "$BUILD/cgi-bin/chat" | xargs -r -I{} sh -c 'grep -sq "^VmRSS" /proc/{}/status && awk "/^VmRSS/ {print \$2}" /proc/{}/status' | sort -n | tail -n 1; }
    before=$(worker)
    began=$(now_ms)
    { printf '{"a":'; head -c 60000 /dev/zero | tr '\0' '['; } >"$BATS_TEST_TMPDIR/deep"
    seq -f '"k%.0f":0,' 1 500000 | tr -d '\n' | sed 's/^/{/; s/,$/}/' >"$BATS_TEST_TMPDIR/names"
    { printf '{"a":['; head -c 4000000 /dev/zero | sed 's/\x00\x00\x00/{},/g'; printf '0]}'; } >"$BATS_TEST_TMPDIR/values"
    for file in deep names values; do
        api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/$file"
        assert_error 400 INVALID_REQUEST -
    done
    head -c 11000000 /dev/zero | tr '\0' ' ' >"$BATS_TEST_TMPDIR/long"
    api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/long"
    assert_error 413 INVALID_REQUEST
    for path in /v1/providers /v1/agents /v1/mcp/servers /v1/tenants /v1/api-keys; do
        extra=('X-GoClaw-User-Id: system')
        api POST $path "@$BATS_TEST_TMPDIR/deep"
        assert_error 400 INVALID_REQUEST -
        api POST $path "@$BATS_TEST_TMPDIR/names"
        assert_error 413 INVALID_REQUEST
    done
    [ $(($(now_ms) - began)) -lt $((8000 * SLOWER)) ]
    after=$(worker)
    [ "$SLOWER" != 1 ] || [ $((after - before)) -lt 80000 ] || fail "the process grew from $before to $after kB"
    still_serves
}

@test "01 §2.6: lighttpd's own limits: 8 KiB of line and headers, 64 MiB of body, and one byte more" {
    local request whole pad bytes
    for request in "GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${AUTH}X-Pad: PAD\r\n\r\n" \
        "GET /v1/models?PAD HTTP/1.1\r\nHost: x\r\nConnection: close\r\n$AUTH\r\n"; do
        printf -v whole '%b' "${request/PAD/}"
        printf -v pad '%*s' $((8192 - ${#whole})) ''
        raw "${request/PAD/${pad// /p}}"
        assert_equal "$status_code" 200
        raw "${request/PAD/${pad// /p}p}"
        assert_status 431
        assert_envelope 431 INVALID_REQUEST
    done
    for bytes in 67108864 67108865; do
        exec 8<>"/dev/tcp/127.0.0.1/$PORT"
        printf "POST /v1/agents HTTP/1.1\r\nHost: x\r\n${AUTH}Expect: 100-continue\r\nContent-Length: $bytes\r\n\r\n" >&8
        read -r -t 5 request <&8
        exec 8>&-
        case $bytes in *4) [[ $request == *" 100 "* ]] ;; *) [[ $request == *" 413 "* ]] ;; esac
    done
    still_serves
}

@test "text that is no UTF-8, and NUL, is refused wherever it stands: body, path, query, headers" {
    local bytes
    for bytes in '\xff' '\xc0\xaf' '\xed\xa0\x80' '\xf4\x90\x80\x80' '\xe2\x82' '\x80'; do
        printf '{"messages":[{"role":"user","content":"%b"}]}' "$bytes" >"$BATS_TEST_TMPDIR/body.json"
        api POST /v1/chat/completions "@$BATS_TEST_TMPDIR/body.json"
        assert_error 400 INVALID_REQUEST -
        printf '{"name":"%b","provider_type":"offline"}' "$bytes" >"$BATS_TEST_TMPDIR/body.json"
        api POST /v1/providers "@$BATS_TEST_TMPDIR/body.json"
        assert_error 400 INVALID_REQUEST -
        raw "GET /v1/agents HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${AUTH}X-GoClaw-User-Id: a$bytes\r\n\r\n"
        assert_equal "$bytes $status_code" "$bytes 400"
        bytes=${bytes//\\x/%}
        api GET "/v1/sessions/a$bytes"
        assert_status 400
        api GET "/v1/activity?actor_id=a$bytes"
        assert_error 400 INVALID_REQUEST -
    done
    for path in /v1/sessions/a%00b /v1/agents/%00 /v1/providers/x%00/models '/v1/activity?actor_id=a%00b'; do
        api GET "$path"
        assert_status 400
    done
    for body in '{"messages":[{"role":"user","content":"a\u0000b"}]}' '{"model":"goclaw:\u0000","messages":[]}' '{"user":"a\u0000","messages":[]}'; do
        api POST /v1/chat/completions "$body"
        assert_error 400 INVALID_REQUEST -
    done
    still_serves
}

@test "every body of the API document, made wrong in each of its members: 400 that names it, never 5xx" {
    node "$ROOT/test/npm/walk.mjs" prepare "$BATS_FILE_TMPDIR/routes.json" "$BUILD/openapi.json" >"$BATS_FILE_TMPDIR/state.json"
    run node "$ROOT/test/npm/bodies.mjs" "$BUILD/openapi.json" "$BATS_FILE_TMPDIR/state.json"
    assert_success
    assert_output --regexp '^[0-9]+ bodies, [0-9]+ requests$'
    [ "$(cut -d' ' -f1 <<<"$output")" -ge 14 ]
}

@test "paths that try to climb, escape twice, or are endless: 400 or 404, and nothing of the machine is shown" {
    local path long
    long=$(printf 'a%.0s' {1..3000})
    for path in /v1/../etc/passwd /v1/sessions/../../etc/passwd /v1/sessions/%2e%2e%2f%2e%2e%2fetc%2fpasswd /docs/../../../etc/passwd \
        /docs/%2e%2e/%2e%2e/config.json /docs/..%2f..%2fconfig.json /docs/%252e%252e/config.json '/docs/..\..\config.json' \
        /docs/%5c..%5cconfig.json //etc/passwd /docs//etc/passwd /docs/etc/passwd /docs/config.json. /docs/.%2e/x /docs/%c0%ae%c0%ae/x \
        /docs/%e2%80%a5/x /docs/%ef%bc%8e%ef%bc%8e/x /v1/agents/%2e%2e /v1/agents/..%2fx "/v1/agents/$long" "/docs/$long" \
        /v1/providers/%2e%2e/models /v1/files/../../etc/passwd /v1/files/%2e%2e/x /v1/models/..%00 /.git/config /config.json; do
        api GET "$path"
        [[ $status_code == 40[04] ]] || fail "$path: $status_code $body"
        refute grep -q 'root:x:\|test-token\|sqlite' <<<"$body"
    done
    api GET "/v1/sessions/$(printf '%%2e%%2e%%2f%.0s' {1..20})"
    [[ $status_code == 40[04] ]]
    still_serves
}

@test "secrets are compared by one function, in constant time, as digests" {
    # the only other comparisons of bytes are of what is no secret: see there
    assert_equal "$(grep -rlE 'CRYPTO_memcmp' "$ROOT"/common "$ROOT"/cgi-bin "$ROOT"/tools --include='*.[ch]' | sed "s|$ROOT/||" | grep -v banned)" \
        common/base/crypto.c
    refute grep -nE '(strcmp|memcmp)\([^)]*(token|secret|api_key|key_hash)' -r "$ROOT/common/web" "$ROOT/cgi-bin" --include='*.c'
}

# ---- what changes while something runs ----

@test "a key revoked while its stream runs: the stream ends as one, every later request is refused everywhere" {
    local key pid i
    key=$(clawgate key create --name streams --scopes write)
    bearer=$key
    request_options
    curl -sS -N -m 30 "${options[@]}" -o "$BATS_TEST_TMPDIR/stream" -d "$(stream_body hi goclaw:slow)" \
        "$GATEWAY/v1/chat/completions" 3>&- &
    pid=$!
    wait_until 5 test -s "$BATS_TEST_TMPDIR/stream"
    clawgate key revoke "$key" >/dev/null
    for i in {1..6}; do
        api GET /v1/models
        assert_error 401 UNAUTHORIZED
        api GET /v1/agents
        assert_error 401 UNAUTHORIZED
        say hi
        assert_error 401 UNAUTHORIZED
    done
    wait $pid
    stream=$BATS_TEST_TMPDIR/stream
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_data | tail -n 1)" '[DONE]'
}

@test "a share taken back while a stream runs: the stream ends as one, the next request is refused" {
    local pid
    extra=('X-GoClaw-User-Id: alice')
    api POST /v1/agents/private/sharing '{"user_id":"bob"}'
    assert_status 201
    bearer=$(clawgate key create --name bobs --scopes write --owner bob)
    extra=()
    request_options
    curl -sS -N -m 30 "${options[@]}" -o "$BATS_TEST_TMPDIR/stream" -d "$(stream_body hi goclaw:private)" \
        "$GATEWAY/v1/chat/completions" 3>&- &
    pid=$!
    wait_until 5 test -s "$BATS_TEST_TMPDIR/stream"
    local bob=$bearer
    unset bearer
    extra=('X-GoClaw-User-Id: alice')
    api DELETE /v1/agents/private/sharing/bob
    assert_status 200
    bearer=$bob extra=()
    say hi goclaw:private
    assert_error 403 UNAUTHORIZED
    wait $pid
    stream=$BATS_TEST_TMPDIR/stream
    assert_equal "$(sse_terminals)" 1
}

# at_once METHOD PATH JSON: twenty of them; prints how many had which status.
at_once() {
    curl -Z --parallel-immediate --parallel-max 20 -X "$1" -H "Authorization: Bearer $TOKEN" -H 'X-GoClaw-User-Id: system' \
        -d "$3" -o /dev/null -w '%{http_code}\n' "$GATEWAY$2?n=[1-20]" 2>/dev/null | sort | uniq -c | xargs
}

@test "the same thing made twice is 409, ended twice 404, changed by twenty at once whole" {
    local row path body_of n
    for row in '/v1/providers {"name":"twice","provider_type":"offline"}' '/v1/agents {"agent_key":"twice"}' \
        '/v1/tenants {"name":"twice"}' '/v1/mcp/servers {"name":"twice","transport":"streamable-http","url":"http://127.0.0.1:9/mcp"}'; do
        path=${row%% *} body_of=${row#* }
        extra=('X-GoClaw-User-Id: system')
        api POST "$path" "$body_of"
        assert_status 201
        local record method=PUT member=display_name
        record=$path/$(jq -r .id <<<"$body")
        api POST "$path" "$body_of"
        assert_error 409 ALREADY_EXISTS -
        [ "$path" != /v1/tenants ] || method=PATCH member=name
        assert_equal "$(at_once $method "$record" "{\"$member\":\"at once\"}")" '20 200'
        api GET "$record"
        jq_eq ".$member" '"at once"'
        [ "$path" != /v1/tenants ] || api PATCH "$record" '{"status":"archived"}'
        api DELETE "$record"
        assert_status 200
        api DELETE "$record"
        assert_error 404 NOT_FOUND id
    done
    # twenty makers, no header that keeps answers: one is told so, the others that it is there
    assert_equal "$(at_once POST /v1/providers '{"name":"raced","provider_type":"offline"}')" '1 201 19 409'
    assert_equal "$(sql "SELECT COUNT(*) FROM llm_providers WHERE name = 'raced'")" 1
}
