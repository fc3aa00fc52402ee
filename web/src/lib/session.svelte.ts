import { call, door, get, post, Refused } from './api'
import type { Session } from './types'

type Phase = 'checking' | 'out' | 'in'

const RANK = { read: 0, operate: 1, admin: 2 } as const

class Login {
  phase = $state<Phase>('checking')
  who = $state<Session>()
  /** Why the last try did not work. */
  trouble = $state('')

  constructor() {
    door.onLoggedOut = () => this.forget('')
  }

  /** Takes the secret from the address, which then is gone from there; without one asks whether a session goes on. */
  async begin() {
    const secret = /^#login=(.+)$/.exec(location.hash)?.[1]
    if (secret) {
      history.replaceState(null, '', location.pathname)
      await this.enter({ login: decodeURIComponent(secret) })
    } else {
      await this.enter()
    }
  }

  async withToken(token: string) {
    await this.enter({ token })
  }

  async leave() {
    try {
      await call('DELETE', '/v1/session')
    } finally {
      this.forget('')
    }
  }

  /** The only services that may be seen and acted on; empty: all. */
  get own(): string[] {
    return this.who?.services ?? []
  }

  /** Why this may not be done, or nothing if it may. */
  refusal(needs: 'operate' | 'admin', services: string[] = []): string | undefined {
    if (!this.who) return 'You are not logged in.'
    if (RANK[this.who.role] < RANK[needs]) return `Your role is “${this.who.role}”. This needs “${needs}”.`
    const allowed = this.own
    if (allowed.length === 0) return undefined
    // A token for `worker` is one for all its replicas.
    const covered = (name: string) => allowed.includes(name) || allowed.includes(name.replace(/\.\d+$/, ''))
    if (services.length > 0 && services.every(covered)) return undefined
    return 'Your token is for other services.'
  }

  private async enter(proof?: { login: string } | { token: string }) {
    this.trouble = ''
    try {
      const who = await (proof ? post<Session>('/v1/session', proof) : get<Session>('/v1/session'))
      door.csrf = who.csrf
      this.who = who
      this.phase = 'in'
    } catch (error) {
      this.forget(proof || !(error instanceof Refused && error.status === 401) ? explain(error, proof) : '')
    }
  }

  private forget(trouble: string) {
    door.csrf = ''
    this.who = undefined
    this.phase = 'out'
    this.trouble = trouble
  }
}

function explain(error: unknown, proof?: object): string {
  if (!(error instanceof Refused)) return String(error)
  if (error.status !== 401) return `${error.message}.`
  if (proof && 'login' in proof) return 'This login link was used already or has expired.'
  return 'This token is not known here, or has expired.'
}

export const login = new Login()
