# Streams through lighttpd: at once, whole, ended exactly once, and given up when the client leaves (03 §1.9, §1.11).

load helper

setup_file() {
    upstream_start
    gateway_start
    provider plain ''
}

teardown_file() {
    gateway_stop
}

# talk OPTIONS: one stream whose upstream behaves so.
talk() {
    sse "$(stream_body "$BATS_TEST_NUMBER @upstream $1" goclaw:plain)"
}

assert_one_end() {
    assert_equal "$(sse_terminals)" 1
    assert_equal "$(sse_data | tail -n 1)" "[DONE]"
    assert_equal "$(sse_data | grep -cx '\[DONE\]')" 1
}

# assert_broken CODE STATUS: some text, then one error frame, then [DONE].
assert_broken() {
    assert_status 200
    assert_one_end
    body=$(sse_json | tail -n 1)
    assert_envelope "$2" "$1"
}

# leave SECONDS BODY: a client on a fresh connection that leaves after that time.
leave() {
    request_options
    curl -sS -N -m "$1" -o /dev/null "${options[@]}" --data-binary "$2" "$GATEWAY/v1/chat/completions" 2>/dev/null || true
}

# The same on a connection that served a request before. Only there lighttpd tells of a leaving client before the
# answer has begun; on a fresh one it may not look at the client until then.
leave_kept() {
    request_options
    curl -sS -o /dev/null "$GATEWAY/ready" --next -sS -N -m "$1" -o /dev/null "${options[@]}" --data-binary "$2" \
        "$GATEWAY/v1/chat/completions" 2>/dev/null || true
}

# The record of the upstream request whose body contains TEXT.
upstream_record() {
    upstream_requests | jq -c --arg text "$1" 'map(select(.body | contains($text))) | last'
}

trace_status() {
    sql "SELECT status FROM traces WHERE input_preview LIKE '%$1%'"
}

@test "the first byte comes long before the end, and deltas one by one" {
    local seen=$BATS_TEST_TMPDIR/seen line
    request_options
    curl -sS -N "${options[@]}" --data-binary "$(stream_body '@upstream tokens=10,pace=200' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" | while IFS= read -r line; do
        case $line in data:*) now_ms ;; esac
    done >"$seen"
    local times first last
    mapfile -t times <"$seen"
    first=${times[0]} last=${times[-1]}
    [ $((last - first)) -ge 1500 ] || fail "the frames came together: ${times[*]}"
    [ "$(sort -u "$seen" | wc -l)" -ge 8 ] || fail "the frames came in heaps: ${times[*]}"
}

@test "the role frame comes before the model says anything" {
    local began line
    began=$(now_ms)
    request_options
    curl -sS -N "${options[@]}" --data-binary "$(stream_body '@upstream delay=2000' goclaw:plain)" \
        "$GATEWAY/v1/chat/completions" | while IFS= read -r line; do
        case $line in *'"role":"assistant"'*) now_ms ;; esac
    done >"$BATS_TEST_TMPDIR/first"
    [ $(($(cat "$BATS_TEST_TMPDIR/first") - began)) -lt 1500 ]
}

@test "characters that are split over reads arrive whole" {
    local text
    text=$(printf 'Hi 😀 café € 𝒰👍🏽 done 🚀')
    local options
    for options in emoji=1 emoji=1,split=1 emoji=1,drip=1; do
        talk "$options"
        assert_one_end
        assert_equal "$(sse_text | iconv -f UTF-8 -t UTF-8)" "$(sse_text)"
        [ "$options" != emoji=1 ] || text=$(sse_text)
        assert_equal "$(sse_text)" "$text"
    done
    [[ $text == *😀*🚀* ]]
}

@test "every dialect of server-sent events is understood" {
    local options
    for options in crlf=1 cr=1 nospace=1 nospace=1,crlf=1,split=3 noevent_end=1 fragment=1 nousage=1 reasoning=hmm; do
        talk "text=one%20two%20three,$options"
        assert_status 200
        assert_one_end
        assert_equal "$(sse_text)" "one two three"
        jq_eq '.choices[0].finish_reason' '"stop"' "$(sse_json | tail -n 1)"
    done
}

