import type { PriceBooks } from '../../pricing/price-books.ts';
import { rateUsage } from '../../pricing/rate-usage.ts';
import type { RerateReport } from '../../services/rater/rerate-tally.ts';
import type { BenchRow } from './bench-row.ts';
import type { BenchHouse } from './rerate-house.ts';
import { BENCH_MODELS, benchEvents, openBenchHouse, withCorrection } from './rerate-house.ts';

const EVENTS = 60_000;
const EVENTS_PER_SECOND_MIN = 30_000;

interface Case {
  name: string;
  books: string;
  apply: boolean;
  /** Events that are priced otherwise; the run is checked to have found them. */
  changed: number;
}

const CASES: readonly Case[] = [
  { name: 'same books, nothing changes', books: 'live', apply: true, changed: 0 },
  { name: 'dry run, every event changes', books: 'all', apply: false, changed: EVENTS },
  {
    name: 'applied, one model of twenty changes',
    books: 'one',
    apply: true,
    changed: EVENTS / BENCH_MODELS.length,
  },
  { name: 'applied, every event changes', books: 'all', apply: true, changed: EVENTS },
];

const mustBePriced = (books: PriceBooks): void => {
  for (const event of benchEvents(BENCH_MODELS.length)) {
    const rated = rateUsage(event, books, { knownAt: books.newestKnownFrom });
    if (rated.outcome === 'unrated') throw new Error(rated.unrated_detail ?? 'unrated');
  }
};

const measure = async (
  house: BenchHouse,
  folder: ReadonlyMap<string, PriceBooks>,
  { name, books, apply, changed }: Case,
): Promise<BenchRow[]> => {
  const started = performance.now();
  const cpu = process.cpuUsage();
  let report: RerateReport | undefined;
  for await (const step of house.rerater(folder).run({ slice: {}, books, apply })) {
    if (step.step === 'report') report = step.report;
  }
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  if (report?.events_read !== EVENTS || report.changed !== changed) {
    throw new Error(
      `${name}: ${report?.events_read} events read and ${report?.changed} changed; expected ${EVENTS} and ${changed}.`,
    );
  }
  const what = `re-rate 60,000: ${name}`;
  const perSecond = Math.round(EVENTS / seconds);
  return [
    {
      case: what,
      metric: 'throughput by the clock',
      value: perSecond,
      unit: 'events/s',
      aim: `>= ${EVENTS_PER_SECOND_MIN}`,
      holds: perSecond >= EVENTS_PER_SECOND_MIN,
    },
    {
      case: what,
      metric: 'processor, all threads',
      value: Math.round((user + system) / EVENTS),
      unit: 'us/event',
    },
  ];
};

/**
 * Re-rating end to end on the embedded default: archive and ledger in chDB on disk, entries through the LMDB log into the ledger and
 * its rollups, the budget folding beside it. What is applied counts until ledger and rollups have it.
 */
export const measureRerate = async (books: PriceBooks): Promise<BenchRow[]> => {
  mustBePriced(books);
  const folder = new Map([
    ['live', books],
    [
      'one',
      withCorrection(books, {
        knownFrom: '2026-12-01T00:00:00.000Z',
        factor: '2',
        models: BENCH_MODELS.slice(0, 1),
      }),
    ],
    [
      'all',
      withCorrection(books, {
        knownFrom: '2026-12-02T00:00:00.000Z',
        factor: '3',
        models: BENCH_MODELS,
      }),
    ],
  ]);
  const house = await openBenchHouse(books);
  try {
    await house.publish(benchEvents(EVENTS));
    const rows: BenchRow[] = [];
    for (const one of CASES) rows.push(...(await measure(house, folder, one)));
    return rows;
  } finally {
    await house.close();
  }
};
