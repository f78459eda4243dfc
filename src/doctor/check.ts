import type { Failure } from '../model/failures.ts';

/** One thing that was looked at. */
export interface Check {
  name: string;
  ok: boolean;
  /** Of one that is not ok. `problem`: something does not work, or will not; `remark`: it works, but could be better. */
  severity: 'problem' | 'remark';
  message: string;
  /** The cure. */
  hint: string | null;
  /** Does what the hint says, where that can do no harm. */
  fix?: () => Promise<unknown>;
}

export const good = (name: string, message: string): Check => ({
  name,
  ok: true,
  severity: 'remark',
  message,
  hint: null,
});

export const problem = (name: string, message: string, hint: string, fix?: Check['fix']): Check => ({
  name,
  ok: false,
  severity: 'problem',
  message,
  hint,
  ...(fix ? { fix } : {}),
});

export const remark = (name: string, message: string, hint: string, fix?: Check['fix']): Check => ({
  ...problem(name, message, hint, fix),
  severity: 'remark',
});

export const failed = (name: string, { message, hint }: Failure): Check => problem(name, message, hint);
