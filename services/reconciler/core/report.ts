import { addAmounts } from '../../../pricing/money.ts';
import type { Instant, Period } from '../../../schemas/instant.ts';
import type { Cause } from './causes.ts';
import { shareOfLedger } from './ledger-share.ts';
import type { AttemptDifference } from './match-attempts.ts';
import { nameOfDifference } from './variance.ts';

/** One model and meter, both sides. Money and quantities as exact decimal strings; delta is statement minus ledger. */
export interface CellReport {
  /** As the statement names it; `*` for meters billed without a model; empty for unmapped lines. */
  model: string;
  /** As the statement groups it: `output` includes reasoning; `unmapped` for unmapped lines. */
  meter: string;
  ledger_quantity: string;
  /** Null where the statement states none. */
  statement_quantity: string | null;
  ledger_usd: string;
  statement_usd: string;
  delta_usd: string;
  explained_usd: string;
  unexplained_usd: string;
  causes: Cause[];
}

/** Result of one run. In every cell and in total, causes add up to the delta and explained + unexplained is the delta, exactly. */
export interface ReconciliationReport {
  run_id: string;
  run_at: Instant;
  provider: string;
  period: Period;
  tolerance_usd: string;
  statements: { statement_id: string; file_name: string; lines: number }[];
  ledger_usd: string;
  statement_usd: string;
  delta_usd: string;
  explained_usd: string;
  unexplained_usd: string;
  /** Sum of the cells' unexplained amounts, and of single calls within a cell, without their signs: two faults do not cancel. This is held against the tolerance. */
  unexplained_abs_usd: string;
  within_tolerance: boolean;
  causes: Cause[];
  /** Ordered by model, then meter. */
  cells: CellReport[];
  /** Lines no table maps: all of their money is in the cell `unmapped`. The largest first, at most 20. */
  unmapped: { description: string; lines: number; amount_usd: string }[];
  /** Null without the provider's record per call. */
  attempts: {
    /** Provider calls that agree in every quantity and amount. */
    matched: number;
    /** Differences that no ending excuses. */
    faults: number;
    differences: AttemptDifference[];
  } | null;
}

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const ROWS_SHOWN = 50;

const placesOf = (amount: string): number => amount.split('.')[1]?.length ?? 0;

/** `41,220.170000`: thousands apart, zeros up to the places wanted; never rounded. */
const print = (amount: string, places: number, signed = false): string => {
  const [whole = '0', fraction = ''] = amount.replace('-', '').split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  const digits = fraction.padEnd(places, '0');
  const sign = amount.startsWith('-') ? '-' : signed && amount !== '0' ? '+' : '';
  return `${sign}${grouped}${digits === '' ? '' : `.${digits}`}`;
};

const table = (rows: readonly (readonly string[])[], rightFrom: number): string[] => {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    `  ${row.map((text, column) => (column >= rightFrom ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0))).join('   ')}`.trimEnd(),
  );
};

const countOf = (count: number): string => (count === 0 ? '' : ` (${count})`);

const summaryLines = (report: ReconciliationReport): string[] => {
  const amounts = [
    report.ledger_usd,
    report.statement_usd,
    ...report.causes.map((cause) => cause.amount_usd),
  ];
  const places = Math.max(2, ...amounts.map(placesOf));
  const unnamed = report.causes.filter((cause) => cause.class === 'unexplained');
  const rows = [
    ['ledger', '', '', print(report.ledger_usd, places)],
    ...report.causes.map((cause) => [
      cause.class,
      cause.explained ? 'accepted' : 'to decide',
      `${cause.text}${countOf(cause.count)}`,
      print(cause.amount_usd, places, true),
    ]),
    ['statement', '', '', print(report.statement_usd, places)],
    [
      'delta',
      '',
      `${shareOfLedger(report.delta_usd, report.ledger_usd)} of the ledger`,
      print(report.delta_usd, places, true),
    ],
    [
      'to decide',
      '',
      `${report.within_tolerance ? 'within' : 'OUTSIDE'} tolerance ${print(report.tolerance_usd, 2)}`,
      print(report.unexplained_usd, places, true),
    ],
    ...(unnamed.length > 0
      ? [
          [
            '',
            '',
            'of which without a name',
            print(addAmounts(unnamed.map((cause) => cause.amount_usd)), places, true),
          ],
        ]
      : []),
  ];
  return table(rows, 3);
};

