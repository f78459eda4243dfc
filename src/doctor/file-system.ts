import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { tryGit } from '../git/run.ts';
import type { Project } from '../project/project.ts';
import { syncService } from '../setup/synced.ts';
import { exists, freeBytes, ifMissing } from '../system/disk.ts';
import { networkDrive } from '../system/network-drive.ts';
import { type Check, good, problem, remark } from './check.ts';

/** What the disk of the project is like: room, names, where it really lies. */
export async function fileSystemChecks(project: Project): Promise<Check[]> {
  const { root } = project;
  return [await room(project), ...(await names(project)), await place(root)];
}

async function room({ root, gitDir, config }: Project): Promise<Check> {
  const free = await freeBytes(gitDir);
  const { reserveBytes } = config.disk;
  if (free >= reserveBytes) return good('disk', `${gigabytes(free)} free`);
  return problem(
    'disk',
    `only ${gigabytes(free)} free where ${root} is kept`,
    `Make room: ${gigabytes(reserveBytes)} are to stay free for recordings (disk.reserveBytes).`,
  );
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Are `A` and `a`, and the two ways to write `ä`, one name here? Git has to know the first. */
async function names({ root }: Project): Promise<Check[]> {
  const folder = path.join(root, '.oxenvcs', 'state');
  const id = randomUUID();
  const file = path.join(folder, `Ä-${id}.tmp`.normalize('NFC'));
  try {
    await fs.mkdir(folder, { recursive: true });
    await fs.writeFile(file, '');
    const ignoresCase = await exists(path.join(folder, `Ä-${id}.TMP`.normalize('NFC')));
    const ignoresForm = await exists(path.join(folder, `Ä-${id}.tmp`.normalize('NFD')));
    const asked = await tryGit(root, ['config', '--type=bool', '--get', 'core.ignoreCase']);
    const known = asked.stdout.toString('utf8').trim() === 'true';
    const traits = `${ignoresCase ? 'A and a are one name' : 'A and a are two names'}; ${ignoresForm ? 'one' : 'two'} for the two ways to write ä`;
    if (known === ignoresCase) return [good('names', traits)];
    return [
      problem(
        'names',
        `${traits}, but Git thinks otherwise: the project was moved to another kind of disk`,
        `Run \`git config core.ignoreCase ${ignoresCase}\`.`,
        async () => await tryGit(root, ['config', '--local', 'core.ignoreCase', String(ignoresCase)]),
      ),
    ];
  } catch (error) {
    return [
      problem(
        'names',
        `the project folder cannot be written to: ${(error as Error).message}`,
        'Change the rights of the folder.',
      ),
    ];
  } finally {
    await fs.rm(file, { force: true }).catch(() => undefined); // told above
  }
}

async function place(root: string): Promise<Check> {
  const service = await syncService(root, os.homedir());
  const isInside = (await fs.lstat(path.join(root, '.git')).catch(ifMissing(null)))?.isDirectory() ?? false;
  if (service !== null && isInside)
    return problem(
      'place',
      `${service} syncs this folder, with the Git data in it, and can damage them`,
      'Close everything that uses the project, then move the Git data out with `git init --separate-git-dir FOLDER`.',
    );
  const drive = await networkDrive(root);
  if (drive !== null)
    return remark(
      'place',
      `the project lies on a network drive (${drive}): saves from other computers are not told, so it is looked at from time to time`,
      'Work on a disk of this computer, and share over the remote.',
    );
  return good(
    'place',
    service === null ? 'a disk of this computer' : `synced by ${service}; its Git data lies outside`,
  );
}
