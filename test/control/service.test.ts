import * as fs from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { type ServiceInputs, type ServiceKind, serviceFor } from '../../src/control/service.ts';
import { serviceKind } from '../../src/control/install.ts';
import { socketFolders, socketName } from '../../src/control/place.ts';
import { compareVersions } from '../../src/control/start.ts';
import { main } from '../support/cli.ts';
import { until, user } from '../support/daemon.ts';
import { isRunning } from '../support/processes.ts';
import { write } from '../support/sandbox.ts';

const output = '/home/ann/.local/share/oxenvcs/daemon/output.log';
const inputs: ServiceInputs = {
  node: '/opt/node & more/bin/node',
  program: '/home/ann/100% "mine" $HOME/dist/main.js',
  home: '/home/ann',
  folder: '/home/ann/.local/share/oxenvcs/daemon',
  output,
  env: {
    PATH: '/usr/bin:/opt/<git>/bin',
    XDG_DATA_HOME: '/data',
    HOME: '/home/ann',
    SSH_AUTH_SOCK: '/tmp/ssh-1/agent.1',
  },
  user: '501',
};

test.each<[ServiceKind, string, string[]]>([
  [
    'launchd',
    '/home/ann/Library/LaunchAgents/oxenvcs.daemon.plist',
    [
      '<key>ProgramArguments</key><array><string>/opt/node &#38; more/bin/node</string><string>/home/ann/100% &#34;mine&#34; $HOME/dist/main.js</string><string>daemon</string><string>run</string><string>--quiet</string></array>',
      '<key>PATH</key><string>/usr/bin:/opt/&#60;git&#62;/bin</string>',
      '<key>Label</key><string>oxenvcs.daemon</string>',
      '<key>RunAtLoad</key><true/>',
      '<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>',
      '<key>ProcessType</key><string>Background</string>',
      '<key>LowPriorityIO</key><true/>',
      // It has promised to end within 5 s.
      '<key>ExitTimeOut</key><integer>10</integer>',
      '<key>WorkingDirectory</key><string>/home/ann</string>',
      `<key>StandardOutPath</key><string>${output}</string>\n  <key>StandardErrorPath</key><string>${output}</string>`,
    ],
  ],
  [
    'systemd',
    '/home/ann/.config/systemd/user/oxenvcs.service',
    [
      'ExecStart="/opt/node & more/bin/node" "/home/ann/100%% \\"mine\\" $$HOME/dist/main.js" daemon run --quiet\n',
      'Environment="PATH=/usr/bin:/opt/<git>/bin"\nEnvironment="XDG_DATA_HOME=/data"\n',
      'WorkingDirectory=%h\nRestart=on-failure\nRestartSec=5\n',
      'KillMode=mixed\nTimeoutStopSec=10\nNice=19\nIOSchedulingClass=idle\n',
      'WantedBy=default.target\n',
    ],
  ],
  [
    'task',
    '\\home\\ann\\.local\\share\\oxenvcs\\daemon\\task.xml',
    [
      '<Arguments>--headless &#34;/opt/node &#38; more/bin/node&#34; &#34;/home/ann/100% \\&#34;mine\\&#34; $HOME/dist/main.js&#34; daemon run --quiet</Arguments>',
      '<LogonTrigger><UserId>501</UserId></LogonTrigger>',
      '<Command>conhost.exe</Command>',
      '<WorkingDirectory>/home/ann</WorkingDirectory>',
      '<LogonType>InteractiveToken</LogonType>',
      '<MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>',
      '<DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>',
      '<StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>',
      '<RestartOnFailure><Interval>PT1M</Interval><Count>3</Count></RestartOnFailure>',
      '<Priority>7</Priority>',
      '<Hidden>true</Hidden>',
      '<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>',
    ],
  ],
  [
    'autostart',
    '/home/ann/.config/autostart/oxenvcs.desktop',
    [
      'Exec="/opt/node & more/bin/node" "/home/ann/100%% \\\\"mine\\\\" \\\\$HOME/dist/main.js" daemon run --quiet\nNoDisplay=true\nTerminal=false\n',
      'Type=Application\n',
    ],
  ],
])('%s is told what to start, and how, whatever the names hold', (kind, file, parts) => {
  const service = serviceFor(kind, inputs);
  expect(service.file).toBe(file);
  for (const part of parts) expect(service.text).toContain(part);
  // Whose it is can be told from it.
  expect(service.text).toContain(service.names);
  expect(service.text).not.toContain(serviceFor(kind, { ...inputs, program: '/home/ann/other/dist/main.js' }).names);
  // An agent of today is not there after the next login.
  expect(service.text).not.toContain('agent.1');
});

