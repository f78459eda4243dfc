import { expect, it, vi } from 'vitest';
import { gitLine } from '../../src/git/run.ts';
import { byHand, setUp, song } from '../setup/helpers.ts';
import { background, oxenvcs } from '../support/cli.ts';
import { fileRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';

it('a commit by hand is published by the watcher that runs, which is told of it by the hook', async () => {
  const remote = await fileRemote();
  const root = await song();
  await setUp(root);
  const watch = background(['watch'], { cwd: root });
  await watch.waitForLine(/published/);
  const published = async () => await gitLine(remote.dir, ['rev-parse', '--verify', '--quiet', 'main']).catch(() => '');
  const arrives = async (commit: string) =>
    await vi.waitFor(async () => expect(await published()).toBe(commit), 30_000);
  // A remote that comes later is told by init in the same way.
  expect((await oxenvcs(['init', '--remote', remote.url], { cwd: root })).code).toBe(0);
  await arrives(await gitLine(root, ['rev-parse', 'HEAD']));
  await write(root, { 'notes.txt': 'by hand' });
  await byHand(root, ['add', '.']);
  expect(await byHand(root, ['commit', '-qm', 'by hand'])).toMatchObject({ code: 0 });
  await arrives(await gitLine(root, ['rev-parse', 'HEAD']));
});
