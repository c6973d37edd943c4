#!/usr/bin/env bats
# Providers (contract 04 §1): the record, its limits, its secrets, and that the next run uses what was written.

load helper

setup_file() {
    upstream_start
    gateway_start
}

teardown_file() {
    gateway_stop
    upstream_stop
}

create() {
    api POST /v1/providers "$1"
    id=$(jq -r '.id // empty' <<<"$body")
}

@test "a provider is created with its defaults, its key masked and encrypted at rest" {
    create '{"name":"one","api_key":"sk-canary-1234"}'
    assert_status 201
    jq_eq '[.name, .provider_type, .api_key, .enabled, .settings]' '["one","openai_compat","***",true,{}]'
    jq_eq '[has("api_base"), has("display_name"), has("host_managed")]' '[false,false,false]'
    run sqlite3 "$DATABASE" "SELECT api_key FROM llm_providers WHERE name = 'one'"
    assert_output --partial aes-gcm:
    refute_output --partial canary
    api GET "/v1/providers/$id"
    assert_status 200
    jq_eq .api_key '"***"'
}

@test "names are slugs of at most fifty characters and unique" {
    create "{\"name\":\"$(printf 'a%.0s' {1..50})\"}"
    assert_status 201
    create "{\"name\":\"$(printf 'a%.0s' {1..51})\"}"
    assert_error 400 INVALID_REQUEST name
    create '{"name":"Not-A-Slug"}'
    assert_error 400 INVALID_REQUEST name
    create '{}'
    assert_error 400 INVALID_REQUEST name
    create '{"name":"twin"}'
    assert_status 201
    create '{"name":"twin"}'
    assert_error 409 ALREADY_EXISTS name
}

@test "every type of the contract is taken, others are refused" {
    local type n=0
    for type in openai_compat anthropic_native anthropic_oauth gemini_native openrouter groq deepseek mistral xai \
        minimax_native cohere perplexity dashscope bailian yescale zai zai_coding ollama ollama_cloud novita byteplus \
        byteplus_coding kimi_coding offline suno chatgpt_oauth claude_cli acp vertex_ai; do
        n=$((n + 1))
        create "{\"name\":\"type-$n\",\"provider_type\":\"$type\"}"
        assert_status 201
        jq_eq .provider_type "\"$type\""
    done
    create '{"name":"alias","provider_type":"vertex"}'
    jq_eq .provider_type '"vertex_ai"'
    create '{"name":"nope","provider_type":"nope"}'
    assert_error 400 INVALID_REQUEST provider_type
    create '{"name":"second-cli","provider_type":"claude_cli"}'
    assert_error 409 ALREADY_EXISTS provider_type
}

@test "addresses are judged and put into their usual form" {
    create '{"name":"slash","api_base":"https://models.example.com/v1///"}'
    jq_eq .api_base '"https://models.example.com/v1"'
    create '{"name":"ollama","provider_type":"ollama","base_url":"http://localhost:11434"}'
    jq_eq .api_base '"http://localhost:11434/v1"'
    create '{"name":"anthropic","provider_type":"anthropic_native","api_base":"https://api.example.com"}'
    jq_eq .api_base '"https://api.example.com/v1"'
    local bad
    for bad in ftp://x.example.com http://169.254.169.254/v1 http://metadata.google.internal/v1 \
        http://user@x.example.com http:///v1 "http://x.example.com/$(printf 'a%.0s' {1..2048})"; do
        create "{\"name\":\"bad\",\"api_base\":\"$bad\"}"
        assert_error 400 INVALID_REQUEST api_base
    done
    create '{"name":"off","provider_type":"offline","api_base":"http://x.example.com"}'
    assert_error 400 INVALID_REQUEST api_base
    create '{"name":"off","provider_type":"offline","api_key":"k"}'
    assert_error 400 INVALID_REQUEST api_key
}

