import assert from 'node:assert/strict'
import { test } from 'node:test'
import { many } from '../dev/stack.mjs'
import { bench, counts, row, same, until } from './kit.mjs'

const fleet = many(1000)
// One runs; the others are there all the same.
for (const [name, service] of Object.entries(fleet.services)) if (name !== 'node-0001') service.profiles = ['all']
fleet.services.flood = { shell: true, command: 'while :; do seq 1000; done', restart: 'no', profiles: ['all'] }
const it = bench(fleet)

test('a thousand services', async () => {
  const page = await it.enter()
  const list = page.getByTestId('services')
  await same(() => page.getByRole('grid').getAttribute('aria-rowcount'), '1002')
  assert.ok((await page.locator('[data-service]').count()) < 60)

  await row(page, 'node-0001').focus()
  await page.keyboard.press('End')
  await until('the last one', () => page.evaluate(() => document.activeElement.dataset.service === 'flood'))
  await row(page, 'flood').waitFor()

  await page.getByLabel('Filter services').fill('0777')
  await counts(page.locator('[data-service]'), 1, 'one')
  await page.getByLabel('Filter services').fill('')

  // As somebody scrolls fast: frames go on, and no row is missing at the end.
  const slowest = await list.evaluate(async (box) => {
    let [slowest, last] = [0, performance.now()]
    for (let i = 0; i <= 100; i++) {
      box.scrollTop = (box.scrollHeight * i) / 100
      await new Promise(requestAnimationFrame)
      const now = performance.now()
      slowest = Math.max(slowest, now - last)
      last = now
    }
    return slowest
  })
  console.log(`the slowest of 100 frames: ${Math.round(slowest)} ms`)
  await row(page, 'node-1000').waitFor()
})

test('a flood of lines', async () => {
  const page = await it.enter({}, '#/service/flood/logs')
  await it.stack.run('start', 'flood')
  const log = page.getByTestId('log')
  await log.locator('.line').first().waitFor()
  const [frames, slowest] = await page.evaluate(async () => {
    let [frames, slowest, last] = [0, 0, performance.now()]
    const end = last + 5000
    while (last < end) {
      await new Promise(requestAnimationFrame)
      const now = performance.now()
      slowest = Math.max(slowest, now - last)
      last = now
      frames++
    }
    return [frames, slowest]
  })
  const shown = await page.evaluate(() => document.querySelectorAll('.line').length)
  const { log_bytes } = await it.service('flood')
  console.log(`${Math.round(log_bytes / 3.9)} lines written, ${frames} frames in 5 s, the slowest ${Math.round(slowest)} ms`)
  await it.stack.run('kill', 'flood')
  assert.ok(shown < 150)
  // Without turns for the page there are a dozen.
  assert.ok(frames > 30, `${frames} frames`)
})
