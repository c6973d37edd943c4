# Sessions over HTTP: list, one, preview (contract 03 §6.3, §6.4).

load helper

setup_file() {
    gateway_start
    clawgate agent create helper --user alice >/dev/null
    export ALICE READER NOBODY
    ALICE=$(clawgate key create --name a --scopes write --owner alice)
    READER=$(clawgate key create --name r --scopes read --owner bob)
    NOBODY=$(clawgate key create --name n --scopes read)
    local i
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR
    for i in 1 2 3; do
        extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: talk-$i")
        say "/echo answer $i" goclaw:helper
    done
    extra=("X-GoClaw-User-Id: bob" "X-GoClaw-Session-Key: bobs")
    say "/echo for bob 🚀"
}

teardown_file() {
    gateway_stop
}

@test "an admin without a user sees the whole tenant, the last used first" {
    api GET /v1/sessions
    assert_status 200
    jq_eq '[.total, .limit, .offset, has("total_capped")]' '[4,20,0,false]'
    jq_eq '[.sessions[].key]' '["agent:default:http:direct:bobs","agent:helper:http:direct:talk-3",
        "agent:helper:http:direct:talk-2","agent:helper:http:direct:talk-1"]'
}

@test "an item has the documented members, empty ones left out" {
    api GET '/v1/sessions?limit=1'
    jq_eq '.sessions[0] | [.key == .session_key, .messageCount, .channel, .userID, .user_id, .agent_id, .provider, .model]' \
        '[true,2,"http","bob","bob","default","offline","offline"]'
    jq_eq '.sessions[0] | [.inputTokens == .input_tokens, .outputTokens == .output_tokens, .estimatedTokens > 12000, .contextWindow]' \
        '[true,true,true,200000]'
    jq_eq '.sessions[0] | [has("label"), has("metadata"), has("compactionCount")]' '[false,false,false]'
    jq_eq '.sessions[0] | [.created, .updated] | map(test("Z$"))' '[true,true]'
}

@test "limit and offset page, and wrong values fall back" {
    api GET '/v1/sessions?limit=2&offset=1'
    jq_eq '[(.sessions | length), .sessions[0].key, .total, .limit, .offset]' '[2,"agent:helper:http:direct:talk-3",4,2,1]'
    api GET '/v1/sessions?limit=0&offset=-1'
    jq_eq '[.limit, .offset]' '[20,0]'
    api GET '/v1/sessions?limit=200'
    jq_eq .limit 200
    api GET '/v1/sessions?limit=201&offset=x'
    jq_eq '[.limit, .offset]' '[200,0]'
    api GET '/v1/sessions?offset=100'
    jq_eq '[.sessions, .total]' '[[],4]'
}

@test "filters: agent by key or uuid, channel, user" {
    local id
    id=$(sql "SELECT id FROM agents WHERE agent_key = 'helper'")
    for query in agent_id=helper agentId=helper "agent_id=$id" user_id=alice 'agent_id=helper&channel=http&user_id=alice'; do
        api GET "/v1/sessions?$query"
        jq_eq '.total' 3
    done
    for query in agent_id=nobody channel=ws user_id=carol 'agent_id=helper&user_id=bob'; do
        api GET "/v1/sessions?$query"
        jq_eq '[.sessions, .total]' '[[],0]'
    done
    api GET '/v1/sessions?agent_id=No%20Slug'
    assert_error 400 INVALID_REQUEST agent_id
}

@test "others see their own only, and must say who they are" {
    bearer=$ALICE
    api GET /v1/sessions
    jq_eq '[.total, ([.sessions[].userID] | unique)]' '[3,["alice"]]'
    api GET '/v1/sessions?user_id=bob'
    jq_eq '[.sessions[].userID] | unique' '["alice"]'
    bearer=$NOBODY
    api GET /v1/sessions
    assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    extra=("X-GoClaw-User-Id: bob")
    api GET /v1/sessions
    jq_eq '.total' 1
}

@test "one session with its messages, oldest first, with ids and times" {
    api GET /v1/sessions/agent:default:http:direct:bobs
    assert_status 200
    jq_eq '[.key, .messageCount, .summary, .userID]' '["agent:default:http:direct:bobs",2,"","bob"]'
    jq_eq '[.messages[] | [.role, .content]]' '[["user","/echo for bob 🚀"],["assistant","for bob 🚀"]]'
    jq_eq '[.messages[] | (.id | test("^[0-9a-f-]{36}$")), (.created_at | test("Z$"))] | unique' '[true]'
    [ -n "$(header ETag)" ]
    api GET /v1/sessions/agent%3Adefault%3Ahttp%3Adirect%3Abobs
    assert_status 200
}

@test "messages are paged backwards with limit and before" {
    local key=/v1/sessions/agent:helper:http:direct:talk-1 before
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: talk-1")
    say "/echo second" goclaw:helper
    extra=()
    api GET "$key?limit=1"
    jq_eq '[.messages[].content]' '["second"]'
    jq_eq '.messageCount' 4
    before=$(jq -r '.messages[0].id' <<<"$body")
    api GET "$key?limit=2&before=$before"
    jq_eq '[.messages[].content]' '["answer 1","/echo second"]'
    api GET "$key?limit=0"
    jq_eq '.messages | length' 4
}

