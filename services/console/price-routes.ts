import type { FastifyInstance } from 'fastify';
import type { Clock } from '../platform/clock.ts';
import { toInstant } from '../platform/clock.ts';
import type { Warehouse } from '../platform/warehouse.ts';
import type { ReadPriceBooks } from './ports.ts';

const UNPRICED_MAX = 50;
/** Which models have no price reads the whole ledger: the page, which asks every ten seconds, gets it once a minute. */
const UNPRICED_KEPT_MS = 60_000;

/** A model that usage names and no book prices, or not in every meter it was used in. */
export interface UnpricedModel {
  provider: string;
  model: string;
  reason: string;
  events: number;
}

const readUnpriced = async (warehouse: Warehouse): Promise<UnpricedModel[]> => {
  const rows = await warehouse.query<Omit<UnpricedModel, 'events'> & { n: string }>(
    `SELECT provider, model, unrated_reason AS reason, count() AS n FROM unrated
     WHERE unrated_reason IN ('unknown_model', 'unknown_price', 'precision')
     GROUP BY provider, model, reason ORDER BY n DESC, provider, model, reason LIMIT ${UNPRICED_MAX}`,
  );
  return rows.map(({ n, ...row }) => ({ ...row, events: Number(n) }));
};

/** The books in force, what of them needs a person, and which models no book prices. */
export const addPriceRoutes = (
  api: FastifyInstance,
  deps: { prices: ReadPriceBooks; warehouse: Warehouse; clock: Clock },
): void => {
  let kept: { atMs: number; answer: Promise<UnpricedModel[]> } | null = null;
  const unpriced = (): Promise<UnpricedModel[]> => {
    const nowMs = deps.clock.monotonicMs();
    if (kept && nowMs - kept.atMs < UNPRICED_KEPT_MS) return kept.answer;
    const mine = { atMs: nowMs, answer: readUnpriced(deps.warehouse) };
    kept = mine;
    mine.answer.catch(() => {
      if (kept === mine) kept = null;
    });
    return mine.answer;
  };
  api.get('/prices/books', async () => ({
    rows: deps.prices(),
    unpriced: await unpriced(),
    as_of: toInstant(deps.clock.nowMs()),
  }));
};
