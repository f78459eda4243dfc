import * as fs from 'node:fs/promises';
import path from 'node:path';
import type { Project } from '../project/project.ts';
import { readText } from '../system/disk.ts';
import { type HookReport, hookStatus, installHooks } from '../setup/hooks.ts';
import { type Check, good, problem, remark } from './check.ts';

/** Ours: are they there, and does Git get to them? And those that ours run first: can they run at all? */
export async function hookChecks(project: Project): Promise<Check[]> {
  const report = await hookStatus(project);
  return [own(project, report), ...(await keptChecks(report))];
}

function own(project: Project, { hooks, shadowedBy }: HookReport): Check {
  // They are a convenience: commits made by hand are found and queued without them, too.
  if (hooks.every(({ state }) => state === 'absent' || state === 'foreign')) return good('hooks', 'not installed');
  const missing = hooks.filter(({ state, reached }) => state !== 'installed' || !reached);
  if (missing.length === 0) return good('hooks', 'installed');
  const names = missing.map(({ name, state, reached }) => `${name} is ${reached ? state : `not reached (${state})`}`);
  if (shadowedBy !== null)
    return remark(
      'hooks',
      `Git looks for hooks in ${shadowedBy}: ${names.join(', ')}`,
      'Run `oxenvcs hooks install`: it names the line to add there.',
    );
  return remark('hooks', names.join(', '), 'Run `oxenvcs hooks install`.', async () => await installHooks(project));
}

async function keptChecks({ folder, hooks }: HookReport): Promise<Check[]> {
  const found: Check[] = [];
  for (const { name, kept } of hooks) {
    if (!kept) continue;
    const file = path.join(folder, `${name}.before-oxenvcs`);
    const [first = ''] = ((await readText(file).catch(() => null)) ?? '').split('\n', 1);
    const mode = (await fs.stat(file).catch(() => null))?.mode ?? 0;
    if (process.platform !== 'win32' && (mode & 0o111) === 0)
      found.push(
        remark(
          `${name} from before`,
          'it has no run bit, so it does not run',
          `Run \`chmod +x "${file}"\`, or delete it.`,
        ),
      );
    else if (/^#!.*\r$/.test(first))
      found.push(
        problem(
          `${name} from before`,
          'its lines end as on Windows, so the system cannot run it and Git stops',
          `Write ${file} with plain line ends.`,
        ),
      );
  }
  return found;
}
