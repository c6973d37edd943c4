# Personas written by a model in the background: creating, resummon, regenerate, the status in between, failures, and
# what a killed process leaves (contract 02 §3.5, §5.2, §5.3, §9).

load helper

AGENTS=/v1/agents
DESCRIPTION='A lighthouse keeper named Wick who knows every ship.'

# The answer of a model as it should be.
FULL='<frontmatter>Knows ships.</frontmatter>
<file name="SOUL.md">
# Soul
Bright.
</file>
<file name="IDENTITY.md"># Identity
- **Name:** **Wick**
- **Creature:** keeper
</file>
<file name="OTHER.md">no</file>'

setup_file() {
    export CLAWGATE_SUMMON_CALL_MS=2000 CLAWGATE_SUMMON_TOTAL_MS=8000 CLAWGATE_UPSTREAM_RETRY_MS=10
    upstream_start
    gateway_start
    export WRITE_KEY
    WRITE_KEY=$(clawgate key create --name w --scopes write)
}

teardown_file() {
    gateway_stop
}

setup() {
    extra=('X-GoClaw-User-Id: alice') bearer=$WRITE_KEY
    upstream_reset
    sqlite3 "$DATABASE" '.timeout 5000' "DELETE FROM llm_providers"
    clawgate provider set good --type openai_compat --base-url "$UPSTREAM/o/text=$(encoded "$FULL")/v1" --api-key sk-1 >/dev/null
}

teardown() {
    sqlite3 "$DATABASE" '.timeout 5000' "PRAGMA foreign_keys = ON; DELETE FROM agents WHERE owner_id = 'alice';
        DELETE FROM jobs"
}

encoded() {
    command jq -rn --arg text "$1" '$text | @uri'
}

# model NAME OPTIONS: a provider whose answers the upstream makes by OPTIONS.
model() {
    clawgate provider set "$1" --type openai_compat --base-url "$UPSTREAM/o/$2/v1" --api-key sk-1 >/dev/null
}

# summon PROVIDER [MEMBERS]: a predefined agent with a description; its path goes to $agent.
summon() {
    api POST $AGENTS "$(jq -cn --arg provider "$1" --arg text "$DESCRIPTION" "{agent_key: \"wick\", provider: \$provider,
        model: \"m\", agent_type: \"predefined\", other_config: {description: \$text}} + {${2:-}}")"
    assert_status 201
    jq_eq .status '"summoning"'
    agent=$AGENTS/$(jq -r .id <<<"$body")
}

# Plain CGI has no chat that is always there: the next request to it takes its jobs along.
summoned() {
    ! by_cgi || is_ready
    api GET "$agent"
    [ "$(jq -r .status <<<"$body")" != summoning ]
}

# becomes STATUS: what the agent is once it is not summoning any more.
becomes() {
    wait_until 15 summoned
    jq_eq .status "\"$1\""
}

content() {
    api GET "$agent/files/$1"
    assert_status 200
    jq -r .content <<<"$body"
}

# The user messages the upstream got, one a line.
asked() {
    upstream_requests | jq -r '.[].body | fromjson | .messages[1].content | @json'
}

in_hand() {
    [ "$(upstream_stat open)" -gt 0 ]
}

activity() {
    sql "SELECT group_concat(action || ' ' || actor_id || COALESCE(' ' || details, ''), ',') FROM (SELECT * FROM activity_logs
        WHERE entity_id = '${agent##*/}' AND action <> 'agent.created' ORDER BY id)"
}

