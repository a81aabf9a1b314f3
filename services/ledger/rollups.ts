import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { Bucket } from './core/fact.ts';
import { insertUntilKnown } from './ingest.ts';
import { recomputeStatement } from './rollup-sql.ts';

export interface RollupStatus {
  /** Buckets whose sums are older than the ledger. */
  dirtyBuckets: number;
  /** Every ledger row up to this insert is in the rollups. */
  coveredSequence: number;
  lastPassMs: number | null;
  failures: number;
}

/** Keeps `rollup_hourly` equal to the ledger. */
export interface Rollups {
  /** Says that rows of these buckets are in the ledger up to `sequence`. A pass follows soon. */
  touch(buckets: readonly Bucket[], sequence: number): void;
  /** Resolves when everything touched so far is in the rollups and the watermark says so. */
  flush(): Promise<void>;
  status(): RollupStatus;
  close(): Promise<void>;
}

const NAME = 'hourly';
const BUCKETS_PER_STATEMENT = 200;
/** From the first touch to the pass. */
const COALESCE_MS = 50;
/** A pass over large buckets is followed by four times its own length of rest: at most a fifth of one core. */
const REST_FACTOR = 4;
const REST_LIMIT_MS = 5_000;
const RETRY_MS = 1_000;
/** The watermark only saves work after a restart, so it need not follow every pass. */
const WATERMARK_EVERY_MS = 5_000;

const readDirty = async (
  warehouse: Warehouse,
): Promise<{ watermark: number; buckets: Bucket[] }> => {
  const [row] = await warehouse.query<{ covered: string }>(
    `SELECT max(ingest_sequence) AS covered FROM rollup_watermark WHERE name = '${NAME}'`,
  );
  const watermark = Number(row?.covered ?? 0);
  const buckets = await warehouse.query<Bucket>(
    `SELECT DISTINCT tenant, toDateTime64(toStartOfHour(event_ts), 3, 'UTC') AS hour
     FROM ledger_entries WHERE ingest_sequence > ${watermark}`,
  );
  return { watermark, buckets };
};

class HourlyRollups implements Rollups {
  readonly #deps: { warehouse: Warehouse; clock: Clock; logger: Logger };
  readonly #dirty = new Map<string, Bucket>();
  #touched: number;
  #covered: number;
  #watermark: number;
  #watermarkAtMs = 0;
  #lastPassMs: number | null = null;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #pass: Promise<void> | undefined;
  #closed = false;

  constructor(
    deps: { warehouse: Warehouse; clock: Clock; logger: Logger },
    start: { watermark: number; ledgerSequence: number; buckets: readonly Bucket[] },
  ) {
    this.#deps = deps;
    this.#covered = start.watermark;
    this.#watermark = start.watermark;
    this.#touched = start.ledgerSequence;
    this.touch(start.buckets, start.ledgerSequence);
  }

  touch(buckets: readonly Bucket[], sequence: number): void {
    for (const bucket of buckets) this.#dirty.set(`${bucket.tenant}/${bucket.hour}`, bucket);
    this.#touched = Math.max(this.#touched, sequence);
    if (this.#dirty.size > 0) this.#schedule(COALESCE_MS);
  }

  async flush(): Promise<void> {
    while (this.#pass || this.#dirty.size > 0) await (this.#pass ?? this.#run());
    await this.#saveWatermark();
  }

  status(): RollupStatus {
    return {
      dirtyBuckets: this.#dirty.size,
      coveredSequence: this.#covered,
      lastPassMs: this.#lastPassMs,
      failures: this.#failures,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#pass?.catch(() => undefined);
    // What cannot be summed up now is dirty at the next start: the ledger is past the watermark.
    await this.flush().catch(() => undefined);
  }

  #schedule(delayMs: number): void {
    if (this.#closed || this.#timer || this.#pass) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#run().catch(() => undefined);
    }, delayMs);
  }

  /** One pass at a time; what is touched meanwhile waits for the next. */
  #run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const startedMs = this.#deps.clock.monotonicMs();
    let nextMs = RETRY_MS;
    this.#pass = this.#recompute()
      .then(() => {
        const tookMs = this.#deps.clock.monotonicMs() - startedMs;
        this.#lastPassMs = tookMs;
        nextMs = Math.min(REST_LIMIT_MS, Math.max(COALESCE_MS, tookMs * REST_FACTOR));
      })
      .finally(() => {
        this.#pass = undefined;
        if (this.#dirty.size > 0) this.#schedule(nextMs);
      });
    return this.#pass;
  }

  async #recompute(): Promise<void> {
    const taken = [...this.#dirty.values()];
    const generation = this.#touched;
    this.#dirty.clear();
    try {
      for (let from = 0; from < taken.length; from += BUCKETS_PER_STATEMENT) {
        const some = taken.slice(from, from + BUCKETS_PER_STATEMENT);
        await this.#deps.warehouse.command(recomputeStatement(some, generation));
      }
    } catch (error) {
      for (const bucket of taken) this.#dirty.set(`${bucket.tenant}/${bucket.hour}`, bucket);
      this.#failures += 1;
      this.#deps.logger.error(
        { code: (error as { code?: string }).code },
        'rollup pass failed; it will be repeated',
      );
      throw error;
    }
    this.#covered = generation;
    const now = this.#deps.clock.monotonicMs();
    if (now - this.#watermarkAtMs > WATERMARK_EVERY_MS) await this.#saveWatermark();
  }

  async #saveWatermark(): Promise<void> {
    if (this.#covered <= this.#watermark) return;
    const covered = this.#covered;
    await insertUntilKnown(this.#deps.warehouse, {
      table: 'rollup_watermark',
      columns: ['name', 'ingest_sequence', 'advanced_at'],
      rows: [[NAME, covered, toInstant(this.#deps.clock.nowMs())]],
      token: `watermark:${NAME}:${covered}`,
    });
    this.#watermark = covered;
    this.#watermarkAtMs = this.#deps.clock.monotonicMs();
  }
}

/**
 * Starts the rollups where they stood: buckets with ledger rows past the stored watermark are dirty, whatever happened to the
 * process that wrote them.
 * @param ledgerSequence the last insert into the ledger.
 */
export const openRollups = async (
  deps: { warehouse: Warehouse; clock: Clock; logger: Logger },
  ledgerSequence: number,
): Promise<Rollups> => {
  const start = await readDirty(deps.warehouse);
  return new HourlyRollups(deps, { ...start, ledgerSequence });
};
