import { expect, test } from 'vitest';
import { decodeEnvelope } from '../../../schemas/envelope.ts';
import { usageEntry, usageEvent } from '../../integration/ledger-facts.ts';

test('a record behind a byte order mark is unreadable: whoever parses its kept bytes again could not', () => {
  const event = usageEvent({ tenant: 'acme', number: 7, space: 1 });
  const bytes = usageEntry(event).value ?? new Uint8Array();
  expect(decodeEnvelope('usageEvent', bytes)).toMatchObject({ ok: true });
  const marked = Buffer.concat([Buffer.from('\uFEFF'), bytes]);
  // The archive keeps the bytes as they came, and reports and re-rating read them from there.
  expect(() => JSON.parse(marked.toString('utf8'))).toThrow();
  expect(decodeEnvelope('usageEvent', marked)).toMatchObject({ ok: false, reason: 'unreadable' });
});
