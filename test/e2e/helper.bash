# Shared by all end-to-end suites: one gateway a file, spoken to over HTTP through the real lighttpd.
# shellcheck shell=bash
#
#   setup_file()    { gateway_start; }             upstream_start before it when models are needed
#   teardown_file() { gateway_stop; }              fails when a process of the gateway is left
#   api POST /v1/chat/completions '{…}'            sets $status_code, $body, $headers
#   assert_error 400 INVALID_REQUEST messages      judges the whole error envelope
#
# CLAWGATE_BUILD names the build that is tested (default: build). CLAWGATE_TEST_FRONT=cgi runs a suite against plain
# CGI: no serve, lighttpd starts a process a request. Variables that the suites may set before a
# call: `extra` (array of further headers), `bearer` (another token; "" sends none), `base` (another address).
# The suites read what is set here and set what is read here:
# shellcheck disable=SC2034,SC2154

bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${CLAWGATE_BUILD:-$ROOT/build}
PATH=$PATH:/usr/sbin
# Tests write characters beyond ASCII; a machine may have no locale set.
export LC_ALL=C.UTF-8
# Sanitizer builds need longer for everything; timing limits are multiplied by this.
SLOWER=${CLAWGATE_TEST_SLOWER:-1}

# ---- starting and stopping ----

