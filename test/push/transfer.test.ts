import { expect, test, vi } from 'vitest';
import { makeOutput } from '../../src/cli/output.ts';
import { describeTransfer } from '../../src/cli/transfer.ts';
import { startedBy } from '../../src/git/orphans.ts';
import { git } from '../../src/git/run.ts';
import { trackTransfer, type Transfer } from '../../src/push/transfer.ts';
import { processesWith } from '../../src/system/processes.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { proxy } from '../support/proxy.ts';
import { httpRemote } from '../support/remotes.ts';
import { sandbox } from '../support/sandbox.ts';
import { annWithTakes, record } from '../support/takes.ts';

test('what is told of a push: bytes that left, parts of all, the rate of the last seconds, the time left', async () => {
  const clock = fakeClock();
  const told: Transfer[] = [];
  const track = trackTransfer({ root: await sandbox() }, clock, (transfer) => told.push(transfer));
  track.size(10_000_000);
  track.begin(100_000_000, 40_000_000, 4);
  for (let second = 1; second <= 10; second++) {
    clock.pass(1000);
    track.moving(1, second * 1_000_000);
  }
  expect(told.at(-1)).toEqual({
    part: 4,
    parts: 10,
    bytesSent: 50_000_000,
    bytesTotal: 100_000_000,
    bytesPerSecond: 1_000_000,
    etaMs: 50_000,
  });
  track.landed(1, 10_000_000);
  // The bytes of one that breaks off count as sent no more, and nothing is told of how fast it was.
  track.moving(2, 3_000_000);
  track.broken(2);
  clock.pass(20_000);
  track.moving(3, 0);
  expect(told.at(-1)).toMatchObject({ part: 5, parts: 10, bytesSent: 50_000_000, bytesPerSecond: 0, etaMs: null });
  expect(track.sentBytes()).toBe(10_000_000);
  // What travels as deltas turns out to be less than it takes on the disk.
  track.moving(3, 1_000_000);
  track.landed(3, 50_000_000);
  expect(told.at(-1)).toMatchObject({ part: 6, parts: 6, bytesSent: 51_000_000, bytesTotal: 51_000_000, etaMs: 0 });
});

test.each([
  [
    { part: 2, parts: 9, bytesSent: 120e6, bytesTotal: 480e6, bytesPerSecond: 6.1e6, etaMs: 59_000 },
    '↑ 120 MB of 480 MB (25 %), part 3 of 9, 6.1 MB/s, 59 s left',
  ],
  [
    { part: 0, parts: 4, bytesSent: 0, bytesTotal: 9.94e9, bytesPerSecond: 0, etaMs: null },
    '↑ 0 bytes of 9.9 GB (0 %), part 1 of 4',
  ],
  [
    { part: 4, parts: 4, bytesSent: 999_600, bytesTotal: 999_600, bytesPerSecond: 120, etaMs: 7_300_000 },
    '↑ 1.0 MB of 1.0 MB (100 %), part 4 of 4, 120 bytes/s, 2.0 h left',
  ],
])('it is said in one line', (transfer, line) => {
  expect(describeTransfer(transfer)).toBe(line);
});

test('a terminal shows it in place, a pipe now and then a line, NO_COLOR and --quiet as they say', () => {
  const show = (options: { json?: boolean; jsonStream?: boolean; quiet?: boolean }, isTTY: boolean, noColor = '') => {
    process.env['NO_COLOR'] = noColor;
    let text = '';
    const stream = { write: (more: string) => (text += more), isTTY, columns: 12 };
    const output = makeOutput(
      { json: false, jsonStream: false, quiet: false, verbose: false, ...options },
      { stdout: stream, stderr: stream },
    );
    for (const n of [1, 2]) output.progress(`${n} of 2, and on`, { event: 'transfer', part: n });
    output.finish({ data: { n: 2 }, lines: ['done'] });
    process.env['NO_COLOR'] = '1';
    return text;
  };
  expect(show({}, true)).toBe('\r\u001b[K1 of 2, and\r\u001b[K2 of 2, and\r\u001b[Kdone\n');
  expect(show({}, false)).toBe('1 of 2, and on\ndone\n');
  expect(show({}, true, '1')).toBe('1 of 2, and on\ndone\n');
  expect(show({ quiet: true }, true)).toBe('');
  expect(show({ json: true }, true)).toBe('{"n":2}\n');
  expect(show({ jsonStream: true }, true)).toBe(
    '{"event":"transfer","part":1}\n{"event":"transfer","part":2}\n{"event":"result","n":2}\n',
  );
});

test('while one process pushes, `status` in another tells how far it is; when it is dead, nothing, and the next push ends what it left at work', async () => {
  const remote = await httpRemote();
  const ann = await annWithTakes(remote);
  const { root } = ann.project;
  const net = await proxy(remote);
  await git(root, ['remote', 'set-url', 'origin', net.url(remote.url)]);
  await record(ann, 20, 40_000);
  const env = { OXENVCS_PUSH_MIN_PART_BYTES: '8192', OXENVCS_PUSH_MAX_PART_BYTES: '100000' };
  await net.set({ bytesPerSecond: 150_000 });
  const status = async () =>
    (await oxenvcs(['status', '--json'], { cwd: root })).json() as { transfer: Transfer | null };
  const pushing = background(['push', '--json-stream'], { cwd: root, env });
  const event = JSON.parse(await pushing.waitForLine(/"event":"transfer","part":2/)) as Transfer;
  expect(event).toMatchObject({ bytesTotal: expect.any(Number), bytesPerSecond: expect.any(Number) });
  expect(event.bytesSent).toBeGreaterThan(150_000);
  expect(event.bytesTotal).toBeGreaterThanOrEqual(800_000);
  const { transfer } = await status();
  expect(transfer?.part).toBeGreaterThanOrEqual(2);
  expect(transfer?.bytesSent).toBeLessThan(transfer?.bytesTotal ?? 0);
  // What its git sends takes longer than anybody waits for.
  await net.set({ bytesPerSecond: 10_000 });
  await vi.waitFor(async () => expect(await gitOf(pushing.pid)).not.toEqual([]));
  await pushing.kill('SIGKILL');
  expect((await status()).transfer).toBeNull();
  const left: ReturnType<typeof gitOf>[] = [];
  remote.trouble = ({ url }) => {
    // The next one asks what is there: nothing may arrive after that.
    if (url?.includes('service=git-upload-pack')) left.push(net.set('pass').then(async () => await gitOf(pushing.pid)));
    return null;
  };
  const again = await oxenvcs(['push'], { cwd: root, env });
  expect(again.stdout).toMatch(/^↑ .* of .*, part \d+ of \d+/m);
  expect(again.stdout).toMatch(/^1 version published\.$/m);
  expect((await status()).transfer).toBeNull();
  expect((await Promise.all(left)).flat()).toEqual([]);
});

const gitOf = async (pid: number) => await processesWith(startedBy(pid));
