# What the clawgate script sends and refuses: `clawgate api` reaches the gateway of its home and nothing else, and
# commands that change something say so only when they did.

load helper

setup_file() {
    gateway_start '{"gateway": {"token": "a \"quoted\" \\ token"}}'
}

teardown_file() {
    gateway_stop
}

key_create() {
    clawgate key create --name k "$@"
}

@test "api: the token arrives as it is, quotes and backslashes too" {
    run clawgate api GET /v1/tenants
    assert_success
    jq_eq '[.tenants[].slug]' '["master"]' "$output"
}

@test "api: neither a proxy nor the user's own settings of curl come between" {
    echo 'url = "http://127.0.0.1:9/"' >"$BATS_TEST_TMPDIR/.curlrc"
    HOME=$BATS_TEST_TMPDIR http_proxy=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9 run clawgate api GET /health
    assert_success
    assert_output '{"status":"ok"}'
}

@test "api: the path is sent as it is written, once" {
    run clawgate api GET '/v1/sessions/{a,b}'
    jq_eq '.error.message' '"session not found: {a,b}"' "$output"
    run clawgate api GET '/v1/sessions/[1-3]'
    jq_eq '.error.message' '"session not found: [1-3]"' "$output"
    run clawgate api GET /v1/x/../tenants
    jq_eq '.error.code' '"INVALID_REQUEST"' "$output"
}

@test "api: a path cannot lead to another host" {
    for path in v1/tenants @127.0.0.1:9/ .example.org/ ''; do
        run clawgate api GET "$path"
        assert_failure
        assert_output --partial "begins with a slash"
    done
}

@test "api: a body is sent, never a file of its name" {
    echo '{"name":"from-a-file"}' >"$BATS_TEST_TMPDIR/body"
    run clawgate api POST /v1/tenants "@$BATS_TEST_TMPDIR/body"
    jq_eq '.error.code' '"INVALID_REQUEST"' "$output"
    run clawgate api POST /v1/tenants '{"name":"two
lines"}'
    jq_eq '.error.code' '"INVALID_REQUEST"' "$output"
    run clawgate api POST /v1/tenants '{"name": "Given",
        "settings": {}}'
    jq_eq '.slug' '"given"' "$output"
}

@test "api: HEAD prints the head and ends" {
    run timeout 5 "$ROOT/tools/clawgate" api HEAD /health --home "$GATEWAY_HOME"
    assert_success
    assert_output --partial 'HTTP/1.1 200 OK'
}

@test "key create: a key has at least one scope, each of them once" {
    for scopes in '' ',' ' ' read,nothing; do
        run key_create --scopes "$scopes"
        assert_failure
    done
    key_create --scopes read,write,operator.read
    assert_equal "$(sql 'SELECT group_concat(scopes) FROM api_keys')" '["operator.read","operator.write"]'
}

@test "key revoke: revoked is said of keys that are there, and of no others" {
    local key id
    run clawgate key revoke 0193a5b0-7000-7000-8000-0000000000ff
    assert_failure
    assert_output --partial 'no such key'
    key=$(key_create --scopes write)
    id=$(sql "SELECT id FROM api_keys ORDER BY created_at DESC LIMIT 1")
    for what in "${id^^}" "$id"; do
        run clawgate key revoke "$what"
        assert_success
        assert_output "revoked $id"
    done
    run clawgate key revoke "$key"
    assert_failure
}

@test "agent create: the owner is a user id" {
    for user in '' "$(printf 'x%.0s' {1..256})" $'a\tb'; do
        run clawgate agent create mine --user "$user"
        assert_failure
    done
    run clawgate agent create mine --user ann
    assert_success
}

@test "init: an empty token makes no gateway that lets everybody in" {
    run "$ROOT/tools/clawgate" init --home "$BATS_TEST_TMPDIR/home" --token ''
    assert_failure
    assert_output --partial '--token is empty'
    [ ! -e "$BATS_TEST_TMPDIR/home/config.json" ]
    run "$ROOT/tools/clawgate" init --home "$BATS_TEST_TMPDIR/home"
    assert_success
    run "$ROOT/tools/clawgate" token --home "$BATS_TEST_TMPDIR/home"
    [[ $output =~ ^[0-9a-f]{48}$ ]]
}

