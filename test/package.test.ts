import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { git } from '../src/git/run.ts';
import { run } from '../src/system/process.ts';
import { oxenvcs } from './support/cli.ts';
import { projectWithRemote } from './support/project.ts';
import { sandbox, write } from './support/sandbox.ts';

const repository = path.resolve(import.meta.dirname, '..');
const tsc = path.join(repository, 'node_modules/typescript/bin/tsc');

/** A folder in which the package is installed as npm would pack it. */
async function consumer(): Promise<string> {
  const dir = await sandbox();
  execFileSync(process.execPath, [tsc, '-p', 'tsconfig.types.json'], { cwd: repository });
  const pack = ['pack', '--json', '--ignore-scripts', '--pack-destination', dir];
  const [{ filename }] = JSON.parse(execFileSync('npm', pack, { cwd: repository, encoding: 'utf8' }));
  const installed = path.join(dir, 'node_modules/oxenvcs');
  await fs.mkdir(installed, { recursive: true });
  execFileSync('tar', ['-xzf', path.join(dir, filename), '-C', installed, '--strip-components=1']);
  await fs.symlink(path.join(repository, 'node_modules/@types'), path.join(dir, 'node_modules/@types'));
  return dir;
}

const types = `
import { checkConnectivity, type Connectivity, Failure, NetworkOperation, RetryPolicy, waitForConnectivity } from 'oxenvcs';

const usual: RetryPolicy = new RetryPolicy();
const policy = new RetryPolicy({ maxRetries: 3, initialMs: 500, maxMs: 10_000, deadlineMs: 60_000 });
const fixed: number = await RetryPolicy.fixedBackoff(2, 100).execute(async () => 1);
const once: string = await RetryPolicy.noRetry().execute(async (attempt, signal) => \`\${attempt} \${signal.aborted}\`);
const told: string = await policy.executeWithProgress(
  async () => 'done',
  (attempt, delayMs, failure) => console.log(attempt.toFixed(), delayMs.toFixed(), failure.code, failure.hint),
  { signal: new AbortController().signal },
);
const operation: NetworkOperation<number> = new NetworkOperation('upload', async () => 1);
const result: number = await NetworkOperation('upload', async () => 1, { dir: '.' }).withPolicy(usual).execute();
const now: Connectivity = await checkConnectivity();
const later: 'online' | 'offline' | 'unknown' = (await waitForConnectivity(1000, 100, { dir: '.' })).state;
const failure: Error = new Failure('offline', { detail: 'x' });
// @ts-expect-error a word that does not exist
new RetryPolicy({ retries: 3 });
// @ts-expect-error a number is needed
await waitForConnectivity('soon', 100);
export { failure, fixed, later, now, once, operation, result, told };
`;

const program = `
import { checkConnectivity, Failure, NetworkOperation, RetryPolicy, waitForConnectivity } from 'oxenvcs';
import * as fs from 'node:fs/promises';
const [dir, remote] = process.argv.slice(2);
const quick = RetryPolicy.fixedBackoff(5, 20);
const told = [];
const failing = (times, value) => async (attempt) => {
  if (attempt <= times) throw new Failure('offline', { detail: 'no route' });
  return value;
};
const progress = (attempt, delayMs, failure) => told.push([attempt, delayMs, failure.code]);
const retried = await quick.executeWithProgress(failing(2, 'done'), progress);
const before = await checkConnectivity({ dir });
await fs.rename(remote, remote + '.away');
const during = await checkConnectivity({ dir });
const gaveUp = await waitForConnectivity(50, 20, { dir });
let runs = 0;
const refused = await NetworkOperation('upload', async () => ++runs, { dir })
  .withPolicy(RetryPolicy.noRetry()).execute().catch((error) => error);
const waiting = waitForConnectivity(20_000, 50, { dir });
await fs.rename(remote + '.away', remote);
const after = await waiting;
const uploaded = await new NetworkOperation('upload', failing(1, 'up'), { dir }).withPolicy(quick).execute();
const outside = await NetworkOperation('upload', async () => 'outside', { dir: '/' }).execute();
const states = [before, during, gaveUp, after].map(({ state }) => state);
console.log(JSON.stringify({ told, retried, states, runs, refused: refused.code, uploaded, outside }));
`;

test('a program that installs the package has its documented interface, with types, and one that works', async () => {
  const dir = await consumer();
  await write(dir, {
    'package.json': '{"type":"module"}',
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        strict: true,
        exactOptionalPropertyTypes: true,
        target: 'es2022',
        module: 'nodenext',
        noEmit: true,
        types: ['node'],
      },
      files: ['types.ts'],
    }),
    'types.ts': types,
    'program.mjs': program,
  });
  const checked = await run(process.execPath, [tsc, '-p', '.'], { cwd: dir, env: process.env });
  expect(checked.stdout.toString()).toBe('');
  expect(checked.exitCode).toBe(0);

  const { project, remote } = await projectWithRemote();
  const ran = await run(process.execPath, ['program.mjs', project.root, remote], { cwd: dir, env: process.env });
  expect(ran.stderr).toBe('');
  expect(JSON.parse(ran.stdout.toString())).toEqual({
    told: [
      [1, 20, 'OFFLINE'],
      [2, 20, 'OFFLINE'],
    ],
    retried: 'done',
    states: ['online', 'offline', 'offline', 'online'],
    runs: 0,
    refused: 'OFFLINE',
    uploaded: 'up',
    outside: 'outside',
  });
  expect((await oxenvcs(['net', 'stats', '--json'], { cwd: project.root })).json()).toMatchObject({
    operations: [{ name: 'upload', tries: 3, failed: 2 }],
  });
  expect(await git(project.root, ['status', '--porcelain'])).toBe('');
});
