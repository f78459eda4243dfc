import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { commitSave } from '../../src/commit/commit.ts';
import { parentOf } from '../../src/commit/made-on.ts';
import { profileNamed } from '../../src/daw/match.ts';
import type { DawProfile } from '../../src/daw/profile.ts';
import { git } from '../../src/git/run.ts';
import { type Background, background, main, oxenvcs } from '../support/cli.ts';
import { dice } from '../support/dice.ts';
import { descendants } from '../support/processes.ts';
import { saveOf, statusLines } from '../support/project.ts';
import { fileRemote } from '../support/remotes.ts';
import { rounds } from '../support/rounds.ts';
import { sandbox, write } from '../support/sandbox.ts';
import { type Member, team } from '../support/team.ts';

/** No other test runs a program of its name. */
const profile = profileNamed('bitwig') as DawProfile;
const sessions = ['A.bwproject', 'B.bwproject'];
const quick = {
  OXENVCS_NETWORK_INITIAL_BACKOFF_MS: '10',
  OXENVCS_NETWORK_MAX_BACKOFF_MS: '50',
  OXENVCS_NETWORK_MAX_RETRIES: '1',
  OXENVCS_WATCH_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_MEDIA_QUIET_SECONDS: '0.2',
  OXENVCS_WATCH_MIN_COMMIT_GAP_SECONDS: '0.1',
  OXENVCS_WATCH_SCAN_SECONDS: '1',
  OXENVCS_PULL_POLL_SECONDS: '0.5',
};

/** A DAW keeps a session in memory from when it opens it: what it saves is made of that, whatever lies on the disk by then. */
interface Person extends Member {
  name: string;
  daw: { process: ChildProcess; memory: Map<string, string> } | null;
  watcher: Background | null;
  /** Their computer sleeps: what ran on it stands still. */
  asleep: { pids: number[]; ended: Promise<unknown> } | null;
}

/** The model: each save says what it was made of. */
interface World {
  /** Content → the content that it was made of. */
  madeOf: Map<string, string>;
  saves: { name: string; path: string; content: string }[];
}

