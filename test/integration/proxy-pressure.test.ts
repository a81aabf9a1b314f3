import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import type { Clock } from '../../services/platform/clock.ts';
import { systemClock } from '../../services/platform/clock.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import {
  openLmdbEventLog,
  openLmdbEventLogReader,
} from '../../services/platform/lmdb-event-log.ts';
import { TAKEN_OVER } from '../../services/platform/log-acknowledgement.ts';
import type { LogRoom } from '../../services/platform/log-room.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import type { createMetrics } from '../../services/platform/metrics.ts';
import { eventually } from '../contract/event-log-kit.ts';
import {
  call,
  KEY,
  putKey,
  putUpstream,
  readEvents,
  startTestProxy,
  startUpstream,
} from './proxy-harness.ts';

const CHAT = '/openai/v1/chat/completions';
const BODY = JSON.stringify({ model: 'gpt-5-mini', messages: [{ role: 'user', content: 'hi' }] });
const REPLY = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-5-mini',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
});

const newDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), 'reckoner-pressure-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
};

/** A monotonic clock that runs on when told to; the wall clock is the real one. */
const hurriedClock = (): Clock & { skip(ms: number): void } => {
  let skippedMs = 0;
  return {
    nowMs: () => systemClock.nowMs(),
    monotonicMs: () => systemClock.monotonicMs() + skippedMs,
    skip: (ms) => {
      skippedMs += ms;
    },
  };
};

const office = async (url: string, key: Record<string, unknown> = {}): Promise<EventLog> => {
  const log = createMemoryEventLog('office');
  await putKey(log, key);
  await putUpstream(log, { base_url: url });
  return log;
};

const startProvider = () =>
  startUpstream((_req, res) => {
    res.writeHead(200, { 'content-type': 'application/json' });
    res.end(REPLY);
  });

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;
const metricOf = async (
  metrics: ReturnType<typeof createMetrics>,
  name: string,
): Promise<number> => {
  const line = (await metrics.render()).split('\n').find((text) => text.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1));
};

/** A proxy whose log has the room a test says. */
const startSqueezed = async (pressure: object, key: Record<string, unknown> = {}) => {
  const room: LogRoom = { bytesKept: 0, bytesFree: 1e12 };
  const provider = await startProvider();
  const clock = hurriedClock();
  const started = await startTestProxy({
    office: await office(provider.url, key),
    proxyConfig: { pressure },
    room: async () => room,
    clock,
    measureEveryMs: 20,
  });
  const ready = (status: number) =>
    eventually(
      `readyz ${status}`,
      async () => (await statusOf(`${started.url}/readyz`)) === status,
    );
  return { ...started, room, provider, clock, ready };
};

describe('fail_closed', () => {
  test('past the mark calls are answered 503 before anything goes upstream; below it they go on', async () => {
    const { url, room, provider, ready, metrics, localLog } = await startSqueezed({
      log_bytes_max: 2_000_000,
    });
    expect((await call(url + CHAT, BODY)).status).toBe(200);
    room.bytesKept = 2_000_000;
    await ready(503);
    const refused = await call(url + CHAT, BODY);
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('5');
    expect(JSON.parse(refused.body.toString()).error.code).toBe('cannot_meter');
    expect(await metricOf(metrics, 'reckoner_proxy_pressure_causes')).toBe(1);
    expect(await metricOf(metrics, 'reckoner_proxy_log_bytes')).toBe(2_000_000);
    expect(await metricOf(metrics, 'reckoner_proxy_calls_refused_under_pressure_total')).toBe(1);
    // A tenth below the mark.
    room.bytesKept = 1_799_999;
    await ready(200);
    expect((await call(url + CHAT, BODY)).status).toBe(200);
    expect(provider.seen.length).toBe(2);
    expect((await readEvents(localLog)).length).toBe(2);
  });

  test('calls stop before the disk is full, at the ballast', async () => {
    const { url, room, ready } = await startSqueezed({ disk_free_bytes_min: 1_000_000 });
    room.bytesFree = 999_999;
    await ready(503);
    expect((await call(url + CHAT, BODY)).status).toBe(503);
  });

  test('a disk that cannot be asked is pressure, not room', async () => {
    const provider = await startProvider();
    let broken = false;
    const { url } = await startTestProxy({
      office: await office(provider.url),
      room: async () => {
        if (broken) throw new Error('EIO');
        return { bytesKept: 0, bytesFree: 1e12 };
      },
      measureEveryMs: 20,
    });
    expect((await call(url + CHAT, BODY)).status).toBe(200);
    broken = true;
    await eventually('not ready', async () => (await statusOf(`${url}/readyz`)) === 503);
    const { body } = await call(`${url}/readyz`, null, { method: 'GET' });
    expect(body.toString()).toBe('not ready: log under pressure (unmeasured)\n');
    expect((await call(url + CHAT, BODY)).status).toBe(503);
    expect(provider.seen.length).toBe(1);
  });
});

