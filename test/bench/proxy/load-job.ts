/** What the load generator is told to do. Times in milliseconds, rates per second. */
export interface LoadJob {
  url: string;
  /** Sent as bearer token. */
  key: string;
  connections: number;
  forMs: number;
  kind: 'json' | 'stream';
  /** Chunks of a stream, and the upstream's pause between two. */
  chunks?: number;
  chunkMs?: number;
  /** Calls a second to send whether answers come or not; left out: the next call of a connection follows its answer. */
  rate?: number;
}

/** What a job measured. Latencies in milliseconds: [p50, p99]. */
export interface LoadResult {
  /** Calls answered in full, also those that ended behind `forMs`. */
  answered: number;
  /** Of those answered within `forMs`: per second. */
  perSecond: number;
  /** Anything but status 200 with a whole body, and connections that broke. */
  failed: number;
  latencyMs: readonly [number, number];
  /** First byte of the body behind the sending of the request. */
  ttftMs: readonly [number, number];
  /** From the moment the upstream writes a chunk to its arrival here. */
  chunkMs: readonly [number, number];
  /** Body bytes of the last answer: the same for every case, or something is not passed on. */
  bodyBytes: number;
}

/** One clock for all processes of this machine, in milliseconds. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export const CHUNKS_PER_STREAM = 200;
