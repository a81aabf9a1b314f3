import { expect, test } from 'vitest';
import { compareAmounts } from '../../pricing/money.ts';
import { createRandom, type Random } from '../../services/cli/demo/random.ts';
import { STREAMING_FLAVOURS, type StreamingFlavour } from './disconnect-flavours.ts';
import {
  callAndDrop,
  type Drop,
  endingsOf,
  heapInUse,
  ledgerOf,
  priceBooks,
  startHouse,
} from './disconnect-rig.ts';

/**
 * Goal: what a day is made of (streams, a caller in twenty who hangs up, rate limits and failures that are tried again) is booked as
 * it is billed, before anybody explains anything. Method: default policies, a seeded mix over every flavour, the sandbox's own bill.
 */
const CALLS = Number.parseInt(process.env['RECKONER_MIXED_CALLS'] ?? '1500', 10);
const AT_ONCE = 48;
const BOOKED_APART_MAX = 0.001;

/** Some are refused before they are served: once or twice with 429, 500 or 503. The default policy makes three attempts. */
const troubleOf = (random: Random, id: number): string => {
  if (!random.chance(0.06)) return '';
  const status = random.pick([
    ['429', 4],
    ['500', 1],
    ['503', 1],
  ] as const);
  return ` id=call-${id} status=${status}x${random.integer(1, 4)}`;
};

const planOf = (random: Random, id: number) => {
  const flavour = STREAMING_FLAVOURS[random.integer(0, STREAMING_FLAVOURS.length - 1)];
  if (!flavour) throw new Error('there is no flavour');
  const input = random.integer(20, 6000);
  const output = random.integer(1, 900);
  const cached = flavour.cached && random.chance(0.5) ? random.integer(0, input) : 0;
  const reasoning = flavour.reasoning && random.chance(0.3) ? random.integer(0, output) : 0;
  const drop: Drop = random.chance(0.05)
    ? random.pick<Drop>([
        [{ when: 'unanswered' }, 1],
        [{ when: 'bytes', bytes: random.integer(1, 4000) }, 4],
      ])
    : null;
  const trouble = troubleOf(random, id);
  const prompt = `[[sandbox input=${input} cached=${cached} output=${output} reasoning=${reasoning} delay_ms=${random.integer(0, 20)} chunk_ms=1 chunks=10${trouble}]]`;
  return { flavour, prompt, stream: random.chance(0.7), drop };
};

/** Share of the bill that is booked too much or too little. For a printed figure and a bound, not for money. */
const share = (billUsd: string, ledgerUsd: string): number => {
  const scaled = (usd: string): bigint => {
    const [whole = '0', fraction = ''] = usd.split('.');
    return BigInt(whole + fraction.padEnd(18, '0'));
  };
  const apart = scaled(billUsd) - scaled(ledgerUsd);
  const perMillion = ((apart < 0n ? -apart : apart) * 1_000_000n) / scaled(billUsd);
  return Number(perMillion) / 1_000_000;
};

test('a mixed run with default policies: |bill - ledger| is at most 0.1 % before any explanation', async () => {
  const random = createRandom(2026);
  const house = await startHouse(STREAMING_FLAVOURS as StreamingFlavour[], {
    proxyConfig: { drains_max: 256 },
  });
  const plans = Array.from({ length: CALLS }, (_, id) => planOf(random, id));
  const waiting = plans[Symbol.iterator]();
  const before = heapInUse();
  const rssBefore = process.memoryUsage().rss;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const { flavour, ...about } of waiting) await callAndDrop(house, flavour, about);
    }),
  );
  const events = await house.settled();
  const bill = house.sandbox.bill();
  const ledgerUsd = ledgerOf(events, priceBooks());
  const apart = share(bill.total_usd, ledgerUsd);
  const refused = bill.items.filter((item) => !item.billed).length;
  process.stdout.write(
    `mixed run: ${CALLS} calls, ${plans.filter((p) => p.drop !== null).length} aborted, ${bill.attempts} attempts (${refused} refused), ${JSON.stringify(endingsOf(events))}; bill ${bill.total_usd} USD, ledger ${ledgerUsd} USD, |bill - ledger| ${(apart * 100).toFixed(4)} %; heap +${((heapInUse() - before) / 1e6).toFixed(1)} MB, RSS +${((process.memoryUsage().rss - rssBefore) / 1e6).toFixed(0)} MB\n`,
  );
  expect(refused).toBeGreaterThan(CALLS / 20);
  expect(endingsOf(events)['drained'] ?? 0).toBeGreaterThan(0);
  // Also what was refused is an attempt with an event of its own; only what never left us is not on the provider's list.
  expect(
    events.filter((event) => event.http_status !== undefined || event.ending !== 'not_billed'),
  ).toHaveLength(bill.attempts);
  expect(compareAmounts(bill.total_usd, '0')).toBe(1);
  expect(apart).toBeLessThanOrEqual(BOOKED_APART_MAX);
});
