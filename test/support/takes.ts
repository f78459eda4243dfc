import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git, gitLine } from '../../src/git/run.ts';
import { acquireLock } from '../../src/lock/lease.ts';
import { publish } from '../../src/push/publish.ts';
import { publishPrepared } from '../../src/push/prepare.ts';
import type { Transfer } from '../../src/push/transfer.ts';
import type { Remote } from './bare.ts';
import { write } from './sandbox.ts';
import { type Member, team } from './team.ts';

/** Ann's clone of a remote, with the lock, and pieces so small that a few takes make a long push. */
export async function annWithTakes(
  remote: Pick<Remote, 'url' | 'env'>,
  push: Partial<Member['ctx']['settings']['push']> = {},
): Promise<Member> {
  Object.assign(process.env, remote.env);
  const [ann] = await team(remote.url, ['Ann']);
  if (!ann) throw new Error('one was asked for');
  await write(ann.project.root, { '.gitattributes': '*.wav -delta -text\n' });
  await acquireLock(ann.ctx, { how: 'save' });
  return { ...ann, ctx: smallParts(ann.ctx, push) };
}

/** 8 KiB make a link, 128 KiB the first part. */
export const smallParts = (
  ctx: Member['ctx'],
  push: Partial<Member['ctx']['settings']['push']> = {},
): Member['ctx'] => ({
  ...ctx,
  settings: {
    ...ctx.settings,
    network: { ...ctx.settings.network, initialBackoffMs: 20, maxBackoffMs: 100 },
    push: { ...ctx.settings.push, minPartBytes: 8192, ...push },
  },
});

/** A version with so many new takes of noise; gives its commit. */
export async function record({ project }: Pick<Member, 'project'>, takes: number, bytes: number): Promise<string> {
  const { root } = project;
  const first = (await fs.readdir(root)).length;
  for (let n = 0; n < takes; n++) await write(root, { [`Takes/take ${first}-${n}.wav`]: randomBytes(bytes) });
  await fs.appendFile(path.join(root, 'Song.als'), `${takes} more\n`);
  await fs.writeFile(path.join(root, `note ${first}`), '');
  await git(root, ['add', '--all']);
  await git(root, ['-c', 'core.compression=0', 'commit', '--quiet', '-m', `${takes} takes`]);
  return await gitLine(root, ['rev-parse', 'HEAD']);
}

/** Publishes, in parts where it is much. */
export async function pushTip(
  { ctx }: Pick<Member, 'ctx'>,
  tip: string,
  { patience = 3, onTransfer }: { patience?: number; onTransfer?: (transfer: Transfer) => void } = {},
) {
  return await publishPrepared(
    ctx,
    { tip, patience, onTransfer },
    async (using, before) => await publish(using, { tip, before }),
  );
}

/** The refs below staging, without their folders' names. */
export async function stagingRefs(bare: string): Promise<string[]> {
  const listed = await git(bare, ['for-each-ref', '--format=%(refname)', 'refs/oxenvcs/staging']);
  return listed.split('\n').filter(Boolean);
}

/** Fails unless all that the remote's branch needs is there and whole. */
export async function assertWhole(bare: string, tip: string): Promise<void> {
  await git(bare, ['fsck', '--full', '--strict', '--connectivity-only', '--no-dangling']);
  await git(bare, ['fsck', '--full', '--no-dangling']);
  const at = await gitLine(bare, ['rev-parse', 'refs/heads/main']);
  if (at !== tip) throw new Error(`main is at ${at}, not ${tip}`);
}
