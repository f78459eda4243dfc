import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { atLeast, gitVersion } from '../git/version.ts';
import { type Check, good, problem, remark } from './check.ts';

/** The programs that are needed, and whether a shell finds ours. */
export async function programChecks(): Promise<Check[]> {
  return [await gitCheck(), nodeCheck(process.versions.node), await pathCheck()];
}

/** 2.32: `push.negotiate`, `GIT_CONFIG_COUNT`, all that we use of `fetch`. */
async function gitCheck(): Promise<Check> {
  const version = await gitVersion();
  return atLeast(version, 2, 32)
    ? good('git', `version ${version}`)
    : problem('git', `version ${version || 'unknown'} is too old`, 'Install Git 2.32 or newer.');
}

const nodeCheck = (version: string): Check =>
  atLeast(version, 20, 19)
    ? good('node', `version ${version}`)
    : problem('node', `version ${version} is too old`, 'Install Node 20.19 or newer.');

async function pathCheck(): Promise<Check> {
  const found = await onPath('oxenvcs');
  return found === null
    ? remark(
        'path',
        'a terminal does not find the command oxenvcs',
        'Run install.sh again: it says which line puts it on the PATH.',
      )
    : good('path', found);
}

/** The file that a shell would run, or null. */
async function onPath(program: string): Promise<string | null> {
  const names = process.platform === 'win32' ? [`${program}.cmd`, program] : [program];
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter))
    for (const name of names) {
      const file = path.join(folder, name);
      const runs =
        folder !== '' &&
        (await fs.access(file, constants.X_OK).then(
          () => true,
          () => false,
        )); // prettier-ignore
      if (runs) return file;
    }
  return null;
}
