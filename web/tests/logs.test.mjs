import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { bench, counts, same } from './kit.mjs'

const dir = mkdtempSync(join(tmpdir(), 'kennel-lines-'))
const file = join(dir, 'lines')
writeFileSync(file, '')
const SCRIPT = '<img src=x onerror="document.title=`taken`"><script>document.title="taken"</script>'
const it = bench({
  name: '<img src=x onerror=document.title=1>',
  services: {
    says: { command: ['tail', '-n', '+1', '-f', '-s', '0.1', file] },
    many: { command: ['/bin/sh', '-c', 'i=0; while [ $$i -lt 30000 ]; do i=$$((i+1)); echo "line $$i"; done; sleep 100000'] },
    markup: { command: ['/bin/sh', '-c', 'echo up; sleep 100000', SCRIPT] },
  },
})
after(() => rmSync(dir, { recursive: true, force: true }))

const say = (text) => appendFileSync(file, `${text}\n`)

test('lines are followed, and not while somebody reads further up', async () => {
  const page = await it.enter({}, '#/service/says/logs')
  const log = page.getByTestId('log')
  for (let i = 0; i < 200; i++) say(`before ${i}`)
  await log.getByText('before 199', { exact: true }).waitFor()
  say('now')
  await log.getByText('now', { exact: true }).waitFor()

  await log.hover()
  await page.mouse.wheel(0, -1500)
  await page.getByRole('button', { name: 'To the newest' }).waitFor()
  const place = await log.evaluate((one) => one.scrollTop)
  say('later')
  await page.getByRole('button', { name: '1 new line' }).waitFor()
  assert.equal(await log.evaluate((one) => one.scrollTop), place)
  await page.getByRole('button', { name: '1 new line' }).click()
  await log.getByText('later', { exact: true }).waitFor()
})

test('what services say is text, whatever it is', async () => {
  const page = await it.enter({}, '#/service/says/logs')
  const log = page.getByTestId('log')
  say(SCRIPT)
  say('\u001b[31mred\u001b[0m \u001b]8;;http://evil.example\u0007link\u001b]8;;\u0007 \u001b[2J\u202eturned')
  await log.getByText(SCRIPT, { exact: true }).waitFor()
  await log.locator('.fg1').getByText('red').waitFor()
  await same(() => log.locator('.line .text').last().textContent(), 'red link \ufffdturned')
  assert.equal(await page.locator('main img, main script').count(), 0)

  await page.evaluate(() => (location.hash = '#/service/markup'))
  await page.getByText(SCRIPT).first().waitFor()
  await page.evaluate(() => (location.hash = '#/'))
  await page.locator('[data-service="markup"]').getByText(SCRIPT).waitFor()
  await page.getByText('<img src=x onerror=document.title=1>').waitFor()
  assert.match(await page.title(), /^Services · /)
  assert.equal(await page.locator('main img, main script').count(), 0)
})

test('a search goes through all of the log', async () => {
  const page = await it.enter({}, '#/service/many/logs')
  const log = page.getByTestId('log')
  await log.getByText('line 30000', { exact: true }).waitFor()
  assert.ok((await log.locator('.line').count()) < 150, 'only what is seen is there')
  // Far before what was read.
  await page.getByLabel('Search in all of the log').fill('LINE 1234')
  await log.getByText('line 12349', { exact: true }).waitFor()
  await counts(log.locator('.line'), 11, 'eleven lines')
  await same(() => log.locator('mark').first().textContent(), 'line 1234')

  await page.getByRole('button', { name: 'Regular expression' }).click()
  await page.getByLabel('Search in all of the log').fill('^line 7+$')
  await counts(log.locator('.line'), 4, 'four lines')
  page.expected = true
  await page.getByLabel('Search in all of the log').fill('(')
  await page.getByRole('alert').waitFor()
})
