import type { Tone } from './events'
import type { Edge } from './graph'
import { labelOf, runs, toneOf } from './states'
import type { Service } from './types'

const WORST: Tone[] = ['bad', 'busy', 'cold', 'good', 'calm']

/** A declared service with all its replicas, as the graph shows it. */
export interface Member {
  name: string
  /** None: it is not to be seen. */
  places: Service[]
  /** The replica that is in the worst state, which stands for all. */
  worst: Service | undefined
  label: string
}

export function membersOf(services: readonly Service[], names: readonly string[]): Map<string, Member> {
  const places = new Map(names.map((name) => [name, [] as Service[]]))
  for (const one of services) places.get(one.service)?.push(one)
  return new Map([...places].map(([name, all]) => [name, member(name, all)]))
}

function member(name: string, places: Service[]): Member {
  const worst = places.toSorted((a, b) => WORST.indexOf(toneOf(a)) - WORST.indexOf(toneOf(b)))[0]
  if (!worst) return { name, places, worst, label: 'Not shown' }
  const same = places.filter((one) => labelOf(one) === labelOf(worst)).length
  const label = places.length === 1 ? labelOf(worst) : same === places.length ? `${labelOf(worst)}, all ${places.length}` : `${labelOf(worst)}, ${same} of ${places.length}`
  return { name, places, worst, label }
}

/** Whether this is what a service that waits is waiting for, as its reason says: `waits for db healthy, cache started`. */
export function holdsBack({ from, to }: Edge, members: Map<string, Member>): boolean {
  const waits = (one: Service) => one.state === 'pending' && (one.reason ?? '').replace(/^waits for /, '').split(', ').some((part) => part.startsWith(`${from} `))
  return members.get(to)?.places.some(waits) ?? false
}

/** How many replicas run, in words for whoever does not see the picture. */
export const running = ({ places }: Member) => (places.length > 1 ? `${places.filter(runs).length} of ${places.length} run` : '')
