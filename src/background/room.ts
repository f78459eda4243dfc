import { tryGit } from '../git/run.ts';
import { Failure, type FailureName } from '../model/failures.ts';
import { size } from '../model/words.ts';
import { type Project, remoteUrl } from '../project/project.ts';
import { notPublished } from '../project/rescue.ts';
import { isVault } from '../project/vault.ts';
import { freeBytes } from '../system/disk.ts';
import type { Room } from '../watch/known.ts';

/** So many times the reserve, and the disk is said to run low. A guess. */
const early = 2;
/** Sessions may go so far into the reserve: they are small, and what is not stored at once is overwritten. A guess. */
const forSessions = 1 / 2;

export interface DiskEvent {
  event: 'disk';
  failure: Failure;
}

/** How much may still be stored: `disk.reserveBytes` stay free for what is being recorded. */
export async function roomIn({ gitDir, config }: Pick<Project, 'gitDir' | 'config'>): Promise<Room> {
  return roomOf(await freeBytes(gitDir), config.disk.reserveBytes);
}

const roomOf = (free: number, reserveBytes: number): Room => ({
  media: free - reserveBytes,
  sessions: free - reserveBytes * forSessions,
});

/** Like `roomIn`, again and again. Tells, once, that it gets less. */
export function watchDisk(project: Project, tell: (event: DiskEvent) => void): { room: () => Promise<Room> } {
  const { reserveBytes } = project.config.disk;
  let told: FailureName | null = null;
  return {
    async room() {
      const free = await freeBytes(project.gitDir);
      const row = rowOf(free, reserveBytes);
      const failure = row !== told && row !== null ? await diskProblem(project) : null;
      if (failure !== null) tell({ event: 'disk', failure });
      told = row;
      return roomOf(free, reserveBytes);
    },
  };
}

function rowOf(free: number, reserveBytes: number): 'disk-low' | 'disk-runs-low' | null {
  if (free < reserveBytes) return 'disk-low';
  return free < reserveBytes * early ? 'disk-runs-low' : null;
}

/** That the disk is low, or runs low; null: there is room enough. */
export async function diskProblem(project: Project): Promise<Failure | null> {
  const { root, gitDir, config } = project;
  const free = await freeBytes(gitDir);
  const { reserveBytes } = config.disk;
  const row = rowOf(free, reserveBytes);
  if (row === null) return null;
  const details = { dir: root, free: size(free), reserve: size(reserveBytes), ours: size(await ourBytes(project)) };
  return new Failure(row, details);
}

/** Why there is no room to publish: a vault lies on this computer, and what is sent to it is stored a second time. */
export async function noRoomInVault(project: Project): Promise<Failure | null> {
  const url = await remoteUrl(project);
  if (url === null || !(await isVault(url))) return null;
  const args = ['rev-list', '--objects', '--disk-usage', `refs/heads/${project.config.branch}`];
  const { exitCode, stdout } = await tryGit(project.root, [...args, ...(await notPublished(project)), '--']);
  // Without a branch there is nothing to publish, and a vault that is gone is another failure.
  const needed = exitCode === 0 ? Number(stdout.toString('utf8')) : 0;
  const free = await freeBytes(url).catch(() => Number.POSITIVE_INFINITY);
  const { reserveBytes } = project.config.disk;
  if (roomOf(free - needed, reserveBytes).sessions >= 0) return null;
  // The vault may lie on another disk than the project.
  return new Failure('vault-low', { dir: url, free: size(free), needed: size(needed), reserve: size(reserveBytes) });
}

/** What the versions of this project take on this computer, in the vault, too. */
async function ourBytes(project: Project): Promise<number> {
  const url = await remoteUrl(project);
  const vault = url !== null && (await isVault(url)) ? await storedBytes(url) : 0;
  return vault + (await storedBytes(project.gitDir));
}

async function storedBytes(gitDir: string): Promise<number> {
  const { stdout } = await tryGit(gitDir, ['--git-dir', gitDir, 'count-objects', '-v']);
  const counted = stdout.toString('utf8').matchAll(/^(?:size|size-pack|size-garbage): (\d+)$/gm);
  return [...counted].reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);
}
