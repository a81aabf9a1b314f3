import { loadavg } from 'node:os';
import type { Bench, BenchRow } from './bench-row.ts';
import type { BenchHouse, ProxyId } from './proxy/house.ts';
import { createBenchHouse, PROXIES } from './proxy/house.ts';
import type { LoadJob, LoadResult } from './proxy/load-job.ts';
import type { LoadGenerator, Served } from './proxy/processes.ts';
import {
  processorSeconds,
  residentMib,
  startLoadGenerator,
  startServed,
} from './proxy/processes.ts';
import { median, pairedMedian, rounded } from './proxy/statistics.ts';

const CONNECTIONS = 32;
const ROUNDS = 5;
const STREAM_ROUNDS = 3;
const SECONDS = 120;
const SECONDS_MIN = 20;
/** Share of the whole time that one case gets in one round of each measurement; the rest is starting, warming up and memory. */
const SLICE = { warmUp: 0.02, throughput: 0.012, latency: 0.012, streams: 0.01 };
const STREAM_CHUNK_MS = 10;
const HELD_STREAMS = 2_000;
const HELD = { chunks: 20, chunkMs: 500 };

const CASES = ['direct', 'bare', 'disk', 'office', 'process'] as const;
type Case = (typeof CASES)[number];
const NAMES: Record<Case, string> = {
  direct: 'direct',
  bare: 'bare node:http + undici',
  disk: 'Reckoner, disk, back office halted',
  office: 'Reckoner, disk, back office running',
  process: 'Reckoner, process, back office halted',
};
const OURS = ['disk', 'office', 'process'] as const satisfies readonly Case[];
const ADDED_MAX_MS: Record<ProxyId, readonly [number, number]> = {
  disk: [0.8, 3],
  office: [0.8, 3],
  process: [0.3, 1.5],
};
const SHARE_MIN = 70;
const HELD_MIB_MAX = 400;

/** Everything that runs. */
interface Rig {
  house: BenchHouse;
  load: LoadGenerator;
  served: Record<Case, Served>;
  backOffice: Served;
  /** Calls made through each proxy, as the load generator counts them. */
  calls: Record<Case, number>;
  failed: Record<Case, number>;
}

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

const startRig = async (stops: (() => Promise<void> | void)[]): Promise<Rig> => {
  const keep = (served: Served): Served => {
    stops.push(served.stop);
    return served;
  };
  const upstream = keep(await startServed('./upstream-process.ts'));
  const house = createBenchHouse(upstream.url);
  stops.unshift(house.remove);
  const load = startLoadGenerator();
  stops.push(load.stop);
  const backOffice = keep(await house.startBackOffice());
  const served: Record<Case, Served> = {
    direct: upstream,
    bare: keep(await startServed('./bare-process.ts', [upstream.url])),
    disk: keep(await house.startProxy('disk')),
    office: keep(await house.startProxy('office')),
    process: keep(await house.startProxy('process')),
  };
  const none = (): Record<Case, number> => ({
    direct: 0,
    bare: 0,
    disk: 0,
    office: 0,
    process: 0,
  });
  return { house, load, served, backOffice, calls: none(), failed: none() };
};

/** What a job measured, and the processor time the process under test took for each call, all its threads. */
interface Measured extends LoadResult {
  processorUs: number;
}

/** Runs a job on one case. The back office runs only beside the case that is about it. */
const measure = async (
  rig: Rig,
  what: Case,
  job: Pick<LoadJob, 'forMs' | 'kind'> & Partial<LoadJob>,
): Promise<Measured> => {
  const path = what === 'direct' || what === 'bare' ? '' : '/openai';
  rig.backOffice.signal(what === 'office' ? 'SIGCONT' : 'SIGSTOP');
  const { url, pid } = rig.served[what];
  const before = processorSeconds(pid);
  const result = await rig.load.run({
    connections: CONNECTIONS,
    key: rig.house.key,
    ...job,
    url: `${url}${path}/v1/chat/completions`,
  });
  const calls = result.answered + result.failed;
  rig.calls[what] += calls;
  rig.failed[what] += result.failed;
  return { ...result, processorUs: ((processorSeconds(pid) - before) * 1e6) / calls };
};

type Results = Record<Case, Measured[]>;

