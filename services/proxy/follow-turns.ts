import { setTimeout as setTimeoutAsync } from 'node:timers/promises';
import type { Clock } from '../platform/clock.ts';
import { nextAskMs } from './core/follow-plan.ts';

/** When something is asked about again: from `baseMs`, doubling up to `maxMs`. */
export interface FollowPace {
  baseMs: number;
  maxMs: number;
}

/** Things to ask about again and again, each until it is done: at most `atOnce` at a time, each at its own pace. */
export interface Turns<Item> {
  /** Asked about for the first time after the pace's base. Known keys are left alone. */
  add(key: string, item: Item): void;
  has(key: string): boolean;
  /** Brings the next question about an item forward. */
  hasten(matches: (item: Item) => boolean): void;
  /**
   * Asks about items now.
   * @returns true when each has been asked about since; false when that takes longer than `maxMs`.
   */
  askNow(matches: (item: Item) => boolean, maxMs: number): Promise<boolean>;
  items(): Iterable<Item>;
  size(): number;
  /** Asks no more. Resolves when the questions under way have ended, or would not end in time. */
  close(): Promise<void>;
}

/** What a question writes is whole or not there, so a stop need not wait for a log that does not answer. */
const CLOSE_MAX_MS = 2_000;

interface Place<Item> {
  item: Item;
  tries: number;
  dueMs: number;
  asking: boolean;
  /** Who waits for a question that has not begun yet. */
  waiters: (() => void)[];
}

export interface TurnsOptions<Item> {
  clock: Clock;
  pace: FollowPace;
  atOnce: number;
  /** Resolves true when the item is done. A rejection counts as "ask again". */
  ask: (item: Item) => Promise<boolean>;
  onFailed: (error: unknown) => void;
}

class TurnsOfMany<Item> implements Turns<Item> {
  readonly #options: TurnsOptions<Item>;
  readonly #places = new Map<string, Place<Item>>();
  readonly #asking = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #armedMs = Number.POSITIVE_INFINITY;
  #closed = false;

  constructor(options: TurnsOptions<Item>) {
    this.#options = options;
  }

  add(key: string, item: Item): void {
    if (this.#places.has(key)) return;
    const place: Place<Item> = { item, tries: 0, dueMs: 0, asking: false, waiters: [] };
    this.#schedule(place);
    this.#places.set(key, place);
    this.#arm(place.dueMs);
  }

  has(key: string): boolean {
    return this.#places.has(key);
  }

  hasten(matches: (item: Item) => boolean): void {
    const { clock, pace } = this.#options;
    for (const place of this.#places.values()) {
      if (!matches(place.item)) continue;
      place.dueMs = Math.min(place.dueMs, clock.monotonicMs() + pace.baseMs);
      this.#arm(place.dueMs);
    }
  }

  async askNow(matches: (item: Item) => boolean, maxMs: number): Promise<boolean> {
    const asked: Promise<void>[] = [];
    for (const place of this.#places.values()) {
      if (!matches(place.item)) continue;
      place.dueMs = this.#options.clock.monotonicMs();
      asked.push(new Promise((resolve) => place.waiters.push(resolve)));
    }
    if (asked.length === 0) return true;
    this.#turn();
    const late = setTimeoutAsync(maxMs, false, { ref: false });
    return Promise.race([Promise.all(asked).then(() => true), late]);
  }

  *items(): Iterable<Item> {
    for (const { item } of this.#places.values()) yield item;
  }

  size(): number {
    return this.#places.size;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const patience = setTimeoutAsync(CLOSE_MAX_MS, undefined, { ref: false });
    await Promise.race([Promise.all(this.#asking), patience]);
  }

  #schedule(place: Place<Item>): void {
    const { clock, pace } = this.#options;
    place.dueMs = clock.monotonicMs() + nextAskMs(place.tries, pace, Math.random());
  }

  /** Makes sure of a turn at that time. */
  #arm(atMs: number): void {
    if (this.#closed || atMs >= this.#armedMs) return;
    clearTimeout(this.#timer);
    this.#armedMs = atMs;
    const waitMs = Math.max(1, atMs - this.#options.clock.monotonicMs());
    this.#timer = setTimeout(() => this.#turn(), waitMs);
    this.#timer.unref();
  }

  /** Asks what is due, as far as there are places, and sleeps until the next is. */
  #turn(): void {
    if (this.#closed) return;
    this.#armedMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#options.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [key, place] of this.#places) {
      if (place.asking) continue;
      if (place.dueMs <= nowMs && this.#asking.size < this.#options.atOnce) this.#ask(key, place);
      else nextMs = Math.min(nextMs, place.dueMs);
    }
    // With no place free the end of a question makes the next turn.
    if (this.#asking.size < this.#options.atOnce) this.#arm(nextMs);
  }

  #ask(key: string, place: Place<Item>): void {
    place.asking = true;
    const waiters = place.waiters.splice(0);
    const run = this.#options
      .ask(place.item)
      .then((done) => {
        if (done) this.#places.delete(key);
      })
      .catch(this.#options.onFailed)
      .finally(() => {
        this.#asking.delete(run);
        place.asking = false;
        place.tries += 1;
        // Somebody wants to know anew: at once, not at the place's own pace.
        if (place.waiters.length === 0) this.#schedule(place);
        for (const resolve of waiters) resolve();
        this.#turn();
      });
    this.#asking.add(run);
  }
}

export const createTurns = <Item>(options: TurnsOptions<Item>): Turns<Item> =>
  new TurnsOfMany(options);
