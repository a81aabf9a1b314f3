/**
 * Ingests from logs on disk and kills itself at one point. Arguments: directory, events that are to be in the logs, point
 * (`before-insert`, `after-insert`, `never`). Writes what the ledger took and what the tables hold, as JSON.
 */
import { join } from 'node:path';
import { TOPICS } from '../../schemas/topics.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { migrate } from '../../services/platform/migrate.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent } from './ledger-facts.ts';

const [directory = '', wanted = '0', point = 'never'] = process.argv.slice(2);

const open = (name: string) => openLmdbEventLog({ directory: join(directory, name), name });
const proxy = await open('proxy');
const office = await open('office');
const ranges = await proxy.ranges(TOPICS.usageEvents.name);
const there = ranges.reduce((total, { end }) => total + end, 0);
const events = Array.from({ length: Number(wanted) - there }, (_, index) =>
  usageEvent({ tenant: 'killed', number: there + index + 1, space: 1 }),
);
await proxy.append(events.map(usageEntry)).stored;
await office.append(events.map((event) => ratedEntry(ratedUsage(event)))).stored;

const warehouse = await openWarehouse({ kind: 'chdb', directory: join(directory, 'warehouse') });
await migrate(warehouse);
const killAt = (here: string): void => {
  if (here === point) process.kill(process.pid, 'SIGKILL');
};
const ledger = await startLedger({
  usageEvents: [proxy],
  rated: office,
  backOffice: office,
  warehouse: {
    ...warehouse,
    insert: async (block) => {
      if (block.table !== 'ledger_entries') return warehouse.insert(block);
      killAt('before-insert');
      await warehouse.insert(block);
      killAt('after-insert');
    },
  },
  clock: systemClock,
  logger: createLogger('ledger', 'silent'),
  metrics: createMetrics('ledger'),
});
await ledger.caughtUp;
const { entries } = ledger.status();
const [held] = await warehouse.query(`SELECT (SELECT count() FROM usage_archive) AS archive,
  (SELECT count() FROM ledger_entries) AS entries, (SELECT sum(amount_usd) FROM charges) AS charges,
  (SELECT sum(amount_usd) FROM spend_hourly) AS hourly`);
await ledger.close();
process.stdout.write(JSON.stringify({ taken: entries, held }));
await warehouse.close();
await proxy.close();
await office.close();
