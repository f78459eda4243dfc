import path from 'node:path';

/**
 * What makes the background process start with the user's session, on each system: a file in its place, and the commands
 * that make it known. All pure: what is told to the systems is tested by what it says.
 */

export type ServiceKind =
  /** macOS: an agent of the user. */
  | 'launchd'
  /** Linux: a unit of the user's manager. */
  | 'systemd'
  /** Windows: a scheduled task. */
  | 'task'
  /** A Linux desktop without systemd: started with the session, by nobody again after a crash. */
  | 'autostart';

export interface ServiceInputs {
  node: string;
  /** The file that is started, `dist/main.js`. */
  program: string;
  home: string;
  /** Where this user's data folder is: the file for the task lies there. */
  folder: string;
  /** Where it says why it cannot start. */
  output: string;
  /** Of the terminal that asks: a service begins with a bare PATH, without git's helpers. */
  env: { [name: string]: string | undefined };
  /** `DOMAIN\name` on Windows, the number elsewhere. */
  user: string;
}

export interface Service {
  file: string;
  text: string;
  /** How `text` names the program that is started. */
  names: string;
  encoding: 'utf8' | 'utf16le';
  /** Commands for when `file` was written. One with a dash in front may fail. */
  install: string[][];
  start: string[][];
  /** Before `file` is removed: it does not start with the session any more. What runs goes on. */
  uninstall: string[][];
}

const label = 'oxenvcs.daemon';
const unit = 'oxenvcs.service';

export function serviceFor(kind: ServiceKind, inputs: ServiceInputs): Service {
  const { home, folder, user, env } = inputs;
  const config = env['XDG_CONFIG_HOME'] || path.posix.join(home, '.config');
  switch (kind) {
    case 'launchd': {
      const file = path.posix.join(home, 'Library', 'LaunchAgents', `${label}.plist`);
      return {
        file,
        encoding: 'utf8',
        text: launchdAgent(inputs),
        names: `<string>${xml(inputs.program)}</string>`,
        // One of an earlier text is forgotten first; where there is none that fails.
        install: [
          ['-launchctl', 'bootout', `gui/${user}/${label}`],
          ['launchctl', 'bootstrap', `gui/${user}`, file],
        ],
        start: [['launchctl', 'kickstart', `gui/${user}/${label}`]],
        uninstall: [['-launchctl', 'bootout', `gui/${user}/${label}`]],
      };
    }
    case 'systemd':
      return {
        file: path.posix.join(config, 'systemd', 'user', unit),
        encoding: 'utf8',
        text: systemdUnit(inputs),
        names: ` ${systemdWord(inputs.program)} `,
        install: [
          ['systemctl', '--user', 'daemon-reload'],
          ['systemctl', '--user', 'enable', unit],
        ],
        start: [['systemctl', '--user', 'start', unit]],
        uninstall: [['-systemctl', '--user', 'disable', unit]],
      };
    case 'task': {
      const file = path.win32.join(folder, 'task.xml');
      return {
        file,
        // The only one that schtasks takes; it wants to be told by the first two bytes, too.
        encoding: 'utf16le',
        text: `\uFEFF${scheduledTask(inputs)}`,
        names: xml(` ${windowsWord(inputs.program)} `),
        install: [['schtasks', '/Create', '/TN', 'oxenvcs', '/XML', file, '/F']],
        start: [['schtasks', '/Run', '/TN', 'oxenvcs']],
        uninstall: [['-schtasks', '/Delete', '/TN', 'oxenvcs', '/F']],
      };
    }
    case 'autostart':
      return {
        file: path.posix.join(config, 'autostart', 'oxenvcs.desktop'),
        encoding: 'utf8',
        text: autostartEntry(inputs),
        names: ` ${desktopWord(inputs.program)} `,
        install: [],
        start: [],
        uninstall: [],
      };
  }
}

const words = ['daemon', 'run', '--quiet'];

/** What the process needs to find the same things as the terminal does: programs, and the user's folders. */
function environment({ env }: ServiceInputs): [string, string][] {
  return ['PATH', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME'].flatMap((name) => {
    const value = env[name];
    return value === undefined || value === '' || /\p{Cc}/u.test(value) ? [] : [[name, value] as [string, string]];
  });
}

