import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  base: '/dashboard/',
  plugins: [svelte()],
  build: {
    target: 'es2023',
    // `.gitignore` keeps the folder in the repository: `clean` in package.json removes everything else.
    emptyOutDir: false,
    // An inlined file would be a `data:` URL, which the content security policy refuses for scripts and fonts.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
    modulePreload: { polyfill: false },
  },
  // What a test imports is compiled within its time, on a machine that may have much else to do.
  test: { include: ['src/**/*.test.ts'], setupFiles: ['tests/unit.ts'], testTimeout: 120_000 },
});
