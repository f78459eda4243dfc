import * as fs from 'node:fs';

/** What a process and all that it started use (Linux). */
export interface Used {
  /** CPU seconds, of what has ended already, too. */
  cpu: number;
  /** The most memory that all of them held at one moment, bytes. */
  peak: number;
  /** … and hold now. */
  now: number;
  processes: number;
}

/** Measures a process and its children until it is asked; `sampleMs` apart. */
export function measureTree(pid: number, sampleMs = 200): () => Used {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, memory(family(pid)));
  }, sampleMs);
  return () => {
    clearInterval(timer);
    // In ticks of 10 ms: its own, and those of the children that it has waited for.
    const all = family(pid);
    const cpu = all.reduce((sum, one) => sum + times(one), 0) / 100;
    return { cpu, peak, now: memory(all), processes: all.length };
  };
}

function family(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of fs.readdirSync('/proc')) {
    const parent = Number(stat(Number(name))?.[1]);
    if (Number.isNaN(parent)) continue;
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const found = [pid];
  for (const one of found) found.push(...(children.get(one) ?? []));
  return found;
}

/** The fields after the name in parentheses: state, parent, … */
function stat(pid: number): string[] | null {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null; // no process, or one that has just ended
  }
}

function times(pid: number): number {
  const fields = stat(pid);
  return fields === null ? 0 : fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}

/** What is the process's own: memory that is shared with others would be counted many times. */
function memory(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const text = fs.readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ');
      return sum + (Number(text[1]) - Number(text[2])) * 4096;
    } catch {
      return sum; // it has just ended
    }
  }, 0);
}