# A port nobody uses: a counter shared by all suites that run at the moment, so that two never get the same.
free_port() {
    local counter=${TMPDIR:-/tmp}/clawgate-test-port.$UID port
    (
        flock 9
        port=$(cat "$counter" 2>/dev/null || true)
        [ -n "$port" ] || port=20000
        while :; do
            port=$((port >= 29999 ? 20000 : port + 1))
            (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
        done
        echo "$port" >"$counter"
        echo "$port"
    ) 9>"$counter.lock"
}

# wait_until SECONDS COMMAND…: polls until the command succeeds; fails when the time is over.
wait_until() {
    local tenths=$(($1 * 10 * SLOWER))
    shift
    while ! "$@"; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

# Milliseconds of a clock that does not jump.
now_ms() {
    local up
    read -r up _ </proc/uptime
    echo "${up/./}0"
}

clawgate() {
    "$ROOT/tools/clawgate" "$@" --home "$GATEWAY_HOME"
}

# The gateway is there and takes runs.
is_ready() {
    curl -fs -m 5 -o /dev/null "$GATEWAY/ready"
}

# home_make [CONFIG]: a home with settings (merged with the JSON object) and a database; nothing runs yet.
home_make() {
    local home=$BATS_FILE_TMPDIR/home more=${1:-"{}"}
    [ ${#home} -le 70 ] || home=$(mktemp -d "/tmp/clawgate-e2e.XXXXXX")
    export GATEWAY_HOME=$home PORT TOKEN=test-token-0123456789abcdef
    PORT=$(free_port)
    export GATEWAY=http://127.0.0.1:$PORT DATABASE=$home/data/goclaw.db LOG=$home/log/clawgate.log
    mkdir -p "$home"
    jq -n --argjson port "$PORT" --arg token "$TOKEN" --argjson more "$more" \
        '{gateway: {host: "127.0.0.1", port: $port, token: $token},
          agents: {defaults: {provider: "offline", model: "offline"}}} * $more' >"$home/config.json"
    chmod 600 "$home/config.json"
    "$ROOT/tools/clawgate" init --home "$home" >/dev/null
}

# The product's lighttpd.conf, its programs reached by mod_cgi instead of through sockets. Programs see of the
# environment what is named here; what they write to standard error goes to $LOG.
front_config() {
    local name socket='fastcgi\.server = \( "" => \(\( "socket" => env\.CLAWGATE_RUN \+ "/([a-z]+)\.sock"[^)]*\)\) \)'
    sed -z -E "s|$socket|alias.url = ( \"/\" => \"$BUILD/cgi-bin/\1/\" )|g" "$ROOT/lighttpd.conf"
    echo 'server.modules += ( "mod_setenv", "mod_alias", "mod_cgi" )'
    echo 'cgi.assign = ( "" => "" )'
    echo "server.breakagelog = \"$LOG\""
    echo "setenv.add-environment = ( \"CLAWGATE_HOME\" => \"$GATEWAY_HOME\""
    for name in $(compgen -e CLAWGATE_) $(compgen -e GOCLAW_) SSL_CERT_FILE {A,UB,T}SAN_OPTIONS; do
        [ "$name" = CLAWGATE_HOME ] || [ -z "${!name:-}" ] || echo ", \"$name\" => \"${!name}\""
    done
    echo ')'
}

# lighttpd has no CLAWGATE_HOME of its own: gateway_processes are the programs it starts.
front_start() {
    mkdir -p "$GATEWAY_HOME"/{htdocs,log,run}
    front_config >"$GATEWAY_HOME/front.conf"
    CLAWGATE_HOST=127.0.0.1 CLAWGATE_PORT=$PORT CLAWGATE_RUN=$GATEWAY_HOME/run CLAWGATE_ERRORS=$ROOT/tools/errors \
        lighttpd -D -f "$GATEWAY_HOME/front.conf" >"$GATEWAY_HOME/serve.out" 2>&1 3>&- &
    disown
}

# Told by its command line, so that a test may start or stop it as well as the file.
front_process() {
    pgrep -f "^lighttpd -D -f $GATEWAY_HOME/front\.conf"
}

front_gone() {
    ! front_process >/dev/null
}

front_stop() {
    local pid
    pid=$(front_process) || return 0
    kill -TERM "$pid"
    wait_until 5 front_gone || kill -KILL "$pid"
}

by_cgi() {
    [ "${CLAWGATE_TEST_FRONT:-}" = cgi ]
}

# Starts serve (or lighttpd for plain CGI) on the home that exists and waits until it is ready.
gateway_serve() {
    if by_cgi; then
        front_start
    else
        "$ROOT/tools/clawgate" serve --home "$GATEWAY_HOME" >"$GATEWAY_HOME/serve.out" 2>&1 3>&- &
        disown
    fi
    wait_until 15 is_ready || {
        echo "the gateway did not become ready" >&2
        tail -n 20 "$GATEWAY_HOME/serve.out" "$GATEWAY_HOME"/log/* >&2
        return 1
    }
}

# gateway_start [CONFIG]
gateway_start() {
    home_make "${1:-}"
    gateway_serve
}

# Processes of this home, told by their environment; zombies have none.
gateway_processes() {
    grep -lzxF "CLAWGATE_HOME=$GATEWAY_HOME" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}

no_gateway_processes() {
    [ -z "$(gateway_processes)" ]
}

gateway_stop() {
    local left failed=0
    upstream_stop
    [ -n "${GATEWAY_HOME:-}" ] || return 0
    if by_cgi; then
        front_stop
    else
        timeout $((30 * SLOWER)) "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME" >/dev/null 2>&1 || true
    fi
    if ! wait_until 2 no_gateway_processes; then
        left=$(gateway_processes)
        echo "processes are left after the stop:" >&2
        # shellcheck disable=SC2086 # a list of numbers
        ps -o pid=,ppid=,args= $left >&2 || true
        # shellcheck disable=SC2086
        kill -KILL $left
        failed=1
    fi
    if grep -l 'Sanitizer\|runtime error' "$LOG" "$GATEWAY_HOME/serve.out" >/dev/null 2>&1; then
        grep -h -A 20 'Sanitizer\|runtime error' "$LOG" "$GATEWAY_HOME/serve.out" >&2
        failed=1
    fi
    case $GATEWAY_HOME in /tmp/clawgate-e2e.*) rm -rf "$GATEWAY_HOME" ;; esac
    return $failed
}

# The scripted model server, plain and TLS. Call before gateway_start: it exports SSL_CERT_FILE.
upstream_start() {
    local dir=$BATS_FILE_TMPDIR/upstream program=$BUILD/test/upstream/upstream
    mkdir -p "$dir"
    "$program" --make-cert "$dir"
    export SSL_CERT_FILE=$dir/ca.pem
    "$program" --port 0 --tls-port 0 --cert "$dir/cert.pem" --key "$dir/key.pem" --port-file "$dir/ports" \
        >"$dir/out" 2>&1 3>&- &
    export UPSTREAM_PID=$!
    wait_until 10 test -s "$dir/ports"
    export UPSTREAM_PORT UPSTREAM_TLS_PORT UPSTREAM
    UPSTREAM_PORT=$(jq .port "$dir/ports")
    UPSTREAM_TLS_PORT=$(jq .tls_port "$dir/ports")
    UPSTREAM=http://127.0.0.1:$UPSTREAM_PORT
}

upstream_stop() {
    [ -z "${UPSTREAM_PID:-}" ] || kill "$UPSTREAM_PID" 2>/dev/null || true
    UPSTREAM_PID=
}

# provider NAME OPTIONS [TYPE]: a provider whose every call asks the upstream for OPTIONS, and an agent of that name.
provider() {
    local options=${2:+/o/$2}
    clawgate provider set "$1" --type "${3:-openai_compat}" --base-url "$UPSTREAM$options/v1" --api-key "sk-$1" \
        --model "model-of-$1" >/dev/null
    clawgate agent create "$1" --provider "$1" --model "model-of-$1" >/dev/null
}

# What the upstream received, as a JSON array; upstream_last is the newest entry with its body parsed.
upstream_requests() {
    curl -fsS "$UPSTREAM/_requests"
}

upstream_last() {
    upstream_requests | jq 'last | .body |= fromjson'
}

upstream_stat() {
    curl -fsS "$UPSTREAM/_stats" | jq ".$1"
}

upstream_reset() {
    curl -fsS -X POST "$UPSTREAM/_reset" >/dev/null
}

# ---- requests ----

# One argument a line, ready for "$@" of curl: the credentials and the extra headers.
request_options() {
    local line
    options=()
    [ -z "${bearer-$TOKEN}" ] || options+=(-H "Authorization: Bearer ${bearer-$TOKEN}")
    for line in ${extra[@]+"${extra[@]}"}; do
        options+=(-H "$line")
    done
}

# slurp NAME FILE: the file's text into the variable, without a process; ends of line at its end left out, as $(…) does.
slurp() {
    local text
    IFS= read -rd '' text <"$2" || true
    while [[ $text == *$'\n' ]]; do text=${text%$'\n'}; done
    printf -v "$1" '%s' "$text"
}

# api METHOD PATH [JSON|@FILE]
api() {
    local method=$1 path=$2 options out=$BATS_TEST_TMPDIR
    request_options
    # Without a body a length of 0 is sent, as clients do; lighttpd wants one.
    if [ $# -lt 3 ]; then
        [ "$method" != POST ] || options+=(-H 'Content-Length: 0')
    else
        options+=(-H 'Content-Type: application/json')
        if [[ $3 == @* || ${#3} -lt 100000 ]]; then
            options+=(--data-binary "$3")
        else
            printf '%s' "$3" >"$out/request"
            options+=(--data-binary "@$out/request")
        fi
    fi
    case $method in HEAD) options+=(-I) ;; *) options+=(-X "$method") ;; esac
    : >"$out/body"
    status_code=$(curl -sS -m $((60 * SLOWER)) --path-as-is -D "$out/headers" -o "$out/body" -w '%{http_code}' \
        "${options[@]}" "${base:-$GATEWAY}$path")
    [ "$method" != HEAD ] || : >"$out/body"
    slurp headers "$out/headers"
    headers=${headers//$'\r'/}
    slurp body "$out/body"
}

# chat_body TEXT [MODEL [MEMBERS]]: the shortest chat request; MEMBERS is more JSON, behind the rest. Ordinary text needs
# no jq to become JSON.
chat_body() {
    local text="\"$1\"" model="\"${2:-}\""
    if [[ "$1${2:-}" == *[[:cntrl:]\"\\]* ]]; then
        text=$(jq -cn --arg text "$1" '$text')
        model=$(jq -cn --arg text "${2:-}" '$text')
    fi
    printf '%s\n' "{\"messages\":[{\"role\":\"user\",\"content\":$text}]${2:+,\"model\":$model}${3:+,$3}}"
}

# say TEXT [MODEL]
say() {
    api POST /v1/chat/completions "$(chat_body "$@")"
}

# The value of a response header of the last call; empty when there is none.
header() {
    local line
    while IFS= read -r line; do
        if [[ ${line%%:*} == "$1" || ${line%%:*} == "${1,,}" ]]; then
            line=${line#*:}
            printf '%s\n' "${line# }"
            return
        fi
    done <<<"$headers"
}

answer() {
    jq -r '.choices[0].message.content' <<<"$body"
}

# ---- streams ----

# sse JSON: posts it, keeps the stream as it came in $stream (a file), sets $status_code and $headers.
sse() {
    local options
    stream=$BATS_TEST_TMPDIR/stream
    request_options
    status_code=$(printf '%s' "$1" | curl -sS -N -m $((60 * SLOWER)) -D "$BATS_TEST_TMPDIR/headers" -o "$stream" \
        -w '%{http_code}' -H 'Content-Type: application/json' "${options[@]}" --data-binary @- \
        "${base:-$GATEWAY}/v1/chat/completions")
    headers=$(tr -d '\r' <"$BATS_TEST_TMPDIR/headers")
    body=$(tr -d '\0' <"$stream")
}

# Milliseconds after the start at which each data line of a stream came.
frame_times() {
    local began line
    began=$(now_ms)
    request_options
    curl -sS -N -m 20 "${options[@]}" --data-binary "$1" "$base/v1/chat/completions" | tee "$BATS_TEST_TMPDIR/stream" |
        while IFS= read -r line; do case $line in data:*) echo $(($(now_ms) - began)) ;; esac done
}

stream_body() {
    chat_body "$1" "${2:-}" '"stream":true'
}

# The data of every frame, one a line.
sse_data() {
    sed -n 's/^data: //p' "${1:-$stream}"
}

# The same without the mark of the end: all JSON.
sse_json() {
    sse_data "$@" | grep -vx '\[DONE\]'
}

sse_text() {
    sse_json "$@" | jq -j '.choices[0].delta.content? // empty'
}

# How many events of the stream end it: an error, or a chunk with a finish_reason.
sse_terminals() {
    sse_json "$@" | jq -s 'map(select(.error or .choices[0].finish_reason)) | length'
}

# ---- judging ----

assert_status() {
    [ "$status_code" = "$1" ] || fail "expected HTTP $1, got $status_code: $body"
}

# jq 1.6 takes 28 ms to start, which was a third of all that the suites cost; gojq takes 3. It writes an object's keys
# in order of the alphabet, as jq does.
jq() {
    gojq "$@"
}

# jq_eq FILTER EXPECTED [JSON]: the filter's result on the last body, both as compact JSON, printed by the same jq.
jq_eq() {
    local both got want mark='"-- wanted --"'
    if both=$(jq -c --argjson want "$2" "($1
        ), $mark, \$want" <<<"${3-$body}" 2>/dev/null); then
        got=${both%%$'\n'"$mark"*} want=${both##*"$mark"$'\n'}
    else
        got=$(jq -c "$1" <<<"${3-$body}") || fail "jq $1 on: ${3-$body}" || return
        want=$(jq -c . <<<"$2")
    fi
    [ "$got" = "$want" ] || fail "jq '$1': expected $want, got $got in: ${3-$body}"
}

error_type() {
    case $1 in
        401) echo authentication_error ;;
        403) echo permission_error ;;
        429) echo rate_limit_error ;;
        5*) echo server_error ;;
        *) echo invalid_request_error ;;
    esac
}

# The envelope as the programs write it, without details: code, message, retryable, retryAfterMs, type, param.
PLAIN_ENVELOPE='^\{"error":\{"code":"([A-Z_]+)","message":"(([^"\\[:cntrl:]]|\\["\\/nt])+)","retryable":(true|false),"retryAfterMs":([0-9]+),"type":"([a-z_]+)","param":(null|"[^"\\[:cntrl:]]*")\}\}$'

# assert_envelope STATUS CODE [PARAM] reads $body: every member of contract 01 §3.2. PARAM - stands for any.
assert_envelope() {
    local retry=false ms=0 wrong param=null
    case $2 in
        RESOURCE_EXHAUSTED) retry=true ms=60000 ;;
        UNAVAILABLE | AGENT_TIMEOUT) retry=true ms=5000 ;;
    esac
    [ -z "${after_ms:-}" ] || ms=$after_ms
    [ "$ms" != 0 ] || retry=false
    # Most answers are found right without jq; it judges all others.
    [ -z "${3:-}" ] || param="\"$3\""
    if [[ $body =~ $PLAIN_ENVELOPE && ${BASH_REMATCH[1]} == "$2" && ${#BASH_REMATCH[2]} -le 1000 &&
        ${BASH_REMATCH[4]} == "$retry" && ${BASH_REMATCH[5]} == "$ms" && ${BASH_REMATCH[6]} == "$(error_type "$1")" &&
        (${3:-} == - || ${BASH_REMATCH[7]} == "$param") ]]; then
        return
    fi
    wrong=$(jq -r --arg code "$2" --arg type "$(error_type "$1")" --argjson retry $retry --argjson ms "$ms" \
        --arg param "${3:-}" '
        def check(right; what): if right then empty else what end;
        [check(keys == ["error"]; "members beside error"),
         (.error | check((del(.details) | keys) == ["code", "message", "param", "retryAfterMs", "retryable", "type"]; "members"),
          check(.code == $code; "code"), check(.type == $type; "type"), check(.retryable == $retry; "retryable"),
          check(.retryAfterMs == $ms; "retryAfterMs"),
          check((.message | type == "string") and (.message | length > 0 and length <= 1000); "message"),
          check($param == "-" or .param == (if $param == "" then null else $param end); "param"))]
        | if length == 0 then "nothing" else join(", ") end' <<<"$body") || wrong="no JSON"
    [ "$wrong" = nothing ] || fail "wrong in the error ($*): ${wrong:-no body}: $body"
}

# assert_error STATUS CODE [PARAM]: the last answer is exactly this error, its headers included.
assert_error() {
    local wait=""
    assert_status "$1" || return
    assert_equal "$(header Content-Type)" application/json || return
    assert_envelope "$@" || return
    case $1 in
        429) wait=60 ;;
        503 | 504) wait=$(((${after_ms:-5000} + 999) / 1000)) ;;
    esac
    [ "$wait" != 0 ] || wait=""
    assert_equal "$(header Retry-After)" "$wait"
}

# What a test writes past the gateway counts at once: the mark of common/store/fresh.h moves, as for any program of
# the house; without it copies of configuration would be used for up to a second.
sqlite3() {
    command sqlite3 "$@" || return
    [ "$1" = -readonly ] || [ ! -e "${DATABASE:-}-fresh" ] ||
        head -c 8 /dev/urandom | dd of="$DATABASE-fresh" conv=notrunc status=none
}

# sql STATEMENT: on the gateway's database, read only.
sql() {
    sqlite3 -readonly -cmd '.timeout 5000' "$DATABASE" "$1"
}
