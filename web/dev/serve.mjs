// npm run dev: the page with Vite, its API from a running kennel. `npm run dev -- SOCKET` takes that kennel, without
// it a stack to look at is started, and ended at the end. `npm run dev -- --built` serves what is built, with its policy.
import { randomBytes } from 'node:crypto'
import { createServer as listen } from 'node:http'
import { join } from 'node:path'
import { files, proxy } from './proxy.mjs'
import { receiver } from './receiver.mjs'
import { many, shopTelling, start } from './stack.mjs'

const args = process.argv.slice(2)
const built = args.includes('--built')
const size = args.find((arg) => arg.startsWith('--many='))?.slice('--many='.length)
const given = args.find((arg) => !arg.startsWith('--'))
const hooks = given ? undefined : await receiver()
const stack = given ? undefined : await start(size ? many(Number(size)) : shopTelling(hooks)).catch((error) => error.code === undefined ? Promise.reject(error) : fail(error))
const login = process.env.LOGIN ?? randomBytes(16).toString('hex')
const api = proxy({ socket: given ?? stack.socket, logins: new Set([login]), tokens: { kennel_admin: { role: 'admin' }, kennel_operate: { role: 'operate' }, kennel_read: { role: 'read' } } })

let rest = files(join(import.meta.dirname, '../../crates/kennel-dashboard/dist'))
if (!built) {
  const { createServer } = await import('vite')
  const vite = await createServer({ root: join(import.meta.dirname, '..'), server: { middlewareMode: true }, appType: 'spa' })
  rest = vite.middlewares
}
const server = listen(async (req, res) => (await api(req, res)) || rest(req, res))
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/#login=${login}`)
  console.log('or the tokens kennel_read, kennel_operate, kennel_admin')
})

function fail(error) {
  console.error(error.message)
  process.exit(1)
}

async function end() {
  server.closeAllConnections()
  await stack?.end()
  await hooks?.end()
  process.exit(0)
}
process.on('SIGINT', end)
process.on('SIGTERM', end)
