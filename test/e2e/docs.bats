# The API document and its page (contract 01 §9.2, §9.3). That every path reaches the program that describes it, behind
# lighttpd, nginx and Apache, is compared by tools/lint.

load helper

CSP="default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"

setup_file() {
    gateway_start
}

teardown_file() {
    gateway_stop
}

# METHOD PATH of every route; names of parameters count for nothing.
described() {
    for program in "$BUILD"/cgi-bin/*; do
        "$program" --describe
    done | jq -r '.routes[] | "\(.method) \(.path)"' | sed 's/{[^}]*}/{}/g' | sort
}

@test "01 §9.3: the document is valid OpenAPI 3.0.3" {
    run -0 node "$ROOT/test/npm/openapi_test.mjs" "$BUILD/openapi.json"
    assert_output "$(described | wc -l) operations"
}

@test "01 §9.3, §15: the document holds every route the programs describe, and no other" {
    local documented
    documented=$(jq -r '.paths | to_entries[] | .key as $path | .value | keys[] | "\(ascii_upcase) \($path)"' \
        "$BUILD/openapi.json" | sed 's/{[^}]*}/{}/g' | sort)
    assert_equal "$documented" "$(described)"
}

@test "01 §6, §9.3: roles, aliases and public paths stand there as the programs say" {
    local want got
    want=$(for program in "$BUILD"/cgi-bin/*; do "$program" --describe; done |
        jq -r '.routes[] | "\(.method) \(.path) \(.role) \(.alias)"' | sed 's/{[^}]*}/{}/g' | sort)
    got=$(jq -r '.paths | to_entries[] | .key as $path | .value | to_entries[] |
        "\(.key | ascii_upcase) \($path) \(if .value.security == [] then "public" else .value["x-role"] end) \(.value.deprecated // false)"' \
        "$BUILD/openapi.json" | sed 's/{[^}]*}/{}/g' | sort)
    assert_equal "$got" "$want"
}

@test "every route is a resource's own or has a part in docs/openapi, and no part is left over" {
    run "$BUILD/tools/openapi" --check "$BUILD"/describe/*.json "$ROOT"/docs/openapi/*.json
    assert_output ""
}

@test "a route without resource and part is noticed, so is a part without a route" {
    local program='{"program":"new","routes":[{"method":"POST","path":"/v1/new/{path...}","role":"viewer","user":"unused",
        "tag":"New","summary":"New","body_max":1,"alias":false,"run":false}],"resources":{}}'
    echo "$program" >"$BATS_TEST_TMPDIR/new.json"
    echo '{"operations":{"GET /v1/gone":{}}}' >"$BATS_TEST_TMPDIR/gone.json"
    run -1 "$BUILD/tools/openapi" --check "$ROOT/docs/openapi/base.json" "$BATS_TEST_TMPDIR"/{new,gone}.json
    assert_line "POST /v1/new/{path}: neither a resource's ready handler nor a part in docs/openapi"
    assert_line "GET /v1/gone: in docs/openapi, but no program describes it"
    # Such a route is in the document all the same.
    "$BUILD/tools/openapi" "$ROOT/docs/openapi/base.json" "$BATS_TEST_TMPDIR/new.json" >"$BATS_TEST_TMPDIR/doc.json"
    run -0 node "$ROOT/test/npm/openapi_test.mjs" "$BATS_TEST_TMPDIR/doc.json"
    assert_output "1 operations"
}

@test "secrets are written, never read; required counts on create alone" {
    local schemas
    schemas=$(jq .components.schemas "$BUILD/openapi.json")
    jq_eq '.McpServerCreate.properties.api_key | [.writeOnly, .format]' '[true, "password"]' "$schemas"
    jq_eq '.McpServerUpdate.properties.headers.writeOnly' true "$schemas"
    jq_eq '.McpServer.properties.api_key | has("writeOnly")' false "$schemas"
    jq_eq '[.McpServerCreate.required, .McpServerUpdate.required, .McpServer.required]' \
        '[["name", "transport"], null, null]' "$schemas"
    jq_eq '[.McpServerCreate, .McpServerUpdate | .properties.timeout_sec.default]' '[60, null]' "$schemas"
    jq_eq '[.McpServer, .McpServerCreate | .properties | has("id")]' '[true, false]' "$schemas"
}

@test "01 §2.8, §9.3, §12.15: GET /docs/openapi.json: the built document, for every origin, with an ETag" {
    local etag
    bearer='' extra=("Origin: https://elsewhere.example")
    api GET /docs/openapi.json
    assert_status 200
    cmp "$BATS_TEST_TMPDIR/body" "$BUILD/openapi.json"
    assert_equal "$(header Content-Type)" application/json
    assert_equal "$(header Access-Control-Allow-Origin)" '*'
    etag=$(header ETag)
    [[ $etag =~ ^\"[0-9a-f]{32}\"$ ]]
    api GET /v1/openapi.json
    assert_status 200
    assert_equal "$(header ETag)" "$etag"
    assert_equal "$(header Access-Control-Allow-Origin)" '*'
    extra=("If-None-Match: $etag")
    api GET /docs/openapi.json
    assert_status 304
    assert_equal "$body" ""
    assert_equal "$(header ETag)" "$etag"
    extra=('If-None-Match: "00000000000000000000000000000000"')
    api GET /docs/openapi.json
    assert_status 200
    extra=()
    api HEAD /docs/openapi.json
    assert_status 200
    assert_equal "$(header ETag)" "$etag"
}

@test "01 §9.2: GET /docs and /docs/: a page whose scripts are files of its own, under the policy" {
    bearer=''
    for path in /docs /docs/; do
        api GET $path
        assert_status 200
        assert_equal "$(header Content-Type)" 'text/html; charset=utf-8'
        assert_equal "$(header Content-Security-Policy)" "$CSP"
        assert_equal "$(header X-Content-Type-Options)" nosniff
        cmp "$BATS_TEST_TMPDIR/body" "$BUILD/docs-assets/index.html"
        refute [ -n "$(grep -ioE '<script>|<script [^>]*>[^<]|(src|href)="?(https?:)?//| on[a-z]+=' <<<"$body")" ]
    done
}

@test "everything the page asks for is there, with its type and an ETag" {
    local page asset type
    bearer=''
    api GET /docs
    page=$body
    for asset in $(grep -oE '(src|href)="[^"]+"' <<<"$page" | cut -d'"' -f2); do
        api GET "$asset"
        assert_status 200
        case $asset in
            *.css) type='text/css; charset=utf-8' ;;
            *.js) type='text/javascript; charset=utf-8' ;;
            *.png) type=image/png ;;
            *.html) type='text/html; charset=utf-8' ;;
        esac
        assert_equal "$(header Content-Type)" "$type"
        cmp "$BATS_TEST_TMPDIR/body" "$BUILD/docs-assets/${asset##*/}"
        case $(header Cache-Control) in no-cache | 'public, max-age=3600') ;; *) fail "$(header Cache-Control)" ;; esac
        extra=("If-None-Match: $(header ETag)")
        api GET "$asset"
        assert_status 304
        extra=()
    done
}

