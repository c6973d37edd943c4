#!/usr/bin/env bats
# MCP servers: create, read, change, delete (contract 04 §3.1, §3.2; 01 §12).

load helper

SERVERS=/v1/mcp/servers
HTTP='"transport":"streamable-http","url":"https://mcp.example.com/mcp"'
STDIO='"transport":"stdio","command":"npx","args":["-y","@modelcontextprotocol/server-everything"]'

setup_file() {
    gateway_start
    export READ_KEY WRITE_KEY ADMIN_KEY
    READ_KEY=$(clawgate key create --name r --scopes read)
    WRITE_KEY=$(clawgate key create --name w --scopes write --owner bob)
    ADMIN_KEY=$(clawgate key create --name a --scopes admin)
    sqlite3 "$DATABASE" "INSERT INTO tenants (id, name, slug, created_at, updated_at)
        VALUES ('0193a5b0-7000-7000-8000-00000000000b', 'Other', 'other', 't', 't')"
}

teardown_file() {
    gateway_stop
}

teardown() {
    sqlite3 "$DATABASE" '.timeout 5000' 'PRAGMA foreign_keys = ON; DELETE FROM mcp_servers'
}

repeat() {
    printf "%$2s" '' | sed "s/ /$1/g"
}

# create MEMBERS: a server from the members of a JSON object; its path goes to $server.
create() {
    api POST $SERVERS "{$1}"
    assert_status 201
    server=$SERVERS/$(jq -r .id <<<"$body")
}

# accepts / refuses MEMBERS [PARAM]: what a create with these members answers; name and transport are added.
accepts() {
    number=$((number + 1))
    api POST $SERVERS "$(jq -cn "{name: \"n$number\", $HTTP} + {$1}")"
    assert_status 201
}

refuses() {
    api POST $SERVERS "$(jq -cn "{name: \"refused\", $HTTP} + {$1}")"
    assert_error 400 INVALID_REQUEST "$2"
}

@test "create answers the full record with its defaults, and reads answer the same" {
    extra=("X-GoClaw-User-Id: alice")
    create "\"name\":\"one\",$HTTP"
    jq_eq 'del(.id, .created_at, .updated_at)' '{"name":"one","transport":"streamable-http",
        "url":"https://mcp.example.com/mcp","args":[],"headers":{},"env":{},"tool_prefix":"","timeout_sec":60,
        "settings":{},"enabled":true,"created_by":"alice","agent_count":0}'
    jq_eq '.created_at == .updated_at and (.created_at | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{3}Z$"))' true
    local made=$body
    api GET "$server"
    assert_status 200
    assert_equal "$body" "$made"
    extra=()
    create "\"name\":\"two\",$STDIO"
    jq_eq '[.created_by, .command, .args, .url]' \
        '["system","npx",["-y","@modelcontextprotocol/server-everything"],""]'
}

@test "01 §12.4: the list is sorted by name, has no totals unless asked, and the payload alias only when set" {
    api GET $SERVERS
    assert_status 200
    assert_equal "$body" '{"servers":[]}'
    create "\"name\":\"b\",$HTTP"
    create "\"name\":\"c\",$HTTP"
    create "\"name\":\"a\",$HTTP"
    api GET $SERVERS
    jq_eq '[.servers[].name]' '["a","b","c"]'
    jq_eq keys '["servers"]'
    api GET "$SERVERS?limit=2&offset=1"
    jq_eq '[[.servers[].name], .total, .limit, .offset]' '[["b","c"],3,2,1]'
    api HEAD $SERVERS
    assert_status 200
    assert_equal "$(wc -c <"$BATS_TEST_TMPDIR/body")" 0
}

