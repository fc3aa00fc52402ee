import { expect, test } from 'vitest'
import { requests, told } from './audit'

const entry = (outcome: string, subject = 'web', time = '2026-01-02T03:04:05Z') => ({ time, actor: 'uid 1 pid 2', action: 'POST /v1/stop', subject, outcome })

test('a request and its answer are one line, the newest first', () => {
  const found = requests([entry('asked'), entry('asked', 'db'), entry('200'), entry('asked'), entry('409 conflict', 'db')])
  expect(found.map((one) => [one.subject, one.outcome])).toEqual([['web', undefined], ['db', '409 conflict'], ['web', '200']])
})

test('an answer without its question stands for itself', () => {
  expect(requests([entry('403 forbidden'), entry('asked')]).map((one) => one.outcome)).toEqual([undefined, '403 forbidden'])
})

test('outcomes in words', () => {
  expect([undefined, '204', '404 unknown_service', 'abandoned'].map(told)).toEqual(['no answer yet', 'done', 'unknown service (404)', 'abandoned'])
})