@test "02 §9.2, §9.4: a new predefined agent with a description is written: files, summary, name" {
    summon good
    becomes active
    jq_eq '[.display_name, .frontmatter, has("summon_error")]' '["Wick","Knows ships.",false]'
    assert_equal "$(content SOUL.md)" '# Soul
Bright.'
    assert_equal "$(content IDENTITY.md)" '# Identity
- **Name:** **Wick**
- **Creature:** keeper'
    assert_equal "$(content USER_PREDEFINED.md)" "$(cat "$ROOT/common/agent/templates/USER_PREDEFINED.md")"
    api GET "$agent/files"
    jq_eq '[.files[].file_name]' '["AGENTS.md","IDENTITY.md","SOUL.md","USER_PREDEFINED.md"]'
    assert_equal "$(activity)" 'agent.summoned system'
    assert_equal "$(sql "SELECT status || attempts FROM jobs")" done1

    upstream_requests | jq -e 'length == 1' >/dev/null
    local request
    request=$(upstream_last)
    jq_eq '.body | [.model, .max_tokens, .temperature, (.messages | length), .stream // false, has("tools")]' \
        '["m",8192,0.7,2,false,false]' "$request"
    [[ $(asked) == *"<description>\\n$DESCRIPTION\\n</description>"*'<file name=\"SOUL.md\">'* ]]
    say hi agent:wick
    assert_status 200
}

@test "02 §9.4: a name the user chose stays, and IDENTITY.md says it" {
    summon good 'display_name: "Keeper"'
    becomes active
    jq_eq .display_name '"Keeper"'
    assert_equal "$(content IDENTITY.md | sed -n 2p)" '- **Name:** Keeper'
}

@test "02 §9.2: no summary: an existing one stays, else the description is cut" {
    model terse "text=$(encoded '<file name="SOUL.md">s</file><file name="IDENTITY.md">i</file>')"
    DESCRIPTION=$(printf 'é%.0s' {1..201})
    summon terse
    becomes active
    jq_eq '[(.frontmatter | length), .frontmatter[199:], has("display_name")]' '[201,"é…",false]'
    api DELETE "$agent"
    summon terse 'frontmatter: "mine"'
    becomes active
    jq_eq .frontmatter '"mine"'
}

@test "02 §9.2, §9.4: a summary of 2,000 characters and a name of 255 are taken whole, what is longer is cut" {
    local more
    for more in '' é; do
        DESCRIPTION="@upstream text=$(encoded "<frontmatter>$(printf 'é%.0s' {1..2000})$more</frontmatter>
<file name=\"SOUL.md\">s</file><file name=\"IDENTITY.md\">- **Name:** $(printf 'é%.0s' {1..255})$more</file>")"
        summon good
        becomes active
        jq_eq '[.frontmatter, .display_name] | map(length)' '[2000,255]'
        api DELETE "$agent"
    done
}

# bats test_tags=no-cgi
@test "02 §9.1: four personas are written at a time, the next ones wait" {
    local i
    model slow "text=$(encoded "$FULL"),delay=400"
    for i in {1..6}; do
        api POST $AGENTS "{\"agent_key\":\"wick-$i\",\"provider\":\"slow\",\"model\":\"m\",\"agent_type\":\"predefined\",
            \"other_config\":{\"description\":\"A keeper\"}}"
        assert_status 201
    done
    all_written() { [ "$(sql "SELECT count(*) FROM agents WHERE agent_key LIKE 'wick-%' AND status = 'active'")" = 6 ]; }
    wait_until 15 all_written
    assert_equal "$(upstream_stat peak_open)" 4
}

@test "02 §3.5: who is not summoned: open agents, predefined ones without a description" {
    api POST $AGENTS '{"agent_key":"one","other_config":{"description":"x"}}'
    jq_eq .status '"active"'
    api POST $AGENTS '{"agent_key":"two","agent_type":"predefined","status":"inactive","other_config":{"description":""}}'
    jq_eq .status '"inactive"'
    assert_equal "$(sql "SELECT COUNT(*) FROM jobs")" 0
}

@test "02 §3.5, §5.3: a model that fails: summon_failed with the reason, the templates stay; resummon tries again" {
    model bad "status=401,text=wrong%20key%20sk-1"
    summon bad
    becomes summon_failed
    jq_eq '.summon_error | test("wrong key") and (test("sk-1") | not)' true
    [[ $(activity) == 'agent.summon_failed system {"error":"'*wrong* ]]
    assert_equal "$(content SOUL.md)" "$(cat "$ROOT/common/agent/templates/SOUL.md")"
    say hi agent:wick
    assert_error 409 FAILED_PRECONDITION
    api PUT "$agent" '{"provider":"good"}'
    api POST "$agent/resummon" 'no JSON at all'
    assert_status 202
    jq_eq . '{"ok":"true","status":"summoning"}'
    api GET "$agent"
    jq_eq '[.status == ("summoning", "active")] | any' true
    jq_eq 'has("summon_error")' false
    becomes active
    assert_equal "$(content SOUL.md)" '# Soul
Bright.'
    [[ $(activity) == *,'agent.updated alice,agent.resummoned alice,agent.summoned system' ]]
}

