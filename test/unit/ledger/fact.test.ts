import { describe, expect, test } from 'vitest';
import type { Fact } from '../../../services/ledger/core/fact.ts';
import { blockRange, bucketsOf, cutBlocks, sortFacts } from '../../../services/ledger/core/fact.ts';

const fact = (id: string, rest: Partial<Fact> = {}): Fact => ({
  id,
  hash: `hash-${id}`,
  tenant: 'acme',
  eventTs: '2026-11-21T20:15:00.123Z',
  place: { log: 'proxy', topic: 'usage.events.v1', partition: 3, offset: 7 },
  json: '{}',
  row: [],
  problem: null,
  bytes: Buffer.byteLength(rest.json ?? '{}'),
  ...rest,
});
const ids = (facts: readonly Fact[]): string[] => facts.map(({ id }) => id);

describe('sorting a batch', () => {
  test('the first of an id is accepted, the same content again is a duplicate', () => {
    const sorted = sortFacts([fact('a'), fact('b'), fact('a')], new Map());
    expect(ids(sorted.accepted)).toEqual(['a', 'b']);
    expect(ids(sorted.duplicates)).toEqual(['a']);
    expect(sorted.setAside).toEqual([]);
  });

  test('what the table holds already is a duplicate', () => {
    const sorted = sortFacts([fact('a')], new Map([['a', 'hash-a']]));
    expect(ids(sorted.accepted)).toEqual([]);
    expect(ids(sorted.duplicates)).toEqual(['a']);
  });

  test('other content of a known id is a conflict, whatever tenant and month it claims', () => {
    const other = fact('a', {
      hash: 'other',
      tenant: 'rival',
      eventTs: '2026-01-02T00:00:00.000Z',
    });
    const [aside] = sortFacts([other], new Map([['a', 'hash-a']])).setAside;
    expect(aside).toMatchObject({ reason: 'conflict', acceptedHash: 'hash-a' });
    expect(aside?.detail).toBe(
      'a was accepted with content hash-a; this record carries the same id with content other',
    );
  });

  test('an invalid fact does not take its id: a valid one after it is accepted', () => {
    const sorted = sortFacts(
      [fact('a', { hash: 'bad', problem: 'the total is wrong' }), fact('a')],
      new Map(),
    );
    expect(ids(sorted.accepted)).toEqual(['a']);
    expect(sorted.setAside.map(({ reason }) => reason)).toEqual(['invalid']);
  });
});

describe('cutting into blocks', () => {
  const limits = { maxRows: 2, maxBytes: 1_000 };

  test('a block holds one month and at most the rows allowed', () => {
    const december = { eventTs: '2026-12-01T00:00:00.000Z' };
    const blocks = cutBlocks(
      [fact('a'), fact('b', december), fact('c'), fact('d'), fact('e', december)],
      limits,
    );
    expect(blocks.map((block) => [block.month, ids(block.facts)])).toEqual([
      ['2026-11', ['a', 'c']],
      ['2026-12', ['b', 'e']],
      ['2026-11', ['d']],
    ]);
  });

  test('a block is closed before it grows beyond the bytes allowed', () => {
    const big = { json: 'x'.repeat(600) };
    expect(cutBlocks([fact('a', big), fact('b', big)], limits)).toHaveLength(2);
    // 200 characters of three bytes each: a block counted in characters would be refused by the warehouse, again at each repeat.
    const wide = { json: '價'.repeat(200) };
    expect(cutBlocks([fact('a', wide), fact('b', wide)], limits)).toHaveLength(2);
  });

  test('its range names log, topic, partitions, offsets and month', () => {
    const at = (partition: number, offset: number) => ({
      place: { log: 'proxy', topic: 'usage.events.v1', partition, offset },
    });
    const facts = [fact('a', at(1, 9)), fact('b', at(0, 4)), fact('c', at(1, 3))];
    expect(blockRange({ month: '2026-11', facts })).toBe(
      'proxy/usage.events.v1/0:4-4,proxy/usage.events.v1/1:3-9:2026-11',
    );
  });
});

test('buckets are the tenant and the UTC hour, each once', () => {
  const late = { eventTs: '2026-11-21T21:00:00.000Z' };
  expect(
    bucketsOf([fact('a'), fact('b'), fact('c', late), fact('d', { tenant: 'rival' })]),
  ).toEqual([
    { tenant: 'acme', hour: '2026-11-21T20:00:00.000Z' },
    { tenant: 'acme', hour: '2026-11-21T21:00:00.000Z' },
    { tenant: 'rival', hour: '2026-11-21T20:00:00.000Z' },
  ]);
});
