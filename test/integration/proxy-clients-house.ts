import { expect, onTestFinished } from 'vitest';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { startSandbox } from '../../services/sandbox/main.ts';
import { putKey, putUpstream, readEvents, startTestProxy } from './proxy-harness.ts';

/** What every client is told to ask for: 1,200 tokens in, 200 of them cached, 40 out. */
export const PROMPT =
  'Say something. [[sandbox input=1200 cached=200 output=40 reasoning=0 chunks=8]]';
export const FIGURES = { input_uncached: '1000', cache_read: '200', output_text: '40' };
export const CLAUDE_ON_BEDROCK = 'global.anthropic.claude-haiku-4-5-20251001-v1:0';

/** A proxy before the sandbox, with an upstream for every dialect the clients speak. */
export const startClientsHouse = async () => {
  const sandbox = await startSandbox({ seed: 7 });
  onTestFinished(() => sandbox.close());
  const office = createMemoryEventLog('office');
  await putUpstream(office, { base_url: sandbox.openaiUrl });
  for (const [id, provider] of [
    ['anthropic', 'anthropic'],
    ['gemini', 'google'],
    ['bedrock', 'bedrock'],
  ]) {
    await putUpstream(office, {
      id,
      provider,
      dialect: id,
      models: [],
      base_url: `${sandbox.url}/${id}`,
    });
  }
  await putKey(office);
  return { sandbox, office, ...(await startTestProxy({ office })) };
};
export type ClientsHouse = Awaited<ReturnType<typeof startClientsHouse>>;

const nonZero = (figures: Readonly<Record<string, string | number | undefined>>) =>
  Object.fromEntries(
    Object.entries(figures)
      .filter(([, quantity]) => quantity !== undefined && String(quantity) !== '0')
      .map(([name, quantity]) => [name, String(quantity)]),
  );

/** The one event of the one call, whose figures must be those of the provider's own bill. */
export const onlyEvent = async (house: ClientsHouse): Promise<UsageEvent> => {
  const events = await readEvents(house.localLog);
  const { items } = house.sandbox.bill();
  expect(events).toHaveLength(1);
  expect(items).toHaveLength(1);
  const [event] = events;
  if (!event) throw new Error('no event');
  expect(nonZero(event.classes)).toEqual(nonZero(items[0]?.quantities ?? {}));
  expect(event).toMatchObject({ ending: 'reported', http_status: 200, key_id: 'acme-key' });
  return event;
};
