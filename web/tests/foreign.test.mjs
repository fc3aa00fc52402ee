import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { bench, orphanOf, picture, until } from './kit.mjs'

// Everything that somebody else can write, as something that would run if it were a part of the page.
const SCRIPT = '<img src=x onerror=window.pwned=1>'
const sleeps = ['/bin/sh', '-c', `echo "${SCRIPT}"; printf '\\033[31m${SCRIPT}\\033[0m\\n'; sleep 100000 & wait # ${SCRIPT}`]
const it = bench(
  {
    services: {
      web: { command: sleeps.map((one) => one.replaceAll('$', '$$$$')), working_dir: SCRIPT, rules: { crowd: { processes: 1, action: 'warn' } } },
      broken: { command: [`/nowhere/${SCRIPT}`], restart: 'no' },
      watches: { command: ['sleep', '100000'], watch: { paths: ['src'], action: 'restart' } },
      db: { command: ['sleep', '100000'], depends_on: { web: { condition: 'started' } }, labels: { note: SCRIPT } },
    },
  },
  // It is to be there before the stack is.
  undefined,
  ({ project }) => [SCRIPT, 'src'].forEach((name) => mkdirSync(join(project, name))),
)

const background = []
after(() => background.forEach((one) => one.kill('SIGKILL')))

/** On this view it stands as text, and nowhere as a part of the page. */
async function isText(page, hash, place = 'main') {
  await page.evaluate((to) => (location.hash = to), hash)
  await page.locator(place).getByText(SCRIPT).first().waitFor()
  assert.deepEqual(await page.evaluate(() => [document.querySelectorAll('img[src="x"]').length, window.pwned]), [0, undefined], hash)
}

test('what others write is text on every view', async () => {
  const page = await it.enter()
  await isText(page, '#/')
  await isText(page, '#/service/web', '[aria-labelledby="facts-title"]')
  await isText(page, '#/service/web', '[aria-labelledby="processes-title"]')
  await isText(page, '#/service/web', '[aria-labelledby="lines-title"]')
  await picture(page, 'script')
  await isText(page, '#/service/web/logs')
  await isText(page, '#/service/web/config')
  await isText(page, '#/service/db/config')
  await isText(page, '#/service/broken/events')
  await isText(page, '#/alerts')
})

test('a name that somebody was given in a link', async () => {
  const page = await it.enter()
  // That there is no such service.
  page.expected = true
  await isText(page, `#/service/${encodeURIComponent(SCRIPT)}`, 'h1')
})

test('names of files and of programs that were asked for', async () => {
  const page = await it.enter({}, '#/events')
  await page.locator('.event', { hasText: 'watch.begun' }).waitFor()
  writeFileSync(join(it.stack.project, 'src', SCRIPT), '')
  await page.locator('.event', { hasText: 'watch.changed' }).getByText(SCRIPT).waitFor()
  await isText(page, '#/service/watches/events')
  await it.stack.run('run', '--', SCRIPT).catch(() => {})
  await isText(page, '#/audit')
})

test('commands of whoever holds a lease, and of orphans', async () => {
  const command = ['sh', '-c', `sleep 100000 & wait # ${SCRIPT}`]
  const holder = spawn(command[0], command.slice(1), { stdio: 'ignore', detached: true })
  background.push({ kill: () => process.kill(-holder.pid, 'SIGKILL') })
  await it.stack.run('run', '-d', '--owner', 'job', '--lease-pid', String(holder.pid), '--', 'sleep', '100000')
  const page = await it.enter()
  await isText(page, '#/owners')
  const orphan = await orphanOf((await it.service('db')).pid, command)
  background.push({ kill: orphan.end })
  await isText(page, '#/ports')
  await page.locator('.orphan', { hasText: String(orphan.pid) }).getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
  await page.getByText(/ended, nothing left/).waitFor()
  await isText(page, '#/events', 'dialog')
})

test('receipts and questions', async () => {
  const page = await it.enter({}, '#/service/web')
  await page.getByRole('button', { name: /^Signal process/ }).first().click()
  await isText(page, '#/service/web', 'dialog')
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog', { name: 'Receipt of web' }).getByText('Nothing left').waitFor()
  await isText(page, '#/service/web', 'dialog')
  await page.getByRole('button', { name: 'Close' }).click()
  await page.evaluate(() => (location.hash = '#/service/web/receipts'))
  await page.locator('summary').click()
  await isText(page, '#/service/web/receipts')
  await until('it is stopped', async () => (await it.service('web')).state === 'stopped')
})
