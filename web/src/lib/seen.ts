// A browser has six connections for all pages of one kennel. A page that nobody sees gives its streams back after a
// while; they go on where they were when it is seen again.

/** After so long without a look. */
const AWAY_MS = 15_000

export const isSeen = () => document.visibilityState === 'visible'

/** Does something once the page was hidden for a while; answers how to be told no more. */
export function onAway(what: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const changed = () => {
    clearTimeout(timer)
    if (!isSeen()) timer = setTimeout(what, AWAY_MS)
  }
  changed()
  document.addEventListener('visibilitychange', changed)
  return () => {
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', changed)
  }
}

/** At once if the page is seen, else when it is. */
export function whenSeen(): Promise<void> {
  if (isSeen()) return Promise.resolve()
  return new Promise((resolve) => {
    const changed = () => {
      if (!isSeen()) return
      document.removeEventListener('visibilitychange', changed)
      resolve()
    }
    document.addEventListener('visibilitychange', changed)
  })
}

/** Does something now and again and again while the page is seen; answers how to end it. */
export function poll(everyMs: number, what: () => unknown): () => void {
  const again = () => isSeen() && what()
  what()
  const timer = setInterval(again, everyMs)
  document.addEventListener('visibilitychange', again)
  return () => {
    clearInterval(timer)
    document.removeEventListener('visibilitychange', again)
  }
}
