import { expect, test } from 'vitest';
import { readControlTotals } from '../../services/ledger/control-totals.ts';
import { startLedger } from '../../services/ledger/main.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { createLogger } from '../../services/platform/logger.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { createMetrics } from '../../services/platform/metrics.ts';
import { loadPriceBooks } from '../../services/platform/price-books.ts';
import { startRater } from '../../services/rater/main.ts';
import { createReconciler } from '../../services/reconciler/main.ts';
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

/** Thirty that are done, some from the cache, some thinking; of the others two are refused, one expires, one is called off. */
const messages = (): object[] => {
  const params = (text: string, model = 'claude-haiku-4-5') => ({
    model,
    max_tokens: 4096,
    messages: [{ role: 'user', content: `[[sandbox ${text}]]` }],
  });
  const done = Array.from({ length: 30 }, (_, n) =>
    params(
      `input=${3000 + n} cached=${n * 7} write5m=${n * 3} write1h=${n} output=${100 + n} reasoning=${n}`,
    ),
  );
  const others = [
    params('input=5', 'claude-unheard-of'),
    params('input=5 status=500'),
    params('ends=expired'),
    params('ends=canceled'),
  ];
  return [...done, ...others].map((body, n) => ({ custom_id: `call-${n}`, params: body }));
};

const PROVIDERS = ['openai', 'anthropic'] as const;

test('case 24 · ledger, bill and statements are the same to the last digit for batches and background work', {
  timeout: 60_000,
}, async () => {
  const sandbox = await startSandbox();
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: sandbox.openaiUrl });
  const anthropic = { id: 'anthropic', provider: 'anthropic', dialect: 'anthropic' };
  await putUpstream(office, { ...anthropic, base_url: sandbox.anthropicUrl, models: ['claude-*'] });
  await putKey(office);
  const { url, localLog } = await startTestProxy({
    office,
    followPace: { baseMs: 20, maxMs: 50 },
  });
  const post = async (path: string, body: string): Promise<Record<string, unknown>> => {
    const reply = await call(`${url}${path}`, body);
    expect(reply.status).toBe(200);
    return JSON.parse(reply.body.toString()) as Record<string, unknown>;
  };
  const file = await post(
    '/openai/v1/files',
    Array.from({ length: 40 }, (_, n) => line(n + 1)).join('\n'),
  );
  const endpoint = '/v1/chat/completions';
  const batch = JSON.stringify({ input_file_id: file['id'], endpoint, completion_window: '24h' });
  const { id } = await post('/openai/v1/batches', batch);
  const ask = { model: 'gpt-4o-mini', background: true };
  await post(
    '/openai/v1/responses',
    JSON.stringify({ ...ask, input: '[[sandbox input=2000 output=77]]' }),
  );
  const requests = JSON.stringify({ requests: messages() });
  const claude = await post('/anthropic/v1/messages/batches', requests);
  for (let look = 0; look < 50; look += 1) {
    await call(`${url}/openai/v1/batches/${id}`, null, { method: 'GET' });
    await call(`${url}/anthropic/v1/messages/batches/${claude['id']}`, null, { method: 'GET' });
  }
  // OpenAI: two pending facts, forty items, the job that costs nothing, the response. Anthropic: a pending fact, 34 items, the job.
  await until(async () => ((await readEvents(localLog)).length >= 44 + 36 ? true : undefined));
  const endings = (await readEvents(localLog))
    .filter(({ flavour }) => flavour === 'anthropic.messages')
    .map(({ ending }) => ending);
  expect(endings.filter((ending) => ending === 'reported')).toHaveLength(30);
  expect(endings.filter((ending) => ending === 'not_billed')).toHaveLength(4);
  const common = {
    usageEvents: [localLog],
    backOffice: office,
    warehouse,
    clock: systemClock,
    logger: createLogger('test', 'silent'),
  };
  const ledger = await startLedger({ ...common, rated: office, metrics: createMetrics('l') });
  const books = loadPriceBooks();
  const rater = await startRater({ ...common, books: () => books, metrics: createMetrics('r') });
  const totals = await until(async () => {
    const now = await readControlTotals(warehouse);
    return now.events === '80' && now.events_without_entry === '0' ? now : undefined;
  });
  const unrated = await warehouse.query('SELECT ending, unrated_detail FROM unrated');
  expect(unrated).toEqual([]);
  expect(totals.charges_usd).toBe(sandbox.bill().total_usd);
  expect(sandbox.bill().billed_attempts).toBe(41 + 30);
  await ledger.flushRollups();
  expect((await readControlTotals(warehouse)).difference_usd).toBe('0');
  // Both vendors' exports say which lines are batches; none is left unexplained, none is of a model nobody knows.
  const reconciler = createReconciler(common);
  for (const provider of PROVIDERS) {
    const csv = await fetch(`${sandbox.url}/sandbox/statements/${provider}.csv`);
    const bytes = new Uint8Array(await csv.arrayBuffer());
    expect(Buffer.from(bytes).toString()).toMatch(/\bbatch\b/);
    const statement = { provider, bytes, fileName: `${provider}.csv` };
    expect((await reconciler.importStatement(statement)).unmapped).toBe(0);
    const period = new Date().toISOString().slice(0, 7);
    const report = await reconciler.reconcile({ provider, period, tolerance_usd: '0' });
    const statement_usd = sandbox.bill().total_usd_by_provider[provider];
    expect(report).toMatchObject({ statement_usd, delta_usd: '0', unexplained_usd: '0' });
  }
  await rater.close();
  await ledger.close();
  await sandbox.close();
});
