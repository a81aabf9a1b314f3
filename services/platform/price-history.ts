import { createHash } from 'node:crypto';
import { timeBandName } from '../../pricing/time-band.ts';
import type { ContractBook, Price, PriceBook } from '../../schemas/price-book.ts';
import type { Clock } from './clock.ts';
import { toInstant } from './clock.ts';
import type { FollowedPriceBooks } from './follow-price-books.ts';
import type { Logger } from './logger.ts';
import type { LoadedPriceBooks } from './price-books.ts';
import type { RunningService } from './running-service.ts';
import type { Warehouse } from './warehouse.ts';

const BLOCK_ROWS = 5_000;
const TRY_AGAIN_MS = 60_000;

const COLUMNS = [
  ...['provider', 'contract', 'version', 'line', 'account', 'price_id', 'model', 'meter'],
  ...['tiers', 'geos', 'conditions', 'per_request', 'claim', 'unit_price', 'factor'],
  ...['valid_from', 'valid_to', 'known_from', 'source', 'retrieved_at'],
  ...['prepared_by', 'approved_by', 'approved_at'],
];
const VERSION_COLUMNS = [
  ...['provider', 'contract', 'version', 'known_from', 'content_sha256', 'lines', 'recorded_at'],
];

type Version = { contract: ''; book: PriceBook } | { contract: string; book: ContractBook };

const conditionsOf = ({ when }: Price): string =>
  [
    when?.context ? `input ${when.context.operator} ${when.context.input_tokens}` : '',
    when?.time ? timeBandName(when.time) : '',
  ]
    .filter((part) => part !== '')
    .join(', ');

const approvalOf = (book: PriceBook | ContractBook): unknown[] => [
  book.prepared_by ?? '',
  book.approved?.map(({ by }) => by) ?? [],
  book.approved?.at(-1)?.at ?? null,
];

const bookRows = (book: PriceBook): unknown[][] =>
  book.prices.map((price, line) => [
    ...[book.provider, '', book.version, line, '', price.price_id, price.model, price.meter],
    ...[price.when?.tier ?? [], price.when?.geo ?? [], conditionsOf(price)],
    ...[price.per_request ?? false, price.claim ?? '', price.unit_price, null],
    ...[price.valid_from, price.valid_to ?? null, price.known_from],
    ...[price.source, price.retrieved_at, ...approvalOf(book)],
  ]);

/** A row for each account, model and meter a term names. */
const contractRows = (book: ContractBook): unknown[][] => {
  const rows = book.accounts.flatMap((account) =>
    book.prices.flatMap((term) =>
      (term.models ?? ['']).flatMap((model) =>
        (term.meters ?? ['']).map((meter) => ({ account, term, model, meter })),
      ),
    ),
  );
  return rows.map(({ account, term, model, meter }, line) => [
    ...[book.provider, book.contract, book.version, line, account, term.id, model, meter],
    ...[term.tier ?? [], [], '', false, '', term.unit_price ?? null, term.factor ?? null],
    ...[term.valid_from, term.valid_to ?? null, book.known_from],
    ...[term.source, term.retrieved_at, ...approvalOf(book)],
  ]);
};

const versionsOf = ({ books, contracts }: LoadedPriceBooks): Version[] => [
  ...books.books.map((book): Version => ({ contract: '', book })),
  ...contracts.map((book): Version => ({ contract: book.contract, book })),
];

const keyOf = (provider: string, contract: string, version: number): string =>
  JSON.stringify([provider, contract, version]);
const hashOf = (book: object): string =>
  createHash('sha256').update(JSON.stringify(book)).digest('hex');

interface Recorded {
  provider: string;
  contract: string;
  version: number;
  content_sha256: string;
}

interface Deps {
  warehouse: Warehouse;
  clock: Clock;
  logger: Logger;
}

const recordVersion = async (deps: Deps, version: Version, sha256: string): Promise<void> => {
  const { contract, book } = version;
  const rows = 'currency' in book ? bookRows(book) : contractRows(book);
  const token = `prices:${book.provider}:${contract}:${book.version}:${sha256}`;
  for (let from = 0; from < rows.length; from += BLOCK_ROWS) {
    await deps.warehouse.insert({
      table: 'price_lines',
      columns: COLUMNS,
      rows: rows.slice(from, from + BLOCK_ROWS),
      token: `${token}:${from}`,
    });
  }
  // Last: what is not here is recorded again, into the same rows.
  const head = [book.provider, contract, book.version, book.known_from, sha256, rows.length];
  await deps.warehouse.insert({
    table: 'price_versions',
    columns: VERSION_COLUMNS,
    rows: [[...head, toInstant(deps.clock.nowMs())]],
    token,
  });
};

/**
 * Adds to `price_lines` what of the loaded versions is not there yet; the second time that is nothing. A version that was recorded with
 * another content is left as it was and said: published versions are never edited.
 */
export const recordPrices = async (deps: Deps, loaded: LoadedPriceBooks): Promise<void> => {
  const found = await deps.warehouse.query<Recorded>(
    'SELECT provider, contract, version, content_sha256 FROM price_versions FINAL',
  );
  const recorded = new Map(
    found.map((row) => [keyOf(row.provider, row.contract, row.version), row.content_sha256]),
  );
  for (const version of versionsOf(loaded)) {
    const { contract, book } = version;
    const sha256 = hashOf(book);
    const before = recorded.get(keyOf(book.provider, contract, book.version));
    if (before === undefined) await recordVersion(deps, version, sha256);
    else if (before !== sha256) {
      deps.logger.error(
        { provider: book.provider, contract, version: book.version },
        'This price book version is not what it was when it was first loaded. Published versions are never edited: put it back, and publish the change as the next version.',
      );
    }
  }
};

/** The history of prices in the warehouse, kept up with the books in force. */
export interface PriceHistory extends RunningService {
  /** Resolves once everything loaded by now is recorded, or was tried. */
  settled(): Promise<void>;
}

/** Records the prices in force in the background, at the start and after every swap; what fails is tried again after a minute. */
export const startPriceHistory = (
  deps: Deps & { prices: Pick<FollowedPriceBooks, 'loaded' | 'onSwap'> },
): PriceHistory => {
  const ended = Promise.withResolvers<void>();
  let closed = false;
  let again: NodeJS.Timeout | undefined;
  let work: Promise<void> = Promise.resolve();
  const record = (): void => {
    clearTimeout(again);
    work = work.then(async () => {
      if (closed) return;
      try {
        await recordPrices(deps, deps.prices.loaded());
      } catch (error) {
        deps.logger.warn({ err: error }, 'The prices could not be recorded in the warehouse yet.');
        if (!closed) again = setTimeout(record, TRY_AGAIN_MS).unref();
      }
    });
  };
  record();
  deps.prices.onSwap(record);
  return {
    name: 'price-history',
    ended: ended.promise,
    settled: () => work,
    close: async () => {
      closed = true;
      clearTimeout(again);
      await work;
      ended.resolve();
    },
  };
};
