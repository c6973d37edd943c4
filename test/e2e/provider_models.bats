#!/usr/bin/env bats
# Providers and their upstream (contract 04 §1.5): verify says whether one works, models lists what it offers.

load helper

OTHER=0193a5b0-7000-7000-8000-00000000000b
ABSENT=0193a5b0-7000-7000-8000-0000000000ff

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start '{"gateway":{"drain_seconds":3}}'
    export VIEWER OPERATOR
    VIEWER=$(clawgate key create --name v --scopes read)
    OPERATOR=$(clawgate key create --name o --scopes write)
    sqlite3 "$DATABASE" "INSERT INTO tenants (id, name, slug, created_at, updated_at)
        VALUES ('$OTHER', 'Other', 'other', 't', 't')"
}

teardown_file() {
    gateway_stop
}

# row MEMBERS: a new provider with these members of a JSON object; its path goes to $row.
row() {
    number=$((${number:-0} + 1))
    api POST /v1/providers "{\"name\":\"p-$BATS_TEST_NUMBER-$number\",$1}"
    assert_status 201
    row=/v1/providers/$(jq -r .id <<<"$body")
}

# up OPTIONS [TYPE] [PATH]: a provider whose every call asks the upstream for OPTIONS.
up() {
    local options=${1:+/o/$1}
    row "\"provider_type\":\"${2:-openai_compat}\",\"api_key\":\"sk-canary-0123456789\",
        \"api_base\":\"$UPSTREAM$options${3:-/v1}\""
}

models() {
    api GET "$row/models"
}

