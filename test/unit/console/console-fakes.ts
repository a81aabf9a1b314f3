import { onTestFinished } from 'vitest';
import type { ConsoleDeps } from '../../../services/console/main.ts';
import { startConsole } from '../../../services/console/main.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { followControlState } from '../../../services/platform/control-state.ts';
import { ReckonerError } from '../../../services/platform/errors.ts';
import { createLogger } from '../../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../../services/platform/metrics.ts';
import type { Warehouse } from '../../../services/platform/warehouse.ts';

export const TOKEN = 'a-token-for-tests';

export const EQUAL_TOTALS = {
  events: '0',
  rated: '0',
  unrated: '0',
  quarantined: { usage: '0', rated: '0' },
  events_without_entry: '0',
  entries_without_event: '0',
  charges_usd: '0',
  rollup_usd: '0',
  difference_usd: '0',
  sequences: [],
};

/** A warehouse that is empty, and refuses SQL that does not begin with SELECT. */
const emptyWarehouse: Warehouse = {
  kind: 'chdb',
  command: async () => undefined,
  insert: async () => undefined,
  query: async () => [],
  queryReadOnly: async (sql) => {
    if (!sql.startsWith('SELECT')) {
      throw new ReckonerError('WAREHOUSE_FAILED', 'Only statements that read are allowed.');
    }
    return { columns: [{ name: 'one', type: 'UInt8' }], rows: [[1]] };
  },
  close: async () => undefined,
};

/** A console over nothing, with what was asked of its neighbours. */
export const openConsole = async (over: Partial<ConsoleDeps> = {}) => {
  const asked: { what: string; request: unknown }[] = [];
  const note = (what: string) => async (request: unknown) => {
    asked.push({ what, request });
    return { what };
  };
  const log = createMemoryEventLog('house');
  const control = followControlState([log], log, systemClock);
  const house = await startConsole({
    config: { host: '127.0.0.1', port: 0 },
    token: TOKEN,
    warehouse: emptyWarehouse,
    control,
    backOffice: log,
    budgets: () => [],
    freshness: () => ({ asOf: 0, lagEvents: 0, controlTotals: EQUAL_TOTALS }),
    biller: {
      plan: note('plan'),
      push: note('push'),
      verify: note('verify'),
      planChargebee: note('planChargebee'),
    },
    reconciler: { importStatement: note('importStatement'), reconcile: note('reconcile') },
    rerater: {
      run: async function* (request) {
        yield await note('rerate')(request);
      },
    },
    reporter: {
      run: async function* (request) {
        yield await note('report')(request);
      },
    },
    periods: {
      openItems: async () => ({ unrated: 0, quarantined: 0, not_rated_yet: 0 }),
      runAlone: (work) => work(),
    },
    prices: () => [],
    pepper: 'pepper',
    resolveSecret: () => `rk_${'A'.repeat(12)}_${'b'.repeat(32)}`,
    clock: systemClock,
    logger: createLogger('test', 'silent'),
    metrics: createMetrics('test'),
    ...over,
  });
  onTestFinished(async () => {
    await house.close();
    await control.close();
    await log.close();
  });
  const call = (
    method: string,
    path: string,
    rest: { body?: unknown; headers?: Record<string, string> } = {},
  ) =>
    fetch(`${house.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(rest.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...rest.headers,
      },
      ...(rest.body === undefined
        ? {}
        : { body: typeof rest.body === 'string' ? rest.body : JSON.stringify(rest.body) }),
    });
  return { url: house.url, call, asked, control, log };
};
