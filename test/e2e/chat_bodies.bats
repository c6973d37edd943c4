# POST /v1/chat/completions: bodies that cannot be used, each fault named by its place (contract 03 §1.2, 01 §2.5).

load helper

setup_file() {
    gateway_start '{"gateway":{"max_body_bytes":52428800}}'
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

refuse_with() {
    with "$1" "$2"
    assert_error 400 INVALID_REQUEST "${3-$1}"
    assert_equal "$(header X-Should-Retry)" false
}

@test "01 §2.5: 400 for bodies that are no JSON object" {
    local text
    for text in '{' 'null' '[]' '"x"' '1' '{"messages":[{"role":"user","content":"x"}]} x' "{'messages':[]}" \
        '{"messages":[{"role":"user","content":"x"}],}' '{"a":NaN}' '{"a":Infinity}' '{"a":01}' '{/**/"a":1}' \
        '{"a":"'$'\t''"}' '{"a":"\ud800"}' '{"a":"\u0000"}' '{"a":1,"a":2}' '{"b":{"a":1,"a":1}}' '{"a":1e400}' \
        $'\xef\xbb\xbf{}' $'{"a":"\xc0\xaf"}' $'{"a":"\xed\xa0\x80"}' $'{"a":"\xff"}' '{"a":"\x"}' '{"a":18446744073709551616}' '{"max_tokens":9223372036854775808}'; do
        post "$text"
        assert_error 400 INVALID_REQUEST -
        assert_equal "$(header X-Should-Retry)" false
    done
}

@test "01 §2.5: 400 for nesting beyond 64 levels, and not at 64" {
    post "$(printf '{"messages":[{"role":"user","content":"/echo deep"}],"metadata":%.0s' 1)$(printf '[%.0s' {1..63})$(printf ']%.0s' {1..63})}"
    assert_status 200
    post "$(printf '{"messages":[{"role":"user","content":"/echo deep"}],"metadata":%.0s' 1)$(printf '[%.0s' {1..64})$(printf ']%.0s' {1..64})}"
    assert_error 400 INVALID_REQUEST -
}

@test "400 for messages that cannot be used, naming the place" {
    post ''
    assert_error 400 INVALID_REQUEST messages
    refuse_with messages '[]'
    refuse_with messages 'null'
    refuse_with messages '"hi"'
    refuse_with messages '{}'
    refuse_with messages '[1]' 'messages[0]'
    refuse_with messages '[{"content":"x"}]' 'messages[0].role'
    refuse_with messages '[{"role":"boss","content":"x"}]' 'messages[0].role'
    refuse_with messages '[{"role":"user","content":"x"},{"role":"user","content":5}]' 'messages[1].content'
    refuse_with messages '[{"role":"user","content":[{"type":"video","text":"x"}]}]' 'messages[0].content[0].type'
    refuse_with messages '[{"role":"user","content":[{"type":"text","text":"x"},5]}]' 'messages[0].content[1].type'
    refuse_with messages '[{"role":"user","content":""}]' messages
    refuse_with messages '[{"role":"user","content":null}]' messages
    refuse_with messages '[{"role":"user","content":" \n\t"}]' messages
    refuse_with messages '[{"role":"system","content":"x"}]' messages
    refuse_with messages '[{"role":"user","content":"a"},{"role":"tool","content":"x"}]' 'messages[1].tool_call_id'
}

# Two texts in a body, of 8 MiB and of as many bytes as told; what is right so far is refused for its n, before a model
# has to read it.
two_texts() {
    {
        printf '{"n":2,"messages":[%s' "$before"
        head -c 8388608 /dev/zero | tr '\0' t
        printf '%s' "$between"
        head -c "$1" /dev/zero | tr '\0' t
        printf '%s]}' "$after"
    } >"$BATS_TEST_TMPDIR/texts"
    post "@$BATS_TEST_TMPDIR/texts"
}

@test "400 for more than 16 MiB of text in all messages together, and not at 16 MiB" {
    local before between after
    while IFS='|' read -r before between after; do
        two_texts 8388607
        assert_error 400 INVALID_REQUEST n
        two_texts 8388608
        assert_error 400 INVALID_REQUEST messages
    done <<'TABLE'
{"role":"system","content":"|"},{"role":"user","content":"|!"}
{"role":"user","content":[{"type":"text","text":"|"},{"type":"text","text":"|"}]}
TABLE
}

@test "400 for fields of a wrong type or out of range, and not at the limits" {
    local field value
    while read -r field value; do
        refuse_with "$field" "$value"
    done <<'TABLE'
model 5
stream "true"
stream 1
stream_options []
stream_options.include_usage 1
user 5
user "zero​width"
n 2
n 0
n 1.5
temperature 2.01
temperature -0.01
temperature "1"
temperature true
top_p 1.1
top_p -1
stop []
stop ["a","b","c","d","e"]
stop [1]
stop 5
seed 1.5
seed "1"
presence_penalty 2.5
presence_penalty -2.5
frequency_penalty 3
frequency_penalty []
max_tokens 0
max_tokens -5
max_tokens 1.5
max_tokens "10"
max_completion_tokens 0
response_format "json"
response_format {"type":"xml"}
response_format {}
reasoning_effort "max"
reasoning_effort 3
tools {}
tools "x"
functions [{"name":"f"}]
TABLE
    while read -r field value; do
        with "$field" "$value"
        [ "$status_code" = 200 ] || fail "$field = $value: $status_code $body"
    done <<'TABLE'
temperature 0
temperature 2
temperature null
top_p 1
top_p 0
stop "x"
stop ["a","b","c","d"]
stop null
seed -9223372036854775808
presence_penalty -2
frequency_penalty 2
max_tokens 1
max_tokens 9223372036854775807
n 1
n null
stream false
user null
tools null
tools []
functions []
response_format {"type":"text"}
reasoning_effort "none"
model null
metadata {"x":[1]}
TABLE
}

@test "400 for client tools that are not well formed" {
    refuse_with tools '[1]' 'tools[0]'
    refuse_with tools '[{"type":"web_search"}]' 'tools[0]'
    refuse_with tools '[{"type":"function","function":{"name":"a b"}}]' 'tools[0].function.name'
    refuse_with tools "[{\"type\":\"function\",\"function\":{\"name\":\"$(printf 'a%.0s' {1..65})\"}}]" 'tools[0].function.name'
    refuse_with tools '[{"type":"function","function":{"name":"a","parameters":[]}}]' 'tools[0].function.parameters'
    refuse_with tools '[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"a"}}]' tools
    with tools "[{\"type\":\"function\",\"function\":{\"name\":\"$(printf 'a%.0s' {1..64})\"}}]"
    assert_status 200
}

@test "400 for more than 128 client tools, and not at 128" {
    local list
    printf -v list ',{"type":"function","function":{"name":"f%d"}}' {1..128}
    with tools "[${list:1}]"
    assert_status 200
    refuse_with tools "[${list:1},{\"type\":\"function\",\"function\":{\"name\":\"f129\"}}]"
}

@test "400 for a user of more than 255 bytes, and not at 255" {
    local user
    user=$(printf 'u%.0s' {1..255})
    with user "\"$user\""
    assert_status 200
    refuse_with user "\"u$user\""
}

@test "a million values or keys in one body are refused at once" {
    local began
    began=$(now_ms)
    { printf '{"a":[0'; head -c 2000000 /dev/zero | sed 's/\x00\x00/,0/g'; printf ']}'; } >"$BATS_TEST_TMPDIR/values"
    post "@$BATS_TEST_TMPDIR/values"
    assert_error 400 INVALID_REQUEST -
    seq -f '"k%.0f":0,' 1 500000 | tr -d '\n' | sed 's/^/{/; s/,$/}/' >"$BATS_TEST_TMPDIR/keys"
    post "@$BATS_TEST_TMPDIR/keys"
    assert_error 400 INVALID_REQUEST -
    [ $(($(now_ms) - began)) -lt $((4000 * SLOWER)) ]
}
