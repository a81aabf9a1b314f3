import type { TopicName } from '../../schemas/topics.ts';
import type {
  Appended,
  EventLog,
  OffsetRange,
  OffsetStore,
  Position,
  StoredEntry,
  SubscribeOptions,
  Subscription,
} from './event-log.ts';
import { type Acknowledging, encodeAcknowledgement } from './log-acknowledgement.ts';
import { wasAnnounced } from './log-directory-lock.ts';
import type { LogEnvironment } from './log-environment.ts';
import { closedSubscription, logClosed, logReadOnly, rejectedAppend } from './log-errors.ts';
import type { Head } from './log-state.ts';
import {
  LogSubscription,
  type LogView,
  type ReadBounds,
  type ReadResult,
  readChecked,
} from './log-subscription.ts';
import { followWakes } from './log-wake-socket.ts';
import { Wakes } from './log-wakes.ts';

/** A log whose writer is another process. */
export class LogReader implements EventLog, LogView, Acknowledging {
  readonly name: string;
  readonly #directory: string;
  readonly #offsets: OffsetStore;
  readonly #environments: { open: () => LogEnvironment; closed: () => void };
  readonly #wakes = new Wakes();
  readonly #subscriptions = new Set<Subscription>();
  readonly #writer: ReturnType<typeof followWakes>;
  #environment: LogEnvironment | null = null;
  #isLetGo = false;
  #closing: Promise<void> | null = null;

  constructor(
    options: { directory: string; name: string; offsets: OffsetStore },
    environments: { open: () => LogEnvironment; closed: () => void },
  ) {
    this.name = options.name;
    this.#directory = options.directory;
    this.#offsets = options.offsets;
    this.#environments = environments;
    this.#writer = followWakes(options.directory, () => this.#wakes.wakeAll());
  }

  append(): Appended {
    return rejectedAppend(() => this.#refusal('an append'));
  }

  async compact(): Promise<void> {
    throw this.#refusal('a compaction');
  }

  async trim(): Promise<void> {
    throw this.#refusal('a trim');
  }

  acknowledge(topic: TopicName, offsets: ReadonlyMap<number, number>): void {
    this.#writer.tell(encodeAcknowledgement({ topic, offsets }));
  }

  async read(from: Position, maxEntries: number): Promise<readonly StoredEntry[]> {
    this.#checkOpen();
    const head = this.heads(from.topic)?.[from.partition];
    if (head === undefined) return [];
    return readChecked(this, from, head, { maxEntries, maxBytes: Infinity }).entries;
  }

  subscribe(options: SubscribeOptions): Subscription {
    if (this.#closing !== null) return closedSubscription(this.name);
    const subscription = new LogSubscription(this, this.#offsets, options);
    this.#subscriptions.add(subscription);
    const gone = () => void this.#subscriptions.delete(subscription);
    subscription.ended.then(gone, gone);
    return subscription;
  }

  async committed(group: string, topic: TopicName): Promise<ReadonlyMap<number, number>> {
    this.#checkOpen();
    return this.#offsets.loadOffsets(group, this.name, topic);
  }

  async ranges(topic: TopicName): Promise<readonly OffsetRange[]> {
    this.#checkOpen();
    const heads = this.heads(topic) ?? [];
    return heads.map(({ start, end }, partition) => ({ partition, start, end }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  heads(topic: TopicName): readonly Head[] | null {
    const environment = this.#opened();
    if (environment === null) return wasAnnounced(this.#directory) ? null : [];
    environment.refresh();
    return environment.heads(topic);
  }

  entriesFrom(from: Position, end: number, bounds: ReadBounds): ReadResult {
    const nothing = { entries: [], bytes: 0, next: from.offset };
    return this.#environment?.entriesFrom(from, end, bounds) ?? nothing;
  }

  onWake(listener: () => void): () => void {
    return this.#wakes.add(listener);
  }

  /** Closes the environment until the returned function is called; subscriptions wait. */
  async letGo(): Promise<() => void> {
    this.#isLetGo = true;
    const environment = this.#environment;
    this.#environment = null;
    await environment?.close();
    return () => {
      this.#isLetGo = false;
      this.#wakes.wakeAll();
    };
  }

  /** Opens the environment once its writer has made it ready; a failure is tried again with the next wake. */
  #opened(): LogEnvironment | null {
    if (this.#environment === null && !this.#isLetGo && wasAnnounced(this.#directory)) {
      try {
        this.#environment = this.#environments.open();
      } catch {
        return null;
      }
    }
    return this.#environment;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    this.#writer.stop();
    const environment = this.#environment;
    this.#environment = null;
    await environment?.close();
    this.#environments.closed();
  }

  #refusal(act: string): Error {
    return this.#closing !== null ? logClosed(this.name) : logReadOnly(this.name, act);
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw logClosed(this.name);
  }
}
