import type { Problem } from './types'

/** An answer of 400 and more, or none at all (`status` 0, code `unreachable`). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly hint?: string,
    /** What is wrong with a configuration, each with what can be done about it. */
    readonly mistakes: string[] = [],
  ) {
    super(detail)
  }
}

/** Why something was not done, in words. */
export const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** The same, with what can be done about it. */
export function adviceOf(error: unknown): string {
  if (!(error instanceof Refused)) return String(error)
  return error.mistakes.length > 0 ? error.mistakes.join('. ') : [error.message, error.hint].filter(Boolean).join('. ')
}

/** Why a page cannot be read, in words: none if kennel does not answer, for the banner says so. */
export const troubleOf = (error: unknown) => (error instanceof Refused && error.status === 0 ? '' : reasonOf(error))

/** Beyond so many characters help is a list of everything that there is. */
const HELP_AT_MOST = 120

/** What is done when an answer says that nobody is logged in, and what says so with each mutation that it is this page. */
export const door = { csrf: '', onLoggedOut: () => {} }

const HANDOVER_TRIES = 100
const HANDOVER_PAUSE_MS = 100

/** One request, with what has to hold for it (`if-none-match`). The answer's body is JSON, or nothing for 204. */
export async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal, conditions?: Record<string, string>): Promise<T> {
  for (let tries = 0; ; tries++) {
    const response = await send(method, path, body, signal, conditions)
    if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T
    const problem = await refusal(response)
    // Another daemon takes over: the same request is to be sent again, to the same door.
    if (problem.code !== 'handed_over' || tries >= HANDOVER_TRIES) throw problem
    await new Promise((resolve) => setTimeout(resolve, HANDOVER_PAUSE_MS))
  }
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>('GET', path, undefined, signal)
export const post = <T>(path: string, body: unknown = {}) => call<T>('POST', path, body)

/** `/v1/x?a=1&b=2`; what is undefined is left out, a list is repeated. */
export function address(path: string, query: Record<string, string | number | boolean | string[] | undefined>): string {
  const given = Object.entries(query).flatMap(([key, value]) => [value ?? ''].flat().map((one) => [key, String(one)] as const))
  // Not `URLSearchParams`: it writes a space as `+`, which is a plus in an address.
  const text = given
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join('&')
  return text ? `${path}?${text}` : path
}

/** The documents of a stream, one for each line, as they come; in bunches, as the network gives them. */
export async function* lines<T>(path: string, signal: AbortSignal): AsyncGenerator<T[]> {
  for await (const bunch of rawLines(path, signal)) yield bunch.map((one) => JSON.parse(one) as T)
}

/** The same, not parsed yet. */
export async function* rawLines(path: string, signal: AbortSignal): AsyncGenerator<string[]> {
  const response = await send('GET', path, undefined, signal)
  if (!response.ok) throw await refusal(response)
  if (!response.body) return
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    const parts = (rest + value).split('\n')
    rest = parts.pop() ?? ''
    const bunch = parts.filter((part) => part !== '')
    if (bunch.length > 0) yield bunch
  }
}

async function send(method: string, path: string, body: unknown, signal?: AbortSignal, conditions: Record<string, string> = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json', ...conditions }
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store', signal }
  if (method !== 'GET') {
    headers['content-type'] = 'application/json'
    if (door.csrf) headers['x-kennel-csrf'] = door.csrf
    init.body = JSON.stringify(body ?? {})
  }
  try {
    return await fetch(path, init)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Refused(0, 'unreachable', 'kennel does not answer')
  }
}

async function refusal(response: Response): Promise<Refused> {
  let problem: Partial<Problem> & { title?: string } = {}
  try {
    problem = await response.json()
  } catch {
    // Not one of ours: the status has to do.
  }
  if (response.status === 401) door.onLoggedOut()
  const mistakes = problem.diagnostics?.map(({ message, help }) => (help && help.length <= HELP_AT_MOST ? `${message}; ${help}` : message)) ?? []
  const detail = problem.detail ?? problem.title ?? `the answer is ${response.status} ${response.statusText}`
  return new Refused(response.status, problem.code ?? 'unknown', detail, problem.hint ?? undefined, mistakes)
}