# bats test_tags=fields
@test "every field at its limit, and one past it" {
    refuses 'name: null' name
    refuses 'name: ""' name
    refuses 'name: "Upper"' name
    refuses 'name: "-a"' name
    refuses "name: \"$(repeat a 51)\"" name
    accepts "name: \"$(repeat a 50)\""
    refuses 'name: 5' name
    refuses 'transport: "pigeon"' transport
    refuses 'transport: null' transport
    accepts 'transport: "sse"'
    accepts 'transport: "http"'
    jq_eq .transport '"streamable-http"'
    accepts 'transport: "streamable_http"'
    jq_eq .transport '"streamable-http"'
    accepts "display_name: \"$(repeat é 255)\""
    refuses "display_name: \"$(repeat é 256)\"" display_name
    accepts "tool_prefix: \"$(repeat _ 50)\""
    refuses "tool_prefix: \"$(repeat _ 51)\"" tool_prefix
    refuses 'tool_prefix: "A"' tool_prefix
    accepts 'timeout_sec: 600'
    refuses 'timeout_sec: 601' timeout_sec
    refuses 'timeout_sec: "60"' timeout_sec
    accepts 'timeout_sec: 0'
    jq_eq .timeout_sec 60
    accepts 'timeout_seconds: 5'
    jq_eq .timeout_sec 5
    accepts "api_key: \"$(repeat k 8192)\""
    jq_eq .api_key '"***"'
    refuses "api_key: \"$(repeat k 8193)\"" api_key
    refuses 'api_key: "***"' api_key
    accepts 'api_key: ""'
    jq_eq 'has("api_key")' false
    accepts 'args: [range(64) | "x"]'
    refuses 'args: [range(65) | "x"]' args
    accepts "args: [\"$(repeat a 4096)\"]"
    refuses "args: [\"$(repeat a 4097)\"]" args
    refuses 'args: [1]' args
    refuses 'args: "x"' args
    accepts "settings: {a: \"$(repeat s 65528)\"}"
    refuses "settings: {a: \"$(repeat s 65529)\"}" settings
    refuses 'settings: []' settings
    refuses 'enabled: "true"' enabled
    accepts 'enabled: false'
    jq_eq .enabled false
}

@test "headers and env: names, values, references to the gateway's environment" {
    local name
    accepts 'headers: {"Authorization": "Bearer x", "X-Api": "env:HOME"}'
    jq_eq .headers '{"Authorization":"***","X-Api":"***"}'
    accepts 'env: {"A_1": "x y", "_": "env:LANG"}'
    for name in '' 'a b' 'a:b' 'é' host Content-Length content-type ACCEPT Mcp-Session-Id mcp-protocol-version; do
        refuses "headers: {\"$name\": \"x\"}" headers
    done
    for name in '' 1A 'A B' A-B LD_PRELOAD LD_LIBRARY_PATH BASH_ENV ENV IFS GOCLAW_X; do
        refuses "env: {\"$name\": \"x\"}" env
    done
    refuses 'headers: {"A": "x\r\ny"}' headers
    refuses 'headers: {"A": "env:GOCLAW_GATEWAY_TOKEN"}' headers
    refuses 'env: {"A": "env:home"}' env
    refuses 'env: {"A": 1}' env
    refuses 'env: []' env
    accepts 'headers: ([range(64) | {key: "h\(.)", value: "x"}] | from_entries)'
    refuses 'headers: ([range(65) | {key: "h\(.)", value: "x"}] | from_entries)' headers
    for name in headers env; do
        accepts "$name: {A: \"$(repeat x 32760)\"}"
        refuses "$name: {A: \"$(repeat x 32761)\"}" $name
    done
}

