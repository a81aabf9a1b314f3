import type { Totals } from './api.ts';

const VERDICTS = {
  equal: { text: 'control totals equal', tone: 'good', sign: '✓' },
  behind: { text: 'control totals settling', tone: 'muted', sign: '…' },
  differ: { text: 'control totals differ', tone: 'bad', sign: '≠' },
  unknown: { text: 'control totals not known', tone: 'warn', sign: '?' },
} as const;

const lagText = (lag: number | null): string => {
  if (lag === null) return 'lag not known';
  if (lag === 0) return '0 s behind';
  return `${lag.toLocaleString('en')} ${lag === 1 ? 'record' : 'records'} behind`;
};

/** How fresh the figures are, and whether they agree with each other: on top of everything. */
export const Status = ({ totals }: { totals: Totals }) => {
  const verdict = VERDICTS[totals.control_totals.verdict];
  return (
    <p class="status" aria-live="polite">
      <span>
        as of <time dateTime={totals.as_of}>{totals.as_of.slice(11, 19)}</time> UTC
      </span>
      <span>{lagText(totals.lag_events)}</span>
      <span class={`verdict ${verdict.tone}`}>
        <span aria-hidden="true">{verdict.sign}</span> {verdict.text}
      </span>
    </p>
  );
};

/** What does not agree, one by one. Nothing while all does. */
export const Differences = ({ totals }: { totals: Totals }) => {
  const { verdict, differences } = totals.control_totals;
  if (verdict !== 'differ' && verdict !== 'unknown') return null;
  return (
    <section class="banner bad" aria-label="Control totals differ">
      <strong>The figures do not agree with each other.</strong>
      <ul>
        {differences.map((difference) => (
          <li key={difference}>{difference}</li>
        ))}
      </ul>
    </section>
  );
};
