# shellcheck shell=bash
# What a CRUD family costs: against the bare FastCGI program, with few and with many rows, and in instructions.
# Part of test/bench/run, whose helpers and settings it uses.
# shellcheck disable=SC2154 # run sets them

crud_pids=()
declare -A crud_url crud_key

# crud_home NAME AGENTS [SETTINGS]: a home of its own with that many agents of bench-user, not served yet.
crud_home() {
    local home=$work/agents-$1 settings=${3-"{}"} own_port
    own_port=$(free_port)
    mkdir "$home"
    jq -n --argjson port "$own_port" --argjson more "$settings" \
        '{gateway: ({host: "127.0.0.1", port: $port, token: "bench-gateway-token"} + $more)}' >"$home/config.json"
    chmod 600 "$home/config.json"
    {
        clawgate init && clawgate provider set plain --type openai_compat --base-url "$upstream/v1" --api-key k &&
            sqlite3 -cmd ".parameter set @agents $2" "$home/data/goclaw.db" <"$root/test/bench/agents.sql"
    } >/dev/null 2>"$work/init.err" || die "no home with $2 agents: $(cat "$work/init.err")"
    crud_url[$1]=http://127.0.0.1:$own_port
    crud_key[$1]=$(clawgate key create --name bench --scopes write --owner bench-user 2>/dev/null) || die "no API key"
}

crud_start() {
    "$root/tools/clawgate" serve --home "$work/agents-$1" >"$work/agents-$1.out" 2>&1 {nap_fd}>&- &
    crud_pids+=($!)
    wait_until 15 curl -fs -m 2 -o /dev/null "${crud_url[$1]}/ready" || die "the home with $1 agents is not ready"
}

