import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { receiver } from '../dev/receiver.mjs'
import { bench, counts } from './kit.mjs'

const PATH = 'a-secret-path'
const KEY = 'a-secret-header'
const SECRET = `whsec_${Buffer.from('a secret of twenty-four bytes and more').toString('base64')}`
process.env.HOOK_SECRET = SECRET
const ops = await receiver()
const chat = await receiver()
after(() => Promise.all([ops.end(), chat.end()]))
// What one test found broken is none of the next one's.
beforeEach(() => (ops.answer = chat.answer = 204))
const it = bench({
  services: {
    web: { command: ['sleep', '100000'] },
    broken: { command: ['/bin/sh', '-c', 'exit 7'], restart: 'no', profiles: ['all'] },
  },
  webhooks: {
    ops: { url: `${ops.url}/${PATH}`, headers: { Authorization: KEY }, secret: 'env:HOOK_SECRET' },
    // One try alone: what it does not take is dead.
    chat: { url: `${chat.url}/in`, events: ['service.failed', 'service.stopped'], retries: 0 },
  },
})

const hook = (page, name) => page.locator(`[data-webhook="${name}"]`)
const fact = (page, name, title) => hook(page, name).locator('dl > div').filter({ has: page.locator('dt', { hasText: new RegExp(`^${title}$`) }) }).locator('dd')
const message = (page, kind) => page.locator('.message', { hasText: kind })
const fail = () => it.stack.run('start', 'broken').catch(() => {})

test('a test says what came of it', async () => {
  const page = await it.enter({}, '#/webhooks')
  await hook(page, 'ops').getByText('Not used yet').waitFor()
  await page.getByText('Nothing was to be sent yet.').waitFor()
  await page.getByRole('button', { name: 'Test ops' }).click()
  await hook(page, 'ops').getByText(/^Test taken: 204 in \d+ ms$/).waitFor()
  assert.deepEqual(ops.got.map((one) => one.type), ['webhook.test'])
  ops.answer = 500
  await page.getByRole('button', { name: 'Test ops' }).click()
  await hook(page, 'ops').getByText(/^Test not taken: .*500/).waitFor()
  ops.answer = 204
})

test('what waits and what is dead is there as it happens, and tried again', async () => {
  const page = await it.enter({}, '#/webhooks')
  await hook(page, 'chat').waitFor()
  const link = page.getByRole('link', { name: /^Webhooks/ })
  await counts(link.locator('em'), 0)
  ops.answer = chat.answer = 503
  await fail()
  await hook(page, 'ops').getByText('Failing', { exact: true }).waitFor()
  await link.getByLabel('2 in trouble').waitFor()
  await fact(page, 'ops', 'Waiting').getByText('1', { exact: true }).waitFor()
  await hook(page, 'ops').getByText(/503 .*; next try (now|in \d+ s)$/).waitFor()
  await fact(page, 'chat', 'Dead').getByText('1', { exact: true }).waitFor()
  await page.getByLabel('To which webhook').selectOption('chat')
  const dead = message(page, 'service.failed')
  await dead.getByText('Dead', { exact: true }).waitFor()
  await dead.getByText(/^1 try: .*503/).waitFor()
  await counts(page.locator('.message'), 1, 'of this webhook alone')

  // Another one waits behind it; only what was chosen is sent again.
  await it.stack.run('stop', 'web')
  await message(page, 'service.stopped').getByText('Dead', { exact: true }).waitFor()
  chat.answer = 204
  const [{ id }] = chat.got
  await dead.getByRole('button', { name: /^Retry service.failed/ }).click()
  await dead.getByText('Arrived').waitFor()
  assert.deepEqual(chat.got.filter((one) => one.id === id).length, 2)
  await hook(page, 'chat').getByText('OK', { exact: true }).waitFor()
  await page.getByRole('group', { name: 'Which messages' }).getByRole('button', { name: 'Dead' }).click()
  await counts(page.locator('.message'), 1, 'only what is dead')

  // All of a webhook at once, which leaves nothing to be tried again.
  await page.getByRole('button', { name: 'Retry all of chat' }).click()
  await page.getByText('chat: 1 message is tried again').waitFor()
  await page.getByText('No message is dead.').waitFor()
  await fact(page, 'chat', 'Dead').getByText('0', { exact: true }).waitFor()
  await counts(page.getByRole('button', { name: 'Retry all of chat' }), 0)
  ops.answer = 204
  await page.getByRole('button', { name: 'Retry all of ops' }).click()
  await fact(page, 'ops', 'Waiting').getByText('0', { exact: true }).waitFor()
  await counts(link.locator('em'), 0, 'no badge')
  await it.stack.run('start', 'web')
})

