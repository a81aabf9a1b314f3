import type { Guard } from './guard.ts';

const RERATE = 'test/integration/rerate.test.ts';

/** Prices that arrive, change or are corrected after the usage. */
export const pricingGuards: readonly Guard[] = [
  {
    name: 'unrated-usage-is-rated-again',
    protects: ['case 82'],
    file: 'services/rater/rerate-run.ts',
    find: 'return newest ? [',
    replace: "return newest?.outcome === 'rated' ? [",
    test: { file: RERATE, name: 'case 82 ·' },
  },
  {
    name: 'unrated-by-nobody-yet-is-left-to-the-rater',
    protects: ['case 84'],
    file: 'services/rater/rerate-run.ts',
    find: 'return newest ? [{ event, entries: [restoredCharge(newest, event)] }] : [];',
    replace: 'return [{ event, entries: newest ? [restoredCharge(newest, event)] : [] }];',
    test: { file: RERATE, name: 'case 84 · usage that the rater has not come to' },
  },
  {
    name: 'a-correction-reverses-what-stood',
    protects: ['case 90'],
    file: 'services/rater/core/rerate.ts',
    find: 'entries.push(reversalOf(before, options.postingPeriodOf(before.posting_period)), {',
    replace: 'entries.push({',
    test: { file: RERATE, name: 'case 90 · a price corrected for the past' },
  },
  {
    name: 'a-closed-month-is-not-posted-into',
    protects: ['case 90'],
    file: 'services/rater/core/posting-period.ts',
    find: 'while (closed.has(open)) open = nextPeriod(open);',
    replace: 'if (closed.has(open) && open === nextPeriod(open)) open = period;',
    test: { file: RERATE, name: 'case 90 · what belongs to a closed month' },
  },
  {
    name: 'priced-as-of-the-usage',
    protects: ['case 94'],
    file: 'pricing/rate-usage.ts',
    find: 'const at = event.provider_completed_at ?? event.event_ts;',
    replace: 'const at = options.knownAt;',
    test: { file: RERATE, name: 'case 94 ·' },
  },
];
