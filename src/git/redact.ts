import { createHash } from 'node:crypto';

/** Cuts user and password out of every URL in a text. */
export function redact(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/]*@/gi, '$1');
}

/** Tells remotes apart in our state files, which no address belongs in: it may hold a password. */
export const remoteKey = (url: string): string => createHash('sha256').update(redact(url)).digest('hex').slice(0, 16);
