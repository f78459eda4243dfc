import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    setupFiles: ['test/support/isolate.ts'],
    include: ['test/**/*.test.ts'],
    // Real git over real connections: slow on a busy machine is not wrong.
    // Most tests wait for a server or for a quiet time: more at once than there are cores.
    maxWorkers: 4,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
