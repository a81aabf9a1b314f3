import type { PendingOperation } from '../../../schemas/pending-operation.ts';
import type { UsageEvent } from '../../../schemas/usage-event.ts';
import type { Flavour } from '../../../schemas/words.ts';
import type { Statement } from './flavour.ts';

type Fact = PendingOperation['fact'];
type Operation = PendingOperation['operation'];

const HOUR_MS = 3_600_000;

/** Which calls are followed, and for how long. Data: an upstream is asked again only where its vendor says that it answers. */
interface Followed {
  operation: Operation;
  flavour: Flavour;
  path: RegExp;
  /** Left out: any provider that speaks the flavour. */
  provider?: string;
  endings: readonly UsageEvent['ending'][];
  corrects: boolean;
  lastsMs: number;
}

const NOT_STATED = ['estimated', 'partial', 'unknown'] as const;

const FOLLOWED: readonly Followed[] = [
  {
    operation: 'response',
    flavour: 'openai.responses',
    path: /\/responses$/,
    endings: ['pending'],
    corrects: false,
    lastsMs: 25 * HOUR_MS,
  },
  {
    operation: 'response',
    flavour: 'openai.responses',
    path: /\/responses$/,
    endings: NOT_STATED,
    corrects: true,
    lastsMs: HOUR_MS,
  },
  {
    operation: 'generation',
    flavour: 'openai.chat',
    path: /\/chat\/completions$/,
    provider: 'openrouter',
    endings: NOT_STATED,
    corrects: true,
    lastsMs: HOUR_MS,
  },
  // Both vendors end a batch after 24 hours; finishing what was begun takes a while longer.
  {
    operation: 'openai_batch',
    flavour: 'openai.batch',
    path: /\/batches$/,
    endings: ['pending'],
    corrects: false,
    lastsMs: 36 * HOUR_MS,
  },
  {
    operation: 'anthropic_batch',
    flavour: 'anthropic.batch',
    path: /\/messages\/batches$/,
    endings: ['pending'],
    corrects: false,
    lastsMs: 36 * HOUR_MS,
  },
];

const SAFE_ID = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$/;
const API_VERSION = /[?&]api-version=([A-Za-z0-9.-]{1,40})(?:&|$)/;

/** Endings after which something may still come. Most calls have another and need no look. */
export const mayFollow = (ending: UsageEvent['ending']): boolean =>
  ending === 'pending' || NOT_STATED.some((open) => open === ending);

/**
 * The work behind a closed attempt that its provider will say more about, or null.
 * @param about `target`: path and query as they went upstream. `stored`: the caller did not forbid the provider to keep the reply.
 */
export const operationOf = (
  fact: Fact,
  statement: Statement,
  about: { target: string; stored: boolean },
): PendingOperation | null => {
  const id = statement.workId;
  if (id === undefined || !SAFE_ID.test(id) || !about.stored) return null;
  const [path = '', query = ''] = about.target.split('?', 2);
  const followed = FOLLOWED.find(
    (one) =>
      one.flavour === fact.flavour &&
      one.endings.includes(fact.ending) &&
      one.path.test(path) &&
      (one.provider === undefined || one.provider === fact.provider),
  );
  if (!followed || path.length > 500) return null;
  const version = API_VERSION.exec(`?${query}`)?.[1];
  return {
    fact,
    operation: followed.operation,
    id,
    path,
    ...(version === undefined ? {} : { api_version: version }),
    corrects: followed.corrects,
    deadline: new Date(Date.parse(fact.closed_at) + followed.lastsMs).toISOString(),
  };
};

/** Whether what is followed is many calls in one. */
export const isBatch = ({ operation }: PendingOperation): boolean =>
  operation === 'openai_batch' || operation === 'anthropic_batch';

const withVersion = (path: string, operation: PendingOperation): string =>
  operation.api_version === undefined ? path : `${path}?api-version=${operation.api_version}`;

/** Where the state of the work is asked for. */
export const statusTarget = (operation: PendingOperation): string =>
  operation.operation === 'generation'
    ? `${operation.path.replace(/\/chat\/completions$/, '')}/generation?id=${operation.id}`
    : withVersion(`${operation.path}/${operation.id}`, operation);

/** Where a batch's results are read. */
export const resultsTarget = (operation: PendingOperation, fileId: string): string =>
  operation.operation === 'anthropic_batch'
    ? `${operation.path}/${operation.id}/results`
    : withVersion(`${operation.path.replace(/\/batches$/, '')}/files/${fileId}/content`, operation);

/** Whether a path names the work itself, however it is spelt: ids are made of letters that need no escape, but may have one. */
export const namesWork = ({ id }: PendingOperation, path: string): boolean => {
  try {
    return decodeURIComponent(path).includes(id);
  } catch {
    return path.includes(id);
  }
};

/** Whether it may hold a batch's results: which files those are is known only once the batch is over. */
export const mayDeleteResults = ({ operation }: PendingOperation, path: string): boolean =>
  operation === 'openai_batch' && /\/files\//i.test(path);

/** Questions about an estimate: it stands well enough to let it be after so many. */
export const CORRECTION_TRIES_MAX = 6;

/**
 * Wait before the next question: doubles from `baseMs` to `maxMs`, by a random fifth shorter or longer so that a thousand jobs taken
 * in together are not asked about together.
 * @param random from 0 up to 1.
 */
export const nextAskMs = (
  tries: number,
  bounds: { baseMs: number; maxMs: number },
  random: number,
): number =>
  Math.round(
    Math.min(bounds.maxMs, bounds.baseMs * 2 ** Math.min(tries, 30)) * (0.8 + 0.4 * random),
  );
