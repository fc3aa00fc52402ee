import { bytes, capital, figure, words } from './format'
import type { Limit } from './types'

/** A limit's figure in its unit. */
export function amount({ name, value }: Limit): string {
  if (name === 'cpus') return String(value / 1000)
  if (/memory|swap/.test(name)) return bytes(value)
  if (/^io_(read|write)$|rate/.test(name)) return `${bytes(value)}/s`
  return figure(value)
}

const TITLES: Record<string, string> = { pids: 'Processes', cpus: 'CPUs', memory_high: 'Memory, slowed beyond', io_read: 'Read from disks', io_write: 'Written to disks', log_rate: 'Output' }

export const titleOf = ({ name }: Limit) => TITLES[name] ?? capital(words(name))

/** Whose it is, if several share it. */
export function sharedBy({ of }: Limit): string | undefined {
  if (!of) return undefined
  return of === 'stack' ? 'the stack' : `owner ${of.owner}`
}

const HOLDERS: Record<Limit['enforced_by'], string> = {
  cgroup: 'the kernel',
  cgroup_v1: 'the kernel, cgroup version 1',
  rlimit: 'the kernel, for each process',
  kennel: 'kennel, as output goes through it',
  sampling: 'kennel, which looks every few seconds',
  nobody: 'nobody can here',
}

export const heldBy = ({ enforced_by }: Limit) => HOLDERS[enforced_by] ?? words(enforced_by)