@test "01 §9.2: nothing else is served below /docs" {
    bearer=''
    for path in /docs/unknown.js /docs/index.html /docs/.swagger-ui /docs/swagger-ui.LICENSE /docs/a/b /docs/openapi.jso \
        /docs/..%2fopenapi.json /docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd /docs/INIT.JS /docs/init.js%00; do
        api GET "$path"
        case $status_code in
            404) assert_error 404 NOT_FOUND - ;;
            400) assert_envelope 400 INVALID_REQUEST - ;;
            *) fail "$path: $status_code" ;;
        esac
    done
    api GET /docs/../docs/init.js
    assert_status 400
    api POST /docs
    assert_error 405 INVALID_REQUEST
}

# cgi_get PATH: the docs program as one plain CGI process; the body goes to a file as well.
cgi_get() {
    env -i CLAWGATE_HOME="$GATEWAY_HOME" ${share:+CLAWGATE_SHARE="$share"} GATEWAY_INTERFACE=CGI/1.1 REQUEST_METHOD=GET \
        REQUEST_URI="$1" SCRIPT_NAME="$1" SERVER_PROTOCOL=HTTP/1.1 REMOTE_ADDR=127.0.0.1 "${docs:-$BUILD/cgi-bin/docs}" \
        </dev/null 2>"$BATS_TEST_TMPDIR/log" | tr -d '\r' >"$BATS_TEST_TMPDIR/answer"
    sed '1,/^$/d' "$BATS_TEST_TMPDIR/answer" >"$BATS_TEST_TMPDIR/body"
    cat "$BATS_TEST_TMPDIR/answer"
}

