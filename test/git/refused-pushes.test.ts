import * as fs from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { gitFailure, sortPush } from '../../src/git/failures.ts';
import { parsePush, whyRejected } from '../../src/git/porcelain.ts';
import { git, gitEnvironment, gitLine } from '../../src/git/run.ts';
import { run } from '../../src/system/process.ts';
import { push, songRepository, sorted } from '../support/pushing.ts';
import { fileRemote, httpRemote, type Remote, serverHook, sshRemote } from '../support/remotes.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { fillUp, smallDisk } from '../support/small-disk.ts';

const everyWay: [string, (options?: { parent?: string; config?: Record<string, string> }) => Promise<Remote>][] = [
  ['file', fileRemote],
  ['http', httpRemote],
  ['ssh', sshRemote],
];

const refused = 'policy remote-refused';
const lost = 'lost-race remote-moved';
/** A server's git inside a hook works on objects that are not accepted yet: this steps out of it. */
const asSomebodyElse = 'unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES';

describe.each(everyWay)('%s: the remote', (_, start) => {
  it('declines by a hook, whatever the hook prints', async () => {
    const song = await songRepository();
    const { url, env, ...remote } = await start();
    for (const hook of ['pre-receive', 'update']) {
      const shout = `echo "fatal: Authentication failed for 'x'"; echo "fatal: write error: No space left on device" >&2`;
      await serverHook(remote, hook, `echo 'Takes go to the other branch'; ${shout}; exit 1`);
      const result = await push(song, [url, 'HEAD:main'], { env });
      expect(sorted(result)).toBe(refused);
      expect(sortPush(result)).toMatchObject({ ref: 'refs/heads/main', detail: /declined/ });
      await fs.rm(path.join(remote.dir, 'hooks', hook));
    }
  });

  it('takes no pack of that size', async () => {
    const { url, env } = await start({ config: { 'receive.maxInputSize': '1000' } });
    const result = await push(await songRepository(50_000), [url, 'HEAD:main'], { env });
    expect(sorted(result)).toBe('policy too-large');
    expect(sortPush(result).detail).toMatch(/1000 bytes/);
  });

  it('has a quota: a person has to see to it, and is told in its own words', async () => {
    const { url, env, ...remote } = await start();
    // As hosts do it: what has come is weighed before it is taken in.
    const weigh = 'kb=$(du -sk "$GIT_QUARANTINE_PATH" | cut -f1)';
    await serverHook(
      remote,
      'pre-receive',
      `${weigh}; test "$kb" -lt 40 || { echo "Quota: 40 KB are yours" >&2; exit 1; }`,
    );
    const result = await push(await songRepository(50_000), [url, 'HEAD:main'], { env });
    expect(sorted(result)).toBe(refused);
    expect(gitFailure(result, ['push'])).toMatchObject({ message: /Quota: 40 KB are yours/, hint: /quota/ });
    expect(sorted(await push(await songRepository(), [url, 'HEAD:main'], { env }))).toBe('done');
  });

  it('has a full disk: it is tried again later', async () => {
    const disk = await smallDisk(1024 * 1024);
    const { url, env } = await start({ parent: disk });
    const song = await songRepository();
    const full = await fillUp(disk);
    expect(sorted(await push(song, [url, 'HEAD:main'], { env }))).toBe('transient remote-full');
    await fs.rm(full);
    expect((await push(song, [url, 'HEAD:main'], { env })).exitCode).toBe(0);
  });

  it('deletes nothing, rewinds nothing, hides its refs', async () => {
    const song = await songRepository();
    const config = {
      'receive.denyDeletes': 'true',
      'receive.denyNonFastForwards': 'true',
      'receive.hideRefs': 'refs/oxenvcs',
    };
    const { url, env } = await start({ config });
    await push(song, [url, 'HEAD:main'], { env });
    await git(song, ['commit', '--quiet', '--amend', '--allow-empty', '-m', 'another first']);
    expect(sorted(await push(song, ['--delete', url, 'main'], { env }))).toBe(refused);
    expect(sorted(await push(song, ['--force', url, 'HEAD:main'], { env }))).toBe(refused);
    expect(sorted(await push(song, [url, 'HEAD:refs/oxenvcs/locks/main'], { env }))).toBe(refused);
  });

  it('has a branch whose name is the folder of another', async () => {
    const song = await songRepository();
    const { url, env } = await start();
    await push(song, [url, 'HEAD:mix'], { env });
    expect(sorted(await push(song, [url, 'HEAD:mix/loud'], { env }))).toBe(refused);
  });

  it('refuses one of two refs: neither moves, and the refusal is what is told', async () => {
    const song = await songRepository();
    const { url, env, ...remote } = await start();
    await serverHook(remote, 'update', 'test "$1" != refs/heads/closed');
    const result = await push(song, [url, 'HEAD:open', 'HEAD:closed'], { env });
    expect(sortPush(result)).toMatchObject({ kind: 'policy', ref: 'refs/heads/closed' });
    expect(await git(remote.dir, ['for-each-ref'])).toBe('');
  });

  it('has moved before we came: a lost race', async () => {
    const song = await songRepository();
    const { url, env } = await start();
    await push(song, [url, 'HEAD:main'], { env });
    await git(song, ['commit', '--quiet', '--amend', '--allow-empty', '-m', 'another first']);
    const wrong = await gitLine(song, ['rev-parse', 'HEAD']);
    for (const lease of [':', `:${wrong}`])
      expect(sorted(await push(song, [`--force-with-lease=refs/heads/main${lease}`, url, 'HEAD:main'], { env }))).toBe(
        lost,
      );
    expect(sorted(await push(song, [url, 'HEAD:main'], { env }))).toBe(lost);
  });

  it('moves while our push is in its hands: a lost race', async () => {
    const song = await songRepository();
    const { url, env, ...remote } = await start();
    const first = await gitLine(song, ['rev-parse', 'HEAD']);
    await push(song, [url, 'HEAD:other', 'HEAD:main'], { env });
    await git(song, ['commit', '--quiet', '--allow-empty', '-m', 'second']);
    await push(song, [url, 'HEAD:other'], { env });
    await git(song, ['commit', '--quiet', '--amend', '--allow-empty', '-m', 'mine']);

    await serverHook(remote, 'pre-receive', `${asSomebodyElse}; git update-ref refs/heads/main refs/heads/other`);
    expect(sorted(await push(song, [`--force-with-lease=refs/heads/main:${first}`, url, 'HEAD:main'], { env }))).toBe(
      lost,
    );
    await serverHook(remote, 'pre-receive', `${asSomebodyElse}; git update-ref refs/heads/new refs/heads/other`);
    expect(sorted(await push(song, ['--force-with-lease=refs/heads/new:', url, 'HEAD:new'], { env }))).toBe(lost);
  });

  it('is writing that ref for somebody else right now', async () => {
    const song = await songRepository();
    const { url, env, ...remote } = await start();
    await serverHook(remote, 'pre-receive', 'touch refs/heads/main.lock');
    // As git says it; ours would wait until the lock is given up (see stale-lock.test.ts).
    const call = { cwd: song, env: { ...gitEnvironment(), ...env } };
    const said = await run('git', ['push', '--porcelain', '--atomic', url, 'HEAD:main'], call);
    expect(sortPush(said)).toMatchObject({ kind: 'transient', row: 'remote-busy' });
  });

  it('cannot push two refs as one', async () => {
    const { url, env } = await start({ config: { 'receive.advertiseAtomic': 'false' } });
    const result = await push(await songRepository(), [url, 'HEAD:main'], { env });
    expect(sorted(result)).toBe('configuration remote-misconfigured');
    expect(sortPush(result).detail).toMatch(/--atomic/);
  });

  it('takes no options, and the person has set one (push.pushOption)', async () => {
    const { url, env } = await start();
    const result = await push(await songRepository(), ['-o', 'ci.skip', url, 'HEAD:main'], { env });
    expect(sorted(result)).toBe('configuration remote-misconfigured');
    expect(sortPush(result).detail).toMatch(/push options/);
  });

  it('dies over a push: it may have arrived', async () => {
    const { url, env, ...remote } = await start();
    for (const hook of ['post-receive', 'update', 'pre-receive']) {
      await serverHook(remote, hook, 'kill -9 $PPID');
      expect(sorted(await push(await songRepository(), [url, `HEAD:${hook}`], { env }))).toBe(
        'ambiguous remote-unclear',
      );
    }
  });
});

