import { expect, test } from 'vitest';
import { createRandom, type Random } from '../../services/cli/demo/random.ts';
import { STREAMING_FLAVOURS, type StreamingFlavour } from './disconnect-flavours.ts';
import {
  CLIENTS,
  callAndDrop,
  type Drop,
  heapInUse,
  ledgerOf,
  priceBooks,
  startHouse,
} from './disconnect-rig.ts';

/** Goal: whoever hangs up whenever, every attempt is one event and what we book is what is billed. Method: many clients drop at seeded offsets. */
const books = priceBooks();

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

const drive = async (
  house: { url: string },
  flavour: StreamingFlavour,
  seed: number,
): Promise<void> => {
  const random = createRandom(seed);
  const whole = { prompt: promptOf(flavour, random), drop: null };
  const length = await callAndDrop(house, flavour, { ...whole, stream: true });
  const plain = await callAndDrop(house, flavour, { ...whole, stream: false });
  await Promise.all(
    Array.from({ length: CLIENTS }, () => {
      const stream = random.chance(0.8);
      return callAndDrop(house, flavour, {
        prompt: promptOf(flavour, random),
        stream,
        drop: dropOf(random, stream ? length : plain),
      });
    }),
  );
};

const tally = (words: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    [...new Set(words)].sort().map((word) => [word, words.filter((w) => w === word).length]),
  );

test.each(STREAMING_FLAVOURS.map((flavour, at) => [flavour.name, flavour, at] as const))(
  'case 4 · %s: whoever drops wherever, a drained call is billed and booked alike',
  async (name, flavour, at) => {
    const house = await startHouse([flavour]);
    const before = heapInUse();
    await drive(house, flavour, 41 + at);
    const events = await house.settled();
    const bill = house.sandbox.bill();
    const grown = heapInUse() - before;
    process.stdout.write(
      `${name}: ${bill.attempts} attempts, ${JSON.stringify(tally(events.map((e) => e.ending)))}, bill ${bill.total_usd}, heap +${(grown / 1e6).toFixed(1)} MB\n`,
    );
    expect(events).toHaveLength(house.opened());
    expect(bill.attempts).toBe(events.filter((event) => event.ending !== 'not_billed').length);
    expect(ledgerOf(events, books)).toBe(bill.total_usd);
  },
);
