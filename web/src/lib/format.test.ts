import { expect, test } from 'vitest'
import { age, brief, bytes, duration, exit, measured, percent } from './format'

test('sizes have three digits', () => {
  expect([0, 999, 1000, 1536, 102_400, 5 * 1024 ** 3].map(bytes)).toEqual(['0 B', '999 B', '1.0 KiB', '1.5 KiB', '100 KiB', '5.0 GiB'])
  expect(bytes(undefined)).toBe('–')
})

test('durations have two units', () => {
  expect([0, 740, 1500, 9000, 59_999, 243_000, 7_500_000, 90_000_000].map(duration)).toEqual(['0 ms', '740 ms', '1.5 s', '9 s', '59 s', '4 min 3 s', '2 h 5 min', '1 d 1 h'])
  const since = '2026-01-01T00:00:00Z'
  const after = (ms: number) => Date.parse(since) + ms
  expect(age(since, after(900))).toBe('0 s')
  expect(age(since, after(-5000))).toBe('0 s')
  expect(brief(since, after(243_000))).toBe('4 min')
})

test('ends and figures', () => {
  expect(exit({ kind: 'signal', signal: 15 })).toBe('SIGTERM')
  expect(exit({ kind: 'signal', signal: 40 })).toBe('signal 40')
  expect(exit({ kind: 'code', code: 3 })).toBe('exit 3')
  expect(exit(null)).toBe('–')
  expect([0, 0.25, 12.4].map(percent)).toEqual(['0 %', '0.3 %', '12 %'])
  expect(measured('memory', 1024)).toBe('1.0 KiB')
  expect(measured('processes', 1234)).toBe('1,234')
})