test('a receiver that wants nothing any more is asked again', async () => {
  const page = await it.enter({}, '#/webhooks')
  await page.getByRole('button', { name: 'Test chat' }).waitFor()
  chat.answer = 410
  await fail()
  await hook(page, 'chat').getByText('Disabled', { exact: true }).waitFor()
  chat.answer = 204
  await page.getByRole('button', { name: 'Retry all of chat' }).click()
  await hook(page, 'chat').getByText('OK', { exact: true }).waitFor()
})

test('one is added with a secret that is told once, and removed with what it had', async () => {
  const page = await it.enter({}, '#/webhooks')
  // What is refused is an answer of 400 and more.
  page.expected = true
  const dialog = page.getByRole('dialog')
  const add = async (name, path, events) => {
    await page.getByRole('button', { name: 'New webhook' }).click()
    await dialog.getByLabel('Name').fill(name)
    await dialog.getByLabel('URL').fill(`${chat.url}/${path}`)
    await dialog.getByLabel('Events').fill(events)
    await dialog.getByRole('button', { name: 'Add' }).click()
  }
  await add('extra', PATH, 'service.nope')
  await dialog.getByRole('alert').getByText(/service\.nope/).waitFor()
  assert.equal(await dialog.getByLabel('URL').inputValue(), `${chat.url}/${PATH}`, 'what was typed stays')
  await dialog.getByLabel('Events').fill('service.failed, alert.*')
  await dialog.getByRole('button', { name: 'Add' }).click()
  const secret = await page.getByRole('dialog', { name: 'Webhook extra' }).locator('code').textContent()
  assert.match(secret, /^whsec_\S{20,}$/)
  await page.getByRole('button', { name: 'Done' }).click()
  await hook(page, 'extra').getByText('service.failed, alert.*').waitFor()
  for (const hidden of [secret, PATH]) assert.ok(!(await page.content()).includes(hidden), 'it is nowhere any more')
  await page.getByRole('button', { name: 'Test extra' }).click()
  await hook(page, 'extra').getByText(/^Test taken/).waitFor()

  // What is there is not changed by an addition.
  await add('extra', 'elsewhere', 'service.*')
  await dialog.getByRole('alert').waitFor()
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await hook(page, 'extra').getByText('service.failed, alert.*').waitFor()

  await counts(page.getByRole('button', { name: 'Remove ops' }), 0, 'what the file declares is changed there')
  await page.getByRole('button', { name: 'Remove extra' }).click()
  await page.getByRole('dialog', { name: 'Remove extra?' }).getByRole('button', { name: 'Remove' }).click()
  await page.getByText('extra is told of nothing any more').waitFor()
  await counts(hook(page, 'extra'), 0, 'it is gone')
  assert.ok(!(await it.stack.run('webhook', 'list')).includes('extra'))
})

test('no secret, path or header of a webhook is on the page', async () => {
  const page = await it.open()
  const answers = []
  // The stream of events has no end.
  const ends = (response) => response.headers()['content-type'] !== 'text/event-stream'
  page.on('response', (response) => ends(response) && answers.push(response.text().catch(() => '')))
  await page.goto(await it.door.link())
  await page.locator('[data-service]').first().waitFor()
  await page.evaluate(() => (location.hash = '#/webhooks'))
  await hook(page, 'ops').getByText(ops.url, { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Test ops' }).click()
  await hook(page, 'ops').getByText(/^Test taken/).waitFor()
  const all = [await page.content(), ...(await Promise.all(answers))].join('\n')
  assert.ok(all.includes(ops.url), 'the answer is among them')
  for (const hidden of [PATH, KEY, SECRET]) assert.ok(!all.includes(hidden), hidden)
})

test('who may not ask is told so and sees what there is', async () => {
  const reads = await it.as('read', '#/webhooks')
  await reads.getByText('To test and to retry needs “admin”; your role is “read”.').waitFor()
  const before = ops.got.length
  const button = reads.getByRole('button', { name: 'Test ops' })
  assert.ok(await button.isDisabled())
  await button.click({ force: true })
  await reads.getByText('Your role is “read”. This needs “admin”.').waitFor()
  assert.equal(ops.got.length, before)
  const scoped = await it.as('operate', '#/webhooks', 'web')
  await scoped.getByText('Your token is for other services.').waitFor()
  await counts(scoped.getByRole('link', { name: /^Webhooks/ }), 0)
})
