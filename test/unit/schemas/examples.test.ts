import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { decodeEnvelope, encodeEnvelope } from '../../../schemas/envelope.ts';
import { PARTITIONS, partitionOf } from '../../../schemas/topics.ts';
import {
  exportJsonSchemas,
  PUBLISHED_SCHEMAS,
} from '../../../services/cli/commands/export-schemas.ts';

interface Examples {
  valid: unknown[];
  invalid: { why: string; value: unknown }[];
}
const read = (name: string): Examples =>
  JSON.parse(readFileSync(`schemas/examples/${name}.json`, 'utf8'));

const names = readdirSync('schemas/examples').map((file) => file.replace('.json', ''));

describe.for(names)('the examples of %s', (name) => {
  const schema = PUBLISHED_SCHEMAS[name as keyof typeof PUBLISHED_SCHEMAS];
  const { valid, invalid } = read(name);

  test.for(valid.map((value, index) => ({ index, value })))(
    'valid example $index is accepted unchanged',
    ({ value }) => {
      expect(schema.parse(value)).toEqual(value);
    },
  );

  test.for(invalid)('$why: refused', ({ value }) => {
    expect(schema.safeParse(value).success).toBe(false);
  });
});

test('every published contract has examples, but for the configuration file', () => {
  const published = Object.keys(PUBLISHED_SCHEMAS).filter((name) => name !== 'house-config');
  expect(names.toSorted()).toEqual(published.toSorted());
});

test('the JSON Schemas on disk are what the code says (renew with: reckoner schemas export)', () => {
  for (const [file, text] of exportJsonSchemas()) {
    expect(readFileSync(`schemas/json/${file}`, 'utf8'), file).toBe(text);
  }
});

describe('the envelope', () => {
  const event = read('usage-event').valid[0] as Parameters<typeof encodeEnvelope<'usageEvent'>>[2];
  const outer = {
    id: event.event_id,
    source: '/proxy/proxy-1',
    subject: 'acme',
    time: event.event_ts,
  };

  test('gives back what was put in', () => {
    const bytes = encodeEnvelope('usageEvent', outer, event);
    const decoded = decodeEnvelope('usageEvent', bytes);
    expect(decoded.ok && decoded.value.data).toEqual(event);
  });

  test('of another kind is refused with the place and the reason, never thrown', () => {
    const bytes = encodeEnvelope('usageEvent', outer, event);
    const decoded = decodeEnvelope('ratedUsage', bytes);
    expect(decoded).toMatchObject({ ok: false, reason: 'invalid' });
    expect(!decoded.ok && decoded.detail).toMatch(/^type: /);
  });

  test('that is no JSON is unreadable', () => {
    const decoded = decodeEnvelope('usageEvent', new TextEncoder().encode('{"specversion'));
    expect(decoded).toMatchObject({ ok: false, reason: 'unreadable' });
  });
});

describe('the partition of a key', () => {
  // FNV-1a is frozen: a key that moved would split a tenant's history over two partitions.
  test.for([
    ['acme', 7],
    ['globex', 10],
    ['', 1],
  ] as const)('%s lies in %i for ever', ([key, partition]) => {
    expect(partitionOf(key)).toBe(partition);
  });

  test('is one of twelve', () => {
    for (let index = 0; index < 1000; index += 1) {
      const partition = partitionOf(`tenant-${index}`);
      expect(partition).toBeGreaterThanOrEqual(0);
      expect(partition).toBeLessThan(PARTITIONS);
    }
  });
});
