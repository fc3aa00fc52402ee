/** Where the page is, as it stands behind `#` in the address. */
export type Place =
  | { view: 'service'; name: string; tab: Tab }
  | { view: 'graph'; list: boolean }
  | { view: Plain }

const PLAIN = ['services', 'events', 'alerts', 'ports', 'owners', 'webhooks', 'daemon', 'audit', 'tokens'] as const
type Plain = (typeof PLAIN)[number]

export const TABS = ['overview', 'logs', 'events', 'receipts', 'config'] as const
export type Tab = (typeof TABS)[number]

export function parse(hash: string): Place {
  const [view, name, tab] = hash.replace(/^#\/?/, '').split('/')
  if (view === 'service' && name) {
    return { view, name: decodeURIComponent(name), tab: TABS.find((one) => one === tab) ?? 'overview' }
  }
  if (view === 'graph') return { view, list: name === 'list' }
  return { view: PLAIN.find((one) => one === view) ?? 'services' }
}

export function href(place: Place): string {
  if (place.view === 'services') return '#/'
  if (place.view === 'graph') return place.list ? '#/graph/list' : '#/graph'
  if (place.view !== 'service') return `#/${place.view}`
  return `#/service/${encodeURIComponent(place.name)}${place.tab === 'overview' ? '' : `/${place.tab}`}`
}

export const router = $state<{ place: Place }>({ place: parse(location.hash) })

export function go(place: Place) {
  location.hash = href(place)
}

addEventListener('hashchange', () => {
  router.place = parse(location.hash)
})