@test "02 §9.1, §9.4: an answer without files fails; a server that is busy twice does not" {
    model chatty "text=Sure%2C%20here%20you%20are."
    summon chatty
    becomes summon_failed
    jq_eq '.summon_error | test("none of the files")' true
    api DELETE "$agent"
    model busy "status=503,times=2,text=$(encoded "$FULL")"
    summon busy
    becomes active
}

@test "02 §9.1: a provider that is not there: the oldest usable one, with the same model; none at all: it fails" {
    model off "text=x"
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE llm_providers SET enabled = 0, created_at = '2000' WHERE name = 'off'"
    model young "status=401"
    summon gone
    becomes active
    jq_eq .body.model '"m"' "$(upstream_last)"
    api DELETE "$agent"
    sqlite3 "$DATABASE" '.timeout 5000' "DELETE FROM llm_providers"
    summon good
    becomes summon_failed
    jq_eq .summon_error '"there is no usable provider"'
}

@test "02 §9.1: the built-in model writes no prose: the description becomes the purpose" {
    clawgate provider set offline --type offline >/dev/null
    summon offline 'display_name: "Wick"'
    becomes active
    assert_equal "$(content IDENTITY.md | grep -A 1 'Name\|Purpose' | tr '\n' '|')" \
        "- **Name:** Wick|- **Creature:**|--|- **Purpose:** $DESCRIPTION|- **Vibe:**|"
}

@test "02 §9.2: files that were written are not written again" {
    summon good
    becomes active
    upstream_reset
    api PUT "$agent/files/SOUL.md" '{"content":"by hand"}'
    api POST "$agent/resummon"
    assert_status 202
    becomes active
    upstream_requests | jq -e 'length == 0' >/dev/null
    assert_equal "$(content SOUL.md)" 'by hand'
    api PUT "$agent/files/SOUL.md" "$(jq -n --rawfile text "$ROOT/common/agent/templates/SOUL.md" '{content: $text}')"
    api POST "$agent/resummon"
    becomes active
    assert_equal "$(content SOUL.md)" '# Soul
Bright.'
}

@test "02 §9.2: a first call that takes too long becomes two, and what the first of them gave is kept" {
    model slow "stall=headers,times=1,text=$(encoded "$FULL")"
    summon slow
    becomes active
    local messages
    messages=$(asked)
    assert_equal "$(wc -l <<<"$messages")" 3
    [[ $(sed -n 2p <<<"$messages") == *'<file name=\"SOUL.md\">'* ]]
    [[ $(sed -n 2p <<<"$messages") != *'<file name=\"IDENTITY.md\">'* ]]
    [[ $(sed -n 3p <<<"$messages") == *'<soul>\n# Soul'*'<file name=\"IDENTITY.md\">'* ]]
    [[ $(sed -n 3p <<<"$messages") != *'<file name=\"SOUL.md\">'* ]]
    assert_equal "$(content IDENTITY.md | sed -n 1p)" '# Identity'
}

@test "02 §9.1: a model that never answers: summon_failed when the time is over" {
    model dead 'stall=headers'
    summon dead
    becomes summon_failed
    jq_eq .summon_error '"the model did not answer in time"'
}

# bats test_tags=no-cgi
@test "02 §3.5: while it is summoning: 409, and what the owner sets by hand stays" {
    model slow "delay=1500,text=$(encoded "$FULL")"
    summon slow
    say hi agent:wick
    assert_error 409 FAILED_PRECONDITION
    for action in resummon regenerate; do
        api POST "$agent/$action"
        assert_error 409 FAILED_PRECONDITION
        jq_eq '.error.message | test("already being summoned")' true
    done
    api PUT "$agent" '{"status":"inactive"}'
    assert_status 200
    wait_until 10 eval '[[ $(activity) == *agent.summoned* ]]'
    api GET "$agent"
    jq_eq '[.status, .display_name]' '["inactive","Wick"]'
}

