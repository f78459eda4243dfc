import * as fs from 'node:fs/promises';
import path from 'node:path';
import { listenIn } from '../system/listen-in.ts';
import { userConfigFile } from '../system/places.ts';
import { configPath, type Project, statePath } from './project.ts';

/**
 * What another process does to a project is heard by whoever watches it, from the files that it leaves: that needs no
 * background process to be asked, and costs a hook in plain sh nothing.
 */

/** The hooks touch it after a commit, a checkout, a merge or a rebase. */
const bell = 'bell';
const names = { [bell]: 'git', 'lock.json': 'lock', 'paused.json': 'pause' } as const;

export type ByHand = (typeof names)[keyof typeof names] | 'settings';

/** Of the user's own settings, which are one file for all projects. */
const users = new Set<() => void>();
let deafenUser: (() => void) | null = null;

function hearUser(heard: () => void): () => void {
  const file = userConfigFile();
  users.add(heard);
  deafenUser ??= listenIn(path.dirname(file), [path.basename(file)], () => {
    for (const one of users) one();
  });
  return () => {
    users.delete(heard);
    if (users.size > 0) return;
    deafenUser?.();
    deafenUser = null;
  };
}

/** Hears what was done by hand. Gives what ends it. */
export function hearByHand(project: Pick<Project, 'root'>, heard: (what: ByHand) => void): () => void {
  const settings = path.join(project.root, configPath);
  const state = path.dirname(statePath(project, bell));
  const ends = [
    listenIn(path.dirname(settings), [path.basename(settings)], () => heard('settings')),
    hearUser(() => heard('settings')),
    listenIn(state, Object.keys(names), (name) => heard(names[name as keyof typeof names])),
  ];
  return () => {
    for (const end of ends) end();
  };
}

/** Tells whoever hears it: as the hooks do. */
export async function tellByHand(project: Pick<Project, 'root'>): Promise<void> {
  // Only news: where it cannot be written the watcher finds it at its next look.
  await fs.writeFile(statePath(project, 'bell'), '').catch(() => undefined);
}
