import { createHook } from 'node:async_hooks';
import { onTestFinished } from 'vitest';

/** What is being watched in this process, of all that is from now on. */
export function fileWatches(): Set<number> {
  const open = new Set<number>();
  const hook = createHook({
    init: (id, type) => void (type === 'FSEVENTWRAP' && open.add(id)),
    destroy: (id) => void open.delete(id),
  }).enable();
  onTestFinished(() => void hook.disable());
  return open;
}