@test "the reasoning of the model is not part of the answer, its tokens are counted" {
    talk "text=four,reasoning=two%20and%20two,usage=10:20"
    assert_equal "$(sse_text)" four
    refute grep -q "two and" "$stream"
}

@test "a stream that breaks off ends with exactly one error and [DONE]" {
    local options
    for options in cut=mid cut=reset cut=soft nofinish=1,noevent_end=1; do
        talk "tokens=20,$options"
        assert_broken UNAVAILABLE 503
        [ -n "$(sse_text)" ]
    done
}

@test "an error inside the stream is passed on as exactly one error" {
    talk "tokens=20,inband=the%20model%20exploded"
    assert_broken UNAVAILABLE 503
    [ -n "$(sse_text)" ]
    assert_equal "$(trace_status "$BATS_TEST_NUMBER @upstream")" error
}

@test "failures before the first word are repeated behind the stream" {
    talk "status=503,times=2,text=recovered"
    assert_one_end
    assert_equal "$(sse_text)" recovered
    talk "status=500"
    assert_broken UNAVAILABLE 503
    assert_equal "$(sse_text)" ""
    talk "status=401"
    assert_broken FAILED_PRECONDITION 409
}

@test "an event of 900 kB arrives" {
    talk "text=x,big=900000"
    assert_one_end
    [ "$(sse_text | wc -c)" -ge 900000 ]
}

@test "a client that leaves takes its stream along within a second, on a fresh connection and on a kept one" {
    leave 1 "$(stream_body 'gone-1 @upstream endless=1,pace=50' goclaw:plain)"
    closed() { [ "$(upstream_record "$1" | jq .closed_early)" = true ]; }
    wait_until 1 closed gone-1
    leave_kept 1 "$(stream_body 'gone-2 @upstream endless=1,pace=50' goclaw:plain)"
    wait_until 1 closed gone-2
    cancelled() { [ "$(trace_status gone-1)$(trace_status gone-2)" = cancelledcancelled ]; }
    wait_until 1 cancelled
    assert_equal "$(sql "SELECT count(*) FROM messages WHERE role = 'assistant' AND content LIKE '%[Stopped by user]'
        AND session_id IN (SELECT session_id FROM messages WHERE content LIKE 'gone-1%')")" 1
}

@test "a silent run ends as well when its client leaves, streamed or not" {
    leave 1 "$(stream_body 'gone-3 @upstream stall=headers' goclaw:plain)"
    leave_kept 1 "$(chat_body 'gone-4 @upstream stall=headers' goclaw:plain)"
    both() { [ "$(trace_status gone-3)$(trace_status gone-4)" = cancelledcancelled ]; }
    wait_until 1 both
    assert_equal "$(upstream_record gone-3 | jq .closed_early)" true
    assert_equal "$(upstream_record gone-4 | jq .closed_early)" true
}

@test "one that waits for its session's turn and leaves gives up its place" {
    extra=("X-GoClaw-Session-Key: leaving")
    leave 8 "$(chat_body 'first-5 @upstream delay=4000' goclaw:plain)" 3>&- &
    first_there() { [ "$(upstream_record first-5)" != null ]; }
    wait_until 3 first_there
    leave_kept 0.5 "$(chat_body 'gone-5' goclaw:plain)"
    wait
    say "third-5" goclaw:plain
    assert_status 200
    assert_equal "$(upstream_requests | grep -c 'gone-5')" 0
}

