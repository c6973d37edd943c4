# Shared hosting: what `make install` installs, as plain CGI under Apache, in a directory made by `clawgate site`.

load helper
load front
load apache

# Apache's workers never run as root: as root in this test, the home and the programs lie where they may go.
setup_file() {
    local port
    upstream_start
    PLACE=$(mktemp -d /tmp/site.XXXXXX)
    export PLACE
    port=$(free_port)
    export base=http://127.0.0.1:$port
    chmod 755 "$PLACE"
    mkdir "$PLACE/html" "$PLACE/log"
    make -s -C "$ROOT" BUILD="$BUILD" install DESTDIR="$PLACE" PREFIX=/usr >/dev/null
    site=$PLACE/usr/bin/clawgate
    GATEWAY_HOME=$PLACE/home
    export site GATEWAY_HOME
    "$site" init --home "$GATEWAY_HOME" --token "$(printf 'site-token-%032d' 7)" >/dev/null 2>&1
    "$site" provider set plain --type openai_compat --base-url "$UPSTREAM/v1" --api-key k --model m --home "$GATEWAY_HOME"
    "$site" agent create plain --provider plain --model m --home "$GATEWAY_HOME"
    TOKEN=$("$site" token --home "$GATEWAY_HOME")
    export TOKEN
    "$site" site "$PLACE/html" --home "$GATEWAY_HOME"
    [ "$(id -u)" -ne 0 ] || chown -R nobody:nogroup "$GATEWAY_HOME"
    apache_serve "$PLACE/log" "$port" mpm_event authz_core env rewrite cgid <<CONF
ScriptSock $PLACE/cgid.sock
DocumentRoot $PLACE/html
<Directory $PLACE/html>
    AllowOverride All
    Require all granted
</Directory>
CONF
}

teardown_file() {
    apache_stop
    upstream_stop
    rm -rf "${PLACE:-}"
}

@test "every program answers" {
    local path
    for path in /health /ready /v1/models /v1/runs /v1/sessions /v1/agents /v1/providers /v1/mcp/servers /v1/api-keys \
        /v1/activity /docs/openapi.json; do
        api GET "$path"
        assert_status 200
    done
    api GET /v1/nothing
    assert_error 404 NOT_FOUND
    bearer='' api GET /v1/agents
    assert_error 401 UNAUTHORIZED
}

@test "a completion is answered and stored; without a length it is read to its end" {
    say "/echo from shared hosting"
    assert_status 200
    assert_equal "$(answer)" "from shared hosting"
    extra=("Transfer-Encoding: chunked" "X-GoClaw-Session-Key: notes")
    say "hello" goclaw:plain
    assert_equal "$(answer)" "Hello from upstream."
    extra=()
    api GET /v1/sessions/agent:plain:http:direct:notes
    assert_status 200
    jq_eq '.messageCount' 2
}

@test "a stream comes piece by piece and ends once" {
    local times
    mapfile -t times < <(frame_times "$(stream_body '@upstream tokens=6,pace=150' goclaw:plain)")
    [ $((times[-1] - times[1])) -ge 600 ] || fail "the frames came together: ${times[*]}"
    assert_equal "$(sse_terminals "$BATS_TEST_TMPDIR/stream")" 1
    assert_equal "$(sse_data "$BATS_TEST_TMPDIR/stream" | tail -n 1)" "[DONE]"
}

@test "records are made, changed and deleted" {
    front_changes_records
}

@test "neither scripts nor settings can be asked for by name" {
    local path
    for path in /clawgate/chat.cgi /clawgate/ /.htaccess /clawgate/.htaccess /clawgate/agents.cgi/v1/agents; do
        run -0 curl -s -o /dev/null -w '%{http_code}' --path-as-is -H "Authorization: Bearer $TOKEN" "$base$path"
        [[ $output == 40[34] ]] || fail "$path: $output"
    done
}

@test "clawgate site: may be repeated, and says what it cannot do" {
    "$site" site "$PLACE/html" --home "$GATEWAY_HOME"
    run -1 "$site" site "$PLACE/nowhere" --home "$GATEWAY_HOME"
    assert_output --partial "no directory"
    run -1 "$site" site "$PLACE" --home "$GATEWAY_HOME"
    assert_output --partial "lies in"
    mkdir "$PLACE/other"
    echo "Require all denied" >"$PLACE/other/.htaccess"
    run -1 "$site" site "$PLACE/other" --home "$GATEWAY_HOME"
    assert_output --partial "not from here"
    assert_equal "$(cat "$PLACE/other/.htaccess")" "Require all denied"
}
