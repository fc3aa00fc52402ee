import type { AuditEntry } from './types'

/** A request, of what was recorded before it was done and with its answer. */
export interface Asked {
  time: string
  actor: string
  action: string
  subject: string
  /** None: it is being answered, or was when the daemon was lost. */
  outcome: string | undefined
}

/** One for each request of these entries (the oldest first); the newest first. */
export function requests(entries: readonly AuditEntry[]): Asked[] {
  const found: Asked[] = []
  const open = new Map<string, Asked[]>()
  for (const { time, actor, action, subject, outcome } of entries) {
    const key = JSON.stringify([actor, action, subject])
    const waiting = open.get(key) ?? []
    open.set(key, waiting)
    const request: Asked = { time, actor, action, subject, outcome: undefined }
    if (outcome === 'asked') {
      waiting.push(request)
      found.push(request)
      continue
    }
    const asked = waiting.shift()
    if (asked) asked.outcome = outcome
    // What was refused at the door, or whose beginning is too long ago to be among these.
    else found.push({ ...request, outcome })
  }
  return found.toReversed()
}

/** Whether it was done. */
export const isDone = (outcome: string | undefined) => outcome?.startsWith('2') ?? false

/** `409 conflict` as people read it. */
export function told(outcome: string | undefined): string {
  if (outcome === undefined) return 'no answer yet'
  const [status, code] = outcome.split(' ')
  if (isDone(outcome)) return 'done'
  return code ? `${code.replaceAll('_', ' ')} (${status})` : outcome
}
