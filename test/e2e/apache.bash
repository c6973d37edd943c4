# Apache for the suites that need one.
# shellcheck shell=bash

# apache_serve DIR PORT MODULE… < SETTINGS: the smallest httpd.conf in DIR that holds the settings, and Apache with it.
# Sets APACHE_PID. Its workers never run as root.
apache_serve() {
    local dir=$1 port=$2 module
    shift 2
    {
        for module; do
            echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
        done
        cat <<CONF
ServerRoot $dir
ServerName gateway.example.org
PidFile $dir/pid
ErrorLog $dir/error.log
Listen 127.0.0.1:$port
User nobody
Group nogroup
CONF
        cat
    } >"$dir/httpd.conf"
    apache2 -f "$dir/httpd.conf" -D FOREGROUND >"$dir/out" 2>&1 3>&- </dev/null &
    export APACHE_PID=$!
    disown
    apache_answers() { curl -fs -o /dev/null "http://127.0.0.1:$port/health"; }
    wait_until 5 apache_answers || {
        cat "$dir/out" "$dir/error.log" >&2
        return 1
    }
}

apache_stop() {
    [ -z "${APACHE_PID:-}" ] || kill "$APACHE_PID" || true
}