/** One sentence a cause: what proves it. Of several cells that of the dearest. */
const evidenceLines = (report: ReconciliationReport): string[] =>
  report.causes.length === 0
    ? []
    : [
        '',
        '  how it is known',
        ...table(
          report.causes.map((cause) => [cause.class, cause.evidence]),
          2,
        ),
        '  what each cause means and what to do about it: services/reconciler/discrepancies.md',
      ];

const cellLines = (report: ReconciliationReport): string[] => {
  const off = report.cells.filter((cell) => cell.delta_usd !== '0' || cell.causes.length > 0);
  if (off.length === 0) return [`  all ${report.cells.length} cells agree`];
  const shown = off.slice(0, ROWS_SHOWN);
  const places = Math.max(
    2,
    ...shown.flatMap((cell) => [cell.ledger_usd, cell.statement_usd].map(placesOf)),
  );
  const rows = [
    ['model', 'meter', 'causes', 'ledger', 'statement', 'delta', 'of ledger', 'to decide'],
    ...shown.map((cell) => [
      cell.model,
      cell.meter,
      [...new Set(cell.causes.map((cause) => cause.class))].join(', '),
      print(cell.ledger_usd, places),
      print(cell.statement_usd, places),
      print(cell.delta_usd, places, true),
      shareOfLedger(cell.delta_usd, cell.ledger_usd),
      print(cell.unexplained_usd, places, true),
    ]),
  ];
  const more = off.length - shown.length;
  return [...table(rows, 3), ...(more > 0 ? [`  and ${more} more`] : [])];
};

/** Of amounts alone much cannot be proven. */
const itemsHint = (report: ReconciliationReport): string[] => {
  const isOpen = report.causes.some((cause) => !cause.explained);
  if (!isOpen || report.cells.some((cell) => cell.statement_quantity !== null)) return [];
  return [
    '',
    "  The statement has amounts and no quantities. The provider's record per call (--items FILE) proves more: which calls, which quantities, which price.",
  ];
};

const attemptLines = (report: ReconciliationReport): string[] => {
  if (report.attempts === null) return itemsHint(report);
  const { matched, faults, differences } = report.attempts;
  const shown = differences.filter((one) => !nameOfDifference(one).explained).slice(0, ROWS_SHOWN);
  const excused = differences.length - faults;
  const head = `  ${matched} calls agree with the provider's own record; ${excused} differ as their ending or their month says; ${faults} differ without excuse`;
  const rows = shown.map((difference) => [
    difference.kind,
    difference.provider_request_id === '' ? 'no provider id' : difference.provider_request_id,
    difference.attempt_id ?? 'no attempt',
    [...new Set(difference.meters.map((meter) => `${meter.model} ${meter.meter}`))].join(', '),
    print(difference.delta_usd, placesOf(difference.delta_usd), true),
  ]);
  const more = faults - shown.length;
  return ['', head, ...table(rows, 4), ...(more > 0 ? [`  and ${more} more`] : [])];
};

/** The report as text for a terminal or a mail: no colour, every digit that is not zero. */
export const renderReport = (report: ReconciliationReport): string => {
  const month = MONTHS[Number(report.period.slice(5, 7)) - 1] ?? report.period;
  const statements = report.statements.map(
    (s) => `  statement ${s.file_name} (sha256 ${s.statement_id.slice(0, 8)}…, ${s.lines} lines)`,
  );
  const unmapped = report.unmapped.map(
    (line) =>
      `  not mapped: ${line.description === '' ? '(no text)' : line.description}   ${line.lines} lines   ${print(line.amount_usd, 2)} USD`,
  );
  return [
    `${report.provider}, ${month} ${report.period.slice(0, 4)}   amounts in USD`,
    ...statements,
    '',
    ...summaryLines(report),
    ...evidenceLines(report),
    '',
    ...cellLines(report),
    ...(unmapped.length > 0 ? ['', ...unmapped] : []),
    ...attemptLines(report),
    '',
  ].join('\n');
};
