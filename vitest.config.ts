import { defineConfig } from 'vitest/config';

/** `npm run chaos`: only the games of chance, in full. */
const chaos = process.env['CHAOS'] === 'all';

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    setupFiles: ['test/support/isolate.ts'],
    include: [chaos ? 'test/**/*.chaos.test.ts' : 'test/**/*.test.ts'],
    // Real git over real connections: slow on a busy machine is not wrong.
    // Most tests wait for a server or for a quiet time: more at once than there are cores.
    maxWorkers: chaos ? 2 : 4,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