@test "commands: runtimes, paths, flags that run code, whole command lines" {
    local value
    for value in node npx python3 uvx /usr/bin/python3 /opt/my-server; do
        accepts "transport: \"stdio\", command: \"$value\""
    done
    for value in bash ./node bin/node /opt/../bin/node 'node;id' 'node|id' $'node\nid' "\$(id)"; do
        refuses "transport: \"stdio\", command: $(jq -cn --arg v "$value" '$v'), args: [\"x\"]" command
    done
    refuses 'transport: "stdio"' command
    refuses 'transport: "stdio", command: ""' command
    for value in '"node","-e"' '"node","--no-warnings","--eval=x"' '"node","-pe"' '"deno","eval"' '"npx","-c"' \
        '"npm","exec","-c"' '"npm","--prefix","/a","x","--call=x"' '"bun","run","-e"' '"deno","repl","--eval"' \
        '"python3","-c"' '"python3","-Bc"' '"python3","-W","ignore","-c"' '"ruby","-rx"' '"/usr/bin/php","-r"'; do
        refuses "transport: \"stdio\", command: ([$value][0]), args: ([$value, \"x\"][1:])" args
    done
    for value in '"node","server.js","-e"' '"npx","-y","pkg","-c"' '"python3","-m","pkg","-c"' '"uvx","-c"' '"npm","exec","pkg","-c"' \
        '"deno","run","-r"' '"bun","x","pkg","-e"'; do
        accepts "transport: \"stdio\", command: ([$value][0]), args: ([$value, \"x\"][1:])"
    done
    accepts 'transport: "stdio", command: "npx -y \"my pkg\" --root='"'"'/a b'"'"' c\\ d"'
    jq_eq '[.command, .args]' '["npx",["-y","my pkg","--root=/a b","c d"]]'
    refuses 'transport: "stdio", command: "npx \"open"' command
    refuses 'transport: "stdio", command: "python3 -c x"' args
    # A line may hold as many arguments as a list of them.
    accepts "transport: \"stdio\", command: \"node$(repeat ' x' 64)\""
    jq_eq '.args | length' 64
    refuses "transport: \"stdio\", command: \"node$(repeat ' x' 65)\"" args
    # Any program by its path is for admins of the master tenant.
    extra=("X-GoClaw-Tenant-Id: other")
    refuses 'transport: "stdio", command: "/opt/my-server"' command
    accepts 'transport: "stdio", command: "/usr/bin/python3"'
}

@test "URLs follow the outbound policy, private ones in the master tenant only" {
    refuses 'url: ""' url
    refuses 'url: "ftp://example.com"' url
    refuses 'url: "https://user@example.com"' url
    refuses 'url: "http://169.254.169.254/"' url
    refuses 'url: "http://[fe80::1]/"' url
    refuses 'url: "http://metadata.google.internal/"' url
    accepts "url: \"https://example.com/$(repeat a 2028)\""
    refuses "url: \"https://example.com/$(repeat a 2029)\"" url
    accepts 'url: "http://127.0.0.1:9/mcp"'
    accepts 'url: "http://10.1.2.3/mcp"'
    extra=("X-GoClaw-Tenant-Id: other")
    refuses 'url: "http://127.0.0.1:9/mcp"' url
    refuses 'url: "http://[::ffff:10.0.0.1]/"' url
    accepts 'url: "https://example.com/mcp"'
}

@test "a change is partial, answers the record with its acknowledgement, and is judged as a whole" {
    create "\"name\":\"one\",\"display_name\":\"d\",$HTTP"
    api PUT "$server" '{"display_name":"e","unknown":1,"id":"x","created_by":"eve"}'
    assert_status 200
    jq_eq '[.status, .display_name, .name, .created_by]' '["updated","e","one","system"]'
    jq_eq '.updated_at > .created_at' true
    api PUT "$server" '{"display_name":null,"timeout_sec":null,"enabled":null,"settings":null}'
    jq_eq '[has("display_name"), .timeout_sec, .enabled, .settings]' '[false,60,true,{}]'
    api PUT "$server" '{"name":null}'
    assert_error 400 INVALID_REQUEST name
    api PUT "$server" '{"transport":"stdio"}'
    assert_error 400 INVALID_REQUEST command
    api PUT "$server" '{"url":null}'
    assert_error 400 INVALID_REQUEST url
    api PUT "$server" '{"transport":"stdio","command":"npx -y pkg"}'
    assert_status 200
    jq_eq '[.command, .args]' '["npx",["-y","pkg"]]'
    api PUT "$server" '{"args":["-c","x"]}'
    assert_error 400 INVALID_REQUEST args
    api PUT "$server" '{"args":null}'
    assert_status 200
    jq_eq .args '[]'
    api PUT "$server" '[]'
    assert_error 400 INVALID_REQUEST
}

