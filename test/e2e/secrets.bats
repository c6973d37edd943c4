#!/usr/bin/env bats
# Secrets (contract 01 §11): they are in no answer, no log and no file, whatever goes wrong; and their key can be
# changed while the gateway runs. Every secret of this suite holds the word CANARY.

load helper

KEYS=GOCLAW_ENCRYPTION_KEY

setup_file() {
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start
    export SAID=$BATS_FILE_TMPDIR/said
    : >"$SAID"
}

teardown_file() {
    gateway_stop
}

# call METHOD PATH [JSON]: as api; what came back is kept for the search.
call() {
    api "$@"
    printf '%s %s\n%s\n%s\n' "$1" "${2%%\?*}" "$headers" "$body" >>"$SAID"
}

stream_call() {
    sse "$1"
    printf '%s\n%s\n' "$headers" "$body" >>"$SAID"
}

# Every character as %XX: an upstream of this text says the secret, an address with it does not hold it.
hidden() {
    printf %s "$1" | od -An -tx1 -v | tr -d ' \n' | sed 's/../%&/g'
}

# leaky NAME KEY OPTIONS [TYPE]: a provider whose upstream says its own key where OPTIONS have {}; an agent with it.
leaky() {
    call POST /v1/providers "$(jq -cn --arg name "$1" --arg key "$2" --arg type "${4:-openai_compat}" \
        --arg base "$UPSTREAM/o/${3//\{\}/$(hidden "key $2 is refused")}/v1" \
        '{name: $name, api_key: $key, provider_type: $type, api_base: $base, settings: {default_model: "m"}}')"
    assert_status 201
    jq_eq .api_key '"***"'
    provider_path=/v1/providers/$(jq -r .id <<<"$body")
    clawgate agent create "$1" --provider "$1" --model m >/dev/null
}

# talk NAME: a chat, plain and streamed, and what else asks the upstream.
talk() {
    call POST /v1/chat/completions "$(chat_body hello "goclaw:$1")"
    plain_status=$status_code
    stream_call "$(stream_body hello "goclaw:$1")"
    call POST "$provider_path/verify" '{"model":"m"}'
    call GET "$provider_path/models"
}

# none TEXT: neither said nor kept anywhere below the home, config.json left out.
none() {
    local found
    found=$(grep -aFn -- "$1" "$SAID" | cut -c1-300) || true
    [ -z "$found" ] || fail "said: $found"
    found=$(grep -raFl --exclude=config.json -- "$1" "$GATEWAY_HOME") || true
    [ -z "$found" ] || fail "kept in: $found: $(grep -raFho -- ".\{0,80\}$1" "$found" | head -n 3)"
    ! sqlite3 -readonly "$DATABASE" .dump | grep -F -- "$1" || fail "in the database"
}

# The encrypted texts of the database, wherever they stand.
tokens() {
    sqlite3 -readonly -cmd '.timeout 5000' "$DATABASE" .dump | grep -o 'aes-gcm:[A-Za-z0-9+/=]*' | sort
}

# The upstream got this key with the last chat of the agent.
assert_key_sent() {
    say hello "goclaw:$1"
    assert_status 200
    assert_equal "$(upstream_requests | jq -r 'last | .headers.authorization')" "Bearer $2"
}

rotate() {
    "$BUILD/tools/clawgate-admin" secrets-rotate --home "$GATEWAY_HOME"
}

@test "provider keys: chats that succeed, and upstreams that say the key in every kind of failure" {
    local number=0 options key name
    leaky fine sk-CANARY-fine-0123456789 text=fine
    talk fine
    assert_equal "$plain_status" 200
    assert_equal "$(upstream_requests | jq -r 'map(select(.headers.authorization == "Bearer sk-CANARY-fine-0123456789"))
        | length >= 2')" true
    for options in 'status=401,text={}' 'status=400,text={}' 'status=404,text={}' 'status=500,text={}' \
        'status=429,text={},retry_after=0' 'status=401,text={},html' 'status=200,html,text={}' 'inband={}' \
        'status=401,text={},sse' 'status=302,location=http://127.0.0.1:9/{}' 'status=418,text={},garbage'; do
        number=$((number + 1))
        # Keys of known kinds, and one that only its provider tells to be a key.
        for key in sk-CANARY-0123456789 AIzaCANARY0123456789 "quiet/CANARY \"$number\" words"; do
            name=leaky-$number-${key:0:1}
            leaky "${name,,}" "$key" "$options"
            talk "${name,,}"
            [ "$plain_status" != 200 ] || [[ $options == *html* ]]
        done
    done
    leaky native sk-ant-CANARY-0123456789 'status=401,text={}' anthropic_native
    talk native
    # It does pass on what the upstream said, without the key.
    grep -qF 'key ***' "$SAID" || grep -qF 'key sk-***' "$SAID"
}

