import type { Service } from './types'

export type Condition = NonNullable<Service['depends_on']>[number]['condition']

/** A declared service waits for another one. */
export interface Edge {
  /** Who is waited for. */
  from: string
  to: string
  condition: Condition
}

/** What of the services makes the picture: a change of their states does not. */
export interface Shape {
  /** Declared services in the configuration's order, then those that are waited for and cannot be seen. */
  names: string[]
  edges: Edge[]
}

/** Where something is, CSS pixels from the top left corner. */
export interface Area {
  x: number
  y: number
  width: number
  height: number
}

/** One service, or several that wait for the same and are waited for by the same. */
export interface Box extends Area {
  id: string
  names: string[]
  columns: number
  /** Behind those of all that it waits for. */
  layer: number
}

export interface Line {
  from: string
  to: string
  condition: Condition
  path: string
}

export interface Picture {
  boxes: Box[]
  lines: Line[]
  width: number
  height: number
  /** Those that neither wait nor are waited for. */
  alone: string[]
}

export interface Measures {
  /** Layers follow each other downwards instead of to the right. */
  down: boolean
  /** Size of one service. */
  width: number
  height: number
  /** Most services beside each other in a box. */
  columns: number
  /** Around everything. */
  margin: number
}

/** From so many on services with the same neighbours share a box. */
const TWINS = 4
const PADDING = 8
const INNER_GAP = 6
/** Between layers, and between what is beside each other in one. */
const LAYER_GAP = 64
const GAP = 18
/** Room of a line that passes a layer. */
const LANE = 10
const SWEEPS = 8

export function shapeOf(services: readonly Service[]): Shape {
  const first = new Map(services.toReversed().map((one) => [one.service, one]))
  const names = new Set(services.map((one) => one.service))
  const edges = [...names].flatMap((to) => (first.get(to)?.depends_on ?? []).map(({ service, condition }) => ({ from: service, to, condition })))
  for (const { from } of edges) names.add(from)
  return { names: [...names], edges }
}

/** What each service waits for and who waits for it, by name. */
export function neighbours({ names, edges }: Shape): Map<string, { before: Edge[]; after: Edge[] }> {
  const all = new Map(names.map((name) => [name, { before: [] as Edge[], after: [] as Edge[] }]))
  for (const edge of edges) {
    all.get(edge.to)?.before.push(edge)
    all.get(edge.from)?.after.push(edge)
  }
  return all
}

/** The step in which each can begin at the earliest; 0 waits for nothing. A circle, which no configuration has, ends somewhere. */
export function steps(shape: Shape): Map<string, number> {
  const around = neighbours(shape)
  const found = new Map<string, number>()
  const open = new Set<string>()
  const visit = (name: string): number => {
    const known = found.get(name)
    if (known !== undefined || open.has(name)) return known ?? 0
    open.add(name)
    const step = Math.max(0, ...(around.get(name)?.before ?? []).map((edge) => visit(edge.from) + 1))
    open.delete(name)
    found.set(name, step)
    return step
  }
  shape.names.forEach(visit)
  return found
}

/** A box, or the place where a line passes a layer. Sizes are along the direction of the layers and across it. */
interface Item {
  box?: Box
  across: number
  at: number
  before: Item[]
  after: Item[]
}

/** Puts services in layers, each after what it waits for, with few crossings. */
export function arrange(shape: Shape, measures: Measures): Picture {
  const around = neighbours(shape)
  const isAlone = (name: string) => around.get(name)!.before.length + around.get(name)!.after.length === 0
  const boxes = boxesOf(shape, around, measures)
  const layers: Item[][] = Array.from({ length: Math.max(0, ...boxes.map((one) => one.layer + 1)) }, () => [])
  const items = new Map<string, Item>()
  for (const box of boxes) {
    const item: Item = { box, across: measures.down ? box.width : box.height, at: 0, before: [], after: [] }
    layers[box.layer]!.push(item)
    for (const name of box.names) items.set(name, item)
  }
  const ways = connect(shape, items, layers)
  untangle(layers)
  const across = settle(layers, measures)
  const along = advance(layers, measures)
  const lines = ways.map(({ edge, way }) => ({ from: edge.from, to: edge.to, condition: edge.condition, path: path(way, layers, measures) }))
  const [width, height] = measures.down ? [across, along] : [along, across]
  boxes.sort((a, b) => a.layer - b.layer || a.y - b.y || a.x - b.x)
  return { boxes, lines, width, height, alone: shape.names.filter(isAlone) }
}

