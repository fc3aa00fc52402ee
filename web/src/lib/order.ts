import { runs, troubled } from './states'
import type { Service } from './types'

export type Choice = 'all' | 'running' | 'trouble' | 'down'
export type Column = 'name' | 'state' | 'cpu' | 'memory' | 'restarts' | 'uptime'

/** Nothing: as the configuration has them. */
export type Order = { by: Column; down: boolean } | undefined

export const belongs: Record<Choice, (one: Service) => boolean> = {
  all: () => true,
  running: runs,
  trouble: troubled,
  down: (one) => !runs(one) && one.state !== 'waiting' && one.state !== 'pending',
}

const VALUES: Record<Column, (one: Service) => number | string> = {
  name: (one) => one.name,
  state: (one) => (troubled(one) ? `0${one.state}` : `1${one.state}`),
  cpu: (one) => one.cpu_percent ?? -1,
  memory: (one) => one.memory_bytes ?? -1,
  restarts: (one) => one.restarts,
  uptime: (one) => one.uptime_ms ?? -1,
}

/** Those that are chosen and whose name, command, state or port has every word of the filter, in this order. */
export function arrange(all: readonly Service[], filter: string, choice: Choice, order: Order): Service[] {
  const wanted = filter.toLowerCase().split(/\s+/).filter(Boolean)
  const kept = all.filter((one) => belongs[choice](one) && (wanted.length === 0 || hit(one, wanted)))
  if (!order) return kept
  const value = VALUES[order.by]
  const sign = order.down ? -1 : 1
  return kept.sort((a, b) => {
    const [one, other] = [value(a), value(b)]
    if (typeof one === 'string' && typeof other === 'string') return sign * one.localeCompare(other, 'en', { numeric: true })
    return sign * (Number(one) - Number(other))
  })
}

function hit(one: Service, wanted: string[]): boolean {
  const ports = Object.entries(one.ports ?? {}).flat()
  const text = [one.name, one.state, one.health, ...ports, ...(one.command ?? [])].join(' ').toLowerCase()
  return wanted.every((word) => text.includes(word))
}

/** What the next press of a column's head asks for: names upwards first, figures downwards, then as it was. */
export function turn(order: Order, by: Column): Order {
  const first = by !== 'name' && by !== 'state'
  if (order?.by !== by) return { by, down: first }
  return order.down === first ? { by, down: !first } : undefined
}
