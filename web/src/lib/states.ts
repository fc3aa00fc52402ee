import type { Tone } from './events'
import { capital, duration, words } from './format'
import type { Service, State } from './types'

const TONES: Record<State, Tone> = {
  stopped: 'calm',
  scheduled: 'calm',
  pending: 'busy',
  starting: 'busy',
  up: 'busy',
  ready: 'good',
  unhealthy: 'bad',
  stopping: 'busy',
  stuck: 'bad',
  waiting: 'busy',
  completed: 'calm',
  failed: 'bad',
  given_up: 'bad',
}

const RUNS: ReadonlySet<State> = new Set(['starting', 'up', 'ready', 'unhealthy', 'stopping', 'stuck'])

/** Whether there is a run of it. */
export const runs = (one: Service) => RUNS.has(one.state)

export const troubled = (one: Service) =>
  TONES[one.state] === 'bad' || one.state === 'waiting' || one.health === 'unhealthy' || one.health === 'zombie' || one.frozen || (one.alerts?.length ?? 0) > 0

export function toneOf(one: Service): Tone {
  if (one.frozen) return 'cold'
  if (one.health === 'unhealthy' || one.health === 'zombie') return 'bad'
  // Something was wrong just now; it is being put right.
  return TONES[one.state]
}

export function labelOf(one: Service): string {
  if (one.frozen) return 'Frozen'
  if (one.state === 'ready' && (one.health === 'unhealthy' || one.health === 'zombie')) return capital(one.health)
  return capital(words(one.state))
}

/** Why it is like that, in a few words. */
export function noteOf(one: Service, now: number): string {
  if (one.alerts?.length) return `alert: ${one.alerts.join(', ')}`
  if (one.state === 'waiting' && one.retry_in_ms != null) return `${one.reason ?? 'ended'}; next try in ${duration(one.retry_in_ms)}`
  if (one.foreseen) return `${words(one.foreseen.measure)} too high in ${duration(one.foreseen.in_ms)}`
  if (one.next_at && !runs(one)) return `next ${new Date(one.next_at).toLocaleTimeString()}`
  return one.health_reason ?? one.reason ?? (one.log_lost_bytes && now ? 'output was lost' : '')
}
