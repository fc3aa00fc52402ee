import { createServer } from 'node:http'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { files, proxy } from '../dev/proxy.mjs'

const DIST = join(import.meta.dirname, '../../crates/kennel-dashboard/dist')

/**
 * Where the page of a stack is. With `DOOR=kennel` it is kennel's own; else the proxy of the development server with the
 * built page.
 */
export async function door(stack) {
  return process.env.DOOR === 'kennel' ? own(stack) : proxied(stack)
}

async function own(stack) {
  const link = async () => (await stack.run('dashboard', '--no-open')).match(/http:\S+/)[0]
  const base = new URL(await link()).origin
  const token = async (role, ...services) => {
    const name = `${role}-${randomBytes(4).toString('hex')}`
    const only = services.flatMap((one) => ['--service', one])
    return (await stack.run('token', 'create', name, '--role', role, ...only)).match(/kennel_\S+/)[0]
  }
  return { base, link, token, end: async () => {} }
}

async function proxied(stack) {
  const logins = new Set()
  const tokens = {}
  const api = proxy({ socket: stack.socket, logins, tokens })
  const page = files(DIST)
  const server = createServer(async (req, res) => (await api(req, res)) || page(req, res))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${server.address().port}`
  const link = () => {
    const secret = randomBytes(16).toString('hex')
    logins.add(secret)
    return `${base}/#login=${secret}`
  }
  const end = () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  }
  const token = (role, ...services) => {
    const secret = `kennel_${randomBytes(16).toString('hex')}`
    tokens[secret] = { role, services }
    return secret
  }
  return { base, link, token, end }
}

/** A browser, and how a page is opened in a profile of its own. What a page says on its console is kept in `page.said`. */
export async function browser() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
  const chrome = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
  const open = async (options = {}) => {
    const context = await chrome.newContext({ viewport: { width: 1440, height: 900 }, ...options })
    const page = await context.newPage()
    page.said = []
    page.on('pageerror', (error) => page.said.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && page.said.push(message.text()))
    return page
  }
  return { chrome, open }
}
