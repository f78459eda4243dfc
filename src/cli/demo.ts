import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { profileNamed, genericProfile } from '../daw/match.ts';
import { git, gitLine, tryGit } from '../git/run.ts';
import { Failure } from '../model/failures.ts';
import { describeEvent, type PipelineEvent } from '../background/events.ts';
import { watchAndPublish } from '../pipeline.ts';
import { openProject, type Project } from '../project/project.ts';
import { listQueue } from '../queue/entries.ts';
import { init } from '../setup/init.ts';
import { command, type Context } from './command.ts';

export const demo = command({
  words: 'demo',
  describe: 'The whole story in a temporary folder, with a network that fails',
  options: (argv) => argv,
  async run(_, context) {
    const started = context.clock.monotonic();
    const folder = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'oxenvcs-demo-')));
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, context.signal]);
    const running: Promise<unknown>[] = [];
    try {
      const steps = await tell(context, folder, signal, running);
      const durationMs = Math.round(context.clock.monotonic() - started);
      return {
        data: { ok: true, steps, durationMs },
        lines: [
          '',
          `All of it was as told, in ${Math.round(durationMs / 1000)} s. Now with a song of yours: oxenvcs init "/path/to/My Song"`,
        ],
      };
    } finally {
      stop.abort(new Error('the demo is over'));
      await Promise.allSettled(running);
      await fs.rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    }
  },
});

/** Plays the story; gives how many steps it had. Throws at the first that is not as told. */
async function tell(
  context: Context,
  folder: string,
  signal: AbortSignal,
  running: Promise<unknown>[],
): Promise<number> {
  let steps = 0;
  const say = (text: string) => context.output.tell(`\n${++steps}. ${text}`, { event: 'step', step: steps, text });
  const check = (what: string, holds: boolean) => {
    if (!holds) throw new Failure('internal', { detail: `the demo expected that ${what}` });
    context.output.tell(`   ✓ ${what}`, { event: 'checked', what });
  };
  const { clock } = context;
  const until = async (what: string, holds: () => Promise<boolean>) => {
    for (const start = clock.monotonic(); !(await holds()); await clock.sleep(50, signal))
      if (clock.monotonic() - start > 20_000) break;
    check(what, await holds());
  };

  const bare = path.join(folder, 'remote', 'song.git');
  await git(folder, ['init', '--quiet', '--bare', '-b', 'main', bare]);
  const port = await freePort();
  const url = `git://127.0.0.1:${port}/song.git`;
  let network = await serve(path.dirname(bare), port, signal, running);
  const onRemote = async (): Promise<string> =>
    (await tryGit(folder, [`--git-dir=${bare}`, 'rev-parse', '--verify', '--quiet', 'main'])).stdout.toString().trim();

  say('Ann makes her song a project of the band.');
  const ann = await musician(folder, 'Ann', async (song) => {
    await save(song, 'first idea');
    return await init(song, { remote: url, hooks: false });
  });
  const annSees = follow(context, 'Ann', ann, signal, running);
  await until('her first version is on the remote', async () => (await onRemote()) === (await head(ann)));

  say('Ben gets it on his computer.');
  const ben = await musician(folder, 'Ben', async (song) => {
    await git(folder, ['clone', '--quiet', url, song]);
    return await init(song, { hooks: false });
  });
  const benSees = follow(context, 'Ben', ben, signal, running);
  check('Ben has Ann’s session', (await fs.readFile(path.join(ben.root, 'Song.als'), 'utf8')) === 'first idea');

  say('Ann presses save.');
  await save(ann.root, 'a chorus');
  await until(
    'her save is published, and she has the lock',
    async () => (await published(ann, onRemote)) && annSees.has('locked'),
  );

  say('Ben presses save, too.');
  await save(ben.root, 'Ben’s bass line');
  await until('he is told that Ann holds the lock', async () => benSees.has('waiting'));
  await until('his save is a version on his own computer', async () => (await waiting(ben)) === 1);
  check('nothing of Ann’s was overwritten', (await onRemote()) === (await head(ann)));

  say('The network fails. Ann saves twice.');
  network.abort(new Error('the network fails'));
  await save(ann.root, 'a bridge');
  await until('the first save waits', async () => (await waiting(ann)) === 1);
  await save(ann.root, 'a bridge, louder');
  await until('both saves wait in the queue', async () => (await waiting(ann)) === 2);

  say('The network is back.');
  network = await serve(path.dirname(bare), port, signal, running);
  await until('both arrive by themselves', async () => (await published(ann, onRemote)) && (await waiting(ann)) === 0);
  const count = await gitLine(folder, [`--git-dir=${bare}`, 'rev-list', '--count', 'main']);
  check('the remote has each of Ann’s four versions, once', count === '4');
  check(
    'Ben’s work is still on his disk',
    (await fs.readFile(path.join(ben.root, 'Song.als'), 'utf8')) === 'Ben’s bass line',
  );
  return steps;
}

