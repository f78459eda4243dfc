import path from 'node:path';
import { lockContext, type LockContext } from '../../src/lock/context.ts';
import { git, gitLine } from '../../src/git/run.ts';
import { openProject, type Project } from '../../src/project/project.ts';
import { systemClock } from '../../src/system/clock.ts';
import { repository, sandbox } from './sandbox.ts';

export interface Member {
  project: Project;
  ctx: LockContext;
}

/** Clones of one remote, each a project of one person; the remote's `main` has one commit. */
export async function team(
  url: string,
  names: readonly string[],
  files: Record<string, string> = { 'Song.als': 'one' },
): Promise<Member[]> {
  const dir = await sandbox();
  const seed = await repository(path.join(dir, 'seed'), {
    ...files,
    '.oxenvcs/config.json': '{"v":1}\n',
    '.gitignore': '.oxenvcs/*\n!.oxenvcs/config.json\n',
  });
  await git(seed, ['push', '--quiet', url, 'main:refs/heads/main']);
  const members: Member[] = [];
  for (const name of names) {
    const root = path.join(dir, name);
    await git(dir, ['clone', '--quiet', url, root]);
    await git(root, ['config', 'user.name', name]);
    await git(root, ['config', 'user.email', `${name.toLowerCase()}@band.example`]);
    const project = await openProject(root);
    members.push({ project, ctx: await lockContext(project, systemClock) });
  }
  return members;
}

/** A version made by hand; gives its commit. */
export async function version({ project }: Member, message = 'a version'): Promise<string> {
  await git(project.root, ['commit', '--quiet', '--allow-empty', '-m', message]);
  return await gitLine(project.root, ['rev-parse', 'HEAD']);
}

/** Where the remote's branch is. */
export const remoteMain = async (bare: string): Promise<string> =>
  await gitLine(bare, ['rev-parse', 'refs/heads/main']);
