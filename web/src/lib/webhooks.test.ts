import { expect, test } from 'vitest'
import type { Delivery, Webhook } from './types'
import { few, inTrouble, stateOf, storyOf, until } from './webhooks'

const NOW = Date.parse('2026-01-02T03:04:05Z')
const failed = { at: '2026-01-02T03:03:53Z', took_ms: 3, error: 'connection refused' }
const message = (rest: Partial<Delivery>) => ({ id: 'msg_1', webhook: 'ops', kind: 'service.failed', seq: 1, time: failed.at, state: 'waiting', tries: 0, ...rest }) as Delivery

test('what was done about a message', () => {
  expect(storyOf(message({ tries: 3, last: failed, next_at: '2026-01-02T03:04:13.900Z' }), NOW)).toBe('3 tries, the last 12 s ago: connection refused, after 3 ms; next try in 8 s')
  expect(storyOf(message({ next_at: '2026-01-02T03:04:05Z' }), NOW)).toBe('next try now')
  expect(storyOf(message({ state: 'delivered', tries: 1, last: { at: failed.at, took_ms: 12, status: 204 } }), NOW)).toBe('204 in 12 ms')
  expect(storyOf(message({ state: 'delivered', tries: 4, last: { at: failed.at, took_ms: 12, status: 200 } }), NOW)).toBe('200 in 12 ms, with try 4')
  expect(storyOf(message({ state: 'dead', tries: 1, last: failed, reason: 'too old' }), NOW)).toBe('1 try: too old')
})

test('how a webhook is', () => {
  const webhook = (state: Webhook['state'], last?: typeof failed) => ({ state, last }) as Webhook
  expect(stateOf(webhook('ok')).text).toBe('Not used yet')
  expect(stateOf(webhook('ok', failed)).tone).toBe('good')
  expect(['ok', 'failing', 'disabled'].map((one) => inTrouble(webhook(one as Webhook['state'])))).toEqual([false, true, true])
})

test('when the next try is, and lists that are too long', () => {
  expect(until('2026-01-02T03:04:00Z', NOW)).toBe('now')
  expect(until('2026-01-02T03:06:05Z', NOW)).toBe('in 2 min')
  expect(few(['a', 'b', 'c', 'd'])).toBe('a, b, c, d')
  expect(few(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 more')
})
