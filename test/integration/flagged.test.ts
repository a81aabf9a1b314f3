import { expect, test } from 'vitest';
import { readTotals } from '../../services/console/figures.ts';
import { createMemoryEventLog } from '../../services/platform/memory-event-log.ts';
import { startTestHouse } from './house-rig.ts';
import { usageEntry, usageEvent, uuid } from './ledger-facts.ts';
import { openTestWarehouse } from './ledger-rig.ts';

const warehouse = await openTestWarehouse();

test('case 92 · what contradicts the provider is charged, and shows in the view, the console and the metrics until a later fact settles it', async () => {
  const fact = (number: number, total: number, rest = {}) => ({
    ...usageEvent({ tenant: 'witness', number, space: 0x9200 }),
    // 1,000 in and 200 out are 1,200.
    raw_usage: `{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":${total}}`,
    ...rest,
  });
  const settled = fact(3, 1300);
  const proxy = createMemoryEventLog('proxy-flags');
  const office = createMemoryEventLog('office-flags');
  const house = await startTestHouse({ warehouse, office, usageEvents: [proxy] });
  const facts = [
    fact(1, 1200),
    fact(2, 1201),
    settled,
    // The stored response, asked for later: of the same attempt, and it adds up.
    fact(4, 1200, { attempt_id: settled.attempt_id, supersedes: settled.event_id }),
  ];
  await proxy.append(facts.map(usageEntry)).stored;
  await expect
    .poll(
      async () => {
        await house.settle();
        return warehouse.query("SELECT count() AS n FROM ledger_entries WHERE tenant = 'witness'");
      },
      { timeout: 20_000 },
    )
    // Four charges and the reversal of the third.
    .toEqual([{ n: '5' }]);
  expect(
    await warehouse.query(
      "SELECT event_id, flag, outcome, meters, quantities, total_usd FROM flagged WHERE tenant = 'witness'",
    ),
  ).toEqual([
    {
      event_id: uuid(0x9200, 2),
      flag: 'stated_total_differs',
      outcome: 'rated',
      meters: ['input_uncached', 'output_text'],
      quantities: ['1000', '200'],
      // 1000 x 0.00000025 + 200 x 0.000002
      total_usd: '0.00065',
    },
  ]);
  expect((await readTotals(warehouse, '2026-11')).flagged).toBe(1);
  const metrics = await house.metrics.render();
  expect(metrics).toMatch(
    /rater_stated_totals_total\{[^}]*provider="openai",verdict="differs"[^}]*\} 2\n/,
  );
  expect(metrics).toMatch(
    /rater_stated_totals_total\{[^}]*provider="openai",verdict="agrees"[^}]*\} 2\n/,
  );
});
