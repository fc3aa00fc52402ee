import { expect, test } from 'vitest'
import { arrange, turn } from './order'
import type { Service } from './types'

const make = (name: string, more: Partial<Service> = {}) => ({ name, service: name, state: 'ready', health: 'none', wanted: true, restarts: 0, containment: 'cgroup', command: [], ports: {}, ...more }) as Service
const all = [make('web', { ports: { http: 3000 }, memory_bytes: 5 }), make('db', { state: 'failed' }), make('worker.10'), make('worker.9', { state: 'stopped' })]
const names = (list: Service[]) => list.map((one) => one.name)

test('every word has to be somewhere', () => {
  expect(names(arrange(all, ' 3000 WEB', 'all', undefined))).toEqual(['web'])
  expect(names(arrange(all, 'worker stopped', 'all', undefined))).toEqual(['worker.9'])
  expect(names(arrange(all, '', 'trouble', undefined))).toEqual(['db'])
  expect(names(arrange(all, '', 'down', undefined))).toEqual(['db', 'worker.9'])
})

test('numbers in names count as numbers, and the list itself is left alone', () => {
  expect(names(arrange(all, '', 'all', { by: 'name', down: false }))).toEqual(['db', 'web', 'worker.9', 'worker.10'])
  expect(names(arrange(all, '', 'all', { by: 'memory', down: true }))[0]).toBe('web')
  expect(names(all)[0]).toBe('web')
})

test('three presses of a head', () => {
  const one = turn(undefined, 'cpu')
  expect(one).toEqual({ by: 'cpu', down: true })
  expect(turn(one, 'cpu')).toEqual({ by: 'cpu', down: false })
  expect(turn(turn(one, 'cpu'), 'cpu')).toBeUndefined()
  expect(turn(one, 'name')).toEqual({ by: 'name', down: false })
})