test('whatever two people, their network and their computers do: no version is lost or reordered, and no session overwritten', async () => {
  const { roll, pick } = dice(3);
  for (let game = 0; game < rounds(14, 14); game++) {
    const remote = await fileRemote();
    const program = path.join(await sandbox(), 'bitwig studio');
    await fs.copyFile('/bin/sleep', program);
    await fs.chmod(program, 0o755);
    const members = await team(remote.url, ['Ann', 'Ben'], Object.fromEntries(sessions.map((name) => [name, 'begin'])));
    const people: Person[] = members.map((member, i) => ({
      ...member,
      name: i === 0 ? 'Ann' : 'Ben',
      daw: null,
      watcher: null,
      asleep: null,
    }));
    const world: World = { madeOf: new Map(), saves: [] };
    const away = `${remote.dir}.away`;
    const log: string[] = [];
    // In some games a lease runs out while somebody sleeps, and a watcher gives the lock back when nothing comes.
    const env = {
      ...quick,
      OXENVCS_LOCK_LEASE_HOURS: pick(['4', '0.0005']),
      OXENVCS_LOCK_RELEASE_AFTER_IDLE_MINUTES: pick(['30', '0.02']),
    };

    const cli = async ({ project: { root } }: Person, args: string[]) => await oxenvcs(args, { cwd: root, env });
    /** Begun, and left at any moment. */
    const begun = async ({ project: { root } }: Person, args: string[]) => {
      const child = spawn(process.execPath, [main, ...args], {
        cwd: root,
        env: { ...process.env, ...env },
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      await Promise.race([ended, sleep(roll() * 1200)]);
      return { child, ended };
    };
    const killed = async (person: Person, args: string[]) => {
      const { child, ended } = await begun(person, args);
      child.kill('SIGKILL');
      await ended;
    };
    const watch = async (person: Person) => {
      person.watcher = background(['watch'], { cwd: person.project.root, env });
      await person.watcher.waitForLine(/Watching/);
    };
    const unwatch = async (person: Person, how: NodeJS.Signals) => {
      await person.watcher?.kill(how);
      person.watcher = null;
    };
    const fallAsleep = async (person: Person, args: string[] | null) => {
      const { child, ended } = args === null ? { child: null, ended: Promise.resolve() } : await begun(person, args);
      const running = [person.watcher?.pid, child?.pid].filter((pid) => pid !== undefined);
      // What is stopped starts nothing more.
      for (const pid of running) stopOrGo(pid, 'SIGSTOP');
      const pids = running.flatMap((pid) => [...descendants(pid), pid]);
      for (const pid of pids) stopOrGo(pid, 'SIGSTOP');
      person.asleep = { pids, ended };
      onTestFinished(() => {
        for (const pid of pids) stopOrGo(pid, 'SIGKILL');
      });
    };
    const wakeUp = async (person: Person) => {
      for (const pid of person.asleep?.pids ?? []) stopOrGo(pid, 'SIGCONT');
      await person.asleep?.ended;
      person.asleep = null;
    };
    const save = async (person: Person, name: string) => {
      const { root } = person.project;
      // What is not open in a DAW may be replaced at any moment by a watcher.
      if (person.watcher !== null && person.daw === null) await open(person);
      const base = person.daw?.memory.get(name) ?? (await fs.readFile(path.join(root, name), 'utf8'));
      const content = `${person.name} ${world.saves.length}`;
      await write(root, { [name]: content });
      world.madeOf.set(content, base);
      world.saves.push({ name: person.name, path: name, content });
      person.daw?.memory.set(name, content);
      if (person.watcher === null) await commit(person, [name], []);
      else await isVersion(person, name, content);
    };
    const isVersion = async ({ project: { root }, watcher }: Person, name: string, content: string) => {
      for (const end = Date.now() + 60_000; Date.now() < end; await sleep(50))
        if ((await git(root, ['show', `HEAD:${name}`])) === content) return;
      throw new Error(`${log.join('\n')}\nno version of ${name} is made:\n${watcher?.lines.join('\n')}`);
    };
    const commit = async ({ project }: Person, changed: string[], settled: string[]) => {
      const what = await saveOf(project, { sessions: changed, settled });
      const on = async (head: string) => await parentOf(project, profile, what.captured, head);
      const made = await commitSave(project, what, undefined, on);
      // What a killed pull has begun is ended first, as the watcher does.
      if (made.outcome === 'later') await oxenvcs(['pull'], { cwd: project.root, env });
      if (made.outcome === 'later') expect((await commitSave(project, what, undefined, on)).outcome).toBe('committed');
    };
    const open = async (person: Person) => {
      const child = spawn(program, ['600'], { stdio: 'ignore' });
      onTestFinished(() => void child.kill('SIGKILL'));
      const { root } = person.project;
      const files = await Promise.all(
        sessions.map(async (name) => [name, await fs.readFile(path.join(root, name), 'utf8')] as const),
      );
      person.daw = { process: child, memory: new Map(files) };
    };
    const close = async (person: Person) => {
      const ended = once(person.daw?.process ?? sleepless, 'exit');
      person.daw?.process.kill('SIGKILL');
      await ended;
      person.daw = null;
    };
    const conflicts = async (person: Person) =>
      ((await cli(person, ['conflict', 'list', '--json'])).json() as { conflicts?: { id: string }[] }).conflicts ?? [];
    const resolve = async (person: Person, keep: string) => {
      const [one] = await conflicts(person);
      if (one !== undefined) await cli(person, ['conflict', 'resolve', one.id, '--keep', keep]);
    };
    const reachable = async () =>
      await fs.access(remote.dir).then(
        () => true,
        () => false,
      );

    const steps: Record<string, (person: Person) => Promise<unknown>> = {
      save: async (person) => await save(person, pick(sessions)),
      'save again': async (person) => await save(person, sessions[0] ?? ''),
      take: async (person) => {
        const name = `Take ${Math.floor(roll() * 3)}.wav`;
        const content = `take of ${person.name} ${world.saves.length}`;
        await write(person.project.root, { [name]: content });
        world.saves.push({ name: person.name, path: name, content });
        if (person.watcher === null) await commit(person, [], [name]);
        // A take alone would wait for minutes.
        else await save(person, pick(sessions));
      },
      'the watcher is started or ended': async (person) =>
        person.watcher === null ? await watch(person) : await unwatch(person, 'SIGTERM'),
      'the watcher is killed': async (person) => await unwatch(person, 'SIGKILL'),
      'the computer sleeps': async (person) => await fallAsleep(person, null),
      'the computer sleeps in a push': async (person) => await fallAsleep(person, ['push']),
      'the computer sleeps in a sync': async (person) => await fallAsleep(person, ['sync']),
      'the computer sleeps in a pull': async (person) => await fallAsleep(person, ['pull']),
      push: async (person) => await cli(person, ['push']),
      sync: async (person) => await cli(person, ['sync']),
      pull: async (person) => await cli(person, ['pull']),
      'killed push': async (person) => await killed(person, ['push']),
      'killed pull': async (person) => await killed(person, ['pull']),
      'killed sync': async (person) => await killed(person, ['sync']),
      'killed resolve': async (person) => {
        const [one] = await conflicts(person);
        if (one !== undefined)
          await killed(person, ['conflict', 'resolve', one.id, '--keep', pick(['theirs', 'both'])]);
      },
      'the network goes or comes': async () =>
        (await reachable()) ? await fs.rename(remote.dir, away) : await fs.rename(away, remote.dir),
      'the DAW is opened or closed': async (person) => (person.daw === null ? await open(person) : await close(person)),
      'lock taken': async (person) => await cli(person, ['lock', 'acquire']),
      'lock broken': async (person) => await cli(person, ['lock', 'break', '--force', '--reason', 'deadline']),
      resolve: async (person) => await resolve(person, pick(['mine', 'theirs', 'both'])),
    };
    // What people do most comes most.
    const often = ['save', 'save', 'save', 'save again', 'push', 'push', 'sync'];
    for (let n = 0; n < 12; n++) {
      const person = pick(people);
      const step = pick([...Object.keys(steps), ...often]);
      log.push(`${person.name}: ${person.asleep === null ? step : 'the computer wakes'}`);
      const before = await Promise.all(people.map(sessionsOf));
      const inDaw = people.map(({ daw }) => daw !== null);
      await (person.asleep === null ? steps[step]?.(person) : wakeUp(person));
      // Nothing is replaced under a DAW; nobody's files change by what somebody else does, unless they are watched.
      const after = await Promise.all(people.map(sessionsOf));
      people.forEach(({ watcher, name, daw }, i) => {
        const saved = (step.startsWith('save') || step === 'take') && name === person.name;
        if (((inDaw[i] === true && daw !== null) || (name !== person.name && watcher === null)) && !saved)
          expect({ log, files: after[i] }).toEqual({ log, files: before[i] });
      });
    }

    // All are awake, the network is back, the DAWs are closed, and both come to terms.
    if (!(await reachable())) await fs.rename(away, remote.dir);
    for (const person of people) {
      await wakeUp(person);
      await unwatch(person, 'SIGTERM');
      if (person.daw !== null) await close(person);
    }
    await cli(people[0] as Person, ['lock', 'break', '--force', '--reason', 'the end']);
    for (let round = 0, agreed = 0; round < 12 && agreed < 2; round++) {
      const person = people[round % 2] as Person;
      await resolve(person, pick(['mine', 'theirs', 'both']));
      // Twice one after the other with nothing to do: both have all.
      agreed = (await cli(person, ['sync'])).stdout.includes('Nothing new') ? agreed + 1 : 0;
    }
    const told = () => `${log.join('\n')}\n${JSON.stringify(world.saves)}`;
    for (const person of people) {
      const ended = await cli(person, ['sync', '--json']);
      const left = { told: told(), status: await statusLines(person.project.root), sync: ended.json() };
      expect(left).toMatchObject({ status: [], sync: { outcome: 'in-sync', conflicts: [] } });
    }
    await checkHistory(remote.dir, world, told);
    expect(await git(remote.dir, ['fsck', '--strict', '--no-dangling'])).toBe('');
  }
}, 600_000);

/** One that has ended is fine. */
function stopOrGo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** For `once`, where there is no process: never used, since only what was opened is closed. */
const sleepless = new EventTarget() as unknown as ChildProcess;

const sessionsOf = async ({ project: { root } }: Person): Promise<string[]> =>
  await Promise.all(sessions.map(async (name) => await fs.readFile(path.join(root, name), 'utf8')));

/** What the team's branch holds in the end, held against the model. */
async function checkHistory(remote: string, { saves, madeOf }: World, told: () => string): Promise<void> {
  const paths = [...new Set(saves.map((one) => one.path)), ...sessions];
  const commits = (await git(remote, ['rev-list', '--topo-order', '--reverse', '--parents', 'main']))
    .trim()
    .split('\n');
  const contents = new Map<string, Map<string, string>>();
  const ancestors = new Map<string, Set<string>>();
  const first = new Map<string, string>();
  for (const line of commits) {
    const [commit = '', ...parents] = line.split(' ');
    const files = new Map<string, string>();
    for (const name of paths) {
      const text = await git(remote, ['cat-file', 'blob', `${commit}:${name}`]).catch(() => '');
      files.set(name, text);
      if (!first.has(`${name} ${text}`)) first.set(`${name} ${text}`, commit);
    }
    contents.set(commit, files);
    ancestors.set(commit, new Set([commit, ...parents.flatMap((parent) => [...(ancestors.get(parent) ?? [])])]));
    const subject = await git(remote, ['log', '-1', '--format=%s', commit]);
    // A person has decided.
    if (subject.startsWith('Both had worked on')) continue;
    for (const name of sessions)
      for (const parent of parents) {
        const [before, now] = [contents.get(parent)?.get(name) ?? '', files.get(name) ?? ''];
        if (!isMadeOf(madeOf, now, before)) throw new Error(`${told()}\n${name}: ${before} → ${now} in ${subject}`);
      }
  }
  for (const { path: name, content } of saves)
    if (!first.has(`${name} ${content}`)) throw new Error(`${told()}\n${content} is lost`);
  for (const who of ['Ann', 'Ben']) {
    const line = saves
      .filter(({ name }) => name === who)
      .map(({ path: name, content }) => first.get(`${name} ${content}`) ?? '');
    line.forEach((commit, i) => {
      const before = line[i - 1];
      if (before !== undefined && !ancestors.get(commit)?.has(before))
        throw new Error(`${told()}\n${who} ${i} came before its time`);
    });
  }
}

/** Is `content` that one, or made of it, by however many saves? */
function isMadeOf(madeOf: ReadonlyMap<string, string>, content: string, earlier: string): boolean {
  for (let one: string | undefined = content; one !== undefined; one = madeOf.get(one))
    if (one === earlier) return true;
  return false;
}