function boxesOf(shape: Shape, around: ReturnType<typeof neighbours>, measures: Measures): Box[] {
  const layerOf = steps(shape)
  // What waits for nothing stands just before who waits for it, so that lines are short.
  for (const name of shape.names) {
    const { before, after } = around.get(name)!
    if (before.length === 0 && after.length > 0) layerOf.set(name, Math.max(0, Math.min(...after.map((edge) => layerOf.get(edge.to)!)) - 1))
  }
  const alike = new Map<string, string[]>()
  for (const name of shape.names) {
    const { before, after } = around.get(name)!
    if (before.length + after.length === 0) continue
    const ends = [before.map((edge) => `${edge.from} ${edge.condition}`).sort(), after.map((edge) => `${edge.to} ${edge.condition}`).sort()]
    const key = JSON.stringify(ends)
    alike.set(key, [...(alike.get(key) ?? []), name])
  }
  const groups = [...alike.values()].flatMap((names) => (names.length >= TWINS ? [names] : names.map((name) => [name])))
  return groups.map((names) => {
    const square = Math.ceil(Math.sqrt((names.length * measures.height) / measures.width))
    const columns = names.length === 1 ? 1 : Math.min(measures.columns, Math.max(2, square))
    const rows = Math.ceil(names.length / columns)
    const around = names.length === 1 ? 0 : 2 * PADDING
    return {
      id: names[0]!,
      names,
      columns,
      layer: layerOf.get(names[0]!) ?? 0,
      x: 0,
      y: 0,
      width: columns * measures.width + (columns - 1) * INNER_GAP + around,
      height: rows * measures.height + (rows - 1) * INNER_GAP + around,
    }
  })
}

/** Joins what is connected, over a place in each layer between; answers the way of each line. Several between two boxes are one. */
function connect(shape: Shape, items: Map<string, Item>, layers: Item[][]): { edge: Edge; way: Item[] }[] {
  const seen = new Set<string>()
  return shape.edges.flatMap((edge) => {
    const [from, to] = [items.get(edge.from)!, items.get(edge.to)!]
    const key = `${from.box!.id} ${to.box!.id} ${edge.condition}`
    if (seen.has(key) || to.box!.layer <= from.box!.layer) return []
    seen.add(key)
    const way = [from]
    for (let layer = from.box!.layer + 1; layer < to.box!.layer; layer++) {
      const item: Item = { across: LANE, at: 0, before: [], after: [] }
      layers[layer]!.push(item)
      way.push(item)
    }
    way.push(to)
    for (const [at, item] of way.entries()) {
      const next = way[at + 1]
      if (!next) continue
      item.after.push(next)
      next.before.push(item)
    }
    return [{ edge, way }]
  })
}

/** Orders each layer so that few lines cross: by the middle of the neighbours, to and fro, and keeps the best. */
function untangle(layers: Item[][]) {
  let best = layers.map((layer) => [...layer])
  let fewest = crossings(layers)
  for (let sweep = 0; sweep < SWEEPS && fewest > 0; sweep++) {
    const forth = sweep % 2 === 0
    const order = forth ? layers.slice(1) : layers.slice(0, -1).toReversed()
    for (const layer of order) {
      const place = new Map(layers.flatMap((one) => one.map((item, at) => [item, at] as const)))
      const middle = new Map(layer.map((item) => [item, mean((forth ? item.before : item.after).map((one) => place.get(one)!)) ?? place.get(item)!]))
      layer.sort((a, b) => middle.get(a)! - middle.get(b)!)
    }
    const now = crossings(layers)
    if (now >= fewest) continue
    fewest = now
    best = layers.map((layer) => [...layer])
  }
  best.forEach((layer, at) => layers.splice(at, 1, layer))
}

function crossings(layers: Item[][]): number {
  let sum = 0
  layers.forEach((layer, at) => {
    const place = new Map((layers[at + 1] ?? []).map((item, index) => [item, index]))
    const ends = layer.flatMap((item) => item.after.map((one) => place.get(one)!).sort((a, b) => a - b))
    for (let i = 0; i < ends.length; i++) for (let j = i + 1; j < ends.length; j++) if (ends[i]! > ends[j]!) sum++
  })
  return sum
}

