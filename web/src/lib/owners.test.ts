import { expect, test } from 'vitest'
import { nested, stateOf } from './owners'
import type { Owner } from './types'

const owner = (name: string, parent?: string) => ({ name, parent, state: 'held', leases: [] }) as unknown as Owner

test('each stands below its parent, and one whose parent is gone at the root', () => {
  const found = nested([owner('a'), owner('b'), owner('c', 'a'), owner('d', 'c'), owner('e', 'gone')])
  expect(found.map(({ owner, depth }) => `${owner.name}${depth}`)).toEqual(['a0', 'c1', 'd2', 'b0', 'e0'])
})

test('why one has ended', () => {
  expect(stateOf({ ...owner('a'), state: 'ended', ended: { reason: 'parent_ended', ancestor: 'b' } } as Owner).text).toBe('Ended, with b')
})
