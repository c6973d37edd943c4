# test/results/bench.json as tables.

def pad($n): tostring | if length < $n then . + " " * ($n - length) else . end;
def lpad($n): tostring | if length < $n then " " * ($n - length) + . else . end;
def whole: if . == null then "-" else round end;
def one: if . == null then "-" else . * 10 | round / 10 end;
def two: if . == null then "-" else . * 100 | round / 100 end;
def range(f): if .median == null then "-" else "\(.median | f) (\(.min | f)–\(.max | f))" end;

def rr_line($m; $t; $c): $m["rr.\($t).\($c)"] | select(. != null)
  | "  \($t | pad(10))\($c | ltrimstr("c") | lpad(3))   \(.rps | range(whole) | pad(26))\(.p50_us | range(whole) | pad(24))\(.p99_us | range(whole))";
def ratio_line($name; $by_c): "  \($name | pad(32))\([$by_c | to_entries[] | "c=\(.key | ltrimstr("c")): \(.value | range(two))"] | join("   "))";
def stream_line($m; $key; $name): $m[$key]
  | "  \($name | pad(22))\(.ttft_p50_us | range(whole) | pad(24))\(.gap_p50_us | range(whole) | pad(24))\(.gap_p99_us | range(whole) | pad(24))\(.frames_per_s | range(whole))";
def crud_line($m; $key; $name): $m[$key] | select(. != null)
  | "  \($name | pad(26))\(.rps | range(whole) | pad(26))\(.p50_us | range(whole) | pad(24))\(.p99_us | range(whole))";
def many_line($name; $m): $m.tried[]
  | "  \($name | pad(8))\(.streams | lpad(6))\(.complete // 0 | lpad(10))\(.at_once | lpad(9))\(.kb_a_stream | one | lpad(13))   \(.ttft_p50_us | whole | lpad(9))\(.gap_p99_us | whole | lpad(11))  \(.failures // {} | tojson)";
def memory_line($key; $m): "  \($key | pad(12))\($m[$key].pss_kb | range(whole) | pad(28))\($m[$key].chat_kb | range(whole))";

.measurements as $m
| .machine as $machine
| "",
  "\($machine.cores) × \($machine.cpu), \($machine.kernel), load \($machine.load_before) before, \(.load_while_measuring | map(tostring) | join(" ")) while requests were measured",
  "\(.mode): medians of \(.rounds) interleaved rounds (lowest–highest), \(.took_seconds) s in all",
  "",
  "Request/response      requests/s                p50 µs                  p99 µs",
  (("c1", "c16", "c64") as $c | ("direct", "hello", "probe", "unwritten", "chat", "models", "sessions") as $t | rr_line($m; $t; $c)),
  "",
  "Ratios, round by round",
  ratio_line("chat / probe, requests/s"; .ratios.chat_to_probe_rps),
  ratio_line("chat / unwritten, requests/s"; .ratios.chat_to_unwritten_rps),
  ratio_line("chat / hello, requests/s"; .ratios.chat_to_hello_rps),
  ratio_line("models / hello, requests/s"; .ratios.models_to_hello_rps),
  ratio_line("sessions / hello, requests/s"; .ratios.sessions_to_hello_rps),
  ratio_line("added by chat, p50 µs"; .differences.chat_added_p50_us),
  ratio_line("added by the probe, p50 µs"; .differences.probe_added_p50_us),
  "",
  "Agents, load \(.load_while_measuring_agents | map(tostring) | join(" "))",
  "                            requests/s                p50 µs                  p99 µs",
  crud_line($m; "crud.hello.c16"; "bare FastCGI, c=16"),
  crud_line($m; "crud.get.50.c16"; "one of 50, c=16"),
  crud_line($m; "crud.list.50.c16"; "all 50, c=16"),
  ((10, 50, 10000, 100000) as $n | crud_line($m; "crud.get.\($n).c1"; "one of \($n), c=1")),
  ((10, 50, 10000, 100000) as $n | crud_line($m; "crud.list.\($n).c1"; "first 50 of \($n), c=1")),
  "",
  "Instructions of a request in a process whose statements are prepared",
  (("empty", "get", "list", "create", "chat") as $k | $m["instructions.\($k)"] | select(. != null)
    | "  \(.all | range(whole) | pad(28))\(.how)"),
  "  of these: routing \(.instructions_of_parts.routing | range(whole)), auth and limit \(.instructions_of_parts.auth_and_limit | range(whole)), audit \(.instructions_of_parts.audit | range(whole)), insert \(.instructions_of_parts.insert | range(whole))",
  "",
  "Streams               first token p50 µs      gap p50 µs              gap p99 µs              frames/s",
  stream_line($m; "stream.direct"; "16 paced, direct"),
  stream_line($m; "stream.chat"; "16 paced, chat"),
  stream_line($m; "saturation.direct"; "256 flooded, direct"),
  stream_line($m; "saturation.chat"; "256 flooded, chat"),
  "  added by chat: first token p50 \(.differences.first_token_p50_us | range(whole)) µs, gap p50 \(.differences.gap_p50_us | range(whole)) µs, gap p99 \(.differences.gap_p99_us | range(whole)) µs",
  "",
  "Streams at once  complete  at once  kB a stream   first p50    gap p99  failures",
  many_line("plain"; $m["streams.plain"]), many_line("TLS"; $m["streams.tls"]),
  "",
  "Memory      installation, kB PSS        chat alone",
  (("idle", "steady", "recovered") as $k | memory_line($k; .memory)),
  "",
  "fdatasync p50 \($m.fdatasync.p50_us | range(whole)) µs, p99 \($m.fdatasync.p99_us | range(whole)) µs; start \($m.start.ready_us | range(whole)) µs",
  "rows after \(.chat_answers) answers of chat: \(.rows | tojson)",
  "",
  "Targets",
  (.targets[] | "  \(.verdict | pad(10))\(.name | pad(54))\(.wanted | pad(30))\(.measured)"),
  (.broken[] | "BROKEN \(.)"),
  ""
