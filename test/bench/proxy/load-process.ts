import { connect, type Socket } from 'node:net';
import type { LoadJob, LoadResult } from './load-job.ts';
import { CHUNKS_PER_STREAM, machineMs } from './load-job.ts';
import { percentile } from './statistics.ts';

/**
 * The load generator, a process of its own: bare sockets and just enough HTTP to know where an answer ends, so that it takes
 * little of the two cores. Gets jobs on its IPC channel and answers each with what it measured.
 */
interface Samples {
  latency: number[];
  ttft: number[];
  chunk: number[];
  within: number;
  answered: number;
  failed: number;
  bodyBytes: number;
}

interface Line {
  socket: Socket;
  busy: boolean;
  dueMs: number;
}

const PROMPT = JSON.stringify([
  { role: 'system', content: 'You are a helpful assistant. Answer in one short sentence.' },
  { role: 'user', content: 'What is a ready reckoner, and who used one before computers?' },
]);

const requestOf = (job: LoadJob): Buffer => {
  const { host, pathname } = new URL(job.url);
  const stream = job.kind === 'stream';
  const body = `{"model":"gpt-4o-mini","max_tokens":256,"messages":${PROMPT}${stream ? ',"stream":true' : ''}}`;
  const query = stream
    ? `?chunks=${job.chunks ?? CHUNKS_PER_STREAM}&chunk_ms=${job.chunkMs ?? 0}`
    : '';
  return Buffer.from(
    `POST ${pathname}${query} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${job.key}\r\ncontent-type: application/json\r\nuser-agent: OpenAI/JS 6.49.0\r\nx-stainless-lang: js\r\naccept: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
};

/** Follows one answer after the other on a connection. `onEnd` says whether it was whole and had status 200. */
const createAnswerReader = (on: {
  body: (bytes: Buffer) => void;
  end: (ok: boolean, bodyBytes: number) => void;
}) => {
  let head = '';
  let inBody = false;
  let ok = false;
  let left = -1;
  let seen = 0;
  let tail = '';
  const finish = (): void => {
    const bytes = seen;
    [head, inBody, left, seen, tail] = ['', false, -1, 0, ''];
    on.end(ok, bytes);
  };
  const take = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    seen += bytes.length;
    on.body(bytes);
    if (left >= 0) {
      left -= bytes.length;
      if (left <= 0) finish();
      return;
    }
    tail = (tail + bytes.toString('latin1', Math.max(0, bytes.length - 7))).slice(-7);
    if (tail === '\r\n0\r\n\r\n') finish();
  };
  return (bytes: Buffer): void => {
    if (inBody) {
      take(bytes);
      return;
    }
    head += bytes.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    inBody = true;
    ok = head.startsWith('HTTP/1.1 200');
    const length = /\r\ncontent-length: (\d+)/i.exec(head);
    left = length ? Number(length[1]) : -1;
    take(bytes.subarray(bytes.length - (head.length - end - 4)));
  };
};

const OPENED_AT_ONCE = 64;
const OPEN_PAUSE_MS = 20;
const TIME = ' t=';

/** When the upstream wrote each of the chunks in these bytes. Chunks cut in two are left out. */
const noteChunks = (bytes: Buffer, samples: Samples): void => {
  const text = bytes.toString('latin1');
  const now = machineMs();
  for (let at = text.indexOf(TIME); at >= 0; at = text.indexOf(TIME, at + 19)) {
    const written = Number(text.slice(at + 3, at + 19));
    if (at + 19 <= text.length) samples.chunk.push(now - written);
  }
};

const remove = (from: Line[], line: Line): void => {
  const at = from.indexOf(line);
  if (at >= 0) from.splice(at, 1);
};

const run = (job: LoadJob): Promise<LoadResult> => {
  const request = requestOf(job);
  const { hostname, port } = new URL(job.url);
  const samples: Samples = {
    latency: [],
    ttft: [],
    chunk: [],
    within: 0,
    answered: 0,
    failed: 0,
    bodyBytes: 0,
  };
  const startedMs = machineMs();
  const endMs = startedMs + job.forMs;
  const due: number[] = [];
  const free: Line[] = [];
  const lines: Line[] = [];
  const { promise, resolve } = Promise.withResolvers<LoadResult>();
  let timer: NodeJS.Timeout | undefined;

  const finishWhenIdle = (): void => {
    if (machineMs() < endMs || due.length > 0 || lines.some((line) => line.busy)) return;
    clearTimeout(timer);
    for (const line of lines) line.socket.destroy();
    resolve(resultOf(samples, job.forMs));
  };
  /** @param sinceMs what the latency counts from: the moment it was sent, or, when no connection was free then, was due. */
  const send = (line: Line, sinceMs: number): void => {
    line.busy = true;
    line.dueMs = sinceMs;
    line.socket.write(request);
  };
  const open = (): void => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const line: Line = { socket, busy: false, dueMs: 0 };
    let first = true;
    const read = createAnswerReader({
      body: (bytes) => {
        if (first) samples.ttft.push(machineMs() - line.dueMs);
        first = false;
        if (job.kind === 'stream') noteChunks(bytes, samples);
      },
      end: (ok, bodyBytes) => {
        const now = machineMs();
        samples.latency.push(now - line.dueMs);
        samples.bodyBytes = bodyBytes;
        if (ok) samples.answered += 1;
        else samples.failed += 1;
        if (now <= endMs) samples.within += 1;
        line.busy = false;
        first = true;
        const waiting = due.shift();
        if (waiting !== undefined) send(line, waiting);
        else if (job.rate === undefined && now < endMs) send(line, now);
        else free.push(line);
        finishWhenIdle();
      },
    });
    socket.on('data', read);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (line.busy) samples.failed += 1;
      line.busy = false;
      remove(free, line);
      remove(lines, line);
      if (lines.length === 0) samples.failed += due.splice(0).length;
      finishWhenIdle();
    });
    lines.push(line);
    free.push(line);
    if (job.rate === undefined) {
      free.pop();
      send(line, machineMs());
    }
  };
  /** Some at a time: more than a server's backlog at once would wait for the kernel's second try. */
  const openSome = (): void => {
    const wanted = Math.min(job.connections, lines.length + OPENED_AT_ONCE);
    while (lines.length < wanted) open();
    if (lines.length < job.connections) setTimeout(openSome, OPEN_PAUSE_MS);
  };
  openSome();

  let sent = 0;
  const pace = (): void => {
    const now = machineMs();
    if (job.rate !== undefined && now < endMs) {
      const wanted = ((now - startedMs) * job.rate) / 1000;
      for (; sent < wanted; sent += 1) {
        const line = free.shift();
        if (line) send(line, machineMs());
        else due.push(now);
      }
    }
    finishWhenIdle();
    timer = setTimeout(pace, job.rate === undefined ? 50 : 1);
  };
  pace();
  return promise;
};

const resultOf = (samples: Samples, forMs: number): LoadResult => {
  const spread = (values: number[]): [number, number] => {
    const sorted = Float64Array.from(values).sort();
    return [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  };
  return {
    answered: samples.answered,
    perSecond: (samples.within * 1000) / forMs,
    failed: samples.failed,
    latencyMs: spread(samples.latency),
    ttftMs: spread(samples.ttft),
    chunkMs: spread(samples.chunk),
    bodyBytes: samples.bodyBytes,
  };
};

process.on('message', (job: LoadJob) => {
  void run(job).then((result) => {
    process.send?.(result);
  });
});
process.once('disconnect', () => process.exit(0));
