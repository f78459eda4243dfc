import { expect, test } from 'vitest';
import { git } from '../src/git/run.ts';
import { oxenvcs } from '../test/support/cli.ts';
import { proxy } from '../test/support/proxy.ts';
import { fileRemote, httpRemote, sshRemote } from '../test/support/remotes.ts';
import { medians, ratio, rounds } from './support/measure.ts';
import { songWithTakes, startAnew } from './support/song.ts';

/**
 * 480 MB of takes: `oxenvcs push`, the whole program, beside `git push` of the same objects with the same settings. To
 * hold, at 20 MB/s and 30 ms: time ≤ 1.10 ×, bytes ≤ 1.02 ×.
 */

const plainly = ['-c', 'pack.useSparse=false', '-c', 'core.compression=0', '-c', 'core.bigFileThreshold=1m'];
const rows: Record<string, Record<string, number>> = {};

test.each(['http', 'ssh', 'file'] as const)('a clean link (%s)', async (kind) => {
  const { song, base, tip } = await songWithTakes(12, 40_000_000);
  const remote = await { http: httpRemote, ssh: sshRemote, file: fileRemote }[kind]();
  Object.assign(process.env, remote.env);
  const net = 'port' in remote ? await proxy({ port: remote.port as number }) : null;
  const url = net?.url(remote.url) ?? remote.url;
  await git(song, ['remote', 'set-url', 'origin', url]);
  await net?.set({ bytesPerSecond: 20_000_000, latencyMs: 15, shared: true });
  const sent: Record<string, number> = {};
  const counted = (name: string, work: () => Promise<unknown>) => async () => {
    await startAnew(song, base, remote.dir);
    const before = net?.counts.up ?? 0;
    await work();
    sent[name] = (net?.counts.up ?? 0) - before;
    expect((await git(remote.dir, ['rev-parse', 'main'])).trim()).toBe(tip);
  };
  const row = await medians(rounds(5), {
    'git push': counted('git push', async () => await git(song, [...plainly, 'push', '--quiet', url, 'HEAD:main'])),
    'oxenvcs push': counted('oxenvcs push', async () => {
      const pushed = await oxenvcs(['push', '--json'], { cwd: song });
      expect(pushed.json()).toMatchObject({ outcome: 'pushed' });
    }),
  });
  rows[kind] = {
    ...row,
    time: ratio(row['oxenvcs push'], row['git push']),
    bytes: ratio(sent['oxenvcs push'], sent['git push']),
  };
  // oxlint-disable-next-line no-console -- what it is for
  console.table(rows);
});