async function musician(
  folder: string,
  name: string,
  make: (song: string) => Promise<{ project: Project }>,
): Promise<Project> {
  const song = path.join(folder, name, 'Song');
  await fs.mkdir(path.dirname(song), { recursive: true });
  const { project } = await make(song);
  await git(project.root, ['config', 'user.name', name]);
  await git(project.root, ['config', 'user.email', `${name.toLowerCase()}@band.example`]);
  return await openProject(project.root);
}

/** Watches a musician's folder, with short times; gives the kinds of events seen so far. */
function follow(
  context: Context,
  name: string,
  project: Project,
  signal: AbortSignal,
  running: Promise<unknown>[],
): Set<string> {
  const seen = new Set<string>();
  const { config } = project;
  const quick: Project = {
    ...project,
    config: {
      ...config,
      watch: { ...config.watch, quietSeconds: 0.3, mediaQuietSeconds: 0.3, minCommitGapSeconds: 0, scanSeconds: 1 },
      network: { ...config.network, initialBackoffMs: 200, maxBackoffMs: 1000, probeSeconds: 0.5 },
    },
  };
  const tellEvent = (event: PipelineEvent) => {
    seen.add(event.event);
    const line = describeEvent(event);
    if (line !== null) context.output.tell(`   ${name.padEnd(4)}${line}`, { ...event, event: event.event, who: name });
  };
  running.push(
    watchAndPublish(quick, profileNamed('live') ?? genericProfile, { clock: context.clock, signal, tell: tellEvent }),
  );
  return seen;
}

async function save(song: string, text: string): Promise<void> {
  await fs.mkdir(song, { recursive: true });
  await fs.writeFile(path.join(song, 'Song.als.tmp'), text);
  await fs.rename(path.join(song, 'Song.als.tmp'), path.join(song, 'Song.als'));
}

const head = async ({ root }: Project): Promise<string> => await gitLine(root, ['rev-parse', 'HEAD']);
const waiting = async (project: Project): Promise<number> =>
  (await listQueue(project)).entries.filter(({ kind }) => kind === 'publish').length;
const published = async (project: Project, onRemote: () => Promise<string>): Promise<boolean> =>
  (await onRemote()) === (await head(project)) &&
  (await tryGit(project.root, ['diff', '--quiet', 'HEAD'])).exitCode === 0;

/** The remote's server; aborting it is the network's failure. */
async function serve(
  base: string,
  port: number,
  signal: AbortSignal,
  running: Promise<unknown>[],
): Promise<AbortController> {
  const network = new AbortController();
  const args = [
    'daemon',
    '--export-all',
    '--enable=receive-pack',
    '--reuseaddr',
    '--listen=127.0.0.1',
    `--port=${port}`,
    `--base-path=${base}`,
    base,
  ];
  running.push(tryGit(base, args, { signal: AbortSignal.any([network.signal, signal]) }));
  for (let tries = 0; tries < 100 && !(await answers(port)); tries++) await new Promise((done) => setTimeout(done, 50));
  if (!(await answers(port))) throw new Failure('internal', { detail: 'the demo’s server did not start' });
  return network;
}

async function answers(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  const connected = await Promise.race([
    once(socket, 'connect').then(() => true),
    once(socket, 'close').then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return connected;
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
