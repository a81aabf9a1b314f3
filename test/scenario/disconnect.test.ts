import { expect, test } from 'vitest';
import { addAmounts } from '../../pricing/money.ts';
import type { UsageEvent } from '../../schemas/usage-event.ts';
import { createRandom, type Random } from '../../services/cli/demo/random.ts';
import type { EventLog } from '../../services/platform/event-log.ts';
import { openTestWarehouse } from '../integration/ledger-rig.ts';
import { STREAMING_FLAVOURS, type StreamingFlavour } from './disconnect-flavours.ts';
import {
  CLIENTS,
  callAndDrop,
  type Drop,
  endingsOf,
  heapInUse,
  ledgerInWarehouse,
  ledgerOf,
  priceBooks,
  startHouse,
} from './disconnect-rig.ts';

/**
 * Goal: whoever hangs up whenever, every attempt is one event, and what is drained is booked as it is billed. Method: on every wire
 * format that streams many clients at once drop at seeded byte offsets; a sandbox that counts for itself is the witness.
 */
const books = priceBooks();
const warehouse = await openTestWarehouse();
const FLAVOURS = STREAMING_FLAVOURS.map((flavour, at) => [flavour.name, flavour, at] as const);
/** What may be left of a run's work in memory when it is over: a client and a call leave some kilobytes of log each, and no more. */
const HEAP_LEFT_BYTES = 16_000_000 + CLIENTS * 20_000;

/** Tokens of one call, paced so that a drop hits it at work. */
const promptOf = (flavour: StreamingFlavour, random: Random): string => {
  const input = random.integer(60, 4000);
  const cached = flavour.cached ? random.integer(0, input >> 1) : 0;
  const output = random.integer(8, 400);
  const reasoning = flavour.reasoning ? random.integer(0, output >> 1) : 0;
  return `[[sandbox input=${input} cached=${cached} output=${output} reasoning=${reasoning} delay_ms=${random.integer(0, 12)} chunk_ms=1 chunks=8]]`;
};

/** Before the first byte, anywhere inside, at the last byte, behind it. */
const dropOf = (random: Random, bytes: number): Drop =>
  random.pick<Drop>([
    [{ when: 'half_sent' }, 1],
    [{ when: 'unanswered' }, 2],
    [{ when: 'bytes', bytes: random.integer(1, bytes) }, 8],
    [{ when: 'bytes', bytes: bytes - random.integer(0, 8) }, 2],
    [null, 1],
  ]);

/** One call that is heard out, to know how long an answer is; then everybody at once. Gives the calls whose body was sent whole. */
const drive = async (
  house: { url: string },
  flavour: StreamingFlavour,
  seed: number,
): Promise<number> => {
  const random = createRandom(seed);
  const whole = { prompt: promptOf(flavour, random), drop: null };
  const length = await callAndDrop(house, flavour, { ...whole, stream: true });
  const plain = await callAndDrop(house, flavour, { ...whole, stream: false });
  const drops = Array.from({ length: CLIENTS }, () => {
    const stream = random.chance(0.8);
    const prompt = promptOf(flavour, random);
    return { prompt, stream, drop: dropOf(random, stream ? length : plain) };
  });
  await Promise.all(drops.map((about) => callAndDrop(house, flavour, about)));
  return 2 + drops.filter(({ drop }) => drop?.when !== 'half_sent').length;
};

const drained: { localLog: EventLog; billUsd: string; events: number }[] = [];

test.each(FLAVOURS)(
  'case 4 · %s: whoever drops wherever, a drained call is one event and booked as it is billed',
  async (name, flavour, at) => {
    const house = await startHouse([flavour]);
    const before = heapInUse();
    const sent = await drive(house, flavour, 41 + at);
    const events = await house.settled();
    const bill = house.sandbox.bill();
    const grown = heapInUse() - before;
    process.stdout.write(
      `${name}: ${sent} calls sent, ${bill.attempts} attempts, ${JSON.stringify(endingsOf(events))}, bill ${bill.total_usd} USD, heap +${(grown / 1e6).toFixed(1)} MB\n`,
    );
    expect(events).toHaveLength(house.opened());
    expect(events.length).toBeLessThanOrEqual(sent);
    expect(bill.attempts).toBe(events.filter((event) => event.ending !== 'not_billed').length);
    expect(ledgerOf(events, books)).toBe(bill.total_usd);
    expect(grown).toBeLessThan(HEAP_LEFT_BYTES);
    drained.push({ localLog: house.localLog, billUsd: bill.total_usd, events: events.length });
  },
);

test('the ledger of all those calls, rated and kept in the warehouse, is the sum of their bills to the last digit', async () => {
  expect(drained).toHaveLength(STREAMING_FLAVOURS.length);
  const logs = drained.map(({ localLog }) => localLog);
  const { ledgerUsd, events } = await ledgerInWarehouse(warehouse, logs, books);
  expect(events).toBe(drained.reduce((sum, one) => sum + one.events, 0));
  expect(ledgerUsd).toBe(addAmounts(drained.map(({ billUsd }) => billUsd)));
});

/** An event of a call that was given up says so by its ending and names what it is made of. */
const expectNamed = (event: UsageEvent): void => {
  expect(event.error_kind).toBe('client_left');
  expect(['estimated', 'partial', 'not_billed', 'drained']).toContain(event.ending);
  if (event.ending === 'estimated') {
    expect(event.estimate).toEqual({
      basis: 'text_seen',
      classes: ['input_uncached', 'output_text'],
    });
    expect(BigInt(event.classes.input_uncached ?? 0)).toBeGreaterThan(0n);
  }
};

test.each(FLAVOURS)(
  'case 7 · %s: whoever drops wherever, a call that is given up is an event that says it is an estimate',
  async (name, flavour, at) => {
    const house = await startHouse([flavour], { upstream: { disconnect: 'cancel' } });
    await drive(house, flavour, 141 + at);
    const events = await house.settled();
    const bill = house.sandbox.bill();
    process.stdout.write(
      `${name}, cancelled: ${bill.attempts} attempts, ${JSON.stringify(endingsOf(events))}, bill ${bill.total_usd} USD, booked ${ledgerOf(events, books)} USD\n`,
    );
    expect(events).toHaveLength(house.opened());
    expect(bill.attempts).toBe(events.filter((event) => event.ending !== 'not_billed').length);
    const heard = events.filter((event) => event.ending === 'reported');
    for (const event of events) if (event.ending !== 'reported') expectNamed(event);
    expect(heard.length).toBeGreaterThan(0);
    expect(events.some((e) => e.ending === 'estimated' || e.ending === 'partial')).toBe(true);
    // What was heard to its end is booked as it was billed, whatever happened around it.
    const billed = new Map(bill.items.map((item) => [item.provider_request_id, item.total_usd]));
    expect(ledgerOf(heard, books)).toBe(
      addAmounts(heard.map((event) => billed.get(event.provider_request_id ?? '') ?? '')),
    );
  },
);
