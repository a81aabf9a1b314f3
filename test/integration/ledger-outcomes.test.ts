import { expect, test } from 'vitest';
import { TOPICS } from '../../schemas/topics.ts';
import { ReckonerError } from '../../services/platform/errors.ts';
import type { InsertBlock, Warehouse } from '../../services/platform/warehouse.ts';
import { ratedEntry, ratedUsage, usageEntry, usageEvent } from './ledger-facts.ts';
import { openTestWarehouse, rig } from './ledger-rig.ts';

const warehouse = await openTestWarehouse();

const failure = (retryable: boolean) =>
  new ReckonerError('WAREHOUSE_FAILED', 'The warehouse did not answer.', { retryable });

test('an answer that is lost after the insert happened: the same block is sent again and counts once', async () => {
  const events = [1, 2, 3].map((number) =>
    usageEvent({ tenant: 'lost-answer', number, space: 0x500 }),
  );
  const sent: InsertBlock[] = [];
  const losing: Warehouse = {
    ...warehouse,
    insert: async (block) => {
      await warehouse.insert(block);
      if (block.table !== 'usage_archive') return;
      sent.push(block);
      if (sent.length < 3) throw failure(true);
    },
  };
  const status = await (await rig(losing, { usage: events.map(usageEntry) })).takeAll();
  expect(status).toMatchObject({ archived: 3, duplicates: 0 });
  expect(sent).toHaveLength(3);
  expect(new Set(sent).size).toBe(1);
  expect(
    await warehouse.query("SELECT count() AS n FROM usage_archive WHERE tenant = 'lost-answer'"),
  ).toEqual([{ n: '3' }]);
});

test('a refusal for good stops the ledger, and what was not taken is not committed', async () => {
  const event = usageEvent({ tenant: 'refused', number: 1, space: 0x510 });
  const refusing: Warehouse = {
    ...warehouse,
    insert: (block) =>
      block.table === 'ledger_entries' ? Promise.reject(failure(false)) : warehouse.insert(block),
  };
  const stopped = await rig(refusing, { backOffice: [ratedEntry(ratedUsage(event))] });
  const ledger = await stopped.start();
  await expect(ledger.ended).rejects.toMatchObject({ code: 'WAREHOUSE_FAILED' });
  await ledger.close();
  expect([...(await stopped.backOffice.committed('ledger', TOPICS.usageRated.name))]).toEqual([]);
});

test('a kill between the two months of one batch: the replay fills in the month that is missing', async () => {
  const events = ['2026-10-31T23:59:59.999Z', '2026-11-01T00:00:00.000Z'].map((eventTs, index) =>
    usageEvent({ tenant: 'torn', number: index + 1, space: 0x520, eventTs }),
  );
  let inserts = 0;
  const tearing: Warehouse = {
    ...warehouse,
    insert: async (block) => {
      if (block.table === 'usage_archive') inserts += 1;
      if (inserts === 2) throw failure(false);
      await warehouse.insert(block);
    },
  };
  const facts = { usage: events.map(usageEntry) };
  const torn = await (await rig(tearing, facts)).start();
  await expect(torn.ended).rejects.toMatchObject({ code: 'WAREHOUSE_FAILED' });
  await torn.close();
  expect(await (await rig(warehouse, facts)).takeAll()).toMatchObject({
    archived: 1,
    duplicates: 1,
  });
  expect(
    await warehouse.query("SELECT count() AS n FROM usage_archive WHERE tenant = 'torn'"),
  ).toEqual([{ n: '2' }]);
});

test('a record that cannot be read is in the dead letters and does not stop the rest', async () => {
  const event = usageEvent({ tenant: 'poison', number: 1, space: 0x530 });
  const poison = { topic: TOPICS.usageEvents.name, key: 'poison', value: Buffer.from('{"half":') };
  const started = await rig(warehouse, { usage: [poison, usageEntry(event)] });
  expect(await started.takeAll()).toMatchObject({ archived: 1 });
  const letters = await Promise.all(
    (await started.backOffice.ranges(TOPICS.deadLetters.name)).map(({ start, end }) => end - start),
  );
  expect(letters.reduce((total, one) => total + one, 0)).toBe(1);
});
