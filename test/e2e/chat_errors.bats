# POST /v1/chat/completions: what is refused, and how (contract 03 §1.3, §1.10). Upstream failures: chat_upstream.bats.

load helper

LIMIT=200000

setup_file() {
    upstream_start
    gateway_start "{\"gateway\":{\"max_body_bytes\":$LIMIT}}"
    provider plain ''
    clawgate agent create lost --provider nowhere >/dev/null
    clawgate agent create private --user alice >/dev/null
    clawgate agent create asleep >/dev/null
    sqlite3 "$DATABASE" "UPDATE agents SET status = 'inactive' WHERE agent_key = 'asleep'"
    export READ_KEY WRITE_KEY
    READ_KEY=$(clawgate key create --name r --scopes read)
    WRITE_KEY=$(clawgate key create --name w --scopes write --owner bob)
}

teardown_file() {
    gateway_stop
}

post() {
    api POST /v1/chat/completions "$1"
}

# A body with one field changed; the value is JSON and sent as it is.
with() {
    local ask='"messages":[{"role":"user","content":"/echo hi"}],'
    case $1 in
        messages) post "{\"messages\":$2}" ;;
        *.*) post "{$ask\"${1%.*}\":{\"${1#*.}\":$2}}" ;;
        *) post "{$ask\"$1\":$2}" ;;
    esac
}

@test "01 §1.1, §1.2.4, §1.7: 401 without a token, with a wrong one, an unknown key and another scheme, all alike" {
    local first="" value
    for value in '' 'Authorization: Bearer wrong' 'Authorization: Bearer' 'Authorization: Basic dGVzdDp0ZXN0' \
        "Authorization: $TOKEN" "Authorization: Bearer goclaw_00000000000000000000000000000000" \
        "Authorization: Bearer ${TOKEN}x" "Authorization: Bearer ${TOKEN%?}"; do
        bearer='' extra=()
        [ -z "$value" ] || extra=("$value")
        with model '"x"'
        assert_error 401 UNAUTHORIZED
        assert_equal "$(header WWW-Authenticate)" 'Bearer realm="goclaw"'
        assert_equal "$(header X-Should-Retry)" false
        first=${first:-$body}
        assert_equal "$body" "$first"
    done
    bearer='' extra=()
    api POST "/v1/chat/completions?token=$TOKEN" '{}'
    assert_error 401 UNAUTHORIZED
}

@test "01 §0.7, §1.7: 403 for a role below operator, before the body is looked at" {
    bearer=$READ_KEY
    post 'not json'
    assert_error 403 UNAUTHORIZED
    assert_equal "$(header X-Should-Retry)" false
}

@test "403 for an agent of the tenant without access; its owner and owners of the gateway may" {
    local model='"goclaw:private"'
    bearer=$WRITE_KEY
    with model "$model"
    assert_error 403 UNAUTHORIZED
    unset bearer
    extra=("X-GoClaw-User-Id: bob")
    with model "$model"
    assert_error 403 UNAUTHORIZED
    extra=("X-GoClaw-User-Id: alice")
    with model "$model"
    assert_status 200
    extra=()
    with model "$model"
    assert_status 200
}

@test "403 for the session of another user" {
    extra=("X-GoClaw-Session-Key: mine" "X-GoClaw-User-Id: alice")
    say hi
    assert_status 200
    extra=("X-GoClaw-Session-Key: mine" "X-GoClaw-User-Id: bob")
    say hi
    assert_error 403 UNAUTHORIZED
    extra=("X-GoClaw-Session-Key: mine")
    say hi
    assert_status 200
}

@test "01 §0.8, §2.3: 400 for a user id that is empty, too long or hides something, in the header" {
    local id
    for id in "$(printf 'u%.0s' {1..256})" $'a\u200bb' $'a\u202eb' $'\ufeffa' $'a\xffb'; do
        extra=("X-GoClaw-User-Id: $id")
        say hi
        assert_error 400 INVALID_REQUEST X-GoClaw-User-Id
    done
    grep -q '"security.user_id_too_long"' "$LOG"
    grep -q '"security.user_id_invalid"' "$LOG"
    extra=("X-GoClaw-User-Id: $(printf 'u%.0s' {1..255})")
    say hi
    assert_status 200
    extra=("X-GoClaw-User-Id: group:telegram:-100123/ü")
    say hi
    assert_status 200
}

@test "400 for session keys of another agent, too long or with control characters" {
    local key
    for key in agent:plain:http:direct:x agent:nothing "$(printf 's%.0s' {1..201})"; do
        extra=("X-GoClaw-Session-Key: $key")
        say hi
        assert_error 400 INVALID_REQUEST X-GoClaw-Session-Key
    done
    extra=()
    post '{"messages":[{"role":"user","content":"x"}],"metadata":{"session_key":"a\nb"}}'
    assert_error 400 INVALID_REQUEST -
    extra=("X-GoClaw-Session-Key: $(printf 's%.0s' {1..200})")
    say hi
    assert_status 200
}

@test "400 and 404 for agents that cannot or do not exist" {
    with model '"goclaw:No Slug"'
    assert_error 400 INVALID_REQUEST model
    with model '"goclaw:nobody"'
    assert_error 404 NOT_FOUND model
    with model '"agent:01900000-0000-7000-8000-000000000000"'
    assert_error 404 NOT_FOUND model
    extra=("X-GoClaw-Agent-Id: No_Slug")
    say hi
    assert_error 400 INVALID_REQUEST X-GoClaw-Agent-Id
    extra=("X-GoClaw-Agent: nobody")
    say hi
    assert_error 404 NOT_FOUND X-GoClaw-Agent
}

