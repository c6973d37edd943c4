// A walk over every route the programs describe, with every role, from the own tenant and from another one:
//
//   GATEWAY=… TOKEN=… node walk.mjs prepare DESCRIPTIONS DOCUMENT >STATE
//   GATEWAY=… TOKEN=… node walk.mjs tokens|roles|own|tenants DESCRIPTIONS DOCUMENT STATE
//
// `prepare` makes keys, a second tenant, and one record of everything that can be made: POST PATH with the document's
// example (or, without one, its required members), wherever a path PATH/{…} exists. What cannot be made that way
// stands in `special`; a parameter nobody knows is a random UUID. So a new family is walked without a word here.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const gateway = process.env.GATEWAY;
const [what, descriptions, documentFile, stateFile] = process.argv.slice(2);
const routes = JSON.parse(readFileSync(descriptions)).flatMap((program) => program.routes);
const openapi = JSON.parse(readFileSync(documentFile));
const ranks = { public: 0, viewer: 1, operator: 2, admin: 3, owner: 4 };
const closed = routes.filter((route) => route.role !== 'public');
const user = 'walker';
const wrong = [];

// Bodies that say more than the document's example: no network is needed, and the owner is known.
const bodies = { '/v1/providers': { name: 'walk', provider_type: 'offline' } };
// Members of bodies that must name a record which exists.
const members = { agent_id: '/v1/agents/{}', server_id: '/v1/mcp/servers/{}' };

const shape = (path) => path.replaceAll(/\{[^}]*\}/g, '{}');
const label = (route) => `${route.method} ${route.path}`;
const expect = (right, ...words) => right || wrong.push(words.join(' '));

async function call(route, path, { token, headers = {}, body } = {}) {
  const init = { method: route.method, headers: { ...headers } };
  if (token) init.headers.Authorization = `Bearer ${token}`;
  if (['POST', 'PUT', 'PATCH'].includes(route.method)) init.body = body ?? '';
  const response = await fetch(gateway + path, init);
  const text = await response.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // a page, or nothing
  }
  return { status: response.status, code: json?.error?.code, json, text, headers: response.headers };
}

// The path with its parameters: what `value` says of each (the path up to it), else a random UUID.
function fill(path, value = () => undefined) {
  let prefix = '';
  return path
    .split('/')
    .slice(1)
    .map((segment) => {
      prefix += `/${segment}`;
      if (!segment.startsWith('{')) return segment;
      return encodeURIComponent(value(shape(prefix)) ?? randomUUID());
    })
    .reduce((all, segment) => `${all}/${segment}`, '');
}

const prefixes = (path) =>
  [...path.matchAll(/\{[^}]*\}/g)].map((match) => shape(path.slice(0, match.index + match[0].length)));

// ---- what stands in the document ----

function resolved(node) {
  if (!node?.$ref) return node;
  return resolved(node.$ref.slice(2).split('/').reduce((at, name) => at[name], openapi));
}

const operationOf = (route) =>
  Object.entries(openapi.paths).find(([path]) => shape(path) === shape(route.path))[1][route.method.toLowerCase()];

function value(schema) {
  const { type, enum: values, default: preset } = resolved(schema);
  if (preset !== undefined) return preset;
  if (values) return values[0];
  return { integer: 1, number: 1, boolean: true, object: {}, array: [] }[type] ?? 'walk';
}

// The example of a route's body, or its required members; `given` says which.
function bodyOf(route, fixtures) {
  const content = operationOf(route).requestBody?.content?.['application/json'];
  const schema = resolved(content?.schema);
  const example = bodies[route.path] ?? content?.example ?? schema?.example;
  const made = (schema?.required ?? []).map((name) => [name, value(schema.properties[name])]);
  const body = { ...(example ?? Object.fromEntries(made)) };
  for (const [member, prefix] of Object.entries(members)) if (body[member]) body[member] = fixtures[prefix];
  return { given: example !== undefined, body: JSON.stringify(body) };
}

// ---- prepare ----

// The tenant's rows are the walker's; what belongs to the owner of the installation is made by him.
const maker = (route) => ({
  token: process.env.TOKEN,
  headers: route.role === 'owner' ? {} : { 'X-GoClaw-User-Id': user },
});