@test "02 §3.5: of twelve at once one is taken" {
    summon good
    becomes active
    upstream_reset
    local n
    for n in {1..12}; do
        curl -s -o /dev/null -w '%{http_code}\n' -X POST -H "Authorization: Bearer $WRITE_KEY" \
            -H 'X-GoClaw-User-Id: alice' -H 'Content-Length: 0' "$GATEWAY$agent/regenerate" \
            >"$BATS_TEST_TMPDIR/code$n" &
    done
    wait
    assert_equal "$(cat "$BATS_TEST_TMPDIR"/code* | sort | uniq -c | tr -s ' \n' ' ')" ' 1 202 11 409 '
    becomes active
}

@test "02 §9.3: regenerate by instruction: the current files go there, only what came back changes" {
    summon good
    becomes active
    model editor "text=$(encoded '<file name="SOUL.md"># Soul
Dark.</file>')"
    api PUT "$agent" '{"provider":"editor","status":"inactive"}'
    upstream_reset
    api POST "$agent/regenerate" '{"prompt":"Make it dark."}'
    assert_status 202
    jq_eq . '{"ok":"true","status":"summoning"}'
    becomes active
    jq_eq .frontmatter '"Knows ships."'
    assert_equal "$(content SOUL.md)" '# Soul
Dark.'
    assert_equal "$(content IDENTITY.md | sed -n 2p)" '- **Name:** **Wick**'
    [[ $(asked) == *'<current_files>\n<file name=\"SOUL.md\">\n# Soul\nBright.'*'<edit_instructions>\nMake it dark.\n'* ]]
    [[ $(asked) != *'<description>'* ]]
}

@test "02 §5.2: regenerate without an instruction: from the description, or tidied when there is none" {
    summon good
    becomes active
    upstream_reset
    api POST "$agent/regenerate"
    assert_status 202
    becomes active
    [[ $(asked) == *"<description>\\n$DESCRIPTION\\n"*'<edit_instructions>\nWrite the files afresh'* ]]
    upstream_reset
    api PUT "$agent" '{"other_config":{}}'
    api POST "$agent/regenerate" '{"prompt":null}'
    assert_status 202
    becomes active
    [[ $(asked) == *'Revise the files for clarity'* && $(asked) != *'<description>'* ]]
}

@test "02 §3.5: a regenerate that fails leaves everything as it was, and says why" {
    summon good
    becomes active
    model bad 'status=401'
    api PUT "$agent" '{"provider":"bad","status":"inactive"}'
    api POST "$agent/regenerate" '{"prompt":"x"}'
    assert_status 202
    becomes inactive
    jq_eq '.summon_error | length > 0' true
    [[ $(activity) == *'agent.regenerated alice,agent.summon_failed system {"error":'* ]]
    assert_equal "$(content SOUL.md)" '# Soul
Bright.'
}

@test "01 §3.3: a hook whose store call fails: 500, logged, and nothing of the change is there" {
    sqlite3 "$DATABASE" "CREATE TRIGGER broken BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'broken'); END"
    api POST $AGENTS '{"agent_key":"wick","agent_type":"predefined","other_config":{"description":"x"}}'
    local created=$status_code code
    code=$(jq -r .error.code <<<"$body")
    sqlite3 "$DATABASE" 'DROP TRIGGER broken'
    assert_equal "$created $code" '500 INTERNAL'
    assert_equal "$(sql "SELECT (SELECT COUNT(*) FROM agents WHERE agent_key = 'wick') || (SELECT COUNT(*) FROM
        agent_context_files)")" 00
    grep -q '"number":3101' "$LOG"
}

