/** The stretches of a text that match, as `[from, to]`. */
export function matches(text: string, pattern: RegExp | undefined): [number, number][] {
  if (!pattern) return []
  return [...text.matchAll(pattern)].filter((one) => one[0] !== '').map((one) => [one.index, one.index + one[0].length])
}
