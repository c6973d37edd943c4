// The page of /docs in a real browser, used as a person would:
//
//   GATEWAY=http://127.0.0.1:18790 TOKEN=… node swagger_test.mjs SCREENSHOT
//
// It authorizes, calls GET /v1/models and a chat completion with the X-GoClaw headers, and takes a picture.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const gateway = process.env.GATEWAY;
const slower = Number(process.env.CLAWGATE_TEST_SLOWER ?? 1);

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking'],
});
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 1700 } });
  page.setDefaultTimeout(20000 * slower);
  const complaints = [];
  const requests = [];
  page.on('console', (m) => m.type() === 'error' && complaints.push(m.text()));
  page.on('pageerror', (e) => complaints.push(`${e}`));
  page.on('request', (r) => requests.push(r));

  // Opens an operation and returns it, ready to be filled in.
  async function open(tag, id) {
    const block = page.locator(`#operations-${tag}-${id}`);
    await block.locator('.opblock-summary-control').click();
    await block.getByRole('button', { name: 'Try it out' }).click();
    return block;
  }

  // Executes it; returns the request the browser sent and the JSON it showed.
  async function execute(block, path) {
    const sent = page.waitForRequest((r) => r.url() === `${gateway}${path}`);
    await block.getByRole('button', { name: 'Execute' }).click();
    const request = await sent;
    const status = block.locator('.live-responses-table .response .response-col_status').first();
    await status.waitFor();
    assert.match(await status.innerText(), /^200/);
    const answer = await (await request.response()).json();
    const shown = await block.locator('.live-responses-table .highlight-code').first().innerText();
    return { headers: await request.allHeaders(), answer, shown };
  }

  await page.goto(`${gateway}/docs`);
  await page.locator('.opblock-tag-section').first().waitFor();
  assert.equal(await page.title(), 'Clawgate API');
  const served = await (await fetch(`${gateway}/docs/openapi.json`)).json();
  const operations = Object.values(served.paths).reduce((n, item) => n + Object.keys(item).length, 0);
  assert.equal(await page.locator('.opblock').count(), operations);

  await page.locator('.btn.authorize').first().click();
  await page.getByLabel('auth-bearer-value').fill(process.env.TOKEN);
  await page.locator('.auth-btn-wrapper').getByRole('button', { name: 'Apply credentials' }).click();
  await page.locator('.auth-btn-wrapper').getByRole('button', { name: 'Close' }).click();

  const chat = await open('Chat', 'postChatCompletions');
  for (const [name, value] of [
    ['X-GoClaw-User-Id', 'browser-user'],
    ['X-GoClaw-Tenant-Id', 'master'],
    ['X-GoClaw-Agent-Id', 'default'],
  ])
    await chat.getByPlaceholder(name, { exact: true }).fill(value);
  await chat.locator('textarea.body-param__text').fill(
    JSON.stringify({ messages: [{ role: 'user', content: '/echo from the page' }] }),
  );
  const said = await execute(chat, '/v1/chat/completions');
  assert.equal(said.answer.choices[0].message.content, 'from the page');
  assert.equal(said.headers.authorization, `Bearer ${process.env.TOKEN}`);
  assert.equal(said.headers['x-goclaw-user-id'], 'browser-user');
  assert.equal(said.headers['x-goclaw-tenant-id'], 'master');
  assert.equal(said.headers['x-goclaw-agent-id'], 'default');
  await chat.locator('.opblock-summary-control').click();

  const models = await open('Models', 'getModels');
  const { headers, answer, shown } = await execute(models, '/v1/models');
  assert.equal(headers.authorization, `Bearer ${process.env.TOKEN}`);
  assert.deepEqual(answer.data.map((model) => model.id), ['goclaw:default']);
  assert.match(shown, /goclaw:default/);

  await page.screenshot({ path: process.argv[2] });
  assert.deepEqual(complaints, [], 'the console is silent');
  const foreign = requests.map((r) => r.url()).filter((url) => !url.startsWith(`${gateway}/`) && !url.startsWith('data:'));
  assert.deepEqual(foreign, [], 'nothing is asked of other hosts');
} finally {
  await browser.close();
}
