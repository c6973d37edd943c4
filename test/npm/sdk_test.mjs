// What the official OpenAI client sees of a gateway, one case a call:
//
//   GATEWAY=http://127.0.0.1:18790 TOKEN=… node sdk_test.mjs CASE [TEXT]
//
// TEXT goes to the model as the user's message, so that the caller finds the run again. A case that fails throws;
// what it prints is for the caller. The cases expect agents named in openai_sdk.bats.
import assert from 'node:assert/strict';
import net from 'node:net';
import OpenAI from 'openai';

const gateway = process.env.GATEWAY;
const [name, text = 'hello'] = process.argv.slice(2);
const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;

// Every HTTP exchange the client made: status, or the name of the failure, and its retry counter.
const attempts = [];

async function recordedFetch(url, init) {
  const attempt = { retry: new Headers(init.headers).get('x-stainless-retry-count') };
  attempts.push(attempt);
  try {
    const response = await fetch(url, init);
    attempt.status = response.status;
    return response;
  } catch (error) {
    attempt.status = error.name === 'AbortError' ? 'aborted' : 'lost';
    throw error;
  }
}

function client(options = {}) {
  return new OpenAI({ baseURL: `${gateway}/v1`, apiKey: process.env.TOKEN, fetch: recordedFetch, ...options });
}

const ask = (more = {}) => ({ model: 'goclaw:plain', messages: [{ role: 'user', content: text }], ...more });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const said = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('');

// From here on the client has an idle connection, which the next call uses. Only there lighttpd always tells of a
// client that leaves before the answer has begun.
async function warmUp(openai) {
  await openai.models.list();
  await new Promise((later) => setTimeout(later, 100));
}

// The call must fail with this class of the SDK; returns the error.
async function fails(Class, status, call) {
  let error;
  await assert.rejects(call, (e) => ((error = e), true));
  assert.equal(error.constructor.name, Class.name, `${error}`);
  assert.equal(error.status, status);
  return error;
}

function judge(error, { code, type, param = null }) {
  assert.deepEqual([error.code, error.type, error.param], [code, type, param]);
  assert.match(error.requestID, uuid7);
  assert.equal(error.headers.get('x-request-id'), error.requestID);
  assert.ok(error.error.message.length > 0 && error.message.includes(error.error.message));
}

