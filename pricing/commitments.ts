import type { Instant } from '../schemas/instant.ts';
import type { ContractBook } from '../schemas/price-book.ts';
import { addAmounts, compareAmounts, negateAmount } from './money.ts';

/** What one account spent from one instant on; a day of the ledger is one. */
export interface AccountSpend {
  provider: string;
  account: string;
  at: Instant;
  amount_usd: string;
}

/** How far a promise to spend is kept. */
export interface CommitmentStatus {
  contract: string;
  provider: string;
  /** Credential pools whose spend counts. */
  accounts: readonly string[];
  valid_from: Instant;
  valid_to: Instant;
  state: 'ahead' | 'running' | 'ended';
  committed_usd: string;
  used_usd: string;
  /** Still to be spent; "0" once it is kept. */
  remaining_usd: string;
  source: string;
}

const stateOf = (from: Instant, to: Instant, now: Instant): CommitmentStatus['state'] => {
  if (now < from) return 'ahead';
  return now < to ? 'running' : 'ended';
};

/** Newest version first, and of one contract's commitments from one day on the one stated last. */
const inForce = (contracts: readonly ContractBook[], knownAt: Instant) => {
  const seen = new Set<string>();
  return [...contracts]
    .filter((book) => book.known_from <= knownAt)
    .sort((left, right) => right.version - left.version)
    .flatMap((book) => (book.commitments ?? []).map((commitment) => ({ book, commitment })))
    .filter(({ book, commitment }) => {
      const key = `${book.provider} ${book.contract} ${commitment.valid_from}`;
      if (seen.has(key)) return false;
      seen.add(key);
      return true;
    });
};

/**
 * What was promised to be spent, what of it was, and what remains, by contract and date. Spend counts where its account is one of the
 * contract's and its instant lies within the commitment. No price depends on it.
 */
export const commitmentStatus = (
  contracts: readonly ContractBook[],
  spends: readonly AccountSpend[],
  times: { now: Instant; knownAt: Instant },
): CommitmentStatus[] =>
  inForce(contracts, times.knownAt)
    .map(({ book, commitment }): CommitmentStatus => {
      const { provider, contract, accounts } = book;
      const { valid_from: from, valid_to: to, amount_usd: committed, source } = commitment;
      const used = addAmounts(
        spends
          .filter((spend) => spend.provider === provider && accounts.includes(spend.account))
          .filter(({ at }) => from <= at && at < to)
          .map(({ amount_usd }) => amount_usd),
      );
      const left = addAmounts([committed, negateAmount(used)]);
      return {
        contract,
        provider,
        accounts,
        valid_from: from,
        valid_to: to,
        state: stateOf(from, to, times.now),
        committed_usd: committed,
        used_usd: used,
        remaining_usd: compareAmounts(left, '0') < 0 ? '0' : left,
        source,
      };
    })
    .sort((left, right) =>
      `${left.provider} ${left.contract} ${left.valid_from}` <
      `${right.provider} ${right.contract} ${right.valid_from}`
        ? -1
        : 1,
    );