@test "01 §11: changes, lists, refusals: no answer shows what it was given" {
    local server key_path wrong
    leaky changed CANARY-first text=x
    call PUT "$provider_path" '{"api_key":"CANARY-second"}'
    assert_status 200
    call PUT "$provider_path" '{"api_key":"***","display_name":"x"}'
    extra=("Idempotency-Key: once")
    call POST /v1/mcp/servers '{"name":"tools","transport":"sse","url":"https://mcp.example.com/sse","api_key":"CANARY-mcp",
        "headers":{"X-Key":"CANARY-header"},"env":{"TOKEN":"CANARY-env"}}'
    assert_status 201
    call POST /v1/mcp/servers '{"name":"tools","transport":"sse","url":"https://mcp.example.com/sse","api_key":"CANARY-mcp",
        "headers":{"X-Key":"CANARY-header"},"env":{"TOKEN":"CANARY-env"}}'
    assert_status 201
    extra=()
    server=/v1/mcp/servers/$(jq -r .id <<<"$body")
    jq_eq '[.api_key, .headers, .env]' '["***",{"X-Key":"***"},{"TOKEN":"***"}]'
    call PUT "$server" '{"headers":{"X-Key":"***","X-Other":"CANARY-more"}}'
    assert_status 200
    # Refused: too long, of the wrong type, beside something wrong, taken, in the wrong member, malformed.
    for wrong in '"api_key":["CANARY"]' '"api_key":{"CANARY":"CANARY"}' '"headers":{"bad name":"CANARY"}' \
        '"headers":{"X":["CANARY"]}' '"headers":"CANARY"' '"env":{"1BAD":"CANARY"}' '"env":{"A":7,"B":"CANARY"}' \
        '"api_key":"CANARY","timeout_sec":100000' '"api_key":"CANARY\u0000"' \
        '"api_key":"CANARY","api_key":"CANARY"' '"api_key":"CANARY"' \
        "\"api_key\":\"CANARY$(printf 'x%.0s' {1..8192})\""; do
        call PUT "$server" "{$wrong,\"name\":\"UPPER CASE\"}"
        assert_status 400
        call POST /v1/mcp/servers "{\"name\":\"tools\",\"transport\":\"sse\",\"url\":\"https://mcp.example.com\",$wrong}"
        [[ $status_code == 4?? ]]
        call POST /v1/providers "{\"name\":\"changed\",$wrong}"
        [[ $status_code == 4?? ]]
    done
    for wrong in '{"api_key":"CANARY' '{"api_key":"CANARY"}}' '["CANARY"]' '"CANARY"'; do
        call POST /v1/providers "$wrong"
        assert_status 400
    done
    for wrong in https://user:CANARY@models.example.com/v1 'http://169.254.169.254/?key=CANARY' ftp://CANARY; do
        call PUT "$provider_path" "{\"api_base\":\"$wrong\"}"
        assert_status 400
        call PUT "$server" "{\"url\":\"$wrong\"}"
        assert_status 400
    done
    extra=('If-Match: "other"')
    call PUT "$server" '{"env":{"TOKEN":"CANARY-late"}}'
    assert_status 412
    extra=()
    # Everything that can be read.
    for key_path in /v1/providers "$provider_path" "$provider_path/models" /v1/mcp/servers "$server" /v1/agents \
        /v1/agents/changed /v1/api-keys /v1/sessions /v1/runs /v1/models /v1/tenants '/v1/activity?limit=200' \
        /v1/activity/aggregate /metrics /health /ready /docs/openapi.json; do
        call GET "$key_path"
        assert_status 200
    done
    # A value no key fits any more.
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "UPDATE llm_providers
        SET api_key = substr(api_key, 1, 20) || 'AAAA' || substr(api_key, 25) WHERE name = 'changed'"
    call GET "$provider_path"
    jq_eq .api_key '"***"'
    talk changed
    assert_equal "$plain_status" 409
    call DELETE "$provider_path"
}