test('a name with a line break cannot add a line of its own to what the system is told', () => {
  const evil = { ...inputs, env: { ...inputs.env, PATH: '/bin\nExecStartPre=/bin/evil' } };
  expect(serviceFor('systemd', evil).text).not.toContain('evil');
});

test('each system is asked in its own way to start it, and `none` is a way past', async () => {
  const kind = async (platform: NodeJS.Platform, env: NodeJS.ProcessEnv = {}) => await serviceKind(platform, env);
  expect([await kind('darwin'), await kind('win32'), await kind('freebsd')]).toEqual(['launchd', 'task', null]);
  expect(await kind('darwin', { OXENVCS_SERVICE: 'none' })).toBeNull();
  expect(serviceFor('task', inputs).text.startsWith('\uFEFF')).toBe(true);
  const commands = (one: ServiceKind) => {
    const { install, start, uninstall } = serviceFor(one, { ...inputs, env: { XDG_CONFIG_HOME: '/my config' } });
    return { install, start, uninstall };
  };
  // What was never there may be forgotten.
  const agent = '/home/ann/Library/LaunchAgents/oxenvcs.daemon.plist';
  const bootout = ['-launchctl', 'bootout', 'gui/501/oxenvcs.daemon'];
  expect(commands('launchd')).toEqual({
    install: [bootout, ['launchctl', 'bootstrap', 'gui/501', agent]],
    start: [['launchctl', 'kickstart', 'gui/501/oxenvcs.daemon']],
    uninstall: [bootout],
  });
  const task = '\\home\\ann\\.local\\share\\oxenvcs\\daemon\\task.xml';
  expect(commands('task')).toEqual({
    install: [['schtasks', '/Create', '/TN', 'oxenvcs', '/XML', task, '/F']],
    start: [['schtasks', '/Run', '/TN', 'oxenvcs']],
    uninstall: [['-schtasks', '/Delete', '/TN', 'oxenvcs', '/F']],
  });
  expect(commands('autostart')).toEqual({ install: [], start: [], uninstall: [] });
  const own = { ...inputs, env: { XDG_CONFIG_HOME: '/my config' } };
  expect(serviceFor('autostart', own).file).toBe('/my config/autostart/oxenvcs.desktop');
  const encodings = (['launchd', 'systemd', 'task', 'autostart'] as const).map((one) => serviceFor(one, own).encoding);
  expect(encodings).toEqual(['utf8', 'utf8', 'utf16le', 'utf8']);
  // As C programs take their command line apart.
  const { text } = serviceFor('task', { ...inputs, node: 'C:\\Program Files\\node\\', program: 'C:\\main.js' });
  expect(text).toContain('&#34;C:\\Program Files\\node\\\\&#34; C:\\main.js daemon');
});

test('the socket lies where its path is short enough, best in the folder of the session', () => {
  const folders = (runtime: string | undefined, data: string) =>
    socketFolders({ XDG_RUNTIME_DIR: runtime }, data, '/var/tmp', 501);
  const temporary = ['/var/tmp/oxenvcs-501', '/tmp/oxenvcs-501'];
  expect(folders('/run/user/501', '/d')).toEqual(['/run/user/501/oxenvcs', '/d/daemon', ...temporary]);
  expect(folders(undefined, '/d')).toEqual(['/d/daemon', ...temporary]);
  // Bytes count, of which a Mac takes 104 with the end.
  expect(folders(`/${'ü'.repeat(40)}`, `/${'x'.repeat(70)}`)).toEqual(temporary);
  for (const folder of folders('/r', `/${'x'.repeat(65)}`))
    expect(Buffer.byteLength(`${folder}/${socketName('/d', '12345678')}`)).toBeLessThan(104);
});

