import { TOPICS } from '../../schemas/topics.ts';
import { ReckonerError } from '../../services/platform/errors.ts';
import { openLmdbEventLog } from '../../services/platform/lmdb-event-log.ts';

/**
 * A process of its own that writes a log until it is killed. Arguments: directory, first number, how many appends may be
 * under way (0: only hold the directory). Tells its parent `{ open }`, `{ refused }` or `{ stored: n }`.
 */
const [directory = '', first = '0', inFlight = '0'] = process.argv.slice(2);
const tell = (message: object): void => void process.send?.(message);

const writeOn = async (log: Awaited<ReturnType<typeof openLmdbEventLog>>): Promise<void> => {
  let next = Number(first);
  const writeNext = async (): Promise<void> => {
    for (;;) {
      const number = next;
      next += 1;
      const value = new TextEncoder().encode(`${number}`);
      const key = `tenant-${number % 7}`;
      await log.append([
        { topic: TOPICS.usageEvents.name, key, value },
        { topic: TOPICS.usageRated.name, key: `other-${number % 5}`, value },
      ]).stored;
      tell({ stored: number });
    }
  };
  await Promise.all(Array.from({ length: Number(inFlight) }, writeNext));
};

try {
  const log = await openLmdbEventLog({ directory, name: 'writer' });
  tell({ open: process.pid });
  process.on('message', () => void log.close().then(() => process.disconnect()));
  await writeOn(log);
} catch (error) {
  tell({ refused: error instanceof ReckonerError ? error.code : String(error) });
  process.disconnect();
}
