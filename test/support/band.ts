import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git, gitLine } from '../../src/git/run.ts';
import type { Pushed } from '../../src/sync/onto.ts';
import { publishQueue } from '../../src/sync/publish.ts';
import { type Pulled, pull } from '../../src/sync/pull.ts';
import { systemClock } from '../../src/system/clock.ts';
import { fileRemote, type Remote } from './remotes.ts';
import { write } from './sandbox.ts';
import { type Member, team } from './team.ts';

/** One person of a band, who saves, publishes and pulls without a watcher. */
export interface Musician extends Member {
  root: string;
  /** A version of these files (null: gone); gives its commit. */
  save: (files: Record<string, string | null>) => Promise<string>;
  /** Publishes what waits. Throws the failure that prevented it; null: nothing waited. */
  push: () => Promise<Pushed | null>;
  pull: () => Promise<Pulled>;
  head: () => Promise<string>;
}

/** A DAW of which no other test runs a program: what runs is seen by all that runs on this computer. */
export const noDaw: DawProfile = { ...(profileNamed('studioone') as DawProfile), programs: ['no such daw'] };

/** Some people with clones of one remote, which holds `Song.song`. */
export async function band<Names extends string>(
  ...names: Names[]
): Promise<Record<Names, Musician> & { remote: Remote; files: (ref?: string) => Promise<Record<string, string>> }> {
  const remote = await fileRemote();
  const members = await team(remote.url, names, { 'Song.song': 'one' });
  const people = members.map((member, i) => [names[i], musician(member)] as const);
  return {
    ...(Object.fromEntries(people) as Record<Names, Musician>),
    remote,
    files: async (ref = 'main') => await filesOf(remote.dir, ref),
  };
}

function musician(member: Member): Musician {
  const { project } = member;
  const { root } = project;
  return {
    ...member,
    root,
    save: async (files) => {
      const gone = Object.keys(files).filter((name) => files[name] === null);
      if (gone.length > 0) await git(root, ['rm', '--quiet', '--', ...gone]);
      await write(
        root,
        Object.fromEntries(Object.entries(files).flatMap(([name, text]) => (text === null ? [] : [[name, text]]))),
      );
      await git(root, ['add', '--all']);
      await git(root, ['commit', '--quiet', '-m', `${Object.keys(files).join(', ')} saved`]);
      return await gitLine(root, ['rev-parse', 'HEAD']);
    },
    push: async () => {
      const ports = { clock: systemClock, signal: new AbortController().signal, patienceMs: 10_000 };
      let pushed: Pushed | null = null;
      for (const one of await publishQueue(project, { ...ports, urgency: 'by-hand' })) {
        if (one.outcome === 'not-yet') throw one.failure;
        pushed = one.published;
      }
      return pushed;
    },
    pull: async () => await pull(project, noDaw),
    head: async () => await gitLine(root, ['rev-parse', 'HEAD']),
  };
}

/** The music in a version: path → text, without the settings. */
export async function filesOf(repository: string, ref: string): Promise<Record<string, string>> {
  const names = (await git(repository, ['ls-tree', '-r', '-z', '--name-only', ref])).split('\0').filter(Boolean);
  const found: Record<string, string> = {};
  for (const name of names)
    if (!name.startsWith('.')) found[name] = await git(repository, ['cat-file', 'blob', `${ref}:${name}`]);
  return found;
}