# verify [MODEL]
verify() {
    if [ $# -gt 0 ]; then api POST "$row/verify" "{\"model\":\"$1\"}"; else api POST "$row/verify"; fi
}

assert_models() {
    models
    assert_status 200
    jq_eq . "{\"models\":$1}"
}

assert_valid() {
    verify "$@"
    assert_status 200
    jq_eq . '{"valid":true}'
}

# assert_invalid PART-OF-ERROR [MODEL]
assert_invalid() {
    local part=$1
    shift
    verify "$@"
    assert_status 200
    jq_eq '[keys, .valid]' '[["error","valid"],false]'
    [[ $(jq -r .error <<<"$body") == *"$part"* ]] || fail "no \"$part\" in $body"
    [[ $body != *canary* ]] || fail "the key is shown: $body"
}

asked() {
    upstream_requests | jq 'length'
}

# ---- models ----

@test "the OpenAI family is asked at base/models with its key" {
    upstream_reset
    up 'models=m-1|vendor%2Fm-2'
    assert_models '[{"id":"m-1"},{"id":"vendor/m-2"}]'
    jq_eq '.[-1] | [.method, .path, .headers.authorization, .body_bytes]' \
        '["GET","/v1/models","Bearer sk-canary-0123456789",0]' "$(upstream_requests)"
    assert_equal "$(asked)" 1
}

@test "Anthropic is asked with its own headers" {
    upstream_reset
    up 'models=claude-x' anthropic_native
    assert_models '[{"id":"claude-x"}]'
    jq_eq '.[-1].headers | [.["x-api-key"], .["anthropic-version"], has("authorization")]' \
        '["sk-canary-0123456789","2023-06-01",false]' "$(upstream_requests)"
}

@test "Gemini is asked beside its OpenAI address, the key in a header" {
    upstream_reset
    up 'models=gemini-x' gemini_native /v1beta/openai
    assert_models '[{"id":"gemini-x"}]'
    jq_eq '.[-1] | [.path, .headers["x-goog-api-key"]]' '["/v1beta/models","sk-canary-0123456789"]' "$(upstream_requests)"
}

@test "Ollama is asked for its tags, without a key of ours if there is none" {
    upstream_reset
    local tags='%7B"models":[%7B"name":"llama3:8b"%2C"details":%7B"family":"llama"%2C"parameter_size":"8.0B"%7D%7D]%7D'
    tags=${tags//\"/%22}
    row "\"provider_type\":\"ollama\",\"api_base\":\"$UPSTREAM/o/text=$tags\""
    assert_models '[{"id":"llama3:8b","name":"llama3:8b (llama, 8.0B)"}]'
    jq_eq '.[-1] | [.path, .headers.authorization]' '["/api/tags","Bearer ollama"]' "$(upstream_requests)"
}

@test "types with a list of ours ask nobody" {
    upstream_reset
    local type count
    while read -r type count; do
        row "\"provider_type\":\"$type\",\"api_key\":\"k\",\"api_base\":\"$UPSTREAM/v1\""
        models
        jq_eq '.models | length' "$count"
    done <<<'bailian 8
dashscope 8
minimax_native 12
anthropic_oauth 4
suno 3
chatgpt_oauth 7'
    for type in claude_cli acp; do
        row "\"provider_type\":\"$type\""
        models
        jq_eq '.models | length' 3
    done
    row '"provider_type":"offline"'
    assert_models '[{"id":"offline"}]'
    row '"provider_type":"vertex_ai","api_key":"k"'
    assert_models '[]'
    assert_equal "$(asked)" 0
}

@test "reasoning_defaults come along when the settings hold them" {
    row '"provider_type":"offline","settings":{"reasoning_defaults":{"effort":"low","fallback":"off"}}'
    models
    jq_eq . '{"models":[{"id":"offline"}],"reasoning_defaults":{"effort":"low","fallback":"off"}}'
    row '"provider_type":"offline","settings":{"reasoning_defaults":"low"}'
    assert_models '[{"id":"offline"}]'
}

@test "a type that needs a key has no list without one" {
    row "\"api_base\":\"$UPSTREAM/v1\""
    models
    assert_error 400 INVALID_REQUEST api_key
    row '"provider_type":"bailian"'
    models
    assert_error 400 INVALID_REQUEST api_key
}

@test "a disabled provider can be looked through" {
    row "\"enabled\":false,\"api_key\":\"k\",\"api_base\":\"$UPSTREAM/o/models=m/v1\""
    assert_models '[{"id":"m"}]'
}

@test "whatever goes wrong upstream, the list is empty" {
    local options
    for options in status=401 status=404 status=429 status=500 status=302 garbage html empty cut=headers cut=mid \
        cut=soft cut=reset inband=no; do
        up "$options"
        assert_models '[]'
    done
    row '"api_key":"k","api_base":"http://127.0.0.1:9/v1"'
    assert_models '[]'
    row '"api_key":"k","api_base":"http://no-such-host.invalid/v1"'
    assert_models '[]'
    assert_equal "$(grep -c 'llm.no_models' "$LOG")" 15
    refute grep -aq canary "$LOG"
}

@test "a redirect is not followed" {
    upstream_reset
    up "status=302,location=http:%2F%2F127.0.0.1:$UPSTREAM_PORT%2Fv1%2Fmodels"
    assert_models '[]'
    assert_equal "$(asked)" 1
}

# ---- verify ----

@test "a ping asks for the models; a static type and the offline model need nobody" {
    upstream_reset
    up ''
    assert_valid
    jq_eq 'map(.method + " " + .path)' '["GET /v1/models"]' "$(upstream_requests)"
    api POST "$row/verify" '{}'
    jq_eq . '{"valid":true}'
    api POST "$row/verify" '{"model":""}'
    jq_eq . '{"valid":true}'
    api POST "$row/verify" '{"model":null,"other":1}'
    jq_eq . '{"valid":true}'
    assert_equal "$(asked)" 4
    row "\"provider_type\":\"bailian\",\"api_key\":\"k\",\"api_base\":\"$UPSTREAM/v1\""
    assert_valid
    row '"provider_type":"offline"'
    assert_valid
    assert_valid any-model
    assert_equal "$(asked)" 4
}

@test "a server without a list of models is valid with a note" {
    local status
    for status in 404 405 501; do
        up "status=$status"
        verify
        jq_eq '[.valid, has("error"), (.note | length > 0)]' '[true,false,true]'
    done
}

@test "a ping says what the upstream says, without the key and without the body" {
    up 'status=401,text=Incorrect%20key%20sk-canary-0123456789%20given'
    assert_invalid 'Incorrect key *** given'
    jq_eq .error '"Incorrect key *** given"'
    up 'status=500,html'
    assert_invalid 'HTTP 500'
    [[ $body != *Gateway* ]] || fail "$body"
    up 'html'
    assert_invalid 'no JSON'
    up 'status=503,garbage'
    assert_invalid ''
    [[ $body != *chatcmpl* ]] || fail "$body"
    up 'inband=no%20list%20today'
    assert_invalid 'no list today'
    row '"api_key":"k","api_base":"http://127.0.0.1:9/v1"'
    assert_invalid 'onnect'
    up "status=400,text=$(printf 'x%.0s' {1..900})"
    assert_invalid xxx
    jq_eq '.error | length' 500
}

@test "a model is tried with one short message" {
    upstream_reset
    up ''
    assert_valid the-model
    local last
    last=$(upstream_last)
    jq_eq '[.method, .path, .headers.authorization]' '["POST","/v1/chat/completions","Bearer sk-canary-0123456789"]' "$last"
    jq_eq '.body | [.model, (.messages | map(.role)), .stream // false, has("tools"), has("temperature")]' \
        '["the-model",["user"],false,false,false]' "$last"
    jq_eq '.body | .max_tokens // .max_completion_tokens' 50 "$last"
    assert_equal "$(asked)" 1
}

@test "a model that spends the few tokens on thinking works" {
    up 'status=400,text=Could%20not%20finish%20the%20message%20because%20max_tokens%20or%20model%20output%20limit%20was%20reached.'
    assert_valid gpt-5
}

@test "a model that fails says why" {
    up 'status=404,text=The%20model%20is%20unknown%20to%20sk-canary-0123456789'
    assert_invalid '' nope
    jq_eq .error '"The model is unknown to ***"'
    up 'status=500,html'
    assert_invalid 'HTTP 500' m
    [[ $body != *Gateway* ]] || fail "$body"
    up 'status=429,retry_after=60,text=later'
    assert_invalid later m
    up 'inband=model%20exploded'
    assert_invalid 'model exploded' m
    row '"api_key":"k","api_base":"http://127.0.0.1:9/v1"'
    assert_invalid 'onnect' m
    refute grep -aq canary "$LOG"
}

@test "models for images and video are valid with a note, nobody is asked" {
    upstream_reset
    up 'status=500'
    local model
    for model in veo-3 dall-e-3 imagen-4 gemini-2.5-flash-image grok-imagine grok-2-image-1212 google/veo-3; do
        verify "$model"
        jq_eq '[.valid, has("error"), (.note | length > 0)]' '[true,false,true]'
    done
    assert_equal "$(asked)" 0
    verify my-veo-3
    jq_eq .valid false
}

@test "providers that cannot be called are invalid, nobody is asked" {
    upstream_reset
    row "\"api_base\":\"$UPSTREAM/v1\""
    assert_invalid 'no key'
    assert_invalid 'no key' veo-3
    row "\"api_key\":\"k\",\"enabled\":false,\"api_base\":\"$UPSTREAM/v1\""
    assert_invalid disabled
    row '"provider_type":"suno","api_key":"k"'
    assert_invalid stored
    assert_invalid stored m
    assert_equal "$(asked)" 0
}

@test "a key that cannot be decrypted is never sent" {
    upstream_reset
    up ''
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE llm_providers SET api_key = 'aes-gcm:' || substr(api_key, 9, 16) ||
        'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE id = '${row##*/}'"
    assert_invalid decrypted
    models
    assert_error 409 FAILED_PRECONDITION
    assert_equal "$(asked)" 0
}

@test "nothing is written: no audit row, no session, no trace" {
    up ''
    local count="SELECT (SELECT count(*) FROM activity_logs) || ' ' || (SELECT count(*) FROM sessions) || ' ' ||
        (SELECT count(*) FROM traces)" before
    before=$(sql "$count")
    assert_valid
    assert_valid m
    models
    assert_equal "$(sql "$count")" "$before"
}

# ---- who, what, how much ----

@test "viewers list, admins verify, nobody else" {
    up ''
    bearer=$VIEWER models
    assert_status 200
    bearer=$VIEWER verify
    assert_error 403 UNAUTHORIZED
    bearer=$OPERATOR verify
    assert_error 403 UNAUTHORIZED
    bearer='' models
    assert_error 401 UNAUTHORIZED
    bearer='' verify
    assert_error 401 UNAUTHORIZED
}

@test "ids: malformed is 400, absent and another tenant's are 404" {
    row=/v1/providers/no-uuid
    models
    assert_error 400 INVALID_REQUEST id
    verify
    assert_error 400 INVALID_REQUEST id
    row=/v1/providers/$ABSENT
    models
    assert_error 404 NOT_FOUND id
    verify
    assert_error 404 NOT_FOUND id
    up ''
    extra=("X-GoClaw-Tenant-Id: other")
    models
    assert_error 404 NOT_FOUND id
    verify
    assert_error 404 NOT_FOUND id
    extra=()
    row=/v1/providers/$(tr a-f A-F <<<"${row##*/}")
    models
    assert_status 200
}

@test "private addresses stay out of reach for other tenants" {
    upstream_reset
    up ''
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE llm_providers SET tenant_id = '$OTHER', api_key = 'k' WHERE id = '${row##*/}'"
    extra=("X-GoClaw-Tenant-Id: other")
    assert_models '[]'
    assert_invalid private
    assert_invalid private m
    assert_equal "$(asked)" 0
}

@test "bodies of verify: 64 KiB at most, JSON, model a string" {
    row '"provider_type":"offline"'
    local file=$BATS_TEST_TMPDIR/big
    printf '{"pad":"%65526s"}' '' >"$file"
    assert_equal "$(stat -c %s "$file")" 65536
    api POST "$row/verify" "@$file"
    assert_status 200
    printf ' ' >>"$file"
    api POST "$row/verify" "@$file"
    assert_error 413 INVALID_REQUEST
    api POST "$row/verify" '{'
    assert_error 400 INVALID_REQUEST
    api POST "$row/verify" '[]'
    assert_error 400 INVALID_REQUEST
    api POST "$row/verify" '{"model":7}'
    assert_error 400 INVALID_REQUEST model
}

@test "methods: HEAD lists, the others are told what is allowed" {
    row '"provider_type":"offline"'
    api HEAD "$row/models"
    assert_status 200
    api POST "$row/models"
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "GET, HEAD, OPTIONS"
    api GET "$row/verify"
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" "POST, OPTIONS"
    api GET "$row/models/"
    assert_status 200
}

# ---- time ----

# timed NAME ARGUMENTS…: a request in the background; its answer and seconds go to files of that name.
timed() {
    local out=$BATS_TEST_TMPDIR/$1
    shift
    curl -sS -m 60 -o "$out" -w '%{http_code} %{time_total}' -H "Authorization: Bearer $TOKEN" "$@" >"$out.time" 3>&- &
}

# took NAME FROM TO: that answer was a 200 after so many seconds.
took() {
    local to=$(($3 * SLOWER))
    awk -v from="$2" -v to="$to" '{ exit !($1 == 200 && $2 >= from && $2 <= to) }' "$BATS_TEST_TMPDIR/$1.time" ||
        fail "$1 took $(cat "$BATS_TEST_TMPDIR/$1.time")"
    body=$(cat "$BATS_TEST_TMPDIR/$1")
}

@test "01 §12.17: 10, 15 and 25 seconds are the limits, and whoever waits holds no database connection" {
    up stall=headers
    local i
    for i in {1..12}; do timed "list-$i" "$GATEWAY$row/models"; done
    timed ping -X POST -H 'Content-Length: 0' "$GATEWAY$row/verify"
    timed try -d '{"model":"m"}' "$GATEWAY$row/verify"
    upstream_open() { [ "$(upstream_stat open)" -ge 14 ]; }
    wait_until 5 upstream_open
    timed other "$GATEWAY/v1/models"
    api GET '/v1/runs?status=running'
    jq_eq .total 0
    wait
    took other 0 2
    took ping 9.9 12
    jq_eq . '{"valid":false,"error":"no answer within 10 seconds"}'
    for i in {1..12}; do
        took "list-$i" 14.9 18
        jq_eq . '{"models":[]}'
    done
    took try 24.9 28
    jq_eq . '{"valid":false,"error":"no answer within 25 seconds"}'
}

@test "a slow drip does not stretch the limit, a slow answer within it counts" {
    up 'delay=1500,models=late'
    assert_models '[{"id":"late"}]'
    up 'split=1,drip=500'
    timed drip -X POST -H 'Content-Length: 0' "$GATEWAY$row/verify"
    wait
    took drip 9.9 12
    jq_eq .valid false
}

# On a connection that served a request before: only there lighttpd tells of a leaving client before the answer.
leave() {
    local options
    request_options
    curl -sS -o /dev/null "$GATEWAY/ready" --next -sS -m 1 -o /dev/null "${options[@]}" "$@" 2>/dev/null || true
}

@test "a client that leaves takes its question along" {
    up stall=headers
    upstream_reset
    leave "$GATEWAY$row/models"
    leave -d '{"model":"m"}' "$GATEWAY$row/verify"
    both_left() { jq -e 'length == 2 and all(.[]; .closed_early)' <<<"$(upstream_requests)" >/dev/null; }
    wait_until 2 both_left || fail "$(upstream_requests | jq -c 'map([.method, .path, .closed_early, .done])')"
}

@test "a stop ends what waits and refuses what comes" {
    up stall=headers
    upstream_reset
    timed waiting -d '{"model":"m"}' "$GATEWAY$row/verify"
    there() { [ "$(asked)" -ge 1 ]; }
    wait_until 3 there
    local began
    began=$(now_ms)
    kill -TERM "$(head -n 1 "$GATEWAY_HOME/serve.lock")"
    refused() { verify && [ "$status_code" = 503 ]; }
    wait_until 2 refused
    assert_error 503 UNAVAILABLE
    models
    assert_error 503 UNAVAILABLE
    wait
    took waiting 1 8
    jq_eq . '{"valid":false,"error":"the gateway stopped waiting"}'
    [ $(($(now_ms) - began)) -lt $((8000 * SLOWER)) ]
}
