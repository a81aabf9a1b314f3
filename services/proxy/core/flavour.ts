import type { ClassQuantities, UnitQuantities, UsageEvent } from '../../../schemas/usage-event.ts';

/** What a reply said about its usage. */
export interface Statement {
  /**
   * `full`: final figures. `part`: preliminary figures of a reply that went on. `running`: figures so far, of a stream that states them
   * all along and had not said that it ended; final if its body came to its end. `none`: nothing was stated.
   * `unreadable`: something was stated that does not add up or has no shape we know.
   */
  completeness: 'full' | 'part' | 'running' | 'none' | 'unreadable';
  classes: ClassQuantities;
  units: UnitQuantities;
  parts?: NonNullable<UsageEvent['parts']>;
  rawUsage?: string;
  model?: string;
  tier?: string;
  geo?: string;
  finishReason?: string;
  /** The provider's id of the work, by which its end can be asked for. */
  workId?: string;
  /** When the provider finished work of its own pace. */
  completedAt?: string;
}

/** One server-sent event, parsed by the shell. */
export interface ReplyEvent {
  /** The `data` field as sent. */
  source: string;
  /** `JSON.parse` of it; undefined when it is not JSON (`[DONE]`). */
  data: unknown;
}

/** What stands before a reply's body. Header names are lower case. */
export interface ReplyHead {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Reads one reply of one wire format. Fed with a whole JSON body or with its events, asked at the end. */
export interface ReplyReader {
  /** Status and headers of the reply, before its body. Some providers state usage only there. */
  readHead?(head: ReplyHead): void;
  readBody(source: string, body: unknown): void;
  readEvent(event: ReplyEvent): void;
  statement(): Statement;
  /** Output text seen so far, for an estimate when nothing is stated. Never leaves the process. */
  textSeen(): string;
}

export type JsonObject = { readonly [name: string]: unknown };

/** The value as an object, or null: arrays and scalars are not objects here. */
export const asObject = (value: unknown): JsonObject | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : null;

export const asArray = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** A short text such as a model name; anything else, and half a surrogate pair, is as if it was not stated. */
export const asWord = (value: unknown, maxLength: number): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= maxLength && value.isWellFormed()
    ? value
    : undefined;

/** A short text in lower case, such as a tier. Measured afterwards: some capitals are one letter and become two. */
export const asLowerWord = (value: unknown, maxLength: number): string | undefined =>
  asWord(asWord(value, maxLength)?.toLowerCase(), maxLength);

/** Seconds since 1970 as an instant; anything else is as if it was not stated. */
export const asInstant = (value: unknown): string | undefined =>
  typeof value === 'number' && value > 0 && value < 7_258_118_400
    ? new Date(Math.floor(value * 1000)).toISOString()
    : undefined;

/** Longest text kept for an estimate, in UTF-16 units; what comes later is not estimated. */
const TEXT_SEEN_MAX = 1_048_576;

/** Collects output text up to a bound. */
export const createTextSeen = () => {
  const pieces: string[] = [];
  let length = 0;
  return {
    add: (piece: unknown): void => {
      if (typeof piece !== 'string' || length >= TEXT_SEEN_MAX) return;
      pieces.push(piece);
      length += piece.length;
    },
    text: (): string => pieces.join(''),
  };
};
