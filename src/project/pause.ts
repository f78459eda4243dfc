import * as v from 'valibot';
import { isoTime } from '../system/clock.ts';
import { removeDurable } from '../system/disk.ts';
import { type Project, statePath } from './project.ts';
import { readRecord, writeRecord } from './state.ts';

/** No versions and no traffic by themselves, until told or until a time: on the disk, so that it holds over restarts. */

const Record = v.object({
  v: v.literal(1),
  since: v.string(),
  until: v.nullable(v.pipe(v.string(), v.isoTimestamp())),
});

export interface Pause {
  /** ISO 8601. */
  since: string;
  /** Null: until told. */
  until: string | null;
}

const file = (project: Pick<Project, 'root'>): string => statePath(project, 'paused.json');

/** `ms`: for so long; null: until told. A pause that was there is replaced. */
export async function pause(project: Pick<Project, 'root'>, ms: number | null, now: number): Promise<Pause> {
  const paused = { since: isoTime(now), until: ms === null ? null : isoTime(now + ms) };
  await writeRecord(file(project), { v: 1, ...paused });
  return paused;
}

/** The pause that holds now; null: there is none, or it is over. */
export async function pauseOf(project: Pick<Project, 'root'>, now: number): Promise<Pause | null> {
  const read = await readRecord(project, file(project), Record);
  if (read.state !== 'ok') return null;
  const { since, until } = read.value;
  return until === null || Date.parse(until) > now ? { since, until } : null;
}

/** Was there one that held? */
export async function resume(project: Pick<Project, 'root'>, now: number): Promise<boolean> {
  const held = (await pauseOf(project, now)) !== null;
  await removeDurable(file(project));
  return held;
}
