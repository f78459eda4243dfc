import { expect, test } from 'vitest';
import { git, gitLine } from '../src/git/run.ts';
import { acquireLock, releaseLock, renewLock } from '../src/lock/lease.ts';
import { lockStatus } from '../src/lock/status.ts';
import { oxenvcs } from '../test/support/cli.ts';
import { fileRemote, httpRemote, type Remote, sshRemote } from '../test/support/remotes.ts';
import { sandbox } from '../test/support/sandbox.ts';
import { team, version } from '../test/support/team.ts';
import { lfsLockServer } from './support/lfs-server.ts';
import { medians, ratio, rounds } from './support/measure.ts';

/**
 * The lock beside what it is made of: a bare `git push` that moves one ref to one new commit, and `git ls-remote`; over
 * http also beside `git lfs lock`. Medians in ms. To hold: acquire ≤ 1.5 × that push.
 */

async function multiplexed(): Promise<Remote> {
  const remote = await sshRemote();
  const sharing = [`-o ControlPath=${await sandbox()}/%C`, '-o ControlMaster=auto', '-o ControlPersist=60'];
  return { ...remote, env: { GIT_SSH_COMMAND: remote.command(...sharing) } };
}

const remotes = { file: fileRemote, http: httpRemote, ssh: sshRemote, 'ssh, multiplexed': multiplexed };
const times = rounds(25);

const rows: Record<string, Record<string, number>> = {};

test.each(Object.keys(remotes) as (keyof typeof remotes)[])('%s', async (kind) => {
  for (const refs of [10, 20_000]) {
    const remote = await remotes[kind]();
    Object.assign(process.env, remote.env);
    const [ann] = await team(remote.url, ['Ann']);
    if (!ann) throw new Error('one was asked for');
    const { ctx, project } = ann;
    const head = await gitLine(project.root, ['rev-parse', 'HEAD']);
    const many = Array.from({ length: refs }, (_, n) => `create refs/other/${n} ${head}\n`).join('');
    await git(remote.dir, ['update-ref', '--stdin'], { input: many });
    await git(remote.dir, ['pack-refs', '--all']);
    const commits: string[] = [];
    for (let n = 0; n < times; n++) commits.push(await version(ann));
    await git(project.root, ['reset', '--quiet', '--hard', head]);
    const cli = { cwd: project.root };
    const lfs = await lfsLockServer();
    const withLfs = ['-c', `lfs.url=${lfs}`, '-c', `lfs.${lfs}.locksverify=false`];
    const row = await medians(times, {
      'git push': async (n) => await git(project.root, ['push', '--quiet', remote.url, `${commits[n]}:refs/bench/ref`]),
      'git ls-remote': async () => await git(project.root, ['ls-remote', '--quiet', remote.url, 'refs/heads/main']),
      acquire: async () => expect((await acquireLock(ctx, { how: 'save' })).outcome).toBe('acquired'),
      renew: async () => expect((await renewLock(ctx)).outcome).toBe('done'),
      status: async () => await lockStatus(ctx),
      'status (command)': async () => await oxenvcs(['lock', 'status', '--json'], cli),
      release: async () => expect((await releaseLock(ctx)).outcome).toBe('done'),
      ...(kind === 'http'
        ? {
            'git lfs lock': async () => await git(project.root, [...withLfs, 'lfs', 'lock', 'Song.als']),
            'git lfs unlock': async () => await git(project.root, [...withLfs, 'lfs', 'unlock', 'Song.als']),
          }
        : {}),
    });
    rows[`${kind}, ${refs} refs`] = { ...row, 'acquire / push': ratio(row['acquire'], row['git push']) };
  }
  // oxlint-disable-next-line no-console -- what it is for
  console.table(rows);
});
