import { describe, expect, test } from 'vitest';
import type { DataOf } from '../../schemas/envelope.ts';
import { decodeEnvelope } from '../../schemas/envelope.ts';
import { PARTITIONS, TOPICS } from '../../schemas/topics.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent, uuid } from './ledger-facts.ts';
import { openTestWarehouse, rig } from './ledger-rig.ts';

const warehouse = await openTestWarehouse();

const money = async (tenant: string): Promise<unknown> => {
  const [row] = await warehouse.query(`SELECT
    (SELECT sum(amount_usd) FROM charges WHERE tenant = '${tenant}') AS charges,
    (SELECT sum(amount_usd) FROM spend_hourly WHERE tenant = '${tenant}') AS hourly,
    (SELECT sum(amount_usd) FROM spend_daily WHERE tenant = '${tenant}') AS daily`);
  return row;
};

const deadLetters = async (log: EventLog): Promise<DataOf<'deadLetter'>[]> => {
  const letters: DataOf<'deadLetter'>[] = [];
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    const from = { topic: TOPICS.deadLetters.name, partition, offset: 0 };
    for (const entry of await log.read(from, 1_000)) {
      const decoded = decodeEnvelope('deadLetter', entry.value ?? new Uint8Array());
      if (!decoded.ok) throw new Error(decoded.detail);
      letters.push(decoded.value.data);
    }
  }
  return letters;
};

describe('one id, two contents', () => {
  const cases = [
    { name: 'in the same hour', tenant: 'same-hour', other: { outputTokens: '201' } },
    {
      name: 'in another month',
      tenant: 'other-month',
      other: { eventTs: '2026-03-01T00:00:00.000Z' },
    },
    { name: 'under another tenant', tenant: 'mine', other: { tenant: 'theirs' } },
  ];
  test.each(cases)(
    '$name: the first stays, the second is set aside and shows',
    async ({ tenant, other }) => {
      const space = 0x140 + 0x10 * cases.findIndex((one) => one.tenant === tenant);
      const options = { tenant, number: 1, space };
      const first = usageEntry(usageEvent(options));
      const second = usageEntry(usageEvent({ ...options, ...other }));
      const started = await rig(warehouse, { usage: [first] });
      await started.takeAll();
      await started.proxy.append([second]).stored;
      expect(await started.takeAll()).toMatchObject({ archived: 0, duplicates: 0, conflicts: 1 });
      const id = uuid(space, 1);
      expect(
        await warehouse.query(`SELECT event_json FROM usage_archive WHERE event_id = '${id}'`),
      ).toEqual([{ event_json: Buffer.from(first.value ?? []).toString() }]);
      expect(
        await warehouse.query(
          `SELECT reason, record_json FROM quarantine FINAL WHERE fact_id = '${id}'`,
        ),
      ).toEqual([{ reason: 'conflict', record_json: Buffer.from(second.value ?? []).toString() }]);
      const letters = await deadLetters(started.backOffice);
      expect(
        letters.map(({ reason, bytes }) => [reason, Buffer.from(bytes, 'base64').toString()]),
      ).toEqual([['conflict', Buffer.from(second.value ?? []).toString()]]);
    },
  );

  test('in one batch the first of the two stays, and a replay reports the conflict once', async () => {
    const options = { tenant: 'batch', number: 1, space: 0x180 };
    const usage = [
      usageEntry(usageEvent(options)),
      usageEntry(usageEvent({ ...options, model: 'other' })),
    ];
    expect(await (await rig(warehouse, { usage })).takeAll()).toMatchObject({
      archived: 1,
      conflicts: 1,
    });
    const again = await rig(warehouse, { usage });
    expect(await again.takeAll()).toMatchObject({ archived: 0, duplicates: 1, conflicts: 0 });
    expect(await deadLetters(again.backOffice)).toEqual([]);
  });

  test('an entry of other content is set aside; the money stays', async () => {
    const event = usageEvent({ tenant: 'entry-conflict', number: 1, space: 0x190 });
    const other = usageEvent({
      tenant: 'entry-conflict',
      number: 1,
      space: 0x190,
      outputTokens: '999',
    });
    const entries = [ratedEntry(ratedUsage(event)), ratedEntry(ratedUsage(other))];
    expect(await (await rig(warehouse, { backOffice: entries })).takeAll()).toMatchObject({
      entries: 1,
      conflicts: 1,
    });
    expect(await money('entry-conflict')).toMatchObject({ charges: '0.00065', hourly: '0.00065' });
  });

  test('an entry whose total is wrong in the last place is set aside', async () => {
    const rated = ratedUsage(usageEvent({ tenant: 'wrong-total', number: 1, space: 0x1a0 }));
    const backOffice = [ratedEntry({ ...rated, total_usd: '0.000650000000000001' })];
    expect(await (await rig(warehouse, { backOffice })).takeAll()).toMatchObject({
      entries: 0,
      invalid: 1,
    });
    expect(await money('wrong-total')).toMatchObject({ charges: '0', hourly: '0' });
  });
});
