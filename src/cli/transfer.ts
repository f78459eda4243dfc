import type { Transfer } from '../push/transfer.ts';
import { size, span } from './format.ts';

/** `↑ 120 MB of 480 MB (25 %), part 3 of 9, 6.1 MB/s, 59 s left` */
export function describeTransfer({ part, parts, bytesSent, bytesTotal, bytesPerSecond, etaMs }: Transfer): string {
  const share = bytesTotal === 0 ? 100 : Math.floor((bytesSent / bytesTotal) * 100);
  const left = etaMs === null || bytesPerSecond === 0 ? '' : `, ${size(bytesPerSecond)}/s, ${span(etaMs)} left`;
  return `↑ ${size(bytesSent)} of ${size(bytesTotal)} (${share} %), part ${Math.min(part + 1, parts)} of ${parts}${left}`;
}
