import { plain } from './safe'

/** A stretch of text that looks the same. */
export interface Span {
  text: string
  /** Classes of `ansi.css`. */
  classes: string
  /** `#rrggbb` where no class is for it. */
  color?: string
  background?: string
}

interface Style {
  classes: Set<string>
  fg?: string
  bg?: string
  color?: string
  background?: string
}

// CSI sequences, OSC up to its end, and the other short ones.
// biome-ignore lint: control characters are the subject
const ESCAPE = /\u001b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-Z\\^-~])/g

/** Splits a line into spans. Colours and weights stay, every other sequence is left out. */
export function spans(line: string): Span[] {
  // What a progress bar has overwritten is not seen on a terminal either.
  const shown = line.slice(line.trimEnd().lastIndexOf('\r') + 1)
  if (!shown.includes('\u001b')) return [{ text: plain(shown.trimEnd()), classes: '' }]
  const out: Span[] = []
  const style: Style = { classes: new Set() }
  const add = (text: string) => {
    if (text === '') return
    const classes = [...style.classes, ...(style.fg ? [style.fg] : []), ...(style.bg ? [style.bg] : [])].join(' ')
    out.push({ text: plain(text), classes, color: style.color, background: style.background })
  }
  let from = 0
  for (const found of shown.matchAll(ESCAPE)) {
    add(shown.slice(from, found.index))
    from = found.index + found[0].length
    if (found[2] === 'm') apply(style, (found[1] ?? '').split(/[;:]/).map(Number))
  }
  add(shown.slice(from))
  return out
}

const WEIGHTS: Record<number, string> = { 1: 'bold', 2: 'faint', 3: 'italic', 4: 'underline', 7: 'inverse', 9: 'struck' }
const ENDS: Record<number, string[]> = { 22: ['bold', 'faint'], 23: ['italic'], 24: ['underline'], 27: ['inverse'], 29: ['struck'] }

function apply(style: Style, codes: number[]) {
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] || 0
    const weight = WEIGHTS[code]
    if (code === 0) {
      style.classes.clear()
      style.fg = style.bg = style.color = style.background = undefined
    } else if (weight) style.classes.add(weight)
    else if (ENDS[code]) for (const one of ENDS[code]) style.classes.delete(one)
    else if (code === 38 || code === 48) {
      const [color, used] = extended(codes.slice(at + 1))
      at += used
      paint(style, code === 48, color)
    } else if (code === 39 || code === 49) paint(style, code === 49, undefined)
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) paint(style, false, code >= 90 ? code - 82 : code - 30)
    else if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) paint(style, true, code >= 100 ? code - 92 : code - 40)
  }
}

function paint(style: Style, back: boolean, color: number | string | undefined) {
  const named = typeof color === 'number' ? `${back ? 'bg' : 'fg'}${color}` : undefined
  const exact = typeof color === 'string' ? color : undefined
  if (back) [style.bg, style.background] = [named, exact]
  else [style.fg, style.color] = [named, exact]
}

/** The colour behind 38 or 48, and how many numbers it took. */
function extended(codes: number[]): [number | string | undefined, number] {
  const hex = (...parts: number[]) => `#${parts.map((one) => Math.min(255, one || 0).toString(16).padStart(2, '0')).join('')}`
  if (codes[0] === 2) return [hex(codes[1] ?? 0, codes[2] ?? 0, codes[3] ?? 0), 4]
  if (codes[0] !== 5) return [undefined, 1]
  const index = Math.min(255, codes[1] || 0)
  if (index < 16) return [index, 2]
  if (index >= 232) return [hex(...Array<number>(3).fill(8 + (index - 232) * 10)), 2]
  const level = (value: number) => (value === 0 ? 0 : 55 + value * 40)
  const cube = index - 16
  return [hex(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)), 2]
}