describe('degrade', () => {
  test('only keys that say so are served past the mark, and at the floor of the disk nobody is', async () => {
    const provider = await startProvider();
    const records = await office(provider.url);
    const poor = `rk_${'b'.repeat(12)}_${'s'.repeat(32)}`;
    await putKey(records, { under_pressure: 'serve' });
    await putKey(records, { id: 'prepaid', public_id: 'b'.repeat(12) });
    const room = { bytesKept: 3_000_000, bytesFree: 1e12 };
    const { url, localLog } = await startTestProxy({
      office: records,
      proxyConfig: { pressure: { mode: 'degrade', log_bytes_max: 2_000_000 } },
      room: async () => room,
      measureEveryMs: 20,
    });
    const ask = async (key: string) =>
      (await call(url + CHAT, BODY, { headers: { authorization: `Bearer ${key}` } })).status;
    expect(await ask(KEY)).toBe(200);
    expect(await ask(poor)).toBe(503);
    expect(await statusOf(`${url}/readyz`)).toBe(200);
    room.bytesFree = 0;
    await eventually('not ready', async () => (await statusOf(`${url}/readyz`)) === 503);
    expect(await ask(KEY)).toBe(503);
    expect(provider.seen.length).toBe(1);
    expect((await readEvents(localLog)).length).toBe(1);
  });
});

