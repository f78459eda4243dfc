import { defineConfig } from 'vitest/config';

/** `npm run bench`: one file after the other, with nothing beside it. */
export default defineConfig({
  test: {
    root: '.',
    globalSetup: ['test/support/build.ts'],
    setupFiles: ['test/support/isolate.ts'],
    include: ['bench/*.bench.ts'],
    fileParallelism: false,
    testTimeout: 3_600_000,
    hookTimeout: 3_600_000,
  },
});
