import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** `npm run chaos`: only the games of chance, in full. */
const chaos = process.env['CHAOS'] === 'all';

/** Those that mostly wait, for a minute or more, begin first: begun last, they would be waited for with nothing else to do. */
class LongWaitsFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const waits = ({ moduleId }: TestSpecification) => /\/(ardour[^/]*|pipeline|.*\.chaos)\.test\.ts$/.test(moduleId);
    // oxlint-disable-next-line unicorn/no-array-sort -- no array's
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => Number(waits(b)) - Number(waits(a)));
  }
}

export default defineConfig({
  test: {
    globalSetup: ['test/support/build.ts'],
    setupFiles: ['test/support/isolate.ts'],
    include: [chaos ? 'test/**/*.chaos.test.ts' : 'test/**/*.test.ts'],
    // Minutes even for one round.
    exclude: [...configDefaults.exclude, ...(chaos ? [] : ['test/**/*.long.chaos.test.ts'])],
    sequence: { sequencer: LongWaitsFirst },
    // Real git over real connections: slow on a busy machine is not wrong.
    // Most tests wait for a server or for a quiet time: more at once than there are cores.
    maxWorkers: chaos ? 2 : 4,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
