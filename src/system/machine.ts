import { createHash } from 'node:crypto';
import os from 'node:os';
import { readText } from './disk.ts';
import { run } from './process.ts';

/**
 * A name for this computer that stays the same over restarts and differs from every other's. Hashed, since the system's
 * own id should not leave it. Where the system has none (some containers), the host name serves.
 */
export async function machineId(platform = process.platform): Promise<string> {
  const own = await systemId(platform).catch(() => null); // a missing tool must not stop the work
  return createHash('sha256')
    .update(own ?? `host ${os.hostname()}`)
    .digest('hex')
    .slice(0, 32);
}

async function systemId(platform: NodeJS.Platform): Promise<string | null> {
  if (platform === 'darwin')
    return pick(await output('ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']), /"IOPlatformUUID" = "([^"]+)"/);
  if (platform === 'win32')
    return pick(
      await output('reg', ['query', 'HKLM\\SOFTWARE\\Microsoft\\Cryptography', '/v', 'MachineGuid']),
      /MachineGuid\s+REG_SZ\s+(\S+)/,
    );
  const text = (await readText('/etc/machine-id')) ?? (await readText('/var/lib/dbus/machine-id')) ?? '';
  return /^[0-9a-f]{32}$/.exec(text.trim())?.[0] ?? null;
}

const pick = (text: string, pattern: RegExp): string | null => pattern.exec(text)?.[1] ?? null;

async function output(program: string, args: string[]): Promise<string> {
  const { stdout } = await run(program, args, { cwd: os.tmpdir(), env: process.env, timeoutMs: 5000 });
  return stdout.toString('utf8');
}
