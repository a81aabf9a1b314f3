import { expect, test } from 'vitest';
import { readControlTotals } from '../../services/ledger/control-totals.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';
import { startRater } from '../../services/rater/main.ts';
import { startSandbox } from '../../services/sandbox/main.ts';
import { openTestWarehouse } from './ledger-rig.ts';
import { call, putKey, putUpstream, readEvents, startTestProxy, until } from './proxy-harness.ts';

const warehouse = await openTestWarehouse();

const line = (number: number): string =>
  JSON.stringify({
    custom_id: `call-${number}`,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: `[[sandbox input=${1000 + number} output=${number}]]` }],
    },
  });

test('case 24 · ledger and bill are the same to the last digit for batches and background work', {
  timeout: 60_000,
}, async () => {
  const sandbox = await startSandbox();
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: sandbox.openaiUrl });
  await putKey(office);
  const { url, localLog } = await startTestProxy({
    office,
    followPace: { baseMs: 20, maxMs: 50 },
  });
  const post = async (path: string, body: string): Promise<Record<string, unknown>> => {
    const reply = await call(`${url}/openai/v1${path}`, body);
    expect(reply.status).toBe(200);
    return JSON.parse(reply.body.toString()) as Record<string, unknown>;
  };
  const file = await post('/files', Array.from({ length: 40 }, (_, n) => line(n + 1)).join('\n'));
  const endpoint = '/v1/chat/completions';
  const batch = JSON.stringify({ input_file_id: file['id'], endpoint, completion_window: '24h' });
  const { id } = await post('/batches', batch);
  const ask = { model: 'gpt-4o-mini', background: true };
  await post('/responses', JSON.stringify({ ...ask, input: '[[sandbox input=2000 output=77]]' }));
  for (let look = 0; look < 50; look += 1) {
    await call(`${url}/openai/v1/batches/${id}`, null, { method: 'GET' });
  }
  // Two pending facts, forty items, the job that costs nothing, the response.
  await until(async () => ((await readEvents(localLog)).length >= 44 ? true : undefined));
  const common = {
    usageEvents: [localLog],
    backOffice: office,
    warehouse,
    clock: systemClock,
    logger: createLogger('test', 'silent'),
  };
  const ledger = await startLedger({ ...common, rated: office, metrics: createMetrics('l') });
  const books = loadPriceBooks();
  const rater = await startRater({ ...common, books, metrics: createMetrics('r') });
  const totals = await until(async () => {
    const now = await readControlTotals(warehouse);
    return now.events === '44' && now.events_without_entry === '0' ? now : undefined;
  });
  const unrated = await warehouse.query('SELECT ending, unrated_detail FROM unrated');
  expect(unrated).toEqual([]);
  expect(totals.charges_usd).toBe(sandbox.bill().total_usd);
  expect(sandbox.bill().billed_attempts).toBe(41);
  await ledger.flushRollups();
  expect((await readControlTotals(warehouse)).difference_usd).toBe('0');
  await rater.close();
  await ledger.close();
  await sandbox.close();
});
