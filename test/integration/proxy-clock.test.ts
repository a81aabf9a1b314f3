import { expect, onTestFinished, test, vi } from 'vitest';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import {
  call,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const BODY = JSON.stringify({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'hi' }] });
const REPLY = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-5-mini',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' } }],
  usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
});

/** The wall clock at each call, and the month in UTC that the call belongs to. */
const JUMPS = [
  ['2026-11-30T23:30:00.000Z', '2026-11', 'a start'],
  ['2026-11-30T22:30:00.000Z', '2026-11', 'an hour back'],
  ['2026-12-01T22:30:00.000Z', '2026-12', 'a day forward, over the end of a month'],
  ['2026-11-30T23:30:00.000Z', '2026-11', 'and back again'],
  ['2026-10-25T00:30:00.000Z', '2026-10', '02:30 in Berlin, summer time'],
  ['2026-10-25T01:30:00.000Z', '2026-10', '02:30 in Berlin once more, winter time'],
  ['2026-12-31T23:59:59.999Z', '2026-12', 'the last second of a year'],
  ['2026-12-31T23:59:59.000Z', '2026-12', 'the same second again, as a leap second is told'],
  ['2028-02-29T23:59:59.999Z', '2028-02', 'a leap day'],
  ['2028-03-01T00:00:00.000Z', '2028-03', 'the day after it'],
] as const;

test('row 12 · whatever the clock does, ids are unique, the sequence is in order and each call is in its month', async () => {
  const zone = process.env['TZ'];
  process.env['TZ'] = 'Europe/Berlin';
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => {
    vi.useRealTimers();
    if (zone === undefined) delete process.env['TZ'];
    else process.env['TZ'] = zone;
  });
  const provider = await startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(REPLY);
  });
  const office = createMemoryEventLog('office');
  await putKey(office);
  await putUpstream(office, { base_url: provider.url });
  const { url, localLog } = await startTestProxy({ office });
  for (const [now] of JUMPS) {
    vi.setSystemTime(now);
    expect((await call(`${url}/openai/v1/chat/completions`, BODY)).status).toBe(200);
  }
  const events = await readEvents(localLog);
  expect(events.map(({ sequence }) => sequence)).toEqual(JUMPS.map((_, index) => index + 1));
  expect(events.map(({ event_ts }) => [event_ts, event_ts.slice(0, 7)])).toEqual(
    JUMPS.map(([now, month]) => [now, month]),
  );
  const ids = events.flatMap(({ request_id, attempt_id, event_id }) => [
    request_id,
    attempt_id,
    event_id,
  ]);
  expect(new Set(ids).size).toBe(3 * JUMPS.length);
  expect(events.every(({ duration_ms }) => duration_ms >= 0 && duration_ms < 60_000)).toBe(true);
});