it('the server is killed while it unpacks: it is tried again, nobody has refused anything', async () => {
  const { url } = await fileRemote();
  const killed = path.join(await sandbox(), 'receive-pack');
  // The system ends whoever writes a byte.
  await fs.writeFile(killed, '#!/bin/sh\nulimit -f 0\nexec git-receive-pack "$@"\n', { mode: 0o755 });
  const result = await push(await songRepository(), [`--receive-pack=${killed}`, url, 'HEAD:main']);
  expect(result.stdout.toString()).toContain('(unpacker error)');
  expect(sorted(result)).toBe('ambiguous remote-unclear');
});

describe('here', () => {
  it('the thing to be pushed is damaged: that is not the remote’s fault', async () => {
    const song = await songRepository();
    const { url } = await fileRemote();
    const blob = await gitLine(song, ['rev-parse', 'HEAD:Song.als']);
    const file = path.join(song, '.git/objects', blob.slice(0, 2), blob.slice(2));
    await fs.chmod(file, 0o644);
    for (const junk of ['junk', '']) {
      await fs.writeFile(file, junk);
      expect(sorted(await push(song, [url, 'HEAD:main']))).toBe('local repository-damaged');
    }
    await fs.rm(file);
    expect(sorted(await push(song, [url, 'HEAD:main']))).toBe('local repository-damaged');
  });

  it('the thing to be pushed does not exist', async () => {
    const song = await songRepository();
    const { url } = await fileRemote();
    expect(sorted(await push(song, [url, 'nothing:refs/heads/main']))).toBe('permanent git-failed');
    expect(sorted(await push(song, [url, 'HEAD:refs/heads/a..b']))).toBe('permanent git-failed');
  });

  it('a push throws what its ref lines say', async () => {
    const song = await songRepository();
    const { url } = await fileRemote();
    await push(song, [url, 'HEAD:main']);
    await write(song, { 'Song.als': 'two' });
    await git(song, ['commit', '--quiet', '--amend', '--all', '-m', 'another first']);
    const args = ['--force-with-lease=refs/heads/main:', url, 'HEAD:main'];
    const result = await push(song, args);
    expect(gitFailure(result, ['push', ...args])).toMatchObject({
      row: 'remote-moved',
      message: 'Somebody published other versions of main while this one waited.',
    });
    expect(parsePush(result.stdout.toString()).map(whyRejected)).toEqual(['lost']);
  });
});