@test "API keys are said once, the gateway's token never; nothing of them is kept" {
    local options key id text
    api POST /v1/api-keys '{"name":"one","scopes":["operator.admin"]}'
    assert_status 201
    key=$(jq -r .key <<<"$body")
    id=$(jq -r .id <<<"$body")
    extra=("Idempotency-Key: key")
    api POST /v1/api-keys '{"name":"two","scopes":["operator.admin"]}'
    text=$(jq -r .key <<<"$body")
    call POST /v1/api-keys '{"name":"two","scopes":["operator.admin"]}'
    assert_status 201
    jq_eq 'has("key")' false
    extra=()
    for bearer in "$key" "$text" "$TOKEN"; do
        call GET /v1/api-keys
        assert_status 200
        call GET "/v1/providers?token=$bearer"
        call GET "/v1/nothing?token=$bearer&key=$bearer"
        assert_status 404
        call POST /v1/providers "{\"name\":\"$bearer\""
        assert_status 400
        for wrong in "Bearer ${bearer}x" "bearer  $bearer" "Basic $bearer" "$bearer" "Bearer $bearer $bearer"; do
            bearer='' extra=("Authorization: $wrong")
            call GET /v1/providers
            call POST /v1/chat/completions "$(chat_body x)"
        done
        extra=()
    done
    bearer=$TOKEN
    call POST "/v1/api-keys/$id/revoke"
    assert_status 200
    bearer=$key
    call GET /v1/providers
    assert_status 401
    for text in "$key" "$text" "$TOKEN"; do none "$text"; done
}

@test "no secret of this suite is anywhere" {
    # The search does find: names are in answers, logs and the database.
    grep -qF leaky-1-s "$SAID"
    grep -qF "$(sql "SELECT id FROM llm_providers WHERE name = 'leaky-1-s'")" "$LOG"
    run none leaky-1-s
    assert_failure
    [ "$(tokens | wc -l)" -ge 30 ]
    [ "$(sql "SELECT COUNT(*) FROM traces WHERE status = 'error' AND error <> ''")" -ge 30 ]
    [ -s "$GATEWAY_HOME/log/access.log" ]
    none CANARY
    clawgate secrets status >"$SAID"
    clawgate status >>"$SAID"
    none CANARY
    # Also not when the gateway has stopped and the write-ahead log is gone.
    timeout 30 "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME"
    none CANARY
    none "$TOKEN"
    gateway_serve
}

