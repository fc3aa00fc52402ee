import type { Exit } from './types'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1.4 GiB`; three digits at most. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return '–'
  let unit = 0
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

/** Of one CPU. */
export function percent(value: number | null | undefined): string {
  if (value == null) return '–'
  return `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(1)} %`
}

/** `740 ms`, `12 s`, `4 min 3 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number | null | undefined): string {
  if (ms == null) return '–'
  if (ms < 1000) return `${Math.round(ms)} ms`
  const s = ms / 1000
  if (s < 60) return s < 10 && ms % 1000 !== 0 ? `${s.toFixed(1)} s` : `${Math.floor(s)} s`
  const two = (big: number, a: string, small: number, b: string) => (small ? `${big} ${a} ${small} ${b}` : `${big} ${a}`)
  if (s < 3600) return two(Math.floor(s / 60), 'min', Math.floor(s % 60), 's')
  if (s < 86_400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min')
  return two(Math.floor(s / 86_400), 'd', Math.floor((s % 86_400) / 3600), 'h')
}

/** How long something has been, in whole seconds. */
export const age = (since: string, now: number) => {
  const s = Math.max(0, Math.floor((now - Date.parse(since)) / 1000))
  return s === 0 ? '0 s' : duration(s * 1000)
}

/** The same with one unit alone, for tables. */
export const brief = (since: string, now: number) => age(since, now).split(' ').slice(0, 2).join(' ')

/** `14:03:59.120` of today, with the date before it of another day. */
export function clock(time: string, withMs = false): string {
  const date = new Date(time)
  const two = (value: number) => String(value).padStart(2, '0')
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  const ms = withMs ? `.${String(date.getMilliseconds()).padStart(3, '0')}` : ''
  const today = new Date().toDateString() === date.toDateString()
  return `${today ? '' : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `}${text}${ms}`
}

const SIGNALS =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  )

export function exit(value: Exit | null | undefined): string {
  if (!value) return '–'
  if (value.kind === 'code') return `exit ${value.code}`
  if (value.kind === 'signal') return SIGNALS[value.signal - 1] ? `SIG${SIGNALS[value.signal - 1]}` : `signal ${value.signal}`
  return 'unknown'
}

/** `8,031` */
export const figure = (n: number) => n.toLocaleString('en')

/** `1 process`, `3 processes`. */
export const count = (n: number, one: string, many = `${one}s`) => `${figure(n)} ${n === 1 ? one : many}`

/** `given_up` as people read it. */
export const words = (text: string) => text.replaceAll('_', ' ')

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** A figure of an alert in its unit. */
export function measured(measure: string, value: number | null | undefined): string {
  if (value == null) return '–'
  if (measure === 'memory' || measure === 'written') return bytes(value)
  if (measure === 'log_rate' || measure === 'write_rate') return `${bytes(value)}/s`
  if (measure === 'cpu') return percent(value)
  return measure === 'forks' ? `${Math.round(value)}/s` : figure(Math.round(value))
}
