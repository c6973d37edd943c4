# Every route that the programs describe, with every role, from its own tenant and from another (contract 01 §1.6,
# §1.7, §5.2, §6). The walk is made from --describe and the API document, so that it grows with them.

load helper

setup_file() {
    gateway_start
    for program in "$BUILD"/cgi-bin/*; do
        "$program" --describe
    done | jq -s . >"$BATS_FILE_TMPDIR/routes.json"
    walk prepare >"$BATS_FILE_TMPDIR/state.json"
    export ROUTES
    ROUTES=$(jq '[.[].routes[]] | length' "$BATS_FILE_TMPDIR/routes.json")
}

teardown_file() {
    gateway_stop
}

walk() {
    local state=$BATS_FILE_TMPDIR/state.json
    [ "$1" != prepare ] || state=
    node "$ROOT/test/npm/walk.mjs" "$1" "$BATS_FILE_TMPDIR/routes.json" "$BUILD/openapi.json" $state
}

@test "01 §1.6, §1.7, §6: without a token, and with a wrong one: 401, but never on public routes" {
    run walk tokens
    assert_success
    assert_output "$ROUTES routes"
}

@test "01 §5.4, §6: 403 for exactly the roles below the row's" {
    run walk roles
    assert_success
    assert_output "$ROUTES routes"
}

@test "01 §6: the least role reads every record of its own" {
    run walk own
    assert_success
    assert_output "$ROUTES routes"
}

@test "01 §5.2: another tenant finds none of the records, sees none in lists, and changes nothing" {
    run walk tenants
    assert_success
    assert_output "$ROUTES routes"
}
