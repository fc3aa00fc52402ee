// Pictures of every page, at both widths and in both colours: node tests/shots.mjs [SIZE]
// With SIZE a fleet of so many services instead of the small stack, with `mesh=SIZE` so many that wait for each other.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { receiver } from '../dev/receiver.mjs'
import { furnish, many, mesh, shopTelling, start } from '../dev/stack.mjs'
import { browser, door } from './door.mjs'

const given = process.argv[2] ?? ''
const knots = Number(given.match(/^mesh=(\d+)$/)?.[1] ?? 0)
const size = knots || Number(given)
const out = join(import.meta.dirname, '../test-results')
mkdirSync(out, { recursive: true })
const hooks = await receiver()
const stack = await start(knots ? mesh(knots) : size ? many(size) : shopTelling(hooks))
const { chrome, open } = await browser()
const place = await door(stack)
try {
  if (!size) await furnish(stack)
  const small = {
    services: '#/',
    graph: '#/graph',
    'graph-list': '#/graph/list',
    service: '#/service/api',
    config: '#/service/api/config',
    logs: '#/service/api/logs',
    receipts: '#/service/flaky/receipts',
    web: '#/service/web/logs',
    events: '#/events',
    alerts: '#/alerts',
    ports: '#/ports',
    owners: '#/owners',
    webhooks: '#/webhooks',
    daemon: '#/daemon',
    audit: '#/audit',
    tokens: '#/tokens',
  }
  const views = knots ? { graph: '#/graph' } : size ? { services: '#/' } : small
  for (const [width, height] of [[1440, 900], [390, 844]]) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await open({ viewport: { width, height }, colorScheme, deviceScaleFactor: width === 390 ? 2 : 1 })
      await page.goto(place.link())
      await page.getByRole('heading', { name: 'Services' }).waitFor()
      await page.waitForTimeout(colorScheme === 'light' && width === 1440 && !size ? 14_000 : 5000)
      for (const [name, hash] of Object.entries(views)) {
        await page.evaluate((hash) => (location.hash = hash), hash)
        await page.waitForTimeout(1500)
        await page.screenshot({ path: join(out, `${knots ? `mesh-${knots}-` : size ? 'many-' : ''}${name}-${width}-${colorScheme}.png`) })
      }
      await page.context().close()
    }
  }
} finally {
  await chrome.close()
  await place.end()
  await stack.end()
  await hooks.end()
}
