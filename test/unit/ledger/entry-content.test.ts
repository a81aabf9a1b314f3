import { expect, it } from 'vitest';
import { contentOfEntry } from '../../../services/ledger/core/entry-content.ts';

const bytesOf = (entry: object): Uint8Array => new TextEncoder().encode(JSON.stringify(entry));
const textOf = (content: Uint8Array | string): string =>
  typeof content === 'string' ? content : new TextDecoder().decode(content);

it('two records of an entry that differ in the month they were posted into agree', () => {
  const entry = (posting_period: string, total_usd: string) => ({
    period: '2026-10',
    posting_period,
    tags: { posting_period: '2026-12' },
    total_usd,
  });
  const content = (posted: string, total: string): string =>
    textOf(contentOfEntry(bytesOf(entry(posted, total)), entry(posted, total)));
  expect(content('2026-11', '1')).toBe(content('2026-10', '1'));
  expect(content('2026-12', '1')).toBe(content('2026-10', '1'));
  expect(content('2026-11', '1')).not.toBe(content('2026-11', '2'));
  // What a caller's tag says is content like any other.
  expect(content('2026-12', '1')).toContain('"tags":{"posting_period":"2026-12"}');
});
