const query = matchMedia('(max-width: 720px)')

/** Whether the page is as narrow as a phone. */
export const screen = $state({ narrow: query.matches })

query.addEventListener('change', () => {
  screen.narrow = query.matches
})