@test "every described secret is known to the change of keys" {
    local described known
    described=$(for program in "$BUILD"/cgi-bin/*; do "$program" --describe; done | jq -s 'map(.resources // {} | .[]
        | .schema.properties[] | select(.format == "password" or .additionalProperties or .writeOnly)) | length')
    known=$(clawgate secrets status | tail -n +2 | wc -l)
    [ "$described" -ge 4 ]
    assert_equal "$known" "$described"
}

@test "01 §11: rotate: nothing keeps its old text, and what is running goes on" {
    sqlite3 -cmd '.timeout 5000' "$DATABASE" 'DELETE FROM llm_providers; DELETE FROM mcp_servers'
    leaky turn sk-CANARY-turn text=x
    call POST /v1/mcp/servers '{"name":"turn","transport":"sse","url":"https://mcp.example.com/sse",
        "api_key":"CANARY-mcp","headers":{"X-Key":"CANARY-header"},"env":{"TOKEN":"CANARY-env"}}'
    assert_status 201
    local server before record
    server=/v1/mcp/servers/$(jq -r .id <<<"$body")
    api GET "$server"
    record=$body
    before=$(tokens)
    run rotate
    assert_success
    assert_output '4 encrypted anew, 0 had the new key already, 0 cannot be decrypted'
    assert_equal "$(tokens | wc -l)" 4
    assert_equal "$(comm -12 <(echo "$before") <(tokens))" ''
    # Nobody was told, and all of it works: reading, sending, writing.
    api GET "$server"
    assert_equal "$body" "$record"
    assert_key_sent turn sk-CANARY-turn
    call PUT "$provider_path" '{"api_key":"sk-CANARY-again"}'
    assert_key_sent turn sk-CANARY-again
    # With the reload of the command itself.
    run clawgate secrets rotate
    assert_success
    assert_line '4 encrypted anew, 0 had the new key already, 0 cannot be decrypted'
    assert_line --partial 'reload asked for'
    wait_until 10 is_ready
    assert_key_sent turn sk-CANARY-again
    run clawgate secrets status
    assert_line $'llm_providers.api_key\t1\t0\t0\t0'
    assert_equal "$(stat -c '%a %s' "$GATEWAY_HOME/data/encryption.key")" '600 65'
    assert_equal "$(find "$GATEWAY_HOME/data" -name "encryption*" | wc -l)" 1
    none CANARY
}

@test "rotate killed again and again: chats and reads never notice" {
    local i pid
    clawgate provider set second --base-url "$UPSTREAM/v1" --api-key sk-CANARY-second --model m >/dev/null
    clawgate agent create second --provider second --model m >/dev/null
    for i in {1..12}; do
        rotate >/dev/null 2>&1 3>&- &
        pid=$!
        sleep "0.0$((RANDOM % 5))$((RANDOM % 10))"
        kill -KILL $pid 2>/dev/null || true
        wait $pid || true
        assert_key_sent second sk-CANARY-second
        run clawgate secrets status
        assert_success
        refute_output --partial 'cannot be decrypted'
    done
    run rotate
    assert_success
    run clawgate secrets status
    assert_line $'llm_providers.api_key\t2\t0\t0\t0'
    assert_key_sent second sk-CANARY-second
    assert_key_sent turn sk-CANARY-again
}

@test "01 §11: a value that cannot be decrypted stays as it is and is told" {
    clawgate provider set broken --base-url "$UPSTREAM/v1" --api-key sk-CANARY-broken --model m >/dev/null
    local id stored
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "UPDATE llm_providers
        SET api_key = substr(api_key, 1, 20) || 'AAAA' || substr(api_key, 25) WHERE name = 'broken'"
    id=$(sql "SELECT id FROM llm_providers WHERE name = 'broken'")
    stored=$(sql "SELECT api_key FROM llm_providers WHERE name = 'broken'")
    run rotate
    assert_success
    assert_line --partial "llm_providers.api_key of $id cannot be decrypted"
    assert_line '5 encrypted anew, 0 had the new key already, 1 cannot be decrypted'
    assert_equal "$(sql "SELECT api_key FROM llm_providers WHERE name = 'broken'")" "$stored"
    sqlite3 -cmd '.timeout 5000' "$DATABASE" "DELETE FROM llm_providers WHERE name = 'broken'"
}

@test "01 §11: a key in the environment: refused while the gateway has another, then it takes over" {
    local env=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
    run env $KEYS=$env "$ROOT/tools/clawgate" secrets rotate --home "$GATEWAY_HOME"
    assert_failure
    assert_output --partial 'another GOCLAW_ENCRYPTION_KEY'
    assert_key_sent second sk-CANARY-second
    timeout 30 "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME"
    export GOCLAW_ENCRYPTION_KEY=$env
    gateway_serve
    assert_key_sent second sk-CANARY-second
    run clawgate secrets rotate
    assert_success
    assert_line '5 encrypted anew, 0 had the new key already, 0 cannot be decrypted'
    rm "$GATEWAY_HOME/data/encryption.key"
    timeout 30 "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME"
    gateway_serve
    assert_key_sent second sk-CANARY-second
    assert_equal "$(find "$GATEWAY_HOME/data" -name "encryption*" | wc -l)" 0
    none CANARY
    none $env
}
