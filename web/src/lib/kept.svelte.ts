import type { Choice } from './order'

/** What a view keeps while another one is looked at. */
export const kept = $state<{ filter: string; choice: Choice; kinds: string; audit: string }>({ filter: '', choice: 'all', kinds: '', audit: '' })