@test "plain CGI finds the files beside the program; CLAWGATE_SHARE names them elsewhere" {
    run -0 cgi_get /docs/openapi.json
    assert_line --index 0 'Status: 200 OK'
    cmp "$BATS_TEST_TMPDIR/body" "$BUILD/openapi.json"
    share=$BATS_TEST_TMPDIR
    run -0 cgi_get /docs/openapi.json
    assert_line --index 0 'Status: 404 Not Found'
    echo '{"openapi":"3.0.3"}' >"$share/openapi.json"
    run -0 cgi_get /docs/openapi.json
    assert_equal "${lines[-1]}" '{"openapi":"3.0.3"}'
}

@test "an installed tree has the document and the page where its program looks" {
    make -s -o all -C "$ROOT" BUILD="$BUILD" DESTDIR="$BATS_TEST_TMPDIR" PREFIX=/opt install >/dev/null
    docs=$BATS_TEST_TMPDIR/opt/lib/clawgate/cgi-bin/docs
    run -0 cgi_get /docs
    assert_line --index 0 'Status: 200 OK'
    assert_output --partial '/docs/init.js'
    cgi_get /docs/openapi.json >/dev/null
    cmp "$BATS_TEST_TMPDIR/body" "$BUILD/openapi.json"
}

@test "built without npm, /docs is the static reference, which names every operation" {
    share=$BATS_TEST_TMPDIR
    mkdir -p "$share/docs-assets"
    cp "$BUILD/docs-assets/reference.html" "$share/docs-assets/"
    run -0 cgi_get /docs
    assert_line --index 0 'Status: 200 OK'
    assert_line "Content-Security-Policy: $CSP"
    refute_output --partial '<script'
    want=$(jq -r '(.paths[][].operationId), (.components.schemas | keys[] | "schema-\(.)")' "$BUILD/openapi.json" | sort)
    assert_equal "$(grep -oE '<article[^>]* id="[^"]+"' "$share/docs-assets/reference.html" | cut -d'"' -f2- |
        sed 's/.*id="//; s/"$//' | sort)" "$want"
}

@test "without npm the build makes the static page alone" {
    mkdir "$BATS_TEST_TMPDIR/bin"
    for tool in sh dirname mkdir rm cp touch readlink cmp; do
        ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/bin/$tool"
    done
    PATH=$BATS_TEST_TMPDIR/bin run -0 sh "$ROOT/tools/docs-assets" "$BATS_TEST_TMPDIR/assets"
    assert_output --partial 'there is no npm'
    assert_equal "$(find "$BATS_TEST_TMPDIR/assets" -type f)" ""
}

@test "in a browser: authorize, call GET /v1/models and a chat from the page; no complaint, no foreign host" {
    mkdir -p "$ROOT/test/results"
    run -0 node "$ROOT/test/npm/swagger_test.mjs" "$ROOT/test/results/swagger.png"
    [ -s "$ROOT/test/results/swagger.png" ]
}
