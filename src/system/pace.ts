import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** Lets so many bytes a second through, evenly: a tenth of a second's worth at a time. */
export function pace(bytesPerSecond: number): Transform {
  const slice = Math.max(1, Math.floor(bytesPerSecond / 10));
  let due = performance.now();
  return new Transform({
    async transform(chunk: Buffer, _, done) {
      for (let at = 0; at < chunk.length; at += slice) {
        const part = chunk.subarray(at, at + slice);
        // Timers fire late: up to 50 ms of that are caught up with. Time in which there was nothing to send is not.
        due = Math.max(due, performance.now() - 50) + (part.length / bytesPerSecond) * 1000;
        await sleep(due - performance.now());
        this.push(part);
      }
      done();
    },
  });
}
