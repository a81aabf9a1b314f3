import { decodeEnvelope, encodeEnvelope } from '../../schemas/envelope.ts';
import type { Period } from '../../schemas/instant.ts';
import type { RatedUsage } from '../../schemas/rated-usage.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../platform/clock.ts';
import type { EventLog, LogEntry } from '../platform/event-log.ts';
import type { Logger } from '../platform/logger.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import { postedAs, postingPeriods } from './core/posting-period.ts';
import { envelopeOf } from './core/rate-batch.ts';
import { replacement } from './core/supersede.ts';
import { readSuperseded } from './standing-entries.ts';

export interface SupersessionDeps {
  backOffice: EventLog;
  /** Holds `ledger_entries`: what stands is what the ledger says. */
  warehouse: Warehouse;
  closedPeriods: () => ReadonlySet<Period>;
  /** Resolves when the ledger has all that has been appended before; rejects when that takes too long. */
  untilInLedger?: () => Promise<void>;
  clock: Clock;
  logger: Logger;
}

/** Charges that take the place of others, kept until what they replace is in the ledger. */
export interface Supersessions {
  /** The entry that keeps a rating of a superseding event, to be appended with its batch. */
  entryOf(later: RatedUsage): LogEntry;
  /** Settles it from now on; its record is in the log. */
  hold(later: RatedUsage): void;
  /** Takes up what an earlier run held. */
  start(): Promise<void>;
  waiting(): number;
  /** Does `work` between two rounds, so that what stands in the ledger is changed by one at a time. */
  between<T>(work: () => Promise<T>): Promise<T>;
  /** Rejects when a replacement cannot be written. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

interface Held {
  later: RatedUsage;
  sinceMs: number;
  /** Charged although what it replaces was not found in time; the reversal follows if that turns up. */
  charged: boolean;
}

const ROUND_MS = 200;
const ROUND_MAX_MS = 5_000;
const AT_ONCE = 200;
const HELD_MAX = 10_000;
/** Usage that is stated must be charged even where the fact it corrects never shows up. */
const HOLD_MAX_MS = 300_000;

/** The record of an entry. */
export const ratedEntry = (rated: RatedUsage): LogEntry => {
  const { key, outer } = envelopeOf(rated);
  return { topic: TOPICS.usageRated.name, key, value: encodeEnvelope('ratedUsage', outer, rated) };
};

const heldEntry = (later: RatedUsage): LogEntry => ({
  topic: TOPICS.supersessions.name,
  key: later.event_id,
  value: encodeEnvelope('ratedUsage', envelopeOf(later).outer, later),
});

const loadHeld = async (log: EventLog): Promise<RatedUsage[]> => {
  const held = new Map<string, RatedUsage>();
  const subscription = log.subscribe({
    topic: TOPICS.supersessions.name,
    onBatch: async ({ entries }) => {
      for (const { key, value } of entries) {
        const decoded = value === null ? null : decodeEnvelope('ratedUsage', value);
        if (decoded?.ok) held.set(key, decoded.value.data);
        else held.delete(key);
      }
    },
  });
  await Promise.race([subscription.caughtUp, subscription.ended]);
  await subscription.close();
  return [...held.values()];
};

class HeldCharges implements Supersessions {
  readonly ended: Promise<void>;
  readonly #deps: SupersessionDeps;
  readonly #held = new Map<string, Held>();
  readonly #end = Promise.withResolvers<void>();
  #waitMs = ROUND_MS;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #leftInLog = false;
  #closed = false;

  constructor(deps: SupersessionDeps) {
    this.#deps = deps;
    this.ended = this.#end.promise;
    this.ended.catch(() => undefined);
  }

  entryOf = heldEntry;

  hold(later: RatedUsage): void {
    if (this.#held.has(later.event_id)) return;
    if (this.#held.size >= HELD_MAX) {
      this.#leftInLog = true;
      return;
    }
    const sinceMs = this.#deps.clock.monotonicMs();
    this.#held.set(later.event_id, { later, sinceMs, charged: false });
    this.#waitMs = ROUND_MS;
    this.#arm();
  }

  async start(): Promise<void> {
    this.#leftInLog = false;
    for (const later of await loadHeld(this.#deps.backOffice)) this.hold(later);
  }

  waiting(): number {
    return this.#held.size;
  }

  between<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#round.then(work);
    this.#round = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#round;
    this.#end.resolve();
  }

  #arm(): void {
    if (this.#closed || this.#timer !== undefined || this.#held.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#round
        .then(() => this.#settleSome())
        .catch((error: unknown) => this.#end.reject(error))
        .finally(() => {
          this.#timer = undefined;
          this.#arm();
        });
    }, this.#waitMs);
  }

  /** One look at the ledger. Those that wait longest are looked at again after the others. */
  async #settleSome(): Promise<void> {
    const some = [...this.#held.values()].slice(0, AT_ONCE);
    const found = await this.#find(some.map(({ later }) => later));
    const postingPeriodOf = postingPeriods(this.#deps.closedPeriods());
    const entries: LogEntry[] = [];
    let settled = 0;
    for (const held of some) {
      const { later } = held;
      const superseded = found.get(later.supersedes ?? '');
      this.#held.delete(later.event_id);
      if (superseded) {
        settled += 1;
        entries.push(...replacement(superseded, later, postingPeriodOf).map(ratedEntry));
        entries.push({ topic: TOPICS.supersessions.name, key: later.event_id, value: null });
        continue;
      }
      this.#held.set(later.event_id, held);
      if (held.charged || this.#deps.clock.monotonicMs() - held.sinceMs < HOLD_MAX_MS) continue;
      held.charged = true;
      entries.push(ratedEntry(postedAs(later, postingPeriodOf)));
      this.#deps.logger.error(
        { event_id: later.event_id, supersedes: later.supersedes },
        'a fact supersedes another that the ledger does not have; it was charged by itself',
      );
    }
    this.#waitMs = settled > 0 ? ROUND_MS : Math.min(ROUND_MAX_MS, this.#waitMs * 2);
    if (entries.length === 0) return;
    const appended = this.#deps.backOffice.append(entries);
    await appended.stored;
    await appended.durable;
    if (this.#leftInLog && this.#held.size <= HELD_MAX / 2) await this.start();
  }

  /**
   * What stands may have been rated again a moment ago, or before a crash: a ledger that lags would name a charge that is already taken
   * back. One that lags too far, or a warehouse that does not answer, is asked again in the next round.
   */
  async #find(later: readonly RatedUsage[]): ReturnType<typeof readSuperseded> {
    try {
      await this.#deps.untilInLedger?.();
      return await readSuperseded(this.#deps.warehouse, later);
    } catch (error) {
      this.#deps.logger.warn({ error: (error as Error).name }, 'the ledger could not be looked at');
      return new Map();
    }
  }
}

/**
 * Replaces what a later fact supersedes: reversal and charge are one append. Until the ledger has the superseded entry the charge
 * waits, so in whatever order facts arrive the ledger comes to the same. A repeat writes the same entries again.
 */
export const createSupersessions = (deps: SupersessionDeps): Supersessions => new HeldCharges(deps);
