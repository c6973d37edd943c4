# The samples of one run (an array of objects with a name) into test/results/bench.json.
# Ratios and differences are taken round by round and then summed up, so that what disturbs a round disturbs both
# of its sides.

def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor]
            else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def summary: map(select(. != null)) | {median: median, min: min, max: max, rounds: length};

. as $samples
| $about[0] as $about
| # Wrong answers are no measurement; of the largest numbers of streams they are the finding.
  def wrong: has("broken") or ((.errors // 0) > 0 and (.name | startswith("streams.") | not));
  def of($name): [$samples[] | select(.name == $name and (wrong | not))];
  def values($name; $field): of($name) | map(.[$field]);
  # $fields is what is worth keeping of a measurement.
  def measured($name; $fields): . as $how
    | {how: $how, rounds: (of($name) | map(del(.name)))}
      + ([$fields[] | {key: ., value: (values($name; .) | summary)}] | from_entries);
  def by_round($a; $b; $field; op): [values($a; $field), values($b; $field)] | transpose
    | map(select(.[0] != null and .[1] != null) | op) | summary;
  def ratio($a; $b; $field): by_round($a; $b; $field; if .[1] > 0 then .[0] / .[1] else null end);
  def added($a; $b; $field): by_round($a; $b; $field; .[0] - .[1]);

  def rr_how: {
    direct: "POST chat/completions straight to the model server",
    hello: "the same POST to a bare FastCGI program with 16 threads, behind a lighttpd with the gateway's settings",
    probe: "the same POST: key hashed and read from SQLite, JSON parsed, model server asked, JSON written; no writes",
    unwritten: "the same POST to a gateway whose chat program leaves its writes out and is otherwise the same",
    chat: "the same POST to the gateway with an API key bound to a user; session, trace and usage durable",
    models: "GET /v1/models of the gateway",
    sessions: "GET /v1/sessions of the gateway, first page, on the sessions the chat measurements left"
  };
  def rr: [("direct", "hello", "probe", "unwritten", "chat", "models", "sessions") as $t | ("c1", "c16", "c64") as $c
    | "rr.\($t).\($c)" | select(of(.) | length > 0)
    | {key: ., value: (. as $name | rr_how[$t] | measured($name; ["rps", "p50_us", "p99_us"]))}] | from_entries;

  def ratios: {
    chat_to_probe_rps: ([("c1", "c16", "c64") | {key: ., value: ratio("rr.chat.\(.)"; "rr.probe.\(.)"; "rps")}] | from_entries),
    chat_to_unwritten_rps: ([("c1", "c16", "c64") | {key: ., value: ratio("rr.chat.\(.)"; "rr.unwritten.\(.)"; "rps")}] | from_entries),
    chat_to_hello_rps: ([("c1", "c16", "c64") | {key: ., value: ratio("rr.chat.\(.)"; "rr.hello.\(.)"; "rps")}] | from_entries),
    probe_to_hello_rps: ([("c1", "c16", "c64") | {key: ., value: ratio("rr.probe.\(.)"; "rr.hello.\(.)"; "rps")}] | from_entries),
    models_to_hello_rps: ([("c1", "c16") | {key: ., value: ratio("rr.models.\(.)"; "rr.hello.\(.)"; "rps")}] | from_entries),
    sessions_to_hello_rps: ([("c1", "c16") | {key: ., value: ratio("rr.sessions.\(.)"; "rr.hello.\(.)"; "rps")}] | from_entries)
  };
  def differences: {
    chat_added_p50_us: ([("c1", "c16", "c64") | {key: ., value: added("rr.chat.\(.)"; "rr.direct.\(.)"; "p50_us")}] | from_entries),
    probe_added_p50_us: ([("c1", "c16", "c64") | {key: ., value: added("rr.probe.\(.)"; "rr.direct.\(.)"; "p50_us")}] | from_entries),
    chat_over_probe_p50_us: {c1: added("rr.chat.c1"; "rr.probe.c1"; "p50_us")},
    first_token_p50_us: added("stream.plain"; "stream.direct"; "ttft_p50_us"),
    first_token_p99_us: added("stream.plain"; "stream.direct"; "ttft_p99_us"),
    gap_p50_us: added("stream.plain"; "stream.direct"; "gap_p50_us"),
    gap_p99_us: added("stream.plain"; "stream.direct"; "gap_p99_us")
  };

  def stream_fields: ["ttft_p50_us", "ttft_p99_us", "gap_p50_us", "gap_p99_us", "frames_per_s"];
  def streams: {
    "stream.direct": ("16 paced streams (20 ms a token) from the model server; the opening role chunk is no token" | measured("stream.direct"; stream_fields)),
    "stream.chat": ("the same through the gateway" | measured("stream.plain"; stream_fields)),
    "saturation.direct": ("256 streams offering 51,000 frames/s, straight from the model server" | measured("saturation.direct"; stream_fields)),
    "saturation.chat": ("the same through the gateway" | measured("saturation.plain"; stream_fields))
  };
  def idle_chat: values("idle"; "chat_kb") | median;
  # Every number of streams that was tried; the best is the largest of which all were complete.
  def many($name): of($name) | map(del(.name)
      | .kb_a_stream = (if .chat_kb > 0 and .at_once > 0 then (.chat_kb - idle_chat) / .at_once else null end))
    | {how: "PSS of chat with all streams open, minus idle, divided by them; \($name)", tried: .,
       best: (map(select(.complete == .streams and .at_once == .streams)) | max_by(.streams))};
  def memory: [("idle", "steady", "recovered") | {key: ., value: ({
        idle: "all processes before the first request, one second after the start",
        steady: "in the middle of chat at c = 16, after all rounds of it",
        recovered: "\($about.seconds_until_recovered) s after the last stream"
      }[.] as $how | . as $name | $how | measured($name; ["pss_kb", "chat_kb"]))}] | from_entries;

  # $reached is null when it was not measured.
  def verdict($name; $wanted; $measured; $reached): {name: $name, wanted: $wanted, measured: $measured,
      verdict: (if $reached == null then "unknown" elif $reached then "reached" else "missed" end)};
  def at_least($n): if . == null then null else . >= $n end;
  def at_most($n): if . == null then null else . <= $n end;
  def round1: if . == null then null else . * 10 | round / 10 end;
  def percent: if . == null then "nothing" else "\(. * 100 | round1) %" end;
  def at_once($name; $m; $tried): $m.best as $b
    | verdict($name; "4000 complete"; "\($b.streams // 0) complete"
        + (if $m.tried[0].streams < 4000 then " (\($m.tried[0].streams) tried)" else "" end);
        if $m.tried[0].streams < 4000 and $b.streams == $m.tried[0].streams then null else ($b.streams // 0) >= 4000 end);
  def crud_how: {
    hello: "GET of the bare FastCGI program",
    get: "GET /v1/agents/{key} with the API key of the user who owns all agents, one agent after the other",
    list: "GET /v1/agents?limit=50 with the same key: up to 50 agents and how many there are"
  };
  def crud: [$samples[].name | select(startswith("crud.") and . != "crud.load")] | unique
    | map({key: ., value: (. as $name | crud_how[$name | split(".")[1]] | measured($name; ["rps", "p50_us", "p99_us"]))})
    | from_entries;
  def crud_growth($what; $base): [(100, 10000, 100000) as $n | "crud.\($what).\($n).c1" | select(of(.) | length > 0)
    | {key: (split(".")[2]), value: ratio(.; "crud.\($what).\($base).c1"; "p50_us")}] | from_entries;
  def crud_ratios: {
    agent_to_hello_rps: {c16: ratio("crud.get.50.c16"; "crud.hello.c16"; "rps")},
    agents_to_hello_rps: {c16: ratio("crud.list.50.c16"; "crud.hello.c16"; "rps")},
    agent_p50_to_10_agents: crud_growth("get"; 10),
    agents_p50_to_50_agents: crud_growth("list"; 50)
  };
  def instructions_how: {
    empty: "GET /v1/sessions?limit=1 where there is none",
    get: "GET /v1/agents/{key}", list: "GET /v1/agents?limit=50", create: "POST /v1/agents",
    chat: "POST /v1/chat/completions to the model server; a CGI process writes in the thread of the request"
  };
  def instructions: [("empty", "get", "list", "create", "chat") as $what | "instructions.\($what)"
    | select(of(.) | length > 0)
    | {key: ., value: (. as $name | instructions_how[$what] | measured($name; ["all"]))}] | from_entries;
  # What functions of the house cost with everything they call, in one request.
  def parts: of("instructions.empty") as $empty | of("instructions.create") as $create | {
    routing: ($empty | map(.path_parse + .route_find) | summary),
    auth_and_limit: ($empty | map(.auth_principal + .limit_request + .auth_authorize) | summary),
    audit: ($create | map(.activity_add) | summary),
    insert: ($create | map(.table_insert) | summary)
  };

  def times: if . == null then "nothing" else "\(. * 100 | round / 100) ×" end;
  def flat($what; $growth): $growth | to_entries | map(select(.value.median != null)) | last // {}
    | verdict("\($what), \(.key // "many") agents against few"; "≤ 1.3 ×"; .value.median | times;
        .value.median | at_most(1.3));
  def counted($what; $part; $most): verdict("instructions of \($what)"; "≤ \($most)"; "\($part.median // "nothing")";
    $part.median | at_most($most));
  def crud_targets($crud; $parts): [
    verdict("GET one agent at c = 16 of the bare FastCGI program"; "≥ 75 %"; $crud.agent_to_hello_rps.c16.median | percent;
      $crud.agent_to_hello_rps.c16.median | at_least(0.75)),
    verdict("50 agents at c = 16 of the bare FastCGI program"; "≥ 60 %"; $crud.agents_to_hello_rps.c16.median | percent;
      $crud.agents_to_hello_rps.c16.median | at_least(0.6)),
    flat("GET one agent"; $crud.agent_p50_to_10_agents), flat("list of 50"; $crud.agents_p50_to_50_agents),
    counted("auth and limit"; $parts.auth_and_limit; 50000), counted("audit"; $parts.audit; 70000)];

  def targets($ratios; $differences; $plain; $tls; $memory):
    (values("fdatasync"; "p50_us") | median) as $fsync
    | (values("saturation.plain"; "frames_per_s") | median) as $frames
    | ($tls.best // $tls.tried[0]) as $t
    | (values("start"; "ready_us") | median) as $ready
    | [verdict("requests/s at c = 16 of the same path without writes"; "≥ 55 %"; $ratios.chat_to_unwritten_rps.c16.median | percent;
           $ratios.chat_to_unwritten_rps.c16.median | at_least(0.55)),
       verdict("requests/s at c = 16 of the probe, the least a gateway does"; "≥ 55 %"; $ratios.chat_to_probe_rps.c16.median | percent;
           $ratios.chat_to_probe_rps.c16.median | at_least(0.55)),
       verdict("p50 at c = 1 above the probe's"; "≤ 3 fdatasync = \(3 * $fsync) µs"; "\($differences.chat_over_probe_p50_us.c1.median) µs";
           $differences.chat_over_probe_p50_us.c1.median | at_most(3 * $fsync)),
       verdict("frames/s through chat and lighttpd"; "≥ 15000"; "\($frames | round1)"; $frames | at_least(15000)),
       at_once("streams at once, plain upstream"; $plain; 4000),
       at_once("streams at once, TLS upstream"; $tls; 4000),
       verdict("memory a stream over TLS"; "≤ 160 kB"; "\($t.kb_a_stream | round1) kB at \($t.at_once)"; $t.kb_a_stream | at_most(160)),
       verdict("idle installation"; "≤ 12 MB PSS"; "\($memory.idle.pss_kb.median / 1024 | round1) MB"; $memory.idle.pss_kb.median | at_most(12 * 1024)),
       verdict("serve until the first 200 of /ready"; "≤ 150 ms"; "\($ready / 1000 | round1) ms"; $ready | at_most(150000))];

  # What makes figures worthless: no answer of the tool, wrong answers, streams that were cut where all must be whole.
  def chat_answers: [$samples[] | select(.name | startswith("rr.chat.")) | .requests // 0] | add;
  def broken:
    [$samples[] | select(wrong) | "\(.name): \(.broken // "\(.errors) wrong or missing answers \(.failures // "")")"]
    + [of("rows")[] | select(([.sessions, .traces, .uses] | min) < chat_answers)
       | "fewer rows (\(tojson)) than answers of chat (\(chat_answers))"];

  crud_ratios as $crud | parts as $parts
  | ratios as $ratios | differences as $differences | memory as $memory
  | many("streams.plain") as $plain | many("streams.tls") as $tls
  | $about + {
      load_while_measuring: (values("load"; "average")),
      load_while_measuring_agents: (values("crud.load"; "average")),
      measurements: (rr + crud + instructions + streams + {
        "streams.plain": $plain, "streams.tls": $tls,
        fdatasync: ("16 kB written into a file of a WAL's size, then fdatasync, on the disk of the home" | measured("fdatasync"; ["p50_us", "p99_us"])),
        start: ("from clawgate serve to the first 200 of /ready, home in the page cache" | measured("start"; ["ready_us"]))
      }),
      memory: $memory, ratios: ($ratios + $crud), instructions_of_parts: $parts, differences: $differences,
      rows: (of("rows")[0] | del(.name)), chat_answers: chat_answers,
      targets: (targets($ratios; $differences; $plain; $tls; $memory) + crud_targets($crud; $parts)),
      broken: broken
    }