@test "405 for every method but POST, with Allow" {
    local method
    for method in GET HEAD PUT DELETE PATCH; do
        api $method /v1/chat/completions
        assert_status 405
        assert_equal "$(header Allow)" "POST, OPTIONS"
        assert_equal "$(header X-Should-Retry)" false
    done
    api GET /v1/chat/completions
    assert_error 405 INVALID_REQUEST
}

@test "409 for an agent that is not active or has no usable provider" {
    with model '"goclaw:asleep"'
    assert_error 409 FAILED_PRECONDITION
    assert_equal "$(header X-Should-Retry)" false
    [ -n "$(header X-GoClaw-Agent-Id)" ]
    with model '"goclaw:lost"'
    assert_error 409 FAILED_PRECONDITION
    assert_equal "$(header X-Should-Retry)" false
}

@test "01 §2.6: 413 one byte above the limit, 200 at it, 413 for endless chunks" {
    local head='{"messages":[{"role":"user","content":"/echo big"}],"pad":"' file=$BATS_TEST_TMPDIR/big
    { printf '%s' "$head"; head -c $((LIMIT - ${#head} - 2)) /dev/zero | tr '\0' a; printf '"}'; } >"$file"
    post "@$file"
    assert_status 200
    assert_equal "$(answer)" big
    printf ' ' >>"$file"
    post "@$file"
    assert_error 413 INVALID_REQUEST
    jq_eq '.error.details.max' "$LIMIT"
    assert_equal "$(header X-Should-Retry)" false
    extra=("Transfer-Encoding: chunked")
    post "@$file"
    assert_error 413 INVALID_REQUEST
}

@test "503 when ten wait for the session: the twelfth is refused, and an SDK may retry" {
    extra=("X-GoClaw-Session-Key: crowd")
    local i options codes
    request_options
    ask() {
        curl -sS -D "$BATS_TEST_TMPDIR/h$1" -o "$BATS_TEST_TMPDIR/b$1" "${options[@]}" \
            --data-binary "$(chat_body "$2" goclaw:plain)" "$GATEWAY/v1/chat/completions" 3>&- &
    }
    ask 0 "@upstream delay=1500"
    first_there() { [ "$(upstream_stat open)" -ge 1 ]; }
    wait_until 3 first_there
    for i in {1..11}; do ask "$i" "n$i"; done
    extra=()
    say "another session goes on" goclaw:plain
    assert_status 200
    wait
    codes=$(sed -n 's/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR"/h{0..11} | sort | uniq -c | tr -s ' \n' ' ')
    assert_equal "$codes" " 11 200 1 503 "
    i=$(grep -l '^HTTP[^ ]* 503' "$BATS_TEST_TMPDIR"/h*)
    headers=$(tr -d '\r' <"$i") body=$(cat "${i/\/h//b}") status_code=503
    assert_error 503 UNAVAILABLE
    assert_equal "$(header X-Should-Retry)" ""
}

@test "01 §2.4, §3.5: what a value must be is said in the same language" {
    local language want
    while read -r language want; do
        extra=("Accept-Language: $language")
        with temperature 2.1
        assert_error 400 INVALID_REQUEST temperature
        [[ $(jq -r .error.message <<<"$body") == *"$want" ]]
        api POST /v1/providers '{"name":"p","api_base":"http://0.0.0.0"}'
        assert_error 400 INVALID_REQUEST api_base
        [[ $(jq -r .error.message <<<"$body") != *address* ]]
    done <<'TABLE'
vi số từ 0 đến 2
zh 0 到 2 之间的数字
TABLE
}

@test "01 §2.4: messages are in the language of Accept-Language, everything else is not" {
    local english language want
    say x goclaw:nobody
    english=$(jq -r .error.message <<<"$body")
    assert_equal "$(header Content-Language)" en
    while read -r language want; do
        extra=("Accept-Language: $language")
        say x goclaw:nobody
        assert_error 404 NOT_FOUND model
        assert_equal "$(header Content-Language)" "$want"
        [ "$want" = en ] || [ "$(jq -r .error.message <<<"$body")" != "$english" ]
    done <<'TABLE'
vi vi
VI-vn vi
zh-Hant zh
fr,vi;q=0.5 vi
zh;q=0,vi vi
zhx en
* en
TABLE
    extra=("Accept-Language: zh")
    say x goclaw:nobody
    [[ $(jq -r .error.message <<<"$body") == 未找到* ]]
}

@test "01 §2.1: a request id is echoed when it is well formed, and replaced otherwise" {
    extra=("X-Request-Id: My.id_1:2-3")
    say hi
    assert_equal "$(header X-Request-Id)" My.id_1:2-3
    extra=("X-Request-Id: no blanks")
    say x goclaw:nobody
    [[ $(header X-Request-Id) =~ ^[0-9a-f-]{36}$ ]]
    extra=("X-Request-Id: $(printf 'r%.0s' {1..129})")
    say hi
    [[ $(header X-Request-Id) =~ ^[0-9a-f-]{36}$ ]]
}
