import { address, rawLines, Refused } from './api'
import { type Span, spans } from './ansi'
import { onAway, whenSeen } from './seen'
import type { LogLine } from './types'

const KEPT = 20_000
const RETRY_MS = 700

/** For so long lines are taken in one go; then the page gets its turn. */
const TURN_MS = 8

/** A line as the page keeps it. What is in it is worked out when it is seen: of a flood most never are. */
export interface Entry {
  id: number
  raw: string
  line?: LogLine
  spans?: Span[]
}

/** What one service wrote and writes. */
export class Logs {
  entries = $state.raw<Entry[]>([])
  /** Why nothing comes. */
  trouble = $state('')
  state = $state<'reading' | 'following' | 'away'>('reading')
  /** How many lines have come in all, those that are not kept any more included. */
  seen = $state(0)

  #pending: string[] = []
  #frame = 0
  #stopped = new AbortController()
  /** Time of the newest line, and how many lines have it: where a stream that broke goes on. */
  #newest: { time: string; lines: number } | undefined

  constructor(
    readonly service: string,
    /** A regular expression; empty: all lines. */
    readonly grep: string,
    readonly stream: '' | 'stdout' | 'stderr',
    /** How many of the lines that are there already. */
    readonly tail = 1000,
  ) {
    void this.#run()
  }

  close() {
    this.#stopped.abort()
    cancelAnimationFrame(this.#frame)
  }

  clear() {
    this.entries = []
  }

  async #run() {
    const signal = this.#stopped.signal
    while (!signal.aborted) {
      const away = new AbortController()
      const stop = onAway(() => away.abort())
      try {
        await this.#follow(AbortSignal.any([signal, away.signal]))
      } catch (error) {
        if (signal.aborted) return stop()
        if (error instanceof Refused && error.status >= 400 && error.status < 500) {
          this.trouble = error.message
          this.state = 'away'
          stop()
          return
        }
      }
      stop()
      await whenSeen()
      this.state = 'away'
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  async #follow(signal: AbortSignal) {
    const { service, grep, stream } = this
    const since = this.#newest?.time
    let known = this.#newest?.lines ?? 0
    const path = address('/v1/logs', { service, grep, stream, follow: true, since, tail: since ? undefined : this.tail })
    this.state = 'following'
    this.trouble = ''
    const ended = aborted(signal)
    let turn = performance.now()
    for await (const bunch of rawLines(path, signal)) {
      // The stream begins with the lines of that very moment, which are here already.
      while (known > 0 && bunch.length > 0 && timeOf(bunch[0]!) === since) {
        bunch.shift()
        known--
      }
      this.#take(bunch)
      if (performance.now() - turn < TURN_MS) continue
      // Whoever writes faster than this can be shown waits in the file, not here.
      // A page that is not seen gets no frames, and needs no lines.
      await Promise.race([new Promise(requestAnimationFrame), ended])
      turn = performance.now()
    }
  }

  #take(bunch: string[]) {
    const last = bunch.at(-1)
    if (last === undefined) return
    const time = timeOf(last)
    const others = bunch.findLastIndex((one) => timeOf(one) !== time)
    const before = others < 0 && this.#newest?.time === time ? this.#newest.lines : 0
    this.#newest = { time, lines: before + bunch.length - 1 - others }
    this.#pending = this.#pending.concat(bunch)
    this.#frame ||= requestAnimationFrame(() => this.#flush())
  }

  #flush() {
    this.#frame = 0
    const bunch = this.#pending
    this.#pending = []
    this.seen += bunch.length
    const kept = bunch.slice(-KEPT)
    const first = this.seen - kept.length
    const fresh = kept.map((raw, index) => ({ id: first + index, raw }))
    this.entries = this.entries.slice(Math.max(0, this.entries.length + fresh.length - KEPT)).concat(fresh)
  }
}

const aborted = (signal: AbortSignal) => new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))

/** What is in a line. */
export function read(entry: Entry): LogLine {
  entry.line ??= JSON.parse(entry.raw) as LogLine
  return entry.line
}

/** What it looks like. */
export function look(entry: Entry): Span[] {
  entry.spans ??= spans(read(entry).line)
  return entry.spans
}

const TIME = '{"time":"'

/** The time of a line, without a look at the rest where it stands first. */
function timeOf(raw: string): string {
  if (!raw.startsWith(TIME)) return (JSON.parse(raw) as LogLine).time
  return raw.slice(TIME.length, raw.indexOf('"', TIME.length))
}
