import type { Counts } from './directive.ts';
import { usdOfPico } from './exact-usd.ts';
import { METERS, type Meter, PROVIDERS, type Provider, picoAmount } from './price-list.ts';

/** `cut`: we broke off; `client_left`: the caller did, we went on to the end; `refused`: nothing was generated. */
export type Ended = 'complete' | 'cut' | 'client_left' | 'refused';

/** What the provider noted about one attempt. */
export interface Attempt {
  readonly provider: Provider;
  readonly requestId: string;
  /** When the request arrived; decides the day of the statement. */
  readonly atMs: number;
  /** As replied; of a refused attempt as requested, null where the request named none. */
  readonly model: string | null;
  readonly status: number;
  readonly ended: Ended;
  /** Tokens generated and read, counted where that happened. Null: not billed. */
  readonly counts: Counts | null;
}

export interface BillItem {
  provider: Provider;
  provider_request_id: string;
  at: string;
  model: string | null;
  status: number;
  billed: boolean;
  ended: Ended;
  /** Tokens; meters without any are left out. */
  quantities: Partial<Record<Meter, number>>;
  amounts: Partial<Record<Meter, string>>;
  total_usd: string;
}

export interface BillTotals {
  attempts: number;
  billed_attempts: number;
  /** Attempts still being generated: not on the bill yet. */
  in_flight: number;
  /** Model lists and token counts: free. */
  not_metered_calls: number;
  /** Attempts that are in every total but no longer in `items`, oldest first. */
  items_dropped: number;
  total_usd: string;
  total_usd_by_provider: Record<Provider, string>;
}

export interface Bill extends BillTotals {
  items: BillItem[];
}

/** Sum of one UTC day, model and meter: the grain of both vendors' cost exports. */
export interface DayLine {
  readonly provider: Provider;
  /** Milliseconds since the epoch of the day's first moment, UTC. */
  readonly dayStartMs: number;
  readonly model: string;
  readonly quantities: Record<Meter, number>;
}

const DAY_MS = 86_400_000;
/** At some 200 bytes an attempt: a hundred megabytes at most. Totals go on beyond it. */
const MAX_ITEMS = 500_000;

export const itemOf = (attempt: Attempt): BillItem => {
  const item: BillItem = {
    provider: attempt.provider,
    provider_request_id: attempt.requestId,
    at: new Date(attempt.atMs).toISOString(),
    model: attempt.model,
    status: attempt.status,
    billed: attempt.counts !== null,
    ended: attempt.ended,
    quantities: {},
    amounts: {},
    total_usd: '0',
  };
  const { provider, model } = attempt;
  if (attempt.counts === null || model === null) return item;
  let total = 0n;
  for (const meter of METERS) {
    const quantity = attempt.counts[meter];
    if (quantity === 0) continue;
    const amount = picoAmount({ provider, model }, meter, quantity);
    item.quantities[meter] = quantity;
    item.amounts[meter] = usdOfPico(amount);
    total += amount;
  }
  item.total_usd = usdOfPico(total);
  return item;
};

const linePico = (line: DayLine): bigint =>
  METERS.reduce(
    (sum, meter) =>
      line.quantities[meter] === 0 ? sum : sum + picoAmount(line, meter, line.quantities[meter]),
    0n,
  );

const emptyLine = (attempt: Attempt, model: string): DayLine => ({
  provider: attempt.provider,
  dayStartMs: Math.floor(attempt.atMs / DAY_MS) * DAY_MS,
  model,
  quantities: Object.fromEntries(METERS.map((meter) => [meter, 0])) as Record<Meter, number>,
});

/** The provider's own books: every attempt once, and running sums a day, model and meter that never forget. */
export class AccountBook {
  readonly #maxItems: number;
  #items: Attempt[] = [];
  #dropped = 0;
  #attempts = 0;
  #billed = 0;
  #notMetered = 0;
  #inFlight = 0;
  #lines = new Map<string, DayLine>();

  constructor(maxItems = MAX_ITEMS) {
    this.#maxItems = maxItems;
  }

  /** An attempt has begun; exactly one `close` must follow. */
  open(): void {
    this.#inFlight += 1;
  }

  close(attempt: Attempt): void {
    this.#inFlight -= 1;
    this.#attempts += 1;
    if (this.#items.length >= this.#maxItems) {
      const forget = Math.ceil(this.#maxItems / 10);
      this.#items = this.#items.slice(forget);
      this.#dropped += forget;
    }
    this.#items.push(attempt);
    if (attempt.counts === null || attempt.model === null) return;
    this.#billed += 1;
    const key = `${Math.floor(attempt.atMs / DAY_MS)} ${attempt.provider} ${attempt.model}`;
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = emptyLine(attempt, attempt.model);
      this.#lines.set(key, line);
    }
    for (const meter of METERS) line.quantities[meter] += attempt.counts[meter];
  }

  noteNotMetered(): void {
    this.#notMetered += 1;
  }

  /** Starts from zero; attempts under way will still be noted when they end. */
  reset(): void {
    this.#items = [];
    this.#dropped = 0;
    this.#attempts = 0;
    this.#billed = 0;
    this.#notMetered = 0;
    this.#lines = new Map();
  }

  attempts(): readonly Attempt[] {
    return this.#items;
  }

  /** Sorted by day, then model. */
  dayLines(provider: Provider): DayLine[] {
    return [...this.#lines.values()]
      .filter((line) => line.provider === provider)
      .sort((a, b) => a.dayStartMs - b.dayStartMs || (a.model < b.model ? -1 : 1));
  }

  totals(): BillTotals {
    const sums = PROVIDERS.map((provider): [Provider, bigint] => [
      provider,
      this.dayLines(provider).reduce((sum, line) => sum + linePico(line), 0n),
    ]);
    return {
      attempts: this.#attempts,
      billed_attempts: this.#billed,
      in_flight: this.#inFlight,
      not_metered_calls: this.#notMetered,
      items_dropped: this.#dropped,
      total_usd: usdOfPico(sums.reduce((sum, [, pico]) => sum + pico, 0n)),
      total_usd_by_provider: Object.fromEntries(
        sums.map(([provider, pico]) => [provider, usdOfPico(pico)]),
      ) as Record<Provider, string>,
    };
  }

  bill(): Bill {
    return { ...this.totals(), items: this.#items.map(itemOf) };
  }
}