describe('fail_open', () => {
  test('calls go on; those the log took no record of are counted and alarmed, those it took are events', async () => {
    const provider = await startProvider();
    const localLog = createMemoryEventLog('proxy-1');
    const append = localLog.append.bind(localLog);
    let full = false;
    localLog.append = (entries) => {
      if (!full) return append(entries);
      const refused = Promise.reject(new Error('ENOSPC'));
      refused.catch(() => undefined);
      return { stored: refused, durable: refused };
    };
    const { url, metrics } = await startTestProxy({
      office: await office(provider.url),
      localLog,
      proxyConfig: { pressure: { mode: 'fail_open', disk_free_bytes_min: 1_000 } },
      room: async () => ({ bytesKept: 0, bytesFree: 0 }),
    });
    expect(await statusOf(`${url}/readyz`)).toBe(200);
    expect((await call(url + CHAT, BODY)).status).toBe(200);
    full = true;
    const unmetered = await call(url + CHAT, BODY);
    expect(unmetered.status).toBe(200);
    expect(unmetered.body.toString()).toBe(REPLY);
    full = false;
    expect((await call(url + CHAT, BODY)).status).toBe(200);
    expect((await readEvents(localLog)).map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect(await metricOf(metrics, 'reckoner_proxy_calls_unmetered_total')).toBe(1);
    expect(provider.seen.length).toBe(3);
  });
});

/** Everything a reader of the proxy's log does: takes a batch over, commits, and tells how far it has come. */
const startArchive = async (directory: string) => {
  const offsets = createMemoryEventLog('back-office');
  const reader = await openLmdbEventLogReader({ directory, name: 'proxy-1', offsets });
  onTestFinished(() => reader.close());
  const subscription = reader.subscribe({
    topic: TOPICS.usageEvents.name,
    group: 'archive',
    onBatch: async () => undefined,
  });
  const caughtUp = () => eventually('all archived', () => subscription.lag() === 0);
  const acknowledge = async () =>
    reader.acknowledge(
      TOPICS.usageEvents.name,
      await reader.committed('archive', TOPICS.usageEvents.name),
    );
  return { caughtUp, acknowledge };
};

describe('on a log on disk', () => {
  const startOnDisk = async (pressure: object) => {
    const directory = newDirectory();
    const localLog = await openLmdbEventLog({ directory, name: 'proxy-1' });
    const provider = await startProvider();
    const clock = hurriedClock();
    const started = await startTestProxy({
      office: await office(provider.url),
      localLog,
      room: () => localLog.room(),
      proxyConfig: { pressure },
      clock,
      measureEveryMs: 20,
    });
    const kept = async (): Promise<number> => {
      const ranges = await localLog.ranges(TOPICS.usageEvents.name);
      return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
    };
    return { ...started, directory, localLog, clock, kept };
  };

  test('case 37 · the store is down for an hour: events wait on disk, calls are shed past the mark, and go on when it is back', async () => {
    const { url, directory, localLog, clock, kept, metrics } = await startOnDisk({
      log_age_ms_max: 1_800_000,
    });
    for (let number = 0; number < 20; number += 1) {
      expect((await call(url + CHAT, BODY)).status).toBe(200);
    }
    expect(await kept()).toBe(20);
    clock.skip(3_600_000);
    const oldest = () => metricOf(metrics, 'reckoner_proxy_log_oldest_seconds');
    await eventually('an hour is seen', async () => (await oldest()) >= 3_600);
    expect(await statusOf(`${url}/readyz`)).toBe(503);
    expect((await call(url + CHAT, BODY)).status).toBe(503);
    expect((await readEvents(localLog)).length).toBe(20);

    const archive = await startArchive(directory);
    await archive.caughtUp();
    await eventually('served again', async () => {
      await archive.acknowledge();
      return (await statusOf(`${url}/readyz`)) === 200;
    });
    expect((await call(url + CHAT, BODY)).status).toBe(200);
  });

  test('an event is trimmed some time after the archive has it, never one that it has not, and the place is used again', async () => {
    const { url, directory, localLog, clock, kept } = await startOnDisk({});
    for (let number = 0; number < 120; number += 1) await call(url + CHAT, BODY);
    const archive = await startArchive(directory);
    await archive.caughtUp();
    await archive.acknowledge();
    await eventually(
      'heard',
      async () => (await localLog.committed(TAKEN_OVER, TOPICS.usageEvents.name)).size > 0,
    );
    const before = await localLog.room();
    expect(await kept()).toBe(120);
    // Told and not yet old enough: an archive that has lost its newest offsets with the power can ask again.
    const skip = async (ms: number): Promise<void> => {
      clock.skip(ms);
      await eventually('measured since', async () => (await statusOf(`${url}/readyz`)) === 200);
    };
    await skip(40_000);
    await skip(890_000);
    expect((await call(url + CHAT, BODY)).status).toBe(200);
    expect(await kept()).toBe(121);
    await skip(40_000);
    await eventually('trimmed', async () => (await kept()) === 1);
    // What is trimmed is forgotten at once and taken out behind that.
    await eventually('smaller', async () => (await localLog.room()).bytesKept < before.bytesKept);
    await archive.caughtUp();
  });

  test('what a reader says is believed only as far as the log goes, and never taken back', async () => {
    const { url, directory, localLog } = await startOnDisk({});
    await call(url + CHAT, BODY);
    const offsets = createMemoryEventLog('back-office');
    const reader = await openLmdbEventLogReader({ directory, name: 'proxy-1', offsets });
    onTestFinished(() => reader.close());
    const topic = TOPICS.usageEvents.name;
    const ranges = await localLog.ranges(topic);
    const partition = ranges.find(({ end }) => end > 0)?.partition ?? -1;
    const other = (partition + 1) % 12;
    const heard = async () => [...(await localLog.committed(TAKEN_OVER, topic))];
    await eventually('heard', async () => {
      reader.acknowledge(
        topic,
        new Map([
          [partition, 1],
          [other, 99],
        ]),
      );
      return (await heard()).length > 0;
    });
    expect(await heard()).toEqual([[partition, 1]]);
    reader.acknowledge(topic, new Map([[partition, 0]]));
    await call(url + CHAT, BODY);
    await eventually('the next one', async () => {
      reader.acknowledge(topic, new Map([[partition, 2]]));
      return (await heard())[0]?.[1] === 2;
    });
  });
});
