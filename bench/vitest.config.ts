import { defineConfig } from 'vitest/config';

/** `npm run bench`: one file after the other, with nothing beside it. */
export default defineConfig({
  test: {
    root: '.',
    globalSetup: ['test/support/build.ts'],
    setupFiles: ['test/support/isolate.ts'],
    include: ['bench/*.ts'],
    exclude: ['bench/vitest.config.ts', 'bench/lfs-server.ts'],
    fileParallelism: false,
  },
});
