/**
 * Ingests the same facts from their beginning at every start, and is killed by the test while doing so.
 * Arguments: directory, number of events. Writes `started`, then `done`.
 */
import { startLedger } from '../../services/ledger/main.ts';
import { openWarehouse } from '../../services/platform/clickhouse-warehouse.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { migrate } from '../../services/platform/migrate.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent } from './ledger-facts.ts';

const [directory = '', total = '0'] = process.argv.slice(2);
const CHUNK = 60;

const proxy = createMemoryEventLog('proxy');
const backOffice = createMemoryEventLog('back-office');
const warehouse = await openWarehouse({ kind: 'chdb', directory });
await migrate(warehouse);
const ledger = await startLedger({
  usageEvents: [proxy],
  rated: backOffice,
  backOffice,
  warehouse,
  clock: systemClock,
  logger: createLogger('ledger-kill', 'silent'),
  metrics: createMetrics('ledger-kill'),
});
process.stdout.write('started\n');
for (let from = 1; from <= Number(total); from += CHUNK) {
  const events = [];
  for (let number = from; number < Math.min(from + CHUNK, Number(total) + 1); number += 1) {
    // Every batch spans two months, so that a kill can fall between its two inserts.
    const month = number % 2 ? '10' : '11';
    events.push(
      usageEvent({
        tenant: `kill-${number % 3}`,
        number,
        space: 1,
        eventTs: `2026-${month}-03T0${number % 9}:00:00.000Z`,
      }),
    );
  }
  await proxy.append(events.map(usageEntry)).stored;
  await backOffice.append(events.map((event) => ratedEntry(ratedUsage(event)))).stored;
  while (ledger.lag() !== 0) await new Promise((resolve) => setImmediate(resolve));
}
await ledger.flushRollups();
await ledger.close();
await warehouse.close();
process.stdout.write('done\n');
