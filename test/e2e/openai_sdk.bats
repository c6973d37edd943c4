# The official OpenAI client against a real gateway (contract 03 §1.10, §1.12). The cases are in test/npm/sdk_test.mjs.

load helper

setup_file() {
    flock "$ROOT/test/npm" "$ROOT/tools/deps" npm
    upstream_start
    export CLAWGATE_UPSTREAM_RETRY_MS=20
    gateway_start
    provider plain ''
    READER=$(clawgate key create --name reader --scopes read)
    export READER
}

teardown_file() {
    gateway_stop
}

# sdk CASE [TEXT]
sdk() {
    run timeout $((30 * SLOWER)) node "$ROOT/test/npm/sdk_test.mjs" "$@"
    assert_success
}

runs_of() {
    sql "SELECT count(*) FROM traces WHERE input_preview LIKE '$1%'"
}

# The completion id that the only run of a mark has.
completion_of() {
    sql "SELECT 'chatcmpl-' || replace(run_id, '-', '') FROM traces WHERE input_preview LIKE '$1%'"
}

status_of() {
    sql "SELECT group_concat(status) FROM traces WHERE input_preview LIKE '$1%'"
}

# ends_as STATUS MARK: soon the only run of that mark has the status.
ends_as() {
    is() { [ "$(status_of "$2")" = "$1" ]; }
    wait_until 3 is "$1" "$2" || fail "the run of $2 is '$(status_of "$2")', not $1"
}

@test "chat.completions.create: answer, usage, request id, run id" {
    sdk create
}

@test "stream: true: deltas that make the text, one finish, usage once" {
    sdk stream
}

@test "stream_options.include_usage: the last chunk has no choices" {
    sdk include_usage
}

@test ".stream() helper: content events, final completion, total usage" {
    sdk stream_helper
    sdk stream_helper_without_usage
}

@test "tools of the client: calls, results, answer" {
    sdk tools 'tools-1 @upstream tool=get_weather,args={"city":"Oslo"}'
    assert_equal "$(sql "SELECT count(DISTINCT session_key) FROM traces
        WHERE session_key = (SELECT session_key FROM traces WHERE input_preview LIKE 'tools-1%')")" 1
}

@test "tools of the client, streamed: arguments whole, results go on in the session" {
    sdk tools_streamed 'tools-2 @upstream tool=get_weather,args={"city":"Oslo"},fragment=1'
}

@test "runTools(): the SDK's own loop ends with the answer" {
    sdk run_tools 'tools-3 @upstream tool=get_weather,args={"city":"Oslo"}'
}

@test "a session by metadata, without headers" {
    sdk session_metadata
    assert_output agent:plain:http:direct:from-the-sdk
    assert_equal "$(upstream_last | jq -c '[.body.messages[] | select(.role != "system") | .content]')" \
        '["my name is Ada","Hello from upstream.","who am I"]'
}

@test "models.list and models.retrieve" {
    sdk models
}

@test "an aborted stream, by abort() or by leaving the loop, cancels its run" {
    sdk abort_stream 'abort-1 @upstream endless=1,pace=50'
    ends_as cancelled abort-1
    sdk break_stream 'abort-2 @upstream endless=1,pace=50'
    ends_as cancelled abort-2
}

@test "an aborted plain call cancels its run" {
    sdk abort_plain 'abort-3 @upstream stall=headers'
    ends_as cancelled abort-3
}

@test "wrong token: AuthenticationError" {
    sdk error_401
}

@test "a key that may only read: PermissionDeniedError, but the models are listed" {
    sdk error_403
}

@test "unknown agent: NotFoundError with param model" {
    sdk error_404
}

@test "wrong fields: BadRequestError that names them" {
    sdk error_400
}

@test "the provider refuses its key: ConflictError, one request, one run" {
    sdk error_409 'conflict-1 @upstream status=401'
    assert_equal "$(runs_of conflict-1)" 1
}

@test "the provider fails for ever: InternalServerError, one request in spite of two retries, one run" {
    sdk error_5xx 'failing-1 @upstream status=500'
    assert_equal "$(runs_of failing-1)" 1
    assert_equal "$(status_of failing-1)" error
}

@test "an error inside a stream: APIError with code and type, no second run" {
    sdk error_in_stream 'failing-2 @upstream status=500'
    assert_output ""
    assert_equal "$(runs_of failing-2)" 1
    sdk error_in_stream 'failing-3 @upstream tokens=20,cut=reset'
    assert_output --partial "tok1 tok2"
    assert_equal "$(runs_of failing-3)" 1
}

@test "an answer that got lost: the SDK's retry gets the stored one, one run" {
    sdk lost_answer 'lost-1 @upstream text=kept'
    assert_equal "$(runs_of lost-1)" 1
    assert_output "$(completion_of lost-1)"
}

@test "a connection lost while the run goes on: 503 after five seconds, then the stored answer, one run" {
    sdk lost_while_running 'lost-2 @upstream delay=2500'
    assert_equal "$(runs_of lost-2)" 1
    assert_output "$(completion_of lost-2)"
}

@test "a client whose own time limit is over has left: the repetition is a new run" {
    sdk timeout 'slow-1 @upstream delay=4000'
    assert_equal "$(runs_of slow-1)" 2
    [[ $(status_of slow-1) == cancelled,* ]]
}

@test "fifty calls at a time over one client" {
    sdk parallel
}
