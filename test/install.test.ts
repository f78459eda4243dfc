import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { isRunning, killTree } from './support/processes.ts';
import { sandbox, write } from './support/sandbox.ts';
import { run } from '../src/system/process.ts';
import { snapshot } from './setup/helpers.ts';

/** A fresh clone in an awkward place, built once with what the registry or npm's cache gives; each test has a home of its own. */
let clone = '';
let place = '';

beforeAll(async () => {
  place = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'oxenvcs-install-')));
  clone = path.join(place, "Ann's things", 'oxenvcs clone');
  await copyTree(clone);
  const home = path.join(place, 'first home');
  await fs.mkdir(home);
  const { code, output } = await install(home, []);
  if (code !== 0) throw new Error(output);
}, 300_000);

afterAll(async () => await fs.rm(place, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }));

async function copyTree(to: string): Promise<void> {
  const from = path.resolve(import.meta.dirname, '..');
  // What a clone would hold, with what is being worked on.
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: from });
  for (const name of listed.toString('utf8').split('\0').filter(Boolean)) {
    if (/^(test|bench)\//.test(name)) continue;
    await fs.mkdir(path.dirname(path.join(to, name)), { recursive: true });
    await fs.copyFile(path.join(from, name), path.join(to, name));
  }
}

interface Options {
  cwd?: string;
  env?: Record<string, string | undefined>;
  script?: string;
}

async function install(home: string, args: string[], { cwd, env, script }: Options = {}) {
  // npm keeps what it fetched where the person's own npm does: nothing is fetched twice.
  const person = os.userInfo().homedir;
  const npm = { npm_config_cache: path.join(person, '.npm'), npm_config_userconfig: path.join(person, '.npmrc') };
  const all = { ...process.env, ...npm, HOME: home, XDG_DATA_HOME: undefined, XDG_CONFIG_HOME: undefined, ...env };
  const result = await run(script ?? path.join(clone, 'install.sh'), args, { cwd: cwd ?? home, env: all });
  const stdout = result.stdout.toString('utf8');
  return { code: result.exitCode, stdout, stderr: result.stderr, output: stdout + result.stderr };
}

/** The command that was installed, with the PATH of a graphical program that knows no Node. */
async function installed(home: string, args: string[], programs: string[] = []) {
  const program = path.join(home, '.local/bin/oxenvcs');
  const env = { HOME: home, PATH: await pathWith(programs) };
  const result = await run(program, args, { cwd: '/', env });
  return { code: result.exitCode, stdout: result.stdout.toString('utf8'), stderr: result.stderr };
}

/** A PATH with the everyday tools and these programs only: a name, or a name and the script that it is. */
async function pathWith(programs: (string | [name: string, body: string])[]): Promise<string> {
  const dir = path.join(await sandbox(), 'bin');
  await fs.mkdir(dir);
  const tools =
    'sh cat grep sed tr uname dirname readlink cksum mktemp mkdir rm rmdir mv chmod touch tail wc sort sleep ls env date id find cmp cp';
  for (const one of [...tools.split(' '), ...programs]) {
    if (typeof one !== 'string') await fs.writeFile(path.join(dir, one[0]), `#!/bin/sh\n${one[1]}\n`, { mode: 0o755 });
    else
      await fs.symlink(
        execFileSync('sh', ['-c', 'command -v "$1"', 'sh', one], { encoding: 'utf8' }).trim(),
        path.join(dir, one),
      );
  }
  return dir;
}

async function song(): Promise<string> {
  const root = path.join(await sandbox(), 'My Song');
  await write(root, { 'Song.als': 'one' });
  return root;
}