@test "nothing effective: 200, no new time, no activity, no reload" {
    create "\"name\":\"one\",\"api_key\":\"k\",\"settings\":{\"a\":1,\"b\":2},$HTTP"
    local at rows
    at=$(jq .updated_at <<<"$body")
    rows=$(sql 'SELECT COUNT(*) FROM activity_logs')
    for change in '' '{}' '{"name":"one"}' '{"settings":{"b":2,"a":1}}' '{"api_key":"***"}' '{"api_key":"k"}' '{"x":1}'; do
        api PUT "$server" "$change"
        assert_status 200
        jq_eq '[.status, .updated_at]' "[\"updated\",$at]"
    done
    assert_equal "$(sql 'SELECT COUNT(*) FROM activity_logs')" "$rows"
}

@test "secrets are stored encrypted, never shown, kept by the mask and cleared by null" {
    create "\"name\":\"one\",$HTTP,\"api_key\":\"sesame\",\"headers\":{\"A\":\"alpha\",\"B\":\"beta\"},\"env\":{\"E\":\"eps\"}"
    local stored
    stored=$(sql 'SELECT api_key || headers || env FROM mcp_servers')
    assert_equal "$(grep -c 'sesame\|alpha\|beta\|eps' <<<"$stored")" 0
    assert_equal "$(sql "SELECT api_key LIKE 'aes-gcm:%' AND headers LIKE '\"aes-gcm:%\"' FROM mcp_servers")" 1
    api PUT "$server" '{"headers":{"A":"***","C":"gamma"},"api_key":""}'
    assert_status 200
    jq_eq '[.headers, .env, .api_key]' '[{"A":"***","C":"***"},{"E":"***"},"***"]'
    api PUT "$server" '{"headers":{"B":"***"}}'
    assert_error 400 INVALID_REQUEST headers
    api PUT "$server" '{"api_key":null,"headers":{},"env":null}'
    jq_eq '[has("api_key"), .headers, .env]' '[false,{},{}]'
    assert_equal "$(sql 'SELECT api_key || headers || env FROM mcp_servers')" '{}{}'
    assert_equal "$(grep -c 'sesame\|alpha' "$LOG")" 0
}

@test "names are unique in the tenant; another tenant neither collides nor sees" {
    create "\"name\":\"one\",$HTTP"
    api POST $SERVERS "{\"name\":\"one\",$HTTP}"
    assert_error 409 ALREADY_EXISTS name
    create "\"name\":\"two\",$HTTP"
    api PUT "$server" '{"name":"one"}'
    assert_error 409 ALREADY_EXISTS name
    extra=("X-GoClaw-Tenant-Id: other")
    for method in GET PUT DELETE; do
        api "$method" "$server"
        assert_error 404 NOT_FOUND id
    done
    api GET $SERVERS
    jq_eq .servers '[]'
    api POST $SERVERS "{\"name\":\"one\",$HTTP}"
    assert_status 201
}