crud_stop() {
    [ ${#crud_pids[@]} -gt 0 ] || return 0
    kill -TERM "${crud_pids[@]}" 2>/dev/null
    wait "${crud_pids[@]}" 2>/dev/null
    crud_pids=()
}

# crud_rr NAME CONCURRENCY URL AGENTS: a GET; {n} of the URL goes round the agents.
crud_rr() {
    sample "crud.$1.c$2" "$("$bench/load" rr --method GET --no-body --url "$3" --users "$4" \
        --token "${crud_key[$4]:-none}" --concurrency "$2" --seconds "$crud_seconds" --warmup 0.2 2>&1)"
}

crud_check() {
    local rows one
    rows=$(curl -sS -m 10 -H "Authorization: Bearer ${crud_key[$1]}" "${crud_url[$1]}/v1/agents?limit=50" 2>&1)
    one=$(curl -sS -m 10 -H "Authorization: Bearer ${crud_key[$1]}" "${crud_url[$1]}/v1/agents/agent-$1" 2>&1)
    jq -e --argjson n "$1" '(.agents | length) == ([$n, 50] | min)' <<<"$rows" >/dev/null || die "a wrong list: $rows"
    jq -e --arg key "agent-$1" '.agent_key == $key' <<<"$one" >/dev/null || die "a wrong agent: $one"
}

measure_crud() {
    local round n
    for n in "${crud_sizes[@]}"; do
        crud_home "$n" "$n"
        crud_start "$n"
        crud_check "$n"
    done
    for ((round = 1; round <= rounds; round++)); do
        say "agents, round $round of $rounds (load $(cut -d' ' -f1 /proc/loadavg))"
        sample crud.load "{\"average\": $(cut -d' ' -f1 /proc/loadavg)}"
        crud_rr hello 16 "$front/hello" 50
        crud_rr list.50 16 "${crud_url[50]}/v1/agents?limit=50" 50
        crud_rr get.50 16 "${crud_url[50]}/v1/agents/agent-{n}" 50
        for n in "${crud_sizes[@]}"; do crud_rr "get.$n" 1 "${crud_url[$n]}/v1/agents/agent-{n}" "$n"; done
        for n in "${crud_sizes[@]}"; do crud_rr "list.$n" 1 "${crud_url[$n]}/v1/agents?limit=50" "$n"; done
    done
    crud_stop
}

# ---- instructions ----

# One request to a plain CGI process under callgrind, counted from serve_request to its end. Left out is what a worker
# does once in its life and a CGI process each time: statements prepared, their text composed, patterns
# compiled, algorithms and certificates loaded.
# count NAME STATUS PROGRAM METHOD TARGET [BODY]
count() {
    local home=$work/agents-count path=${5%%\?*} query='' body=${6-} once answer
    case $5 in *\?*) query=${5#*\?} ;; esac
    local counted=(--toggle-collect=serve_request)
    for once in sqlite3_prepare_v3 table_make labels_make list_sql find_algorithms compile \
        'curl_global_init*' X509_STORE_set_default_paths; do counted+=("--toggle-collect=$once"); done
    rm -f "$work/callgrind"
    answer=$(printf '%s' "$body" | env -i CLAWGATE_HOME="$home" GATEWAY_INTERFACE=CGI/1.1 SERVER_PROTOCOL=HTTP/1.1 \
        SERVER_SOFTWARE=bench SERVER_NAME=127.0.0.1 SERVER_PORT=80 REMOTE_ADDR=127.0.0.1 REQUEST_METHOD="$4" \
        REQUEST_URI="$5" SCRIPT_NAME="$path" PATH_INFO='' QUERY_STRING="$query" CONTENT_TYPE=application/json \
        CONTENT_LENGTH=${#body} HTTP_HOST=127.0.0.1 HTTP_AUTHORIZATION="Bearer ${crud_key[count]}" \
        valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" "${counted[@]}" \
        "$CLAWGATE_BUILD/cgi-bin/$3" 2>"$work/callgrind.err")
    case $answer in
        "Status: $2 "*) sample "instructions.$1" "$(calls_sum <"$work/callgrind")" ;;
        *) sample "instructions.$1" "$answer $(tail -n 3 "$work/callgrind.err")" ;;
    esac
}

# The inclusive cost of every call of some functions in callgrind's output, added up.
calls_sum() {
    awk '
        function id_of(line) {
            sub(/^c?fn=/, "", line)
            split(line, part, " ")
            if (length(line) > length(part[1])) name[part[1]] = substr(line, length(part[1]) + 2)
            return part[1]
        }
        /^fn=/ { id_of($0) }
        /^cfn=/ { callee = id_of($0) }
        /^calls=/ { getline; cost[callee] += $2 }
        /^(summary|totals):/ { all = $2 }
        END {
            for (id in cost) by_name[name[id]] = cost[id]
            printf "{\"all\": %d", all
            n = split("path_parse route_find auth_principal limit_request auth_authorize" \
                " activity_add table_insert", f, " ")
            for (i = 1; i <= n; i++) printf ", \"%s\": %d", f[i], by_name[f[i]]
            print "}"
        }'
}

# last_used_at of the key lies in the future: writing it once a minute belongs to no request.
measure_instructions() {
    local round agent chat
    command -v valgrind >/dev/null || {
        say "no valgrind: instructions are not counted"
        return
    }
    crud_home count 50 '{"rate_limit_rpm": 1000000}'
    sqlite3 "$work/agents-count/data/goclaw.db" "UPDATE api_keys SET last_used_at = '2999-01-01T00:00:00.000Z'"
    agent='{"agent_key":"made","display_name":"Made","provider":"plain","model":"bench-model"}'
    chat='{"model":"goclaw:agent-7","messages":[{"role":"user","content":"Hello"}]}'
    for ((round = 1; round <= rounds; round++)); do
        say "instructions, round $round of $rounds"
        sqlite3 "$work/agents-count/data/goclaw.db" "DELETE FROM sessions; DELETE FROM agents WHERE agent_key = 'made'"
        count empty 200 sessions GET '/v1/sessions?limit=1'
        count get 200 agents GET /v1/agents/agent-7
        count list 200 agents GET '/v1/agents?limit=50'
        count create 201 agents POST /v1/agents "$agent"
        count chat 200 chat POST /v1/chat/completions "$chat"
    done
}