describe('install.sh', () => {
  it('installs a command that needs no Node on the PATH, finds Node where it has moved, and says so where there is none', async () => {
    const home = await sandbox();
    const { code, stdout } = await install(home, [], { env: { SHELL: '/bin/zsh' } });
    expect(code).toBe(0);
    const { version } = JSON.parse(await fs.readFile(path.join(clone, 'package.json'), 'utf8')) as { version: string };
    expect(await installed(home, ['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    const [one = '', other] = await Promise.all(
      ['oxenvcs', 'oxenvcs-cli'].map(async (name) => await fs.readFile(path.join(home, '.local/bin', name), 'utf8')),
    );
    expect(one).toBe(other);

    // It says which line puts the command on the PATH.
    const line = /^ {2}(echo .*>> ~\/\.zshrc)$/m.exec(stdout)?.[1] ?? '';
    execFileSync('sh', ['-c', line], { env: { ...process.env, HOME: home } });
    const found = execFileSync('sh', ['-c', '. ~/.zshrc; command -v oxenvcs'], { env: { ...process.env, HOME: home } });
    const program = path.join(home, '.local/bin/oxenvcs');
    expect(found.toString().trim()).toBe(program);

    await fs.writeFile(program, one.replace(/^node=.*$/m, "node='/gone/node'"));
    expect(await installed(home, ['--version'], ['node'])).toMatchObject({ code: 0 });
    const none = await installed(home, ['--version']);
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining('Node was not found') });

    // Run again it mends that, and where nothing new is needed it needs no network.
    const PATH = `${path.join(home, '.local/bin')}:${process.env['PATH']}`;
    const offline = { npm_config_registry: 'http://127.0.0.1:1/', npm_config_cache: await sandbox(), PATH };
    const again = await install(home, [], { env: offline });
    expect(again).toMatchObject({ code: 0, stdout: expect.not.stringContaining('not on your PATH') });
    expect(await installed(home, ['--version'])).toMatchObject({ code: 0 });
  });

  it('changes nothing the second time, from another folder, through a link, under sh', async () => {
    const home = await sandbox();
    await install(home, ['--prefix', 'my tools']);
    const before = await withoutLog(path.join(home, 'my tools'));
    const links = await sandbox();
    await fs.symlink(path.join(clone, 'install.sh'), path.join(links, 'one'));
    await fs.symlink('one', path.join(links, 'two.sh'));
    const prefix = `--prefix=${path.join(home, 'my tools')}/`;
    const again = await install(home, [prefix], { cwd: links, script: path.join(links, 'two.sh') });
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('is there already') });
    const plain = await run('sh', ['install.sh', prefix], { cwd: clone, env: { ...process.env, HOME: home } });
    expect(plain.exitCode).toBe(0);
    expect(await withoutLog(path.join(home, 'my tools'))).toEqual(before);
    expect(await fs.readFile(path.join(home, 'my tools/share/oxenvcs/install.log'), 'utf8')).toMatch(
      /\d\d {2}It is built already\.\n/,
    );
  });

  it('works from a release as npm packs it, without npm and without a network; so does npm install -g', async () => {
    const dir = await sandbox();
    const home = await sandbox();
    const npm = async (...args: string[]) => {
      const env = { ...process.env, HOME: home, npm_config_cache: path.join(os.userInfo().homedir, '.npm') };
      const { exitCode, stdout, stderr } = await run('npm', args, { cwd: dir, env });
      if (exitCode !== 0) throw new Error(stderr);
      return stdout.toString('utf8');
    };
    const packed = (await npm('pack', '--ignore-scripts', clone)).trim().split('\n').at(-1) ?? '';
    execFileSync('tar', ['xzf', packed], { cwd: dir });
    const tools = ['node', 'git'];
    const env = { PATH: await pathWith(tools), npm_config_registry: 'http://127.0.0.1:1/' };
    const script = path.join(dir, 'package/install.sh');
    expect(await install(home, [], { script, env })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('ready built'),
    });
    await fs.rm(path.join(dir, 'package'), { recursive: true });
    expect(await installed(home, ['--version'])).toMatchObject({ code: 0 });

    await npm('install', '--global', '--prefix', path.join(dir, 'global'), '--prefer-offline', '--no-audit', packed);
    const root = await song();
    const program = path.join(dir, 'global/bin/oxenvcs');
    const made = await run(program, ['init', root], {
      cwd: '/',
      env: { ...process.env, HOME: await sandbox(), XDG_DATA_HOME: dir },
    });
    expect(made.stdout.toString('utf8')).toContain('To have every save versioned: oxenvcs daemon start');
    const commit = await run('git', ['commit', '--allow-empty', '-qm', 'by hand'], { cwd: root, env: process.env });
    expect({ code: commit.exitCode, stderr: commit.stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('for all users: starts nothing, sets up no folder, and takes no Node that is one user’s own', async () => {
    const home = await sandbox();
    const prefix = path.join(await sandbox(), 'usr');
    expect(await install(home, ['--system', '--prefix', prefix, home])).toMatchObject({ code: 2 });
    const node = path.join(home, '.nvm/node');
    await write(home, {
      '.nvm/node': `#!/bin/sh\n[ "$1" = -p ] && echo '${node}' || exec '${process.execPath}' "$@"\n`,
    });
    await fs.chmod(node, 0o755);
    const own = { PATH: `${path.dirname(node)}:${process.env['PATH']}` };
    expect(await install(home, ['--system', '--prefix', prefix], { env: own })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('one user’s own'.replace('’', "'")),
    });
    expect(await install(home, ['--system', '--prefix', prefix])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('each user'),
    });
    expect((await fs.readdir(home)).filter((name) => name !== '.nvm')).toEqual([]);
    expect((await install(home, ['--system', '--prefix', prefix, '--uninstall'])).code).toBe(0);
    expect(await fs.readdir(path.dirname(prefix))).toEqual([]);
  });

  it.each<[string, (string | [string, string])[], RegExp]>([
    ['Git is missing', ['node', 'npm'], /Git was not found.*\n.*Get it .*git/],
    [
      'Git is only the Mac’s request to install it',
      ['node', 'npm', ['git', 'echo "xcode-select: note" >&2; exit 1']],
      /Git was not found/,
    ],
    [
      'Git is too old',
      ['node', 'npm', ['git', 'echo "git version 2.31.9 (Apple Git-130)"']],
      /Git 2\.31\.9 is too old; 2\.32/,
    ],
    ['Node is missing', ['git', 'npm'], /Node was not found; 20\.19 or newer.*\n.*Get it /],
    ['Node is too old', ['git', 'npm', ['node', 'echo v20.18.3']], /Node 20\.18\.3 is too old/],
    ['Node is much too old', ['git', 'npm', ['node', 'echo v8.99.0']], /Node 8\.99\.0 is too old/],
    ['npm is missing', ['git', 'node'], /npm was not found/],
  ])('where %s, it says how to get it and puts nothing anywhere', async (_, programs, said) => {
    const [home, TMPDIR] = [await sandbox(), await sandbox()];
    const { code, stderr } = await install(home, [], { env: { TMPDIR, PATH: await pathWith(programs) } });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(said) });
    expect([await fs.readdir(home), await fs.readdir(TMPDIR)]).toEqual([[], []]);
  });

  it('shows where npm’s words are when npm fails, and puts nothing anywhere', async () => {
    const other = path.join(await sandbox(), 'clone');
    await copyTree(other);
    await fs.writeFile(path.join(other, 'package-lock.json'), '{"lockfileVersion":3,"packages":{}}');
    const home = await sandbox();
    const script = path.join(other, 'install.sh');
    const { code, stderr } = await install(home, [], { script, env: { TMPDIR: await sandbox() } });
    expect(code).toBe(1);
    const log = /What it said is in (\S+)\. /.exec(stderr)?.[1] ?? '';
    expect(await fs.readFile(log, 'utf8')).toContain('npm error');
    expect(await fs.readdir(home)).toEqual([]);
  });

  it('does not put itself over a command of another origin', async () => {
    const home = await sandbox();
    await write(home, { '.local/bin/oxenvcs-cli': 'mine' });
    expect(await install(home, [])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('oxenvcs-cli is there already'),
    });
    expect(await fs.readFile(path.join(home, '.local/bin/oxenvcs-cli'), 'utf8')).toBe('mine');
  });

  it.each([
    ['--nonsense'],
    ['--purge'],
    ['--prefix'],
    ['--prefix='],
    ['a', 'b'],
    ['--uninstall', 'a'],
    ['--demo', 'a'],
    [''],
  ])('refuses words that make no sense: %s %s', async (...args) => {
    const home = await sandbox();
    const { code, stderr } = await install(
      home,
      args.filter((one) => one !== undefined),
    );
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('--help') });
    expect(await fs.readdir(home)).toEqual([]);
  });

  it('runs the demo', async () => {
    const { code, output } = await install(await sandbox(), ['--demo']);
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('All of it was as told') });
  });
});