@test "ETag and If-Match" {
    create "\"name\":\"one\",$HTTP"
    api GET "$server"
    local first second
    first=$(header ETag)
    [[ $first == \"*\" ]]
    extra=("If-Match: $first")
    api PUT "$server" '{"api_key":"k"}'
    assert_status 200
    second=$(header ETag)
    [ "$first" != "$second" ]
    api PUT "$server" '{"api_key":"l"}'
    assert_error 412 FAILED_PRECONDITION If-Match
    api DELETE "$server"
    assert_error 412 FAILED_PRECONDITION If-Match
    extra=()
    api GET "$server"
    assert_equal "$(header ETag)" "$second"
    extra=('If-Match: "x", '"$second")
    api DELETE "$server"
    assert_status 200
}

@test "Idempotency-Key: one server for one key" {
    extra=("Idempotency-Key: once")
    api POST $SERVERS "{\"name\":\"one\",$HTTP}"
    assert_status 201
    local made=$body
    api POST $SERVERS "{\"name\":\"one\",$HTTP}"
    assert_status 201
    assert_equal "$body" "$made"
    api POST $SERVERS "{\"name\":\"two\",$HTTP}"
    assert_error 409 ALREADY_EXISTS Idempotency-Key
    assert_equal "$(sql 'SELECT COUNT(*) FROM mcp_servers')" 1
    extra=("Idempotency-Key: two words")
    api POST $SERVERS "{\"name\":\"two\",$HTTP}"
    assert_error 400 INVALID_REQUEST Idempotency-Key
}

@test "twenty at once with one key make one server" {
    local i pids=()
    for i in $(seq 20); do
        curl -s -o "$BATS_TEST_TMPDIR/$i" -H "Authorization: Bearer $TOKEN" -H 'Idempotency-Key: race' \
            -d "{\"name\":\"race\",$HTTP}" "$GATEWAY$SERVERS" &
        pids+=($!)
    done
    wait "${pids[@]}"
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/[0-9]* | jq -s 'map(.id) | unique | length')" 1
    assert_equal "$(sql "SELECT COUNT(*) FROM activity_logs WHERE action = 'mcp_server.created'
        AND entity_id IN (SELECT id FROM mcp_servers)")" 1
}

@test "delete takes the grants along; counts, activity and the reload counter tell" {
    create "\"name\":\"one\",$HTTP"
    local id=${server##*/} before
    before=$(sql "SELECT n FROM generations WHERE kind = 'mcp'")
    sqlite3 "$DATABASE" '.timeout 5000' "INSERT INTO mcp_agent_grants (id, tenant_id, server_id, agent_id, created_at)
        SELECT 'g', tenant_id, '$id', id, 't' FROM agents LIMIT 1"
    api GET "$server"
    jq_eq .agent_count 1
    api DELETE "$server"
    assert_status 200
    jq_eq . "{\"status\":\"deleted\",\"id\":\"$id\"}"
    assert_equal "$(sql 'SELECT COUNT(*) FROM mcp_agent_grants')" 0
    api DELETE "$server"
    assert_error 404 NOT_FOUND id
    assert_equal "$(sql "SELECT group_concat(action || actor_id || entity_type) FROM
        (SELECT * FROM activity_logs WHERE entity_id = '$id' ORDER BY id)")" \
        mcp_server.createdsystemmcp_server,mcp_server.deletedsystemmcp_server
    assert_equal "$(sql "SELECT n FROM generations WHERE kind = 'mcp'")" $((before + 1))
}

@test "who may: 401, 403, 404, 400, 405 in their order" {
    create "\"name\":\"one\",$HTTP"
    bearer=
    api GET $SERVERS
    assert_error 401 UNAUTHORIZED
    bearer=$READ_KEY
    api GET "$server"
    assert_status 200
    for bearer in "$READ_KEY" "$WRITE_KEY"; do
        api POST $SERVERS 'not json'
        assert_error 403 UNAUTHORIZED
        api PUT "$server" 'not json'
        assert_error 403 UNAUTHORIZED
        api DELETE "$server"
        assert_error 403 UNAUTHORIZED
    done
    bearer=$ADMIN_KEY
    api PUT $SERVERS/0193a5b0-7000-7000-8000-0000000000ff 'not json'
    assert_error 404 NOT_FOUND id
    api PUT $SERVERS/nope 'not json'
    assert_error 400 INVALID_REQUEST id
    api PUT "$server" 'not json'
    assert_error 400 INVALID_REQUEST
    api POST $SERVERS "$(printf '{"name":"%s"}' "$(repeat a 1048576)")"
    assert_error 413 INVALID_REQUEST
    api PATCH "$server" '{}'
    assert_error 405 INVALID_REQUEST
    assert_equal "$(header Allow)" 'GET, HEAD, PUT, DELETE, OPTIONS'
    extra=('Accept-Language: vi')
    api POST $SERVERS '{}'
    assert_error 400 INVALID_REQUEST name
    jq_eq .error.message '"Thiếu name"'
}
