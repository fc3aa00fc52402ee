import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** What the built page depends on, relative to this directory. */
const SOURCES = ['index.html', 'manifest.mjs', 'package-lock.json', 'package.json', 'public', 'src', 'svelte.config.js', 'tsconfig.json', 'vite.config.ts']

function* files(root, path) {
  if (statSync(join(root, path)).isDirectory()) {
    for (const name of readdirSync(join(root, path))) yield* files(root, `${path}/${name}`)
  } else {
    yield path
  }
}

/**
 * SHA-256 over all sources, as hex: for each file in the order of its path's bytes the path, a zero byte, the length in
 * decimal, a zero byte, the contents. The crate that embeds the page computes the same and compares.
 */
export function manifest(root) {
  const hash = createHash('sha256')
  const tests = (path) => path.endsWith('.test.ts')
  const paths = SOURCES.flatMap((path) => [...files(root, path)]).filter((path) => !tests(path))
  for (const path of paths.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const bytes = readFileSync(join(root, path))
    hash.update(path).update('\0').update(String(bytes.length)).update('\0').update(bytes)
  }
  return hash.digest('hex')
}
