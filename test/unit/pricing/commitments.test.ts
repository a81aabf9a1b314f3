import { describe, expect, it } from 'vitest';
import { commitmentStatus } from '../../../pricing/commitments.ts';
import type { ContractBook } from '../../../schemas/price-book.ts';

const contract = (rest: Partial<ContractBook> = {}): ContractBook => ({
  contract: 'frame',
  provider: 'openai',
  version: 1,
  known_from: '2026-01-01T00:00:00.000Z',
  accounts: ['main', 'batch'],
  prices: [],
  commitments: [
    {
      amount_usd: '1000',
      valid_from: '2026-01-01T00:00:00.000Z',
      valid_to: '2027-01-01T00:00:00.000Z',
      source: 'frame contract, page 3',
      retrieved_at: '2026-01-01',
    },
  ],
  ...rest,
});
const now = '2026-11-21T12:00:00.000Z';
const spend = (account: string, amount: string, at = now, provider = 'openai') => ({
  provider,
  account,
  at,
  amount_usd: amount,
});
const status = (contracts: ContractBook[], spends: ReturnType<typeof spend>[], at = now) =>
  commitmentStatus(contracts, spends, { now: at, knownAt: at });

describe('what is committed to be spent', () => {
  it('is used by every account of the contract, and remains by what they spent', () => {
    expect(status([contract()], [spend('main', '250.5'), spend('batch', '49.5')])).toEqual([
      {
        contract: 'frame',
        provider: 'openai',
        accounts: ['main', 'batch'],
        valid_from: '2026-01-01T00:00:00.000Z',
        valid_to: '2027-01-01T00:00:00.000Z',
        state: 'running',
        committed_usd: '1000',
        used_usd: '300', // 250.5 + 49.5
        remaining_usd: '700', // 1000 - 300
        source: 'frame contract, page 3',
      },
    ]);
  });

  it('is not used by other accounts, other providers, or before and after its dates', () => {
    const [row] = status(
      [contract()],
      [
        spend('other', '1'),
        spend('main', '2', now, 'anthropic'),
        spend('main', '4', '2025-12-31T23:59:59.999Z'),
        spend('main', '8', '2026-01-01T00:00:00.000Z'),
        spend('main', '16', '2027-01-01T00:00:00.000Z'),
      ],
    );
    expect(row?.used_usd).toBe('8');
  });

  it('is never less than nothing when more was spent, and grows again by a reversal', () => {
    expect(status([contract()], [spend('main', '1000.01')])[0]?.remaining_usd).toBe('0');
    const back = [spend('main', '1000'), spend('main', '-0.5')];
    expect(status([contract()], back)[0]?.remaining_usd).toBe('0.5');
  });

  it('is ahead, running or ended', () => {
    const at = (instant: string) =>
      commitmentStatus([contract()], [], { now: instant, knownAt: now })[0]?.state;
    expect(at('2025-12-31T23:59:59.999Z')).toBe('ahead');
    expect(at('2026-01-01T00:00:00.000Z')).toBe('running');
    expect(at('2026-12-31T23:59:59.999Z')).toBe('running');
    expect(at('2027-01-01T00:00:00.000Z')).toBe('ended');
  });

  it('is what the contract says last, of one first day; others stay beside it, in the order of dates', () => {
    const [first] = contract().commitments ?? [];
    if (!first) throw new Error('the contract commits to something');
    const second = contract({
      version: 2,
      known_from: '2026-06-01T00:00:00.000Z',
      commitments: [
        { ...first, valid_from: '2025-01-01T00:00:00.000Z', valid_to: first.valid_from },
        { ...first, amount_usd: '1500' },
      ],
    });
    const amounts = (at: string) =>
      commitmentStatus([contract(), second], [], { now, knownAt: at }).map(
        (row) => `${row.valid_from.slice(0, 4)} ${row.committed_usd}`,
      );
    expect(amounts('2026-05-31T23:59:59.999Z')).toEqual(['2026 1000']);
    expect(amounts('2026-06-01T00:00:00.000Z')).toEqual(['2025 1000', '2026 1500']);
    expect(amounts('2025-12-31T23:59:59.999Z')).toEqual([]);
    expect(status([contract({ contract: 'b' }), contract({ contract: 'a' })], [])).toMatchObject([
      { contract: 'a' },
      { contract: 'b' },
    ]);
    expect(status([contract({ commitments: undefined })], [])).toEqual([]);
  });
});
