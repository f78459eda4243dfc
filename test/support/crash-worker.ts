import { catchCrashes, workFor } from '../../src/daemon/crashes.ts';

/** Things are thrown where nobody catches them, of two projects and of none; each is told in a line. */
const say = (line: string) => process.stdout.write(`${line}\n`);
let passed = 0;
catchCrashes({
  now: () => performance.now() + passed,
  crashed: (root, error) => say(`${root ?? 'nobody'}: ${(error as Error).message}`),
  giveUp: () => {
    say('gave up');
    process.exit(3);
  },
});
const fail = (what: string) => {
  throw new Error(what);
};
workFor('one', () => setTimeout(fail, 1, 'in a timer'));
workFor('two', () => void Promise.resolve().then(() => fail('in a promise')));
workFor('one', () => setImmediate(() => void Promise.reject(new Error('later'))));
for (let n = 1; n <= 5; n++) setTimeout(fail, 50 + n, 'long ago');
setTimeout(() => (passed = 60_000), 100);
for (let n = 1; n <= 6; n++) setTimeout(fail, 150 + n, 'stray');
