import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bench, counts, row, same } from './kit.mjs'

const sleeps = { command: ['sleep', '100000'] }
const it = bench({ services: { web: sleeps, db: sleeps } })

test('a link logs in, once, and is gone from the address', async () => {
  const link = await it.door.link()
  const page = await it.open()
  await page.goto(link)
  await row(page, 'web').waitFor()
  await same(() => new URL(page.url()).hash, '')
  const cookies = await page.context().cookies()
  assert.ok(cookies.length === 1 && cookies[0].httpOnly && cookies[0].sameSite === 'Strict', JSON.stringify(cookies))

  await page.reload()
  await row(page, 'web').waitFor()

  const other = await it.open()
  other.expected = true
  await other.goto(link)
  await other.getByRole('alert').getByText('used already').waitFor()
  assert.equal(await other.locator('[data-service]').count(), 0)
})

test('a wrong token is refused, a right one is not', async () => {
  const page = await it.open()
  page.expected = true
  await page.goto(it.door.base)
  await page.getByLabel('Token').fill('kennel_wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  await page.getByRole('alert').getByText('not known here').waitFor()
  await page.getByLabel('Token').fill(await it.door.token('operate'))
  await page.getByRole('button', { name: 'Log in' }).click()
  await row(page, 'web').waitFor()

  await page.getByRole('button', { name: 'Log out' }).click()
  await page.getByLabel('Token').waitFor()
  await page.reload()
  await page.getByLabel('Token').waitFor()
})

test('who may only read is told so at the buttons', async () => {
  const page = await it.open()
  page.expected = true
  await page.goto(it.door.base)
  await page.getByLabel('Token').fill(await it.door.token('read'))
  await page.getByRole('button', { name: 'Log in' }).click()
  await row(page, 'web').click()
  const stop = page.getByRole('button', { name: 'Stop' })
  await stop.waitFor()
  assert.ok(await stop.isDisabled())
  assert.match(await stop.getAttribute('title'), /Your role is “read”/)
  await stop.click({ force: true })
  assert.equal(await page.locator('dialog[open]').count(), 0)
  assert.equal((await it.service('web')).state, 'ready')
})

test('a token for one service shows that one alone', async () => {
  const page = await it.open()
  page.expected = true
  await page.goto(it.door.base)
  await page.getByLabel('Token').fill(await it.door.token('operate', 'web'))
  await page.getByRole('button', { name: 'Log in' }).click()
  await row(page, 'web').waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  assert.equal(await row(page, 'db').count(), 0)
  await counts(page.getByRole('link', { name: 'Alerts' }), 0)
  assert.ok(await page.getByRole('button', { name: 'Stop all' }).isDisabled())
  await row(page, 'web').click()
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog', { name: 'Receipt of web' }).getByText('Nothing left').waitFor()
  await it.stack.run('start', 'web')
  await page.getByRole('button', { name: 'Close' }).click()
  await page.getByRole('button', { name: 'Restart' }).waitFor()
})

test('a session that is over leads to the form', async () => {
  const page = await it.enter()
  page.expected = true
  await page.context().clearCookies()
  await page.getByLabel('Token').waitFor()
})