describe('install.sh DIR', () => {
  it('makes it a project and has it watched in the background, once; an upgrade takes over; uninstalling ends all that', async () => {
    const home = await sandbox();
    const root = await song();
    onTestFinished(async () => await endDaemon(home));
    await write(root, { 'Other.logicx/ProjectData': 'x' });
    const first = await install(home, [path.basename(root)], { cwd: path.dirname(root) });
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining(`Every save in ${root} is now versioned`) });
    const pid = await daemon(home);
    expect(isRunning(pid)).toBe(true);
    const watched = async () => JSON.parse((await installed(home, ['daemon', 'status', '--json'])).stdout) as object;
    await vi.waitFor(
      async () => expect(await watched()).toMatchObject({ projects: [{ project: root, state: 'watched' }] }),
      10_000,
    );

    // Inside a package the folder around it is meant: that one is watched already.
    const again = await install(home, [path.join(root, 'Other.logicx')]);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('is a project already') });
    expect(await daemon(home)).toBe(pid);

    const manifest = path.join(clone, 'package.json');
    const before = await fs.readFile(manifest, 'utf8');
    await fs.writeFile(manifest, before.replace(/"version": "[^"]*"/, '"version": "99.0.0"'));
    const upgraded = await install(home, []);
    await fs.writeFile(manifest, before);
    expect(upgraded).toMatchObject({ code: 0, stdout: expect.stringContaining('in place of the former one') });
    const next = await daemon(home);
    expect([next === pid, isRunning(pid), isRunning(next)]).toEqual([false, false, true]);

    const hooks = path.join(root, '.git/hooks');
    expect(await fs.readdir(hooks)).toContain('pre-commit');
    // Another installation takes out nothing of this one.
    const prefix = path.join(home, 'other');
    expect((await install(home, ['--prefix', prefix])).code).toBe(0);
    const other = await install(home, ['--uninstall', '--prefix', prefix]);
    const ours = path.join(home, '.local/lib/oxenvcs/dist');
    expect(other.stdout).toContain(`The background process goes on, for it is another installation's: ${ours}/main.js`);
    expect(other.stdout).toContain(`${root}: Git hooks stay, for they are another installation's: ${ours}/hook.js`);
    expect(isRunning(next)).toBe(true);
    expect(await fs.readdir(hooks)).toContain('pre-commit');
    expect((await install(home, ['--uninstall'])).code).toBe(0);
    expect(isRunning(next)).toBe(false);
    expect(await fs.readdir(hooks)).not.toContain('pre-commit');
    expect(await fs.readdir(root)).toContain('Song.als');
  });

  it('with a folder that is not there installs nothing; one that cannot be a project ends with the reason', async () => {
    const home = await sandbox();
    onTestFinished(async () => await endDaemon(home));
    expect(await install(home, ['nowhere'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('There is no folder'),
    });
    expect(await fs.readdir(home)).toEqual([]);
    const refused = await install(home, [home]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('home folder') });
    // What was begun for it runs on for nothing no more.
    const pid = Number(/runs \(process (\d+)\)/.exec(refused.stdout)?.[1]);
    expect([pid > 0, isRunning(pid)]).toEqual([true, false]);
  });
});

