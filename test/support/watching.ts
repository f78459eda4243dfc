import { onTestFinished } from 'vitest';
import { capture } from '../../src/commit/capture.ts';
import { changes } from '../../src/commit/changes.ts';
import { commitSave } from '../../src/commit/commit.ts';
import { pendingSaves } from '../../src/commit/pending.ts';
import { profileNamed } from '../../src/daw/match.ts';
import { git } from '../../src/git/run.ts';
import { type Config, defaults } from '../../src/model/config.ts';
import type { Project } from '../../src/project/project.ts';
import { systemClock } from '../../src/system/clock.ts';
import { plenty } from '../../src/watch/known.ts';
import type { WatchEvent } from '../../src/watch/tell.ts';
import { type WatchPorts, watchProject } from '../../src/watch/watch.ts';

export interface Watching {
  /** Everything that was told so far. */
  events: WatchEvent[];
  /** Waits until it holds. Fails if the watch ends without, or after 20 s. */
  until: (what: string, holds: () => boolean | Promise<boolean>) => Promise<void>;
  /** Waits for so many versions since the start. */
  versions: (count: number) => Promise<Version[]>;
  /** As Ctrl-C does. Rejects with what ended the watch otherwise. */
  end: () => Promise<void>;
  ended: Promise<void>;
}

export interface Version {
  subject: string;
  /** Path → text, of what differs from the version before; null: gone. */
  files: Record<string, string | null>;
  incomplete: string[];
}

export const quick: Partial<Config['watch']> = { quietSeconds: 0.3, mediaQuietSeconds: 0.8, scanSeconds: 30 };

/** The watch stage on a project, with the real commit stage behind it, and nothing published. */
export async function watching(
  project: Project,
  {
    daw = 'live',
    settings = {},
    ...ports
  }: { daw?: string; settings?: Partial<Config['watch']> } & Partial<Omit<WatchPorts, 'settings'>> = {},
): Promise<Watching> {
  const { root } = project;
  const profile = profileNamed(daw);
  if (profile === undefined) throw new Error(`no DAW ${daw}`);
  const start = (await git(root, ['rev-parse', 'HEAD'])).trim();
  const events: WatchEvent[] = [];
  const stop = new AbortController();
  let over = false;
  const ended = watchProject({
    root,
    profile,
    settings: { ...defaults.watch, ...quick, ...settings },
    clock: systemClock,
    signal: stop.signal,
    changes: async () => await changes(root),
    room: async () => plenty,
    capture: async (path, stat) => await capture(root, path, stat),
    pending: pendingSaves(project),
    commit: async (save) => await commitSave(project, save),
    tell: (event) => events.push(event),
    ...ports,
  }).finally(() => (over = true));
  // It is awaited by `end`, or by the test that expects it to fail.
  ended.catch(() => undefined);

  const until = async (what: string, holds: () => boolean | Promise<boolean>) => {
    for (const limit = Date.now() + 20_000; !(await holds()); await new Promise((done) => setTimeout(done, 20))) {
      if (over) await ended;
      if (over || Date.now() > limit)
        throw new Error(`it never came to be that ${what}; told: ${JSON.stringify(events, null, 1)}`);
    }
  };
  const end = async () => {
    stop.abort();
    await ended;
  };
  onTestFinished(async () => await end().catch(() => undefined));
  return {
    events,
    until,
    end,
    ended,
    versions: async (count) => {
      let found: Version[] = [];
      await until(
        `there are ${count} versions`,
        async () => (found = await versionsSince(root, start)).length >= count,
      );
      if (found.length > count) throw new Error(`more than ${count} versions: ${JSON.stringify(found)}`);
      return found;
    },
  };
}

/** The versions since a commit, oldest first. */
export async function versionsSince(root: string, start: string): Promise<Version[]> {
  const commits = (await git(root, ['rev-list', '--reverse', `${start}..HEAD`])).split('\n').filter(Boolean);
  return await Promise.all(
    commits.map(async (commit) => {
      const [subject = '', ...body] = (await git(root, ['log', '-1', '--format=%B', commit])).trim().split('\n');
      const changed = ['diff-tree', '-r', '-z', '--no-commit-id', '--no-renames', '--name-status', commit];
      const fields = (await git(root, changed)).split('\0');
      const files: Version['files'] = {};
      for (let i = 0; i + 1 < fields.length; i += 2) {
        const name = fields[i + 1] ?? '';
        files[name] = fields[i] === 'D' ? null : await git(root, ['show', `${commit}:${name}`]);
      }
      const trailers = body.filter((line) => line.startsWith('Incomplete: '));
      return { subject, files, incomplete: trailers.map((line) => line.slice('Incomplete: '.length)) };
    }),
  );
}
