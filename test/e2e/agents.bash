# What the suites about agents share: keys, callers, ways to create and change.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # names of the suites and of helper.bash

AGENTS=/v1/agents
MISSING=/v1/agents/0193a5b0-7000-7000-8000-0000000000ff

setup_file() {
    gateway_start
    export READ_KEY WRITE_KEY ADMIN_KEY BOB_KEY
    READ_KEY=$(clawgate key create --name r --scopes read)
    WRITE_KEY=$(clawgate key create --name w --scopes write)
    ADMIN_KEY=$(clawgate key create --name a --scopes admin)
    BOB_KEY=$(clawgate key create --name b --scopes write --owner bob)
    sqlite3 "$DATABASE" "INSERT INTO tenants (id, name, slug, created_at, updated_at)
        VALUES ('0193a5b0-7000-7000-8000-00000000000b', 'Other', 'other', 't', 't')"
}

teardown_file() {
    gateway_stop
}

setup() {
    as alice
}

teardown() {
    sqlite3 "$DATABASE" '.timeout 5000' "PRAGMA foreign_keys = ON; DELETE FROM agents WHERE agent_key <> 'default';
        UPDATE agents SET is_default = 1, status = 'active'"
}

# as USER [KEY]: who calls from now on; without a key it is an operator's.
as() {
    extra=("X-GoClaw-User-Id: $1")
    bearer=${2:-$WRITE_KEY}
}

as_owner() {
    extra=()
    bearer=$TOKEN
}

repeat() {
    printf "%$2s" '' | sed "s/ /$1/g"
}

# create MEMBERS: an agent from the members of a JSON object; its path goes to $agent.
create() {
    api POST $AGENTS "{$1}"
    assert_status 201
    agent=$AGENTS/$(jq -r .id <<<"$body")
}

# accepts / refuses MEMBERS [PARAM]: what a create with these members answers; a key is added.
accepts() {
    number=$((number + 1))
    api POST $AGENTS "$(jq -cn "{agent_key: \"n$number\"} + {$1}")"
    assert_status 201
}

refuses() {
    api POST $AGENTS "$(jq -cn "{agent_key: \"refused\"} + {$1}")"
    assert_error 400 INVALID_REQUEST "$2"
}

# takes / rejects MEMBERS [PARAM]: what a change of $agent answers.
takes() {
    api PUT "$agent" "$(jq -cn "{$1}")"
    assert_status 200
    jq_eq .ok '"true"'
}

rejects() {
    api PUT "$agent" "$(jq -cn "{$1}")"
    assert_error 400 INVALID_REQUEST "$2"
}