/** `KeepAlive`: one that crashed is started again, one that was told to end is not. */
function launchdAgent(inputs: ServiceInputs): string {
  const string = (text: string) => `<string>${xml(text)}</string>`;
  const variables = environment(inputs).map(([name, value]) => `    <key>${name}</key>${string(value)}`);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0"><dict>',
    `  <key>Label</key>${string(label)}`,
    `  <key>ProgramArguments</key><array>${[inputs.node, inputs.program, ...words].map(string).join('')}</array>`,
    '  <key>EnvironmentVariables</key><dict>',
    ...variables,
    '  </dict>',
    '  <key>RunAtLoad</key><true/>',
    '  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>',
    '  <key>ProcessType</key><string>Background</string>',
    '  <key>LowPriorityIO</key><true/>',
    '  <key>ExitTimeOut</key><integer>10</integer>',
    `  <key>WorkingDirectory</key>${string(inputs.home)}`,
    `  <key>StandardOutPath</key>${string(inputs.output)}`,
    `  <key>StandardErrorPath</key>${string(inputs.output)}`,
    '</dict></plist>',
    '',
  ].join('\n');
}

/** `mixed`: only the process itself is told to end; it sees to the git that it has started. */
function systemdUnit(inputs: ServiceInputs): string {
  return [
    '[Unit]',
    'Description=oxenvcs: version control for music projects',
    '',
    '[Service]',
    `ExecStart=${[inputs.node, inputs.program].map(systemdWord).join(' ')} ${words.join(' ')}`,
    ...environment(inputs).map(([name, value]) => `Environment=${systemdWord(`${name}=${value}`)}`),
    'WorkingDirectory=%h',
    'Restart=on-failure',
    'RestartSec=5',
    'KillMode=mixed',
    'TimeoutStopSec=10',
    'Nice=19',
    'IOSchedulingClass=idle',
    '',
    '[Install]',
    'WantedBy=default.target',
    '',
  ].join('\n');
}

/** `%` begins a specifier, `$` a variable. In `Environment=` a dollar is itself, but two of them are two. */
function systemdWord(text: string): string {
  const isVariable = /^[A-Z_]+=/.test(text);
  const escaped = text.replace(/["\\]/g, '\\$&').replace(/%/g, '%%');
  return `"${isVariable ? escaped : escaped.replace(/\$/g, '$$$$')}"`;
}

/** On battery too, for as long as it takes, once; without a window. Priority 7 is that of background work. */
function scheduledTask(inputs: ServiceInputs): string {
  const { node, program, home, user } = inputs;
  const args = ['--headless', node, program, ...words].map(windowsWord).join(' ');
  return [
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<Task version="1.3" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
    '  <RegistrationInfo><Description>oxenvcs: version control for music projects</Description></RegistrationInfo>',
    `  <Triggers><LogonTrigger><UserId>${xml(user)}</UserId></LogonTrigger></Triggers>`,
    `  <Principals><Principal id="user"><UserId>${xml(user)}</UserId><LogonType>InteractiveToken</LogonType></Principal></Principals>`,
    '  <Settings>',
    '    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>',
    '    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>',
    '    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>',
    '    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>',
    '    <RestartOnFailure><Interval>PT1M</Interval><Count>3</Count></RestartOnFailure>',
    '    <Priority>7</Priority>',
    '    <Hidden>true</Hidden>',
    '  </Settings>',
    '  <Actions Context="user"><Exec>',
    '    <Command>conhost.exe</Command>',
    `    <Arguments>${xml(args)}</Arguments>`,
    `    <WorkingDirectory>${xml(home)}</WorkingDirectory>`,
    '  </Exec></Actions>',
    '</Task>',
    '',
  ].join('\r\n');
}

/** As C programs take their command line apart: backslashes count only before a quote. */
function windowsWord(text: string): string {
  if (!/[\s"]/.test(text) && text !== '') return text;
  return `"${text.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
}

function autostartEntry({ node, program }: ServiceInputs): string {
  return [
    '[Desktop Entry]',
    'Type=Application',
    'Name=oxenvcs',
    'Comment=Version control for music projects',
    `Exec=${[node, program].map(desktopWord).join(' ')} ${words.join(' ')}`,
    'NoDisplay=true',
    'Terminal=false',
    '',
  ].join('\n');
}

/** Quoted for the command line, then escaped once more as a value; `%` begins a field code. */
const desktopWord = (text: string): string =>
  `"${text
    .replace(/["`$\\]/g, '\\$&')
    .replace(/\\/g, '\\\\')
    .replace(/%/g, '%%')}"`;

const xml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`).replace(/\p{Cc}/gu, ' ');
