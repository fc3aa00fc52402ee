import { expect, test } from 'vitest'
import { grouped, inline, line } from './settings'

test('keys stand under their question, limits elsewhere, and none is lost', () => {
  const found = grouped({ restart: 'always', command: ['sh', '-c', 'x'], limits: { pids: 3 }, nice: 5, stop: [] })
  expect(found.map(([title, entries]) => [title, ...entries.map(([key]) => key)])).toEqual([
    ['What runs', 'command'],
    ['When it starts, and again', 'restart'],
    ['How it ends', 'stop'],
    ['Its rights and surroundings', 'nice'],
  ])
})

test('values as people read them', () => {
  expect(line('command', ['sh', '-c', 'echo $$HOME'])).toBe('sh -c echo $HOME')
  expect([line('environment', ['A', 'B']), line('stop', []), line('notify', true)]).toEqual(['A, B', 'none', 'yes'])
  expect(inline({ signal: 'TERM', wait: '5s' })).toBe('signal TERM · wait 5s')
  expect(inline({ condition: 'completed_successfully' })).toBe('completed successfully')
  expect([inline({ a: { b: 1 } }), inline([1]), inline('x')]).toEqual([undefined, undefined, undefined])
})
