import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shop } from '../dev/stack.mjs'
import { bench, counts, orphanOf, picture, same, until } from './kit.mjs'

const it = bench(shop)

test('an alert can be answered where it stands', async () => {
  const page = await it.enter({}, '#/alerts')
  const alert = page.locator('.alert', { hasText: 'crowd' })
  await alert.getByText('processes; 2 is too much').waitFor()
  await alert.getByRole('button', { name: 'Freeze' }).click()
  await alert.getByRole('button', { name: 'Thaw' }).waitFor()
  await same(async () => (await it.service('busy')).frozen, true)
  await alert.getByRole('button', { name: 'Thaw' }).click()
  await alert.getByRole('button', { name: 'Freeze' }).waitFor()
  await alert.getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
  await page.getByRole('dialog', { name: 'Receipt of busy' }).getByText('Nothing left').waitFor()
})

test('who listens where', async () => {
  const page = await it.enter({}, '#/ports')
  const line = page.getByRole('row', { name: / db pg / })
  await line.getByText('Listening').waitFor()
  const { pid } = await it.service('db')
  await line.getByText(String(pid)).waitFor()
})

test('an orphan beside the daemon is found, and ended after a question', async () => {
  const page = await it.enter()
  const { pid } = await it.service('cache')
  const orphan = await orphanOf(pid)
  try {
    await page.evaluate(() => (location.hash = '#/ports'))
    const line = page.locator('.orphan', { hasText: String(orphan.pid) })
    await line.getByText('sleep 123456').waitFor()
    await line.getByText(/likely/).waitFor()
    await page.getByRole('link', { name: /Ports/ }).getByLabel('1 open').waitFor()
    await picture(page, 'orphan')
    await line.getByRole('button', { name: 'Stop' }).click()
    await page.getByRole('dialog', { name: `Stop orphan ${orphan.pid}?` }).getByRole('button', { name: 'Stop' }).click()
    await page.getByText('1 process ended, nothing left').waitFor()
    assert.equal(await orphan.ended, 'SIGTERM')
    await picture(page, 'orphan-ended')
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByText('No process of this kennel runs that nobody tracks.').waitFor()
    assert.equal((await it.service('cache')).pid, pid, 'whose stamp it was goes on')
    await page.evaluate(() => (location.hash = '#/events'))
    await page.getByText(`orphan ${orphan.pid} ended`).waitFor()
  } finally {
    orphan.end()
  }
})

test('an orphan is adopted as a service, and is a run like any other from then on', async () => {
  const page = await it.enter()
  // That it is not certain is an answer of 409.
  page.expected = true
  const orphan = await orphanOf((await it.service('cache')).pid)
  try {
    await page.evaluate(() => (location.hash = '#/ports'))
    const line = page.locator('.orphan', { hasText: String(orphan.pid) })
    await line.getByRole('button', { name: `Adopt ${orphan.pid}` }).click()
    const dialog = page.getByRole('dialog', { name: `Adopt orphan ${orphan.pid}?` })
    await dialog.getByText('sleep 123456').waitFor()
    assert.ok(!(await dialog.getByLabel('As').locator('option').allTextContents()).includes('cache'), 'what runs has its processes')
    await dialog.getByLabel('As').selectOption('mailer')
    await dialog.getByRole('button', { name: 'Adopt' }).click()
    await dialog.getByRole('alert').getByText(/likely/).waitFor()
    assert.equal(await it.service('mailer'), undefined, 'it does not run')
    await picture(page, 'adopt')
    await dialog.getByRole('checkbox').check()
    await dialog.getByRole('button', { name: 'Adopt' }).click()
    const held = page.getByRole('dialog', { name: 'Adopted as mailer' })
    await held.getByText(`1 process is held again; the main process is ${orphan.pid}.`).waitFor()
    await held.getByText('is not recorded').waitFor()
    await picture(page, 'adopted')
    assert.equal((await it.service('mailer')).pid, orphan.pid)
    await held.getByRole('link', { name: 'To mailer' }).click()
    await page.getByRole('heading', { name: 'mailer' }).waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Stop' }).click()
    await page.getByRole('dialog', { name: 'Receipt of mailer' }).getByText('Nothing left').waitFor()
    assert.equal(await orphan.ended, 'SIGTERM')
  } finally {
    orphan.end()
  }
})

test('the feed shows what happens, and only what is looked for', async () => {
  const page = await it.enter({}, '#/events')
  await page.getByLabel('Filter events').fill('cache')
  await it.stack.run('stop', 'cache')
  await page.getByText('stopped', { exact: true }).waitFor()
  await until('what happened to it alone', async () => {
    const shown = await page.locator('.event').allTextContents()
    return shown.length > 2 && shown.every((one) => one.includes('cache'))
  })
  await it.stack.run('start', 'cache')
})

test('the daemon, its promise and the machine', async () => {
  const page = await it.enter({}, '#/daemon')
  const { daemon } = JSON.parse(await it.stack.run('doctor', '--json'))
  await page.getByRole('row', { name: new RegExp(`^Process ${daemon.pid} ${daemon.keeper_pid}$`) }).waitFor()
  await page.getByText(/memory used/).waitFor()
  await page.getByRole('heading', { name: `Containment: ${daemon.containment.backend}` }).waitFor()
})

test('charts come with their figures, and processes as a tree', async () => {
  const page = await it.enter({}, '#/service/worker.1')
  await page.getByRole('img', { name: /Memory over time: .* now/ }).waitFor()
  const tree = page.getByRole('group', { name: 'Processes' })
  await tree.getByText('/bin/sh -c while').waitFor()
  await counts(tree.getByText('sleep 1.2', { exact: true }), 1, 'a child')
})
