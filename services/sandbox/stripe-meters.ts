/** A refusal in Stripe's error shape. `code` is absent where the vendor sends none. */
export class StripeRefusal extends Error {
  override readonly name = 'StripeRefusal';
  readonly status: number;
  readonly code: string | undefined;
  readonly param: string | undefined;
  constructor(status: number, message: string, rest: { code?: string; param?: string } = {}) {
    super(message);
    this.status = status;
    this.code = rest.code;
    this.param = rest.param;
  }
}

export interface Meter {
  readonly id: string;
  readonly eventName: string;
  readonly createdAtMs: number;
}

export interface MeterEvent {
  readonly eventName: string;
  readonly identifier: string;
  readonly customer: string;
  readonly value: bigint;
  readonly timestampS: number;
}

export interface SummaryQuery {
  readonly meterId: string;
  readonly customer: string;
  /** Seconds, minute aligned; start inclusive, end exclusive. */
  readonly startS: number;
  readonly endS: number;
  /** Seconds of one window; the whole range where undefined. */
  readonly windowS: number | undefined;
}

export interface Summary {
  readonly startS: number;
  readonly endS: number;
  readonly total: bigint;
}

export interface StripeState {
  accepted: number;
  duplicates: number;
  /** Accepted, not yet in any summary. */
  pending: number;
  /** Accepted and lost behind the door, by the vendor's error code. */
  async_errors: Record<string, number>;
}

interface PendingEvent {
  readonly visibleAtMs: number;
  readonly event: MeterEvent;
  readonly meterId: string;
}

const MINUTE_S = 60;
const DAY_MS = 86_400_000;
const OLDEST_MS = 35 * DAY_MS;
const NEWEST_MS = 5 * 60_000;
const IDENTIFIER_WINDOW_MS = DAY_MS;
const MAX_REMEMBERED = 1_000_000;
const MAX_METERS = 1_000;

/**
 * Stripe's billing meters as far as a biller meets them: identifiers unique for 24 hours, events accepted first and judged later,
 * totals that appear after a delay. Time comes in as an argument.
 */
export class StripeMeters {
  delayMs = 150;
  /** Null: every id that begins with cus_ is a customer. */
  customers: ReadonlySet<string> | null = null;
  readonly #meters = new Map<string, Meter>();
  readonly #seen = new Map<string, number>();
  /** Minute totals by meter and customer. */
  #totals = new Map<string, Map<number, bigint>>();
  #pending: PendingEvent[] = [];
  #state: StripeState = { accepted: 0, duplicates: 0, pending: 0, async_errors: {} };

  /** The meter of that event name, created where there is none. Throws StripeRefusal when there are too many. */
  addMeter(eventName: string, nowMs: number): Meter {
    const known = this.#meters.get(eventName);
    if (known !== undefined) return known;
    if (this.#meters.size >= MAX_METERS) {
      throw new StripeRefusal(400, `The sandbox keeps at most ${MAX_METERS} meters.`);
    }
    const id = `mtr_sandbox_${this.#meters.size + 1}`;
    const meter = { id, eventName, createdAtMs: nowMs };
    this.#meters.set(eventName, meter);
    return meter;
  }

  meters(): Meter[] {
    return [...this.#meters.values()];
  }

  meterById(id: string): Meter {
    const meter = this.meters().find((candidate) => candidate.id === id);
    if (meter === undefined) {
      throw new StripeRefusal(404, `No such billing meter: '${id}'`, {
        code: 'resource_missing',
        param: 'id',
      });
    }
    return meter;
  }

  /** Takes an event in. Throws StripeRefusal for a repeated identifier or a timestamp outside 35 days back and 5 minutes ahead. */
  accept(event: MeterEvent, nowMs: number): void {
    const atMs = event.timestampS * 1000;
    if (atMs < nowMs - OLDEST_MS) {
      throw new StripeRefusal(400, 'The timestamp must be within the past 35 calendar days.', {
        code: 'timestamp_too_far_in_past',
        param: 'timestamp',
      });
    }
    if (atMs > nowMs + NEWEST_MS) {
      throw new StripeRefusal(400, 'The timestamp must not be over 5 minutes in the future.', {
        code: 'timestamp_in_future',
        param: 'timestamp',
      });
    }
    this.#remember(event.identifier, nowMs);
    this.#state.accepted += 1;
    const meter = this.#meters.get(event.eventName);
    const isCustomer = this.customers?.has(event.customer) ?? event.customer.startsWith('cus_');
    if (meter === undefined) this.#fail('no_meter');
    else if (!isCustomer) this.#fail('meter_event_customer_not_found');
    else this.#pending.push({ visibleAtMs: nowMs + this.delayMs, event, meterId: meter.id });
  }

  /** Windows that hold events, newest first. Throws StripeRefusal for unaligned times and unknown meters. */
  summaries(query: SummaryQuery, nowMs: number): Summary[] {
    const meter = this.meterById(query.meterId);
    const grain = query.windowS ?? MINUTE_S;
    if (query.startS % grain !== 0 || query.endS % grain !== 0 || query.endS <= query.startS) {
      throw new StripeRefusal(
        400,
        `start_time and end_time must be aligned with boundaries of ${grain} seconds, start before end.`,
        { param: 'start_time' },
      );
    }
    this.#settle(nowMs);
    const windows = new Map<number, bigint>();
    for (const [minute, value] of this.#totals.get(`${meter.id} ${query.customer}`) ?? []) {
      if (minute < query.startS || minute >= query.endS) continue;
      const start = query.windowS === undefined ? query.startS : Math.floor(minute / grain) * grain;
      windows.set(start, (windows.get(start) ?? 0n) + value);
    }
    return [...windows]
      .sort(([a], [b]) => b - a)
      .map(([startS, total]) => ({
        startS,
        endS: query.windowS === undefined ? query.endS : startS + query.windowS,
        total,
      }));
  }

  state(nowMs: number): StripeState {
    this.#settle(nowMs);
    return { ...this.#state, pending: this.#pending.length };
  }

  /** Forgets events and identifiers; keeps meters and settings. */
  reset(): void {
    this.#seen.clear();
    this.#totals = new Map();
    this.#pending = [];
    this.#state = { accepted: 0, duplicates: 0, pending: 0, async_errors: {} };
  }

  #remember(identifier: string, nowMs: number): void {
    for (const [oldest, atMs] of this.#seen) {
      if (this.#seen.size < MAX_REMEMBERED && atMs > nowMs - IDENTIFIER_WINDOW_MS) break;
      this.#seen.delete(oldest);
    }
    if (this.#seen.has(identifier)) {
      this.#state.duplicates += 1;
      // Seen in the field: no `code` comes with this one, only the message tells it.
      throw new StripeRefusal(400, `An event already exists with identifier ${identifier}.`);
    }
    this.#seen.set(identifier, nowMs);
  }

  #fail(code: string): void {
    this.#state.async_errors[code] = (this.#state.async_errors[code] ?? 0) + 1;
  }

  #settle(nowMs: number): void {
    const later: PendingEvent[] = [];
    for (const waiting of this.#pending) {
      if (waiting.visibleAtMs > nowMs) {
        later.push(waiting);
        continue;
      }
      const key = `${waiting.meterId} ${waiting.event.customer}`;
      const minutes = this.#totals.get(key) ?? new Map<number, bigint>();
      this.#totals.set(key, minutes);
      const minute = Math.floor(waiting.event.timestampS / MINUTE_S) * MINUTE_S;
      minutes.set(minute, (minutes.get(minute) ?? 0n) + waiting.event.value);
    }
    this.#pending = later;
  }
}
