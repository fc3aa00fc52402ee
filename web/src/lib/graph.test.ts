import { expect, test } from 'vitest'
import { arrange, beside, type Box, type Measures, type Picture, type Shape, shapeOf, steps } from './graph'
import type { Service } from './types'

const MEASURES: Measures = { down: false, width: 170, height: 46, columns: 8, margin: 24 }

const shape = (edges: string, more: string[] = []): Shape => {
  const pairs = edges.split(' ').map((pair) => pair.split('<') as [string, string])
  const names = [...new Set([...pairs.flat(), ...more])]
  return { names, edges: pairs.map(([to, from]) => ({ from, to, condition: 'healthy' as const })) }
}

const box = (picture: Picture, name: string) => picture.boxes.find((one) => one.names.includes(name))!

const overlap = (a: Box, b: Box) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height

/** Services in five layers, each waiting for two of the layer before. */
function large(n: number): Shape {
  const edges = Array.from({ length: n }, (_, i) => i).flatMap((i) => (i < n / 5 ? [] : [7, 11].map((k) => ({ from: `s${Math.floor(i - n / 5 - (i % k))}`, to: `s${i}`, condition: 'started' as const }))))
  return { names: Array.from({ length: n }, (_, i) => `s${i}`), edges: edges.filter((edge) => !edge.from.includes('-')) }
}

test('the shape has each declared service once, and those that cannot be seen', () => {
  const service = (name: string, on: string[] = []) =>
    ({ name, service: name.split('.')[0], depends_on: on.map((one) => ({ service: one, condition: 'healthy' })) }) as unknown as Service
  const found = shapeOf([service('web.1', ['db']), service('web.2', ['db']), service('lonely')])
  expect(found.names).toEqual(['web', 'lonely', 'db'])
  expect(found.edges).toEqual([{ from: 'db', to: 'web', condition: 'healthy' }])
})

test('each stands after all that it waits for', () => {
  const found = shape('api<db api<cache web<api web<db', ['mailer'])
  expect(Object.fromEntries(steps(found))).toEqual({ api: 1, db: 0, cache: 0, web: 2, mailer: 0 })
  const picture = arrange(found, MEASURES)
  for (const { from, to } of found.edges) expect(box(picture, from).x + box(picture, from).width).toBeLessThan(box(picture, to).x)
  expect(picture.alone).toEqual(['mailer'])
  expect(picture.lines).toHaveLength(4)
  const down = arrange(found, { ...MEASURES, down: true })
  for (const { from, to } of found.edges) expect(box(down, from).y + box(down, from).height).toBeLessThan(box(down, to).y)
})

test('those with the same neighbours share a box', () => {
  const edges = Array.from({ length: 199 }, (_, i) => `w${i}<db`).join(' ')
  const picture = arrange(shape(edges), MEASURES)
  expect(picture.boxes).toHaveLength(2)
  expect(picture.lines).toHaveLength(1)
  expect(box(picture, 'w0').columns).toBe(8)
  expect(arrange(shape(edges), { ...MEASURES, columns: 2 }).width).toBeLessThan(170 * 3 + 200)
  // A few are easier to read one by one.
  expect(arrange(shape('a<db b<db c<db'), MEASURES).boxes).toHaveLength(4)
})

test('two hundred are arranged without an overlap, quickly', () => {
  const began = performance.now()
  const picture = arrange(large(200), MEASURES)
  expect(performance.now() - began).toBeLessThan(1000)
  const pairs = picture.boxes.flatMap((one, at) => picture.boxes.slice(at + 1).map((other) => [one, other] as const))
  expect(pairs.filter(([one, other]) => overlap(one, other))).toEqual([])
  for (const one of picture.boxes) {
    expect(one.x >= 0 && one.y >= 0 && one.x + one.width <= picture.width && one.y + one.height <= picture.height).toBe(true)
  }
  expect(picture.lines.every((one) => !one.path.includes('NaN'))).toBe(true)
})

test('a line that could be drawn without a crossing is', () => {
  // In the order in which they are declared, the lines would cross.
  const crossed = { ...shape('b1<a2 b2<a1'), names: ['a1', 'a2', 'b1', 'b2'] }
  const picture = arrange(crossed, MEASURES)
  const above = (one: string, other: string) => box(picture, one).y < box(picture, other).y
  expect(above('a1', 'a2')).toBe(above('b2', 'b1'))
})

test('a circle does not go on for ever, and nothing is no trouble', () => {
  expect(arrange(shape('a<b b<a'), MEASURES).boxes).toHaveLength(2)
  expect(arrange({ names: [], edges: [] }, MEASURES)).toEqual({ boxes: [], lines: [], width: 0, height: 0, alone: [] })
})

test('arrows lead to what is on that side', () => {
  const area = (x: number, y: number) => ({ x, y, width: 10, height: 10 })
  const [here, right, far, below] = [area(0, 0), area(100, 20), area(60, 200), area(0, 50)]
  expect(beside(here, [here, right, far, below], 'right')).toBe(right)
  expect(beside(here, [here, right, far, below], 'down')).toBe(below)
  expect(beside(here, [here, right, far, below], 'up')).toBeUndefined()
})
