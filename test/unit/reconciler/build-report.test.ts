import { describe, expect, it } from 'vitest';
import { buildReport } from '../../../services/reconciler/core/build-report.ts';
import { file, input, line, MODEL, report, sum } from './report-inputs.ts';

describe('cells', () => {
  it('compares reasoning and text with the one line for output', () => {
    // 0.3 + 0.2 = 0.5
    const result = report(
      [sum('output_text', '0.3'), sum('output_reasoning', '0.2')],
      [line('output_text', '0.5')],
    );
    expect(result.cells).toMatchObject([
      { model: MODEL, meter: 'output', ledger_usd: '0.5', statement_usd: '0.5', delta_usd: '0' },
    ]);
    expect(result).toMatchObject({ within_tolerance: true, causes: [], unexplained_usd: '0' });
  });

  it('compares a statement without snapshot dates with all snapshots of the model', () => {
    const result = buildReport(
      input({
        provider: 'anthropic',
        ledger: [
          sum('cache_read', '0.1', { model: 'claude-haiku-4-5-20251001' }),
          sum('cache_read', '0.2', { model: 'claude-haiku-4-5-20260101' }),
        ],
        statements: {
          files: [file()],
          sums: [line('cache_read', '0.3', { model: 'claude-haiku-4-5' })],
        },
      }),
    );
    expect(result.cells).toMatchObject([{ model: 'claude-haiku-4-5', delta_usd: '0' }]);
  });

  it('bills tools without a model, whichever model called them', () => {
    const result = report(
      [sum('web_search_requests', '0.03')],
      [line('web_search_requests', '0.03', { model: null })],
    );
    expect(result.cells).toMatchObject([
      { model: '*', meter: 'web_search_requests', delta_usd: '0' },
    ]);
  });

  it('names provider, model, meter and the cent that a statement is off', () => {
    const result = report(
      [sum('output_text', '0.4'), sum('input_uncached', '0.1')],
      [line('output_text', '0.41'), line('input_uncached', '0.1')],
    );
    expect(result).toMatchObject({
      delta_usd: '0.01',
      unexplained_usd: '0.01',
      within_tolerance: false,
    });
    expect(result.cells.filter((cell) => cell.delta_usd !== '0')).toMatchObject([
      {
        model: MODEL,
        meter: 'output',
        delta_usd: '0.01',
        unexplained_usd: '0.01',
        causes: [{ class: 'unexplained', explained: false, amount_usd: '0.01' }],
      },
    ]);
  });

  it('does not let two faults cancel', () => {
    const result = report(
      [sum('output_text', '0.4'), sum('input_uncached', '0.1')],
      [line('output_text', '0.41'), line('input_uncached', '0.09')],
    );
    expect(result).toMatchObject({
      unexplained_usd: '0',
      unexplained_abs_usd: '0.02',
      within_tolerance: false,
    });
  });

  it('counts a day once when two statements name it: the one imported last', () => {
    const later = file({ statement_id: 'b'.repeat(64), imported_at: '2026-12-03T08:00:00.000Z' });
    const result = buildReport(
      input({
        ledger: [sum('output_text', '0.4')],
        statements: {
          files: [file(), later],
          sums: [
            line('output_text', '0.3'),
            line('output_text', '0.1', { day_start: '2026-11-01T00:00:00.000Z' }),
            line('output_text', '0.3', { statement_id: later.statement_id }),
          ],
        },
      }),
    );
    expect(result).toMatchObject({ statement_usd: '0.4', delta_usd: '0' });
    expect(result.statements).toHaveLength(2);
  });
});

describe('causes without a record per call', () => {
  it('scope: lines of a model that never passed the proxy, and lines no table maps', () => {
    const result = report(
      [sum('output_text', '0.4')],
      [
        line('output_text', '0.4'),
        line('output_text', '7', { model: 'o3-deep-research' }),
        line(null, '5', { description: 'monthly commitment' }),
      ],
    );
    // 7 is money for a model that never passed here; nobody can say yet what the 5 are for.
    expect(result).toMatchObject({ explained_usd: '7', unexplained_usd: '5' });
    expect(result.causes).toMatchObject([
      { class: 'scope', amount_usd: '7', text: 'lines for what did not pass the proxy' },
      { class: 'scope', amount_usd: '5', text: 'lines whose text no table maps' },
    ]);
    expect(result.unmapped).toEqual([
      { description: 'monthly commitment', lines: 1, amount_usd: '5' },
    ]);
  });

  it('what we charge and they do not bill is not explained by scope', () => {
    const result = report([sum('output_text', '0.4')], []);
    expect(result).toMatchObject({
      delta_usd: '-0.4',
      explained_usd: '0',
      unexplained_usd: '-0.4',
    });
  });

  it('volume: no more than the attempts they never stated can make out', () => {
    const ledger = [
      sum('output_text', '0.5', {
        flagged_usd: '0.1',
        flagged_events: 2,
        largest_stated_usd: '0.05',
      }),
    ];
    // at most 2 x 0.05 = 0.10 more, at least 0.10 less
    const cell = (statement: string) => report(ledger, [line('output_text', statement)]).cells[0];
    expect(cell('0.55')).toMatchObject({ explained_usd: '0.05', unexplained_usd: '0' });
    expect(cell('0.63')).toMatchObject({ explained_usd: '0.1', unexplained_usd: '0.03' });
    expect(cell('0.38')).toMatchObject({ explained_usd: '-0.1', unexplained_usd: '-0.02' });
  });

  it('volume: events no book prices', () => {
    const result = report([], [line('output_text', '3')], {
      unrated: [{ model: MODEL, events: 4 }],
    });
    expect(result.cells[0]?.causes).toMatchObject([
      { class: 'volume', amount_usd: '3', count: 4, explained: true },
    ]);
  });

  it('volume: one event no book prices does not take in whatever they bill in a meter we charge nothing for', () => {
    const result = report(
      [sum('output_text', '0.5', { largest_stated_usd: '0.05' })],
      [line('output_text', '0.5'), line('cache_read', '1000')],
      { unrated: [{ model: MODEL, events: 2 }] },
    );
    // at most 2 x 0.05 = 0.10 of the 1000
    expect(result).toMatchObject({ explained_usd: '0.1', unexplained_usd: '999.9' });
    expect(result.within_tolerance).toBe(false);
  });

  it('rounding: within half of the last unit printed per line, and no further', () => {
    const of = (statement: string) =>
      buildReport(
        input({
          ledger: [sum('output_text', '0.3333')],
          statements: {
            files: [file({ amount_places: 2 })],
            sums: [line('output_text', statement, { lines: 2 })],
          },
        }),
      ).cells[0];
    // 2 lines x 0.005 = 0.01
    expect(of('0.34')?.causes).toMatchObject([
      { class: 'rounding', amount_usd: '0.0067', count: 2 },
    ]);
    expect(of('0.35')?.causes).toMatchObject([{ class: 'unexplained', amount_usd: '0.0167' }]);
  });

  it('price: the same quantity at another price is named, but not accepted', () => {
    const result = report(
      [sum('output_text', '0.4')],
      [line('output_text', '0.44', { quantity: '100' })],
    );
    expect(result).toMatchObject({ explained_usd: '0', unexplained_usd: '0.04' });
    expect(result.causes).toMatchObject([{ class: 'price', explained: false, amount_usd: '0.04' }]);
  });
});