// A proxy whose first POST is lost: `cut` decides when, later connections pass untouched.
async function lossy(cut) {
  const target = new URL(gateway);
  let first = true;
  const server = net.createServer((down) => {
    const up = net.connect(target.port, target.hostname);
    down.on('error', () => {});
    up.on('error', () => {});
    if (first) {
      first = false;
      return cut(down, up);
    }
    down.pipe(up).pipe(down);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  server.unref();
  return `http://127.0.0.1:${server.address().port}/v1`;
}

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

const cases = {
  async create() {
    const { data, response, request_id } = await client().chat.completions.create(ask()).withResponse();
    assert.equal(data.choices[0].message.content, 'Hello from upstream.');
    assert.deepEqual([data.object, data.model, data.choices.length], ['chat.completion', 'goclaw:plain', 1]);
    assert.equal(data.choices[0].finish_reason, 'stop');
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.ok(data.usage.completion_tokens > 0);
    assert.match(request_id, uuid7);
    assert.equal(data._request_id, request_id);
    assert.equal(data.id, `chatcmpl-${response.headers.get('x-goclaw-run-id').replaceAll('-', '')}`);
    assert.equal(attempts.length, 1);
  },

  async stream() {
    const chunks = await collect(await client().chat.completions.create(ask({ stream: true })));
    assert.equal(said(chunks), 'Hello from upstream.');
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    assert.deepEqual([...new Set(chunks.map((c) => `${c.id} ${c.object} ${c.created} ${c.model}`))].length, 1);
    assert.deepEqual(chunks.map((c) => c.choices[0].finish_reason).filter(Boolean), ['stop']);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
    assert.equal(chunks.filter((c) => c.usage).length, 1);
  },

  async include_usage() {
    const stream = await client().chat.completions.create(ask({ stream: true, stream_options: { include_usage: true } }));
    const chunks = await collect(stream);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.prompt_tokens > 0 && last.usage.completion_tokens > 0);
    assert.ok(chunks.length > 2 && chunks.every((c) => c.usage === null && c.choices.length === 1));
  },

  async stream_helper() {
    const seen = { deltas: [], chunks: 0, ends: 0 };
    const runner = client().chat.completions.stream(ask({ stream_options: { include_usage: true } }));
    runner.on('content', (delta, snapshot) => seen.deltas.push([delta, snapshot]));
    runner.on('chunk', () => seen.chunks++);
    runner.on('end', () => seen.ends++);
    const final = await runner.finalChatCompletion();
    assert.equal(final.choices[0].message.content, 'Hello from upstream.');
    assert.equal(final.choices[0].message.role, 'assistant');
    assert.equal(await runner.finalContent(), 'Hello from upstream.');
    assert.equal(seen.deltas.map(([delta]) => delta).join(''), 'Hello from upstream.');
    assert.equal(seen.deltas.at(-1)[1], 'Hello from upstream.');
    assert.ok(seen.deltas.length > 1 && seen.chunks > seen.deltas.length);
    assert.equal(seen.ends, 1);
    const usage = await runner.totalUsage();
    assert.ok(usage.prompt_tokens > 0 && usage.completion_tokens > 0);
  },

  async stream_helper_without_usage() {
    const final = await client().chat.completions.stream(ask()).finalChatCompletion();
    assert.equal(final.choices[0].finish_reason, 'stop');
    assert.ok(final.usage.completion_tokens > 0);
  },

  // The loop every application writes: the calls, then the same messages with the results.
  async tools() {
    const messages = [{ role: 'user', content: text }];
    const first = await client().chat.completions.create(ask({ messages, tools: [weather] }));
    const [choice] = first.choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.tool_calls.length, 1);
    const [call] = choice.message.tool_calls;
    assert.deepEqual([call.type, call.function.name], ['function', 'get_weather']);
    assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Oslo' });
    messages.push(choice.message, { role: 'tool', tool_call_id: call.id, content: 'minus 7 degrees' });
    const second = await client().chat.completions.create(ask({ messages, tools: [weather] }));
    assert.equal(second.choices[0].finish_reason, 'stop');
    assert.match(second.choices[0].message.content, /^Result: .*minus 7 degrees/);
  },

  async tools_streamed() {
    const messages = [{ role: 'user', content: text }];
    const runner = client().chat.completions.stream(ask({ messages, tools: [weather] }));
    const calls = [];
    runner.on('tool_calls.function.arguments.done', (event) => calls.push(event));
    const [choice] = (await runner.finalChatCompletion()).choices;
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.deepEqual(calls.map((c) => [c.index, c.name, c.arguments]), [[0, 'get_weather', '{"city":"Oslo"}']]);
    const [call] = choice.message.tool_calls;
    messages.push(choice.message, { role: 'tool', tool_call_id: call.id, content: 'plus 3 degrees' });
    const chunks = await collect(await client().chat.completions.create(ask({ messages, tools: [weather], stream: true })));
    assert.match(said(chunks), /^Result: .*plus 3 degrees/);
  },

  // The SDK runs the loop itself.
  async run_tools() {
    const asked = [];
    const runner = client().chat.completions.runTools(
      ask({
        tools: [
          {
            type: 'function',
            function: {
              ...weather.function,
              parse: JSON.parse,
              function: ({ city }) => (asked.push(city), 'a storm is coming'),
            },
          },
        ],
      }),
    );
    assert.match(await runner.finalContent(), /^Result: .*a storm is coming/);
    assert.deepEqual(asked, ['Oslo']);
    assert.equal(attempts.length, 2);
  },

  // A session for those who cannot set headers.
  async session_metadata() {
    const metadata = { session_key: 'from-the-sdk' };
    const openai = client();
    const say = (content) => openai.chat.completions.create(ask({ messages: [{ role: 'user', content }], metadata }));
    await say('my name is Ada');
    const { response } = await say('who am I').withResponse();
    console.log(response.headers.get('x-goclaw-session-key'));
  },

  async models() {
    const models = await collect(await client().models.list());
    assert.deepEqual(models.map((m) => m.id), ['goclaw:default', 'goclaw:plain']);
    for (const model of models) {
      assert.deepEqual([model.object, model.owned_by], ['model', 'goclaw']);
      assert.ok(Number.isInteger(model.created) && model.created > 1700000000);
    }
    assert.deepEqual(await client().models.retrieve('goclaw:plain'), models[1]);
    assert.equal((await client().models.retrieve('plain')).id, 'goclaw:plain');
    const error = await fails(OpenAI.NotFoundError, 404, client().models.retrieve('gpt-4o'));
    judge(error, { code: 'NOT_FOUND', type: 'invalid_request_error', param: error.param });
  },

  async abort_stream() {
    const stream = await client().chat.completions.create(ask({ stream: true }));
    let chunks = 0;
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      if (++chunks === 4) stream.controller.abort();
    }
    assert.ok(chunks >= 4);
    assert.equal(attempts.length, 1);
  },

  // Leaving the loop is the usual way to stop a stream.
  async break_stream() {
    for await (const chunk of await client().chat.completions.create(ask({ stream: true }))) {
      if (chunk.choices[0].delta.content) break;
    }
    assert.equal(attempts.length, 1);
  },

  async abort_plain() {
    const openai = client();
    await warmUp(openai);
    const controller = new AbortController();
    const call = openai.chat.completions.create(ask(), { signal: controller.signal });
    setTimeout(() => controller.abort(), 500);
    await assert.rejects(call, OpenAI.APIUserAbortError);
    assert.deepEqual(attempts.map((a) => a.status), [200, 'aborted']);
  },

  async error_401() {
    const error = await fails(OpenAI.AuthenticationError, 401, client({ apiKey: 'wrong' }).chat.completions.create(ask()));
    judge(error, { code: 'UNAUTHORIZED', type: 'authentication_error' });
    assert.equal(attempts.length, 1);
  },

  async error_403() {
    const reader = client({ apiKey: process.env.READER });
    const error = await fails(OpenAI.PermissionDeniedError, 403, reader.chat.completions.create(ask()));
    judge(error, { code: 'UNAUTHORIZED', type: 'permission_error' });
    assert.equal((await reader.models.list()).data.length > 0, true);
  },

  async error_404() {
    const error = await fails(OpenAI.NotFoundError, 404, client().chat.completions.create(ask({ model: 'goclaw:nobody' })));
    judge(error, { code: 'NOT_FOUND', type: 'invalid_request_error', param: 'model' });
  },

  async error_400() {
    const error = await fails(OpenAI.BadRequestError, 400, client().chat.completions.create(ask({ n: 2 })));
    judge(error, { code: 'INVALID_REQUEST', type: 'invalid_request_error', param: 'n' });
    const empty = await fails(OpenAI.BadRequestError, 400, client().chat.completions.create(ask({ messages: [] })));
    judge(empty, { code: 'INVALID_REQUEST', type: 'invalid_request_error', param: 'messages' });
  },

  // The SDK repeats 409 unless it is told not to.
  async error_409() {
    const error = await fails(OpenAI.ConflictError, 409, client({ maxRetries: 2 }).chat.completions.create(ask()));
    judge(error, { code: 'FAILED_PRECONDITION', type: 'invalid_request_error' });
    assert.deepEqual(attempts, [{ retry: '0', status: 409 }]);
  },

  async error_5xx() {
    const call = client({ maxRetries: 2 }).chat.completions.create(ask());
    const error = await fails(OpenAI.InternalServerError, 503, call);
    judge(error, { code: 'UNAVAILABLE', type: 'server_error' });
    assert.equal(error.error.retryable, true);
    assert.deepEqual(attempts, [{ retry: '0', status: 503 }]);
  },

  // Nothing was said yet or the middle was reached: either way the loop throws what the envelope says.
  async error_in_stream() {
    const stream = await client({ maxRetries: 2 }).chat.completions.create(ask({ stream: true }));
    const chunks = [];
    await assert.rejects(
      async () => {
        for await (const chunk of stream) chunks.push(chunk);
      },
      (error) => {
        assert.ok(error instanceof OpenAI.APIError, `${error}`);
        assert.deepEqual([error.code, error.type, error.param], ['UNAVAILABLE', 'server_error', null]);
        return true;
      },
    );
    assert.ok(chunks.every((chunk) => chunk.choices[0].finish_reason === null));
    assert.deepEqual(attempts, [{ retry: '0', status: 200 }]);
    console.log(said(chunks));
  },

  // The answer was made and never arrived.
  async lost_answer() {
    const baseURL = await lossy((down, up) => {
      down.on('data', (bytes) => up.write(bytes));
      up.once('data', () => down.destroy());
    });
    const answer = await client({ baseURL, maxRetries: 2 }).chat.completions.create(ask());
    assert.deepEqual(attempts, [{ retry: '0', status: 'lost' }, { retry: '1', status: 200 }]);
    console.log(answer.id);
  },

  // The client is cut off while the run goes on, and the gateway cannot know it.
  async lost_while_running() {
    const baseURL = await lossy((down, up) => {
      let body = '';
      down.on('data', (bytes) => {
        up.write(bytes);
        body += bytes;
        if (body.includes(text)) setTimeout(() => down.destroy(), 100);
      });
    });
    const answer = await client({ baseURL, maxRetries: 2 }).chat.completions.create(ask());
    assert.deepEqual(attempts, [
      { retry: '0', status: 'lost' },
      { retry: '1', status: 503 },
      { retry: '2', status: 200 },
    ]);
    console.log(answer.id);
  },

  // A client that gives up by its own time limit has left: its repetition is a new run.
  async timeout() {
    const openai = client({ maxRetries: 1 });
    await warmUp(openai);
    await assert.rejects(openai.chat.completions.create(ask(), { timeout: 700 }), OpenAI.APIConnectionTimeoutError);
    assert.deepEqual(attempts.slice(1).map((a) => a.retry), ['0', '1']);
  },

  // Fifty at a time over one client object, plain and streamed in turn.
  async parallel() {
    const openai = client();
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const messages = [{ role: 'user', content: `@upstream text=answer-${i},delay=100` }];
        if (i % 2) return said(await collect(await openai.chat.completions.create(ask({ messages, stream: true }))));
        return (await openai.chat.completions.create(ask({ messages }))).choices[0].message.content;
      }),
    );
    assert.deepEqual(answers, Array.from({ length: 50 }, (_, i) => `answer-${i}`));
    assert.equal(attempts.length, 50);
  },
};

assert.ok(cases[name], `no case ${name}`);
await cases[name]();
process.exit(0);
