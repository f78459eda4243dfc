import * as fs from 'node:fs/promises';
import path from 'node:path';
import { differencesIn, saveMessage } from '../commit/message.ts';
import { git, tryGit } from '../git/run.ts';
import { isSession } from '../daw/match.ts';
import type { Project } from '../project/project.ts';
import { findDaw } from '../setup/find-daw.ts';

/** Gives a message file whose first line is empty a first line to start from; anything else stays as it is. */
export async function suggestMessage(project: Project, file: string, index: string | undefined): Promise<void> {
  const { root, config } = project;
  const name = path.resolve(root, file);
  const text = await fs.readFile(name, 'utf8');
  const [first = ''] = text.split('\n', 1);
  if (first.trim() !== '' && !first.startsWith('#')) return;
  // `git commit -a` and `git commit FILE` commit an index of their own.
  const env = index === undefined ? {} : { GIT_INDEX_FILE: path.resolve(root, index) };
  const hasHead = (await tryGit(root, ['rev-parse', '--verify', '--quiet', 'HEAD'])).exitCode === 0;
  const base = hasHead ? 'HEAD' : (await git(root, ['hash-object', '-t', 'tree', '--stdin'], { input: '' })).trim();
  const staged = await git(root, ['diff-index', '--cached', '-z', '--no-renames', '--name-status', base], { env });
  const differences = differencesIn(staged);
  if (differences.length === 0) return;
  const daw = await findDaw(root, config.daw);
  const sessions = differences.map(({ path }) => path).filter((path) => isSession(daw, path));
  const suggestion = saveMessage(differences, sessions, []);
  await fs.writeFile(name, first.trim() === '' ? suggestion.trimEnd() + text : suggestion + text);
}
