import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { AxeBuilder } from '@axe-core/playwright'
import { receiver } from '../dev/receiver.mjs'
import { furnish, shopTelling } from '../dev/stack.mjs'
import { bench, picture } from './kit.mjs'

const hooks = await receiver()
after(hooks.end)
const it = bench(shopTelling(hooks), furnish)
// Each with what is there once all of it is.
const VIEWS = {
  '#/': '[data-service]',
  '#/graph': '.line',
  '#/graph/list': 'td',
  '#/service/api': '.u-wrap',
  '#/service/api/logs': '.line',
  '#/service/flaky/events': '.event',
  '#/service/flaky/receipts': '.receipt',
  '#/service/api/config': 'td',
  '#/events': '.event',
  '#/alerts': '.alert',
  '#/ports': 'td',
  '#/owners': 'dl',
  '#/webhooks': '.message',
  '#/daemon': 'dl',
  '#/audit': 'td',
  '#/tokens': 'td',
}

/** What axe complains of: all rules, or these. */
const violations = async (page, rules) => {
  // The page has no frames, so what was found need not be put together on another page.
  const axe = new AxeBuilder({ page }).setLegacyMode()
  const { violations } = await (rules ? axe.withRules(rules) : axe).analyze()
  return violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`)
}

/** What would have to be moved sideways to be seen; tables and logs may be, in boxes of their own. */
const tooWide = (page) =>
  page.evaluate(() => {
    const boxes = [...document.querySelectorAll('main, main > *, main .page, main .overview, main .receipts, main .config, main .list.body, main .list.events, nav')]
    return boxes.filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'contents').map((one) => one.className)
  })

for (const [width, height] of [[1440, 900], [390, 844]]) {
  for (const colorScheme of ['light', 'dark']) {
    test(`accessible and within the width at ${width} px, ${colorScheme}`, async () => {
      const page = await it.enter({ viewport: { width, height }, colorScheme })
      // In the dark nothing but the colours is another.
      const rules = colorScheme === 'dark' ? ['color-contrast'] : undefined
      for (const [view, sign] of Object.entries(VIEWS)) {
        await page.evaluate((hash) => (location.hash = hash), view)
        await page.locator(sign).first().waitFor()
        assert.deepEqual(await violations(page, rules), [], view)
        assert.deepEqual(await tooWide(page), [], view)
      }
      await page.evaluate(() => (location.hash = '#/service/db'))
      await page.getByRole('button', { name: 'Restart' }).click()
      await page.getByRole('dialog').waitFor()
      assert.deepEqual(await violations(page, rules), [], 'question')
      await page.getByRole('dialog').getByRole('button', { name: 'Restart' }).click()
      await page.getByRole('dialog', { name: 'Receipt of db' }).waitFor()
      assert.deepEqual(await violations(page, rules), [], 'receipt')
      await page.getByRole('button', { name: 'Close' }).click()
      await page.getByRole('button', { name: /^Signal process/ }).first().click()
      await page.getByRole('dialog').waitFor()
      assert.deepEqual(await violations(page, rules), [], 'signal')
      await page.keyboard.press('Escape')
      if (width < 720) {
        await page.getByRole('button', { name: 'More' }).click()
        await page.getByRole('link', { name: 'Tokens' }).waitFor()
        assert.deepEqual(await violations(page, rules), [], 'more')
        await picture(page, `more-${width}-${colorScheme}`)
      }
      await page.getByRole('link', { name: 'Tokens' }).click()
      await page.getByRole('button', { name: 'New token' }).click()
      await page.getByRole('dialog').waitFor()
      assert.deepEqual(await violations(page, rules), [], 'token')
      await picture(page, `token-${width}-${colorScheme}`)
      await page.keyboard.press('Escape')
      await page.evaluate(() => (location.hash = '#/webhooks'))
      await page.getByRole('button', { name: 'New webhook' }).click()
      await page.getByRole('dialog').getByLabel('URL').waitFor()
      assert.deepEqual(await violations(page, rules), [], 'webhook')
    })
  }
}

test('the form to log in is accessible', async () => {
  const page = await it.open()
  page.expected = true
  await page.goto(it.door.base)
  await page.getByLabel('Token').waitFor()
  assert.deepEqual(await violations(page), [])
})

test('the first view is small, and its policy holds', async () => {
  const page = await it.open()
  const sizes = {}
  page.on('response', async (response) => {
    const path = new URL(response.url()).pathname
    if (!path.startsWith('/v1/')) sizes[path] = gzipSync(await response.body(), { level: 9 }).length
  })
  await page.goto(await it.door.link())
  await page.locator('[data-service]').first().waitFor()
  assert.ok(!Object.keys(sizes).some((path) => path.includes('Chart')), 'charts come later')
  const first = Object.values(sizes).reduce((sum, one) => sum + one, 0)
  console.log(`${Math.round(first / 1000)} kB, compressed`)
  assert.ok(first < 150_000, `${first} bytes`)
  const policy = (await page.request.get(it.door.base)).headers()['content-security-policy']
  assert.match(policy, /default-src 'none'.*script-src 'self'/)
  assert.doesNotMatch(policy, /unsafe/)
})