/** Every case in every round, in an order that turns, so that no case always comes after the same one. */
const measureRounds = async (
  rig: Rig,
  rounds: number,
  job: Parameters<typeof measure>[2],
): Promise<Results> => {
  const results: Results = { direct: [], bare: [], disk: [], office: [], process: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < CASES.length; turn += 1) {
      const what = CASES[(turn + round) % CASES.length] ?? 'direct';
      results[what].push(await measure(rig, what, job));
    }
    say(
      `  round ${round + 1} of ${rounds}: ${CASES.map((what) => `${what} ${results[what].at(-1)?.answered ?? 0}`).join(', ')} calls`,
    );
  }
  return results;
};

const figuresOf = (results: Results, what: Case, of: (result: Measured) => number): number[] =>
  results[what].map(of);

const throughputRows = (results: Results, kind: string, unit: string): BenchRow[] => {
  const of = (what: Case): number[] => figuresOf(results, what, (result) => result.perSecond);
  const rows: BenchRow[] = CASES.map((what) => ({
    case: `${kind}, ${NAMES[what]}`,
    metric: 'throughput',
    value: rounded(median(of(what)), 0),
    unit,
  }));
  for (const what of ['bare', ...OURS] as const) {
    rows.push({
      case: `${kind}, ${NAMES[what]}`,
      metric: 'processor per call',
      value: rounded(median(figuresOf(results, what, (result) => result.processorUs)), 0),
      unit: 'µs',
    });
  }
  for (const what of OURS) {
    const share = pairedMedian(of(what), of('bare'), (our, bare) => (100 * our) / bare);
    rows.push({
      case: `${kind}, ${NAMES[what]}`,
      metric: 'share of bare',
      value: rounded(share, 1),
      unit: '%',
      aim: `>= ${SHARE_MIN} %`,
      holds: share >= SHARE_MIN,
    });
  }
  return rows;
};

/** What a case adds to direct, round by round. */
const added = (results: Results, what: Case, of: (result: Measured) => number): number =>
  pairedMedian(
    figuresOf(results, what, of),
    figuresOf(results, 'direct', of),
    (our, direct) => our - direct,
  );

const latencyRows = (results: Results, rate: number): BenchRow[] => {
  const kind = `JSON at ${rate}/s`;
  const rows: BenchRow[] = (['p50', 'p99'] as const).map((name, index) => ({
    case: `${kind}, ${NAMES.direct}`,
    metric: `latency ${name}`,
    value: rounded(median(figuresOf(results, 'direct', (r) => r.latencyMs[index] ?? 0)), 2),
    unit: 'ms',
  }));
  for (const what of ['bare', ...OURS] as const) {
    for (const [index, name] of ['p50', 'p99'].entries()) {
      const value = added(results, what, (result) => result.latencyMs[index] ?? Number.NaN);
      const most = what === 'bare' ? undefined : ADDED_MAX_MS[what][index];
      rows.push({
        case: `${kind}, ${NAMES[what]}`,
        metric: `added ${name}`,
        value: rounded(value, 2),
        unit: 'ms',
        ...(most === undefined ? {} : { aim: `<= ${most} ms`, holds: value <= most }),
      });
    }
  }
  return rows;
};

const streamRows = (results: Results): BenchRow[] =>
  (['bare', ...OURS] as const).flatMap((what) =>
    (
      [
        ['added TTFT p50', (r: Measured) => r.ttftMs[0]],
        ['added TTFT p99', (r: Measured) => r.ttftMs[1]],
        ['added chunk delay p50', (r: Measured) => r.chunkMs[0]],
        ['added chunk delay p99', (r: Measured) => r.chunkMs[1]],
      ] as const
    ).map(([metric, of]) => ({
      case: `${CONNECTIONS} paced streams, ${NAMES[what]}`,
      metric,
      value: rounded(added(results, what, of), 2),
      unit: 'ms',
    })),
  );