describe('install.sh --uninstall', () => {
  it('takes away what was put there and nothing else, not even the vault; --no-service has started nothing', async () => {
    const home = await sandbox();
    await write(home, { '.local/bin/other': 'tool', 'Music/keep': 'x' });
    const before = await snapshot(home);
    const root = await song();
    const { stdout } = await install(home, ['--no-service', root]);
    expect(stdout).toContain('oxenvcs daemon start');
    expect(await daemon(home)).toBe(0);
    await install(home, []);
    const project = await withoutHooks(root);
    expect((await install(home, ['--uninstall'], { cwd: '/' })).code).toBe(0);
    const after = await snapshot(home);
    const vaults = Object.keys(after).filter((name) => name.startsWith('.local/share'));
    expect(vaults.some((name) => name.endsWith('.git'))).toBe(true);
    for (const name of vaults) delete after[name];
    expect(after).toEqual(before);
    expect(await snapshot(root)).toEqual(project);
    expect(await install(home, ['--uninstall'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing of oxenvcs'),
    });
  });

  it('leaves no folder behind where there was none, and a command that somebody put in the place of ours', async () => {
    const home = await sandbox();
    const prefix = path.join(home, 'a/b c');
    await install(home, ['--prefix', prefix]);
    await write(prefix, { 'bin/oxenvcs': 'mine' });
    expect((await install(home, ['--uninstall', '--prefix', prefix])).stdout).toContain('Left as it is');
    expect(await fs.readdir(path.join(prefix, 'bin'))).toEqual(['oxenvcs']);
    await fs.rm(path.join(prefix, 'bin/oxenvcs'));
    await install(home, ['--prefix', prefix]);
    await install(home, ['--uninstall', '--prefix', prefix]);
    expect(await fs.readdir(prefix)).toEqual(['bin']);
  });

  it('with --purge deletes no vault without a person who says so', async () => {
    const home = await sandbox();
    await install(home, []);
    const data = path.join(
      home,
      process.platform === 'darwin' ? 'Library/Application Support/oxenvcs' : '.local/share/oxenvcs',
    );
    await write(data, { 'vaults/Song.git/HEAD': 'x' });
    const before = await snapshot(home);
    expect(await install(home, ['--uninstall', '--purge'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nobody to ask'),
    });
    expect(await snapshot(home)).toEqual(before);
    expect(await onTerminal(home, 'no\n')).toContain('Nothing more was deleted');
    expect(await fs.readdir(data)).toEqual(['vaults']);
    expect(await onTerminal(home, 'delete\n')).toContain(`Deleted: ${data}`);
    await expect(fs.access(data)).rejects.toThrow('ENOENT');
  });
});

/** A project as it is when our hooks are taken out. */
async function withoutHooks(root: string): Promise<Record<string, string>> {
  const files = Object.entries(await snapshot(root));
  return Object.fromEntries(files.filter(([name]) => !/^\.git\/hooks\/(oxenvcs\.sh|p[a-z-]+)$/.test(name)));
}

async function withoutLog(prefix: string): Promise<Record<string, string>> {
  const { 'share/oxenvcs/install.log': log, ...files } = await snapshot(prefix);
  expect(log).toBeDefined();
  return files;
}

/** `--uninstall --purge` with somebody at the keyboard. */
async function onTerminal(home: string, typed: string): Promise<string> {
  const quoted = `'${path.join(clone, 'install.sh').replaceAll("'", `'\\''`)}' --uninstall --purge`;
  const args = process.platform === 'darwin' ? ['-q', '/dev/null', 'sh', '-c', quoted] : ['-qec', quoted, '/dev/null'];
  const env = { ...process.env, HOME: home, XDG_DATA_HOME: undefined };
  return (await run('script', args, { cwd: home, env, input: typed })).stdout.toString('utf8');
}

/** The background process of the user with this home; 0: there has been none. */
async function daemon(home: string): Promise<number> {
  const data = process.platform === 'darwin' ? 'Library/Application Support/oxenvcs' : '.local/share/oxenvcs';
  const text = await fs.readFile(path.join(home, data, 'daemon/daemon.json'), 'utf8').catch(() => '{"pid":0}');
  return (JSON.parse(text) as { pid: number }).pid;
}

async function endDaemon(home: string): Promise<void> {
  const pid = await daemon(home);
  if (pid !== 0 && isRunning(pid)) killTree(pid);
}
