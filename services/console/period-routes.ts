import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { PeriodState } from '../../schemas/control-record.ts';
import { PeriodStateSchema } from '../../schemas/control-record.ts';
import type { Period } from '../../schemas/instant.ts';
import { PeriodSchema } from '../../schemas/instant.ts';
import { toInstant } from '../platform/clock.ts';
import { ProblemError, parseRequest } from '../platform/http-server.ts';
import type { RecordWriter } from './append-records.ts';
import { appendRecords } from './append-records.ts';
import { whyNotClosed, whyNotReopened } from './core/close-period.ts';
import type { ConsolePeriods } from './ports.ts';

const WordSchema = z.strictObject({
  period: PeriodSchema,
  by: PeriodStateSchema.shape.by,
  reason: PeriodStateSchema.shape.reason,
});
const CloseSchema = WordSchema.extend({ force: z.boolean().default(false) });

export interface PeriodDeps extends RecordWriter {
  periods: ConsolePeriods;
}

const refuse = (why: string | null): void => {
  if (why === null) return;
  throw new ProblemError(
    { status: 409, code: 'period-state', title: 'The period was left as it is' },
    why,
  );
};

const speak = async (
  word: { period: Period; by: string; reason: string },
  state: PeriodState['state'],
  deps: PeriodDeps,
  judge: (openItems: PeriodState['open_items'], now: string) => string | null,
): Promise<PeriodState> => {
  const { period, by, reason } = word;
  const open_items = await deps.periods.openItems(period);
  const at = toInstant(deps.clock.nowMs());
  refuse(judge(open_items, at));
  const body: PeriodState = { id: period, state, by, at, reason, open_items };
  await appendRecords([{ kind: 'period', id: period, deleted: false, body }], deps);
  return body;
};

/** Closes and reopens accounting months, and says what was said of them. A word is durable and in force when it is answered. */
export const addPeriodRoutes = (api: FastifyInstance, deps: PeriodDeps): void => {
  const stateOf = (period: Period) => deps.control.state.periods.get(period);
  api.get('/periods/states', async () => ({
    rows: [...deps.control.state.periods.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
  }));
  api.post('/periods/close', async (request) => {
    const { force, ...word } = parseRequest(CloseSchema, request.body);
    const { period } = word;
    return deps.periods.runAlone(() =>
      speak(word, 'closed', deps, (openItems, now) =>
        whyNotClosed({ period, now, state: stateOf(period), openItems, force }),
      ),
    );
  });
  api.post('/periods/reopen', async (request) => {
    const word = parseRequest(WordSchema, request.body);
    return deps.periods.runAlone(() =>
      speak(word, 'open', deps, () => whyNotReopened(word.period, stateOf(word.period))),
    );
  });
};
