import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BUILT = join(import.meta.dirname, '../../target/debug/kennel')

/** The program to work against: `KENNEL`, what cargo built last, or the one that is installed. */
export const program = () => process.env.KENNEL ?? (existsSync(BUILT) ? BUILT : 'kennel')

/** A kennel of its own in a temporary directory, with this configuration (JSON is YAML); `beforehand` is told of its `project` directory. */
export async function start(config, beforehand = () => {}) {
  const root = mkdtempSync(join(tmpdir(), 'kennel-web-'))
  const name = config.name ?? 'project'
  for (const dir of [name, 'state', 'run']) mkdirSync(join(root, dir), { mode: 0o700 })
  const project = join(root, name)
  const write = (value) => writeFileSync(join(project, 'kennel.yaml'), JSON.stringify(value))
  write(config)
  beforehand({ project })
  const env = { ...process.env, XDG_STATE_HOME: join(root, 'state'), XDG_RUNTIME_DIR: join(root, 'run'), NO_COLOR: '1' }
  const run = (...args) => command(project, env, args)
  try {
    // A stack with services that fail is up all the same; without a daemon the next line says so.
    const up = await run('up', '-d').catch((error) => error)
    const info = JSON.parse(await run('doctor', '--json').catch((error) => error.stdout))
    if (!info.daemon) throw up
    const socket = join(info.runtime_dir, 'api.sock')
    const end = async () => {
      await run('down')
      rmSync(root, { recursive: true, force: true })
    }
    return { root, project, socket, run, write, end, name: info.instance }
  } catch (error) {
    await run('down').catch(() => {})
    rmSync(root, { recursive: true, force: true })
    throw error
  }
}

function command(cwd, env, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program(), args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (part) => (stdout += part))
    child.stderr.on('data', (part) => (stderr += part))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(stdout)
      else reject(Object.assign(new Error(`kennel ${args.join(' ')}: ${code}\n${stdout}${stderr}`), { stdout, stderr, code }))
    })
  })
}

/** Listens on the port that kennel chose. */
const server = (greeting) => [process.execPath, '-e', `require('net').createServer().listen(process.env.PORT, '127.0.0.1', () => console.log(${JSON.stringify(greeting)}))`]

const sh = (script) => ({ shell: true, command: script.replaceAll('$', '$$$$') })

/** A small shop, with something of everything that the page shows. */
export const shop = {
  name: 'shop',
  sampling: { interval: '1s' },
  services: {
    db: { command: server('database system is ready to accept connections'), environment: { PORT: '${ports.pg}' }, ports: { pg: 'auto' }, readiness: { tcp: 'pg' }, color: 'blue' },
    cache: { ...sh('echo "Ready to accept connections tcp"; exec sleep 100000'), ports: { redis: 'auto' } },
    api: {
      ...sh(
        'i=0; while :; do i=$((i+1)); printf "\\033[2m%s\\033[0m \\033[32mINFO\\033[0m  GET /v1/orders/%s \\033[36m200\\033[0m in %s ms\\n" "$(date +%T)" $((i * 37 % 9973)) $((i * 7 % 41 + 2)); [ $((i % 9)) = 0 ] && printf "\\033[33mWARN\\033[0m  slow query: SELECT * FROM orders WHERE id = %s\\n" $i >&2; n=0; while [ $n -lt $((i % 40 * 400)) ]; do n=$((n+1)); done; sleep 0.3; done',
      ),
      ports: { http: 'auto', metrics: 'auto' },
      depends_on: { db: { condition: 'healthy' }, cache: { condition: 'started' }, migrate: { condition: 'completed_successfully' } },
      environment: { LOG_LEVEL: 'debug', DATABASE_PASSWORD: 'not for the page' },
      limits: { memory: '512MiB', pids: 200, cpus: 1.5, open_files: 4096 },
      stop: [{ signal: 'TERM', wait: '5s' }, { signal: 'INT', wait: '2s' }],
      color: 'green',
    },
    web: { command: server('<b>listening</b>'), environment: { PORT: '${ports.http}' }, ports: { http: 'auto' }, depends_on: ['api'] },
    worker: { ...sh('while :; do echo "job $RANDOM$$ done"; head -c 3000000 /dev/urandom | sha256sum > /dev/null; sleep 1.2; done'), replicas: 3, depends_on: ['api', 'cache'] },
    flaky: { ...sh('echo "connecting"; sleep 6; echo "connection refused" >&2; exit 3'), restart: 'on-failure' },
    migrate: { ...sh('echo "12 migrations applied"'), restart: 'no', depends_on: { db: { condition: 'healthy' } } },
    broken: { command: ['/bin/sh', '-c', 'echo "cannot read settings.toml" >&2; exit 2'], restart: 'no' },
    mailer: { ...sh('sleep 100000'), profiles: ['mail'] },
    busy: { ...sh('sleep 100000 & sleep 100000 & sleep 100000 & wait'), rules: { crowd: { processes: 2, action: 'warn' } } },
  },
}

/** The same shop with webhooks to this receiver: one arrives, one is tried again and again, one is given up, one is not wanted. */
export function shopTelling(receiver) {
  Object.assign(receiver.answers, { '/chat': 503, '/page': 500, '/old': 410 })
  const to = (path, rest = {}) => ({ url: `${receiver.url}${path}`, ...rest })
  return { ...shop, webhooks: { ops: to('/ops'), chat: to('/chat', { events: ['service.*', 'alert.raised'] }), pager: to('/page', { retries: 0 }), archive: to('/old', { services: ['web', 'worker'], events: ['*'] }) } }
}

/** So many services that do nothing. */
export const many = (n) => ({
  name: 'fleet',
  services: Object.fromEntries(Array.from({ length: n }, (_, i) => [`node-${String(i + 1).padStart(4, '0')}`, { command: ['sleep', '100000'] }])),
})

/** So many services in layers, which wait for some of the layer before, and some that are on their own. */
export function mesh(n) {
  const layers = Math.max(3, Math.round(Math.sqrt(n) / 2.5))
  const depth = (i) => Math.floor((i * layers) / n)
  const name = (i) => `${['core', 'store', 'api', 'edge', 'job', 'view'][depth(i) % 6]}-${String(i + 1).padStart(3, '0')}`
  const services = {}
  for (let i = 0; i < n; i++) {
    const before = Array.from({ length: n }, (_, k) => k).filter((k) => depth(k) === depth(i) - 1)
    const on = i % 9 === 4 ? [] : [0, 1].map((k) => before[(i * 7 + k * 3) % (before.length || 1)]).filter((k) => k !== undefined)
    services[name(i)] = { command: ['sleep', '100000'], depends_on: [...new Set(on)].map(name) }
  }
  return { name: 'mesh', services }
}

/** What the configuration of a stack does not have: owners with their runs, and tokens. */
export async function furnish({ run }) {
  await run('run', '-d', '--owner', 'session-1', '--lease-pid', String(process.pid), '--name', 'planner', '--', 'sleep', '100000')
  await run('run', '-d', '--owner', 'agent-a', '--parent', 'session-1', '--lease-ttl', '10m', '--owner-limit', 'memory=4GiB', '--name', 'coder', '--', 'sleep', '100000')
  await run('run', '-d', '--owner', 'job-7', '--name', 'import', '--', 'sleep', '100000')
  await run('token', 'create', 'grafana')
  await run('token', 'create', 'deploy', '--role', 'operate', '--service', 'web', '--service', 'api', '--expires', '720h')
}
