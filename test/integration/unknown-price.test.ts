import { describe, expect, test } from 'vitest';
import { createPriceBooks } from '../../pricing/price-books.ts';
import type { Price } from '../../schemas/price-book.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { book, price } from '../unit/pricing/pricing-fixtures.ts';
import { ask, BOOKS, houseOf } from './proxy-cost-rig.ts';
import {
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
  untilEvents,
} from './proxy-harness.ts';
import { always, chat, step } from './routing-house.ts';

const NEW = JSON.stringify({ model: 'gpt-new', messages: [] });

describe('an upstream that blocks what no book prices', () => {
  test('case 82 · refuses an unpriced model before anything is sent, for good, and counts it', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url, unknown_price: 'block' } });
    const heard = await ask(house.url, NEW);
    expect([heard.status, heard.headers['x-should-retry']]).toEqual([403, 'false']);
    expect(JSON.parse(heard.body.toString()).error).toMatchObject({
      code: 'model_not_priced',
      type: 'permission_error',
    });
    expect(provider.seen).toEqual([]);
    expect(await readEvents(house.localLog)).toEqual([]);
    const metrics = await house.metrics.render();
    expect(metrics).toMatch(/proxy_targets_unpriced_total\{[^}]*upstream="a"[^}]*\} 1/);
    expect(metrics).toMatch(/proxy_refusals_total\{[^}]*code="model_not_priced"[^}]*\} 1/);
  });

  test('answers in the dialect of the caller', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({
      a: { base_url: provider.url, dialect: 'anthropic', unknown_price: 'block' },
    });
    const heard = await ask(house.url, NEW, { path: '/a/v1/messages' });
    expect(heard.status).toBe(403);
    expect(JSON.parse(heard.body.toString())).toMatchObject({
      type: 'error',
      error: { type: 'permission_error', code: 'model_not_priced' },
    });
  });

  test('serves a priced model, and an alias of one', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url, unknown_price: 'block' } });
    expect((await ask(house.url, chat())).status).toBe(200);
    const alias = JSON.stringify({ model: 'gpt-4o-mini-2024-07-18', messages: [] });
    expect((await ask(house.url, alias)).status).toBe(200);
  });

  test('refuses a tier that has no price at all', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url, unknown_price: 'block' } });
    expect((await ask(house.url, chat('', { service_tier: 'priority' }))).status).toBe(403);
    expect((await ask(house.url, chat('', { service_tier: 'default' }))).status).toBe(200);
  });

  test('refuses a batch with an item nobody can price', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({
      a: { base_url: provider.url, dialect: 'anthropic', unknown_price: 'block' },
    });
    const item = { custom_id: '1', params: { model: 'gpt-new', messages: [] } };
    const body = JSON.stringify({ requests: [item] });
    expect((await ask(house.url, body, { path: '/a/v1/messages/batches' })).status).toBe(403);
    expect(provider.seen).toEqual([]);
  });

  test('judges InvokeModel by the id in the path', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({
      a: { base_url: provider.url, dialect: 'bedrock', unknown_price: 'block' },
    });
    const priced = await ask(house.url, '{}', { path: '/a/model/gpt-4o-mini/invoke' });
    const unpriced = await ask(house.url, '{"model":"gpt-4o-mini"}', {
      path: '/a/model/gpt-new/invoke',
    });
    expect([priced.status, unpriced.status]).toEqual([200, 403]);
  });

  test('is passed over in a route for the next that may serve, by the name it knows the model by', async () => {
    const strict = await startUpstream(always(200));
    const renamed = await startUpstream(always(200));
    const house = await houseOf(
      {
        a: { base_url: strict.url, unknown_price: 'block' },
        b: { base_url: renamed.url, unknown_price: 'block' },
      },
      { steps: [step('a'), { targets: [{ upstream: 'b', model: 'gpt-4o-mini' }] }] },
    );
    const heard = await ask(house.url, NEW, { path: '/r/v1/chat/completions' });
    expect([heard.status, strict.seen.length, renamed.seen.length]).toEqual([200, 0, 1]);
  });

  test('takes a disputed price for none', async () => {
    const disputed = (meter: string, claim: string, unit: string): Price =>
      price(meter, unit, { model: 'gpt-new', claim, price_id: `${meter} ${claim}` });
    const books = createPriceBooks([
      book(
        ['input_uncached', 'output_text'].flatMap((meter) => [
          disputed(meter, 'per vendor', '0.000001'),
          disputed(meter, 'per cloud', '0.000002'),
        ]),
        { provider: 'openai' },
      ),
    ]);
    const provider = await startUpstream(always(200));
    const office = createMemoryEventLog('office');
    await putUpstream(office, { base_url: provider.url, unknown_price: 'block' });
    await putKey(office);
    const house = await startTestProxy({ office, books: () => books });
    const heard = await ask(house.url, NEW, { path: '/openai/v1/chat/completions' });
    expect(heard.status).toBe(403);
  });

  test('passes lists and other calls that nobody bills', async () => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url, unknown_price: 'block' } });
    expect((await ask(house.url, NEW, { path: '/a/v1/moderations' })).status).toBe(200);
  });
});

describe('an upstream that does not', () => {
  test.each([
    ['pass', undefined],
    ['ceiling', 'ceiling'],
  ])('%s: the call goes through and its event says %s', async (policy, marked) => {
    const provider = await startUpstream(always(200));
    const house = await houseOf({ a: { base_url: provider.url, unknown_price: policy } });
    expect((await ask(house.url, NEW)).status).toBe(200);
    const [event] = await untilEvents(house.localLog, 1);
    expect(event?.unknown_price).toBe(marked);
    expect(BOOKS.modelOf('openai', 'gpt-new', BOOKS.newestKnownFrom)).toBeNull();
  });
});
