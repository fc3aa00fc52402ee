import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bench, counts, picture, row, same, until } from './kit.mjs'

const it = bench({ services: { ticks: { shell: true, command: 'i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.05; done', on_daemon_loss: 'keep' }, web: { command: ['sleep', '100000'], restart: 'no', on_daemon_loss: 'keep' } } })

test('the page goes on with another daemon', async () => {
  const page = await it.enter()
  page.expected = true
  await page.getByText('Live', { exact: true }).waitFor()
  await it.stack.run('daemon', 'restart')
  await it.stack.run('stop', 'web')
  await row(page, 'web').getByText('Stopped').waitFor()
  await it.stack.run('start', 'web')
  await row(page, 'web').getByText('Ready').waitFor()
  await page.evaluate(() => (location.hash = '#/events'))
  const kinds = () => page.evaluate(() => [...document.querySelectorAll('.event .kind')].map((one) => one.textContent))
  const numbers = await until('the hand-over and the stop after it', async () => {
    const all = await kinds()
    return ['daemon.replaced', 'service.stopped'].every((one) => all.includes(one)) && all
  })
  assert.equal(numbers.filter((one) => one === 'service.stopped').length, 1, 'nothing twice')
})

test('a log goes on with another daemon, without a gap and nothing twice', async () => {
  const page = await it.enter({}, '#/service/ticks/logs')
  page.expected = true
  const log = page.getByTestId('log')
  await log.locator('.line').first().waitFor()
  // All lines there are, as nothing scrolls away in so tall a window.
  await page.setViewportSize({ width: 1440, height: 16_000 })
  const lines = async () => (await log.locator('.line .text').allTextContents()).map((one) => Number(one.slice('tick '.length)))
  const before = (await lines()).at(-1)
  await it.stack.run('daemon', 'restart')
  await until('lines after it', async () => (await lines()).at(-1) > before + 60)
  const all = await lines()
  assert.ok(all[0] <= before, `${all[0]} ${before}`)
  assert.deepEqual(all, all.map((_, index) => all[0] + index))
})

test('a page that nobody sees gives its streams back, and misses nothing', async () => {
  const page = await it.enter({}, '#/service/ticks/logs')
  await page.clock.install()
  const show = (state) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'visibilityState', { value, configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))
    }, state)
  await page.setViewportSize({ width: 1440, height: 16_000 })
  const log = page.getByTestId('log')
  const lines = async () => (await log.locator('.line .text').allTextContents()).map((one) => Number(one.slice('tick '.length)))
  await log.locator('.line').first().waitFor()
  await show('hidden')
  // As much as makes it so, without the wait.
  await page.clock.fastForward(15_000)
  await page.getByText('Connecting', { exact: true }).waitFor()
  await it.stack.run('stop', 'web')
  const before = (await lines()).at(-1)
  await show('visible')
  await page.getByText('Live', { exact: true }).waitFor()
  await until('lines after it', async () => (await lines()).at(-1) > before + 20)
  const all = await lines()
  assert.deepEqual(all, all.map((_, index) => all[0] + index))
  await page.evaluate(() => (location.hash = '#/service/web/events'))
  await page.getByText('stopped', { exact: true }).first().waitFor()
})

test('a daemon that is killed is followed by another one, and its services are there all the time', async () => {
  await it.stack.run('start', 'web')
  const page = await it.enter()
  page.expected = true
  await page.getByText('Live', { exact: true }).waitFor()
  await row(page, 'web').getByText('Ready').waitFor()
  const before = await it.services()
  await page.evaluate(() => {
    const rows = () => document.querySelectorAll('[data-service]').length
    window.fewest = rows()
    new MutationObserver(() => (window.fewest = Math.min(window.fewest, rows()))).observe(document.body, { childList: true, subtree: true })
  })
  const info = JSON.parse(await it.stack.run('doctor', '--json')).daemon
  process.kill(info.pid, 'SIGKILL')
  await until('another daemon', async () => {
    const { daemon } = JSON.parse(await it.stack.run('doctor', '--json').catch((error) => error.stdout))
    return daemon && daemon.pid !== info.pid
  })
  await until('news of it', async () => (await page.evaluate(() => fetch('/v1/info').then((one) => one.ok && one.json())))?.pid !== info.pid)
  await page.getByText('Live', { exact: true }).waitFor()
  await row(page, 'web').getByText('Ready').waitFor()
  assert.equal(await page.evaluate(() => window.fewest), 2, 'nothing vanished meanwhile')
  assert.deepEqual((await it.services()).map((one) => [one.name, one.pid]), before.map((one) => [one.name, one.pid]))
  await picture(page, 'daemon-killed')
  // What is pressed now reaches the new one.
  await row(page, 'web').click()
  await page.getByRole('button', { name: 'Restart' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click()
  await page.getByRole('dialog', { name: 'Receipt of web' }).getByText('Nothing left').waitFor()
  await page.getByRole('button', { name: 'Close' }).click()
  await page.evaluate(() => (location.hash = '#/daemon'))
  const next = page.getByRole('row', { name: /^Process \d+ \d+$/ })
  await until('the next daemon', async () => (await next.count()) === 1 && (await next.locator('td').first().textContent()) !== String(info.pid))
})

test('nobody is told that all is well while nothing comes', async () => {
  const page = await it.enter()
  page.expected = true
  await page.getByText('Live', { exact: true }).waitFor()
  await page.context().setOffline(true)
  await page.getByText(/^Disconnected for/).waitFor()
  assert.ok(await row(page, 'web').isVisible(), 'what was known stays')
  const { state } = await it.service('web')
  await it.stack.run(state === 'stopped' ? 'start' : 'stop', 'web')
  await page.context().setOffline(false)
  await row(page, 'web').getByText(state === 'stopped' ? 'Ready' : 'Stopped').waitFor()
  await counts(page.getByText(/^Disconnected for/), 0, 'no banner')
})

test('a first look that is late takes nothing back', async () => {
  await it.stack.run('start', 'web')
  const page = await it.open()
  let [late, release] = [false, () => {}]
  const held = new Promise((resolve) => (release = resolve))
  await page.route('**/v1/events?tail=*', async (route) => {
    if (late) return route.continue()
    late = true
    const response = await route.fetch()
    await held
    await route.fulfill({ response })
    late = 'told'
  })
  await page.goto(await it.door.link())
  await until('the first look is held', () => late)
  // Whoever comes back to the page makes it look again.
  await page.evaluate(() => dispatchEvent(new Event('online')))
  await page.getByText('Live', { exact: true }).waitFor()
  await page.evaluate(() => (location.hash = '#/events'))
  // The newest first; of a list that is longer than the window the oldest are not there.
  const newest = async (n) => (await page.locator('.event .kind').allTextContents()).filter((one) => one === 'service.stopped' || one === 'instance.ready').slice(0, n)
  await it.stack.run('stop', 'web')
  await same(() => newest(2), ['service.stopped', 'instance.ready'])
  release()
  await until('what was held is there', () => late === 'told')
  await it.stack.run('start', 'web')
  await same(() => newest(3), ['instance.ready', 'service.stopped', 'instance.ready'])
})
