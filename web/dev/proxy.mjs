import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { extname, join, normalize } from 'node:path'

const COOKIE = 'kennel_dev'
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.txt': 'text/plain; charset=utf-8' }
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

async function body(req) {
  const parts = []
  for await (const part of req) parts.push(part)
  return JSON.parse(Buffer.concat(parts).toString() || '{}')
}

function json(res, status, value, headers = {}) {
  res.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json', ...headers })
  res.end(JSON.stringify(value))
}

const problem = (res, status, code, detail) => json(res, status, { code, status, title: code, detail })

/**
 * Stands in for kennel's own door while the page is worked on: a session that it makes up, everything else of `/v1` goes
 * to the socket. Answers whether it took the request.
 *
 * What opens it: the secrets of `logins`, each once, and `tokens`, which say their role.
 */
export function proxy({ socket, logins, tokens = {} }) {
  const sessions = new Map()
  const open = (res, name, role, services = []) => {
    const [id, csrf] = [randomBytes(16).toString('hex'), randomBytes(16).toString('hex')]
    const session = { name, role, services, csrf, expires_at: new Date(Date.now() + 43_200_000).toISOString() }
    sessions.set(id, session)
    json(res, 200, session, { 'set-cookie': `${COOKIE}=${id}; HttpOnly; SameSite=Strict; Path=/` })
  }
  return async (req, res) => {
    if (!req.url.startsWith('/v1/') && req.url !== '/metrics') return false
    const id = new RegExp(`${COOKIE}=([0-9a-f]+)`).exec(req.headers.cookie ?? '')?.[1]
    const session = sessions.get(id)
    if (req.url === '/v1/session' && req.method === 'POST') {
      const proof = await body(req)
      const token = tokens[proof.token]
      if (logins.delete(proof.login)) {
        open(res, 'dashboard', 'admin')
      } else if (token) open(res, token.name ?? token.role, token.role, token.services)
      else problem(res, 401, 'unauthorized', 'that opens nothing here')
    } else if (!session) {
      problem(res, 401, 'unauthorized', 'nobody is logged in')
    } else if (req.method !== 'GET' && req.headers['x-kennel-csrf'] !== session.csrf) {
      problem(res, 403, 'forbidden', 'the request does not come from the page')
    } else if (req.url === '/v1/session') {
      if (req.method === 'DELETE') sessions.delete(id)
      if (req.method === 'DELETE') res.writeHead(204).end()
      else json(res, 200, session)
    } else if (session.services.length > 0 && req.method === 'GET' && req.url !== '/v1/info' && !session.services.some((name) => req.url.includes(name))) {
      problem(res, 403, 'forbidden', 'the token is for other services')
    } else if (req.method !== 'GET' && session.role === 'read') {
      problem(res, 403, 'forbidden', 'the role is too weak')
    } else {
      pass(socket, req, res)
    }
    return true
  }
}

function pass(socket, req, res) {
  const { cookie: _, host: __, origin: ___, ...headers } = req.headers
  const through = request({ socketPath: socket, path: req.url, method: req.method, headers: { ...headers, host: 'kennel' } })
  through.on('response', (answer) => {
    res.writeHead(answer.statusCode, answer.headers)
    res.flushHeaders()
    answer.pipe(res)
    // A stream that is cut off is to look like that in the browser too.
    answer.on('error', () => res.destroy())
  })
  through.on('error', () => (res.headersSent ? res.destroy() : problem(res, 502, 'unreachable', 'kennel does not answer')))
  res.on('close', () => through.destroy())
  req.pipe(through)
}

/** Serves the built page as kennel does, with its policy. */
export function files(root) {
  return async (req, res) => {
    const path = normalize(decodeURIComponent(new URL(req.url, 'http://x').pathname))
    try {
      const bytes = await readFile(join(root, path === '/' ? 'index.html' : path))
      res.writeHead(200, { 'content-type': TYPES[extname(path) || '.html'] ?? 'application/octet-stream', 'content-security-policy': POLICY, 'x-content-type-options': 'nosniff' })
      res.end(bytes)
    } catch {
      res.writeHead(404).end()
    }
  }
}
