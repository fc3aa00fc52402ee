import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { program, start } from '../dev/stack.mjs'
import { browser, door } from './door.mjs'

export const RESULTS = join(import.meta.dirname, '../test-results')

/**
 * A kennel with this configuration, its door, and a browser, for all tests of a file. A page that says an error fails its test.
 * What is to be done with the stack first is done by `prepare`, what in its directory before it is up by `beforehand`.
 */
export function bench(config, prepare = async () => {}, beforehand = () => {}) {
  const all = {}
  const pages = []
  before(async () => {
    mkdirSync(RESULTS, { recursive: true })
    all.stack = await start(config, beforehand)
    await prepare(all.stack)
    all.door = await door(all.stack)
    const { chrome, open } = await browser()
    all.chrome = chrome
    all.open = async (options) => {
      const page = await open(options)
      pages.push(page)
      return page
    }
    /** A page that is logged in as admin by a link. */
    all.enter = async (options, hash = '') => {
      const page = await all.open(options)
      await page.goto(await all.door.link())
      await page.getByRole('heading', { name: 'Services' }).waitFor()
      await page.locator('[data-service]').first().waitFor()
      if (hash) await page.evaluate((to) => (location.hash = to), hash)
      return page
    }
    /** A page that is logged in with a new token of this role, for these services or all. What it is refused may be told. */
    all.as = async (role, hash, ...services) => {
      const page = await all.open()
      page.expected = true
      await page.goto(all.door.base)
      await page.getByLabel('Token').fill(await all.door.token(role, ...services))
      await page.getByRole('button', { name: 'Log in' }).click()
      await page.locator('[data-service]').first().waitFor()
      await page.evaluate((to) => (location.hash = to), hash)
      return page
    }
    all.services = async () => JSON.parse(await all.stack.run('ps', '--json'))
    all.service = async (name) => (await all.services()).find((one) => one.name === name)
  })
  afterEach(async () => {
    const open = pages.splice(0)
    const said = open.flatMap((page) => (page.expected ? [] : page.said))
    for (const page of open) await page.context().close()
    assert.deepEqual(said, [], 'nothing on the console')
  })
  after(async () => {
    await all.chrome?.close()
    await all.door?.end()
    await all.stack?.end()
  })
  return all
}

/** Waits until this answers something, with a deadline. */
export async function until(what, ask, ms = 30_000) {
  const end = Date.now() + ms
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    assert.ok(Date.now() < end, `${what}: not within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** Waits until this answers exactly that; what it answered last is in the failure. */
export async function same(ask, expected, what = '') {
  let last
  const is = async () => isDeepStrictEqual((last = await ask()), expected)
  await until(what, is).catch((error) => {
    if (error instanceof assert.AssertionError) assert.deepEqual(last, expected, what)
    throw error
  })
}

/** Waits until there are so many of these on the page. For what may never be there, a single look is the stricter test. */
export const counts = (locator, expected, what) => same(() => locator.count(), expected, what)

export const row = (page, name) => page.locator(`[data-service="${name}"]`)

/** A picture for whoever wants to see what a test saw. */
export const picture = (page, name) => page.screenshot({ path: join(RESULTS, `${name}.png`) })

/**
 * The same kennel with another version: in a copy of the program each place where the version stands says the other one, which
 * is as long. Answers its path and its version.
 */
export function otherVersion(stack, version) {
  const bytes = readFileSync(program())
  const [mine, other] = [version, version.replace(/\d$/, (digit) => String((Number(digit) + 9) % 10))].map((text) => Buffer.from(text))
  for (let at = bytes.indexOf(mine); at >= 0; at = bytes.indexOf(mine, at + 1)) other.copy(bytes, at)
  const path = join(stack.root, 'kennel-of-tomorrow')
  writeFileSync(path, bytes, { mode: 0o700 })
  return { path, version: other.toString() }
}

/**
 * An orphan beside a living daemon: a process with the stamp of the instance of this process, for a scope that is no more. Its
 * end is awaited with `ended`, and it is gone after `end`.
 */
export async function orphanOf(pid, command = ['sleep', '123456']) {
  const limits = readFileSync(`/proc/${pid}/limits`, 'utf8')
  const stamp = BigInt(limits.match(/^Max realtime timeout\s+(\d+)/m)[1])
  // The lowest bits number the scope.
  const child = spawn('prlimit', [`--rttime=${stamp ^ 0x1000n}:unlimited`, ...command], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(signal ?? code)))
  await until('it runs', () => readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').startsWith(command[0]))
  return { pid: child.pid, ended, end: () => child.kill('SIGKILL') }
}
