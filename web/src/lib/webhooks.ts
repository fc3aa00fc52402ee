import type { Tone } from './events'
import { age, count, duration } from './format'
import type { Delivery, Webhook, WebhookTry } from './types'

const HOW: Record<Webhook['state'], [Tone, string]> = { ok: ['good', 'OK'], failing: ['bad', 'Failing'], disabled: ['busy', 'Disabled'] }

/** How a webhook is, in a word; one that has nothing to tell yet is neither good nor bad. */
export function stateOf(webhook: Webhook): { tone: Tone; text: string } {
  if (webhook.state === 'ok' && !webhook.last) return { tone: 'calm', text: 'Not used yet' }
  const [tone, text] = HOW[webhook.state]
  return { tone, text }
}

/** Whether somebody should look at it. */
export const inTrouble = (webhook: Webhook) => webhook.state !== 'ok'

/** What came of a try: `204 in 12 ms`, `connection refused after 3 ms`. */
export function cameOf(one: WebhookTry): string {
  const { error, status, took_ms } = one
  return error ? `${error}, after ${duration(took_ms)}` : `${status ?? 'taken'} in ${duration(took_ms)}`
}

const ON_ITS_WAY: Record<Delivery['state'], [Tone, string]> = { waiting: ['busy', 'Waiting'], delivered: ['good', 'Arrived'], dead: ['bad', 'Dead'] }

export function stageOf(delivery: Delivery): { tone: Tone; text: string } {
  const [tone, text] = ON_ITS_WAY[delivery.state]
  return { tone, text }
}

/** How long until then, `now` if that is over. */
export function until(time: string, now: number): string {
  const left = Date.parse(time) - now
  return left < 1000 ? 'now' : `in ${duration(Math.floor(left / 1000) * 1000)}`
}

/** What was done about a message, in one sentence without its subject. */
export function storyOf(delivery: Delivery, now: number): string {
  const { last, next_at, reason, state, tries } = delivery
  if (state === 'delivered') return `${last ? cameOf(last) : 'it was taken'}${tries > 1 ? `, with try ${tries}` : ''}`
  if (state === 'dead') return `${tries === 0 ? 'not tried' : count(tries, 'try', 'tries')}: ${reason ?? last?.error ?? 'nobody took it'}`
  const next = next_at ? `next try ${until(next_at, now)}` : 'not tried for now'
  return last ? `${count(tries, 'try', 'tries')}, the last ${age(last.at, now)} ago: ${cameOf(last)}; ${next}` : next
}

/** The first of a list and how many more there are. */
export function few(names: readonly string[], most = 3): string {
  const more = names.length - most
  return more > 1 ? `${names.slice(0, most).join(', ')} and ${more} more` : names.join(', ')
}

/** Which events it is told of. */
export const eventsOf = (webhook: Webhook) => (webhook.events.includes('*') ? 'all events' : few(webhook.events))