@test "a change keeps what it does not name, and the key unless it is given or cleared" {
    create '{"name":"keep","api_key":"first","api_base":"https://a.example.com","settings":{"x":1}}'
    api PUT "/v1/providers/$id" '{"api_key":"***","display_name":"Kept"}'
    assert_status 200
    jq_eq '[.status, .api_key, .display_name, .api_base, .settings]' \
        '["updated","***","Kept","https://a.example.com",{"x":1}]'
    api PUT "/v1/providers/$id" '{"api_key":""}'
    jq_eq .api_key '"***"'
    api PUT "/v1/providers/$id" '{"default_model":"m-1"}'
    jq_eq .settings '{"x":1,"default_model":"m-1"}'
    api PUT "/v1/providers/$id" '{"api_key":null}'
    jq_eq 'has("api_key")' false
    api POST /v1/providers '{"name":"masked","api_key":"***"}'
    assert_error 400 INVALID_REQUEST api_key
    local key
    key=$(printf 'k%.0s' {1..8192})
    api PUT "/v1/providers/$id" "{\"api_key\":\"k$key\"}"
    assert_error 400 INVALID_REQUEST api_key
    api PUT "/v1/providers/$id" "{\"api_key\":\"$key\"}"
    jq_eq .api_key '"***"'
    api PUT "/v1/providers/$id" '{"provider_type":"offline"}'
    assert_error 400 INVALID_REQUEST api_base
}

@test "settings must be an object and sound" {
    create '{"name":"s1","settings":[]}'
    assert_error 400 INVALID_REQUEST settings
    create '{"name":"s1","settings":{"embedding":{"dimensions":-1}}}'
    assert_error 400 INVALID_REQUEST settings
    create '{"name":"s1","settings":{"default_model":7}}'
    assert_error 400 INVALID_REQUEST settings
    create '{"name":"s1","settings":{"embedding":{"dimensions":-0.5}}}'
    assert_error 400 INVALID_REQUEST settings
    create '{"name":"s1","default_model":7}'
    assert_error 400 INVALID_REQUEST default_model
    # With default_model they are as long as they may be, and one byte longer.
    local model
    model=$(printf 'm%.0s' {1..65516})
    create "{\"name\":\"s1\",\"default_model\":\"$model\"}"
    assert_status 201
    create "{\"name\":\"s2\",\"default_model\":\"${model}m\"}"
    assert_error 400 INVALID_REQUEST default_model
}

@test "the list is ordered by name and shows no key" {
    api GET /v1/providers
    assert_status 200
    jq_eq '.providers | map(.name) | (. == sort and length > 30)' true
    [[ $body != *canary* ]]
}

@test "only admins write, viewers read" {
    local viewer operator
    viewer=$(clawgate key create --name v --scopes read)
    operator=$(clawgate key create --name o --scopes write)
    bearer=$viewer api GET /v1/providers
    assert_status 200
    bearer=$operator api POST /v1/providers '{"name":"no"}'
    assert_error 403 UNAUTHORIZED
}

@test "the next run uses a changed provider, and none once it is gone" {
    create "{\"name\":\"live\",\"api_base\":\"$UPSTREAM/o/text=before/v1\",\"api_key\":\"k\",\"default_model\":\"m\"}"
    assert_status 201
    local provider=$id
    clawgate agent create live --provider live
    say 'hi' goclaw:live
    jq_eq '.choices[0].message.content' '"before"'
    api PUT "/v1/providers/$provider" "{\"api_base\":\"$UPSTREAM/o/text=after/v1\"}"
    assert_status 200
    say 'hi' goclaw:live
    jq_eq '.choices[0].message.content' '"after"'
    api PUT "/v1/providers/$provider" '{"enabled":false}'
    say 'hi' goclaw:live
    assert_error 409 FAILED_PRECONDITION
    api DELETE "/v1/providers/$provider"
    jq_eq '[.status, .id]' "[\"deleted\",\"$provider\"]"
    api DELETE "/v1/providers/$provider"
    assert_error 404 NOT_FOUND id
}
