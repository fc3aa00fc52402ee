import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bench, counts, otherVersion, picture, row, until } from './kit.mjs'

const it = bench({
  services: {
    ticks: { shell: true, command: 'i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.05; done' },
    web: { command: ['sleep', '100000'], restart: 'no' },
  },
})

test('another version takes over under the open page', async () => {
  const page = await it.enter({}, '#/service/ticks/logs')
  page.expected = true
  await page.setViewportSize({ width: 1440, height: 16_000 })
  await page.getByText('Live', { exact: true }).waitFor()
  const line = page.getByTestId('log').locator('.line .text')
  await line.first().waitFor()
  const lines = async () => (await line.allTextContents()).map((one) => Number(one.slice('tick '.length)))
  const before = (await lines()).at(-1)
  const services = await it.services()
  const { daemon } = JSON.parse(await it.stack.run('doctor', '--json'))
  const other = otherVersion(it.stack, daemon.version)

  await it.stack.run('upgrade', '--to', other.path)
  const banner = page.getByText(`kennel is version ${other.version} now, and this page is of ${daemon.version}.`)
  await banner.waitFor()
  assert.equal(await page.getByText(/^Disconnected for/).count(), 0)
  await until('lines after it', async () => (await lines()).at(-1) > before + 40)
  const all = await lines()
  assert.deepEqual(all, all.map((_, index) => all[0] + index), 'no line is missing and none is there twice')
  assert.deepEqual((await it.services()).map((one) => [one.name, one.pid, one.restarts]), services.map((one) => [one.name, one.pid, one.restarts]))

  // The old page works with the new daemon.
  await page.setViewportSize({ width: 1440, height: 900 })
  await page.evaluate(() => (location.hash = '#/'))
  await it.stack.run('stop', 'web')
  await row(page, 'web').getByText('Stopped').waitFor()
  await picture(page, 'upgraded')
  await row(page, 'web').click()
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.getByText(/web is ready after/).waitFor()

  await page.getByRole('button', { name: 'Load it again' }).click()
  await page.getByRole('heading', { name: 'web' }).waitFor()
  await page.getByText('Live', { exact: true }).waitFor()
  await counts(banner, 0)
  await page.evaluate(() => (location.hash = '#/daemon'))
  await page.getByRole('heading', { name: `kennel ${other.version}` }).waitFor()
  await picture(page, 'upgraded-daemon')
})