/** Gives everything its place across the layers, near its neighbours; answers the whole extent. */
function settle(layers: Item[][], { margin }: Measures): number {
  for (const layer of layers) pack(layer, layer.map(() => 0))
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const forth = sweep % 2 === 0
    for (const layer of forth ? layers : layers.toReversed()) {
      const wanted = layer.map((item) => {
        const centre = mean((forth ? item.before : item.after).map((one) => one.at + one.across / 2))
        return centre === undefined ? item.at : centre - item.across / 2
      })
      pack(layer, wanted)
    }
  }
  const all = layers.flat()
  const least = Math.min(...all.map((item) => item.at), Infinity)
  for (const item of all) item.at += margin - least
  return Math.max(0, ...all.map((item) => item.at + item.across)) + (all.length > 0 ? margin : 0)
}

/** The places nearest to those that are wanted, without an overlap and in this order (pool adjacent violators). */
function pack(layer: Item[], wanted: number[]) {
  let offset = 0
  const offsets = layer.map((item, at) => {
    const here = offset
    offset += item.across + (item.box && layer[at + 1]?.box ? GAP : GAP / 2)
    return here
  })
  const pools: { sum: number; count: number }[] = []
  wanted.forEach((want, at) => {
    pools.push({ sum: want - offsets[at]!, count: 1 })
    for (let last = pools.at(-1)!, before = pools.at(-2); before && before.sum / before.count > last.sum / last.count; last = before, before = pools.at(-2)) {
      before.sum += last.sum
      before.count += last.count
      pools.pop()
    }
  })
  const places = pools.flatMap((pool) => Array.from({ length: pool.count }, () => pool.sum / pool.count))
  layer.forEach((item, at) => (item.at = places[at]! + offsets[at]!))
}

/** Gives each box its place; answers the whole extent along the layers. */
function advance(layers: Item[][], { down, margin }: Measures): number {
  let at = margin
  for (const layer of layers) {
    const boxes = layer.flatMap((item) => (item.box ? [{ item, box: item.box }] : []))
    const depth = Math.max(0, ...boxes.map(({ box }) => (down ? box.height : box.width)))
    for (const { item, box } of boxes) {
      box.x = Math.round(down ? item.at : at)
      box.y = Math.round(down ? at : item.at)
    }
    at += depth + LAYER_GAP
  }
  return layers.length > 0 ? at - LAYER_GAP + margin : 0
}

/** From the end of one box to the begin of the other, straight through the layers between. */
function path(way: Item[], layers: Item[][], { down }: Measures): string {
  const points: [along: number, across: number][] = []
  way.forEach((item, index) => {
    const middle = item.at + item.across / 2
    const layer = layers.find((one) => one.includes(item))!
    const boxes = item.box ? [item.box] : layer.flatMap((one) => one.box ?? [])
    const begin = Math.min(...boxes.map((box) => (down ? box.y : box.x)))
    const end = Math.max(...boxes.map((box) => (down ? box.y + box.height : box.x + box.width)))
    if (index > 0) points.push([begin, middle])
    if (index < way.length - 1) points.push([end, middle])
  })
  const write = ([along, across]: [number, number]) => (down ? `${round(across)} ${round(along)}` : `${round(along)} ${round(across)}`)
  const [first, ...rest] = points
  const parts = rest.map((point, index) => {
    const before = points[index]!
    // Every second stretch leads straight through a layer.
    if (index % 2 === 1) return `L${write(point)}`
    const half = (before[0] + point[0]) / 2
    return `C${write([half, before[1]])} ${write([half, point[1]])} ${write(point)}`
  })
  return `M${write(first!)}${parts.join('')}`
}

const round = (value: number) => Math.round(value * 10) / 10

const mean = (values: number[]) => (values.length === 0 ? undefined : values.reduce((sum, one) => sum + one, 0) / values.length)

/** Of these the one that somebody means who goes from here to that side; none if there is none. */
export function beside<T extends Area>(here: Area, all: readonly T[], side: 'left' | 'right' | 'up' | 'down'): T | undefined {
  const sign = side === 'left' || side === 'up' ? -1 : 1
  const flat = side === 'left' || side === 'right'
  const centre = (one: Area): [number, number] => [one.x + one.width / 2, one.y + one.height / 2]
  const [x, y] = centre(here)
  const rated = all.flatMap((one) => {
    const [dx, dy] = [centre(one)[0] - x, centre(one)[1] - y]
    const [ahead, aside] = flat ? [dx * sign, Math.abs(dy)] : [dy * sign, Math.abs(dx)]
    return ahead > 1 ? [{ one, far: ahead + 3 * aside }] : []
  })
  return rated.sort((a, b) => a.far - b.far)[0]?.one
}
