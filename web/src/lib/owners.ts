import type { Tone } from './events'
import { duration } from './format'
import type { Owner } from './types'

/** Owners with how deep they stand below others, each after its parent. */
export function nested(owners: readonly Owner[]): { owner: Owner; depth: number }[] {
  const names = new Set(owners.map((one) => one.name))
  const parentOf = (owner: Owner) => (owner.parent && names.has(owner.parent) ? owner.parent : undefined)
  const below = (parent: string | undefined, depth: number): { owner: Owner; depth: number }[] =>
    owners.filter((one) => parentOf(one) === parent).flatMap((owner) => [{ owner, depth }, ...below(owner.name, depth + 1)])
  return below(undefined, 0)
}

export function stateOf(owner: Owner): { tone: Tone; text: string } {
  if (owner.state === 'held') return { tone: 'good', text: 'Held' }
  if (owner.state === 'unbound') return { tone: 'calm', text: 'Until it is ended' }
  if (owner.state === 'grace') return { tone: 'busy', text: `Ends in ${duration(owner.ends_in_ms)}` }
  const { ended } = owner
  const why = ended?.reason === 'parent_ended' ? `with ${ended.ancestor}` : ended?.reason === 'lease_lost' ? 'its lease was lost' : 'on request'
  return { tone: 'calm', text: `Ended, ${why}` }
}

/** What keeps it alive, in words. */
export function leaseText(lease: Owner['leases'][number]): string {
  if (lease.kind === 'held') return 'a connection'
  if (lease.kind === 'process') return `process ${lease.pid}${lease.command ? ` (${lease.command})` : ''}`
  const left = lease.expires_in_ms == null ? 'worn off' : `${duration(lease.expires_in_ms)} left`
  return `${lease.kind} every ${duration(lease.ttl_ms)}, ${left}`
}

export const canRenew = (owner: Owner) => owner.state !== 'ended' && owner.leases.some((one) => one.kind === 'heartbeat')
