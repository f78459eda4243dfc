/** The header of a trace: what the DAW did, when saves were complete, when takes grew (ms). */
export interface TraceHeader {
  daw: string;
  durationMs: number;
  saves: number[];
  takes: { path: string; from: number; to: number }[];
  tree: Record<string, { size: number; sha256?: string } | null>;
}
export interface TraceEvent {
  t: number;
  op: string;
  path: string;
}
export interface ReplayOptions {
  speed?: number;
  onEvent?: (event: TraceEvent, header: TraceHeader) => void;
  signal?: AbortSignal;
}
export function replay(file: string, dir: string, options?: ReplayOptions): Promise<{ header: TraceHeader; lateMs: number }>;
export function check(header: TraceHeader, dir: string): string[];
