import { parse } from 'csv-parse/sync';
import { expect, test } from 'vitest';
import { addAmounts } from '../../pricing/money.ts';
import { createRandom } from '../../services/cli/demo/random.ts';
import { STREAMING_FLAVOURS } from './disconnect-flavours.ts';
import { callAndDrop, ledgerOf, priceBooks, startHouse } from './disconnect-rig.ts';

/** Goal: what each provider's console would show is what the per-call ledger adds up to. Method: statements over HTTP, provider by provider. */
const AMOUNT_COLUMNS = ['amount_value', 'cost_usd', 'amount_usd'];

const statementOf = async (sandboxUrl: string, provider: string): Promise<string> => {
  const reply = await fetch(`${sandboxUrl}/sandbox/statements/${provider}.csv`);
  const rows: Record<string, string>[] = parse(await reply.text(), { columns: true });
  return addAmounts(
    rows.map((row) => row[AMOUNT_COLUMNS.find((name) => name in row) ?? ''] ?? 'no amount'),
  );
};

test('case 19 · the sum of the per-call ledger is what each provider has on its statement, to the last digit', async () => {
  const random = createRandom(19);
  const house = await startHouse(STREAMING_FLAVOURS);
  for (const flavour of STREAMING_FLAVOURS) {
    for (const stream of [true, false]) {
      const prompt = `[[sandbox input=${random.integer(50, 9000)} cached=${flavour.cached ? 40 : 0} output=${random.integer(1, 900)} reasoning=${flavour.reasoning ? 1 : 0}]]`;
      await callAndDrop(house, flavour, { prompt, stream, drop: null });
    }
  }
  const events = await house.settled();
  expect(events).toHaveLength(2 * STREAMING_FLAVOURS.length);
  const books = priceBooks();
  for (const provider of new Set(STREAMING_FLAVOURS.map(({ upstream }) => upstream.provider))) {
    const own = events.filter((event) => event.provider === provider);
    expect([provider, ledgerOf(own, books)]).toEqual([
      provider,
      await statementOf(house.sandbox.url, provider),
    ]);
  }
});
