import os from 'node:os';
import { run } from './process.ts';

/** A few words on the person's screen. */
export interface Notice {
  title: string;
  body: string;
}

export interface Notifier {
  program: string;
  args: string[];
  /** Over the usual environment. */
  env: Record<string, string>;
}

const appleScript = ['on run argv', 'display notification (item 2 of argv) with title (item 1 of argv)', 'end run'];

const powerShell = `
$ErrorActionPreference = 'Stop'
[Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime] | Out-Null
$template = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent('ToastText02')
$texts = $template.GetElementsByTagName('text')
$texts.Item(0).AppendChild($template.CreateTextNode($env:OXENVCS_TITLE)) | Out-Null
$texts.Item(1).AppendChild($template.CreateTextNode($env:OXENVCS_BODY)) | Out-Null
$app = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\\WindowsPowerShell\\v1.0\\powershell.exe'
[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier($app).Show(
  [Windows.UI.Notifications.ToastNotification]::new($template))
`;

/** What shows it. The words are arguments or variables, never part of a script: a song may be called anything. Pure. */
export function notifierFor(platform: NodeJS.Platform, { title, body }: Notice): Notifier | null {
  if (platform === 'darwin')
    return {
      program: 'osascript',
      args: [...appleScript.flatMap((line) => ['-e', line]), '--', title, body],
      env: {},
    };
  // The body may hold markup, the title may not.
  if (platform === 'linux')
    return { program: 'notify-send', args: ['--app-name=oxenvcs', '--', title, markup(body)], env: {} };
  if (platform !== 'win32') return null;
  const encoded = Buffer.from(powerShell, 'utf16le').toString('base64');
  const args = ['-NoProfile', '-NonInteractive', '-WindowStyle', 'Hidden', '-EncodedCommand', encoded];
  return { program: 'powershell.exe', args, env: { OXENVCS_TITLE: title, OXENVCS_BODY: body } };
}

const markup = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, ' ').trim();

/** Shows it, where there is a screen and a program for that. That nobody sees it is no failure: it is in the log, too. */
export async function notify(
  { title, body }: Notice,
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): Promise<void> {
  const notifier = notifierFor(platform, { title: oneLine(title), body: oneLine(body) });
  if (notifier === null || env['OXENVCS_NOTIFY'] === 'none') return;
  const call = { cwd: os.tmpdir(), env: { ...env, ...notifier.env }, timeoutMs: 10_000 };
  await run(notifier.program, notifier.args, call).catch(() => null); // not installed
}
