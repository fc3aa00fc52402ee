import { address, get, lines, Refused } from './api'
import { EVENT_NAMES } from './events'
import { isSeen, onAway } from './seen'
import { login } from './session.svelte'
import type { Alert, AlertReport, DaemonInfo, Event, InstanceOrphans, Service, ServiceUsage, UsageHistory, UsageReport, Webhook } from './types'

const FEED = 500
const RING = 40
const USAGE_EVERY_MS = 2000
/** A larger stack begins without what was before. */
const SEEDED = 60
const REREAD_AT_MOST_EVERY_MS = 120
const SLOW_REREAD_MS = 10_000
const RARELY_MS = 30_000
const RECONNECT_MS = [200, 400, 800, 1500, 3000]
/** A pause of the page's own clock beyond this: the machine slept. */
const SLEPT_MS = 15_000

type Connection = 'connecting' | 'live' | 'lost'

/** What the daemon says, kept up to date by one stream of events and by looking while somebody looks. */
class Live {
  connection = $state<Connection>('connecting')
  /** Since when nothing comes, as the page's clock has it. */
  lostSince = $state(0)
  services = $state.raw<Service[]>([])
  loaded = $state(false)
  events = $state.raw<Event[]>([])
  alerts = $state.raw<Alert[]>([])
  orphans = $state.raw<InstanceOrphans>()
  /** None as long as they were not read. */
  webhooks = $state.raw<Webhook[]>()
  info = $state.raw<DaemonInfo>()
  usage = $state.raw<UsageReport>()
  usageOf = $state.raw<Map<string, ServiceUsage>>(new Map())
  /** Memory of the last looks by service, bytes, the youngest last. */
  memoryOf = new Map<string, number[]>()
  /** Version of kennel when the page was loaded; another one now means that the page is old. */
  bornWith = ''
  /** Moves on once a second while the page is visible. */
  now = $state(Date.now())

  byName = $derived(new Map(this.services.map((one) => [one.name, one])))
  openAlerts = $derived(this.alerts.filter((one) => !one.cleared_at))

  #source: EventSource | undefined
  #seq: number | undefined
  #tries = 0
  #attempt = 0
  /** How many questions there were; the last one of a session that is over; and the youngest with an answer, by path. */
  #asked = 0
  #forgotten = 0
  #kept = new Map<string, number>()
  #pending: Event[] = []
  #flushing = false
  #reading = false
  #dirty = false
  #lastRead = 0
  #timers: ReturnType<typeof setTimeout>[] = []
  #retry: ReturnType<typeof setTimeout> | undefined
  #ticked = Date.now()
  #running = false
  #stopAway = () => {}
  #listeners = new Set<(events: Event[]) => void>()