# Most rows are written by nobody: a run for each would take a minute.
@test "of a long session a run sees the newest 2,000 messages, a page has 200, at most 1,000" {
    local key=agent:patient:http:direct:long
    clawgate agent create patient --user alice >/dev/null
    api PUT /v1/agents/patient '{"compaction_config":{"minMessages":3000}}'
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: long")
    say "/echo begun" goclaw:patient
    sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO messages (session_id, tenant_id, seq, id, role, created_at, content)
            WITH RECURSIVE n (i) AS (VALUES (3) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            SELECT s.id, s.tenant_id, i, 'row-' || i, iif(i % 2, 'user', 'assistant'), s.created_at, 'm'
            FROM n, sessions s WHERE s.key = '$key';
        UPDATE sessions SET message_count = 2000 WHERE key = '$key'"
    say /history goclaw:patient
    assert_equal "$(answer | head -n 2)" "I see 2002 messages: 1 system, 1001 user, 1000 assistant, 0 tool.
User message 1: /echo begun"
    say /history goclaw:patient
    assert_equal "$(answer | head -n 2)" "I see 2002 messages: 1 system, 1001 user, 1000 assistant, 0 tool.
User message 1: m"
    extra=()
    local limit
    for limit in '' 1000 1001; do
        api GET "/v1/sessions/$key${limit:+?limit=$limit}"
        jq_eq '[.messageCount, (.messages | length)]' "[2004,$((limit == 0 ? 200 : 1000))]"
    done
    api GET "/v1/sessions/$key/preview"
    jq_eq '[(.messages | length), .messages[-2].content]' '[50,"/history"]'
}

@test "the ETag changes with the session and not without" {
    local key=/v1/sessions/agent:helper:http:direct:talk-2 tag
    api GET "$key"
    tag=$(header ETag)
    api GET "$key"
    assert_equal "$(header ETag)" "$tag"
    extra=("X-GoClaw-User-Id: alice" "X-GoClaw-Session-Key: talk-2")
    say "/echo more" goclaw:helper
    extra=()
    api GET "$key"
    [ "$(header ETag)" != "$tag" ]
}

@test "preview by GET and POST gives key, messages and summary" {
    local method
    for method in GET POST; do
        api $method /v1/sessions/agent:default:http:direct:bobs/preview
        assert_status 200
        jq_eq '[keys, (.messages | length)]' '[["key","messages","summary"],2]'
    done
}

@test "a missing session is 404, a foreign one 403 below admin" {
    api GET /v1/sessions/agent:default:none
    assert_error 404 NOT_FOUND key
    bearer=$READER
    api GET /v1/sessions/agent:helper:http:direct:talk-1
    assert_error 403 UNAUTHORIZED
    api POST /v1/sessions/agent:helper:http:direct:talk-1/preview
    assert_error 403 UNAUTHORIZED
    api GET /v1/sessions/agent:default:http:direct:bobs
    assert_status 200
    api GET /v1/sessions/agent:default:none
    assert_error 404 NOT_FOUND key
}

@test "03 §1.1: names travel percent-encoded in headers, and back; the header's value fits into the path" {
    local value encoded=agent:default:http:direct:a%2Fb%20c%25d+%C3%A9 name="agent:default:http:direct:a/b c%d+é" n=0
    # as it is, encoded, encoded where it must be, the whole key of the answer before
    for value in a%2Fb%20c%25d%2B%C3%A9 "a/b c%25d+é" $encoded; do
        extra=("X-GoClaw-Session-Key: $value")
        say "/echo odd"
        assert_status 200
        assert_equal "$(header X-GoClaw-Session-Key)" $encoded
        n=$((n + 2))
        extra=()
        api GET "/v1/sessions/$encoded"
        assert_status 200
        assert_equal "$(jq -r .key <<<"$body")" "$name"
        jq_eq .messageCount $n
    done
    api POST /v1/chat/completions "$(chat_body "/echo odd" | jq -c '. + {metadata: {session_key: "a/b c%d+é"}}')"
    assert_equal "$(header X-GoClaw-Session-Key)" $encoded
    for value in 100% %zz %e9 a%00b a%0Ab a%C2%85b; do
        extra=("X-GoClaw-Session-Key: $value")
        say "/echo odd"
        assert_error 400 INVALID_REQUEST X-GoClaw-Session-Key
    done
}

@test "03 §1.6: the name may have 200 bytes after decoding, the whole key 500" {
    local prefix=agent:default: long
    printf -v long 'é%.0s' {1..100}
    extra=("X-GoClaw-Session-Key: ${long//é/%C3%A9}")
    say "/echo long"
    assert_status 200
    extra=("X-GoClaw-Session-Key: ${long//é/%C3%A9}x")
    say "/echo long"
    assert_error 400 INVALID_REQUEST X-GoClaw-Session-Key
    printf -v long 'x%.0s' {1..486}
    extra=("X-GoClaw-Session-Key: $prefix$long")
    say "/echo long"
    assert_status 200
    extra=("X-GoClaw-Session-Key: $prefix${long}x")
    say "/echo long"
    assert_error 400 INVALID_REQUEST X-GoClaw-Session-Key
}

@test "what an answer said is readable at once" {
    local i
    for i in {1..10}; do
        say "/echo number $i"
        api GET "/v1/sessions/$(header X-GoClaw-Session-Key)"
        jq_eq '.messages[1].content' "\"number $i\""
    done
}
