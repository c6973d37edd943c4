// Every body the API document knows, made wrong in every way its schema allows to name:
//
//   GATEWAY=… TOKEN=… node bodies.mjs DOCUMENT STATE        STATE is what `walk.mjs prepare` printed
//
// A body that is no object, and a member of another type, out of range, or not text: 400 that names the member. Nothing
// of it is ever 5xx, or says anything of the inside. Members nobody knows change nothing.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const gateway = process.env.GATEWAY;
const openapi = JSON.parse(readFileSync(process.argv[2]));
const { fixtures } = JSON.parse(readFileSync(process.argv[3]));
const wrong = [];
let sent = 0;

const inside = /sqlite|SELECT |INSERT |json-c|\.c:\d|\/tmp\/|goclaw\.db|stack|errno/i;
// Members that are documented to be ignored there, whatever they are.
const ignored = { 'POST /v1/chat/completions': ['metadata'], 'POST /v1/tenants': ['status'] };

const shape = (path) => path.replaceAll(/\{[^}]*\}/g, '{}');

function resolved(node) {
  if (!node?.$ref) return node ?? {};
  return resolved(node.$ref.slice(2).split('/').reduce((at, name) => at[name], openapi));
}

async function send(method, path, body) {
  sent++;
  const headers = { Authorization: `Bearer ${process.env.TOKEN}`, 'X-GoClaw-User-Id': 'system' };
  const response = await fetch(gateway + path, { method, headers, body });
  const text = await response.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // judged below
  }
  return { status: response.status, error: json?.error, text };
}

function judge(label, body, { status, error, text }, { param, right = (s) => s === 400 } = {}) {
  const said = `${label} with ${String(body).slice(0, 120)}: ${status} ${text.slice(0, 300)}`;
  if (status >= 500 || (status >= 400 && !error?.code) || inside.test(error?.message ?? '')) wrong.push(said);
  else if (!right(status)) wrong.push(said);
  else if (status === 400 && error.code !== 'INVALID_REQUEST') wrong.push(said);
  else if (param && !(error.param === param || error.param?.startsWith(`${param}[`) || error.param?.startsWith(`${param}.`)))
    wrong.push(`${said}: should name ${param}`);
}

// What is no value of the type; null only where it cannot mean "none".
const others = {
  string: ['5', 'true', '[]', '{}'],
  integer: ['"5"', 'true', '[]', '{}', '1.5', '1e400', '18446744073709551616', '1e30'],
  number: ['"5"', 'true', '[]', '{}', '1e400'],
  boolean: ['"true"', '1', '0', '[]', '{}'],
  array: ['"x"', '5', 'true', '{}'],
  object: ['"x"', '5', 'true', '[]'],
};

function wrongValues(schema) {
  const kinds = (schema.oneOf ?? schema.anyOf ?? [schema]).map((one) => resolved(one).type).filter(Boolean);
  if (kinds.length === 0) return [];
  let values = kinds.map((kind) => others[kind]).reduce((all, list) => all.filter((value) => list.includes(value)));
  if (kinds.length > 1) return values;
  if (kinds[0] === 'string') values = [...values, '"a\\u0000b"', '"\\ud800"'];
  if (schema.enum) values = [...values, kinds[0] === 'string' ? '"no-such-word"' : '77777'];
  if (schema.maxLength) values = [...values, JSON.stringify('a'.repeat(schema.maxLength + 1))];
  if (schema.minimum !== undefined) values = [...values, String(schema.minimum - 1)];
  if (schema.maximum !== undefined) values = [...values, String(schema.maximum + 1)];
  return values;
}

function valueOf(schema) {
  const { type, enum: values, default: preset } = resolved(schema);
  return preset ?? values?.[0] ?? { integer: 1, number: 1, boolean: true, object: {}, array: [] }[type] ?? 'bodies';
}

function baseOf(path, method, schema) {
  if (path === '/v1/chat/completions') 
    return { messages: [{ role: 'user', content: '/echo x' }], tools: [{ type: 'function', function: { name: 'f' } }] };
  if (method !== 'post') return {};
  if (path === '/v1/providers') return { name: 'bodies', provider_type: 'offline' };
  return schema.example ?? Object.fromEntries((schema.required ?? []).map((n) => [n, valueOf(schema.properties[n])]));
}

const member = (base, name, value) => {
  const rest = JSON.stringify({ ...base, [name]: undefined }).slice(1, -1);
  return `{${rest}${rest && ','}${JSON.stringify(name)}:${value}}`;
};

async function walk(path, method, operation) {
  const schema = resolved(operation.requestBody.content['application/json'].schema);
  let prefix = '';
  const at = path.split('/').slice(1).map((segment) => {
    prefix += `/${segment}`;
    return segment.startsWith('{') ? encodeURIComponent(fixtures[shape(prefix)] ?? randomUUID()) : segment;
  }).reduce((all, segment) => `${all}/${segment}`, '');
  const label = `${method.toUpperCase()} ${path}`;
  const base = baseOf(path, method, schema);
  const refused = async (body, options) => judge(label, body, await send(method.toUpperCase(), at, body), options);

  for (const body of ['null', '[]', '"x"', '1', 'true', '{', '{}x', '{"a":1,"a":2}', "{'a':1}", '\ufeff{}', '{"a":NaN}'])
    await refused(body);
  await refused(Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xc0, 0xaf, 0x22, 0x7d]));
  const required = schema.required ?? [];
  for (const body of ['', '{}']) await refused(body, { right: (s) => (required.length > 0 ? s === 400 : s < 500), param: required[0] });
  for (const name of required) await refused(member(base, name, 'null'), { param: name });
  for (const [name, given] of Object.entries(schema.properties ?? {})) {
    const known = resolved(given);
    if (known.readOnly || ignored[label]?.includes(name)) continue;
    for (const value of wrongValues(known))
      // text that is none has no member yet: the gate refuses it before
      await refused(member(base, name, value), { param: /\\u|1e400|18446744073709551616/.test(value) ? undefined : name });
    if (known.type === 'integer')
      for (const value of ['-0', '1.0', '9007199254740993', '9223372036854775807'])
        await refused(member({ ...base, [required[0] ?? 'x']: 5 }, name, value), { right: (s) => s < 500 });
  }
  // A name of the language's own, or another case, is a member nobody knows.
  for (const name of ['__proto__', 'constructor', ...Object.keys(schema.properties ?? {}).slice(0, 1).map((n) => n.toUpperCase())])
    await refused(member(required.length > 0 ? {} : base, name, '"x"'), {
      right: (s) => (required.length > 0 ? s === 400 : s < 500),
      param: required[0],
    });
}

let routes = 0;
for (const [path, item] of Object.entries(openapi.paths))
  for (const [method, operation] of Object.entries(item))
    if (operation.requestBody?.content?.['application/json']) {
      routes++;
      await walk(path, method, operation);
    }
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}
console.log(`${routes} bodies, ${sent} requests`);
