import { bytes, count, duration, exit, measured, words } from './format'
import type { Event, EventName } from './types'

export type Tone = 'good' | 'busy' | 'bad' | 'calm' | 'cold'

type Kind<N extends EventName> = Extract<Event, { event: N }>

/** What people read of each kind of event. It is complete: a new kind of the API does not compile without an entry. */
const KINDS: { [N in EventName]: [Tone, (event: Kind<N>) => string] } = {
  'service.pending': ['calm', (e) => `waits for ${e.waiting_for.join(', ')}`],
  'instance.started': ['busy', (e) => `started, process ${e.pid}`],
  'instance.ready': ['good', (e) => `ready after ${duration(e.after_ms)}`],
  'instance.unhealthy': ['bad', (e) => `unhealthy: ${e.reason}`],
  'instance.health': ['busy', (e) => `health: ${e.health}${e.reason ? `, ${e.reason}` : ''}`],
  'instance.activity': ['busy', (e) => `${words(e.activity)}${e.detail ? `: ${e.detail}` : ''}`],
  'instance.exited': ['busy', (e) => `process ${e.pid} ended: ${exit(e.exit)}`],
  'instance.frozen': ['cold', (e) => `frozen by ${e.by}`],
  'instance.thawed': ['good', (e) => `goes on, thawed by ${e.by}`],
  'instance.oom': ['bad', (e) => `out of memory: ${count(e.kills, 'process', 'processes')} killed`],
  'instance.limit': ['bad', (e) => `beyond its limit “${e.limit}”: ${e.action}`],
  'logs.lost': ['bad', (e) => `output cannot be written: ${e.reason}`],
  'logs.recovered': ['good', (e) => `output is written again, ${bytes(e.lost_bytes)} are missing`],
  'logs.bound': ['calm', (e) => `log is at its bound of ${bytes(e.bytes)}: ${words(e.policy)}`],
  'logs.sink_failed': ['bad', (e) => `output is not passed on to ${e.to}: ${e.reason}`],
  'logs.sink_recovered': ['good', (e) => `output is passed on to ${e.to} again`],
  'instance.stopping': ['busy', (e) => `stopping: ${words(e.reason)}`],
  'stop.stage': ['busy', (e) => `stop: ${e.stage}`],
  'instance.escaped': ['bad', (e) => `process ${e.pid} left its cgroup: ${e.command}`],
  'instance.stuck': ['bad', (e) => `stuck: ${count(e.receipt.left, 'process', 'processes')} cannot be ended`],
  'instance.down': [
    'calm',
    (e) => `down after ${duration(e.receipt.duration_ms)}: ${exit(e.receipt.exit)}, ${e.receipt.left === 0 ? 'nothing left' : `${e.receipt.left} left`}`,
  ],
  'restart.scheduled': ['busy', (e) => `restart ${e.attempt} in ${duration(e.in_ms)}`],
  'schedule.armed': ['calm', (e) => (e.next_at ? `next start ${new Date(e.next_at).toLocaleString()}` : 'has no next start')],
  'schedule.fired': ['busy', () => 'started by the clock'],
  'schedule.skipped': ['calm', (e) => `start by the clock skipped: ${e.why}`],
  'watch.begun': ['calm', () => 'files are watched'],
  'watch.changed': ['busy', (e) => `${count(e.count, 'change')} in ${e.paths.slice(0, 3).join(', ')}: ${e.action}`],
  'watch.held': ['busy', (e) => `too many changes, held for ${duration(e.for_ms)}`],
  'watch.blind': ['bad', (e) => `not all files can be watched: ${e.reason}`],
  'watch.failed': ['bad', (e) => `command of the watch failed: ${e.reason}`],
  'zombies.found': ['busy', (e) => `process ${e.parent} does not wait for ${count(e.count, 'zombie')}`],
  'service.completed': ['good', () => 'completed'],
  'service.failed': ['bad', (e) => `failed: ${e.reason}`],
  'service.given_up': ['bad', (e) => `given up: ${e.reason}`],
  'service.stopped': ['calm', () => 'stopped'],
  'daemon.started': ['good', (e) => `daemon started, process ${e.pid}`],
  'daemon.recovered': ['busy', (e) => `daemon follows one that was lost, ${count(e.scopes, 'scope')}`],
  'daemon.terminated': ['bad', (e) => `daemon ${e.pid} was ended by force`],
  'daemon.panicked': ['bad', (e) => `defect of the daemon: ${e.message} (${e.place})`],
  'config.reloaded': ['good', (e) => `configuration reloaded: ${e.added.length} added, ${e.removed.length} removed, ${e.changed.length} changed`],
  'daemon.replaced': ['good', (e) => `another daemon took over, version ${e.version}`],
  'daemon.handover_failed': ['bad', (e) => `hand-over failed: ${e.reason}`],
  'instance.adopted': ['good', (e) => `adopted, process ${e.pid}`],
  'store.recovered': ['bad', (e) => `store recovered, ${count(e.kept, 'event')} kept`],
  'event.unreadable': ['bad', () => 'an event that cannot be read'],
  'orphan.found': ['bad', (e) => `orphan ${e.orphan.pid}: ${e.orphan.command}`],
  'orphan.killed': ['busy', (e) => `orphan ${e.process.pid} ended`],
  'owner.opened': ['calm', (e) => `owner ${e.owner} opened`],
  'lease.taken': ['calm', (e) => `owner ${e.owner} has a lease`],
  'lease.lost': ['busy', (e) => `owner ${e.owner} lost a lease: ${e.why}`],
  'owner.grace': ['busy', (e) => `owner ${e.owner} ends in ${duration(e.ends_in_ms)}`],
  'owner.held': ['good', (e) => `owner ${e.owner} is held again`],
  'owner.ended': ['calm', (e) => `owner ${e.owner} ended`],
  'alert.raised': ['bad', (e) => `alert ${e.rule}: ${words(e.measure)} ${measured(e.measure, e.value)}, threshold ${measured(e.measure, e.threshold)}`],
  'alert.escalated': ['bad', (e) => `alert ${e.rule}: ${e.action}${e.refused ? ` refused, ${e.refused}` : ''}`],
  'alert.cleared': ['good', (e) => `alert ${e.rule} cleared after ${duration(e.lasted_ms)}`],
  'storm.brake': ['bad', (e) => `restart storm: held back for ${duration(e.held_ms)}`],
  'webhook.dead': ['bad', (e) => `webhook ${e.webhook} did not get ${e.kind}: ${e.reason}`],
  'webhook.disabled': ['busy', (e) => `webhook ${e.webhook} wants nothing any more`],
  'keeper.lost': ['bad', () => 'keeper was lost'],
  'shutdown.completed': ['calm', (e) => `shutdown complete, ${e.left === 0 ? 'nothing left' : `${e.left} left`}`],
}

/** Every name that the stream has: an `EventSource` has to be told each. */
export const EVENT_NAMES = Object.keys(KINDS) as EventName[]

/** One sentence without its subject, and how it is to be taken. */
export function describe(event: Event): { tone: Tone; text: string } {
  const entry = KINDS[event.event] as [Tone, (event: Event) => string] | undefined
  if (!entry) return { tone: 'calm', text: event.event }
  const bad = event.event === 'instance.down' && unclean(event as Kind<'instance.down'>)
  return { tone: bad ? 'bad' : entry[0], text: entry[1](event) }
}

function unclean(event: Kind<'instance.down'>): boolean {
  const { reason, exit, left } = event.receipt
  return left > 0 || (reason === 'main_exited' && !(exit.kind === 'code' && exit.code === 0))
}