test('versions are compared by their numbers', () => {
  const order = ['0.9.0', '0.10.0', '0.10.1-beta', '1.0.0', '1.0.1'];
  expect(order.toReversed().toSorted(compareVersions)).toEqual(order);
  expect(compareVersions('1.0.0', '1.0.0')).toBe(0);
});

/** What of `systemctl --user` is used: it writes down what it is told, and starts what the unit names. */
const systemctl = `#!/bin/sh
echo "$*" >>"$FAKE/told"
[ ! -e "$FAKE/refuses" ] || { echo 'Failed to connect to bus' >&2; [ "$2" = show-environment ]; exit; }
if [ "$2" = start ]; then
  line=$(sed -n 's/^ExecStart=//p' "$XDG_CONFIG_HOME/systemd/user/oxenvcs.service" | sed 's/%%/%/g; s/\\$\\$/\\\\$/g')
  eval "$line" </dev/null >/dev/null 2>&1 &
fi
`;

test.runIf(process.platform === 'linux')(
  'where systemd is, start makes it a service once and for all, stop ends it until the next login, and --disable for good',
  async () => {
    const { run, dir, daemonPid } = await user({ OXENVCS_SERVICE: undefined });
    const fake = path.join(dir, 'fake');
    await write(fake, { 'bin/systemctl': systemctl });
    await fs.chmod(path.join(fake, 'bin/systemctl'), 0o755);
    const env = {
      FAKE: fake,
      PATH: `${fake}/bin:${process.env['PATH']}`,
      XDG_CONFIG_HOME: path.join(dir, 'my config'),
    };
    const unit = path.join(dir, 'my config/systemd/user/oxenvcs.service');
    const daemon = async (...args: string[]) => await run(['daemon', ...args, '--json'], dir, env);
    const told = async () => {
      const text = await fs.readFile(path.join(fake, 'told'), 'utf8');
      await fs.rm(path.join(fake, 'told'));
      return text.split('\n').filter((line) => line !== '' && !line.includes('show-environment'));
    };
    expect((await daemon('start')).json()).toMatchObject({ outcome: 'started', service: 'systemd' });
    expect(await told()).toEqual([
      '--user daemon-reload',
      '--user enable oxenvcs.service',
      '--user start oxenvcs.service',
    ]);
    const first = await daemonPid();
    expect((await daemon('start')).json()).toMatchObject({
      outcome: 'already-running',
      pid: first,
      service: 'systemd',
    });
    expect(await told()).toEqual([]);
    expect((await daemon('stop')).json()).toMatchObject({ outcome: 'stopped', disabled: false });
    await until('it has ended', async () => !isRunning(first));
    expect((await daemon('start')).json()).toMatchObject({ outcome: 'started' });
    expect(await told()).toEqual(['--user start oxenvcs.service']);
    // One that the system does not know of any more is put in its care again.
    await fs.rm(unit);
    expect((await daemon('start')).json()).toMatchObject({ outcome: 'restarted' });
    await fs.access(unit);
    await told();
    // Whoever uninstalls leaves what starts another installation's; a person who says so ends that, too.
    await write(dir, {
      'my config/systemd/user/oxenvcs.service': (await fs.readFile(unit, 'utf8')).replaceAll(main, '/other.js'),
    });
    expect((await daemon('stop', '--disable', '--own')).json()).toMatchObject({ outcome: 'stopped', disabled: false });
    expect(await told().catch(() => [])).toEqual([]);
    expect((await daemon('stop', '--disable')).json()).toMatchObject({ outcome: 'not-running', disabled: true });
    expect(await told()).toEqual(['--user disable oxenvcs.service']);
    await expect(fs.access(unit)).rejects.toThrow('ENOENT');

    await write(fake, { refuses: '' });
    const refused = await run(['daemon', 'start'], dir, env);
    expect(refused).toMatchObject({ code: 0, stderr: expect.stringContaining('Failed to connect to bus') });
    expect(refused.stderr).toContain('not after the next login');
    await expect(fs.access(unit)).rejects.toThrow('ENOENT');
    expect((await daemon('stop', '--disable')).json()).toMatchObject({ outcome: 'stopped', disabled: false });
  },
);
