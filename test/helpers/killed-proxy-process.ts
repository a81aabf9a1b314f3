import { join } from 'node:path';
import { createPriceBooks } from '../../pricing/price-books.ts';
import { ProcessConfigSchema } from '../../schemas/house-config.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { houseSecret } from '../../services/platform/config.ts';
import { followControlState } from '../../services/platform/control-state.ts';
import type { Appended, EventLog, LogEntry } from '../../services/platform/event-log.ts';
import {
  openLmdbEventLog,
  openLmdbEventLogReader,
} from '../../services/platform/lmdb-event-log.ts';
import { TAKEN_OVER } from '../../services/platform/log-acknowledgement.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { startProxy } from '../../services/proxy/main.ts';

/**
 * A proxy of its own process that kills itself with SIGKILL at a very point of the n-th append of an event. Arguments: data
 * directory, point, n, and where work that ends later is to be asked about quickly, the first wait in ms. The product knows nothing of it: the log it is given does it.
 * Points: `before` the append, when it is `stored` but not flushed, when it is `durable` and nobody has been told, `never`.
 */
const [dataDir = '', point = 'never', nth = '1', askMs] = process.argv.slice(2);

const die = (): Promise<never> => {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
};

let events = 0;
const killing = (log: EventLog): EventLog['append'] => {
  const append = log.append.bind(log);
  return (entries: readonly LogEntry[]): Appended => {
    if (entries.some(({ topic }) => topic === TOPICS.usageEvents.name)) events += 1;
    const isPoint = events === Number(nth) && point !== 'never';
    if (isPoint && point === 'before') {
      const never = die();
      return { stored: never, durable: never };
    }
    const appended = append(entries);
    if (!isPoint) return appended;
    const dead = point === 'stored' ? appended.stored.then(die) : appended.durable.then(die);
    return { stored: dead, durable: dead };
  };
};

const log = await openLmdbEventLog({ directory: join(dataDir, 'log', 'proxy-1'), name: 'proxy-1' });
log.append = killing(log);
const office = await openLmdbEventLogReader({
  directory: join(dataDir, 'log', 'back-office'),
  name: 'back-office',
  offsets: log,
});
const books = createPriceBooks([]);
const proxy = await startProxy({
  config: ProcessConfigSchema.parse({ proxy: { port: 0, pressure: { disk_free_bytes_min: 0 } } })
    .proxy,
  localLog: log,
  room: () => log.room(),
  takenOverBy: TAKEN_OVER,
  control: followControlState([office], log, systemClock),
  signals: [office],
  books: () => books,
  pepper: houseSecret(dataDir, 'pepper'),
  resolveSecret: () => 'upstream-secret',
  clock: systemClock,
  logger: createLogger('proxy', 'silent'),
  metrics: createMetrics('proxy'),
  ...(askMs === undefined
    ? {}
    : { followPace: { baseMs: Number(askMs), maxMs: 2 * Number(askMs) } }),
});
await proxy.ready;
process.send?.({ url: proxy.url });
