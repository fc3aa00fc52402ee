// The pictures of docs/dashboard.md, of the example stack: npm run pictures. What is of this machine alone is not on them.
import { join } from 'node:path'
import { shop, start } from '../dev/stack.mjs'
import { browser, door } from './door.mjs'

const out = join(import.meta.dirname, '../../docs/img')
const SETTLED_MS = 90_000
const VIEWS = [
  { name: 'services', hash: '#/', wait: '[data-service]' },
  { name: 'service', hash: '#/service/api', wait: '.u-wrap', height: 880 },
  { name: 'graph', hash: '#/graph', wait: '.line', height: 540 },
  { name: 'phone', hash: '#/', wait: '[data-service]', width: 390, height: 844, scale: 1.5 },
]

/** As a project in somebody's home, and without the way it was found. */
const disguise = (root) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(root, '/srv')
  document.querySelector('.who')?.replaceChildren('you · admin')
}

const stack = await start(shop)
const { chrome, open } = await browser()
const place = await door(stack)
try {
  const began = Date.now()
  for (const { name, hash, wait, width = 1280, height = 800, scale = 1 } of VIEWS) {
    const page = await open({ viewport: { width, height }, colorScheme: 'light', deviceScaleFactor: scale })
    await page.goto(await place.link())
    await page.locator('[data-service]').first().waitFor()
    await page.evaluate((to) => (location.hash = to), hash)
    await page.locator(wait).first().waitFor()
    // Charts have something to show by then.
    await page.waitForTimeout(Math.max(3000, began + SETTLED_MS - Date.now()))
    await page.evaluate(disguise, stack.root)
    await page.screenshot({ path: join(out, `${name}.png`) })
    await page.context().close()
  }
} finally {
  await chrome.close()
  await place.end()
  await stack.end()
}