@test "serve: the path of a home may have 88 bytes, with one more it says what is too long" {
    local top home
    top=$(mktemp -d /tmp/clawgate-e2e.XXXXXX)
    home=$top/$(printf 'h%.0s' {1..63})
    assert_equal ${#home} 88
    for home in "$home" "${home}h"; do
        "$ROOT/tools/clawgate" init --home "$home" --port "$(free_port)" >/dev/null 2>&1
        "$ROOT/tools/clawgate" serve --home "$home" >"$BATS_TEST_TMPDIR/${#home}" 2>&1 3>&- &
        wait_until 5 test -s "$BATS_TEST_TMPDIR/${#home}"
        kill $! 2>/dev/null || true
        wait $! || true
    done
    rm -rf "$top"
    assert_file_says() { run cat "$BATS_TEST_TMPDIR/$1"; assert_output --partial "$2"; }
    assert_file_says 88 'Clawgate listens'
    assert_file_says 89 'choose a shorter home'
}

@test "provider set: what is left out stays, the key above all" {
    row() { sql "SELECT provider_type || ' ' || api_base || ' ' || api_key FROM llm_providers WHERE name = 'kept'"; }
    settings() { sql "SELECT settings FROM llm_providers WHERE name = 'kept'"; }
    clawgate provider set kept --type mistral --base-url http://127.0.0.1:9/v1/ --api-key sk-kept --model a
    clawgate api PUT "/v1/providers/$(sql "SELECT id FROM llm_providers WHERE name = 'kept'")" \
        '{"settings": {"default_model": "a", "embedding": {"model": "e"}}}'
    local before
    before=$(row)
    run -0 clawgate provider set kept --model b
    assert_output "provider kept: mistral http://127.0.0.1:9/v1"
    assert_equal "$(row)" "$before"
    jq_eq . '{"default_model":"b","embedding":{"model":"e"}}' "$(settings)"
    clawgate provider set kept --base-url http://127.0.0.1:10/v1
    jq_eq .default_model '"b"' "$(settings)"
    assert_equal "$(row)" "${before/:9/:10}"
    clawgate provider set kept --api-key sk-other
    [ "$(row)" != "${before/:9/:10}" ]
    clawgate api PUT "/v1/providers/$(sql "SELECT id FROM llm_providers WHERE name = 'kept'")" '{"enabled": false}'
    clawgate provider set kept --model c
    assert_equal "$(sql "SELECT enabled FROM llm_providers WHERE name = 'kept'")" 0
    clawgate provider set kept --api-key ''
    assert_equal "$(sql "SELECT api_key FROM llm_providers WHERE name = 'kept'")" ""
}

# Silently left out, an option that is wrong here leaves a key for everybody where one user's was meant.
@test "what a command does not know is refused, and nothing is changed" {
    local before
    before=$(sql 'SELECT (SELECT COUNT(*) FROM api_keys), (SELECT COUNT(*) FROM agents), (SELECT COUNT(*) FROM tenants)')
    refused() {
        run clawgate "$@"
        assert_failure
        [ -n "$output" ] || fail "nothing is said about: $*"
    }
    refused key create --name u --scopes write --user ann
    refused key create --name u --scopes write ann
    refused agent create my agent
    refused agent create mine2 --name Mine
    refused tenant create one two
    refused tenant create one --token x
    refused provider set one --user ann
    refused key list all
    refused key delete x
    refused tenant remove x
    refused secrets status now
    refused agent create mine2 --default maybe
    assert_equal "$before" \
        "$(sql 'SELECT (SELECT COUNT(*) FROM api_keys), (SELECT COUNT(*) FROM agents), (SELECT COUNT(*) FROM tenants)')"
    run clawgate agent create mine2 --default no --display-name 'Mine Two'
    assert_success
}

@test "api: a body that the shell has split is not sent in part" {
    run clawgate api POST /v1/tenants '{"name":' '"split"}'
    assert_failure
    assert_output --partial "usage: clawgate api METHOD PATH [JSON]"
    run clawgate logs -f 10
    assert_failure
    assert_output --partial "usage: clawgate logs"
}

@test "what stands behind a command without arguments is refused: a home given wrongly is not another one's" {
    local command
    for command in token stop reload status serve doctor help; do
        CLAWGATE_HOME=$GATEWAY_HOME run "$ROOT/tools/clawgate" "$command" "--home=$BATS_TEST_TMPDIR/other"
        assert_failure
        assert_output --partial "--home="
    done
    run -0 clawgate status
    assert_output --partial ready
}

@test "init: a port is written as a number, or nothing is written" {
    local home=$BATS_TEST_TMPDIR/home port
    for port in +80 0080 ' 80' '80 ' 8O 0 65536 -1 ''; do
        run "$ROOT/tools/clawgate" init --home "$home" --port "$port"
        assert_failure
        assert_output --partial '--port must be a number from 1 to 65535'
        [ ! -e "$home/config.json" ] || fail "config.json is there after --port '$port'"
    done
    run "$ROOT/tools/clawgate" init --home "$home" --port 18999
    assert_success
}

# What cannot be sent as a header, or would not be the same text when it arrives, lets nobody in.
@test "init: a token is one that a client can send" {
    local home=$BATS_TEST_TMPDIR/home token
    for token in ' a' 'a ' $'a\nb' $'a\tb' $'\xff' "$(printf 't%.0s' {1..4097})"; do
        run "$ROOT/tools/clawgate" init --home "$home" --token "$token"
        assert_failure
        assert_output --partial '--token'
        [ ! -e "$home/config.json" ] || fail "config.json is there after the token '$token'"
    done
    GOCLAW_GATEWAY_TOKEN=$'from-a-file\n' run clawgate token
    assert_failure
    assert_output --partial 'gateway.token'
}

@test "init: several at the same moment make one home, and all succeed" {
    local i home
    for home in "$BATS_TEST_TMPDIR"/{a,b,c,d}; do
        local pids=()
        for i in {1..6}; do
            "$ROOT/tools/clawgate" init --home "$home" >"$BATS_TEST_TMPDIR/said.$i" 2>&1 &
            pids+=($!)
        done
        for i in "${!pids[@]}"; do
            wait "${pids[$i]}" || fail "$(cat "$BATS_TEST_TMPDIR"/said.*)"
        done
        assert_equal "$(cat "$BATS_TEST_TMPDIR"/said.* | grep -c '^created')" 1
        assert_equal "$(command sqlite3 "$home/data/goclaw.db" 'SELECT COUNT(*) FROM agents')" 1
        assert_equal "$(find "$home" -name 'config.json*' | wc -l)" 1
    done
}

@test "a directory that is no home is told so, and stays as it is" {
    local home=$BATS_TEST_TMPDIR/typo command
    for command in 'key list' 'tenant list' token 'agent create x' 'secrets status' 'api GET /health' reload stop; do
        # shellcheck disable=SC2086
        run -1 --separate-stderr "$ROOT/tools/clawgate" $command --home "$home"
        assert_equal "$output" ""
        assert_equal "$stderr" "clawgate: $home is no home yet: run clawgate init --home $home"
        [ ! -e "$home" ] || fail "$command made $home"
    done
    run -1 "$ROOT/tools/clawgate" doctor --home "$home"
    assert_output --partial "is no home yet"
    refute_output --partial "disk"
    mkdir "$home"
    run -1 "$ROOT/tools/clawgate" token --home "$home"
    run -1 "$ROOT/tools/clawgate" doctor --home "$home"
    assert_output --partial "is no home yet"
    assert_equal "$(find "$home")" "$home"
}

@test "an empty --home is not the directory one happens to be in" {
    cd "$BATS_TEST_TMPDIR"
    run "$ROOT/tools/clawgate" init --home ''
    assert_failure
    assert_output --partial '--home'
    assert_equal "$(ls)" ""
}

@test "reload and stop of what does not serve say that and nothing else" {
    "$ROOT/tools/clawgate" init --home "$BATS_TEST_TMPDIR/idle"
    for command in reload stop; do
        run -1 "$ROOT/tools/clawgate" "$command" --home "$BATS_TEST_TMPDIR/idle"
        assert_output "clawgate: nothing serves $BATS_TEST_TMPDIR/idle"
    done
}

# Who may not look into the home must not hear that it is stopped, or not there.
@test "somebody else's home: the user it belongs to is named" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    local command home
    home=$(mktemp -d /tmp/clawgate-e2e.XXXXXX)
    "$ROOT/tools/clawgate" init --home "$home/of root"
    chmod 755 "$home"
    for command in status token 'key list' stop reload serve 'api GET /health'; do
        # shellcheck disable=SC2086
        run setpriv --reuid=65534 --regid=65534 --clear-groups "$ROOT/tools/clawgate" $command --home "$home/of root"
        assert_failure
        assert_output "clawgate: $home/of root belongs to root: run this as that user"
    done
    rm -r "$home"
}

