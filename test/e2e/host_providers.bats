# Providers of the configuration file and of the environment: seen and used by everybody, changed by nobody, shadowed
# by a stored one of the same name (contract 01 §10, 04 §1.2 to §1.4).

load helper

PROVIDERS=/v1/providers
OPENAI=6ef13fab-f403-58b2-9ce0-80d06e3b4aa3

setup_file() {
    upstream_start
    export GOCLAW_MISTRAL_API_KEY=sk-from-the-environment
    gateway_start "$(jq -n --arg base "$UPSTREAM/o/echo/v1/" '{providers: {
        openai: {api_base: $base, api_key: "sk-of-the-host"},
        ollama: {api_base: ($base | sub("/v1/$"; ""))},
        deepseek: {api_base: $base},
        groq: null, unknown: {api_key: "x"}, xai: {api_kee: "x"}}}')"
    export READ_KEY OTHER_KEY
    READ_KEY=$(clawgate key create --name r --scopes read)
    sqlite3 "$DATABASE" "INSERT INTO tenants (id, name, slug, created_at, updated_at)
        VALUES ('0193a5b0-7000-7000-8000-00000000000b', 'Other', 'other', 't', 't')"
    OTHER_KEY=$(clawgate key create --name o --scopes admin --tenant other)
}

teardown_file() {
    gateway_stop
}

setup() {
    extra=() bearer=$TOKEN
}

teardown() {
    sqlite3 "$DATABASE" '.timeout 5000' "DELETE FROM llm_providers WHERE name <> 'offline';
        DELETE FROM agents WHERE agent_key <> 'default'"
}

# The id of a provider of that name.
id_of() {
    api GET $PROVIDERS
    jq -r --arg name "$1" '.providers[] | select(.name == $name) | .id' <<<"$body"
}

@test "04 §1.3: the list holds both kinds by name, without keys" {
    api GET $PROVIDERS
    assert_status 200
    jq_eq '[.providers[] | [.name, .provider_type, .host_managed]]' '[["mistral","mistral",true],["offline","offline",null],
        ["ollama","ollama",true],["openai","openai_compat",true]]'
    jq_eq '.providers[3] | del(.created_at, .updated_at)' "{\"id\":\"$OPENAI\",\"name\":\"openai\",\"host_managed\":true,
        \"provider_type\":\"openai_compat\",\"api_base\":\"$UPSTREAM/o/echo/v1\",\"enabled\":true,\"settings\":{}}"
    jq_eq '.providers[2].api_base' "\"$UPSTREAM/o/echo/v1\""
    [[ $body != *sk-of* && $body != *sk-from* ]]
    local all=$body
    bearer=$READ_KEY
    api GET $PROVIDERS
    assert_equal "$body" "$all"
}

@test "04 §1.3: names follow RFC 4122 version 5" {
    assert_equal "$(id_of openai)" "$OPENAI"
    [[ $(id_of mistral) =~ ^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$ ]]
}

@test "01 §12.6: paging goes over both kinds" {
    local names='' offset
    for offset in 0 1 2 3; do
        api GET "$PROVIDERS?limit=1&offset=$offset"
        names+=$(jq -r '.providers[0].name, " "' <<<"$body" | tr -d '\n')
        jq_eq '[.total, .limit, .offset]' "[4,1,$offset]"
    done
    assert_equal "$names" 'mistral offline ollama openai '
    api GET "$PROVIDERS?offset=9"
    jq_eq '[.providers, .total]' '[[],4]'
}

@test "04 §1.3: one is read with its ETag" {
    api GET $PROVIDERS/$OPENAI
    assert_status 200
    [ -n "$(header ETag)" ]
    jq_eq '[.name, .host_managed, has("api_key")]' '["openai",true,false]'
    api GET "$PROVIDERS/${OPENAI^^}"
    assert_status 200
}

@test "04 §1.3: a change or a delete is 409, whatever the body says" {
    for text in '{"api_base":"https://example.com"}' '{}' '{'; do
        api PUT $PROVIDERS/$OPENAI "$text"
        assert_error 409 FAILED_PRECONDITION
    done
    api DELETE $PROVIDERS/$OPENAI
    assert_error 409 FAILED_PRECONDITION
    jq_eq '.error.message' '"openai is set in the configuration file and cannot be changed here"'
    bearer=$READ_KEY
    api DELETE $PROVIDERS/$OPENAI
    assert_error 403 UNAUTHORIZED
}

