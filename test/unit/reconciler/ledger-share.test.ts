import { describe, expect, it } from 'vitest';
import { shareOfLedger } from '../../../services/reconciler/core/ledger-share.ts';
import { renderReport } from '../../../services/reconciler/core/report.ts';
import { file, line, MODEL, report, sum } from './report-inputs.ts';

const SENTENCE = `Every line of ${MODEL} is 9 % above: a price or a surcharge on the whole; see the contract.`;
const LEDGER = [sum('input_uncached', '2'), sum('cache_read', '0.5'), sum('output_text', '7')];

describe('why is the invoice 9 % above the dashboard', () => {
  it('says the share in total and by cell, and that every line of the model has it, and accepts nothing', () => {
    // 2 * 1.09 = 2.18; 0.5 * 1.09 = 0.545; 7 * 1.09 = 7.63; together 10.355 - 9.5 = 0.855
    const result = report(LEDGER, [
      line('input_uncached', '2.18'),
      line('cache_read', '0.545'),
      line('output_text', '7.63'),
    ]);
    expect(result).toMatchObject({ delta_usd: '0.855', explained_usd: '0' });
    expect(result.causes).toMatchObject([{ class: 'unexplained', explained: false }]);
    const text = renderReport(result);
    expect(text).toContain(SENTENCE);
    expect(text).toMatch(/delta +\+9\.0 % of the ledger +\+0\.855\n/);
    expect(text).toMatch(/input_uncached .* \+9\.0 % +\+0\.180\n/);
    expect(text).toContain('--items FILE');
  });

  it('one line at another share, or one that agrees, and nothing is said of all lines', () => {
    for (const cached of ['0.5', '0.546']) {
      const result = report(LEDGER, [
        line('input_uncached', '2.18'),
        line('cache_read', cached),
        line('output_text', '7.63'),
      ]);
      expect(renderReport(result)).not.toContain('Every line');
    }
  });

  it('half of the last digit printed does not hide the share', () => {
    // 0.333 * 1.09 = 0.36297, printed 0.36; 64220.76 * 1.09 = 70000.6284, printed 70000.63
    const sums = [line('cache_read', '0.36'), line('output_text', '70000.63')];
    const ledger = [sum('cache_read', '0.333'), sum('output_text', '64220.76')];
    const files = [file({ amount_places: 2 })];
    const result = report(ledger, sums, { statements: { files, sums } });
    expect(renderReport(result)).toContain(SENTENCE);
  });

  it('a report without a difference has no hint and no share but zero', () => {
    const text = renderReport(report(LEDGER.slice(0, 1), [line('input_uncached', '2')]));
    expect(text).toContain('0.0 % of the ledger');
    expect(text).not.toContain('--items');
  });
});

it.each([
  // 0.0005 of 1 is 0.05 %, half of the last place: away from zero
  ['0.0005', '1', '+0.1 %'],
  ['-0.0005', '1', '-0.1 %'],
  ['0.00049', '1', '<0.1 %'],
  ['0', '0', '0.0 %'],
  ['1', '0', '-'],
  ['1', '3', '+33.3 %'],
  ['-25', '2', '-1250.0 %'],
])('%s of %s is %s', (delta, ledger, share) => {
  expect(shareOfLedger(delta, ledger)).toBe(share);
});
