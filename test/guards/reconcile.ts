import type { Guard } from './guard.ts';

const TOTAL = 'test/unit/rater/stated-total.test.ts';

/** Our figures against what the provider says: the total beside the classes, the statement beside the ledger. */
export const reconcileGuards: readonly Guard[] = [
  {
    name: 'a-stated-total-is-held-against-the-classes',
    protects: ['case 92'],
    file: 'services/rater/core/rate-event.ts',
    find: "if (statedTotal === 'differs') flags.push('stated_total_differs');",
    replace: '',
    test: { file: TOTAL, name: 'an entry that total or cost contradict says so' },
  },
  {
    name: 'unreadable-usage-with-a-total-differs',
    protects: ['case 92'],
    file: 'services/rater/core/stated-total.ts',
    find: "return String(total) === ourTotal(event) ? 'agrees' : 'differs';",
    replace:
      "return ourTotal(event) === '0' || String(total) === ourTotal(event) ? 'agrees' : 'differs';",
    test: { file: TOTAL, name: 'a usage object that no reader could make sense of differs' },
  },
  {
    name: 're-rating-flags-as-rating-does',
    protects: ['case 92'],
    file: 'services/rater/core/rerate.ts',
    find: 'const { rated: fresh } = rateEvent(event, books, { knownAt: options.knownAt });',
    replace:
      'const { flags: _flags, ...fresh } = rateEvent(event, books, { knownAt: options.knownAt }).rated;',
    test: {
      file: TOTAL,
      name: 'a replay writes the same bytes, and re-rating flags as rating does',
    },
  },
];