  start() {
    if (this.#running) return
    this.#running = true
    this.#ticked = Date.now()
    const every = (ms: number, what: () => void) => this.#timers.push(setInterval(what, ms))
    every(1000, () => this.#tick())
    every(USAGE_EVERY_MS, () => isSeen() && this.#look())
    every(SLOW_REREAD_MS, () => isSeen() && this.reread())
    every(RARELY_MS, () => isSeen() && this.#lookRarely())
    document.addEventListener('visibilitychange', this.#woken)
    addEventListener('online', this.#woken)
    this.#stopAway = onAway(() => this.#pause())
    this.#connect()
  }

  stop() {
    this.#running = false
    this.#attempt++
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
    clearTimeout(this.#retry)
    this.#stopAway()
    document.removeEventListener('visibilitychange', this.#woken)
    removeEventListener('online', this.#woken)
    this.#source?.close()
    this.#source = undefined
    this.connection = 'connecting'
    // Whoever logs in next may be somebody else.
    this.#forgotten = this.#asked
    this.services = []
    this.loaded = false
    this.events = []
    this.#pending = []
    this.#seq = undefined
    this.alerts = []
    this.orphans = undefined
    this.webhooks = undefined
    this.usage = undefined
    this.usageOf = new Map()
    this.memoryOf.clear()
  }

  /** Told of each bunch of events. Answers how to be told no more. */
  onEvents(listener: (events: Event[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Reads all services anew: once at a time, and not more often than it takes. */
  reread() {
    this.#dirty = true
    if (this.#reading || !isSeen()) return
    this.#reading = true
    const pause = Math.max(0, this.#lastRead + REREAD_AT_MOST_EVERY_MS - Date.now())
    setTimeout(() => this.#read(), pause)
  }

  async readOrphans() {
    if (login.own.length === 0) await this.#keep<InstanceOrphans>('/v1/orphans', (found) => (this.orphans = found))
  }

  async readAlerts() {
    if (login.own.length === 0) await this.#keep<AlertReport>('/v1/alerts', (report) => (this.alerts = report.alerts))
  }

  async readWebhooks() {
    if (login.own.length === 0) await this.#keep<Webhook[]>('/v1/webhooks', (found) => (this.webhooks = found))
  }

  /** Keeps the answer, unless what was asked later is there already or somebody logged out meanwhile. */
  async #keep<T>(path: string, take: (answer: T) => void) {
    const asked = ++this.#asked
    const answer = await quiet(get<T>(path), undefined)
    if (answer === undefined || this.#isOld(asked) || asked < (this.#kept.get(path) ?? 0)) return
    this.#kept.set(path, asked)
    take(answer)
  }

  #isOld = (asked: number) => asked <= this.#forgotten

  #lookRarely() {
    this.readOrphans()
    // Whether a receiver answers is no event.
    if (this.webhooks?.length) this.readWebhooks()
  }

  async #read() {
    this.#dirty = false
    const began = Date.now()
    const asked = ++this.#asked
    try {
      const services = await readServices()
      if (this.#isOld(asked)) this.#dirty = true
      else {
        this.services = services
        if (!this.loaded) await this.#seed()
        this.loaded = !this.#isOld(asked)
      }
    } catch {
      // The stream tells whether kennel is there; what was known stays on the page beside that.
    }
    this.#reading = false
    // A large stack is not asked all the time: at least as long a pause as the answer took, three times over.
    this.#lastRead = Date.now() + 3 * (Date.now() - began)
    if (this.#dirty && this.#running) this.reread()
  }

  #tick() {
    const now = Date.now()
    if (now - this.#ticked > SLEPT_MS && isSeen()) this.#connect()
    this.#ticked = now
    if (isSeen()) this.now = now
  }

  #woken = () => {
    if (!isSeen()) return
    this.now = Date.now()
    if (this.connection !== 'live') this.#connect()
    this.reread()
    this.#look()
  }

  /** Gives the stream back; it goes on when the page is seen. */
  #pause() {
    clearTimeout(this.#retry)
    this.#attempt++
    this.#source?.close()
    this.#source = undefined
    this.connection = 'connecting'
  }

  async #connect() {
    clearTimeout(this.#retry)
    this.#source?.close()
    this.#source = undefined
    const attempt = ++this.#attempt
    if (this.#seq === undefined) {
      const newest = await quiet(readNewest(), undefined)
      // Another attempt goes on from what it read itself: to set this below it would show its events twice.
      if (attempt !== this.#attempt) return
      if (!newest) return this.#lost()
      this.events = newest
      this.#seq = newest.at(-1)?.seq ?? 0
    }
    const source = new EventSource(address('/v1/events', { since: this.#seq, service: login.own }))
    this.#source = source
    source.onopen = () => this.#opened(source)
    source.onerror = () => {
      if (source !== this.#source) return
      source.close()
      this.#lost()
    }
    for (const name of EVENT_NAMES) source.addEventListener(name, (message) => this.#hear(message.data))
  }

  /** What is in memory of the last minutes, where the stack is small enough for that. */
  async #seed() {
    if (this.services.length > SEEDED) return
    const since = new Date(Date.now() - RING * USAGE_EVERY_MS).toISOString()
    const history = await quiet(get<UsageHistory>(address('/v1/usage/history', { since, service: login.own })), undefined)
    const often = Math.max(1, Math.round((history?.step_ms ?? 0) / USAGE_EVERY_MS))
    for (const { name, points } of history?.series ?? []) {
      // What was looked at meanwhile comes after it, as often as it would have been looked at.
      const before = points.flatMap((one) => (one.memory_bytes == null ? [] : Array<number>(often).fill(one.memory_bytes)))
      this.memoryOf.set(name, [...before, ...(this.memoryOf.get(name) ?? [])].slice(-RING))
    }
  }

  async #opened(source: EventSource) {
    const info = await quiet(get<DaemonInfo>('/v1/info'), undefined)
    if (source !== this.#source || !info) return
    this.bornWith ||= info.version
    this.info = info
    this.#tries = 0
    this.connection = 'live'
    this.reread()
    this.#look()
    this.readAlerts()
    this.readOrphans()
    this.readWebhooks()
  }

  #lost() {
    if (!this.#running) return
    if (this.connection !== 'lost') this.lostSince = Date.now()
    this.connection = 'lost'
    // Asks for what answers 401 when the session is over, which an `EventSource` does not tell.
    if (this.#tries === 1) quiet(get('/v1/session'), undefined)
    const wait = RECONNECT_MS[Math.min(this.#tries++, RECONNECT_MS.length - 1)]
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => this.#connect(), wait)
  }

  #hear(data: string) {
    const event = JSON.parse(data) as Event
    if (this.#seq !== undefined && event.seq <= this.#seq) return
    this.#seq = event.seq
    this.#pending.push(event)
    if (this.#flushing) return
    this.#flushing = true
    // A page that is not seen gets no frames.
    if (isSeen()) requestAnimationFrame(() => this.#flush())
    else setTimeout(() => this.#flush(), 500)
  }

  #flush() {
    this.#flushing = false
    const bunch = this.#pending.splice(0)
    this.events = [...this.events, ...bunch].slice(-FEED)
    if (bunch.some((one) => one.service || one.event === 'config.reloaded')) this.reread()
    if (bunch.some((one) => one.event.startsWith('alert.'))) this.readAlerts()
    if (bunch.some((one) => one.event.startsWith('orphan.'))) this.readOrphans()
    if (bunch.some((one) => one.event.startsWith('webhook.') || one.event === 'config.reloaded')) this.readWebhooks()
    if (bunch.some((one) => one.event.startsWith('daemon.'))) void this.#keep<DaemonInfo>('/v1/info', (info) => (this.info = info))
    for (const listener of this.#listeners) listener(bunch)
  }

  #looking = false

  async #look() {
    if (this.#looking || this.connection !== 'live') return
    this.#looking = true
    const began = Date.now()
    try {
      const asked = ++this.#asked
      const usage = await get<UsageReport>(address('/v1/usage', { service: login.own }))
      if (!this.#isOld(asked)) this.#take(usage)
    } catch (error) {
      if (error instanceof Refused && error.status === 0) this.#source?.onerror?.(new globalThis.Event('error'))
    }
    const pause = Math.min(10_000, 5 * (Date.now() - began))
    setTimeout(() => (this.#looking = false), pause)
  }

  #take(usage: UsageReport) {
    for (const one of usage.services) this.#remember(one)
    this.usage = usage
    this.usageOf = new Map(usage.services.map((one) => [one.name, one]))
  }

  #remember({ name, memory_bytes }: ServiceUsage) {
    if (memory_bytes == null) return
    this.memoryOf.set(name, [...(this.memoryOf.get(name) ?? []).slice(1 - RING), memory_bytes])
  }
}

/** The newest events that there are already. */
async function readNewest(): Promise<Event[]> {
  const newest: Event[] = []
  for await (const bunch of lines<Event>(address('/v1/events', { tail: FEED, service: login.own }), new AbortController().signal)) newest.push(...bunch)
  return newest
}

/** All of them; for whoever may not see all, each by its name. */
async function readServices(): Promise<Service[]> {
  if (login.own.length === 0) return get<Service[]>('/v1/services')
  const each = await Promise.all(login.own.map((name) => quiet(get<Service[]>(`/v1/services/${encodeURIComponent(name)}`), [])))
  return each.flat()
}

/** What it answers, or this instead. */
async function quiet<T>(answer: Promise<T>, instead: T): Promise<T> {
  try {
    return await answer
  } catch {
    return instead
  }
}

export const live = new Live()
