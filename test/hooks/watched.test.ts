import { expect, it } from 'vitest';
import { gitLine } from '../../src/git/run.ts';
import { byHand, setUp, song } from '../setup/helpers.ts';
import { background } from '../support/cli.ts';
import { fileRemote } from '../support/remotes.ts';
import { write } from '../support/sandbox.ts';

it('a commit by hand is published by the watcher that runs, which is told of it by the hook', async () => {
  const remote = await fileRemote();
  const root = await song();
  await setUp(root, { remote: remote.url });
  const watch = background(['watch'], { cwd: root });
  await watch.waitForLine(/published/);
  await write(root, { 'notes.txt': 'by hand' });
  await byHand(root, ['add', '.']);
  expect(await byHand(root, ['commit', '-qm', 'by hand'])).toMatchObject({ code: 0 });
  const head = await gitLine(root, ['rev-parse', 'HEAD']);
  const published = async () => await gitLine(remote.dir, ['rev-parse', 'main']);
  for (const end = Date.now() + 30_000; (await published()) !== head && Date.now() < end; )
    await new Promise((done) => setTimeout(done, 100));
  expect(await published()).toBe(head);
});
