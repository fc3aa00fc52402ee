import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bench, counts, picture, same, until } from './kit.mjs'

const sleeps = { command: ['sleep', '100000'] }
const it = bench({
  services: {
    db: { command: ['/bin/sh', '-c', '[ -e hold ] || : > go; exec sleep 100000'], readiness: { file: 'go' } },
    cache: sleeps,
    api: { ...sleeps, depends_on: { db: { condition: 'healthy' }, cache: { condition: 'started' } } },
    worker: { ...sleeps, replicas: 3, depends_on: ['api'] },
    web: { ...sleeps, depends_on: ['api'] },
    mailer: sleeps,
  },
})

const node = (page, name) => page.locator(`[data-node="${name}"]`)

test('each stands behind what it waits for, and its state is live', async () => {
  await it.stack.run('stop', 'web', 'worker', 'api', 'db')
  rmSync(join(it.stack.project, 'go'))
  writeFileSync(join(it.stack.project, 'hold'), '')
  const started = it.stack.run('start', 'web', 'worker')
  const page = await it.enter({}, '#/graph')
  await node(page, 'api').getByText('Pending').waitFor()
  const at = async (name) => (await node(page, name).boundingBox()).x
  for (const [before, after] of [['db', 'api'], ['cache', 'api'], ['api', 'web'], ['api', 'worker']]) assert.ok((await at(before)) < (await at(after)), `${before} ${after}`)
  // The line that holds it back stands out, the other one does not.
  await counts(page.locator('path.line'), 4)
  await counts(page.locator('path.line.waits'), 1 + 2, 'lines from db, and from api to both of its')
  await picture(page, 'graph-waiting')

  rmSync(join(it.stack.project, 'hold'))
  writeFileSync(join(it.stack.project, 'go'), '')
  await started
  await node(page, 'worker').getByText('Ready, all 3').waitFor()
  await counts(page.locator('path.line.waits'), 0, 'no line that holds back')
  await it.stack.run('stop', 'worker.2')
  await node(page, 'worker').getByText(/Ready, 2 of 3|Stopped, 1 of 3/).waitFor()
  await it.stack.run('start', 'worker.2')
  await page.getByRole('region', { name: /On their own/ }).getByText('mailer').waitFor()
})

test('by the keyboard to a service and back', async () => {
  const page = await it.enter({}, '#/graph')
  await node(page, 'web').getByText('Ready').waitFor()
  const where = () => page.evaluate(() => document.activeElement.dataset.node)
  await counts(page.locator('[data-node][tabindex="0"]'), 1 + 1, 'one of the picture, and the one on its own')
  await page.locator('.picture [data-node][tabindex="0"]').focus()
  await page.keyboard.press('ArrowRight')
  await same(where, 'api')
  await page.keyboard.press('ArrowLeft')
  await until('before api', async () => ['db', 'cache'].includes(await where()))
  await page.keyboard.press('ArrowRight')
  await same(where, 'api')
  await page.keyboard.press('ArrowRight')
  await until('after api', async () => ['web', 'worker'].includes(await where()))
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: /^(web|worker\.1)$/ }).waitFor()
  await page.goBack()
  await node(page, 'api').waitFor()
})

test('as a list it says the same', async () => {
  const page = await it.enter({}, '#/graph')
  await page.getByRole('link', { name: 'List' }).click()
  await page.getByRole('row', { name: /^2 api Ready db healthy cache started worker web$/ }).waitFor()
  await page.getByRole('row', { name: /^1 mailer Ready – –$/ }).waitFor()
  await page.getByRole('row', { name: /^3 worker/ }).getByRole('link', { name: 'api' }).click()
  await page.getByRole('heading', { name: 'api' }).waitFor()
})

test('on a phone it leads downwards and fits the width', async () => {
  const page = await it.enter({ viewport: { width: 390, height: 844 } }, '#/graph')
  await node(page, 'api').waitFor()
  const at = async (name) => (await node(page, name).boundingBox()).y
  assert.ok((await at('db')) < (await at('api')) && (await at('api')) < (await at('web')))
  assert.ok(await page.evaluate(() => document.querySelector('.room').scrollWidth <= innerWidth))
  await page.getByRole('button', { name: 'More' }).click()
  await page.getByRole('link', { name: 'Owners' }).click()
  await page.getByRole('heading', { name: 'Owners and leases' }).waitFor()
  await until('the menu is closed', async () => !(await page.getByRole('link', { name: 'Tokens' }).isVisible()))
})
