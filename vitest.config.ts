import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    setupFiles: ['test/support/isolate.ts'],
    include: ['test/**/*.test.ts'],
    // Real git over real connections: slow on a busy machine is not wrong.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