@test "02 §5.2: an open agent may be regenerated, its files are the agent's" {
    api POST $AGENTS '{"agent_key":"open","provider":"good","model":"m"}'
    agent=$AGENTS/$(jq -r .id <<<"$body")
    api POST "$agent/regenerate" '{"prompt":"be a keeper"}'
    assert_status 202
    becomes active
    api GET "$agent/files"
    jq_eq '[.files[].file_name]' '["IDENTITY.md","SOUL.md","USER_PREDEFINED.md"]'
}

@test "02 §5.2, §5.3: what is refused: bodies, strangers, missing agents, resummon without a description" {
    summon good
    becomes active
    for text in 1 '""' '"  "' '[]'; do
        api POST "$agent/regenerate" "{\"prompt\":$text}"
        assert_error 400 INVALID_REQUEST prompt
    done
    api POST "$agent/regenerate" "{\"prompt\":\"$(printf 'é%.0s' {1..32001})\"}"
    assert_error 400 INVALID_REQUEST prompt
    api POST "$agent/regenerate" "{\"prompt\":\"$(printf 'é%.0s' {1..32000})\"}"
    assert_status 202
    becomes active
    api POST "$agent/regenerate" '{'
    assert_error 400 INVALID_REQUEST
    for action in regenerate resummon; do
        extra=('X-GoClaw-User-Id: bob')
        api POST "$agent/$action"
        assert_error 403 UNAUTHORIZED
        extra=('X-GoClaw-User-Id: alice')
        api POST "$AGENTS/nobody/$action"
        assert_error 404 NOT_FOUND id
    done
    api PUT "$agent" '{"other_config":{}}'
    api POST "$agent/resummon"
    assert_error 409 FAILED_PRECONDITION
    jq_eq '.error.message | test("description")' true
    api GET "$agent"
    jq_eq .status '"active"'
}

# bats test_tags=no-cgi
@test "02 §3.6: an agent that is deleted meanwhile leaves nothing" {
    model slow "delay=1000,text=$(encoded "$FULL")"
    summon slow
    wait_until 5 in_hand
    api DELETE "$agent"
    assert_status 200
    wait_until 5 eval '! in_hand'
    sleep 0.3
    assert_equal "$(sql "SELECT (SELECT COUNT(*) FROM jobs) || (SELECT COUNT(*) FROM agent_context_files WHERE agent_id =
        '${agent##*/}')")" 00
}

# bats test_tags=no-cgi
@test "02 §3.5: a chat that is killed: the next one does the work" {
    model slow "delay=1800,times=1,text=$(encoded "$FULL")"
    summon slow
    wait_until 5 in_hand
    local chat
    chat=$(comm -12 <(gateway_processes | sort) <(pgrep -x chat | sort) | sort -n | tail -n 1)
    kill -KILL "$chat"
    becomes active
    assert_equal "$(sql "SELECT status || attempts FROM jobs")" done2
    upstream_requests | jq -e 'length == 2' >/dev/null
}

# bats test_tags=no-cgi
@test "02 §3.5: a gateway that is stopped: the work goes on after its start" {
    model slow "delay=1800,times=1,text=$(encoded "$FULL")"
    summon slow
    wait_until 5 in_hand
    "$ROOT/tools/clawgate" stop --home "$GATEWAY_HOME" >/dev/null 2>&1
    wait_until 10 no_gateway_processes
    gateway_serve
    becomes active
}

# bats test_tags=no-cgi
@test "02 §3.5: a reload hands the work over to the new process" {
    model slow "delay=1800,times=1,text=$(encoded "$FULL")"
    summon slow
    wait_until 5 in_hand
    clawgate reload
    becomes active
    assert_equal "$(sql "SELECT status || attempts FROM jobs")" done1
    assert_equal "$(activity)" 'agent.summoned system'
}

# bats test_tags=no-cgi
@test "02 §3.5: a job that was begun three times is given up" {
    model slow "delay=3000"
    summon slow
    wait_until 5 in_hand
    sqlite3 "$DATABASE" '.timeout 5000' "UPDATE jobs SET attempts = 3, leased_until = '2000'"
    becomes summon_failed
    jq_eq '.summon_error | test("three times")' true
}