/** The most a process holds in memory while so many streams are open. */
const memoryRows = async (rig: Rig): Promise<BenchRow[]> => {
  const rows: BenchRow[] = [];
  for (const what of ['bare', 'disk'] as const) {
    const { pid } = rig.served[what];
    const before = residentMib(pid);
    const peak = { ...before };
    const watch = setInterval(() => {
      const now = residentMib(pid);
      peak.all = Math.max(peak.all, now.all);
      peak.anonymous = Math.max(peak.anonymous, now.anonymous);
    }, 100);
    try {
      await measure(rig, what, {
        kind: 'stream',
        connections: HELD_STREAMS,
        forMs: 5_000,
        ...HELD,
      });
    } finally {
      clearInterval(watch);
    }
    const of = `${HELD_STREAMS} open streams, ${NAMES[what]}`;
    const row = (metric: string, value: number): BenchRow => ({
      case: of,
      metric,
      value: Math.round(value),
      unit: 'MiB',
    });
    const all = row('RSS', peak.all);
    rows.push(
      what === 'bare'
        ? all
        : { ...all, aim: `<= ${HELD_MIB_MAX} MB`, holds: peak.all <= HELD_MIB_MAX },
      row('RSS before', before.all),
      row('of it anonymous', peak.anonymous),
    );
  }
  return rows;
};

/** Stops the proxies and compares their logs with what was sent. */
const lossRows = async (rig: Rig): Promise<BenchRow[]> => {
  const rows: BenchRow[] = [];
  for (const id of Object.keys(PROXIES) as ProxyId[]) {
    await rig.served[id].stop();
    const { events, distinct } = await rig.house.countEvents(id);
    const calls = rig.calls[id];
    say(`  ${id}: ${calls} calls, ${events} events, ${distinct} ids, ${rig.failed[id]} failed`);
    rows.push({
      case: `${calls} calls, ${NAMES[id]}`,
      metric: 'events lost',
      value: calls - distinct,
      unit: 'events',
      aim: '= 0, none twice, none failed',
      holds: calls === distinct && events === distinct && rig.failed[id] === 0,
    });
  }
  return rows;
};

const measureAll = async (rig: Rig, seconds: number): Promise<BenchRow[]> => {
  const slice = (share: number): number => Math.round(share * seconds * 1000);
  say('warming up');
  for (const what of CASES) {
    await measure(rig, what, { kind: 'json', forMs: slice(SLICE.warmUp) });
    await measure(rig, what, { kind: 'stream', forMs: slice(SLICE.warmUp / 2) });
  }
  say('throughput, JSON');
  const full = await measureRounds(rig, ROUNDS, { kind: 'json', forMs: slice(SLICE.throughput) });
  const rate = Math.round(median(full.disk.map((result) => result.perSecond)) / 2);
  say(`latency at ${rate}/s`);
  const half = await measureRounds(rig, ROUNDS, {
    kind: 'json',
    forMs: slice(SLICE.latency),
    rate,
  });
  say('throughput, streams as fast as they go');
  const fast = await measureRounds(rig, STREAM_ROUNDS, {
    kind: 'stream',
    forMs: slice(SLICE.streams),
  });
  say('paced streams');
  const paced = await measureRounds(rig, STREAM_ROUNDS, {
    kind: 'stream',
    forMs: slice(SLICE.streams),
    chunkMs: STREAM_CHUNK_MS,
  });
  if (!rig.backOffice.running()) throw new Error('the back office has ended during the benchmark');
  // Not halted for longer than a flush of its may take: it would rightly take that for a broken disk.
  await rig.backOffice.stop();
  say(`memory with ${HELD_STREAMS} streams`);
  const memory = await memoryRows(rig);
  say('counting events');
  const loss = await lossRows(rig);
  return [
    ...throughputRows(full, 'JSON', 'req/s'),
    ...latencyRows(half, rate),
    ...throughputRows(fast, 'stream of 200 chunks', 'streams/s'),
    ...streamRows(paced),
    ...memory,
    ...loss,
  ];
};

/**
 * The proxy's hot path: a 600-byte JSON reply on 32 connections, then streams of 200 chunks. Load generator, upstream and every
 * proxy are processes of their own on the same cores; the cases take turns, and what is compared is compared round by round.
 */
export const proxy: Bench = async ({ seconds = SECONDS } = {}) => {
  if (!(seconds >= SECONDS_MIN)) {
    throw new Error(`--seconds must be at least ${SECONDS_MIN}: in less nothing gets warm.`);
  }
  const stops: (() => Promise<void> | void)[] = [];
  const loadRow = (when: string): BenchRow => ({
    case: 'the machine',
    metric: `load average ${when}`,
    value: rounded(loadavg()[0] ?? Number.NaN, 2),
    unit: '',
  });
  try {
    const before = loadRow('before');
    const rows = await measureAll(await startRig(stops), seconds);
    return [before, ...rows, loadRow('after')];
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
};