const post = (path) => ({ method: 'POST', path });

async function must(route, options) {
  const answer = await call(route, route.path, { token: process.env.TOKEN, ...options });
  assert.ok(answer.status < 300, `${label(route)}: ${answer.status} ${answer.text}`);
  return answer;
}

async function key(tenant, scope, owner) {
  const body = JSON.stringify({ name: `${tenant} ${scope}`, scopes: [scope], owner_id: owner });
  return (await must(post('/v1/api-keys'), { headers: { 'X-GoClaw-Tenant-Id': tenant }, body })).json.key;
}

// What the path of a record names it by: id, or the member the parameter is called after (userID -> user_id).
function nameOf(record, parameter) {
  const member = parameter.replace(/([a-z])([A-Z]+)$/, '$1_$2').toLowerCase();
  return record[member] ?? record.id;
}

async function special(fixtures) {
  const agent = fixtures['/v1/agents/{}'] ?? 'default';
  const headers = { 'X-GoClaw-User-Id': user, 'X-GoClaw-Session-Key': 'walk', 'X-GoClaw-Agent-Id': agent };
  const body = JSON.stringify({ messages: [{ role: 'user', content: '/echo walk' }] });
  const run = await must(post('/v1/chat/completions'), { headers, body });
  fixtures['/v1/sessions/{}'] = run.headers.get('x-goclaw-session-key');
  fixtures['/v1/runs/{}'] = run.headers.get('x-goclaw-run-id');
  fixtures['/v1/models/{}'] = run.json.model;
  const file = { method: 'PUT', path: `/v1/agents/${agent}/files/SOUL.md` };
  await must(file, { body: JSON.stringify({ content: 'walk' }) });
  fixtures['/v1/agents/{}/files/{}'] = 'SOUL.md';
}

async function prepare() {
  const fixtures = {};
  const records = {};
  const notes = [];
  const makers = routes.filter((route) => route.method === 'POST').sort((a, b) => a.path.length - b.path.length);
  for (const route of makers) {
    const child = routes.find((other) => shape(other.path).startsWith(`${shape(route.path)}/{}`));
    if (!child || !prefixes(route.path).every((prefix) => fixtures[prefix])) continue;
    const parameter = child.path.slice(route.path.length).match(/\{([^}.]*)/)[1];
    const kind = route.resource ?? shape(route.path); // an alias stands for the same record
    if (!records[kind]) {
      const { given, body } = bodyOf(route, fixtures);
      const answer = await call(route, fill(route.path, (prefix) => fixtures[prefix]), { ...maker(route), body });
      if (answer.status >= 300) {
        assert.ok(!given, `${label(route)}: its example is refused: ${answer.status} ${answer.text}`);
        notes.push(`${label(route)}: ${answer.status}; a random UUID stands for its record`);
        continue;
      }
      records[kind] = answer.json;
    }
    fixtures[`${shape(route.path)}/{}`] = nameOf(records[kind], parameter);
  }
  await special(fixtures);
  await must(post('/v1/tenants'), { body: JSON.stringify({ name: 'Other', slug: 'walk-other' }) });
  const keys = {
    viewer: await key('master', 'operator.read', user),
    operator: await key('master', 'operator.write', user),
    admin: await key('master', 'operator.admin'),
    owner: process.env.TOKEN,
    other: await key('walk-other', 'operator.admin'),
    otherUser: await key('walk-other', 'operator.write', user),
  };
  for (const note of notes) console.error(note);
  console.log(JSON.stringify({ fixtures, keys }));
}

// ---- judging ----

// Nothing is done by these calls: ids are random, and a body is no object.
const harmless = (route, token) => call(route, fill(route.path), { token, body: '[]' });

async function tokens() {
  for (const route of routes)
    for (const token of [undefined, 'nonsense', `goclaw_${'0'.repeat(32)}`]) {
      const { status, code, headers } = await harmless(route, token);
      if (route.role === 'public') expect(status !== 401 && status !== 403, label(route), 'is public, but', status);
      else
        expect(
          status === 401 && code === 'UNAUTHORIZED' && headers.get('www-authenticate'),
          `${label(route)} with token ${token}: ${status}`,
        );
    }
}

