import { git, tryGit } from '../git/run.ts';
import { simple } from '../git/simple.ts';
import type { Project } from '../project/project.ts';
import { notPublished } from '../project/rescue.ts';

/** One version, as `log --json` gives it. */
export interface Version {
  commit: string;
  at: string;
  author: string;
  message: string;
  /** How many files it changed. */
  files: number;
  milestone: string | null;
  /** Is it on the team's remote? What is only in a vault is only on this computer. */
  published: boolean;
  /** Were takes left out because they were still recording? */
  incomplete: boolean;
}

const fields = ['%H', '%cI', '%an', '%s', '%(trailers:key=Incomplete,valueonly,separator=%x1f)', '%D'];

/** The first lines of these commits' messages; those that are not here, or cannot be read, are left out. */
export async function subjectsOf(root: string, commits: readonly string[]): Promise<Map<string, string>> {
  if (commits.length === 0) return new Map();
  const args = ['log', '-z', '--no-walk=unsorted', '--ignore-missing', '--stdin', '--format=%H%s'];
  const told = await tryGit(root, args, { input: commits.join('\n') });
  const length = commits[0]?.length ?? 0;
  const records = told.stdout.toString('utf8').split('\0').filter(Boolean);
  return new Map(records.map((record) => [record.slice(0, length), record.slice(length)]));
}

/** The versions of what is checked out, newest first. */
export async function pastVersions(
  project: Project,
  { limit, vault }: { limit: number; vault: boolean },
): Promise<Version[]> {
  const { root } = project;
  if ((await tryGit(root, ['rev-parse', '--verify', '--quiet', 'HEAD'])).exitCode !== 0) return [];
  // --name-only lists trees alone; --stat would ask for the bytes of media that may be absent here.
  const args = ['log', '-z', `--max-count=${limit}`, '--name-only', `--format=%x1e${fields.join('%x00')}`, 'HEAD'];
  const text = await simple(root).raw(args);
  const waiting = await unpublished(project);
  return text
    .split('\x1e')
    .slice(1)
    .map((record) => {
      const [commit = '', at = '', author = '', message = '', incomplete = '', refs = '', ...files] =
        record.split('\0');
      return {
        commit,
        at: new Date(at).toISOString(),
        author,
        message,
        files: files.filter((name) => name.trim() !== '').length,
        milestone: /tag: milestones?\/([^,]+)/.exec(refs)?.[1] ?? null,
        published: !vault && !waiting.has(commit),
        incomplete: incomplete !== '',
      };
    });
}

/** The commits that the remote is not known to have. */
async function unpublished(project: Project): Promise<Set<string>> {
  const not = await notPublished(project);
  return new Set((await git(project.root, ['rev-list', 'HEAD', ...not, '--'])).split('\n'));
}
