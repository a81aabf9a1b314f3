import type { Guard } from './guard.ts';

const GUIDE = 'test/unit/reconciler/discrepancies.test.ts';
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
  {
    name: 'a-move-is-proven-by-both-lines',
    protects: ['case 95'],
    file: 'services/reconciler/core/repricing.ts',
    find: 'return magnitude(offBy(to) - tokens * price) > to.bound ? null : tokens;',
    replace: 'return price > 0n && to.bound >= 0n ? tokens : null;',
    test: { file: GUIDE, name: 'one token of difference between the two lines' },
  },
  {
    name: 'a-zone-is-proven-inside-the-month',
    protects: ['case 95'],
    file: 'services/reconciler/core/day-boundary.ts',
    find: 'if (magnitude(amount - utcAmount) <= bound) return null;',
    replace: 'agreeing += 1;',
    test: { file: GUIDE, name: 'usage missing at the edge of the month is no time zone' },
  },
  {
    name: 'a-call-of-the-month-beside-agrees-in-every-figure',
    protects: ['case 95'],
    file: 'services/reconciler/core/match-attempts.ts',
    find: 'return events.size === 1 && ![...whole.lines.values()].some(differs);',
    replace: 'return events.size === 1;',
    test: { file: GUIDE, name: 'a call of the month beside is that call only where' },
  },
  {
    name: 'tax-is-named-by-whole-words',
    protects: ['case 95'],
    file: 'services/reconciler/core/own-lines.ts',
    find: '/\\b(vat|gst|hst|pst|qst|tax|taxes',
    replace: '/(vat|gst|hst|pst|qst|tax|taxes',
    test: { file: GUIDE, name: 'the text "syntax checks"' },
  },
  {
    name: 'every-cause-has-its-chapter',
    protects: ['case 95'],
    file: 'services/reconciler/core/causes.ts',
    find: "  'unexplained', // no cause could be proven",
    replace: "  'unexplained',\n  'weather',",
    test: { file: GUIDE, name: 'the guide for people has a chapter for each cause' },
  },
];
