import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig, type Plugin } from 'vite'
// @ts-expect-error a plain script, which the tests use too
import { manifest } from './manifest.mjs'

/** Writes of what the page was built: a test of the crate that embeds it refuses one that is stale. */
function stamp(): Plugin {
  return {
    name: 'stamp',
    apply: 'build',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'manifest.txt', source: `${manifest(import.meta.dirname)}\n` })
    },
  }
}

export default defineConfig({
  plugins: [svelte(), stamp()],
  build: {
    outDir: '../crates/kennel-dashboard/dist',
    emptyOutDir: true,
    sourcemap: false,
    target: 'es2022',
    // A font in a data: address would be refused by the page's own policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        entryFileNames: 'assets/[name].js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
      },
    },
  },
})