@test "X-GoClaw-Keep-Running: true lets the run finish without its client, false does not" {
    extra=("X-GoClaw-Keep-Running: true")
    leave 1 "$(stream_body 'kept-6 @upstream tokens=5,pace=400' goclaw:plain)"
    leave_kept 0.5 "$(chat_body 'kept-7 @upstream delay=1500' goclaw:plain)"
    extra=("X-GoClaw-Keep-Running: false")
    leave_kept 0.5 "$(chat_body 'gone-8 @upstream delay=3000' goclaw:plain)"
    ended() { [ "$(trace_status kept-6)$(trace_status kept-7)$(trace_status gone-8)" = completedcompletedcancelled ]; }
    wait_until 3 ended || fail "kept-6 $(trace_status kept-6), kept-7 $(trace_status kept-7), gone-8 $(trace_status gone-8)"
    assert_equal "$(upstream_record kept-6 | jq .closed_early)" false
}

@test "silence is filled with a comment within 16 seconds (slow)" {
    request_options
    curl -sS -N -m 17 "${options[@]}" --data-binary "$(stream_body 'quiet @upstream stall=headers' goclaw:plain)" \
        -o "$BATS_TEST_TMPDIR/quiet" "$GATEWAY/v1/chat/completions" 2>/dev/null || true
    assert_equal "$(grep -c '^: keepalive$' "$BATS_TEST_TMPDIR/quiet")" 1
}

# For the background: a front server of our own that sends one request to chat and then reads nothing for so many seconds.
deaf_client() {
    exec perl -e 'use Socket;
        my ($path, $seconds, $token, $body) = @ARGV;
        my %p = (REQUEST_METHOD => "POST", REQUEST_URI => "/v1/chat/completions", CONTENT_LENGTH => length $body,
                 CONTENT_TYPE => "application/json", HTTP_AUTHORIZATION => "Bearer $token", REMOTE_ADDR => "127.0.0.1");
        my $pairs = join "", map { pack("NN", 0x80000000 | length $_, 0x80000000 | length $p{$_}) . $_ . $p{$_} } keys %p;
        sub record { pack("CCnnCC", 1, $_[0], 1, length $_[1], 0, 0) . $_[1] }
        socket my $s, AF_UNIX, SOCK_STREAM, 0;
        connect $s, sockaddr_un($path) or die "chat.sock: $!";
        syswrite $s, record(1, pack("nCx5", 1, 0)) . record(4, $pairs) . record(4, "") . record(5, $body) . record(5, "");
        sleep $seconds;' "$GATEWAY_HOME/run/chat.sock" "$1" "$TOKEN" "$2"
}

@test "a client that reads nothing does not hold its run up" {
    deaf_client $((20 * SLOWER)) "$(stream_body "deaf @upstream text=x,big=900000" goclaw:plain)" 3>&- &
    local client=$!
    stored() { [ "$(trace_status 'deaf @')" = completed ]; }
    wait_until 10 stored || fail "the run is $(trace_status 'deaf @')"
    kill -0 $client # it was there all the time
    kill $client
    wait $client || true
    over() { [ "$(curl -sS -H "Authorization: Bearer $TOKEN" "$GATEWAY/metrics" | awk '$1 == "clawgate_active_streams" { print $2 }')" = 0 ]; }
    wait_until 5 over
}

@test "two hundred streams at a time are all whole" {
    local i quoted
    quoted=$(stream_body '@upstream tokens=5,pace=100' goclaw:plain | jq -Rs .)
    for i in {1..200}; do
        printf 'url = "%s/v1/chat/completions"\noutput = "%s/s%s"\nheader = "Authorization: Bearer %s"\ndata-binary = %s\n' \
            "$GATEWAY" "$BATS_TEST_TMPDIR" "$i" "$TOKEN" "$quoted"
        [ "$i" = 200 ] || echo next
    done >"$BATS_TEST_TMPDIR/config"
    curl -sS -Z --parallel-immediate --parallel-max 200 -K "$BATS_TEST_TMPDIR/config" 2>"$BATS_TEST_TMPDIR/curl"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s{1..200} | grep -cx 'data: \[DONE\]')" 200
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/s{1..200} | grep -c '"finish_reason":"stop"')" 200
    refute grep -l '"error"' "$BATS_TEST_TMPDIR"/s{1..200}
}