async function roles({ keys }) {
  for (const route of closed)
    for (const role of ['viewer', 'operator', 'admin', 'owner']) {
      const { status, code, text } = await harmless(route, keys[role]);
      const refused = status === 403 && code === 'UNAUTHORIZED';
      const taken = status !== 401 && status !== 403 && status < 500;
      expect(ranks[role] < ranks[route.role] ? refused : taken, `${label(route)} as ${role}: ${status} ${text}`);
    }
}

// Routes below records that exist.
const named = (fixtures, list) =>
  list.filter((route) => route.path.includes('{') && prefixes(route.path).every((prefix) => fixtures[prefix]));

const at = (fixtures, route) => fill(route.path, (prefix) => fixtures[prefix]);

async function own({ fixtures, keys }) {
  const reads = named(fixtures, closed).filter((route) => route.method === 'GET');
  assert.ok(reads.length > 5, 'records were made');
  for (const route of reads) {
    const { status, text } = await call(route, at(fixtures, route), { token: keys[route.role] });
    expect(status === 200, `${label(route)} as ${route.role}: ${status} ${text}`);
  }
}

// Lists may need to be told more: that is 400, or 404.
const answers = (status) => [200, 400, 404].includes(status);

// Everything the first tenant can read, without the notes of who called last.
async function everything(fixtures) {
  const seen = {};
  const reads = closed.filter((r) => r.method === 'GET' && r.path.startsWith('/v1/'));
  for (const route of [...reads.filter((r) => !r.path.includes('{')), ...named(fixtures, reads)]) {
    const { json, status } = await call(route, at(fixtures, route), { token: process.env.TOKEN });
    expect(answers(status), label(route), status);
    seen[route.path] = JSON.stringify(json, (name, v) => (name === 'last_used_at' ? undefined : v));
  }
  return seen;
}

async function tenants({ fixtures, keys }) {
  const before = await everything(fixtures);
  const callers = {
    'its admin': { token: keys.other },
    'its user': { token: keys.otherUser },
    'its admin, who names the first': { token: keys.other, headers: { 'X-GoClaw-Tenant-Id': 'master' } },
    'the owner, there': { token: process.env.TOKEN, headers: { 'X-GoClaw-Tenant-Id': 'walk-other' } },
  };
  const may = (route, options) => options.token !== keys.otherUser || ranks[route.role] <= ranks.operator;
  const inTenant = closed.filter((route) => route.role !== 'owner');
  const lists = inTenant.filter((r) => r.method === 'GET' && r.path.startsWith('/v1/') && !r.path.includes('{'));
  for (const [caller, options] of Object.entries(callers)) {
    for (const route of named(fixtures, inTenant).filter((r) => may(r, options))) {
      const { body } = bodyOf(route, fixtures);
      const { status, code, text } = await call(route, at(fixtures, route), { ...options, body });
      expect(status === 404 && code === 'NOT_FOUND', `${label(route)} for ${caller}: ${status} ${text}`);
    }
    for (const route of lists.filter((r) => may(r, options))) {
      const { status, text } = await call(route, route.path, options);
      const shown = Object.values(fixtures).filter((id) => /^[0-9a-f]{8}-/.test(id) && text.includes(id));
      expect(answers(status) && shown.length === 0, `${label(route)} for ${caller}: ${status} shows ${shown}`);
    }
    for (const route of inTenant.filter((r) => r.run && !r.path.includes('{'))) {
      const body = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] });
      const headers = { ...options.headers, 'X-GoClaw-Agent-Id': fixtures['/v1/agents/{}'] };
      const { status, text } = await call(route, route.path, { ...options, headers, body });
      expect(status === 404, `${label(route)} for ${caller} with a foreign agent: ${status} ${text}`);
    }
  }
  for (const route of lists) {
    const id = fixtures[`${route.path}/{}`];
    expect(!id || before[route.path].includes(id.replace(/^goclaw:/, '')), `${label(route)} shows the own ${id}`);
  }
  const after = await everything(fixtures);
  for (const path of Object.keys(before)) expect(after[path] === before[path], `${path} was changed from outside`);
}

if (what === 'prepare') await prepare();
else await { tokens, roles, own, tenants }[what](stateFile ? JSON.parse(readFileSync(stateFile)) : {});
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}
if (what !== 'prepare') console.log(`${routes.length} routes`);