# The limits are those of the API (contract 01 §7.2, §13, 02 §3.1, 04 §1.2).
@test "a text is as long as the API takes it, UTF-8, and more than blanks" {
    refused() {
        run clawgate "$@"
        assert_failure
        assert_output --partial "$named"
    }
    taken() {
        run -0 clawgate "$@"
    }
    many() { printf "%$2s" '' | sed "s/ /$1/g"; }
    named=--name refused key create --scopes read --name '  '
    named=--name refused key create --scopes read --name $'\xff'
    named=--name refused key create --scopes read --name "$(many ä 101)"
    taken key create --scopes read --name "$(many ä 100)"
    named=--name refused tenant create long --name "$(many x 256)"
    named=--name refused tenant create long --name $'\t'
    named=--name refused tenant create long --name $'a\xc3'
    taken tenant create long --name "$(many x 255)"
    named=--display-name refused agent create long --display-name "$(many x 256)"
    named=--display-name refused agent create long --display-name $'\xff'
    named=--model refused agent create long --model "$(many x 201)"
    named=--provider refused agent create long --provider "$(many x 51)"
    taken agent create long --display-name "$(many ä 255)" --model "$(many x 200)" --provider "$(many x 50)"
    named=--model refused provider set long --model $'\xff'
    named=--base-url refused provider set long --base-url "http://127.0.0.1/$(many x 2032)"
    named=--api-key refused provider set long --api-key "$(many x 8193)"
    named=--api-key refused provider set long --api-key $'\xff'
    taken provider set long --base-url "http://127.0.0.1/$(many x 2031)" --api-key "$(many x 8192)"
}

