import * as fs from 'node:fs/promises';
import path from 'node:path';
import { git } from '../../src/git/run.ts';
import type { Captured, FileStat, Save, Settled } from '../../src/model/save.ts';
import { openProject, type Project } from '../../src/project/project.ts';
import { repository, sandbox } from './sandbox.ts';

/** A project with one version, beside a bare repository as its remote `origin`. */
export async function projectWithRemote(
  files?: Record<string, string>,
): Promise<{ project: Project; remote: string; dir: string }> {
  const dir = await sandbox();
  const root = path.join(dir, 'My Song');
  const remote = path.join(dir, 'remote.git');
  await git(dir, ['init', '--quiet', '--bare', '-b', 'main', remote]);
  await repository(root, {
    'Song.als': 'one',
    '.gitattributes': '*.wav -delta -text\n*.als -text\n',
    '.gitignore': '.oxenvcs/*\n!.oxenvcs/config.json\n',
    '.oxenvcs/config.json': '{"v":1}\n',
    ...files,
  });
  await git(root, ['remote', 'add', 'origin', remote]);
  return { project: await openProject(root), remote, dir };
}

/** A save as the watch stage would hand it over: `sessions` captured now, `settled` as they lie there now. */
export async function saveOf(
  project: Project,
  save: { sessions?: string[]; settled?: string[]; deleted?: string[]; incomplete?: string[]; toFollow?: string[] },
): Promise<Save> {
  return {
    captured: await Promise.all((save.sessions ?? []).map(async (name) => await captured(project, name))),
    settled: await Promise.all((save.settled ?? []).map(async (name) => await settled(project, name))),
    deleted: save.deleted ?? [],
    incomplete: save.incomplete ?? [],
    toFollow: save.toFollow ?? [],
  };
}

async function captured({ root }: Project, name: string): Promise<Captured> {
  const oid = (await git(root, ['hash-object', '-w', '--', name])).trim();
  return { path: name, mode: '100644', oid };
}

async function settled({ root }: Project, name: string): Promise<Settled> {
  const stat: FileStat = await fs.lstat(path.join(root, name), { bigint: true });
  return { path: name, stat: { size: stat.size, mtimeNs: stat.mtimeNs, ino: stat.ino } };
}

/** What `git status` shows, one line a file. */
export async function statusLines(root: string): Promise<string[]> {
  return (await git(root, ['status', '--porcelain=v1', '-z', '--untracked-files=all'])).split('\0').filter(Boolean);
}

/** What a version holds of a file. */
export const fileIn = async (root: string, commit: string, name: string): Promise<string> =>
  await git(root, ['show', `${commit}:${name}`]);