@test "04 §1.4: a run uses it, with the host's key and address" {
    clawgate agent create one --provider openai --model gpt-x >/dev/null
    say hello agent:one
    assert_status 200
    answer | jq -e '.model == "gpt-x"' >/dev/null
    assert_equal "$(upstream_last | jq -r .headers.authorization)" 'Bearer sk-of-the-host'
    clawgate agent create two --provider ollama --model llama >/dev/null
    say hello agent:two
    assert_status 200
    assert_equal "$(upstream_last | jq -r .path)" /v1/chat/completions
}

@test "04 §1.5: verify and models know it" {
    api POST $PROVIDERS/$OPENAI/verify '{"model":"m"}'
    jq_eq . '{"valid":true}'
    api GET $PROVIDERS/$OPENAI/models
    jq_eq '[.models[].id]' '["upstream-small","upstream-large"]'
}

@test "04 §1.4: a stored provider of the same name takes its place, and gives it back" {
    api POST $PROVIDERS '{"name":"openai","provider_type":"offline"}'
    assert_status 201
    local stored
    stored=$(jq -r .id <<<"$body")
    api GET $PROVIDERS
    jq_eq '[.providers[].name]' '["mistral","offline","ollama","openai"]'
    assert_equal "$(id_of openai)" "$stored"
    for call in GET PUT DELETE; do
        api $call $PROVIDERS/$OPENAI '{}'
        assert_error 404 NOT_FOUND id
    done
    api POST $PROVIDERS/$OPENAI/verify
    assert_error 404 NOT_FOUND id
    clawgate agent create one --provider openai >/dev/null
    say '/echo from the row' agent:one
    assert_equal "$(answer)" 'from the row'
    api DELETE "$PROVIDERS/$stored"
    assert_status 200
    assert_equal "$(id_of openai)" "$OPENAI"
}

@test "04 §1.2: its address is that of stored ones of the type that name none; without a key it is no provider" {
    assert_equal "$(id_of deepseek)" ''
    clawgate provider set mine --type deepseek --api-key sk-mine >/dev/null
    clawgate agent create one --provider mine --model m >/dev/null
    say hello agent:one
    assert_status 200
    assert_equal "$(upstream_last | jq -r .headers.authorization)" 'Bearer sk-mine'
}

@test "04 §1.3: another tenant has it too, also at a private address, and shadows it for itself alone" {
    bearer=$OTHER_KEY
    api GET $PROVIDERS
    jq_eq '[.providers[].name]' '["mistral","ollama","openai"]'
    api POST $PROVIDERS/$OPENAI/verify '{"model":"m"}'
    jq_eq . '{"valid":true}'
    api POST $PROVIDERS '{"name":"openai","provider_type":"offline"}'
    assert_status 201
    api GET $PROVIDERS/$OPENAI
    assert_error 404 NOT_FOUND id
    bearer=$TOKEN
    api GET $PROVIDERS/$OPENAI
    assert_status 200
}

@test "01 §10: unknown names and members are warned about, wrong ones end the start" {
    grep -q '"number":1103,"key":"providers","member":"unknown"' "$LOG"
    grep -q '"number":1103,"key":"xai","member":"api_kee"' "$LOG"
    local wrong key
    key=$(printf 'k%.0s' {1..8192})
    mkdir -p "$BATS_TEST_TMPDIR/home"
    echo "{\"providers\": {\"openai\": {\"api_key\": \"$key\"}}}" >"$BATS_TEST_TMPDIR/home/config.json"
    run env CLAWGATE_HOME="$BATS_TEST_TMPDIR/home" "$BUILD/cgi-bin/providers" --check
    assert_success
    for wrong in '[]' "{\"openai\":{\"api_key\":\"k$key\"}}" '{"openai":1}' '{"openai":{"api_key":1}}' '{"openai":{"api_base":"example.com"}}' \
        '{"openai":{"api_base":"http://"}}' '{"openai":{"api_base":"ftp://x"}}'; do
        echo "{\"providers\": $wrong}" >"$BATS_TEST_TMPDIR/home/config.json"
        run env CLAWGATE_HOME="$BATS_TEST_TMPDIR/home" "$BUILD/cgi-bin/providers" --check
        assert_failure 1
        assert_output --partial 'providers'
        assert_output --partial 'must be'
    done
}
