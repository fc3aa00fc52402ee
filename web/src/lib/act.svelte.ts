import { post, Refused } from './api'
import { count, duration } from './format'
import { live } from './live.svelte'
import type { ActionReport, CleanReport, FreezeReport, InstanceOrphans, Outcome, Receipt, UpReport } from './types'

export type Verb = 'start' | 'stop' | 'restart' | 'kill' | 'freeze' | 'thaw' | 'orphans' | 'end'

/** What is asked for. Of `orphans` the subjects are process ids, of `end` it is an owner. */
export interface Wish {
  verb: Verb
  subjects: string[]
  all?: boolean
}

export const DESTRUCTIVE: ReadonlySet<Verb> = new Set(['stop', 'restart', 'kill', 'orphans', 'end'])

/** What a dialog shows: first a question, then that it is done, then what came of it. */
export type Step =
  | { at: 'asked'; wish: Wish }
  | { at: 'doing'; wish: Wish; since: number }
  | { at: 'done'; wish: Wish; ok: boolean; receipts: Receipt[]; outcomes: Outcome[]; orphans?: InstanceOrphans }
  | { at: 'refused'; wish: Wish; why: string; hint?: string }

export interface Toast {
  id: number
  ok: boolean
  text: string
}

const TOAST_MS = 6000

class Actions {
  step = $state.raw<Step>()
  toasts = $state<Toast[]>([])
  #toasts = 0

  /** Asks first where something would be ended; else does it at once. */
  wish(wish: Wish) {
    if (DESTRUCTIVE.has(wish.verb)) this.step = { at: 'asked', wish }
    else void this.#quietly(wish)
  }

  async confirm() {
    if (this.step?.at !== 'asked') return
    const { wish } = this.step
    const doing: Step = { at: 'doing', wish, since: Date.now() }
    this.step = doing
    let done: Step
    try {
      done = await perform(wish)
    } catch (error) {
      done = refused(wish, error)
    }
    live.reread()
    // Somebody who has closed the dialog meanwhile is told in passing.
    if (this.step === doing) this.step = done
    else this.#tell(done)
  }

  close() {
    this.step = undefined
  }

  show(receipt: Receipt) {
    const wish: Wish = { verb: 'stop', subjects: [receipt.service] }
    this.step = { at: 'done', wish, ok: receipt.left === 0, receipts: [receipt], outcomes: [] }
  }

  toast(ok: boolean, text: string) {
    const id = ++this.#toasts
    this.toasts.push({ id, ok, text })
    setTimeout(() => this.dismiss(id), ok ? TOAST_MS : 2 * TOAST_MS)
  }

  dismiss(id: number) {
    this.toasts = this.toasts.filter((one) => one.id !== id)
  }

  async #quietly(wish: Wish) {
    try {
      const done = await perform(wish)
      // What a start that failed has written is worth a look.
      if (done.at === 'done' && !done.ok && done.outcomes.length > 0) this.step = done
      else this.#tell(done)
    } catch (error) {
      this.#tell(refused(wish, error))
    }
    live.reread()
  }

  #tell(step: Step) {
    if (step.at === 'refused') this.toast(false, `${subject(step.wish)}: ${step.why}`)
    else if (step.at === 'done') this.toast(step.ok, summary(step))
  }
}

export const actions = new Actions()

export function subject(wish: Wish): string {
  if (wish.all) return wish.verb === 'orphans' ? 'all orphans' : 'all services'
  if (wish.verb === 'end') return `owner ${wish.subjects[0]}`
  if (wish.verb === 'orphans') return wish.subjects.length === 1 ? `orphan ${wish.subjects[0]}` : count(wish.subjects.length, 'orphan')
  return wish.subjects.length === 1 ? wish.subjects[0]! : count(wish.subjects.length, 'service')
}

function refused(wish: Wish, error: unknown): Step {
  const problem = error instanceof Refused ? error : undefined
  return { at: 'refused', wish, why: problem?.message ?? String(error), hint: problem?.hint }
}

async function perform(wish: Wish): Promise<Step> {
  const { verb, subjects, all } = wish
  const none = { receipts: [] as Receipt[], outcomes: [] as Outcome[] }
  if (verb === 'orphans') {
    const orphans = await post<InstanceOrphans>('/v1/orphans/stop', { pids: all ? [] : subjects.map(Number), timeout_ms: 3000 })
    live.readOrphans()
    return { at: 'done', wish, ok: orphans.left === 0, orphans, ...none }
  }
  if (verb === 'end') {
    const report = await post<CleanReport>('/v1/clean', { owner: subjects[0] })
    return { at: 'done', wish, ok: report.ok, receipts: report.receipts, outcomes: [] }
  }
  const body = all ? { all: true } : { services: subjects }
  if (verb === 'start') {
    const report = await post<UpReport>('/v1/start', body)
    return { at: 'done', wish, ok: report.ok, receipts: [], outcomes: report.services }
  }
  if (verb === 'freeze' || verb === 'thaw') {
    const report = await post<FreezeReport>(`/v1/${verb}`, body)
    const why = report.services.find((one) => one.reason)
    if (why) return { at: 'refused', wish, why: `${why.service}: ${why.reason}` }
    return { at: 'done', wish, ok: report.ok, ...none }
  }
  const report = await post<ActionReport>(`/v1/${verb}`, body)
  return { at: 'done', wish, ok: report.ok, receipts: report.receipts, outcomes: report.started ?? [] }
}

function summary(step: Extract<Step, { at: 'done' }>): string {
  const name = subject(step.wish)
  if (step.wish.verb === 'freeze') return `${name} stands still`
  if (step.wish.verb === 'thaw') return `${name} goes on`
  const failed = step.outcomes.find((one) => one.outcome === 'failed')
  if (failed) return `${failed.service} did not start`
  const ready = step.outcomes.find((one) => one.service === name)
  if (step.wish.verb === 'start' && ready?.outcome === 'ready' && ready.after_ms != null) return `${name} is ready after ${duration(ready.after_ms)}`
  if (step.wish.verb === 'start') return `${name}: started`
  return step.ok ? `${name}: done, nothing left` : `${name}: something is left`
}
