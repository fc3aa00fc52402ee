import { words } from './format'

/** What a configuration has for one key: what JSON has. */
export type Setting = string | number | boolean | null | Setting[] | { [key: string]: Setting }
export type Settings = { [key: string]: Setting }

/** Keys of a service under the question that they answer; what is not named here stands at the end. */
const GROUPS: [string, string[]][] = [
  ['What runs', ['command', 'working_dir', 'environment', 'user', 'group', 'umask', 'replicas', 'ports', 'profiles', 'labels', 'color']],
  ['When it starts, and again', ['depends_on', 'schedule', 'watch', 'restart', 'restart_policy', 'success_exit_codes', 'start_timeout']],
  ['How it is', ['readiness', 'liveness', 'hang', 'rules']],
  ['How it ends', ['stop', 'on_daemon_loss', 'on_escape', 'max_runtime', 'idle_timeout']],
  ['Its output', ['logs']],
]

/** The settings in groups, each key with its value; groups without any are left out. Limits are told elsewhere, with who holds them. */
export function grouped(settings: Settings): [string, [string, Setting][]][] {
  const named = new Set(GROUPS.flatMap(([, keys]) => keys))
  const rest = Object.keys(settings).filter((key) => !named.has(key) && key !== 'limits')
  const groups: [string, string[]][] = [...GROUPS, ['Its rights and surroundings', rest]]
  return groups.flatMap(([title, keys]) => {
    const there = keys.flatMap((key): [string, Setting][] => (settings[key] === undefined ? [] : [[key, settings[key]]]))
    return there.length > 0 ? [[title, there]] : []
  })
}

/** Whether a value can stand in one line. */
export const isFlat = (value: Setting): boolean => value === null || typeof value !== 'object' || (Array.isArray(value) && value.every((one) => one === null || typeof one !== 'object'))

/** A value in one line: words of a command with a space between. */
export function line(key: string, value: Setting): string {
  if (value === null) return 'none'
  if (value === true) return 'yes'
  if (value === false) return 'no'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map((one) => line(key, one)).join(key === 'command' || key === 'exec' ? ' ' : ', ')
  // In a file a dollar is written twice; what runs has it once.
  return String(value).replaceAll('$$', '$')
}

/** Several short values in one line: `signal SIGTERM · wait 5s`; nothing for what is longer or has a depth of its own. */
export function inline(value: Setting): string | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  const entries = Object.entries(value)
  if (entries.length === 0 || entries.length > 4 || !entries.every(([, one]) => isFlat(one))) return undefined
  // Of a dependency there is mostly nothing but its condition.
  if (entries.length === 1 && entries[0]![0] === 'condition') return words(line('condition', entries[0]![1]))
  return entries.map(([key, one]) => `${words(key)} ${line(key, one)}`).join(' · ')
}
