// The API document, judged by a parser that knows the OpenAPI schemas: node openapi_test.mjs FILE
import assert from 'node:assert/strict';
import SwaggerParser from '@apidevtools/swagger-parser';

const document = await SwaggerParser.validate(process.argv[2]);
assert.equal(document.openapi, '3.0.3');

const ids = new Set();
for (const [path, item] of Object.entries(document.paths))
  for (const [method, operation] of Object.entries(item)) {
    const where = `${method} ${path}`;
    assert.ok(!ids.has(operation.operationId), `${where}: operationId twice`);
    ids.add(operation.operationId);
    const seen = operation.parameters.map((p) => `${p.in} ${p.name}`);
    assert.equal(new Set(seen).size, seen.length, `${where}: a parameter twice`);
    const named = [...path.matchAll(/\{([^}]+)\}/g)].map((m) => `path ${m[1]}`);
    assert.deepEqual(seen.filter((p) => p.startsWith('path ')).sort(), named.sort(), `${where}: path parameters`);
    assert.ok(
      Object.keys(operation.responses).some((status) => status.startsWith('2')),
      `${where}: no success`,
    );
    for (const [status, response] of Object.entries(operation.responses))
      if (status >= '400')
        assert.ok(response.content['application/json'].schema.properties.error, `${where}: ${status} is no envelope`);
    assert.ok(
      document.tags.some((tag) => tag.name === operation.tags[0]),
      `${where}: unknown tag`,
    );
  }
console.log(`${ids.size} operations`);
