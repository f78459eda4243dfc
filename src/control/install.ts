import * as fs from 'node:fs/promises';
import os from 'node:os';
import { Failure } from '../model/failures.ts';
import { ifMissing, removeDurable, writeDurable } from '../system/disk.ts';
import { type Result, run } from '../system/process.ts';
import { daemonFolder, outputFile } from './place.ts';
import { type Service, serviceFor, type ServiceInputs, type ServiceKind } from './service.ts';

/** Makes the background process start with the user's session, where the system has a way to. */

/** The system's way here; null: it has none. `OXENVCS_SERVICE=none` is the user's way past. */
export async function serviceKind(
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ServiceKind | null> {
  if (env['OXENVCS_SERVICE'] === 'none') return null;
  if (platform === 'darwin') return 'launchd';
  if (platform === 'win32') return 'task';
  if (platform !== 'linux') return null;
  if (await succeeds(['systemctl', '--user', 'show-environment'])) return 'systemd';
  return env['XDG_CURRENT_DESKTOP'] ? 'autostart' : null;
}

function inputsFor(program: string): ServiceInputs {
  return {
    node: process.execPath,
    program,
    home: os.homedir(),
    folder: daemonFolder(),
    output: outputFile(),
    env: process.env,
    user: String(process.getuid?.() ?? `${process.env['USERDOMAIN'] ?? '.'}\\${os.userInfo().username}`),
  };
}

/** Does it start with the session, and is that this very program? */
export async function isInPlace(kind: ServiceKind, program: string): Promise<boolean> {
  const { file, text, encoding } = serviceFor(kind, inputsFor(program));
  return (await fs.readFile(file).catch(ifMissing(null)))?.equals(Buffer.from(text, encoding)) ?? false;
}

/** Writes the file and makes it known, if it is not there as it should be. Throws `service-refused`. */
export async function ensureService(kind: ServiceKind, program: string): Promise<Service> {
  const service = serviceFor(kind, inputsFor(program));
  if (await isInPlace(kind, program)) return service;
  await writeDurable(service.file, Buffer.from(service.text, service.encoding), 0o600);
  try {
    await runAll(service.install);
  } catch (error) {
    // What is not known to the system must not look as if it were.
    await removeDurable(service.file);
    throw error;
  }
  return service;
}

/** Throws `service-refused`. */
export const startService = async (service: Service): Promise<void> => await runAll(service.start);

/**
 * It does not start with the session any more. `absent`: it did not before; `other`: it is another installation's, and stays
 * where only our own is to go.
 */
export async function removeService(program: string, onlyOwn = false): Promise<'removed' | 'absent' | 'other'> {
  const kind = await serviceKind();
  if (kind === null) return 'absent';
  const service = serviceFor(kind, inputsFor(program));
  const there = await fs.readFile(service.file).catch(ifMissing(null));
  if (there === null) return 'absent';
  if (onlyOwn && !there.toString(service.encoding).includes(service.names)) return 'other';
  await runAll(service.uninstall);
  await removeDurable(service.file);
  return 'removed';
}

async function runAll(commands: readonly string[][]): Promise<void> {
  for (const [name = '', ...args] of commands) {
    const mayFail = name.startsWith('-');
    const result = await attempt([name.replace(/^-/, ''), ...args]);
    if (result.exitCode === 0 || mayFail) continue;
    const said = (result.stderr.trim() || result.stdout.toString('utf8').trim()).split('\n', 1)[0];
    throw new Failure('service-refused', { detail: `${name} ${args.join(' ')}: ${said || `exit ${result.exitCode}`}` });
  }
}

const succeeds = async (command: string[]): Promise<boolean> => (await attempt(command)).exitCode === 0;

/** One that is not installed is one that failed. */
async function attempt([name = '', ...args]: string[]): Promise<Pick<Result, 'exitCode' | 'stdout' | 'stderr'>> {
  const call = { cwd: os.tmpdir(), env: process.env, timeoutMs: 15_000 };
  return await run(name, args, call).catch((error: unknown) => ({
    exitCode: 127,
    stdout: Buffer.alloc(0),
    stderr: (error as Error).message,
  }));
}
