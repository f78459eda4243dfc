import os from 'node:os';
import path from 'node:path';

/** Where this user's things live: the places each system has for them. `env` and `platform` are passed in by tests. */

type Env = Record<string, string | undefined>;

/** Vaults and repositories that must lie outside a synced folder. */
export function dataFolder(env: Env = process.env, platform = process.platform, home = os.homedir()): string {
  if (env['XDG_DATA_HOME']) return path.join(env['XDG_DATA_HOME'], 'oxenvcs');
  if (platform === 'darwin') return path.join(home, 'Library', 'Application Support', 'oxenvcs');
  if (platform === 'win32') return path.join(env['LOCALAPPDATA'] ?? path.join(home, 'AppData', 'Local'), 'oxenvcs');
  return path.join(home, '.local', 'share', 'oxenvcs');
}

/** The user's own settings, over the team's. */
export function userConfigFile(env: Env = process.env, platform = process.platform, home = os.homedir()): string {
  if (env['XDG_CONFIG_HOME']) return path.join(env['XDG_CONFIG_HOME'], 'oxenvcs', 'config.json');
  if (platform === 'darwin') return path.join(home, 'Library', 'Application Support', 'oxenvcs', 'config.json');
  if (platform === 'win32')
    return path.join(env['APPDATA'] ?? path.join(home, 'AppData', 'Roaming'), 'oxenvcs', 'config.json');
  return path.join(home, '.config', 'oxenvcs', 'config.json');
}