# Whoever may make a key chooses its name, which an administrator's terminal must not obey.
@test "lists: a name stays in its column, whatever stands in it" {
    local name=$'forged\n0193a5b0\tlive\e[31m\u009b31m'
    clawgate api POST /v1/api-keys "$(jq -cn --arg name "$name" '{name: $name, scopes: ["operator.read"]}')"
    clawgate tenant create forged --name "$name"
    clawgate key list >"$BATS_TEST_TMPDIR/keys"
    clawgate tenant list >"$BATS_TEST_TMPDIR/tenants"
    assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/keys")" "$(sql 'SELECT COUNT(*) FROM api_keys')"
    assert_equal "$(wc -l <"$BATS_TEST_TMPDIR/tenants")" "$(sql 'SELECT COUNT(*) FROM tenants')"
    assert_equal "$(grep forged "$BATS_TEST_TMPDIR/keys" | cut -f8-)" 'forged?0193a5b0?live?[31m?31m'
    assert_equal "$(grep forged "$BATS_TEST_TMPDIR/tenants" | cut -f4-)" 'forged?0193a5b0?live?[31m?31m'
}

# Administrators work as root; the gateway does not.
@test "as root: what a command makes in somebody's home is his" {
    [ "$(id -u)" = 0 ] || skip "needs root"
    local home=$BATS_TEST_TMPDIR/his command
    "$ROOT/tools/clawgate" init --home "$home"
    chown -R 65534:65534 "$home"
    for command in 'tenant create acme' 'key create --name k --scopes read' 'provider set p --api-key sk-p' \
        'agent create a' 'secrets rotate' init; do
        # shellcheck disable=SC2086
        run -0 "$ROOT/tools/clawgate" $command --home "$home"
    done
    assert_equal "$(find "$home" ! -user 65534)" ""
}

# The web server reads .htaccess as itself, and suexec runs nothing that a group may write.
@test "site: what it writes can be read by others and changed by its user alone, whatever the umask" {
    local dir=$BATS_TEST_TMPDIR/root mask
    mkdir "$dir"
    for mask in 077 002; do
        (umask $mask && clawgate site "$dir")
        assert_equal "$(cd "$dir" && stat -c '%a %n' .htaccess clawgate clawgate/.htaccess clawgate/chat.cgi | xargs)" \
            "644 .htaccess 755 clawgate 644 clawgate/.htaccess 755 clawgate/chat.cgi"
    done
}

@test "make install: below a directory whose name holds a blank" {
    local place="$BATS_TEST_TMPDIR/of mine"
    make -s -C "$ROOT" BUILD="$BUILD" DESTDIR="$place" PREFIX=/usr install >"$BATS_TEST_TMPDIR/out" 2>&1 ||
        fail "$(cat "$BATS_TEST_TMPDIR/out")"
    run -0 "$place/usr/bin/clawgate" init --home "$place/home"
    run -0 "$place/usr/bin/clawgate" key list --home "$place/home"
}
